//! One stem as a 24-bit FLAC file, written block by block.
//!
//! flacenc encodes single FLAC frames; the file around them is written here, so that memory stays bounded
//! however long the song is. The stream header is written last, when length and checksum are known.

use std::{
    fs::File,
    io::{self, BufWriter, Seek, SeekFrom, Write},
    path::Path,
};

use flacenc::{
    bitsink::ByteSink,
    component::{BitRepr, Decode, StreamInfo},
    config,
    error::{Verified, Verify},
    source::{Context, Fill, FrameBuf},
};
use rehearsekit_audio::SampleRate;

use crate::grid;

/// Frames of audio per FLAC frame: the reference encoder's choice up to 48 kHz and a fair one above.
const BLOCK_FRAMES: usize = 4_096;
/// What a frame takes besides its plain samples: headers and checksums, with room.
const FRAME_EXTRA_BITS: usize = 512;
/// Bytes of the stream marker and the first metadata block.
const HEADER_BYTES: usize = 4 + 4 + 34;
/// Says of a metadata block that it is the last one.
const IS_LAST: u8 = 0x80;
/// Highest rate flacenc agrees to. Above it, it is told one that a frame header cannot express, so that
/// decoders take the rate from the stream header, where the true one stands.
const ENCODER_MAX_HZ: u32 = 96_000;
const INEXPRESSIBLE_HZ: usize = 65_537;

/// A FLAC file being written.
pub struct FlacFile {
    file: BufWriter<File>,
    rate: SampleRate,
    channels: usize,
    config: Verified<config::Encoder>,
    /// No prediction at all: plain samples.
    plain: Verified<config::Encoder>,
    info: StreamInfo,
    has_more_blocks: bool,
    frame: FrameBuf,
    context: Context,
    /// Interleaved samples not yet encoded, fewer than one block.
    pending: Vec<i32>,
    encoded_frames: usize,
    frame_bytes: Option<(usize, usize)>,
}

impl FlacFile {
    /// Creates the file at `path` for one or two channels, with `more` metadata blocks, each its kind and its content.
    pub fn create(
        path: &Path,
        rate: SampleRate,
        channels: usize,
        more: &[(u8, Vec<u8>)],
    ) -> io::Result<Self> {
        let bits = grid::BITS as usize;
        let claimed_hz = if rate.hz() > ENCODER_MAX_HZ { INEXPRESSIBLE_HZ } else { rate.hz() as usize };
        let config = settings().into_verified().map_err(|(_, e)| encoder_error(e))?;
        let mut plain = settings();
        plain.subframe_coding.use_fixed = false;
        plain.subframe_coding.use_lpc = false;
        let plain = plain.into_verified().map_err(|(_, e)| encoder_error(e))?;
        let mut file = BufWriter::new(File::create(path)?);
        file.write_all(&[0; HEADER_BYTES])?;
        for (index, (kind, content)) in more.iter().enumerate() {
            let last = if index + 1 == more.len() { IS_LAST } else { 0 };
            file.write_all(&[kind | last])?;
            file.write_all(&(content.len() as u32).to_be_bytes()[1..])?;
            file.write_all(content)?;
        }
        Ok(Self {
            file,
            rate,
            channels,
            config,
            plain,
            has_more_blocks: !more.is_empty(),
            info: StreamInfo::new(claimed_hz, channels, bits).map_err(encoder_error)?,
            frame: FrameBuf::with_size(channels, BLOCK_FRAMES).map_err(encoder_error)?,
            context: Context::new(bits, channels),
            pending: Vec::with_capacity(BLOCK_FRAMES * channels),
            encoded_frames: 0,
            frame_bytes: None,
        })
    }

    /// Appends planar `channels` (equally long, on the 24-bit grid).
    pub fn write(&mut self, channels: &[Vec<i32>]) -> io::Result<()> {
        for frame in 0..channels.first().map_or(0, Vec::len) {
            self.pending.extend(channels.iter().map(|c| c[frame]));
            if self.pending.len() == BLOCK_FRAMES * self.channels {
                self.encode()?;
            }
        }
        Ok(())
    }

    /// Encodes what is left, writes the stream header and sees the file safely on the disk.
    pub fn finish(mut self) -> io::Result<()> {
        if !self.pending.is_empty() {
            self.encode()?;
        }
        self.file.flush()?;
        let header = self.header();
        let mut file = self.file.into_inner().map_err(io::IntoInnerError::into_error)?;
        file.seek(SeekFrom::Start(0))?;
        file.write_all(&header)?;
        file.sync_all()
    }

    fn encode(&mut self) -> io::Result<()> {
        self.frame.fill_interleaved(&self.pending).map_err(encoder_error)?;
        self.context.fill_interleaved(&self.pending).map_err(encoder_error)?;
        let encode = |config| {
            flacenc::encode_fixed_size_frame(config, &self.frame, self.encoded_frames, &self.info)
                .map_err(encoder_error)
        };
        let mut frame = encode(&self.config)?;
        // The encoder's prediction may overflow 32 bits on hostile signals, and its estimate of the cheapest code may
        // be wrong by megabytes on loud noise; lossless is a promise, and so is no larger than plain, so look.
        let plain_bits = self.pending.len() * grid::BITS as usize + FRAME_EXTRA_BITS;
        if frame.count_bits() > plain_bits || frame.decode() != self.pending {
            frame = encode(&self.plain)?;
        }
        self.pending.clear();
        let mut sink = ByteSink::new();
        frame.write(&mut sink).map_err(|e| io::Error::other(format!("the FLAC encoder failed: {e:?}")))?;
        self.encoded_frames += 1;
        let bytes = sink.as_slice().len();
        let (smallest, largest) = self.frame_bytes.unwrap_or((bytes, bytes));
        self.frame_bytes = Some((smallest.min(bytes), largest.max(bytes)));
        self.file.write_all(sink.as_slice())
    }

    /// The stream marker and the STREAMINFO block (RFC 9639 §8.2), all big-endian.
    fn header(&self) -> Vec<u8> {
        let (smallest, largest) = self.frame_bytes.unwrap_or((0, 0));
        let mut header = Vec::with_capacity(HEADER_BYTES);
        header.extend_from_slice(b"fLaC");
        header.extend_from_slice(&[if self.has_more_blocks { 0 } else { IS_LAST }, 0, 0, 34]);
        header.extend_from_slice(&(BLOCK_FRAMES as u16).to_be_bytes());
        header.extend_from_slice(&(BLOCK_FRAMES as u16).to_be_bytes());
        header.extend_from_slice(&(smallest as u32).to_be_bytes()[1..]);
        header.extend_from_slice(&(largest as u32).to_be_bytes()[1..]);
        let packed = u64::from(self.rate.hz()) << 44
            | (self.channels as u64 - 1) << 41
            | u64::from(grid::BITS - 1) << 36
            | self.context.total_samples() as u64;
        header.extend_from_slice(&packed.to_be_bytes());
        header.extend_from_slice(&self.context.md5_digest());
        header
    }
}

/// The encoder's settings for 24 bits.
fn settings() -> config::Encoder {
    let mut settings = config::Encoder::default();
    // The default estimate ignores that a Rice parameter ends at 14: loud noise would take ten times its
    // plain size. Counting bits notices, and the plain samples are kept instead.
    settings.subframe_coding.fixed.order_sel = config::OrderSel::BitCount;
    // Differences of a higher order overflow the count's 32 bits at full scale.
    settings.subframe_coding.fixed.max_order = 2;
    settings
}

fn encoder_error(error: impl std::fmt::Debug) -> io::Error {
    io::Error::other(format!("the FLAC encoder refused its input: {error:?}"))
}
