//! `rehearsekit serve` as a process of its own, with the real model, that can be stopped, slowed down and killed.
#![allow(clippy::unwrap_used, reason = "what stands in for a house may fall down")]
#![allow(unsafe_code)] // kill(2)

use std::{
    io::{BufRead, BufReader},
    path::Path,
    process::{Child, Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    thread::JoinHandle,
    time::Duration,
};

use serde_json::Value;

use crate::bundle;

/// A server; killed with the value.
pub struct Server {
    child: Child,
    /// Where it listens.
    pub address: String,
}

impl Server {
    /// On any free port.
    pub fn start() -> Self {
        Self::start_at("127.0.0.1:0")
    }

    /// On this address; waits until sessions are admitted.
    pub fn start_at(address: &str) -> Self {
        let mut child = Command::new(bundle::command())
            .args(["serve", "--json", "--listen", address, "--http", "127.0.0.1:0"])
            .args(["--model", "spleeter-2stems"])
            .env("REHEARSEKIT_DATA", bundle::data())
            // Hosts keep what they have made; nobody here is to be sent away for that.
            .env("REHEARSEKIT_MAX_SESSIONS", "64")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let ready: Value = serde_json::from_str(&line).unwrap_or_else(|e| panic!("'{line}': {e}"));
        Self { child, address: ready["listen"].as_str().unwrap().to_owned() }
    }

    /// What `rehearsekit stream` makes of a song with this server, as a bounce: the stems' files are in `out`.
    pub fn stream(&self, song: &Path, out: &Path, more: &[&str]) -> Value {
        let output = Command::new(bundle::command())
            .arg("stream")
            .arg(song)
            .args(["--server", &self.address, "--pace", "fast", "--overwrite", "--json"])
            .args(more)
            .arg("--out")
            .arg(out)
            .env("REHEARSEKIT_DATA", bundle::data())
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice(&output.stdout).unwrap()
    }

    /// As a power cut does it.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Stands still (SIGSTOP), or goes on.
    pub fn stand_still(&self, still: bool) {
        signal(self.child.id(), if still { libc::SIGSTOP } else { libc::SIGCONT });
    }

    /// Runs at half speed until the value is dropped: stopped for every other 10 ms.
    pub fn half_speed(&self) -> HalfSpeed {
        let (over, id) = (Arc::new(AtomicBool::new(false)), self.child.id());
        let told = Arc::clone(&over);
        let thread = std::thread::spawn(move || {
            while !told.load(Relaxed) {
                signal(id, libc::SIGSTOP);
                std::thread::sleep(Duration::from_millis(10));
                signal(id, libc::SIGCONT);
                std::thread::sleep(Duration::from_millis(10));
            }
        });
        HalfSpeed { over, thread: Some(thread) }
    }
}

/// See [`Server::half_speed`].
pub struct HalfSpeed {
    over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Drop for HalfSpeed {
    fn drop(&mut self) {
        self.over.store(true, Relaxed);
        self.thread.take().map(JoinHandle::join);
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}

fn signal(id: u32, signal: i32) {
    // SAFETY: the process is our child and not waited for, so the number is its own.
    unsafe { libc::kill(id as i32, signal) };
}
