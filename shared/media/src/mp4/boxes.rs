//! The boxes of MP4 and QuickTime: a size, four letters, and what is inside.
//!
//! This module must never read beyond a box's own bytes.

/// Size of the box, its kind, and the bytes of its header; `None` for nonsense. A size of 0 is "to the end".
pub(crate) fn header(bytes: &[u8]) -> Option<(u64, [u8; 4], u64)> {
    let kind = bytes.get(4..8)?.try_into().ok()?;
    let (size, header) = match u32_at(bytes, 0)? {
        0 => return Some((0, kind, 8)),
        1 => (u64_at(bytes, 8)?, 16),
        size => (u64::from(size), 8),
    };
    (size >= header).then_some((size, kind, header))
}

/// The boxes directly inside `content`; ends at the first that is malformed.
pub(crate) fn inside(mut content: &[u8]) -> impl Iterator<Item = ([u8; 4], &[u8])> {
    std::iter::from_fn(move || {
        let (size, kind, header) = header(content)?;
        let size = if size == 0 { content.len() } else { usize::try_from(size).ok()? };
        let inner = content.get(header as usize..size)?;
        content = &content[size..];
        Some((kind, inner))
    })
}

/// The content of the first box along `path` inside `content`.
pub(crate) fn find<'b>(content: &'b [u8], path: &[&[u8; 4]]) -> Option<&'b [u8]> {
    let Some((first, rest)) = path.split_first() else { return Some(content) };
    inside(content).find(|(kind, _)| kind == *first).and_then(|(_, inner)| find(inner, rest))
}

pub(crate) fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    bytes.get(at..at.checked_add(2)?)?.try_into().ok().map(u16::from_be_bytes)
}

pub(crate) fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..at.checked_add(4)?)?.try_into().ok().map(u32::from_be_bytes)
}

pub(crate) fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    bytes.get(at..at.checked_add(8)?)?.try_into().ok().map(u64::from_be_bytes)
}
