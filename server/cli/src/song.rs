//! A song as it comes from a file or a pipe: read on a thread of its own, so that a pipe into which nobody writes, or a
//! share that is gone, holds up nobody who wants to stop. Must not keep what was handed on.

use std::{path::Path, sync::mpsc, thread};

use rehearsekit_audio::{Audio, SampleRate};
use rehearsekit_media::{self as media, DecodeError, Tags, place::shown};

use crate::{failure::Failure, interrupt, output, progress};

/// Blocks that may wait for whoever takes them.
const WAITING_BLOCKS: usize = 4;

enum Sent {
    Begins(About),
    Block(Vec<Vec<f32>>),
    /// At its end: what is to be told about it.
    Remark(String),
    Fails(DecodeError),
}

/// What is known of a song before its sound.
#[derive(Debug, Clone)]
pub(crate) struct About {
    pub(crate) rate: SampleRate,
    pub(crate) channels: usize,
    /// Its length, where its file says so; no promise.
    pub(crate) frames: Option<u64>,
    pub(crate) tags: Tags,
}

/// A song that is being read.
pub(crate) struct Song {
    pub(crate) about: About,
    from: mpsc::Receiver<Sent>,
    shown: String,
}

impl Song {
    /// Begins to read; what is no song at all shows here.
    pub(crate) fn open(path: &Path) -> Result<Self, Failure> {
        let (to, from) = mpsc::sync_channel(WAITING_BLOCKS);
        let shown = shown(path).to_string();
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
            Some(Sent::Begins(about)) => Ok(Self { about, from, shown }),
            Some(Sent::Fails(error)) => Err(error.into()),
            _ => Err(Failure::run("the thread that reads the song panicked; please report this")),
        }
    }

    /// The next block, `[channel][frame]`; nothing at the end.
    pub(crate) fn next_block(&mut self) -> Result<Option<Vec<Vec<f32>>>, Failure> {
        loop {
            match interrupt::receive(&self.from)? {
                Some(Sent::Block(block)) => return Ok(Some(block)),
                Some(Sent::Fails(error)) => return Err(error.into()),
                Some(Sent::Remark(remark)) => output::note(&format!("{} {remark}", self.shown)),
                Some(Sent::Begins(_)) => {}
                None => return Ok(None),
            }
        }
    }
}

fn read(path: &Path, to: &mpsc::SyncSender<Sent>) -> Result<(), DecodeError> {
    let mut song = media::Song::open(path)?;
    let about = About {
        rate: song.rate(),
        channels: song.channels(),
        frames: song.expected_frames(),
        tags: song.tags().clone(),
    };
    let mut goes_on = to.send(Sent::Begins(about)).is_ok();
    let mut block = Vec::new();
    while goes_on && song.next_block(&mut block)?.is_some() {
        goes_on = to.send(Sent::Block(std::mem::take(&mut block))).is_ok();
    }
    if let Some(remark) = song.remark() {
        let _ = to.send(Sent::Remark(remark));
    }
    Ok(())
}

/// A whole song in memory, read with a progress bar.
pub(crate) fn read_whole(path: &Path) -> Result<Audio, Failure> {
    let bar = progress::frames_bar("reading", 0);
    let mut song = Song::open(path)?;
    let About { rate, channels, frames, .. } = song.about;
    let mut planar = vec![Vec::new(); channels];
    while let Some(block) = song.next_block()? {
        planar.iter_mut().zip(&block).for_each(|(all, new)| all.extend_from_slice(new));
        let done = planar.first().map_or(0, |c| c.len() as u64);
        bar.set_length(frames.unwrap_or(done).max(done));
        bar.set_position(done);
    }
    bar.finish_and_clear();
    Audio::new(rate, planar).map_err(Failure::input)
}
