//! Instances come and go and leave nothing behind, also while a connection is being tried. One test alone in its
//! process: it counts the process's threads.

mod common;

use std::time::{Duration, Instant};

use common::Deaf;
use rehearsekit_plugin_engine::{AudioSetup, Instance, LinkView, Settings, network};

#[cfg(target_os = "linux")]
fn threads() -> usize {
    std::fs::read_dir("/proc/self/task").map_or(0, Iterator::count)
}

#[cfg(not(target_os = "linux"))]
fn threads() -> usize {
    0
}

/// Waits until `done`; only a hang reaches the limit.
fn eventually(what: &str, mut done: impl FnMut() -> bool) {
    let began = Instant::now();
    while !done() {
        assert!(began.elapsed() < Duration::from_secs(60), "never {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

#[test]
fn two_hundred_instances_leave_no_thread() {
    let before = threads();
    assert!(before > 0 || cfg!(not(target_os = "linux")));
    assert!(network::unload(Duration::ZERO), "there is nothing to unload");

    // A host that scans: nothing may start.
    let scanned: Vec<Instance> = (0..200).map(|_| Instance::new(Settings::default())).collect();
    scanned.iter().for_each(|instance| assert_eq!(instance.latency_frames(48_000), 12_000));
    assert_eq!(threads(), before);
    drop(scanned);

    let deaf = Deaf::new();
    let began = Instant::now();
    for n in 0..200 {
        let instance = Instance::new(deaf.settings());
        let engine = instance.activate(AudioSetup::new(48_000, 128, n % 2 == 0));
        if n % 50 == 0 {
            eventually("connecting", || instance.view().link == LinkView::Connecting);
        }
        match n % 3 {
            0 => drop((engine, instance)),
            1 => drop((instance, engine)),
            _ => {
                instance.deactivate();
                let again = instance.activate(AudioSetup::new(96_000, 512, false));
                drop((engine, instance, again));
            }
        }
    }
    println!("200 instances in {:?}", began.elapsed());
    // Side by side, on one runtime.
    let many: Vec<_> = (0..20)
        .map(|_| {
            let instance = Instance::new(deaf.settings());
            let engine = instance.activate(AudioSetup::new(48_000, 128, false));
            (instance, engine)
        })
        .collect();
    assert!(!network::unload(Duration::ZERO), "they are still there");
    drop(many);

    // All of them were trying to connect; the library may go nevertheless.
    let began = Instant::now();
    assert!(network::unload(Duration::from_secs(60)));
    println!("unloaded in {:?}", began.elapsed());
    assert_eq!(threads(), before);
}
