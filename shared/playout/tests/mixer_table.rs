//! The mixer as a table: which strips are heard by mute, solo and the player's part, for models of 2, 4 and 6 stems,
//! live and bridged, and what master and dry/wet make of it. Every signal is a constant, so that each row can be
//! checked by hand.

mod common;

use rehearsekit_audio::StemSet;
use rehearsekit_playout::layout::{LANE_NAMES, LANES};
use rehearsekit_playout::{Layout, MAX_TRAVELLING_CHANNELS, Part, Playout, SLOT_FRAMES, StemGains, StemSlot};

const LATENCY: u32 = 640;
const FRAMES: usize = 6_400;

const MODELS: [&[&str]; 3] = [
    &["vocals", "accompaniment"],
    &["drums", "bass", "other", "vocals"],
    &["vocals", "piano", "guitar", "bass", "drums", "other"],
];

/// What each lane's stem is: sums of any of them differ.
const LEVELS: [f32; LANES] = [0.01, 0.02, 0.04, 0.08, 0.16, 0.32];
/// Faders.
const GAINS: [f32; LANES] = [0.5, 1.0, 0.75, 1.25, 1.5, 0.25];

fn lane(name: &str) -> usize {
    LANE_NAMES.iter().position(|lane| *lane == name).expect("a lane")
}

/// One row: what is pressed, and what is then heard of each model.
struct Row {
    muted: &'static [&'static str],
    soloed: &'static [&'static str],
    part: Option<(bool, &'static str)>,
    heard: [&'static [&'static str]; 3],
}

const ONLY: bool = true;
const WITHOUT: bool = false;
const ALL_4: &[&str] = &["vocals", "drums", "bass", "other"];
const ALL_6: &[&str] = &LANE_NAMES;

#[rustfmt::skip]
const TABLE: &[Row] = &[
    Row { muted: &[], soloed: &[], part: None, heard: [&["vocals", "other"], ALL_4, ALL_6] },
    Row { muted: &["vocals"], soloed: &[], part: None,
        heard: [&["other"], &["drums", "bass", "other"], &["drums", "bass", "guitar", "piano", "other"]] },
    // Solos add up; one on a strip that the model lacks counts for nothing.
    Row { muted: &[], soloed: &["drums", "piano"], part: None,
        heard: [&["vocals", "other"], &["drums"], &["drums", "piano"]] },
    // Mute wins over solo.
    Row { muted: &["drums"], soloed: &["drums", "bass"], part: None,
        heard: [&["vocals", "other"], &["bass"], &["bass"]] },
    Row { muted: ALL_6, soloed: &["vocals"], part: None, heard: [&[], &[], &[]] },
    // My part, where the model has it.
    Row { muted: &[], soloed: &[], part: Some((WITHOUT, "drums")),
        heard: [&["vocals", "other"], &["vocals", "bass", "other"], &["vocals", "bass", "guitar", "piano", "other"]] },
    Row { muted: &[], soloed: &[], part: Some((ONLY, "drums")),
        heard: [&["vocals", "other"], &["drums"], &["drums"]] },
    // Without it, its solo counts for nothing; the others' mutes and solos do.
    Row { muted: &["bass"], soloed: &["drums"], part: Some((WITHOUT, "drums")),
        heard: [&["vocals", "other"], &["vocals", "other"], &["vocals", "guitar", "piano", "other"]] },
    Row { muted: &[], soloed: &["drums", "vocals"], part: Some((WITHOUT, "drums")),
        heard: [&["vocals"], &["vocals"], &["vocals"]] },
    // Only it, whatever is muted or soloed.
    Row { muted: &["vocals"], soloed: &["other"], part: Some((ONLY, "vocals")),
        heard: [&["vocals"], &["vocals"], &["vocals"]] },
    Row { muted: &[], soloed: &[], part: Some((WITHOUT, "other")),
        heard: [&["vocals"], &["vocals", "drums", "bass"], &["vocals", "drums", "bass", "guitar", "piano"]] },
    Row { muted: &["vocals", "drums", "bass", "guitar", "piano"], soloed: &[], part: Some((WITHOUT, "other")),
        heard: [&[], &[], &[]] },
];

impl Row {
    fn gains(&self) -> [StemGains; LANES] {
        std::array::from_fn(|lane| StemGains {
            linear: GAINS[lane],
            pan: 0.0,
            muted: self.muted.contains(&LANE_NAMES[lane]),
            soloed: self.soloed.contains(&LANE_NAMES[lane]),
        })
    }

    fn part(&self) -> Part {
        match self.part {
            None => Part::All,
            Some((ONLY, name)) => Part::Only(lane(name)),
            Some((_, name)) => Part::Without(lane(name)),
        }
    }
}

/// The last frame of stems and main: with all slots there, or with none.
fn settled(
    layout: Layout,
    prepare: impl Fn(&mut Playout),
    gains: &[StemGains],
    live: bool,
) -> ([f32; LANES], f32) {
    let mut playout = Playout::for_any_model(LATENCY, 8_192, layout);
    prepare(&mut playout);
    let (mix, mut output) = (vec![mix(&layout); SLOT_FRAMES], common::Output::new(LANES));
    for at in (0..FRAMES).step_by(SLOT_FRAMES) {
        if live {
            let mut samples = [[0.0; SLOT_FRAMES]; MAX_TRAVELLING_CHANNELS];
            for (row, lane) in layout.lanes().enumerate() {
                samples[2 * row] = [LEVELS[lane]; SLOT_FRAMES];
                samples[2 * row + 1] = [LEVELS[lane]; SLOT_FRAMES];
            }
            let slot = StemSlot { position: at as u64, frames: SLOT_FRAMES as u16, layout, samples };
            playout.push_slot(&slot);
        }
        common::process(&mut playout, [&mix, &mix], gains, &mut output);
    }
    let last = |channel: &Vec<f32>| channel[channel.len() - 1];
    (std::array::from_fn(|lane| last(&output.stems[lane][0])), last(&output.main[1]))
}

fn mix(layout: &Layout) -> f32 {
    (0..LANES).filter(|lane| layout.has(*lane)).map(|lane| LEVELS[lane]).sum()
}

fn near(a: f32, b: f32) -> bool {
    (a - b).abs() < 1e-6
}

#[test]
fn mute_solo_and_my_part_for_models_of_two_four_and_six_stems_live_and_bridged() {
    for (number, row) in TABLE.iter().enumerate() {
        for (model, heard) in MODELS.iter().zip(row.heard) {
            let layout = Layout::by_name(&StemSet::new(model).expect("a set"));
            let part = row.part();
            let set = |playout: &mut Playout| playout.set_part(part);
            let is_heard = |lane: usize| heard.contains(&LANE_NAMES[lane]);
            let expected: [f32; LANES] =
                std::array::from_fn(|lane| if is_heard(lane) { GAINS[lane] * LEVELS[lane] } else { 0.0 });

            let (stems, main) = settled(layout, set, &row.gains(), true);
            let context = format!("row {number}, {} stems: {stems:?}, {main}", model.len());
            assert!(stems.iter().zip(expected).all(|(is, should)| near(*is, should)), "{context}");
            assert!(near(main, expected.iter().sum()), "{context}");

            let largest =
                (0..LANES).filter(|lane| is_heard(*lane)).map(|lane| GAINS[lane]).fold(0.0, f32::max);
            let (stems, main) = settled(layout, set, &row.gains(), false);
            let context = format!("row {number}, {} stems, bridged: {stems:?}, {main}", model.len());
            assert!(near(main, largest * mix(&layout)), "{context}");
            assert!(near(stems[LANES - 1], main) && stems[..LANES - 1] == [0.0; 5], "{context}");
        }
    }
}

#[test]
fn master_and_dry_wet_are_the_main_outputs_alone_and_bypass_wins_over_both() {
    let layout = Layout::by_name(&StemSet::new(&["vocals", "accompaniment"]).expect("a set"));
    let muted = [StemGains { muted: true, ..StemGains::default() }];
    let (mix, rest) = (mix(&layout), LEVELS[LANES - 1]);
    for (master, wetness, bypassed, expected) in [
        (1.0, 1.0, false, rest),
        (0.5, 1.0, false, 0.5 * rest),
        (1.0, 0.0, false, mix),
        (2.0, 0.25, false, 2.0 * (0.25 * rest + 0.75 * mix)),
        (0.0, 0.5, false, 0.0),
        (0.0, 0.5, true, mix),
        (f32::NAN, f32::NAN, false, 0.0),
        (1.0, 7.0, false, rest),
    ] {
        let set = |playout: &mut Playout| {
            playout.set_output(master, wetness);
            playout.set_bypassed(bypassed);
        };
        let (stems, main) = settled(layout, set, &muted, true);
        assert!(near(main, expected), "{master} {wetness} {bypassed}: {main}, not {expected}");
        let closing = if bypassed { mix } else { rest };
        assert!(near(stems[LANES - 1], closing) && stems[0] == 0.0, "{stems:?}");
    }
}

#[test]
fn a_panned_strip_leaves_one_side_and_over_a_hole_the_mix_keeps_to_the_sides_that_are_heard() {
    let layout = Layout::by_name(&StemSet::new(&["vocals", "accompaniment"]).expect("a set"));
    let mut gains = [StemGains::default(); LANES];
    gains[0].pan = 1.0;
    gains[LANES - 1].muted = true;
    for live in [true, false] {
        // `settled` gives the stems' left and main's right.
        let (stems, main) = settled(layout, |_| {}, &gains, live);
        assert_eq!(stems, [0.0; LANES]);
        assert!(near(main, if live { LEVELS[0] } else { mix(&layout) }), "{main}");
    }
}
