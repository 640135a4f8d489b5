//! Formats that this project reads only with the help of an `ffmpeg` command, and files that are no sound at all.

use std::fs;

use rehearsekit_corpus::{Bench, Signal};

#[test]
fn formats_of_others_come_through_ffmpeg() {
    let mut bench = Bench::new("formats of others");
    let signal = Signal::new(44_100, 2, 16);
    for (codec, name) in [("wavpack", "song.wv"), ("tta", "song.tta")] {
        let format = if codec == "wavpack" { "s16p" } else { "s16" };
        let file = bench.ffmpeg(&signal, &["-c:a", codec, "-sample_fmt", format], name);
        bench.lossless(codec, &file, &signal);
    }
    for (codec, name) in
        [("wmav2", "song.wma"), ("ac3", "song.ac3"), ("eac3", "song.eac3"), ("ac3", "song.mkv")]
    {
        let file = bench.ffmpeg(&signal, &["-c:a", codec, "-b:a", "192k"], name);
        let reference = bench.ffmpeg_reference(&file);
        bench.compare(&format!("{codec} in {name}"), &file, &reference, 0, -80.0);
    }
    bench.verdict();
}

#[test]
fn files_that_are_no_sound_are_called_what_they_are() {
    let mut bench = Bench::new("no sound");
    for (name, bytes, words) in [
        (
            "cover.jpg",
            &b"\xff\xd8\xff\xe0\x00\x10JFIF\x00\x01\x01\x00\x00\x01\x00\x01\x00\x00"[..],
            &["JPEG"][..],
        ),
        ("cover.mp3", b"\xff\xd8\xff\xe0\x00\x10JFIF\x00\x01\x01\x00\x00\x01\x00\x01\x00\x00", &["JPEG"]),
        ("cover.png", b"\x89PNG\r\n\x1a\n\x00\x00\x00\x0dIHDR", &["PNG"]),
        ("score.pdf", b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n1 0 obj\n", &["PDF"]),
        (
            "song.mp3",
            b"<!DOCTYPE html>\n<html><head><title>404 Not Found</title></head></html>",
            &["web page"],
        ),
        ("song.wav", b"\n <html lang=\"en\"><body>Not found</body></html>", &["web page"]),
        ("album.zip", b"PK\x03\x04\x14\x00\x00\x00\x08\x00", &["ZIP"]),
        ("song.mid", b"MThd\x00\x00\x00\x06\x00\x01\x00\x02\x01\xe0", &["MIDI"]),
        ("notes.txt", b"verse, chorus, verse, chorus, bridge, chorus\n", &["not audio"]),
    ] {
        let path = bench.path(name);
        // Long enough that no search for a frame of MPEG ends for lack of bytes.
        fs::write(&path, [bytes, &bytes.repeat(300)].concat()).unwrap();
        bench.refused(name, &path, words);
    }
    bench.verdict();
}
