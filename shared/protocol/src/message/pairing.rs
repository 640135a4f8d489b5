//! What pairing and its fruits look like on the wire, from version 3 on. The proofs themselves are `crate::pairing`'s
//! business.

use std::fmt;

use super::MessageError;
use crate::{
    MAX_NAME_BYTES,
    bytes::{Reader, Writer},
};

/// What a paired client shows instead of a password: 32 random bytes that only it and its server's owner know (the
/// server keeps their hash). Never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(pub [u8; Token::BYTES]);

impl Token {
    /// Its length.
    pub const BYTES: usize = 32;
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(secret)")
    }
}

/// One end's half of the SPAKE2 exchange, 33 bytes.
pub type Half = [u8; HALF_BYTES];
/// The length of a [`Half`]: a side and a point of the curve.
pub const HALF_BYTES: usize = 33;

/// A client that has a code begins to pair.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PairStart {
    /// The client's half.
    pub half: Half,
    /// What the client is to be called in the server's list ("drummer's laptop"), at most [`MAX_NAME_BYTES`].
    pub name: String,
}

/// That the other end knows the same code, and that nobody sits between.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PairProof {
    /// Right if both ends used the same code.
    pub of_code: [u8; 32],
    /// Right if, besides, both ends of the TLS connection are the same.
    pub of_channel: [u8; 32],
}

/// The end of a pairing that worked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Paired {
    /// The server's own proof; without it the token is worth nothing.
    pub proof: PairProof,
    /// What the client shows from now on.
    pub token: Token,
}

impl PairStart {
    pub(super) fn write(&self, w: &mut Writer<'_>) -> Result<(), MessageError> {
        w.bytes(&self.half);
        w.text("name", &self.name, MAX_NAME_BYTES)
    }

    pub(super) fn read(r: &mut Reader<'_>) -> Result<Self, MessageError> {
        Ok(Self { half: r.array("half")?, name: r.text("name", MAX_NAME_BYTES)? })
    }
}

impl PairProof {
    pub(super) fn write(&self, w: &mut Writer<'_>) {
        w.bytes(&self.of_code);
        w.bytes(&self.of_channel);
    }

    pub(super) fn read(r: &mut Reader<'_>) -> Result<Self, MessageError> {
        Ok(Self { of_code: r.array("of_code")?, of_channel: r.array("of_channel")? })
    }
}

impl Paired {
    pub(super) fn write(&self, w: &mut Writer<'_>) {
        self.proof.write(w);
        w.bytes(&self.token.0);
    }

    pub(super) fn read(r: &mut Reader<'_>) -> Result<Self, MessageError> {
        Ok(Self { proof: PairProof::read(r)?, token: Token(r.array("token")?) })
    }
}

/// How the session goes on the client's side, for the server's metrics. All counts are since the session opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Health {
    /// Slots of 64 frames for which nothing was there.
    pub underruns: u32,
    /// Chunks that came after their slot.
    pub late: u32,
    /// Chunks that never came.
    pub lost: u32,
    /// The budget that this link would have needed lately, in frames at the wire rate; 0 if unknown.
    pub needed_frames: u32,
}

impl Health {
    pub(super) fn write(&self, w: &mut Writer<'_>) {
        [self.underruns, self.late, self.lost, self.needed_frames].into_iter().for_each(|value| w.u32(value));
    }

    pub(super) fn read(r: &mut Reader<'_>) -> Result<Self, MessageError> {
        Ok(Self {
            underruns: r.u32("underruns")?,
            late: r.u32("late")?,
            lost: r.u32("lost")?,
            needed_frames: r.u32("needed_frames")?,
        })
    }
}
