//! AAC as a bare stream (`.aac`), every packet with its own ADTS header.
//!
//! This module must never step over a hole: what is no packet and no tag is told.

use crate::{
    codec::{self, Codec, Setup},
    error::Fault,
    mpeg::frames::skip_tag,
    source::Source,
    stream::{self, Block, Shape, Stream},
};

/// Unknown bytes behind the last packet that are taken for somebody's tag.
const MAX_TAIL_BYTES: usize = 32 << 10;
/// Bytes that hold the first packets.
const HEAD_BYTES: usize = 64 << 10;

/// Length of the packet whose header `bytes` begins with.
pub(crate) fn packet_bytes(bytes: &[u8]) -> Option<usize> {
    let head = bytes.first_chunk::<7>()?;
    let is_header = head[0] == 0xff && head[1] & 0xf6 == 0xf0 && head[2] >> 2 & 15 < 13;
    let length = usize::from(head[3] & 3) << 11 | usize::from(head[4]) << 3 | usize::from(head[5] >> 5);
    (is_header && length > 7).then_some(length)
}

/// What stays the same through a stream: profile, rate, channels.
fn fixed(bytes: &[u8]) -> Option<[u8; 3]> {
    packet_bytes(bytes)?;
    Some([bytes[1] & 0xf6, bytes[2] & 0xfd, bytes[3] & 0xc0])
}

/// Whether packets of one stream follow each other from the front of `bytes` on. `all` says that nothing is behind.
pub(crate) fn is_chain(bytes: &[u8], all: bool) -> bool {
    let Some(first) = fixed(bytes) else { return false };
    let (mut at, mut count) = (0, 0);
    while count < 4 {
        match bytes.get(at..).filter(|rest| !rest.is_empty()) {
            None => return all && count > 1,
            Some(rest) if fixed(rest) == Some(first) => {
                (at, count) = (at + packet_bytes(rest).unwrap_or(1), count + 1)
            }
            Some(rest) => return all && count > 1 && is_tag(rest),
        }
    }
    true
}

fn is_tag(bytes: &[u8]) -> bool {
    [&b"TAG"[..], b"APETAGEX", b"ID3"].iter().any(|kind| bytes.starts_with(kind))
}

pub(crate) struct AdtsStream {
    source: Source,
    fixed: [u8; 3],
    codec: Codec,
    /// The decoder wants packets without their headers.
    is_bare: bool,
    shape: Shape,
}

impl AdtsStream {
    /// The source stands at the first packet.
    pub(crate) fn new(mut source: Source) -> Result<Self, Fault> {
        let head = source.peek(HEAD_BYTES)?;
        let Some(fixed) = fixed(head) else { return Err(Fault::damaged("its first packet is none")) };
        let mut rest = head;
        let packets = std::iter::from_fn(|| {
            let packet = rest.get(..packet_bytes(rest)?)?;
            rest = &rest[packet.len()..];
            Some(packet)
        });
        let stated = Shape { rate_hz: 0, channels: 0 };
        let (setup, shape) = codec::probe(Setup::Adts, stated, packets)?;
        // Profile, rate and channels as two bytes, the way MP4 has them.
        let (profile, rate, channels) = (head[2] >> 6, head[2] >> 2 & 15, (head[2] & 1) << 2 | head[3] >> 6);
        let config = vec![(profile + 1) << 3 | rate >> 1, rate << 7 | channels << 3];
        let is_bare = setup != Setup::Adts;
        let setup = if is_bare { Setup::ExtendedAac(config) } else { setup };
        if shape.channels == 0 {
            return Err(Fault::damaged("its first packet does not decode"));
        }
        Ok(Self { source, fixed, codec: Codec::new(setup)?, is_bare, shape })
    }

    /// What is at the source's place, which is no packet of this stream: the end, or a hole.
    fn at_end(&mut self) -> Result<bool, Fault> {
        let rest = self.source.peek(4 * MAX_TAIL_BYTES)?;
        let goes_on = rest.len() > MAX_TAIL_BYTES || (1..rest.len()).any(|at| is_chain(&rest[at..], true));
        if goes_on { Err(Fault::damaged("there are bytes that are no sound")) } else { Ok(true) }
    }
}

impl Stream for AdtsStream {
    fn shape(&self) -> Shape {
        self.shape
    }

    fn expected_frames(&self) -> Option<u64> {
        None
    }

    fn is_lossy(&self) -> bool {
        true
    }

    fn next(&mut self, block: &mut Block) -> Result<bool, Fault> {
        stream::clear(block, self.shape.channels);
        let head = self.source.peek(10)?;
        if head.is_empty() {
            return Ok(false);
        }
        if is_tag(head) {
            skip_tag(&mut self.source)?;
            return Ok(true);
        }
        let Some(length) = packet_bytes(head) else {
            if head.len() < 7 && head[0] == 0xff {
                return Err(Fault::CutOff(None));
            }
            return self.at_end().map(|end| !end);
        };
        if fixed(head) != Some(self.fixed) {
            return Err(Fault::Changes);
        }
        let header = if head[1] & 1 == 1 { 7 } else { 9 };
        let packet = self.source.take(length)?;
        if packet.len() < length {
            return Err(Fault::CutOff(None));
        }
        let packet = if self.is_bare { packet.get(header..).unwrap_or_default() } else { &packet[..] };
        let rate = self.codec.decode(packet, block)?;
        if rate != Some(self.shape.rate_hz) || block.len() != self.shape.channels {
            return Err(Fault::Changes);
        }
        Ok(true)
    }
}
