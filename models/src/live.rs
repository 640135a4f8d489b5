//! The streaming wrapper: any [`Kernel`] as a stream that takes frames in any cut and gives finished stems.
//!
//! Offline separation is the same stream with a large hop, so there is one way through a model, not two. Nothing is
//! run here: a stream is fed, says whether it needs an inference, is completed with it, and gives what is finished.

use std::time::Duration;

use rehearsekit_audio::overlap_add::OverlapAdd;

use crate::families::{Kernel, Prepared, reflect};

/// Frames at the end of a run that are mirrored behind it when it is finished.
const TAIL_FRAMES: usize = 16_384;

/// One stream at the model's rate. Channels of the output are 2·(wanted stems): left, right per stem.
pub struct Live {
    kernel: Box<dyn Kernel>,
    channels: usize,
    /// Frames that wait for their hop, behind `taken` ones that had it.
    pending: [Vec<f32>; 2],
    taken: usize,
    tail: [Vec<f32>; 2],
    pushed: u64,
    hops: u64,
    sum: OverlapAdd,
    /// Frames before this one are incomplete, because an inference was skipped.
    whole_from: u64,
    inference: Duration,
}

impl Live {
    /// A stream through `kernel`, which gives `wanted` stems.
    pub fn new(kernel: Box<dyn Kernel>, wanted: usize) -> Self {
        let channels = 2 * wanted;
        let mut live = Self {
            kernel,
            channels,
            pending: Default::default(),
            taken: 0,
            tail: Default::default(),
            pushed: 0,
            hops: 0,
            sum: OverlapAdd::new(channels, 0),
            whole_from: 0,
            inference: Duration::ZERO,
        };
        live.start();
        live
    }

    /// Starts over: the next frame is frame 0 of a new run.
    pub fn start(&mut self) {
        self.kernel.start();
        self.pending.iter_mut().chain(&mut self.tail).for_each(Vec::clear);
        (self.taken, self.pushed, self.hops, self.whole_from) = (0, 0, 0, 0);
        self.sum = OverlapAdd::new(self.channels, 0);
    }

    /// What comes out when, without any audio.
    pub fn shape(&self) -> LiveShape {
        LiveShape { hop_frames: self.kernel.hop_frames(), delay_frames: self.kernel.delay_frames() }
    }

    /// Frames that can still be pushed before the next inference.
    pub fn frames_until_hop(&self) -> usize {
        self.kernel.hop_frames() - (self.pending[0].len() - self.taken)
    }

    /// Time spent in inference since this was last asked.
    pub fn take_inference(&mut self) -> Duration {
        std::mem::take(&mut self.inference)
    }

    /// Hops completed since the start.
    pub fn hops(&self) -> u64 {
        self.hops
    }

    /// Takes any number of frames. [`Self::prepare`] says what they lead to.
    pub fn feed(&mut self, mix: [&[f32]; 2]) {
        self.pushed += mix[0].len() as u64;
        for ((pending, tail), new) in self.pending.iter_mut().zip(&mut self.tail).zip(mix) {
            pending.drain(..self.taken);
            pending.extend_from_slice(new);
            tail.extend_from_slice(&new[new.len().saturating_sub(TAIL_FRAMES)..]);
            // Let it grow to twice its size before it is cut: a cut moves all of it.
            if tail.len() >= 2 * TAIL_FRAMES {
                tail.drain(..tail.len() - TAIL_FRAMES);
            }
        }
        self.taken = 0;
    }

    /// After the last frame of a run: takes what the model would like to see behind the end, the mirrored tail, as
    /// far as the next hop needs it. To be repeated, each time after the hop and [`Self::take`], until
    /// [`Self::is_finished`]: whoever waits for the first of the last frames need not wait for all of them.
    pub fn feed_tail(&mut self) {
        if self.is_finished() {
            return;
        }
        let held = self.tail[0].len() as i64;
        let hop = self.kernel.hop_frames();
        let waiting = self.pending[0].len() - self.taken;
        let mirrored = (self.hops * hop as u64) as i64 + waiting as i64 - self.pushed as i64;
        for (pending, tail) in self.pending.iter_mut().zip(&self.tail) {
            pending.extend((0..(hop - waiting) as i64).map(|i| {
                // After one bounce there is nothing more to say; silence follows.
                let index = held + mirrored + i;
                if index >= 2 * held - 1 { 0.0 } else { tail[reflect(index, 0, held - 1) as usize] }
            }));
        }
    }

    /// Whether all frames up to the last one fed can be taken.
    pub fn is_finished(&self) -> bool {
        self.pushed == 0 || self.done_frames() >= self.pushed
    }

    /// Prepares the next hop whose frames are all there and which needs an inference. `false` when there is none:
    /// then all that can be finished is. `true` must be followed by [`Self::parts`], an inference, and
    /// [`Self::complete`]; or by [`Self::give_up`].
    pub fn prepare(&mut self) -> bool {
        let hop = self.kernel.hop_frames();
        while self.pending[0].len() - self.taken >= hop {
            let frames = self.taken..self.taken + hop;
            self.taken = frames.end;
            let [left, right] = &self.pending;
            if self.kernel.prepare([&left[frames.clone()], &right[frames]]) {
                return true;
            }
            self.skip();
        }
        false
    }

    /// What an inference needs of the hop that was prepared.
    pub fn parts(&mut self) -> Prepared<'_> {
        (&mut *self.kernel, &mut self.sum)
    }

    /// The hop that was prepared had its inference, which took `spent`.
    pub fn complete(&mut self, spent: Duration) {
        self.inference += spent;
        self.hops += 1;
    }

    /// The hop that was prepared needs no inference: its stems are silent, but for what other hops know of its frames.
    fn skip(&mut self) {
        self.kernel.complete(&[], &mut self.sum);
        self.hops += 1;
    }

    /// As [`Self::skip`], because there is no time for the inference: what it would have made is missing.
    pub fn give_up(&mut self) {
        self.skip();
        self.whole_from = self.done_frames() + self.kernel.tail_frames() as u64;
    }

    /// Frames before this one, since the start, lack an inference that was given up.
    pub fn whole_from(&self) -> u64 {
        self.whole_from
    }

    /// The frames of all wanted stems that are now finished (maybe none).
    pub fn take(&mut self) -> Vec<Vec<f32>> {
        let end = self.done_frames().min(self.pushed);
        self.sum.take_until(end)
    }

    fn done_frames(&self) -> u64 {
        let shape = self.shape();
        shape.given(self.hops * shape.hop_frames as u64)
    }
}

/// The counts of a stream: what is finished after how many frames.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LiveShape {
    /// New frames per inference.
    pub hop_frames: usize,
    /// How far the output stays behind right after a hop.
    pub delay_frames: usize,
}

impl LiveShape {
    /// Frames finished once `pushed` have come in.
    pub fn given(&self, pushed: u64) -> u64 {
        let hop = self.hop_frames as u64;
        (pushed / hop * hop).saturating_sub(self.delay_frames as u64)
    }
}
