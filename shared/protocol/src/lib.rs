//! The wire, sans-IO: versions, messages, packets, and the state machines of a session.
//!
//! Bytes in, values out; values in, bytes out. This crate must never open a socket, read a clock, spawn,
//! log or know of QUIC: time is an argument, always "how long since some start of the caller's choosing"
//! (`now: Duration`), so that a whole session can be played through in virtual time.
//!
//! Everything on the wire is little-endian and every length has a hard limit that is checked *before*
//! anything is allocated. Nothing that arrives can make this crate panic: what is wrong is a typed error
//! whose sentence says what was wrong.
//!
//! The layouts are written out in [`message`] (control) and [`packet`] (audio); the golden tests hold
//! them as bytes made by hand. Change a byte there and [`PROTOCOL_VERSIONS`] must move.

pub mod arrange;
mod bytes;
pub mod deadlines;
pub mod framing;
pub mod message;
pub mod packet;
pub mod pairing;
pub mod session;

pub use arrange::{ArrangeError, Arranger, Run};
pub use deadlines::Deadlines;
pub use framing::FrameReader;
pub use message::{
    BudgetOffer, ClientMessage, CloseReason, HALF_BYTES, Half, Health, MessageError, Mode,
    NEEDS_SINCE_VERSION, OFFERS_SINCE_VERSION, OpenRequest, Opened, PairProof, PairStart, Paired, Refusal,
    RefusalCode, ServerMessage, Token,
};
pub use packet::{Packet, PacketError, PacketHeader, PacketKind, encode_packet, packet_bytes};
pub use pairing::{PairingCode, PairingCodeError};
pub use session::{
    ClientEvent, ClientSession, PairingEvent, PairingSession, ServerEvent, ServerSession, SessionError,
};

use std::{ops::RangeInclusive, time::Duration};

/// The TLS application protocol name both ends offer.
pub const ALPN: &[u8] = b"rehearsekit";
/// The versions of the wire that this build speaks. Version 2 adds the offers, which nobody gets unasked; version 3
/// pairing, tokens, health and what an offer needs.
pub const PROTOCOL_VERSIONS: RangeInclusive<u16> = 1..=4;
/// The versions that are spoken with another machine: those that can tell who is who.
pub const LAN_VERSIONS: RangeInclusive<u16> = 3..=4;

/// Longest control message in bytes, its type included, its length field not.
pub const MAX_MESSAGE_BYTES: usize = 4_096;
/// Longest client, server or model name in bytes.
pub const MAX_NAME_BYTES: usize = 64;
/// Longest sentence (refusal, description) in bytes.
pub const MAX_SENTENCE_BYTES: usize = 512;
/// Most models a server lists.
pub const MAX_MODELS: usize = 16;
/// Most budgets that one request may ask about.
pub const MAX_OFFERS: usize = 16;
/// Longest words of an offer in bytes.
pub const MAX_OFFER_WORDS_BYTES: usize = 96;
/// Most frames one packet may carry.
pub const MAX_PACKET_FRAMES: u32 = 262_144;
/// Most channels one packet may carry: two for each stem a model may have.
pub const MAX_PACKET_CHANNELS: u8 = 12;
/// Largest packet in bytes.
pub const MAX_PACKET_BYTES: usize =
    PacketHeader::BYTES + MAX_PACKET_CHANNELS as usize * MAX_PACKET_FRAMES as usize * size_of::<f32>();
/// Most unidirectional streams (packets) that one side lets the other have open at once. A live link needs a
/// budget's worth of packets at most, whatever was not read by then is reset.
pub const MAX_CONCURRENT_UNI: u32 = 256;
/// Most frames a latency budget may have: 20 s at the fastest wire rate.
pub const MAX_BUDGET_FRAMES: u32 = 960_000;
/// Largest host block in frames at the wire rate.
pub const MAX_BLOCK_FRAMES: u32 = 8_192;
/// Slowest and fastest rate of the wire in Hz; faster hosts decimate by an integer.
pub const WIRE_RATES_HZ: RangeInclusive<u32> = 8_000..=48_000;
/// Longest allowance for link and jitter that a client may ask for, in microseconds (10 s).
pub const MAX_LINK_MICROS: u32 = 10_000_000;

/// A heartbeat goes out this often while a session is open.
pub const HEARTBEAT_INTERVAL: Duration = Duration::from_millis(100);
/// A server that has echoed nothing for this long is dead to its client.
pub const SERVER_DEAD_AFTER: Duration = Duration::from_millis(500);
/// The same in [`Mode::Reliable`]: a bounce has time, and must not fail because a busy machine stood still for a
/// moment. Nobody hears it meanwhile.
pub const RELIABLE_SERVER_DEAD_AFTER: Duration = Duration::from_secs(5);
/// A client that has sent nothing for this long is dead to its server. Longer than the other way round:
/// the client decides when to give up, the server only cleans up after it.
pub const CLIENT_DEAD_AFTER: Duration = Duration::from_secs(3);
/// A client tells its server this often how the session goes.
pub const HEALTH_INTERVAL: Duration = Duration::from_secs(5);
/// From the first byte to an opened session; a server may have to measure its device on the way.
pub const HANDSHAKE_WITHIN: Duration = Duration::from_secs(10);
