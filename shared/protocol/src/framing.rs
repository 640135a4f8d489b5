//! Cuts the control stream into frames, however its bytes were split on the way.
//!
//! `u16 length | u8 type | body`, the length counting type and body, 1 to [`MAX_MESSAGE_BYTES`]. It must
//! never hold more than one unfinished frame beyond what was just pushed, and it refuses a length on
//! sight, before a single byte of the body is waited for.

use crate::{MAX_MESSAGE_BYTES, message::MessageError};

/// Bytes in as they arrive, whole frames (type and body, without the length) out.
#[derive(Debug, Default)]
pub struct FrameReader {
    pending: Vec<u8>,
    taken: usize,
}

impl FrameReader {
    /// A reader at the start of a stream.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds bytes that arrived. Take all frames out before pushing more.
    pub fn push(&mut self, bytes: &[u8]) {
        // Only the start of one unfinished frame is left here, so this moves little.
        self.pending.drain(..self.taken);
        self.taken = 0;
        self.pending.extend_from_slice(bytes);
    }

    /// The next whole frame, `None` until more bytes arrive. An error is final: the stream has lost its
    /// frames' borders.
    pub fn next_frame(&mut self) -> Result<Option<&[u8]>, MessageError> {
        let rest = &self.pending[self.taken..];
        let Some((length, rest)) = rest.split_first_chunk::<2>() else { return Ok(None) };
        let length = usize::from(u16::from_le_bytes(*length));
        if !(1..=MAX_MESSAGE_BYTES).contains(&length) {
            return Err(MessageError::FrameLength { got: length });
        }
        if rest.len() < length {
            return Ok(None);
        }
        let start = self.taken + 2;
        self.taken = start + length;
        Ok(Some(&self.pending[start..start + length]))
    }
}
