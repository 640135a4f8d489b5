//! A song that is read piece by piece: opened once, from a file or a pipe, decoded front to back in bounded memory.
//!
//! Strict on purpose: a file that is cut off, damaged or holds no sound is an error with a sentence, never a
//! silently shorter or quieter song. What comes out is looked at too: a number that is none, or a peak that no music
//! has, means that the samples are not what the header says. This module must never guess at missing music.

use std::{
    fs::File,
    io::{self, Read},
    path::{Path, PathBuf},
};

use rehearsekit_audio::SampleRate;

use crate::{
    adts::AdtsStream,
    aiff, caf,
    error::{DecodeError, Fault},
    ffmpeg,
    flac_song::FlacStream,
    mkv::MkvStream,
    mp4,
    mpeg::{MpegStream, frames::find_chain},
    ogg_song::OggStream,
    riff::{self, Wav},
    sniff::{self, Kind},
    source::Source,
    stream::{self, Block, Stream},
    tags::Tags,
};

/// Over this, a lossy decoder's output is no music (+18 dBFS; codecs overshoot by 6 dB at most).
const LOSSY_LIMIT: f32 = 8.0;
/// Over this, floating-point samples are not scaled as they should be (+36 dBFS).
const PLAIN_LIMIT: f32 = 64.0;

/// A song being read.
pub struct Song {
    path: PathBuf,
    /// Whether the file can be opened anew.
    is_file: bool,
    stream: Box<dyn Stream>,
    rate: SampleRate,
    channels: usize,
    tags: Tags,
    /// Frames given so far.
    position: u64,
    /// Decoded and not yet wanted, after a jump.
    ahead: u64,
    over: bool,
}

impl std::fmt::Debug for Song {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Song({}, {} Hz, {} channels)", self.path.display(), self.rate.hz(), self.channels)
    }
}

impl Song {
    /// Opens the song at `path`: a file, or a named pipe, which is opened once and read as it comes.
    pub fn open(path: &Path) -> Result<Self, DecodeError> {
        let fault = |source| DecodeError::Io { path: path.to_owned(), source };
        Self::from_file(path, File::open(path).map_err(fault)?)
    }

    /// Reads the song from `file`, which was opened already (a standard input perhaps). `path` is its name in
    /// messages.
    pub fn from_file(path: &Path, file: File) -> Result<Self, DecodeError> {
        let fault = |source| DecodeError::Io { path: path.to_owned(), source };
        let metadata = file.metadata().map_err(fault)?;
        if metadata.is_file() && metadata.len() == 0 {
            return Err(DecodeError::EmptyFile(path.to_owned()));
        }
        let is_file = metadata.is_file();
        let tags = if is_file { Tags::read(path) } else { Tags::default() };
        Self::new(path, Source::file(file).map_err(fault)?, tags, is_file)
    }

    /// Reads the song from anything that can only be read on. `path` is its name in messages.
    pub fn from_reader(path: &Path, reader: Box<dyn Read + Send>) -> Result<Self, DecodeError> {
        Self::new(path, Source::pipe(reader), Tags::default(), false)
    }

    fn new(path: &Path, mut source: Source, tags: Tags, is_file: bool) -> Result<Self, DecodeError> {
        let sentence = |fault: Fault| fault.at(path, 0, None);
        if source.peek(1).map_err(Fault::from).map_err(sentence)?.is_empty() {
            return Err(DecodeError::EmptyFile(path.to_owned()));
        }
        let stream = open_stream(path, source, is_file).map_err(sentence)?;
        let shape = stream.shape();
        if !(1..=2).contains(&shape.channels) {
            return Err(sentence(Fault::Channels(shape.channels)));
        }
        let rate = SampleRate::new(shape.rate_hz).map_err(|_| sentence(Fault::Rate(shape.rate_hz)))?;
        Ok(Self {
            path: path.to_owned(),
            is_file,
            stream,
            rate,
            channels: shape.channels,
            tags,
            position: 0,
            ahead: 0,
            over: false,
        })
    }

    /// Its rate, the same through the whole song.
    pub fn rate(&self) -> SampleRate {
        self.rate
    }

    /// Its channels: 1 or 2.
    pub fn channels(&self) -> usize {
        self.channels
    }

    /// How long it will be, where the file says so: a hint for a progress bar, and no promise.
    pub fn expected_frames(&self) -> Option<u64> {
        self.stream.expected_frames()
    }

    /// Artist, title and the like; empty for what comes through a pipe.
    pub fn tags(&self) -> &Tags {
        &self.tags
    }

    /// The frame that the next block begins with.
    pub fn position(&self) -> u64 {
        self.position
    }

    /// Something to tell the user about a song that was read to its end, in words that go on after its name.
    pub fn remark(&self) -> Option<String> {
        self.stream.remark()
    }

    /// Replaces `block` with the next frames, `[channel][frame]` at full scale 1, and says how many; `None` behind
    /// the last one. That the song is whole is known only then.
    pub fn next_block(&mut self, block: &mut Vec<Vec<f32>>) -> Result<Option<usize>, DecodeError> {
        loop {
            if self.over {
                stream::clear(block, self.channels);
                return Ok(None);
            }
            match self.stream.next(block) {
                Ok(true) => {}
                Ok(false) if self.position == 0 && self.ahead == 0 => {
                    return Err(DecodeError::NoFrames(self.path.clone()));
                }
                Ok(false) => {
                    self.over = true;
                    continue;
                }
                Err(fault) => return Err(fault.at(&self.path, self.position, Some(self.rate.hz()))),
            }
            let late = self.ahead.min(stream::frames(block) as u64);
            stream::trim(block, late, u64::MAX);
            self.ahead -= late;
            let frames = stream::frames(block);
            if frames > 0 {
                self.check(block)?;
                self.position += frames as u64;
                return Ok(Some(frames));
            }
        }
    }

    /// Goes to `frame`, to the frame exactly; the next block begins with it. Behind the end there are no blocks.
    /// What the header promises of the whole song (a checksum) is not looked at any more.
    pub fn seek(&mut self, frame: u64) -> Result<(), DecodeError> {
        let sentence = |fault: Fault| fault.at(&self.path, self.position, Some(self.rate.hz()));
        match self.stream.seek(frame).map_err(sentence)? {
            Some(at) => self.ahead = frame.saturating_sub(at),
            None if frame >= self.position => self.ahead = frame - self.position,
            None if self.is_file => {
                let fresh = Self::open(&self.path)?;
                (self.stream, self.ahead) = (fresh.stream, frame);
            }
            None => return Err(DecodeError::NoWayBack(self.path.clone())),
        }
        (self.position, self.over) = (frame, false);
        Ok(())
    }

    /// Looks at the samples themselves.
    fn check(&self, block: &Block) -> Result<(), DecodeError> {
        let limit = if self.stream.is_lossy() { LOSSY_LIMIT } else { PLAIN_LIMIT };
        let bad =
            |samples: &Vec<f32>| samples.iter().position(|s| !(s.abs() <= limit)).map(|at| (at, samples[at]));
        let Some((at, sample)) = block.iter().filter_map(bad).min_by_key(|found| found.0) else {
            return Ok(());
        };
        let path = self.path.clone();
        let frame = self.position as usize + at;
        let seconds = frame as f64 / f64::from(self.rate.hz());
        Err(if sample.is_finite() {
            DecodeError::Implausible { path, peak_dbfs: 20.0 * f64::from(sample.abs()).log10(), seconds }
        } else {
            DecodeError::NonFinite { path, frame, seconds }
        })
    }
}

/// The reader for what the source holds; the helper program's where there is none.
fn open_stream(path: &Path, mut source: Source, is_file: bool) -> Result<Box<dyn Stream>, Fault> {
    let from = is_file.then(|| path.to_owned());
    match sniff::sniff(&mut source).and_then(|kind| open_kind(kind, source)) {
        Err(Fault::Unsupported(name)) => match (ffmpeg::find(), from) {
            (Some(program), Some(path)) => Ok(Box::new(ffmpeg::FfmpegStream::new(&program, &path, name)?)),
            _ => Err(Fault::Unsupported(name)),
        },
        other => other,
    }
}

fn open_kind(kind: Kind, source: Source) -> Result<Box<dyn Stream>, Fault> {
    Ok(match kind {
        Kind::Wav => match riff::open(source)? {
            Wav::Samples(samples) => Box::new(samples),
            Wav::Mpeg(mut source) => {
                let head = source.peek(64 << 10)?;
                let all = head.len() < 64 << 10;
                let Some((at, header)) = find_chain(head, all) else {
                    return Err(Fault::Unsupported("a WAV file with something like MP3 in it".to_owned()));
                };
                source.skip(at as u64)?;
                Box::new(MpegStream::new(source, header)?)
            }
        },
        Kind::Aiff => Box::new(aiff::open(source)?),
        Kind::Au => Box::new(aiff::open_au(source)?),
        Kind::Caf => caf::open(source)?,
        Kind::Flac => Box::new(FlacStream::new(source)?),
        Kind::Ogg => Box::new(OggStream::new(source)?),
        Kind::Mpeg(header) => Box::new(MpegStream::new(source, header)?),
        Kind::Adts => Box::new(AdtsStream::new(source)?),
        Kind::Mp4 => Box::new(mp4::open(source)?),
        Kind::Matroska => Box::new(MkvStream::new(source)?),
    })
}

/// What a song file on disk says of itself, without reading the song.
pub fn read_tags(path: &Path) -> io::Result<Tags> {
    let metadata = std::fs::metadata(path)?;
    Ok(if metadata.is_file() { Tags::read(path) } else { Tags::default() })
}
