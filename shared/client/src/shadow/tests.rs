//! In virtual time: a host that pushes blocks, a server that takes its time, a link that does what it likes.

use super::*;
use rehearsekit_audio::StemSet;
use rehearsekit_protocol::Mode;

const RATE_HZ: u32 = 48_000;
const HOP: u64 = 4_800;
const ALGORITHMIC: u64 = 7_200;
const LATENCY: u64 = 12_000;
const BLOCK: u64 = 480;
const SERVER: Duration = Duration::from_millis(20);

fn request() -> OpenRequest {
    OpenRequest {
        model: String::new(),
        rate_hz: RATE_HZ,
        budget_frames: LATENCY as u32,
        block_frames: BLOCK as u32,
        link_micros: 10_000,
        mode: Mode::Live,
        wanted_offers_frames: Vec::new(),
    }
}

fn opened() -> Opened {
    Opened {
        session: 1,
        model: "test".to_owned(),
        stems: StemSet::new(&["vocals", "other"]).unwrap(),
        packet_frames: 480,
        latency_frames: LATENCY as u32,
        algorithmic_frames: ALGORITHMIC as u32,
        hop_frames: HOP as u32,
        look_ahead_frames: 0,
        description: String::new(),
        offers: Vec::new(),
    }
}

fn shadow() -> Shadow {
    Shadow::new(&request(), &opened())
}

/// What the link does with the chunk that is ready at this second: takes so many seconds, or swallows it.
type Way<'a> = &'a mut dyn FnMut(f64) -> Option<f64>;

/// Chunks from `from` to `to` seconds of a host whose position at a second is `host`; gives the millisecond figures.
fn play(
    shadow: &mut Shadow,
    seconds: std::ops::Range<f64>,
    host: &dyn Fn(f64) -> u64,
    way: Way<'_>,
) -> ShadowFigures {
    let rate = f64::from(RATE_HZ);
    let chunks = (seconds.start * rate) as u64 / HOP..(seconds.end * rate) as u64 / HOP;
    let mut arriving = Vec::new();
    for chunk in chunks {
        let first_frame = chunk * HOP;
        let needed_through = first_frame + ALGORITHMIC - 1;
        // When the host has pushed it: between real time and two minutes later.
        let (mut before, mut ready) = (first_frame as f64 / rate, first_frame as f64 / rate + 120.0);
        while ready - before > 1e-5 {
            let middle = (before + ready) / 2.0;
            if host(middle) > needed_through { ready = middle } else { before = middle }
        }
        let arrives = way(ready).map(|link| ready + SERVER.as_secs_f64() + link);
        arriving.push((arrives, ready, first_frame, needed_through));
    }
    // In the order of arrival; what never comes is given up a second behind its slot.
    let at = |chunk: &(Option<f64>, f64, u64, u64)| chunk.0.unwrap_or(chunk.1 + 1.1);
    arriving.sort_by(|a, b| at(a).total_cmp(&at(b)));
    for chunk in arriving {
        let (arrives, ready, first_frame, needed_through) = chunk;
        let position = host(at(&chunk));
        match arrives {
            Some(arrives) => shadow.arrived(Arrival {
                first_frame,
                position,
                needed_through,
                turnaround: Duration::from_secs_f64(arrives - ready),
                server: SERVER,
            }),
            None => shadow.gave_up(&(first_frame..first_frame + HOP), position),
        }
    }
    shadow.figures().in_millis(1e3 / rate, 0.0)
}

/// A host that pushes each block when it is full.
fn steady(second: f64) -> u64 {
    (second * f64::from(RATE_HZ)) as u64 / BLOCK * BLOCK
}

fn near(got: Option<f64>, millis: f64) -> bool {
    // A block and a step of the search.
    got.is_some_and(|got| (got - millis).abs() <= 10.5)
}

#[test]
fn a_quiet_link_needs_what_the_plan_needs() {
    let figures = play(&mut shadow(), 0.0..60.0, &steady, &mut |_| Some(0.002));
    // 150 ms algorithmic, 20 ms for the server, 2 ms for the link.
    assert!(near(figures.needed, 172.0), "{figures:?}");
    assert!((figures.link.unwrap() - 2.0).abs() < 0.1 && figures.jitter.unwrap() < 0.1, "{figures:?}");
    assert_eq!((figures.chunks, figures.lost, figures.breaks), (600, 0, 0));
    assert_eq!(figures.worst, figures.needed.unwrap());
    for buffer in figures.buffers {
        assert_eq!(buffer.missed, if buffer.depth < figures.worst { 600 } else { 0 }, "{buffer:?}");
    }
}

#[test]
fn jitter_is_seen_as_depth_and_as_spread() {
    let mut turn = 0_u32;
    let figures = play(&mut shadow(), 0.0..120.0, &steady, &mut |_| {
        turn += 1;
        Some(f64::from(turn * 7 % 31) / 1e3)
    });
    assert!(near(figures.needed, 200.0), "{figures:?}");
    assert!(near(figures.link, 30.0) && near(figures.jitter, 30.0), "{figures:?}");
    // The ladder falls, and what it counts is between nothing and everything in the spread.
    assert!(figures.buffers.windows(2).all(|pair| pair[0].missed >= pair[1].missed));
    assert!(figures.buffers.iter().any(|buffer| (200..1_000).contains(&buffer.missed)), "{figures:?}");
}

/// Nothing moves for 200 ms at these seconds; what waits comes at the end of it.
fn stalls(at: &[f64]) -> impl Fn(f64) -> Option<f64> {
    move |ready| {
        let sent = ready + SERVER.as_secs_f64();
        let stall = at.iter().find(|stall| (**stall..**stall + 0.2).contains(&sent));
        Some(stall.map_or(0.001, |stall| stall + 0.2 - sent + 0.001))
    }
}

#[test]
fn two_stalls_are_weather_and_more_are_climate() {
    for (at, expected) in [(vec![25.0, 75.0], 171.0), (vec![25.0, 65.0, 105.0, 145.0], 371.0)] {
        let way = stalls(&at);
        let figures = play(&mut shadow(), 0.0..200.0, &steady, &mut |ready| way(ready));
        let least = expected - 100.0 * f64::from(expected > 300.0);
        // A chunk lies at most one hop deep in a stall.
        assert!(
            figures.needed.is_some_and(|n| n > least - 11.0 && n < expected + 11.0),
            "{at:?}: {figures:?}"
        );
        assert!(figures.worst > 271.0 - 11.0, "{figures:?}");
    }
}

#[test]
fn what_was_given_up_needed_to_wait_for_the_next_that_came() {
    let mut count = 0;
    let figures = play(&mut shadow(), 0.0..100.0, &steady, &mut |_| {
        count += 1;
        (count % 40 != 20).then_some(0.001)
    });
    // The next chunk is ready a hop (100 ms) later: 171 + 100.
    assert!(near(figures.needed, 271.0), "{figures:?}");
    assert!(near(figures.link, 101.0), "{figures:?}");
    assert_eq!((figures.chunks, figures.lost), (1_000, 0));
    // Where the next one waited for the server, the link is not to blame, and nothing but "too little" is known.
    let mut shadow = shadow();
    let mut arrive = |chunk: u64, server: u64| {
        let first_frame = chunk * HOP;
        shadow.arrived(Arrival {
            first_frame,
            position: first_frame + ALGORITHMIC + server * 48,
            needed_through: first_frame + ALGORITHMIC - 1,
            turnaround: Duration::from_millis(server + 1),
            server: Duration::from_millis(server),
        });
    };
    arrive(0, 20);
    arrive(5, 60);
    shadow.gave_up(&(HOP..5 * HOP), 80_000);
    let figures = shadow.figures();
    assert_eq!((figures.worst, figures.chunks), ((LATENCY + 1) as f64, 6));
    assert_eq!(shadow.stretches[0].worst_link, 48);
    // Unless a heartbeat had to wait as well: then the server only catches up.
    shadow.echo(Duration::from_millis(150), 5 * HOP);
    shadow.gave_up(&(HOP..5 * HOP), 80_000);
    assert_eq!(shadow.figures().worst, (4 * HOP + ALGORITHMIC + 20 * 48) as f64);
    // Never less than what this latency was: it was there, and it was not enough.
    let mut shadow = self::shadow();
    shadow.arrived(Arrival {
        first_frame: HOP,
        position: HOP + ALGORITHMIC,
        needed_through: HOP + ALGORITHMIC - 1,
        turnaround: Duration::ZERO,
        server: Duration::ZERO,
    });
    shadow.gave_up(&(0..HOP), 80_000);
    assert_eq!(shadow.figures().worst, (LATENCY + 1) as f64);
    // Nothing has come since.
    shadow.gave_up(&(2 * HOP..4 * HOP), 80_000);
    assert_eq!((shadow.figures().chunks, shadow.figures().lost), (2, 2));
}

#[test]
fn a_hole_in_pieces_is_as_many_chunks_as_in_one() {
    let mut shadow = shadow();
    for piece in 0..10 {
        shadow.gave_up(&(piece * 960..(piece + 1) * 960), 80_000);
    }
    assert_eq!(shadow.figures().lost, 2);
}

#[test]
fn a_broken_connection_counts_in_every_buffer_and_moves_no_depth() {
    let mut shadow = shadow();
    play(&mut shadow, 0.0..50.0, &steady, &mut |_| Some(0.001));
    shadow.broke(5 * HOP, steady(51.0));
    let figures = play(&mut shadow, 54.0..100.0, &steady, &mut |_| Some(0.001));
    assert!(near(figures.needed, 171.0), "{figures:?}");
    assert_eq!((figures.lost, figures.breaks), (5, 1));
    assert_eq!(figures.buffers[BUFFERS - 1].missed, 5);
    assert!(shadow.goes_on(&request(), &opened()));
    assert!(!shadow.goes_on(&request(), &Opened { algorithmic_frames: 1, ..opened() }));
}

#[test]
fn a_host_that_stops_or_runs_ahead_is_no_clock() {
    let honest = play(&mut shadow(), 0.0..100.0, &steady, &mut |_| Some(0.001));
    // Half a second every four in which nothing is pushed, and made up for at once.
    let bursts = |second: f64| {
        let into = second % 4.0;
        steady(if into < 0.5 { second - into } else { second })
    };
    // Suspended from second 30 on, for a minute.
    let suspended = |second: f64| steady(second.min(30.0) + (second - 90.0).max(0.0));
    for host in [&bursts as &dyn Fn(f64) -> u64, &suspended] {
        let figures = play(&mut shadow(), 0.0..80.0, host, &mut |_| Some(0.001));
        // What is let through as honest, 60 ms and two blocks, may show.
        assert!(figures.needed.unwrap() <= honest.needed.unwrap() + 80.0, "{figures:?}");
        assert!((figures.link.unwrap() - 1.0).abs() < 0.1 && figures.jitter.unwrap() < 0.1, "{figures:?}");
        assert!(figures.chunks > 500, "{figures:?}");
    }
}

#[test]
fn the_window_is_five_minutes_and_memory_is_bounded() {
    let mut shadow = shadow();
    let way = stalls(&[15.0, 35.0, 55.0, 75.0]);
    let then = play(&mut shadow, 0.0..100.0, &steady, &mut |ready| way(ready));
    assert!(then.needed.unwrap() > 250.0);
    let now = play(&mut shadow, 100.0..390.0, &steady, &mut |_| Some(0.001));
    assert!(near(now.needed, 171.0) && near(Some(now.worst), 171.0), "{now:?}");
    assert_eq!((now.stretches, shadow.stretches.len() as u64), (STRETCHES, STRETCHES));
    assert_eq!(shadow.arrivals.len(), REMEMBERED);
    // Positions go on while there is no session: what was measured before is old by then.
    let later = play(&mut shadow, 2_000.0..2_015.0, &steady, &mut |_| Some(0.001));
    assert_eq!((later.stretches, later.needed), (2, None));
}

#[test]
fn a_seek_is_only_another_epoch() {
    // The tail of the old epoch comes without its look-ahead, the new one starts on a position of its own.
    let mut shadow = shadow();
    for round in 0..300 {
        let start = round * 10 * HOP + 1_234;
        let end = start + 10 * HOP;
        for chunk in 0..10 {
            let first_frame = start + chunk * HOP;
            let needed_through = (first_frame + ALGORITHMIC - 1).min(end - 1);
            shadow.arrived(Arrival {
                first_frame,
                position: needed_through + 1 + 960,
                needed_through,
                turnaround: Duration::from_millis(20),
                server: Duration::from_millis(19),
            });
        }
    }
    let figures = shadow.figures();
    assert_eq!(figures.needed, Some((ALGORITHMIC + 960) as f64));
    assert_eq!((figures.link, figures.jitter), (Some(48.0), Some(0.0)));
}

#[test]
fn a_server_that_has_become_slower_for_good_has_no_queue_for_it() {
    let mut shadow = shadow();
    let arrive = |shadow: &mut Shadow, chunk: u64, server: u64| {
        let first_frame = chunk * HOP;
        shadow.arrived(Arrival {
            first_frame,
            position: first_frame + ALGORITHMIC + server * 48,
            needed_through: first_frame + ALGORITHMIC - 1,
            turnaround: Duration::from_millis(server + 1),
            server: Duration::from_millis(server),
        });
    };
    // A minute at 20 ms, then ten at 60: another program has taken the device.
    (0..600).for_each(|chunk| arrive(&mut shadow, chunk, 20));
    (600..6_600).for_each(|chunk| arrive(&mut shadow, chunk, 60));
    arrive(&mut shadow, 6_601, 60);
    shadow.gave_up(&(6_600 * HOP..6_601 * HOP), 6_601 * HOP + ALGORITHMIC + 60 * 48);
    // It was ahead of the next one on the link by a hop; twenty milliseconds of long ago say nothing.
    assert_eq!(shadow.figures().worst, (2 * HOP + ALGORITHMIC + 60 * 48 - HOP) as f64);
}
