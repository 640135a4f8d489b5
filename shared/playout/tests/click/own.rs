//! The player's own tempo, the count-in, and what a display is told.

use proptest::prelude::*;
use rehearsekit_audio::{
    SampleRate,
    click::{BeatTransport, ClickMode, ClickSource, ClickValues},
};
use rehearsekit_playout::{ClickTrack, HeardBeat};

use crate::{
    host::{Click, Deed, Host, Rounding, clicks, impulses, on, sizes},
    song::Song,
};

fn own(bpm: f64, one_seconds: f64, beats_per_bar: u32) -> ClickValues {
    ClickValues {
        source: ClickSource::Own,
        own_tempo_bpm: bpm,
        own_one_seconds: one_seconds,
        own_beats_per_bar: beats_per_bar,
        ..on()
    }
}

/// `frames` frames in blocks of 500, with what `told` and `set` say at a position.
fn play(
    latency_frames: u32,
    frames: u64,
    told: impl Fn(u64) -> BeatTransport,
    set: impl Fn(u64) -> ClickValues,
) -> (Vec<Click>, ClickTrack) {
    let (mut track, mut sounds) = ClickTrack::new(SampleRate::HZ_48000, latency_frames);
    impulses(SampleRate::HZ_48000, &mut sounds);
    let mut heard = Vec::new();
    for position in (0..frames).step_by(500) {
        let [mut left, mut right] = [vec![9.0; 500], vec![9.0; 500]];
        track.receive(position, &told(position));
        track.render(position, &set(position), [&mut left, &mut right]);
        heard.extend(clicks(&left, position));
    }
    (heard, track)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    /// The same as a host of that tempo whose song begins at the tapped one.
    #[test]
    fn beats_count_from_the_one_and_follow_the_song(
        bpm in 30.0..300.0f64,
        one_frames in -100_000..400_000i64,
        beats_per_bar in 1u32..9,
        latency_frames in 0u32..100_000,
        from in 0..300_000i64,
        clap: bool,
        says_bar_starts: bool,
        seed: u64,
    ) {
        // The host's own map is another one, and of no interest.
        let mut host = Host::new(Song::steady(48_000, 71.0, (4, 4)), latency_frames);
        host.rounding = if clap { Rounding::Clap } else { Rounding::None };
        host.says_bar_starts = says_bar_starts;
        host.values = own(bpm, one_frames as f64 / 48_000.0, beats_per_bar);
        let deeds = [
            Deed::Play { from, frames: 200_000 },
            Deed::Stop { frames: 10_000 },
            Deed::Play { from: from + 200_000, frames: 50_000 },
            Deed::Play { from, frames: 50_000 },
        ];
        let heard = host.run(&deeds, sizes(seed, 8_192));
        let shifted = deeds.map(|deed| match deed {
            Deed::Play { from, frames } => Deed::Play { from: from - one_frames, frames },
            stop => stop,
        });
        let song = Song::steady(48_000, bpm, (beats_per_bar, 4));
        Host::new(song, latency_frames).check(&heard, &shifted, 2e-3);
    }
}

/// A host that rounds its position to where it likes: no beat is lost, none sounds twice.
#[test]
fn a_position_that_wobbles_is_no_jump() {
    let host = Host::new(Song::steady(48_000, 71.0, (4, 4)), 0);
    let told = |position: u64| {
        let wobble = [0, 1, -1, 1, 0, -1, -1][(position / 500 % 7) as usize];
        host.transport(true, position as i64 + wobble)
    };
    let (heard, _) = play(3_000, 400_000, told, |_| own(120.0, 0.0, 4));
    let expected: Vec<Click> =
        (0..17).map(|n| (3_000 + 24_000 * n, if n % 4 == 0 { 2 } else { 1 })).collect();
    assert_eq!(heard, expected);
}

#[test]
fn without_a_song_it_runs_freely_and_the_tapped_one_moves_it() {
    let live = BeatTransport::default();
    let (heard, track) = play(1_000, 200_000, |_| live, |_| own(120.0, 0.0, 4));
    let expected: Vec<Click> = (0..9).map(|n| (1_000 + 24_000 * n, if n % 4 == 0 { 2 } else { 1 })).collect();
    assert_eq!(heard, expected);
    assert_eq!(track.own_seconds(), 199_000.0 / 48_000.0);

    let tapped = |position| own(120.0, if position < 100_000 { 0.0 } else { 2.25 }, 4);
    let (heard, _) = play(0, 200_000, |_| live, tapped);
    let frames: Vec<u64> = heard.iter().map(|(frame, _)| *frame).collect();
    assert_eq!(frames, [0, 24_000, 48_000, 72_000, 96_000, 108_000, 132_000, 156_000, 180_000]);
    assert_eq!(heard[5], (108_000, 2));

    let faster = |position| own(if position < 100_000 { 120.0 } else { 60.0 }, 0.0, 4);
    let (heard, _) = play(0, 200_000, |_| live, faster);
    assert_eq!(heard[5..], [(144_000, 1), (192_000, 2)], "anchored in the one, not in the change");
}

#[test]
fn it_counts_in_before_the_song_and_in_the_hosts_pre_roll() {
    let song = Song::steady(48_000, 120.0, (4, 4));
    let mut host = Host::new(song, 5_000);
    host.values.mode = ClickMode::CountIn;
    for rounding in [Rounding::None, Rounding::Clap] {
        host.rounding = rounding;
        let deeds = [Deed::Play { from: -96_000, frames: 300_000 }];
        let expected = [(5_000, 2), (29_000, 1), (53_000, 1), (77_000, 1)];
        assert_eq!(host.run(&deeds, || 512), expected, "not the first beat of the song");
    }
    // Each beat is counted by what was said where it went in, not by what is said when it is heard.
    let told = |position: u64| BeatTransport {
        pre_roll: position < 60_000,
        ..host.transport(true, 96_000 + position as i64)
    };
    let values = host.values;
    let (heard, _) = play(30_000, 200_000, told, |_| values);
    assert_eq!(heard, [(30_000, 2), (54_000, 1), (78_000, 1)]);
    let own = own(240.0, 0.0, 4);
    let (heard, _) = play(30_000, 200_000, told, |_| ClickValues { mode: ClickMode::CountIn, ..own });
    assert_eq!(heard.len(), 5);
}

#[test]
fn without_a_map_nothing_is_guessed() {
    let host = Host::new(Song::steady(48_000, 120.0, (4, 4)), 0);
    let whole = host.transport(true, 0);
    for told in [
        BeatTransport { tempo_bpm: None, ..whole },
        BeatTransport { beats: None, ..whole },
        BeatTransport { tempo_bpm: Some(0.0), ..whole },
        BeatTransport { tempo_bpm: Some(f64::NAN), ..whole },
        BeatTransport { beats: Some(f64::INFINITY), ..whole },
        BeatTransport { playing: true, ..BeatTransport::default() },
    ] {
        let (heard, track) = play(0, 100_000, |_| told, |_| on());
        assert_eq!((heard.len(), track.tempo_bpm(), track.beat()), (0, None, None), "{told:?}");
    }
    for (bpm, one) in [(0.0, 0.0), (-3.0, 0.0), (f64::NAN, 0.0), (1e9, 0.0), (120.0, f64::NAN)] {
        let (heard, track) = play(0, 100_000, |_| whole, |_| own(bpm, one, 4));
        assert_eq!((heard.len(), track.tempo_bpm()), (0, None), "{bpm} {one}");
    }
}

#[test]
fn a_display_is_told_the_beat_that_is_heard() {
    let host = Host::new(Song::steady(48_000, 90.0, (3, 4)), 10_000);
    let told = |position: u64| host.transport(position < 200_000, position as i64);
    let (mut track, _sounds) = ClickTrack::new(SampleRate::HZ_48000, 10_000);
    // 32,000 frames to a beat; whether it is clicked is another matter.
    let values = ClickValues::default();
    for position in (0..260_000u64).step_by(500) {
        let [mut left, mut right] = [vec![9.0; 500], vec![9.0; 500]];
        track.receive(position, &told(position));
        track.render(position, &values, [&mut left, &mut right]);
        assert!(left.iter().chain(&right).all(|sample| *sample == 0.0));
        let heard = (position + 500).checked_sub(10_001).filter(|frame| *frame < 200_000);
        let beat = heard.map(|frame| HeardBeat { beat: (frame / 32_000 % 3) as u32 + 1, of: 3 });
        assert_eq!(track.beat(), beat, "at {position}");
        let bpm = track.tempo_bpm();
        assert!(
            position < 10_000 || bpm.is_some_and(|bpm| (bpm - 90.0).abs() < 1e-9),
            "at {position}: {bpm:?}"
        );
    }
    let unknown = BeatTransport { time_signature: None, ..host.transport(true, 0) };
    let (heard, track) = play(0, 500, |_| unknown, |_| on());
    assert_eq!((heard.as_slice(), track.beat()), (&[(0, 1)][..], None), "no meter, no one");
}
