//! The one place where the standalone meets files of sound: any song that the command takes, in pieces, left and right.

use std::ops::ControlFlow;
use std::path::Path;

use rehearsekit_audio::Audio;

/// Frames handed over at once.
const PIECE_FRAMES: usize = 1 << 14;

/// A song that was opened.
pub(super) struct Source {
    audio: Audio,
    given: usize,
}

impl Source {
    /// Opens the song at `path`.
    ///
    /// # Errors
    /// A sentence about what is wrong with it.
    pub(super) fn open(path: &Path) -> Result<Self, String> {
        let audio = rehearsekit_media::decode(path, &mut |_, _| ControlFlow::Continue(()))
            .map_err(|error| error.to_string())?;
        Ok(Self { audio, given: 0 })
    }

    /// Its own rate.
    pub(super) fn rate_hz(&self) -> u32 {
        self.audio.rate().hz()
    }

    /// How long it is at its own rate, where that is known before it is read.
    pub(super) fn expected_frames(&self) -> Option<u64> {
        Some(self.audio.frames() as u64)
    }

    /// What it is called by itself.
    pub(super) fn name(&self) -> Option<String> {
        None
    }

    /// Gives the next piece, left and right; nothing at the end.
    ///
    /// # Errors
    /// A sentence about where it is damaged.
    pub(super) fn next(&mut self) -> Result<Option<[&[f32]; 2]>, String> {
        let end = self.audio.frames().min(self.given + PIECE_FRAMES);
        let piece = self.given..end;
        self.given = end;
        let channels = self.audio.channels();
        let (Some(left), Some(right)) = (channels.first(), channels.last()) else { return Ok(None) };
        Ok((!piece.is_empty()).then(|| [&left[piece.clone()], &right[piece]]))
    }
}
