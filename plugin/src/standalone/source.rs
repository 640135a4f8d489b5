//! The one place where the standalone meets files of sound: any song that the command takes, in pieces, left and right.

use std::path::Path;

use rehearsekit_media::Song;

/// A song that was opened.
pub(super) struct Source {
    song: Song,
    piece: Vec<Vec<f32>>,
}

impl Source {
    /// Opens the song at `path`.
    ///
    /// # Errors
    /// A sentence about what is wrong with it.
    pub(super) fn open(path: &Path) -> Result<Self, String> {
        let song = Song::open(path).map_err(|error| error.to_string())?;
        Ok(Self { song, piece: Vec::new() })
    }

    /// Its own rate.
    pub(super) fn rate_hz(&self) -> u32 {
        self.song.rate().hz()
    }

    /// How long it will be at its own rate, if its file says so: no promise.
    pub(super) fn expected_frames(&self) -> Option<u64> {
        self.song.expected_frames()
    }

    /// What it is called by itself: artist and title.
    pub(super) fn name(&self) -> Option<String> {
        let tags = self.song.tags();
        let title = tags.title.as_deref().map(str::trim).filter(|title| !title.is_empty())?;
        let artist = tags.artist.as_deref().map(str::trim).filter(|artist| !artist.is_empty());
        Some(artist.map_or_else(|| title.to_owned(), |artist| format!("{artist} – {title}")))
    }

    /// Gives the next piece, left and right; nothing at the end.
    ///
    /// # Errors
    /// A sentence about where it is damaged.
    pub(super) fn next(&mut self) -> Result<Option<[&[f32]; 2]>, String> {
        let there = self.song.next_block(&mut self.piece).map_err(|error| error.to_string())?;
        let sides = self.piece.first().zip(self.piece.last());
        Ok(there.and(sides).map(|(left, right)| [left.as_slice(), right.as_slice()]))
    }
}
