//! Bad input, each with a clear sentence and a non-zero exit, nothing left behind.
#![allow(clippy::unwrap_used)]

mod common;

use std::{fs, path::Path, process::Output};

use common::{assert_refused, copied_data, data, entries, rehearsekit, run, song, write_wav};

/// Separates `song` into `out`, which is not there before.
fn separate(song: &Path, out: &Path) -> Output {
    let (song, out) = (song.as_os_str(), out.as_os_str());
    let args =
        ["separate".as_ref(), song, "--model".as_ref(), "spleeter-2stems".as_ref(), "--out".as_ref(), out];
    run(args)
}

/// The song is refused as bad input with `words`, and no trace of the output folder remains.
fn assert_song_refused(song: &Path, words: &[&str]) {
    let folder = tempfile::tempdir().unwrap();
    let output = separate(song, &folder.path().join("new/stems"));
    assert_refused(&output, 3, words);
    assert!(entries(folder.path()).is_empty(), "{:?} was left behind", entries(folder.path()));
}

#[test]
fn songs_that_are_none() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    fs::write(at("lyrics.mp3"), "la la la, all day long\n".repeat(1_000)).unwrap();
    assert_song_refused(&at("lyrics.mp3"), &["lyrics.mp3", "is not audio", "MP3"]);
    fs::write(at("empty.wav"), []).unwrap();
    assert_song_refused(&at("empty.wav"), &["empty file"]);
    write_wav(&at("silent.wav"), 44_100, &[vec![]]);
    assert_song_refused(&at("silent.wav"), &["no audio (0 frames)"]);
    assert_song_refused(&at("nowhere.wav"), &["cannot read", "nowhere.wav"]);
    assert_song_refused(folder.path(), &["folder"]);
}

#[test]
fn songs_cut_off_or_damaged() {
    let folder = tempfile::tempdir().unwrap();
    let whole = fs::read(song(folder.path(), "song.wav", 44_100, 2, 50_000)).unwrap();
    let cut = folder.path().join("cut.wav");
    fs::write(&cut, &whole[..whole.len() / 2]).unwrap();
    assert_song_refused(&cut, &["cut off", "50000 frames"]);
    let damaged = folder.path().join("damaged.wav");
    let mut bytes = whole;
    bytes[8..40].fill(0xff);
    fs::write(&damaged, bytes).unwrap();
    assert_song_refused(&damaged, &["damaged.wav"]);
}

#[test]
fn songs_with_impossible_samples_channels_or_rates() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    for (name, bad) in [("nan.wav", f32::NAN), ("infinite.wav", f32::NEG_INFINITY)] {
        let mut samples = common::music(20_000, 10_000, 0);
        samples[12_345] = bad;
        write_wav(&at(name), 10_000, &[samples.clone(), samples]);
        assert_song_refused(&at(name), &["not a number", "1.234 s", "frame 12345"]);
    }
    song(folder.path(), "six.wav", 48_000, 6, 1_000);
    assert_song_refused(&at("six.wav"), &["6 channels", "mix it down"]);
    song(folder.path(), "slow.wav", 4_000, 1, 1_000);
    assert_song_refused(&at("slow.wav"), &["4000 Hz", "convert it"]);
    song(folder.path(), "fast.wav", 384_000, 1, 1_000);
    assert_song_refused(&at("fast.wav"), &["384000 Hz"]);
}

#[test]
fn models_that_are_not_there() {
    let folder = tempfile::tempdir().unwrap();
    let song = song(folder.path(), "song.wav", 44_100, 1, 1_000);
    let output = rehearsekit()
        .args([
            "--data".as_ref(),
            folder.path().join("data").as_os_str(),
            "separate".as_ref(),
            song.as_os_str(),
        ])
        .args(["--model", "spleeter-2stems", "--out"])
        .arg(folder.path().join("out"))
        .output()
        .unwrap();
    assert_refused(&output, 3, &["spleeter-2stems", "models pull"]);
    assert!(!folder.path().join("out").exists());
    let output = rehearsekit()
        .args(["separate".as_ref(), song.as_os_str()])
        .args(["--model", "../../etc", "--out"])
        .arg(folder.path().join("out"))
        .output()
        .unwrap();
    assert_refused(&output, 3, &["../../etc"]);
}

#[test]
fn a_model_that_was_cut_off_or_changed() {
    let folder = tempfile::tempdir().unwrap();
    let song = song(folder.path(), "song.wav", 44_100, 1, 1_000);
    let copy = copied_data(folder.path());
    let model = copy.join("models/spleeter-2stems");
    let weights = fs::read_dir(&model)
        .unwrap()
        .map(|e| e.unwrap().path())
        .filter(|p| p.is_file())
        .max_by_key(|p| p.metadata().unwrap().len())
        .unwrap();
    let whole = fs::read(&weights).unwrap();
    let mut changed = whole.clone();
    changed[whole.len() / 2] ^= 1;
    for bytes in [&whole[..whole.len() / 2], &changed[..]] {
        fs::write(&weights, bytes).unwrap();
        let output = rehearsekit()
            .args(["--data".as_ref(), copy.as_os_str(), "separate".as_ref(), song.as_os_str()])
            .args(["--model", "spleeter-2stems", "--out"])
            .arg(folder.path().join("out"))
            .output()
            .unwrap();
        assert_refused(&output, 3, &["spleeter-2stems"]);
        assert!(!folder.path().join("out").exists());
        let verify = rehearsekit().arg("--data").arg(&copy).args(["models", "verify"]).output().unwrap();
        assert_eq!(verify.status.code(), Some(3), "{}", common::stderr(&verify));
    }
}

#[test]
fn an_output_folder_that_cannot_be() {
    data();
    let folder = tempfile::tempdir().unwrap();
    let song = song(folder.path(), "song.wav", 44_100, 1, 1_000);
    let file = folder.path().join("taken");
    fs::write(&file, "in the way").unwrap();
    let output = separate(&song, &file.join("stems"));
    assert_refused(&output, 1, &["cannot write", "taken"]);
    assert_eq!(fs::read_to_string(&file).unwrap(), "in the way");
}

/// A real full disk: a small tmpfs. Mounting needs root, which is what tests have (`cargo xtask test`).
#[cfg(target_os = "linux")]
#[test]
fn a_full_disk() {
    data();
    let folder = tempfile::tempdir().unwrap();
    let disk = folder.path().join("disk");
    fs::create_dir(&disk).unwrap();
    let mounted = std::process::Command::new("mount")
        .args(["-t", "tmpfs", "-o", "size=256k", "tmpfs"])
        .arg(&disk)
        .status()
        .unwrap();
    assert!(mounted.success(), "this test needs root, to mount a small tmpfs");
    let song = song(folder.path(), "song.wav", 44_100, 2, 88_200);
    let output = separate(&song, &disk.join("stems"));
    let left = entries(&disk);
    let unmounted = std::process::Command::new("umount").arg(&disk).status().unwrap();
    assert!(unmounted.success());
    assert_refused(&output, 1, &["disk is full", "free some space"]);
    assert!(left.is_empty(), "{left:?} was left behind");
}

#[test]
fn a_server_that_cannot_be_reached() {
    let folder = tempfile::tempdir().unwrap();
    let song = song(folder.path(), "song.wav", 44_100, 1, 1_000);
    let out = folder.path().join("out");
    let stream = |server: &str| {
        rehearsekit()
            .args(["stream".as_ref(), song.as_os_str()])
            .args(["--connect-timeout", "1", "--server", server, "--out"])
            .arg(&out)
            .output()
            .unwrap()
    };
    // Nobody listens: the port was free a moment ago.
    let port = std::net::UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    assert_refused(&stream(&format!("127.0.0.1:{port}")), 4, &["cannot reach", "rehearsekit serve"]);
    // Somebody listens who never answers.
    let silent = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    assert_refused(&stream(&silent.local_addr().unwrap().to_string()), 4, &["cannot reach"]);
    // Not this machine, and not paired with it.
    assert_refused(&stream("192.0.2.1:7433"), 4, &["not paired", "rehearsekit pair"]);
    assert!(!out.exists());
}

/// What `models pull` brings is the ONNX Runtime for processors, so no machine has a card for it.
#[test]
fn a_card_that_cannot_be_used() {
    common::data();
    let card = ["--set", "device=cuda:0"];
    let output = run(["serve", "--listen", "127.0.0.1:0", "--http", "127.0.0.1:0"].into_iter().chain(card));
    let told =
        ["device = cuda:0 (flag --set device) cannot be used", "the one for processors", "onnxruntime-gpu"];
    assert_refused(&output, 2, &told);
    let doctor = run(["doctor", "--quick", "--json"].into_iter().chain(card));
    let found: serde_json::Value = serde_json::from_slice(&doctor.stdout).unwrap();
    let checks = found["checks"].as_array().unwrap();
    let device = checks.iter().find(|check| check["check"] == "device").unwrap();
    let sentence = device["detail"].as_str().unwrap();
    assert!(common::stderr(&output).contains(sentence), "{sentence}");
}

#[test]
fn wrong_usage() {
    let output = run(["separate", "song.wav"]);
    assert_eq!(output.status.code(), Some(2));
    let output = run(["stream", "song.wav", "--server", "127.0.0.1:1", "--out", "x", "--budget", "fast"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(common::stderr(&output).contains("250ms"), "{}", common::stderr(&output));
    let output = run(["stream", "song.wav", "--server", "127.0.0.1:1", "--out", "x", "--fingerprint", "12"]);
    assert_refused(&output, 2, &["fingerprint"]);
    let output = run(["config", "show", "--set", "wrokers=2"]);
    assert_refused(&output, 2, &["wrokers", "did you mean workers?"]);
}

#[test]
fn every_command_explains_itself_with_an_example() {
    let commands: [&[&str]; 22] = [
        &["separate"],
        &["stream"],
        &["eval"],
        &["serve"],
        &["pair"],
        &["clients"],
        &["clients", "list"],
        &["clients", "revoke"],
        &["clients", "add"],
        &["models"],
        &["models", "list"],
        &["models", "pull"],
        &["models", "verify"],
        &["models", "remove"],
        &["models", "export"],
        &["models", "import"],
        &["config"],
        &["config", "show"],
        &["doctor"],
        &["health"],
        &["backup"],
        &["restore"],
    ];
    for command in commands {
        let output = rehearsekit().args(command).arg("--help").output().unwrap();
        let help = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success() && help.contains("rehearsekit "), "{command:?}");
        assert!(help.contains("Example"), "{command:?}: {help}");
    }
}
