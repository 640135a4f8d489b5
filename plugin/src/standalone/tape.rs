//! A song at the rate it is played at, read by one thread while another plays it. The player never waits: what is not
//! read yet is not there. Must not know where a song comes from, nor what is played of it.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};

/// Frames in a block: over a second at any rate of a sound card.
const BLOCK_FRAMES: usize = 1 << 16;
/// A longer file is no song: two hours.
const MOST_SECONDS: u64 = 2 * 3_600;
/// While the length is not known.
const UNKNOWN: i64 = -1;

/// Left and right.
type Block = [Box<[f32]>; 2];

/// See the module's words.
#[derive(Debug)]
pub(super) struct Tape {
    rate_hz: u32,
    blocks: Box<[OnceLock<Block>]>,
    ready: AtomicI64,
    length: AtomicI64,
    /// Nobody wants to hear any more of it.
    abandoned: AtomicBool,
}

/// The reading thread's end of a tape.
#[derive(Debug)]
pub(super) struct Recorder<'t> {
    tape: &'t Tape,
    /// The block that is not full yet.
    open: [Vec<f32>; 2],
    full: usize,
}

impl Tape {
    /// Nothing is on it.
    pub(super) fn new(rate_hz: u32) -> Self {
        let most = (MOST_SECONDS * u64::from(rate_hz)).div_ceil(BLOCK_FRAMES as u64);
        Self {
            rate_hz,
            blocks: (0..most).map(|_| OnceLock::new()).collect(),
            ready: AtomicI64::new(0),
            length: AtomicI64::new(UNKNOWN),
            abandoned: AtomicBool::new(false),
        }
    }

    /// Frames per second.
    pub(super) fn rate_hz(&self) -> u32 {
        self.rate_hz
    }

    /// Frames that can be played.
    pub(super) fn ready(&self) -> i64 {
        self.ready.load(Ordering::Acquire)
    }

    /// All frames, once they are known.
    pub(super) fn length(&self) -> Option<i64> {
        Some(self.length.load(Ordering::Acquire)).filter(|length| *length != UNKNOWN)
    }

    /// Nothing more needs to be read.
    pub(super) fn abandon(&self) {
        self.abandoned.store(true, Ordering::Relaxed);
    }

    /// Whether reading on is of no use.
    pub(super) fn is_abandoned(&self) -> bool {
        self.abandoned.load(Ordering::Relaxed)
    }

    /// Copies the frames from `at` on; silence where there are none. Real-time safe.
    pub(super) fn play(&self, at: i64, left: &mut [f32], right: &mut [f32]) {
        let mut done = 0;
        let frames = left.len().min(right.len());
        while done < frames {
            let here = usize::try_from(at).unwrap_or(usize::MAX).saturating_add(done);
            let (block, offset) = (here / BLOCK_FRAMES, here % BLOCK_FRAMES);
            let count = (BLOCK_FRAMES - offset).min(frames - done);
            let channels = self.blocks.get(block).and_then(OnceLock::get);
            for (side, out) in [&mut *left, &mut *right].into_iter().enumerate() {
                let out = &mut out[done..done + count];
                let there = channels.and_then(|channels| channels[side].get(offset..)).unwrap_or_default();
                let known = there.len().min(count);
                out[..known].copy_from_slice(&there[..known]);
                out[known..].fill(0.0);
            }
            done += count;
        }
    }
}

impl<'t> Recorder<'t> {
    /// One thread only records, and only once.
    pub(super) fn new(tape: &'t Tape) -> Self {
        Self { tape, open: [Vec::new(), Vec::new()], full: 0 }
    }

    /// Puts frames behind what is there.
    ///
    /// # Errors
    /// A sentence when the tape is full.
    pub(super) fn write(&mut self, [left, right]: [&[f32]; 2]) -> Result<(), String> {
        let frames = left.len().min(right.len());
        let mut done = 0;
        while done < frames {
            let count = (BLOCK_FRAMES - self.open[0].len()).min(frames - done);
            for (open, new) in self.open.iter_mut().zip([left, right]) {
                open.reserve_exact(BLOCK_FRAMES - open.len());
                open.extend_from_slice(&new[done..done + count]);
            }
            done += count;
            if self.open[0].len() == BLOCK_FRAMES {
                self.publish()?;
            }
        }
        Ok(())
    }

    /// That was all.
    ///
    /// # Errors
    /// As [`Self::write`].
    pub(super) fn finish(mut self) -> Result<(), String> {
        if !self.open[0].is_empty() {
            self.publish()?;
        }
        self.tape.length.store(self.tape.ready(), Ordering::Release);
        Ok(())
    }

    fn publish(&mut self) -> Result<(), String> {
        let frames = self.open[0].len() as i64;
        let block = self.open.each_mut().map(|open| std::mem::take(open).into_boxed_slice());
        let place = self.tape.blocks.get(self.full).ok_or("it is longer than two hours")?;
        if place.set(block).is_err() {
            return Err("it was recorded twice; that is a fault of the program".to_owned());
        }
        self.full += 1;
        self.tape.ready.fetch_add(frames, Ordering::Release);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ramp(frames: usize) -> Vec<f32> {
        (0..frames).map(|at| at as f32).collect()
    }

    #[test]
    fn what_is_recorded_is_played_to_the_frame_across_blocks() {
        let tape = Tape::new(8_000);
        let frames = 2 * BLOCK_FRAMES + 100;
        let (left, right) =
            (ramp(frames), ramp(frames).into_iter().map(|sample| -sample).collect::<Vec<_>>());
        let mut recorder = Recorder::new(&tape);
        for (left, right) in left.chunks(999).zip(right.chunks(999)) {
            recorder.write([left, right]).unwrap();
        }
        assert_eq!(
            (tape.ready(), tape.length()),
            (2 * BLOCK_FRAMES as i64, None),
            "a block is there once it is full"
        );
        recorder.finish().unwrap();
        assert_eq!((tape.ready(), tape.length()), (frames as i64, Some(frames as i64)));
        let mut out = [vec![7.0; 300], vec![7.0; 300]];
        for at in [0, 1, BLOCK_FRAMES - 100, 2 * BLOCK_FRAMES - 299] {
            let [left, right] = &mut out;
            tape.play(at as i64, left, right);
            let expected: Vec<f32> = (at..at + 300).map(|at| at as f32).collect();
            assert_eq!(*left, expected);
            assert!(right.iter().zip(&expected).all(|(right, left)| *right == -left));
        }
        let [left, right] = &mut out;
        tape.play(frames as i64 - 10, left, right);
        assert_eq!((left[9], left[10], right[299]), (frames as f32 - 1.0, 0.0, 0.0));
        for nowhere in [-5, i64::MIN, i64::MAX] {
            tape.play(nowhere, left, right);
            assert!(left.iter().chain(&*right).all(|sample| *sample == 0.0));
        }
    }

    #[test]
    fn more_than_two_hours_are_refused_in_a_sentence() {
        let tape = Tape { blocks: (0..1).map(|_| OnceLock::new()).collect(), ..Tape::new(1) };
        let mut recorder = Recorder::new(&tape);
        let much = ramp(BLOCK_FRAMES);
        recorder.write([&much, &much]).unwrap();
        assert!(recorder.write([&much, &much]).unwrap_err().contains("two hours"));
        assert_eq!(tape.ready(), BLOCK_FRAMES as i64, "what was read can be played");
    }

    #[test]
    fn an_empty_song_has_a_length() {
        let tape = Tape::new(8_000);
        Recorder::new(&tape).finish().unwrap();
        assert_eq!((tape.ready(), tape.length()), (0, Some(0)));
    }
}
