//! `serve --stay`: a server that cannot start until somebody mends something says so once and waits, so that what starts
//! containers again and again has nothing to start.
#![cfg(unix)]
#![allow(clippy::unwrap_used)]

mod common;

use std::{
    io::{BufRead as _, BufReader},
    net::TcpListener,
    path::Path,
    process::{Child, Command, Stdio},
};

use common::{rehearsekit, run};
use rustix::process::{Pid, Signal, kill_process};

fn serve(data: &Path, words: &[&str]) -> Command {
    let mut command = rehearsekit();
    command.arg("--data").arg(data).args(["serve", "--listen", "127.0.0.1:0"]).args(words);
    command
}

/// Reads until it has said that it waits; all that it said.
fn waits(child: &mut Child) -> String {
    let mut said = String::new();
    for line in BufReader::new(child.stderr.take().unwrap()).lines() {
        said += &(line.unwrap() + "\n");
        if said.contains("nobody is served") {
            return said;
        }
    }
    panic!("it ended: {said}");
}

#[test]
fn it_complains_once_waits_is_not_healthy_and_ends_when_told() {
    let folder = tempfile::tempdir().unwrap();
    // A port that is free when it is looked for.
    let http = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    for (words, told, code) in [
        (&["--set", "no_such_key=1"][..], "no_such_key", 2),
        (&["--model", "no-such-model"], "no-such-model", 3),
    ] {
        let plain = serve(folder.path(), words).args(["--http", &http]).output().unwrap();
        assert_eq!(plain.status.code(), Some(code), "{}", common::stderr(&plain));
        let mut child = serve(folder.path(), words)
            .args(["--http", &http, "--stay"])
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let said = waits(&mut child);
        assert!(said.contains(told) && said.matches("error: ").count() == 1, "{said}");
        assert_eq!(child.try_wait().unwrap(), None);
        assert_eq!(run(["health", "--http", &http]).status.code(), Some(4));
        kill_process(Pid::from_child(&child), Signal::TERM).unwrap();
        assert_eq!(child.wait().unwrap().code(), Some(code));
    }
}

/// What may be better a moment later is tried again by whoever starts it.
#[test]
fn a_failure_that_may_pass_is_not_waited_for() {
    let folder = tempfile::tempdir().unwrap();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let at = taken.local_addr().unwrap().to_string();
    let output = serve(folder.path(), &["--http", &at, "--stay"]).output().unwrap();
    assert_eq!(output.status.code(), Some(2), "{}", common::stderr(&output));
    assert!(common::stderr(&output).contains("another server is there"));
}
