//! WAV: its sample formats, its headers, and the sizes that recorders and pipes leave in it.

use rehearsekit_corpus::{Bench, Signal, changed};

/// Rates of telephones, of MPEG's halves, of discs, of studios.
const RATES: &[u32] = &[8_000, 11_025, 22_050, 32_000, 44_100, 48_000, 88_200, 96_000, 192_000];

#[test]
fn wav_in_every_sample_format_rate_and_channel_count() {
    let mut bench = Bench::new("WAV");
    for &rate in RATES {
        for channels in [1, 2] {
            for (codec, bits) in [
                ("pcm_u8", 8),
                ("pcm_s16le", 16),
                ("pcm_s24le", 24),
                ("pcm_s32le", 24),
                ("pcm_f32le", 24),
                ("pcm_f64le", 24),
            ] {
                let signal = Signal::new(rate, channels, bits);
                let file = bench.ffmpeg(&signal, &["-c:a", codec], "song.wav");
                bench.lossless(codec, &file, &signal);
            }
        }
    }
    bench.verdict();
}

#[test]
fn wav_of_telephones_and_games_agrees_with_the_reference_decoder() {
    let mut bench = Bench::new("compressed WAV");
    for codec in ["pcm_alaw", "pcm_mulaw", "adpcm_ms", "adpcm_ima_wav"] {
        for channels in [1, 2] {
            let file = bench.ffmpeg(&Signal::new(22_050, channels, 16), &["-c:a", codec], "song.wav");
            let reference = bench.ffmpeg_reference(&file);
            bench.compare(codec, &file, &reference, 0, -80.0);
        }
    }
    bench.verdict();
}

/// What recorders that crashed, and programs that write into a pipe, leave as the length.
#[test]
fn wav_with_a_length_that_says_nothing_is_read_to_its_end() {
    let mut bench = Bench::new("streamed WAV");
    for (codec, bits) in [("pcm_s16le", 16), ("pcm_s24le", 24), ("pcm_f32le", 24)] {
        let signal = Signal::new(44_100, 2, bits);
        let whole = bench.ffmpeg(&signal, &["-c:a", codec], "song.wav");
        for size in [0u32, 0x7fff_ffff, 0x7fff_f000, 0x8000_0000, 0xffff_ff00, 0xffff_fffe, u32::MAX] {
            for (riff, data) in [(true, true), (false, true), (true, false)] {
                let file = changed(&whole, "changed.wav", |bytes| {
                    let at = bytes.windows(4).position(|w| w == b"data").unwrap() + 4;
                    if riff {
                        bytes[4..8].copy_from_slice(&size.to_le_bytes());
                    }
                    if data {
                        bytes[at..at + 4].copy_from_slice(&size.to_le_bytes());
                    }
                });
                bench.lossless(
                    &format!("{codec}, size {size:#x}, in RIFF {riff}, in data {data}"),
                    &file,
                    &signal,
                );
            }
        }
        let piped = bench.path("piped.wav");
        bench.run(
            "sh",
            &[
                "-c",
                &format!("ffmpeg -nostdin -loglevel error -i truth.wav -c:a {codec} -f wav - >piped.wav"),
            ],
        );
        bench.lossless(&format!("{codec} from ffmpeg's pipe"), &piped, &signal);
        bench.run("sh", &["-c", "sox song.wav -t wav - >piped.wav"]);
        bench.lossless(&format!("{codec} from sox's pipe"), &piped, &signal);
    }
    bench.verdict();
}

#[test]
fn wav_with_other_chunks_and_headers() {
    let mut bench = Bench::new("WAV with more in it");
    let signal = Signal::new(44_100, 2, 16);
    let whole = bench.ffmpeg(&signal, &["-c:a", "pcm_s16le"], "song.wav");
    let chunk = |name: &[u8; 4], body: &[u8]| {
        let mut chunk = [&name[..], &(body.len() as u32).to_le_bytes(), body].concat();
        chunk.resize(chunk.len() + body.len() % 2, 0);
        chunk
    };
    let before = |extra: Vec<u8>| {
        move |bytes: &mut Vec<u8>| {
            let at = bytes.windows(4).position(|w| w == b"data").unwrap();
            bytes.splice(at..at, extra);
            let size = (bytes.len() - 8) as u32;
            bytes[4..8].copy_from_slice(&size.to_le_bytes());
        }
    };
    for (what, extra) in [
        ("JUNK before", chunk(b"JUNK", &[0; 28])),
        ("an odd chunk before", chunk(b"abcd", &[1; 7])),
        ("bext before", chunk(b"bext", &[b' '; 602])),
        ("cue before", chunk(b"cue ", &[[1, 0, 0, 0].as_slice(), &[0; 24]].concat())),
        ("a LIST of names before", chunk(b"LIST", b"INFOINAM\x05\x00\x00\x00Song\x00\x00")),
        ("a fact before", chunk(b"fact", &1u32.to_le_bytes())),
        ("iXML before", chunk(b"iXML", b"<BWFXML></BWFXML>")),
    ] {
        let file = changed(&whole, "changed.wav", before(extra));
        bench.lossless(what, &file, &signal);
    }
    for (what, extra) in [
        ("a LIST behind", chunk(b"LIST", b"INFOINAM\x05\x00\x00\x00Song\x00\x00")),
        ("id3 behind", chunk(b"id3 ", b"ID3\x03\x00\x00\x00\x00\x00\x00")),
        ("an odd chunk behind", chunk(b"abcd", &[1; 7])),
    ] {
        let file = changed(&whole, "changed.wav", |bytes| {
            bytes.extend(extra);
            let size = (bytes.len() - 8) as u32;
            bytes[4..8].copy_from_slice(&size.to_le_bytes());
        });
        bench.lossless(what, &file, &signal);
    }
    for (codec, bits) in [("pcm_s16le", 16), ("pcm_s24le", 24), ("pcm_f32le", 24)] {
        let signal = Signal::new(48_000, 2, bits);
        let file = bench.ffmpeg(&signal, &["-c:a", codec, "-rf64", "always"], "rf64.wav");
        bench.lossless("RF64", &file, &signal);
        let file = changed(&file, "bw64.wav", |bytes| bytes[..4].copy_from_slice(b"BW64"));
        bench.lossless("BW64", &file, &signal);
        let file = bench.ffmpeg(&signal, &["-c:a", codec], "song.w64");
        // ffmpeg counts the padding of the last eight bytes as sound.
        bench.compare("Wave64", &file, &signal, 1, -100.0);
    }
    let signal = Signal::new(44_100, 2, 24);
    bench.integers(&signal, 24);
    bench.run("sox", &["truth.wav", "-b", "24", "extensible.wav"]);
    let file = bench.path("extensible.wav");
    bench.lossless("WAVE_FORMAT_EXTENSIBLE by sox", &file, &signal);
    bench.verdict();
}
