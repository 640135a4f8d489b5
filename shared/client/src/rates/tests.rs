//! Both ways of the resampler: alignment, stop band, chunking, order, bounds.

use super::*;

/// A sine well inside the pass band, by absolute host position so that alignment shows.
fn tone(position: u64, hz: f64, host_hz: f64) -> f32 {
    (position as f64 * hz / host_hz * std::f64::consts::TAU).sin() as f32 * 0.5
}

/// Decimates host frames `start..end` in blocks of `block`, interpolates in chunks of `chunk` wire frames.
fn round_trip(
    decimation: Decimation,
    start: u64,
    end: u64,
    block: usize,
    chunk: usize,
    hz: f64,
) -> (u64, Vec<f32>) {
    let host_hz = 48_000.0 * f64::from(decimation.factor());
    let signal: Vec<f32> = (start..end).map(|p| tone(p, hz, host_hz)).collect();
    let mut down = Decimator::new(decimation);
    let first_wire = down.restart(start);
    let mut wire = [Vec::new(), Vec::new()];
    for part in signal.chunks(block) {
        down.push([part, part], &mut wire);
    }
    down.flush(&mut wire);
    assert_eq!(wire[0], wire[1]);
    assert_eq!(wire[0].len() as u64, end.div_ceil(u64::from(decimation.factor())) - first_wire);
    let mut up = Interpolator::new(decimation);
    let (mut at, mut first_host, mut host) = (first_wire, None, Vec::new());
    for part in wire[0].chunks(chunk) {
        let (position, made) = up.push(at, vec![part.to_vec()]);
        at += part.len() as u64;
        if !made[0].is_empty() {
            assert_eq!(position, *first_host.get_or_insert(position) + host.len() as u64);
            host.extend_from_slice(&made[0]);
        }
    }
    (first_host.unwrap(), host)
}

#[test]
fn a_tone_comes_back_aligned_to_the_frame() {
    for decimation in [Decimation::None, Decimation::By2, Decimation::By4] {
        let factor = f64::from(decimation.factor());
        let (first, host) = round_trip(decimation, 0, 20_000, 64, 480, 1_000.0);
        assert_eq!(first, 0);
        // The ends of the run see the silence around it; the middle must be the tone itself.
        let edge = 2 * decimation.latency_frames() as usize;
        let worst = (edge..host.len() - edge)
            .map(|i| (host[i] - tone(i as u64, 1_000.0, 48_000.0 * factor)).abs())
            .fold(0.0, f32::max);
        assert!(worst < 1e-5, "{decimation:?}: off by {worst}");
    }
}

#[test]
fn what_the_wire_cannot_carry_is_gone_not_folded() {
    for decimation in [Decimation::By2, Decimation::By4] {
        let (_, host) = round_trip(decimation, 0, 20_000, 512, 480, 30_000.0);
        let edge = 2 * decimation.latency_frames() as usize;
        let worst = host[edge..host.len() - edge].iter().fold(0.0_f32, |m, s| m.max(s.abs()));
        assert!(worst < 0.5e-4, "{decimation:?}: 30 kHz left {worst}");
    }
}

#[test]
fn chunking_changes_nothing() {
    for decimation in [Decimation::None, Decimation::By2, Decimation::By4] {
        let whole = round_trip(decimation, 1_003, 6_007, 5_004, 5_004, 440.0);
        for (block, chunk) in [(1, 1), (64, 7), (333, 1_024)] {
            assert_eq!(round_trip(decimation, 1_003, 6_007, block, chunk, 440.0), whole);
        }
    }
}

#[test]
fn a_jump_starts_a_fresh_run_without_its_edges() {
    let mut up = Interpolator::new(Decimation::By2);
    let chunk = vec![vec![0.25; 200]];
    let (first, made) = up.push(1_000, chunk.clone());
    assert_eq!((first, made[0].len()), (2 * (1_000 + 26), 2 * (200 - 52)));
    let (first, made) = up.push(5_000, chunk.clone());
    assert_eq!((first, made[0].len()), (2 * (5_000 + 26), 2 * (200 - 52)));
    assert!(made[0].iter().all(|s| (s - 0.25).abs() < 1e-4), "an edge was made from frames of another run");
    // Its continuation joins without a hole.
    let (next, made) = up.push(5_200, chunk.clone());
    assert_eq!((next, made[0].len()), (first + 2 * (200 - 52), 400));
}

#[test]
fn any_order_of_arrival_gives_the_same_frames_once() {
    let lengths = [200, 10, 300, 52, 53, 1, 1, 400, 90];
    let mut chunks = Vec::new();
    let mut at = 3_000_u64;
    for length in lengths {
        chunks.push((at, (at..at + length).map(|p| tone(p, 440.0, 48_000.0)).collect::<Vec<f32>>()));
        at += length;
    }
    let make = |order: &[usize]| {
        let mut up = Interpolator::new(Decimation::By2);
        let mut made = BTreeMap::new();
        for &i in order {
            let (position, host) = up.push(chunks[i].0, vec![chunks[i].1.clone()]);
            for (n, sample) in host[0].iter().enumerate() {
                assert_eq!(made.insert(position + n as u64, sample.to_bits()), None, "made twice");
            }
        }
        made
    };
    let in_order = make(&[0, 1, 2, 3, 4, 5, 6, 7, 8]);
    assert!(in_order.keys().copied().eq(2 * (3_000 + 26)..2 * (at - 26)));
    for order in [[8, 7, 6, 5, 4, 3, 2, 1, 0], [4, 0, 8, 2, 6, 1, 3, 5, 7], [1, 0, 3, 2, 5, 4, 7, 6, 8]] {
        assert_eq!(make(&order), in_order, "{order:?}");
    }
    // Again the same chunks: ignored.
    assert_eq!(make(&[0, 0, 1, 1, 2, 3, 4, 5, 6, 7, 8, 8]), in_order);
}

#[test]
fn memory_is_bounded() {
    let mut up = Interpolator::new(Decimation::By4);
    for n in 0..1_000_u64 {
        up.push(n * 1_000, vec![vec![0.5; 1_000]; 2]);
    }
    assert!(up.kept_frames <= KEPT_WIRE_FRAMES && up.chunks.len() <= KEPT_WIRE_FRAMES / 1_000);
}

#[test]
fn runs_shorter_than_the_filter_give_nothing_and_do_no_harm() {
    let mut up = Interpolator::new(Decimation::By4);
    let mut total = 0;
    for w in 0..40_u64 {
        total += up.push(700 + w, vec![vec![1.0]]).1[0].len();
    }
    assert_eq!(total, 0);
    assert_eq!(up.push(900, vec![Vec::new()]).1[0].len(), 0);
    assert_eq!(up.push(900, vec![Vec::new(), Vec::new()]).1.len(), 2);
}

#[test]
fn rates_and_latencies_are_known() {
    for (host, decimation, wire) in [
        (44_100, Decimation::None, 44_100),
        (96_000, Decimation::By2, 48_000),
        (176_400, Decimation::By4, 44_100),
    ] {
        let host = SampleRate::new(host).unwrap();
        assert_eq!(Decimation::for_host(host), decimation);
        assert_eq!(decimation.wire_hz(host), wire);
    }
    assert_eq!(Decimation::By2.latency_frames(), 104);
    assert_eq!(Decimation::By2.wire_budget_frames(24_000), 11_948);
    assert_eq!(Decimation::None.wire_budget_frames(12_000), 12_000);
}
