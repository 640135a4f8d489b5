//! Hosts that say too little, too late, twice, or nonsense; and the sounds.
#![allow(clippy::unwrap_used, reason = "a test that cannot set itself up has failed")]

use proptest::prelude::*;
use rehearsekit_audio::{
    Audio, SampleRate,
    click::{
        BUILT_IN_SOUNDS, BeatTransport, ClickMode, ClickSound, ClickSource, ClickValues, Subdivision,
        TickKind, built_in,
    },
};
use rehearsekit_playout::ClickTrack;

use crate::{
    host::{Deed, Host, Rounding, clicks, impulses, on, sizes},
    song::{Part, Song},
};

fn ramp() -> Song {
    let part = |frames: f64, bpm: [f64; 2]| Part { frames, bpm };
    Song {
        rate_hz: 48_000,
        parts: vec![
            part(100_000.0, [100.0; 2]),
            part(200_000.0, [100.0, 180.0]),
            part(150_000.0, [180.0; 2]),
            part(9.0, [90.0; 2]),
        ],
        meters: vec![(0.0, (4, 4))],
    }
}

/// With less latency than a block the next words of the host come too late: a beat may be off by what the tempo did
/// meanwhile, but none is missing and none sounds twice.
#[test]
fn with_little_latency_no_beat_is_lost_or_doubled() {
    for latency_frames in [0, 100, 512, 700] {
        for (most, tolerance) in [(64, 40.0), (512, 300.0), (2_048, 1_200.0)] {
            let host = Host::new(ramp(), latency_frames);
            let deeds = [Deed::Play { from: 0, frames: 700_000 }];
            for seed in 0..20 {
                host.check(&host.run(&deeds, sizes(seed, most)), &deeds, tolerance);
            }
        }
    }
}

/// Blocks are cut at parameter changes, and the later part's transport is only carried on from the first's: at its
/// tempo, without what the map holds.
#[test]
fn a_transport_that_was_carried_on_costs_no_beat() {
    let part = |bpm: f64| Part { frames: 40_300.3, bpm: [bpm; 2] };
    let steps = [90.0, 170.0, 60.0, 200.0, 120.0, 121.0, 119.9, 240.0, 77.0];
    let steps = Song { parts: steps.map(part).to_vec(), ..ramp() };
    for (song, seed) in (0..10).flat_map(|seed| [(ramp(), seed), (steps.clone(), seed)]) {
        let host = Host {
            values: ClickValues { subdivision: Subdivision::Sixteenths, ..on() },
            ..Host::new(song, 4_096)
        };
        let (mut track, mut own) = ClickTrack::new(host.rate(), 4_096);
        impulses(host.rate(), &mut own);
        let mut cut = sizes(seed, 511);
        let mut heard = Vec::new();
        for block in (0..500_000 + 4_608).step_by(512) {
            let first = host.transport(block < 499_712, block as i64);
            let cut = cut();
            for (at, frames) in [(0, cut), (cut, 512 - cut)] {
                let passed = at as f64 / 48_000.0 / 60.0;
                track.receive(
                    block + at,
                    &BeatTransport {
                        song_position_frames: first.song_position_frames.map(|song| song + at as i64),
                        beats: first.beats.zip(first.tempo_bpm).map(|(beats, bpm)| beats + passed * bpm),
                        ..first
                    },
                );
                let [mut left, mut right] = [0, 1].map(|_| vec![9.0; frames as usize]);
                track.render(block + at, &host.values, [&mut left, &mut right]);
                heard.extend(clicks(&left, block + at));
            }
        }
        host.check(&heard, &[Deed::Play { from: 0, frames: 499_712 }], 0.05);
    }
}

/// Whoever jumps into another tempo, to where a change of tempo might have led as well, has jumped all the same.
#[test]
fn a_jump_that_looks_like_a_change_of_tempo() {
    let song = Song {
        parts: [120.0, 140.0].map(|bpm| Part { frames: 24_500.0, bpm: [bpm; 2] }).to_vec(),
        ..Song::steady(48_000, 120.0, (4, 4))
    };
    let mut host = Host::new(song, 9_000);
    host.values.subdivision = Subdivision::Sixteenths;
    let deeds = [Deed::Play { from: 0, frames: 23_552 }, Deed::Play { from: 24_600, frames: 50_000 }];
    host.check(&host.run(&deeds, || 512), &deeds, 2e-3);
}

/// A host that contradicts itself a little, long after its last surprise, moves what comes and not what was.
#[test]
fn a_small_contradiction_moves_nothing_before_it() {
    let host = Host::new(Song::steady(48_000, 120.0, (4, 4)), 12_000);
    let (mut track, mut own) = ClickTrack::new(host.rate(), 12_000);
    impulses(host.rate(), &mut own);
    let mut heard = Vec::new();
    for block in (0..500_000).step_by(500) {
        let told = host.transport(true, block as i64);
        // 1.8 frames late from the middle on.
        let beats = told.beats.map(|beats| beats - if block < 250_000 { 0.0 } else { 1.8 / 24_000.0 });
        track.receive(block, &BeatTransport { beats, ..told });
        let [mut left, mut right] = [vec![9.0; 500], vec![9.0; 500]];
        track.render(block, &host.values, [&mut left, &mut right]);
        heard.extend(clicks(&left, block).iter().map(|(frame, _)| frame - 12_000));
    }
    let expected: Vec<u64> = (0..21).map(|n| 24_000 * n + if n < 11 { 0 } else { 2 }).collect();
    assert_eq!(heard, expected);
}

/// Where a jump puts a bar's first beat right behind a softer click, one is heard, and it is the first beat.
#[test]
fn the_louder_of_two_clicks_wins() {
    let mut host = Host::new(Song::steady(48_000, 120.0, (4, 4)), 0);
    host.values.sound = 0;
    let play = |deeds: &[(i64, usize)]| {
        let (mut track, _own) = ClickTrack::new(host.rate(), 0);
        let mut heard = Vec::new();
        let mut position = 0;
        for &(from, frames) in deeds {
            let [mut left, mut right] = [vec![9.0; frames], vec![9.0; frames]];
            track.receive(position, &host.transport(true, from));
            track.render(position, &host.values, [&mut left, &mut right]);
            heard.extend(left);
            position += frames as u64;
        }
        heard
    };
    let accent = play(&[(0, 10_000)]);
    let both = play(&[(24_000, 50), (96_000, 10_000)]);
    assert_eq!(both[50 + 64..10_050], accent[64..10_000], "the softer one has gone");
    assert_ne!(both[51..100], accent[1..50], "and not with a jump");
    let softer = play(&[(0, 50), (24_000, 10_000)]);
    assert_eq!(softer[..10_000], accent[..10_000], "the softer one never comes");
}

/// A tempo that moves in every block of a frame makes more anchors than there is room for.
#[test]
fn more_words_than_there_is_room_for() {
    let mut host = Host::new(ramp(), 20_000);
    for rounding in [Rounding::None, Rounding::Clap] {
        host.rounding = rounding;
        let deeds = [Deed::Play { from: 90_000, frames: 300_000 }];
        host.check(&host.run(&deeds, || 1), &deeds, 0.02);
    }
}

/// A host whose tempo and beats disagree a little is followed in its beats.
#[test]
fn a_tempo_that_is_rounded_does_not_drift() {
    let song = Song::steady(48_000, 123.456, (4, 4));
    let host = Host::new(song.clone(), 12_000);
    let (mut track, mut own) = ClickTrack::new(host.rate(), 12_000);
    impulses(host.rate(), &mut own);
    let frames = 48_000 * 300;
    let mut heard = Vec::new();
    for block in (0..frames + 12_288).step_by(512) {
        let told = host.transport(block < frames, block as i64);
        track.receive(block, &BeatTransport { tempo_bpm: Some(123.5), ..told });
        let [mut left, mut right] = [vec![9.0; 512], vec![9.0; 512]];
        track.render(block, &host.values, [&mut left, &mut right]);
        heard.extend(clicks(&left, block));
    }
    host.check(&heard, &[Deed::Play { from: 0, frames }], 0.05);
}

fn number() -> impl Strategy<Value = f64> {
    prop_oneof![
        prop::sample::select(vec![
            0.0,
            -0.0,
            1.0,
            120.0,
            -1e9,
            1e18,
            -1e300,
            f64::MAX,
            f64::NAN,
            f64::INFINITY,
            f64::MIN_POSITIVE,
        ]),
        -1e3..1e3f64,
        any::<f64>(),
    ]
}

proptest! {
    #[test]
    fn nonsense_is_survived(
        latency_frames in prop_oneof![Just(0u32), 0..96_000u32, Just(u32::MAX)],
        blocks in prop::collection::vec(
            (
                (any::<bool>(), any::<bool>(), any::<u8>(), -3.0..3.0f32, 1usize..2_000),
                (prop::option::of(any::<i64>()), prop::option::of(number()), prop::option::of(number())),
                (prop::option::of(number()), prop::option::of((any::<u32>(), any::<u32>()))),
                (number(), number(), any::<u32>(), 0u8..3, 0u8..4),
            ),
            1..40,
        ),
    ) {
        let (mut track, _own) = ClickTrack::new(SampleRate::HZ_48000, latency_frames);
        let mut position = 0;
        for ((playing, pre_roll, sound, pan, frames), (song_position_frames, tempo_bpm, beats), (bar_start_beats, time_signature), (own_tempo_bpm, own_one_seconds, own_beats_per_bar, mode, subdivision)) in blocks {
            track.receive(position, &BeatTransport { playing, pre_roll, song_position_frames, tempo_bpm, beats, bar_start_beats, time_signature, is_carried: false });
            let values = ClickValues {
                mode: [ClickMode::Off, ClickMode::CountIn, ClickMode::On][usize::from(mode)],
                level_db: pan * 40.0,
                pan: if sound == 7 { f32::NAN } else { pan },
                sound,
                subdivision: [Subdivision::Beats, Subdivision::Eighths, Subdivision::Triplets, Subdivision::Sixteenths][usize::from(subdivision)],
                accent: pre_roll,
                source: if sound % 2 == 0 { ClickSource::Host } else { ClickSource::Own },
                own_tempo_bpm,
                own_one_seconds,
                own_beats_per_bar,
            };
            let [mut left, mut right] = [vec![f32::NAN; frames], vec![f32::NAN; frames]];
            track.render(position, &values, [&mut left, &mut right]);
            prop_assert!(left.iter().chain(&right).all(|sample| sample.is_finite()));
            position += frames as u64;
        }
    }
}

/// One bar of four at 120, from its first beat, with these values.
fn bar(values: &ClickValues, own: Option<ClickSound>) -> [Vec<f32>; 2] {
    let (mut track, mut sounds) = ClickTrack::new(SampleRate::HZ_48000, 0);
    sounds.set(own).unwrap();
    let host = Host::new(Song::steady(48_000, 120.0, (4, 4)), 0);
    let [mut left, mut right] = [vec![9.0; 96_000], vec![9.0; 96_000]];
    track.receive(0, &host.transport(true, 0));
    track.render(0, values, [&mut left, &mut right]);
    [left, right]
}

#[test]
fn the_first_frame_of_a_sound_is_on_the_beat() {
    let kinds = [TickKind::Accent, TickKind::Beat];
    for sound in 0..BUILT_IN_SOUNDS.len() {
        let [left, right] = bar(&ClickValues { sound: sound as u8, ..on() }, None);
        assert_eq!(left, right);
        for (beat, gain) in [1.0, 0.65, 0.65, 0.65].into_iter().enumerate() {
            let sample = built_in(sound, kinds[beat.min(1)], SampleRate::HZ_48000);
            let expected: Vec<f32> = sample.stereo()[0].iter().map(|sample| gain * sample).collect();
            let at = 24_000 * beat;
            assert_eq!(left[at..at + expected.len()], expected, "{sound} on beat {beat}");
            assert!(left[at + expected.len()..at + 24_000].iter().all(|sample| *sample == 0.0));
        }
    }
    let [own, _] = bar(&on(), None);
    assert_eq!(own, bar(&ClickValues { sound: 0, ..on() }, None)[0], "no sound of one's own: the first");
}

#[test]
fn level_and_pan() {
    let impulse =
        || ClickSound::new(Audio::new(SampleRate::HZ_48000, vec![vec![1.0], vec![-1.0]]).unwrap()).ok();
    let accent = |level_db, pan| {
        let [left, right] = bar(&ClickValues { level_db, pan, ..on() }, impulse());
        [left[0], right[0]]
    };
    assert_eq!(accent(0.0, 0.0), [1.0, -1.0]);
    assert_eq!(accent(ClickValues::SILENT_DB, 0.0), [0.0, 0.0]);
    assert_eq!(accent(f32::NAN, 0.0), [0.0, 0.0]);
    for (pan, far) in [(-0.5, 0.5f32.sqrt()), (-1.0, 0.0), (-7.0, 0.0)] {
        let [left, right] = accent(-20.0, pan);
        assert!((left - 0.1).abs() < 1e-6 && (right + 0.1 * far).abs() < 1e-6, "{pan}: {left} {right}");
        let [left, right] = accent(-20.0, -pan);
        assert!((left - 0.1 * far).abs() < 1e-6 && (right + 0.1).abs() < 1e-6, "{}: {left} {right}", -pan);
    }
}

#[test]
fn long_sounds_ring_together_and_behind_a_stop_and_never_jump() {
    // A slow constant: everything that is cut or stolen shows as a jump.
    let ramp = (0..96_000).map(|n| 0.1 * (n as f32 / 96_000.0 * std::f32::consts::PI).sin()).collect();
    let sound = ClickSound::new(Audio::new(SampleRate::HZ_48000, vec![ramp]).unwrap()).unwrap();
    let host = Host::new(Song::steady(48_000, 480.0, (4, 4)), 0);
    let values = ClickValues { subdivision: Subdivision::Sixteenths, ..on() };
    let (mut track, mut sounds) = ClickTrack::new(SampleRate::HZ_48000, 0);
    sounds.set(Some(sound)).unwrap();
    let [mut left, mut right] = [vec![9.0; 250_000], vec![9.0; 250_000]];
    for (n, (left, right)) in left.chunks_mut(1_000).zip(right.chunks_mut(1_000)).enumerate() {
        track.receive(n as u64 * 1_000, &host.transport(n < 100, n as i64 * 1_000));
        track.render(n as u64 * 1_000, &values, [left, right]);
    }
    let largest = left.windows(2).map(|pair| (pair[1] - pair[0]).abs()).fold(0.0, f32::max);
    assert!(largest < 1e-3, "a jump of {largest}");
    assert!(left[110_000] > 0.01, "it rings on behind the stop");
    assert!(left[200_000..].iter().all(|sample| *sample == 0.0), "and ends");
    track.reset();
    track.render(250_000, &values, [&mut left, &mut right]);
    assert!(left.iter().all(|sample| *sample == 0.0));
}

#[test]
fn an_own_sound_is_exchanged_while_it_rings() {
    let sound = |value: f32| {
        ClickSound::new(Audio::new(SampleRate::HZ_48000, vec![vec![value; 20_000]]).unwrap()).ok()
    };
    let (mut track, mut sounds) = ClickTrack::new(SampleRate::HZ_48000, 0);
    let host = Host::new(Song::steady(48_000, 120.0, (1, 4)), 0);
    let mut block = |position: u64, frames: usize| {
        let [mut left, mut right] = [vec![9.0; frames], vec![9.0; frames]];
        track.receive(position, &host.transport(true, position as i64));
        track.render(position, &on(), [&mut left, &mut right]);
        left
    };
    sounds.set(sound(0.5)).unwrap();
    assert!(block(0, 12_000) == [0.5; 12_000]);
    sounds.set(sound(0.25)).unwrap();
    let ringing = block(12_000, 12_000);
    assert_eq!((ringing[7_999], ringing[8_000]), (0.5, 0.0), "the old one rings out");
    assert!(block(24_000, 12_000) == [0.25; 12_000]);
    sounds.set(None).unwrap();
    block(36_000, 12_000);
    assert_ne!(block(48_000, 12_000)[100], 0.25, "the first built-in in its place");
    // Two at once: the second must wait for the place of the one that rings.
    sounds.set(sound(0.1)).unwrap();
    block(60_000, 12_000);
    assert!(block(72_000, 12_000) == [0.1; 12_000]);
    sounds.set(sound(0.2)).unwrap();
    sounds.set(sound(0.3)).unwrap();
    block(84_000, 0);
    let ringing = block(84_000, 12_000);
    assert_eq!((ringing[7_999], ringing[8_000]), (0.1, 0.0));
    assert!(block(96_000, 12_000) == [0.3; 12_000]);
    // Nobody takes anything: the sound comes back.
    let refused = (0..20).find_map(|_| sounds.set(sound(0.1)).err());
    assert!(refused == Some(sound(0.1)));
}
