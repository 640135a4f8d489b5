//! What a song says of itself: artist, title, album and cover, as plain data for whoever writes stems.
//!
//! Tags are a courtesy: what cannot be read is left out, and this module must never fail a song.

use std::{fs::File, io::BufReader, path::Path};

use lofty::{
    config::{ParseOptions, ParsingMode},
    file::TaggedFileExt,
    probe::Probe,
    tag::{ItemKey, Tag},
};

/// A cover beyond this is not carried along.
const MAX_COVER_BYTES: usize = 16 << 20;
/// A text beyond this is no name.
const MAX_TEXT_BYTES: usize = 4 << 10;

/// What a song says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Tags {
    /// Who plays.
    pub artist: Option<String>,
    /// The song's name.
    pub title: Option<String>,
    /// The album's name.
    pub album: Option<String>,
    /// Who the album is filed under.
    pub album_artist: Option<String>,
    /// Its number on the album, as written.
    pub track: Option<String>,
    /// A year or a date, as written.
    pub date: Option<String>,
    /// The genre, as written.
    pub genre: Option<String>,
    /// The front cover, or the first picture.
    pub cover: Option<Cover>,
}

/// A picture.
#[derive(Clone, PartialEq, Eq)]
pub struct Cover {
    /// Its kind, `image/jpeg` or the like.
    pub mime: String,
    /// The file's bytes.
    pub bytes: Vec<u8>,
}

impl std::fmt::Debug for Cover {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Cover({}, {} bytes)", self.mime, self.bytes.len())
    }
}

impl Tags {
    /// Reads the tags of the file at `path`; none of what cannot be read.
    pub(crate) fn read(path: &Path) -> Self {
        let options = ParseOptions::new().read_properties(false).parsing_mode(ParsingMode::Relaxed);
        let read = || {
            let file = BufReader::new(File::open(path).ok()?);
            Probe::new(file).options(options).guess_file_type().ok()?.read().ok()
        };
        let Some(file) = read() else { return Self::default() };
        // The format's own kind of tag first, then the others, each for what is still missing.
        let mut tags = Self::default();
        file.primary_tag().into_iter().chain(file.tags()).for_each(|tag| tags.fill(tag));
        tags
    }

    fn fill(&mut self, tag: &Tag) {
        let text = |keys: &[ItemKey]| {
            keys.iter()
                .filter_map(|&key| tag.get_string(key))
                .map(str::trim)
                .find(|text| !text.is_empty() && text.len() <= MAX_TEXT_BYTES)
                .map(str::to_owned)
        };
        let fill = |to: &mut Option<String>, keys: &[ItemKey]| *to = to.take().or_else(|| text(keys));
        fill(&mut self.artist, &[ItemKey::TrackArtist]);
        fill(&mut self.title, &[ItemKey::TrackTitle]);
        fill(&mut self.album, &[ItemKey::AlbumTitle]);
        fill(&mut self.album_artist, &[ItemKey::AlbumArtist]);
        fill(&mut self.track, &[ItemKey::TrackNumber]);
        fill(&mut self.date, &[ItemKey::RecordingDate, ItemKey::Year, ItemKey::ReleaseDate]);
        fill(&mut self.genre, &[ItemKey::Genre]);
        if self.cover.is_none() {
            let front =
                |p: &&lofty::picture::Picture| p.pic_type() == lofty::picture::PictureType::CoverFront;
            let picture = tag.pictures().iter().find(front).or_else(|| tag.pictures().first());
            self.cover = picture.filter(|p| p.data().len() <= MAX_COVER_BYTES).and_then(|picture| {
                let mime = picture.mime_type()?.as_str().to_owned();
                Some(Cover { mime, bytes: picture.data().to_vec() })
            });
        }
    }
}
