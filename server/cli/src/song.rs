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
    /// After its last block, and what is to be told about it. Without this it was not read to its end.
    Ends(Option<String>),
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
        let file = path.to_owned();
        Self::read_by(shown(path).to_string(), move |to| read(&file, to))
    }

    /// The song that `read` sends, on a thread of its own.
    fn read_by(
        shown: String,
        read: impl FnOnce(&mpsc::SyncSender<Sent>) -> Result<(), DecodeError> + Send + 'static,
    ) -> Result<Self, Failure> {
        let (to, from) = mpsc::sync_channel(WAITING_BLOCKS);
        thread::Builder::new()
            .name("song".to_owned())
            .spawn(move || {
                if let Err(error) = read(&to) {
                    // The receiver may have stopped listening.
                    let _ = to.send(Sent::Fails(error));
                }
            })
            .map_err(|error| Failure::run(format!("cannot start the thread that reads the song: {error}")))?;
        match interrupt::receive(&from)? {
            Some(Sent::Begins(about)) => Ok(Self { about, from, shown }),
            Some(Sent::Fails(error)) => Err(error.into()),
            _ => Err(panicked(&shown)),
        }
    }

    /// The next block, `[channel][frame]`; nothing at the end.
    pub(crate) fn next_block(&mut self) -> Result<Option<Vec<Vec<f32>>>, Failure> {
        match interrupt::receive(&self.from)? {
            Some(Sent::Block(block)) => Ok(Some(block)),
            Some(Sent::Fails(error)) => Err(error.into()),
            Some(Sent::Ends(remark)) => {
                if let Some(remark) = remark {
                    output::note(&format!("{} {remark}", self.shown));
                }
                Ok(None)
            }
            Some(Sent::Begins(_)) | None => Err(panicked(&self.shown)),
        }
    }
}

/// A song that breaks off this way is not a shorter song.
fn panicked(shown: &str) -> Failure {
    Failure::run(format!("reading {shown} panicked; please report this"))
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
    // If nobody listens any more, nobody misses it.
    let _ = to.send(Sent::Ends(song.remark()));
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

#[cfg(test)]
mod tests {
    use super::*;

    fn about() -> About {
        About { rate: SampleRate::HZ_44100, channels: 1, frames: None, tags: Tags::default() }
    }

    #[test]
    fn a_reader_that_panics_in_the_middle_is_no_end_of_the_song() {
        let whole = |to: &mpsc::SyncSender<Sent>| {
            to.send(Sent::Begins(about())).unwrap();
            to.send(Sent::Block(vec![vec![0.5; 3]])).unwrap();
        };
        let mut song = Song::read_by("song".to_owned(), move |to| {
            whole(to);
            to.send(Sent::Ends(None)).unwrap();
            Ok(())
        })
        .unwrap();
        assert_eq!(song.next_block().unwrap(), Some(vec![vec![0.5; 3]]));
        assert_eq!(song.next_block().unwrap(), None);
        let mut song = Song::read_by("song".to_owned(), move |to| {
            whole(to);
            panic!("a decoder that is wrong")
        })
        .unwrap();
        song.next_block().unwrap();
        assert!(song.next_block().unwrap_err().to_string().contains("panicked"));
    }
}
