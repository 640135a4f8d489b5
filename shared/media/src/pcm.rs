//! Plain samples of every width, order and coding, as they lie in WAV, AIFF, CAF, AU and QuickTime files.
//!
//! This module must never judge whether a file is whole beyond its last frame.

use crate::{
    error::Fault,
    source::Source,
    stream::{self, Block, Shape, Stream},
};

/// Frames decoded at once.
const PIECE_FRAMES: u64 = 4_096;

/// How one sample is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Coding {
    /// Two's complement, full scale at the container's top.
    Signed,
    /// Offset binary (8 bits in WAV).
    Unsigned,
    Float,
    ALaw,
    MuLaw,
}

/// How frames are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct PcmFormat {
    pub(crate) coding: Coding,
    /// Bytes a sample takes.
    pub(crate) bytes: usize,
    pub(crate) big_endian: bool,
    pub(crate) channels: usize,
}

impl PcmFormat {
    /// Whether this is a layout that exists.
    pub(crate) fn is_possible(&self) -> bool {
        let width = match self.coding {
            Coding::Signed | Coding::Unsigned => (1..=4).contains(&self.bytes),
            Coding::Float => matches!(self.bytes, 4 | 8),
            Coding::ALaw | Coding::MuLaw => self.bytes == 1,
        };
        width && self.channels > 0
    }

    pub(crate) fn frame_bytes(&self) -> usize {
        self.bytes * self.channels
    }

    /// Appends the whole frames in `bytes` to `block`, which has our channels.
    pub(crate) fn decode(&self, bytes: &[u8], block: &mut Block) {
        for frame in bytes.chunks_exact(self.frame_bytes()) {
            for (channel, sample) in block.iter_mut().zip(frame.chunks_exact(self.bytes)) {
                channel.push(self.sample(sample));
            }
        }
    }

    fn sample(&self, bytes: &[u8]) -> f32 {
        // The bytes at the top of a big-endian word, whichever way they came.
        let mut word = [0u8; 8];
        for (at, &byte) in bytes.iter().enumerate() {
            word[if self.big_endian { at } else { bytes.len() - 1 - at }] = byte;
        }
        let [a, b, c, d, ..] = word;
        let top = i32::from_be_bytes([a, b, c, d]);
        match self.coding {
            Coding::Signed => (f64::from(top) / 2_147_483_648.0) as f32,
            Coding::Unsigned => (f64::from(top ^ i32::MIN) / 2_147_483_648.0) as f32,
            Coding::Float if self.bytes == 8 => f64::from_be_bytes(word) as f32,
            Coding::Float => f32::from_be_bytes([a, b, c, d]),
            Coding::ALaw => a_law(a),
            Coding::MuLaw => mu_law(a),
        }
    }
}

/// ITU-T G.711 A-law.
fn a_law(byte: u8) -> f32 {
    let byte = byte ^ 0x55;
    let (exponent, mantissa) = (i32::from(byte >> 4 & 7), i32::from(byte & 0x0f));
    let magnitude = match exponent {
        0 => (mantissa << 4) + 8,
        _ => ((mantissa << 4) + 0x108) << (exponent - 1),
    };
    let value = if byte & 0x80 != 0 { magnitude } else { -magnitude };
    value as f32 / 32_768.0
}

/// ITU-T G.711 µ-law.
fn mu_law(byte: u8) -> f32 {
    let byte = !byte;
    let (exponent, mantissa) = (i32::from(byte >> 4 & 7), i32::from(byte & 0x0f));
    let magnitude = (((mantissa << 3) + 0x84) << exponent) - 0x84;
    let value = if byte & 0x80 != 0 { -magnitude } else { magnitude };
    value as f32 / 32_768.0
}

/// What to do when a stretch of samples is over.
pub(crate) enum After {
    /// The song is over.
    End,
    /// Another stretch begins at the source's place: so many bytes, or to the end.
    More(Option<u64>),
}

/// Reads on in the container behind a stretch of samples.
pub(crate) type Behind = Box<dyn FnMut(&mut Source) -> Result<After, Fault> + Send>;

/// Stretches of plain samples in a file.
pub(crate) struct PcmStream {
    source: Source,
    format: PcmFormat,
    rate_hz: u32,
    /// Where the first stretch begins, and how long it was said to be.
    first: (u64, Option<u64>),
    /// Bytes of this stretch not yet read; `None` is to the end of the file.
    left: Option<u64>,
    frames: u64,
    behind: Behind,
    /// Whether a second stretch was begun: then frames do not tell places.
    beyond_first: bool,
}

impl PcmStream {
    /// Samples from the source's place on, `length` bytes of them or to the end. `behind` reads on there.
    pub(crate) fn new(
        source: Source,
        format: PcmFormat,
        rate_hz: u32,
        length: Option<u64>,
        behind: Behind,
    ) -> Result<Self, Fault> {
        if !format.is_possible() {
            return Err(Fault::Unsupported(format!("a song with {} bits a sample", format.bytes * 8)));
        }
        let first = (source.position(), length);
        Ok(Self { source, format, rate_hz, first, left: length, frames: 0, behind, beyond_first: false })
    }
}

impl Stream for PcmStream {
    fn shape(&self) -> Shape {
        Shape { rate_hz: self.rate_hz, channels: self.format.channels }
    }

    fn expected_frames(&self) -> Option<u64> {
        let to_end = self.source.end().map(|end| end.saturating_sub(self.first.0));
        Some(self.first.1.or(to_end)? / self.format.frame_bytes() as u64)
    }

    fn is_lossy(&self) -> bool {
        false
    }

    fn next(&mut self, block: &mut Block) -> Result<bool, Fault> {
        stream::clear(block, self.format.channels);
        let frame_bytes = self.format.frame_bytes() as u64;
        loop {
            let wanted = self.left.unwrap_or(u64::MAX).min(PIECE_FRAMES * frame_bytes);
            // What is left of a stretch and no whole frame is padding.
            if wanted < frame_bytes {
                self.source.skip(wanted)?;
                match (self.behind)(&mut self.source)? {
                    After::End => return Ok(false),
                    After::More(length) => (self.left, self.beyond_first) = (length, true),
                }
                continue;
            }
            let wanted = wanted / frame_bytes * frame_bytes;
            let bytes = self.source.take(wanted as usize)?;
            let got = bytes.len() as u64 / frame_bytes;
            if (bytes.len() as u64) < wanted && self.left.is_some() {
                return Err(Fault::CutOff(self.expected_frames().filter(|_| !self.beyond_first)));
            }
            if got == 0 {
                return Ok(false);
            }
            self.left = self.left.map(|left| left - wanted);
            self.frames += got;
            self.format.decode(&bytes, block);
            return Ok(true);
        }
    }

    fn seek(&mut self, frame: u64) -> Result<Option<u64>, Fault> {
        let frame_bytes = self.format.frame_bytes() as u64;
        let (start, length) = self.first;
        let offset = frame.saturating_mul(frame_bytes);
        if !self.source.is_seekable() || length.is_some_and(|length| offset > length) {
            return Ok(None);
        }
        self.source.seek(start + offset)?;
        (self.left, self.frames, self.beyond_first) = (length.map(|l| l - offset), frame, false);
        Ok(Some(frame))
    }
}
