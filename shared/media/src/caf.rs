//! Apple's Core Audio Format: plain samples, ALAC, AAC and what else lies in it.
//!
//! This module must never read the sound itself, only where it lies.

use crate::{
    codec::{OpusHead, Setup},
    error::Fault,
    pcm::{After, Coding, PcmFormat, PcmStream},
    source::Source,
    stream::{Shape, Stream},
    table::{Contents, Place, TableStream},
};

/// A packet table longer than this is no song's.
const MAX_TABLE_BYTES: u64 = 64 << 20;

/// What the `desc` chunk says.
struct Description {
    rate_hz: u32,
    kind: [u8; 4],
    flags: u32,
    packet_bytes: u32,
    packet_frames: u32,
    channels: usize,
    bits: usize,
}

/// Opens a CAF file; a pipe becomes a file first, since tables may stand behind the sound.
pub(crate) fn open(mut source: Source) -> Result<Box<dyn Stream>, Fault> {
    source.spool()?;
    source.take_exact(8)?;
    let (mut description, mut cookie, mut table, mut data) = (None, Vec::new(), Vec::new(), None);
    loop {
        let header = source.take(12)?;
        if header.len() < 12 {
            break;
        }
        let size = i64::from_be_bytes([
            header[4], header[5], header[6], header[7], header[8], header[9], header[10], header[11],
        ]);
        let there = source.end().unwrap_or(0).saturating_sub(source.position());
        if &header[..4] == b"data" {
            source.skip(4)?;
            // An edit count stands before the sound; no length means to the end of the file.
            let length = u64::try_from(size).ok().map(|size| size.saturating_sub(4));
            data = Some((source.position(), length));
            match length {
                Some(length) => source.skip(length)?,
                None => break,
            };
            continue;
        }
        let Ok(size) = u64::try_from(size) else { return Err(Fault::damaged("a chunk without a length")) };
        let kept = match &header[..4] {
            b"desc" => 32,
            b"kuki" | b"pakt" if size <= MAX_TABLE_BYTES => size,
            _ => 0,
        };
        let content = source.take_exact(kept.min(size).min(there) as usize)?;
        source.skip(size - content.len() as u64)?;
        match &header[..4] {
            b"desc" => description = Some(describe(&content)?),
            b"kuki" => cookie = content,
            b"pakt" => table = content,
            _ => {}
        }
    }
    let Some(description) = description else { return Err(Fault::damaged("its description is missing")) };
    let Some((start, length)) = data else { return Err(Fault::CutOff(None)) };
    if &description.kind == b"lpcm" || &description.kind == b"alaw" || &description.kind == b"ulaw" {
        source.seek(start)?;
        let behind = Box::new(|_: &mut Source| Ok(After::End));
        return Ok(Box::new(PcmStream::new(source, pcm(&description), description.rate_hz, length, behind)?));
    }
    // A table may promise any number of packets; none lies behind the data.
    let there = source.end().unwrap_or(0).saturating_sub(start);
    let contents = packets(&description, cookie, &table, start, length.map_or(there, |l| l.min(there)))?;
    Ok(Box::new(TableStream::new(source, contents)?))
}

fn describe(content: &[u8]) -> Result<Description, Fault> {
    let bytes = content.first_chunk::<32>().ok_or_else(|| Fault::damaged("its description is too short"))?;
    let word = |at: usize| u32::from_be_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
    let rate = f64::from_bits(u64::from(word(0)) << 32 | u64::from(word(4)));
    Ok(Description {
        // A cast saturates, and nonsense becomes 0.
        rate_hz: rate.round() as u32,
        kind: [bytes[8], bytes[9], bytes[10], bytes[11]],
        flags: word(12),
        packet_bytes: word(16),
        packet_frames: word(20),
        channels: word(24) as usize,
        bits: word(28) as usize,
    })
}

fn pcm(description: &Description) -> PcmFormat {
    let coding = match &description.kind {
        b"alaw" => Coding::ALaw,
        b"ulaw" => Coding::MuLaw,
        _ if description.flags & 1 != 0 => Coding::Float,
        _ => Coding::Signed,
    };
    let channels = description.channels;
    let stated = description.packet_bytes as usize;
    let bytes = if channels > 0
        && stated.is_multiple_of(channels)
        && stated / channels >= description.bits.div_ceil(8)
    {
        stated / channels
    } else {
        description.bits.div_ceil(8)
    };
    PcmFormat { coding, bytes, big_endian: description.flags & 2 == 0, channels }
}

fn packets(
    description: &Description,
    cookie: Vec<u8>,
    table: &[u8],
    start: u64,
    length: u64,
) -> Result<Contents, Fault> {
    let setup = match &description.kind {
        b"alac" => Setup::Alac(alac_cookie(&cookie)),
        b"aac " | b"aach" | b"aacp" => Setup::Aac(crate::mp4::entry::aac_config(&cookie).unwrap_or(cookie)),
        b"opus" => Setup::Opus(OpusHead { channels: description.channels, skip_frames: 0, gain: 1.0 }),
        other => {
            let name = String::from_utf8_lossy(other).trim().escape_default().to_string();
            return Err(Fault::Unsupported(format!("a CAF file with the codec '{name}'")));
        }
    };
    let word =
        |at: usize| table.get(at..at + 8).and_then(|b| b.try_into().ok()).map_or(0, i64::from_be_bytes);
    let half =
        |at: usize| table.get(at..at + 4).and_then(|b| b.try_into().ok()).map_or(0, i32::from_be_bytes);
    let count = u64::try_from(word(0)).unwrap_or(0);
    let mut rest = table.get(24..).unwrap_or_default();
    let mut offset = start;
    let mut places = Vec::new();
    for _ in 0..count {
        let bytes = if description.packet_bytes > 0 { description.packet_bytes } else { number(&mut rest)? };
        if description.packet_frames == 0 {
            number(&mut rest)?;
        }
        places.push(Place { offset, bytes });
        offset += u64::from(bytes);
        if offset - start > length {
            return Err(Fault::CutOff(None));
        }
        if places.len() as u64 > MAX_TABLE_BYTES {
            return Err(Fault::damaged("its packet table is nonsense"));
        }
    }
    Ok(Contents {
        setup,
        shape: Shape { rate_hz: description.rate_hz, channels: description.channels },
        packets: places,
        delay_frames: u64::try_from(half(16)).unwrap_or(0),
        frames: u64::try_from(word(8)).ok().filter(|&frames| frames > 0),
        hint_frames: None,
        is_cut_off: count == 0,
    })
}

/// ALAC's cookie as CAF has it: sometimes wrapped in two old boxes.
fn alac_cookie(cookie: &[u8]) -> Vec<u8> {
    let is_wrapped = cookie.get(4..8) == Some(b"frma");
    cookie.get(if is_wrapped { 24.. } else { 0.. }).unwrap_or_default().to_vec()
}

/// A number of seven bits a byte.
fn number(bytes: &mut &[u8]) -> Result<u32, Fault> {
    let mut value = 0u32;
    loop {
        let (&byte, rest) = bytes.split_first().ok_or(Fault::CutOff(None))?;
        *bytes = rest;
        value = value.checked_shl(7).unwrap_or(0) | u32::from(byte & 0x7f);
        if byte & 0x80 == 0 {
            return Ok(value);
        }
    }
}
