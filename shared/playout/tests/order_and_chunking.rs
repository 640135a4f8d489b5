//! The output depends on what arrived in time and on nothing else: not on the order, not on the host's
//! blocks, not on what came twice.

mod common;

use common::*;
use proptest::prelude::*;
use rehearsekit_playout::{Placed, Playout, SLOT_FRAMES, StemGains, StemSlot};

const FRAMES: usize = 12_000;
const LATENCY: u32 = 9_001;

fn gains() -> [StemGains; 4] {
    [0.5, 1.0, 1.25, 0.0].map(|linear| StemGains { linear, ..StemGains::default() })
}

/// Plays `mix` in blocks of the given sizes, taken round and round, with all of `slots` there beforehand.
fn play(mix: &[Vec<f32>; 2], slots: &[StemSlot], blocks: &[usize]) -> Output {
    // The whole of it may be there before the first block.
    let mut playout = Playout::new(rehearsekit_playout::PlayoutConfig {
        max_block_frames: 2 * FRAMES as u32,
        ..config(LATENCY, 4, 2)
    });
    for slot in slots {
        assert_eq!(playout.push_slot(slot), Placed::Stored);
    }
    let mut output = Output::new(4);
    let mut at = 0;
    for &block in blocks.iter().cycle() {
        let to = (at + block).min(mix[0].len());
        process(&mut playout, part(mix, at, to), &gains(), &mut output);
        at = to;
        if at == mix[0].len() {
            return output;
        }
    }
    output
}

/// Slots of 1 to 64 frames that keep to the grid, some of them missing, the cuts made by `cuts`.
fn cut_up(cuts: &[usize], holes: &[usize]) -> Vec<StemSlot> {
    let mut all = Vec::new();
    let (mut at, mut i) = (0, 0);
    while at < FRAMES {
        let to_border = SLOT_FRAMES - at % SLOT_FRAMES;
        let frames = cuts[i % cuts.len()].min(to_border);
        if !holes.contains(&(at / SLOT_FRAMES)) {
            all.push(slot(at as u64, frames));
        }
        at += frames;
        i += 1;
    }
    all
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn any_order_of_arrival_gives_the_same_bits(
        cuts in prop::collection::vec(1usize..=64, 1..8),
        holes in prop::collection::vec(0usize..60, 0..12),
        order in prop::collection::vec(any::<u32>(), 64),
        twice in 1usize..9,
    ) {
        let mix = noise_mix(FRAMES);
        let in_order = cut_up(&[64], &holes);
        let expected = play(&mix, &in_order, &[512]);
        let mut shuffled = cut_up(&cuts, &holes);
        let again: Vec<StemSlot> = shuffled.iter().step_by(twice).copied().collect();
        shuffled.extend(again);
        let mut keyed: Vec<(u32, StemSlot)> = shuffled
            .into_iter()
            .enumerate()
            .map(|(i, s)| (order[i % order.len()].wrapping_mul(2 * i as u32 + 1), s))
            .collect();
        keyed.sort_by_key(|(key, _)| *key);
        let shuffled: Vec<StemSlot> = keyed.into_iter().map(|(_, s)| s).collect();
        prop_assert!(play(&mix, &shuffled, &[512]).bits() == expected.bits());
    }

    #[test]
    fn any_cutting_into_blocks_gives_the_same_bits(
        blocks in prop::collection::vec(prop_oneof![1usize..70, 1usize..=8_192], 1..9),
        holes in prop::collection::vec(0usize..60, 0..12),
    ) {
        let mix = noise_mix(FRAMES);
        let slots = cut_up(&[64], &holes);
        prop_assert!(play(&mix, &slots, &blocks).bits() == play(&mix, &slots, &[FRAMES]).bits());
    }
}

#[test]
fn every_block_from_one_frame_to_the_largest_gives_the_same_bits() {
    let mix = noise_mix(FRAMES);
    let slots = cut_up(&[64], &[3, 4, 17]);
    let expected = play(&mix, &slots, &[FRAMES]).bits();
    for block in [1, 2, 63, 64, 65, 480, 1_024, 8_192] {
        assert!(play(&mix, &slots, &[block]).bits() == expected, "blocks of {block}");
    }
}

#[test]
fn arrivals_between_the_blocks_give_the_same_bits_as_arrivals_before_all() {
    let mix = noise_mix(FRAMES);
    let slots = cut_up(&[64], &[]);
    let expected = play(&mix, &slots, &[256]).bits();
    let mut playout = Playout::new(config(LATENCY, 4, 2));
    let mut output = Output::new(4);
    for at in (0..FRAMES).step_by(256) {
        let to = (at + 256).min(FRAMES);
        // The slots of two blocks ago, newest first.
        for slot in slots.iter().rev() {
            let end = slot.position as usize + SLOT_FRAMES;
            if end + 512 <= at + 256 && end + 512 > at {
                assert_eq!(playout.push_slot(slot), Placed::Stored);
            }
        }
        process(&mut playout, part(&mix, at, to), &gains(), &mut output);
    }
    assert!(output.bits() == expected);
    assert_eq!(playout.counters().read().underruns, 0);
}
