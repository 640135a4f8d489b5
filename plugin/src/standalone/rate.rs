//! From the song's rate to the sound card's, piece by piece, with no delay and to the song's full length.

use rubato::audioadapter_buffers::direct::SequentialSliceOfVecs;
use rubato::{Fft, FixedSync, Resampler as _};

/// Frames at once, about; a filter as short as that is still sharp.
const PIECE_FRAMES: usize = 1_024;

/// Takes what was made, left and right.
pub(super) type Give<'g> = dyn FnMut([&[f32]; 2]) -> Result<(), String> + 'g;

/// Two channels on their way to another rate.
pub(super) struct Rate {
    fft: Fft<f32>,
    from_hz: u64,
    to_hz: u64,
    /// What does not fill a piece yet.
    waiting: [Vec<f32>; 2],
    /// Frames that came in, and that went out.
    heard: u64,
    given: u64,
    /// Of the filter's delay: frames that are not given.
    dropped: usize,
}

impl Rate {
    /// `None` where both rates are the same.
    ///
    /// # Errors
    /// A sentence where they cannot be joined.
    pub(super) fn new(from_hz: u32, to_hz: u32) -> Result<Option<Self>, String> {
        if from_hz == to_hz {
            return Ok(None);
        }
        let (from, to) = (from_hz as usize, to_hz as usize);
        // An even number of the smallest pieces: the filter's delay is then a whole number of frames.
        let unit = from / gcd(from, to).max(1);
        let piece = unit * PIECE_FRAMES.div_ceil(unit.max(1)).next_multiple_of(2);
        let fft = Fft::new(from, to, piece, 2, FixedSync::Both)
            .map_err(|error| format!("a song of {from_hz} Hz cannot be played at {to_hz} Hz: {error}"))?;
        let dropped = fft.output_delay();
        Ok(Some(Self {
            fft,
            from_hz: from_hz.into(),
            to_hz: to_hz.into(),
            waiting: [Vec::new(), Vec::new()],
            heard: 0,
            given: 0,
            dropped,
        }))
    }

    /// Takes frames in and hands over what they make.
    ///
    /// # Errors
    /// Whatever `give` says.
    pub(super) fn push(&mut self, channels: [&[f32]; 2], give: &mut Give<'_>) -> Result<(), String> {
        self.heard += channels[0].len() as u64;
        self.waiting.iter_mut().zip(channels).for_each(|(waiting, new)| waiting.extend_from_slice(new));
        self.work(give, u64::MAX)
    }

    /// Hands over the rest.
    ///
    /// # Errors
    /// Whatever `give` says.
    pub(super) fn finish(mut self, give: &mut Give<'_>) -> Result<(), String> {
        let all = (self.heard * self.to_hz).div_ceil(self.from_hz);
        while self.given < all {
            let piece = self.fft.input_frames_next();
            self.waiting.iter_mut().for_each(|waiting| waiting.resize(waiting.len() + piece, 0.0));
            self.work(give, all)?;
        }
        Ok(())
    }

    fn work(&mut self, give: &mut Give<'_>, all: u64) -> Result<(), String> {
        let failed = |error: &dyn std::fmt::Display| format!("the song's rate could not be changed: {error}");
        loop {
            let piece = self.fft.input_frames_next();
            if self.waiting[0].len() < piece {
                return Ok(());
            }
            let room = self.fft.output_frames_next();
            let mut out = vec![vec![0.0; room]; 2];
            let source =
                SequentialSliceOfVecs::new(&self.waiting, 2, piece).map_err(|error| failed(&error))?;
            let mut sink =
                SequentialSliceOfVecs::new_mut(&mut out, 2, room).map_err(|error| failed(&error))?;
            let (_, made) =
                self.fft.process_into_buffer(&source, &mut sink, None).map_err(|error| failed(&error))?;
            self.waiting.iter_mut().for_each(|waiting| drop(waiting.drain(..piece)));
            let skipped = self.dropped.min(made);
            self.dropped -= skipped;
            let left = usize::try_from(all - self.given).unwrap_or(usize::MAX);
            let count = (made - skipped).min(left);
            self.given += count as u64;
            give([0, 1].map(|channel: usize| &out[channel][skipped..skipped + count]))?;
        }
    }
}

fn gcd(a: usize, b: usize) -> usize {
    if b == 0 { a } else { gcd(b, a % b) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// All of a sound at another rate, given in pieces of `piece` frames.
    fn all(from_hz: u32, to_hz: u32, sound: &[f32], piece: usize) -> Vec<f32> {
        let mut rate = Rate::new(from_hz, to_hz).unwrap().unwrap();
        let mut out = Vec::new();
        let mut give = |channels: [&[f32]; 2]| {
            assert_eq!(channels[0], channels[1]);
            out.extend_from_slice(channels[0]);
            Ok(())
        };
        for part in sound.chunks(piece) {
            rate.push([part, part], &mut give).unwrap();
        }
        rate.finish(&mut give).unwrap();
        out
    }

    #[test]
    fn another_rate_changes_the_length_and_not_the_sound() {
        for (from_hz, to_hz) in
            [(44_100, 48_000), (48_000, 44_100), (22_050, 44_100), (8_000, 96_000), (11_025, 48_000)]
        {
            let tone = |rate_hz: u32, frames: usize| -> Vec<f32> {
                (0..frames)
                    .map(|at| (at as f32 / rate_hz as f32 * 440.0 * std::f32::consts::TAU).sin())
                    .collect()
            };
            let sound = tone(from_hz, from_hz as usize + 7);
            let there = all(from_hz, to_hz, &sound, 777);
            let frames = (sound.len() as u64 * u64::from(to_hz)).div_ceil(u64::from(from_hz));
            assert_eq!(there.len() as u64, frames, "{from_hz} to {to_hz}");
            let expected = tone(to_hz, there.len());
            let middle = there.len() / 4..there.len() * 3 / 4;
            let worst = there[middle.clone()].iter().zip(&expected[middle]).map(|(a, b)| (a - b).abs());
            let worst = worst.fold(0.0_f32, f32::max);
            assert!(worst < 2e-3, "{from_hz} to {to_hz}: {worst}");
            assert_eq!(all(from_hz, to_hz, &sound, 100_000), there, "however it is cut");
        }
    }

    #[test]
    fn the_same_rate_needs_nothing_and_silence_has_a_length() {
        assert!(Rate::new(48_000, 48_000).unwrap().is_none());
        assert_eq!(all(44_100, 48_000, &[], 10).len(), 0);
        assert_eq!(all(44_100, 48_000, &[0.0; 3], 10).len(), 4);
    }
}
