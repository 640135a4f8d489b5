//! MP3 and the two older layers: frames, what encoders say of delay and length, and songs joined end to end.
//!
//! This module must never shorten a song to what a tag or a bit rate promises: the tag is held against what is
//! there.

pub(crate) mod frames;
pub(crate) mod header;

use crate::{
    codec::{Codec, Setup},
    error::Fault,
    source::Source,
    stream::{self, Block, Shape, Stream},
};
use frames::{Frame, Frames};
use header::{Header, Tag};

/// MPEG frames that may lack of what a tag promises: encoders disagree by one about the tag itself.
const TOLERANCE: u64 = 2;
/// MPEG frames decoded before the wanted one after a jump, so that bits and overlap are there.
const PREROLL: u64 = 24;
/// Every so many MPEG frames their place is noted.
const MARK_EVERY: u64 = 32;
/// Bytes of bits that a frame can refer back to.
const RESERVOIR_BYTES: usize = 511;

/// One song of those in the file: what its tag says and how far it has come.
#[derive(Default)]
struct Part {
    tag: Tag,
    /// MPEG frames with sound so far.
    seen: u64,
    /// Bytes of bits that frames may refer back to.
    reservoir: usize,
    /// Frames of delay not yet taken away.
    delay_left: u64,
}

/// An MP3 being decoded.
pub(crate) struct MpegStream {
    frames: Frames,
    first: Header,
    codec: Codec,
    part: Part,
    /// Whether the first of several songs in the file is over.
    is_joined: bool,
    /// Decoded and perhaps padding: held until it is known what follows.
    held: Block,
    piece: Block,
    over: bool,
    /// Where every 32nd MPEG frame of the first song begins.
    marks: Vec<u64>,
}

impl MpegStream {
    /// The source stands at the frame whose header `first` is.
    pub(crate) fn new(source: Source, first: Header) -> Result<Self, Fault> {
        let codec = Codec::new(Setup::Mpeg(first.layer))?;
        let mut this = Self {
            frames: Frames::new(source, first),
            first,
            codec,
            part: Part::default(),
            is_joined: false,
            held: vec![Vec::new(); first.channels],
            piece: Vec::new(),
            over: false,
            marks: Vec::new(),
        };
        this.begin()?;
        Ok(this)
    }

    /// Reads the tag in the first frame, if there is one.
    fn begin(&mut self) -> Result<(), Fault> {
        let head = self.frames.source.peek(self.first.bytes)?;
        if let Some(tag) = Tag::find(&self.first, head) {
            self.frames.source.skip(self.first.bytes as u64)?;
            self.start_part(tag);
        }
        Ok(())
    }

    fn start_part(&mut self, tag: Tag) {
        self.part = Part { tag, delay_left: tag.delay.map_or(0, |d| d.0), ..Part::default() };
    }

    /// Ends a song: holds it against its tag and takes the padding away.
    fn end_part(&mut self) -> Result<(), Fault> {
        let Part { tag, seen, .. } = self.part;
        if let Some(promised) = tag.mpeg_frames {
            if seen + TOLERANCE < promised {
                return Err(Fault::CutOff(Some(promised * self.first.frames()).filter(|_| !self.is_joined)));
            }
            // Only where the tag speaks of exactly this song does its padding mean this end.
            if let (Some((_, padding)), true) = (tag.delay, seen == promised) {
                let keep = (stream::frames(&self.held) as u64).saturating_sub(padding);
                stream::trim(&mut self.held, 0, keep);
            }
        }
        Ok(())
    }

    /// Decodes `frame` to the end of what is held.
    fn decode(&mut self, frame: &Frame) -> Result<(), Fault> {
        if frame.header.channels != self.first.channels {
            return Err(Fault::Changes);
        }
        let (back, brings) = frame.header.reservoir(&frame.bytes);
        // The first frames of a song cut from a longer one lean on bits that were left behind.
        let leans = self.first.layer == 3 && back > self.part.reservoir;
        self.part.reservoir = (self.part.reservoir + brings).min(RESERVOIR_BYTES);
        self.part.seen += 1;
        let frames = frame.header.frames();
        match self.codec.decode(&frame.bytes, &mut self.piece) {
            Ok(_)
                if stream::frames(&self.piece) as u64 == frames
                    && self.piece.len() == self.first.channels => {}
            Ok(_) => return Err(Fault::damaged("a frame has another length than its header says")),
            Err(_) if leans && self.part.seen <= PREROLL => {
                stream::clear(&mut self.piece, self.first.channels);
                self.piece.iter_mut().for_each(|channel| channel.resize(frames as usize, 0.0));
            }
            Err(fault) => return Err(fault),
        }
        let head = self.part.delay_left.min(frames);
        self.part.delay_left -= head;
        for (held, new) in self.held.iter_mut().zip(&self.piece) {
            held.extend_from_slice(&new[head as usize..]);
        }
        Ok(())
    }

    /// Frames that have to be held until it is known what follows.
    fn hold_frames(&self) -> usize {
        self.part.tag.delay.map_or(0, |(_, padding)| padding as usize)
    }
}

impl Stream for MpegStream {
    fn shape(&self) -> Shape {
        Shape { rate_hz: self.first.rate_hz, channels: self.first.channels }
    }

    fn expected_frames(&self) -> Option<u64> {
        let frames = self.part.tag.mpeg_frames? * self.first.frames();
        let (delay, padding) = self.part.tag.delay.unwrap_or_default();
        Some(frames.saturating_sub(delay + padding)).filter(|_| !self.is_joined)
    }

    fn is_lossy(&self) -> bool {
        true
    }

    fn next(&mut self, block: &mut Block) -> Result<bool, Fault> {
        stream::clear(block, self.first.channels);
        if self.over {
            return Ok(false);
        }
        let place = self.frames.source.position();
        match self.frames.next() {
            Ok(Some(frame)) => match Tag::find(&frame.header, &frame.bytes) {
                Some(tag) => {
                    self.end_part()?;
                    std::mem::swap(block, &mut self.held);
                    self.is_joined |= self.part.seen > 0;
                    self.start_part(tag);
                }
                None => {
                    if frame.behind_tag && self.part.seen > 0 {
                        self.part.reservoir = 0;
                    }
                    if !self.is_joined && self.part.seen == MARK_EVERY * self.marks.len() as u64 {
                        self.marks.push(place);
                    }
                    self.decode(&frame)?;
                    let keep = self.hold_frames();
                    for (out, held) in block.iter_mut().zip(&mut self.held) {
                        out.extend(held.drain(..held.len().saturating_sub(keep)));
                    }
                }
            },
            Ok(None) => {
                self.end_part()?;
                self.over = true;
                std::mem::swap(block, &mut self.held);
            }
            // The tag counted all frames, and they were all there: what is cut off is something else.
            Err(Fault::CutOff(_)) if self.part.tag.mpeg_frames.is_some_and(|all| self.part.seen >= all) => {
                self.end_part()?;
                self.over = true;
                std::mem::swap(block, &mut self.held);
            }
            Err(Fault::CutOff(_)) => {
                let promised = self.part.tag.mpeg_frames.map(|all| all * self.first.frames());
                return Err(Fault::CutOff(promised.filter(|_| !self.is_joined)));
            }
            Err(fault) => return Err(fault),
        }
        Ok(true)
    }

    fn seek(&mut self, frame: u64) -> Result<Option<u64>, Fault> {
        let delay = self.part.tag.delay.map_or(0, |d| d.0);
        let each = self.first.frames();
        let wanted = (frame + delay) / each;
        let from = wanted.saturating_sub(PREROLL);
        let mark = ((from / MARK_EVERY) as usize).min(self.marks.len().saturating_sub(1));
        if self.is_joined || self.marks.is_empty() || !self.frames.source.is_seekable() {
            return Ok(None);
        }
        self.frames.source.seek(self.marks[mark])?;
        self.codec.reset()?;
        self.over = false;
        stream::clear(&mut self.held, self.first.channels);
        let at = MARK_EVERY * mark as u64;
        self.part = Part { tag: self.part.tag, seen: at, delay_left: delay, ..Part::default() };
        if at > 0 {
            self.part.delay_left = 0;
        }
        // Frames before are stepped over, those right before are decoded and thrown away.
        while self.part.seen < wanted {
            let place = self.frames.source.position();
            if !self.is_joined && self.part.seen == MARK_EVERY * self.marks.len() as u64 {
                self.marks.push(place);
            }
            let Some(next) = self.frames.next()? else { return Ok(None) };
            if Tag::find(&next.header, &next.bytes).is_some() {
                return Ok(None);
            }
            if self.part.seen < from {
                self.part.seen += 1;
                continue;
            }
            let seen = self.part.seen;
            // Without the bits of the frames before, the first ones need not decode.
            if self.decode(&next).is_err() {
                self.part.seen = seen + 1;
                self.held.iter_mut().for_each(Vec::clear);
            }
        }
        stream::clear(&mut self.held, self.first.channels);
        self.part.delay_left = delay.saturating_sub(wanted * each);
        Ok(Some((wanted * each).saturating_sub(delay)))
    }
}
