//! The parameters that a host sees and automates. The identifiers are forever: projects and automation lanes refer to
//! them; so is the order, which is that of the engine's controls. What is no automation (budget, server) is not here
//! but in the engine's settings, which ride along in the same project (`project`).
//!
//! All models share the six strips, whatever stems they have, so a project survives a change of model.

use std::sync::Arc;

use nice_plug::prelude::*;
use rehearsekit_audio::typed;
use rehearsekit_plugin_engine::{CONTROLS, Mixer, PartMode, StripValues};

use crate::click_params::ClickParams;

use crate::look::LookCell;

/// The strips in their order, by identifier. A model's `accompaniment` is played on `other`.
pub const STRIPS: [&str; 6] = ["vocals", "drums", "bass", "guitar", "piano", "other"];

/// How many strips there are.
pub const STRIP_COUNT: usize = STRIPS.len();

/// All parameters: one for each of the engine's controls.
pub const PARAM_COUNT: usize = CONTROLS;

/// The foot of a fader. At it the gain is −∞, not this.
pub const GAIN_FOOT_DB: f32 = -84.0;

/// The top of a fader. With the foot above, 0 dB lies at 0.875 of the way: a binary fraction, so that a host
/// that sets a fader to its default sets it to 0 dB exactly and the sum of the stems stays the mix to the bit.
pub const GAIN_TOP_DB: f32 = rehearsekit_plugin_engine::TOP_DB;

/// One strip of the mixer.
#[derive(Params)]
pub struct StripParams {
    /// Fader in dB; its foot is silence.
    #[id = "gain"]
    pub gain: FloatParam,
    /// Silences the strip.
    #[id = "mute"]
    pub mute: BoolParam,
    /// Silences every strip that is not soloed.
    #[id = "solo"]
    pub solo: BoolParam,
    /// Balance, −1 (left) to 1 (right).
    #[id = "pan"]
    pub pan: FloatParam,
}

impl StripParams {
    fn new(strip: &str) -> Self {
        Self {
            gain: fader(format!("{strip} Gain")),
            mute: switch(format!("{strip} Mute"), false),
            solo: switch(format!("{strip} Solo"), false),
            pan: pan(format!("{strip} Pan")),
        }
    }

    fn values(&self) -> StripValues {
        StripValues {
            gain_db: gain_db(&self.gain),
            muted: self.mute.value(),
            soloed: self.solo.value(),
            pan: self.pan.value(),
        }
    }
}

/// A fader at 0 dB; its foot is silence.
pub(crate) fn fader(name: impl Into<String>) -> FloatParam {
    let range = FloatRange::Linear { min: GAIN_FOOT_DB, max: GAIN_TOP_DB };
    FloatParam::new(name, 0.0, range)
        .with_unit(" dB")
        .with_value_to_string(Arc::new(gain_to_text))
        .with_string_to_value(Arc::new(text_to_gain))
}

/// A fader in dB, −∞ at its foot.
pub(crate) fn gain_db(fader: &FloatParam) -> f32 {
    let db = fader.value();
    if is_foot(db) { f32::NEG_INFINITY } else { db }
}

/// A switch, whose text may be typed as people say it.
pub(crate) fn switch(name: impl Into<String>, default: bool) -> BoolParam {
    BoolParam::new(name, default).with_string_to_value(Arc::new(typed::switch))
}

pub(crate) fn pan(name: impl Into<String>) -> FloatParam {
    FloatParam::new(name, 0.0, FloatRange::Linear { min: -1.0, max: 1.0 })
        .with_value_to_string(Arc::new(pan_to_text))
        .with_string_to_value(Arc::new(text_to_pan))
}

/// What is heard of the player's strip.
#[derive(Enum, Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// See [`PartMode::All`].
    #[id = "all"]
    #[name = "Everything"]
    All,
    /// See [`PartMode::WithoutMine`].
    #[id = "without"]
    #[name = "Without my part"]
    Without,
    /// See [`PartMode::OnlyMine`].
    #[id = "only"]
    #[name = "Only my part"]
    Only,
}

/// The player's strip.
#[derive(Enum, Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "they are what they are called")]
pub enum Mine {
    #[id = "vocals"]
    Vocals,
    #[id = "drums"]
    Drums,
    #[id = "bass"]
    Bass,
    #[id = "guitar"]
    Guitar,
    #[id = "piano"]
    Piano,
    #[id = "other"]
    Other,
}

/// Everything that the project keeps.
#[derive(Params)]
pub struct RehearseParams {
    /// The window's size and type.
    pub look: LookCell,
    /// The aligned mix instead of the stems; the latency stays.
    #[id = "bypass"]
    pub bypass: BoolParam,
    /// See [`STRIPS`].
    #[nested(id_prefix = "vocals", group = "Vocals")]
    pub vocals: StripParams,
    /// See [`STRIPS`].
    #[nested(id_prefix = "drums", group = "Drums")]
    pub drums: StripParams,
    /// See [`STRIPS`].
    #[nested(id_prefix = "bass", group = "Bass")]
    pub bass: StripParams,
    /// See [`STRIPS`].
    #[nested(id_prefix = "guitar", group = "Guitar")]
    pub guitar: StripParams,
    /// See [`STRIPS`].
    #[nested(id_prefix = "piano", group = "Piano")]
    pub piano: StripParams,
    /// See [`STRIPS`].
    #[nested(id_prefix = "other", group = "Other")]
    pub other: StripParams,
    /// What becomes of all of them.
    #[nested(group = "Output")]
    pub output: OutputParams,
    /// The click.
    #[nested(id_prefix = "click", group = "Click")]
    pub click: ClickParams,
}

/// The main output, and the player's part in it.
#[derive(Params)]
pub struct OutputParams {
    /// The main output's fader in dB.
    #[id = "master_gain"]
    pub master: FloatParam,
    /// The stems' share of the main output, 0 to 1; the rest is the aligned mix.
    #[id = "dry_wet"]
    pub wetness: FloatParam,
    /// What is heard of the player's strip.
    #[id = "part"]
    pub part: EnumParam<Part>,
    /// Which strip that is.
    #[id = "my_part"]
    pub mine: EnumParam<Mine>,
}

impl Default for OutputParams {
    fn default() -> Self {
        Self {
            master: fader("Master Gain"),
            wetness: FloatParam::new("Dry/Wet", 1.0, FloatRange::Linear { min: 0.0, max: 1.0 })
                .with_unit(" %")
                .with_value_to_string(formatters::v2s_f32_percentage(0))
                .with_string_to_value(Arc::new(|text| Some(typed::share(text)? as f32))),
            part: EnumParam::new("Part", Part::All),
            mine: EnumParam::new("My Part", Mine::Vocals),
        }
    }
}

impl Default for RehearseParams {
    fn default() -> Self {
        Self {
            look: LookCell::default(),
            bypass: switch("Bypass", false).make_bypass(),
            vocals: StripParams::new("Vocals"),
            drums: StripParams::new("Drums"),
            bass: StripParams::new("Bass"),
            guitar: StripParams::new("Guitar"),
            piano: StripParams::new("Piano"),
            other: StripParams::new("Other"),
            output: OutputParams::default(),
            click: ClickParams::default(),
        }
    }
}

impl RehearseParams {
    /// The strips in the order of [`STRIPS`].
    pub fn strips(&self) -> [&StripParams; STRIP_COUNT] {
        [&self.vocals, &self.drums, &self.bass, &self.guitar, &self.piano, &self.other]
    }

    /// All of it as the engine wants it. Audio thread.
    pub fn mixer(&self) -> Mixer {
        Mixer {
            bypassed: self.bypass.value(),
            strips: self.strips().map(StripParams::values),
            master_db: gain_db(&self.output.master),
            wetness: self.output.wetness.value(),
            part: match self.output.part.value() {
                Part::All => PartMode::All,
                Part::Without => PartMode::WithoutMine,
                Part::Only => PartMode::OnlyMine,
            },
            mine: self.output.mine.value() as usize,
            click: self.click.values(),
            click_in_main: self.click.in_main.value(),
        }
    }
}

/// As near to the foot as no text can tell.
fn is_foot(db: f32) -> bool {
    (db * 10.0).round() <= GAIN_FOOT_DB * 10.0
}

/// Reading the text again gives the same text, as hosts and validators expect: so there is no "-0.0".
fn gain_to_text(db: f32) -> String {
    if is_foot(db) { "-inf".to_owned() } else { format!("{:.1}", (db * 10.0).round() / 10.0 + 0.0) }
}

fn text_to_gain(text: &str) -> Option<f32> {
    let db = typed::decibels(text)? as f32;
    Some(db.clamp(GAIN_FOOT_DB, GAIN_TOP_DB))
}

/// "C" in the middle, "L50" and "R50" halfway to the sides.
fn pan_to_text(pan: f32) -> String {
    match (pan * 100.0).round() as i32 {
        0 => "C".to_owned(),
        left @ ..0 => format!("L{}", -left),
        right => format!("R{right}"),
    }
}

fn text_to_pan(text: &str) -> Option<f32> {
    typed::balance(text).map(|pan| pan as f32)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn the_identifiers_never_change() {
        let ids: Vec<String> = RehearseParams::default().param_map().into_iter().map(|(id, ..)| id).collect();
        let mut expected = vec!["bypass".to_owned()];
        for strip in STRIPS {
            expected.extend(["gain", "mute", "solo", "pan"].map(|what| format!("{strip}_{what}")));
        }
        expected.extend(["master_gain", "dry_wet", "part", "my_part"].map(str::to_owned));
        let of_click =
            ["mode", "level", "pan", "sound", "subdivision", "accent", "main", "source", "tempo", "meter"];
        expected.extend(of_click.map(|what| format!("click_{what}")));
        assert_eq!(ids, expected);
        assert_eq!(ids.iter().collect::<BTreeSet<_>>().len(), PARAM_COUNT);
    }

    #[test]
    fn pans_read_as_they_are_written() {
        for percent in -100..=100 {
            let pan = percent as f32 / 100.0;
            assert_eq!(text_to_pan(&pan_to_text(pan)), Some(pan));
        }
        for (text, pan) in [
            ("c", Some(0.0)),
            ("L 30", Some(-0.3)),
            ("−30", Some(-0.3)),
            ("30 l", Some(-0.3)),
            ("x", None),
            ("", None),
        ] {
            assert_eq!(text_to_pan(text), pan, "{text}");
        }
    }

    #[test]
    fn a_fader_set_to_its_default_is_at_0_db_exactly() {
        let strip = StripParams::new("Vocals");
        assert_eq!(strip.gain.preview_plain(strip.gain.default_normalized_value()), 0.0);
        assert_eq!(gain_db(&strip.gain), 0.0);
        assert_eq!(strip.gain.preview_plain(1.0), GAIN_TOP_DB);
    }

    #[test]
    fn the_foot_of_a_fader_is_silence_in_numbers_and_words() {
        assert_eq!(gain_to_text(GAIN_FOOT_DB), "-inf");
        for step in 0..=9600 {
            let text = gain_to_text(GAIN_FOOT_DB + step as f32 / 100.0);
            assert_eq!(text_to_gain(&format!("{text} dB")).map(gain_to_text), Some(text));
        }
        for text in ["-inf", "-inf dB", "-INF", "-∞", "-200"] {
            assert_eq!(text_to_gain(text), Some(GAIN_FOOT_DB), "{text}");
        }
        for text in ["-6.5 dB", "−6,5 DB", "–6,5db"] {
            assert_eq!(text_to_gain(text), Some(-6.5), "{text}");
        }
        assert_eq!(text_to_gain("+3dB"), Some(3.0));
        assert_eq!(text_to_gain("99"), Some(GAIN_TOP_DB));
        assert_eq!(text_to_gain("loud"), None);
        assert_eq!(text_to_gain("NaN"), None);
        assert_eq!(text_to_gain("inf"), None);
    }
}
