//! A player's own click sound from a WAV file. For the main thread: it reads, allocates and takes its time. Must not
//! know who plays the sound.

use std::path::{Path, PathBuf};

use hound::{SampleFormat, WavReader};
use rehearsekit_audio::{
    Audio, SampleRate,
    audio::AudioError,
    click::{ClickSound, ClickSoundError},
    units::UnitError,
};
use rubato::{Fft, FixedSync, Resampler as _, audioadapter_buffers::direct::SequentialSliceOfVecs};

/// What is this much softer than the loudest sample, and before the first that is not, is no attack: −50 dB.
const BEFORE_THE_ATTACK: f32 = 0.003_162;

/// Why a file is no click sound.
#[derive(Debug, thiserror::Error)]
#[error("{path} cannot be the click's sound: {why}", path = path.display())]
pub struct ClickFileError {
    path: PathBuf,
    /// The reason.
    #[source]
    pub why: ClickFileProblem,
}

/// What is wrong with a file.
#[derive(Debug, thiserror::Error)]
pub enum ClickFileProblem {
    /// It is not there, or not a file.
    #[error("there is no such file")]
    NoFile,
    /// It cannot be read as a WAV file.
    #[error("it is not a WAV file that can be read ({0})")]
    Wav(#[from] hound::Error),
    /// A sample format that no WAV file should have.
    #[error("its samples have {0} bits")]
    Bits(u16),
    /// A rate that nothing here handles.
    #[error("its {0}")]
    Rate(#[from] UnitError),
    /// Not mono or stereo.
    #[error("it has {0} channels; only mono and stereo can be played")]
    Channels(u16),
    /// Too long, empty or not finite.
    #[error(transparent)]
    Sound(#[from] ClickSoundError),
    /// Nothing but zeros.
    #[error("it is silent")]
    Silent,
    /// The file's rate cannot be turned into the host's.
    #[error("it cannot be played at {to} instead of {from} ({reason})")]
    Resampling {
        /// The file's rate.
        from: SampleRate,
        /// The host's rate.
        to: SampleRate,
        /// What the resampler says.
        reason: String,
    },
    /// A file that contradicts its own header.
    #[error(transparent)]
    Audio(#[from] AudioError),
}

/// Reads a mono or stereo WAV file of at most [`ClickSound::LONGEST_SECONDS`] as a sound at `rate`. Silence before
/// its attack is cut off, since the attack is what belongs on the beat, and its loudest sample is brought to full
/// scale, where the built-in sounds are.
///
/// # Errors
/// When the file is missing, no such file, or not to be played; a sentence for the player.
pub fn read_click_file(path: &Path, rate: SampleRate) -> Result<ClickSound, ClickFileError> {
    read(path, rate).map_err(|why| ClickFileError { path: path.to_owned(), why })
}

fn read(path: &Path, rate: SampleRate) -> Result<ClickSound, ClickFileProblem> {
    // Anything but a file might never end.
    if !path.is_file() {
        return Err(ClickFileProblem::NoFile);
    }
    let mut reader = WavReader::open(path)?;
    let spec = reader.spec();
    let own_rate = SampleRate::new(spec.sample_rate)?;
    if !(1..=2).contains(&spec.channels) {
        return Err(ClickFileProblem::Channels(spec.channels));
    }
    // Before anything of it is read.
    if reader.duration() > ClickSound::LONGEST_SECONDS * own_rate.hz() {
        let seconds = own_rate.duration(reader.duration().into()).as_secs_f64();
        return Err(ClickSoundError::TooLong(seconds).into());
    }
    let samples: Vec<f32> = match (spec.sample_format, spec.bits_per_sample) {
        (SampleFormat::Float, _) => reader.samples().collect::<Result<_, _>>()?,
        (SampleFormat::Int, bits @ 1..=32) => {
            let full = (1u64 << (bits - 1)) as f32;
            reader
                .samples::<i32>()
                .map(|sample| Ok(sample? as f32 / full))
                .collect::<Result<_, hound::Error>>()?
        }
        (SampleFormat::Int, bits) => return Err(ClickFileProblem::Bits(bits)),
    };
    let count = usize::from(spec.channels);
    let channel = |channel| samples.iter().skip(channel).step_by(count).copied().collect();
    let audio = Audio::new(own_rate, (0..count).map(channel).collect())?;
    // Refuses what is empty or not finite.
    let mut channels = trimmed(ClickSound::new(audio)?)?;
    if own_rate != rate {
        channels = resampled(&channels, own_rate, rate)?;
    }
    let peak = peak(&channels);
    channels.iter_mut().flatten().for_each(|sample| *sample /= peak);
    Ok(ClickSound::new(Audio::new(rate, channels)?)?)
}

fn peak(channels: &[Vec<f32>]) -> f32 {
    channels.iter().flatten().fold(0.0, |peak, sample| peak.max(sample.abs()))
}

/// The sound from its attack on.
fn trimmed(sound: ClickSound) -> Result<Vec<Vec<f32>>, ClickFileProblem> {
    let channels = sound.into_channels();
    let attack = BEFORE_THE_ATTACK * peak(&channels);
    let loud = |channel: &Vec<f32>| channel.iter().position(|sample| sample.abs() > attack);
    let first = channels.iter().filter_map(loud).min().ok_or(ClickFileProblem::Silent)?;
    Ok(channels.into_iter().map(|channel| channel[first..].to_vec()).collect())
}

/// The same sound at another rate; its first frame stays its first.
fn resampled(
    channels: &[Vec<f32>],
    from: SampleRate,
    to: SampleRate,
) -> Result<Vec<Vec<f32>>, ClickFileProblem> {
    let why = |reason: &dyn std::fmt::Display| {
        let reason = reason.to_string();
        ClickFileProblem::Resampling { from, to, reason }
    };
    let (count, frames) = (channels.len(), channels[0].len());
    let (from_hz, to_hz) = (from.hz() as usize, to.hz() as usize);
    // An even number of the smallest blocks: the filter's delay is then a whole number of frames.
    let unit = from_hz / gcd(from_hz, to_hz);
    let block = unit * 1_024_usize.div_ceil(unit).next_multiple_of(2);
    let mut fft = Fft::<f32>::new(from_hz, to_hz, block, count, FixedSync::Both).map_err(|e| why(&e))?;
    let room = fft.process_all_needed_output_len(frames);
    let mut out = vec![vec![0.0; room]; count];
    let source = SequentialSliceOfVecs::new(channels, count, frames).map_err(|e| why(&e))?;
    let mut sink = SequentialSliceOfVecs::new_mut(&mut out, count, room).map_err(|e| why(&e))?;
    let (_, made) = fft.process_all_into_buffer(&source, &mut sink, frames, None).map_err(|e| why(&e))?;
    // Two seconds stay two seconds, however the quotient of the rates is rounded.
    let most = (ClickSound::LONGEST_SECONDS * to.hz()) as usize;
    out.iter_mut().for_each(|channel| channel.truncate(made.min(most)));
    Ok(out)
}

fn gcd(a: usize, b: usize) -> usize {
    if b == 0 { a } else { gcd(b, a % b) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rate(hz: u32) -> SampleRate {
        SampleRate::new(hz).unwrap()
    }

    /// A file of these frames, and what becomes of it at `hz`.
    fn written(spec: hound::WavSpec, channels: &[Vec<f32>], hz: u32) -> Result<ClickSound, ClickFileError> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("click.wav");
        let mut writer = hound::WavWriter::create(&path, spec).unwrap();
        let full = (1u64 << (spec.bits_per_sample - 1)) as f32 - 1.0;
        for frame in 0..channels[0].len() {
            for channel in channels {
                match spec.sample_format {
                    SampleFormat::Float => writer.write_sample(channel[frame]).unwrap(),
                    SampleFormat::Int => writer.write_sample((channel[frame] * full) as i32).unwrap(),
                }
            }
        }
        writer.finalize().unwrap();
        read_click_file(&path, rate(hz))
    }

    fn spec(channels: u16, sample_rate: u32, bits_per_sample: u16) -> hound::WavSpec {
        let sample_format = if bits_per_sample == 32 { SampleFormat::Float } else { SampleFormat::Int };
        hound::WavSpec { channels, sample_rate, bits_per_sample, sample_format }
    }

    /// Silence, and then a decaying tone from its loudest sample on.
    fn tone(silence: usize, frames: usize, hz: f64, sample_rate: f64) -> Vec<f32> {
        let sample = |n: usize| {
            let seconds = n as f64 / sample_rate;
            (0.5 * (std::f64::consts::TAU * hz * seconds).cos() * (-60.0 * seconds).exp()) as f32
        };
        std::iter::repeat_n(0.0, silence).chain((0..frames).map(sample)).collect()
    }

    #[test]
    fn every_format_begins_with_its_attack_at_full_scale() {
        for bits in [8, 16, 24, 32] {
            let left = tone(700, 4_000, 500.0, 48_000.0);
            let right: Vec<f32> = left.iter().map(|sample| -0.5 * sample).collect();
            let sound = written(spec(2, 48_000, bits), &[left, right], 48_000).unwrap();
            let [left, right] = sound.stereo();
            assert_eq!(left.len(), 4_000, "{bits} bits");
            assert!(left[0] > 0.99 && (right[0] + 0.5).abs() < 0.02, "{bits} bits: {} {}", left[0], right[0]);
            let expected = tone(0, 4_000, 500.0, 48_000.0);
            let error = left.iter().zip(&expected).map(|(a, b)| (a - 2.0 * b).abs()).fold(0.0, f32::max);
            assert!(error < 0.03, "{bits} bits: {error}");
        }
    }

    #[test]
    fn another_rate_moves_the_attack_by_nothing() {
        for (from, to) in
            [(44_100, 48_000), (48_000, 44_100), (96_000, 44_100), (8_000, 192_000), (22_050, 48_000)]
        {
            let sound = written(spec(1, from, 32), &[tone(321, 6_000, 300.0, f64::from(from))], to).unwrap();
            let heard = sound.stereo()[0];
            assert_eq!(heard.len(), (6_000.0 * f64::from(to) / f64::from(from)).ceil() as usize);
            // Behind the attack, which no filter keeps, it is the same tone at the same time.
            let expected = tone(0, heard.len(), 300.0, f64::from(to));
            let range = to as usize / 100..to as usize / 50;
            let pairs = || heard[range.clone()].iter().zip(&expected[range.clone()]);
            let gain = pairs().map(|(a, b)| a * b).sum::<f32>() / pairs().map(|(_, b)| b * b).sum::<f32>();
            let error = pairs().map(|(a, b)| (a - gain * b).powi(2)).sum::<f32>();
            let energy = pairs().map(|(a, _)| a * a).sum::<f32>();
            assert!(error < 1e-4 * energy, "{from} to {to}: {}", error / energy);
            assert!(heard[0].abs() > 0.3, "{from} to {to} begins with {}", heard[0]);
        }
    }

    #[test]
    fn what_is_wrong_is_said() {
        let says = |result: Result<ClickSound, ClickFileError>, part: &str| {
            let error = result.unwrap_err();
            assert!(error.to_string().contains("cannot be the click's sound"), "{error}");
            assert!(error.to_string().contains(part), "{error}");
        };
        says(read_click_file(Path::new("nowhere/click.wav"), rate(48_000)), "there is no such file");
        says(read_click_file(Path::new("."), rate(48_000)), "there is no such file");
        says(read_click_file(Path::new("Cargo.toml"), rate(48_000)), "it is not a WAV file");
        says(written(spec(3, 48_000, 16), &vec![vec![0.5; 10]; 3], 48_000), "3 channels");
        says(written(spec(1, 4_000, 16), &[vec![0.5; 10]], 48_000), "4000 Hz");
        says(written(spec(1, 48_000, 16), &[vec![0.0; 100]], 48_000), "it is silent");
        says(written(spec(1, 48_000, 16), &[vec![]], 48_000), "there is nothing in it");
        says(written(spec(1, 48_000, 32), &[vec![f32::NAN; 4]], 48_000), "sample 0 is not a number");
        says(written(spec(1, 8_000, 16), &[vec![0.5; 20_000]], 48_000), "it is 2.5 s long");
        written(spec(2, 44_100, 16), &vec![vec![0.5; 88_200]; 2], 48_000).expect("two seconds");
    }
}
