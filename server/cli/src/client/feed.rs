//! The song as a host plays it: any position, in stereo, at the host's rate, maybe in a loop, silence after.

use std::sync::Arc;

use rehearsekit_audio::{Audio, SampleRate};
use rehearsekit_models::resample::Resampler;

use crate::failure::Failure;

/// Frames per step of the offline resampling; its delay is removed, so only speed depends on it.
const RESAMPLE_FRAMES: usize = 4_096;

/// What comes out of the imagined DAW. Clones share the song.
#[derive(Clone)]
pub(crate) struct Feed {
    rate: SampleRate,
    song: Arc<[Vec<f32>; 2]>,
    frames: u64,
    start: u64,
}

impl Feed {
    /// `song` at `rate`, for `frames` frames (`None`: once, to its end). Longer than the song means a loop.
    pub(crate) fn new(
        song: Audio,
        rate: SampleRate,
        seconds: Option<f64>,
        looped: bool,
    ) -> Result<Self, Failure> {
        let song = at_rate(song, rate)?;
        let length = song[0].len() as u64;
        let wanted = seconds.map_or(u64::MAX, |s| (s * f64::from(rate.hz())).round() as u64);
        let frames = if looped { wanted } else { wanted.min(length) };
        if frames == 0 {
            return Err(Failure::usage("nothing of the song is left to stream; give a larger --seconds"));
        }
        Ok(Self { rate, song: Arc::new(song), frames, start: 0 })
    }

    /// The same, beginning with the song's frame after this `part` of it, 0 to 1.
    pub(crate) fn begin_at(self, part: f64) -> Self {
        let start = (self.song[0].len() as f64 * part) as u64;
        Self { start, ..self }
    }

    /// Frames per second.
    pub(crate) fn rate(&self) -> SampleRate {
        self.rate
    }

    /// Frames of music, loops included.
    pub(crate) fn frames(&self) -> u64 {
        self.frames
    }

    /// Fills both channels with what plays from `position` on.
    pub(crate) fn fill(&self, position: u64, left: &mut [f32], right: &mut [f32]) {
        let length = self.song[0].len() as u64;
        for (frame, (l, r)) in left.iter_mut().zip(right.iter_mut()).enumerate() {
            let at = position + frame as u64;
            let index = ((self.start + at) % length) as usize;
            (*l, *r) = if at < self.frames { (self.song[0][index], self.song[1][index]) } else { (0.0, 0.0) };
        }
    }
}

fn at_rate(song: Audio, rate: SampleRate) -> Result<[Vec<f32>; 2], Failure> {
    let from = song.rate();
    let stereo = song.stereo();
    if from == rate {
        return Ok(stereo.map(<[f32]>::to_vec));
    }
    let mut resampler = Resampler::new(from, rate, 2, RESAMPLE_FRAMES).map_err(Failure::usage)?;
    let frames = (song.frames() as u64 * u64::from(rate.hz())).div_ceil(u64::from(from.hz())) as usize;
    let mut out = resampler.push(&stereo);
    // Silence pushes out what the filter still holds.
    let silence = vec![0.0f32; resampler.blocks().input_frames];
    while out[0].len() < frames {
        for (out, more) in out.iter_mut().zip(resampler.push(&[&silence, &silence])) {
            out.extend(more);
        }
    }
    out.iter_mut().for_each(|c| c.truncate(frames));
    let mut channels = out.into_iter();
    Ok([(); 2].map(|()| channels.next().unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_loop_begins_again_and_silence_follows_the_end() {
        let song = Audio::new(SampleRate::HZ_44100, vec![vec![1.0, 2.0, 3.0]]).unwrap();
        let feed = Feed::new(song, SampleRate::HZ_44100, Some(7.0 / 44_100.0), true).unwrap();
        assert_eq!(feed.frames(), 7);
        let (mut left, mut right) = ([9.0; 5], [9.0; 5]);
        feed.fill(4, &mut left, &mut right);
        assert_eq!(left, [2.0, 3.0, 1.0, 0.0, 0.0]);
        assert_eq!(left, right);
        feed.begin_at(0.4).fill(0, &mut left, &mut right);
        assert_eq!(left, [2.0, 3.0, 1.0, 2.0, 3.0]);
    }

    #[test]
    fn another_rate_keeps_the_time() {
        let sine = |hz: f64, frames: usize| {
            (0..frames)
                .map(|f| (f as f64 * 1_000.0 * std::f64::consts::TAU / hz).sin() as f32)
                .collect::<Vec<_>>()
        };
        let song = Audio::new(SampleRate::HZ_44100, vec![sine(44_100.0, 44_100)]).unwrap();
        let feed = Feed::new(song, SampleRate::HZ_48000, None, false).unwrap();
        assert_eq!(feed.frames(), 48_000);
        let (mut left, mut right) = (vec![0.0; 40_000], vec![0.0; 40_000]);
        feed.fill(4_000, &mut left, &mut right);
        for (got, want) in left.iter().zip(&sine(48_000.0, 44_000)[4_000..]) {
            assert!((got - want).abs() < 1e-3);
        }
    }
}
