//! The click's parameters. Identifiers and order are forever, as those in `params`.

use std::sync::Arc;

use nice_plug::prelude::*;
use rehearsekit_audio::typed;
use rehearsekit_plugin_engine::click;

use crate::params::{fader, gain_db, pan, switch};

/// When the click sounds.
#[derive(Enum, Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Never.
    #[id = "off"]
    Off,
    /// In the host's pre-roll, or before the song's start.
    #[id = "count_in"]
    #[name = "Count-in"]
    CountIn,
    /// Always.
    #[id = "on"]
    On,
}

/// What the click sounds like.
#[derive(Enum, Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "they are what they are called")]
pub enum Sound {
    #[id = "wood"]
    #[name = "Wood block"]
    Wood,
    #[id = "beep"]
    Beep,
    #[id = "tock"]
    Tock,
    #[id = "own"]
    #[name = "My sound"]
    Own,
}

/// What sounds between the beats.
#[derive(Enum, Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "they are what they are called")]
pub enum Subdivision {
    #[id = "beats"]
    Beats,
    #[id = "eighths"]
    Eighths,
    #[id = "triplets"]
    Triplets,
    #[id = "sixteenths"]
    Sixteenths,
}

/// Whose tempo the click follows.
#[derive(Enum, Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// The host's tempo map.
    #[id = "host"]
    Host,
    /// Typed or tapped.
    #[id = "own"]
    #[name = "My tempo"]
    Own,
}

/// Slowest and fastest tempo of one's own, in beats per minute.
pub const TEMPO_BPM: [f32; 2] = rehearsekit_plugin_engine::OWN_TEMPO_BPM;
/// Most bars to count in.
pub const MOST_COUNTED: u32 = rehearsekit_plugin_engine::MOST_COUNT_IN_BARS;
/// Most beats of a bar of one's own.
pub const MOST_BEATS: i32 = rehearsekit_plugin_engine::MOST_BEATS_PER_BAR as i32;

/// The click.
#[derive(Params)]
pub struct ClickParams {
    /// When it sounds.
    #[id = "mode"]
    pub mode: EnumParam<Mode>,
    /// How loud, in dB; at the foot it is silent.
    #[id = "level"]
    pub level: FloatParam,
    /// Balance, −1 (left) to 1 (right).
    #[id = "pan"]
    pub pan: FloatParam,
    /// Which sound.
    #[id = "sound"]
    pub sound: EnumParam<Sound>,
    /// What sounds between the beats.
    #[id = "subdivision"]
    pub subdivision: EnumParam<Subdivision>,
    /// Whether a bar's first beat sounds different.
    #[id = "accent"]
    pub accent: BoolParam,
    /// Whether it is on the main output, and not on its own alone.
    #[id = "main"]
    pub in_main: BoolParam,
    /// Whose tempo.
    #[id = "source"]
    pub source: EnumParam<Source>,
    /// The player's own tempo, in beats per minute.
    #[id = "tempo"]
    pub tempo: FloatParam,
    /// Beats of a bar at that tempo.
    #[id = "meter"]
    pub beats_per_bar: IntParam,
}

impl Default for ClickParams {
    fn default() -> Self {
        let [min, max] = TEMPO_BPM;
        Self {
            mode: EnumParam::new("Click", Mode::Off),
            level: fader("Click Level"),
            pan: pan("Click Pan"),
            sound: EnumParam::new("Click Sound", Sound::Wood),
            subdivision: EnumParam::new("Click Subdivision", Subdivision::Beats),
            accent: switch("Click Accent", true),
            in_main: switch("Click in Main", true),
            source: EnumParam::new("Click Tempo from", Source::Host),
            tempo: FloatParam::new("My Tempo", 120.0, FloatRange::Linear { min, max })
                .with_unit(" BPM")
                .with_value_to_string(formatters::v2s_f32_rounded(2))
                .with_string_to_value(Arc::new(|text| Some(typed::with_unit(text, typed::BPM)? as f32))),
            beats_per_bar: IntParam::new("My Beats per Bar", 4, IntRange::Linear { min: 1, max: MOST_BEATS })
                .with_string_to_value(Arc::new(|text| {
                    let beats = typed::whole_with_unit(text, &[("beats", 1.0), ("beat", 1.0)])?;
                    Some(beats.clamp(1, MOST_BEATS.into()) as i32)
                })),
        }
    }
}

impl ClickParams {
    /// As the engine wants it, but for the "one" of the player's own tempo. Audio thread.
    pub fn values(&self) -> click::ClickValues {
        click::ClickValues {
            mode: match self.mode.value() {
                Mode::Off => click::ClickMode::Off,
                Mode::CountIn => click::ClickMode::CountIn,
                Mode::On => click::ClickMode::On,
            },
            level_db: gain_db(&self.level),
            pan: self.pan.value(),
            sound: self.sound.value() as u8,
            subdivision: match self.subdivision.value() {
                Subdivision::Beats => click::Subdivision::Beats,
                Subdivision::Eighths => click::Subdivision::Eighths,
                Subdivision::Triplets => click::Subdivision::Triplets,
                Subdivision::Sixteenths => click::Subdivision::Sixteenths,
            },
            accent: self.accent.value(),
            source: match self.source.value() {
                Source::Host => click::ClickSource::Host,
                Source::Own => click::ClickSource::Own,
            },
            own_tempo_bpm: self.tempo.value().into(),
            own_one_seconds: 0.0,
            own_beats_per_bar: self.beats_per_bar.value().unsigned_abs(),
        }
    }
}
