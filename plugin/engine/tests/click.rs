//! The click in the engine: on the beats of the heard audio, on its own output and on the main one, without any
//! server; automation of it is heard with the audio it was written for. (How beats are found is the playout's test.)

mod common;

use common::{Deaf, Host, sizes};
use rehearsekit_plugin_engine::{
    AudioSetup, Instance, STRIPS, Settings, Transport,
    click::{ClickMode, ClickSource},
};

const RATE: u32 = 48_000;
const LATENCY: usize = 12_000;
/// At 120 beats a minute.
const BEAT: usize = 24_000;

/// Plays silence over a map of 120 beats a minute; `set` sees the host before each block, with its first frame.
fn played(frames: usize, settings: Settings, set: impl FnMut(&mut Host, usize)) -> Host {
    played_in(AudioSetup::new(RATE, 8_192, false), frames, settings, set)
}

fn played_in(
    setup: AudioSetup,
    frames: usize,
    settings: Settings,
    mut set: impl FnMut(&mut Host, usize),
) -> Host {
    let mut host = Host::new(settings, setup);
    let mut size = sizes(5, 3_000);
    let mut at = 0;
    while at < frames {
        host.transport = Transport {
            playing: true,
            song_position_frames: Some(at as i64),
            tempo_bpm: Some(120.0),
            beats: Some(at as f64 / BEAT as f64),
            bar_start_beats: Some(0.0),
            time_signature: Some((4, 4)),
            ..Transport::default()
        };
        set(&mut host, at);
        let silence = vec![0.0; size()];
        host.block([&silence, &silence]);
        at += silence.len();
    }
    host
}

/// First frames of what is heard behind at least 100 ms of silence.
fn onsets(channel: &[f32]) -> Vec<usize> {
    let mut quiet = usize::MAX;
    let mut found = Vec::new();
    for (at, sample) in channel.iter().enumerate() {
        if sample.abs() > 1e-3 {
            if quiet > RATE as usize / 10 {
                found.push(at);
            }
            quiet = 0;
        } else {
            quiet = quiet.saturating_add(1);
        }
    }
    found
}

fn every_beat(frames: usize) -> Vec<usize> {
    (LATENCY..frames).step_by(BEAT).collect()
}

#[test]
fn it_clicks_on_the_beats_of_what_is_heard_on_both_outputs_without_a_server() {
    let deaf = Deaf::new();
    let frames = 150_000;
    let host = played(frames, deaf.settings(), |host, _| host.mixer.click.mode = ClickMode::On);
    let click = &host.out.stems[STRIPS];
    assert_eq!(onsets(&click[0][..frames]), every_beat(frames));
    assert!(host.out.main == *click, "nothing but the click is on the main output");
    let now = host.instance.view().click;
    let heard_beats = (host.out.main[0].len() - LATENCY) / BEAT;
    assert_eq!(now.beat, Some((heard_beats as u32 % 4 + 1, 4)));
    assert!((now.tempo_bpm.unwrap() - 120.0).abs() < 1e-6);
    assert!(host.instance.meters().take().click[0] > 0.1);
}

#[test]
fn off_the_main_output_it_is_on_its_own_alone_and_bypass_silences_it() {
    let deaf = Deaf::new();
    let host = played(100_000, deaf.settings(), |host, _| {
        host.mixer.click.mode = ClickMode::On;
        host.mixer.click_in_main = false;
    });
    assert!(host.out.main.iter().flatten().all(|sample| *sample == 0.0));
    assert_eq!(onsets(&host.out.stems[STRIPS][1][..100_000]), every_beat(100_000));
    let host = played(100_000, deaf.settings(), |host, _| {
        host.mixer.click.mode = ClickMode::On;
        host.mixer.bypassed = true;
    });
    assert!(host.out.main.iter().chain(&host.out.stems[STRIPS]).flatten().all(|sample| *sample == 0.0));
}

#[test]
fn the_host_switches_it_on_with_the_audio_it_switches_it_on_for() {
    let deaf = Deaf::new();
    // Between the second and the third beat of the song.
    let host = played(150_000, deaf.settings(), |host, at| {
        host.mixer.click.mode = if at > BEAT + BEAT / 2 { ClickMode::On } else { ClickMode::Off };
    });
    assert_eq!(onsets(&host.out.main[0][..150_000]), every_beat(150_000)[2..]);
}

/// Ardour is such a host: neither its beats nor its automation wait for the latency.
#[test]
fn a_host_that_tells_of_what_comes_out_is_believed() {
    let deaf = Deaf::new();
    let setup = AudioSetup { tells_of_output: true, ..AudioSetup::new(RATE, 8_192, false) };
    let host = played_in(setup, 150_000, deaf.settings(), |host, at| {
        host.mixer.click.mode = if at > BEAT + BEAT / 2 { ClickMode::On } else { ClickMode::Off };
    });
    assert_eq!(host.engine.latency_frames() as usize, LATENCY, "the audio takes its time all the same");
    let expected: Vec<usize> = (2 * BEAT..150_000).step_by(BEAT).collect();
    assert_eq!(onsets(&host.out.main[0][..150_000]), expected);
}

#[test]
fn a_tapped_one_counts_at_once_and_a_file_that_is_no_sound_is_told() {
    let deaf = Deaf::new();
    // 0.1 s behind the host's beats.
    let settings = Settings { own_one_seconds: 0.1, ..deaf.settings() };
    let host = played(150_000, settings.clone(), |host, _| {
        host.mixer.click.mode = ClickMode::On;
        host.mixer.click.source = ClickSource::Own;
        host.mixer.click.own_tempo_bpm = 60.0;
        host.mixer.click.own_one_seconds = host.instance.own_one_seconds();
    });
    let expected: Vec<usize> = (LATENCY + 4_800..150_000).step_by(RATE as usize).collect();
    assert_eq!(onsets(&host.out.main[0][..150_000]), expected);
    let heard = (host.out.main[0].len() - LATENCY) as f64 / f64::from(RATE);
    assert!((host.instance.view().click.own_seconds - heard).abs() < 1e-6);

    let settings = Settings { click_file: Some("nowhere/bell.wav".into()), ..settings };
    host.instance.configure(settings.clone());
    assert!(host.instance.view().click_file_problem.unwrap().contains("bell.wav"));
    host.instance.configure(Settings { click_file: None, ..settings });
    assert_eq!(host.instance.view().click_file_problem, None);
    assert_eq!(Instance::new(Settings::default()).view().click.tempo_bpm, None, "unknown, not guessed");
}
