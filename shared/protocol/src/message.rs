//! Control messages: what they mean, how they lie on the wire, what is refused.
//!
//! One bidirectional stream, opened by the client, carries frames `u16 length | u8 type | body` (see
//! [`crate::framing`]). Integers are little-endian; text is `u16 length | UTF-8` with its own limit; an
//! optional value is `u8 0` or `u8 1 | value`; a list is `u8 count | items`.
//!
//! | type | message | body |
//! |---|---|---|
//! | 01 | Hello | `"RHSK"`, u16 min_version, u16 max_version, text client_name, whatever a later version adds |
//! | 02 | Open | text model, u32 rate_hz, u32 budget_frames, u32 block_frames, u32 link_micros, u8 mode |
//! | 03 | Heartbeat | u32 sequence |
//! | 04 | Close | u8 reason |
//! | 81 | Welcome | u16 version, text server_name, list of text models |
//! | 82 | Opened | u64 session, text model, list of text stems, u32 packet_frames, u32 latency_frames, u32 algorithmic_frames, u32 hop_frames, u32 look_ahead_frames, text description |
//! | 83 | Refused | u8 code, text message, optional u32 smallest_budget_frames, whatever a later version adds |
//! | 84 | HeartbeatEcho | u32 sequence |
//! | 85 | Closing | u8 reason |
//!
//! Hello and Refused are what two builds of different versions still have to understand of each other, so
//! they may grow at their ends; everything else must fit exactly. Nothing here decides what to do with a
//! message: that is `session`.

use rehearsekit_audio::StemSet;

use crate::{
    MAX_BLOCK_FRAMES, MAX_BUDGET_FRAMES, MAX_LINK_MICROS, MAX_MODELS, MAX_NAME_BYTES, MAX_PACKET_FRAMES,
    MAX_SENTENCE_BYTES, WIRE_RATES_HZ,
    bytes::{Reader, Writer},
};

const MAGIC: [u8; 4] = *b"RHSK";
const MAX_STEM_NAME_BYTES: usize = 32;

const HELLO: u8 = 0x01;
const OPEN: u8 = 0x02;
const HEARTBEAT: u8 = 0x03;
const CLOSE: u8 = 0x04;
const WELCOME: u8 = 0x81;
const OPENED: u8 = 0x82;
const REFUSED: u8 = 0x83;
const HEARTBEAT_ECHO: u8 = 0x84;
const CLOSING: u8 = 0x85;

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
    /// A code of a later version; read the sentence.
    Other(u8),
}

impl RefusalCode {
    /// Whether the same request may succeed later. If not, something has to be changed first.
    pub fn is_worth_retrying(self) -> bool {
        matches!(self, Self::Full | Self::NotReady | Self::ShuttingDown | Self::Busy)
    }

    fn to_wire(self) -> u8 {
        match self {
            Self::Version => 1,
            Self::UnknownModel => 2,
            Self::BudgetTooSmall => 3,
            Self::Full => 4,
            Self::NotReady => 5,
            Self::ShuttingDown => 6,
            Self::BadRequest => 7,
            Self::Busy => 8,
            Self::Other(code) => code,
        }
    }

    fn from_wire(code: u8) -> Self {
        match code {
            1 => Self::Version,
            2 => Self::UnknownModel,
            3 => Self::BudgetTooSmall,
            4 => Self::Full,
            5 => Self::NotReady,
            6 => Self::ShuttingDown,
            7 => Self::BadRequest,
            8 => Self::Busy,
            other => Self::Other(other),
        }
    }
}

/// A no with its reason and, where there is one, a suggestion.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Refusal {
    /// What kind of no.
    pub code: RefusalCode,
    /// The sentence for the player, at most [`MAX_SENTENCE_BYTES`].
    pub message: String,
    /// The smallest budget, in frames at the wire rate, that this server could hold.
    pub smallest_budget_frames: Option<u32>,
}

impl Refusal {
    /// A refusal whose sentence is cut to what the wire carries.
    pub fn new(code: RefusalCode, message: &str, smallest_budget_frames: Option<u32>) -> Self {
        let end = (0..=MAX_SENTENCE_BYTES.min(message.len())).rev().find(|&i| message.is_char_boundary(i));
        let message = message[..end.unwrap_or(0)].to_owned();
        Self { code, message, smallest_budget_frames }
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
}

impl OpenRequest {
    /// Whether the numbers make sense at all (not whether a server can hold them).
    pub fn check(&self) -> Result<(), MessageError> {
        within("rate_hz", self.rate_hz, *WIRE_RATES_HZ.start(), *WIRE_RATES_HZ.end())?;
        within("budget_frames", self.budget_frames, 1, MAX_BUDGET_FRAMES)?;
        within("block_frames", self.block_frames, 1, MAX_BLOCK_FRAMES)?;
        within("link_micros", self.link_micros, 0, MAX_LINK_MICROS)
    }
}

/// What a server granted. All frames are at the wire rate.
#[derive(Debug, Clone, PartialEq, Eq)]
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
}

/// What a server says.
#[derive(Debug, Clone, PartialEq, Eq)]
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
}

impl ClientMessage {
    /// Appends the whole frame, length included. On an error `out` is as before.
    pub fn encode(&self, out: &mut Vec<u8>) -> Result<(), MessageError> {
        framed(out, |w| match self {
            Self::Hello { min_version, max_version, client_name } => {
                w.u8(HELLO);
                w.bytes(&MAGIC);
                w.u16(*min_version);
                w.u16(*max_version);
                w.text("client_name", client_name, MAX_NAME_BYTES)
            }
            Self::Open(open) => {
                w.u8(OPEN);
                w.text("model", &open.model, MAX_NAME_BYTES)?;
                w.u32(open.rate_hz);
                w.u32(open.budget_frames);
                w.u32(open.block_frames);
                w.u32(open.link_micros);
                w.u8(match open.mode {
                    Mode::Live => 0,
                    Mode::Reliable => 1,
                });
                Ok(())
            }
            Self::Heartbeat { sequence } => {
                w.u8(HEARTBEAT);
                w.u32(*sequence);
                Ok(())
            }
            Self::Close { reason } => {
                w.u8(CLOSE);
                w.u8(close_to_wire(*reason));
                Ok(())
            }
        })
    }

    /// Reads one frame (type and body, as [`crate::FrameReader`] gives it). Never panics. The numbers of
    /// an Open are taken as they are; [`OpenRequest::check`] judges them, so that the answer can be a
    /// refusal with a sentence.
    pub fn decode(frame: &[u8]) -> Result<Self, MessageError> {
        let mut r = Reader::new(frame);
        let message = match r.u8("type")? {
            HELLO => {
                r.magic(MAGIC)?;
                let (min_version, max_version) = (r.u16("min_version")?, r.u16("max_version")?);
                // What follows belongs to a later version's Hello.
                return Ok(Self::Hello {
                    min_version,
                    max_version,
                    client_name: r.text("client_name", MAX_NAME_BYTES)?,
                });
            }
            OPEN => Self::Open(OpenRequest {
                model: r.text("model", MAX_NAME_BYTES)?,
                rate_hz: r.u32("rate_hz")?,
                budget_frames: r.u32("budget_frames")?,
                block_frames: r.u32("block_frames")?,
                link_micros: r.u32("link_micros")?,
                mode: match r.u8("mode")? {
                    0 => Mode::Live,
                    1 => Mode::Reliable,
                    got => return Err(MessageError::Value { field: "mode", got: got.into() }),
                },
            }),
            HEARTBEAT => Self::Heartbeat { sequence: r.u32("sequence")? },
            CLOSE => Self::Close { reason: close_from_wire(r.u8("reason")?)? },
            kind => return Err(MessageError::UnknownType { kind }),
        };
        r.end()?;
        Ok(message)
    }
}

impl ServerMessage {
    /// Appends the whole frame, length included. On an error `out` is as before.
    pub fn encode(&self, out: &mut Vec<u8>) -> Result<(), MessageError> {
        framed(out, |w| match self {
            Self::Welcome { version, server_name, models } => {
                w.u8(WELCOME);
                w.u16(*version);
                w.text("server_name", server_name, MAX_NAME_BYTES)?;
                texts(w, "models", models.iter().map(String::as_str), MAX_MODELS, MAX_NAME_BYTES)
            }
            Self::Opened(opened) => {
                opened.check()?;
                w.u8(OPENED);
                w.u64(opened.session);
                w.text("model", &opened.model, MAX_NAME_BYTES)?;
                let names = opened.stems.names().iter().map(|n| n.as_str());
                texts(w, "stems", names, StemSet::MAX, MAX_STEM_NAME_BYTES)?;
                w.u32(opened.packet_frames);
                w.u32(opened.latency_frames);
                w.u32(opened.algorithmic_frames);
                w.u32(opened.hop_frames);
                w.u32(opened.look_ahead_frames);
                w.text("description", &opened.description, MAX_SENTENCE_BYTES)
            }
            Self::Refused(refusal) => {
                w.u8(REFUSED);
                w.u8(refusal.code.to_wire());
                w.text("message", &refusal.message, MAX_SENTENCE_BYTES)?;
                w.u8(refusal.smallest_budget_frames.is_some().into());
                if let Some(frames) = refusal.smallest_budget_frames {
                    w.u32(frames);
                }
                Ok(())
            }
            Self::HeartbeatEcho { sequence } => {
                w.u8(HEARTBEAT_ECHO);
                w.u32(*sequence);
                Ok(())
            }
            Self::Closing { reason } => {
                w.u8(CLOSING);
                w.u8(close_to_wire(*reason));
                Ok(())
            }
        })
    }

    /// Reads one frame (type and body, as [`crate::FrameReader`] gives it). Never panics; what it returns
    /// keeps every limit of this protocol.
    pub fn decode(frame: &[u8]) -> Result<Self, MessageError> {
        let mut r = Reader::new(frame);
        let message = match r.u8("type")? {
            WELCOME => Self::Welcome {
                version: r.u16("version")?,
                server_name: r.text("server_name", MAX_NAME_BYTES)?,
                models: read_texts(&mut r, "models", MAX_MODELS, MAX_NAME_BYTES)?,
            },
            OPENED => {
                let opened = Opened {
                    session: r.u64("session")?,
                    model: r.text("model", MAX_NAME_BYTES)?,
                    stems: StemSet::new(&read_texts(&mut r, "stems", StemSet::MAX, MAX_STEM_NAME_BYTES)?)?,
                    packet_frames: r.u32("packet_frames")?,
                    latency_frames: r.u32("latency_frames")?,
                    algorithmic_frames: r.u32("algorithmic_frames")?,
                    hop_frames: r.u32("hop_frames")?,
                    look_ahead_frames: r.u32("look_ahead_frames")?,
                    description: r.text("description", MAX_SENTENCE_BYTES)?,
                };
                opened.check()?;
                Self::Opened(opened)
            }
            REFUSED => {
                let code = RefusalCode::from_wire(r.u8("code")?);
                let message = r.text("message", MAX_SENTENCE_BYTES)?;
                let smallest_budget_frames = match r.u8("smallest_budget_frames")? {
                    0 => None,
                    1 => Some(r.u32("smallest_budget_frames")?),
                    got => {
                        return Err(MessageError::Value { field: "smallest_budget_frames", got: got.into() });
                    }
                };
                // What follows belongs to a later version's Refused.
                return Ok(Self::Refused(Refusal { code, message, smallest_budget_frames }));
            }
            HEARTBEAT_ECHO => Self::HeartbeatEcho { sequence: r.u32("sequence")? },
            CLOSING => Self::Closing { reason: close_from_wire(r.u8("reason")?)? },
            kind => return Err(MessageError::UnknownType { kind }),
        };
        r.end()?;
        Ok(message)
    }
}

/// Writes a frame's body behind room for its length, then the length; takes everything back on an error.
fn framed(
    out: &mut Vec<u8>,
    body: impl FnOnce(&mut Writer<'_>) -> Result<(), MessageError>,
) -> Result<(), MessageError> {
    let start = out.len();
    out.extend_from_slice(&[0, 0]);
    let written = body(&mut Writer { out }).and_then(|()| {
        let got = out.len() - start - 2;
        if got <= crate::MAX_MESSAGE_BYTES { Ok(got as u16) } else { Err(MessageError::FrameLength { got }) }
    });
    match written {
        Ok(length) => {
            out[start..start + 2].copy_from_slice(&length.to_le_bytes());
            Ok(())
        }
        Err(error) => {
            out.truncate(start);
            Err(error)
        }
    }
}

fn texts<'a>(
    w: &mut Writer<'_>,
    field: &'static str,
    items: impl ExactSizeIterator<Item = &'a str>,
    limit: usize,
    bytes: usize,
) -> Result<(), MessageError> {
    if items.len() > limit {
        return Err(MessageError::TooLong { field, got: items.len(), limit });
    }
    w.u8(items.len() as u8);
    items.into_iter().try_for_each(|item| w.text(field, item, bytes))
}

fn read_texts(
    r: &mut Reader<'_>,
    field: &'static str,
    limit: usize,
    bytes: usize,
) -> Result<Vec<String>, MessageError> {
    let count = usize::from(r.u8(field)?);
    if count > limit {
        return Err(MessageError::TooLong { field, got: count, limit });
    }
    (0..count).map(|_| r.text(field, bytes)).collect()
}

fn within(field: &'static str, got: u32, min: u32, max: u32) -> Result<(), MessageError> {
    if (min..=max).contains(&got) { Ok(()) } else { Err(MessageError::Value { field, got: got.into() }) }
}

fn close_to_wire(reason: CloseReason) -> u8 {
    match reason {
        CloseReason::ClientDone => 1,
        CloseReason::ServerShutdown => 2,
        CloseReason::ProtocolError => 3,
        CloseReason::TooSlow => 4,
        CloseReason::Silent => 5,
        CloseReason::Internal => 6,
    }
}

fn close_from_wire(code: u8) -> Result<CloseReason, MessageError> {
    Ok(match code {
        1 => CloseReason::ClientDone,
        2 => CloseReason::ServerShutdown,
        3 => CloseReason::ProtocolError,
        4 => CloseReason::TooSlow,
        5 => CloseReason::Silent,
        6 => CloseReason::Internal,
        got => return Err(MessageError::Value { field: "reason", got: got.into() }),
    })
}
