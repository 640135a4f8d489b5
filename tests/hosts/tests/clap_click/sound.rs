//! The click's sounds as they come with the plugin, and where they come out.

use rehearsekit_host_tests::{
    songs::peak,
    track::{MAIN, Track},
};

use crate::{
    song::Song,
    stage::{Blocks, Deed, Stage},
};

const RATE: u32 = 44_100;
const CLICK: usize = 7;
/// At 120 beats a minute, and there are seven of them.
const BEAT: usize = 22_050;
const DEEDS: [Deed; 1] = [Deed::Play { from: 0, frames: 7 * BEAT as u64 - 10 }];

fn song() -> Song {
    Song::steady(RATE, 120.0, (4, 4))
}

/// Their first sample is their attack, and lies on the beat: with nothing before it and hardly anything louder behind.
#[test]
fn every_sound_begins_on_the_beat() {
    for sound in 0..3 {
        let mut stage = Stage::new(song());
        stage.params[1] = ("Click Sound", f64::from(sound));
        let (mut track, _folder) = stage.track();
        let (out, latency) = stage.play_on(&mut track, &DEEDS, Blocks::UpTo(2_048));
        let heard = &out[0][0][latency..];
        for beat in 0..7 {
            let at = beat * BEAT;
            let gain = if beat % 4 == 0 { 1.0 } else { 0.65 };
            assert!(heard[at] > 0.9 * gain, "sound {sound}, beat {beat}: begins with {}", heard[at]);
            assert!((peak(&heard[at..at + BEAT / 2]) - gain).abs() < 1e-6, "sound {sound}, beat {beat}");
            let rest = &heard[at + BEAT / 2..(at + BEAT).min(heard.len())];
            assert_eq!(peak(rest), 0.0, "sound {sound}, something behind beat {beat}");
        }
        assert!(out[0] == out[CLICK]);
    }
}

/// Level and pan hold on both outputs; away from the main one it is on its own alone; bypassed it is nowhere.
#[test]
fn it_comes_out_where_it_should() {
    let heard = |params: &[(&'static str, f64)]| {
        let mut stage = Stage::new(song());
        stage.params.extend(params);
        let (mut track, _folder) = stage.track();
        let (out, _) = stage.play_on(&mut track, &DEEDS, Blocks::Of(512));
        [0, CLICK].map(|port| out[port].each_ref().map(|channel| peak(channel)))
    };
    assert_eq!(heard(&[]), [[1.0; 2]; 2]);
    assert_eq!(heard(&[("Click in Main", 0.0)]), [[0.0; 2], [1.0; 2]]);
    assert_eq!(heard(&[("Click Level", 0.0)]), [[0.0; 2]; 2]);
    assert_eq!(heard(&[("Click Pan", 0.0)]), [[1.0, 0.0]; 2]);
    assert_eq!(heard(&[("Click", 0.0)]), [[0.0; 2]; 2]);
    assert_eq!(heard(&[("Bypass", 1.0)]), [[0.0; 2]; 2]);
    // −6 dB: 78 of the fader's 96 dB above its foot.
    let [[left, right], own] = heard(&[("Click Level", 78.0 / 96.0)]);
    assert!(left == right && own == [left, right] && (20.0 * left.log10() + 6.0).abs() < 0.01, "{left}");
    // The master fader is not its own: the player turns the song down and keeps the click.
    assert_eq!(heard(&[("Master Gain", 0.0)]), [[1.0; 2]; 2]);
}

/// The class with one output has it there.
#[test]
fn the_main_class_clicks_too() {
    let stage = Stage::new(song());
    let mut track = Track::new(MAIN);
    track.point_at("127.0.0.1:9", 250.0);
    track.set(&[("Click", 2.0)]);
    let (out, latency) = stage.play_on(&mut track, &DEEDS, Blocks::Of(441));
    assert_eq!(out.len(), 1);
    let heard = &out[0][0][latency..];
    for beat in 0..7 {
        assert!(
            heard[beat * BEAT] > 0.6 && peak(&heard[(beat * BEAT).saturating_sub(5_000)..beat * BEAT]) == 0.0
        );
    }
}
