//! Machines without a home, and data folders that can only be read.
#![allow(clippy::unwrap_used)]

mod common;

use std::{fs, path::Path, process::Output};

use common::{Server, assert_refused, copied_data, data, entries, json, rehearsekit, song, stderr};

/// As a patient player: what is tested is whether there is a way, not how fast this machine is.
fn stream(server: &str, song: &Path, out: &Path, set: &[(&str, &str)]) -> Output {
    let mut command = rehearsekit();
    command.env_remove("HOME").env_remove("XDG_CONFIG_HOME").envs(set.iter().copied());
    command
        .arg("stream")
        .arg(song)
        .args(["--pace", "fast", "--budget", "5s", "--json", "--server", server, "--out"])
        .arg(out);
    command.output().unwrap()
}

#[test]
fn a_server_on_this_computer_is_met_without_a_home() {
    let server = Server::start();
    let folder = tempfile::tempdir().unwrap();
    let song = song(folder.path(), "song.wav", 44_100, 1, 10_000);
    let file = folder.path().join("a file");
    fs::write(&file, "").unwrap();
    let in_the_way = file.join("home");
    for (number, (set, is_told)) in [
        (&[][..], true),
        (&[("HOME", "")], true),
        (&[("HOME", "relative")], true),
        (&[("XDG_CONFIG_HOME", "relative")], true),
        (&[("HOME", "/nonexistent")], false),
        (&[("HOME", in_the_way.to_str().unwrap())], true),
    ]
    .into_iter()
    .enumerate()
    {
        let output = stream(&server.address, &song, &folder.path().join(number.to_string()), set);
        json(&output);
        let said = stderr(&output).matches("paired with no server").count();
        assert_eq!(said, usize::from(is_told), "{set:?}: {}", stderr(&output));
    }
    assert!(!Path::new("relative").exists() && !Path::new("/nonexistent").exists());
    // Another computer is met after pairing only, and there is nowhere to keep that.
    let output = stream("192.0.2.1:7433", &song, &folder.path().join("other"), &[]);
    assert_refused(&output, 2, &["HOME"]);
    let pair = || {
        let mut command = rehearsekit();
        command.args(["pair", "--with", "192.0.2.1:7433", "--code", "1234-5678"]);
        command
    };
    assert_refused(&pair().env_remove("HOME").env_remove("XDG_CONFIG_HOME").output().unwrap(), 2, &["HOME"]);
    // Known before the code is used up: nothing can be kept here.
    let output = pair().env_remove("XDG_CONFIG_HOME").env("HOME", &in_the_way).output().unwrap();
    assert_refused(&output, 2, &["list of paired servers", "a file"]);
}

/// The folder as an image or a snapshot has it. Mounting needs root, which is what tests have.
#[cfg(target_os = "linux")]
#[test]
fn a_data_folder_that_can_only_be_read_is_read() {
    data();
    let folder = tempfile::tempdir().unwrap();
    let copy = copied_data(folder.path());
    let disk = folder.path().join("disk");
    fs::create_dir(&disk).unwrap();
    let mount = |args: &[&str]| {
        let done = common::as_root("mount").args(args).arg(&disk).status().unwrap();
        assert!(done.success(), "this test needs root, to mount a folder read-only");
    };
    mount(&["--bind", copy.to_str().unwrap()]);
    mount(&["-o", "remount,bind,ro"]);
    let song = song(folder.path(), "song.wav", 44_100, 1, 10_000);
    let out = folder.path().join("out");
    let at = |args: &[&str]| rehearsekit().arg("--data").arg(&disk).args(args).output().unwrap();
    let outputs = [
        at(&["models", "list", "--json"]),
        at(&["models", "verify", "--json"]),
        at(&["config", "show", "--json"]),
        at(&["models", "export", "spleeter-2stems", folder.path().join("m.tar").to_str().unwrap(), "--json"]),
        at(&[
            "separate",
            song.to_str().unwrap(),
            "--model",
            "spleeter-2stems",
            "--json",
            "--out",
            out.to_str().unwrap(),
        ]),
    ];
    let changes = [at(&["models", "remove", "spleeter-2stems"]), at(&["models", "pull", "htdemucs"])];
    let doctor = at(&["doctor", "--quick", "--json"]);
    assert!(common::as_root("umount").arg(&disk).status().unwrap().success());
    outputs.iter().for_each(|output| drop(json(output)));
    assert_eq!(json(&outputs[0])[0]["installed"], true);
    assert_eq!(entries(&out), ["accompaniment.wav", "vocals.wav"]);
    for output in changes {
        assert!(!output.status.success() && stderr(&output).contains("--"), "{}", stderr(&output));
        assert!(!stderr(&output).contains(".lock"), "{}", stderr(&output));
    }
    assert!(String::from_utf8_lossy(&doctor.stdout).contains("data-read-only"), "{doctor:?}");
}

#[test]
fn a_list_makes_nothing_in_a_folder_that_is_not_there() {
    let folder = tempfile::tempdir().unwrap();
    let nowhere = folder.path().join("nowhere");
    let listed =
        json(&rehearsekit().args(["models", "list", "--json", "--data"]).arg(&nowhere).output().unwrap());
    assert!(listed.as_array().unwrap().iter().all(|model| model["installed"] == false));
    assert!(!nowhere.exists());
}
