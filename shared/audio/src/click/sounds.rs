//! The click's sounds: three made by formula, and a player's own. Must not read files.
//!
//! A sound's first frame is its reference instant: played at a beat, its attack *is* the beat. So nothing fades in:
//! the first sample is loud already.

use std::f64::consts::{PI, TAU};

use super::TickKind;
use crate::{Audio, SampleRate};

/// The names of the built-in sounds, in their order.
pub const BUILT_IN_SOUNDS: [&str; 3] = ["Wood block", "Beep", "Tock"];

/// Length of a built-in sound.
const BUILT_IN_SECONDS: f64 = 0.05;

/// A sound that a click can play: one or two channels, finite, not empty and not too long.
#[derive(Debug, Clone, PartialEq)]
pub struct ClickSound(Audio);

/// Why audio is no sound for a click.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum ClickSoundError {
    /// Longer than [`ClickSound::LONGEST_SECONDS`].
    #[error("it is {0:.1} s long; a click's sound may last {longest} s", longest = ClickSound::LONGEST_SECONDS)]
    TooLong(f64),
    /// No frames.
    #[error("there is nothing in it")]
    Empty,
    /// A sample that is no number.
    #[error("sample {0} is not a number")]
    NotFinite(usize),
}

impl ClickSound {
    /// The longest sound, in seconds.
    pub const LONGEST_SECONDS: u32 = 2;

    /// A sound from audio at the rate at which it will be played.
    ///
    /// # Errors
    /// When it is empty, too long or not finite.
    pub fn new(audio: Audio) -> Result<Self, ClickSoundError> {
        if audio.frames() == 0 {
            return Err(ClickSoundError::Empty);
        }
        if audio.frames() > (Self::LONGEST_SECONDS * audio.rate().hz()) as usize {
            return Err(ClickSoundError::TooLong(audio.rate().duration(audio.frames() as u64).as_secs_f64()));
        }
        match audio.first_non_finite() {
            Some(frame) => Err(ClickSoundError::NotFinite(frame)),
            None => Ok(Self(audio)),
        }
    }

    /// The samples, given up.
    pub fn into_channels(self) -> Vec<Vec<f32>> {
        self.0.into_channels()
    }

    /// Left and right, equally long.
    pub fn stereo(&self) -> [&[f32]; 2] {
        self.0.stereo()
    }
}

/// A decaying partial: frequency in Hz, amplitude, seconds until it has fallen by 60 dB.
type Partial = (f64, f64, f64);

/// The built-in sound `index` (the first for an index beyond) for a kind of click, its peak at full scale. Kinds
/// differ in pitch; how loud they are is the player's business.
pub fn built_in(index: usize, kind: TickKind, rate: SampleRate) -> ClickSound {
    let pitch = match kind {
        TickKind::Accent => 1.5,
        TickKind::Beat => 1.0,
        TickKind::Subdivision => 0.75,
    };
    let partials: &[Partial] = match index {
        1 => &[(1_000.0, 1.0, 0.09), (3_000.0, 0.12, 0.03)],
        2 => &[(400.0, 1.0, 0.06), (930.0, 0.35, 0.025), (1_900.0, 0.3, 0.008)],
        _ => &[(1_150.0, 1.0, 0.035), (2_720.0, 0.5, 0.02), (4_300.0, 0.25, 0.01)],
    };
    let rate_hz = f64::from(rate.hz());
    let frames = (BUILT_IN_SECONDS * rate_hz) as usize;
    // The last fifth fades to nothing, or the end would be a click of its own.
    let fade = (frames / 5).max(1);
    let mut samples: Vec<f32> = (0..frames)
        .map(|frame| {
            let seconds = frame as f64 / rate_hz;
            let sum: f64 = partials
                .iter()
                // What a rate cannot carry would come back as something else.
                .filter(|(hz, ..)| hz * pitch < 0.45 * rate_hz)
                .map(|(hz, amplitude, fall)| {
                    amplitude * (TAU * hz * pitch * seconds).cos() * 10f64.powf(-3.0 * seconds / fall)
                })
                .sum();
            let left = (frames - frame) as f64 / fade as f64;
            (sum * 0.5 * (1.0 - (PI * left.min(1.0)).cos())) as f32
        })
        .collect();
    let peak = samples.iter().fold(0.0f32, |peak, sample| peak.max(sample.abs()));
    samples.iter_mut().for_each(|sample| *sample /= peak);
    ClickSound(Audio::new(rate, vec![samples]).expect("one channel is as long as itself"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const KINDS: [TickKind; 3] = [TickKind::Subdivision, TickKind::Beat, TickKind::Accent];

    /// Energy of `samples` at `hz`.
    fn energy_at(samples: &[f32], hz: f64, rate: SampleRate) -> f64 {
        let turn = TAU * hz / f64::from(rate.hz());
        let part = |f: fn(f64) -> f64| -> f64 {
            samples.iter().enumerate().map(|(i, &s)| f64::from(s) * f(turn * i as f64)).sum()
        };
        part(f64::cos).powi(2) + part(f64::sin).powi(2)
    }

    #[test]
    fn the_attack_is_the_first_frame_and_the_end_is_silent() {
        for rate in [8_000, 44_100, 48_000, 96_000, 192_000].map(|hz| SampleRate::new(hz).unwrap()) {
            for index in 0..BUILT_IN_SOUNDS.len() {
                for kind in KINDS {
                    let sound = built_in(index, kind, rate);
                    let [left, right] = sound.stereo();
                    assert_eq!(left, right);
                    assert!(left[0] > 0.9, "{index} {kind:?} at {rate} begins with {}", left[0]);
                    let peak = left.iter().fold(0.0f32, |peak, s| peak.max(s.abs()));
                    assert_eq!(peak, 1.0, "{index} {kind:?} at {rate}");
                    assert!(left.len() as f64 <= 0.06 * f64::from(rate.hz()));
                    assert!(left[left.len() - 1].abs() < 1e-3);
                }
            }
        }
    }

    #[test]
    fn kinds_and_sounds_differ_in_pitch_and_the_highs_are_empty() {
        let rate = SampleRate::HZ_48000;
        let mut pitches = Vec::new();
        for index in 0..BUILT_IN_SOUNDS.len() {
            for kind in KINDS {
                let sound = built_in(index, kind, rate);
                let samples = sound.stereo()[0];
                let bins: Vec<f64> = (1..240).map(|bin| f64::from(bin) * 100.0).collect();
                let loudest = bins
                    .iter()
                    .copied()
                    .max_by(|a, b| energy_at(samples, *a, rate).total_cmp(&energy_at(samples, *b, rate)));
                pitches.push(loudest.unwrap() as i64);
                let total: f64 = bins.iter().map(|hz| energy_at(samples, *hz, rate)).sum();
                let high: f64 =
                    bins.iter().filter(|hz| **hz > 12_000.0).map(|hz| energy_at(samples, *hz, rate)).sum();
                assert!(high < 0.02 * total, "{index} {kind:?}: {}", high / total);
            }
        }
        let mut different = pitches.clone();
        different.sort_unstable();
        different.dedup();
        assert_eq!(different.len(), 9, "{pitches:?}");
    }

    #[test]
    fn what_is_no_sound_is_refused() {
        let audio = |samples: Vec<f32>| Audio::new(SampleRate::HZ_48000, vec![samples]).unwrap();
        assert_eq!(ClickSound::new(audio(vec![])), Err(ClickSoundError::Empty));
        assert_eq!(ClickSound::new(audio(vec![0.0, f32::NAN])), Err(ClickSoundError::NotFinite(1)));
        assert!(ClickSound::new(audio(vec![0.0; 96_000])).is_ok());
        let error = ClickSound::new(audio(vec![0.0; 120_000])).unwrap_err();
        assert_eq!(error.to_string(), "it is 2.5 s long; a click's sound may last 2 s");
    }
}
