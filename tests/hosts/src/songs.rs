//! Songs made on the spot, WAV files, and what tests say about sound.
#![allow(clippy::unwrap_used, reason = "all of it is test code")]

use std::path::Path;

/// Two channels of samples.
pub type Stereo = [Vec<f32>; 2];

/// Something like music: a voice and a beat, `frames` long, a little different per channel.
pub fn music(frames: usize, rate_hz: u32) -> Stereo {
    [0, 1].map(|channel| (0..frames).map(|f| music_at(f as u64, rate_hz, channel)).collect())
}

/// One sample of it.
pub fn music_at(frame: u64, rate_hz: u32, channel: usize) -> f32 {
    let t = frame as f64 / f64::from(rate_hz);
    let tone = |hz: f64| (std::f64::consts::TAU * hz * t).sin();
    let beat = (-12.0 * (t * 2.0).fract()).exp();
    let voice = tone(330.0 + 10.0 * channel as f64) + 0.5 * tone(660.0) + 0.3 * tone(990.0);
    (0.1 * voice + 0.3 * beat * tone(80.0) + 0.05 * tone(3_000.0) * beat) as f32
}

/// White noise in ±0.25: nothing in it repeats, so no other shift than the right one nulls.
pub fn noise(frames: usize, seed: u64) -> Stereo {
    [0u64, 1].map(|channel| {
        let mut state = (seed * 2 + channel + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        let mut next = move || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state >> 40) as f32 / (1u64 << 25) as f32 - 0.25
        };
        (0..frames).map(|_| next()).collect()
    })
}

/// The level of `wet` without its first `latency` frames against `dry`, in dB below full scale: −∞ where they are
/// the same. Compares as many frames as both have.
pub fn null_db(wet: &Stereo, latency: usize, dry: &Stereo) -> f64 {
    let difference = wet.iter().zip(dry).flat_map(|(wet, dry)| wet[latency..].iter().zip(dry));
    let worst = difference.map(|(wet, dry)| f64::from((wet - dry).abs())).fold(0.0, f64::max);
    assert!(wet[0].len() > latency, "nothing to compare");
    20.0 * worst.log10()
}

/// The largest step from one frame to the next.
pub fn steepest(samples: &[f32]) -> f32 {
    samples.windows(2).map(|pair| (pair[1] - pair[0]).abs()).fold(0.0, f32::max)
}

/// The largest sample.
pub fn peak(samples: &[f32]) -> f32 {
    samples.iter().fold(0.0, |peak: f32, sample| peak.max(sample.abs()))
}

/// Every sample as its bits, so that "the same" means the same.
pub fn bits(samples: &Stereo) -> [Vec<u32>; 2] {
    [0, 1].map(|channel| samples[channel].iter().map(|sample| sample.to_bits()).collect())
}

/// Writes 32-bit float.
pub fn write_wav(path: &Path, rate_hz: u32, channels: &Stereo) {
    let spec = hound::WavSpec {
        channels: 2,
        sample_rate: rate_hz,
        bits_per_sample: 32,
        sample_format: hound::SampleFormat::Float,
    };
    let mut writer = hound::WavWriter::create(path, spec).unwrap();
    for (left, right) in channels[0].iter().zip(&channels[1]) {
        writer.write_sample(*left).unwrap();
        writer.write_sample(*right).unwrap();
    }
    writer.finalize().unwrap();
}

/// Reads 32-bit float of two channels.
pub fn read_wav(path: &Path) -> Stereo {
    let mut reader = hound::WavReader::open(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    let mut channels: Stereo = Default::default();
    for (index, sample) in reader.samples::<f32>().enumerate() {
        channels[index % 2].push(sample.unwrap());
    }
    channels
}
