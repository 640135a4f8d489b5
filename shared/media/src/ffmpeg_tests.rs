//! The helper program as it may behave: well, with an error, without an end, and without being there.
#![allow(clippy::unwrap_used)]

use std::{fs, os::unix::fs::PermissionsExt, time::Instant};

use super::*;
use crate::stream;

/// A script in place of `ffmpeg`, and a file to give it.
fn fake(script: &str) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let program = folder.path().join("ffmpeg");
    fs::write(&program, format!("#!/bin/sh\n{script}\n")).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    fs::write(folder.path().join("song: -x"), b"wvpk").unwrap();
    (folder, program)
}

fn open(folder: &tempfile::TempDir, program: &Path) -> Result<FfmpegStream, Fault> {
    FfmpegStream::new(program, "wv", &folder.path().join("song: -x"), "WavPack".to_owned())
}

/// Octal escapes of a header for mono floats, as `ffmpeg` writes it into a pipe.
const HEADER: &str = "printf 'RIFF\\377\\377\\377\\377WAVEfmt \\020\\000\\000\\000\\003\\000\\001\\000\\104\\254\\000\\000\\020\\261\\002\\000\\004\\000\\040\\000data\\377\\377\\377\\377'";

#[test]
fn its_sound_is_read_to_the_end_and_its_words_are_passed_on() {
    let (folder, program) =
        fake(&format!("{HEADER}; head -c 400000 /dev/zero; printf 'odd\\033[31m thing\\n' >&2"));
    let mut song = open(&folder, &program).unwrap();
    assert_eq!(song.shape(), Shape { rate_hz: 44_100, channels: 1 });
    let (mut block, mut frames) = (Vec::new(), 0);
    while song.next(&mut block).unwrap() {
        frames += stream::frames(&block);
    }
    assert_eq!(frames, 100_000);
    let remark = song.remark().unwrap();
    assert!(remark.ends_with("odd[31m thing"), "{remark}");
}

#[test]
fn its_failure_is_an_error_with_its_last_words_at_the_beginning_and_at_the_end() {
    let (folder, program) =
        fake("echo 'first' >&2; echo '[wavpack @ 0x5598239d5640] Invalid data found' >&2; exit 1");
    let Err(Fault::Ffmpeg(name, reason)) = open(&folder, &program) else { panic!("it was believed") };
    assert_eq!((name.as_str(), reason.as_str()), ("WavPack", "Invalid data found"));
    let (folder, program) =
        fake(&format!("{HEADER}; head -c 4000 /dev/zero; echo 'broken in the middle' >&2; exit 1"));
    let mut song = open(&folder, &program).unwrap();
    let mut block = Vec::new();
    let fault = loop {
        match song.next(&mut block) {
            Ok(true) => {}
            Ok(false) => panic!("half a song was taken for a whole one"),
            Err(fault) => break fault,
        }
    };
    assert!(matches!(fault, Fault::Ffmpeg(_, reason) if reason == "broken in the middle"));
}

#[test]
fn one_that_never_ends_is_ended_with_the_song() {
    let (folder, program) = fake(&format!("echo $$ > \"$0.pid\"; {HEADER}; exec cat /dev/zero"));
    let started = Instant::now();
    let mut song = open(&folder, &program).unwrap();
    song.next(&mut Vec::new()).unwrap();
    let pid: i32 = fs::read_to_string(folder.path().join("ffmpeg.pid")).unwrap().trim().parse().unwrap();
    let pid = rustix::process::Pid::from_raw(pid).unwrap();
    assert!(rustix::process::test_kill_process(pid).is_ok());
    drop(song);
    assert!(rustix::process::test_kill_process(pid).is_err(), "it still runs, or was not reaped");
    assert!(started.elapsed() < PATIENCE, "it was waited for");
}

#[test]
fn it_is_looked_for_in_absolute_folders_alone_and_must_be_a_program() {
    let (folder, program) = fake("true");
    let path = env::join_paths([Path::new("."), Path::new("/nowhere"), folder.path()]).unwrap();
    assert_eq!(find_in(Some(&path)), Some(program.clone()));
    fs::set_permissions(&program, fs::Permissions::from_mode(0o644)).unwrap();
    assert_eq!(find_in(Some(&path)), None);
    assert_eq!(find_in(None), None);
}
