//! Coming and going: instances by the hundred, a library that goes while it connects, a session that is closed while a
//! bounce waits, and what a scan costs.
#![allow(clippy::unwrap_used)]
#![allow(unsafe_code)] // A host that breaks the rules calls the C functions.

use std::{
    net::UdpSocket,
    sync::Mutex,
    time::{Duration, Instant},
};

use rehearsekit_host_tests::{
    PATIENCE, bundle, figures, guard,
    songs::music,
    track::{MAIN, STEMS, Track, scan},
};
use serde_json::json;

/// These look at the whole process, so one at a time.
static ALONE: Mutex<()> = Mutex::new(());

fn alone() -> std::sync::MutexGuard<'static, ()> {
    ALONE.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// A server that never says a word.
fn mute() -> (UdpSocket, String) {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = socket.local_addr().unwrap().to_string();
    (socket, address)
}

/// The names of this process's threads that are the plugin's.
fn our_threads() -> Vec<String> {
    let tasks = std::fs::read_dir("/proc/self/task").unwrap();
    let name = |task: std::fs::DirEntry| std::fs::read_to_string(task.path().join("comm")).ok();
    let names = tasks.filter_map(|task| name(task.ok()?));
    names.map(|name| name.trim().to_owned()).filter(|name| name.starts_with("rehearsekit")).collect()
}

fn count(folder: &str) -> usize {
    std::fs::read_dir(folder).unwrap().count()
}

fn resident_kilobytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches("kB").trim().parse().unwrap()
}

fn until(what: &str, mut done: impl FnMut() -> bool) {
    let began = Instant::now();
    while !done() {
        assert!(began.elapsed() < PATIENCE, "never {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn two_hundred_come_and_go_and_leave_nothing() {
    let _alone = alone();
    let (_socket, address) = mute();
    let (entry, _) = scan(&bundle::clap());
    let song = music(1_024, 48_000);
    let mut one = |number: usize| {
        let mut track = Track::of(&entry, if number.is_multiple_of(2) { MAIN } else { STEMS });
        // To nobody, to somebody who never answers, and to a name that does not exist.
        let server = ["127.0.0.1:9", address.as_str(), "no-such-host.invalid:7433"][number % 3];
        track.point_at(server, 100.0);
        // Some never play, as in a scan.
        if !number.is_multiple_of(5) {
            track.activate(48_000, 512);
            track.play(|player| player.block([&song[0][..512], &song[1][..512]]).map(drop)).unwrap();
        }
    };
    (0..10).for_each(&mut one);
    until("quiet", || our_threads().is_empty());
    let (files, live) = (count("/proc/self/fd"), guard::live_bytes());
    let mut course = Vec::new();
    for fifty in 0..4 {
        (50 * fifty..50 * (fifty + 1)).for_each(&mut one);
        until("quiet", || our_threads().is_empty());
        course.push(json!({"resident_kilobytes": resident_kilobytes(), "live_bytes": guard::live_bytes()}));
    }
    assert_eq!(count("/proc/self/fd"), files, "files and sockets are closed");
    figures::keep("life-200-instances", &json!({"live_bytes_before": live, "after_each_fifty": course}));
    if let (Some(before), Some(after)) = (live, guard::live_bytes()) {
        let each = after.saturating_sub(before) / 200;
        // An engine is megabytes, an instance without one tens of kilobytes. (Names and caches of the C library
        // may stay once.)
        assert!(each < 5_000, "{each} bytes of each instance have stayed");
    }
}

#[test]
fn a_library_that_is_unloaded_while_it_connects_takes_its_threads_along() {
    let _alone = alone();
    let (_socket, address) = mute();
    for server in ["127.0.0.1:9", address.as_str(), "no-such-host.invalid:7433"] {
        for wait_millis in [0, 1, 40] {
            let (entry, _) = scan(&bundle::clap());
            let mut tracks: Vec<Track> = (0..3).map(|_| Track::of(&entry, MAIN)).collect();
            for track in &mut tracks {
                track.point_at(server, 100.0);
                track.activate(48_000, 512);
            }
            std::thread::sleep(Duration::from_millis(wait_millis));
            drop(tracks);
            drop(entry);
            // If one were left, it would run in memory that is not there any more.
            until("gone", || our_threads().is_empty());
        }
    }
}

/// A host may end a bounce whose server does not answer; it needs not wait out the plugin's patience of a minute.
#[test]
fn a_session_is_closed_while_a_bounce_waits() {
    let _alone = alone();
    let (_socket, address) = mute();
    let mut track = Track::new(STEMS);
    track.point_at(&address, 100.0);
    track.set_offline(true);
    track.activate(48_000, 512);
    let song = music(512, 48_000);
    let began = Instant::now();
    let mut told = false;
    let failed = track.play_beside(
        |player| {
            player.offline = true;
            // It blocks as soon as a stem is due.
            for _ in 0..1_000 {
                if player.block([&song[0], &song[1]]).is_err() {
                    return true;
                }
            }
            false
        },
        |instance| {
            if !told && began.elapsed() > Duration::from_millis(300) {
                told = true;
                let plugin = instance.raw_instance();
                // SAFETY: the plugin is active. A host must not do this during process(); hosts do.
                unsafe { plugin.deactivate.unwrap()(plugin) };
                // SAFETY: not active any more; clack will deactivate it once more.
                assert!(unsafe { plugin.activate.unwrap()(plugin, 48_000.0, 1, 512) });
            }
        },
    );
    let waited = began.elapsed();
    figures::keep("life-bounce-closed", &json!({"seconds": waited.as_secs_f64()}));
    assert!(failed, "the bounce says that it failed");
    assert!(waited < Duration::from_secs(45), "it waited out its patience: {waited:?}");
    drop(track);
    until("gone", || our_threads().is_empty());
}

/// Recorded, not judged: `cargo xtask bench plugin` does the same with optimisations.
#[test]
fn scanning_and_making_needs_no_server() {
    let _alone = alone();
    let (_socket, address) = mute();
    let mut figures = Vec::new();
    for (server, name) in [("127.0.0.1:9", "nobody there"), (address.as_str(), "never answers")] {
        let began = Instant::now();
        let (entry, ids) = scan(&bundle::clap());
        let scanned = began.elapsed();
        assert_eq!(ids, [MAIN, STEMS]);
        let mut track = Track::of(&entry, MAIN);
        let made = began.elapsed();
        assert_eq!(our_threads(), Vec::<String>::new(), "no thread and no socket before it is activated");
        track.point_at(server, 250.0);
        let before = Instant::now();
        track.activate(48_000, 512);
        let activated = before.elapsed();
        drop(track);
        drop(entry);
        until("gone", || our_threads().is_empty());
        figures.push(json!({
            "server": name,
            "scan_millis": scanned.as_secs_f64() * 1e3,
            "scan_and_instantiate_millis": made.as_secs_f64() * 1e3,
            "activate_millis": activated.as_secs_f64() * 1e3,
        }));
    }
    figures::keep("life-scan", &json!(figures));
}
