//! The fuzz targets build and run: a few seconds of the harness, as a user starts it.

#![allow(clippy::unwrap_used, reason = "in a test a panic is the report")]

use std::process::{Command, Output};

fn fuzz_wire(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_fuzz_wire")).args(arguments).output().unwrap()
}

#[test]
fn every_target_runs_and_finds_nothing() {
    let output = fuzz_wire(&["--seconds", "5", "--seed", "20"]);
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{out}{err}");
    for target in ["messages", "packets", "sessions", "arranger", "playout"] {
        assert!(out.lines().any(|line| line.starts_with(target) && line.contains("runs")), "{out}");
    }
}

#[test]
fn what_is_not_understood_is_said() {
    for arguments in
        [["--target", "nothing"], ["--seconds", "soon"], ["--replay", "no such file"], ["--help", ""]]
    {
        let output = fuzz_wire(&arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(!output.stderr.is_empty());
    }
}
