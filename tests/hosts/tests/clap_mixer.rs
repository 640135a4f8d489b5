//! The mixer of the CLAP against a real server with the real model: what faders, pans, mutes, solos, the player's part,
//! master and dry/wet make of the stems, told by arithmetic on the stems at 0 dB; and all of it adds up. Everything is a
//! bounce, so nothing depends on how fast the machine is.
#![allow(clippy::unwrap_used)]

use rehearsekit_host_tests::{
    player::{Playhead, sizes},
    server::Server,
    songs::{Stereo, bits, music, null_db, peak},
    track::{STEMS, Track},
};

const RATE: u32 = 44_100;
const MAIN: usize = 0;
const VOCALS: usize = 1;
const OTHER: usize = 6;
/// −6 dB as a fader's value: 78 of the 96 dB above its foot.
const MINUS_6_DB: f64 = 78.0 / 96.0;

/// What a song becomes with these parameters, by output, without the latency.
fn bounce(
    track: &mut Track,
    song: &Stereo,
    params: &[(&str, f64)],
    later: &[(u64, &str, f64)],
) -> Vec<Stereo> {
    let defaults: Vec<(String, f64)> =
        params.iter().map(|(name, _)| ((*name).to_owned(), track.param(name).1)).collect();
    track.set(params);
    let automation: Vec<_> =
        later.iter().map(|&(at, name, value)| (at, track.param(name).0, value)).collect();
    let changed: Vec<_> =
        later.iter().map(|(_, name, _)| ((*name).to_owned(), track.param(name).1)).collect();
    track.activate(RATE, 2_048);
    let out = track.play(|player| {
        player.offline = true;
        player.automation = automation;
        player.playhead = Some(Playhead { playing: true, position: 0, tempo: 120.0, beats: 0.0 });
        player.render(song, sizes(9, 2_048));
        let from = player.latency;
        let cut = |port: &Stereo| port.each_ref().map(|channel| channel[from..].to_vec());
        player.out.iter().map(cut).collect()
    });
    track.deactivate();
    let back: Vec<(&str, f64)> =
        defaults.iter().chain(&changed).map(|(name, value)| (name.as_str(), *value)).collect();
    track.set(&back);
    out
}

/// `Σ gain · signal` for both channels.
fn sum(parts: &[([f64; 2], &Stereo)]) -> Stereo {
    [0, 1].map(|side| {
        let frames = 0..parts[0].1[side].len();
        let at =
            |frame: usize| parts.iter().map(|(gains, part)| gains[side] * f64::from(part[side][frame])).sum();
        frames
            .map(|frame| {
                let sum: f64 = at(frame);
                sum as f32
            })
            .collect()
    })
}

fn must_be(what: &str, heard: &Stereo, expected: &Stereo) {
    let null = null_db(heard, 0, expected);
    assert!(null < -120.0, "{what}: {null} dB");
}

fn silent(signal: &Stereo) -> bool {
    signal.iter().all(|channel| peak(channel) == 0.0)
}

#[test]
fn every_control_does_what_it_says_and_the_outputs_add_up() {
    let server = Server::start();
    let song = music(2 * RATE as usize, RATE);
    let mut track = Track::new(STEMS);
    track.point_at(&server.address, 600.0);
    track.set_offline(true);
    let plain = bounce(&mut track, &song, &[], &[]);
    let (vocals, other) = (&plain[VOCALS], &plain[OTHER]);
    assert!(bits(&plain[MAIN]) == bits(&song), "0 dB is the song to the bit");
    assert!(peak(&vocals[0]) > 0.05 && peak(&other[0]) > 0.05);
    assert!(vocals[0] != vocals[1], "or a pan could not be told");

    let half = 10f64.powf(-6.0 / 20.0);
    let (all, none, quarter) = ([1.0; 2], [0.0; 2], std::f64::consts::FRAC_PI_4.cos());
    // What is set, and the gains of left and right of vocals, of the rest, and of everything in the main output.
    type Row<'a> = (&'a [(&'a str, f64)], [f64; 2], [f64; 2], f64);
    let table: &[Row<'_>] = &[
        (&[("Vocals Gain", MINUS_6_DB)], [half; 2], all, 1.0),
        (&[("Other Gain", MINUS_6_DB), ("Vocals Gain", 0.0)], none, [half; 2], 1.0),
        (&[("Vocals Pan", 0.0)], [1.0, 0.0], all, 1.0),
        (&[("Vocals Pan", 0.75), ("Other Pan", 0.25)], [quarter, 1.0], [1.0, quarter], 1.0),
        (&[("Vocals Pan", 1.0), ("Vocals Gain", MINUS_6_DB)], [0.0, half], all, 1.0),
        (&[("Vocals Mute", 1.0)], none, all, 1.0),
        (&[("Vocals Solo", 1.0)], all, none, 1.0),
        (&[("Vocals Solo", 1.0), ("Vocals Mute", 1.0)], none, none, 1.0),
        // A solo on a strip that the model lacks counts for nothing.
        (&[("Drums Solo", 1.0)], all, all, 1.0),
        (&[("Master Gain", MINUS_6_DB)], all, all, half),
        (&[("Master Gain", 0.0), ("Vocals Gain", MINUS_6_DB)], [half; 2], all, 0.0),
        (&[("Part", 1.0)], none, all, 1.0),
        (&[("Part", 2.0)], all, none, 1.0),
        (&[("Part", 1.0), ("My Part", 5.0)], all, none, 1.0),
        // Only my part, whatever is muted or soloed, but at its own level.
        (
            &[("Part", 2.0), ("Vocals Mute", 1.0), ("Other Solo", 1.0), ("Vocals Gain", MINUS_6_DB)],
            [half; 2],
            none,
            1.0,
        ),
        (&[("Part", 1.0), ("My Part", 1.0)], all, all, 1.0),
    ];
    for &(params, of_vocals, of_other, master) in table {
        let out = bounce(&mut track, &song, params, &[]);
        let what = |port: &str| format!("{params:?}, {port}");
        // Stem outputs are behind the faders, and before the master's.
        must_be(&what("vocals"), &out[VOCALS], &sum(&[(of_vocals, vocals)]));
        must_be(&what("the rest"), &out[OTHER], &sum(&[(of_other, other)]));
        must_be(
            &what("the main output"),
            &out[MAIN],
            &sum(&[([master; 2], &out[VOCALS]), ([master; 2], &out[OTHER])]),
        );
        assert!(
            out.iter().enumerate().all(|(port, out)| [MAIN, VOCALS, OTHER].contains(&port) || silent(out))
        );
    }

    // Dry/wet is the main output's alone.
    let out = bounce(&mut track, &song, &[("Dry/Wet", 0.25), ("Vocals Mute", 1.0)], &[]);
    assert!(silent(&out[VOCALS]));
    must_be("a quarter wet", &out[MAIN], &sum(&[([0.25; 2], other), ([0.75; 2], &song)]));
    let out = bounce(
        &mut track,
        &song,
        &[("Dry/Wet", 0.0), ("Vocals Mute", 1.0), ("Master Gain", MINUS_6_DB)],
        &[],
    );
    must_be("dry", &out[MAIN], &sum(&[([half; 2], &song)]));
    // Bypass wins over all that, on the main output.
    let params = [("Bypass", 1.0), ("Vocals Mute", 1.0), ("Master Gain", MINUS_6_DB), ("Part", 2.0)];
    assert!(bits(&bounce(&mut track, &song, &params, &[])[MAIN]) == bits(&song));
    // And what was taken back is as before, to the bit.
    let again = bounce(&mut track, &song, &[], &[]);
    assert!(again.iter().zip(&plain).all(|(again, plain)| bits(again) == bits(plain)));
}

/// "Without my part" as the host's automation switches it: at its frame in the heard song, and without a step.
#[test]
fn my_part_goes_where_the_host_says() {
    const AT: usize = 30_011;
    const FADE: usize = 2_048;
    let server = Server::start();
    let song = music(2 * RATE as usize, RATE);
    let mut track = Track::new(STEMS);
    track.point_at(&server.address, 600.0);
    track.set_offline(true);
    let without = bounce(&mut track, &song, &[("Part", 1.0)], &[]);
    let out = bounce(&mut track, &song, &[], &[(AT as u64, "Part", 1.0)]);
    for side in 0..2 {
        let (heard, before, behind) = (&out[MAIN][side], &song[side], &without[MAIN][side]);
        assert!(heard[..AT] == before[..AT], "before its frame nothing changes");
        let first = (AT..).find(|&frame| heard[frame] != before[frame]).unwrap();
        assert!(first <= AT + 2, "first heard at {first} instead of {AT}");
        assert!(
            heard[AT + FADE..] == behind[AT + FADE..],
            "behind the fade it is as if it had always been so"
        );
        assert!(peak(&out[VOCALS][side][AT + FADE..]) == 0.0);
    }
}

/// A controller's knobs find the pages, and a parameter behind each.
#[test]
fn remote_control_pages_are_there() {
    let mut track = Track::new(STEMS);
    let (pages, ids) = (track.remote_pages(), track.param_ids());
    let names: Vec<&str> = pages.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["Play along", "Mutes", "Solos", "Pans", "Click"]);
    for (name, on_page) in &pages {
        assert!((6..=8).contains(&on_page.len()), "{name}");
        assert!(on_page.iter().all(|id| ids.contains(id)), "{name} has a parameter that is none");
    }
    let named = ["Part", "My Part", "Vocals Gain"].map(|name| track.param(name).0);
    assert!(pages[0].1.starts_with(&named));
}
