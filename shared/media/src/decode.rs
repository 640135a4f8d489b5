//! From a song file (WAV, FLAC, MP3, Ogg Vorbis, M4A with AAC or ALAC) to [`Audio`] in memory.
//!
//! Strict on purpose: a file that is cut off, damaged or holds no sound is an error with a sentence, never a
//! silently shorter or quieter song. Encoder delay and padding are trimmed where the container states them
//! (LAME tags, Ogg granules, MP4 edit lists). ALAC has no
//! checksum, so damage inside an ALAC song may go unnoticed. This module must never guess at missing music.

use std::{
    fs::File,
    io,
    ops::ControlFlow,
    path::{Path, PathBuf},
};

use rehearsekit_audio::{Audio, SampleRate};
use symphonia::core::{
    audio::GenericAudioBufferRef,
    codecs::audio::{
        AudioCodecParameters, AudioDecoder, AudioDecoderOptions,
        well_known::{CODEC_ID_FLAC, CODEC_ID_MP3},
    },
    errors::Error as SymphoniaError,
    formats::{FormatOptions, FormatReader, TrackType, probe::Hint},
    io::MediaSourceStream,
    meta::MetadataOptions,
};

use crate::mp4_delay;

/// Packets at the head of an MP3 that may refer to bits before the file's beginning.
const MP3_LEAD_IN_PACKETS: u64 = 3;
/// Frames an MP3 may lack of what its tag promises: encoders disagree by one MPEG frame about the tag itself.
const MP3_TOLERANCE_FRAMES: u64 = 2 * 1_152;

/// Why a song could not be read. Every sentence says what to do.
#[derive(Debug, thiserror::Error)]
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
        "{} is not audio this program knows ({reason}); give it a WAV, FLAC, MP3, Ogg Vorbis or M4A (AAC, ALAC) file",
        path.display()
    )]
    NotAudio {
        /// The song.
        path: PathBuf,
        /// What the probe said.
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
    /// The caller's progress callback said stop.
    #[error("reading {} was cancelled", .0.display())]
    Cancelled(PathBuf),
}

impl DecodeError {
    /// Whether the song itself is at fault (and not the file system or the user's Ctrl-C).
    pub fn is_bad_input(&self) -> bool {
        !matches!(self, Self::Cancelled(_))
    }
}

/// Reads the song at `path` whole. `progress` hears `(frames done, frames in all if known)` now and then and
/// may cancel by breaking.
pub fn decode(
    path: &Path,
    progress: &mut dyn FnMut(u64, Option<u64>) -> ControlFlow<()>,
) -> Result<Audio, DecodeError> {
    let io_error = |source| DecodeError::Io { path: path.to_owned(), source };
    let file = File::open(path).map_err(io_error)?;
    let metadata = file.metadata().map_err(io_error)?;
    if metadata.is_dir() {
        return Err(io_error(io::Error::new(io::ErrorKind::IsADirectory, "it is a folder, not a song")));
    }
    if metadata.is_file() && metadata.len() == 0 {
        return Err(DecodeError::EmptyFile(path.to_owned()));
    }
    let song = Song::open(path, file)?;
    let audio = song.read(progress)?;
    if audio.frames() == 0 {
        return Err(DecodeError::NoFrames(path.to_owned()));
    }
    if let Some(frame) = audio.first_non_finite() {
        let seconds = frame as f64 / f64::from(audio.rate().hz());
        return Err(DecodeError::NonFinite { path: path.to_owned(), frame, seconds });
    }
    Ok(audio)
}

/// An opened song: its one audio track and the decoder for it.
struct Song<'p> {
    path: &'p Path,
    format: Box<dyn FormatReader>,
    decoder: Box<dyn AudioDecoder>,
    track_id: u32,
    expected_frames: Option<u64>,
    is_mp3: bool,
    is_flac: bool,
}

impl<'p> Song<'p> {
    fn open(path: &'p Path, file: File) -> Result<Self, DecodeError> {
        let not_audio = |reason: String| DecodeError::NotAudio { path: path.to_owned(), reason };
        let mut hint = Hint::new();
        if let Some(extension) = path.extension().and_then(|e| e.to_str()) {
            hint.with_extension(extension);
        }
        let stream = MediaSourceStream::new(Box::new(file), Default::default());
        let format = symphonia::default::get_probe()
            .probe(&hint, stream, FormatOptions::default(), MetadataOptions::default())
            .map_err(|error| match error {
                SymphoniaError::IoError(e) if e.kind() == io::ErrorKind::UnexpectedEof => {
                    DecodeError::Truncated { path: path.to_owned(), frames: 0, expected_frames: None }
                }
                SymphoniaError::IoError(source) => DecodeError::Io { path: path.to_owned(), source },
                SymphoniaError::DecodeError(reason) => DecodeError::Corrupt {
                    path: path.to_owned(),
                    where_in: "in its header".to_owned(),
                    reason: reason.to_owned(),
                },
                // An MP4 keeps its table of contents at the end as often as not: without it, it was cut off.
                SymphoniaError::Unsupported(reason) if reason.contains("missing moov") => {
                    DecodeError::Truncated { path: path.to_owned(), frames: 0, expected_frames: None }
                }
                other => not_audio(other.to_string()),
            })?;
        let track =
            format.default_track(TrackType::Audio).ok_or_else(|| not_audio("no audio track".to_owned()))?;
        let parameters = track
            .codec_params
            .as_ref()
            .and_then(|p| p.audio())
            .ok_or_else(|| not_audio("a codec that is not known".to_owned()))?;
        if let Some(channels) = parameters.channels.as_ref() {
            check_channels(path, channels.count())?;
        }
        let is_mp3 = parameters.codec == CODEC_ID_MP3;
        let is_flac = parameters.codec == CODEC_ID_FLAC;
        // Without a LAME tag an MP3's length is a guess from its bit rate, which must not be held against it.
        let length_is_known = !is_mp3 || track.delay.is_some();
        let expected_frames = track.num_frames.filter(|_| length_is_known);
        let (track_id, decoder) = (track.id, make_decoder(path, parameters)?);
        Ok(Self { path, format, decoder, track_id, expected_frames, is_mp3, is_flac })
    }

    fn read(
        mut self,
        progress: &mut dyn FnMut(u64, Option<u64>) -> ControlFlow<()>,
    ) -> Result<Audio, DecodeError> {
        let mut shape: Option<(SampleRate, usize)> = None;
        let mut channels: Vec<Vec<f32>> = Vec::new();
        let mut piece: Vec<Vec<f32>> = Vec::new();
        let mut packets = 0u64;
        loop {
            let frames = channels.first().map_or(0, |c| c.len() as u64);
            let packet = match self.format.next_packet() {
                Ok(Some(packet)) if packet.track_id != self.track_id => continue,
                Ok(Some(packet)) => packet,
                Ok(None) => break,
                Err(error) => return Err(self.packet_error(error, frames, shape)),
            };
            packets += 1;
            // The FLAC reader steps over frames whose checksum is wrong; the hole shows in the time stamps.
            if self.is_flac && packet.pts.get() > frames as i64 {
                let hole = SymphoniaError::DecodeError("part of the audio is unreadable");
                return Err(self.packet_error(hole, frames, shape));
            }
            match self.decoder.decode(&packet) {
                Ok(buffer) => {
                    let here = buffer_shape(self.path, &buffer)?;
                    if *shape.get_or_insert(here) != here {
                        return Err(DecodeError::Changes { path: self.path.to_owned(), frames });
                    }
                    buffer.copy_to_vecs_planar(&mut piece);
                    channels.resize_with(here.1, Vec::new);
                    for (channel, new) in channels.iter_mut().zip(&piece) {
                        channel.extend_from_slice(new);
                    }
                }
                // The first packets of an MP3 cut from a longer one lean on bits that were left behind.
                Err(SymphoniaError::DecodeError(_)) if self.is_mp3 && packets <= MP3_LEAD_IN_PACKETS => {
                    let lead_in = packet.dur.get() as usize;
                    channels.iter_mut().for_each(|c| c.resize(c.len() + lead_in, 0.0));
                }
                Err(error) => return Err(self.packet_error(error, frames, shape)),
            }
            if progress(frames, self.expected_frames).is_break() {
                return Err(DecodeError::Cancelled(self.path.to_owned()));
            }
        }
        self.check_length(channels.first().map_or(0, |c| c.len() as u64))?;
        let Some((rate, count)) = shape else { return Err(DecodeError::NoFrames(self.path.to_owned())) };
        let trim = mp4_delay::read(self.path, rate.hz());
        for channel in &mut channels {
            channel.drain(..(trim.delay_frames as usize).min(channel.len()));
            channel.truncate(trim.frames.map_or(usize::MAX, |f| f as usize));
        }
        Audio::new(rate, channels)
            .map_err(|_| DecodeError::Channels { path: self.path.to_owned(), channels: count })
    }

    /// What an error in the middle of the song means.
    fn packet_error(
        &self,
        error: SymphoniaError,
        frames: u64,
        shape: Option<(SampleRate, usize)>,
    ) -> DecodeError {
        let path = self.path.to_owned();
        let where_in = match shape {
            Some((rate, _)) => format!("at {:.1} s", rate.duration(frames).as_secs_f64()),
            None => "at its beginning".to_owned(),
        };
        match error {
            SymphoniaError::IoError(e) if e.kind() == io::ErrorKind::UnexpectedEof => {
                DecodeError::Truncated { path, frames, expected_frames: self.expected_frames }
            }
            SymphoniaError::IoError(source) => DecodeError::Io { path, source },
            SymphoniaError::ResetRequired => DecodeError::Changes { path, frames },
            other => DecodeError::Corrupt { path, where_in, reason: other.to_string() },
        }
    }

    /// Compares the length and the checksum with what the header promised.
    fn check_length(&mut self, frames: u64) -> Result<(), DecodeError> {
        let tolerance = if self.is_mp3 { MP3_TOLERANCE_FRAMES } else { 0 };
        if self.expected_frames.is_some_and(|expected| frames + tolerance < expected) {
            return Err(DecodeError::Truncated {
                path: self.path.to_owned(),
                frames,
                expected_frames: self.expected_frames,
            });
        }
        if self.decoder.finalize().verify_ok == Some(false) {
            return Err(DecodeError::Corrupt {
                path: self.path.to_owned(),
                where_in: "somewhere".to_owned(),
                reason: "its audio does not match the checksum in its header".to_owned(),
            });
        }
        Ok(())
    }
}

fn make_decoder(
    path: &Path,
    parameters: &AudioCodecParameters,
) -> Result<Box<dyn AudioDecoder>, DecodeError> {
    let options = AudioDecoderOptions::default().verify(true);
    symphonia::default::get_codecs()
        .make_audio_decoder(parameters, &options)
        .map_err(|error| DecodeError::NotAudio { path: path.to_owned(), reason: error.to_string() })
}

fn check_channels(path: &Path, channels: usize) -> Result<(), DecodeError> {
    if (1..=2).contains(&channels) {
        Ok(())
    } else {
        Err(DecodeError::Channels { path: path.to_owned(), channels })
    }
}

fn buffer_shape(path: &Path, buffer: &GenericAudioBufferRef<'_>) -> Result<(SampleRate, usize), DecodeError> {
    check_channels(path, buffer.num_planes())?;
    let rate_hz = buffer.spec().rate();
    let rate = SampleRate::new(rate_hz).map_err(|_| DecodeError::Rate { path: path.to_owned(), rate_hz })?;
    Ok((rate, buffer.num_planes()))
}
