//! Stems to disk: one file per stem, all of them or none.
//!
//! Files grow in a hidden folder beside their destination and are renamed into place together at the end, so
//! that an error, a full disk or Ctrl-C leaves nothing behind. Memory is bounded by one block. What was read is never
//! replaced, and other files only if that was asked for (see [`crate::place`]).
//!
//! WAV is 32-bit float and keeps everything, also beyond full scale. FLAC is 24 bit: there the stems add up to
//! the 24-bit mix exactly (see [`crate::grid`]), except where a stem exceeds full scale, which is counted and
//! reported as `clipped_samples`.

use std::{
    fmt, fs, io,
    path::{Path, PathBuf},
    str::FromStr,
};

use rehearsekit_audio::{SampleRate, StemName, StemSet};

use crate::{
    flac::FlacFile,
    flac_tags, grid,
    hidden::Hidden,
    place::{self, Inputs, shown},
    tags::Tags,
    wav,
    wav::WavFile,
};

/// File format of the stems.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StemFormat {
    /// 32-bit float WAV.
    Wav,
    /// 24-bit FLAC.
    Flac,
}

impl StemFormat {
    /// Extension of the files, without a dot.
    pub fn extension(self) -> &'static str {
        match self {
            Self::Wav => "wav",
            Self::Flac => "flac",
        }
    }
}

impl fmt::Display for StemFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.extension())
    }
}

impl FromStr for StemFormat {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "wav" => Ok(Self::Wav),
            "flac" => Ok(Self::Flac),
            other => Err(format!("'{other}' is not a format for stems; use wav or flac")),
        }
    }
}

/// Why stems could not be written. Nothing is left behind.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// No space.
    #[error("the disk is full while writing {}; free some space or choose another folder (nothing was left behind)", shown(.0))]
    DiskFull(PathBuf),
    /// It would take the place of what is read.
    #[error(
        "{} would take the place of what this command reads ({}), which is never replaced: choose another folder or \
         another name",
        shown(path),
        shown(input)
    )]
    IsInput {
        /// What was to be written.
        path: PathBuf,
        /// What is read.
        input: PathBuf,
    },
    /// Something is there, and was not to be replaced.
    #[error("{} is there already: choose another folder or another name, or say --overwrite to replace it", shown(.0))]
    Exists(PathBuf),
    /// A folder, a device or a pipe is there.
    #[error("{} is there and is no plain file: choose another folder or another name", shown(.0))]
    NotAFile(PathBuf),
    /// Anything else the file system says.
    #[error("cannot write {}: {source}; check that the folder exists and may be written to", shown(path))]
    Io {
        /// What was to be written.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A WAV file cannot state more than 4 GiB.
    #[error("{frames} frames are too long for a WAV file (4 GiB at most); use FLAC")]
    TooLong {
        /// Frames wanted.
        frames: u64,
    },
    /// A block that does not fit what was announced.
    #[error("a block of {got} does not fit {want}; this is a bug in this program")]
    Shape {
        /// What came.
        got: String,
        /// What was announced.
        want: String,
    },
}

impl WriteError {
    /// What the file system said while `path` was written.
    pub fn at(path: &Path) -> impl Fn(io::Error) -> Self + '_ {
        move |source| match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::DiskFull(path.to_owned()),
            _ => Self::Io { path: path.to_owned(), source },
        }
    }
}

/// One finished stem file.
#[derive(Debug, Clone, PartialEq)]
pub struct WrittenStem {
    /// Which stem.
    pub stem: StemName,
    /// Where it is.
    pub path: PathBuf,
    /// Largest absolute sample, in dBFS (−∞ for silence).
    pub peak_dbfs: f64,
    /// RMS over all channels, in dBFS (−∞ for silence).
    pub level_dbfs: f64,
    /// Samples held at full scale (FLAC only); where there are any, the stems do not quite sum to the mix.
    pub clipped_samples: u64,
}

enum StemFile {
    Wav(WavFile),
    Flac(Box<FlacFile>),
}

#[derive(Default, Clone, Copy)]
struct Loudness {
    peak: f32,
    energy: f64,
}

/// Where the stems of one song go, and what they are called there.
#[derive(Debug, Clone, Copy)]
pub struct StemFiles<'a> {
    /// Their folder, made if it is not there.
    pub folder: &'a Path,
    /// A name per stem, in the model's order, without the format's ending.
    pub names: &'a [String],
    /// What they are.
    pub format: StemFormat,
    /// What they may never replace.
    pub inputs: &'a Inputs,
    /// Whether they may replace anything else.
    pub overwrite: bool,
    /// What the song says of itself; FLAC carries it.
    pub tags: &'a Tags,
}

impl StemFiles<'_> {
    fn file_name(&self, index: usize) -> String {
        format!("{}.{}", self.names.get(index).map_or("", String::as_str), self.format)
    }

    /// The path of the stem number `index`.
    pub fn path(&self, index: usize) -> PathBuf {
        self.folder.join(self.file_name(index))
    }

    /// Whether they may be written, to be asked before there is any work in them.
    ///
    /// # Errors
    /// As [`place::check`].
    pub fn check(&self) -> Result<(), WriteError> {
        (0..self.names.len())
            .try_for_each(|index| place::check(&self.path(index), self.inputs, self.overwrite))
    }
}

/// Writes the stems of one song. Dropping it without [`Self::finish`] removes everything it made.
pub struct StemWriter<'a> {
    // Fields are dropped in this order: open files, then their folder and the folders around it.
    open: Vec<StemFile>,
    hidden: Hidden,
    files: StemFiles<'a>,
    stems: StemSet,
    channels: usize,
    frames: u64,
    loudness: Vec<Loudness>,
    clipped: Vec<u64>,
}

impl<'a> StemWriter<'a> {
    /// Begins a file for every stem, `channels` (1 or 2) each. `frames` is how long they will be, where that is known, so
    /// that what cannot fit is refused at once.
    ///
    /// # Errors
    /// As [`StemFiles::check`], and what the file system says.
    pub fn create(
        files: StemFiles<'a>,
        stems: &StemSet,
        rate: SampleRate,
        channels: usize,
        frames: Option<u64>,
    ) -> Result<Self, WriteError> {
        let StemFiles { folder, format, .. } = files;
        if let Some(frames) = frames.filter(|&f| format == StemFormat::Wav && !fits_wav(f, channels)) {
            return Err(WriteError::TooLong { frames });
        }
        if files.names.len() != stems.count() {
            let (got, want) = (format!("{} names", files.names.len()), format!("{} stems", stems.count()));
            return Err(WriteError::Shape { got, want });
        }
        files.check()?;
        let hidden = Hidden::inside(folder).map_err(WriteError::at(folder))?;
        let mut open = Vec::with_capacity(stems.count());
        for index in 0..stems.count() {
            let path = hidden.path().join(files.file_name(index));
            let file = match format {
                StemFormat::Wav => WavFile::create(&path, rate, channels).map(StemFile::Wav),
                StemFormat::Flac => {
                    let about = flac_tags::blocks(files.tags, stems.names()[index].as_str());
                    FlacFile::create(&path, rate, channels, &about).map(|f| StemFile::Flac(Box::new(f)))
                }
            };
            open.push(file.map_err(WriteError::at(&files.path(index)))?);
        }
        Ok(Self {
            open,
            hidden,
            files,
            stems: stems.clone(),
            channels,
            frames: 0,
            loudness: vec![Loudness::default(); stems.count()],
            clipped: vec![0; stems.count()],
        })
    }

    /// Frames written so far.
    pub fn frames(&self) -> u64 {
        self.frames
    }

    /// Appends a block: `mix[channel]` and `stems[stem][channel]`, all equally long. For FLAC the closing stem
    /// is computed anew from the mix, on the integer grid.
    pub fn write(&mut self, mix: &[&[f32]], stems: &[Vec<Vec<f32>>]) -> Result<(), WriteError> {
        self.check_shape(mix, stems)?;
        let frames = mix.first().map_or(0, |c| c.len());
        if self.files.format == StemFormat::Wav && !fits_wav(self.frames + frames as u64, self.channels) {
            return Err(WriteError::TooLong { frames: self.frames + frames as u64 });
        }
        for (loudness, stem) in self.loudness.iter_mut().zip(stems) {
            for &sample in stem.iter().flatten() {
                loudness.peak = loudness.peak.max(sample.abs());
                loudness.energy += f64::from(sample) * f64::from(sample);
            }
        }
        let integers = match self.files.format {
            StemFormat::Wav => Vec::new(),
            StemFormat::Flac => self.on_the_grid(mix, stems),
        };
        for (index, file) in self.open.iter_mut().enumerate() {
            let result = match file {
                StemFile::Wav(file) => file.write(&stems[index]),
                StemFile::Flac(file) => file.write(&integers[index]),
            };
            result.map_err(WriteError::at(self.files.folder))?;
        }
        self.frames += frames as u64;
        Ok(())
    }

    /// Completes all files and shows them under their names.
    ///
    /// # Errors
    /// What the file system says, or that something has come to one of the places meanwhile. Then none is shown, and
    /// files that were to be replaced are as they were.
    pub fn finish(mut self) -> Result<Vec<WrittenStem>, WriteError> {
        let Self { files, .. } = self;
        for file in self.open.drain(..) {
            let result = match file {
                StemFile::Wav(file) => file.finish(),
                StemFile::Flac(file) => file.finish(),
            };
            result.map_err(WriteError::at(files.folder))?;
        }
        let _placing = place::placing();
        files.check()?;
        let replaced: Vec<bool> = (0..self.stems.count()).map(|index| self.keep_old(index)).collect();
        for index in 0..self.stems.count() {
            let finished = self.hidden.path().join(files.file_name(index));
            if let Err(error) = place::put(&finished, &files.path(index), files.overwrite) {
                (0..index).for_each(|placed| self.put_back(placed, replaced[placed]));
                return Err(error);
            }
        }
        self.hidden.keep_folders();
        Ok((0..self.stems.count()).map(|index| self.written(index)).collect())
    }

    fn old(&self, index: usize) -> PathBuf {
        self.hidden.path().join(format!("old-{index}"))
    }

    /// Keeps what is about to be replaced, so that it can come back (on a file system without links it cannot); whether
    /// there is anything.
    fn keep_old(&self, index: usize) -> bool {
        let path = self.files.path(index);
        let _ = fs::hard_link(&path, self.old(index));
        fs::symlink_metadata(path).is_ok()
    }

    /// The error that brought us here is the one to tell.
    fn put_back(&self, index: usize, replaced: bool) {
        let path = self.files.path(index);
        let _ = if replaced { fs::rename(self.old(index), path) } else { fs::remove_file(path) };
    }

    fn written(&self, index: usize) -> WrittenStem {
        let samples = (self.frames * self.channels as u64).max(1) as f64;
        let Loudness { peak, energy } = self.loudness[index];
        WrittenStem {
            stem: self.stems.names()[index].clone(),
            path: self.files.path(index),
            peak_dbfs: 20.0 * f64::from(peak).log10(),
            level_dbfs: 10.0 * (energy / samples).log10(),
            clipped_samples: self.clipped[index],
        }
    }

    /// `[stem][channel][frame]` on the integer grid, closed there.
    fn on_the_grid(&mut self, mix: &[&[f32]], stems: &[Vec<Vec<f32>>]) -> Vec<Vec<Vec<i32>>> {
        let closing = self.stems.closing();
        let mut integers = vec![Vec::with_capacity(self.channels); stems.len()];
        for channel in 0..self.channels {
            let mut mix_clipped = 0;
            let mix: Vec<i32> = mix[channel].iter().map(|&s| grid::quantise(s, &mut mix_clipped)).collect();
            let mut lane: Vec<Vec<i32>> = Vec::with_capacity(stems.len());
            for (index, stem) in stems.iter().enumerate() {
                // The closing stem is overwritten below; its own clipping is counted there.
                let mut clipped = 0;
                lane.push(stem[channel].iter().map(|&s| grid::quantise(s, &mut clipped)).collect());
                self.clipped[index] += if index == closing { mix_clipped } else { clipped };
            }
            grid::close_sum(&mix, &mut lane, closing, &mut self.clipped);
            for (stem, lane) in integers.iter_mut().zip(lane) {
                stem.push(lane);
            }
        }
        integers
    }

    fn check_shape(&self, mix: &[&[f32]], stems: &[Vec<Vec<f32>>]) -> Result<(), WriteError> {
        let frames = mix.first().map_or(0, |c| c.len());
        let fits = mix.len() == self.channels
            && mix.iter().all(|c| c.len() == frames)
            && stems.len() == self.stems.count()
            && stems.iter().all(|s| s.len() == self.channels && s.iter().all(|c| c.len() == frames));
        if fits {
            return Ok(());
        }
        let first = stems.first().and_then(|s| s.first()).map_or(0, Vec::len);
        Err(WriteError::Shape {
            got: format!("{} stems of {first} frames with a mix of {}×{frames}", stems.len(), mix.len()),
            want: format!("{} stems of {} channels", self.stems.count(), self.channels),
        })
    }
}

fn fits_wav(frames: u64, channels: usize) -> bool {
    frames.saturating_mul(channels as u64 * 4) <= wav::MAX_DATA_BYTES
}
