//! AIFF and AIFF-C, and Sun's AU: headers before plain samples, most of them big-endian.
//!
//! This module must never decode a compressed codec.

use crate::{
    error::Fault,
    pcm::{After, Coding, PcmFormat, PcmStream},
    source::Source,
};

/// Chunks before the sound are not longer than this altogether.
const MAX_HEADER_BYTES: u64 = 256 << 20;

/// Opens a `FORM` of `AIFF` or `AIFC`.
pub(crate) fn open(mut source: Source) -> Result<PcmStream, Fault> {
    source.take_exact(12)?;
    let mut common = None;
    let mut sound = None;
    loop {
        let header = source.take(8)?;
        let Some((kind, size)) = header.split_first_chunk::<4>() else { break };
        let Ok(size) = <[u8; 4]>::try_from(size).map(|b| u64::from(u32::from_be_bytes(b))) else { break };
        match kind {
            b"COMM" => {
                let content = source.take_exact(size.min(4_096) as usize)?;
                source.skip(size - content.len() as u64 + size % 2)?;
                common = Some(Common::parse(&content)?);
            }
            b"SSND" => {
                let head = source.take_exact(8)?;
                let offset = u64::from(u32::from_be_bytes([head[0], head[1], head[2], head[3]]));
                source.skip(offset)?;
                let there = source.end().map(|end| end.saturating_sub(source.position()));
                let length = size.saturating_sub(8 + offset);
                // Pipes and recorders that stopped leave 0, or a length near 2 or 4 GiB.
                let is_open = size < 8 || size >= 0x7fff_0000 && there.is_none_or(|there| there < length);
                sound = Some((source.position(), Some(length).filter(|_| !is_open)));
                // The format usually stands before the sound; where it does not, a file can be gone back in.
                if common.is_some() || is_open || !source.is_seekable() {
                    break;
                }
                source.skip(length + size % 2)?;
            }
            _ => {
                source.skip(size + size % 2)?;
            }
        }
        if common.is_none() && sound.is_none() && source.position() > MAX_HEADER_BYTES {
            return Err(Fault::damaged("there is no sound in its first 256 MiB"));
        }
    }
    let Some(common) = common else { return Err(Fault::damaged("its COMM chunk is missing")) };
    let Some((start, length)) = sound else {
        return if common.frames == 0 {
            silent(source, &common)
        } else {
            Err(Fault::CutOff(Some(common.frames)))
        };
    };
    source.seek(start)?;
    // Frames are counted twice; the chunk's own length counts more samples where they differ by padding.
    let promised = common.frames * common.format.frame_bytes() as u64;
    let length = match length {
        Some(length) if promised > length => return Err(Fault::CutOff(Some(common.frames))),
        Some(length) if promised > 0 && length - promised < 1 << 12 => Some(promised),
        other => other,
    };
    PcmStream::new(source, common.format, common.rate_hz, length, Box::new(|_| Ok(After::End)))
}

fn silent(source: Source, common: &Common) -> Result<PcmStream, Fault> {
    PcmStream::new(source, common.format, common.rate_hz, Some(0), Box::new(|_| Ok(After::End)))
}

struct Common {
    format: PcmFormat,
    rate_hz: u32,
    frames: u64,
}

impl Common {
    fn parse(content: &[u8]) -> Result<Self, Fault> {
        let short = || Fault::damaged("its COMM chunk is too short");
        let head = content.first_chunk::<18>().ok_or_else(short)?;
        let channels = usize::from(u16::from_be_bytes([head[0], head[1]]));
        let frames = u64::from(u32::from_be_bytes([head[2], head[3], head[4], head[5]]));
        let bits = usize::from(u16::from_be_bytes([head[6], head[7]]));
        let mut extended = [0u8; 10];
        extended.copy_from_slice(&head[8..18]);
        let kind = content.get(18..22).unwrap_or(b"NONE");
        let (coding, bytes, big_endian) = match kind {
            b"NONE" | b"none" | b"twos" => (Coding::Signed, bits.div_ceil(8), true),
            b"sowt" => (Coding::Signed, bits.div_ceil(8), false),
            b"in24" => (Coding::Signed, 3, true),
            b"in32" => (Coding::Signed, 4, true),
            b"42ni" => (Coding::Signed, 3, false),
            b"23ni" => (Coding::Signed, 4, false),
            b"raw " => (Coding::Unsigned, 1, true),
            b"fl32" | b"FL32" => (Coding::Float, 4, true),
            b"fl64" | b"FL64" => (Coding::Float, 8, true),
            b"alaw" | b"ALAW" => (Coding::ALaw, 1, true),
            b"ulaw" | b"ULAW" => (Coding::MuLaw, 1, true),
            other => {
                let name = String::from_utf8_lossy(other).trim().escape_default().to_string();
                return Err(Fault::Unsupported(format!("an AIFF-C file with the codec '{name}'")));
            }
        };
        let format = PcmFormat { coding, bytes, big_endian, channels };
        if !format.is_possible() {
            return Err(Fault::damaged(format!("{channels} channels of {bits} bits are no format")));
        }
        Ok(Self { format, rate_hz: extended_hz(extended), frames })
    }
}

/// A whole number of Hz from an 80-bit float; 0 for nonsense.
fn extended_hz(bytes: [u8; 10]) -> u32 {
    let exponent = i32::from(u16::from_be_bytes([bytes[0], bytes[1]])) - 16_383;
    let mantissa = bytes[2..].iter().fold(0u64, |sum, &b| sum << 8 | u64::from(b));
    match exponent {
        0..=31 => u32::try_from((mantissa >> (62 - exponent)).div_ceil(2)).unwrap_or(0),
        _ => 0,
    }
}

/// Opens Sun's AU (`.snd`).
pub(crate) fn open_au(mut source: Source) -> Result<PcmStream, Fault> {
    let head = source.take_exact(24)?;
    let word = |at: usize| u32::from_be_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]);
    let (offset, size, code, rate_hz, channels) = (word(4), word(8), word(12), word(16), word(20) as usize);
    let (coding, bytes) = match code {
        1 => (Coding::MuLaw, 1),
        2..=5 => (Coding::Signed, code as usize - 1),
        6 => (Coding::Float, 4),
        7 => (Coding::Float, 8),
        27 => (Coding::ALaw, 1),
        other => return Err(Fault::Unsupported(format!("an AU file with the codec {other}"))),
    };
    source.skip(u64::from(offset).saturating_sub(24))?;
    let there = source.end().map(|end| end.saturating_sub(source.position()));
    let is_open = size == u32::MAX || size == 0 && there != Some(0) || size >= 0x7fff_0000 && there.is_none();
    let length = Some(u64::from(size)).filter(|_| !is_open);
    let format = PcmFormat { coding, bytes, big_endian: true, channels };
    PcmStream::new(source, format, rate_hz, length, Box::new(|_| Ok(After::End)))
}
