//! A song's tags as the metadata blocks of a FLAC stem: Vorbis comments and the cover (RFC 9639 §8.6 and §8.8). Must not
//! carry what is untrue of a stem, such as the song's loudness (ReplayGain).

use crate::tags::{Cover, Tags};

/// The most bytes that a block can hold.
const MOST_BYTES: usize = (1 << 24) - 1;
const VORBIS_COMMENT: u8 = 4;
const PICTURE: u8 = 6;
/// The picture is the front cover.
const FRONT_COVER: u32 = 3;
const VENDOR: &str = concat!("RehearseKit ", env!("CARGO_PKG_VERSION"));

/// The metadata blocks, each its kind and its content, that say of a stem what `tags` say of the song. The title names
/// the stem too.
pub(crate) fn blocks(tags: &Tags, stem: &str) -> Vec<(u8, Vec<u8>)> {
    let mut blocks = vec![(VORBIS_COMMENT, comments(tags, stem))];
    // What does not fit is left out rather than cut.
    blocks.extend(tags.cover.iter().filter_map(picture).map(|picture| (PICTURE, picture)));
    blocks.retain(|(_, content)| content.len() <= MOST_BYTES);
    blocks
}

fn comments(tags: &Tags, stem: &str) -> Vec<u8> {
    let title = tags.title.as_ref().map(|title| format!("{title} ({stem})"));
    let (track, tracks) =
        match tags.track.as_deref().map(|track| track.split_once('/').unwrap_or((track, ""))) {
            Some((track, tracks)) => (Some(track.trim().to_owned()), Some(tracks.trim().to_owned())),
            None => (None, None),
        };
    let fields = [
        ("TITLE", title),
        ("ARTIST", tags.artist.clone()),
        ("ALBUM", tags.album.clone()),
        ("ALBUMARTIST", tags.album_artist.clone()),
        ("TRACKNUMBER", track),
        ("TRACKTOTAL", tracks),
        ("DATE", tags.date.clone()),
        ("GENRE", tags.genre.clone()),
    ];
    let said = fields
        .into_iter()
        .filter_map(|(name, value)| Some((name, value?)))
        .filter(|(_, value)| !value.is_empty());
    let lines: Vec<String> = said.map(|(name, value)| format!("{name}={value}")).collect();
    let mut block = Vec::new();
    text_le(&mut block, VENDOR);
    block.extend_from_slice(&(lines.len() as u32).to_le_bytes());
    lines.iter().for_each(|line| text_le(&mut block, line));
    block
}

/// Comments are Vorbis's own, and so are its numbers.
fn text_le(block: &mut Vec<u8>, text: &str) {
    block.extend_from_slice(&(text.len() as u32).to_le_bytes());
    block.extend_from_slice(text.as_bytes());
}

fn picture(cover: &Cover) -> Option<Vec<u8>> {
    // A link to somewhere else is no cover.
    let is_picture =
        cover.mime.starts_with("image/") && cover.mime.bytes().all(|b| (0x20..0x7f).contains(&b));
    if !is_picture || cover.bytes.is_empty() {
        return None;
    }
    let mut block = FRONT_COVER.to_be_bytes().to_vec();
    let mut with_length = |bytes: &[u8]| {
        block.extend_from_slice(&(bytes.len() as u32).to_be_bytes());
        block.extend_from_slice(bytes);
    };
    with_length(cover.mime.as_bytes());
    with_length(b"");
    // Width, height, depth and colours: a zero says that the picture itself tells.
    block.extend_from_slice(&[0; 16]);
    block.extend_from_slice(&(cover.bytes.len() as u32).to_be_bytes());
    block.extend_from_slice(&cover.bytes);
    Some(block)
}
