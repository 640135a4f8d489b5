//! Projects that no good version of the plugin would have saved, in the bundled CLAP: damaged, edited, or of a later
//! version. What is heard of them, and what is saved again.
#![allow(clippy::unwrap_used)]

use rehearsekit_host_tests::{
    songs::{noise, peak},
    track::{MAIN, Track},
};
use serde_json::{Value, json};

/// What a track saves, without the length in front.
fn project(track: &mut Track) -> Value {
    serde_json::from_slice(&track.save()[8..]).unwrap()
}

fn bytes(project: &Value) -> Vec<u8> {
    let json = project.to_string().into_bytes();
    [&(json.len() as u64).to_le_bytes(), json.as_slice()].concat()
}

/// A stranger's project with a fader at +60 dB would be played at a thousand times full scale.
#[test]
fn a_fader_beyond_its_top_is_at_its_top_for_host_and_ear() {
    let mut track = Track::new(MAIN);
    let mut odd = project(&mut track);
    odd["params"]["master_gain"] = json!({"f32": 60.0});
    odd["params"]["vocals_gain"] = json!({"f32": 1e39});
    track.load(&bytes(&odd));
    assert_eq!(track.param("Master Gain").1, 1.0, "the host sees its top");
    track.activate(44_100, 512);
    let latency = track.latency() as usize;
    let song = noise(2 * latency, 1);
    let loudest = peak(&song[0]).max(peak(&song[1]));
    let out = track.play(|player| {
        player.render(&song, || 512);
        std::mem::take(&mut player.out)
    });
    let heard = peak(&out[0][0]).max(peak(&out[0][1]));
    // +12 dB is 3.98 times as much; without a server the song is as loud as its loudest stem, behind the main fader.
    assert!(heard > loudest * 15.8 && heard <= loudest * 3.99 * 3.99, "{loudest} in, {heard} out");
}

#[test]
fn what_is_saved_always_loads_again_and_is_saved_as_the_same() {
    let mut track = Track::new(MAIN);
    let usual = project(&mut track);
    for (id, value) in [
        ("click_tempo", json!({"f32": 1e39})),
        ("click_tempo", json!({"f32": null})),
        ("click_meter", json!({"i32": -2_147_483_648_i64})),
        ("part", json!({"i32": 99})),
        ("part", json!({"string": "duet"})),
        ("vocals_pan", json!({"f32": -0.0})),
        ("vocals_mute", json!("soft")),
        ("bypass", json!(null)),
    ] {
        let mut odd = usual.clone();
        odd["params"][id] = value.clone();
        track.load(&bytes(&odd));
        let once = track.save();
        let mut again = Track::new(MAIN);
        assert!(again.try_load(&once), "{id} {value}: what was saved does not load");
        assert_eq!(again.save(), once, "{id} {value}");
    }
}

/// One value of a kind that this version does not know once reset all settings, and the next save lost them.
#[test]
fn what_a_later_version_saved_costs_nothing_and_is_saved_again() {
    let mut track = Track::new(MAIN);
    let mut later = project(&mut track);
    let mut settings: Value = serde_json::from_str(later["fields"]["settings"].as_str().unwrap()).unwrap();
    settings["server"] = json!("closet");
    settings["model"] = json!("htdemucs");
    settings["budget_millis"] = json!(1500.0);
    settings["trust"] = json!({"later": "x"});
    settings["songs"] = json!(["a.flac"]);
    later["fields"]["settings"] = json!(settings.to_string());
    later["params"]["reverb"] = json!({"f32": 0.5});
    track.load(&bytes(&later));
    track.activate(48_000, 512);
    assert_eq!(track.latency(), 72_000);
    let saved = project(&mut track);
    assert_eq!(
        serde_json::from_str::<Value>(saved["fields"]["settings"].as_str().unwrap()).unwrap(),
        settings
    );
    assert_eq!(saved["params"]["reverb"], later["params"]["reverb"]);
}
