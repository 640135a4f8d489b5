//! WAV in all its headers: RIFF, RIFX, RF64, BW64 and Sony's Wave64; and what lies behind the samples.
//!
//! A length that was never filled in (a pipe's, a crashed recorder's) is no length: the samples go to the end of
//! the file. A length that was filled in is a promise. This module must never decode a compressed codec.

use crate::{
    error::Fault,
    pcm::{After, Coding, PcmFormat, PcmStream},
    source::Source,
};

/// Samples begin within this much of a header.
const MAX_HEADER_BYTES: u64 = 256 << 20;
/// Writers into pipes put a length near 2 or 4 GiB, each one its own.
const MARKERS: [std::ops::RangeInclusive<u64>; 2] = [0x7fff_0000..=0x8000_0000, 0xffff_0000..=0xffff_ffff];

/// More than this behind the last chunk is no padding.
const MAX_REST_BYTES: u64 = 64 << 10;

/// What a WAV file's header leads to.
pub(crate) enum Wav {
    Samples(PcmStream),
    /// An MPEG stream in a WAV file, from the source's place on.
    Mpeg(Source),
}

/// Reads the header and stops where the sound begins.
pub(crate) fn open(mut source: Source) -> Result<Wav, Fault> {
    let mut header = Header::default();
    let length = header.read(&mut source)?;
    let Some(format) = header.format else { return Err(Fault::damaged("its format chunk is missing")) };
    match format {
        Format::Mpeg => Ok(Wav::Mpeg(source)),
        Format::Pcm(pcm, rate_hz) => {
            if pcm.bytes == 2 && is_wrapped(source.peek(8)?) {
                return Err(Fault::Unsupported("surround sound (DTS or AC-3) dressed up as WAV".to_owned()));
            }
            let behind = Box::new(move |source: &mut Source| header.behind(source));
            Ok(Wav::Samples(PcmStream::new(source, pcm, rate_hz, length, behind)?))
        }
    }
}

/// Whether sixteen-bit "samples" are the sync words of DTS or of IEC 61937.
fn is_wrapped(head: &[u8]) -> bool {
    let starts = |words: &[&[u8]]| words.iter().any(|word| head.starts_with(word));
    starts(&[
        &[0xff, 0x1f, 0x00, 0xe8],
        &[0xfe, 0x7f, 0x01, 0x80],
        &[0x7f, 0xfe, 0x80, 0x01],
        &[0x72, 0xf8, 0x1f, 0x4e],
    ])
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Format {
    Pcm(PcmFormat, u32),
    Mpeg,
}

/// What was read of the headers so far.
#[derive(Default)]
struct Header {
    big_endian: bool,
    wave64: bool,
    format: Option<Format>,
    /// The data's length as `ds64` has it.
    long_length: Option<u64>,
    /// The RIFF chunk's own length is not filled in, or nonsense.
    open_ended: bool,
}

impl Header {
    /// Reads from the source's place to where samples begin; their length in bytes, where it is one.
    fn read(&mut self, source: &mut Source) -> Result<Option<u64>, Fault> {
        let start = source.position();
        let head = source.take_exact(12)?;
        self.big_endian = head.starts_with(b"RIFX");
        self.wave64 = head.starts_with(b"riff");
        (self.long_length, self.open_ended) = (None, false);
        if self.wave64 {
            source.take_exact(28)?;
        } else {
            let size = u64::from(self.u32(&head[4..8]));
            self.open_ended = size <= 36 || is_marker(size);
        }
        while let Some((kind, size)) = self.chunk(source)? {
            if source.position() - start > MAX_HEADER_BYTES {
                return Err(Fault::damaged("there is no sound in its first 256 MiB"));
            }
            match &kind {
                b"fmt " => self.read_format(source, size)?,
                b"ds64" => {
                    let content = source.take_exact(size.min(1 << 16) as usize)?;
                    self.long_length =
                        content.get(8..16).and_then(|b| b.try_into().ok()).map(u64::from_le_bytes);
                    self.skip(source, size, content.len() as u64)?;
                }
                b"data" => return self.length(source, size),
                _ => self.skip(source, size, 0)?,
            }
        }
        Err(Fault::CutOff(None))
    }

    /// The length of the data chunk at the source's place, if what the header says is one.
    fn length(&self, source: &mut Source, size: u64) -> Result<Option<u64>, Fault> {
        let there = source.end().map(|end| end.saturating_sub(source.position()));
        let long = self.long_length.filter(|&l| l > 0 && l < u64::MAX / 2);
        let never_filled_in =
            size == 0 && there != Some(0) && (self.open_ended || !self.is_chunk(source.peek(8)?, there));
        Ok(match size {
            0xffff_ffff if long.is_some() => long,
            // A recorder that never came back: what follows is no other chunk but its sound.
            0 if never_filled_in => None,
            size if is_marker(size) && there.is_none_or(|there| there < size || there > 1 << 32) => None,
            // The length of more than 4 GiB, less what 32 bits cannot hold.
            size if there.is_some_and(|t| t > u64::from(u32::MAX) && (t - size) % (1 << 32) < 1 << 16) => {
                None
            }
            size => Some(size),
        })
    }

    /// Whether `head` is the beginning of a chunk that fits into what is there.
    fn is_chunk(&self, head: &[u8], there: Option<u64>) -> bool {
        head.len() < 8
            || head[..4].iter().all(|byte| (b' '..=b'~').contains(byte))
                && there.is_none_or(|there| u64::from(self.u32(&head[4..8])) <= there)
    }

    fn read_format(&mut self, source: &mut Source, size: u64) -> Result<(), Fault> {
        let content = source.take_exact(size.min(1 << 16) as usize)?;
        self.skip(source, size, content.len() as u64)?;
        if content.len() < 14 {
            return Err(Fault::damaged("its format chunk is too short"));
        }
        let mut tag = self.u16(&content[0..2]);
        let channels = usize::from(self.u16(&content[2..4]));
        let rate_hz = self.u32(&content[4..8]);
        let frame_bytes = usize::from(self.u16(&content[12..14]));
        let bits = content.get(14..16).map_or(8, |b| usize::from(self.u16(b)));
        // An extended format names the true one in the first bytes of an identifier, where there is one.
        if tag == 0xfffe {
            tag = content.get(24..26).map_or(1, |b| self.u16(b));
        }
        let coding = match tag {
            1 if bits <= 8 => Coding::Unsigned,
            1 => Coding::Signed,
            3 => Coding::Float,
            6 => Coding::ALaw,
            7 => Coding::MuLaw,
            0x50 | 0x55 => {
                self.format = Some(Format::Mpeg);
                return Ok(());
            }
            other => return Err(Fault::Unsupported(format!("a WAV file with {}", codec_name(other)))),
        };
        if channels == 0 {
            return Err(Fault::damaged("its header promises no channels"));
        }
        let own = bits.div_ceil(8);
        // A sample may lie in more bytes than it has; nonsense in that field is ignored.
        let bytes = if frame_bytes % channels == 0 && frame_bytes / channels >= own.max(1) {
            frame_bytes / channels
        } else {
            own
        };
        let bytes = if bytes > 8 || (coding == Coding::Float && bytes != 8) { own } else { bytes };
        self.format =
            Some(Format::Pcm(PcmFormat { coding, bytes, big_endian: self.big_endian, channels }, rate_hz));
        Ok(())
    }

    /// Looks at what is behind a data chunk: other chunks, another song of the same format, or nothing.
    fn behind(&mut self, source: &mut Source) -> Result<After, Fault> {
        loop {
            // Chunks begin at even places; some writers forget it.
            if !self.wave64 && source.position() % 2 == 1 && source.peek(1)? == [0] {
                source.skip(1)?;
            }
            let rest = source.end().map_or(0, |end| end.saturating_sub(source.position()));
            let head = source.peek(12)?;
            let again = head.len() == 12
                && [&b"RIFF"[..], b"RIFX", b"RF64", b"BW64"].contains(&&head[..4])
                && &head[8..] == b"WAVE";
            if again {
                // Files joined end to end.
                let before = self.format.take();
                let length = self.read(source)?;
                return if self.format == before { Ok(After::More(length)) } else { Err(Fault::Changes) };
            }
            if head.len() < 8 || is_tag(head) {
                return Ok(After::End);
            }
            if head[..4].iter().any(|b| !(b' '..=b'~').contains(b)) {
                // Padding, or the rest of a recording whose header was never brought up to date.
                return if rest > MAX_REST_BYTES && head.iter().any(|&b| b != 0) {
                    Err(Fault::damaged("it goes on behind the end that its header gives"))
                } else {
                    Ok(After::End)
                };
            }
            let Some((kind, size)) = self.chunk(source)? else { return Ok(After::End) };
            match &kind {
                b"data" => return Ok(After::More(self.length(source, size)?)),
                _ => self.skip(source, size, 0)?,
            }
        }
    }

    /// The next chunk's kind and length.
    fn chunk(&self, source: &mut Source) -> Result<Option<([u8; 4], u64)>, Fault> {
        let header = source.take(if self.wave64 { 24 } else { 8 })?;
        let Some(&kind) = header.first_chunk::<4>() else { return Ok(None) };
        let size = if self.wave64 {
            let Some(size) = header.get(16..24).and_then(|b| b.try_into().ok()) else { return Ok(None) };
            u64::from_le_bytes(size).saturating_sub(24)
        } else {
            let Some(size) = header.get(4..8) else { return Ok(None) };
            u64::from(self.u32(size))
        };
        Ok(Some((kind, size)))
    }

    /// Steps over the rest of a chunk of `size` bytes and its padding.
    fn skip(&self, source: &mut Source, size: u64, taken: u64) -> Result<(), Fault> {
        let align = if self.wave64 { 8 } else { 2 };
        source.skip((size - taken).saturating_add((align - size % align) % align))?;
        Ok(())
    }

    fn u16(&self, bytes: &[u8]) -> u16 {
        let bytes = [bytes[0], bytes[1]];
        if self.big_endian { u16::from_be_bytes(bytes) } else { u16::from_le_bytes(bytes) }
    }

    fn u32(&self, bytes: &[u8]) -> u32 {
        let bytes = [bytes[0], bytes[1], bytes[2], bytes[3]];
        if self.big_endian { u32::from_be_bytes(bytes) } else { u32::from_le_bytes(bytes) }
    }
}

fn is_marker(size: u64) -> bool {
    MARKERS.iter().any(|range| range.contains(&size))
}

fn is_tag(head: &[u8]) -> bool {
    head.starts_with(b"TAG") || head.starts_with(b"APETAGEX") || head.starts_with(b"ID3")
}

fn codec_name(tag: u16) -> String {
    match tag {
        0x02 => "Microsoft ADPCM".to_owned(),
        0x11 => "IMA ADPCM".to_owned(),
        0x31 => "GSM".to_owned(),
        0x92 | 0x2000 => "AC-3".to_owned(),
        0x2001 => "DTS".to_owned(),
        0xff | 0x1600..=0x1610 => "AAC".to_owned(),
        0x160..=0x163 => "Windows Media Audio".to_owned(),
        0x566f..=0x6771 => "Ogg Vorbis".to_owned(),
        0xf1ac => "FLAC".to_owned(),
        other => format!("the codec {other:#06x}"),
    }
}
