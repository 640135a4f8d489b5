//! One session's way through a model at the wire's rate: resample in, separate, resample out.
//!
//! Output covers every frame of every epoch exactly once, in order. The stems that travel are all but the one
//! that closes the sum; closing it is the receiver's business.

use std::time::Duration;

use rehearsekit_audio::SampleRate;

use crate::{
    batch::{self, BatchKey},
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

/// How far the end of an epoch has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    /// It was not announced.
    Open,
    /// Its last frames are on their way through the first resampler.
    Resampling,
    /// The model is shown what would follow.
    Tail,
}

/// One session's stream. All positions are frames at the wire's rate.
///
/// [`Self::push`] and [`Self::finish_some`] run the network themselves. Whoever has several streams takes the steps
/// they are made of: [`Self::feed`] (or [`Self::feed_end`]); while [`Self::prepare`] says that an inference is
/// needed, [`batch::run`] with others of the same [`Self::batch_key`]; [`Self::take`] (or [`Self::take_end`]).
pub struct LivePipeline {
    live: Live,
    resamplers: Option<(Resampler, Resampler)>,
    epoch_start: u64,
    pushed: u64,
    given: u64,
    end: End,
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
        Ok(Self { live, resamplers, epoch_start: 0, pushed: 0, given: 0, end: End::Open, shape })
    }

    /// Starts an epoch whose first frame is `position`; what was not finished of the last one is forgotten.
    pub fn start_epoch(&mut self, position: u64) {
        self.live.start();
        if let Some((to_model, back)) = &mut self.resamplers {
            to_model.reset();
            back.reset();
        }
        (self.epoch_start, self.pushed, self.given) = (position, 0, 0);
        self.end = End::Open;
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
        self.feed(mix);
        self.run_hops()?;
        Ok(self.take())
    }

    /// Takes the next frames of the epoch, any number.
    pub fn feed(&mut self, mix: [&[f32]; 2]) {
        self.pushed += mix[0].len() as u64;
        self.feed_live(mix);
    }

    /// Whether an inference is needed before what was fed is finished. `true` must be followed by [`batch::run`] or
    /// [`Self::give_up`], and asked again.
    pub fn prepare(&mut self) -> bool {
        self.live.prepare()
    }

    /// Gives up the inference that is needed. What it would have finished is never given: the next chunk begins behind
    /// it, where everything is whole again.
    pub fn give_up(&mut self) {
        self.live.give_up();
    }

    /// Streams of equal keys may be given to one [`batch::run`]; `None` where the network has no batch axis.
    pub fn batch_key(&mut self) -> Option<BatchKey> {
        BatchKey::of(self.live.parts().0.pool())
    }

    /// What is finished.
    pub fn take(&mut self) -> Option<StemChunk> {
        let channels = self.take_live();
        self.chunk(channels)
    }

    fn run_hops(&mut self) -> Result<(), PipelineError> {
        while self.prepare() {
            batch::run(&mut [self])?;
        }
        Ok(())
    }

    fn feed_live(&mut self, mix: [&[f32]; 2]) {
        match &mut self.resamplers {
            None => self.live.feed(mix),
            Some((to_model, _)) => {
                let at_model = to_model.push(&mix);
                self.live.feed([&at_model[0], &at_model[1]]);
            }
        }
    }

    fn take_live(&mut self) -> Vec<Vec<f32>> {
        let finished = self.live.take();
        match &mut self.resamplers {
            None => finished,
            Some((_, back)) => back.push(&finished),
        }
    }

    /// Takes the next frames as context for what follows, and gives up every inference that they need.
    pub fn skip(&mut self, mix: [&[f32]; 2]) {
        self.feed(mix);
        while self.prepare() {
            self.give_up();
        }
        // Of a pause nothing is missing, but nobody waits for it.
        self.take();
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
        self.feed_end();
        self.run_hops()?;
        Ok(self.take_end())
    }

    /// After the last frame of an epoch, in the place of [`Self::feed`].
    pub fn feed_end(&mut self) {
        match (&self.resamplers, self.end) {
            (Some((to_model, _)), End::Open) => {
                self.end = End::Resampling;
                // Enough silence to bring the last real frame through both filters.
                let silence = vec![0.0; 2 * to_model.blocks().input_frames];
                self.feed_live([&silence, &silence]);
            }
            _ => {
                self.end = End::Tail;
                self.live.feed_tail();
            }
        }
    }

    /// After [`Self::feed_end`], in the place of [`Self::take`]: what is finished, and whether that was everything.
    /// If not, the two are to be repeated.
    pub fn take_end(&mut self) -> (Option<StemChunk>, bool) {
        let mut channels = self.take_live();
        let done = self.end == End::Tail && self.live.is_finished();
        if let (Some((_, back)), true) = (&mut self.resamplers, done) {
            let rest = vec![vec![0.0; 4 * back.blocks().input_frames]; channels.len()];
            channels.iter_mut().zip(back.push(&rest)).for_each(|(channel, rest)| channel.extend(rest));
        }
        let left = (self.pushed - self.given) as usize;
        channels.iter_mut().for_each(|channel| channel.truncate(left));
        (self.chunk(channels), done)
    }

    /// The stream inside, at the model's rate.
    pub(crate) fn live(&mut self) -> &mut Live {
        &mut self.live
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
