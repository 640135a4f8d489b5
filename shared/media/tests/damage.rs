//! Damage of every kind: no panic, no endless loop, and never a shorter song for a whole one.
#![allow(clippy::unwrap_used)]

mod common;

use std::panic;

use common::*;
use rehearsekit_media::DecodeError;

/// Every format in small.
fn all() -> Vec<(&'static str, Vec<u8>)> {
    let noise = samples(6_000, 3);
    let mut songs: Vec<(&str, Vec<u8>)> = [
        "tone.mp3",
        "tone-without-tag.mp3",
        "tone.ogg",
        "tone.opus",
        "tone.webm",
        "tone.aac",
        "tone-aac.m4a",
        "tone-alac.m4a",
        "tone-fragments.mp4",
    ]
    .map(|name| (name, song_bytes(name)))
    .to_vec();
    songs.push(("wav", wav(&noise, 2)));
    songs.push(("flac", flac()));
    songs
}

fn flac() -> Vec<u8> {
    flac_of(44_100, &samples(20_000, 5))
}

/// A random number below `below`, the same every time.
fn dice(state: &mut u64, below: usize) -> usize {
    *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    ((*state >> 33) as usize) % below.max(1)
}

#[test]
fn a_song_cut_anywhere_is_refused_or_was_whole() {
    for (name, song) in all() {
        let whole = read_bytes(&song).unwrap().frames();
        let mut state = 1;
        for _ in 0..25 {
            let part = 1 + dice(&mut state, song.len() - 1);
            match read_bytes(&song[..part]) {
                Err(DecodeError::Io { source, .. }) => panic!("{name} at {part}: {source}"),
                Err(_) => {}
                // Bare frames tell nothing of their number: a cut right between two of them cannot be seen.
                Ok(audio) if ["tone-without-tag.mp3", "tone.aac", "tone-fragments.mp4"].contains(&name) => {
                    assert!(audio.frames() <= whole);
                }
                Ok(audio) => {
                    assert!(audio.frames() >= whole, "{name} cut at {part}: {} of {whole}", audio.frames())
                }
            }
        }
    }
}

#[test]
fn a_damaged_song_is_read_or_refused_and_nothing_falls_over() {
    // The decoders' own panics are caught on purpose; what is looked for here is everything else.
    panic::set_hook(Box::new(|_| {}));
    for (name, song) in all() {
        let mut state = 7;
        for round in 0..30 {
            let mut damaged = song.clone();
            // Half of the changes fall into the head, where lengths and tables are.
            let reach = if round % 2 == 0 { damaged.len() } else { damaged.len().min(400) };
            match dice(&mut state, 5) {
                0 => {
                    let at = dice(&mut state, reach);
                    damaged[at] ^= 1 << dice(&mut state, 8);
                }
                1 => {
                    let at = dice(&mut state, reach);
                    let end = (at + 1 + dice(&mut state, 8)).min(damaged.len());
                    damaged[at..end].fill([0, 0xff, 0x7f, 0x80][dice(&mut state, 4)]);
                }
                2 => {
                    let at = dice(&mut state, reach);
                    let end = (at + dice(&mut state, 64)).min(damaged.len());
                    damaged.drain(at..end);
                }
                3 => {
                    let (from, to) = (dice(&mut state, reach), dice(&mut state, damaged.len()));
                    let piece = damaged[from..(from + 100).min(damaged.len())].to_vec();
                    damaged.splice(to..to, piece);
                }
                _ => damaged.truncate(dice(&mut state, reach)),
            }
            let result = panic::catch_unwind(|| read_bytes(&damaged).map(|audio| audio.frames()));
            match result {
                Ok(Ok(frames)) => assert!(frames < 50_000_000, "{name}, round {round}: {frames} frames"),
                Ok(Err(error)) => assert!(error.to_string().len() < 1_000, "{name}, round {round}"),
                Err(_) => {
                    let _ = panic::take_hook();
                    panic!("{name}, round {round}: it fell over");
                }
            }
        }
    }
}
