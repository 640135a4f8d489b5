//! The mixer as the plugin's parameters show it: six fixed strips for every model.
//!
//! Strips never change, so projects and automation keep their meaning whatever model the server has: a model's
//! stems lie on the strips of their names, its accompaniment (and any stem that closes the sum) on `other`, and
//! strips it lacks are silent. This module must not know how gains are smoothed or delayed.

pub use rehearsekit_playout::layout::{LANE_NAMES as STRIP_NAMES, LANES as STRIPS};

/// What one strip is set to.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct StripValues {
    /// The fader in dB; −∞ and anything at or below [`SILENT_DB`] is silence.
    pub gain_db: f32,
    /// Mute; wins over solo.
    pub muted: bool,
    /// Solo: every strip without it is silent. A solo on a strip that the model lacks counts for nothing.
    pub soloed: bool,
}

/// The lower end of a fader: as good as nothing, and treated as nothing.
pub const SILENT_DB: f32 = -90.0;

impl Default for StripValues {
    fn default() -> Self {
        Self { gain_db: 0.0, muted: false, soloed: false }
    }
}

/// All values of the mixer at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Mixer {
    /// In the order of [`STRIP_NAMES`].
    pub strips: [StripValues; STRIPS],
    /// Bypass: the latency-aligned mix, nothing else.
    pub bypassed: bool,
}

/// Which values of a [`Mixer`] were moved in our own editor since the last block: those act at once. All others
/// are taken for host automation and act a latency later, so that they are heard with the audio they were
/// written for.
///
/// A gesture also takes its control away from automation that is still under way: what the host sent for it
/// before is forgotten.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Touched(u32);

impl Touched {
    /// Nothing was touched.
    pub const NONE: Self = Self(0);
    /// The bypass switch.
    pub const BYPASS: Self = Self(1 << 31);

    /// The fader of `strip`.
    pub const fn gain(strip: usize) -> Self {
        Self(1 << (3 * (strip % STRIPS)))
    }

    /// The mute of `strip`.
    pub const fn mute(strip: usize) -> Self {
        Self(2 << (3 * (strip % STRIPS)))
    }

    /// The solo of `strip`.
    pub const fn solo(strip: usize) -> Self {
        Self(4 << (3 * (strip % STRIPS)))
    }

    /// As a number, for an `AtomicU32` between the editor (`fetch_or`) and the audio thread (`swap(0)`).
    pub const fn bits(self) -> u32 {
        self.0
    }

    /// From [`Self::bits`].
    pub const fn from_bits(bits: u32) -> Self {
        Self(bits)
    }

    /// Both together.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether any of `other` is in it.
    pub const fn has(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }
}
