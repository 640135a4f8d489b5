//! From a song file to [`Audio`] in memory: [`Song`] read to its end.
//!
//! This module must never look into a file itself.

use std::{ops::ControlFlow, path::Path};

use rehearsekit_audio::Audio;

use crate::{error::DecodeError, song::Song};

/// Reads the song at `path` whole. `progress` hears `(frames done, frames in all if known)` now and then and
/// may cancel by breaking.
pub fn decode(
    path: &Path,
    progress: &mut dyn FnMut(u64, Option<u64>) -> ControlFlow<()>,
) -> Result<Audio, DecodeError> {
    let mut song = Song::open(path)?;
    let mut channels = vec![Vec::new(); song.channels()];
    let mut block = Vec::new();
    while song.next_block(&mut block)?.is_some() {
        for (channel, new) in channels.iter_mut().zip(&block) {
            channel.extend_from_slice(new);
        }
        if progress(song.position(), song.expected_frames()).is_break() {
            return Err(DecodeError::Cancelled(path.to_owned()));
        }
    }
    let count = channels.len();
    Audio::new(song.rate(), channels)
        .map_err(|_| DecodeError::Channels { path: path.to_owned(), channels: count })
}
