//! What the tests of songs share: reading, noise, and files made byte by byte.
#![allow(dead_code, reason = "each test uses a part of it")]
#![allow(clippy::unwrap_used)]

use std::{
    fs,
    ops::ControlFlow,
    path::{Path, PathBuf},
};

use rehearsekit_audio::Audio;
use rehearsekit_media::{DecodeError, decode};

pub(crate) fn read(path: &Path) -> Result<Audio, DecodeError> {
    decode(path, &mut |_, _| ControlFlow::Continue(()))
}

/// Writes `bytes` to a file of its own and reads it.
pub(crate) fn read_bytes(bytes: &[u8]) -> Result<Audio, DecodeError> {
    let folder = tempfile::tempdir().unwrap();
    // A name that promises nothing: what a file is stands in it.
    let path = folder.path().join("song.bin");
    fs::write(&path, bytes).unwrap();
    read(&path)
}

/// Why `bytes` are no song; samples are no news in a failed test.
pub(crate) fn refusal(bytes: &[u8]) -> DecodeError {
    match read_bytes(bytes) {
        Ok(audio) => panic!("{} frames were read", audio.frames()),
        Err(error) => error,
    }
}

/// One of the songs in `tests/songs`.
pub(crate) fn song(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/songs").join(name)
}

pub(crate) fn song_bytes(name: &str) -> Vec<u8> {
    fs::read(song(name)).unwrap()
}

/// Pseudo-random 16-bit samples, the same every time.
pub(crate) fn samples(count: usize, seed: u32) -> Vec<i16> {
    let mut state = seed.wrapping_mul(2_654_435_761).max(1);
    (0..count)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 17;
            state ^= state << 5;
            (state >> 17) as i16 - 16_384
        })
        .collect()
}

pub(crate) fn little(samples: &[i16]) -> Vec<u8> {
    samples.iter().flat_map(|s| s.to_le_bytes()).collect()
}

pub(crate) fn big(samples: &[i16]) -> Vec<u8> {
    samples.iter().flat_map(|s| s.to_be_bytes()).collect()
}

/// Whether `audio` holds exactly the interleaved 16-bit `samples`.
pub(crate) fn holds(audio: &Audio, samples: &[i16]) -> bool {
    let channels = audio.channels();
    audio.frames() * channels.len() == samples.len()
        && samples.iter().enumerate().all(|(at, &sample)| {
            channels[at % channels.len()][at / channels.len()] == f32::from(sample) / 32_768.0
        })
}

/// A RIFF chunk with its padding.
pub(crate) fn chunk(kind: &[u8; 4], content: &[u8]) -> Vec<u8> {
    let mut out = [&kind[..], &(content.len() as u32).to_le_bytes(), content].concat();
    out.resize(out.len() + content.len() % 2, 0);
    out
}

/// The content of a `fmt ` chunk: 16-bit samples at 44.1 kHz.
pub(crate) fn wav_format(channels: u16) -> Vec<u8> {
    let mut out = [1u16.to_le_bytes(), channels.to_le_bytes()].concat();
    out.extend(44_100u32.to_le_bytes());
    out.extend((44_100 * 2 * u32::from(channels)).to_le_bytes());
    out.extend([(2 * channels).to_le_bytes(), 16u16.to_le_bytes()].concat());
    out
}

/// A whole 16-bit WAV file.
pub(crate) fn wav(samples: &[i16], channels: u16) -> Vec<u8> {
    let body =
        [b"WAVE".to_vec(), chunk(b"fmt ", &wav_format(channels)), chunk(b"data", &little(samples))].concat();
    chunk(b"RIFF", &body)
}

/// The same with `riff` and `data` in place of the lengths of RIFF and data.
pub(crate) fn wav_with_lengths(samples: &[i16], riff: u32, data: u32) -> Vec<u8> {
    let mut out = wav(samples, 2);
    out[4..8].copy_from_slice(&riff.to_le_bytes());
    out[40..44].copy_from_slice(&data.to_le_bytes());
    out
}

/// A big-endian box of MP4, or a chunk of AIFF without padding.
pub(crate) fn mp4_box(kind: &[u8; 4], content: &[u8]) -> Vec<u8> {
    [&(content.len() as u32 + 8).to_be_bytes()[..], kind, content].concat()
}

/// A silent MP3 frame at 44.1 kHz, stereo, of bit rate number `rate` (1 is 32 kbit/s, 9 is 128, 14 is 320).
pub(crate) fn silent_mp3_frame(rate: u8) -> Vec<u8> {
    const KBPS: [usize; 15] = [0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320];
    let mut frame = vec![0xff, 0xfb, rate << 4, 0x00];
    frame.resize(144_000 * KBPS[usize::from(rate)] / 44_100, 0);
    frame
}

/// The first frame that LAME writes, for `frames` MPEG frames with `delay` and `padding`.
pub(crate) fn lame_frame(frames: u32, delay: u32, padding: u32) -> Vec<u8> {
    let mut frame = silent_mp3_frame(9);
    frame[36..40].copy_from_slice(b"Info");
    frame[43] = 1;
    frame[44..48].copy_from_slice(&frames.to_be_bytes());
    frame[48..52].copy_from_slice(b"LAME");
    let both = delay << 12 | padding;
    frame[69..72].copy_from_slice(&both.to_be_bytes()[1..]);
    frame
}

/// Somebody's ID3v1 tag.
pub(crate) fn id3v1() -> Vec<u8> {
    let mut tag = b"TAGA song".to_vec();
    tag.resize(128, 0);
    tag
}

/// An APEv2 tag with header, an item that looks like a picture with MPEG headers in it, and footer.
pub(crate) fn ape_with_cover() -> Vec<u8> {
    let mut cover = b"cover.png\0\x89PNG\r\n\x1a\n".to_vec();
    for _ in 0..400 {
        cover.extend_from_slice(&[0xff, 0xfb, 0x90, 0x64, 0xff, 0xf8, 0x11, 0x22, 0x33]);
    }
    let item = [&(cover.len() as u32).to_le_bytes()[..], &2u32.to_le_bytes(), b"Cover Art (Front)\0", &cover]
        .concat();
    let end = |flags: u32| {
        let words = [2_000u32, item.len() as u32 + 32, 1, flags];
        let words: Vec<u8> = words.iter().flat_map(|w| w.to_le_bytes()).collect();
        [&b"APETAGEX"[..], &words, &[0; 8]].concat()
    };
    [end(0xa000_0000), item.clone(), end(0x8000_0000)].concat()
}

/// An empty ID3v2 tag of `bytes` bytes.
pub(crate) fn id3v2(bytes: u8) -> Vec<u8> {
    let mut tag = vec![b'I', b'D', b'3', 3, 0, 0, 0, 0, 0, bytes - 10];
    tag.resize(usize::from(bytes), 0);
    tag
}

/// A FLAC file with these samples, mono, as our own writer makes it.
pub(crate) fn flac_of(hz: u32, samples: &[i16]) -> Vec<u8> {
    use rehearsekit_media::{Inputs, StemFiles, StemFormat, StemWriter, Tags};
    let folder = tempfile::tempdir().unwrap();
    let names = ["one", "two"].map(str::to_owned);
    let (inputs, tags) = (Inputs::default(), Tags::default());
    let files = StemFiles {
        folder: folder.path(),
        names: &names,
        format: StemFormat::Flac,
        inputs: &inputs,
        overwrite: false,
        tags: &tags,
    };
    let set = rehearsekit_audio::StemSet::new(&["one", "two"]).unwrap();
    let rate = rehearsekit_audio::SampleRate::new(hz).unwrap();
    let mut writer = StemWriter::create(files, &set, rate, 1, None).unwrap();
    let mix: Vec<f32> = samples.iter().map(|&s| f32::from(s) / 32_768.0).collect();
    writer.write(&[&mix], &[vec![vec![0.0; mix.len()]], vec![mix.clone()]]).unwrap();
    std::fs::read(&writer.finish().unwrap()[1].path).unwrap()
}
