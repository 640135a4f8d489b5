//! A native FLAC file being decoded, checksum and all; also songs joined end to end.
//!
//! This module must never end a song before its frames do.

use crate::{
    codec::{Codec, Setup},
    error::Fault,
    flac_frames::{self, FrameHeader, Next, StreamInfo},
    source::Source,
    stream::{self, Block, Shape, Stream},
};

/// Every so many FLAC frames their place is noted.
const MARK_EVERY: usize = 8;

pub(crate) struct FlacStream {
    source: Source,
    info: StreamInfo,
    codec: Codec,
    /// Frames of this song so far, and FLAC frames.
    frames: u64,
    count: u64,
    /// The number of the first FLAC frame: a recording of a broadcast begins anywhere.
    first_number: u64,
    is_joined: bool,
    /// The song was jumped about in: the checksum means nothing any more.
    has_jumped: bool,
    over: bool,
    /// Places of FLAC frames: `(frames before, bytes before)`, the first of all and every eighth.
    marks: Vec<(u64, u64)>,
}

impl FlacStream {
    /// The source stands at `fLaC`.
    pub(crate) fn new(mut source: Source) -> Result<Self, Fault> {
        let info = flac_frames::read_metadata(&mut source)?;
        let marks = vec![(0, source.position())];
        let codec = codec(&info)?;
        Ok(Self {
            source,
            info,
            codec,
            frames: 0,
            count: 0,
            first_number: 0,
            is_joined: false,
            has_jumped: false,
            over: false,
            marks,
        })
    }

    /// Holds the song that ended against what its header promises.
    fn end_song(&mut self) -> Result<(), Fault> {
        let total = self.info.total_frames;
        if self.frames < total {
            return Err(Fault::CutOff(Some(total).filter(|_| !self.is_joined)));
        }
        let is_whole = self.frames == total || total == 0;
        if is_whole && !self.has_jumped && self.codec.checksum_fits() == Some(false) {
            return Err(Fault::damaged("its audio does not match the checksum in its header"));
        }
        Ok(())
    }

    fn check(&mut self, header: &FrameHeader) -> Result<(), Fault> {
        let same = header.channels == self.info.channels
            && (header.rate_hz == 0 || header.rate_hz == self.info.rate_hz || self.info.rate_hz > 65_535);
        if !same {
            return Err(Fault::Changes);
        }
        if self.count == 0 {
            self.first_number = header.number;
        }
        // Where nothing else tells the length, a hole shows in the numbers.
        let expected = if header.is_variable { self.frames } else { self.count };
        if self.info.total_frames == 0 && !self.has_jumped && header.number != self.first_number + expected {
            return Err(Fault::damaged("frames are missing"));
        }
        Ok(())
    }
}

fn codec(info: &StreamInfo) -> Result<Codec, Fault> {
    Codec::new(Setup::Flac(info.bytes.clone()))
}

impl Stream for FlacStream {
    fn shape(&self) -> Shape {
        Shape { rate_hz: self.info.rate_hz, channels: self.info.channels }
    }

    fn expected_frames(&self) -> Option<u64> {
        Some(self.info.total_frames).filter(|&total| total > 0 && !self.is_joined)
    }

    fn is_lossy(&self) -> bool {
        false
    }

    fn next(&mut self, block: &mut Block) -> Result<bool, Fault> {
        stream::clear(block, self.info.channels);
        if self.over {
            return Ok(false);
        }
        let place = self.source.position();
        let total = self.info.total_frames;
        let next = flac_frames::next(&mut self.source, &self.info, total > 0 && self.frames >= total);
        match next {
            Ok(Next::Frame(header, bytes)) => {
                self.check(&header)?;
                let last = self.marks.last().map_or(0, |mark| mark.0);
                if !self.is_joined && self.count.is_multiple_of(MARK_EVERY as u64) && self.frames > last {
                    self.marks.push((self.frames, place));
                }
                self.codec.decode(&bytes, block)?;
                if stream::frames(block) as u64 != header.frames {
                    return Err(Fault::damaged("a frame has another length than its header says"));
                }
                self.frames += header.frames;
                self.count += 1;
            }
            Ok(Next::Song(info)) => {
                self.end_song()?;
                if (info.rate_hz, info.channels) != (self.info.rate_hz, self.info.channels) {
                    return Err(Fault::Changes);
                }
                self.codec = codec(&info)?;
                (self.info, self.frames, self.count, self.is_joined) = (info, 0, 0, true);
                self.has_jumped = false;
            }
            Ok(Next::End) => {
                self.end_song()?;
                self.over = true;
                return Ok(false);
            }
            Err(Fault::CutOff(_)) => {
                return Err(Fault::CutOff(Some(total).filter(|&t| t > 0 && !self.is_joined)));
            }
            Err(fault) => return Err(fault),
        }
        Ok(true)
    }

    fn seek(&mut self, frame: u64) -> Result<Option<u64>, Fault> {
        if self.is_joined || !self.source.is_seekable() {
            return Ok(None);
        }
        let mark = self.marks.partition_point(|mark| mark.0 <= frame).saturating_sub(1);
        let (mut at, place) = self.marks[mark];
        self.source.seek(place)?;
        (self.has_jumped, self.over) = (true, false);
        // On to the right frame without decoding.
        let mut count = 0u64;
        loop {
            let place = self.source.position();
            match flac_frames::next(&mut self.source, &self.info, false)? {
                Next::Frame(header, _) if at + header.frames <= frame => {
                    at += header.frames;
                    count += 1;
                    if count.is_multiple_of(MARK_EVERY as u64)
                        && self.marks.last().is_some_and(|mark| mark.0 < at)
                    {
                        self.marks.push((at, self.source.position()));
                    }
                }
                Next::Frame(..) => {
                    self.source.seek(place)?;
                    break;
                }
                _ => return Ok(None),
            }
        }
        (self.frames, self.count) = (at, 1);
        Ok(Some(at))
    }
}
