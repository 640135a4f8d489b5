//! Stems to disk: one file per stem, all of them or none.
//!
//! Files grow in a hidden folder beside their destination and are renamed into place together at the end, so
//! that an error, a full disk or Ctrl-C leaves nothing behind. Memory is bounded by one block.
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
use tempfile::TempDir;

use crate::{flac::FlacFile, grid, wav, wav::WavFile};

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
    #[error("the disk is full while writing {}; free some space or choose another folder (nothing was left behind)", .0.display())]
    DiskFull(PathBuf),
    /// Anything else the file system says.
    #[error("cannot write {}: {source}; check that the folder exists and may be written to", path.display())]
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
    fn at(path: &Path) -> impl Fn(io::Error) -> Self + '_ {
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

/// Writes the stems of one song. Dropping it without [`Self::finish`] removes everything it made.
pub struct StemWriter {
    // Fields are dropped in this order: open files, their folder, the folders around it.
    files: Vec<StemFile>,
    hidden: TempDir,
    made: MadeFolders,
    folder: PathBuf,
    stems: StemSet,
    format: StemFormat,
    channels: usize,
    frames: u64,
    loudness: Vec<Loudness>,
    clipped: Vec<u64>,
}

impl StemWriter {
    /// Begins `folder/STEM.wav` or `.flac` for every stem, `channels` (1 or 2) each. `frames` is how long they
    /// will be, where that is known, so that what cannot fit is refused at once.
    pub fn create(
        folder: &Path,
        stems: &StemSet,
        format: StemFormat,
        rate: SampleRate,
        channels: usize,
        frames: Option<u64>,
    ) -> Result<Self, WriteError> {
        if let Some(frames) = frames.filter(|&f| format == StemFormat::Wav && !fits_wav(f, channels)) {
            return Err(WriteError::TooLong { frames });
        }
        let made = MadeFolders::create(folder).map_err(WriteError::at(folder))?;
        let hidden = tempfile::Builder::new()
            .prefix(".rehearsekit-")
            .tempdir_in(folder)
            .map_err(WriteError::at(folder))?;
        let mut files = Vec::with_capacity(stems.count());
        for stem in stems.names() {
            let path = hidden.path().join(format!("{stem}.{format}"));
            let file = match format {
                StemFormat::Wav => WavFile::create(&path, rate, channels).map(StemFile::Wav),
                StemFormat::Flac => {
                    FlacFile::create(&path, rate, channels).map(|f| StemFile::Flac(Box::new(f)))
                }
            };
            files.push(file.map_err(WriteError::at(&path))?);
        }
        Ok(Self {
            files,
            hidden,
            made,
            folder: folder.to_owned(),
            stems: stems.clone(),
            format,
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
        if self.format == StemFormat::Wav && !fits_wav(self.frames + frames as u64, self.channels) {
            return Err(WriteError::TooLong { frames: self.frames + frames as u64 });
        }
        for (loudness, stem) in self.loudness.iter_mut().zip(stems) {
            for &sample in stem.iter().flatten() {
                loudness.peak = loudness.peak.max(sample.abs());
                loudness.energy += f64::from(sample) * f64::from(sample);
            }
        }
        let integers = match self.format {
            StemFormat::Wav => Vec::new(),
            StemFormat::Flac => self.on_the_grid(mix, stems),
        };
        for (index, file) in self.files.iter_mut().enumerate() {
            let result = match file {
                StemFile::Wav(file) => file.write(&stems[index]),
                StemFile::Flac(file) => file.write(&integers[index]),
            };
            result.map_err(WriteError::at(&self.folder))?;
        }
        self.frames += frames as u64;
        Ok(())
    }

    /// Completes all files and shows them under their names.
    pub fn finish(mut self) -> Result<Vec<WrittenStem>, WriteError> {
        for file in self.files.drain(..) {
            let result = match file {
                StemFile::Wav(file) => file.finish(),
                StemFile::Flac(file) => file.finish(),
            };
            result.map_err(WriteError::at(&self.folder))?;
        }
        let samples = (self.frames * self.channels as u64).max(1) as f64;
        let mut written: Vec<WrittenStem> = Vec::with_capacity(self.stems.count());
        for (index, stem) in self.stems.names().iter().enumerate() {
            let name = format!("{stem}.{}", self.format);
            let path = self.folder.join(&name);
            if let Err(error) = fs::rename(self.hidden.path().join(&name), &path) {
                for file in &written {
                    // The error that brought us here is the one to tell.
                    let _ = fs::remove_file(&file.path);
                }
                return Err(WriteError::at(&path)(error));
            }
            let Loudness { peak, energy } = self.loudness[index];
            written.push(WrittenStem {
                stem: stem.clone(),
                path,
                peak_dbfs: 20.0 * f64::from(peak).log10(),
                level_dbfs: 10.0 * (energy / samples).log10(),
                clipped_samples: self.clipped[index],
            });
        }
        self.made.keep();
        Ok(written)
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

/// The folders that had to be made for the output, removed again (where empty) unless kept.
struct MadeFolders(Vec<PathBuf>);

impl MadeFolders {
    fn create(folder: &Path) -> io::Result<Self> {
        let missing = folder.ancestors().take_while(|f| !f.as_os_str().is_empty() && !f.exists());
        let made = Self(missing.map(Path::to_owned).collect());
        fs::create_dir_all(folder)?;
        Ok(made)
    }

    fn keep(&mut self) {
        self.0.clear();
    }
}

impl Drop for MadeFolders {
    fn drop(&mut self) {
        for folder in &self.0 {
            // Innermost first; one that somebody else has put something into stays.
            let _ = fs::remove_dir(folder);
        }
    }
}
