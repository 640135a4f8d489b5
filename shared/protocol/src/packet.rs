//! Audio packets: one per unidirectional stream, both ways, each tagged with its first frame's position.
//!
//! A header of 40 bytes, little-endian, then planar `f32`: all frames of channel 0, then of channel 1, …
//!
//! | bytes | field | |
//! |---|---|---|
//! | 0 | kind u8 | 1 mix, 2 stems |
//! | 1 | flags u8 | bit 0: the epoch ends at `first_frame + frames`; the others are 0 |
//! | 2 | channels u8 | mix: 2; stems: 2·(n − 1), L and R of each travelling stem |
//! | 3 | u8 | 0 |
//! | 4 | epoch u32 | |
//! | 8 | sequence u32 | counts the packets of one direction of one connection |
//! | 12 | frames u32 | at most [`MAX_PACKET_FRAMES`]; 0 only to say that the epoch has ended |
//! | 16 | first_frame u64 | position of the first frame |
//! | 24 | inference_micros u32 | stems: the inference alone; mix: 0 |
//! | 28 | server_micros u32 | stems: from the arrival of the last mix packet needed until handed to QUIC; mix: 0 |
//! | 32 | needed_through u64 | stems: position of the last mix frame the server needed for them; mix: 0 |
//!
//! Every sample on the wire is finite: encoding turns what is not into 0, decoding refuses it. Lengths
//! must agree to the byte, and nothing is allocated before they do.
#![warn(clippy::arithmetic_side_effects, reason = "it reckons with what came over the wire")]

use crate::{MAX_PACKET_CHANNELS, MAX_PACKET_FRAMES};

const END_OF_EPOCH: u8 = 1;

/// What a packet carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PacketKind {
    /// The mix, client to server.
    Mix,
    /// The travelling stems, server to client.
    Stems,
}

/// Why bytes are no packet, or a packet cannot become bytes.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PacketError {
    /// Fewer bytes than a header.
    #[error("{got} bytes are fewer than a packet's header of {header}", header = PacketHeader::BYTES)]
    Short {
        /// How many arrived.
        got: usize,
    },
    /// A header field outside what the wire allows.
    #[error("the packet's '{field}' is {got}, which is outside what this protocol allows")]
    Value {
        /// Which field.
        field: &'static str,
        /// The number as sent.
        got: u64,
    },
    /// The samples are not as many as the header says.
    #[error("the packet's samples take {got} bytes, its header says {expected}")]
    Length {
        /// Bytes there.
        got: usize,
        /// Bytes announced.
        expected: usize,
    },
    /// NaN or infinity.
    #[error("channel {channel} of the packet has a sample at frame {frame} that is not a finite number")]
    NotFinite {
        /// Which channel.
        channel: usize,
        /// Which frame of the packet.
        frame: usize,
    },
}

/// Everything about a packet but its samples.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PacketHeader {
    /// Mix or stems.
    pub kind: PacketKind,
    /// The epoch ends at `first_frame + frames`.
    pub end_of_epoch: bool,
    /// How many channels follow.
    pub channels: u8,
    /// The run of contiguous audio this belongs to.
    pub epoch: u32,
    /// Counts the packets of one direction of one connection.
    pub sequence: u32,
    /// How many frames follow.
    pub frames: u32,
    /// Position of the first of them.
    pub first_frame: u64,
    /// Time of the inference that made these stems.
    pub inference_micros: u32,
    /// Time these stems took in the server altogether.
    pub server_micros: u32,
    /// Position of the last mix frame the server needed for these stems: the client measures from its arrival.
    pub needed_through: u64,
}

impl PacketHeader {
    /// Size on the wire.
    pub const BYTES: usize = 40;

    /// A header of a mix packet.
    pub fn mix(epoch: u32, sequence: u32, first_frame: u64, frames: u32) -> Self {
        Self {
            kind: PacketKind::Mix,
            end_of_epoch: false,
            channels: 2,
            epoch,
            sequence,
            frames,
            first_frame,
            inference_micros: 0,
            server_micros: 0,
            needed_through: 0,
        }
    }

    /// Position behind the last frame.
    pub fn end(&self) -> u64 {
        self.first_frame.saturating_add(self.frames.into())
    }

    /// Bytes of the samples that follow.
    pub fn payload_bytes(&self) -> usize {
        payload_bytes(self.channels, self.frames)
    }

    /// Reads and checks a header; gives it and the bytes behind it. Never panics.
    pub fn decode(bytes: &[u8]) -> Result<(Self, &[u8]), PacketError> {
        let (h, payload) =
            bytes.split_first_chunk::<{ Self::BYTES }>().ok_or(PacketError::Short { got: bytes.len() })?;
        let u32_at = |at: usize| h[at..].first_chunk().map_or(0, |bytes| u32::from_le_bytes(*bytes));
        let u64_at = |at: usize| h[at..].first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes));
        let kind = match h[0] {
            1 => PacketKind::Mix,
            2 => PacketKind::Stems,
            got => return Err(PacketError::Value { field: "kind", got: got.into() }),
        };
        for (field, got, allowed) in [("flags", h[1], END_OF_EPOCH), ("reserved", h[3], 0)] {
            if got & !allowed != 0 {
                return Err(PacketError::Value { field, got: got.into() });
            }
        }
        let header = Self {
            kind,
            end_of_epoch: h[1] & END_OF_EPOCH != 0,
            channels: h[2],
            epoch: u32_at(4),
            sequence: u32_at(8),
            frames: u32_at(12),
            first_frame: u64_at(16),
            inference_micros: u32_at(24),
            server_micros: u32_at(28),
            needed_through: u64_at(32),
        };
        header.check()?;
        Ok((header, payload))
    }

    fn encode(&self, out: &mut Vec<u8>) {
        let kind = match self.kind {
            PacketKind::Mix => 1,
            PacketKind::Stems => 2,
        };
        out.extend_from_slice(&[kind, u8::from(self.end_of_epoch), self.channels, 0]);
        for value in [self.epoch, self.sequence, self.frames] {
            out.extend_from_slice(&value.to_le_bytes());
        }
        out.extend_from_slice(&self.first_frame.to_le_bytes());
        out.extend_from_slice(&self.inference_micros.to_le_bytes());
        out.extend_from_slice(&self.server_micros.to_le_bytes());
        out.extend_from_slice(&self.needed_through.to_le_bytes());
    }

    fn check(&self) -> Result<(), PacketError> {
        let channels_fit = match self.kind {
            PacketKind::Mix => self.channels == 2,
            PacketKind::Stems => {
                (2..=MAX_PACKET_CHANNELS).contains(&self.channels) && self.channels.is_multiple_of(2)
            }
        };
        let frames_fit = self.frames <= MAX_PACKET_FRAMES && (self.frames > 0 || self.end_of_epoch);
        let value = |field, got| Err(PacketError::Value { field, got });
        if !channels_fit {
            return value("channels", self.channels.into());
        }
        if !frames_fit {
            return value("frames", self.frames.into());
        }
        if self.first_frame.checked_add(self.frames.into()).is_none() {
            return value("first_frame", self.first_frame);
        }
        Ok(())
    }
}

/// A packet with its samples.
#[derive(Debug, Clone, PartialEq)]
pub struct Packet {
    /// Everything but the samples.
    pub header: PacketHeader,
    /// `[channel][frame]`, as many of both as the header says.
    pub channels: Vec<Vec<f32>>,
}

impl Packet {
    /// Reads a whole packet, which must fill `bytes` exactly. Never panics, allocates no more than the
    /// bytes given.
    pub fn decode(bytes: &[u8]) -> Result<Self, PacketError> {
        let (header, payload) = PacketHeader::decode(bytes)?;
        let expected = header.payload_bytes();
        if payload.len() != expected {
            return Err(PacketError::Length { got: payload.len(), expected });
        }
        let mut samples = payload.as_chunks::<4>().0.iter().map(|&bytes| f32::from_le_bytes(bytes));
        let mut channels = Vec::with_capacity(header.channels.into());
        for channel in 0..usize::from(header.channels) {
            let samples: Vec<f32> = samples.by_ref().take(header.frames as usize).collect();
            if let Some(frame) = samples.iter().position(|s| !s.is_finite()) {
                return Err(PacketError::NotFinite { channel, frame });
            }
            channels.push(samples);
        }
        Ok(Self { header, channels })
    }

    /// The packet as bytes; see [`encode_packet`].
    pub fn encode(&self) -> Result<Vec<u8>, PacketError> {
        let mut out = Vec::new();
        encode_packet(&self.header, &self.channels, &mut out)?;
        Ok(out)
    }
}

/// Appends a packet to `out`: the header and `channels[channel][frame]`, whose numbers must be the header's.
/// NaN and infinities become 0. On an error `out` is as before.
pub fn encode_packet<C: AsRef<[f32]>>(
    header: &PacketHeader,
    channels: &[C],
    out: &mut Vec<u8>,
) -> Result<(), PacketError> {
    header.check()?;
    if channels.len() != usize::from(header.channels) {
        return Err(PacketError::Value { field: "channels", got: channels.len() as u64 });
    }
    if let Some(wrong) = channels.iter().find(|c| c.as_ref().len() != header.frames as usize) {
        return Err(PacketError::Value { field: "frames", got: wrong.as_ref().len() as u64 });
    }
    out.reserve(packet_bytes(header.channels, header.frames));
    header.encode(out);
    for channel in channels {
        for &sample in channel.as_ref() {
            let finite = if sample.is_finite() { sample } else { 0.0 };
            out.extend_from_slice(&finite.to_le_bytes());
        }
    }
    Ok(())
}

/// Size of a whole packet on the wire: what a receiver allows itself to read before it decodes.
pub fn packet_bytes(channels: u8, frames: u32) -> usize {
    payload_bytes(channels, frames).saturating_add(PacketHeader::BYTES)
}

fn payload_bytes(channels: u8, frames: u32) -> usize {
    usize::from(channels).saturating_mul(frames as usize).saturating_mul(size_of::<f32>())
}
