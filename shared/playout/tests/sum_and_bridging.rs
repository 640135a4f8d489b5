//! Stems sum to the mix; holes are bridged without a click and without the muted stem; every frame is
//! accounted for.

mod common;

use common::*;
use proptest::prelude::*;
use rehearsekit_playout::{Placed, Playout, PlayoutCounts, SLOT_FRAMES, StemGains, StemSlot};

/// Plays `mix` in blocks of 480 with `slots` arriving as soon as their audio has been pushed.
fn play(playout: &mut Playout, mix: &[Vec<f32>; 2], slots: &[StemSlot], gains: &[StemGains]) -> Output {
    let mut output = Output::new(playout.config().stem_count);
    let frames = mix[0].len();
    let mut next = 0;
    for at in (0..frames).step_by(480) {
        while next < slots.len() && slots[next].position as usize + SLOT_FRAMES <= at {
            playout.push_slot(&slots[next]);
            next += 1;
        }
        process(playout, part(mix, at, (at + 480).min(frames)), gains, &mut output);
    }
    output
}

fn without(frames: usize, holes: &[usize]) -> Vec<StemSlot> {
    slots(frames).into_iter().enumerate().filter(|(i, _)| !holes.contains(i)).map(|(_, s)| s).collect()
}

#[test]
fn at_zero_db_main_is_the_mix_bit_by_bit_and_the_stems_sum_to_it() {
    const LATENCY: usize = 2_345;
    for (stem_count, closing) in [(2, 1), (4, 2), (6, 0)] {
        let mix = noise_mix(20_000);
        let mut playout = Playout::new(config(LATENCY as u32, stem_count, closing));
        let gains = vec![StemGains::default(); stem_count];
        let output = play(&mut playout, &mix, &without(20_000, &[7, 8, 40, 42]), &gains);
        assert!(playout.counters().read().bridged_frames > 0);
        for channel in 0..2 {
            assert!(output.main[channel][..LATENCY].iter().all(|&s| s == 0.0));
            for i in LATENCY..20_000 {
                let dry = mix[channel][i - LATENCY];
                assert_eq!(output.main[channel][i].to_bits(), dry.to_bits(), "frame {i}");
                let sum: f64 = output.stems.iter().map(|s| f64::from(s[channel][i])).sum();
                let largest = output.stems.iter().map(|s| s[channel][i].abs()).fold(0.0, f32::max);
                // One rounding of the closing stem: half a unit in the last place of 24 bits.
                assert!((sum - f64::from(dry)).abs() <= f64::from(largest) * 2f64.powi(-24), "frame {i}");
            }
        }
    }
}

#[test]
fn stems_come_out_in_their_own_place() {
    const LATENCY: usize = 1_000;
    let mix = noise_mix(8_000);
    let mut playout = Playout::new(config(LATENCY as u32, 4, 2));
    let output = play(&mut playout, &mix, &slots(8_000), &[]);
    for (row, stem_index) in [0, 1, 3].into_iter().enumerate() {
        for channel in 0..2 {
            for i in LATENCY..8_000 {
                let expected = stem(2 * row + channel, (i - LATENCY) as u64);
                assert_eq!(output.stems[stem_index][channel][i], expected);
            }
        }
    }
}

#[test]
#[expect(clippy::needless_range_loop, reason = "positions index several rows at once")]
fn over_a_hole_the_closing_stem_carries_the_mix_and_a_muted_vocal_does_not_take_it_away() {
    const LATENCY: usize = 3_200;
    let mix = noise_mix(16_000);
    let holes: Vec<usize> = (50..100).collect();
    let mut playout = Playout::new(config(LATENCY as u32, 2, 1));
    let gain = StemGains { linear: 0.75, ..StemGains::default() };
    let gains = [StemGains { muted: true, ..StemGains::default() }, gain];
    let output = play(&mut playout, &mix, &without(16_000, &holes), &gains);
    // Slots 50 to 99 are positions 3200 to 6400.
    for p in 3_200..6_400 {
        let i = p + LATENCY;
        for (channel, dry) in [mix[0][p], mix[1][p]].into_iter().enumerate() {
            assert_eq!(output.stems[0][channel][i], 0.0);
            assert_eq!(output.stems[1][channel][i], 0.75 * dry);
            assert_eq!(output.main[channel][i], 0.75 * dry);
        }
    }
    // Outside, the vocal is gone from the main output.
    for p in (0..3_100).chain(6_500..12_000) {
        let i = p + LATENCY;
        let expected = 0.75 * (f64::from(mix[0][p]) - f64::from(stem(0, p as u64)));
        assert!((f64::from(output.main[0][i]) - expected).abs() < 1e-6);
    }
    let muted = [StemGains { muted: true, ..StemGains::default() }; 2];
    let mut playout = Playout::new(config(LATENCY as u32, 2, 1));
    let silent = play(&mut playout, &mix, &without(16_000, &holes), &muted);
    assert!(silent.main.iter().flatten().all(|&s| s == 0.0), "all muted is silence, bridged or not");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// A sine of known slope, a stem that is a part of it: whatever is missing, no output moves faster
    /// than the sine, the cross-fade (one slot) and the gains allow.
    #[test]
    fn holes_make_no_step(holes in prop::collection::vec(0usize..300, 0..120), muted in any::<bool>()) {
        const FRAMES: usize = 16_000;
        let omega = std::f32::consts::TAU * 200.0 / 48_000.0;
        let sine = |p: u64| 0.5 * (omega * p as f32).sin();
        let wave: Vec<f32> = (0..FRAMES as u64).map(sine).collect();
        let mix = [wave.clone(), wave];
        let slots: Vec<StemSlot> = without(FRAMES, &holes)
            .into_iter()
            .map(|mut slot| {
                for row in &mut slot.samples {
                    for (i, sample) in row.iter_mut().enumerate() {
                        *sample = 0.7 * sine(slot.position + i as u64);
                    }
                }
                slot
            })
            .collect();
        let gains = [StemGains { muted, ..StemGains::default() }, StemGains::default()];
        let mut playout = Playout::new(config(2_000, 2, 1));
        let output = play(&mut playout, &mix, &slots, &gains);
        // The sine's own slope, plus a full swing of it over the cross-fade.
        let limit = 0.5 * omega + 0.5 / SLOT_FRAMES as f32 + 1e-5;
        for channel in output.stems.iter().flatten().chain(&output.main) {
            let steepest = channel.windows(2).map(|w| (w[1] - w[0]).abs()).fold(0.0, f32::max);
            prop_assert!(steepest <= limit, "{steepest} > {limit}");
        }
    }

    #[test]
    fn every_missing_slot_is_counted_once(holes in prop::collection::btree_set(0usize..200, 0..80)) {
        const FRAMES: usize = 16_000;
        let mix = noise_mix(FRAMES);
        let missing: Vec<usize> = holes.iter().copied().collect();
        let mut playout = Playout::new(config(1_280, 2, 1));
        play(&mut playout, &mix, &without(FRAMES, &missing), &[]);
        let counts = playout.counters().read();
        // Decided: all slots up to one behind the last that came out (1280 is 20 slots).
        let decided = (FRAMES - 1_280).div_ceil(SLOT_FRAMES) + 1;
        let expected = missing.iter().filter(|&&s| s < decided).count() as u64;
        let starts = missing.iter().filter(|&&s| s < decided && (s == 0 || !holes.contains(&(s - 1)))).count();
        prop_assert_eq!(counts.underruns, expected);
        prop_assert_eq!(counts.missing_frames, 64 * expected);
        prop_assert_eq!(counts.lost_frames(), 64 * expected);
        prop_assert_eq!(counts.holes, starts as u64);
        prop_assert_eq!((counts.late, counts.refused), (0, 0));
        prop_assert_eq!(counts.frames, (FRAMES - 1_280) as u64);
    }
}

#[test]
fn late_is_counted_dropped_and_told_from_lost() {
    let mix = noise_mix(4_096);
    let mut playout = Playout::new(config(1_024, 2, 1));
    let mut output = Output::new(2);
    for slot in slots(4_096).iter().take(40).filter(|s| ![128, 192, 256].contains(&s.position)) {
        assert_eq!(playout.push_slot(slot), Placed::Stored);
    }
    // Half of one of the missing is there.
    assert_eq!(playout.push_slot(&slot(256, 32)), Placed::Stored);
    // Plays positions 0 to 191, deciding about slot 3 (192..256) too, but not about slot 4.
    process(&mut playout, part(&mix, 0, 1_024 + 192), &[], &mut output);
    assert_eq!(playout.push_slot(&slot(192, 64)), Placed::Late);
    assert_eq!(playout.push_slot(&slot(128, 40)), Placed::Late);
    assert_eq!(playout.push_slot(&slot(128, 40)), Placed::Stored, "the same again is no further fault");
    assert_eq!(playout.push_slot(&slot(0, 64)), Placed::Stored, "what was played and comes again neither");
    process(&mut playout, part(&mix, 1_216, 2_048), &[], &mut output);
    let counts = playout.counters().read();
    let expected = PlayoutCounts {
        frames: 1_024,
        // Slots 1 (fading out) to 5 (fading in); each fade has one frame that is all stems or none.
        bridged_frames: 63 + 3 * 64 + 64,
        underruns: 3,
        holes: 1,
        missing_frames: 64 + 64 + 32,
        late: 2,
        late_frames: 64 + 40,
        refused: 0,
    };
    assert_eq!(counts, expected);
    assert_eq!(counts.lost_frames(), 24 + 32);
    // What came late was not played: the stem is silent where the hole was.
    assert!(output.stems[0][0][1_024 + 128..1_024 + 320].iter().all(|&s| s == 0.0));
}

#[test]
fn what_belongs_nowhere_is_refused() {
    let mut playout = Playout::new(config(1_024, 2, 1));
    let whole = slot(0, 64);
    for (position, frames) in
        [(0, 0), (0, 65), (1, 64), (63, 2), (8_192, 1), (u64::MAX, 1), (u64::MAX - 63, 64)]
    {
        let odd = StemSlot { position, frames, ..whole };
        assert_eq!(playout.push_slot(&odd), Placed::Refused, "{frames} frames at {position}");
    }
    assert_eq!(playout.counters().read().refused, 7);
    assert_eq!(playout.push_slot(&StemSlot { position: 8_128, ..whole }), Placed::Stored);
}

#[test]
fn reset_discards_and_never_takes_old_audio_for_new() {
    const LATENCY: usize = 1_024;
    let mix = noise_mix(8_000);
    let mut playout = Playout::new(config(LATENCY as u32, 2, 1));
    let mut output = Output::new(2);
    process(&mut playout, part(&mix, 0, 3_000), &[], &mut output);
    let before = playout.counters().read();
    playout.reset();
    let origin = playout.position();
    assert!(origin >= 3_000 + 8_192 && origin.is_multiple_of(64));
    // On its way since before the reset, and beyond what was processed then.
    for old in slots(11_000) {
        assert_eq!(playout.push_slot(&old), Placed::Late);
    }
    assert_eq!(playout.counters().read(), before, "that is nobody's fault");
    let mut output = Output::new(2);
    for p in (0..4_096).step_by(64) {
        assert_eq!(playout.push_slot(&slot(origin + p, 64)), Placed::Stored);
    }
    process(&mut playout, part(&mix, 0, 4_000), &[], &mut output);
    assert!(output.main[0][..LATENCY].iter().all(|&s| s == 0.0), "the old audio is gone");
    assert_eq!(output.main[0][LATENCY..], mix[0][..4_000 - LATENCY]);
    assert_eq!(output.stems[0][0][LATENCY], stem(0, origin));
    assert_eq!(playout.counters().read().underruns, before.underruns);
}

#[test]
fn ready_means_that_nothing_will_be_missing() {
    let mix = noise_mix(20_000);
    let mut playout = Playout::new(config(2_000, 2, 1));
    let mut output = Output::new(2);
    let all = slots(20_000);
    let (mut pushed, mut at, mut waits) = (0, 0, 0);
    while at < 19_000 {
        let frames = 1 + (at * 7) % 700;
        if playout.is_ready(frames) {
            process(&mut playout, part(&mix, at, at + frames), &[], &mut output);
            at += frames;
        } else {
            waits += 1;
            assert_eq!(playout.push_slot(&all[pushed]), Placed::Stored);
            pushed += 1;
        }
    }
    assert!(waits > 200);
    assert_eq!(playout.counters().read().underruns, 0);
}

#[test]
fn no_latency_at_all_is_the_mix_and_odd_numbers_are_survived() {
    let mix = [vec![f32::NAN, 0.5, f32::INFINITY, -0.5], vec![0.25; 4]];
    let mut playout = Playout::new(config(0, 2, 9));
    let mut output = Output::new(2);
    process(&mut playout, part(&mix, 0, 4), &[], &mut output);
    assert_eq!(output.main, [vec![0.0, 0.5, 0.0, -0.5], vec![0.25; 4]]);
    process(&mut playout, [&[], &[]], &[], &mut output);
    assert_eq!(output.main[0].len(), 4);
}

#[test]
fn slots_wait_in_a_ring_too() {
    let (mut producer, mut consumer) = rtrb::RingBuffer::new(8);
    let mix = noise_mix(4_096);
    let mut playout = Playout::new(config(2_048, 2, 1));
    let mut output = Output::new(2);
    let all = slots(4_096);
    for (i, at) in (0..4_096).step_by(256).enumerate() {
        // Four slots a block, wrapping around in the ring.
        for slot in &all[4 * i..4 * i + 4] {
            producer.push(*slot).unwrap();
        }
        playout.take_from(&mut consumer);
        process(&mut playout, part(&mix, at, at + 256), &[], &mut output);
    }
    assert_eq!(playout.counters().read().underruns, 0);
    assert_eq!(output.stems[0][1][3_000], stem(1, 3_000 - 2_048));
}
