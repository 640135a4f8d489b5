//! One session's way through a model at the wire's rate: resample in, separate, resample out.
//!
//! Output covers every frame of every epoch exactly once, in order. The stems that travel are all but the one
//! that closes the sum; closing it is the receiver's business.

use std::time::Duration;

use rehearsekit_audio::SampleRate;

use crate::{
    live::{Live, LiveShape},
    resample::{Blocks, ResampleError, Resampler},
    runtime::RuntimeError,
};

/// Least frames that the resamplers work on at a time: 6 ms, a cut-off above 21 kHz.
const RESAMPLE_FRAMES: usize = 256;

/// Why a stream stopped.
#[derive(Debug, thiserror::Error)]
pub enum PipelineError {
    /// The model failed.
    #[error(transparent)]
    Inference(#[from] RuntimeError),
    /// The rates cannot be joined.
    #[error(transparent)]
    Resample(#[from] ResampleError),
}

/// Finished frames of the stems that travel.
#[derive(Debug, Clone, PartialEq)]
pub struct StemChunk {
    /// Position of the first frame.
    pub first_frame: u64,
    /// `[2·stem + channel][frame]`, stems in travelling order.
    pub channels: Vec<Vec<f32>>,
    /// Time spent in inference for it.
    pub inference: Duration,
}

impl StemChunk {
    /// Length in frames.
    pub fn frames(&self) -> usize {
        self.channels.first().map_or(0, Vec::len)
    }
}

/// What comes out when, at the wire's rate, without any audio: the exact latency follows from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PipelineShape {
    live: LiveShape,
    blocks: Option<(Blocks, Blocks)>,
}

impl PipelineShape {
    /// The shape of a model stream at `model_rate` seen from `rate`.
    pub fn new(live: LiveShape, rate: SampleRate, model_rate: SampleRate) -> Self {
        let blocks = (rate != model_rate).then(|| {
            let back = Blocks::between(model_rate, rate, RESAMPLE_FRAMES);
            (Blocks::between(rate, model_rate, RESAMPLE_FRAMES), back)
        });
        Self { live, blocks }
    }

    /// Frames finished once `pushed` have come in.
    pub fn given(&self, pushed: u64) -> u64 {
        match &self.blocks {
            None => self.live.given(pushed),
            Some((to_model, back)) => back.given(self.live.given(to_model.given(pushed))),
        }
    }

    /// The largest number of frames that must have been pushed beyond frame i before frame i is given, when
    /// frames come in packets of `packet_frames`. Found by counting through one whole pattern.
    pub fn algorithmic_frames(&self, packet_frames: usize) -> u64 {
        let packet = packet_frames as u64;
        let hop = self.live.hop_frames as u64;
        // Hops, blocks and packets fall the same way again after as many frames as bring all of their
        // boundaries together.
        let pattern = self.blocks.map_or(hop, |(to_model, back)| {
            let apart = |block: usize| block as u64 / gcd(hop, block as u64);
            let hops = lcm(apart(to_model.output_frames), apart(back.input_frames));
            hops * hop / to_model.output_frames as u64 * to_model.input_frames as u64
        });
        let at_wire = |frames: u64| {
            self.blocks
                .map_or(frames, |(b, _)| frames.div_ceil(b.output_frames as u64) * b.input_frames as u64)
        };
        // The beginning, where nothing comes out yet, is not part of the pattern.
        let end = lcm(pattern, packet) + at_wire(2 * self.live.delay_frames as u64 + 2 * hop) + 4 * packet;
        let (mut worst, mut given, mut pushed) = (0, 0, 0);
        while pushed < end {
            pushed += packet;
            let now = self.given(pushed);
            if now > given {
                worst = worst.max(pushed - given);
                given = now;
            }
        }
        worst
    }
}

fn gcd(a: u64, b: u64) -> u64 {
    if b == 0 { a } else { gcd(b, a % b) }
}

fn lcm(a: u64, b: u64) -> u64 {
    a / gcd(a, b) * b
}

/// One session's stream. All positions are frames at the wire's rate.
pub struct LivePipeline {
    live: Live,
    resamplers: Option<(Resampler, Resampler)>,
    epoch_start: u64,
    pushed: u64,
    given: u64,
    /// The end of the epoch has been pushed through the first resampler.
    finishing: bool,
    shape: PipelineShape,
}

impl LivePipeline {
    /// A stream at `rate` through `live`, which runs at `model_rate` and gives `wanted` stems.
    pub fn new(
        live: Live,
        wanted: usize,
        rate: SampleRate,
        model_rate: SampleRate,
    ) -> Result<Self, PipelineError> {
        let resamplers = if rate == model_rate {
            None
        } else {
            let to_model = Resampler::new(rate, model_rate, 2, RESAMPLE_FRAMES)?;
            Some((to_model, Resampler::new(model_rate, rate, 2 * wanted, RESAMPLE_FRAMES)?))
        };
        let shape = PipelineShape::new(live.shape(), rate, model_rate);
        Ok(Self { live, resamplers, epoch_start: 0, pushed: 0, given: 0, finishing: false, shape })
    }

    /// Starts an epoch whose first frame is `position`; what was not finished of the last one is forgotten.
    pub fn start_epoch(&mut self, position: u64) {
        self.live.start();
        if let Some((to_model, back)) = &mut self.resamplers {
            to_model.reset();
            back.reset();
        }
        (self.epoch_start, self.pushed, self.given) = (position, 0, 0);
        self.finishing = false;
    }

    /// Frames that may still be pushed before an inference happens (0: the next push runs one).
    pub fn frames_until_work(&self) -> usize {
        let until_hop = self.live.frames_until_hop() as u64;
        let Some((blocks, _)) = &self.shape.blocks else { return until_hop as usize };
        // The hop runs with the block that brings its last frame.
        let wanted = blocks.given(self.pushed) + until_hop;
        let (take, give) = (blocks.input_frames as u64, blocks.output_frames as u64);
        let needed_blocks = (wanted + blocks.delay_frames() as u64).div_ceil(give);
        (needed_blocks * take).saturating_sub(self.pushed) as usize
    }

    /// Takes the next frames of the epoch, any number; gives what is finished.
    pub fn push(&mut self, mix: [&[f32]; 2]) -> Result<Option<StemChunk>, PipelineError> {
        self.pushed += mix[0].len() as u64;
        let channels = match &mut self.resamplers {
            None => self.live.push(mix)?,
            Some((to_model, back)) => {
                let at_model = to_model.push(&mix);
                back.push(&self.live.push([&at_model[0], &at_model[1]])?)
            }
        };
        Ok(self.chunk(channels))
    }

    /// Takes the next frames as context for what follows, without any inference. What they would have finished is never
    /// given: the next chunk begins behind it, where everything is whole again.
    pub fn skip(&mut self, mix: [&[f32]; 2]) -> Result<(), PipelineError> {
        self.pushed += mix[0].len() as u64;
        let channels = match &mut self.resamplers {
            None => self.live.skip(mix),
            Some((to_model, back)) => {
                let at_model = to_model.push(&mix);
                back.push(&self.live.skip([&at_model[0], &at_model[1]]))
            }
        };
        self.given += channels.first().map_or(0, Vec::len) as u64;
        Ok(())
    }

    /// Ends the epoch: gives everything up to the last frame pushed.
    pub fn finish_epoch(&mut self) -> Result<Option<StemChunk>, PipelineError> {
        let mut whole: Option<StemChunk> = None;
        loop {
            let (chunk, done) = self.finish_some()?;
            match (&mut whole, chunk) {
                (Some(whole), Some(chunk)) => {
                    whole.inference += chunk.inference;
                    whole.channels.iter_mut().zip(chunk.channels).for_each(|(all, some)| all.extend(some));
                }
                (None, chunk) => whole = chunk,
                (Some(_), None) => {}
            }
            if done {
                return Ok(whole);
            }
        }
    }

    /// As [`Self::finish_epoch`], one inference at a time: what is finished, and whether that was everything. To be
    /// called until it is. Whoever waits for the first of these frames need not wait for the last.
    pub fn finish_some(&mut self) -> Result<(Option<StemChunk>, bool), PipelineError> {
        let begun = std::mem::replace(&mut self.finishing, true);
        let (channels, done) = match &mut self.resamplers {
            None => self.live.finish_some()?,
            Some((to_model, back)) if !begun => {
                // Enough silence to bring the last real frame through both filters.
                let silence = vec![0.0; 2 * to_model.blocks().input_frames];
                let at_model = to_model.push(&[&silence, &silence]);
                (back.push(&self.live.push([&at_model[0], &at_model[1]])?), false)
            }
            Some((_, back)) => {
                let (finished, done) = self.live.finish_some()?;
                let mut channels = back.push(&finished);
                if done {
                    let rest = vec![vec![0.0; 4 * back.blocks().input_frames]; channels.len()];
                    channels
                        .iter_mut()
                        .zip(back.push(&rest))
                        .for_each(|(channel, rest)| channel.extend(rest));
                }
                (channels, done)
            }
        };
        let left = (self.pushed - self.given) as usize;
        let channels = channels.into_iter().map(|mut channel| {
            channel.truncate(left);
            channel
        });
        Ok((self.chunk(channels.collect()), done))
    }

    /// Where everything is whole again after a skip, at the wire's rate since the epoch's start.
    fn whole_from(&self) -> u64 {
        let from = self.live.whole_from();
        match &self.shape.blocks {
            Some((to_model, _)) if from > 0 => {
                // The filter of the way back reaches a little around each frame.
                let reach = to_model.input_frames as u64;
                (from * to_model.input_frames as u64).div_ceil(to_model.output_frames as u64) + reach
            }
            _ => from,
        }
    }

    fn chunk(&mut self, mut channels: Vec<Vec<f32>>) -> Option<StemChunk> {
        let frames = channels.first().map_or(0, Vec::len) as u64;
        let incomplete = self.whole_from().saturating_sub(self.given).min(frames);
        self.given += incomplete;
        channels.iter_mut().for_each(|channel| drop(channel.drain(..incomplete as usize)));
        if channels.first().is_none_or(Vec::is_empty) {
            return None;
        }
        let chunk = StemChunk {
            first_frame: self.epoch_start + self.given,
            inference: self.live.take_inference(),
            channels,
        };
        self.given += chunk.frames() as u64;
        Some(chunk)
    }
}

#[cfg(test)]
#[path = "pipeline_tests.rs"]
mod tests;
