//! How control messages lie on the wire, as the table of [`crate::message`] says. Encoding checks every
//! limit so that nothing unreadable is ever sent; decoding checks it again because the other end may not.

use rehearsekit_audio::StemSet;

use super::{
    ClientMessage, CloseReason, MessageError, Mode, OpenRequest, Opened, Refusal, RefusalCode, ServerMessage,
    offer::{read_needs, read_offers, read_wanted, write_offers, write_wanted},
    pairing::{Health, PairProof, PairStart, Paired, Token},
};
use crate::{
    MAX_MODELS, MAX_NAME_BYTES, MAX_SENTENCE_BYTES,
    bytes::{Reader, Writer},
};

const MAGIC: [u8; 4] = *b"RHSK";
const MAX_STEM_NAME_BYTES: usize = 32;

const HELLO: u8 = 0x01;
const OPEN: u8 = 0x02;
const HEARTBEAT: u8 = 0x03;
const CLOSE: u8 = 0x04;
const IDENTIFY: u8 = 0x05;
const PAIR_START: u8 = 0x06;
const PAIR_PROOF: u8 = 0x07;
const HEALTH: u8 = 0x08;
const WELCOME: u8 = 0x81;
const OPENED: u8 = 0x82;
const REFUSED: u8 = 0x83;
const HEARTBEAT_ECHO: u8 = 0x84;
const CLOSING: u8 = 0x85;
const PAIR_REPLY: u8 = 0x86;
const PAIRED: u8 = 0x87;
const PAUSED: u8 = 0x88;

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
                write_wanted(w, &open.wanted_offers_frames)
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
            Self::Identify(token) => {
                w.u8(IDENTIFY);
                w.bytes(&token.0);
                Ok(())
            }
            Self::PairStart(start) => {
                w.u8(PAIR_START);
                start.write(w)
            }
            Self::PairProof(proof) => {
                w.u8(PAIR_PROOF);
                proof.write(w);
                Ok(())
            }
            Self::Health(health) => {
                w.u8(HEALTH);
                health.write(w);
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
                wanted_offers_frames: read_wanted(&mut r)?,
            }),
            HEARTBEAT => Self::Heartbeat { sequence: r.u32("sequence")? },
            CLOSE => Self::Close { reason: close_from_wire(r.u8("reason")?)? },
            IDENTIFY => Self::Identify(Token(r.array("token")?)),
            PAIR_START => Self::PairStart(PairStart::read(&mut r)?),
            PAIR_PROOF => Self::PairProof(PairProof::read(&mut r)?),
            HEALTH => Self::Health(Health::read(&mut r)?),
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
                w.text("description", &opened.description, MAX_SENTENCE_BYTES)?;
                write_offers(w, &opened.offers)
            }
            Self::Refused(refusal) => {
                w.u8(REFUSED);
                w.u8(refusal.code.to_wire());
                w.text("message", &refusal.message, MAX_SENTENCE_BYTES)?;
                w.u8(refusal.smallest_budget_frames.is_some().into());
                if let Some(frames) = refusal.smallest_budget_frames {
                    w.u32(frames);
                }
                write_offers(w, &refusal.offers)
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
            Self::PairReply(half) => {
                w.u8(PAIR_REPLY);
                w.bytes(half);
                Ok(())
            }
            Self::Paired(paired) => {
                w.u8(PAIRED);
                paired.write(w);
                Ok(())
            }
            Self::Paused { paused } => {
                w.u8(PAUSED);
                w.u8((*paused).into());
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
                let mut opened = Opened {
                    session: r.u64("session")?,
                    model: r.text("model", MAX_NAME_BYTES)?,
                    stems: StemSet::new(&read_texts(&mut r, "stems", StemSet::MAX, MAX_STEM_NAME_BYTES)?)?,
                    packet_frames: r.u32("packet_frames")?,
                    latency_frames: r.u32("latency_frames")?,
                    algorithmic_frames: r.u32("algorithmic_frames")?,
                    hop_frames: r.u32("hop_frames")?,
                    look_ahead_frames: r.u32("look_ahead_frames")?,
                    description: r.text("description", MAX_SENTENCE_BYTES)?,
                    offers: read_offers(&mut r)?,
                };
                read_needs(&mut r, &mut opened.offers)?;
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
                // What follows belongs to a later version's Refused. It may not speak ours at all, and its
                // sentence has to be understood all the same: what cannot be read as offers is none.
                let mut offers = read_offers(&mut r).unwrap_or_default();
                let _ = read_needs(&mut r, &mut offers);
                return Ok(Self::Refused(Refusal { code, message, smallest_budget_frames, offers }));
            }
            HEARTBEAT_ECHO => Self::HeartbeatEcho { sequence: r.u32("sequence")? },
            CLOSING => Self::Closing { reason: close_from_wire(r.u8("reason")?)? },
            PAIR_REPLY => Self::PairReply(r.array("half")?),
            PAIRED => Self::Paired(Paired::read(&mut r)?),
            PAUSED => Self::Paused {
                paused: match r.u8("paused")? {
                    0 => false,
                    1 => true,
                    got => return Err(MessageError::Value { field: "paused", got: got.into() }),
                },
            },
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

fn close_to_wire(reason: CloseReason) -> u8 {
    match reason {
        CloseReason::ClientDone => 1,
        CloseReason::ServerShutdown => 2,
        CloseReason::ProtocolError => 3,
        CloseReason::TooSlow => 4,
        CloseReason::Silent => 5,
        CloseReason::Internal => 6,
        CloseReason::Revoked => 7,
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
        7 => CloseReason::Revoked,
        got => return Err(MessageError::Value { field: "reason", got: got.into() }),
    })
}

impl RefusalCode {
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
            Self::NotPaired => 9,
            Self::Revoked => 10,
            Self::WrongCode => 11,
            Self::NoCode => 12,
            Self::CodeExpired => 13,
            Self::TriesOver => 14,
            Self::Replayed => 15,
            Self::Intercepted => 16,
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
            9 => Self::NotPaired,
            10 => Self::Revoked,
            11 => Self::WrongCode,
            12 => Self::NoCode,
            13 => Self::CodeExpired,
            14 => Self::TriesOver,
            15 => Self::Replayed,
            16 => Self::Intercepted,
            other => Self::Other(other),
        }
    }
}
