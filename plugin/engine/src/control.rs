//! The mixer's values one by one: each control has a place in a list, in which the plugin announces its parameters and
//! automation keeps them. Must not know what a value does.

use rehearsekit_audio::click::{BUILT_IN_SOUNDS, ClickMode, ClickSource, ClickValues, Subdivision};

use crate::mixer::{MOST_BEATS_PER_BAR, Mixer, OWN_TEMPO_BPM, PartMode, STRIPS, StripValues, TOP_DB};

impl Mixer {
    /// One number for each [`Control`], in their order, each the nearest that it may be: this is the one way to the sound,
    /// whoever set the mixer.
    pub(crate) fn values(&self) -> [f32; CONTROLS] {
        let mut values = self.set_values();
        for (control, value) in values.iter_mut().enumerate() {
            let Reach { least, most, otherwise } = Control(control).reach();
            // Adding zero turns a −0 into a 0.
            *value = if value.is_nan() { otherwise } else { value.clamp(least, most) + 0.0 };
        }
        values
    }

    fn set_values(&self) -> [f32; CONTROLS] {
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
        values[Control::PART.0] = place(&PARTS, self.part);
        values[Control::MINE.0] = self.mine as f32;
        let click = &self.click;
        values[Control::CLICK_MODE.0] = place(&CLICK_MODES, click.mode);
        values[Control::CLICK_LEVEL.0] = click.level_db;
        values[Control::CLICK_PAN.0] = click.pan;
        values[Control::CLICK_SOUND.0] = click.sound.into();
        values[Control::CLICK_SUBDIVISION.0] = place(&SUBDIVISIONS, click.subdivision);
        values[Control::CLICK_ACCENT.0] = switch(click.accent);
        values[Control::CLICK_IN_MAIN.0] = switch(self.click_in_main);
        values[Control::CLICK_SOURCE.0] = place(&CLICK_SOURCES, click.source);
        values[Control::OWN_TEMPO.0] = click.own_tempo_bpm as f32;
        values[Control::BEATS_PER_BAR.0] = click.own_beats_per_bar as f32;
        values
    }

    /// Whether the control at this place is set otherwise in `other`.
    pub fn differs(&self, other: &Self, control: usize) -> bool {
        self.values().get(control) != other.values().get(control)
    }

    /// Back from [`Self::values`]; the "one" of the player's own tempo is no control and comes beside.
    pub(crate) fn from_values(values: &[f32; CONTROLS], own_one_seconds: f64) -> Self {
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
            part: PARTS[nearest(at(Control::PART), PARTS.len())],
            mine: nearest(at(Control::MINE), STRIPS),
            click: ClickValues {
                mode: CLICK_MODES[nearest(at(Control::CLICK_MODE), CLICK_MODES.len())],
                level_db: at(Control::CLICK_LEVEL),
                pan: at(Control::CLICK_PAN),
                sound: at(Control::CLICK_SOUND) as u8,
                subdivision: SUBDIVISIONS[nearest(at(Control::CLICK_SUBDIVISION), SUBDIVISIONS.len())],
                accent: on(Control::CLICK_ACCENT),
                source: CLICK_SOURCES[nearest(at(Control::CLICK_SOURCE), CLICK_SOURCES.len())],
                own_tempo_bpm: at(Control::OWN_TEMPO).into(),
                own_one_seconds,
                own_beats_per_bar: at(Control::BEATS_PER_BAR) as u32,
            },
            click_in_main: on(Control::CLICK_IN_MAIN),
        }
    }
}

const PARTS: [PartMode; 3] = [PartMode::All, PartMode::WithoutMine, PartMode::OnlyMine];
const CLICK_MODES: [ClickMode; 3] = [ClickMode::Off, ClickMode::CountIn, ClickMode::On];
const CLICK_SOURCES: [ClickSource; 2] = [ClickSource::Host, ClickSource::Own];
const SUBDIVISIONS: [Subdivision; 4] =
    [Subdivision::Beats, Subdivision::Eighths, Subdivision::Triplets, Subdivision::Sixteenths];

/// Where a choice is in its list.
fn place<T: PartialEq>(list: &[T], choice: T) -> f32 {
    list.iter().position(|known| *known == choice).unwrap_or_default() as f32
}

/// A place in a list of `count`.
fn nearest(value: f32, count: usize) -> usize {
    (value as usize).min(count - 1)
}

/// How many controls there are.
pub const CONTROLS: usize = Control::BEATS_PER_BAR.0 + 1;

/// One value of a [`Mixer`]. The plugin announces its parameters in this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Control(usize);

/// The values that a control may have.
struct Reach {
    least: f32,
    most: f32,
    /// In place of what is no number.
    otherwise: f32,
}

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

    /// Off, count-in, on.
    pub const CLICK_MODE: Self = Self(Self::MINE.0 + 1);
    /// How loud the click is.
    pub const CLICK_LEVEL: Self = Self(Self::MINE.0 + 2);
    /// Where the click is.
    pub const CLICK_PAN: Self = Self(Self::MINE.0 + 3);
    /// Which sound it has.
    pub const CLICK_SOUND: Self = Self(Self::MINE.0 + 4);
    /// What sounds between the beats.
    pub const CLICK_SUBDIVISION: Self = Self(Self::MINE.0 + 5);
    /// Whether the first beat is accented.
    pub const CLICK_ACCENT: Self = Self(Self::MINE.0 + 6);
    /// Whether it is on the main output.
    pub const CLICK_IN_MAIN: Self = Self(Self::MINE.0 + 7);
    /// Whose tempo it follows.
    pub const CLICK_SOURCE: Self = Self(Self::MINE.0 + 8);
    /// The player's own tempo.
    pub const OWN_TEMPO: Self = Self(Self::MINE.0 + 9);
    /// Beats of a bar at the player's own tempo.
    pub const BEATS_PER_BAR: Self = Self(Self::MINE.0 + 10);

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

    /// Which values it may have.
    fn reach(self) -> Reach {
        let strips = 1..Self::MASTER.0;
        let what = self.0.wrapping_sub(1) % PER_STRIP;
        let is_fader = self == Self::MASTER || self == Self::CLICK_LEVEL;
        let is_pan = self == Self::CLICK_PAN || (strips.contains(&self.0) && what == 3);
        let [slowest, fastest] = OWN_TEMPO_BPM;
        let (least, most, otherwise) = match self {
            _ if is_fader || (strips.contains(&self.0) && what == 0) => (f32::NEG_INFINITY, TOP_DB, 0.0),
            _ if is_pan => (-1.0, 1.0, 0.0),
            Self::WETNESS => (0.0, 1.0, 1.0),
            Self::PART => (0.0, (PARTS.len() - 1) as f32, 0.0),
            Self::MINE => (0.0, (STRIPS - 1) as f32, 0.0),
            Self::CLICK_MODE => (0.0, (CLICK_MODES.len() - 1) as f32, 0.0),
            Self::CLICK_SOUND => (0.0, BUILT_IN_SOUNDS.len() as f32, 0.0),
            Self::CLICK_SUBDIVISION => (0.0, (SUBDIVISIONS.len() - 1) as f32, 0.0),
            Self::OWN_TEMPO => (slowest, fastest, 120.0),
            Self::BEATS_PER_BAR => (1.0, MOST_BEATS_PER_BAR as f32, 4.0),
            _ => (0.0, 1.0, 0.0),
        };
        Reach { least, most, otherwise }
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
        let usual = Mixer::default();
        for index in 0..CONTROLS {
            let mut values = usual.values();
            // Another that it may have.
            let Reach { least, most, .. } = Control(index).reach();
            values[index] = if values[index] == most { least } else { most };
            let mixer = Mixer::from_values(&values, 0.0);
            assert_eq!(mixer.values(), values, "control {index}");
            let differing = (0..CONTROLS).filter(|&at| mixer.differs(&usual, at));
            assert_eq!(differing.collect::<Vec<_>>(), [index]);
            assert!(Touched::one(Control(index)).has(Control(index)));
        }
        assert_eq!(Control::at(CONTROLS), None);
        let click = ClickValues {
            mode: ClickMode::On,
            subdivision: Subdivision::Sixteenths,
            source: ClickSource::Own,
            own_tempo_bpm: 97.5,
            own_one_seconds: 1.25,
            ..ClickValues::default()
        };
        let mixer = Mixer { part: PartMode::OnlyMine, mine: 5, click, ..usual };
        assert_eq!(Mixer::from_values(&mixer.values(), 1.25), mixer);
    }

    #[test]
    fn no_value_reaches_the_sound_that_its_control_cannot_have() {
        for odd in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, f32::MAX, -1e9, 60.0, -0.0] {
            let strip = StripValues { gain_db: odd, pan: odd, ..StripValues::default() };
            let click = ClickValues {
                level_db: odd,
                pan: odd,
                own_tempo_bpm: odd.into(),
                own_beats_per_bar: u32::MAX,
                sound: u8::MAX,
                ..ClickValues::default()
            };
            let mixer = Mixer {
                strips: [strip; STRIPS],
                master_db: odd,
                wetness: odd,
                mine: usize::MAX,
                click,
                ..Mixer::default()
            };
            let heard = Mixer::from_values(&mixer.values(), 0.0);
            for gain in [heard.strips[0].gain_db, heard.master_db, heard.click.level_db] {
                assert!(gain <= TOP_DB && gain.to_bits() != (-0.0_f32).to_bits(), "{odd}: {gain} dB");
            }
            for pan in [heard.strips[5].pan, heard.click.pan] {
                assert!((-1.0..=1.0).contains(&pan), "{odd}: {pan}");
            }
            assert!((0.0..=1.0).contains(&heard.wetness), "{odd}: {}", heard.wetness);
            assert!((20.0..=400.0).contains(&heard.click.own_tempo_bpm), "{odd}");
            assert_eq!((heard.mine, heard.click.own_beats_per_bar), (STRIPS - 1, MOST_BEATS_PER_BAR));
            assert_eq!(heard.click.sound, BUILT_IN_SOUNDS.len() as u8);
        }
    }

    #[test]
    fn numbers_that_stand_for_nothing_are_taken_to_the_nearest_that_does() {
        let mixer = Mixer::from_values(&[1e9; CONTROLS], 0.0);
        assert_eq!((mixer.part, mixer.mine), (PartMode::OnlyMine, STRIPS - 1));
        assert_eq!(Mixer::from_values(&[f32::NAN; CONTROLS], 0.0).part, PartMode::All);
    }
}
