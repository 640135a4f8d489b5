//! Never a silently shorter song, and never a whole one refused: lengths, joined files, tags behind and before.
#![allow(clippy::unwrap_used)]

mod common;

use common::*;
use rehearsekit_media::DecodeError;

/// A FLAC file of noise, as our own writer makes it.
fn flac(hz: u32, frames: usize) -> Vec<u8> {
    flac_of(hz, &samples(frames, hz))
}

#[test]
fn an_mp3_without_a_tag_is_counted_and_not_estimated() {
    // Loud first, quiet then: an estimate from the first frames' bit rate is a fifth of the truth.
    let mut song: Vec<u8> = silent_mp3_frame(14).repeat(40);
    song.extend(silent_mp3_frame(1).repeat(300));
    assert_eq!(read_bytes(&song).unwrap().frames(), 340 * 1_152);
    let constant = silent_mp3_frame(9).repeat(153);
    assert_eq!(read_bytes(&constant).unwrap().frames(), 153 * 1_152);
}

#[test]
fn songs_joined_end_to_end_are_read_to_the_last() {
    let one = [lame_frame(50, 576, 1_000), silent_mp3_frame(9).repeat(50)].concat();
    // LAME's decoder delay of 529 goes in front and comes off the padding.
    let frames = 50 * 1_152 - (576 + 529) - (1_000 - 529);
    assert_eq!(read_bytes(&one).unwrap().frames(), frames);
    assert_eq!(read_bytes(&[one.clone(), one.clone()].concat()).unwrap().frames(), 2 * frames);
    let tagged = [id3v2(100), one.clone(), id3v1(), id3v2(100), one.clone(), id3v1()].concat();
    assert_eq!(read_bytes(&tagged).unwrap().frames(), 2 * frames);

    let (first, second) = (samples(4_000, 1), samples(6_000, 2));
    let joined = [wav(&first, 2), wav(&second, 2)].concat();
    assert!(holds(&read_bytes(&joined).unwrap(), &[first.clone(), second.clone()].concat()));
    let other = [wav(&first, 2), wav(&second, 1)].concat();
    assert!(matches!(refusal(&other), DecodeError::Changes { frames: 2_000, .. }));

    assert_eq!(read_bytes(&[flac(44_100, 9_000), flac(44_100, 5_000)].concat()).unwrap().frames(), 14_000);
    let changes = refusal(&[flac(44_100, 9_000), flac(48_000, 5_000)].concat());
    assert!(matches!(changes, DecodeError::Changes { frames: 9_000, .. }), "{changes}");

    for (name, frames) in [("tone.ogg", 22_050), ("tone.opus", 24_000)] {
        let one = song_bytes(name);
        assert_eq!(read_bytes(&one).unwrap().frames(), frames, "{name}");
        assert_eq!(read_bytes(&[one.clone(), one].concat()).unwrap().frames(), 2 * frames, "{name}");
    }
}

#[test]
fn tags_before_and_behind_a_song_are_not_the_song() {
    let pieces = [
        ("flac", flac(44_100, 20_000), 20_000),
        ("mp3 with tag", song_bytes("tone.mp3"), 22_050),
        ("mp3 without", song_bytes("tone-without-tag.mp3"), 24_192),
        ("wav", wav(&samples(4_000, 1), 2), 2_000),
        ("aac", song_bytes("tone.aac"), read_bytes(&song_bytes("tone.aac")).unwrap().frames()),
    ];
    for (name, song, frames) in pieces {
        let behind = [id3v1(), ape_with_cover(), [ape_with_cover(), id3v1()].concat(), vec![0; 3_000]];
        for (at, tag) in behind.iter().enumerate() {
            let audio = read_bytes(&[&song[..], tag].concat());
            assert_eq!(
                audio.map(|a| a.frames()).map_err(|e| e.to_string()),
                Ok(frames),
                "{name} with tag {at} behind"
            );
        }
        let audio = read_bytes(&[id3v2(60), song.clone()].concat());
        assert_eq!(audio.map(|a| a.frames()).map_err(|e| e.to_string()), Ok(frames), "{name} behind ID3v2");
    }
}

#[test]
fn an_mp3_behind_a_little_garbage_is_found_and_what_only_looks_like_one_is_not() {
    let song = song_bytes("tone-without-tag.mp3");
    let garbage: Vec<u8> = samples(700, 5).iter().map(|s| (s >> 3) as u8 & 0x7f).collect();
    assert_eq!(read_bytes(&[&garbage[..], &song].concat()).unwrap().frames(), 24_192);
    let mut noise: Vec<u8> = samples(60_000, 6).iter().map(|s| *s as u8).collect();
    noise[0] = 0;
    assert!(matches!(refusal(&noise), DecodeError::NotAudio { .. }));
}

#[test]
fn a_hole_in_an_mp3_is_told_and_not_closed() {
    let mut song: Vec<u8> = silent_mp3_frame(9).repeat(100);
    let whole = song.len();
    song[whole / 2..whole / 2 + 1_000].fill(0x55);
    let error = refusal(&song);
    assert!(matches!(error, DecodeError::Corrupt { .. }), "{error}");
    assert!(error.to_string().contains("at 1.3 s"), "{error}");
    // A download whose space was reserved and never filled.
    let mut half: Vec<u8> = silent_mp3_frame(9).repeat(100);
    half.resize(2 * whole, 0);
    let error = refusal(&half);
    assert!(matches!(error, DecodeError::Corrupt { .. }), "{error}");
    // The tag counts more frames than are there.
    let short = [lame_frame(200, 576, 1_000), silent_mp3_frame(9).repeat(100)].concat();
    let error = refusal(&short);
    assert!(matches!(error, DecodeError::Truncated { expected_frames: Some(230_400), .. }), "{error}");
}

#[test]
fn a_wav_length_that_was_never_filled_in_is_no_length() {
    let samples = samples(44_100, 3);
    let lengths = [
        (u32::MAX, u32::MAX),
        (0, 0),
        (36, 0),
        (0x7fff_ffff, 0x7fff_ffff - 36),
        (0x7fff_f024, 0x7fff_f000),
        (0x8000_0024, 0x8000_0000),
        (u32::MAX, u32::MAX - 44),
    ];
    for (riff, data) in lengths {
        let audio =
            read_bytes(&wav_with_lengths(&samples, riff, data)).unwrap_or_else(|e| panic!("{data:#x}: {e}"));
        assert!(holds(&audio, &samples), "{riff:#x}, {data:#x}");
    }
    // One that was is a promise, however large.
    for data in [88_204, 100_000_000] {
        let error = refusal(&wav_with_lengths(&samples, data + 36, data));
        assert!(matches!(error, DecodeError::Truncated { .. }), "{data}: {error}");
    }
    // A recorder's header that was brought up to date once and then no more.
    let long = common::samples(400_000, 4);
    let error = refusal(&wav_with_lengths(&long, 1_036, 1_000));
    assert!(error.to_string().contains("goes on behind the end"), "{error}");
}

#[test]
fn wav_in_every_kind_of_header_is_read_to_the_bit() {
    let samples = samples(2_000, 7);
    let data = little(&samples);
    let format = wav_format(2);
    let wave = |magic: &[u8; 4], chunks: &[Vec<u8>]| {
        let mut out = chunk(magic, &[b"WAVE".to_vec(), chunks.concat()].concat());
        if magic != b"RIFF" {
            out[4..8].fill(0xff);
        }
        out
    };
    let mut ds64 = [0u8; 28];
    ds64[8..16].copy_from_slice(&(data.len() as u64).to_le_bytes());
    let mut open = chunk(b"data", &data);
    open[4..8].fill(0xff);
    let extended = |valid: u16, size: u16| {
        let mut out = format.clone();
        out[..2].copy_from_slice(&0xfffeu16.to_le_bytes());
        out.extend([size.to_le_bytes(), valid.to_le_bytes()].concat());
        out.extend([3, 0, 0, 0, 1, 0, 0, 0, 0, 0, 16, 0, 0x80, 0, 0, 0xaa, 0, 0x38, 0x9b, 0x71]);
        out
    };
    let other = [chunk(b"JUNK", &[0; 27]), chunk(b"LIST", b"INFOISFT\x04\0\0\0abc\0")].concat();
    let kinds = [
        ("RF64", wave(b"RF64", &[chunk(b"ds64", &ds64), chunk(b"fmt ", &format), open.clone()])),
        ("BW64", wave(b"BW64", &[chunk(b"ds64", &ds64), chunk(b"fmt ", &format), open])),
        (
            "18 bytes",
            wave(b"RIFF", &[chunk(b"fmt ", &[&format[..], &[0, 0]].concat()), chunk(b"data", &data)]),
        ),
        (
            "20 bytes",
            wave(b"RIFF", &[chunk(b"fmt ", &[&format[..], &[0; 4]].concat()), chunk(b"data", &data)]),
        ),
        ("extended", wave(b"RIFF", &[chunk(b"fmt ", &extended(16, 22)), chunk(b"data", &data)])),
        ("extended, odd", wave(b"RIFF", &[chunk(b"fmt ", &extended(0, 4)), chunk(b"data", &data)])),
        ("chunks before", wave(b"RIFF", &[other.clone(), chunk(b"fmt ", &format), chunk(b"data", &data)])),
        ("chunks behind", wave(b"RIFF", &[chunk(b"fmt ", &format), chunk(b"data", &data), other])),
    ];
    for (name, bytes) in kinds {
        let audio = read_bytes(&bytes).unwrap_or_else(|e| panic!("{name}: {e}"));
        assert!(holds(&audio, &samples), "{name}");
    }
    // Sony's: identifiers of sixteen bytes, lengths of eight that count their own header.
    let id = |kind: &[u8; 4], rest: [u8; 12]| [&kind[..], &rest].concat();
    let tail = [0xf3, 0xac, 0xd3, 0x11, 0x8c, 0xd1, 0, 0xc0, 0x4f, 0x8e, 0xdb, 0x8a];
    let riff = [0x2e, 0x91, 0xcf, 0x11, 0xa5, 0xd6, 0x28, 0xdb, 4, 0xc1, 0, 0];
    let part = |kind: &[u8; 4], content: &[u8]| {
        [&id(kind, tail)[..], &(24 + content.len() as u64).to_le_bytes(), content].concat()
    };
    let body = [id(b"wave", tail), part(b"fmt ", &format), part(b"data", &data)].concat();
    let wave64 = [&id(b"riff", riff)[..], &(24 + body.len() as u64).to_le_bytes(), &body].concat();
    assert!(holds(&read_bytes(&wave64).unwrap(), &samples));
}

#[test]
fn flac_of_unknown_length_is_whole_or_cut_off() {
    let mut song = flac(44_100, 60_000);
    // No length and no checksum, as an encoder writes into a pipe.
    song[21] &= 0xf0;
    song[22..42].fill(0);
    assert_eq!(read_bytes(&song).unwrap().frames(), 60_000);
    for part in [song.len() / 2, song.len() / 3, song.len() - 40] {
        let error = refusal(&song[..part]);
        assert!(matches!(error, DecodeError::Truncated { .. }), "{part}: {error}");
    }
}

#[test]
fn flac_behind_a_block_with_too_short_a_length_is_found() {
    let song = flac(44_100, 20_000);
    // STREAMINFO is not the last block any more; a padding block of ten bytes has thirty.
    let head = [&song[..4], &[0], &song[5..42], &[0x81, 0, 0, 10], &[7; 30]].concat();
    assert_eq!(read_bytes(&[head, song[42..].to_vec()].concat()).unwrap().frames(), 20_000);
}

#[test]
fn a_late_last_stamp_of_vorbis_is_no_missing_music() {
    let mut song = song_bytes("tone.ogg");
    let last = song.windows(4).rposition(|w| w == b"OggS").unwrap();
    song[last + 6..last + 14].copy_from_slice(&30_000u64.to_le_bytes());
    song[last + 22..last + 26].fill(0);
    let crc = song[last..].iter().fold(0u32, |crc, &byte| {
        (0..8).fold(
            crc ^ u32::from(byte) << 24,
            |c, _| if c >> 31 == 1 { c << 1 ^ 0x04c1_1db7 } else { c << 1 },
        )
    });
    song[last + 22..last + 26].copy_from_slice(&crc.to_le_bytes());
    let frames = read_bytes(&song).unwrap().frames();
    assert!((22_050..24_000).contains(&frames), "{frames}");
}

#[test]
fn a_float_file_with_the_wrong_scale_is_no_music() {
    let spec = hound::WavSpec {
        channels: 1,
        sample_rate: 44_100,
        bits_per_sample: 32,
        sample_format: hound::SampleFormat::Float,
    };
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("scaled.wav");
    let mut writer = hound::WavWriter::create(&path, spec).unwrap();
    samples(10_000, 3).iter().for_each(|&s| writer.write_sample(f32::from(s)).unwrap());
    writer.finalize().unwrap();
    let error = read(&path).unwrap_err();
    assert!(matches!(error, DecodeError::Implausible { .. }), "{error}");
}
