//! `separate` on songs of every shape, with the real model: same length, rate and channels, and a true sum.
#![allow(clippy::unwrap_used)]

mod common;

use std::{
    fs,
    ops::ControlFlow,
    path::{Path, PathBuf},
};

use common::{data, entries, json, rehearsekit, run, song, write_wav};
use rehearsekit_audio::Audio;
use serde_json::Value;

fn separate(song: &Path, out: &Path, format: &str) -> Value {
    data();
    let args = ["separate".as_ref(), song.as_os_str(), "--model".as_ref(), "spleeter-2stems".as_ref()];
    let output =
        rehearsekit().args(args).args(["--json", "--format", format, "--out"]).arg(out).output().unwrap();
    json(&output)
}

fn read(path: &Path) -> Audio {
    rehearsekit_media::decode(path, &mut |_, _| ControlFlow::Continue(())).unwrap()
}

/// Both stems, in the order the result names them.
fn stems(result: &Value) -> Vec<Audio> {
    let files = result["files"].as_array().unwrap();
    assert_eq!(
        files.iter().map(|f| f["stem"].as_str().unwrap()).collect::<Vec<_>>(),
        ["vocals", "accompaniment"]
    );
    files.iter().map(|f| read(Path::new(f["path"].as_str().unwrap()))).collect()
}

#[test]
fn every_rate_and_channel_count_comes_back_as_it_went_in() {
    let folder = tempfile::tempdir().unwrap();
    // 8 kHz and 192 kHz are the ends of what is handled; 1 frame is the shortest song there is.
    for (hz, channels, frames) in
        [(44_100, 1, 60_000), (8_000, 2, 12_345), (192_000, 2, 200_001), (48_000, 1, 1), (96_000, 2, 4_099)]
    {
        let song = song(folder.path(), "song.wav", hz, channels, frames);
        let out = folder.path().join(format!("out-{hz}"));
        let result = separate(&song, &out, "wav");
        assert_eq!(entries(&out), ["accompaniment.wav", "vocals.wav"]);
        assert_eq!(result["frames"], frames);
        assert_eq!(result["rate_hz"], hz);
        let (mix, stems) = (read(&song), stems(&result));
        for stem in &stems {
            let shape = (stem.rate().hz(), stem.channels().len(), stem.frames());
            assert_eq!(shape, (hz, channels, frames));
        }
        for c in 0..channels {
            for f in 0..frames {
                let sum = stems[0].channels()[c][f] + stems[1].channels()[c][f];
                assert!((sum - mix.channels()[c][f]).abs() < 2e-7, "{hz} Hz, channel {c}, frame {f}");
            }
        }
    }
}

#[test]
fn flac_stems_of_a_16_bit_song_add_up_to_it_exactly() {
    let folder = tempfile::tempdir().unwrap();
    let sixteen =
        |c| common::music(100_000, 44_100, c).iter().map(|s| (s * 32_768.0).round() / 32_768.0).collect();
    let song = write_wav(&folder.path().join("song.wav"), 44_100, &[sixteen(0), sixteen(1)]);
    let result = separate(&song, &folder.path().join("out"), "flac");
    let (mix, stems) = (read(&song), stems(&result));
    let steps = |s: f32| (f64::from(s) * 8_388_608.0) as i64;
    for c in 0..2 {
        for f in 0..mix.frames() {
            let sum: i64 = stems.iter().map(|s| steps(s.channels()[c][f])).sum();
            assert_eq!(sum, steps(mix.channels()[c][f]), "channel {c}, frame {f}");
        }
    }
    assert!(result["files"].as_array().unwrap().iter().all(|f| f["clipped_samples"] == 0));
    // Neither stem is empty, neither is the song.
    assert!(stems.iter().all(|s| s.channels() != mix.channels()));
}

#[test]
fn compressed_songs_are_separated_too() {
    let songs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/media/tests/songs");
    let folder = tempfile::tempdir().unwrap();
    for name in ["tone.mp3", "tone.ogg", "tone-aac.m4a", "tone-alac.m4a"] {
        let result = separate(&songs.join(name), &folder.path().join(name), "wav");
        assert!(result["frames"].as_u64().unwrap() >= 22_050, "{name}");
        assert_eq!(stems(&result)[0].rate().hz(), 44_100);
    }
}

#[test]
fn the_song_that_comes_with_the_model_is_separated_as_mp3() {
    let song = data().join("models/spleeter-2stems/audio_example.mp3");
    let folder = tempfile::tempdir().unwrap();
    let result = separate(&song, folder.path(), "wav");
    let seconds = result["seconds"].as_f64().unwrap();
    assert!((10.5..11.5).contains(&seconds), "{seconds}");
    // A song with a singer: both stems carry something, neither carries all of it.
    for file in result["files"].as_array().unwrap() {
        let level = file["level_dbfs"].as_f64().unwrap();
        assert!((-40.0..-5.0).contains(&level), "{file}");
    }
}

#[test]
fn a_second_run_replaces_the_first_if_it_may_and_the_result_is_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let song = song(folder.path(), "song.wav", 44_100, 2, 50_000);
    let out = folder.path().join("out");
    let first: Vec<PathBuf> = stems_paths(&separate(&song, &out, "wav"));
    let before: Vec<Vec<u8>> = first.iter().map(|p| fs::read(p).unwrap()).collect();
    let args = ["separate".as_ref(), song.as_os_str(), "--model".as_ref(), "spleeter-2stems".as_ref()];
    let more = ["--overwrite", "--json", "--out"];
    let again = stems_paths(&json(&rehearsekit().args(args).args(more).arg(&out).output().unwrap()));
    let after: Vec<Vec<u8>> = again.iter().map(|p| fs::read(p).unwrap()).collect();
    assert!(before == after, "two runs differ");
    assert_eq!(entries(&out), ["accompaniment.wav", "vocals.wav"]);
}

fn stems_paths(result: &Value) -> Vec<PathBuf> {
    result["files"].as_array().unwrap().iter().map(|f| PathBuf::from(f["path"].as_str().unwrap())).collect()
}

/// Ctrl-C in the middle leaves nothing.
#[cfg(unix)]
#[test]
fn an_interrupted_run_leaves_nothing_behind() {
    data();
    let folder = tempfile::tempdir().unwrap();
    let song = song(folder.path(), "song.wav", 44_100, 2, 44_100 * 600);
    let out = folder.path().join("out");
    let mut child = rehearsekit()
        .args(["separate".as_ref(), song.as_os_str(), "--model".as_ref(), "spleeter-2stems".as_ref()])
        .args(["--out".as_ref(), out.as_os_str()])
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    // The hidden folder appears when the writing begins.
    while entries(&out).is_empty() {
        assert!(child.try_wait().unwrap().is_none(), "it ended before it began to write");
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    rustix::process::kill_process(rustix::process::Pid::from_child(&child), rustix::process::Signal::INT)
        .unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(1));
    assert!(!out.exists(), "{:?} was left behind", entries(&out));
}

#[test]
fn eval_scores_a_made_up_song_offline_and_live() {
    data();
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("duo");
    fs::create_dir(&dir).unwrap();
    let drums: Vec<Vec<f32>> = (0..2).map(|c| common::music(132_300, 44_100, c)).collect();
    write_wav(&dir.join("drums.wav"), 44_100, &drums);
    write_wav(&dir.join("bass.wav"), 44_100, &[drums[1].clone(), drums[0].clone()]);
    let output = run([
        "eval".as_ref(),
        dir.as_os_str(),
        "--model".as_ref(),
        "spleeter-2stems".as_ref(),
        "--budget".as_ref(),
        "250ms".as_ref(),
        "--segment".as_ref(),
        "0:1".as_ref(),
        "--json".as_ref(),
    ]);
    let result = json(&output);
    let song = &result["songs"][0];
    assert_eq!(song["name"], "duo");
    assert_eq!(song["latency_frames"], 11_025);
    for part in [song, &song["segments"][0]] {
        for way in ["offline", "streamed", "mix"] {
            assert!(part[way]["accompaniment"]["sdr_db"].is_number() || way == "mix", "{part}");
            // No vocals in this song: what is there has leaked.
            assert!(part[way]["vocals"]["leakage_dbfs"].is_number(), "{part}");
        }
    }
    // The mix is all accompaniment, so as its own estimate it is perfect: infinitely many decibels.
    assert!(song["mix"]["accompaniment"]["sdr_db"].is_null());
}
