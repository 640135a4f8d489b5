//! What is no song that is read here is called by its own name, and never decoded as something else.
#![allow(clippy::unwrap_used)]

mod common;

use common::*;
use rehearsekit_media::DecodeError;

/// `head`, and noise behind it in which other formats' beginnings may stand.
fn behind(head: &[u8]) -> Vec<u8> {
    let noise: Vec<u8> = samples(30_000, 11).iter().map(|s| (s >> 2) as u8).collect();
    let mut out = [head, &noise].concat();
    // Frames of MP3 and a WAV header lie in the middle, as they may in any compressed file.
    out.extend(silent_mp3_frame(9).repeat(3));
    out.extend(wav(&samples(100, 1), 2));
    out.extend(&noise);
    out
}

#[test]
fn sound_that_needs_help_is_called_by_its_name() {
    let heads: [(&[u8], &str); 14] = [
        (b"wvpk\0\0\0\0\x10\x04", "WavPack"),
        (b"MAC \x96\x0f", "Monkey's Audio"),
        (b"tBaK", "TAK"),
        (b"MPCKSH", "Musepack"),
        (b"TTA1\x01\0", "True Audio"),
        (b"DSD \x1c\0\0\0", "DSD"),
        (b"\x30\x26\xb2\x75\x8e\x66\xcf\x11\xa6\xd9", "Windows Media"),
        (b"\x0b\x77\x11\x22\x14\x40", "AC-3"),
        (b"\x7f\xfe\x80\x01\xfc\x3c", "DTS"),
        (b".RMF\0\0\0\x12", "RealAudio"),
        (b"#!AMR\n", "AMR"),
        (b"FLV\x01\x04", "Flash video"),
        (b"OFR \x0f\0\0\0", "OptimFROG"),
        (b"RIFF\0\0\x10\0AVI LIST", "AVI"),
    ];
    for (head, name) in heads {
        let error = refusal(&behind(head));
        // With a helper installed it is the helper that finds nothing behind this head.
        assert!(
            matches!(error, DecodeError::Unsupported { .. } | DecodeError::Ffmpeg { .. }),
            "{name}: {error}"
        );
        let text = error.to_string();
        assert!(
            text.contains(name) && (text.contains("ffmpeg") || text.contains("convert it")),
            "{name}: {text}"
        );
    }
    let speex = {
        let mut page = b"OggS\0\x02\0\0\0\0\0\0\0\0\x01\0\0\0\0\0\0\0\0\0\0\0\x01\x50Speex   1.2".to_vec();
        page.resize(28 + 80, 0);
        let crc = page.iter().fold(0u32, |crc, &byte| {
            (0..8).fold(
                crc ^ u32::from(byte) << 24,
                |c, _| if c >> 31 == 1 { c << 1 ^ 0x04c1_1db7 } else { c << 1 },
            )
        });
        page[22..26].copy_from_slice(&crc.to_le_bytes());
        page
    };
    let text = refusal(&speex).to_string();
    assert!(text.contains("Speex"), "{text}");
}

#[test]
fn what_is_no_sound_is_called_by_its_name() {
    let heads: [(&[u8], &str); 14] = [
        (b"\xff\xd8\xff\xe0\0\x10JFIF", "a JPEG picture"),
        (b"\x89PNG\r\n\x1a\n", "a PNG picture"),
        (b"GIF89a", "a GIF picture"),
        (b"RIFF\0\0\x10\0WEBPVP8 ", "a WebP picture"),
        (b"\0\0\0\x18ftypheic\0\0\0\0", "a HEIC picture"),
        (b"%PDF-1.7\n", "a PDF document"),
        (b"PK\x03\x04\x14\0", "a ZIP archive"),
        (b"\x1f\x8b\x08\0", "a gzip archive"),
        (b"7z\xbc\xaf\x27\x1c", "a 7-Zip archive"),
        (b"Rar!\x1a\x07", "a RAR archive"),
        (b"MThd\0\0\0\x06", "a MIDI file"),
        (b"\x7fELF\x02\x01", "a program"),
        (b"SQLite format 3\0", "a database"),
        (b"FICHIER GUITAR PRO v3", "a Guitar Pro score"),
    ];
    for (head, name) in heads {
        let error = refusal(&behind(head));
        assert!(matches!(error, DecodeError::NotAudio { .. }), "{name}: {error}");
        assert!(error.to_string().contains(name), "{name}: {error}");
    }
    let texts = [
        (
            "\u{feff}\n<!DOCTYPE html>\n<html><head><title>404 Not Found</title></head></html>",
            "a saved web page",
        ),
        ("<html><body>Not found</body></html>", "a saved web page"),
        ("#EXTM3U\n#EXTINF:123,Somebody\nsong.mp3\n", "a playlist"),
        ("FILE \"song.wav\" WAVE\n  TRACK 01 AUDIO\n", "a cue sheet"),
        ("version https://git-lfs.github.com/spec/v1\noid sha256:00\n", "a Git LFS pointer"),
        ("<?xml version=\"1.0\"?><a/>", "an XML document"),
        ("Wörter für den neuen Song\n", "a text"),
    ];
    for (text, name) in texts {
        let error = refusal(text.repeat(3).as_bytes());
        assert!(matches!(error, DecodeError::NotAudio { .. }), "{name}: {error}");
        assert!(error.to_string().contains(name), "{name}: {error}");
    }
    let zeros = refusal(&vec![0; 200_000]).to_string();
    assert!(zeros.contains("nothing but zero bytes"), "{zeros}");
}

#[test]
fn a_picture_s_or_archive_s_bytes_are_not_searched_for_sound() {
    // Forty frames in a row would be a song anywhere else.
    for head in [&b"PK\x03\x04"[..], b"\xff\xd8\xff\xe0", b"wvpk", b"%PDF"] {
        let error = refusal(&[head, &silent_mp3_frame(9).repeat(40)].concat());
        assert!(!matches!(error, DecodeError::Corrupt { .. } | DecodeError::Truncated { .. }), "{error}");
    }
}
