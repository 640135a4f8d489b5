//! The streaming wrapper: any [`Kernel`] as a stream that takes frames in any cut and gives finished stems.
//!
//! Offline separation is the same stream with a large hop, so there is one way through a model, not two.

use std::time::Duration;

use rehearsekit_audio::overlap_add::OverlapAdd;

use crate::{
    families::{Kernel, reflect},
    runtime::RuntimeError,
};

/// Frames at the end of a run that are mirrored behind it when it is finished.
const TAIL_FRAMES: usize = 16_384;

/// One stream at the model's rate. Channels of the output are 2·(wanted stems): left, right per stem.
pub struct Live {
    kernel: Box<dyn Kernel>,
    channels: usize,
    pending: [Vec<f32>; 2],
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
        self.pushed = 0;
        self.hops = 0;
        self.whole_from = 0;
        self.sum = OverlapAdd::new(self.channels, 0);
    }

    /// What comes out when, without any audio.
    pub fn shape(&self) -> LiveShape {
        LiveShape { hop_frames: self.kernel.hop_frames(), delay_frames: self.kernel.delay_frames() }
    }

    /// Frames that can still be pushed before the next inference.
    pub fn frames_until_hop(&self) -> usize {
        self.kernel.hop_frames() - self.pending[0].len()
    }

    /// Time spent in inference since this was last asked.
    pub fn take_inference(&mut self) -> Duration {
        std::mem::take(&mut self.inference)
    }

    /// Takes any number of frames; gives the frames of all wanted stems that are now finished (maybe none).
    pub fn push(&mut self, mix: [&[f32]; 2]) -> Result<Vec<Vec<f32>>, RuntimeError> {
        self.hear(mix);
        self.run_hops()?;
        let end = self.shape().given(self.pushed);
        Ok(self.sum.take_until(end))
    }

    /// As [`Self::push`] without any inference: what it gives, and some frames after it, is incomplete; see
    /// [`Self::whole_from`].
    pub fn skip(&mut self, mix: [&[f32]; 2]) -> Vec<Vec<f32>> {
        self.hear(mix);
        let hop = self.kernel.hop_frames();
        let due = self.pending[0].len() / hop * hop;
        for at in (0..due).step_by(hop) {
            let [left, right] = &self.pending;
            self.kernel.skip([&left[at..at + hop], &right[at..at + hop]]);
            self.hops += 1;
        }
        self.pending.iter_mut().for_each(|p| drop(p.drain(..due)));
        let end = self.shape().given(self.pushed);
        if due > 0 {
            self.whole_from = end + self.kernel.tail_frames() as u64;
        }
        self.sum.take_until(end)
    }

    /// Frames before this one, since the start, are incomplete.
    pub fn whole_from(&self) -> u64 {
        self.whole_from
    }

    fn hear(&mut self, mix: [&[f32]; 2]) {
        self.pushed += mix[0].len() as u64;
        for ((pending, tail), new) in self.pending.iter_mut().zip(&mut self.tail).zip(mix) {
            pending.extend_from_slice(new);
            tail.extend_from_slice(&new[new.len().saturating_sub(TAIL_FRAMES)..]);
            // Let it grow to twice its size before it is cut: a cut moves all of it.
            if tail.len() >= 2 * TAIL_FRAMES {
                tail.drain(..tail.len() - TAIL_FRAMES);
            }
        }
    }

    /// Ends the run: gives all frames up to the last one pushed. What the model would like to see behind the
    /// end is the mirrored tail.
    pub fn finish(&mut self) -> Result<Vec<Vec<f32>>, RuntimeError> {
        let mut all = vec![Vec::new(); self.channels];
        loop {
            let (channels, done) = self.finish_some()?;
            all.iter_mut().zip(channels).for_each(|(all, some)| all.extend(some));
            if done {
                return Ok(all);
            }
        }
    }

    /// As [`Self::finish`], one inference at a time: what it has finished, and whether that was all. Whoever waits
    /// for the first of these frames need not wait for the last.
    pub fn finish_some(&mut self) -> Result<(Vec<Vec<f32>>, bool), RuntimeError> {
        let (end, shape) = (self.pushed, self.shape());
        let hop = shape.hop_frames as u64;
        let held = self.tail[0].len() as i64;
        if shape.given(self.hops * hop) < end && held > 0 {
            let mirrored = (self.hops * hop) as i64 + self.pending[0].len() as i64 - end as i64;
            for (pending, tail) in self.pending.iter_mut().zip(&self.tail) {
                let missing = shape.hop_frames - pending.len();
                pending.extend((0..missing as i64).map(|i| {
                    // After one bounce there is nothing more to say; silence follows.
                    let index = held + mirrored + i;
                    if index >= 2 * held - 1 { 0.0 } else { tail[reflect(index, 0, held - 1) as usize] }
                }));
            }
            self.run_hops()?;
        }
        let given = shape.given(self.hops * hop);
        let done = given >= end || held == 0;
        Ok((self.sum.take_until(if done { end } else { given }), done))
    }

    fn run_hops(&mut self) -> Result<(), RuntimeError> {
        let hop = self.kernel.hop_frames();
        let mut taken = 0;
        while self.pending[0].len() - taken >= hop {
            let [left, right] = &self.pending;
            let mix = [&left[taken..taken + hop], &right[taken..taken + hop]];
            self.inference += self.kernel.hop(mix, &mut self.sum)?;
            self.hops += 1;
            taken += hop;
        }
        self.pending.iter_mut().for_each(|p| drop(p.drain(..taken)));
        Ok(())
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
