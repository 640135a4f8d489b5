//! Offline separation: a whole song through the same stream, with the longest window and the largest hop.
//!
//! Beyond the decoded song itself, memory is bounded by the window: stems leave block by block.

use std::time::Duration;

use rehearsekit_audio::{Audio, stems::close_sum};

use crate::{
    ModelError,
    pipeline::{LivePipeline, StemChunk},
};

/// Frames of the song that are pushed at a time.
const BLOCK_FRAMES: usize = 65_536;

/// Finished frames of all stems, the closing one included, at the song's own rate and channel count.
#[derive(Debug, Clone, PartialEq)]
pub struct StemBlock {
    /// Position of the first frame in the song.
    pub first_frame: u64,
    /// The song itself there, `[channel][frame]`.
    pub mix: Vec<Vec<f32>>,
    /// `[stem][channel][frame]`, stems in the model's order; they sum to the mix.
    pub stems: Vec<Vec<Vec<f32>>>,
}

/// What a caller does with finished blocks; an error stops the separation.
pub type StemSink<'a> = dyn FnMut(StemBlock) -> Result<(), ModelError> + 'a;

/// A song on its way through a model, pushed in any cut. Of the song only what is still inside of the model is kept.
pub struct Separation {
    pipeline: LivePipeline,
    closing: usize,
    /// What was pushed and is not finished, `[channel][frame]`.
    mix: Vec<Vec<f32>>,
    inference: Duration,
}

impl Separation {
    /// A song of `channels` channels (1 or 2) through `pipeline`, opened at the song's rate; `closing` is the index of the
    /// stem that closes the sum.
    pub(crate) fn new(mut pipeline: LivePipeline, closing: usize, channels: usize) -> Self {
        pipeline.start_epoch(0);
        Self { pipeline, closing, mix: vec![Vec::new(); channels], inference: Duration::ZERO }
    }

    /// Takes the next frames, `[channel][frame]`, all channels equally long; gives what is finished.
    ///
    /// # Errors
    /// When the network fails.
    pub fn push(&mut self, mix: &[&[f32]]) -> Result<Option<StemBlock>, ModelError> {
        for (kept, new) in self.mix.iter_mut().zip(mix) {
            kept.extend_from_slice(new);
        }
        let (Some(left), Some(right)) = (mix.first(), mix.last()) else { return Ok(None) };
        let mut finished = None;
        // In pieces, so that what is kept stays small whatever is pushed at once.
        for (left, right) in left.chunks(BLOCK_FRAMES).zip(right.chunks(BLOCK_FRAMES)) {
            if let Some(chunk) = self.pipeline.push([left, right])? {
                join(&mut finished, self.close(chunk));
            }
        }
        Ok(finished)
    }

    /// Ends the song: gives everything up to the last frame pushed.
    ///
    /// # Errors
    /// When the network fails.
    pub fn finish(&mut self) -> Result<Option<StemBlock>, ModelError> {
        let chunk = self.pipeline.finish_epoch()?;
        Ok(chunk.map(|chunk| self.close(chunk)))
    }

    /// Time spent in inference.
    pub fn inference(&self) -> Duration {
        self.inference
    }

    /// The travelling stems of `chunk` in the song's channel count, and the one that closes the sum.
    fn close(&mut self, chunk: StemChunk) -> StemBlock {
        self.inference += chunk.inference;
        let (first_frame, frames) = (chunk.first_frame, chunk.frames());
        let mix: Vec<Vec<f32>> = self.mix.iter_mut().map(|kept| kept.drain(..frames).collect()).collect();
        let mut stems: Vec<Vec<Vec<f32>>> = Vec::with_capacity(chunk.channels.len() / 2 + 1);
        let mut channels = chunk.channels.into_iter();
        while let (Some(left), Some(right)) = (channels.next(), channels.next()) {
            stems.push(if mix.len() == 1 {
                vec![left.iter().zip(&right).map(|(l, r)| 0.5 * (l + r)).collect()]
            } else {
                vec![left, right]
            });
        }
        let last = mix.iter().enumerate().map(|(c, mix)| {
            let others: Vec<&[f32]> = stems.iter().map(|s| s[c].as_slice()).collect();
            let mut out = vec![0.0; frames];
            close_sum(mix, &others, &mut out);
            out
        });
        let last = last.collect();
        stems.insert(self.closing, last);
        StemBlock { first_frame, mix, stems }
    }
}

/// Puts `next` behind `block`.
fn join(block: &mut Option<StemBlock>, next: StemBlock) {
    let Some(block) = block else {
        *block = Some(next);
        return;
    };
    let channels = block.mix.iter_mut().chain(block.stems.iter_mut().flatten());
    channels
        .zip(next.mix.into_iter().chain(next.stems.into_iter().flatten()))
        .for_each(|(all, new)| all.extend(new));
}

/// Runs a whole `song` through `separation` and hands out blocks whose stems sum to it. `progress` gets (frames done,
/// frames in all). Returns the time spent in inference.
pub(crate) fn run(
    song: &Audio,
    mut separation: Separation,
    sink: &mut StemSink<'_>,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<Duration, ModelError> {
    let total = song.frames() as u64;
    progress(0, total);
    for start in (0..song.frames()).step_by(BLOCK_FRAMES) {
        let end = (start + BLOCK_FRAMES).min(song.frames());
        let mix: Vec<&[f32]> = song.channels().iter().map(|channel| &channel[start..end]).collect();
        if let Some(block) = separation.push(&mix)? {
            progress(block.first_frame + block.mix.first().map_or(0, Vec::len) as u64, total);
            sink(block)?;
        }
    }
    if let Some(block) = separation.finish()? {
        sink(block)?;
    }
    progress(total, total);
    Ok(separation.inference())
}
