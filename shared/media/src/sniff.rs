//! What a file is, by its own first bytes, never by its name: the formats that are read here, sound formats that
//! are known by name, and what is no sound at all.
//!
//! Nothing is searched for in the middle of a file, except MPEG frames behind a little garbage, and then several in
//! a row. This module must never decode.

use crate::{
    adts,
    error::Fault,
    mpeg::{
        frames::{find_chain, id3v2_bytes},
        header::Header,
    },
    source::Source,
};

/// Bytes that are looked at.
const HEAD_BYTES: usize = 64 << 10;
/// Bytes among which the first MPEG frame may hide behind garbage.
const SEARCH_BYTES: usize = 1 << 20;

/// What is read here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Wav,
    Aiff,
    Au,
    Caf,
    Flac,
    Ogg,
    Mpeg(Header),
    Adts,
    Mp4,
    Matroska,
}

/// Sound formats known by name: `(where, bytes, name)`.
const FOREIGN: &[(usize, &[u8], &str)] = &[
    (0, b"wvpk", "WavPack"),
    (0, b"MAC ", "Monkey's Audio (APE)"),
    (0, b"tBaK", "TAK"),
    (0, b"MPCK", "Musepack"),
    (0, b"MP+", "Musepack"),
    (0, b"TTA1", "True Audio (TTA)"),
    (0, b"TTA2", "True Audio (TTA)"),
    (0, b"OFR ", "OptimFROG"),
    (0, b"LA04", "Lossless Audio (LA)"),
    (0, b"DSD ", "DSD (DSF)"),
    (0, b"FRM8", "DSD (DSDIFF)"),
    (0, b"\x30\x26\xb2\x75\x8e\x66\xcf\x11", "Windows Media Audio (WMA, ASF)"),
    (0, b"\x0b\x77", "AC-3"),
    (0, b"\x7f\xfe\x80\x01", "DTS"),
    (0, b"\xfe\x7f\x01\x80", "DTS"),
    (0, b"\x1f\xff\xe8\x00", "DTS"),
    (0, b"\xff\x1f\x00\xe8", "DTS"),
    (0, b"DTSHDHDR", "DTS-HD"),
    (0, b".ra\xfd", "RealAudio"),
    (0, b".RMF", "RealAudio"),
    (0, b"#!AMR", "AMR"),
    (0, b"#!SILK", "SILK"),
    (0, b"ajkg", "Shorten"),
    (0, b"FLV\x01", "Flash video (FLV)"),
    (0, b"ADIF", "AAC in ADIF"),
    (0, b"Creative Voice File", "a Creative Voice file (VOC)"),
    (0, b"NIST_1A", "a NIST SPHERE file"),
    (0, b"\0\0\x01\xba", "an MPEG program stream"),
    (8, b"8SVX", "an Amiga 8SVX sound"),
    (8, b"AVI ", "an AVI video"),
    (0, b"Extended Module:", "a tracker module (XM)"),
    (0, b"IMPM", "a tracker module (IT)"),
    (44, b"SCRM", "a tracker module (S3M)"),
    (1_080, b"M.K.", "a tracker module (MOD)"),
];

/// What is no sound: `(where, bytes, name)`.
const NO_SOUND: &[(usize, &[u8], &str)] = &[
    (0, b"\xff\xd8\xff", "a JPEG picture"),
    (0, b"\x89PNG", "a PNG picture"),
    (0, b"GIF8", "a GIF picture"),
    (0, b"BM\0", "a BMP picture"),
    (0, b"II*\0", "a TIFF picture"),
    (0, b"MM\0*", "a TIFF picture"),
    (8, b"WEBP", "a WebP picture"),
    (4, b"ftypheic", "a HEIC picture"),
    (4, b"ftypheix", "a HEIC picture"),
    (4, b"ftypmif1", "a HEIC picture"),
    (4, b"ftypavif", "an AVIF picture"),
    (4, b"ftypcrx ", "a camera's raw picture"),
    (0, b"%PDF", "a PDF document"),
    (0, b"PK\x03\x04", "a ZIP archive"),
    (0, b"PK\x05\x06", "a ZIP archive"),
    (0, b"\x1f\x8b", "a gzip archive"),
    (0, b"BZh", "a bzip2 archive"),
    (0, b"\xfd7zXZ", "an XZ archive"),
    (0, b"\x28\xb5\x2f\xfd", "a Zstandard archive"),
    (0, b"7z\xbc\xaf\x27\x1c", "a 7-Zip archive"),
    (0, b"Rar!", "a RAR archive"),
    (257, b"ustar", "a TAR archive"),
    (0, b"MThd", "a MIDI file (notes, not sound)"),
    (8, b"RMID", "a MIDI file (notes, not sound)"),
    (8, b"sfbk", "a sound font"),
    (0, b"\x7fELF", "a program"),
    (0, b"MZ", "a program"),
    (0, b"\xca\xfe\xba\xbe", "a program"),
    (0, b"\xcf\xfa\xed\xfe", "a program"),
    (0, b"SQLite format 3", "a database"),
    (0, b"\xd0\xcf\x11\xe0", "an Office document"),
    (0, b"{\\rtf", "a text document (RTF)"),
    (0, b"FICHIER GUITAR PRO", "a Guitar Pro score"),
    (1, b"FICHIER GUITAR PRO", "a Guitar Pro score"),
    (0, b"ID3", "an ID3 tag without a song behind it"),
];

/// Steps over tags at the beginning and says what follows.
pub(crate) fn sniff(source: &mut Source) -> Result<Kind, Fault> {
    let mut behind_tag = false;
    loop {
        let head = source.peek(32)?;
        match id3v2_bytes(head).filter(|_| head.starts_with(b"ID3")) {
            Some(length) => {
                if source.skip(length)? < length {
                    return Err(Fault::CutOff(None));
                }
                behind_tag = true;
            }
            None => break,
        }
    }
    let head = source.peek(HEAD_BYTES)?;
    if let Some(kind) = ours(head) {
        return Ok(kind);
    }
    let named = |table: &[(usize, &[u8], &'static str)]| {
        table
            .iter()
            .find(|(at, bytes, _)| head.get(*at..).is_some_and(|h| h.starts_with(bytes)))
            .map(|entry| entry.2)
    };
    let all = head.len() < HEAD_BYTES;
    // Two bytes of AC-3 or a picture may begin an MP3 as well as anything; frames in a row say more.
    if let Some((0, header)) =
        find_chain(head.get(..SEARCH_BYTES.min(head.len())).unwrap_or_default(), all).filter(|f| f.0 == 0)
    {
        return Ok(Kind::Mpeg(header));
    }
    if adts::is_chain(head, all) {
        return Ok(Kind::Adts);
    }
    if let Some(name) = named(FOREIGN) {
        return Err(Fault::Unsupported(name.to_owned()));
    }
    if is_transport_stream(head) {
        return Err(Fault::Unsupported("an MPEG transport stream".to_owned()));
    }
    if head.first() == Some(&0x56) && head.get(1).is_some_and(|b| b & 0xe0 == 0xe0) && !is_text(head) {
        return Err(Fault::Unsupported("AAC in LATM".to_owned()));
    }
    if let Some(name) = named(NO_SOUND) {
        return Err(Fault::NotAudio(name.to_owned()));
    }
    if let Some(name) = document(head) {
        return Err(Fault::NotAudio(name.to_owned()));
    }
    let is_empty = head.iter().all(|&b| b == 0);
    let bytes = source.peek(SEARCH_BYTES)?;
    let all = bytes.len() < SEARCH_BYTES;
    match find_chain(bytes, all) {
        Some((at, header)) => {
            source.skip(at as u64)?;
            Ok(Kind::Mpeg(header))
        }
        None if is_empty && bytes.iter().all(|&b| b == 0) => {
            Err(Fault::NotAudio("nothing but zero bytes: a download that never arrived".to_owned()))
        }
        None if behind_tag => Err(Fault::NotAudio("a tag, and no sound known behind it".to_owned())),
        None => Err(Fault::NotAudio("its first bytes are of no known format".to_owned())),
    }
}

/// The formats with a clear beginning that are read here.
fn ours(head: &[u8]) -> Option<Kind> {
    let at = |place: usize, bytes: &[u8]| head.get(place..).is_some_and(|h| h.starts_with(bytes));
    let is_riff = [&b"RIFF"[..], b"RIFX", b"RF64", b"BW64"].iter().any(|kind| at(0, kind));
    let is_wave64 = at(0, b"riff\x2e\x91\xcf\x11\xa5\xd6\x28\xdb\x04\xc1\0\0");
    Some(match head {
        _ if is_riff && at(8, b"WAVE") || is_wave64 => Kind::Wav,
        _ if at(0, b"FORM") && (at(8, b"AIFF") || at(8, b"AIFC")) => Kind::Aiff,
        _ if at(0, b".snd") => Kind::Au,
        _ if at(0, b"caff") => Kind::Caf,
        _ if at(0, b"fLaC") => Kind::Flac,
        _ if at(0, b"OggS") => Kind::Ogg,
        _ if at(0, b"\x1a\x45\xdf\xa3") => Kind::Matroska,
        _ if is_mp4(head) => Kind::Mp4,
        _ => return None,
    })
}

/// Whether the first box is one that MP4 and QuickTime files begin with; pictures of that family are none.
fn is_mp4(head: &[u8]) -> bool {
    let Some(kind) = head.get(4..8) else { return false };
    let size = head.first_chunk::<4>().map_or(0, |b| u32::from_be_bytes(*b));
    match kind {
        b"ftyp" => !NO_SOUND.iter().any(|(at, bytes, _)| *at == 4 && head[4..].starts_with(bytes)),
        b"moov" | b"mdat" | b"moof" | b"styp" | b"wide" | b"free" | b"skip" | b"pnot" => {
            size == 1 || size == 0 || size >= 8
        }
        _ => false,
    }
}

fn is_transport_stream(head: &[u8]) -> bool {
    [188, 192, 204].iter().any(|&each| {
        let offset = if each == 192 { 4 } else { 0 };
        head.len() > 5 * each && (0..5).all(|packet| head[offset + packet * each] == 0x47)
    })
}

/// Whether `head` reads as text.
fn is_text(head: &[u8]) -> bool {
    let head = &head[..head.len().min(4_096)];
    // A letter may be cut in half where we stopped.
    let valid = match std::str::from_utf8(head) {
        Ok(_) => head.len(),
        Err(error) if error.error_len().is_none() => error.valid_up_to(),
        Err(_) => return false,
    };
    valid > 0 && !head[..valid].iter().any(|&b| b < 0x20 && !matches!(b, b'\n' | b'\r' | b'\t' | 0x0c | 0x1b))
}

/// What kind of text it is.
fn document(head: &[u8]) -> Option<&'static str> {
    if head.starts_with(&[0xff, 0xfe]) || head.starts_with(&[0xfe, 0xff]) {
        let zeros = head.iter().take(512).filter(|&&b| b == 0).count();
        return (zeros > 100).then_some("a text");
    }
    if !is_text(head) {
        return None;
    }
    let text = String::from_utf8_lossy(&head[..head.len().min(4_096)]).to_ascii_lowercase();
    let text = text.trim_start_matches('\u{feff}').trim_start();
    Some(match text {
        t if t.starts_with("<!doctype html")
            || t.starts_with("<html")
            || t.contains("<head")
            || t.contains("<body") =>
        {
            "a saved web page: the download went wrong"
        }
        t if t.contains("<svg") => "an SVG picture",
        t if t.contains("<score-partwise") => "a MusicXML score",
        t if t.starts_with("<?xml") => "an XML document",
        t if t.starts_with("#extm3u") || t.starts_with("[playlist]") => "a playlist, which only names songs",
        t if t.contains("\ntrack ") && t.contains("file \"") || t.starts_with("file \"") => {
            "a cue sheet, which only names a song"
        }
        t if t.starts_with("version https://git-lfs") => "a Git LFS pointer: the song itself was not fetched",
        t if t.starts_with('{') || t.starts_with('[') => "a text (JSON?)",
        _ => "a text",
    })
}
