//! The decoders: from one packet of a codec to frames. Symphonia has FLAC, MPEG layers, Vorbis and ALAC; AAC in
//! all its profiles is rusty_aac's, Opus is opus-decoder's. All are Rust.
//!
//! This module must never know where packets come from, nor hide an error of a decoder.

use opus_decoder::OpusDecoder;
use rusty_aac::AacDecoder;
use symphonia::core::{
    codecs::audio::{
        AudioCodecId, AudioCodecParameters, AudioDecoder, AudioDecoderOptions,
        well_known::{
            CODEC_ID_ALAC, CODEC_ID_FLAC, CODEC_ID_MP1, CODEC_ID_MP2, CODEC_ID_MP3, CODEC_ID_VORBIS,
        },
    },
    packet::PacketRef,
    units::{Duration, Timestamp},
};

use crate::{
    error::Fault,
    pcm::PcmFormat,
    stream::{self, Block, Shape},
};

/// Frames of the longest Opus packet (120 ms).
const OPUS_MAX_FRAMES: usize = 5_760;
/// Packets decoded ahead.
const PROBE_PACKETS: usize = 8;
/// The rate that Opus always decodes to.
pub(crate) const OPUS_HZ: u32 = 48_000;

/// Which decoder, and what it has to know.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Setup {
    /// The magic cookie.
    Alac(Vec<u8>),
    /// An `AudioSpecificConfig`.
    Aac(Vec<u8>),
    /// The same, with bandwidth extension (HE-AAC) that it does not speak of.
    ExtendedAac(Vec<u8>),
    /// AAC whose packets carry their own headers.
    Adts,
    /// The layer: 1, 2 or 3.
    Mpeg(u8),
    /// The content of the `STREAMINFO` block.
    Flac(Vec<u8>),
    /// Identification and setup header, one behind the other.
    Vorbis(Vec<u8>),
    Opus(OpusHead),
    Pcm(PcmFormat),
}

/// What an Opus stream says of itself at its beginning.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct OpusHead {
    pub(crate) channels: usize,
    /// Frames (at 48 kHz) before the music.
    pub(crate) skip_frames: u64,
    pub(crate) gain: f32,
}

impl OpusHead {
    /// Reads an `OpusHead` packet, with (Ogg, Matroska) or without its first eight letters; the latter is MP4's
    /// `dOps`, which counts the other way round.
    pub(crate) fn parse(packet: &[u8], big_endian: bool) -> Result<Self, Fault> {
        let body = packet.strip_prefix(b"OpusHead").unwrap_or(packet);
        let too_short = || Fault::damaged("its Opus header is too short");
        let word = |at: usize| {
            let bytes: [u8; 2] = body.get(at..at + 2)?.try_into().ok()?;
            Some(if big_endian { u16::from_be_bytes(bytes) } else { u16::from_le_bytes(bytes) })
        };
        let channels = usize::from(*body.get(1).ok_or_else(too_short)?);
        let skip = word(2).ok_or_else(too_short)?;
        let gain = word(8).ok_or_else(too_short)? as i16;
        let family = body.get(10).copied().unwrap_or(0);
        if channels == 0 || channels > 2 {
            return Err(Fault::Channels(channels));
        }
        // More than one stream for two channels is a curiosity of test files.
        if family != 0 && body.get(11).is_some_and(|&streams| streams != 1) {
            return Err(Fault::Unsupported("Opus of several streams".to_owned()));
        }
        Ok(Self { channels, skip_frames: u64::from(skip), gain: 10f32.powf(f32::from(gain) / 256.0 / 20.0) })
    }
}

impl Setup {
    /// Whether rate and channels may be others than the header says.
    pub(crate) fn may_surprise(&self) -> bool {
        matches!(self, Self::Aac(_) | Self::ExtendedAac(_) | Self::Adts | Self::Mpeg(_))
    }

    /// AAC as it is where the stream itself turned out to double its rate.
    pub(crate) fn with_bandwidth_extension(&self) -> Self {
        match self {
            Self::Aac(config) => Self::ExtendedAac(config.clone()),
            other => other.clone(),
        }
    }
}

/// Decodes the first packets to learn what comes out: HE-AAC may say nothing in its header.
pub(crate) fn probe<P: AsRef<[u8]>>(
    setup: Setup,
    stated: Shape,
    packets: impl IntoIterator<Item = P>,
) -> Result<(Setup, Shape), Fault> {
    if !setup.may_surprise() {
        return Ok((setup, stated));
    }
    let mut codec = Codec::new(setup.clone())?;
    let (mut piece, mut first, mut last) = (Vec::new(), None, stated);
    for packet in packets.into_iter().take(PROBE_PACKETS) {
        // An error shows again, and with its time, when the song is read.
        let Ok(rate) = codec.decode(packet.as_ref(), &mut piece) else { break };
        last = Shape { rate_hz: rate.unwrap_or(stated.rate_hz), channels: piece.len() };
        first = first.or(Some(last));
    }
    let setup =
        if first.is_some_and(|first| first != last) { setup.with_bandwidth_extension() } else { setup };
    Ok((setup, last))
}

enum Decoder {
    Symphonia(Box<dyn AudioDecoder>),
    Aac(Box<AacDecoder>),
    Opus(Box<OpusDecoder>, OpusHead, Vec<f32>),
    Pcm(PcmFormat),
}

/// A decoder at work.
pub(crate) struct Codec {
    setup: Setup,
    decoder: Decoder,
}

impl Codec {
    pub(crate) fn new(setup: Setup) -> Result<Self, Fault> {
        let decoder = match &setup {
            Setup::Alac(cookie) => symphonia(CODEC_ID_ALAC, Some(cookie))?,
            Setup::Flac(info) => symphonia(CODEC_ID_FLAC, Some(info))?,
            Setup::Vorbis(headers) => symphonia(CODEC_ID_VORBIS, Some(headers))?,
            Setup::Mpeg(1) => symphonia(CODEC_ID_MP1, None)?,
            Setup::Mpeg(2) => symphonia(CODEC_ID_MP2, None)?,
            Setup::Mpeg(_) => symphonia(CODEC_ID_MP3, None)?,
            Setup::Adts => Decoder::Aac(Box::new(AacDecoder::new())),
            Setup::Aac(config) => {
                Decoder::Aac(Box::new(AacDecoder::with_config_bytes(config).map_err(|e| aac_fault(&e))?))
            }
            Setup::ExtendedAac(config) => {
                let mut stream = rusty_aac::config::parse(config).map_err(|e| aac_fault(&e))?;
                (stream.sbr, stream.ext_sample_rate) = (true, stream.sample_rate * 2);
                Decoder::Aac(Box::new(AacDecoder::with_stream_config(stream)))
            }
            Setup::Opus(head) => Decoder::Opus(
                Box::new(
                    OpusDecoder::new(OPUS_HZ, head.channels)
                        .map_err(|e| Fault::damaged(format!("Opus: {e}")))?,
                ),
                *head,
                vec![0.0; OPUS_MAX_FRAMES * head.channels],
            ),
            Setup::Pcm(format) => Decoder::Pcm(*format),
        };
        Ok(Self { setup, decoder })
    }

    /// Whether samples come out as they went in.
    pub(crate) fn is_lossy(&self) -> bool {
        !matches!(self.setup, Setup::Alac(_) | Setup::Flac(_) | Setup::Pcm(_))
    }

    /// Replaces `block` with the packet's frames; their rate, where the codec says one.
    pub(crate) fn decode(&mut self, packet: &[u8], block: &mut Block) -> Result<Option<u32>, Fault> {
        match &mut self.decoder {
            Decoder::Symphonia(decoder) => {
                let packet = PacketRef::new(0, Timestamp::ZERO, Duration::ZERO, packet);
                let buffer = decoder.decode_ref(&packet).map_err(|e| symphonia_fault(&e))?;
                buffer.copy_to_vecs_planar(block);
                Ok(Some(buffer.spec().rate()))
            }
            Decoder::Aac(decoder) => {
                let audio = decoder.decode(packet, None).map_err(|e| aac_fault(&e))?;
                let channels = usize::from(audio.channels);
                if channels == 0 {
                    return Err(Fault::damaged("AAC without channels"));
                }
                stream::clear(block, channels);
                for frame in audio.samples.chunks_exact(channels) {
                    block.iter_mut().zip(frame).for_each(|(channel, &sample)| channel.push(sample));
                }
                Ok(Some(audio.sample_rate))
            }
            Decoder::Opus(decoder, head, pcm) => {
                let frames = decoder
                    .decode_float(packet, pcm, false)
                    .map_err(|e| Fault::damaged(format!("Opus: {e}")))?;
                stream::clear(block, head.channels);
                for frame in pcm.chunks_exact(head.channels).take(frames) {
                    block
                        .iter_mut()
                        .zip(frame)
                        .for_each(|(channel, &sample)| channel.push(sample * head.gain));
                }
                Ok(Some(OPUS_HZ))
            }
            Decoder::Pcm(format) => {
                stream::clear(block, format.channels);
                format.decode(packet, block);
                Ok(None)
            }
        }
    }

    /// Forgets everything before, as after a jump.
    pub(crate) fn reset(&mut self) -> Result<(), Fault> {
        *self = Self::new(self.setup.clone())?;
        Ok(())
    }

    /// Whether the samples so far fit the checksum in the header; `None` without one.
    pub(crate) fn checksum_fits(&mut self) -> Option<bool> {
        match &mut self.decoder {
            Decoder::Symphonia(decoder) => decoder.finalize().verify_ok,
            _ => None,
        }
    }
}

fn symphonia(id: AudioCodecId, extra: Option<&[u8]>) -> Result<Decoder, Fault> {
    let mut parameters = AudioCodecParameters::new();
    parameters.for_codec(id);
    if let Some(extra) = extra {
        parameters.with_extra_data(extra.into());
    }
    let options = AudioDecoderOptions::default().gapless(true).verify(true);
    symphonia::default::get_codecs()
        .make_audio_decoder(&parameters, &options)
        .map(Decoder::Symphonia)
        .map_err(|error| symphonia_fault(&error))
}

fn symphonia_fault(error: &symphonia::core::errors::Error) -> Fault {
    Fault::damaged(error.to_string())
}

fn aac_fault(error: &rusty_aac::Error) -> Fault {
    match error {
        rusty_aac::Error::Unsupported(what) => Fault::Unsupported(format!("a kind of AAC ({what})")),
        other => Fault::damaged(other.to_string()),
    }
}
