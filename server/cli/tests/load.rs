//! `serve` and `load` together, over real sockets, with the real model. The machine may be busy, so hops may be missed
//! here; that stems are right never depends on it.
#![allow(clippy::unwrap_used)]

mod common;

use std::{path::Path, process::Output};

use common::{Server, assert_refused, rehearsekit, song, stderr};
use serde_json::Value;

fn load(server: &str, songs: &Path, more: &[&str]) -> Output {
    let mut command = rehearsekit();
    command.args(["load", "--server", server, "--json", "--songs"]).arg(songs).args(more);
    command.output().unwrap()
}

/// The result of a run in which some client had a session: whole, and its exit code says whether something was missed.
fn result(output: &Output) -> Value {
    let result: Value =
        serde_json::from_slice(&output.stdout).unwrap_or_else(|e| panic!("{e}: {}", stderr(output)));
    let (total, clients) = (&result["total"], result["clients"].as_array().unwrap());
    assert_eq!(total["admitted"], clients.len());
    assert_eq!(total["refused"], result["refused"].as_array().unwrap().len());
    let missed = |of: &Value| of["misses"].as_u64().unwrap() + of["underruns"].as_u64().unwrap() > 0;
    let clean = !missed(total) && clients.iter().all(|client| client["trouble"].is_null());
    assert_eq!(output.status.code(), Some(if clean { 0 } else { 1 }), "{}", stderr(output));
    let sum = |key: &str| clients.iter().map(|client| client[key].as_u64().unwrap()).sum::<u64>();
    for key in ["hops", "hops_due", "misses", "underruns", "late", "lost", "bridged_frames"] {
        assert_eq!(total[key], sum(key), "{key}");
    }
    for times in ["turnaround_millis", "inference_millis", "server_overhead_millis"] {
        let of = |part: &str| total[times][part].as_f64().unwrap();
        assert!(of("p50") <= of("p99") && of("p99") <= of("max"), "{total}");
        let most = clients.iter().map(|client| client[times]["max"].as_f64().unwrap());
        assert_eq!(most.fold(0.0, f64::max), of("max"), "{times}");
    }
    result
}

fn assert_stems_right(client: &Value) {
    assert!(client["sum_error"].as_f64().unwrap() < 1e-6, "{client}");
    for fault in ["wrong_frames", "not_finite", "silent_seconds", "foreign_seconds"] {
        assert_eq!(client[fault], 0, "{fault}: {client}");
    }
}

#[test]
fn two_clients_play_and_their_stems_are_right() {
    let server = Server::start();
    let folder = tempfile::tempdir().unwrap();
    song(folder.path(), "a.wav", 44_100, 2, 44_100 * 3);
    song(folder.path(), "b.wav", 48_000, 1, 48_000 * 3);
    std::fs::write(folder.path().join("words.txt"), "la la").unwrap();
    let more = ["--clients", "2", "--seconds", "5", "--budget", "2500ms", "--mix", "spleeter-2stems:1"];
    let result = result(&load(&server.address, folder.path(), &more));
    let clients = result["clients"].as_array().unwrap();
    assert_eq!((clients.len(), &result["total"]["stems_right"]), (2, &true.into()));
    for (number, (client, (song, hz))) in
        clients.iter().zip([("a.wav", 44_100), ("b.wav", 48_000)]).enumerate()
    {
        assert_stems_right(client);
        assert_eq!((&client["client"], &client["song"]), (&number.into(), &song.into()));
        assert_eq!((&client["model"], &client["budget_millis"]), (&"spleeter-2stems".into(), &2500.0.into()));
        assert_eq!((&client["rate_hz"], &client["frames"]), (&hz.into(), &(5 * hz).into()));
        assert!(client["plan"].as_str().unwrap().len() > 10 && client["hops"].as_u64() > Some(0), "{client}");
        assert!(client["elapsed_seconds"].as_f64() >= Some(5.0), "faster than real time: {client}");
        // Every second was judged, or had a hole.
        let seconds = |key: &str| client[key].as_u64().unwrap();
        assert_eq!(seconds("judged_seconds") + seconds("bridged_seconds"), 5, "{client}");
    }
}

#[test]
fn over_a_bad_link_stems_stay_right() {
    let server = Server::start();
    let folder = tempfile::tempdir().unwrap();
    let song = song(folder.path(), "song.wav", 44_100, 2, 44_100 * 3);
    let more = ["--clients", "1", "--seconds", "4", "--budget", "500ms", "--impair"];
    let result =
        result(&load(&server.address, &song, &[&more[..], &["loss=5%,delay=3ms,jitter=2ms"]].concat()));
    assert_stems_right(&result["clients"][0]);
    assert!(result["traffic"]["lost"].as_u64() > Some(0), "{result}");
    // There and back, and the jitter is shorter than the way.
    assert!(result["clients"][0]["round_trip_millis"]["p50"].as_f64() > Some(2.0), "{result}");
}

#[test]
fn who_is_refused_is_told_and_does_not_stop_the_others() {
    let server = Server::start_at("127.0.0.1:0", &["--set", "max_sessions=1"]);
    let folder = tempfile::tempdir().unwrap();
    let song = song(folder.path(), "song.wav", 44_100, 2, 44_100 * 3);
    let more = ["--clients", "2", "--seconds", "3", "--budget", "500ms"];
    let result = result(&load(&server.address, &song, &more));
    assert_eq!((&result["total"]["offered"], &result["total"]["admitted"]), (&2.into(), &1.into()));
    assert_stems_right(&result["clients"][0]);
    let refused = &result["refused"][0];
    assert_eq!(refused["code"], "full");
    assert!(refused["sentence"].as_str().unwrap().len() > 10 && refused["client"].is_u64(), "{refused}");

    // Where nobody is admitted, that is the end of it, with the server's words and what would do.
    let more = ["--clients", "2", "--seconds", "3", "--budget", "20ms"];
    let output = load(&server.address, &song, &more);
    assert_eq!(output.status.code(), Some(4), "{}", stderr(&output));
    assert!(stderr(&output).contains("says no"), "{}", stderr(&output));
    let result: Value = serde_json::from_slice(&output.stdout).unwrap();
    let refused = result["refused"].as_array().unwrap();
    assert_eq!((refused.len(), result["clients"].as_array().unwrap().len()), (2, 0));
    for refused in refused {
        assert_eq!(refused["code"], "budget_too_small");
        assert!(refused["smallest_budget_millis"].as_u64() > Some(20), "{refused}");
        assert!(
            refused["offers"].as_array().unwrap().iter().any(|offer| offer["holds"] == true),
            "{refused}"
        );
    }
}

#[test]
fn what_makes_no_sense_is_refused_with_what_would() {
    let folder = tempfile::tempdir().unwrap();
    let song = song(folder.path(), "song.wav", 44_100, 1, 10_000);
    let refused = |songs: &Path, code: i32, more: &[&str], words: &[&str]| {
        // Nothing listens there.
        let output = load("127.0.0.1:9", songs, &[&["--connect-timeout", "1"], more].concat());
        match code {
            2 => {
                let said = stderr(&output);
                assert_eq!(output.status.code(), Some(2), "{said}");
                words.iter().for_each(|word| assert!(said.contains(word), "'{word}' is missing in: {said}"));
                assert!(output.stdout.is_empty());
            }
            _ => assert_refused(&output, code, words),
        }
    };
    let one = ["--clients", "1"];
    refused(&song, 2, &["--clients", "0"], &["1..=1000"]);
    refused(&song, 2, &[], &["--clients"]);
    refused(
        &song,
        2,
        &[&one[..], &["--mix", "spleeter-2stems:x"]].concat(),
        &["spleeter-2stems:4,htdemucs:1"],
    );
    refused(&song, 2, &[&one[..], &["--impair", "rain=1%"]].concat(), &["loss=1%,delay=3ms,jitter=2ms"]);
    refused(&song, 2, &[&one[..], &["--impair", "delay=3"]].concat(), &["delay=3ms"]);
    refused(&song, 2, &[&one[..], &["--minutes", "1", "--seconds", "1"]].concat(), &["cannot be used with"]);
    refused(&folder.path().join("nowhere"), 3, &one, &["cannot read", "nowhere"]);
    let empty = tempfile::tempdir().unwrap();
    refused(empty.path(), 3, &one, &["holds no songs", "FLAC"]);
    let output = load("127.0.0.1:9", &song, &["--clients", "2", "--connect-timeout", "1"]);
    assert_eq!(output.status.code(), Some(4), "{}", stderr(&output));
    assert!(stderr(&output).contains("is `rehearsekit serve` running there"), "{}", stderr(&output));
    let result: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(result["refused"][1]["code"], "unreachable");
}
