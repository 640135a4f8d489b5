//! Control messages: what they mean, how they lie on the wire, what is refused.
//!
//! One bidirectional stream, opened by the client, carries frames `u16 length | u8 type | body` (see
//! [`crate::framing`]). Integers are little-endian; text is `u16 length | UTF-8` with its own limit; an
//! optional value is `u8 0` or `u8 1 | value`; a list is `u8 count | items`.
//!
//! | type | message | body |
//! |---|---|---|
//! | 01 | Hello | `"RHSK"`, u16 min_version, u16 max_version, text client_name, whatever a later version adds |
//! | 02 | Open | text model, u32 rate_hz, u32 budget_frames, u32 block_frames, u32 link_micros, u8 mode, optionally a list of u32 budget_frames (offers wanted) |
//! | 03 | Heartbeat | u32 sequence |
//! | 04 | Close | u8 reason |
//! | 05 | Identify | 32 bytes of token |
//! | 06 | PairStart | 33 bytes of SPAKE2, text name |
//! | 07 | PairProof | 32 bytes of proof of the code, 32 of the channel |
//! | 08 | Health | u32 underruns, u32 late, u32 lost, u32 needed_frames |
//! | 81 | Welcome | u16 version, text server_name, list of text models |
//! | 82 | Opened | u64 session, text model, list of text stems, u32 packet_frames, u32 latency_frames, u32 algorithmic_frames, u32 hop_frames, u32 look_ahead_frames, text description, optionally a list of offers |
//! | 83 | Refused | u8 code, text message, optional u32 smallest_budget_frames, optionally a list of offers, whatever a later version adds |
//! | 84 | HeartbeatEcho | u32 sequence |
//! | 85 | Closing | u8 reason |
//! | 86 | PairReply | 33 bytes of SPAKE2 |
//! | 87 | Paired | 32 bytes of proof of the code, 32 of the channel, 32 of token |
//! | 88 | Paused | u8 paused |
//!
//! An offer is `u32 budget_frames | u8 holds | optional f32 quality_db | text words`. Both lists are of version 2,
//! and an empty one is no byte at all: a server of version 1 is not asked, and a client that did not ask is
//! not told. Of version 3 are the messages 05 to 08, 86 and 87, and behind the offers what each of them needs (a list of
//! as many u32 need_frames, 0 for unknown), which is left out for a client of an earlier version. Message 88 is of
//! version 4; earlier clients are not told.
//!
//! Hello and Refused are what two builds of different versions still have to understand of each other, so
//! they may grow at their ends; everything else must fit exactly. Nothing here decides what to do with a
//! message: that is `session`.

use rehearsekit_audio::StemSet;

use crate::{
    MAX_BLOCK_FRAMES, MAX_BUDGET_FRAMES, MAX_LINK_MICROS, MAX_PACKET_FRAMES, MAX_SENTENCE_BYTES,
    WIRE_RATES_HZ,
};

mod offer;
mod pairing;
mod wire;

pub use offer::{BudgetOffer, NEEDS_SINCE_VERSION, OFFERS_SINCE_VERSION};
pub use pairing::{HALF_BYTES, Half, Health, PairProof, PairStart, Paired, Token};

/// Why bytes are no message, or a message cannot become bytes.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MessageError {
    /// The length in front of a frame is zero or beyond the limit.
    #[error("a control frame says it has {got} bytes; 1 to {max} are allowed", max = crate::MAX_MESSAGE_BYTES)]
    FrameLength {
        /// The length as sent.
        got: usize,
    },
    /// The first bytes are not ours: something else talks on this port.
    #[error("the other end does not speak RehearseKit's protocol")]
    Magic,
    /// A message type this version does not know, or that the other end may not send.
    #[error("message type {kind:#04x} is not known here")]
    UnknownType {
        /// The type byte.
        kind: u8,
    },
    /// The message ends inside a field.
    #[error("the message ends inside '{field}'")]
    Short {
        /// Which field.
        field: &'static str,
    },
    /// Bytes are left over.
    #[error("{bytes} bytes too many at the end of the message")]
    Trailing {
        /// How many.
        bytes: usize,
    },
    /// Text or a list beyond its limit.
    #[error("'{field}' has {got} bytes or items, at most {limit} are allowed")]
    TooLong {
        /// Which field.
        field: &'static str,
        /// Its length.
        got: usize,
        /// The limit.
        limit: usize,
    },
    /// Text that is not UTF-8.
    #[error("'{field}' is not UTF-8")]
    Utf8 {
        /// Which field.
        field: &'static str,
    },
    /// A number outside what the field allows.
    #[error("'{field}' is {got}, which is outside what this protocol allows")]
    Value {
        /// Which field.
        field: &'static str,
        /// The number as sent.
        got: u64,
    },
    /// Stem names that make no set.
    #[error("the stems are no set: {0}")]
    Stems(#[from] rehearsekit_audio::stems::StemError),
}

/// How the link treats what is late.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// In time or not at all: streams are reset when their deadline passes.
    Live,
    /// Everything, however long it takes: for a bounce.
    Reliable,
}

/// Why a session ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CloseReason {
    /// The client is done.
    ClientDone,
    /// The server stops.
    ServerShutdown,
    /// The other end sent what the protocol does not allow.
    ProtocolError,
    /// The other end reads or sends too slowly to be served.
    TooSlow,
    /// Nothing was heard for too long.
    Silent,
    /// Something failed on this side that is not the other's fault.
    Internal,
    /// The server's owner has shut this client out. Of version 3: only who showed a token is told so.
    Revoked,
}

/// What kind of no a refusal is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RefusalCode {
    /// No version of the protocol in common.
    Version,
    /// The server has no model of that name.
    UnknownModel,
    /// The plan does not fit into the budget; the smallest that does may be given.
    BudgetTooSmall,
    /// All sessions are taken.
    Full,
    /// The models are still being loaded.
    NotReady,
    /// The server stops and admits nobody.
    ShuttingDown,
    /// The request makes no sense.
    BadRequest,
    /// The server could serve this, but not now in time beside what it serves already.
    Busy,
    /// The server does not know this client: it has to pair first.
    NotPaired,
    /// The server's owner has shut this client out.
    Revoked,
    /// The pairing code is wrong.
    WrongCode,
    /// The server shows no code.
    NoCode,
    /// The code has been shown for too long.
    CodeExpired,
    /// The code was mistyped too often, and is worth nothing any more.
    TriesOver,
    /// This pairing was seen before.
    Replayed,
    /// The code is right, but somebody sits between client and server.
    Intercepted,
    /// A code of a later version; read the sentence.
    Other(u8),
}

impl RefusalCode {
    /// Whether the same request may succeed later. If not, something has to be changed first.
    pub fn is_worth_retrying(self) -> bool {
        matches!(self, Self::Full | Self::NotReady | Self::ShuttingDown | Self::Busy)
    }
}

/// A no with its reason and, where there is one, a suggestion.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("{message}")]
pub struct Refusal {
    /// What kind of no.
    pub code: RefusalCode,
    /// The sentence for the player, at most [`MAX_SENTENCE_BYTES`].
    pub message: String,
    /// The smallest budget, in frames at the wire rate, that this server could hold.
    pub smallest_budget_frames: Option<u32>,
    /// What the budgets that the request asked about would buy; empty unless it asked and the server can tell.
    pub offers: Vec<BudgetOffer>,
}

impl Refusal {
    /// A refusal without offers, whose sentence is cut to what the wire carries.
    pub fn new(code: RefusalCode, message: &str, smallest_budget_frames: Option<u32>) -> Self {
        let end = (0..=MAX_SENTENCE_BYTES.min(message.len())).rev().find(|&i| message.is_char_boundary(i));
        let message = message[..end.unwrap_or(0)].to_owned();
        Self { code, message, smallest_budget_frames, offers: Vec::new() }
    }
}

/// What a client asks a session for. All frames are at the wire rate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenRequest {
    /// The model's name, empty for the server's default.
    pub model: String,
    /// The wire rate in Hz, 8000 to 48000.
    pub rate_hz: u32,
    /// The latency the player picked.
    pub budget_frames: u32,
    /// The largest block the host hands over, at most [`MAX_BLOCK_FRAMES`].
    pub block_frames: u32,
    /// The client's allowance for link and jitter, both ways together, in microseconds.
    pub link_micros: u32,
    /// Live or reliable.
    pub mode: Mode,
    /// Other budgets of which the client wants to know what they would buy, at most [`crate::MAX_OFFERS`]. They are
    /// only sent to a server of version [`OFFERS_SINCE_VERSION`] and later.
    pub wanted_offers_frames: Vec<u32>,
}

impl OpenRequest {
    /// Whether the numbers make sense at all (not whether a server can hold them).
    pub fn check(&self) -> Result<(), MessageError> {
        within("rate_hz", self.rate_hz, *WIRE_RATES_HZ.start(), *WIRE_RATES_HZ.end())?;
        within("budget_frames", self.budget_frames, 1, MAX_BUDGET_FRAMES)?;
        within("block_frames", self.block_frames, 1, MAX_BLOCK_FRAMES)?;
        within("link_micros", self.link_micros, 0, MAX_LINK_MICROS)?;
        let wanted = &self.wanted_offers_frames;
        wanted.iter().try_for_each(|&frames| within("wanted_offers", frames, 1, MAX_BUDGET_FRAMES))
    }
}

/// What a server granted. All frames are at the wire rate.
#[derive(Debug, Clone, PartialEq)]
pub struct Opened {
    /// The session's number, for logs on both sides.
    pub session: u64,
    /// The model that serves.
    pub model: String,
    /// Its stems; all but the closing one travel, in this order.
    pub stems: StemSet,
    /// The size of the packets the client is to send.
    pub packet_frames: u32,
    /// The latency: exactly the budget.
    pub latency_frames: u32,
    /// The algorithmic part of it, exact, resampling and packets included.
    pub algorithmic_frames: u32,
    /// New audio per inference, rounded up.
    pub hop_frames: u32,
    /// What the model sees after the hop.
    pub look_ahead_frames: u32,
    /// The plan in words, for people.
    pub description: String,
    /// What the budgets that the request asked about would buy; empty unless it asked and the server can tell.
    pub offers: Vec<BudgetOffer>,
}

impl Opened {
    /// Channels of a stem packet of this session: two for every stem but the closing one.
    pub fn travelling_channels(&self) -> u8 {
        // At most 2 × 5.
        (2 * (self.stems.count() - 1)) as u8
    }

    fn check(&self) -> Result<(), MessageError> {
        within("packet_frames", self.packet_frames, 1, MAX_PACKET_FRAMES)?;
        within("latency_frames", self.latency_frames, 1, MAX_BUDGET_FRAMES)?;
        within("algorithmic_frames", self.algorithmic_frames, 0, MAX_BUDGET_FRAMES)?;
        within("hop_frames", self.hop_frames, 1, MAX_BUDGET_FRAMES)?;
        within("look_ahead_frames", self.look_ahead_frames, 0, MAX_BUDGET_FRAMES)
    }
}

/// What a client says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ClientMessage {
    /// The first message.
    Hello {
        /// Oldest version the client speaks.
        min_version: u16,
        /// Newest version the client speaks.
        max_version: u16,
        /// Who it is, for the server's log; at most [`MAX_NAME_BYTES`].
        client_name: String,
    },
    /// Asks for the session.
    Open(OpenRequest),
    /// Are you there?
    Heartbeat {
        /// Comes back in the echo.
        sequence: u32,
    },
    /// Goodbye.
    Close {
        /// Why.
        reason: CloseReason,
    },
    /// Who asks; before Open.
    Identify(Token),
    /// Asks to be paired, in the place of Open.
    PairStart(PairStart),
    /// The client's proof.
    PairProof(PairProof),
    /// How the session goes.
    Health(Health),
}

/// What a server says.
#[derive(Debug, Clone, PartialEq)]
pub enum ServerMessage {
    /// The answer to Hello.
    Welcome {
        /// The version both speak from here on.
        version: u16,
        /// Who it is.
        server_name: String,
        /// The models it serves, the default first; at most [`MAX_MODELS`].
        models: Vec<String>,
    },
    /// Yes to Open.
    Opened(Opened),
    /// No to Hello or Open; nothing follows.
    Refused(Refusal),
    /// The answer to a heartbeat.
    HeartbeatEcho {
        /// As in the heartbeat.
        sequence: u32,
    },
    /// Goodbye.
    Closing {
        /// Why.
        reason: CloseReason,
    },
    /// The server's half of a pairing.
    PairReply(Half),
    /// Paired; nothing follows.
    Paired(Paired),
    /// The server is too slow for all of its sessions at present, and this one waits; or no longer.
    Paused {
        /// Whether it waits.
        paused: bool,
    },
}

fn within(field: &'static str, got: u32, min: u32, max: u32) -> Result<(), MessageError> {
    if (min..=max).contains(&got) { Ok(()) } else { Err(MessageError::Value { field, got: got.into() }) }
}
