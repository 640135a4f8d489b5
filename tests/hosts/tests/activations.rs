//! One instance, activated again and again, as hosts do whenever a setting of theirs changes: memory stays flat.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a test says what it saw and could not look at")]

use std::time::{Duration, Instant};

use rehearsekit_host_tests::{
    PATIENCE, figures, guard,
    songs::{Stereo, music},
    track::{STEMS, Track},
    vst3_host::{Block, CLASSES, Vst3},
};
use serde_json::json;

const RATE: u32 = 48_000;
const ACTIVATIONS: u64 = 10_000;
/// Names and caches of the C library, and what grows once.
const WARM: u64 = 500;
/// An activation whose memory stays leaves kilobytes; a list that has doubled once leaves next to nothing of each.
const MOST_BYTES_EACH: u64 = 16;

/// Bytes that are allocated once all links of the activations so far have said goodbye, each of which takes half a
/// second at most.
fn settled_bytes() -> u64 {
    let began = Instant::now();
    let mut least = u64::MAX;
    let mut since = Instant::now();
    while since.elapsed() < Duration::from_secs(2) {
        assert!(began.elapsed() < PATIENCE, "memory never settles");
        let now = guard::live_bytes().unwrap();
        if now < least {
            (least, since) = (now, Instant::now());
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    least
}

fn resident_kilobytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches("kB").trim().parse().unwrap()
}

fn stay_flat(name: &str, mut activate: impl FnMut()) {
    (0..WARM).for_each(|_| activate());
    let (before, resident) = (settled_bytes(), resident_kilobytes());
    let (began, mut peak) = (Instant::now(), 0);
    for _ in 0..ACTIVATIONS {
        activate();
        peak = peak.max(guard::live_bytes().unwrap());
    }
    let seconds = began.elapsed().as_secs_f64();
    let (after, resident_after) = (settled_bytes(), resident_kilobytes());
    let figures = json!({
        "activations": ACTIVATIONS,
        "seconds": seconds,
        "live_bytes": [before, after],
        // What links hold that are still saying goodbye.
        "live_bytes_at_most": peak,
        "resident_kilobytes": [resident, resident_after],
    });
    println!("{name}: {figures}");
    figures::keep(name, &figures);
    let each = after.saturating_sub(before) / ACTIVATIONS;
    assert!(each < MOST_BYTES_EACH, "{each} bytes of each activation have stayed");
}

fn block(song: &Stereo) -> [&[f32]; 2] {
    [&song[0][..256], &song[1][..256]]
}

#[test]
fn a_clap_that_is_activated_ten_thousand_times_keeps_nothing() {
    let song = music(256, RATE);
    let mut track = Track::new(STEMS);
    // The discard port: nobody answers.
    track.point_at("127.0.0.1:9", 20.0);
    stay_flat("activations-clap", || {
        track.activate(RATE, 256);
        track.play(|player| player.block(block(&song)).map(drop)).unwrap();
        track.deactivate();
    });
}

#[test]
fn a_vst3_that_is_activated_ten_thousand_times_keeps_nothing() {
    let song = music(256, RATE);
    let mut plugin = Vst3::new(CLASSES[1]);
    plugin.configure(&[("server", "127.0.0.1:9".into()), ("budget_millis", 20.0.into())]);
    stay_flat("activations-vst3", || {
        plugin.activate(RATE, 256, false);
        let played = Block { offline: false, outputs: plugin.outputs, changes: &[], position: None };
        assert_eq!(plugin.block(block(&song), played).result, 0);
        plugin.deactivate();
    });
}
