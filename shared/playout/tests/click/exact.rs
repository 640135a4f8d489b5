//! Beats of the host, where they truly are.

use proptest::prelude::*;
use rehearsekit_audio::click::Subdivision;

use crate::{
    host::{Deed, Host, Rounding, sizes},
    song::{Part, Song},
};

/// What rounding may add to half a frame.
const ROUNDED: f64 = 2e-3;

const RATES: [u32; 4] = [44_100, 48_000, 96_000, 192_000];
const SUBDIVISIONS: [Subdivision; 4] =
    [Subdivision::Beats, Subdivision::Eighths, Subdivision::Triplets, Subdivision::Sixteenths];

fn meters() -> impl Strategy<Value = (u32, u32)> {
    prop::sample::select(vec![(4, 4), (3, 4), (7, 8), (6, 8), (2, 2), (5, 16), (1, 4)])
}

fn roundings() -> impl Strategy<Value = Rounding> {
    prop::sample::select(vec![Rounding::None, Rounding::Clap])
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn at_one_tempo_whatever_the_latency_and_the_blocks(
        rate_hz in prop::sample::select(RATES.to_vec()),
        bpm in prop_oneof![30.0..300.0f64, prop::sample::select(vec![60.0, 120.0, 125.0, 99.99])],
        meter in meters(),
        rounding in roundings(),
        subdivision in prop::sample::select(SUBDIVISIONS.to_vec()),
        latency_millis in prop_oneof![Just(0u32), 0..2_000u32],
        from in prop_oneof![Just(0i64), -200_000..2_000_000i64],
        says_bar_starts: bool,
        seed: u64,
    ) {
        let mut host = Host::new(Song::steady(rate_hz, bpm, meter), latency_millis * rate_hz / 1_000);
        (host.rounding, host.says_bar_starts) = (rounding, says_bar_starts);
        host.values.subdivision = subdivision;
        let deeds = [Deed::Stop { frames: 1_000 }, Deed::Play { from, frames: 6 * u64::from(rate_hz) }];
        let heard = host.run(&deeds, sizes(seed, 8_192));
        host.check(&heard, &deeds, ROUNDED);
    }

    /// Steps and ramps begin and end anywhere, not where blocks do. A host's next words but one are known in time.
    #[test]
    fn on_steps_and_ramps(
        rate_hz in prop::sample::select(RATES.to_vec()),
        parts in prop::collection::vec((30.0..250.0f64, 0.5..2.5f64, any::<bool>()), 3..7),
        meter in meters(),
        rounding in roundings(),
        subdivision in prop::sample::select(SUBDIVISIONS.to_vec()),
        most in prop::sample::select(vec![64u64, 512, 2_048, 4_096]),
        from in prop_oneof![Just(0i64), 0..50_000i64],
        seed: u64,
    ) {
        let mut song = Song { rate_hz, parts: Vec::new(), meters: vec![(0.0, meter)] };
        for pair in parts.windows(2) {
            let [(bpm, seconds, ramps), (next, ..)] = pair else { unreachable!() };
            let frames = seconds * f64::from(rate_hz) + 0.37;
            song.parts.push(Part { frames, bpm: [*bpm; 2] });
            if *ramps {
                song.parts.push(Part { frames, bpm: [*bpm, *next] });
            }
            song.parts.push(Part { frames, bpm: [*next; 2] });
        }
        let mut host = Host::new(song, 2 * most as u32);
        host.rounding = rounding;
        host.values.subdivision = subdivision;
        let frames = 9 * u64::from(rate_hz);
        let mut heard = host.run(&[Deed::Play { from, frames: frames + most }], sizes(seed, most));
        // What the tempo does in the last block before a stop nobody tells.
        heard.retain(|(frame, _)| *frame < frames + 2 * most);
        host.check(&heard, &[Deed::Play { from, frames }], 0.01);
    }
}

/// The first steps that a musician makes, in blocks of the commonest size: bar lines lie in their very middle.
#[test]
fn a_step_on_a_bar_line_in_the_middle_of_a_block() {
    let part = |frames: f64, bpm: f64| Part { frames, bpm: [bpm; 2] };
    let song = Song {
        rate_hz: 48_000,
        parts: vec![part(96_000.0, 120.0), part(4.0 * 48_000.0, 60.0), part(99_999.0, 180.0)],
        meters: vec![(0.0, (4, 4))],
    };
    for rounding in [Rounding::None, Rounding::Clap] {
        for latency_frames in [1_024, 12_000] {
            let mut host = Host::new(song.clone(), latency_frames);
            host.rounding = rounding;
            let deeds = [Deed::Play { from: 0, frames: 400_000 }];
            let heard = host.run(&deeds, || 512);
            host.check(&heard, &deeds, ROUNDED);
            assert!(heard.contains(&(96_000 + u64::from(latency_frames), 2)));
        }
    }
}

/// From four fourths to seven eighths to three fourths and back, in every cut.
#[test]
fn meters_change_with_the_bar_line() {
    let meters = vec![(0.0, (4, 4)), (8.0, (7, 8)), (15.0, (3, 4)), (18.0, (6, 8)), (24.0, (4, 4))];
    let song = Song { meters, ..Song::steady(44_100, 133.0, (4, 4)) };
    for rounding in [Rounding::None, Rounding::Clap, Rounding::Ticks] {
        for (says_bar_starts, subdivision) in
            [true, false].into_iter().flat_map(|says| SUBDIVISIONS.map(|subdivision| (says, subdivision)))
        {
            for most in [1u64, 64, 512, 8_192] {
                let mut host = Host::new(song.clone(), 2 * most as u32);
                (host.rounding, host.says_bar_starts) = (rounding, says_bar_starts);
                host.values.subdivision = subdivision;
                let deeds = [Deed::Play { from: -50_000, frames: 700_000 }];
                let heard = host.run(&deeds, sizes(most, most));
                // What is counted in ticks is known to half a tick.
                let tolerance = if rounding == Rounding::Ticks { 10.0 } else { ROUNDED };
                host.check(&heard, &deeds, tolerance);
            }
        }
    }
}

/// A new meter may break off a bar of the old one; where it begins is known only from the host's bar start.
#[test]
fn a_bar_is_broken_off() {
    let meters = vec![(0.0, (4, 4)), (5.5, (3, 4)), (10.25, (7, 8)), (12.0, (4, 4)), (18.0, (4, 4))];
    let song = Song { meters, ..Song::steady(48_000, 300.0, (4, 4)) };
    for rounding in [Rounding::None, Rounding::Clap] {
        for most in [64, 512, 8_192] {
            for seed in 0..30 {
                let mut host = Host::new(song.clone(), 2 * most as u32);
                host.rounding = rounding;
                host.values.subdivision = Subdivision::Sixteenths;
                let deeds = [Deed::Play { from: 1_000, frames: 220_000 }];
                let heard = host.run(&deeds, sizes(seed, most));
                host.check(&heard, &deeds, ROUNDED);
            }
        }
    }
}

/// Stops, seeks and loops: identical to the bit in every cut.
#[test]
fn jumps_stops_and_loops() {
    let song = Song::steady(48_000, 120.0, (7, 8));
    let bar = 84_000;
    let deeds = [
        Deed::Play { from: 0, frames: 100_000 },
        // A loop of a bar, three times: its last frame is followed by its first.
        Deed::Play { from: bar, frames: bar as u64 },
        Deed::Play { from: bar, frames: bar as u64 },
        Deed::Play { from: bar, frames: bar as u64 },
        Deed::Stop { frames: 33_333 },
        // On a beat, right before, right behind.
        Deed::Play { from: 12_000, frames: 30_000 },
        Deed::Play { from: 36_001, frames: 30_000 },
        Deed::Stop { frames: 1 },
        Deed::Play { from: 23_999, frames: 100_000 },
        Deed::Play { from: -30_000, frames: 90_000 },
    ];
    for rounding in [Rounding::None, Rounding::Clap] {
        for latency_frames in [0, 1, 500, 12_000, 96_000] {
            let mut host = Host::new(song.clone(), latency_frames);
            host.rounding = rounding;
            let whole = host.run(&deeds, || 8_192);
            host.check(&whole, &deeds, ROUNDED);
            for (seed, most) in [(1, 1), (2, 64), (3, 3_000), (4, 8_192)] {
                assert_eq!(host.run(&deeds, sizes(seed, most)), whole, "{latency_frames} {most}");
            }
        }
    }
}

/// A loop whose length is no whole number of frames: the host's loop points are rounded, and both beats at its seam
/// lie within a frame of each other.
#[test]
fn a_beat_on_a_seam_sounds_once() {
    for bpm in [125.0, 130.0, 97.3, 111.11] {
        let song = Song::steady(44_100, bpm, (4, 4));
        let beat = 44_100.0 * 60.0 / bpm;
        for rounding in [Rounding::None, Rounding::Clap, Rounding::Ticks] {
            for bars in 1..40 {
                let edge = |bars: i32| (f64::from(4 * bars) * beat).round() as i64;
                let (from, to) = (edge(bars), edge(bars + 1));
                let deeds = [Deed::Play { from, frames: (to - from) as u64 }; 3];
                let mut host = Host::new(song.clone(), 4_096);
                host.rounding = rounding;
                let mut heard = host.run(&deeds, sizes(bars as u64, 700));
                // Behind the last one it may be the beat that would come next, by the host's rounding.
                heard.retain(|(frame, _)| *frame + 8 < 4_096 + 3 * (to - from) as u64);
                assert_eq!(heard.len(), 12, "{bpm} {rounding:?} {bars}: {heard:?}");
                assert_eq!(heard.iter().filter(|(_, kind)| *kind == 2).count(), 3);
                assert_eq!(heard[0].0, 4_096);
            }
        }
    }
}

/// An hour at an odd tempo and rate: the last beat is where it truly is.
#[test]
fn an_hour_does_not_drift() {
    for rounding in [Rounding::None, Rounding::Clap] {
        let mut host = Host::new(Song::steady(44_100, 117.7, (4, 4)), 11_025);
        host.rounding = rounding;
        let deeds = [Deed::Play { from: 0, frames: 3_600 * 44_100 }];
        let mut size = sizes(5, 8_192);
        let heard = host.run(&deeds, || size().max(256));
        assert_eq!(heard.len(), 7_062);
        host.check(&heard, &deeds, ROUNDED);
    }
}

/// Where a host counts in ticks, its beats are as good as they can be: within half a tick at first, and within a frame
/// where it began on a beat.
#[test]
fn a_host_that_counts_in_ticks() {
    let song = Song::steady(48_000, 120.0, (4, 4));
    for (from, tolerance) in [(0, 0.0), (24_000, 0.0), (10_007, 6.3), (777, 6.3)] {
        let mut host = Host::new(song.clone(), 12_000);
        host.rounding = Rounding::Ticks;
        let deeds = [Deed::Play { from, frames: 48_000 * 20 }];
        let heard = host.run(&deeds, || 512);
        host.check(&heard, &deeds, tolerance + ROUNDED);
        let late: Vec<_> = heard.iter().copied().filter(|(frame, _)| *frame > 300_000).collect();
        for (frame, _) in late {
            let off = (frame as i64 - 12_000 + from).rem_euclid(24_000);
            assert!(off.min(24_000 - off) <= 1, "off by {off} from {from}");
        }
    }
}
