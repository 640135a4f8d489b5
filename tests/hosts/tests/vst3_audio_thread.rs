//! The VST3's audio thread, watched while its host changes everything that a host may change while it plays: it asks
//! neither the kernel nor the allocator for anything, and writes every output. And a bounce that is announced by the
//! blocks alone, against one that is announced before.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used)]

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use rehearsekit_host_tests::{
    guard,
    player::sizes,
    server::Server,
    songs::{Stereo, bits, music, noise, null_db, peak},
    vst3_host::{Block, CLASSES, Played, UNWRITTEN, Vst3},
};

const RATE: u32 = 48_000;
const OK: i32 = 0;

/// Nobody is there, and nothing would be sent there: a bounce with it fails within milliseconds.
const UNTRUSTED: &str = "192.0.2.1:7433";

fn is_written(played: &Played) -> bool {
    let mut samples = played.out.iter().flatten().flatten();
    samples.all(|sample| sample.is_finite() && *sample != UNWRITTEN)
}

#[test]
fn nothing_is_allocated_and_nobody_is_asked_whatever_changes() {
    assert!(guard::enrol(), "this kernel cannot watch system calls");
    for class in CLASSES {
        let mut plugin = Vst3::new(class);
        plugin.configure(&[("server", UNTRUSTED.into()), ("budget_millis", 100.0.into())]);
        plugin.activate(RATE, 512, false);
        let ids =
            ["Bypass", "Vocals Gain", "Drums Mute", "Other Solo", "Part"].map(|name| plugin.param(name));
        let song = music(2_048, RATE);
        let (mut size, mut position, mut failed) = (sizes(5, 2_048), 0, 0);
        for number in 0..3_000_usize {
            if number % 500 == 250 {
                // A project with another latency is opened, and the host does not activate anew, as those made with JUCE.
                plugin.configure(&[("budget_millis", (50.0 + number as f64 / 100.0).into())]);
            }
            let frames = size();
            let offline = number / 100 % 3 == 2;
            let change =
                |at: usize| (ids[(number + at) % ids.len()], (at * 40) as i32, (number % 3) as f64 / 2.0);
            let changes: Vec<_> = (0..number % 4).map(change).collect();
            position = if number % 37 == 0 { -4_000 } else { position + frames as i64 };
            let outputs = [plugin.outputs, 1, 0][number / 7 % 3];
            let block = Block {
                offline,
                outputs,
                changes: &changes,
                position: (number % 11 != 0).then_some(position),
            };
            let played = plugin.block([&song[0][..frames], &song[1][..frames]], block);
            let offences = played.offences;
            // A bounce may wait.
            let is_quiet = if offline { offences.allocations == 0 } else { offences.is_empty() };
            assert!(is_quiet, "{class}, block {number} of {frames}: {offences:?}");
            assert!(is_written(&played), "{class}, block {number} of {frames} was not written");
            assert!(offline || played.result == OK, "{class}, block {number}: {}", played.result);
            failed += usize::from(played.result != OK);
        }
        assert!(failed > 0, "a bounce without a server cannot be exact");
        plugin.deactivate();
    }
}

/// A main thread that never stops asking costs the music nothing: no block is refused, silent or late in the song.
#[test]
fn a_host_that_asks_all_the_time_does_not_disturb_the_music() {
    assert!(guard::enrol(), "this kernel cannot watch system calls");
    let mut plugin = Vst3::new(CLASSES[1]);
    plugin.configure(&[("server", UNTRUSTED.into()), ("budget_millis", 50.0.into())]);
    plugin.activate(RATE, 64, false);
    let (latency, song) = (plugin.latency(), noise(64 * 40_000, 7));
    let (asker, over) = (plugin.asker(), AtomicBool::new(false));
    let mut out: [Vec<f32>; 2] = Default::default();
    std::thread::scope(|scope| {
        let over = &over;
        scope.spawn(move || {
            while !over.load(Relaxed) {
                asker.ask();
            }
        });
        // Also when the test fails.
        let _told = OnDrop(|| over.store(true, Relaxed));
        for at in (0..song[0].len()).step_by(64) {
            let block = Block { offline: false, outputs: plugin.outputs, changes: &[], position: None };
            let played = plugin.block([&song[0][at..at + 64], &song[1][at..at + 64]], block);
            assert_eq!(played.result, OK, "at {at}");
            assert!(played.offences.is_empty(), "at {at}: {:?}", played.offences);
            out.iter_mut().zip(&played.out[0]).for_each(|(out, new)| out.extend_from_slice(new));
        }
    });
    assert!(null_db(&out, latency, &song) < -120.0, "the music has gaps");
}

struct OnDrop<F: FnMut()>(F);

impl<F: FnMut()> Drop for OnDrop<F> {
    fn drop(&mut self) {
        (self.0)();
    }
}

/// Plays a song and silence behind it for as long as the latency, in blocks that say whether they bounce.
fn play(plugin: &Vst3, song: &Stereo, offline: bool) -> Vec<Stereo> {
    let padded = song.clone().map(|mut channel| {
        channel.resize(channel.len() + plugin.latency(), 0.0);
        channel
    });
    let mut out = vec![Stereo::default(); plugin.outputs];
    for at in (0..padded[0].len()).step_by(512) {
        let end = padded[0].len().min(at + 512);
        let block = Block { offline, outputs: plugin.outputs, changes: &[], position: Some(at as i64) };
        let played = plugin.block([&padded[0][at..end], &padded[1][at..end]], block);
        assert_eq!((played.result, played.offences.allocations), (OK, 0), "at {at}");
        assert!(is_written(&played));
        for (out, new) in out.iter_mut().flatten().zip(played.out.iter().flatten()) {
            out.extend_from_slice(new);
        }
    }
    out
}

/// Ardour's export, and whoever else says it in the blocks alone; also the second time, and with live music between.
#[test]
fn a_bounce_that_only_the_blocks_announce_is_a_bounce() {
    assert!(guard::enrol(), "this kernel cannot watch system calls");
    let server = Server::start();
    let song = music(2 * RATE as usize, RATE);
    let ready = |offline| {
        let mut plugin = Vst3::new(CLASSES[1]);
        plugin.configure(&[("server", server.address.as_str().into()), ("budget_millis", 400.0.into())]);
        plugin.activate(RATE, 512, offline);
        plugin
    };
    let announced = play(&ready(true), &song, true);
    assert!(peak(&announced[1][0]) > 0.01, "there are no vocals in it");
    let plugin = ready(false);
    for run in 0..3 {
        play(&plugin, &music(RATE as usize / 4, RATE), false);
        let bounced = play(&plugin, &song, true);
        for (port, (one, other)) in bounced.iter().zip(&announced).enumerate() {
            assert!(bits(one) == bits(other), "bounce {run}: output {port} is not what was announced");
        }
    }
}
