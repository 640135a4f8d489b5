//! `health` as the real program: yes of a real server, no of one that is gone, silent, slow or something else.
#![allow(clippy::unwrap_used)]

mod common;

#[cfg(target_os = "linux")]
use std::process::Child;
use std::{
    io::Write as _,
    net::TcpListener,
    thread,
    time::{Duration, Instant},
};

use common::{Server, assert_refused, json, run};

#[test]
fn a_server_that_is_ready_is_healthy_and_one_that_is_gone_is_not() {
    let mut server = Server::start();
    let http = server.http.clone();
    for more in [&[][..], &["--live"]] {
        let answer = json(&run([&["health", "--http", &http, "--json"], more].concat()));
        assert_eq!((&answer["healthy"], &answer["reason"]), (&true.into(), &serde_json::Value::Null));
    }
    server.child.kill().unwrap();
    server.child.wait().unwrap();
    assert_refused(&run(["health", "--http", &http]), 4, &["no server answers", &http]);
}

#[test]
fn what_is_silent_endless_or_no_server_of_ours_is_not_healthy() {
    let ask = |listener: &TcpListener| {
        run(["health", "--timeout", "1", "--http", &listener.local_addr().unwrap().to_string()])
    };
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    assert_refused(&ask(&silent), 4, &["nothing whole came in time"]);

    let stranger = TcpListener::bind("127.0.0.1:0").unwrap();
    thread::scope(|scope| {
        scope.spawn(|| stranger.accept().unwrap().0.write_all(b"220 mail\r\n").unwrap());
        // Whoever closes with our words unread may also reset the connection.
        assert_refused(&ask(&stranger), 4, &["no server answers"]);
    });

    // It never comes to an end, and is not waited for.
    let endless = TcpListener::bind("127.0.0.1:0").unwrap();
    thread::scope(|scope| {
        scope.spawn(|| {
            let (mut stream, _) = endless.accept().unwrap();
            let began = Instant::now();
            while began.elapsed() < Duration::from_secs(60) && stream.write_all(b"x").is_ok() {
                thread::sleep(Duration::from_millis(20));
            }
        });
        assert_refused(&ask(&endless), 4, &["nothing whole came in time"]);
    });
}

/// What a server of its own network and mounts sees, by a program that runs there too.
#[cfg(target_os = "linux")]
struct Cell {
    server: Child,
    data: std::path::PathBuf,
    _folder: tempfile::TempDir,
}

#[cfg(target_os = "linux")]
impl Cell {
    const HTTP: &str = "127.0.0.1:47200";

    /// On a data folder that is a small disk, in a network that is a loopback.
    fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let linked = common::linked_data(folder.path());
        let data = folder.path().join("disk");
        std::fs::create_dir(&data).unwrap();
        let script = "ip link set lo up && mount -t tmpfs -o size=4m tmpfs \"$1\" && cp -a \"$2\"/. \"$1\" && \
                      exec \"$3\" --data \"$1\" serve --listen 127.0.0.1:47201 --http 127.0.0.1:47200";
        let mut command = common::as_root("unshare");
        command.args(["--mount", "--net", "--propagation", "private", "sh", "-ec", script, "sh"]);
        command.arg(&data).arg(&linked).arg(common::rehearsekit().get_program());
        let server = command.spawn().unwrap();
        let cell = Self { server, data, _folder: folder };
        cell.until(None);
        cell
    }

    /// Does something to the server's world, as a shell would.
    fn sh(&self, script: &str) -> std::process::Output {
        let mut command = common::as_root("nsenter");
        command.args(["--mount", "--net", "--target", &self.pid(), "sh", "-ec", script, "sh"]);
        command.arg(&self.data).arg(common::rehearsekit().get_program()).output().unwrap()
    }

    fn done(&self, script: &str) {
        let output = self.sh(script);
        assert!(output.status.success(), "{script}: {}", common::stderr(&output));
    }

    /// Of the program itself: sudo would stand before it.
    fn pid(&self) -> String {
        let mut pid = self.server.id().to_string();
        loop {
            let children = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"));
            match children.unwrap_or_default().split_whitespace().next() {
                Some(child) => pid = child.to_owned(),
                None => return pid,
            }
        }
    }

    /// Waits until the server is unready for this reason alone, or ready; its sentence.
    fn until(&self, cause: Option<&str>) -> String {
        let began = Instant::now();
        loop {
            let output = self.sh(&format!("\"$2\" health --json --timeout 10 --http {}", Self::HTTP));
            let said: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
            let causes: Vec<&str> =
                said["causes"].as_array().into_iter().flatten().filter_map(|cause| cause.as_str()).collect();
            if said["healthy"] == cause.is_none() && causes.iter().copied().eq(cause) {
                assert_eq!(output.status.code(), Some(if cause.is_some() { 4 } else { 0 }));
                return said["reason"].as_str().unwrap_or_default().to_owned();
            }
            assert!(began.elapsed() < Duration::from_secs(300), "expected {cause:?}: {said}");
            thread::sleep(Duration::from_millis(200));
        }
    }
}

#[cfg(target_os = "linux")]
impl Drop for Cell {
    fn drop(&mut self) {
        let _ = common::as_root("kill").args(["-KILL", &self.pid()]).status();
        let _ = self.server.wait();
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_server_that_no_newcomer_reaches_or_whose_folder_fails_is_unhealthy_until_that_is_over() {
    let cell = Cell::start();

    // One mount on top: of the one below a file is open, which keeps it writable.
    cell.done("mount --bind \"$1\" \"$1\" && mount -o remount,bind,ro \"$1\"");
    let said = cell.until(Some("data_folder"));
    assert!(said.contains("is not ready: the data folder has become read-only"), "{said}");
    cell.done("umount \"$1\"");
    cell.until(None);

    // A full disk refuses the file that fills it, too.
    cell.sh(
        "dd if=/dev/zero of=\"$1\"/full bs=64k count=100; dd if=/dev/zero of=\"$1\"/rest bs=1 count=5000",
    );
    let said = cell.until(Some("data_folder"));
    assert!(said.contains("the data folder has no room left"), "{said}");
    cell.done("rm -f \"$1\"/full \"$1\"/rest");
    cell.until(None);

    // Another disk comes in its place, without anything on it.
    cell.done("mount -t tmpfs -o size=1m tmpfs \"$1\"");
    let said = cell.until(Some("data_folder"));
    assert!(said.contains("there is no server's key in it"), "{said}");
    cell.done("umount \"$1\"");
    cell.until(None);

    // Nothing that is said to the front door arrives.
    cell.done(
        "nft 'add table inet t; add chain inet t c { type filter hook input priority 0; }; \
         add rule inet t c udp dport 47201 drop'",
    );
    let said = cell.until(Some("door"));
    assert!(said.contains("newcomers do not get in: "), "{said}");
    cell.done("nft delete table inet t");
    cell.until(None);
}
