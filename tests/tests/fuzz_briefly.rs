//! The fuzz targets build and run: a few seconds of the harness, as a user starts it.

#![allow(clippy::unwrap_used, reason = "in a test a panic is the report")]

use std::{
    path::Path,
    process::{Command, Output},
};

use rehearsekit_tests::fuzz::TARGETS;

fn fuzz_wire(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_fuzz_wire")).args(arguments).output().unwrap()
}

#[test]
fn every_target_runs_and_finds_nothing() {
    let output = fuzz_wire(&["--seconds", "5", "--seed", "20"]);
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{out}{err}");
    for (target, _) in TARGETS {
        assert!(out.lines().any(|line| line.starts_with(target) && line.contains("runs")), "{out}");
    }
}

/// What longer runs have found worth keeping: each input goes somewhere that no other goes.
#[test]
fn every_input_that_was_kept_runs_through() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus");
    for (name, target) in TARGETS {
        let mut inputs = 0;
        for file in std::fs::read_dir(corpus.join(name)).unwrap() {
            let path = file.unwrap().path();
            let input = std::fs::read(&path).unwrap();
            let ran = std::panic::catch_unwind(|| target(&input));
            assert!(ran.is_ok(), "{name}: {}", path.display());
            inputs += 1;
        }
        assert!(inputs > 0, "nothing is kept for {name}");
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
