//! Several songs in one call, what their files are called, and names that are no text.
#![allow(clippy::unwrap_used)]

mod common;

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use common::{assert_refused, data, entries, json, rehearsekit, song, stderr};
use serde_json::Value;

fn separate(songs: &[PathBuf], out: &Path, more: &[&str]) -> Output {
    data();
    let mut command = rehearsekit();
    command.arg("separate").args(songs).args(["--model", "spleeter-2stems", "--out"]).arg(out).args(more);
    command.output().unwrap()
}

fn output_json(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {}", stderr(output)))
}

#[test]
fn several_songs_get_folders_of_their_own_and_one_that_fails_does_not_stop_the_others() {
    let folder = tempfile::tempdir().unwrap();
    let other = folder.path().join("other");
    fs::create_dir(&other).unwrap();
    let none = folder.path().join("lyrics.wav");
    fs::write(&none, "la la la").unwrap();
    let songs = [
        song(folder.path(), "one.wav", 44_100, 1, 10_000),
        none,
        // Another song of the same name, but for its case.
        song(&other, "One.wav", 44_100, 1, 12_000),
    ];
    let out = folder.path().join("out");
    let output = separate(&songs, &out, &["--json"]);
    assert_eq!(output.status.code(), Some(3), "{}", stderr(&output));
    assert!(stderr(&output).contains("1 of 3 songs could not be separated"), "{}", stderr(&output));
    let told = output_json(&output);
    assert_eq!(told["failed"], 1);
    let told = told["songs"].as_array().unwrap();
    assert_eq!(
        told.iter().map(|song| song["frames"].as_u64()).collect::<Vec<_>>(),
        [Some(10_000), None, Some(12_000)]
    );
    assert_eq!(told.iter().map(|song| Path::new(song["song"].as_str().unwrap())).collect::<Vec<_>>(), songs);
    assert!(told[1]["error"].as_str().unwrap().contains("lyrics.wav"));
    assert_eq!(entries(&out), ["One (2)", "one"]);
    for song in ["One (2)", "one"] {
        assert_eq!(entries(&out.join(song)), ["accompaniment.wav", "vocals.wav"]);
    }
    // Without --json it is told as it happens.
    let output = separate(&songs, &folder.path().join("again"), &[]);
    assert_eq!(output.status.code(), Some(3));
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(text.contains("one.wav:") && text.contains("One.wav:") && !text.contains("lyrics"), "{text}");
}

#[test]
fn files_are_called_by_the_pattern_in_folders_or_without() {
    let folder = tempfile::tempdir().unwrap();
    let songs = [
        song(folder.path(), "CON: a, b.wav", 44_100, 1, 10_000),
        song(folder.path(), "two.wav", 44_100, 1, 10_000),
    ];
    let flat = folder.path().join("flat");
    let pattern = ["--name", "{index} {song} [{model}] {stem}", "--folders", "never", "--json"];
    json(&separate(&songs, &flat, &pattern));
    assert_eq!(
        entries(&flat),
        [
            "1 CON_ a, b [spleeter-2stems] accompaniment.wav",
            "1 CON_ a, b [spleeter-2stems] vocals.wav",
            "2 two [spleeter-2stems] accompaniment.wav",
            "2 two [spleeter-2stems] vocals.wav",
        ]
    );
    // Both songs are called "same" in this one.
    let same = [songs[1].clone(), songs[1].clone()];
    json(&separate(
        &same,
        &folder.path().join("same"),
        &["--name", "{song} {stem}", "--folders", "never", "--json"],
    ));
    assert_eq!(
        entries(&folder.path().join("same")),
        ["two accompaniment (2).wav", "two accompaniment.wav", "two vocals (2).wav", "two vocals.wav"]
    );
    let own = folder.path().join("own");
    json(&separate(&songs[..1], &own, &["--folders", "always", "--json"]));
    assert_eq!(entries(&own), ["CON_ a, b"]);
}

#[test]
fn a_pattern_that_cannot_work_is_refused_before_any_work() {
    let songs = [PathBuf::from("nowhere.wav"), PathBuf::from("nothing.wav")];
    let refused = |more: &[&str], words: &[&str]| {
        let output = separate(&songs, Path::new("/nowhere"), more);
        assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
        words.iter().for_each(|word| assert!(stderr(&output).contains(word), "{word}: {}", stderr(&output)));
    };
    refused(&["--name", "{title}"], &["{stem}"]);
    refused(&["--name", "{titel} {stem}"], &["{titel}", "{title}", "{artist}", "{index}"]);
    refused(&["--name", "{artist}/{stem}"], &["--out"]);
    refused(&["--folders", "never"], &["{song}", "{index}"]);
}

/// Whatever a command prints of a name that is no text, it prints it, and a script finds the file by the URL.
#[cfg(target_os = "linux")]
#[test]
fn names_that_are_not_utf8_are_told_and_found_again() {
    use std::{ffi::OsStr, os::unix::ffi::OsStrExt as _};
    let folder = tempfile::tempdir().unwrap();
    let odd = |name: &[u8]| folder.path().join(OsStr::from_bytes(name));
    let named = odd(b"Beyonc\xe9.wav");
    fs::rename(song(folder.path(), "song.wav", 44_100, 1, 10_000), &named).unwrap();
    let out = odd(b"out\xfc");
    let told = json(&separate(std::slice::from_ref(&named), &out, &["--name", "{song} {stem}", "--json"]));
    assert!(told["song"].as_str().unwrap().ends_with("Beyonc\u{fffd}.wav"));
    assert!(told["song_url"].as_str().unwrap().ends_with("/Beyonc%E9.wav"));
    let url = told["files"][0]["path_url"].as_str().unwrap();
    assert!(url.starts_with("file:///") && url.ends_with("/out%FC/Beyonc_%20vocals.wav"), "{url}");
    assert_eq!(entries(&out), ["Beyonc_ accompaniment.wav", "Beyonc_ vocals.wav"]);
    // Refused, listed among others, and printed for people.
    assert_refused(&separate(&[odd(b"no\xff.wav")], &out, &[]), 3, &["no\u{fffd}.wav"]);
    let both = [named.clone(), odd(b"no\xff.wav")];
    let output = separate(&both, &folder.path().join("both"), &["--json"]);
    assert_eq!(output.status.code(), Some(3), "{}", stderr(&output));
    assert!(output_json(&output)["songs"][1]["song_url"].as_str().unwrap().ends_with("no%FF.wav"));
    assert!(separate(std::slice::from_ref(&named), &odd(b"p\xe9"), &[]).status.success());
    // The other commands that tell paths as JSON.
    let mut export = rehearsekit();
    export.args(["models", "export", "spleeter-2stems", "--json"]).arg(odd(b"m\xe9.tar"));
    assert!(json(&export.output().unwrap())["file_url"].as_str().unwrap().ends_with("m%E9.tar"));
    let missing = |command: &mut Command| {
        let output = command.output().unwrap();
        assert!(matches!(output.status.code(), Some(1..=3)), "{}", stderr(&output));
        assert!(!stderr(&output).contains("panicked"), "{}", stderr(&output));
    };
    missing(rehearsekit().args(["models", "import", "--json"]).arg(odd(b"x\xe9.tar")));
    missing(rehearsekit().args(["restore", "--json"]).arg(odd(b"x\xe9.tar")));
    missing(rehearsekit().args(["eval", "--json", "--model", "spleeter-2stems"]).arg(odd(b"e\xe9")));
    missing(rehearsekit().args(["load", "--clients", "1", "--seconds", "1", "--songs"]).arg(odd(b"l\xe9")));
    missing(rehearsekit().args(["models", "list", "--json", "--data"]).arg(odd(b"d\xe9")));
    missing(rehearsekit().args(["config", "show", "--json", "--config"]).arg(odd(b"c\xe9.toml")));
}

/// A name may hold anything but a slash: nothing of it reaches the terminal as a command.
#[cfg(unix)]
#[test]
fn names_cannot_write_on_the_terminal() {
    let folder = tempfile::tempdir().unwrap();
    let named = folder.path().join("a\x1b[2J\u{9b}31m\u{202e}\nerror: b.wav");
    fs::rename(song(folder.path(), "song.wav", 44_100, 1, 10_000), &named).unwrap();
    let none = folder.path().join("no\x1b]0;owned\x07.wav");
    for output in [
        separate(std::slice::from_ref(&none), &folder.path().join("none"), &[]),
        separate(&[named.clone(), none], &folder.path().join("both"), &[]),
        separate(std::slice::from_ref(&named), &folder.path().join("a\x1b[1m"), &["--json"]),
    ] {
        let text = String::from_utf8(output.stdout).unwrap() + &String::from_utf8(output.stderr).unwrap();
        let moves = |c: char| (c.is_control() && c != '\n') || c == '\u{202e}';
        assert!(!text.contains(moves), "{text:?}");
        assert!(!text.contains("\nerror: b.wav"), "{text:?}");
    }
    assert_eq!(entries(&folder.path().join("both")), ["a[2J31merror_ b"]);
}

/// One frame of an ID3 tag.
fn frame(id: &str, content: &[u8]) -> Vec<u8> {
    [id.as_bytes(), &(content.len() as u32).to_be_bytes(), &[0, 0], content].concat()
}

/// The MP3 of the tests, with artist, title, album, track, cover and ReplayGain in front.
fn tagged_mp3(path: &Path) {
    let text = |id: &str, text: &str| frame(id, &[b"\x03", text.as_bytes()].concat());
    let frames = [
        text("TIT2", "Hyperballad"),
        text("TPE1", "Björk"),
        text("TALB", "Post/Live"),
        text("TRCK", "2/11"),
        text("TCON", "Art pop"),
        frame("TXXX", b"\x03REPLAYGAIN_TRACK_GAIN\0-7.5 dB"),
        frame("APIC", b"\x03image/jpeg\0\x03\0\xff\xd8\xff\xe0cover\xff\xd9"),
    ]
    .concat();
    let size = frames.len() as u32;
    let sevens = [21, 14, 7, 0].map(|shift| (size >> shift & 0x7f) as u8);
    let song = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/media/tests/songs/tone.mp3");
    // Text in UTF-8 came with version 4, which counts frames in sevens too; these are shorter than 128 bytes.
    let head = [&b"ID3\x04\0\0"[..], &sevens].concat();
    fs::write(path, [head, frames, fs::read(song).unwrap()].concat()).unwrap();
}

#[test]
fn a_song_lends_its_tags_to_its_flac_stems_and_to_their_names() {
    let folder = tempfile::tempdir().unwrap();
    let song = folder.path().join("02.mp3");
    tagged_mp3(&song);
    let out = folder.path().join("out");
    let more = ["--format", "flac", "--name", "{track} {artist} - {album} - {title} ({stem})", "--json"];
    json(&separate(&[song], &out, &more));
    let name = "02 Björk - Post_Live - Hyperballad (vocals).flac";
    assert_eq!(entries(&out), ["02 Björk - Post_Live - Hyperballad (accompaniment).flac", name]);
    let tags = rehearsekit_media::read_tags(&out.join(name)).unwrap();
    assert_eq!(tags.title.as_deref(), Some("Hyperballad (vocals)"));
    assert_eq!((tags.artist.as_deref(), tags.album.as_deref()), (Some("Björk"), Some("Post/Live")));
    assert_eq!((tags.track.as_deref(), tags.genre.as_deref()), (Some("2"), Some("Art pop")));
    assert_eq!(tags.cover.unwrap().bytes, b"\xff\xd8\xff\xe0cover\xff\xd9");
    assert!(!String::from_utf8_lossy(&fs::read(out.join(name)).unwrap()).contains("REPLAYGAIN"));
}
