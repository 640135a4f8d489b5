//! What a Matroska file says of its sound track.
//!
//! A codec that is not decoded here is called by its name. This module must never guess at a codec.

use super::ebml::{find, float, inside, unsigned};
use crate::{
    codec::{OpusHead, Setup},
    error::Fault,
    flac_frames::StreamInfo,
    pcm::{Coding, PcmFormat},
    stream::Shape,
};

/// The sound track.
#[derive(Debug)]
pub(crate) struct Track {
    pub(crate) number: u64,
    pub(crate) setup: Setup,
    pub(crate) shape: Shape,
    /// Nanoseconds before the music, where the file says so.
    pub(crate) delay_nanos: u64,
    /// Bytes that every packet begins with and that were left out.
    pub(crate) stripped: Vec<u8>,
}

impl Track {
    /// The first track of a `Tracks` element whose sound can be decoded.
    pub(crate) fn choose(tracks: &[u8]) -> Result<Self, Fault> {
        let mut fault = None;
        for (_, entry) in inside(tracks).filter(|&(id, _)| id == 0xae) {
            // Type 2 is sound.
            if find(entry, 0x83).map(unsigned) != Some(2) {
                continue;
            }
            match Self::read(entry) {
                Ok(track) => return Ok(track),
                Err(other) => fault = fault.or(Some(other)),
            }
        }
        Err(fault.unwrap_or_else(|| Fault::NotAudio("a video without sound".to_owned())))
    }

    fn read(entry: &[u8]) -> Result<Self, Fault> {
        let missing = || Fault::damaged("the description of its sound track is incomplete");
        let audio = find(entry, 0xe1).unwrap_or_default();
        let rate_hz = find(audio, 0xb5).map_or(8_000.0, float).round() as u32;
        let channels = find(audio, 0x9f).map_or(1, unsigned) as usize;
        let bits = find(audio, 0x6264).map_or(0, unsigned) as usize;
        let private = find(entry, 0x63a2).unwrap_or_default();
        let name = find(entry, 0x86).ok_or_else(missing)?;
        let name = String::from_utf8_lossy(name).trim_end_matches('\0').to_owned();
        let mut shape = Shape { rate_hz, channels };
        let pcm = |coding, big_endian| {
            Setup::Pcm(PcmFormat { coding, bytes: bits.div_ceil(8), big_endian, channels })
        };
        let setup = match name.as_str() {
            "A_AAC" => Setup::Aac(Some(private).filter(|p| p.len() >= 2).ok_or_else(missing)?.to_vec()),
            "A_OPUS" => {
                let head = OpusHead::parse(private, false)?;
                (shape.rate_hz, shape.channels) = (crate::codec::OPUS_HZ, head.channels);
                Setup::Opus(head)
            }
            "A_VORBIS" => Setup::Vorbis(vorbis(private).ok_or_else(missing)?),
            "A_FLAC" => {
                let info = StreamInfo::parse(private.get(8..).ok_or_else(missing)?)?;
                (shape.rate_hz, shape.channels) = (info.rate_hz, info.channels);
                Setup::Flac(info.bytes)
            }
            "A_ALAC" => Setup::Alac(private.to_vec()),
            "A_MPEG/L3" => Setup::Mpeg(3),
            "A_MPEG/L2" => Setup::Mpeg(2),
            "A_MPEG/L1" => Setup::Mpeg(1),
            "A_PCM/INT/LIT" if bits == 8 => pcm(Coding::Unsigned, false),
            "A_PCM/INT/LIT" => pcm(Coding::Signed, false),
            "A_PCM/INT/BIG" => pcm(Coding::Signed, true),
            "A_PCM/FLOAT/IEEE" => pcm(Coding::Float, false),
            other => {
                return Err(Fault::Unsupported(format!(
                    "a Matroska or WebM file with {} sound",
                    codec_name(other)
                )));
            }
        };
        if let Setup::Pcm(format) = &setup
            && !format.is_possible()
        {
            return Err(Fault::damaged(format!("{channels} channels of {bits} bits are no format")));
        }
        let stripped = stripped(entry)?;
        let delay_nanos = find(entry, 0x56aa).map_or(0, unsigned);
        Ok(Self { number: find(entry, 0xd7).map_or(0, unsigned), setup, shape, delay_nanos, stripped })
    }
}

/// The bytes that a `ContentCompression` of the simplest kind left out of each packet.
fn stripped(entry: &[u8]) -> Result<Vec<u8>, Fault> {
    let Some(encodings) = find(entry, 0x6d80) else { return Ok(Vec::new()) };
    let mut bytes = Vec::new();
    for (_, encoding) in inside(encodings).filter(|&(id, _)| id == 0x6240) {
        let Some(compression) = find(encoding, 0x5034) else {
            return Err(Fault::Unsupported("an encrypted Matroska file".to_owned()));
        };
        match find(compression, 0x4254).map_or(0, unsigned) {
            3 => bytes.extend_from_slice(find(compression, 0x4255).unwrap_or_default()),
            _ => return Err(Fault::Unsupported("a Matroska file with compressed packets".to_owned())),
        }
    }
    Ok(bytes)
}

/// Identification and setup header of Vorbis's three, which are laced into one.
fn vorbis(private: &[u8]) -> Option<Vec<u8>> {
    let (&2, mut rest) = private.split_first()? else { return None };
    let mut size = || {
        let mut sum = 0;
        loop {
            let (&byte, after) = rest.split_first()?;
            rest = after;
            sum += usize::from(byte);
            if byte < 255 {
                return Some(sum);
            }
        }
    };
    let (first, second) = (size()?, size()?);
    Some([rest.get(..first)?, rest.get(first.checked_add(second)?..)?].concat())
}

fn codec_name(id: &str) -> String {
    match id {
        "A_AC3" => "AC-3".to_owned(),
        "A_EAC3" => "E-AC-3".to_owned(),
        "A_TRUEHD" => "TrueHD".to_owned(),
        "A_TTA1" => "TTA".to_owned(),
        "A_WAVPACK4" => "WavPack".to_owned(),
        id if id.starts_with("A_DTS") => "DTS".to_owned(),
        id if id.starts_with("A_REAL") => "RealAudio".to_owned(),
        id if id.starts_with("A_AAC/") => "AAC (in an early form)".to_owned(),
        other => other.chars().take(32).filter(|c| c.is_ascii_graphic()).collect(),
    }
}
