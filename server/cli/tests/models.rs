//! `models`, `config` and `doctor` as scripts use them.
#![allow(clippy::unwrap_used)]

mod common;

use std::{fs, path::Path, process::Output};

use common::{assert_refused, copied_data, data, entries, json, rehearsekit, run, stderr};

fn at(data: &Path, args: &[&str]) -> Output {
    rehearsekit().arg("--data").arg(data).args(args).output().unwrap()
}

#[test]
fn a_list_tells_what_there_is() {
    data();
    let listed = json(&run(["models", "list", "--json"]));
    let named = |name: &str| listed.as_array().unwrap().iter().find(|m| m["name"] == name).unwrap().clone();
    let spleeter = named("spleeter-2stems");
    assert_eq!(spleeter["stems"], serde_json::json!(["vocals", "accompaniment"]));
    assert_eq!((&spleeter["installed"], &spleeter["needs_acceptance"]), (&true.into(), &false.into()));
    assert_eq!(named("htdemucs")["needs_acceptance"], true);
}

#[test]
fn a_licence_is_not_agreed_to_by_default() {
    let folder = tempfile::tempdir().unwrap();
    let copy = copied_data(folder.path());
    // Nobody is asked where there is no terminal, and nothing is fetched.
    let output = at(&copy, &["models", "pull", "htdemucs"]);
    assert_refused(&output, 2, &["htdemucs", "--accept-licence htdemucs"]);
    assert!(!copy.join("models/htdemucs").exists());
    let output = at(&copy, &["models", "pull", "spleeter-2stems", "--accept-licence", "htdemucs"]);
    assert_refused(&output, 2, &["htdemucs", "not being pulled"]);
}

#[test]
fn what_is_installed_is_not_fetched_again() {
    data();
    let pulled = json(&run(["models", "pull", "spleeter-2stems", "--json"]));
    assert_eq!(pulled["models"][0]["name"], "spleeter-2stems");
}

#[test]
fn a_model_travels_in_one_file() {
    let folder = tempfile::tempdir().unwrap();
    let copy = copied_data(folder.path());
    let file = folder.path().join("model.tar");
    let file = file.to_str().unwrap();
    json(&at(&copy, &["models", "export", "spleeter-2stems", file, "--json"]));
    json(&at(&copy, &["models", "remove", "spleeter-2stems", "--json"]));
    assert_refused(&at(&copy, &["models", "verify", "spleeter-2stems"]), 3, &["models pull spleeter-2stems"]);
    json(&at(&copy, &["models", "import", file, "--json"]));
    let verified = json(&at(&copy, &["models", "verify", "--json"]));
    assert_eq!(verified, serde_json::json!([{ "name": "spleeter-2stems", "good": true }]));
    // Half a file is no model, and what was there stays.
    let whole = fs::read(file).unwrap();
    fs::write(file, &whole[..whole.len() / 2]).unwrap();
    assert_eq!(at(&copy, &["models", "import", file]).status.code(), Some(3));
    json(&at(&copy, &["models", "verify", "--json"]));
}

/// The same entries under other paths.
fn renamed(from: &Path, to: &Path, new_path: impl Fn(&str) -> String) {
    let mut tar = tar::Archive::new(fs::File::open(from).unwrap());
    let mut out = tar::Builder::new(fs::File::create(to).unwrap());
    for entry in tar.entries().unwrap() {
        let entry = entry.unwrap();
        let mut header = entry.header().clone();
        let path = new_path(entry.path().unwrap().to_str().unwrap());
        out.append_data(&mut header, path, entry).unwrap();
    }
    out.into_inner().unwrap();
}

#[test]
fn one_file_is_enough_for_a_machine_without_pip_npm_and_internet() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("model.tar");
    let packed = json(&run(["models", "export", "spleeter-2stems", file.to_str().unwrap(), "--json"]));
    assert!(packed["runtime"].as_str().unwrap().starts_with("onnxruntime-"), "{packed}");
    let bare = |data: &Path, args: &[&str]| {
        let mut command = rehearsekit();
        // Nothing of this machine's can help: no client, no library, no data folder.
        command.env_remove("ONNXRUNTIME_LIBRARY").env_remove("REHEARSEKIT_DATA").env("PATH", "");
        command.arg("--data").arg(data).args(args).output().unwrap()
    };
    let new = folder.path().join("new");
    json(&bare(&new, &["models", "import", file.to_str().unwrap(), "--json"]));
    let song = common::song(folder.path(), "song.wav", 44_100, 2, 44_100);
    let out = folder.path().join("out");
    let (song, stems) = (song.to_str().unwrap(), out.to_str().unwrap());
    let separate =
        ["separate", song, "--model", "spleeter-2stems", "--format", "wav", "--json", "--out", stems];
    assert_eq!(json(&bare(&new, &separate))["frames"], 44_100);
    let free = ["doctor", "--json", "--listen", "127.0.0.1:0", "--http", "127.0.0.1:0"];
    assert_eq!(json(&bare(&new, &free))["healthy"], true);

    // The library of another machine stays out, with a word about it; the model comes in.
    let strange = folder.path().join("strange.tar");
    renamed(&file, &strange, |path| path.replace("/onnxruntime-", "/onnxruntime-0."));
    let other = folder.path().join("other");
    let output = bare(&other, &["models", "import", strange.to_str().unwrap(), "--json"]);
    assert_eq!(json(&output)["name"], "spleeter-2stems");
    for words in ["brings onnxruntime-0.", "this machine needs onnxruntime-1", "has no ONNX Runtime yet"] {
        assert!(stderr(&output).contains(words), "{words}: {}", stderr(&output));
    }
    assert!(!other.join("runtime").exists());

    // A changed library is refused, and with it the whole file.
    let changed = folder.path().join("changed.tar");
    let mut bytes = fs::read(&file).unwrap();
    let at_library = bytes.len() - 10_000_000; // Only its short licence comes after it.
    bytes[at_library] ^= 1;
    fs::write(&changed, bytes).unwrap();
    let third = folder.path().join("third");
    let output = bare(&third, &["models", "import", changed.to_str().unwrap()]);
    assert_refused(&output, 3, &["libonnxruntime", "SHA-256"]);
    assert_eq!(entries(&third.join("models")), [".lock"]);
    assert_eq!(entries(&third.join("runtime")), [".lock"]);
}

#[test]
fn unknown_models_are_named() {
    let folder = tempfile::tempdir().unwrap();
    for args in [["models", "remove", "tape-op"], ["models", "verify", "tape-op"]] {
        assert_refused(&at(folder.path(), &args), 3, &["tape-op", "spleeter-2stems"]);
    }
}

#[test]
fn every_key_is_shown_with_its_origin() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("server.toml");
    fs::write(&file, "max_sessions = 3\nworkers = 1\n").unwrap();
    let output = rehearsekit()
        .env("REHEARSEKIT_MAX_SESSIONS", "4")
        .args([
            "config",
            "show",
            "--json",
            "--set",
            "drain_seconds=7",
            "--model",
            "a",
            "--model",
            "b",
            "--config",
        ])
        .arg(&file)
        .output()
        .unwrap();
    let rows = json(&output);
    let row = |key: &str| rows.as_array().unwrap().iter().find(|r| r["key"] == key).unwrap().clone();
    assert_eq!(row("workers")["value"], "1");
    assert!(row("workers")["origin"].as_str().unwrap().ends_with("server.toml:2"));
    assert_eq!(row("max_sessions")["value"], "4");
    assert!(row("max_sessions")["origin"].as_str().unwrap().contains("REHEARSEKIT_MAX_SESSIONS"));
    assert_eq!(row("drain_seconds")["value"], "7");
    assert_eq!(row("models")["origin"], "flag --model");
    assert_eq!(row("default_model")["value"], "\"a\"");
    assert_eq!(row("listen")["origin"], "default");
}

#[test]
fn a_healthy_machine_and_what_ails_the_others() {
    let folder = tempfile::tempdir().unwrap();
    let copy = copied_data(folder.path());
    let free = ["--listen", "127.0.0.1:0", "--http", "127.0.0.1:0"];
    let doctor = |data: &Path, more: &[&str]| at(data, &[&["doctor", "--json"], more].concat());
    let healthy = json(&doctor(&copy, &free));
    assert_eq!(healthy["healthy"], true);
    let checks = healthy["checks"].as_array().unwrap();
    // What this very machine lacks (a time server) is a warning.
    let expected =
        |c: &&serde_json::Value| c["verdict"] == "ok" || c["check"] == "clock" || c["id"] == "disk-low";
    assert!(checks.iter().all(|c| expected(&c)), "{healthy}");
    let model = checks.iter().find(|c| c["check"] == "model spleeter-2stems").unwrap();
    let budgets = model["facts"]["budgets"].as_array().unwrap();
    let players =
        |millis: u32| budgets.iter().find(|b| b["budget_millis"] == millis).unwrap()["players"].as_u64();
    assert!(
        model["facts"]["inference_millis"].as_f64().unwrap() > 0.0 && players(2_500) > Some(0),
        "{model}"
    );
    assert!(players(50) <= players(2_500), "{model}");

    let sick = |output: Output, check: &str, words: &[&str]| {
        assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
        let told: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(told["healthy"], false);
        let found = told["checks"].as_array().unwrap().iter().find(|c| c["check"] == check).unwrap().clone();
        assert_eq!(found["verdict"], "failed");
        for word in words {
            assert!(found["detail"].as_str().unwrap().contains(word), "{word}: {found}");
        }
    };
    let wanted = [&free[..], &["--model", "htdemucs"]].concat();
    sick(doctor(&copy, &wanted), "model htdemucs", &["models pull htdemucs"]);
    sick(doctor(&copy, &["--set", "workers=many"]), "configuration", &["workers", "whole number"]);
    let file = folder.path().join("taken");
    fs::write(&file, "").unwrap();
    sick(doctor(&file, &free), "data folder", &["not a folder"]);
    sick(doctor(&copy, &["--listen", "192.0.2.1:7433"]), "address listen", &["192.0.2.1:7433", "listen"]);
    for folder in fs::read_dir(copy.join("runtime")).unwrap().map(|e| e.unwrap().path()) {
        for name in entries(&folder).iter().filter(|name| name.starts_with("libonnxruntime")) {
            fs::write(folder.join(name), "no library").unwrap();
        }
    }
    sick(doctor(&copy, &free), "onnx runtime", &["onnxruntime", "SHA-256"]);
}
