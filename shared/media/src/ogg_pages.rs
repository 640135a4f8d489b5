//! Ogg pages, and the packets that lie across them. Every page's checksum and number is looked at.
//!
//! This module must never know a codec.

use std::collections::VecDeque;

use crate::{error::Fault, source::Source};

/// Unknown bytes behind the last page that are taken for somebody's tag.
const MAX_TAIL_BYTES: usize = 32 << 10;
/// A packet longer than this is no packet of sound.
const MAX_PACKET_BYTES: usize = 16 << 20;

/// One page.
pub(crate) struct Page {
    pub(crate) serial: u32,
    pub(crate) is_first: bool,
    pub(crate) is_last: bool,
    /// Where the last packet that ends here ends, as the codec counts; `None` if none ends here.
    pub(crate) granule: Option<i64>,
    number: u32,
    continues: bool,
    lacing: Vec<u8>,
    body: Vec<u8>,
}

/// Reads the next page; `None` at the end.
pub(crate) fn next_page(source: &mut Source) -> Result<Option<Page>, Fault> {
    let head = source.peek(27)?;
    if !head.starts_with(b"OggS") {
        if head.is_empty() {
            return Ok(None);
        }
        // Other bytes behind the last page are a tag; before another page they are a hole.
        let rest = source.peek(4 * MAX_TAIL_BYTES)?;
        let goes_on = rest.len() > MAX_TAIL_BYTES || rest.windows(4).any(|w| w == b"OggS");
        return if goes_on { Err(Fault::damaged("a page does not begin where it should")) } else { Ok(None) };
    }
    let segments = usize::from(*head.get(26).ok_or(Fault::CutOff(None))?);
    let header = source.peek(27 + segments)?;
    let lacing = header.get(27..27 + segments).ok_or(Fault::CutOff(None))?.to_vec();
    let length = 27 + segments + lacing.iter().map(|&l| usize::from(l)).sum::<usize>();
    let mut bytes = source.take(length)?;
    if bytes.len() < length {
        return Err(Fault::CutOff(None));
    }
    let word = |bytes: &[u8], at: usize| {
        u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
    };
    let checksum = word(&bytes, 22);
    bytes[22..26].fill(0);
    if crc32(&bytes) != checksum {
        return Err(Fault::damaged("a page does not match its checksum"));
    }
    let flags = bytes[5];
    let granule = u64::from(word(&bytes, 6)) | u64::from(word(&bytes, 10)) << 32;
    Ok(Some(Page {
        serial: word(&bytes, 14),
        is_first: flags & 2 != 0,
        is_last: flags & 4 != 0,
        granule: Some(granule as i64).filter(|&g| g != -1),
        number: word(&bytes, 18),
        continues: flags & 1 != 0,
        lacing,
        body: bytes.split_off(27 + segments),
    }))
}

/// Puts the packets of one stream together.
#[derive(Default)]
pub(crate) struct Packets {
    open: Vec<u8>,
    is_open: bool,
    last_number: Option<u32>,
}

impl Packets {
    /// The packets that end in `page`.
    pub(crate) fn push(&mut self, page: &Page) -> Result<VecDeque<Vec<u8>>, Fault> {
        if self.last_number.is_some_and(|last| page.number != last.wrapping_add(1)) {
            return Err(Fault::damaged("pages are missing"));
        }
        // A recording of a broadcast may begin in the middle of a packet.
        let mut is_orphan = page.continues && !self.is_open;
        if is_orphan && self.last_number.is_some() {
            return Err(Fault::damaged("a packet has no beginning"));
        }
        self.last_number = Some(page.number);
        let mut packets = VecDeque::new();
        let mut at = 0;
        for &length in &page.lacing {
            let piece = &page.body[at..at + usize::from(length)];
            at += usize::from(length);
            self.open.extend_from_slice(piece);
            self.is_open = length == 255;
            if self.open.len() > MAX_PACKET_BYTES {
                return Err(Fault::damaged("a packet has no end"));
            }
            if !self.is_open {
                let packet = std::mem::take(&mut self.open);
                if !std::mem::take(&mut is_orphan) {
                    packets.push_back(packet);
                }
            }
        }
        Ok(packets)
    }
}

fn crc32(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0u32, |crc, &byte| crc << 8 ^ CRC32[usize::from((crc >> 24) as u8 ^ byte)])
}

/// The polynomial 0x04c11db7, byte by byte, neither reflected nor inverted.
const CRC32: [u32; 256] = {
    let mut table = [0u32; 256];
    let mut byte = 0;
    while byte < 256 {
        let mut crc = (byte as u32) << 24;
        let mut bit = 0;
        while bit < 8 {
            crc = if crc & 0x8000_0000 != 0 { crc << 1 ^ 0x04c1_1db7 } else { crc << 1 };
            bit += 1;
        }
        table[byte] = crc;
        byte += 1;
    }
    table
};
