//! Where frames begin and end in a FLAC file, by their own checksums, and what stands before the first.
//!
//! Every byte between the first frame and the end belongs to a frame, to a known tag, or is told. This module must
//! never decode, nor trust a length in the header.

use crate::{
    error::Fault,
    mpeg::frames::{id3v2_bytes, skip_tag},
    source::Source,
};

/// A song's metadata blocks, covers and all.
const MAX_METADATA_BYTES: u64 = 256 << 20;
/// Bytes looked at first for a frame's end.
const FIRST_LOOK: usize = 32 << 10;

/// The content of a `STREAMINFO` block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StreamInfo {
    pub(crate) bytes: Vec<u8>,
    pub(crate) rate_hz: u32,
    pub(crate) channels: usize,
    pub(crate) bits: u32,
    /// Frames of the song; 0 is unknown.
    pub(crate) total_frames: u64,
}

impl StreamInfo {
    pub(crate) fn parse(content: &[u8]) -> Result<Self, Fault> {
        let mut bytes =
            content.get(..34).ok_or_else(|| Fault::damaged("its STREAMINFO is too short"))?.to_vec();
        let packed = bytes[10..18].iter().fold(0u64, |sum, &b| sum << 8 | u64::from(b));
        // Some encoders name too short a longest block; the decoder makes its buffer of this number.
        bytes[2..4].fill(0xff);
        let info = Self {
            rate_hz: (packed >> 44) as u32,
            channels: (packed >> 41 & 7) as usize + 1,
            bits: (packed >> 36 & 31) as u32 + 1,
            total_frames: packed & 0xf_ffff_ffff,
            bytes,
        };
        if info.rate_hz == 0 { Err(Fault::damaged("its STREAMINFO has no rate")) } else { Ok(info) }
    }
}

/// Reads `fLaC` and the blocks behind it; the source then stands at the first frame.
pub(crate) fn read_metadata(source: &mut Source) -> Result<StreamInfo, Fault> {
    source.take_exact(4)?;
    let (start, mut info) = (source.position(), None);
    loop {
        let header = source.take_exact(4)?;
        let length = u64::from(u32::from_be_bytes([0, header[1], header[2], header[3]]));
        if header[0] & 0x7f == 0 && info.is_none() {
            let content = source.take_exact(length as usize)?;
            info = Some(StreamInfo::parse(&content)?);
        } else if source.skip(length)? < length {
            return Err(Fault::CutOff(None));
        }
        if source.position() - start > MAX_METADATA_BYTES {
            return Err(Fault::damaged("there is no sound in its first 256 MiB"));
        }
        if header[0] & 0x80 != 0 {
            return info.ok_or_else(|| Fault::damaged("its STREAMINFO is missing"));
        }
    }
}

/// What a frame's header says, as far as it matters here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct FrameHeader {
    pub(crate) is_variable: bool,
    /// The frame's (or, if variable, its first sample's) number.
    pub(crate) number: u64,
    pub(crate) frames: u64,
    /// 0 where the header leaves it to `STREAMINFO`.
    pub(crate) rate_hz: u32,
    pub(crate) channels: usize,
    bits: u32,
}

impl FrameHeader {
    /// The header at the front of `bytes`, if its checksum says that it is one.
    pub(crate) fn parse(bytes: &[u8]) -> Option<Self> {
        let &[a, b, c, d] = bytes.first_chunk::<4>()?;
        if a != 0xff || b & 0xfe != 0xf8 || d & 1 != 0 {
            return None;
        }
        let first = *bytes.get(4)?;
        let more = match first.leading_ones() {
            0 => 0,
            ones @ 2..=7 => ones as usize - 1,
            _ => return None,
        };
        let mut number = u64::from(first) & if more == 0 { 0x7f } else { (1 << (6 - more)) - 1 };
        for &byte in bytes.get(5..5 + more)? {
            if byte & 0xc0 != 0x80 {
                return None;
            }
            number = number << 6 | u64::from(byte & 0x3f);
        }
        let mut at = 5 + more;
        let mut field = |length: usize| {
            let value = bytes.get(at..at + length)?.iter().fold(0u32, |sum, &b| sum << 8 | u32::from(b));
            at += length;
            Some(value)
        };
        let frames = match c >> 4 {
            0 => return None,
            1 => 192,
            code @ 2..=5 => 576 << (code - 2),
            6 => field(1)? + 1,
            7 => field(2)? + 1,
            code => 256 << (code - 8),
        };
        let rate_hz = match c & 15 {
            0 => 0,
            code @ 1..=11 => RATES[usize::from(code) - 1],
            12 => field(1)? * 1_000,
            13 => field(2)?,
            14 => field(2)? * 10,
            _ => return None,
        };
        let channels = match d >> 4 {
            code @ 0..=7 => usize::from(code) + 1,
            8..=10 => 2,
            _ => return None,
        };
        let bits = [0, 8, 12, 0, 16, 20, 24, 32][usize::from(d >> 1 & 7)];
        let crc = *bytes.get(at)?;
        (crc8(&bytes[..at]) == crc).then_some(Self {
            is_variable: b & 1 == 1,
            number,
            frames: u64::from(frames),
            rate_hz,
            channels,
            bits,
        })
    }

    /// More bytes than any encoder makes of such a frame.
    fn max_bytes(&self, info: &StreamInfo) -> usize {
        let bits = if self.bits == 0 { info.bits } else { self.bits } as usize + 1;
        64 + self.channels * (self.frames as usize * bits / 8 + 512) * 5 / 4
    }
}

const RATES: [u32; 11] =
    [88_200, 176_400, 192_000, 8_000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000, 96_000];

/// What comes next in a FLAC file.
pub(crate) enum Next {
    Frame(FrameHeader, Vec<u8>),
    /// Another song, joined end to end.
    Song(StreamInfo),
    End,
}

/// Reads the next frame of the stream that `info` describes. `complete` says that all promised frames were read:
/// then unknown bytes are somebody's tag.
pub(crate) fn next(source: &mut Source, info: &StreamInfo, complete: bool) -> Result<Next, Fault> {
    loop {
        let mut head = [0u8; 32];
        let bytes = source.peek(32)?;
        let head = &mut head[..bytes.len()];
        head.copy_from_slice(bytes);
        if head.is_empty() {
            return Ok(Next::End);
        }
        if let Some(header) = FrameHeader::parse(head) {
            let length = frame_bytes(source, &header, info)?;
            return Ok(Next::Frame(header, source.take(length)?));
        }
        if head.starts_with(b"fLaC") {
            return Ok(Next::Song(read_metadata(source)?));
        }
        if is_tag(head) {
            skip_tag(source)?;
        } else if complete || source.peek(FIRST_LOOK)?.iter().all(|&b| b == 0) {
            return Ok(Next::End);
        } else {
            return Err(if head.len() < 16 {
                Fault::CutOff(None)
            } else {
                Fault::damaged("a frame does not begin where it should")
            });
        }
    }
}

/// Length of the frame at the source's place: to where its checksum fits and something known follows.
fn frame_bytes(source: &mut Source, header: &FrameHeader, info: &StreamInfo) -> Result<usize, Fault> {
    let most = header.max_bytes(info);
    let (mut look, mut done, mut crc) = (FIRST_LOOK.min(most), 0, 0u16);
    loop {
        // Room for the header behind it.
        let bytes = source.peek(look + 32)?;
        let is_all = bytes.len() < look + 32;
        for at in done..bytes.len().min(look) {
            crc = crc16(crc, bytes[at]);
            let rest = &bytes[at + 1..];
            if crc == 0 && at > 8 && (follows(rest) || is_all && rest.len() < 128) {
                return Ok(at + 1);
            }
        }
        done = bytes.len().min(look);
        if is_all || look >= most {
            // A frame behind it says that this one is damaged and not cut off.
            let is_damaged = (1..done).any(|at| FrameHeader::parse(&bytes[at..]).is_some()) || !is_all;
            let damaged = Fault::damaged("a frame does not match its checksum");
            return Err(if is_damaged { damaged } else { Fault::CutOff(None) });
        }
        look = (look * 2).min(most);
    }
}

/// Whether `rest` is what may stand behind a frame.
fn follows(rest: &[u8]) -> bool {
    rest.is_empty()
        || FrameHeader::parse(rest).is_some()
        || rest.starts_with(b"fLaC")
        || is_tag(rest)
        || rest.iter().all(|&b| b == 0)
}

fn is_tag(bytes: &[u8]) -> bool {
    bytes.starts_with(b"TAG")
        || bytes.starts_with(b"APETAGEX")
        || bytes.starts_with(b"LYRICSBEGIN")
        || bytes.starts_with(b"ID3") && id3v2_bytes(bytes).is_some()
}

fn crc8(bytes: &[u8]) -> u8 {
    bytes.iter().fold(0u8, |crc, &byte| {
        (0..8).fold(crc ^ byte, |crc, _| if crc & 0x80 != 0 { crc << 1 ^ 0x07 } else { crc << 1 })
    })
}

fn crc16(crc: u16, byte: u8) -> u16 {
    crc << 8 ^ CRC16[usize::from((crc >> 8) as u8 ^ byte)]
}

/// The polynomial 0x8005, byte by byte.
const CRC16: [u16; 256] = {
    let mut table = [0u16; 256];
    let mut byte = 0;
    while byte < 256 {
        let mut crc = (byte as u16) << 8;
        let mut bit = 0;
        while bit < 8 {
            crc = if crc & 0x8000 != 0 { crc << 1 ^ 0x8005 } else { crc << 1 };
            bit += 1;
        }
        table[byte] = crc;
        byte += 1;
    }
    table
};
