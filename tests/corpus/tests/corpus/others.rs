//! AIFF, AIFC, CAF and Matroska.

use rehearsekit_corpus::{Bench, Signal, changed};

#[test]
fn aiff_and_aifc_in_every_sample_format() {
    let mut bench = Bench::new("AIFF");
    for rate in [8_000, 44_100, 48_000, 96_000] {
        for channels in [1, 2] {
            for (codec, bits) in [
                ("pcm_s8", 8),
                ("pcm_s16be", 16),
                ("pcm_s24be", 24),
                ("pcm_s32be", 24),
                ("pcm_s16le", 16),
                ("pcm_f32be", 24),
                ("pcm_f64be", 24),
            ] {
                let signal = Signal::new(rate, channels, bits);
                let file = bench.ffmpeg(&signal, &["-c:a", codec], "song.aiff");
                bench.lossless(codec, &file, &signal);
            }
        }
    }
    let signal = Signal::new(44_100, 2, 16);
    bench.integers(&signal, 16);
    for name in ["sox.aiff", "sox.aifc"] {
        bench.run("sox", &["truth.wav", name]);
        bench.lossless(name, &bench.path(name), &signal);
    }
    for codec in ["pcm_alaw", "pcm_mulaw"] {
        let file = bench.ffmpeg(&signal, &["-c:a", codec], "song.aifc");
        let reference = bench.ffmpeg_reference(&file);
        bench.compare(codec, &file, &reference, 0, -80.0);
    }
    bench.verdict();
}

#[test]
fn caf_in_every_sample_format() {
    let mut bench = Bench::new("CAF");
    for channels in [1, 2] {
        for (codec, bits) in [
            ("pcm_s16le", 16),
            ("pcm_s16be", 16),
            ("pcm_s24le", 24),
            ("pcm_s24be", 24),
            ("pcm_f32le", 24),
            ("pcm_f32be", 24),
            ("alac", 16),
        ] {
            let signal = Signal::new(44_100, channels, bits);
            let mut words = vec!["-c:a", codec];
            if codec == "alac" {
                words.extend(["-sample_fmt", "s16p"]);
            }
            let file = bench.ffmpeg(&signal, &words, "song.caf");
            bench.lossless(codec, &file, &signal);
            if codec == "pcm_s16le" {
                // A recorder that has not finished leaves -1 as the size of its last chunk.
                let file = changed(&file, "open.caf", |bytes| {
                    let at = bytes.windows(4).position(|w| w == b"data").unwrap() + 4;
                    bytes[at..at + 8].fill(0xff);
                });
                bench.lossless("a size of -1", &file, &signal);
            }
        }
    }
    bench.verdict();
}

#[test]
fn matroska_and_webm() {
    let mut bench = Bench::new("Matroska");
    for channels in [1, 2] {
        let signal = Signal::new(48_000, channels, 16);
        for (codec, name) in [("pcm_s16le", "song.mka"), ("flac", "song.mka"), ("pcm_f32le", "song.mkv")] {
            let mut words = vec!["-c:a", codec];
            if codec == "flac" {
                words.extend(["-sample_fmt", "s16"]);
            }
            let file = bench.ffmpeg(&signal, &words, name);
            bench.lossless(&format!("{codec} in {name}"), &file, &signal);
        }
        for (codec, name) in [("libvorbis", "song.webm"), ("libopus", "song.webm"), ("libopus", "song.mka")] {
            let file = bench.ffmpeg(&signal, &["-c:a", codec, "-b:a", "128k"], name);
            // Matroska's times are milliseconds; the rest is the codec's padding.
            bench.compare(&format!("{codec} in {name}"), &file, &signal, 1_152 + 48, -3.0);
        }
        for codec in ["libmp3lame", "aac"] {
            // ffmpeg does not write down the encoder's delay of these, so no decoder can take it away.
            let file = bench.ffmpeg(&signal, &["-c:a", codec, "-b:a", "128k"], "song.mka");
            let reference = bench.ffmpeg_reference(&file);
            bench.compare(&format!("{codec} in song.mka"), &file, &reference, 1_152 + 48, -60.0);
        }
        let file = bench.path("piped.webm");
        bench.run(
            "sh",
            &[
                "-c",
                "ffmpeg -nostdin -loglevel error -i truth.wav -c:a libopus -b:a 128k -f webm - >piped.webm",
            ],
        );
        bench.compare("Opus in WebM from a pipe", &file, &signal, 1_152 + 48, -3.0);
    }
    bench.verdict();
}
