//! Songs in and stems out, through real files.
#![allow(clippy::unwrap_used)]

use std::{
    fs,
    ops::ControlFlow,
    path::{Path, PathBuf},
};

use rehearsekit_audio::{Audio, SampleRate, StemSet};
use rehearsekit_media::{DecodeError, Inputs, StemFiles, StemFormat, StemWriter, Tags, WriteError, decode};

fn read(path: &Path) -> Result<Audio, DecodeError> {
    decode(path, &mut |_, _| ControlFlow::Continue(()))
}

/// Pseudo-random samples below `peak`, the same every time.
fn noise(frames: usize, seed: u32, peak: f32) -> Vec<f32> {
    let mut state = seed.wrapping_mul(2_654_435_761).max(1);
    (0..frames)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 17;
            state ^= state << 5;
            (state as f32 / u32::MAX as f32 * 2.0 - 1.0) * peak
        })
        .collect()
}

fn on_grid(samples: Vec<f32>, bits: u32) -> Vec<f32> {
    let steps = (1i64 << (bits - 1)) as f32;
    samples.into_iter().map(|s| (s * steps).round() / steps).collect()
}

static NO_TAGS: Tags = Tags {
    artist: None,
    title: None,
    album: None,
    album_artist: None,
    track: None,
    date: None,
    genre: None,
    cover: None,
};

fn names() -> [String; 2] {
    ["vocals", "accompaniment"].map(str::to_owned)
}

fn files<'a>(folder: &'a Path, names: &'a [String], format: StemFormat, inputs: &'a Inputs) -> StemFiles<'a> {
    StemFiles { folder, names, format, inputs, overwrite: false, tags: &NO_TAGS }
}

/// Writes `mix` and two made-up stems of it; returns the paths of the files in the set's order.
fn write_stems(
    folder: &Path,
    format: StemFormat,
    hz: u32,
    mix: &[Vec<f32>],
    vocals_peak: f32,
) -> Vec<rehearsekit_media::WrittenStem> {
    let set = StemSet::new(&["vocals", "accompaniment"]).unwrap();
    let frames = mix[0].len();
    let rate = SampleRate::new(hz).unwrap();
    let (names, inputs) = (names(), Inputs::default());
    let files = files(folder, &names, format, &inputs);
    let mut writer = StemWriter::create(files, &set, rate, mix.len(), Some(frames as u64)).unwrap();
    let vocals: Vec<Vec<f32>> = (0..mix.len()).map(|c| noise(frames, 77 + c as u32, vocals_peak)).collect();
    let rest: Vec<Vec<f32>> =
        mix.iter().zip(&vocals).map(|(m, v)| m.iter().zip(v).map(|(m, v)| m - v).collect()).collect();
    let mut at = 0;
    // Blocks of a size that divides nothing.
    while at < frames {
        let end = (at + 1_777).min(frames);
        let cut = |stem: &[Vec<f32>]| stem.iter().map(|c| c[at..end].to_vec()).collect::<Vec<_>>();
        let mix_block: Vec<&[f32]> = mix.iter().map(|c| &c[at..end]).collect();
        writer.write(&mix_block, &[cut(&vocals), cut(&rest)]).unwrap();
        at = end;
    }
    writer.finish().unwrap()
}

fn entries(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> =
        fs::read_dir(folder).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn flac_stems_add_up_to_the_24_bit_mix_exactly_at_any_rate_and_length() {
    for (hz, channels, frames) in [
        (44_100, 2, 50_000),
        (8_000, 1, 4_096),
        (96_000, 2, 12_289),
        (192_000, 2, 9_000),
        (176_400, 1, 5_001),
        (48_000, 2, 1),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let mix: Vec<Vec<f32>> =
            (0..channels).map(|c| on_grid(noise(frames, 5 + c as u32, 0.9), 24)).collect();
        let written = write_stems(folder.path(), StemFormat::Flac, hz, &mix, 0.09);
        assert_eq!(entries(folder.path()), ["accompaniment.flac", "vocals.flac"]);
        let stems: Vec<Audio> = written.iter().map(|w| read(&w.path).unwrap()).collect();
        for stem in &stems {
            assert_eq!((stem.rate().hz(), stem.channels().len(), stem.frames()), (hz, channels, frames));
        }
        let steps = f64::from(1 << 23);
        for (c, mix) in mix.iter().enumerate() {
            for (f, &mix) in mix.iter().enumerate() {
                let sum: i64 = stems.iter().map(|s| (f64::from(s.channels()[c][f]) * steps) as i64).sum();
                assert_eq!(sum, (f64::from(mix) * steps) as i64, "{hz} Hz, channel {c}, frame {f}");
            }
        }
        assert!(written.iter().all(|w| w.clipped_samples == 0));
    }
}

#[test]
fn full_scale_noise_survives_flac_bit_by_bit() {
    let folder = tempfile::tempdir().unwrap();
    let mut left = on_grid(noise(20_000, 1, 0.999_999), 24);
    (left[0], left[1], left[2]) = (-1.0, 8_388_607.0 / 8_388_608.0, -1.0);
    let right = left.iter().map(|s| if *s == -1.0 { 0.5 } else { -s }).collect::<Vec<_>>();
    let mix = [left, right];
    let written = write_stems(folder.path(), StemFormat::Flac, 44_100, &mix, 0.0);
    let rest = read(&written[1].path).unwrap();
    assert_eq!(rest.channels(), mix);
    assert_eq!(written[0].level_dbfs, f64::NEG_INFINITY);
}

#[test]
fn flac_of_loud_noise_is_no_larger_than_plain_samples() {
    // One frame in a hundred of such noise used to take 33 MB for its 4,096 samples.
    for seed in 1..40 {
        let folder = tempfile::tempdir().unwrap();
        let mix = [on_grid(noise(40_000, seed, 0.5), 16)];
        let written = write_stems(folder.path(), StemFormat::Flac, 44_100, &mix, 0.0);
        let bytes = fs::metadata(&written[1].path).unwrap().len();
        assert!(bytes < 40_000 * 3 + 2_000, "noise {seed}: {bytes} bytes");
    }
}

#[test]
fn hostile_signals_survive_flac_bit_by_bit() {
    let top = 8_388_607.0 / 8_388_608.0;
    type Signal = fn(usize) -> f64;
    let signals: [(&str, Signal); 5] = [
        ("square", |f| if f / 3 % 2 == 0 { 1.0 } else { -1.0 }),
        ("alternating", |f| if f % 2 == 0 { 1.0 } else { -1.0 }),
        ("slow sine", |f| (f as f64 * 0.01).sin()),
        ("fast sine", |f| (f as f64 * 3.1).sin()),
        ("impulses", |f| if f % 1_000 < 2 { -1.0 } else { 1e-6 * (f % 7) as f64 }),
    ];
    for (name, signal) in signals {
        let folder = tempfile::tempdir().unwrap();
        let left: Vec<f32> = on_grid((0..20_000).map(|f| (signal(f).min(top)) as f32).collect(), 24)
            .into_iter()
            .map(|s| s.min(top as f32))
            .collect();
        let right: Vec<f32> = left.iter().map(|s| (-s).min(top as f32)).collect();
        let mix = [left, right];
        let written = write_stems(folder.path(), StemFormat::Flac, 44_100, &mix, 0.0);
        let rest = read(&written[1].path).unwrap_or_else(|e| panic!("{name}: {e}"));
        assert!(rest.channels() == mix, "{name} differs");
    }
}

#[test]
fn what_flac_cannot_hold_is_counted_and_wav_keeps_it() {
    let mix = [vec![0.9f32; 5_000], vec![-0.9f32; 5_000]];
    let folder = tempfile::tempdir().unwrap();
    let flac = write_stems(folder.path(), StemFormat::Flac, 44_100, &mix, 0.8);
    assert!(flac[1].clipped_samples > 0);
    let wav = write_stems(folder.path(), StemFormat::Wav, 44_100, &mix, 0.8);
    assert!(wav.iter().all(|w| w.clipped_samples == 0));
    let (vocals, rest) = (read(&wav[0].path).unwrap(), read(&wav[1].path).unwrap());
    assert!(rest.channels()[0].iter().any(|s| s.abs() > 1.0), "nothing went beyond full scale");
    for (c, mix) in mix.iter().enumerate() {
        for (f, mix) in mix.iter().enumerate() {
            assert!((vocals.channels()[c][f] + rest.channels()[c][f] - mix).abs() < 2e-7);
        }
    }
    assert!((wav[1].peak_dbfs - 20.0 * f64::from(1.7f32).log10()).abs() < 0.1);
}

#[test]
fn an_abandoned_writer_leaves_nothing_behind() {
    let root = tempfile::tempdir().unwrap();
    let folder = root.path().join("new/deeper");
    let set = StemSet::new(&["vocals", "accompaniment"]).unwrap();
    let (names, inputs) = (names(), Inputs::default());
    let files = files(&folder, &names, StemFormat::Wav, &inputs);
    let mut writer = StemWriter::create(files, &set, SampleRate::HZ_44100, 1, None).unwrap();
    let block = vec![0.1f32; 1_000];
    writer.write(&[&block], &[vec![block.clone()], vec![block.clone()]]).unwrap();
    assert!(folder.exists());
    drop(writer);
    assert_eq!(entries(root.path()), [""; 0]);
}

#[test]
fn a_block_of_the_wrong_shape_is_refused() {
    let root = tempfile::tempdir().unwrap();
    let set = StemSet::new(&["vocals", "accompaniment"]).unwrap();
    let (names, inputs) = (names(), Inputs::default());
    let files = files(root.path(), &names, StemFormat::Wav, &inputs);
    let mut writer = StemWriter::create(files, &set, SampleRate::HZ_44100, 1, None).unwrap();
    let (long, short) = (vec![0.1f32; 10], vec![0.1f32; 9]);
    let error = writer.write(&[&long], &[vec![long.clone()], vec![short]]).unwrap_err();
    assert!(matches!(error, WriteError::Shape { .. }));
    let too_long = StemWriter::create(files, &set, SampleRate::HZ_44100, 2, Some(600_000_000));
    assert!(matches!(too_long, Err(WriteError::TooLong { frames: 600_000_000 })));
}

/// A song as a file: WAV by `hound`, in any sample format.
fn wav_file(folder: &Path, name: &str, spec: hound::WavSpec, frames: usize) -> PathBuf {
    let path = folder.join(name);
    let mut writer = hound::WavWriter::create(&path, spec).unwrap();
    let samples = noise(frames * spec.channels as usize, 3, 0.5);
    for sample in samples {
        match spec.sample_format {
            hound::SampleFormat::Float => writer.write_sample(sample).unwrap(),
            hound::SampleFormat::Int => {
                let steps = (1i64 << (spec.bits_per_sample - 1)) as f32;
                writer.write_sample((sample * steps) as i32).unwrap();
            }
        }
    }
    writer.finalize().unwrap();
    path
}

fn spec(channels: u16, hz: u32, bits: u16) -> hound::WavSpec {
    let sample_format = if bits == 32 { hound::SampleFormat::Float } else { hound::SampleFormat::Int };
    hound::WavSpec { channels, sample_rate: hz, bits_per_sample: bits, sample_format }
}

#[test]
fn wav_songs_of_every_depth_are_read_to_the_bit() {
    let folder = tempfile::tempdir().unwrap();
    let want = noise(3_000 * 2, 3, 0.5);
    for bits in [8, 16, 24, 32] {
        let audio = read(&wav_file(folder.path(), "song.wav", spec(2, 96_000, bits), 3_000)).unwrap();
        assert_eq!((audio.rate().hz(), audio.frames()), (96_000, 3_000));
        let step = if bits == 32 { 0.0 } else { 1.0 / (1i64 << (bits - 1)) as f32 };
        for (f, pair) in want.chunks(2).enumerate() {
            for (c, want) in pair.iter().enumerate() {
                assert!((audio.channels()[c][f] - want).abs() <= step, "{bits} bits, frame {f}");
            }
        }
    }
}

#[test]
fn a_song_cut_off_is_refused_whatever_its_format() {
    let folder = tempfile::tempdir().unwrap();
    let wav = wav_file(folder.path(), "song.wav", spec(2, 44_100, 24), 30_000);
    let mix = [noise(30_000, 9, 0.5)];
    let flac = write_stems(folder.path(), StemFormat::Flac, 44_100, &mix, 0.1)[1].path.clone();
    for path in [wav, flac] {
        let whole = fs::read(&path).unwrap();
        read(&path).unwrap();
        for part in [whole.len() * 9 / 10, whole.len() / 2, whole.len() - 5] {
            fs::write(&path, &whole[..part]).unwrap();
            let error = read(&path).unwrap_err();
            assert!(matches!(error, DecodeError::Truncated { .. }), "{part} of {}: {error}", whole.len());
            assert!(error.to_string().contains("cut off"));
        }
        // Within the header there is nothing to tell apart; only that it is refused.
        for part in [20, 50] {
            fs::write(&path, &whole[..part]).unwrap();
            read(&path).unwrap_err();
        }
    }
}

#[test]
fn a_damaged_flac_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let mix = [noise(60_000, 9, 0.5), noise(60_000, 10, 0.5)];
    let path = write_stems(folder.path(), StemFormat::Flac, 44_100, &mix, 0.1)[1].path.clone();
    let whole = fs::read(&path).unwrap();
    let mut damaged = whole.clone();
    let middle = whole.len() / 2;
    damaged[middle..middle + 3_000].fill(0x55);
    fs::write(&path, &damaged).unwrap();
    let error = read(&path).unwrap_err();
    assert!(matches!(error, DecodeError::Corrupt { .. }), "{error}");
    // A wrong checksum in the header alone: nothing else tells.
    let mut damaged = whole.clone();
    damaged[30] ^= 0x10;
    fs::write(&path, &damaged).unwrap();
    let error = read(&path).unwrap_err();
    assert!(error.to_string().contains("checksum"), "{error}");
}

#[test]
fn what_is_no_song_is_refused_with_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, bytes: &[u8]| {
        let path = folder.path().join(name);
        fs::write(&path, bytes).unwrap();
        path
    };
    let text = "Dear band, here are the lyrics of our new song.\n".repeat(500);
    let error = read(&file("song.mp3", text.as_bytes())).unwrap_err();
    assert!(matches!(error, DecodeError::NotAudio { .. }), "{error}");
    assert!(error.to_string().contains("is not audio"), "{error}");
    let error = read(&file("empty.wav", b"")).unwrap_err();
    assert!(matches!(error, DecodeError::EmptyFile(_)), "{error}");
    let error = read(&wav_file(folder.path(), "none.wav", spec(2, 44_100, 16), 0)).unwrap_err();
    assert!(matches!(error, DecodeError::NoFrames(_)), "{error}");
    let error = read(&wav_file(folder.path(), "six.wav", spec(6, 48_000, 16), 100)).unwrap_err();
    assert!(matches!(error, DecodeError::Channels { channels: 6, .. }), "{error}");
    let error = read(&wav_file(folder.path(), "slow.wav", spec(1, 4_000, 16), 100)).unwrap_err();
    assert!(matches!(error, DecodeError::Rate { rate_hz: 4_000, .. }), "{error}");
    let error = read(&folder.path().join("nowhere.wav")).unwrap_err();
    assert!(matches!(error, DecodeError::Io { .. }), "{error}");
    let error = read(folder.path()).unwrap_err();
    assert!(matches!(error, DecodeError::Io { .. }), "{error}");
}

#[test]
fn not_a_number_is_refused_with_its_time() {
    let folder = tempfile::tempdir().unwrap();
    for bad in [f32::NAN, f32::INFINITY] {
        let path = folder.path().join("nan.wav");
        let mut writer = hound::WavWriter::create(&path, spec(1, 10_000, 32)).unwrap();
        for frame in 0..30_000 {
            writer.write_sample(if frame == 25_000 { bad } else { 0.1f32 }).unwrap();
        }
        writer.finalize().unwrap();
        let error = read(&path).unwrap_err();
        assert!(matches!(error, DecodeError::NonFinite { frame: 25_000, .. }), "{error}");
        assert!(error.to_string().contains("2.500 s"), "{error}");
    }
}

#[test]
fn reading_can_be_cancelled_and_tells_how_far_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let path = wav_file(folder.path(), "song.wav", spec(1, 44_100, 16), 50_000);
    let mut last = 0;
    let error = decode(&path, &mut |done, total| {
        assert_eq!(total, Some(50_000));
        last = done;
        if done > 20_000 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    })
    .unwrap_err();
    assert!(matches!(error, DecodeError::Cancelled(_)) && last < 30_000);
}

/// Half a second of 440 Hz left and 660 Hz right at 44.1 kHz, encoded by other people's programs.
/// (`tests/songs/README.md` says how.)
#[test]
fn the_compressed_formats_people_have_are_read() {
    let songs = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/songs");
    let tone = |hz: f64, f: usize| (0.3 * (std::f64::consts::TAU * hz * f as f64 / 44_100.0).sin()) as f32;
    // Without a tag nobody knows about the encoder's delay.
    for (name, delay, least_sdr_db) in [
        ("tone.mp3", 0, 25.0),
        ("tone-without-tag.mp3", 1_105, 25.0),
        ("tone.ogg", 0, 25.0),
        ("tone-aac.m4a", 0, 20.0),
        ("tone-alac.m4a", 0, 80.0),
    ] {
        let audio = read(&songs.join(name)).unwrap_or_else(|e| panic!("{name}: {e}"));
        assert_eq!((audio.rate().hz(), audio.channels().len()), (44_100, 2), "{name}");
        let exact = ["tone.mp3", "tone.ogg", "tone-alac.m4a"].contains(&name);
        assert!(
            if exact { audio.frames() == 22_050 } else { audio.frames() >= 22_050 },
            "{name}: {}",
            audio.frames()
        );
        // The edges of half a second of tone ring in every lossy codec.
        let (from, to) = (4_000, 18_000);
        let reference = [440.0, 660.0].map(|hz| (from..to).map(|f| tone(hz, f)).collect::<Vec<f32>>());
        let got: Vec<&[f32]> = audio.channels().iter().map(|c| &c[from + delay..to + delay]).collect();
        let sdr_db = rehearsekit_audio::measure::sdr_db(&reference, &got).unwrap();
        assert!(sdr_db > least_sdr_db, "{name}: {sdr_db} dB");
    }
}

#[test]
fn compressed_songs_cut_off_or_damaged_are_refused() {
    let songs = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/songs");
    let folder = tempfile::tempdir().unwrap();
    for name in ["tone.mp3", "tone.ogg", "tone-aac.m4a", "tone-alac.m4a"] {
        let whole = fs::read(songs.join(name)).unwrap();
        let path = folder.path().join(name);
        fs::write(&path, &whole[..whole.len() / 2]).unwrap();
        let error = read(&path).unwrap_err();
        let refused = matches!(error, DecodeError::Truncated { .. } | DecodeError::Corrupt { .. });
        assert!(refused, "{name} cut in half: {error}");
        let mut damaged = whole.clone();
        let middle = whole.len() / 2;
        damaged[middle..middle + whole.len() / 5].fill(0x55);
        fs::write(&path, &damaged).unwrap();
        let error = match read(&path) {
            Ok(audio) => panic!("{name} with a hole was read: {} frames", audio.frames()),
            Err(error) => error,
        };
        let refused = matches!(error, DecodeError::Truncated { .. } | DecodeError::Corrupt { .. });
        assert!(refused, "{name} with a hole: {error}");
    }
}
