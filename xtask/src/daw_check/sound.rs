//! What was recorded against what should have been: where it lies, and how well it agrees. Must not judge.

use std::path::Path;

use anyhow::{Context, Result};
use realfft::RealFftPlanner;

use crate::wav::{Sound, agreement_db};

/// How a recording lies to its reference.
pub(crate) struct Comparison {
    /// Frames by which the recording is late.
    pub(crate) lag: i64,
    /// After moving it by that; see [`agreement_db`].
    pub(crate) agreement_db: f64,
}

/// Finds the place of `reference` in `recording` and compares them there.
pub(crate) fn compare(reference: &Sound, recording: &Sound) -> Result<Comparison> {
    let lag = lag(&reference.channels[0], &recording.channels[0])?;
    let moved = |channel: &Vec<f32>| -> Vec<f32> {
        if lag >= 0 {
            channel.get(lag as usize..).unwrap_or_default().to_vec()
        } else {
            [vec![0.0; lag.unsigned_abs() as usize], channel.clone()].concat()
        }
    };
    let moved =
        Sound { rate_hz: recording.rate_hz, channels: recording.channels.iter().map(moved).collect() };
    // Behind the first second: a live session is not there from the first frame on.
    let agreement_db = agreement_db(reference, &moved, reference.rate_hz as usize);
    Ok(Comparison { lag, agreement_db })
}

/// Where a piece of a song comes from: the frame of `song` that is the first one of `piece`.
pub(super) fn place(song: &Sound, piece: &[f32]) -> Result<i64> {
    let lag = lag(piece, &song.channels[0])?;
    // Nothing begins before the song: what looks like it is far behind its middle.
    Ok(lag.rem_euclid((piece.len() + song.frames()).next_power_of_two() as i64))
}

/// Where the correlation of both is largest.
fn lag(reference: &[f32], recording: &[f32]) -> Result<i64> {
    let length = (reference.len() + recording.len()).next_power_of_two();
    let mut planner = RealFftPlanner::<f32>::new();
    let (forth, back) = (planner.plan_fft_forward(length), planner.plan_fft_inverse(length));
    let spectrum = |samples: &[f32]| -> Result<_> {
        let mut padded = samples.to_vec();
        padded.resize(length, 0.0);
        let mut bins = forth.make_output_vec();
        forth.process(&mut padded, &mut bins)?;
        Ok(bins)
    };
    let mut product = spectrum(recording)?;
    product.iter_mut().zip(spectrum(reference)?).for_each(|(a, b)| *a *= b.conj());
    // Rounding leaves a little where there must be nothing.
    for edge in [0, product.len() - 1] {
        product[edge].im = 0.0;
    }
    let mut correlation = back.make_output_vec();
    back.process(&mut product, &mut correlation)?;
    let best = (0..length).max_by(|&a, &b| correlation[a].total_cmp(&correlation[b])).unwrap_or_default();
    Ok(if best < length / 2 { best as i64 } else { best as i64 - length as i64 })
}

/// Puts `samples` in place of what a mono file of floats holds, silence behind them; its form stays.
pub(super) fn fill(path: &Path, samples: &[f32]) -> Result<()> {
    let name = || format!("could not rewrite Ardour's recording {}", path.display());
    let mut bytes = std::fs::read(path).with_context(name)?;
    let at = bytes.windows(4).position(|four| four == b"data").with_context(name)? + 8;
    let song = samples.iter().copied().chain(std::iter::repeat(0.0));
    bytes[at..]
        .chunks_exact_mut(4)
        .zip(song)
        .for_each(|(four, sample)| four.copy_from_slice(&sample.to_le_bytes()));
    std::fs::write(path, bytes).with_context(name)
}

/// How many frames the clicks in a recording are off a beat that comes every `beat_frames`, the worst of them; and how
/// many there are. A click is what comes behind a tenth of a second of silence.
pub(super) fn off_beat(recording: &Sound, beat_frames: usize) -> (usize, usize) {
    let quiet_frames = recording.rate_hz as usize / 10;
    let (mut quiet, mut clicks, mut worst) = (quiet_frames, 0, 0);
    for (at, sample) in recording.channels[0].iter().enumerate() {
        if sample.abs() < 1e-3 {
            quiet += 1;
            continue;
        }
        if quiet >= quiet_frames {
            clicks += 1;
            let over = at % beat_frames;
            worst = worst.max(over.min(beat_frames - over));
        }
        quiet = 0;
    }
    (worst, clicks)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clicks_are_held_against_the_beat() {
        let mut channel = vec![0.0; 40_000];
        for at in [0, 10_000, 20_003, 29_998] {
            channel[at..at + 50].fill(0.5);
        }
        let recording = Sound { rate_hz: 44_100, channels: vec![channel] };
        assert_eq!(off_beat(&recording, 10_000), (3, 4));
    }

    #[test]
    fn a_recording_that_is_late_or_early_is_found() {
        let mut state = 1u32;
        let mut noise = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 8) as f32 / (1 << 24) as f32 - 0.5
        };
        let song: Vec<f32> = (0..5_000).map(|_| noise()).collect();
        let sound = |samples: Vec<f32>| Sound { rate_hz: 1_000, channels: vec![samples] };
        let late = [vec![0.0; 321], song.clone()].concat();
        let found = compare(&sound(song.clone()), &sound(late)).unwrap();
        assert_eq!((found.lag, found.agreement_db), (321, f64::INFINITY));
        let early = compare(&sound(song.clone()), &sound(song[50..].to_vec())).unwrap();
        assert_eq!((early.lag, early.agreement_db), (-50, f64::INFINITY));
    }
}
