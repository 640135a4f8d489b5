//! `serve` and `stream` together, over a real socket, with the real model.
#![allow(clippy::unwrap_used)]

mod common;

use std::{
    path::Path,
    process::{Command, Stdio},
    time::Duration,
};

use common::{Server, assert_refused, entries, json, read_wav, rehearsekit, song};
use rehearsekit_audio::measure;

fn stream(server: &Server, song: &Path, out: &Path, more: &[&str]) -> Command {
    let mut command = rehearsekit();
    command.args(["stream".as_ref(), song.as_os_str()]).args(["--server", &server.address, "--json"]);
    command.args(more).arg("--out").arg(out);
    command
}

/// Stems of a stream, `[stem][channel][frame]`, after checking that they are aligned with the song and sum to it.
fn checked_stems(out: &Path, song: &Path) -> Vec<Vec<Vec<f32>>> {
    assert_eq!(entries(out), ["accompaniment.wav", "vocals.wav"]);
    let (rate_hz, mix) = read_wav(song);
    let stems: Vec<_> = ["vocals", "accompaniment"].map(|s| read_wav(&out.join(format!("{s}.wav")))).into();
    for (stem_rate_hz, stem) in &stems {
        assert_eq!((*stem_rate_hz, stem.len(), stem[0].len()), (rate_hz, 2, mix[0].len()));
    }
    let stems: Vec<_> = stems.into_iter().map(|(_, stem)| stem).collect();
    for c in 0..2 {
        let mix = &mix[c.min(mix.len() - 1)];
        for (f, mix) in mix.iter().enumerate() {
            let sum = stems[0][c][f] + stems[1][c][f];
            assert!((sum - mix).abs() < 1e-6, "channel {c}, frame {f}: {sum} is not {mix}");
        }
    }
    stems
}

#[test]
fn a_bounce_is_whole_aligned_and_the_same_twice() {
    let server = Server::start();
    let folder = tempfile::tempdir().unwrap();
    let song = song(folder.path(), "song.wav", 44_100, 2, 44_100 * 4);
    let mut runs = Vec::new();
    for (name, block) in [("first", "512"), ("second", "333")] {
        let out = folder.path().join(name);
        let report =
            json(&stream(&server, &song, &out, &["--pace", "fast", "--block", block]).output().unwrap());
        assert_eq!(report["latency_frames"], 11_025);
        assert_eq!(report["model"], "spleeter-2stems");
        let offers = report["offers"].as_array().unwrap();
        let of_250 = offers.iter().find(|offer| offer["budget_millis"] == 250).unwrap();
        assert_eq!((offers.len(), &of_250["holds"]), (11, &true.into()), "{offers:?}");
        assert_eq!(
            (&report["underruns"], &report["late"], &report["lost"]),
            (&0.into(), &0.into(), &0.into())
        );
        assert!(report["hops"].as_u64().unwrap() > 4);
        assert_eq!((&report["misses"], &report["misses_per_10000_hops"]), (&0.into(), &0.0.into()));
        for times in ["turnaround_millis", "inference_millis", "server_overhead_millis"] {
            assert!(report[times]["p50"].is_number() && report[times]["p99"].is_number(), "{times}");
        }
        runs.push(checked_stems(&out, &song));
    }
    // A bounce is bit-identical from run to run; another block size may plan another hop, not another song.
    let sdr_db = measure::sdr_db(&runs[0][1], &runs[1][1]).unwrap();
    assert!(sdr_db > 15.0, "{sdr_db} dB");
    let out = folder.path().join("third");
    json(&stream(&server, &song, &out, &["--pace", "fast"]).output().unwrap());
    assert!(checked_stems(&out, &song) == runs[0], "two bounces differ");
}

#[test]
fn other_rates_keep_the_time_and_the_sum() {
    let server = Server::start();
    let folder = tempfile::tempdir().unwrap();
    for (hz, channels) in [(48_000, 1), (96_000, 2), (8_000, 2)] {
        let song = song(folder.path(), "song.wav", hz, channels, hz as usize * 2);
        let out = folder.path().join(hz.to_string());
        let report =
            json(&stream(&server, &song, &out, &["--pace", "fast", "--budget", "400ms"]).output().unwrap());
        assert_eq!(report["latency_frames"], hz * 2 / 5);
        assert_eq!(report["underruns"], 0);
        checked_stems(&out, &song);
    }
}

/// Real time on a machine that may be busy: misses are allowed here, but whatever was missed is bridged and
/// the sum holds.
#[test]
fn real_time_keeps_its_pace_and_its_sum() {
    let server = Server::start();
    let folder = tempfile::tempdir().unwrap();
    let song = song(folder.path(), "song.wav", 44_100, 2, 44_100);
    let out = folder.path().join("out");
    let more = ["--seconds", "3", "--loop", "--rate", "44100"];
    let report = json(&stream(&server, &song, &out, &more).output().unwrap());
    let elapsed = report["elapsed_seconds"].as_f64().unwrap();
    assert!(elapsed >= 3.0, "faster than real time: {elapsed} s");
    assert_eq!(report["frames"], 3 * 44_100);
    assert_eq!(report["dropped_mix_frames"], 0);
    let (_, mix) = read_wav(&song);
    let stems = ["vocals", "accompaniment"].map(|s| read_wav(&out.join(format!("{s}.wav"))).1);
    for f in 0..3 * 44_100 {
        let sum = stems[0][0][f] + stems[1][0][f];
        assert!((sum - mix[0][f % 44_100]).abs() < 1e-6, "frame {f}");
    }
}

/// The server dies without a word in the middle and comes back: the client keeps its pace, bridges, finds it
/// again, and nothing tears.
#[test]
fn a_server_that_is_killed_costs_no_time_and_no_click() {
    let mut server = Server::start();
    let folder = tempfile::tempdir().unwrap();
    let song = song(folder.path(), "song.wav", 44_100, 2, 44_100 * 12);
    let out = folder.path().join("out");
    let streaming = stream(&server, &song, &out, &[]).stdout(Stdio::piped()).spawn().unwrap();
    std::thread::sleep(Duration::from_secs(3));
    server.child.kill().unwrap();
    server.child.wait().unwrap();
    let _again = Server::start_at(&server.address, &[]);
    let report = json(&streaming.wait_with_output().unwrap());
    let figure = |key: &str| report[key].as_f64().unwrap();
    assert!(figure("elapsed_seconds") < 14.0, "it stood still for the server: {report}");
    assert_eq!(report["dropped_mix_frames"], 0);
    assert!(
        figure("bridged_frames") > 0.0 && figure("underruns") > 0.0 && figure("reconnects") >= 1.0,
        "{report}"
    );
    let stems = checked_stems(&out, &song);
    // A cross-fade lasts 64 frames: no step between neighbours may be larger than the music's own steepest
    // plus the fade's. Without a fade the whole mix would come or go within one frame.
    let (_, mix) = read_wav(&song);
    let steepest = |c: &[f32]| c.windows(2).map(|w| (w[1] - w[0]).abs()).fold(0.0f32, f32::max);
    let peak = mix[0].iter().fold(0.0f32, |m, s| m.max(s.abs()));
    for stem in &stems {
        assert!(steepest(&stem[0]) < 2.0 * steepest(&mix[0]) + 4.0 * peak / 64.0);
    }
    // Stems came before the end of the first server and again after the start of the second.
    let has_vocals = |range: std::ops::Range<usize>| stems[0][0][range].iter().any(|s| *s != 0.0);
    assert!(has_vocals(44_100..2 * 44_100) && has_vocals(11 * 44_100..12 * 44_100));
}

#[test]
fn what_the_server_refuses_is_said_with_what_would_do() {
    let server = Server::start();
    let folder = tempfile::tempdir().unwrap();
    let song = song(folder.path(), "song.wav", 44_100, 1, 10_000);
    let out = folder.path().join("out");
    let refused = |more: &[&str], words: &[&str]| {
        assert_refused(&stream(&server, &song, &out, more).output().unwrap(), 4, words);
        assert!(!out.exists());
    };
    refused(&["--budget", "5ms"], &["says no", "--budget"]);
    refused(&["--model", "no-such-model"], &["no-such-model"]);
    let zeros = "0".repeat(64);
    refused(&["--fingerprint", &zeros, "--connect-timeout", "2"], &["another server", "is expected"]);
}
