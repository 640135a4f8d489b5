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
    /// `[stem][channel][frame]`, stems in the model's order.
    pub stems: Vec<Vec<Vec<f32>>>,
}

/// What a caller does with finished blocks; an error stops the separation.
pub type StemSink<'a> = dyn FnMut(StemBlock) -> Result<(), ModelError> + 'a;

/// Runs `song` through `pipeline` (opened at the song's rate) and hands out blocks whose stems sum to it.
/// `closing` is the index of the stem that closes the sum; `progress` gets (frames done, frames in all). Returns
/// the time spent in inference.
pub(crate) fn run(
    song: &Audio,
    mut pipeline: LivePipeline,
    closing: usize,
    sink: &mut StemSink<'_>,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<Duration, ModelError> {
    let [left, right] = song.stereo();
    let total = song.frames() as u64;
    let mut inference = Duration::ZERO;
    progress(0, total);
    pipeline.start_epoch(0);
    for (left, right) in left.chunks(BLOCK_FRAMES).zip(right.chunks(BLOCK_FRAMES)) {
        if let Some(chunk) = pipeline.push([left, right])? {
            progress(chunk.first_frame + chunk.frames() as u64, total);
            inference += chunk.inference;
            sink(close(song, chunk, closing))?;
        }
    }
    if let Some(chunk) = pipeline.finish_epoch()? {
        inference += chunk.inference;
        sink(close(song, chunk, closing))?;
    }
    progress(total, total);
    Ok(inference)
}

/// The travelling stems of `chunk` in the song's channel count, and the one that closes the sum.
fn close(song: &Audio, chunk: StemChunk, closing: usize) -> StemBlock {
    let first = chunk.first_frame as usize;
    let range = first..first + chunk.frames();
    let mono = song.channels().len() == 1;
    let mut stems: Vec<Vec<Vec<f32>>> = Vec::with_capacity(chunk.channels.len() / 2 + 1);
    let mut channels = chunk.channels.into_iter();
    while let (Some(left), Some(right)) = (channels.next(), channels.next()) {
        stems.push(if mono {
            vec![left.iter().zip(&right).map(|(l, r)| 0.5 * (l + r)).collect()]
        } else {
            vec![left, right]
        });
    }
    let last = song.channels().iter().enumerate().map(|(c, mix)| {
        let others: Vec<&[f32]> = stems.iter().map(|s| s[c].as_slice()).collect();
        let mut out = vec![0.0; range.len()];
        close_sum(&mix[range.clone()], &others, &mut out);
        out
    });
    let last = last.collect();
    stems.insert(closing, last);
    StemBlock { first_frame: first as u64, stems }
}
