//! Piece by piece: pipes that are opened once, memory that does not grow, and jumps to the frame.
#![allow(clippy::unwrap_used)]

mod common;

use std::{
    alloc::{GlobalAlloc, Layout, System},
    cell::Cell,
    fs,
    io::{self, Read, Write},
    path::Path,
    process::Command,
    thread,
};

use common::*;
use rehearsekit_media::{DecodeError, Song};

thread_local! {
    /// Bytes of this thread alone: now, and the most there were.
    static NOW: Cell<isize> = const { Cell::new(0) };
    static MOST: Cell<isize> = const { Cell::new(0) };
}

struct Counting;

fn count(bytes: isize) {
    NOW.set(NOW.get() + bytes);
    MOST.set(MOST.get().max(NOW.get()));
}

#[allow(unsafe_code, reason = "an allocator is an unsafe trait; this one only counts and passes on")]
// SAFETY: every call goes unchanged to the system's allocator, which keeps the trait's contract; counting
// touches nothing but thread-local numbers that need neither memory nor a destructor.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size() as isize);
        // SAFETY: the caller's promise about `layout` is the one `System` asks for.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        count(-(layout.size() as isize));
        // SAFETY: `pointer` came from `System` with this `layout`, through `alloc` above.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Reads `song` to its end and gives its frames, and the most bytes that were held meanwhile.
fn run(mut song: Song) -> (u64, isize) {
    let mut block = Vec::new();
    MOST.set(NOW.get());
    let before = NOW.get();
    while song.next_block(&mut block).unwrap().is_some() {}
    (song.position(), MOST.get() - before)
}

/// A head, and a piece that is repeated.
struct Endless {
    head: Vec<u8>,
    piece: Vec<u8>,
    at: usize,
    length: usize,
}

impl Read for Endless {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = buffer.len().min(self.length - self.at);
        for byte in &mut buffer[..count] {
            *byte = match self.head.get(self.at) {
                Some(&byte) => byte,
                None => self.piece[(self.at - self.head.len()) % self.piece.len()],
            };
            self.at += 1;
        }
        Ok(count)
    }
}

fn endless(head: Vec<u8>, piece: Vec<u8>, times: usize) -> Song {
    let length = head.len() + piece.len() * times;
    Song::from_reader(Path::new("pipe"), Box::new(Endless { head, piece, at: 0, length })).unwrap()
}

#[test]
fn memory_does_not_grow_with_the_song() {
    let samples = samples(44_100 * 2, 1);
    let header = wav_with_lengths(&[], u32::MAX, u32::MAX);
    for seconds in [10, 1_200] {
        let (frames, most) = run(endless(header.clone(), little(&samples), seconds));
        assert_eq!(frames, seconds as u64 * 44_100);
        assert!(most < 1 << 20, "WAV of {seconds} s: {most} bytes");
    }
    for count in [400, 50_000] {
        let (frames, most) = run(endless(Vec::new(), silent_mp3_frame(9), count));
        assert_eq!(frames, count as u64 * 1_152);
        assert!(most < 1 << 20, "MP3 of {count} frames: {most} bytes");
    }
    // Ogg in a chain, FLAC end to end.
    for times in [2, 40] {
        let (frames, most) = run(endless(Vec::new(), song_bytes("tone.ogg"), times));
        assert_eq!(frames, times as u64 * 22_050);
        assert!(most < 4 << 20, "Vorbis {times} times: {most} bytes");
    }
}

#[cfg(unix)]
#[test]
fn a_named_pipe_is_opened_once_and_read_to_its_end() {
    let folder = tempfile::tempdir().unwrap();
    let noise = samples(60_000, 3);
    let songs = [
        ("wav", wav(&noise, 2)),
        ("mp3", song_bytes("tone.mp3")),
        ("ogg", song_bytes("tone.ogg")),
        ("opus", song_bytes("tone.opus")),
        ("aac", song_bytes("tone.aac")),
        ("webm", song_bytes("tone.webm")),
        // Its table of contents stands at the end.
        ("m4a", song_bytes("tone-alac.m4a")),
    ];
    for (name, bytes) in songs {
        let pipe = folder.path().join(name);
        assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        let expected = read_bytes(&bytes).unwrap();
        let writer = thread::spawn({
            let pipe = pipe.clone();
            // A second opening would wait for a second writer for ever.
            move || fs::File::options().write(true).open(pipe).unwrap().write_all(&bytes)
        });
        let audio = read(&pipe).unwrap_or_else(|e| panic!("{name}: {e}"));
        writer.join().unwrap().unwrap();
        assert!(audio.channels() == expected.channels(), "{name} sounds otherwise through a pipe");
    }
}

#[test]
fn a_jump_is_exact_to_the_frame() {
    let folder = tempfile::tempdir().unwrap();
    let long = |name: &str, times: usize| (name.to_owned(), song_bytes(name).repeat(times));
    let untagged: Vec<u8> = song_bytes("tone-without-tag.mp3").repeat(6);
    let songs = [
        ("noise.wav".to_owned(), wav(&samples(200_000, 3), 2), 0.0),
        ("long.mp3".to_owned(), untagged, 1e-3),
        ("tone.mp3".to_owned(), song_bytes("tone.mp3"), 1e-3),
        ("tone-alac.m4a".to_owned(), song_bytes("tone-alac.m4a"), 0.0),
        ("tone-aac.m4a".to_owned(), song_bytes("tone-aac.m4a"), 1e-3),
        (long("tone.ogg", 3).0, long("tone.ogg", 3).1, 0.0),
        ("tone.opus".to_owned(), song_bytes("tone.opus"), 0.0),
        ("tone.webm".to_owned(), song_bytes("tone.webm"), 0.0),
    ];
    for (name, bytes, tolerance) in songs {
        let path = folder.path().join(&name);
        fs::write(&path, bytes).unwrap();
        let whole = read(&path).unwrap();
        let mut song = Song::open(&path).unwrap();
        let mut block = Vec::new();
        let end = whole.frames() as u64;
        // Ahead, back, to the beginning, and to where it was.
        for frame in [end / 2, end / 3, end * 9 / 10, 0, 1_000, end - 1, end / 2] {
            song.seek(frame).unwrap_or_else(|e| panic!("{name} to {frame}: {e}"));
            assert_eq!(song.position(), frame);
            let mut at = frame as usize;
            while at < whole.frames().min(frame as usize + 5_000) {
                let count = song.next_block(&mut block).unwrap().unwrap();
                for (channel, whole) in block.iter().zip(whole.channels()) {
                    let differs = channel
                        .iter()
                        .zip(&whole[at..at + count])
                        .position(|(a, b)| (a - b).abs() > tolerance);
                    assert_eq!(differs, None, "{name}: at {at} after a jump to {frame}");
                }
                at += count;
            }
        }
        song.seek(end + 10).unwrap();
        assert!(song.next_block(&mut block).unwrap().is_none(), "{name} goes on behind its end");
    }
}

#[test]
fn a_song_tells_beforehand_how_long_it_will_be_where_its_file_says_so() {
    for name in ["tone.mp3", "tone.ogg", "tone.opus", "tone.webm", "tone-aac.m4a", "tone-alac.m4a"] {
        let path = song(name);
        let hint = Song::open(&path).unwrap().expected_frames().unwrap() as i64;
        let frames = read(&path).unwrap().frames() as i64;
        // A table's last packet and a duration in milliseconds are rounded.
        assert!((hint - frames).abs() < 1_024, "{name}: {hint} told, {frames} came");
    }
}

#[test]
fn a_pipe_has_no_way_back_and_says_so() {
    let mut song = endless(wav_with_lengths(&[], u32::MAX, u32::MAX), little(&samples(2_000, 1)), 100);
    let mut block = Vec::new();
    song.seek(50_000).unwrap();
    song.next_block(&mut block).unwrap();
    assert!(matches!(song.seek(10).unwrap_err(), DecodeError::NoWayBack(_)));
}
