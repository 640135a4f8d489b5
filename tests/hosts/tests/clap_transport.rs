//! The CLAP under a playhead that stops, seeks, loops and follows a tempo map; and a main thread that saves, loads and
//! asks while the audio thread plays.
#![allow(clippy::unwrap_used)]

use std::sync::atomic::Ordering::SeqCst;

use clack_extensions::{params::PluginParams, state::PluginState};
use rehearsekit_host_tests::{
    player::{Player, Playhead, sizes},
    server::Server,
    songs::{Stereo, bits, music, music_at, noise, null_db, peak},
    track::{MAIN, STEMS, Track},
};
use serde_json::json;

const RATE: u32 = 44_100;
const BLOCK: usize = 441;
const VOCALS: usize = 1;
/// What playout fades and bridges at a time.
const SLOT: usize = 64;

/// One bounce of `song` with `script(block, playhead)` before every block.
fn bounce(
    server: &Server,
    song: &Stereo,
    script: impl Fn(usize, &mut Playhead) + Send + Sync,
) -> Vec<Stereo> {
    let mut track = Track::new(STEMS);
    track.point_at(&server.address, 600.0);
    track.set_offline(true);
    track.activate(RATE, BLOCK as u32);
    track.play(|player| {
        player.offline = true;
        player.playhead = Some(Playhead { playing: true, position: 0, tempo: 120.0, beats: 0.0 });
        let silence = vec![0.0; BLOCK];
        for (index, at) in (0..song[0].len() + player.latency).step_by(BLOCK).enumerate() {
            script(index, player.playhead.as_mut().unwrap());
            let block = [0, 1].map(|c| song[c].get(at..at + BLOCK).unwrap_or(&silence));
            player.block(block).unwrap();
        }
        std::mem::take(&mut player.out)
    })
}

/// Frames of the first `SLOT`s in which there are no vocals although there is music.
fn bridged(out: &[Stereo], from: usize) -> Option<usize> {
    let [main, vocals] = [&out[0][0], &out[VOCALS][0]];
    (from..main.len().saturating_sub(SLOT))
        .step_by(SLOT)
        .find(|&at| peak(&vocals[at..at + SLOT]) == 0.0 && peak(&main[at..at + SLOT]) > 1e-3)
}

#[test]
fn tempo_changes_and_stops_are_no_seeks_and_seeks_keep_the_time() {
    let server = Server::start();
    let song = music(4 * RATE as usize, RATE);
    let latency = RATE as usize * 6 / 10;
    let plain = bounce(&server, &song, |_, _| {});
    assert!(null_db(&plain[0], latency, &song) < -120.0);
    assert_eq!(bridged(&plain, latency), None);

    let walk = bounce(&server, &song, |block, playhead| match block {
        // A tempo map: the beats go on, faster, and slower.
        60 => playhead.tempo = 187.3,
        120 => playhead.tempo = 60.0,
        // Stopped for half a second: what comes in is music all the same. It starts again where it stood.
        200 => playhead.playing = false,
        250 => playhead.playing = true,
        _ => {}
    });
    for (one, other) in walk.iter().zip(&plain) {
        assert!(bits(one) == bits(other), "something of that interrupted the music");
    }

    let seeks = bounce(&server, &song, |block, playhead| match block {
        150 => playhead.position = -2 * i64::from(RATE),
        170 => (playhead.position, playhead.beats) = (1_000_000, 333.25),
        // A loop of 200 ms.
        200..=320 if block % 20 == 0 => (playhead.position, playhead.beats) = (88_200, 4.0),
        _ => {}
    });
    let null = null_db(&seeks[0], latency, &song);
    assert!(null < -120.0, "{null} dB: nothing was moved or lost by seeks");
    assert_eq!(bridged(&seeks, latency), None, "in a bounce nothing is bridged");
    assert!(seeks[VOCALS] != plain[VOCALS], "a seek begins with the context it has");
    let before = latency + 150 * BLOCK - 30_000;
    assert!(seeks[VOCALS][0][..before] == plain[VOCALS][0][..before], "and changes nothing long before");
    // A host that says nothing of a playhead plays all the same.
    let mut track = Track::new(MAIN);
    track.set_offline(true);
    track.point_at(&server.address, 600.0);
    track.activate(RATE, BLOCK as u32);
    let out = track.play(|player| {
        player.offline = true;
        player.render(&song, || BLOCK);
        std::mem::take(&mut player.out)
    });
    assert!(bits(&out[0]) == bits(&plain[0]));
}

/// Eight turns of a loop over a voice that is muted, at real-time pace: not once is the mix heard in place of what is
/// left of it. (A busy machine may be late; then it is given more turns, until eight in a row were good.)
#[test]
fn a_loop_over_the_muted_vocal_never_lets_it_through() {
    const LOOP: usize = 20;
    let server = Server::start();
    let mut track = Track::new(STEMS);
    track.point_at(&server.address, 1_000.0);
    track.set(&[("Vocals Mute", 1.0)]);
    track.activate(RATE, BLOCK as u32);
    // The song under the playhead: a turn is the same second-long piece, not a multiple of anything.
    let turn = LOOP * 5 * BLOCK + 5 * 77;
    let song = |position: u64, channel: usize| music_at(position % turn as u64, RATE, channel);
    let turns = track.play(|player| {
        player.playhead = Some(Playhead { playing: true, position: 0, tempo: 120.0, beats: 0.0 });
        // Stem outputs are behind the mute: what tells is whether the main output is the song with its voice.
        let lets_through = |player: &Player, from: usize| {
            let (main, latency) = (&player.out[0][0], player.latency);
            (from.max(latency)..main.len().saturating_sub(SLOT)).step_by(SLOT).any(|at| {
                let dry = |i: usize| song((i - latency) as u64, 0);
                let is_song = (at..at + SLOT).all(|i| (main[i] - dry(i)).abs() < 1e-6);
                is_song && peak(&main[at..at + SLOT]) > 1e-3
            })
        };
        player.play_until("live", BLOCK, song, |player| {
            let heard = player.out[0][0].len();
            heard > player.latency + 20 * BLOCK && !lets_through(player, heard - 10 * BLOCK)
        });
        let (mut good, mut turns) = (0, 0);
        while good < 8 {
            turns += 1;
            assert!(turns < 120, "no eight turns in a row");
            let from = player.played() as usize;
            let end = player.played() + turn as u64 - 5 * 77;
            player.play_until("the turn's end", BLOCK, song, |player| player.played() >= end);
            player.play_until("the rest", 77, song, |player| player.played() >= end + 5 * 77);
            // Back to the loop's start.
            let playhead = player.playhead.as_mut().unwrap();
            (playhead.position, playhead.beats) = (0, 0.0);
            good = if lets_through(player, from) { 0 } else { good + 1 };
        }
        turns
    });
    println!("{turns} turns for eight good ones");
}

/// Another budget while it plays: the old latency stays to the frame until the host restarts, as it was asked to.
#[test]
fn another_latency_comes_with_a_restart_and_not_before() {
    let server = Server::start();
    let song = noise(RATE as usize, 9);
    let mut track = Track::new(MAIN);
    track.point_at(&server.address, 250.0);
    track.activate(RATE, 512);
    let old = track.latency();
    assert_eq!(old, 11_025);
    let (restarts, changes) = (track.log.restarts.load(SeqCst), track.log.latency_changes.load(SeqCst));
    track.configure(&[("budget_millis", json!(400.0))]);
    assert_eq!(track.log.restarts.load(SeqCst), restarts + 1, "the host is asked for a restart");
    assert_eq!(track.log.latency_changes.load(SeqCst), changes, "and told of nothing while it is active");
    let play = |track: &mut Track| {
        track.play(|player| {
            player.render(&song, sizes(5, 512));
            (player.latency, std::mem::take(&mut player.out))
        })
    };
    let (_, out) = play(&mut track);
    assert!(null_db(&out[0], old as usize, &song) < -120.0, "what runs keeps its latency");
    track.restart();
    assert_eq!(track.latency(), 17_640);
    assert!(track.log.latency_changes.load(SeqCst) > changes, "told inside of activate");
    let (latency, out) = play(&mut track);
    assert!(null_db(&out[0], latency, &song) < -120.0);
    assert_eq!(track.log.wrong(), Vec::<String>::new());
}

/// The main thread loads projects, saves them and asks for values and texts while the audio thread plays, which never
/// waits for any of it (the guard sees a lock that is waited for).
#[test]
fn the_main_thread_works_while_the_audio_thread_plays() {
    let server = Server::start();
    let mut track = Track::new(MAIN);
    track.point_at(&server.address, 250.0);
    let states: Vec<Vec<u8>> = [0.1, 0.9, 0.875]
        .map(|gain| {
            track.set(&[("Vocals Gain", gain), ("Other Gain", 1.0 - gain), ("Drums Mute", gain.round())]);
            track.save()
        })
        .to_vec();
    track.activate(RATE, 256);
    let gain = track.param("Vocals Gain").0;
    let (mut turn, mut loads) = (0, 0);
    track.play_beside(
        |player| {
            player.play_until("three seconds", 256, |p, c| music_at(p, RATE, c), |p| p.played() > 132_300)
        },
        |instance| {
            let plugin = instance.plugin_handle();
            let (state, params) = (
                plugin.get_extension::<PluginState>().unwrap(),
                plugin.get_extension::<PluginParams>().unwrap(),
            );
            turn += 1;
            match turn % 3 {
                0 => {
                    state.load(&plugin, &mut states[turn / 3 % 3].as_slice()).unwrap();
                    loads += 1;
                }
                1 => state.save(&plugin, &mut Vec::new()).unwrap(),
                _ => {
                    let value = params.get_value(&plugin, gain).unwrap();
                    assert!([0.1, 0.9, 0.875].iter().any(|gain| (value - gain).abs() < 1e-6), "{value}");
                    let mut text = [0; 64];
                    let text = params.value_to_text(&plugin, gain, value, &mut text).unwrap();
                    assert!(text.ends_with(b"dB"), "{}", String::from_utf8_lossy(text));
                }
            }
        },
    );
    assert!(loads > 50, "{loads} loads");
    // What was loaded last is what it is.
    let last = turn / 3 % 3;
    assert!((track.param("Vocals Gain").1 - [0.1, 0.9, 0.875][last]).abs() < 1e-6);
}
