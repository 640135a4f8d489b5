//! A song as it comes from a file or a pipe: read on a thread of its own, so that a pipe into which nobody writes, or a
//! share that is gone, holds up nobody who wants to stop. Must not keep what was handed on.

use std::{ops::ControlFlow, path::Path, sync::mpsc, thread};

use rehearsekit_audio::{Audio, SampleRate};
use rehearsekit_media::{self as media, DecodeError};

use crate::{failure::Failure, interrupt, progress};

/// Frames of a block.
const BLOCK_FRAMES: usize = 65_536;
/// Blocks that may wait for whoever takes them.
const WAITING_BLOCKS: usize = 4;

enum Sent {
    Begins { rate: SampleRate, channels: usize, frames: Option<u64> },
    Block(Vec<Vec<f32>>),
    Fails(DecodeError),
}

/// A song that is being read.
pub(crate) struct Song {
    pub(crate) rate: SampleRate,
    pub(crate) channels: usize,
    /// Its length, where its file says so.
    pub(crate) frames: Option<u64>,
    from: mpsc::Receiver<Sent>,
}

impl Song {
    /// Begins to read; what is no song at all shows here.
    pub(crate) fn open(path: &Path) -> Result<Self, Failure> {
        let (to, from) = mpsc::sync_channel(WAITING_BLOCKS);
        let path = path.to_owned();
        thread::Builder::new()
            .name("song".to_owned())
            .spawn(move || {
                if let Err(error) = read(&path, &to) {
                    // Whoever has stopped listening wants to know nothing.
                    let _ = to.send(Sent::Fails(error));
                }
            })
            .map_err(|error| Failure::run(format!("cannot start the thread that reads the song: {error}")))?;
        match interrupt::receive(&from)? {
            Some(Sent::Begins { rate, channels, frames }) => Ok(Self { rate, channels, frames, from }),
            Some(Sent::Fails(error)) => Err(error.into()),
            Some(Sent::Block(_)) | None => Err(panicked()),
        }
    }

    /// The next block, `[channel][frame]`; nothing at the end.
    pub(crate) fn next_block(&mut self) -> Result<Option<Vec<Vec<f32>>>, Failure> {
        match interrupt::receive(&self.from)? {
            Some(Sent::Block(block)) => Ok(Some(block)),
            Some(Sent::Fails(error)) => Err(error.into()),
            Some(Sent::Begins { .. }) => Err(panicked()),
            None => Ok(None),
        }
    }
}

fn panicked() -> Failure {
    Failure::run("the thread that reads the song panicked; please report this")
}

fn read(path: &Path, to: &mpsc::SyncSender<Sent>) -> Result<(), DecodeError> {
    let go_on = |_, _| if interrupt::requested() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) };
    let song = media::decode(path, &mut { go_on })?;
    let begins =
        Sent::Begins { rate: song.rate(), channels: song.channels().len(), frames: Some(song.frames() as u64) };
    let mut goes_on = to.send(begins).is_ok();
    for start in (0..song.frames()).step_by(BLOCK_FRAMES) {
        let end = (start + BLOCK_FRAMES).min(song.frames());
        let block = song.channels().iter().map(|channel| channel[start..end].to_vec()).collect();
        goes_on = goes_on && to.send(Sent::Block(block)).is_ok();
    }
    Ok(())
}

/// A whole song in memory, read with a progress bar.
pub(crate) fn read_whole(path: &Path) -> Result<Audio, Failure> {
    let bar = progress::frames_bar("reading", 0);
    let mut song = Song::open(path)?;
    let mut channels = vec![Vec::new(); song.channels];
    while let Some(block) = song.next_block()? {
        channels.iter_mut().zip(&block).for_each(|(all, new)| all.extend_from_slice(new));
        let done = channels.first().map_or(0, |c| c.len() as u64);
        bar.set_length(song.frames.unwrap_or(done));
        bar.set_position(done);
    }
    bar.finish_and_clear();
    Audio::new(song.rate, channels).map_err(Failure::input)
}
