//! Packets in any order become runs in order; what is lost ends an epoch and nothing more.
#![allow(clippy::unwrap_used, reason = "in a test a panic is the report")]

use std::{ops::Range, time::Duration};

use proptest::prelude::*;
use rehearsekit_protocol::*;

const GAP_AFTER: Duration = Duration::from_millis(100);

const fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

fn packet(epoch: u32, sequence: u32, range: Range<u64>, end_of_epoch: bool) -> Packet {
    let frames = (range.end - range.start) as u32;
    let header = PacketHeader { end_of_epoch, ..PacketHeader::mix(epoch, sequence, range.start, frames) };
    Packet { header, channels: vec![range.map(|p| p as f32).collect(); 2] }
}

/// The runs in short: `(epochs as start..end, whether all frames carried their own position)`.
fn epochs(runs: &[Run]) -> (Vec<Range<u64>>, bool) {
    let (mut all, mut right, mut at) = (Vec::new(), true, None);
    for run in runs {
        match run {
            Run::Start { position, .. } => {
                right &= at.replace((*position, *position)).is_none();
            }
            Run::Frames { first_frame, channels, .. } => {
                let Some((_, end)) = &mut at else { return (all, false) };
                right &= end == first_frame;
                for &sample in &channels[0] {
                    right &= sample == *end as f32;
                    *end += 1;
                }
            }
            Run::End { position } => {
                let Some((start, end)) = at.take() else { return (all, false) };
                right &= end == *position;
                all.push(start..end);
            }
        }
    }
    (all, right && at.is_none())
}

fn drain(arranger: &mut Arranger, now: Duration) -> Vec<Run> {
    std::iter::from_fn(|| arranger.next_run(now).unwrap()).collect()
}

#[test]
fn a_gap_is_waited_for_and_then_given_up() {
    let mut arranger = Arranger::new(GAP_AFTER, 16);
    arranger.push(packet(1, 0, 0..10, false), ms(0)).unwrap();
    let mut runs = drain(&mut arranger, ms(0));
    arranger.push(packet(1, 2, 20..30, false), ms(20)).unwrap();
    assert_eq!(arranger.next_deadline(), Some(ms(120)));
    assert!(drain(&mut arranger, ms(119)).is_empty());
    runs.extend(drain(&mut arranger, ms(120)));
    assert_eq!((arranger.lost(), arranger.next_deadline()), (1, None));
    // It comes after all, too late.
    arranger.push(packet(1, 1, 10..20, false), ms(121)).unwrap();
    assert!(drain(&mut arranger, ms(500)).is_empty());
    assert_eq!(arranger.late(), 1);
    runs.extend(arranger.finish().unwrap());
    assert_eq!(epochs(&runs), (vec![0..10, 20..30], true));
}

#[test]
fn an_epoch_ends_where_its_packet_says_or_where_the_next_begins() {
    let mut arranger = Arranger::new(GAP_AFTER, 16);
    for packet in [
        packet(1, 0, 0..10, true),
        packet(2, 1, 10..20, false),
        packet(3, 2, 20..30, false),
        // The client dropped some: a new epoch behind a hole that is nobody's loss.
        packet(4, 3, 100..110, false),
        // Nothing but the end, twice.
        packet(4, 4, 110..110, true),
        packet(4, 5, 110..110, true),
    ] {
        arranger.push(packet, ms(0)).unwrap();
    }
    let runs = drain(&mut arranger, ms(0));
    assert_eq!(epochs(&runs), (vec![0..10, 10..20, 20..30, 100..110], true));
    assert_eq!((arranger.lost(), arranger.late()), (0, 0));
}

#[test]
fn frames_count_as_arrived_when_all_before_them_had() {
    let mut arranger = Arranger::new(GAP_AFTER, 16);
    arranger.push(packet(0, 1, 10..20, false), ms(5)).unwrap();
    arranger.push(packet(0, 0, 0..10, false), ms(9)).unwrap();
    let arrivals: Vec<Duration> = drain(&mut arranger, ms(9))
        .into_iter()
        .filter_map(|run| if let Run::Frames { arrived, .. } = run { Some(arrived) } else { None })
        .collect();
    assert_eq!(arrivals, [ms(9), ms(9)]);
}

#[test]
fn going_back_and_stems_break_the_protocol() {
    let mut arranger = Arranger::new(GAP_AFTER, 16);
    arranger.push(packet(0, 0, 10..20, false), ms(0)).unwrap();
    drain(&mut arranger, ms(0));
    arranger.push(packet(1, 1, 19..25, false), ms(0)).unwrap();
    let expected = ArrangeError::Backwards { sequence: 1, first_frame: 19, expected: 20 };
    assert_eq!(arranger.next_run(ms(0)), Err(expected));
    let mut stems = packet(0, 2, 0..1, false);
    stems.header.kind = PacketKind::Stems;
    assert_eq!(arranger.push(stems, ms(0)), Err(ArrangeError::Kind));
}

#[test]
fn what_waits_is_bounded_and_without_end_when_reliable() {
    let mut arranger = Arranger::new(Duration::MAX, 8);
    for i in 1..=8u32 {
        arranger.push(packet(0, i, u64::from(i) * 10..u64::from(i + 1) * 10, false), ms(1)).unwrap();
        assert!(drain(&mut arranger, Duration::from_secs(1_000_000)).is_empty());
    }
    assert_eq!(arranger.next_deadline(), None, "no moment is late enough");
    arranger.push(packet(0, i32::MAX as u32, 1_000..1_010, false), ms(1)).unwrap();
    let runs = drain(&mut arranger, ms(2));
    assert_eq!(arranger.lost(), 1, "the ninth made it give up the first");
    assert_eq!(runs.len(), 1 + 8);
}

/// At 47 packets per second the numbers are used up after three years; at those of a hop of 64 frames after two months.
#[test]
fn the_numbers_of_packets_wrap_and_the_order_stays() {
    let mut arranger = Arranger::new(GAP_AFTER, 16);
    // Up to the wrap in a few leaps, as if nearly all had been lost.
    let leaps = [0, 0x7000_0000, 0xe000_0000, 0xffff_fffd];
    for (n, sequence) in (0..).zip(leaps) {
        arranger.push(packet(0, sequence, n * 10..n * 10 + 10, true), ms(0)).unwrap();
        drain(&mut arranger, GAP_AFTER);
    }
    let lost = arranger.lost();
    assert_eq!((lost, arranger.late()), (0xffff_fffd - 3, 0));
    let start = 10 * leaps.len() as u64;
    for (n, sequence) in (0..).zip([0xffff_ffff_u32, 0xffff_fffe, 1, 0, 2]) {
        let place = u64::from(sequence.wrapping_add(2));
        arranger
            .push(packet(1, sequence, start + 10 * place..start + 10 * place + 10, false), ms(200 + n))
            .unwrap();
    }
    let mut runs = drain(&mut arranger, ms(205));
    runs.extend(arranger.finish().unwrap());
    let (found, whole) = epochs(&runs);
    assert!(whole);
    assert_eq!(found.as_slice(), std::slice::from_ref(&(start..start + 50)));
    assert_eq!((arranger.lost(), arranger.late()), (lost, 0));
    arranger.push(packet(1, 0xffff_ffff, 0..10, false), ms(300)).unwrap();
    assert_eq!(arranger.late(), 1, "twice");
}

proptest! {
    /// Whatever is lost and however the rest is mixed up: every frame that arrived in time comes out once,
    /// in order, and every hole ends an epoch.
    #[test]
    fn nothing_is_shifted(
        delays in prop::collection::vec(prop::option::weighted(0.8, 0u64..90), 1..60),
        sizes in prop::collection::vec(1u64..50, 60),
    ) {
        let mut arranger = Arranger::new(GAP_AFTER, 1_000);
        let mut arrivals = Vec::new();
        let (mut at, mut expected): (u64, Vec<Range<u64>>) = (0, Vec::new());
        let mut lost = 0;
        for (i, delay) in delays.iter().enumerate() {
            let range = at..at + sizes[i];
            at = range.end;
            let Some(delay) = delay else { lost += 1; continue };
            match expected.last_mut() {
                Some(last) if last.end == range.start => last.end = range.end,
                _ => expected.push(range.clone()),
            }
            // Sent each 10 ms.
            arrivals.push((ms(10 * i as u64 + delay), packet(0, i as u32, range, false)));
        }
        arrivals.sort_by_key(|(at, _)| *at);
        let mut runs = Vec::new();
        for (now, packet) in arrivals {
            while let Some(due) = arranger.next_deadline().filter(|due| *due < now) {
                runs.extend(drain(&mut arranger, due));
            }
            arranger.push(packet, now).unwrap();
            runs.extend(drain(&mut arranger, now));
        }
        runs.extend(arranger.finish().unwrap());
        prop_assert_eq!(epochs(&runs), (expected, true));
        prop_assert_eq!(arranger.late(), 0);
        // What is missing at the very end nobody can know of.
        let tail = delays.iter().rev().take_while(|d| d.is_none()).count() as u64;
        prop_assert_eq!(arranger.lost(), if tail == delays.len() as u64 { 0 } else { lost - tail });
    }
}
