//! Packets that lie where a table of contents says (MP4, CAF), decoded one after the other.
//!
//! The table is the promise: a packet that is not there is an error. This module must never trust a duration over
//! what the packets decode to, except for the padding that a file states exactly.

use crate::{
    codec::{self, Codec, Setup},
    error::Fault,
    source::Source,
    stream::{self, Block, Shape, Stream},
};

/// Packets fetched to learn what comes out.
const PROBE_PACKETS: usize = 8;
/// Packets decoded before the wanted one after a jump, for overlaps and predictors.
const PREROLL_PACKETS: usize = 8;
/// A packet longer than this is no packet of sound.
const MAX_PACKET_BYTES: u32 = 64 << 20;

/// Where a packet lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) offset: u64,
    pub(crate) bytes: u32,
}

/// What a container's header says of its one song.
#[derive(Debug)]
pub(crate) struct Contents {
    pub(crate) setup: Setup,
    /// Rate and channels as the container has them.
    pub(crate) shape: Shape,
    pub(crate) packets: Vec<Place>,
    /// Frames to take from the front.
    pub(crate) delay_frames: u64,
    /// Frames of music behind that, where the file says so exactly.
    pub(crate) frames: Option<u64>,
    /// The file ends before what it promises, apart from its packets.
    pub(crate) is_cut_off: bool,
}

pub(crate) struct TableStream {
    source: Source,
    codec: Codec,
    contents: Contents,
    next: usize,
    /// Frames decoded, with the delay.
    decoded: u64,
    piece: Block,
    /// Where packets begin, as far as they were decoded.
    starts: Vec<u64>,
}

impl TableStream {
    pub(crate) fn new(mut source: Source, mut contents: Contents) -> Result<Self, Fault> {
        if contents.packets.is_empty() && contents.is_cut_off {
            return Err(Fault::CutOff(None));
        }
        let stated = contents.shape;
        let first: Vec<Place> = contents.packets.iter().take(PROBE_PACKETS).copied().collect();
        let packets = first.into_iter().map_while(|place| fetch(&mut source, place).ok());
        (contents.setup, contents.shape) = codec::probe(contents.setup, stated, packets)?;
        if contents.shape.channels > 2 {
            return Err(Fault::Channels(contents.shape.channels));
        }
        // The container's rate counts the delay.
        let per = |frames: u64| {
            frames.saturating_mul(u64::from(contents.shape.rate_hz)) / u64::from(stated.rate_hz.max(1))
        };
        (contents.delay_frames, contents.frames) = (per(contents.delay_frames), contents.frames.map(per));
        let codec = Codec::new(contents.setup.clone())?;
        Ok(Self { source, codec, contents, next: 0, decoded: 0, piece: Vec::new(), starts: Vec::new() })
    }

    /// Decodes the next packet into `piece`; its first frame's number, with the delay.
    fn step(&mut self) -> Result<Option<u64>, Fault> {
        let Some(&place) = self.contents.packets.get(self.next) else { return Ok(None) };
        let bytes = fetch(&mut self.source, place).map_err(|fault| match fault {
            Fault::CutOff(_) => Fault::CutOff(self.expected_frames()),
            other => other,
        })?;
        let rate = self.codec.decode(&bytes, &mut self.piece)?;
        let is_same = rate.is_none_or(|rate| rate == self.contents.shape.rate_hz)
            && (self.piece.len() == self.contents.shape.channels || stream::frames(&self.piece) == 0);
        if !is_same {
            return Err(Fault::Changes);
        }
        if self.starts.len() == self.next {
            self.starts.push(self.decoded);
        }
        let at = self.decoded;
        self.decoded += stream::frames(&self.piece) as u64;
        self.next += 1;
        Ok(Some(at))
    }
}

fn fetch(source: &mut Source, place: Place) -> Result<Vec<u8>, Fault> {
    if place.bytes > MAX_PACKET_BYTES {
        return Err(Fault::damaged("a packet of more than 64 MiB is no sound"));
    }
    source.seek(place.offset)?;
    let bytes = source.take(place.bytes as usize)?;
    if bytes.len() < place.bytes as usize { Err(Fault::CutOff(None)) } else { Ok(bytes) }
}

impl Stream for TableStream {
    fn shape(&self) -> Shape {
        self.contents.shape
    }

    fn expected_frames(&self) -> Option<u64> {
        self.contents.frames
    }

    fn is_lossy(&self) -> bool {
        self.codec.is_lossy()
    }

    fn next(&mut self, block: &mut Block) -> Result<bool, Fault> {
        stream::clear(block, self.contents.shape.channels);
        let Some(at) = self.step()? else {
            if self.contents.is_cut_off {
                return Err(Fault::CutOff(None));
            }
            return Ok(false);
        };
        let Contents { delay_frames, frames, .. } = self.contents;
        let end = frames.map_or(u64::MAX, |frames| delay_frames.saturating_add(frames));
        let head = delay_frames.saturating_sub(at);
        let keep = end.saturating_sub(at.max(delay_frames));
        stream::trim(&mut self.piece, head, keep);
        if !self.piece.is_empty() {
            std::mem::swap(block, &mut self.piece);
        }
        Ok(true)
    }

    fn seek(&mut self, frame: u64) -> Result<Option<u64>, Fault> {
        let wanted = frame.saturating_add(self.contents.delay_frames);
        let known = self.starts.partition_point(|&start| start <= wanted).saturating_sub(1);
        let from = known.saturating_sub(PREROLL_PACKETS);
        let Some(&start) = self.starts.get(from) else { return Ok(None) };
        self.codec.reset()?;
        (self.next, self.decoded) = (from, start);
        // What is decoded without its past is thrown away.
        while self.next < known {
            if self.step()?.is_none() {
                return Ok(None);
            }
        }
        Ok(Some(self.decoded.saturating_sub(self.contents.delay_frames)))
    }
}
