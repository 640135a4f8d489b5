//! A playout that takes any model: stems on the lanes of their names, a change of model without a step, bypass,
//! peaks, and nothing odd from the network in what comes out.

mod common;

use common::{noise_mix, part};
use rehearsekit_audio::StemSet;
use rehearsekit_playout::{
    Layout, MAX_TRAVELLING_CHANNELS, Placed, Playout, SLOT_FRAMES, StemGains, StemSlot,
};

const LATENCY: usize = 2_000;

fn layout(names: &[&str]) -> Layout {
    Layout::by_name(&StemSet::new(names).expect("they are a set"))
}

fn two() -> Layout {
    layout(&["vocals", "accompaniment"])
}

fn four() -> Layout {
    layout(&["drums", "bass", "other", "vocals"])
}

/// Every row of a slot has `part` of a slow sine.
fn sine(p: u64) -> f32 {
    0.5 * (std::f32::consts::TAU * 200.0 / 48_000.0 * p as f32).sin()
}

fn slot(layout: Layout, position: u64, part: f32) -> StemSlot {
    let row = std::array::from_fn(|i| part * sine(position + i as u64));
    let samples = [row; MAX_TRAVELLING_CHANNELS];
    StemSlot { position, frames: SLOT_FRAMES as u16, layout, samples }
}

/// Six stems and main, left channel only.
struct Out {
    stems: Vec<Vec<f32>>,
    main: Vec<f32>,
}

fn play(playout: &mut Playout, mix: &[Vec<f32>; 2], slots: &[StemSlot], gains: &[StemGains]) -> Out {
    let mut out = Out { stems: vec![Vec::new(); 6], main: Vec::new() };
    let mut next = 0;
    for at in (0..mix[0].len()).step_by(160) {
        while next < slots.len() && slots[next].position as usize + SLOT_FRAMES <= at {
            playout.push_slot(&slots[next]);
            next += 1;
        }
        let input = part(mix, at, (at + 160).min(mix[0].len()));
        let frames = input[0].len();
        let mut stems = vec![[vec![9.0; frames], vec![9.0; frames]]; 6];
        let mut main = [vec![9.0; frames], vec![9.0; frames]];
        let mut slices: Vec<[&mut [f32]; 2]> =
            stems.iter_mut().map(|[l, r]| [l.as_mut_slice(), r.as_mut_slice()]).collect();
        let [left, right] = &mut main;
        playout.process(input, gains, &mut slices, [left, right]);
        out.main.extend(&main[0]);
        out.stems.iter_mut().zip(&stems).for_each(|(out, stem)| out.extend(&stem[0]));
    }
    out
}

fn steepest(samples: &[f32]) -> f32 {
    samples.windows(2).map(|w| (w[1] - w[0]).abs()).fold(0.0, f32::max)
}

#[test]
fn stems_lie_on_their_lanes_and_the_others_are_silent() {
    let wave: Vec<f32> = (0..10_000).map(sine).collect();
    let mix = [wave.clone(), wave];
    // Assumed to be two stems, it turns out to be four: nothing was heard yet, so nothing is bridged.
    let mut playout = Playout::for_any_model(LATENCY as u32, 8_192, two());
    let slots: Vec<StemSlot> = (0..10_000).step_by(64).map(|p| slot(four(), p, 0.25)).collect();
    let out = play(&mut playout, &mix, &slots, &[]);
    for (i, dry) in (LATENCY..).zip(&mix[0][..7_900]) {
        for lane in 0..3 {
            assert_eq!(out.stems[lane][i], 0.25 * dry);
        }
        assert_eq!((out.stems[3][i], out.stems[4][i]), (0.0, 0.0));
        assert!((out.stems[5][i] - 0.25 * dry).abs() < 1e-6);
    }
    assert_eq!(playout.counters().read().underruns, 0);
    assert_eq!(playout.layout(), &four());
}

#[test]
fn another_model_comes_in_without_a_step_and_with_one_slot_of_bridging() {
    const FRAMES: usize = 20_000;
    let wave: Vec<f32> = (0..FRAMES as u64).map(sine).collect();
    let mix = [wave.clone(), wave];
    for (from, to) in [(two(), four()), (four(), two())] {
        for gap in [0, 1, 10] {
            let mut playout = Playout::for_any_model(LATENCY as u32, 8_192, from);
            let slots: Vec<StemSlot> = (0..FRAMES as u64 / 64)
                .filter(|s| !(100..100 + gap).contains(s))
                .map(|s| slot(if s < 100 { from } else { to }, 64 * s, 0.3))
                .collect();
            // Faders of lanes that come and go are loud; the vocals are muted.
            let mut gains = [StemGains { linear: 2.0, ..StemGains::default() }; 6];
            gains[0].muted = true;
            gains[5].linear = 0.5;
            let out = play(&mut playout, &mix, &slots, &gains);
            let counts = playout.counters().read();
            assert_eq!(counts.holes, 1, "gap of {gap}");
            assert_eq!(counts.underruns, gap.max(1), "gap of {gap}");
            // A gain ramp, a cross-fade and the sine itself, each at its steepest.
            let limit = 2.0 * (0.5 * 0.0262 + 0.5 / 64.0) + 2.0 / 256.0;
            for samples in out.stems.iter().chain([&out.main]) {
                assert!(steepest(samples) < limit, "{} is a step", steepest(samples));
            }
            // Well after the change it is as if the new model had always been there.
            let mut fresh = Playout::for_any_model(LATENCY as u32, 8_192, to);
            let slots: Vec<StemSlot> = (0..FRAMES as u64 / 64).map(|s| slot(to, 64 * s, 0.3)).collect();
            let always = play(&mut fresh, &mix, &slots, &gains);
            let settled = LATENCY + 64 * (100 + gap as usize) + 2_000;
            assert_eq!(out.main[settled..], always.main[settled..]);
            assert_eq!(out.stems[2][settled..], always.stems[2][settled..]);
        }
    }
}

#[test]
fn bypassed_it_is_the_mix_and_the_sum_still_closes() {
    let mix = noise_mix(12_000);
    let mut playout = Playout::for_any_model(LATENCY as u32, 8_192, two());
    let slots: Vec<StemSlot> = (0..12_000).step_by(64).map(|p| slot(two(), p, 0.5)).collect();
    let muted = [StemGains { muted: true, ..StemGains::default() }];
    playout.set_bypassed(true);
    let out = play(&mut playout, &mix, &slots, &muted);
    assert_eq!(out.main[LATENCY..], mix[0][..10_000], "from the first frame");
    assert_eq!(out.stems[5][LATENCY..], mix[0][..10_000]);
    assert!(out.stems[0].iter().all(|&s| s == 0.0));
    playout.set_bypassed(false);
    let [a, b] = [&out.stems[0], &out.stems[5]];
    assert_eq!(a.len(), b.len());
    let mut left = [vec![0.0; 400], vec![0.0; 400]];
    let [l, r] = &mut left;
    playout.process(part(&mix, 0, 400), &muted, &mut [], [l, r]);
    let dry = &mix[0][10_000..10_400];
    // Fading out of the bypass towards the mix without the vocals.
    assert!((left[0][0] - dry[0]).abs() < 0.01);
    let p = 10_000 + 399;
    assert!((left[0][399] - (dry[399] - 0.5 * sine(p))).abs() < 1e-6);
}

#[test]
fn what_is_no_sound_does_not_come_out() {
    let mix = noise_mix(6_000);
    let mut playout = Playout::for_any_model(LATENCY as u32, 8_192, two());
    let odd = [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, 1e-44, f32::MAX];
    let slots: Vec<StemSlot> = (0..6_000)
        .step_by(64)
        .map(|p| {
            let mut slot = slot(two(), p, 0.5);
            for (i, sample) in slot.samples.iter_mut().flatten().enumerate() {
                *sample = odd[i % odd.len()];
            }
            slot
        })
        .collect();
    let gains = [StemGains { linear: 4.0, ..StemGains::default() }, StemGains::default()];
    let out = play(&mut playout, &mix, &slots, &gains);
    assert!(out.stems.iter().chain([&out.main]).flatten().all(|s| *s == 0.0 || s.is_normal()));
}

#[test]
fn peaks_tell_what_each_lane_adds() {
    let mix = [vec![0.5; 8_000], vec![-1.0; 8_000]];
    let mut playout = Playout::for_any_model(LATENCY as u32, 8_192, two());
    let mut slots: Vec<StemSlot> = (0..8_000).step_by(64).map(|p| slot(two(), p, 0.0)).collect();
    slots.iter_mut().for_each(|slot| slot.samples = [[0.125; SLOT_FRAMES]; MAX_TRAVELLING_CHANNELS]);
    let gains = [StemGains { linear: 2.0, ..StemGains::default() }];
    play(&mut playout, &mix, &slots, &gains);
    let peaks = playout.take_peaks();
    assert_eq!((peaks.input, peaks.main), ([0.5, 1.0], [0.625, 0.875]));
    assert_eq!((peaks.lanes[0], peaks.lanes[5]), ([0.25, 0.25], [0.375, 1.125]));
    assert_eq!(playout.take_peaks(), rehearsekit_playout::Peaks::default());
}

#[test]
fn a_ring_is_emptied_a_part_at_a_time() {
    let (mut producer, mut ring) = rtrb::RingBuffer::new(64);
    (0..40).for_each(|s| producer.push(slot(two(), 64 * s, 0.1)).unwrap());
    let mut playout = Playout::for_any_model(LATENCY as u32, 8_192, two());
    playout.take_some_from(&mut ring, 24);
    assert_eq!(ring.slots(), 16);
    playout.take_some_from(&mut ring, 24);
    assert_eq!(ring.slots(), 0);
    assert_eq!(playout.push_slot(&slot(two(), 0, 0.1)), Placed::Stored);
}
