//! `backup` while a paired player plays, and `restore` into an empty folder: the same server to that player.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used)]

mod common;
#[path = "../../../tests/src/netns.rs"]
#[allow(unreachable_pub, reason = "it is public where it is at home")]
mod netns;

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::Path,
    process::{Command, Output, Stdio},
};

use common::{as_root, assert_refused, copied_data, json, linked_data, rehearsekit, song, stderr};
use netns::{Lan, Side};
use serde_json::Value;

const COMMAND: &str = env!("CARGO_BIN_EXE_rehearsekit");

fn at(data: &Path, words: &[&str]) -> Command {
    let mut command = rehearsekit();
    command.arg("--data").arg(data).args(words);
    command
}

fn run(data: &Path, words: &[&str]) -> Output {
    at(data, words).output().unwrap()
}

/// A folder in which a server has its key and a client.
fn with_identity(data: &Path) {
    json(&run(data, &["clients", "add", "drummer's laptop", "--json"]));
    // The key is made at the first start, which fails later, since nobody can listen there.
    let output =
        run(data, &["serve", "--listen", "127.0.0.1:0", "--http", "127.0.0.1:0", "--model", "no-such-model"]);
    assert_refused(&output, 3, &["no-such-model"]);
    assert!(data.join("identity/server.pem").exists());
}

#[test]
fn a_player_plays_on_while_it_is_made_and_is_welcome_at_the_restored_server() {
    let lan = Lan::new();
    let work = tempfile::tempdir().unwrap();
    let data = copied_data(work.path());
    let closet = |data: &Path, words: &[&str]| {
        let mut command = lan.command(Side::Closet, COMMAND, &[("REHEARSEKIT_DATA", data.as_os_str())]);
        command.args(words);
        command
    };
    let on_stage = [("XDG_CONFIG_HOME", work.path().as_os_str())];
    let stage = |words: &[&str]| {
        let mut command = lan.command(Side::Stage, COMMAND, &on_stage);
        command.args(words);
        command
    };
    let settings = ["--listen", "[::]:7433", "--http", "127.0.0.1:7481", "--set", "server_name=closet"];
    let mut server = lan.start(&closet(&data, &[&["serve", "--json"], &settings[..]].concat()));
    let ready: Value = serde_json::from_str(&server.line()).unwrap();
    let mut showing = lan.start(&closet(&data, &["pair", "--json"]));
    let code = serde_json::from_str::<Value>(&showing.line()).unwrap()["code"].as_str().unwrap().to_owned();
    json(
        &stage(&["pair", "--with", "closet", "--code", &code, "--name", "drummer's laptop", "--json"])
            .output()
            .unwrap(),
    );

    let song = song(work.path(), "song.wav", 44_100, 2, 44_100 * 12);
    let out = work.path().join("out");
    let (song, out) = (song.to_str().unwrap(), out.to_str().unwrap());
    // The budget is a patient one: what is tested is that nobody falls out, not how fast this machine is.
    let play = ["stream", song, "--server", "closet", "--budget", "2500ms", "--json", "--out", out];
    let playing = stage(&play).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let file = work.path().join("nas.tar");
    let made = closet(&data, &[&["backup", file.to_str().unwrap(), "--json"], &settings[..]].concat())
        .output()
        .unwrap();
    let told = json(&made);
    let played = playing.wait_with_output().unwrap();
    let report = json(&played);
    assert_eq!((&report["reconnects"], &report["frames"]), (&0.into(), &(44_100 * 12).into()), "{report}");
    assert!(report["hops"].as_u64().unwrap() > 1, "{report}");
    assert_eq!(
        (&told["fingerprint"], &told["clients"], &told["settings"]),
        (&ready["fingerprint"], &1.into(), &3.into())
    );
    assert_eq!(told["models"], serde_json::json!(["spleeter-2stems"]));
    assert_eq!(
        fs::metadata(&file).unwrap().permissions().mode() & 0o7777,
        0o600,
        "it holds the server's key"
    );

    // Somebody is at work there.
    let refused = closet(&data, &["restore", file.to_str().unwrap(), "--replace"]).output().unwrap();
    assert_refused(&refused, 2, &["a server is at work in", "stop it first"]);
    server.signal("TERM");
    assert!(server.ended().success());

    let new = work.path().join("volume");
    let restored = json(&closet(&new, &["restore", file.to_str().unwrap(), "--json"]).output().unwrap());
    assert_eq!(restored["fingerprint"], ready["fingerprint"]);
    assert_eq!((&restored["clients"], &restored["settings"]), (&1.into(), &true.into()));
    // Nothing is said but where the data is: settings, key, models and the library that runs them were all in it.
    let mut server = lan.start(&closet(&new, &["serve", "--json"]));
    let again: Value = serde_json::from_str(&server.line()).unwrap();
    assert_eq!(again, ready, "the same addresses, models and identity");
    let listed = |data: &Path| json(&closet(data, &["clients", "list", "--json"]).output().unwrap());
    assert_eq!(listed(&new), listed(&data));
    let play = [
        "stream",
        song,
        "--server",
        "closet",
        "--pace=fast",
        "--seconds=2",
        "--overwrite",
        "--json",
        "--out",
        out,
    ];
    assert!(json(&stage(&play).output().unwrap())["hops"].as_u64().unwrap() > 0, "welcome as before");
    server.signal("TERM");
    assert!(server.ended().success());
    let verified = json(&run(&new, &["models", "verify", "--json"]));
    assert_eq!(verified, serde_json::json!([{ "name": "spleeter-2stems", "good": true }]));
}

#[test]
fn through_a_pipe_without_models_and_what_is_there_is_kept() {
    let work = tempfile::tempdir().unwrap();
    let data = linked_data(work.path());
    assert_refused(
        &run(&data, &["backup", "-", "--without-models"]),
        2,
        &["nothing to back up", "models export"],
    );
    with_identity(&data);
    let mut backup = at(&data, &["backup", "-", "--without-models"]).stdout(Stdio::piped()).spawn().unwrap();
    let new = work.path().join("new");
    let pipe = backup.stdout.take().unwrap();
    let told = json(&at(&new, &["restore", "-", "--json"]).stdin(pipe).output().unwrap());
    assert!(backup.wait().unwrap().success());
    assert_eq!((&told["clients"], &told["models"]), (&1.into(), &serde_json::json!([])));
    let key = |data: &Path| fs::read(data.join("identity/server.pem")).unwrap();
    assert_eq!(key(&new), key(&data));

    let file = work.path().join("small.tar");
    let file = file.to_str().unwrap();
    json(&run(&data, &["backup", file, "--without-models", "--json"]));
    assert!(fs::metadata(file).unwrap().len() < 100_000);
    assert_refused(&run(&data, &["restore", file]), 2, &["is not empty", "--replace", "Nothing was changed"]);
    let other = work.path().join("other");
    fs::create_dir(&other).unwrap();
    with_identity(&other);
    let before = key(&other);
    let told = json(&run(&other, &["restore", file, "--replace", "--json"]));
    assert_eq!(key(&other), key(&data));
    let kept = Path::new(told["replaced"].as_str().unwrap());
    assert_eq!(key(kept), before);

    // Root may do it for somebody else's server, which must be able to use all of it.
    let theirs = work.path().join("theirs");
    fs::create_dir(&theirs).unwrap();
    assert!(as_root("chown").arg("4321:4321").arg(&theirs).status().unwrap().success());
    let mut restore = as_root(COMMAND);
    let output = restore.args(["restore", file, "--json", "--data"]).arg(&theirs).output().unwrap();
    json(&output);
    let strange = as_root("find").arg(&theirs).args(["!", "-user", "4321"]).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&strange.stdout), "");
    assert!(as_root("rm").arg("-r").arg(&theirs).status().unwrap().success());

    // Half of it, or something else, is told and leaves nothing.
    let whole = fs::read(file).unwrap();
    fs::write(file, &whole[..whole.len() / 2]).unwrap();
    let empty = work.path().join("empty");
    assert_refused(&run(&empty, &["restore", file]), 3, &["no whole backup", "Nothing was changed"]);
    assert_eq!(common::entries(&empty), [".in-use"]);
    assert_refused(&run(&empty, &["restore", "no-such.tar"]), 3, &["cannot read no-such.tar"]);
    let to_json = run(&data, &["backup", "-", "--json"]);
    assert_refused(&to_json, 2, &["--json"]);
}

#[test]
fn a_damaged_model_is_told_instead_of_backed_up() {
    let work = tempfile::tempdir().unwrap();
    let data = copied_data(work.path());
    with_identity(&data);
    let weights = data.join("models/spleeter-2stems/weights.safetensors");
    let mut bytes = fs::read(&weights).unwrap();
    bytes[1_000_000] ^= 1;
    fs::write(&weights, bytes).unwrap();
    let file = work.path().join("nas.tar");
    let output = run(&data, &["backup", file.to_str().unwrap()]);
    assert_refused(&output, 3, &["spleeter-2stems is damaged", "--without-models"]);
    assert!(!file.exists(), "{}", stderr(&output));
}
