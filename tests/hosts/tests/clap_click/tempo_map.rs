//! The host's tempo map: constant, in steps and ramps, in sevens, with jumps and loops, and in the pre-roll.

use rehearsekit_host_tests::figures;
use serde_json::json;

use crate::{
    song::{Part, Song},
    stage::{BLOCKS, Blocks, Click, Deed, Stage, Telling, check, truth},
};

/// What rounding may add to half a frame.
const ROUNDED: f64 = 2e-3;

fn on_beats(_denominator: u32) -> u32 {
    1
}

/// In every cut and both ways of telling. The largest error in frames.
fn everywhere(what: &str, mut stage: Stage, deeds: &[Deed], tolerance: f64) {
    let mut worst = 0.0f64;
    let true_clicks = truth(&stage.song, deeds, on_beats);
    for telling in [Telling::Blocks, Telling::Events] {
        for blocks in BLOCKS {
            stage.telling = telling;
            let heard = stage.play(deeds, blocks);
            let what = format!("{what}, {telling:?}, {blocks:?}");
            worst = worst.max(check(&what, &heard, &true_clicks, tolerance));
        }
    }
    let rate_hz = stage.song.rate_hz;
    let clicks = true_clicks.len() * 2 * BLOCKS.len();
    figures::keep(
        &format!("clap_click_{what}"),
        &json!({"worst_frames": worst, "clicks": clicks, "rate_hz": rate_hz}),
    );
}

fn part(frames: f64, bpm: [f64; 2]) -> Part {
    Part { frames, bpm }
}

#[test]
fn at_one_tempo() {
    for (rate_hz, bpm, from) in [(44_100, 97.3, 0), (48_000, 120.0, 5_000), (96_000, 181.7, -40_000)] {
        let stage = Stage::new(Song::steady(rate_hz, bpm, (4, 4)));
        let deeds = [Deed::Play { from, frames: 8 * u64::from(rate_hz) }];
        everywhere(&format!("constant_{rate_hz}"), stage, &deeds, ROUNDED);
    }
}

/// The tempo steps and ramps up and down; nothing of that where a block begins.
#[test]
fn on_steps_and_ramps() {
    let parts = vec![
        part(70_001.0, [100.0, 100.0]),
        part(100_003.0, [100.0, 180.0]),
        part(50_021.0, [180.0, 180.0]),
        part(110_005.0, [75.0, 75.0]),
        part(60_002.0, [75.0, 140.0]),
        part(60_007.0, [140.0, 60.0]),
        part(80_000.0, [60.0, 60.0]),
    ];
    let stage = Stage::new(Song { rate_hz: 44_100, parts, meters: vec![(0.0, (4, 4))] });
    // A corner that nobody tells of leaves a hundredth of a frame open.
    everywhere("ramp", stage, &[Deed::Play { from: 0, frames: 520_000 }], 0.01);
}

/// Another parameter is automated all the while: it cuts the blocks, and moves no click.
#[test]
fn automation_moves_no_click() {
    let parts =
        vec![part(70_001.0, [100.0, 100.0]), part(200_003.0, [100.0, 180.0]), part(1.0, [180.0, 180.0])];
    let mut stage = Stage::new(Song { rate_hz: 48_000, parts, meters: vec![(0.0, (3, 4))] });
    stage.moves_a_fader = true;
    everywhere("automation", stage, &[Deed::Play { from: 0, frames: 320_000 }], 0.01);
}

/// Four fourths, seven eighths, three fourths and back: the accents tell the bars.
#[test]
fn in_sevens() {
    let seven = Stage::new(Song::steady(48_000, 150.0, (7, 8)));
    everywhere("seven_eighths", seven, &[Deed::Play { from: 3_000, frames: 400_000 }], ROUNDED);
    let meters = vec![(0.0, (4, 4)), (8.0, (7, 8)), (15.0, (3, 4)), (18.0, (7, 8)), (21.5, (4, 4))];
    let changing = Stage::new(Song { meters, ..Song::steady(44_100, 133.0, (4, 4)) });
    everywhere("changing_meters", changing, &[Deed::Play { from: 0, frames: 600_000 }], ROUNDED);
}

/// Seeks, a loop, a stop: each beat is heard with the audio that it went in with, and none twice at a seam.
#[test]
fn with_jumps_and_loops() {
    let parts =
        vec![part(96_000.0, [120.0, 120.0]), part(96_000.0, [120.0, 150.0]), part(9e9, [150.0, 150.0])];
    let song = Song { rate_hz: 48_000, parts, meters: vec![(0.0, (4, 4))] };
    let deeds = [
        Deed::Play { from: 0, frames: 100_000 },
        // A bar four times; its end is its beginning.
        Deed::Play { from: 0, frames: 96_000 },
        Deed::Play { from: 0, frames: 96_000 },
        Deed::Play { from: 0, frames: 96_000 },
        // Into the ramp and out of it.
        Deed::Play { from: 150_001, frames: 77_777 },
        Deed::Stop { frames: 33_333 },
        // On a beat, right before one, right behind one.
        Deed::Play { from: 24_000, frames: 30_000 },
        Deed::Play { from: 47_999, frames: 30_000 },
        Deed::Play { from: 24_001, frames: 30_000 },
        Deed::Play { from: -30_000, frames: 60_000 },
    ];
    // A jump out of the ramp in the middle of a block leaves its last frames to what was told before.
    everywhere("jumps", Stage::new(song), &deeds, 0.01);
}

/// Count-in: only in the host's pre-roll, and before the song begins.
#[test]
fn in_the_pre_roll_only() {
    let song = Song::steady(48_000, 120.0, (4, 4));
    for (pre_roll, from) in [(96_000..192_000, 96_000), (0..0, -96_000)] {
        let mut stage = Stage::new(song.clone());
        stage.params[0] = ("Click", 1.0);
        stage.pre_roll = pre_roll.clone();
        let deeds = [
            Deed::Stop { frames: 5_000 },
            Deed::Play { from, frames: 300_000 },
            // The same place again, and now nothing is counted in any more but what is before the song.
            Deed::Play { from: 192_000, frames: 100_000 },
        ];
        let counted = |frame: i64| frame < 0 || pre_roll.contains(&frame);
        let all = truth(&song, &deeds, on_beats);
        let expected: Vec<_> = all.into_iter().filter(|(_, frame, _)| counted(*frame)).collect();
        assert_eq!(expected.len(), 4, "a bar");
        for telling in [Telling::Blocks, Telling::Events] {
            stage.telling = telling;
            for blocks in BLOCKS {
                // Without events the pre-roll ends with a block.
                let whole = matches!(blocks, Blocks::Of(64));
                if telling == Telling::Events || whole || from < 0 {
                    let heard = stage.play(&deeds, blocks);
                    check(&format!("{pre_roll:?} {telling:?} {blocks:?}"), &heard, &expected, ROUNDED);
                }
            }
        }
    }
}

/// Played twice by the same instance, the second time begins anew; and eighths, triplets and sixteenths are heard.
#[test]
fn with_subdivisions_and_again() {
    let song = Song::steady(44_100, 100.0, (7, 8));
    for (subdivision, per_beat) in [(1.0, 1), (2.0, 3), (3.0, 2)] {
        let mut stage = Stage::new(song.clone());
        stage.params.push(("Click Subdivision", subdivision));
        stage.telling = Telling::Events;
        let deeds = [Deed::Play { from: 0, frames: 200_000 }];
        let expected = truth(&song, &deeds, |_| per_beat);
        let first: Vec<Click> = stage.play(&deeds, Blocks::UpTo(2_048));
        check(&format!("subdivision {subdivision}"), &first, &expected, ROUNDED);
        assert!(first == stage.play(&deeds, Blocks::Of(512)), "the same in other blocks");
    }
}
