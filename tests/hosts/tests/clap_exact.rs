//! The CLAP against a real server with the real model, exact to the frame and to the bit. Everything here is a
//! bounce or needs no server, so nothing depends on how fast the machine is.
#![allow(clippy::unwrap_used)]

use rehearsekit_host_tests::{
    player::{Playhead, sizes},
    server::Server,
    songs::{Stereo, bits, music, noise, null_db, peak, read_wav, write_wav},
    track::{MAIN, STEMS, Track, play_together},
};
use serde_json::json;

/// Where the stems come out of the class with an output each: behind the main output, in the strips' order.
const VOCALS: usize = 1;
const OTHER: usize = 6;
const CLICK: usize = 7;

/// An instance that bounces with this server.
fn bouncing(class: &str, server: &str, budget_millis: f64, rate_hz: u32, frames: u32) -> Track {
    let mut track = Track::new(class);
    track.point_at(server, budget_millis);
    track.set_offline(true);
    track.activate(rate_hz, frames);
    track
}

/// What a song becomes, by output; the latency is still in it.
fn bounce(track: &mut Track, song: &Stereo, size: impl FnMut() -> usize + Send) -> Vec<Stereo> {
    track.play(|player| {
        player.offline = true;
        player.playhead = Some(Playhead { playing: true, position: 0, tempo: 120.0, beats: 0.0 });
        player.render(song, size);
        std::mem::take(&mut player.out)
    })
}

/// Latency compensation is exact with a server, whatever the rate and the budget: at 0 dB the dry signal nulls.
#[test]
fn compensated_it_nulls_with_the_dry_signal() {
    let server = Server::start();
    for (rate_hz, budget_millis) in
        [(44_100, 250.0), (44_100, 1_000.0), (48_000, 250.0), (48_000, 433.7), (96_000, 300.0)]
    {
        let song = noise(rate_hz as usize, 1);
        let mut track = bouncing(MAIN, &server.address, budget_millis, rate_hz, 512);
        let latency = track.latency() as usize;
        let expected = budget_millis / 1e3 * f64::from(rate_hz);
        assert!((latency as f64 - expected).abs() < 1.0, "{latency} instead of {expected}");
        let out = bounce(&mut track, &song, || 512);
        let null = null_db(&out[0], latency, &song);
        assert!(null < -120.0, "{rate_hz} Hz, {budget_millis} ms: {null} dB");
        assert!(peak(&out[0][0][..latency]) == 0.0, "nothing comes before its time");
    }
}

/// The same without a server, live, bypassed or not, at budgets that no server could hold, and at odd rates.
#[test]
fn alone_it_nulls_too() {
    for (rate_hz, budget_millis) in
        [(44_100, 5.0), (48_000, 33.3), (96_000, 250.0), (192_000, 100.0), (22_050, 20_000.0), (45_678, 70.0)]
    {
        for bypass in [0.0, 1.0] {
            let song = noise(rate_hz as usize / 2, 2);
            let mut track = Track::new(MAIN);
            // The discard port: nobody answers.
            track.point_at("127.0.0.1:9", budget_millis);
            track.set(&[("Bypass", bypass)]);
            track.activate(rate_hz, 1_024);
            let latency = track.latency() as usize;
            let out = track.play(|player| {
                player.render(&song, sizes(3, 1_024));
                std::mem::take(&mut player.out)
            });
            let null = null_db(&out[0], latency, &song);
            assert!(null < -120.0, "{rate_hz} Hz, {budget_millis} ms, bypass {bypass}: {null} dB");
        }
    }
}

/// What comes out of the plugin is what the command makes of the song, to the bit, and the same the second time,
/// however the host cuts its blocks. The click's output is silent so far, as are the strips without a stem.
#[test]
fn stems_are_those_of_the_command_and_the_same_twice() {
    const RATE: u32 = 44_100;
    let server = Server::start();
    let folder = tempfile::tempdir().unwrap();
    let song = music(4 * RATE as usize, RATE);
    let path = folder.path().join("song.wav");
    write_wav(&path, RATE, &song);
    let out = folder.path().join("out");
    let report = server.stream(&path, &out, &["--block", "64", "--budget", "600ms"]);
    assert_eq!(report["latency_frames"], 26_460);

    let mut track = bouncing(STEMS, &server.address, 600.0, RATE, 8_192);
    let latency = track.latency() as usize;
    let mut runs: Vec<Vec<Stereo>> = Vec::new();
    for seed in [None, Some(1), Some(2)] {
        let mut cut = sizes(seed.unwrap_or_default(), 8_192);
        runs.push(bounce(&mut track, &song, move || if seed.is_some() { cut() } else { 512 }));
        track.restart();
    }
    let vocals = read_wav(&out.join("vocals.wav"));
    let accompaniment = read_wav(&out.join("accompaniment.wav"));
    assert!(peak(&vocals[0]) > 0.05 && peak(&accompaniment[0]) > 0.05);
    for run in &runs {
        for (port, stem) in [(VOCALS, &vocals), (OTHER, &accompaniment)] {
            let null = null_db(&run[port], latency, stem);
            assert_eq!(null, f64::NEG_INFINITY, "output {port} differs from the command's stem: {null} dB");
        }
        for port in (2..OTHER).chain([CLICK]) {
            assert!(run[port].iter().flatten().all(|&sample| sample == 0.0), "output {port} is not silent");
        }
        for (one, other) in run.iter().zip(&runs[0]) {
            assert!(bits(one) == bits(other), "two bounces differ");
        }
    }
}

/// Blocks of one frame, of thousands, and larger than announced.
#[test]
fn blocks_of_every_size() {
    let server = Server::start();
    for (most, size) in [(1, 1), (17, 17), (8_192, 8_192), (64, 8_192)] {
        let song = noise(if most == 1 { 12_000 } else { 48_000 }, 4);
        let mut track = bouncing(STEMS, &server.address, 1_000.0, 48_000, most);
        let out = bounce(&mut track, &song, || size);
        let null = null_db(&out[0], 48_000, &song);
        assert!(null < -120.0, "{size} frames of {most}: {null} dB");
        assert!(peak(&out[VOCALS][0]) > 0.0, "{size} frames of {most}: no vocals");
    }
}

#[test]
fn eight_at_once_are_each_exact() {
    const RATE: u32 = 44_100;
    let server = Server::start();
    let songs: Vec<Stereo> = (0..8).map(|seed| noise(RATE as usize, seed)).collect();
    let mut tracks: Vec<Track> =
        songs.iter().map(|_| bouncing(STEMS, &server.address, 600.0, RATE, 1_024)).collect();
    let latency = tracks[0].latency() as usize;
    let mut lent: Vec<&mut Track> = tracks.iter_mut().collect();
    let outs = play_together(
        &mut lent,
        |players| {
            // In turns, a block each, as a host that bounces all tracks does.
            let silence = [0.0; 900];
            for at in (0..songs[0][0].len() + latency).step_by(900) {
                for (player, song) in players.iter_mut().zip(&songs) {
                    player.offline = true;
                    let block = [0, 1].map(|c| song[c].get(at..at + 900).unwrap_or(&silence));
                    player.block(block).unwrap();
                }
            }
            players.iter_mut().map(|player| std::mem::take(&mut player.out)).collect::<Vec<_>>()
        },
        |_| {},
    );
    for (out, song) in outs.iter().zip(&songs) {
        assert!(null_db(&out[0], latency, song) < -120.0);
        assert!(peak(&out[VOCALS][0]) > 0.0);
    }
    assert!(outs[0][VOCALS] != outs[1][VOCALS], "other songs, other stems");
}

/// A project comes back with everything that was in it, in the same class, with a server or without.
#[test]
fn a_project_comes_back() {
    let mut track = Track::new(STEMS);
    track.configure(&[
        ("server", json!("closet.local:7433")),
        ("budget_millis", json!(437.5)),
        ("model", json!("htdemucs")),
        ("instance", track_instance(0x1234)),
    ]);
    track.set(&[("Vocals Gain", 0.25), ("Drums Mute", 1.0), ("Other Solo", 1.0)]);
    let (state, settings) = (track.save(), track.settings());
    assert_eq!(settings["server"], "closet.local:7433");
    assert_eq!(settings["budget_millis"], 437.5);
    track.activate(48_000, 512);
    assert_eq!(track.latency(), 21_000);

    let mut again = Track::new(STEMS);
    assert_ne!(again.settings()["instance"], settings["instance"], "a new instance is somebody else");
    again.load(&state);
    assert_eq!(again.settings(), settings);
    for (name, value) in [("Vocals Gain", 0.25), ("Drums Mute", 1.0), ("Other Solo", 1.0), ("Bass Solo", 0.0)]
    {
        assert!((again.param(name).1 - value).abs() < 1e-6, "{name} is {}", again.param(name).1);
    }
    assert!(again.save() == state, "what is loaded is saved again");
    again.activate(48_000, 512);
    assert_eq!(again.latency(), 21_000, "the budget is in the project, server or no server");
    // Nonsense in place of a project is refused or ignored, and changes nothing that plays.
    let before = again.settings();
    for nonsense in [&b""[..], b"\x05\0\0\0\0\0\0\0{", &[0xff; 64], b"\x02\0\0\0\0\0\0\0{}"] {
        again.try_load(nonsense);
    }
    assert_eq!(again.settings(), before);
}

fn track_instance(number: u64) -> serde_json::Value {
    // As the settings write a new one: 32 hexadecimal digits.
    json!(format!("{number:032x}"))
}

/// A mute that the host automates is heard at its frame in the compensated song, neither before nor after, wherever
/// the blocks are cut; with other cuts it is the same to the bit.
#[test]
fn automation_is_heard_at_its_frame() {
    const RATE: u32 = 44_100;
    const AT: u64 = 20_011;
    const BACK: u64 = 33_333;
    let server = Server::start();
    let song = noise(RATE as usize, 6);
    let mut track = bouncing(MAIN, &server.address, 250.0, RATE, 2_048);
    let latency = track.latency() as usize;
    let ids = ["Vocals Mute", "Other Mute"].map(|name| track.param(name).0);
    let mut runs = Vec::new();
    for seed in [1, 2] {
        let mut cut = sizes(seed, 2_048);
        let out = track.play(|player| {
            player.offline = true;
            for id in ids {
                player.automation.push((AT, id, 1.0));
            }
            for id in ids {
                player.automation.push((BACK, id, 0.0));
            }
            player.render(&song, &mut cut);
            std::mem::take(&mut player.out)
        });
        track.restart();
        let wet = &out[0][0][latency..];
        let differs =
            |range: std::ops::Range<usize>| range.filter(|&i| wet[i] != song[0][i]).collect::<Vec<_>>();
        let (at, back) = (AT as usize, BACK as usize);
        let first = differs(0..at + 64)[0];
        assert!((at..=at + 2).contains(&first), "first heard at {first} instead of {at}");
        let silent = (at..).position(|i| wet[i..i + 16].iter().all(|&sample| sample == 0.0)).unwrap();
        let fade = silent;
        assert!(fade <= 2_048, "it takes {fade} frames to be silent");
        assert!(wet[at + fade..back].iter().all(|&sample| sample == 0.0), "silent until it is taken back");
        let again = (back..).find(|&i| wet[i] != 0.0).unwrap();
        assert!((back..=back + 2).contains(&again), "back at {again} instead of {back}");
        assert!(differs(back + 2_048..wet.len().min(song[0].len())).is_empty());
        runs.push(bits(&out[0]));
    }
    assert!(runs[0] == runs[1], "the same automation in other blocks differs");
}
