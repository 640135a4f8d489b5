//! MP3 and MP2: with and without a length in the first frame, between tags, joined, and at every rate of MPEG.

use std::path::Path;

use rehearsekit_corpus::{Bench, Signal, changed};

use crate::flac::apev2;

/// MPEG-2.5, MPEG-2 and MPEG-1.
const RATES: &[u32] = &[8_000, 11_025, 12_000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000];

/// Two decoders of MPEG audio may differ by the rounding of 16 bits and a little.
const SAME_DB: f64 = -75.0;

fn mpg123(bench: &Bench, file: &Path) -> Signal {
    bench.reference("mpg123", &["-q", "-e", "f32", "-w", "reference.wav", "{}"], file)
}

#[test]
fn mp3_with_lames_tag_is_as_long_as_the_song() {
    let mut bench = Bench::new("MP3 with a tag");
    for &rate in RATES {
        for channels in [1, 2] {
            let signal = Signal::new(rate, channels, 16);
            bench.integers(&signal, 16);
            let mode = if channels == 1 { "m" } else { "j" };
            for (what, words) in
                [("constant", &["-b", "64"][..]), ("variable", &["-V", "2"]), ("average", &["--abr", "56"])]
            {
                let rate = format!("{}", f64::from(rate) / 1_000.0);
                let mut all = vec!["--quiet", "-m", mode, "--resample", rate.as_str()];
                all.extend(words);
                all.extend(["truth.wav", "song.mp3"]);
                bench.run("lame", &all);
                bench.compare(what, &bench.path("song.mp3"), &signal, 0, -6.0);
                let reference = mpg123(&bench, &bench.path("song.mp3"));
                bench.compare(
                    &format!("{what}, beside mpg123"),
                    &bench.path("song.mp3"),
                    &reference,
                    0,
                    SAME_DB,
                );
            }
        }
    }
    bench.verdict();
}

#[test]
fn mp3_without_a_tag_is_read_to_its_end() {
    let mut bench = Bench::new("MP3 without a tag");
    for &rate in RATES {
        let mut signal = Signal::new(rate, 2, 16);
        // A quiet beginning and a loud end, so that the first frames say nothing about the bit rate of the rest.
        for channel in &mut signal.channels {
            let quiet = channel.len() / 2;
            channel[..quiet].iter_mut().for_each(|sample| *sample = 0.0);
        }
        bench.integers(&signal, 16);
        let rate = format!("{}", f64::from(rate) / 1_000.0);
        for (what, words) in [
            ("constant", &["-b", "64"][..]),
            ("variable", &["-V", "4"]),
            ("noise first, then silence", &["-V", "0"]),
        ] {
            let mut all = vec!["--quiet", "-t", "--resample", rate.as_str()];
            all.extend(words);
            all.extend(["truth.wav", "song.mp3"]);
            bench.run("lame", &all);
            let reference = mpg123(&bench, &bench.path("song.mp3"));
            bench.compare(what, &bench.path("song.mp3"), &reference, 0, SAME_DB);
        }
    }
    let signal = Signal::new(44_100, 2, 16);
    bench.integers(&signal, 16);
    bench.run("sh", &["-c", "lame --quiet -V 4 truth.wav - >piped.mp3"]);
    let reference = mpg123(&bench, &bench.path("piped.mp3"));
    bench.compare("from lame's pipe", &bench.path("piped.mp3"), &reference, 0, SAME_DB);
    bench.verdict();
}

#[test]
fn mp3_between_tags_and_behind_garbage() {
    let mut bench = Bench::new("MP3 between tags");
    let signal = Signal::new(44_100, 2, 16);
    bench.integers(&signal, 16);
    bench.run("lame", &["--quiet", "-V", "4", "truth.wav", "song.mp3"]);
    let whole = bench.path("song.mp3");
    let id3v1 = [&b"TAG"[..], &[b'x'; 125]].concat();
    let id3v2 = |body: &[u8]| {
        let size = body.len() as u32;
        let safe = [
            (size >> 21) as u8 & 0x7f,
            (size >> 14) as u8 & 0x7f,
            (size >> 7) as u8 & 0x7f,
            size as u8 & 0x7f,
        ];
        [&b"ID3\x03\x00\x00"[..], &safe, body].concat()
    };
    for (what, head, tail) in [
        ("ID3v1 behind", vec![], id3v1.clone()),
        ("APEv2 with a cover behind", vec![], apev2()),
        ("APEv2 and ID3v1 behind", vec![], [apev2(), id3v1.clone()].concat()),
        ("ID3v2 before", id3v2(&[0; 3_000]), vec![]),
        ("ID3v2 with false frames in it", id3v2(&[0xff, 0xfb, 0x90, 0x64].repeat(500)), vec![]),
        ("two ID3v2", [id3v2(&[0; 200]), id3v2(&[0; 90])].concat(), vec![]),
        ("zeros before", vec![0; 700], vec![]),
        ("zeros behind", vec![], vec![0; 4_096]),
        ("a line of text behind", vec![], b"downloaded from somewhere".to_vec()),
    ] {
        let file = changed(&whole, "changed.mp3", |bytes| {
            *bytes = [head, std::mem::take(bytes), tail].concat();
        });
        bench.compare(what, &file, &signal, 0, -6.0);
    }
    bench.verdict();
}

#[test]
fn mp3_joined_by_cat_is_all_of_its_parts() {
    let mut bench = Bench::new("joined MP3");
    let signal = Signal::new(44_100, 2, 16);
    bench.integers(&signal, 16);
    for (what, words) in [("with tags", &["-V", "4"][..]), ("without tags", &["-V", "4", "-t"])] {
        let mut all = vec!["--quiet"];
        all.extend(words);
        all.extend(["truth.wav", "song.mp3"]);
        bench.run("lame", &all);
        bench.run("sh", &["-c", "cat song.mp3 song.mp3 song.mp3 >joined.mp3"]);
        let single = mpg123(&bench, &bench.path("song.mp3")).frames();
        let three = single * 3;
        let frames = rehearsekit_corpus::frames(&bench.path("joined.mp3"));
        // Each part keeps its encoder's delay and padding, two MPEG frames at the most on either side.
        bench.expect(
            what,
            frames.as_ref().is_ok_and(|&f| f >= three && f <= three + 3 * 4 * 1_152),
            format!("{frames:?} frames of {three}"),
        );
    }
    bench.verdict();
}

#[test]
fn mp2_agrees_with_the_reference_decoder() {
    let mut bench = Bench::new("MP2");
    for rate in [32_000, 44_100, 48_000] {
        let file = bench.ffmpeg(&Signal::new(rate, 2, 16), &["-c:a", "mp2", "-b:a", "192k"], "song.mp2");
        let reference = mpg123(&bench, &file);
        bench.compare("MP2", &file, &reference, 0, SAME_DB);
    }
    bench.verdict();
}
