//! The mixer as the plugin's parameters show it: six fixed strips for every model, the player's part, the main output,
//! the click.
//!
//! Strips never change, so projects and automation keep their meaning whatever model the server has: a model's
//! stems lie on the strips of their names, its accompaniment (and any stem that closes the sum) on `other`, and
//! strips it lacks are silent. This module must not know how gains are smoothed or delayed.

use rehearsekit_audio::{click::ClickValues, gain::db_to_linear};
use rehearsekit_playout::{Part, StemGains};

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
    /// Balance, −1 (left) to 1 (right).
    pub pan: f32,
}

/// The lower end of a fader: as good as nothing, and treated as nothing.
pub const SILENT_DB: f32 = -90.0;
/// The upper end of a fader.
pub const TOP_DB: f32 = 12.0;
/// Slowest and fastest tempo of the player's own, in beats per minute.
pub const OWN_TEMPO_BPM: [f32; 2] = [20.0, 400.0];
/// Most beats of a bar of the player's own.
pub const MOST_BEATS_PER_BAR: u32 = 16;

impl Default for StripValues {
    fn default() -> Self {
        Self { gain_db: 0.0, muted: false, soloed: false, pan: 0.0 }
    }
}

impl StripValues {
    /// As playout wants it.
    pub fn gains(&self) -> StemGains {
        let Self { muted, soloed, pan, .. } = *self;
        StemGains { linear: linear(self.gain_db), pan, muted, soloed }
    }
}

/// A fader's gain, linear.
pub(crate) fn linear(gain_db: f32) -> f32 {
    if gain_db > SILENT_DB { db_to_linear(gain_db) } else { 0.0 }
}

/// What is heard of the strip that the player calls theirs. Where the model lacks that strip it counts for nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum PartMode {
    /// It is a strip like the others.
    #[default]
    All,
    /// Everything but it: for playing along.
    WithoutMine,
    /// Nothing but it, whatever is muted or soloed: for listening to it.
    OnlyMine,
}

/// All values of the mixer at one moment.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Mixer {
    /// Bypass: the latency-aligned mix, nothing else.
    pub bypassed: bool,
    /// In the order of [`STRIP_NAMES`].
    pub strips: [StripValues; STRIPS],
    /// The main output's fader in dB, like a strip's.
    pub master_db: f32,
    /// The stems' share of the main output, 0 to 1; the rest is the aligned mix.
    pub wetness: f32,
    /// What is heard of the player's strip.
    pub part: PartMode,
    /// Which strip that is.
    pub mine: usize,
    /// The click.
    pub click: ClickValues,
    /// Whether the click is on the main output, and not on its own alone.
    pub click_in_main: bool,
}

impl Default for Mixer {
    fn default() -> Self {
        Self {
            bypassed: false,
            strips: [StripValues::default(); STRIPS],
            master_db: 0.0,
            wetness: 1.0,
            part: PartMode::All,
            mine: 0,
            click: ClickValues::default(),
            click_in_main: true,
        }
    }
}

impl Mixer {
    /// The player's part as playout wants it.
    pub fn part(&self) -> Part {
        match self.part {
            PartMode::All => Part::All,
            PartMode::WithoutMine => Part::Without(self.mine),
            PartMode::OnlyMine => Part::Only(self.mine),
        }
    }

    /// Which strips are heard of a model that has stems on those of `strips`.
    pub fn heard(&self, strips: [bool; STRIPS]) -> [bool; STRIPS] {
        rehearsekit_playout::gains::heard(
            &self.strips.each_ref().map(StripValues::gains),
            strips,
            self.part(),
        )
    }
}
