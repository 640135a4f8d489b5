//! The VST3 in DawDreamer and pedalboard, by scripts in `python/` that do the checking. Each host is a process of its
//! own: it may crash without anybody else.
#![allow(clippy::unwrap_used)]

use std::{path::PathBuf, process::Command};

use rehearsekit_host_tests::{
    bundle,
    server::Server,
    songs::{music, write_wav},
};

const RATE: u32 = 44_100;

/// The packages of both hosts, as `cargo xtask test` has fetched them.
fn packages() -> PathBuf {
    let folder = bundle::bundled().parent().unwrap().join("python-hosts");
    let sealed = folder.join("requirements.txt");
    assert!(sealed.exists(), "there is no {}: run `cargo xtask test`, which makes it", sealed.display());
    folder
}

fn run(script: &str) {
    let server = Server::start();
    let folder = tempfile::tempdir().unwrap();
    let song = folder.path().join("song.wav");
    write_wav(&song, RATE, &music(3 * RATE as usize, RATE));
    server.stream(&song, &folder.path().join("stems"), &["--block", "64", "--budget", "600ms"]);
    for stem in ["vocals.wav", "accompaniment.wav"] {
        std::fs::rename(folder.path().join("stems").join(stem), folder.path().join(stem)).unwrap();
    }
    let script = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("python").join(script);
    let status = Command::new("python3")
        .env("PYTHONPATH", packages())
        .arg(&script)
        .args(["--server", &server.address, "--bundle"])
        .arg(bundle::vst3())
        .arg("--folder")
        .arg(folder.path())
        // Nothing beside the scripts.
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .status()
        .unwrap();
    assert!(status.success(), "{}: {status}", script.display());
}

#[test]
fn dawdreamer() {
    run("dawdreamer_host.py");
}

#[test]
fn dawdreamer_click() {
    run("dawdreamer_click.py");
}

#[test]
fn pedalboard() {
    run("pedalboard_host.py");
}
