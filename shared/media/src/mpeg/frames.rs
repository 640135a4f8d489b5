//! From the bytes of an MP3 (or layer 1 or 2) file to its frames: tags between them are stepped over, songs joined
//! end to end are followed, holes are told.
//!
//! This module must never believe an estimate of the length: frames are counted.

use super::header::Header;
use crate::{error::Fault, source::Source};

/// How far into a file the first frame may lie behind other bytes.
const MAX_LEAD_BYTES: usize = 1 << 20;
/// Frames in a row that make a beginning certain.
const CERTAIN: usize = 4;
/// Unknown bytes behind the last frame that are taken for somebody's tag.
const MAX_TAIL_BYTES: u64 = 32 << 10;
/// Bytes looked at in one go while the next frame is searched.
const SEARCH_BYTES: usize = 64 << 10;

/// Where in `bytes` a chain of frames begins, and its first header; `None` if there is none. `all` says that
/// nothing is behind `bytes`: then a chain up to there will do.
pub(crate) fn find_chain(bytes: &[u8], all: bool) -> Option<(usize, Header)> {
    (0..bytes.len().min(MAX_LEAD_BYTES)).find_map(|at| {
        if bytes[at] != 0xff {
            return None;
        }
        Header::parse(&bytes[at..])
            .filter(|first| is_chain(&bytes[at..], first, all))
            .map(|first| (at, first))
    })
}

fn is_chain(bytes: &[u8], first: &Header, all: bool) -> bool {
    let (mut at, mut header, mut count) = (0, *first, 1);
    while count < CERTAIN {
        at += header.bytes;
        let rest = bytes.get(at..).unwrap_or_default();
        if rest.is_empty() || is_tag(rest) {
            // A song this short: at least two frames, and nothing but tags behind.
            return all && count > 1 && at <= bytes.len();
        }
        match Header::parse(rest) {
            Some(next) if next.fits(first) => (header, count) = (next, count + 1),
            // A frame that is cut off by the end.
            None if all && rest.len() < 4 => return count > 1,
            _ => return false,
        }
    }
    true
}

/// One frame's bytes.
pub(crate) struct Frame {
    pub(crate) header: Header,
    pub(crate) bytes: Vec<u8>,
    /// A tag stood before it: perhaps another song begins.
    pub(crate) behind_tag: bool,
}

/// The frames of a file, one after the other.
pub(crate) struct Frames {
    pub(crate) source: Source,
    first: Header,
    last_bytes: usize,
}

impl Frames {
    /// The source stands at the frame whose header `first` is.
    pub(crate) fn new(source: Source, first: Header) -> Self {
        Self { source, first, last_bytes: first.bytes }
    }

    /// The next frame; `None` behind the last.
    pub(crate) fn next(&mut self) -> Result<Option<Frame>, Fault> {
        let mut behind_tag = false;
        loop {
            let head = self.source.peek(16)?;
            if head.len() < 4 {
                return Ok(None);
            }
            match Header::parse(head) {
                Some(header) if header.fits(&self.first) => {
                    let bytes = self.source.take(header.bytes)?;
                    if bytes.len() < header.bytes {
                        return Err(Fault::CutOff(None));
                    }
                    self.last_bytes = header.bytes;
                    return Ok(Some(Frame { header, bytes, behind_tag }));
                }
                _ if is_tag(head) => {
                    skip_tag(&mut self.source)?;
                    behind_tag = true;
                }
                _ => match self.search()? {
                    Some(()) => {}
                    None => return Ok(None),
                },
            }
        }
    }

    /// Goes to the next certain frame. Bytes that could have held a frame are a hole; at the end they are nothing.
    fn search(&mut self) -> Result<Option<()>, Fault> {
        let mut passed = 0u64;
        loop {
            let bytes = self.source.peek(SEARCH_BYTES)?;
            let all = bytes.len() < SEARCH_BYTES;
            let found = (0..bytes.len()).find_map(|at| {
                let rest = &bytes[at..];
                if is_tag(rest) {
                    return Some((at, None));
                }
                let header = Header::parse(rest)?;
                is_chain(rest, &header, all).then_some((at, Some(header)))
            });
            if let Some((at, header)) = found {
                passed += at as u64;
                self.source.skip(at as u64)?;
                return match header {
                    Some(header) if !header.fits(&self.first) => Err(Fault::Changes),
                    Some(_) if passed as usize >= self.last_bytes => Err(hole(passed)),
                    None if passed > MAX_TAIL_BYTES => Err(hole(passed)),
                    _ => Ok(Some(())),
                };
            }
            // What might be a frame's beginning stays.
            let step = if all { bytes.len() } else { SEARCH_BYTES / 2 };
            passed += step as u64;
            self.source.skip(step as u64)?;
            if all {
                return if passed > MAX_TAIL_BYTES { Err(hole(passed)) } else { Ok(None) };
            }
        }
    }
}

fn hole(bytes: u64) -> Fault {
    Fault::damaged(format!("{bytes} bytes there are no sound"))
}

/// Whether a tag of one of the usual kinds begins here.
fn is_tag(bytes: &[u8]) -> bool {
    const KINDS: [&[u8]; 4] = [b"APETAGEX", b"TAG", b"LYRICSBEGIN", b"ID3"];
    KINDS.iter().any(|kind| bytes.starts_with(kind))
}

/// Steps over the tag at the source's place.
pub(crate) fn skip_tag(source: &mut Source) -> Result<(), Fault> {
    let head = source.peek(32)?;
    let length = if head.starts_with(b"APETAGEX") {
        // The length of items and footer; a tag with a header (this is one) has 32 bytes more.
        let items = head.get(12..16).and_then(|b| b.try_into().ok()).map_or(0, u32::from_le_bytes);
        let is_header =
            head.get(20..24).and_then(|b| b.try_into().ok()).map_or(0, u32::from_le_bytes) & 1 << 29 != 0;
        if is_header { 32 + u64::from(items) } else { 32 }
    } else if head.starts_with(b"ID3") {
        id3v2_bytes(head).unwrap_or(10)
    } else if head.starts_with(b"TAG") {
        128
    } else {
        // Lyrics3: text up to its closing word.
        let text = source.peek(SEARCH_BYTES)?;
        text.windows(9).position(|w| w == b"LYRICS200" || w == b"LYRICSEND").map_or(11, |at| at as u64 + 9)
    };
    source.skip(length)?;
    Ok(())
}

/// Bytes of the ID3v2 tag whose header `head` begins with.
pub(crate) fn id3v2_bytes(head: &[u8]) -> Option<u64> {
    let size = head.get(6..10).filter(|size| size.iter().all(|b| b & 0x80 == 0))?;
    let body = size.iter().fold(0u64, |sum, &b| sum << 7 | u64::from(b));
    let footer = if head[5] & 0x10 != 0 { 10 } else { 0 };
    Some(10 + body + footer)
}
