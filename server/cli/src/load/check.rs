//! Whether what was played is what should have been: checked on the audio thread, by arithmetic alone.
//!
//! The song is taken from the feed and not from the playout, so a playout that shifts it is found out. The closed sum
//! says nothing of the stems that travelled; so each second of them is held against the song, too.

use std::sync::Arc;

use rehearsekit_playout::PlayoutCounters;
use serde::Serialize;

use crate::client::{
    audio_thread::{Played, Sink},
    feed::Feed,
};

/// The most a sum may differ, where no stem is louder than full scale: the last bit of an f32 there, eight times.
const TOLERANCE: f64 = 1e-6;
/// A quieter second of the song says nothing of its stems: -50 dBFS.
const SOUNDS: f64 = 1e-5;
/// Quieter beside the song than -30 dB, stems are not asked whose they are.
const SPEAKS: f64 = 1e-3;
/// A stem is a part of the song: the inner product of both is about the stem's own energy. Another song's is about
/// nothing, as is a stem's that lies at the wrong place.
const BELONGS: f64 = 0.1;

/// What was found.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub(super) struct Verdict {
    /// The most that the stems' sum and the main mix differed from the aligned song, at full scale 1.
    pub(super) sum_error: f64,
    /// Frames in which that was more than rounding.
    pub(super) wrong_frames: u64,
    /// Samples that are no numbers.
    pub(super) not_finite: u64,
    /// Seconds in which the song sounded and nothing was bridged, so that the stems could be judged.
    pub(super) judged_seconds: u64,
    /// Those of them in which the stems that travel were digital silence.
    pub(super) silent_seconds: u64,
    /// Those in which they were no part of the song.
    pub(super) foreign_seconds: u64,
    /// Seconds in which something was bridged, and which are not judged for it.
    pub(super) bridged_seconds: u64,
}

impl Verdict {
    /// Whether everything was as it should be; bridging is no fault here, misses are counted elsewhere.
    pub(super) fn is_right(&self) -> bool {
        self.wrong_frames + self.not_finite + self.silent_seconds + self.foreign_seconds == 0
    }
}

/// The sink of a client of `load`.
pub(super) struct Checker {
    feed: Feed,
    /// Which stem closes the sum, and did not travel.
    closing: usize,
    counters: Arc<PlayoutCounters>,
    bridged_before: u64,
    song: [Vec<f32>; 2],
    second: Second,
    pub(super) verdict: Verdict,
}

/// What is summed up over a second.
#[derive(Default)]
struct Second {
    frames: u64,
    song: f64,
    stems: f64,
    both: f64,
    bridged: bool,
}

impl Checker {
    /// For blocks of `block_frames` at most; `counters` are those of the playout.
    pub(super) fn new(
        feed: Feed,
        closing: usize,
        block_frames: usize,
        counters: Arc<PlayoutCounters>,
    ) -> Self {
        let song = [vec![0.0; block_frames], vec![0.0; block_frames]];
        let verdict = Verdict::default();
        Self { feed, closing, counters, bridged_before: 0, song, second: Second::default(), verdict }
    }

    fn frame(&mut self, lanes: &[Vec<f32>], at: usize, song: [f32; 2]) {
        let mut error: f64 = 0.0;
        let mut loudest: f64 = 1.0;
        for (channel, song) in song.map(f64::from).into_iter().enumerate() {
            let (mut sum, mut travelling) = (0.0, 0.0);
            let stems = lanes.len() / 2 - 1;
            for stem in 0..stems {
                let sample = f64::from(lanes[2 * stem + channel][at]);
                self.verdict.not_finite += u64::from(!sample.is_finite());
                loudest = loudest.max(sample.abs());
                sum += sample;
                travelling += if stem == self.closing { 0.0 } else { sample };
            }
            let main = f64::from(lanes[2 * stems + channel][at]);
            self.verdict.not_finite += u64::from(!main.is_finite());
            error = error.max((sum - song).abs()).max((main - song).abs());
            self.second.song += song * song;
            self.second.stems += travelling * travelling;
            self.second.both += travelling * song;
        }
        self.verdict.sum_error = self.verdict.sum_error.max(error);
        self.verdict.wrong_frames += u64::from(error > TOLERANCE * loudest);
        self.second.frames += 1;
        if self.second.frames == u64::from(self.feed.rate().hz()) {
            let second = std::mem::take(&mut self.second);
            self.judge(&second);
        }
    }

    fn judge(&mut self, Second { frames, song, stems, both, bridged }: &Second) {
        let verdict = &mut self.verdict;
        if *bridged {
            verdict.bridged_seconds += 1;
        } else if *song > SOUNDS * 2.0 * *frames as f64 {
            verdict.judged_seconds += 1;
            verdict.silent_seconds += u64::from(*stems == 0.0);
            verdict.foreign_seconds += u64::from(*stems > SPEAKS * *song && *both < BELONGS * *stems);
        }
    }
}

impl Sink for Checker {
    fn has_room(&self, _: usize) -> bool {
        true
    }

    fn take(&mut self, Played { first_frame, lanes, range }: Played<'_>) -> bool {
        let bridged = self.counters.read().bridged_frames;
        self.second.bridged |= bridged > self.bridged_before;
        self.bridged_before = bridged;
        let frames = range.len();
        let mut song = std::mem::take(&mut self.song);
        let [left, right] = &mut song;
        self.feed.fill(first_frame, &mut left[..frames], &mut right[..frames]);
        for (frame, at) in range.enumerate() {
            self.frame(lanes, at, [song[0][frame], song[1][frame]]);
        }
        self.song = song;
        true
    }
}

#[cfg(test)]
mod tests {
    use rehearsekit_audio::{Audio, SampleRate};

    use super::*;

    const HZ: u32 = 8_000;

    fn tone(hz: f64) -> Vec<f32> {
        let at = |frame: u32| (f64::from(frame) * hz * std::f64::consts::TAU / f64::from(HZ)).sin();
        (0..HZ).map(|frame| (0.5 * at(frame)) as f32).collect()
    }

    /// The verdict on a second of a song of two tones, played as `made` makes vocals, accompaniment and mix of it.
    fn verdict(made: impl Fn(&mut [Vec<f32>], &[f32], &[f32])) -> Verdict {
        let (voice, rest) = (tone(300.0), tone(500.0));
        let song: Vec<f32> = voice.iter().zip(&rest).map(|(v, r)| v + r).collect();
        let rate = SampleRate::new(HZ).unwrap();
        let feed = Feed::new(Audio::new(rate, vec![song.clone()]).unwrap(), rate, Some(1.0), true).unwrap();
        let mut lanes = [&voice, &voice, &rest, &rest, &song, &song].map(|lane| lane.to_vec());
        made(&mut lanes, &voice, &song);
        let mut checker = Checker::new(feed, 1, HZ as usize, Arc::default());
        assert!(checker.take(Played { first_frame: 0, lanes: &lanes, range: 0..HZ as usize }));
        checker.verdict
    }

    #[test]
    fn stems_that_are_right_are_right() {
        let right = verdict(|_, _, _| {});
        assert!(right.is_right() && right.sum_error < 1e-7, "{right:?}");
        assert_eq!((right.judged_seconds, right.bridged_seconds), (1, 0));
    }

    #[test]
    fn each_fault_is_found_and_called_by_its_name() {
        let sum = verdict(|lanes, _, _| lanes[0][77] += 1e-4);
        assert_eq!((sum.wrong_frames, sum.is_right()), (1, false));
        let main = verdict(|lanes, _, _| lanes[5][77] += 1e-4);
        assert_eq!((main.wrong_frames, main.is_right()), (1, false));
        let nan = verdict(|lanes, _, _| lanes[2][5] = f32::NAN);
        assert_eq!((nan.not_finite, nan.is_right()), (1, false));
        // The sum is closed in what follows, and yet:
        let close = |lanes: &mut [Vec<f32>], song: &[f32], stem: &[f32]| {
            for channel in 0..2 {
                lanes[channel] = stem.to_vec();
                lanes[2 + channel] = song.iter().zip(stem).map(|(s, v)| s - v).collect();
            }
        };
        let silent = verdict(|lanes, _, song| close(lanes, song, &vec![0.0; HZ as usize]));
        assert_eq!((silent.silent_seconds, silent.wrong_frames), (1, 0));
        let foreign = verdict(|lanes, _, song| close(lanes, song, &tone(410.0)));
        assert_eq!((foreign.foreign_seconds, foreign.wrong_frames), (1, 0));
        let late = verdict(|lanes, voice, song| {
            // A quarter of a period of the voice, and more than that.
            let late: Vec<f32> = voice.iter().cycle().skip(20).take(voice.len()).copied().collect();
            close(lanes, song, &late);
        });
        assert_eq!((late.foreign_seconds, late.wrong_frames), (1, 0));
    }
}
