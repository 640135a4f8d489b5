//! EBML, the way Matroska and WebM write elements: a name, a length, a content.
//!
//! This module must never know what an element means.

use crate::{error::Fault, source::Source};

/// The longest element that is read into memory.
const MAX_ELEMENT_BYTES: u64 = 32 << 20;

/// A name with its length; `None` for an unknown length, as live recordings have.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Header {
    pub(crate) id: u32,
    pub(crate) size: Option<u64>,
}

/// The header at the front of `bytes`, and its own length.
pub(crate) fn header(bytes: &[u8]) -> Option<(Header, usize)> {
    let first = *bytes.first()?;
    let id_bytes = first.leading_zeros() as usize + 1;
    if id_bytes > 4 {
        return None;
    }
    let id = bytes.get(..id_bytes)?.iter().fold(0u32, |sum, &b| sum << 8 | u32::from(b));
    let (size, size_bytes) = number(bytes.get(id_bytes..)?)?;
    let unknown = (1u64 << (7 * size_bytes)) - 1;
    Some((Header { id, size: Some(size).filter(|&s| s != unknown) }, id_bytes + size_bytes))
}

/// A number whose first byte tells its length; and that length.
pub(crate) fn number(bytes: &[u8]) -> Option<(u64, usize)> {
    let first = *bytes.first()?;
    let length = first.leading_zeros() as usize + 1;
    if length > 8 {
        return None;
    }
    let mask = if length == 8 { 0 } else { 0xff >> length };
    let rest = bytes.get(1..length)?;
    Some((rest.iter().fold(u64::from(first & mask), |sum, &b| sum << 8 | u64::from(b)), length))
}

/// Reads the next header at the source's place; `None` at the end.
pub(crate) fn next(source: &mut Source) -> Result<Option<Header>, Fault> {
    let bytes = source.peek(12)?;
    if bytes.is_empty() {
        return Ok(None);
    }
    let short = bytes.len() < 12;
    let Some((header, length)) = header(bytes) else {
        return Err(if short { Fault::CutOff(None) } else { Fault::damaged("an element has no name") });
    };
    source.skip(length as u64)?;
    Ok(Some(header))
}

/// Reads the content of an element.
pub(crate) fn content(source: &mut Source, size: u64) -> Result<Vec<u8>, Fault> {
    if size > MAX_ELEMENT_BYTES {
        return Err(Fault::damaged("an element is longer than sound can be"));
    }
    let content = source.take(size as usize)?;
    if (content.len() as u64) < size { Err(Fault::CutOff(None)) } else { Ok(content) }
}

/// The elements directly inside `content`; ends at the first that is malformed.
pub(crate) fn inside(mut content: &[u8]) -> impl Iterator<Item = (u32, &[u8])> {
    std::iter::from_fn(move || {
        let (header, length) = header(content)?;
        let size = usize::try_from(header.size?).ok()?;
        let inner = content.get(length..length.checked_add(size)?)?;
        content = &content[length + size..];
        Some((header.id, inner))
    })
}

/// The first element called `id` inside `content`.
pub(crate) fn find(content: &[u8], id: u32) -> Option<&[u8]> {
    inside(content).find(|&(found, _)| found == id).map(|(_, inner)| inner)
}

/// An element's unsigned number.
pub(crate) fn unsigned(content: &[u8]) -> u64 {
    content.iter().take(8).fold(0, |sum, &b| sum << 8 | u64::from(b))
}

/// An element's floating-point number.
pub(crate) fn float(content: &[u8]) -> f64 {
    match content.len() {
        4 => f64::from(f32::from_bits(unsigned(content) as u32)),
        8 => f64::from_bits(unsigned(content)),
        _ => 0.0,
    }
}
