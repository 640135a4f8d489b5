//! Loss, jitter, reordering, death and return, in virtual time: the real sessions, packets, order and
//! playout on a simulated network, checked sample by sample against what the network is known to have done.

#![allow(clippy::unwrap_used, reason = "in a test a panic is the report")]

use std::time::Duration;

use rehearsekit_playout::{PlayoutCounts, SLOT_FRAMES};
use rehearsekit_protocol::{RefusalCode, SessionError};
use rehearsekit_tests::netsim::{Weather, closet::VOCALS, world::World};

const LATENCY: u32 = 12_000;

const fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// Wi-Fi: within the margin of 250 ms, but packets (5 ms) overtake each other by far.
const WIFI: Weather = Weather { delay: ms(4), jitter: ms(30), lost_per_mille: 0, ordered: false };

fn lossy(lost_per_mille: u64) -> Weather {
    Weather { lost_per_mille, ..WIFI }
}

/// Two notes a channel: smooth, so that a step shows.
fn song(channel: usize, position: u64) -> f32 {
    let t = position as f64 / 48_000.0 * std::f64::consts::TAU;
    let low = 110.0 * (channel + 1) as f64;
    (0.4 * (t * low).sin() + 0.2 * (t * 291.0).sin()) as f32
}

/// More than a frame of [`song`] ever changes by itself.
const STEEPEST: f32 = 0.4 * 0.0289 + 0.2 * 0.0382;

fn world(seed: u64, up: Weather, down: Weather) -> World {
    let mut world = World::new(seed, song, LATENCY, up, down);
    world.open(ms(1_000));
    assert_eq!(world.player.opened_at.len(), 1);
    world
}

fn counts(world: &World) -> PlayoutCounts {
    world.player.playout.counters().read()
}

/// Checks the whole output against the frames that are known to have never been there in time, and the
/// counters with it. What was there is exact, what was not is the mix, between them lies one slot.
fn check(world: &World, missing: impl Fn(u64) -> bool) {
    let player = &world.player;
    let played = player.playout.position() - u64::from(LATENCY);
    let slot_frames = SLOT_FRAMES as u64;
    let decided = (played - 1) / slot_frames + 2;
    let gone: Vec<u64> = (0..decided)
        .map(|slot| (slot * slot_frames..(slot + 1) * slot_frames).filter(|&p| missing(p)).count() as u64)
        .collect();
    let is_there = |slot: i64| usize::try_from(slot).map_or(true, |slot| gone[slot] == 0);

    for p in 0..played {
        let (slot, i) = ((p / slot_frames) as i64, (p + u64::from(LATENCY)) as usize);
        for channel in 0..2 {
            let mix = song(channel, p);
            let (stem, main) = (player.stem_out[channel][i], player.main_out[channel][i]);
            assert_eq!(main.to_bits(), mix.to_bits(), "0 dB is the mix, whatever happens: frame {p}");
            if !is_there(slot) {
                assert_eq!(stem, 0.0, "frame {p} is bridged");
            } else if is_there(slot - 1) && is_there(slot + 1) {
                assert_eq!(stem, VOCALS * mix, "frame {p} is there");
            }
        }
    }
    let counted = counts(world);
    let holes = (0..gone.len()).filter(|&s| gone[s] > 0 && (s == 0 || gone[s - 1] == 0)).count() as u64;
    assert_eq!(counted.underruns, gone.iter().filter(|&&n| n > 0).count() as u64);
    assert_eq!(counted.holes, holes);
    assert_eq!(counted.missing_frames, gone.iter().sum::<u64>());
    assert_eq!((counted.frames, counted.refused), (played, 0));
}

/// No output moves faster than the song and one cross-fade of the whole of it allow.
fn check_smoothness(world: &World) {
    let limit = STEEPEST + 0.6 / SLOT_FRAMES as f32;
    // The song's own first frame comes out of silence.
    let outputs = world.player.stem_out.iter().chain(&world.player.main_out);
    for steps in outputs.map(|channel| channel.windows(2).map(|w| (w[1] - w[0]).abs())) {
        let steepest = steps.fold(0.0, f32::max);
        assert!(steepest <= limit, "{steepest} > {limit}");
    }
}

#[test]
fn jitter_and_reordering_inside_the_margin_miss_nothing() {
    for seed in 0..4 {
        let mut world = world(seed, WIFI, WIFI);
        world.run(ms(10_000));
        assert!(world.audio_up.reordered() > 500, "the network did mix them up");
        assert!(world.audio_down.reordered() > 5, "21 ms apart, they seldom overtake");
        check(&world, |_| false);
        let counts = counts(&world);
        assert_eq!((counts.underruns, counts.late, counts.bridged_frames), (0, 0, 0));
        let arranger = &world.closet.as_ref().unwrap().arranger;
        assert_eq!((arranger.lost(), arranger.late()), (0, 0));
    }
}

#[test]
fn exactly_what_was_lost_is_bridged_in_either_direction() {
    for (seed, up, down) in [(1, 50, 0), (2, 0, 50), (3, 50, 50), (4, 200, 200), (5, 5, 5)] {
        let mut world = world(seed, lossy(up), lossy(down));
        world.run(ms(10_000));
        // A clear end, so that nothing is open when we count.
        world.audio_up.set_weather(WIFI);
        world.audio_down.set_weather(WIFI);
        world.run(ms(1_000));
        let (lost_up, lost_down) = (world.lost_up.clone(), world.lost_down.clone());
        assert_eq!((lost_up.is_empty(), lost_down.is_empty()), (up == 0, down == 0));
        assert!(lost_up.len() + lost_down.len() >= 10);
        check(&world, |p| lost_up.iter().chain(&lost_down).any(|range| range.contains(&p)));
        let counts = counts(&world);
        assert_eq!((counts.late, counts.lost_frames()), (0, counts.missing_frames), "never came, not late");
        assert_eq!(world.closet.as_ref().unwrap().arranger.lost(), lost_up.len() as u64);
        assert_eq!(world.connections, 1, "loss is no reason to connect again");
        check_smoothness(&world);
    }
}

#[test]
fn jitter_beyond_the_margin_is_late_and_not_lost() {
    let storm = Weather { jitter: ms(400), ..WIFI };
    let mut world = world(7, WIFI, WIFI);
    world.audio_down.set_weather(storm);
    world.run(ms(8_000));
    world.audio_down.set_weather(WIFI);
    world.run(ms(1_000));
    let counts = counts(&world);
    assert!(counts.late > 50 && counts.underruns > 50, "{counts:?}");
    assert_eq!(counts.late_frames, counts.missing_frames);
    assert_eq!(counts.lost_frames(), 0);
    check_smoothness(&world);
}

#[test]
fn a_dead_server_is_bridged_and_its_return_is_heard() {
    let mut world = world(8, WIFI, WIFI);
    world.run(ms(2_003));
    world.kill_server();
    let killed = world.now;
    world.run(ms(3_000));
    let (died, error) = world.player.died_at[0].clone();
    assert!(matches!(error, SessionError::Silent(_)));
    assert!(died > killed && died <= killed + ms(500), "from the last echo on, not from the end");
    let silent_for = died - world.player.last_echo;
    assert!((ms(500)..=ms(501)).contains(&silent_for), "{silent_for:?}");
    assert_eq!(world.player.opened_at.len(), 1);

    world.server_is_up = true;
    let returned = world.now;
    world.run(ms(3_000));
    let [_, (opened, from)] = world.player.opened_at[..] else { panic!("not connected again") };
    // The back-off had grown to 800 ms and half of it in jitter; then two round trips.
    assert!(opened - returned < ms(1_400), "{:?}", opened - returned);
    assert_eq!(world.player.died_at.len(), 1);
    // One hole: from what the old server did not get out to the first frame of the new epoch.
    let first_gone =
        (0..).find(|&p| world.player.stem_out[0][(p + LATENCY) as usize] != VOCALS * song(0, p.into()));
    let first_gone = u64::from(first_gone.unwrap());
    let counts = counts(&world);
    assert_eq!(counts.holes, 1);
    assert_eq!(counts.late, 0);
    // The first frame that differs is in the slot before the hole, fading out.
    let slot = first_gone / SLOT_FRAMES as u64 + 1;
    assert!(slot * 64 < from && from > 2 * 48_000);
    assert_eq!(counts.underruns, from.div_ceil(64) - slot);
    assert!(counts.missing_frames <= from - slot * 64 + 64 && counts.missing_frames > from - slot * 64 - 64);
    // Behind it all is there again, at the same latency to the frame.
    for p in from.next_multiple_of(64) + 64..world.player.playout.position() - u64::from(LATENCY) {
        assert_eq!(world.player.stem_out[1][p as usize + LATENCY as usize], VOCALS * song(1, p));
    }
    check_smoothness(&world);
    for (i, &main) in world.player.main_out[0].iter().enumerate().skip(LATENCY as usize) {
        assert_eq!(main, song(0, i as u64 - u64::from(LATENCY)));
    }
}

#[test]
fn a_short_outage_is_ridden_out_and_a_longer_one_is_death_at_500_ms() {
    for (outage, deaths) in [(ms(350), 0), (ms(700), 1)] {
        let mut world = world(9, Weather::CABLE, Weather::CABLE);
        world.run(ms(1_000));
        world.cable_is_in = false;
        world.run(outage);
        world.cable_is_in = true;
        world.run(ms(2_000));
        assert_eq!(world.player.died_at.len(), deaths);
        assert_eq!(world.connections as usize, 1 + deaths);
        let counts = counts(&world);
        assert_eq!(counts.holes, 1, "{counts:?}");
        assert_eq!(counts.lost_frames(), counts.missing_frames);
        check_smoothness(&world);
    }
}

#[test]
fn seeks_lose_nothing_and_wait_for_nothing() {
    let mut world = world(10, WIFI, WIFI);
    for i in 0..30 {
        world.run(ms(110 + 10 * (i % 7)));
        world.seek();
    }
    world.run(ms(1_000));
    check(&world, |_| false);
    assert_eq!(counts(&world).underruns, 0);
}

#[test]
fn another_version_is_refused_once_and_the_song_plays_on() {
    let mut world = World::new(11, song, LATENCY, WIFI, WIFI);
    world.client_versions = 5..=6;
    world.run(ms(2_000));
    let refusal = world.player.refused.clone().unwrap();
    assert_eq!(refusal.code, RefusalCode::Version);
    assert_eq!(world.connections, 1, "the same question gets the same answer");
    assert!(world.player.died_at.is_empty());
    check(&world, |_| true);
}

#[test]
fn the_same_seed_is_the_same_evening() {
    let evening = |seed| {
        let mut world = world(seed, lossy(50), lossy(50));
        world.run(ms(3_000));
        let bits: Vec<u32> = world.player.stem_out.iter().flatten().map(|s| s.to_bits()).collect();
        (bits, counts(&world), world.lost_up, world.lost_down)
    };
    assert!(evening(12) == evening(12));
    assert!(evening(12) != evening(13));
}
