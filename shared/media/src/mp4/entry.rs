//! What an MP4's sample description says: which codec, with which header, at which rate.
//!
//! A codec that is not decoded here is called by its name. This module must never guess at a codec.

use super::boxes::{find, inside, u16_at, u32_at, u64_at};
use crate::{
    codec::{OpusHead, Setup},
    error::Fault,
    flac_frames::StreamInfo,
    pcm::{Coding, PcmFormat},
    stream::Shape,
};

/// The codec of the first entry in a `stsd` box, and the container's rate and channels.
pub(crate) fn read(stsd: &[u8]) -> Result<(Setup, Shape), Fault> {
    let too_short = || Fault::damaged("its sample description is too short");
    let (kind, entry) = inside(stsd.get(8..).ok_or_else(too_short)?).next().ok_or_else(too_short)?;
    let version = u16_at(entry, 8).ok_or_else(too_short)?;
    let mut channels = usize::from(u16_at(entry, 16).ok_or_else(too_short)?);
    let mut bits = usize::from(u16_at(entry, 18).ok_or_else(too_short)?);
    let mut rate_hz = u32_at(entry, 24).ok_or_else(too_short)? >> 16;
    let mut flags = None;
    let children = match version {
        1 => entry.get(44..),
        2 => {
            // QuickTime's long form: rate as a double, channels, bits and flags.
            rate_hz = f64::from_bits(u64_at(entry, 32).ok_or_else(too_short)?).round() as u32;
            channels = u32_at(entry, 40).ok_or_else(too_short)? as usize;
            bits = u32_at(entry, 48).ok_or_else(too_short)? as usize;
            flags = u32_at(entry, 52);
            entry.get(64..)
        }
        _ => entry.get(28..),
    }
    .unwrap_or_default();
    let child = |kind: &[u8; 4]| find(children, &[kind]).or_else(|| find(children, &[b"wave", kind]));
    let pcm = |coding, bytes: usize, big_endian| {
        let little = child(b"enda").and_then(|e| u16_at(e, 0)) == Some(1);
        Setup::Pcm(PcmFormat { coding, bytes, big_endian: big_endian && !little, channels })
    };
    let setup = match &kind {
        b"mp4a" => {
            mpeg4(child(b"esds").ok_or_else(|| Fault::damaged("its codec header (esds) is missing"))?)?
        }
        b"alac" => {
            let cookie = child(b"alac").and_then(|c| c.get(4..));
            Setup::Alac(cookie.ok_or_else(|| Fault::damaged("its ALAC header is missing"))?.to_vec())
        }
        b".mp3" | b"ms\0\x55" => Setup::Mpeg(3),
        b"Opus" => {
            let head = child(b"dOps").ok_or_else(|| Fault::damaged("its Opus header is missing"))?;
            Setup::Opus(OpusHead::parse(head, true)?)
        }
        b"fLaC" => {
            let info = child(b"dfLa").and_then(|c| c.get(8..));
            let info = StreamInfo::parse(info.ok_or_else(|| Fault::damaged("its FLAC header is missing"))?)?;
            rate_hz = info.rate_hz;
            Setup::Flac(info.bytes)
        }
        b"sowt" => pcm(Coding::Signed, bits.div_ceil(8), false),
        b"twos" => pcm(Coding::Signed, bits.div_ceil(8), true),
        b"in24" => pcm(Coding::Signed, 3, true),
        b"in32" => pcm(Coding::Signed, 4, true),
        b"fl32" => pcm(Coding::Float, 4, true),
        b"fl64" => pcm(Coding::Float, 8, true),
        b"raw " => pcm(Coding::Unsigned, bits.div_ceil(8), true),
        b"NONE" | b"\0\0\0\0" => {
            pcm(if bits > 8 { Coding::Signed } else { Coding::Unsigned }, bits.div_ceil(8), true)
        }
        b"alaw" => pcm(Coding::ALaw, 1, true),
        b"ulaw" => pcm(Coding::MuLaw, 1, true),
        b"lpcm" => {
            let flags = flags.unwrap_or(if bits == 8 { 0 } else { 4 });
            let coding = match flags {
                f if f & 1 != 0 => Coding::Float,
                f if f & 4 != 0 => Coding::Signed,
                _ => Coding::Unsigned,
            };
            pcm(coding, bits.div_ceil(8), flags & 2 != 0)
        }
        b"ipcm" | b"fpcm" => {
            let config = child(b"pcmC").ok_or_else(|| Fault::damaged("its PCM header is missing"))?;
            let (&order, &bits) = config.get(4).zip(config.get(5)).ok_or_else(too_short)?;
            let coding = if &kind == b"fpcm" { Coding::Float } else { Coding::Signed };
            pcm(coding, usize::from(bits).div_ceil(8), order & 1 == 0)
        }
        other => return Err(Fault::Unsupported(name(other))),
    };
    if let Setup::Pcm(format) = &setup
        && !format.is_possible()
    {
        return Err(Fault::damaged(format!("{channels} channels of {bits} bits are no format")));
    }
    Ok((setup, Shape { rate_hz, channels }))
}

/// The codec an `esds` box describes.
fn mpeg4(esds: &[u8]) -> Result<Setup, Fault> {
    let object = object_type(esds);
    let unsupported = |name: &str| Err(Fault::Unsupported(format!("an MP4 with {name} sound")));
    match object {
        Some(0x69 | 0x6b) => Ok(Setup::Mpeg(3)),
        Some(0xa5) => unsupported("AC-3"),
        Some(0xa6) => unsupported("E-AC-3"),
        Some(0xa9..=0xac) => unsupported("DTS"),
        Some(0xdd) => unsupported("Vorbis"),
        _ => {
            let config = aac_config(esds).ok_or_else(|| Fault::damaged("its AAC header is missing"))?;
            // The first five bits, or eleven of which five are set, name the kind of AAC.
            let first = u16_at(&config, 0).unwrap_or(0);
            let kind = if first >> 11 == 31 { 32 + (first >> 5 & 63) } else { first >> 11 };
            match kind {
                42 => unsupported("xHE-AAC (USAC)"),
                36 => unsupported("MPEG-4 ALS"),
                32..=34 => Ok(Setup::Mpeg(3)),
                _ => Ok(Setup::Aac(config)),
            }
        }
    }
}

/// The `AudioSpecificConfig` in an `esds` box (or a CAF cookie, which is the same without the box).
pub(crate) fn aac_config(esds: &[u8]) -> Option<Vec<u8>> {
    descriptor(esds, 5).filter(|config| config.len() >= 2).map(<[u8]>::to_vec)
}

fn object_type(esds: &[u8]) -> Option<u8> {
    descriptor(esds, 4).and_then(|d| d.first().copied())
}

/// The content of the descriptor `wanted` (3: stream, 4: decoder, 5: its own header) in an `esds` box.
fn descriptor(esds: &[u8], wanted: u8) -> Option<&[u8]> {
    let mut rest = if esds.first() == Some(&0) { esds.get(4..)? } else { esds };
    loop {
        let (&tag, mut inner) = rest.split_first()?;
        let mut length = 0usize;
        for _ in 0..4 {
            let (&byte, after) = inner.split_first()?;
            inner = after;
            length = length << 7 | usize::from(byte & 0x7f);
            if byte & 0x80 == 0 {
                break;
            }
        }
        let content = &inner[..length.min(inner.len())];
        if tag == wanted {
            return Some(content);
        }
        rest = match tag {
            3 => {
                let flags = *content.get(2)?;
                let url = if flags & 0x40 != 0 { 1 + usize::from(*content.get(3)?) } else { 0 };
                let more = if flags & 0x80 != 0 { 2 } else { 0 } + if flags & 0x20 != 0 { 2 } else { 0 };
                content.get(3 + more + url..)?
            }
            4 => content.get(13..)?,
            _ => inner.get(length..)?,
        };
    }
}

fn name(kind: &[u8; 4]) -> String {
    let codec = match kind {
        b"ac-3" => "AC-3",
        b"ec-3" => "E-AC-3 (Dolby Digital Plus)",
        b"ac-4" => "AC-4",
        b"dtsc" | b"dtse" | b"dtsh" | b"dtsl" | b"DTS " => "DTS",
        b"samr" | b"sawb" => "AMR",
        b"ima4" => "IMA ADPCM",
        b"QDM2" | b"QDMC" => "QDesign",
        b"mlpa" => "TrueHD",
        b"mhm1" | b"mha1" => "MPEG-H",
        b"drms" => return "a copy-protected iTunes song (DRM)".to_owned(),
        b"enca" => return "an encrypted MP4 (DRM)".to_owned(),
        other => {
            let letters = String::from_utf8_lossy(other).trim().escape_default().to_string();
            return format!("an MP4 or MOV with the codec '{letters}'");
        }
    };
    format!("an MP4 or MOV with {codec} sound")
}
