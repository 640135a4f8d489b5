//! Reading the WAV files that `rehearsekit` writes, for pictures and comparisons. Not a decoder for songs:
//! those go through the program itself.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

/// A short recording in memory: `channels[channel][frame]`.
pub(crate) struct Sound {
    /// Frames per second.
    pub(crate) rate_hz: u32,
    /// One or two channels of equal length.
    pub(crate) channels: Vec<Vec<f32>>,
}

impl Sound {
    /// Reads a WAV file of float or integer samples.
    ///
    /// # Errors
    /// When it is not one.
    pub(crate) fn read(path: &Path) -> Result<Self> {
        let mut reader =
            hound::WavReader::open(path).with_context(|| format!("could not read {}", path.display()))?;
        let spec = reader.spec();
        let samples: Vec<f32> = match spec.sample_format {
            hound::SampleFormat::Float => reader.samples::<f32>().collect::<Result<_, _>>()?,
            hound::SampleFormat::Int => {
                let full = (1_i64 << (spec.bits_per_sample - 1)) as f32;
                reader.samples::<i32>().map(|s| s.map(|s| s as f32 / full)).collect::<Result<_, _>>()?
            }
        };
        let count = usize::from(spec.channels);
        let channel = |c: usize| samples.iter().skip(c).step_by(count).copied().collect();
        Ok(Self { rate_hz: spec.sample_rate, channels: (0..count).map(channel).collect() })
    }

    /// Writes 32-bit float.
    pub(crate) fn write(&self, path: &Path) -> Result<()> {
        let spec = hound::WavSpec {
            channels: self.channels.len() as u16,
            sample_rate: self.rate_hz,
            bits_per_sample: 32,
            sample_format: hound::SampleFormat::Float,
        };
        let mut writer = hound::WavWriter::create(path, spec)?;
        for frame in 0..self.frames() {
            for channel in &self.channels {
                writer.write_sample(channel[frame])?;
            }
        }
        Ok(writer.finalize()?)
    }

    /// Length in frames.
    pub(crate) fn frames(&self) -> usize {
        self.channels.first().map_or(0, Vec::len)
    }

    /// Length in seconds.
    pub(crate) fn seconds(&self) -> f64 {
        self.frames() as f64 / f64::from(self.rate_hz)
    }

    /// Adds another recording, frame by frame, as far as both reach.
    pub(crate) fn add(&mut self, other: &Self) {
        for (mine, theirs) in self.channels.iter_mut().zip(&other.channels) {
            for (a, b) in mine.iter_mut().zip(theirs) {
                *a += b;
            }
        }
    }
}

/// How closely `estimate` follows `reference`: 10·log10(Σ ref² / Σ (ref − est)²) in dB over all channels and
/// the frames both have, skipping the first `skip` frames. Infinite when they are equal.
pub(crate) fn agreement_db(reference: &Sound, estimate: &Sound, skip: usize) -> f64 {
    let (mut signal, mut error) = (0.0_f64, 0.0_f64);
    for (a, b) in reference.channels.iter().zip(&estimate.channels) {
        for (a, b) in a.iter().zip(b).skip(skip) {
            signal += f64::from(*a).powi(2);
            error += (f64::from(*a) - f64::from(*b)).powi(2);
        }
    }
    10.0 * (signal / error).log10()
}

/// The stem files in a folder as `(stem, path)`, by name.
///
/// # Errors
/// When the folder cannot be read or has no stems.
pub(crate) fn stems_in(folder: &Path) -> Result<Vec<(String, PathBuf)>> {
    let entries =
        std::fs::read_dir(folder).with_context(|| format!("could not read {}", folder.display()))?;
    let mut stems = Vec::new();
    for entry in entries {
        let path = entry?.path();
        if path.extension().is_some_and(|ending| ending == "wav") {
            stems.push((path.file_stem().unwrap_or_default().to_string_lossy().into_owned(), path));
        }
    }
    stems.sort();
    anyhow::ensure!(!stems.is_empty(), "no stems in {}", folder.display());
    Ok(stems)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sound(values: &[f32]) -> Sound {
        Sound { rate_hz: 8_000, channels: vec![values.to_vec()] }
    }

    #[test]
    fn agreement_is_the_ratio_of_signal_to_difference() {
        let reference = sound(&[1.0, -1.0, 1.0, -1.0]);
        let close = sound(&[0.9, -0.9, 0.9, -0.9]);
        assert!((agreement_db(&reference, &close, 0) - 20.0).abs() < 1e-3);
        assert_eq!(agreement_db(&reference, &reference, 0), f64::INFINITY);
        let wrong_start = sound(&[0.0, -1.0, 1.0, -1.0]);
        assert_eq!(agreement_db(&reference, &wrong_start, 1), f64::INFINITY);
    }

    #[test]
    fn what_is_written_is_read() {
        let folder = std::env::temp_dir().join(format!("xtask-wav-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let spec = hound::WavSpec {
            channels: 2,
            sample_rate: 44_100,
            bits_per_sample: 32,
            sample_format: hound::SampleFormat::Float,
        };
        let mut writer = hound::WavWriter::create(folder.join("drums.wav"), spec).unwrap();
        for sample in [0.25_f32, -0.25, 0.5, -0.5] {
            writer.write_sample(sample).unwrap();
        }
        writer.finalize().unwrap();
        let stems = stems_in(&folder).unwrap();
        let mut read = Sound::read(&stems[0].1).unwrap();
        read.add(&Sound { rate_hz: 44_100, channels: vec![vec![0.5, 0.5], vec![0.0, 0.0]] });
        std::fs::remove_dir_all(&folder).unwrap();
        assert_eq!((stems[0].0.as_str(), read.frames()), ("drums", 2));
        assert_eq!(read.channels, [vec![0.75, 1.0], vec![-0.25, -0.5]]);
    }
}
