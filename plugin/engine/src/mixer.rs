//! The mixer as the plugin's parameters show it: six fixed strips for every model, the player's part, the main output.
//!
//! Strips never change, so projects and automation keep their meaning whatever model the server has: a model's
//! stems lie on the strips of their names, its accompaniment (and any stem that closes the sum) on `other`, and
//! strips it lacks are silent. This module must not know how gains are smoothed or delayed.

use rehearsekit_audio::gain::db_to_linear;
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

    /// One number for each [`Control`], in their order.
    pub(crate) fn values(&self) -> [f32; CONTROLS] {
        let mut values = [0.0; CONTROLS];
        let switch = |on| f32::from(u8::from(on));
        values[Control::BYPASS.0] = switch(self.bypassed);
        for (strip, set) in self.strips.iter().enumerate() {
            values[Control::gain(strip).0] = set.gain_db;
            values[Control::mute(strip).0] = switch(set.muted);
            values[Control::solo(strip).0] = switch(set.soloed);
            values[Control::pan(strip).0] = set.pan;
        }
        values[Control::MASTER.0] = self.master_db;
        values[Control::WETNESS.0] = self.wetness;
        values[Control::PART.0] = self.part as u8 as f32;
        values[Control::MINE.0] = self.mine as f32;
        values
    }

    /// Whether the control at this place is set otherwise in `other`.
    pub fn differs(&self, other: &Self, control: usize) -> bool {
        self.values().get(control) != other.values().get(control)
    }

    /// Back from [`Self::values`].
    pub(crate) fn from_values(values: &[f32; CONTROLS]) -> Self {
        let at = |control: Control| values[control.0];
        let on = |control: Control| at(control) != 0.0;
        Self {
            bypassed: on(Control::BYPASS),
            strips: std::array::from_fn(|strip| StripValues {
                gain_db: at(Control::gain(strip)),
                muted: on(Control::mute(strip)),
                soloed: on(Control::solo(strip)),
                pan: at(Control::pan(strip)),
            }),
            master_db: at(Control::MASTER),
            wetness: at(Control::WETNESS),
            part: match at(Control::PART) as u8 {
                0 => PartMode::All,
                1 => PartMode::WithoutMine,
                _ => PartMode::OnlyMine,
            },
            mine: at(Control::MINE) as usize,
        }
    }
}

/// How many controls there are.
pub const CONTROLS: usize = Control::MINE.0 + 1;

/// One value of a [`Mixer`]. The plugin announces its parameters in this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Control(usize);

/// Gain, mute, solo, pan.
const PER_STRIP: usize = 4;

impl Control {
    /// The bypass switch.
    pub const BYPASS: Self = Self(0);
    /// The main output's fader.
    pub const MASTER: Self = Self(1 + PER_STRIP * STRIPS);
    /// Dry/wet.
    pub const WETNESS: Self = Self(Self::MASTER.0 + 1);
    /// All, without my part, only my part.
    pub const PART: Self = Self(Self::MASTER.0 + 2);
    /// Which strip is mine.
    pub const MINE: Self = Self(Self::MASTER.0 + 3);

    /// The control at this place.
    pub const fn at(index: usize) -> Option<Self> {
        if index < CONTROLS { Some(Self(index)) } else { None }
    }

    /// The fader of `strip`.
    pub const fn gain(strip: usize) -> Self {
        Self::of_strip(strip, 0)
    }

    /// The mute of `strip`.
    pub const fn mute(strip: usize) -> Self {
        Self::of_strip(strip, 1)
    }

    /// The solo of `strip`.
    pub const fn solo(strip: usize) -> Self {
        Self::of_strip(strip, 2)
    }

    /// The balance of `strip`.
    pub const fn pan(strip: usize) -> Self {
        Self::of_strip(strip, 3)
    }

    const fn of_strip(strip: usize, what: usize) -> Self {
        Self(1 + PER_STRIP * (strip % STRIPS) + what)
    }

    /// Its place.
    pub const fn index(self) -> usize {
        self.0
    }
}

/// Which controls were moved in our own editor since the last block: those act at once. All others are taken for
/// host automation and act a latency later, so that they are heard with the audio they were written for.
///
/// A gesture also takes its control away from automation that is still under way: what the host sent for it
/// before is forgotten.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Touched(u64);

// One bit for each.
const _: () = assert!(CONTROLS <= u64::BITS as usize);

impl Touched {
    /// Nothing was touched.
    pub const NONE: Self = Self(0);

    /// This one control.
    pub const fn one(control: Control) -> Self {
        Self(1 << control.0)
    }

    /// As a number, for an `AtomicU64` between the editor (`fetch_or`) and the audio thread (`swap(0)`).
    pub const fn bits(self) -> u64 {
        self.0
    }

    /// From [`Self::bits`].
    pub const fn from_bits(bits: u64) -> Self {
        Self(bits)
    }

    /// Both together.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether this control is in it.
    pub const fn has(self, control: Control) -> bool {
        self.0 & Self::one(control).0 != 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_control_has_its_own_place_and_keeps_its_value() {
        for index in 0..CONTROLS {
            let mut values = Mixer::default().values();
            values[index] = 1.0;
            let mixer = Mixer::from_values(&values);
            assert_eq!(mixer.values(), values, "control {index}");
            assert!(Touched::one(Control(index)).has(Control(index)));
        }
        assert_eq!(Control::at(CONTROLS), None);
        let mixer = Mixer { part: PartMode::OnlyMine, mine: 5, ..Mixer::default() };
        assert_eq!(Mixer::from_values(&mixer.values()), mixer);
    }
}
