//! A tempo of the player's own, with a tapped "one", whatever the host has.

use serde_json::json;

use crate::{
    song::{Part, Song},
    stage::{BLOCKS, Deed, Stage, Telling, check, truth},
};

/// Its CLAP value, a fraction of the range, is a binary one.
const TEMPO_BPM: f64 = 115.0;
const TEMPO_VALUE: f64 = 0.25;
const RATE: u32 = 48_000;
const ONE_SECONDS: f64 = 0.731;

fn stage() -> Stage {
    // The host's own map is another one, and of no interest.
    let parts = vec![Part { frames: 100_000.0, bpm: [71.0, 140.0] }, Part { frames: 1.0, bpm: [140.0; 2] }];
    let mut stage = Stage::new(Song { rate_hz: RATE, parts, meters: vec![(0.0, (4, 4))] });
    stage.settings.push(("own_one_seconds", json!(ONE_SECONDS)));
    let own = [("Click Tempo from", 1.0), ("My Tempo", TEMPO_VALUE), ("My Beats per Bar", 4.0)];
    stage.params.extend(own);
    stage
}

/// As the player hears it: a song in five that begins at the "one".
fn heard_song() -> Song {
    Song::steady(RATE, TEMPO_BPM, (5, 4))
}

fn from_the_one(deeds: &[Deed]) -> Vec<(f64, i64, usize)> {
    // The one lies between two frames, as taps do.
    let (whole, rest) = ((ONE_SECONDS * f64::from(RATE)).trunc(), (ONE_SECONDS * f64::from(RATE)).fract());
    let shifted: Vec<Deed> = deeds
        .iter()
        .map(|deed| match *deed {
            Deed::Play { from, frames } => Deed::Play { from: from - whole as i64, frames },
            stop => stop,
        })
        .collect();
    let clicks = truth(&heard_song(), &shifted, |_| 1);
    clicks.into_iter().map(|(at, frame, kind)| (at + rest, frame, kind)).collect()
}

#[test]
fn beats_count_from_the_one_and_follow_the_song() {
    let mut stage = stage();
    let deeds = [
        Deed::Play { from: 0, frames: 200_000 },
        Deed::Stop { frames: 10_000 },
        Deed::Play { from: 200_000, frames: 50_000 },
        Deed::Play { from: 10_000, frames: 150_000 },
        Deed::Play { from: -70_000, frames: 100_000 },
    ];
    let expected = from_the_one(&deeds);
    for telling in [Telling::Blocks, Telling::Events] {
        stage.telling = telling;
        for blocks in BLOCKS {
            let heard = stage.play(&deeds, blocks);
            // CLAP tells the place in the song in seconds: it is known to half a frame where it jumps.
            check(&format!("{telling:?} {blocks:?}"), &heard, &expected, 0.5);
        }
    }
}

/// A host that tells nothing, as a live input has it: the click runs freely. Where the first "one" lies is then between
/// the player, who taps it, and the plugin's own time; another "one" is as far away as it is told to be.
#[test]
fn without_any_transport_it_runs_freely() {
    const FRAMES: u64 = 400_000;
    const LATER_FRAMES: u64 = 9_000;
    let mut stage = stage();
    stage.telling = Telling::Nothing;
    let deeds = [Deed::Play { from: 0, frames: FRAMES }];
    let later = json!(ONE_SECONDS + LATER_FRAMES as f64 / f64::from(RATE));
    let mut runs = Vec::new();
    for blocks in BLOCKS {
        let heard = stage.play(&deeds, blocks);
        let one = heard.iter().position(|(_, kind)| *kind == 2).unwrap();
        let period = 60.0 * f64::from(RATE) / TEMPO_BPM;
        for (number, (frame, kind)) in heard.iter().enumerate() {
            let at = heard[one].0 as f64 + (number as f64 - one as f64) * period;
            assert!((*frame as f64 - at).abs() < 1.0, "{blocks:?}: a click at {frame} for a beat at {at}");
            assert_eq!(*kind == 2, number % 5 == one % 5, "{blocks:?}: the wrong one at {frame}");
        }
        assert_eq!(heard.len(), (FRAMES as f64 / period).ceil() as usize, "{blocks:?}");
        let mut moved = heard;
        moved.iter_mut().for_each(|(frame, _)| *frame += LATER_FRAMES);
        runs.push(moved);
    }
    assert!(runs.windows(2).all(|pair| pair[0] == pair[1]), "other clicks in other blocks");
    stage.settings = vec![("own_one_seconds", later)];
    let mut heard = stage.play(&deeds, BLOCKS[1]);
    heard.retain(|(frame, _)| *frame >= runs[0][0].0);
    let both = heard.len().min(runs[0].len());
    assert_eq!(heard[..both], runs[0][..both]);
    // And the host's map, where there is none, is none: no click.
    stage.params.retain(|(name, _)| *name != "Click Tempo from");
    assert_eq!(stage.play(&deeds, BLOCKS[1]), []);
}
