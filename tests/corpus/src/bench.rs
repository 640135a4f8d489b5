//! One family of the corpus: makes files with Debian's encoders, decodes them with ours, and collects what differs.
//! It ends with all differences at once, so that one run tells about every variant.

use std::{
    fs,
    ops::ControlFlow,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use rehearsekit_audio::Audio;
use rehearsekit_media::{DecodeError, decode};

use crate::{
    judge::{lag_frames, residual_db},
    signal::Signal,
};

/// Lossless means: nothing but rounding in the last bits of 32-bit floats is left.
const LOSSLESS_DB: f64 = -100.0;
/// An error this small leaves no room for a lag: one frame of the signal's noise alone is more.
const SURELY_ALIGNED_DB: f64 = -60.0;

/// One family of files: a temporary folder, and what has differed so far.
pub struct Bench {
    folder: tempfile::TempDir,
    family: &'static str,
    cases: usize,
    faults: Vec<String>,
}

impl Bench {
    /// An empty one; `family` is what it is called in messages.
    pub fn new(family: &'static str) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        Self { folder, family, cases: 0, faults: Vec::new() }
    }

    /// A file of this name in the family's folder.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The signal as `truth.wav` of 32-bit floats, for an encoder to read. Written by hand: a plain header, since one
    /// with a map of speakers makes some encoders refuse mono.
    pub fn wav(&self, signal: &Signal) -> PathBuf {
        let count = signal.channels.len() as u32;
        let data = signal.frames() as u32 * count * 4;
        let mut bytes = Vec::with_capacity(44 + data as usize);
        bytes.extend(b"RIFF");
        bytes.extend((36 + data).to_le_bytes());
        bytes.extend(b"WAVEfmt \x10\0\0\0\x03\0");
        bytes.extend((count as u16).to_le_bytes());
        bytes.extend(signal.rate_hz.to_le_bytes());
        bytes.extend((signal.rate_hz * count * 4).to_le_bytes());
        bytes.extend((count as u16 * 4).to_le_bytes());
        bytes.extend(b"\x20\0data");
        bytes.extend(data.to_le_bytes());
        for frame in 0..signal.frames() {
            signal.channels.iter().for_each(|channel| bytes.extend(channel[frame].to_le_bytes()));
        }
        let path = self.path("truth.wav");
        fs::write(&path, bytes).expect("a temporary file");
        path
    }

    /// The signal as `truth.wav` of integers, for encoders that read no floats.
    pub fn integers(&self, signal: &Signal, bits: u16) -> PathBuf {
        let path = self.path("truth.wav");
        let spec = hound::WavSpec {
            channels: signal.channels.len() as u16,
            sample_rate: signal.rate_hz,
            bits_per_sample: bits,
            sample_format: hound::SampleFormat::Int,
        };
        let mut writer = hound::WavWriter::create(&path, spec).expect("a WAV");
        let steps = f64::from(1u32 << (bits - 1));
        for frame in 0..signal.frames() {
            for channel in &signal.channels {
                writer.write_sample((f64::from(channel[frame]) * steps) as i32).expect("a sample");
            }
        }
        writer.finalize().expect("a WAV");
        path
    }

    /// Runs an encoder or another tool in the family's folder; `cargo xtask test` installs all that are used here.
    pub fn run(&self, program: &str, words: &[&str]) {
        let output = Command::new(program)
            .args(words)
            .current_dir(self.folder.path())
            .stdin(Stdio::null())
            .output()
            .unwrap_or_else(|e| panic!("{program} cannot be run ({e}); `cargo xtask test` installs it"));
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{program} {words:?} failed: {said}");
    }

    /// The signal through ffmpeg into a file of this name, with these words for the output.
    pub fn ffmpeg(&self, signal: &Signal, words: &[&str], name: &str) -> PathBuf {
        self.wav(signal);
        let mut all = vec!["-nostdin", "-loglevel", "error", "-y", "-i", "truth.wav", "-bitexact"];
        all.extend(words);
        all.push(name);
        self.run("ffmpeg", &all);
        self.path(name)
    }

    /// The file through another decoder: `words` write `reference.wav`, `{}` stands for the file.
    pub fn reference(&self, program: &str, words: &[&str], file: &Path) -> Signal {
        let file = file.to_str().expect("a temporary path is text");
        let words: Vec<&str> = words.iter().map(|&word| if word == "{}" { file } else { word }).collect();
        self.run(program, &words);
        read_wav(&self.path("reference.wav"))
    }

    /// The same through ffmpeg.
    pub fn ffmpeg_reference(&self, file: &Path) -> Signal {
        let words =
            ["-nostdin", "-loglevel", "error", "-y", "-i", "{}", "-c:a", "pcm_f32le", "reference.wav"];
        self.reference("ffmpeg", &words, file)
    }

    /// Every sample is as it was.
    pub fn lossless(&mut self, what: &str, file: &Path, truth: &Signal) {
        self.compare(what, file, truth, 0, LOSSLESS_DB);
    }

    /// The same place and length but for `padding_frames`, and an error at least `below_db` below the truth.
    pub fn compare(&mut self, what: &str, file: &Path, truth: &Signal, padding_frames: usize, below_db: f64) {
        self.cases += 1;
        if let Err(fault) = compare(file, truth, padding_frames, below_db) {
            self.faults.push(format!("{what} ({} Hz, {} ch): {fault}", truth.rate_hz, truth.channels.len()));
        }
    }

    /// Refused, by a sentence that has all of these words.
    pub fn refused(&mut self, what: &str, file: &Path, words: &[&str]) {
        self.cases += 1;
        match read(file) {
            Ok(audio) => self.faults.push(format!("{what}: taken for {} frames of sound", audio.frames())),
            Err(error) => {
                let said = error.to_string();
                if let Some(missing) = words.iter().find(|word| !said.contains(**word)) {
                    self.faults.push(format!("{what}: refused without the word {missing:?}: {said}"));
                }
            }
        }
    }

    /// A fact about a file that no comparison covers.
    pub fn expect(&mut self, what: &str, holds: bool, seen: String) {
        self.cases += 1;
        if !holds {
            self.faults.push(format!("{what}: {seen}"));
        }
    }

    /// Fails with all that differed.
    pub fn verdict(self) {
        println!("{}: {} files, {} wrong", self.family, self.cases, self.faults.len());
        assert!(self.cases > 0, "{}: nothing was tried", self.family);
        assert!(
            self.faults.is_empty(),
            "{} of {} {} files:\n{}",
            self.faults.len(),
            self.cases,
            self.family,
            self.faults.join("\n")
        );
    }
}

fn read(file: &Path) -> Result<Audio, DecodeError> {
    decode(file, &mut |_, _| ControlFlow::Continue(()))
}

/// Frames that our decoder finds in the file.
pub fn frames(file: &Path) -> Result<usize, String> {
    read(file).map(|audio| audio.frames()).map_err(|error| error.to_string())
}

fn compare(file: &Path, truth: &Signal, padding_frames: usize, below_db: f64) -> Result<(), String> {
    let audio = read(file).map_err(|error| error.to_string())?;
    if audio.rate().hz() != truth.rate_hz {
        return Err(format!("{} Hz", audio.rate().hz()));
    }
    if audio.channels().len() != truth.channels.len() {
        return Err(format!("{} channels", audio.channels().len()));
    }
    if audio.frames().abs_diff(truth.frames()) > padding_frames {
        return Err(format!("{} frames instead of {}", audio.frames(), truth.frames()));
    }
    let residual = residual_db(&truth.channels, audio.channels());
    // Beyond this nothing can be late; the search takes its time.
    if residual > SURELY_ALIGNED_DB {
        let lag = lag_frames(&truth.channels, audio.channels());
        if lag != 0 {
            return Err(format!("{lag} frames late"));
        }
    }
    if residual > below_db {
        return Err(format!("an error of {residual:.1} dB, above {below_db:.0} dB"));
    }
    Ok(())
}

/// A WAV file as a reference decoder wrote it.
pub fn read_wav(path: &Path) -> Signal {
    let mut reader = hound::WavReader::open(path).expect("the reference decoder wrote a WAV");
    let spec = reader.spec();
    let samples: Vec<f32> = match spec.sample_format {
        hound::SampleFormat::Float => reader.samples::<f32>().map(|s| s.expect("a sample")).collect(),
        hound::SampleFormat::Int => {
            let steps = f64::from(1u32 << (spec.bits_per_sample - 1).min(31)) as f32;
            reader.samples::<i32>().map(|s| s.expect("a sample") as f32 / steps).collect()
        }
    };
    let count = usize::from(spec.channels);
    let channels = (0..count).map(|c| samples.iter().skip(c).step_by(count).copied().collect()).collect();
    Signal { rate_hz: spec.sample_rate, channels }
}

/// The bytes of `file`, changed, under another name in the same folder.
pub fn changed(file: &Path, name: &str, change: impl FnOnce(&mut Vec<u8>)) -> PathBuf {
    let mut bytes = fs::read(file).expect("the file that was just made");
    change(&mut bytes);
    let path = file.with_file_name(name);
    fs::write(&path, bytes).expect("a temporary file");
    path
}
