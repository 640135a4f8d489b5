//! Matroska and WebM: the packets of the sound track, beside any video, also of live recordings without lengths.
//!
//! Time stamps are in milliseconds and never used. This module must never fail for what belongs to another track.

mod ebml;
mod track;

use std::collections::VecDeque;

use crate::{
    codec::{self, Codec, Setup},
    error::Fault,
    source::Source,
    stream::{self, Block, Shape, Stream},
};
use ebml::{find, inside, number, unsigned};
use track::Track;

/// Packets read ahead to learn what comes out of the decoder.
const PROBE_PACKETS: usize = 8;

const EBML: u32 = 0x1a45_dfa3;
const SEGMENT: u32 = 0x1853_8067;
const TRACKS: u32 = 0x1654_ae6b;
const CLUSTER: u32 = 0x1f43_b675;
const SIMPLE_BLOCK: u32 = 0xa3;
const BLOCK_GROUP: u32 = 0xa0;
const BLOCK: u32 = 0xa1;
const DISCARD_PADDING: u32 = 0x75a2;

/// One packet, and the nanoseconds to drop from its end.
type Packet = (Vec<u8>, u64);

pub(crate) struct MkvStream {
    source: Source,
    track: Track,
    codec: Codec,
    shape: Shape,
    waiting: VecDeque<Packet>,
    /// Where the segment says that it ends.
    segment_end: Option<u64>,
    /// Frames still to be taken from the front.
    delay_left: u64,
}

impl MkvStream {
    /// The source stands at the EBML header.
    pub(crate) fn new(mut source: Source) -> Result<Self, Fault> {
        let mut segment_end = None;
        let tracks = loop {
            let Some(header) = ebml::next(&mut source)? else { return Err(Fault::CutOff(None)) };
            match (header.id, header.size) {
                (SEGMENT, size) => segment_end = size.map(|size| source.position() + size),
                (TRACKS, Some(size)) => break ebml::content(&mut source, size)?,
                (CLUSTER, _) => {
                    return Err(Fault::Unsupported("a Matroska file with its tracks at the end".to_owned()));
                }
                (_, Some(size)) => skip(&mut source, size)?,
                (_, None) => return Err(Fault::damaged("an element without a length")),
            }
        };
        let track = Track::choose(&tracks)?;
        let mut waiting = VecDeque::new();
        while waiting.len() < PROBE_PACKETS && next_packets(&mut source, &track, &mut waiting, segment_end)? {
        }
        let packets = waiting.iter().map(|packet: &Packet| &packet.0);
        let (setup, shape) = codec::probe(track.setup.clone(), track.shape, packets)?;
        if shape.channels > 2 {
            return Err(Fault::Channels(shape.channels));
        }
        let delay_left = match &setup {
            Setup::Opus(head) => head.skip_frames,
            _ => frames_of(track.delay_nanos, shape.rate_hz),
        };
        let codec = Codec::new(setup)?;
        Ok(Self { source, track, codec, shape, waiting, segment_end, delay_left })
    }
}

fn frames_of(nanos: u64, rate_hz: u32) -> u64 {
    ((u128::from(nanos) * u128::from(rate_hz) + 500_000_000) / 1_000_000_000) as u64
}

fn skip(source: &mut Source, size: u64) -> Result<(), Fault> {
    if source.skip(size)? < size { Err(Fault::CutOff(None)) } else { Ok(()) }
}

/// Reads on until packets of the track were found; `false` at the end.
fn next_packets(
    source: &mut Source,
    track: &Track,
    waiting: &mut VecDeque<Packet>,
    segment_end: Option<u64>,
) -> Result<bool, Fault> {
    loop {
        let is_whole = segment_end.is_none_or(|end| source.position() >= end);
        // Tags of other kinds behind the segment are none of ours.
        if is_whole && segment_end.is_some() {
            return Ok(false);
        }
        let Some(header) = ebml::next(source)? else {
            return if is_whole { Ok(false) } else { Err(Fault::CutOff(None)) };
        };
        let before = waiting.len();
        match (header.id, header.size) {
            // What is inside of these is read as if it stood outside: their lengths may be unknown.
            (SEGMENT | CLUSTER, _) => {}
            (EBML, _) => return Err(Fault::Changes),
            (SIMPLE_BLOCK, Some(size)) => block(&ebml::content(source, size)?, 0, track, waiting)?,
            (BLOCK_GROUP, Some(size)) => {
                let group = ebml::content(source, size)?;
                // A signed number; only frames at the end are meant here.
                let padding = find(&group, DISCARD_PADDING).map_or(0, unsigned);
                for (_, content) in inside(&group).filter(|&(id, _)| id == BLOCK) {
                    block(content, if padding >> 62 == 0 { padding } else { 0 }, track, waiting)?;
                }
            }
            (_, Some(size)) => skip(source, size)?,
            (_, None) => return Err(Fault::damaged("an element without a length")),
        }
        if waiting.len() > before {
            return Ok(true);
        }
    }
}

/// The packets of a block: one, or several laced together.
fn block(content: &[u8], padding: u64, track: &Track, waiting: &mut VecDeque<Packet>) -> Result<(), Fault> {
    let nonsense = || Fault::damaged("a block is nonsense");
    let (number_of, length) = number(content).ok_or_else(nonsense)?;
    if number_of != track.number {
        return Ok(());
    }
    let flags = *content.get(length + 2).ok_or_else(nonsense)?;
    let mut rest = &content[length + 3..];
    let mut sizes = Vec::new();
    if flags & 6 != 0 {
        let (&count, after) = rest.split_first().ok_or_else(nonsense)?;
        rest = after;
        let count = usize::from(count);
        match flags & 6 {
            4 => sizes.resize(count, rest.len() / (count + 1)),
            2 => {
                while sizes.len() < count {
                    let mut sum = 0;
                    loop {
                        let (&byte, after) = rest.split_first().ok_or_else(nonsense)?;
                        rest = after;
                        sum += usize::from(byte);
                        if byte < 255 {
                            break;
                        }
                    }
                    sizes.push(sum);
                }
            }
            _ => {
                let mut last = 0i64;
                while sizes.len() < count {
                    let (value, length) = number(rest).ok_or_else(nonsense)?;
                    rest = &rest[length..];
                    // The first is a size, the others are differences around half their range.
                    let half = (1i64 << (7 * length - 1)) - 1;
                    last = if sizes.is_empty() { value as i64 } else { last + value as i64 - half };
                    sizes.push(usize::try_from(last).map_err(|_| nonsense())?);
                }
            }
        }
    }
    let mut push =
        |packet: &[u8], padding| waiting.push_back(([&track.stripped[..], packet].concat(), padding));
    for size in sizes {
        push(rest.get(..size).ok_or_else(nonsense)?, 0);
        rest = &rest[size..];
    }
    push(rest, padding);
    Ok(())
}

impl Stream for MkvStream {
    fn shape(&self) -> Shape {
        self.shape
    }

    fn expected_frames(&self) -> Option<u64> {
        None
    }

    fn is_lossy(&self) -> bool {
        self.codec.is_lossy()
    }

    fn next(&mut self, block: &mut Block) -> Result<bool, Fault> {
        stream::clear(block, self.shape.channels);
        let packet = match self.waiting.pop_front() {
            Some(packet) => packet,
            None => {
                if !next_packets(&mut self.source, &self.track, &mut self.waiting, self.segment_end)? {
                    return match self.codec.checksum_fits() {
                        Some(false) => {
                            Err(Fault::damaged("its audio does not match the checksum in its header"))
                        }
                        _ => Ok(false),
                    };
                }
                return Ok(true);
            }
        };
        let (bytes, padding) = packet;
        if bytes.is_empty() {
            return Ok(true);
        }
        let rate = self.codec.decode(&bytes, block)?;
        let is_empty = stream::frames(block) == 0;
        if rate.is_some_and(|rate| rate != self.shape.rate_hz)
            || !is_empty && block.len() != self.shape.channels
        {
            return Err(Fault::Changes);
        }
        let frames = stream::frames(block) as u64;
        let keep = frames.saturating_sub(frames_of(padding, self.shape.rate_hz));
        let head = self.delay_left.min(frames);
        self.delay_left -= head;
        stream::trim(block, head, keep.saturating_sub(head));
        block.resize_with(self.shape.channels, Vec::new);
        Ok(true)
    }
}
