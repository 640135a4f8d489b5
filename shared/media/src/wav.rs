//! One stem as a 32-bit float WAV file, written block by block.

use std::{
    fs::File,
    io::{self, BufWriter},
    path::Path,
};

use hound::{SampleFormat, WavSpec, WavWriter};
use rehearsekit_audio::SampleRate;

/// Most bytes of samples a WAV file can state, less room for its header.
pub const MAX_DATA_BYTES: u64 = u32::MAX as u64 - 4_096;

/// A WAV file being written.
pub struct WavFile {
    writer: WavWriter<BufWriter<File>>,
    // A second handle to the same file: hound keeps the first to itself.
    handle: File,
}

impl WavFile {
    /// Creates the file at `path` for `channels` channels.
    pub fn create(path: &Path, rate: SampleRate, channels: usize) -> io::Result<Self> {
        let spec = WavSpec {
            channels: channels as u16,
            sample_rate: rate.hz(),
            bits_per_sample: 32,
            sample_format: SampleFormat::Float,
        };
        let file = File::create(path)?;
        let handle = file.try_clone()?;
        Ok(Self { writer: WavWriter::new(BufWriter::new(file), spec).map_err(io_error)?, handle })
    }

    /// Appends planar `channels` (equally long).
    pub fn write(&mut self, channels: &[Vec<f32>]) -> io::Result<()> {
        for frame in 0..channels.first().map_or(0, Vec::len) {
            for channel in channels {
                self.writer.write_sample(channel[frame]).map_err(io_error)?;
            }
        }
        Ok(())
    }

    /// Completes the header and sees the file safely on the disk.
    pub fn finish(self) -> io::Result<()> {
        self.writer.finalize().map_err(io_error)?;
        self.handle.sync_all()
    }
}

fn io_error(error: hound::Error) -> io::Error {
    match error {
        hound::Error::IoError(error) => error,
        other => io::Error::other(other.to_string()),
    }
}
