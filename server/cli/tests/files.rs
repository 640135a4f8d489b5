//! What commands write: never into the place of what they read, over other files only if asked, whole or not at all.
#![allow(clippy::unwrap_used)]

mod common;

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    thread,
    time::{Duration, Instant},
};

use common::{Server, assert_refused, copied_data, data, entries, json, rehearsekit, song, stderr};

fn separate(songs: &[&Path], out: &Path, more: &[&str]) -> Command {
    data();
    let mut command = rehearsekit();
    command.arg("separate").args(songs).args(["--model", "spleeter-2stems", "--out"]).arg(out).args(more);
    command
}

fn ran(mut command: Command) -> Output {
    command.output().unwrap()
}

#[test]
fn a_song_in_the_folder_of_its_stems_is_not_replaced_by_one() {
    let folder = tempfile::tempdir().unwrap();
    let song = song(folder.path(), "vocals.wav", 44_100, 2, 20_000);
    let before = fs::read(&song).unwrap();
    for more in [&[][..], &["--overwrite"]] {
        let output = ran(separate(&[&song], folder.path(), more));
        assert_refused(&output, 2, &["vocals.wav", "never replaced"]);
        assert!(fs::read(&song).unwrap() == before, "the song was replaced");
    }
    // Under another name there is room beside it.
    json(&ran(separate(&[&song], folder.path(), &["--name", "new {stem}", "--json"])));
    assert_eq!(entries(folder.path()), ["new accompaniment.wav", "new vocals.wav", "vocals.wav"]);
    assert!(fs::read(&song).unwrap() == before, "the song was replaced");
}

#[test]
fn another_song_of_the_call_is_not_replaced_either() {
    let folder = tempfile::tempdir().unwrap();
    let first = song(folder.path(), "first.wav", 44_100, 1, 20_000);
    let out = folder.path().join("out");
    fs::create_dir_all(out.join("first")).unwrap();
    let other = song(&out.join("first"), "accompaniment.wav", 44_100, 1, 10_000);
    let before = fs::read(&other).unwrap();
    let output = ran(separate(&[&first, &other], &out, &["--overwrite"]));
    assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
    assert!(stderr(&output).contains("never replaced"), "{}", stderr(&output));
    assert!(fs::read(&other).unwrap() == before, "the other song was replaced");
    // And the other was separated all the same.
    assert_eq!(entries(&out.join("accompaniment")), ["accompaniment.wav", "vocals.wav"]);
}

#[test]
fn a_stream_replaces_neither_its_song_nor_anything_that_was_not_to_be_replaced() {
    let server = Server::start();
    let folder = tempfile::tempdir().unwrap();
    let song = song(folder.path(), "vocals.wav", 44_100, 2, 20_000);
    let before = fs::read(&song).unwrap();
    let stream = |out: &Path, more: &[&str]| {
        let mut command = rehearsekit();
        command.arg("stream").arg(&song).args([
            "--pace",
            "fast",
            "--budget",
            "5s",
            "--server",
            &server.address,
            "--out",
        ]);
        ran({
            command.arg(out).args(more);
            command
        })
    };
    assert_refused(&stream(folder.path(), &["--overwrite"]), 2, &["never replaced"]);
    assert!(fs::read(&song).unwrap() == before, "the song was replaced");
    let out = folder.path().join("out");
    fs::create_dir(&out).unwrap();
    fs::write(out.join("accompaniment.wav"), "mine").unwrap();
    assert_refused(&stream(&out, &[]), 2, &["accompaniment.wav", "--overwrite"]);
    assert_eq!(fs::read_to_string(out.join("accompaniment.wav")).unwrap(), "mine");
    assert!(stream(&out, &["--overwrite"]).status.success());
    assert_eq!(entries(&out), ["accompaniment.wav", "vocals.wav"]);
}

/// `doctor --report`, `backup` and `models export`: none replaces a file without --overwrite, and never one that it reads.
#[test]
fn files_of_the_other_commands_stay_unless_they_may_be_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let copy = copied_data(folder.path());
    let at = |args: &[&str]| rehearsekit().arg("--data").arg(&copy).args(args).output().unwrap();
    // A server that was there once has a key.
    let once = ["serve", "--json", "--listen", "127.0.0.1:0", "--http", "127.0.0.1:0"];
    let mut server = rehearsekit();
    server.arg("--data").arg(&copy).args(once).args(["--model", "spleeter-2stems"]);
    drop(Server::start_with(server));
    let there = folder.path().join("there");
    let there = there.to_str().unwrap();
    let commands: [(&[&str], i32); 3] = [
        (&["doctor", "--quick", "--listen", "127.0.0.1:0", "--http", "127.0.0.1:0", "--report"], 0),
        (&["backup", "--without-models"], 0),
        (&["models", "export", "spleeter-2stems"], 0),
    ];
    for (command, done) in commands {
        fs::write(there, "mine").unwrap();
        let with = |more: &[&str]| at(&[command, &[there], more].concat());
        assert_refused(&with(&[]), 2, &["there already", "--overwrite"]);
        assert_eq!(fs::read_to_string(there).unwrap(), "mine");
        let replaced = with(&["--overwrite"]);
        assert_eq!(replaced.status.code(), Some(done), "{command:?}: {}", stderr(&replaced));
        assert!(fs::metadata(there).unwrap().len() > 4, "{command:?}");
    }
    for (command, read) in [
        (&["doctor", "--quick", "--report"][..], "identity/server.pem"),
        (&["backup", "--without-models"], "identity/server.pem"),
        (&["models", "export", "spleeter-2stems"], "models/spleeter-2stems/manifest.toml"),
    ] {
        let path = copy.join(read);
        let before = fs::read(&path).unwrap();
        let output = at(&[command, &[path.to_str().unwrap(), "--overwrite"]].concat());
        assert_refused(&output, 2, &[read, "never replaced"]);
        assert!(fs::read(&path).unwrap() == before, "{command:?} has replaced {read}");
    }
    assert_eq!(entries(folder.path()), ["data", "there"], "something hidden was left behind");
}

/// A song long enough that there is time to do something to it.
fn long_song(folder: &Path) -> PathBuf {
    song(folder, "song.wav", 44_100, 2, 44_100 * 300)
}

#[cfg(unix)]
fn signal(child: &Child, signal: rustix::process::Signal) {
    rustix::process::kill_process(rustix::process::Pid::from_child(child), signal).unwrap();
}

/// Begins to separate, and comes back when files grow in `out`.
fn begun(song: &Path, out: &Path) -> Child {
    let before = entries(out);
    let mut child = separate(&[song], out, &[]).stderr(Stdio::null()).spawn().unwrap();
    while entries(out) == before || entries(out).is_empty() {
        assert!(child.try_wait().unwrap().is_none(), "it ended before it began to write");
        thread::sleep(Duration::from_millis(20));
    }
    child
}

#[test]
fn what_a_killed_run_left_goes_with_the_next_and_what_another_run_makes_stays() {
    let folder = tempfile::tempdir().unwrap();
    let (long, out) = (long_song(folder.path()), folder.path().join("out"));
    let mut killed = begun(&long, &out);
    killed.kill().unwrap();
    killed.wait().unwrap();
    let left = entries(&out);
    assert_eq!(left.len(), 1, "{left:?}");
    let mut other = begun(&long, &out);
    let now = entries(&out);
    assert!(now.len() == 1 && now != left, "{left:?} became {now:?}");
    // A third one leaves the second's alone.
    let short = song(folder.path(), "short.wav", 44_100, 1, 10_000);
    json(&ran(separate(&[&short], &out, &["--json"])));
    assert_eq!(entries(&out).len(), 3);
    assert!(other.try_wait().unwrap().is_none(), "it ended");
    other.kill().unwrap();
    other.wait().unwrap();
}

/// A pipe into which nobody writes: there is nothing to be read, and nobody to end the waiting.
#[cfg(target_os = "linux")]
#[test]
fn a_run_that_waits_for_a_pipe_ends_when_it_is_told_to() {
    let folder = tempfile::tempdir().unwrap();
    let (pipe, out) = (fifo(folder.path()), folder.path().join("out"));
    for (told, holds_open) in [(rustix::process::Signal::TERM, false), (rustix::process::Signal::INT, true)] {
        // Either nobody has opened the pipe for writing, or somebody has and writes nothing.
        let _open = holds_open.then(|| fs::File::options().read(true).write(true).open(&pipe).unwrap());
        let mut child = separate(&[&pipe], &out, &[]).stderr(Stdio::null()).spawn().unwrap();
        thread::sleep(Duration::from_millis(500));
        signal(&child, told);
        assert_eq!(ended(&mut child), Some(1), "{told:?}");
        assert!(!out.exists());
    }
}

#[cfg(target_os = "linux")]
fn fifo(folder: &Path) -> PathBuf {
    let pipe = folder.join("pipe");
    rustix::fs::mknodat(rustix::fs::CWD, &pipe, rustix::fs::FileType::Fifo, 0o600.into(), 0).unwrap();
    pipe
}

/// The exit code of a process that ends; one that hangs is no pass.
fn ended(child: &mut Child) -> Option<i32> {
    let began = Instant::now();
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            return status.code();
        }
        if began.elapsed() > Duration::from_secs(120) {
            child.kill().unwrap();
            child.wait().unwrap();
            panic!("it went on as if nothing had been said");
        }
        thread::sleep(Duration::from_millis(20));
    }
}

/// What hangs where nobody looks at signals is ended from outside, and its files go.
#[cfg(target_os = "linux")]
#[test]
fn a_backup_into_a_pipe_that_is_stuck_ends_when_it_is_told_to() {
    let folder = tempfile::tempdir().unwrap();
    let copy = copied_data(folder.path());
    let mut server = rehearsekit();
    server.arg("--data").arg(&copy).args([
        "serve",
        "--json",
        "--listen",
        "127.0.0.1:0",
        "--http",
        "127.0.0.1:0",
    ]);
    drop(Server::start_with(server));
    let mut child = rehearsekit()
        .arg("--data")
        .arg(&copy)
        .args(["backup", "-"])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    thread::sleep(Duration::from_millis(1_000));
    assert!(child.try_wait().unwrap().is_none(), "it was not stuck");
    signal(&child, rustix::process::Signal::TERM);
    assert_eq!(ended(&mut child), Some(1));
}

/// The whole song comes by a named pipe, which can be opened and read only once.
#[cfg(target_os = "linux")]
#[test]
fn a_song_can_come_by_a_named_pipe() {
    let folder = tempfile::tempdir().unwrap();
    let song = song(folder.path(), "song.wav", 44_100, 2, 60_000);
    let pipe = fifo(folder.path());
    let feeder = thread::spawn({
        let (song, pipe) = (fs::read(song).unwrap(), pipe.clone());
        move || fs::write(pipe, song).unwrap()
    });
    let mut child = separate(&[&pipe], &folder.path().join("out"), &["--json"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    assert_eq!(ended(&mut child), Some(0));
    let told = json(&child.wait_with_output().unwrap());
    assert_eq!(told["frames"], 60_000);
    feeder.join().unwrap();
}

/// The most memory that separating so many seconds has taken, in bytes.
#[cfg(target_os = "linux")]
fn most_memory(seconds: usize) -> u64 {
    let folder = tempfile::tempdir().unwrap();
    let song = song(folder.path(), "song.wav", 44_100, 2, 44_100 * seconds);
    let mut child = separate(&[&song], &folder.path().join("out"), &[])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let status = format!("/proc/{}/status", child.id());
    let mut most = 0;
    while child.try_wait().unwrap().is_none() {
        // Gone or going: then what was seen last is the most.
        let now = fs::read_to_string(&status).ok().and_then(|text| {
            let line = text.lines().find(|line| line.starts_with("VmHWM"))?;
            line.split_whitespace().nth(1)?.parse::<u64>().ok()
        });
        most = most.max(now.unwrap_or(0) << 10);
        thread::sleep(Duration::from_millis(5));
    }
    assert!(child.wait().unwrap().success());
    most
}

#[cfg(target_os = "linux")]
#[test]
fn memory_does_not_grow_with_the_song() {
    let (short, long) = (most_memory(15), most_memory(195));
    println!("15 s: {} MB, 195 s: {} MB", short >> 20, long >> 20);
    // The longer song alone is 60 MB more, decoded.
    assert!(long < short + (30 << 20), "{} MB became {} MB", short >> 20, long >> 20);
}
