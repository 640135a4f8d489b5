//! The standalone's song: a WAV or FLAC file in memory, at the rate it is played at. Reading is the main thread's;
//! playing is the audio thread's and does nothing but copy.

use std::path::Path;
use std::sync::atomic::{AtomicI64, Ordering};

use rehearsekit_plugin_engine::Transport;
use rubato::audioadapter_buffers::direct::SequentialSliceOfVecs;
use rubato::{Fft, FixedSync, Resampler as _};

/// Where a song is that nobody has heard anything of.
const NOT_BEGUN: i64 = i64::MIN;

/// A longer file is no song: two hours in stereo at 48 kHz.
const MOST_FRAMES: usize = 2 * 3600 * 48_000;

/// A song and how far it was played.
#[derive(Debug)]
pub(crate) struct Song {
    /// Its rate.
    pub(crate) rate_hz: u32,
    channels: [Vec<f32>; 2],
    looped: bool,
    next: AtomicI64,
}

impl Song {
    /// Reads a mono or stereo file.
    ///
    /// # Errors
    /// A sentence about what is wrong with it.
    pub(crate) fn read(path: &Path) -> Result<Self, String> {
        let name = path.display();
        let flac = path.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("flac"));
        let (rate_hz, count, samples) =
            if flac { read_flac(path) } else { read_wav(path) }.map_err(|why| format!("{name}: {why}"))?;
        if !(1..=2).contains(&count) {
            return Err(format!("{name} has {count} channels; only mono and stereo can be played"));
        }
        if samples.len() / count > MOST_FRAMES {
            return Err(format!("{name} is longer than two hours"));
        }
        let channel = |channel: usize| samples.iter().skip(channel).step_by(count).copied().collect();
        Ok(Self {
            rate_hz,
            channels: [channel(0), channel(count - 1)],
            looped: false,
            next: AtomicI64::new(NOT_BEGUN),
        })
    }

    /// The same song at another rate.
    ///
    /// # Errors
    /// When the rates cannot be joined.
    pub(crate) fn at_rate(self, rate_hz: u32) -> Result<Self, String> {
        if rate_hz == self.rate_hz {
            return Ok(self);
        }
        let why = |error: &dyn std::fmt::Display| {
            format!("the file cannot be played at {rate_hz} Hz instead of {} Hz: {error}", self.rate_hz)
        };
        let (from, to) = (self.rate_hz as usize, rate_hz as usize);
        // An even number of the smallest blocks: the filter's delay is then a whole number of frames.
        let unit = from / gcd(from, to);
        let block = unit * 1024_usize.div_ceil(unit).next_multiple_of(2);
        let mut fft = Fft::<f32>::new(from, to, block, 2, FixedSync::Both).map_err(|error| why(&error))?;
        let frames = self.channels[0].len();
        let room = fft.process_all_needed_output_len(frames);
        let mut out = vec![vec![0.0; room]; 2];
        let input = self.channels.to_vec();
        let source = SequentialSliceOfVecs::new(&input, 2, frames).map_err(|error| why(&error))?;
        let mut sink = SequentialSliceOfVecs::new_mut(&mut out, 2, room).map_err(|error| why(&error))?;
        let done = fft.process_all_into_buffer(&source, &mut sink, frames, None);
        let (_, made) = done.map_err(|error| why(&error))?;
        let channels = [0, 1].map(|channel: usize| out[channel][..made].to_vec());
        Ok(Self { rate_hz, channels, ..self })
    }

    /// The same song, again and again or once.
    pub(crate) fn looped(self, looped: bool) -> Self {
        Self { looped, ..self }
    }

    /// Audio thread: the next frames, and where in the song they are. Before its first there is as much silence as
    /// `count_in` says, in frames.
    pub(crate) fn play(
        &self,
        left: &mut [f32],
        right: &mut [f32],
        count_in: impl FnOnce() -> i64,
    ) -> Transport {
        let length = self.channels[0].len() as i64;
        let frames = left.len();
        let start = match self.next.load(Ordering::Relaxed) {
            NOT_BEGUN => -count_in().max(0),
            next => next,
        };
        let mut at = start;
        for (channel, out) in self.channels.iter().zip([left, right]) {
            at = start;
            for sample in out {
                if self.looped && at >= length {
                    at = 0;
                }
                let index = usize::try_from(at).ok();
                *sample = index.and_then(|at| channel.get(at)).copied().unwrap_or(0.0);
                at += 1;
            }
        }
        self.next.store(at, Ordering::Relaxed);
        let playing = frames > 0 && (self.looped || start < length);
        let song_position_frames = Some(start);
        Transport { playing, song_position_frames, pre_roll: start < 0, ..Transport::default() }
    }
}

fn gcd(a: usize, b: usize) -> usize {
    if b == 0 { a } else { gcd(b, a % b) }
}

type Samples = (u32, usize, Vec<f32>);

fn read_wav(path: &Path) -> Result<Samples, String> {
    let mut reader = hound::WavReader::open(path).map_err(|error| error.to_string())?;
    let spec = reader.spec();
    let samples = match spec.sample_format {
        hound::SampleFormat::Float => reader.samples::<f32>().collect::<Result<Vec<_>, _>>(),
        hound::SampleFormat::Int => {
            let full = (1_u64 << (spec.bits_per_sample.clamp(1, 32) - 1)) as f32;
            reader.samples::<i32>().map(|sample| sample.map(|sample| sample as f32 / full)).collect()
        }
    };
    Ok((spec.sample_rate, spec.channels.into(), samples.map_err(|error| error.to_string())?))
}

fn read_flac(path: &Path) -> Result<Samples, String> {
    let mut reader = claxon::FlacReader::open(path).map_err(|error| error.to_string())?;
    let info = reader.streaminfo();
    let full = (1_u64 << (info.bits_per_sample.clamp(1, 32) - 1)) as f32;
    let samples: Result<Vec<f32>, _> =
        reader.samples().map(|sample| sample.map(|sample| sample as f32 / full)).collect();
    Ok((info.sample_rate, info.channels as usize, samples.map_err(|error| error.to_string())?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn song(frames: usize, rate_hz: u32) -> Song {
        let channel = |sign: f32| (0..frames).map(|at| sign * (at as f32 * 0.01).sin()).collect();
        Song {
            rate_hz,
            channels: [channel(1.0), channel(-1.0)],
            looped: false,
            next: AtomicI64::new(NOT_BEGUN),
        }
    }

    #[test]
    fn a_song_is_played_once_or_again_and_again() {
        let once = song(10, 48_000);
        let mut out = [[1.0_f32; 8]; 2];
        let [left, right] = &mut out;
        assert_eq!(
            once.play(left, right, || 0),
            Transport { playing: true, song_position_frames: Some(0), ..Transport::default() }
        );
        assert_eq!(
            once.play(left, right, || 0),
            Transport { playing: true, song_position_frames: Some(8), ..Transport::default() }
        );
        assert_eq!((left[1], left[2]), (once.channels[0][9], 0.0));
        assert!(!once.play(left, right, || 0).playing);

        let counted = song(10, 48_000);
        let before = counted.play(left, right, || 5);
        assert_eq!((before.song_position_frames, before.pre_roll), (Some(-5), true));
        assert_eq!((left[4], left[6]), (0.0, counted.channels[0][1]));
        let behind = counted.play(left, right, || 5);
        assert_eq!((behind.song_position_frames, behind.pre_roll), (Some(3), false), "it is counted in once");

        let again = song(10, 48_000).looped(true);
        again.play(left, right, || 0);
        again.play(left, right, || 0);
        assert_eq!((left[1], left[2], right[3]), (again.channels[0][9], 0.0, again.channels[1][1]));
        assert_eq!(again.play(left, right, || 0).song_position_frames, Some(6));
    }

    #[test]
    fn another_rate_changes_the_length_and_not_the_sound() {
        let there = song(44_100, 44_100).at_rate(48_000).unwrap();
        assert!(there.channels[0].len().abs_diff(48_000) <= 1);
        let expected = (22_050.0_f32 * 0.01).sin();
        assert!((there.channels[0][24_000] - expected).abs() < 1e-3);
    }

    #[test]
    fn files_are_read_and_bad_ones_refused_by_name() {
        let folder = std::env::temp_dir().join(format!("rehearsekit-song-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let path = folder.join("mono.wav");
        let spec = hound::WavSpec {
            channels: 1,
            sample_rate: 22_050,
            bits_per_sample: 16,
            sample_format: hound::SampleFormat::Int,
        };
        let mut writer = hound::WavWriter::create(&path, spec).unwrap();
        for sample in [0_i16, 16_384, -32_768] {
            writer.write_sample(sample).unwrap();
        }
        writer.finalize().unwrap();
        let read = Song::read(&path).unwrap();
        std::fs::write(folder.join("noise.flac"), b"fLaC?").unwrap();
        let refused = Song::read(&folder.join("noise.flac")).unwrap_err();
        std::fs::remove_dir_all(&folder).unwrap();
        assert_eq!((read.rate_hz, &read.channels[0][..]), (22_050, &[0.0, 0.5, -1.0][..]));
        assert_eq!(read.channels[0], read.channels[1]);
        assert!(refused.contains("noise.flac"), "{refused}");
        assert!(Song::read(&folder.join("gone.wav")).unwrap_err().contains("gone.wav"));
    }
}
