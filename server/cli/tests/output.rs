//! Where the program's lines go may fail or block: the real program with readers that are gone, stuck or full, and with
//! signals that were ignored when it began.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used)]

mod common;

use std::{
    fs::{File, OpenOptions},
    io::{self, BufRead as _, BufReader, Read as _, Write as _},
    path::Path,
    process::{Child, Command, ExitStatus, Stdio},
    thread,
    time::{Duration, Instant},
};

use common::{data, rehearsekit, run, song, stderr};
use rustix::process::{Pid, Signal, kill_process};

/// Only there so that a broken test ends.
const LIMIT: Duration = Duration::from_secs(120);

/// A server whose lines go to `log`, on free ports; its addresses are told by a file, since its output may be broken.
struct Served {
    child: Child,
    http: String,
    link: String,
}

impl Served {
    fn start(log: impl Into<Stdio>) -> Self {
        Self::start_by(ignoring(""), log)
    }

    fn start_by(mut command: Command, log: impl Into<Stdio>) -> Self {
        data();
        let (link, http) = (free_udp(), free_tcp());
        command.args(["serve", "--listen", &link, "--http", &http, "--model", "spleeter-2stems"]);
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).spawn().unwrap();
        let mut served = Self { child, http, link };
        served.until("ready", |served| served.is_ready());
        served
    }

    fn is_ready(&self) -> bool {
        run(["health", "--http", &self.http]).status.success()
    }

    fn until(&mut self, what: &str, is: impl Fn(&Self) -> bool) {
        let began = Instant::now();
        while !is(self) {
            let ended = self.child.try_wait().unwrap();
            assert!(ended.is_none(), "the server ended ({ended:?}) before: {what}");
            assert!(began.elapsed() < LIMIT, "never: {what}");
            thread::sleep(Duration::from_millis(100));
        }
    }

    /// A player who was not there before gets in, plays and leaves.
    fn plays(&self) {
        let folder = tempfile::tempdir().unwrap();
        let song = song(folder.path(), "song.wav", 44_100, 2, 44_100);
        let (song, out) = (song.to_str().unwrap(), folder.path().join("out"));
        let words = ["stream", song, "--server", &self.link, "--pace", "fast", "--connect-timeout", "20"];
        let played = run(words.iter().copied().chain(["--out", out.to_str().unwrap()]));
        assert!(played.status.success(), "{}", stderr(&played));
    }

    fn lost_lines(&self) -> u64 {
        let mut stream = std::net::TcpStream::connect(&self.http).unwrap();
        write!(stream, "GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").unwrap();
        let lines: Vec<String> = BufReader::new(stream).lines().map_while(Result::ok).collect();
        let value = lines.iter().find_map(|line| line.strip_prefix("rehearsekit_log_lines_lost_total "));
        value.expect("the metric is there").parse::<f64>().unwrap() as u64
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// Asks it to end, and waits for that.
    fn end(mut self) -> ExitStatus {
        self.signal(Signal::TERM);
        let began = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(began.elapsed() < LIMIT, "it does not end");
            thread::sleep(Duration::from_millis(50));
        }
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn free_udp() -> String {
    std::net::UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string()
}

fn free_tcp() -> String {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string()
}

#[test]
fn a_server_whose_log_reader_has_gone_plays_on_and_counts_what_is_lost() {
    let (read, write) = io::pipe().unwrap();
    let served = Served::start(write);
    drop(read);
    served.plays();
    served.plays();
    assert!(served.is_ready());
    assert!(served.lost_lines() > 0);
    assert!(served.end().success());
}

#[test]
fn a_server_with_a_full_log_disk_starts_serves_and_ends_in_order() {
    let full = OpenOptions::new().write(true).open("/dev/full").unwrap();
    let served = Served::start(full);
    served.plays();
    assert!(served.lost_lines() > 0);
    assert!(served.end().success());
}

/// A pipe with no room for another byte.
fn full_pipe() -> (io::PipeReader, io::PipeWriter) {
    let (read, mut write) = io::pipe().unwrap();
    let flags = rustix::fs::fcntl_getfl(&write).unwrap();
    rustix::fs::fcntl_setfl(&write, flags | rustix::fs::OFlags::NONBLOCK).unwrap();
    while write.write(&[b'.'; 4096]).is_ok() {}
    while write.write(b".").is_ok() {}
    rustix::fs::fcntl_setfl(&write, flags).unwrap();
    (read, write)
}

#[test]
fn a_server_whose_log_nobody_reads_starts_serves_and_ends_in_order() {
    let (_read, write) = full_pipe();
    let served = Served::start(write);
    served.plays();
    assert!(served.is_ready());
    assert!(served.end().success());
}

#[test]
fn a_reader_that_comes_back_gets_the_lines_that_waited() {
    let (read, write) = full_pipe();
    let served = Served::start(write);
    served.plays();
    let reading = thread::spawn(move || {
        let mut text = String::new();
        BufReader::new(read).read_to_string(&mut text).unwrap();
        text
    });
    assert!(served.end().success());
    let text = reading.join().unwrap();
    for line in [" listening quic_address=", "opened: ", "the server has shut down"] {
        assert!(text.contains(line), "{line} is missing in {text}");
    }
}

#[test]
fn a_server_whose_results_nobody_reads_serves_too() {
    data();
    let (_read, write) = full_pipe();
    let log = tempfile::NamedTempFile::new().unwrap();
    let mut command = rehearsekit();
    command.args(["serve", "--json", "--listen", "127.0.0.1:0", "--http", "127.0.0.1:0"]);
    let mut child = command.stdout(write).stderr(log.reopen().unwrap()).spawn().unwrap();
    let began = Instant::now();
    // The JSON line and the one after it.
    while !std::fs::read_to_string(log.path()).unwrap().lines().any(|line| line == "ready") {
        assert!(child.try_wait().unwrap().is_none() && began.elapsed() < LIMIT, "it is not ready");
        thread::sleep(Duration::from_millis(100));
    }
    kill_process(Pid::from_child(&child), Signal::TERM).unwrap();
    while child.try_wait().unwrap().is_none() {
        assert!(began.elapsed() < 2 * LIMIT, "it does not end");
        thread::sleep(Duration::from_millis(50));
    }
}

/// Commands that print without a model or a server.
const SHORT: [&[&str]; 4] =
    [&["models", "list"], &["config", "show", "--json"], &["doctor", "--json"], &["--help"]];

fn short(words: &[&str], stdout: impl Into<Stdio>, stderr: impl Into<Stdio>, data: &Path) -> (Child, String) {
    let mut command = rehearsekit();
    command.arg("--data").arg(data).args(words).stdout(stdout).stderr(stderr);
    (command.spawn().unwrap(), words.join(" "))
}

#[test]
fn a_short_command_whose_reader_has_gone_ends_without_a_word() {
    let folder = tempfile::tempdir().unwrap();
    for words in SHORT {
        let (read, write) = io::pipe().unwrap();
        drop(read);
        let (child, name) = short(words, write, Stdio::piped(), folder.path());
        let output = child.wait_with_output().unwrap();
        assert!(output.status.code().is_some_and(|code| code != 101), "{name}: {:?}", output.status);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(!said.contains("panicked") && !said.contains("Broken pipe"), "{name}: {said}");
        // And with nobody to complain to.
        let (read, write) = io::pipe().unwrap();
        drop(read);
        let (mut child, name) = short(words, write.try_clone().unwrap(), write, folder.path());
        assert!(child.wait().unwrap().code().is_some_and(|code| code != 101), "{name}");
    }
}

#[test]
fn a_result_that_finds_no_room_is_a_failure() {
    let folder = tempfile::tempdir().unwrap();
    for words in [SHORT[0], SHORT[1]] {
        let full = OpenOptions::new().write(true).open("/dev/full").unwrap();
        let (child, name) = short(words, full, Stdio::piped(), folder.path());
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(1), "{name}");
        let said = stderr(&output);
        assert!(said.contains("cannot write the result to standard output: No space left"), "{name}: {said}");
    }
}

/// The program as `nohup` and shells start it: with these signals ignored and no others, whatever this test inherited.
fn ignoring(signals: &str) -> Command {
    let mut command = Command::new("env");
    command.arg("--default-signal=HUP,INT,TERM");
    if !signals.is_empty() {
        command.arg(format!("--ignore-signal={signals}"));
    }
    command.arg(rehearsekit().get_program());
    command
}

#[test]
fn a_signal_that_was_ignored_when_the_server_began_stays_ignored() {
    let log = tempfile::NamedTempFile::new().unwrap();
    let open = || File::create(log.path()).unwrap();
    for (names, signal) in [("HUP", Signal::HUP), ("INT", Signal::INT), ("TERM", Signal::TERM)] {
        let mut served = Served::start_by(ignoring(names), open());
        served.signal(signal);
        // The next signal comes after it, and is heard.
        thread::sleep(Duration::from_millis(500));
        assert!(served.child.try_wait().unwrap().is_none() && served.is_ready(), "{names} ended it");
        assert!(!std::fs::read_to_string(log.path()).unwrap().contains("shutting down"), "{names}");
        served.signal(if signal == Signal::TERM { Signal::INT } else { Signal::TERM });
        let began = Instant::now();
        while served.child.try_wait().unwrap().is_none() {
            assert!(began.elapsed() < LIMIT, "with {names} ignored it does not end at all");
            thread::sleep(Duration::from_millis(50));
        }
    }
    // Nobody ignored it: a closed terminal ends a server, in order.
    let mut served = Served::start_by(ignoring(""), open());
    served.signal(Signal::HUP);
    assert!(served.child.wait().unwrap().success());
}

#[test]
fn a_file_that_is_asked_for_has_the_mode_that_the_umask_gives() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = tempfile::tempdir().unwrap();
    let song = song(folder.path(), "song.wav", 44_100, 2, 4_410);
    let (file, out) = (folder.path().join("model.tar"), folder.path().join("stems"));
    for (umask, mode) in [("022", 0o644), ("027", 0o640), ("002", 0o664)] {
        let with = |words: &[&std::ffi::OsStr]| {
            let mut command = Command::new("sh");
            command.args(["-c", &format!("umask {umask}; exec \"$0\" \"$@\"")]);
            let output = command.arg(rehearsekit().get_program()).args(words).output().unwrap();
            assert!(output.status.success(), "{}", stderr(&output));
        };
        data();
        with(&["models".as_ref(), "export".as_ref(), "spleeter-2stems".as_ref(), file.as_ref()]);
        let words = ["separate".as_ref(), song.as_ref(), "--model".as_ref(), "spleeter-2stems".as_ref()];
        with(&[&words[..], &["--out".as_ref(), out.as_ref()]].concat());
        for made in [file.clone(), out.join("vocals.wav")] {
            let got = std::fs::metadata(&made).unwrap().permissions().mode() & 0o7777;
            assert_eq!(got, mode, "umask {umask}: {} has {got:04o}", made.display());
            std::fs::remove_file(made).unwrap();
        }
        std::fs::remove_dir_all(&out).unwrap();
    }
}
