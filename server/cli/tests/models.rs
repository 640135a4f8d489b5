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
    assert!(checks.iter().all(|c| c["verdict"] == "ok"), "{healthy}");
    assert!(checks.iter().any(|c| c["check"] == "model spleeter-2stems"));

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
    sick(doctor(&copy, &free), "model spleeter-2stems", &["onnxruntime", "SHA-256"]);
}
