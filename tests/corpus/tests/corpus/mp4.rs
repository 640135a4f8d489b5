//! MP4 and its relatives: edit lists, fragments, video beside the sound, QuickTime's plain samples, raw AAC.

use rehearsekit_corpus::{Bench, Signal};

#[test]
fn aac_in_mp4_lies_where_the_song_lies() {
    let mut bench = Bench::new("AAC in MP4");
    for rate in [8_000, 22_050, 44_100, 48_000, 96_000] {
        for channels in [1, 2] {
            let signal = Signal::new(rate, channels, 16);
            for (what, words, name) in [
                ("M4A", &["-c:a", "aac", "-b:a", "96k"][..], "song.m4a"),
                ("contents first", &["-c:a", "aac", "-b:a", "96k", "-movflags", "+faststart"], "song.mp4"),
                ("QuickTime", &["-c:a", "aac", "-b:a", "96k"], "song.mov"),
            ] {
                let file = bench.ffmpeg(&signal, words, name);
                // An AAC frame of padding at the end, as ffmpeg itself decodes it.
                bench.compare(what, &file, &signal, 1_024, -3.0);
                let reference = bench.ffmpeg_reference(&file);
                bench.compare(&format!("{what}, beside ffmpeg"), &file, &reference, 1_024, -60.0);
            }
        }
    }
    bench.verdict();
}

#[test]
fn fragments_and_films_are_read_to_their_end() {
    let mut bench = Bench::new("MP4 of cameras and streams");
    let signal = Signal::new(48_000, 2, 16);
    for (what, words, name) in [
        (
            "fragments",
            &["-c:a", "aac", "-movflags", "frag_keyframe+empty_moov", "-frag_duration", "300000"][..],
            "fragments.mp4",
        ),
        (
            "fragments with offsets",
            &[
                "-c:a",
                "aac",
                "-movflags",
                "frag_keyframe+empty_moov+default_base_moof",
                "-frag_duration",
                "300000",
            ],
            "dash.mp4",
        ),
    ] {
        let file = bench.ffmpeg(&signal, words, name);
        let reference = bench.ffmpeg_reference(&file);
        bench.compare(what, &file, &reference, 1_024, -60.0);
    }
    bench.wav(&signal);
    for (codec, name) in [("libx264", "film.mp4"), ("libx265", "film-265.mp4"), ("libx264", "film.mov")] {
        let words = [
            "-nostdin",
            "-loglevel",
            "error",
            "-y",
            "-f",
            "lavfi",
            "-i",
            "testsrc=size=64x64:rate=10:duration=1.3",
            "-i",
            "truth.wav",
            "-c:v",
            codec,
            "-c:a",
            "aac",
            "-map",
            "0:v",
            "-map",
            "1:a",
            name,
        ];
        bench.run("ffmpeg", &words);
        let file = bench.path(name);
        bench.compare(&format!("{codec} in {name}"), &file, &signal, 48, -3.0);
    }
    bench.verdict();
}

#[test]
fn lossless_sound_in_mp4_and_quicktime() {
    let mut bench = Bench::new("ALAC and plain samples in MP4 and QuickTime");
    for rate in [44_100, 96_000] {
        for channels in [1, 2] {
            for (codec, bits, name) in [
                ("alac", 16, "song.m4a"),
                ("flac", 16, "song.mp4"),
                ("pcm_s16be", 16, "song.mov"),
                ("pcm_s16le", 16, "song.mov"),
                ("pcm_s24be", 24, "song.mov"),
                ("pcm_s24le", 24, "song.mov"),
                ("pcm_s32be", 24, "song.mov"),
                ("pcm_f32le", 24, "song.mov"),
                ("pcm_f32be", 24, "song.mov"),
                ("pcm_s16be", 16, "song.m4a"),
            ] {
                if codec == "pcm_s16be" && name == "song.m4a" {
                    continue; // no MP4 of ffmpeg's holds it
                }
                let signal = Signal::new(rate, channels, bits);
                let mut words = vec!["-c:a", codec];
                if matches!(codec, "alac") {
                    words.extend(["-sample_fmt", "s16p"]);
                }
                if codec == "flac" {
                    words.extend(["-sample_fmt", "s16", "-strict", "-2"]);
                }
                let file = bench.ffmpeg(&signal, &words, name);
                bench.lossless(&format!("{codec} in {name}"), &file, &signal);
            }
        }
    }
    bench.verdict();
}

#[test]
fn raw_aac_and_opus_in_mp4_agree_with_the_reference_decoder() {
    let mut bench = Bench::new("ADTS, Opus in MP4");
    for channels in [1, 2] {
        let signal = Signal::new(48_000, channels, 16);
        let file = bench.ffmpeg(&signal, &["-c:a", "aac", "-f", "adts"], "song.aac");
        let reference = bench.ffmpeg_reference(&file);
        bench.compare("ADTS", &file, &reference, 1_024, -60.0);
        let file = bench.ffmpeg(&signal, &["-c:a", "libopus", "-b:a", "128k"], "opus.mp4");
        bench.compare("Opus in MP4", &file, &signal, 960, -3.0);
    }
    bench.verdict();
}
