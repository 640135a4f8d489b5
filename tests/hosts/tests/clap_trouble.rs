//! A server in trouble while a real-time host plays: killed, restarted, standing still, at half speed. The sound never
//! tears, comes back by itself, and the audio thread never pays for it.
#![allow(clippy::unwrap_used)]

use rehearsekit_host_tests::{
    figures,
    player::{Player, Playhead},
    server::Server,
    songs::{peak, steepest},
    track::{STEMS, Track},
};
use serde_json::{Value, json};

const RATE: u32 = 48_000;
const BLOCK: usize = 128;
const VOCALS: usize = 1;
const SECOND: u64 = RATE as u64;
/// Playout fades over this many frames.
const FADE: f32 = 64.0;

/// Low voices, so that a tear is steeper than anything in the song.
fn song(position: u64, channel: usize) -> f32 {
    let t = position as f64 / f64::from(RATE);
    let tone = |hz: f64| (std::f64::consts::TAU * hz * t).sin();
    let swell = 0.6 + 0.4 * tone(0.7);
    (swell * (0.25 * tone(220.0 + 3.0 * channel as f64) + 0.15 * tone(330.0) + 0.1 * tone(440.0))) as f32
}

/// Whether the stems of the last tenth of a second are all there, or none of them.
fn stems(player: &Player) -> (bool, bool) {
    let vocals = &player.out[VOCALS][0];
    let Some(newest) = vocals.len().checked_sub(4_800).filter(|&from| from > player.latency) else {
        return (false, false);
    };
    let there = vocals[newest..].chunks(64).map(|slot| peak(slot) > 0.0);
    let count = there.clone().count();
    let there = there.filter(|&there| there).count();
    (there == count, there == 0)
}

fn until_live(player: &mut Player) {
    player.play_until("live", BLOCK, song, |player| stems(player).0);
}

fn for_seconds(player: &mut Player, seconds: u64) {
    let end = player.played() + seconds * SECOND;
    player.play_until("the end of that", BLOCK, song, |player| player.played() >= end);
}

/// Every step of every output against the steepest that song, stems and a cross-fade can make.
fn check(player: &Player) -> Value {
    let latency = player.latency;
    let dry: Vec<f32> = (0..player.played()).map(|position| song(position, 0)).collect();
    // Behind the start, where the silence of the latency ends.
    let from = latency + 64;
    let limit = 2.0 * steepest(&dry) + 4.0 * peak(&dry) / FADE;
    let mut worst = 0.0f32;
    for (port, out) in player.out.iter().enumerate() {
        let step = steepest(&out[0][from..]);
        worst = worst.max(step);
        assert!(step <= limit, "output {port}: a step of {step} is a tear; at most {limit} can be");
    }
    let [main, stems @ ..] = &player.out[..7] else { panic!("seven outputs") };
    let mut bridged = 0;
    for at in from..dry.len() {
        let sum: f32 = stems.iter().map(|stem| stem[0][at]).sum();
        let error = (sum - main[0][at]).abs();
        assert!(error < 1e-5, "the stems do not sum to what is heard at frame {at}: {error} off");
        // Where the voice is away for longer than a fade the mix stands in for it, and nothing has moved it.
        let around = at.saturating_sub(64)..(at + 64).min(dry.len());
        if player.out[VOCALS][0][around].iter().all(|sample| *sample == 0.0) {
            bridged += 1;
            let error = (main[0][at] - dry[at - latency]).abs();
            assert!(error < 1e-5, "the mix is not where it belongs at frame {at}: {error} off");
        }
    }
    assert!(bridged > 0, "the beginning at least");
    let block_seconds = BLOCK as f64 / f64::from(RATE);
    json!({
        "seconds": dry.len() as f64 / f64::from(RATE),
        "largest_step": worst,
        "largest_step_allowed": limit,
        "process_cpu": figures::of_cpu(&player.cpu_nanos, block_seconds),
    })
}

/// A host in the middle of a song: the voice alone is heard, so that every bridge to the mix is a change.
fn playing(address: &str, work: impl FnOnce(&mut Player) + Send) -> Value {
    let mut track = Track::new(STEMS);
    track.point_at(address, 600.0);
    track.set(&[("Other Mute", 1.0)]);
    track.activate(RATE, BLOCK as u32);
    track.play(|player| {
        player.playhead = Some(Playhead { playing: true, position: 0, tempo: 120.0, beats: 0.0 });
        until_live(player);
        work(player);
        check(player)
    })
}

#[test]
fn killed_and_restarted() {
    let mut server = Server::start();
    let address = server.address.clone();
    let figures = playing(&address, move |player| {
        server.kill();
        player.play_until("bridged", BLOCK, song, |player| stems(player).1);
        for_seconds(player, 2);
        // The new one warms up beside the music, which does not wait for it.
        let starting = std::thread::spawn(move || Server::start_at(&server.address));
        player.play_until("started", BLOCK, song, |_| starting.is_finished());
        let _server = starting.join().unwrap();
        until_live(player);
        for_seconds(player, 1);
    });
    figures::keep("server-killed", &figures);
}

#[test]
fn standing_still() {
    let server = Server::start();
    let figures = playing(&server.address, |player| {
        server.stand_still(true);
        player.play_until("bridged", BLOCK, song, |player| stems(player).1);
        // Long enough to be given up (500 ms), and to be forgotten.
        for_seconds(player, 3);
        server.stand_still(false);
        until_live(player);
        for_seconds(player, 1);
        // Shorter than anybody notices but the ear.
        server.stand_still(true);
        for_seconds(player, 1);
        server.stand_still(false);
        until_live(player);
        for_seconds(player, 1);
    });
    figures::keep("server-standing-still", &figures);
}

#[test]
fn at_half_speed() {
    let server = Server::start();
    let figures = playing(&server.address, |player| {
        let slow = server.half_speed();
        for_seconds(player, 5);
        drop(slow);
        until_live(player);
        for_seconds(player, 1);
    });
    figures::keep("server-at-half-speed", &figures);
}
