//! FLAC: its levels and depths, its headers, tags around it, and lengths that were never written.

use std::fs;

use rehearsekit_corpus::{Bench, Signal, changed};

#[test]
fn flac_in_every_level_depth_rate_and_channel_count() {
    let mut bench = Bench::new("FLAC");
    for rate in [8_000, 22_050, 44_100, 48_000, 96_000, 192_000] {
        for channels in [1, 2] {
            for bits in [8u16, 16, 24] {
                let signal = Signal::new(rate, channels, u32::from(bits));
                bench.integers(&signal, bits);
                for level in ["-0", "-5", "-8"] {
                    bench.run("flac", &["-s", "-f", level, "truth.wav", "-o", "song.flac"]);
                    bench.lossless(&format!("level {level}, {bits} bits"), &bench.path("song.flac"), &signal);
                }
            }
        }
    }
    bench.verdict();
}

#[test]
fn flac_with_other_headers_and_makers() {
    let mut bench = Bench::new("FLAC with more in it");
    let signal = Signal::new(44_100, 2, 16);
    bench.integers(&signal, 16);
    fs::write(
        bench.path("song.cue"),
        "FILE \"truth.wav\" WAVE\n  TRACK 01 AUDIO\n    INDEX 01 00:00:00\n  TRACK 02 AUDIO\n    INDEX 01 00:00:30\n",
    )
    .unwrap();
    for (what, words) in [
        ("padding", &["-P", "100000"][..]),
        ("no padding, no seek table", &["--no-padding", "--no-seektable"]),
        ("a seek table", &["-S", "10x"]),
        ("a cue sheet", &["--cuesheet=song.cue"]),
        ("tags", &["-T", "TITLE=Song", "-T", "ARTIST=Band"]),
        ("small blocks", &["-b", "256"]),
        ("large blocks", &["-b", "16384", "--lax"]),
        ("no mid-side", &["-m", "-l", "0"]),
        ("Ogg FLAC", &["--ogg"]),
    ] {
        let mut all = vec!["-s", "-f", "truth.wav", "-o", "song.flac"];
        all.extend(words);
        bench.run("flac", &all);
        bench.lossless(what, &bench.path("song.flac"), &signal);
    }
    let file = bench.ffmpeg(&signal, &["-c:a", "flac", "-sample_fmt", "s16"], "song.flac");
    bench.lossless("by ffmpeg", &file, &signal);
    let file = bench.ffmpeg(&signal, &["-c:a", "flac", "-sample_fmt", "s16"], "song.oga");
    bench.lossless("Ogg FLAC by ffmpeg", &file, &signal);
    bench.verdict();
}

#[test]
fn flac_without_a_length_is_read_to_its_end() {
    let mut bench = Bench::new("streamed FLAC");
    let signal = Signal::new(44_100, 2, 16);
    bench.integers(&signal, 16);
    bench.run("sh", &["-c", "sox truth.wav -t raw - | flac -s -f --force-raw-format --sign=signed --endian=little --channels=2 --bps=16 --sample-rate=44100 - >piped.flac"]);
    bench.lossless("from flac's pipe", &bench.path("piped.flac"), &signal);
    bench.run(
        "sh",
        &["-c", "ffmpeg -nostdin -loglevel error -i truth.wav -sample_fmt s16 -f flac - >piped.flac"],
    );
    bench.lossless("from ffmpeg's pipe", &bench.path("piped.flac"), &signal);
    bench.run("flac", &["-s", "-f", "truth.wav", "-o", "song.flac"]);
    let file = changed(&bench.path("song.flac"), "no-length.flac", |bytes| {
        // STREAMINFO: 36 bits of total samples end at byte 26 of the file.
        bytes[21] &= 0xf0;
        bytes[22..26].fill(0);
    });
    bench.lossless("a length of 0", &file, &signal);
    let file = changed(&bench.path("song.flac"), "no-sum.flac", |bytes| bytes[26..42].fill(0));
    bench.lossless("no checksum", &file, &signal);
    let file = changed(&bench.path("song.flac"), "half.flac", |bytes| {
        bytes[21] &= 0xf0;
        bytes[22..26].fill(0);
        bytes[26..42].fill(0);
        bytes.truncate(bytes.len() / 2);
    });
    bench.refused("no length, no checksum, cut in the middle of a frame", &file, &["cut off"]);
    bench.verdict();
}

#[test]
fn flac_with_strangers_tags_around_it() {
    let mut bench = Bench::new("FLAC between tags");
    let signal = Signal::new(44_100, 2, 16);
    bench.integers(&signal, 16);
    bench.run("flac", &["-s", "-f", "truth.wav", "-o", "song.flac"]);
    let whole = bench.path("song.flac");
    let id3v2 = [&b"ID3\x03\x00\x00\x00\x00\x02\x00"[..], &[0; 256]].concat();
    let id3v1 = [&b"TAG"[..], &[b'x'; 125]].concat();
    let apev2 = apev2();
    for (what, head, tail) in [
        ("ID3v2 before", id3v2.clone(), vec![]),
        ("ID3v1 behind", vec![], id3v1.clone()),
        ("APEv2 behind", vec![], apev2.clone()),
        ("APEv2 and ID3v1 behind", vec![], [apev2, id3v1.clone()].concat()),
        ("ID3v2 before, ID3v1 behind", id3v2, id3v1),
        ("zeros behind", vec![], vec![0; 512]),
    ] {
        let file = changed(&whole, "changed.flac", |bytes| {
            *bytes = [head, std::mem::take(bytes), tail].concat();
        });
        bench.lossless(what, &file, &signal);
    }
    bench.verdict();
}

/// An APEv2 tag with a title and a picture's beginning in it.
pub(crate) fn apev2() -> Vec<u8> {
    let item = |flags: u32, key: &[u8], value: &[u8]| {
        [&(value.len() as u32).to_le_bytes()[..], &flags.to_le_bytes(), key, &[0], value].concat()
    };
    let items = [
        item(0, b"Title", b"Song"),
        item(2, b"Cover Art (Front)", &[b"cover.png\0\x89PNG\r\n\x1a\n".as_slice(), &[0xff; 300]].concat()),
    ]
    .concat();
    let frame = |flags: u32| {
        let size = items.len() as u32 + 32;
        [
            &b"APETAGEX"[..],
            &2_000u32.to_le_bytes(),
            &size.to_le_bytes(),
            &2u32.to_le_bytes(),
            &flags.to_le_bytes(),
            &[0; 8],
        ]
        .concat()
    };
    [frame(0xa000_0000), items.clone(), frame(0x8000_0000)].concat()
}
