//! Why a song could not be read, as sentences that say what to do.
//!
//! [`Fault`] is what the readers of single containers say; [`DecodeError`] is the same with the song's name and
//! the time in it. This module must never decide whether something is a fault.

use std::{
    io,
    path::{Path, PathBuf},
};

use rehearsekit_audio::SampleRate;

/// Why a song could not be read. Every sentence says what to do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// The file cannot be opened or read.
    #[error("cannot read {}: {source}; check the path and its permissions", path.display())]
    Io {
        /// The song.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Zero bytes.
    #[error("{} is an empty file (0 bytes); copy it again from where it came from", .0.display())]
    EmptyFile(PathBuf),
    /// No known format, whatever the name says.
    #[error(
        "{} is not audio this program knows ({reason}); give it a song: {FORMATS}",
        path.display()
    )]
    NotAudio {
        /// The song.
        path: PathBuf,
        /// What was seen instead ("a JPEG picture").
        reason: String,
    },
    /// A sound format that is known by name and not decoded here.
    #[error(
        "{} is {name}, which this program reads only with the help of ffmpeg, and none was found; install ffmpeg, \
         or convert the song where there is one: ffmpeg -i FILE FILE.flac",
        path.display()
    )]
    Unsupported {
        /// The song.
        path: PathBuf,
        /// The format's name.
        name: String,
    },
    /// The helper program did not manage either.
    #[error("{} is {name}, and ffmpeg could not decode it: {reason}", path.display())]
    Ffmpeg {
        /// The song.
        path: PathBuf,
        /// The format's name.
        name: String,
        /// Its last line, or what ended it.
        reason: String,
    },
    /// The file ends before what its header promises.
    #[error(
        "{} is cut off: {}; copy or download it again",
        path.display(),
        match expected_frames {
            Some(expected) => format!("its header promises {expected} frames, {frames} are there"),
            None => format!("it ends in the middle after {frames} frames"),
        }
    )]
    Truncated {
        /// The song.
        path: PathBuf,
        /// Frames that could be read.
        frames: u64,
        /// Frames the header promises, where it does.
        expected_frames: Option<u64>,
    },
    /// Something inside does not decode.
    #[error("{} is damaged {where_in}: {reason}; get a fresh copy of it", path.display())]
    Corrupt {
        /// The song.
        path: PathBuf,
        /// Where, as words ("at 12.3 s", "somewhere").
        where_in: String,
        /// What the decoder said.
        reason: String,
    },
    /// A sound file with no sound in it.
    #[error("{} holds no audio (0 frames); export it again", .0.display())]
    NoFrames(PathBuf),
    /// NaN or infinity in a floating-point file.
    #[error(
        "{} has a sample that is not a number (NaN or infinite) at {seconds:.3} s (frame {frame}); export it again from the program that made it",
        path.display()
    )]
    NonFinite {
        /// The song.
        path: PathBuf,
        /// First frame concerned.
        frame: usize,
        /// The same in seconds.
        seconds: f64,
    },
    /// So far above full scale that it cannot be the music.
    #[error(
        "{} decodes to noise ({peak_dbfs:+.0} dBFS at {seconds:.1} s): its samples are not what its header says; \
         export it again, or convert it: ffmpeg -i FILE FILE.flac",
        path.display()
    )]
    Implausible {
        /// The song.
        path: PathBuf,
        /// The peak seen, in dB over full scale.
        peak_dbfs: f64,
        /// Where, in seconds.
        seconds: f64,
    },
    /// More channels than a mix has.
    #[error("{} has {channels} channels; only mono and stereo can be separated: mix it down to two channels first", path.display())]
    Channels {
        /// The song.
        path: PathBuf,
        /// How many.
        channels: usize,
    },
    /// A rate nothing here handles.
    #[error(
        "{} has a sample rate of {rate_hz} Hz; rates from {} to {} Hz are handled: convert it first",
        path.display(), SampleRate::MIN_HZ, SampleRate::MAX_HZ
    )]
    Rate {
        /// The song.
        path: PathBuf,
        /// Its rate in Hz.
        rate_hz: u32,
    },
    /// Something changes half-way (several songs chained in one file, or a change of rate).
    #[error("{} changes its format after {frames} frames (several recordings in one file?); split it first", path.display())]
    Changes {
        /// The song.
        path: PathBuf,
        /// Frames before the change.
        frames: u64,
    },
    /// A pipe cannot be played from an earlier place.
    #[error("{} comes through a pipe, where there is no way back; save it as a file first", .0.display())]
    NoWayBack(PathBuf),
    /// The caller's progress callback said stop.
    #[error("reading {} was cancelled", .0.display())]
    Cancelled(PathBuf),
}

/// The formats a user may be told to bring.
const FORMATS: &str =
    "WAV, AIFF, CAF, FLAC, ALAC, MP3, AAC (M4A), Ogg Vorbis, Opus, or the sound of an MP4, MOV, MKV or WebM";

impl DecodeError {
    /// Whether the song itself is at fault (and not the file system or the user's Ctrl-C).
    pub fn is_bad_input(&self) -> bool {
        !matches!(self, Self::Cancelled(_))
    }
}

/// What the reader of a container says; it knows neither the song's name nor the time.
#[derive(Debug)]
pub(crate) enum Fault {
    Io(io::Error),
    /// It ends before what was promised: that many frames, where the promise was in frames.
    CutOff(Option<u64>),
    Damaged(String),
    /// Rate or channels are others than at the beginning.
    Changes,
    /// Known by this name, not decoded here.
    Unsupported(String),
    /// Known by this name ("a JPEG picture"), no sound.
    NotAudio(String),
    Channels(usize),
    Rate(u32),
    /// The helper program failed: the format's name, and why.
    Ffmpeg(String, String),
}

impl Fault {
    pub(crate) fn damaged(reason: impl Into<String>) -> Self {
        Self::Damaged(reason.into())
    }

    /// The sentence for the song at `path`, `frames` into it (at `rate_hz`, where that is known).
    pub(crate) fn at(self, path: &Path, frames: u64, rate_hz: Option<u32>) -> DecodeError {
        let path = path.to_owned();
        match self {
            Self::Io(e) if e.kind() == io::ErrorKind::UnexpectedEof => {
                DecodeError::Truncated { path, frames, expected_frames: None }
            }
            Self::Io(source) => DecodeError::Io { path, source },
            Self::CutOff(expected_frames) => DecodeError::Truncated { path, frames, expected_frames },
            Self::Damaged(reason) => {
                let where_in = match rate_hz {
                    Some(hz) if hz > 0 => format!("at {:.1} s", frames as f64 / f64::from(hz)),
                    _ => "in its header".to_owned(),
                };
                DecodeError::Corrupt { path, where_in, reason }
            }
            Self::Changes => DecodeError::Changes { path, frames },
            Self::Unsupported(name) => DecodeError::Unsupported { path, name },
            Self::NotAudio(reason) => DecodeError::NotAudio { path, reason },
            Self::Channels(channels) => DecodeError::Channels { path, channels },
            Self::Rate(rate_hz) => DecodeError::Rate { path, rate_hz },
            Self::Ffmpeg(name, reason) => DecodeError::Ffmpeg { path, name, reason },
        }
    }
}

impl From<io::Error> for Fault {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}
