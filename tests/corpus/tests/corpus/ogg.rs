//! Ogg: Vorbis and Opus by their own encoders and by ffmpeg, alone and chained.

use rehearsekit_corpus::{Bench, Signal};

#[test]
fn vorbis_is_as_long_as_the_song_and_agrees_with_oggdec() {
    let mut bench = Bench::new("Vorbis");
    for rate in [8_000, 22_050, 32_000, 44_100, 48_000, 96_000] {
        for channels in [1, 2] {
            let signal = Signal::new(rate, channels, 16);
            bench.integers(&signal, 16);
            for quality in ["0", "5"] {
                bench.run("oggenc", &["-Q", "-q", quality, "truth.wav", "-o", "song.ogg"]);
                let file = bench.path("song.ogg");
                bench.compare(&format!("quality {quality}"), &file, &signal, 0, -3.0);
                let reference = bench.reference("oggdec", &["-Q", "-o", "reference.wav", "{}"], &file);
                bench.compare(&format!("quality {quality}, beside oggdec"), &file, &reference, 0, -60.0);
            }
            let file = bench.ffmpeg(&signal, &["-c:a", "libvorbis"], "song.ogg");
            bench.compare("by ffmpeg", &file, &signal, 0, -3.0);
        }
    }
    bench.verdict();
}

#[test]
fn opus_is_as_long_as_the_song_and_agrees_with_opusdec() {
    let mut bench = Bench::new("Opus");
    // Opus runs at 48 kHz, whatever it was made of.
    for channels in [1, 2] {
        let signal = Signal::new(48_000, channels, 16);
        bench.integers(&signal, 16);
        for rate in ["16", "64", "128"] {
            bench.run("opusenc", &["--quiet", "--bitrate", rate, "truth.wav", "song.opus"]);
            let file = bench.path("song.opus");
            let reference = bench.reference(
                "opusdec",
                &["--quiet", "--float", "--rate", "48000", "{}", "reference.wav"],
                &file,
            );
            bench.compare(&format!("{rate} kbit/s, beside opusdec"), &file, &reference, 0, -60.0);
            if rate == "128" {
                bench.compare("128 kbit/s", &file, &signal, 0, -3.0);
            }
        }
        // Frames as voice messages have them.
        bench.run(
            "opusenc",
            &["--quiet", "--speech", "--framesize", "60", "--bitrate", "24", "truth.wav", "voice.ogg"],
        );
        let file = bench.path("voice.ogg");
        let reference = bench.reference(
            "opusdec",
            &["--quiet", "--float", "--rate", "48000", "{}", "reference.wav"],
            &file,
        );
        bench.compare("a voice message", &file, &reference, 0, -60.0);
        let file = bench.ffmpeg(&signal, &["-c:a", "libopus", "-b:a", "128k"], "song.ogg");
        bench.compare("by ffmpeg", &file, &signal, 0, -3.0);
    }
    bench.verdict();
}

#[test]
fn a_chain_of_ogg_songs_of_one_kind_is_all_of_its_parts_or_refused() {
    let mut bench = Bench::new("chained Ogg");
    let signal = Signal::new(44_100, 2, 16);
    bench.integers(&signal, 16);
    bench.run("oggenc", &["-Q", "-s", "1", "truth.wav", "-o", "one.ogg"]);
    bench.run("oggenc", &["-Q", "-s", "2", "truth.wav", "-o", "two.ogg"]);
    bench.run("sh", &["-c", "cat one.ogg two.ogg >chain.ogg"]);
    let whole = 2 * signal.frames();
    let frames = rehearsekit_corpus::frames(&bench.path("chain.ogg"));
    bench.expect(
        "two songs",
        !frames.as_ref().is_ok_and(|&f| f != whole),
        format!("{frames:?} frames of {whole}"),
    );
    bench.verdict();
}
