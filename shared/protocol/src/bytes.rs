//! Little-endian reading and writing with limits. Must never panic on what it reads, nor allocate before
//! the limit has been checked.

use crate::message::MessageError;

/// Reads fields off the front of a message body.
pub(crate) struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(crate) fn new(body: &'a [u8]) -> Self {
        Self { rest: body }
    }

    pub(crate) fn array<const N: usize>(&mut self, field: &'static str) -> Result<[u8; N], MessageError> {
        let (head, rest) = self.rest.split_first_chunk::<N>().ok_or(MessageError::Short { field })?;
        self.rest = rest;
        Ok(*head)
    }

    pub(crate) fn magic(&mut self, expected: [u8; 4]) -> Result<(), MessageError> {
        if self.array::<4>("magic")? == expected { Ok(()) } else { Err(MessageError::Magic) }
    }

    pub(crate) fn u8(&mut self, field: &'static str) -> Result<u8, MessageError> {
        Ok(u8::from_le_bytes(self.array(field)?))
    }

    pub(crate) fn u16(&mut self, field: &'static str) -> Result<u16, MessageError> {
        Ok(u16::from_le_bytes(self.array(field)?))
    }

    pub(crate) fn u32(&mut self, field: &'static str) -> Result<u32, MessageError> {
        Ok(u32::from_le_bytes(self.array(field)?))
    }

    pub(crate) fn u64(&mut self, field: &'static str) -> Result<u64, MessageError> {
        Ok(u64::from_le_bytes(self.array(field)?))
    }

    /// `u16 length | UTF-8` of at most `limit` bytes.
    pub(crate) fn text(&mut self, field: &'static str, limit: usize) -> Result<String, MessageError> {
        let length = usize::from(self.u16(field)?);
        if length > limit {
            return Err(MessageError::TooLong { field, got: length, limit });
        }
        let (head, rest) = self.rest.split_at_checked(length).ok_or(MessageError::Short { field })?;
        self.rest = rest;
        std::str::from_utf8(head).map(str::to_owned).map_err(|_| MessageError::Utf8 { field })
    }

    /// Whether the body is used up.
    pub(crate) fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// The body must be used up.
    pub(crate) fn end(self) -> Result<(), MessageError> {
        if self.rest.is_empty() { Ok(()) } else { Err(MessageError::Trailing { bytes: self.rest.len() }) }
    }
}

/// Appends fields; lengths are checked here so that nothing unreadable is ever sent.
pub(crate) struct Writer<'a> {
    pub(crate) out: &'a mut Vec<u8>,
}

impl Writer<'_> {
    pub(crate) fn bytes(&mut self, bytes: &[u8]) {
        self.out.extend_from_slice(bytes);
    }

    pub(crate) fn u8(&mut self, value: u8) {
        self.out.push(value);
    }

    pub(crate) fn u16(&mut self, value: u16) {
        self.bytes(&value.to_le_bytes());
    }

    pub(crate) fn u32(&mut self, value: u32) {
        self.bytes(&value.to_le_bytes());
    }

    pub(crate) fn u64(&mut self, value: u64) {
        self.bytes(&value.to_le_bytes());
    }

    pub(crate) fn text(&mut self, field: &'static str, text: &str, limit: usize) -> Result<(), MessageError> {
        if text.len() > limit {
            return Err(MessageError::TooLong { field, got: text.len(), limit });
        }
        // Every limit is far below 65536.
        self.u16(text.len() as u16);
        self.bytes(text.as_bytes());
        Ok(())
    }
}
