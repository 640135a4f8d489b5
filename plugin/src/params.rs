//! The parameters that a host sees and automates: six strips of gain, mute and solo, and bypass. The identifiers
//! are forever: projects and automation lanes refer to them. What is no automation (budget, server) is not here
//! but in the persisted settings, which ride along in the same project state.
//!
//! All models share the six strips, whatever stems they have, so a project survives a change of model.

use nice_plug::prelude::*;

use crate::settings::SettingsCell;

/// The strips in their order, by identifier. A model's `accompaniment` is played on `other`.
pub const STRIPS: [&str; 6] = ["vocals", "drums", "bass", "guitar", "piano", "other"];

/// How many strips there are.
pub const STRIP_COUNT: usize = STRIPS.len();

/// All parameters: three per strip, and bypass.
pub const PARAM_COUNT: usize = 3 * STRIP_COUNT + 1;

/// The foot of a fader. At it the gain is −∞, not this.
pub const GAIN_FOOT_DB: f32 = -84.0;

/// The top of a fader. With the foot above, 0 dB lies at 0.875 of the way: a binary fraction, so that a host
/// that sets a fader to its default sets it to 0 dB exactly and the sum of the stems stays the mix to the bit.
pub const GAIN_TOP_DB: f32 = 12.0;

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
}

impl StripParams {
    fn new(strip: &str) -> Self {
        let range = FloatRange::Linear { min: GAIN_FOOT_DB, max: GAIN_TOP_DB };
        Self {
            gain: FloatParam::new(format!("{strip} Gain"), 0.0, range)
                .with_unit(" dB")
                .with_value_to_string(std::sync::Arc::new(gain_to_text))
                .with_string_to_value(std::sync::Arc::new(text_to_gain)),
            mute: BoolParam::new(format!("{strip} Mute"), false),
            solo: BoolParam::new(format!("{strip} Solo"), false),
        }
    }

    /// The fader in dB, −∞ at its foot.
    pub fn gain_db(&self) -> f32 {
        let db = self.gain.value();
        if is_foot(db) { f32::NEG_INFINITY } else { db }
    }
}

/// Everything that the project keeps.
#[derive(Params)]
pub struct RehearseParams {
    /// Server, model, budget, identity: in the project, not in automation.
    #[persist = "settings"]
    pub settings: SettingsCell,
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
}

impl Default for RehearseParams {
    fn default() -> Self {
        Self {
            settings: SettingsCell::default(),
            bypass: BoolParam::new("Bypass", false).make_bypass(),
            vocals: StripParams::new("Vocals"),
            drums: StripParams::new("Drums"),
            bass: StripParams::new("Bass"),
            guitar: StripParams::new("Guitar"),
            piano: StripParams::new("Piano"),
            other: StripParams::new("Other"),
        }
    }
}

impl RehearseParams {
    /// The strips in the order of [`STRIPS`].
    pub fn strips(&self) -> [&StripParams; STRIP_COUNT] {
        [&self.vocals, &self.drums, &self.bass, &self.guitar, &self.piano, &self.other]
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
    let text = text.trim().to_lowercase();
    let number = text.strip_suffix("db").unwrap_or(&text).trim();
    if ["-inf", "-infinity", "-∞", "−∞"].contains(&number) {
        return Some(GAIN_FOOT_DB);
    }
    let db: f32 = number.parse().ok()?;
    db.is_finite().then(|| db.clamp(GAIN_FOOT_DB, GAIN_TOP_DB))
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
            expected.extend(["gain", "mute", "solo"].map(|what| format!("{strip}_{what}")));
        }
        assert_eq!(ids, expected);
        assert_eq!(ids.iter().collect::<BTreeSet<_>>().len(), PARAM_COUNT);
    }

    #[test]
    fn a_fader_set_to_its_default_is_at_0_db_exactly() {
        let strip = StripParams::new("Vocals");
        assert_eq!(strip.gain.preview_plain(strip.gain.default_normalized_value()), 0.0);
        assert_eq!(strip.gain_db(), 0.0);
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
        assert_eq!(text_to_gain("-6.5 dB"), Some(-6.5));
        assert_eq!(text_to_gain("+3dB"), Some(3.0));
        assert_eq!(text_to_gain("99"), Some(GAIN_TOP_DB));
        assert_eq!(text_to_gain("loud"), None);
        assert_eq!(text_to_gain("NaN"), None);
        assert_eq!(text_to_gain("inf"), None);
    }
}
