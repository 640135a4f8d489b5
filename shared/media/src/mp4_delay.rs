//! The encoder's delay at the head of an MP4 song, which symphonia decodes but does not trim.
//!
//! AAC encoders put 1024 to 2112 frames of nothing before the music and say so in one of two places: an edit
//! list (`elst`), or iTunes's `iTunSMPB` comment. Players trim it; stems that are not trimmed would lie 23 to
//! 48 ms beside the song in a DAW. A file that says nothing, or nonsense, is taken as it is: this module
//! must never fail a song.

use std::{
    fs::File,
    io::{Read, Seek, SeekFrom},
    path::Path,
};

/// A table of contents beyond this is no song's.
const MAX_MOOV_BYTES: u64 = 64 << 20;
/// More than any encoder's delay: a longer "delay" is an editor's cut, at a time we should not guess about.
const MAX_DELAY_FRAMES: u64 = 8_192;

/// What to trim, in frames of a track whose time scale is `rate_hz`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Trim {
    /// Frames before the music.
    pub(super) delay_frames: u64,
    /// Frames of music, where the file says so exactly.
    pub(super) frames: Option<u64>,
}

/// Reads what the file at `path` says, if it is an MP4 file.
pub(super) fn read(path: &Path, rate_hz: u32) -> Trim {
    let trim = load_moov(path).map(|moov| parse(&moov, rate_hz)).unwrap_or_default();
    if trim.delay_frames > MAX_DELAY_FRAMES { Trim::default() } else { trim }
}

/// The content of the `moov` box; `None` without one (or without an `ftyp` at the head).
fn load_moov(path: &Path) -> Option<Vec<u8>> {
    let mut file = File::open(path).ok()?;
    let mut at = 0u64;
    loop {
        file.seek(SeekFrom::Start(at)).ok()?;
        let mut header = [0u8; 16];
        file.read_exact(&mut header).ok()?;
        let (size, kind, header_bytes) = box_header(&header)?;
        if at == 0 && kind != *b"ftyp" {
            return None;
        }
        if kind == *b"moov" {
            let length = size.checked_sub(header_bytes).filter(|&l| l <= MAX_MOOV_BYTES)?;
            file.seek(SeekFrom::Start(at + header_bytes)).ok()?;
            let mut moov = Vec::new();
            file.take(length).read_to_end(&mut moov).ok()?;
            return Some(moov);
        }
        at = at.checked_add(size)?;
    }
}

/// Size of the box, its kind, and the bytes of its header.
fn box_header(bytes: &[u8]) -> Option<(u64, [u8; 4], u64)> {
    let kind = bytes.get(4..8)?.try_into().ok()?;
    let (size, header) = match u32::from_be_bytes(bytes.get(..4)?.try_into().ok()?) {
        1 => (u64::from_be_bytes(bytes.get(8..16)?.try_into().ok()?), 16),
        size => (u64::from(size), 8),
    };
    (size >= header).then_some((size, kind, header))
}

/// The content of the first box along `path` inside `content`.
fn find<'b>(content: &'b [u8], path: &[&[u8; 4]]) -> Option<&'b [u8]> {
    let Some((first, rest)) = path.split_first() else { return Some(content) };
    boxes(content).find(|(kind, _)| kind == *first).and_then(|(_, inner)| find(inner, rest))
}

/// The boxes directly inside `content`; ends at the first that is malformed.
fn boxes(mut content: &[u8]) -> impl Iterator<Item = ([u8; 4], &[u8])> {
    std::iter::from_fn(move || {
        let (size, kind, header) = box_header(content)?;
        let inner = content.get(header as usize..size as usize)?;
        content = &content[size as usize..];
        Some((kind, inner))
    })
}

fn parse(moov: &[u8], rate_hz: u32) -> Trim {
    let is_sound = |trak: &&[u8]| {
        find(trak, &[b"mdia", b"hdlr"]).and_then(|hdlr| hdlr.get(8..12)).is_some_and(|kind| kind == b"soun")
    };
    let Some(trak) = boxes(moov).filter(|(kind, _)| kind == b"trak").map(|(_, t)| t).find(is_sound) else {
        return Trim::default();
    };
    if let Some(trim) = itunes(moov) {
        return trim;
    }
    let delay = find(trak, &[b"mdia", b"mdhd"])
        .and_then(time_scale)
        // The media's clock counts frames in nearly every file; where it does not, nothing is exact.
        .filter(|&scale| scale == rate_hz)
        .and_then(|_| find(trak, &[b"edts", b"elst"]))
        .and_then(first_media_time);
    Trim { delay_frames: delay.unwrap_or(0), frames: None }
}

/// Ticks per second from a `mdhd` box.
fn time_scale(mdhd: &[u8]) -> Option<u32> {
    let at = if *mdhd.first()? == 1 { 20 } else { 12 };
    Some(u32::from_be_bytes(mdhd.get(at..at + 4)?.try_into().ok()?))
}

/// Where in the media the presentation begins, from an edit list with one real entry at its head.
fn first_media_time(elst: &[u8]) -> Option<u64> {
    if *elst.first()? == 1 {
        u64::try_from(i64::from_be_bytes(elst.get(16..24)?.try_into().ok()?)).ok()
    } else {
        u64::try_from(i32::from_be_bytes(elst.get(12..16)?.try_into().ok()?)).ok()
    }
}

/// iTunes's comment: hexadecimal words, the second is the delay, the third the padding, the fourth the length.
fn itunes(moov: &[u8]) -> Option<Trim> {
    let at = moov.windows(8).position(|w| w == b"iTunSMPB")?;
    // After the name comes a `data` box: size, kind, four bytes of type, four of locale, text.
    let data = boxes(moov.get(at + 8..)?).find(|(kind, _)| kind == b"data")?.1;
    let text = std::str::from_utf8(data.get(8..)?).ok()?;
    let words: Vec<u64> = text.split_whitespace().map_while(|w| u64::from_str_radix(w, 16).ok()).collect();
    let [_, delay_frames, _, frames, ..] = words[..] else { return None };
    Some(Trim { delay_frames, frames: Some(frames).filter(|&f| f > 0) })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn boxed(kind: &[u8; 4], content: &[u8]) -> Vec<u8> {
        let mut out = (content.len() as u32 + 8).to_be_bytes().to_vec();
        out.extend_from_slice(kind);
        out.extend_from_slice(content);
        out
    }

    fn moov(extra: &[u8]) -> Vec<u8> {
        let hdlr = boxed(b"hdlr", b"\0\0\0\0\0\0\0\0soun\0\0\0\0");
        let mut mdhd = vec![0u8; 24];
        mdhd[12..16].copy_from_slice(&44_100u32.to_be_bytes());
        let mdia = boxed(b"mdia", &[boxed(b"mdhd", &mdhd), hdlr].concat());
        let mut elst = vec![0u8; 20];
        elst[7] = 1;
        elst[12..16].copy_from_slice(&1_024i32.to_be_bytes());
        let edts = boxed(b"edts", &boxed(b"elst", &elst));
        [boxed(b"trak", &[edts, mdia].concat()), extra.to_vec()].concat()
    }

    #[test]
    fn an_edit_list_tells_the_delay() {
        assert_eq!(parse(&moov(&[]), 44_100), Trim { delay_frames: 1_024, frames: None });
        assert_eq!(parse(&moov(&[]), 48_000), Trim::default());
    }

    #[test]
    fn itunes_tells_more() {
        let text = b"\0\0\0\x01\0\0\0\0 00000000 00000840 000001CA 00000000003F31F6 00000000";
        let comment = [b"....iTunSMPB".to_vec(), boxed(b"data", text)].concat();
        let trim = parse(&moov(&boxed(b"free", &comment)), 44_100);
        assert_eq!(trim, Trim { delay_frames: 2_112, frames: Some(0x3F31F6) });
    }

    #[test]
    fn nonsense_is_no_trim() {
        let good = moov(&[]);
        for cut in 0..good.len() {
            parse(&good[..cut], 44_100);
        }
        assert_eq!(parse(b"\0\0\0\x07moov", 44_100), Trim::default());
    }
}
