//! `cargo xtask daw-check`: a real DAW, Ardour 7, with the plugin, a real server and real music, outside of the CI: it
//! takes four minutes and a desktop's worth of packages. It scans, loads, plays in real time, exports, saves, reloads;
//! shows that a player's own input on another track is not delayed by the plugin's latency; and works the editor with
//! mouse and keys, in Ardour and in the standalone, listening to what that does. Figures and pictures
//! are kept below `target/daw-check/`.

mod ardour;
mod jack;
mod player;
mod screen;
mod sound;
mod standalone;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use crate::bundle;
use crate::findings::{Finding, report};
use crate::kit::{Kit, SPLEETER};
use crate::setup;
use crate::shell::{Background, capture, empty, target_dir};
use crate::wav::{Sound, stems_in};
pub(crate) use ardour::{Ardour, Editor};
pub(crate) use jack::{jack, level, record};
pub(crate) use screen::Screen;
pub(crate) use sound::compare;
pub(crate) use standalone::{Places, middle, places};

/// Where the plugin looks for a server when nobody told it of another.
const DEFAULT_SERVER: &str = "127.0.0.1:7433";
/// What must at least come out: bridged, it would be the mix, whose voice is about as loud as the rest.
const AGREES_DB: f64 = 15.0;
/// A new session of Ardour's has 120 beats a minute.
const BEAT_FRAMES: usize = 22_050;
/// Ardour tells beats in ticks, 1920 to each: more than half of one off would be ours.
const TICK_FRAMES: usize = BEAT_FRAMES / 1_920;
/// Of playing.
const TRIES: u32 = 6;

/// Options of `daw-check`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Only the standalone as a player: no Ardour, no server, no model (two minutes)
    #[arg(long)]
    player: bool,
}

/// Runs the check.
///
/// # Errors
/// When something it needs cannot be had, or what Ardour or the standalone did was wrong.
pub(crate) fn check(args: &Args) -> Result<()> {
    if args.player {
        setup::prepare(setup::Purpose::Player)?;
        bundle::bundle(&bundle::Args::default())?;
        let folder = target_dir().join("player-check");
        empty(&folder)?;
        return report(&player::check(None, &folder)?, &folder, "player-check");
    }
    setup::prepare(setup::Purpose::Daw)?;
    let bundles = bundle::bundle(&bundle::Args::release())?;
    let kit = Kit::release()?;
    kit.pull(SPLEETER, false)?;
    let folder = target_dir().join("daw-check");
    empty(&folder)?;
    let server = kit.serve_at(DEFAULT_SERVER, &[SPLEETER], &folder.join("server.log"))?;
    let (song_path, song) = song(&kit, &folder)?;
    let reference = vocals(&kit, &server.listen, &song_path, &folder)?;

    let ardour = Ardour::new(&folder, Some(&bundles), song.seconds() + 1.0)?;
    let scanned = ardour.make_session(&song)?;

    let (played, live_input) = play_until_connected(&ardour)?;
    let told = read_json(&folder.join("played.json"))?;
    let exported = Sound::read(&ardour.export("exported.wav")?)?;
    let kept = plugin_state(&ardour)?;
    ardour.lua("reload.lua", include_str!("reload.lua"))?;
    let reloaded = read_json(&folder.join("reloaded.json"))?;
    let same = kept == plugin_state(&ardour)?;
    let places = standalone::places(&[])?;
    let mute = standalone::middle(&places, "Vocals mute")?;
    let [before, behind] = ardour.work_the_editor(&folder.join("ardour.png"), mute)?;
    ardour.lua("click.lua", include_str!("click.lua"))?;
    let clicks = Sound::read(&ardour.export("clicks.wav")?)?;
    let (off, clicks) = sound::off_beat(&clicks, BEAT_FRAMES);
    let alone = standalone::places(&["player"])?;
    let mut alone = standalone::check(&song_path, &server.listen, alone, &folder)?;
    alone.extend(player::check(Some(&server.listen), &folder)?);

    let live = sound::compare(&reference, &played)?;
    let export = sound::compare(&reference, &exported)?;
    let latency = told["song_latency_frames"].clone();
    let results = [
        ("the scan, s", json!(scanned.as_secs_f64()), true),
        ("latency told to Ardour, frames", latency.clone(), latency == json!(11_025)),
        (
            "played live: agreement with the command's stem, dB",
            json!(live.agreement_db),
            live.agreement_db > AGREES_DB,
        ),
        (
            "exported: agreement with the command's stem, dB",
            json!(export.agreement_db),
            export.agreement_db > AGREES_DB,
        ),
        ("exported: frames off", json!(export.lag), export.lag == 0),
        ("own input through another track, frames", json!(live_input), live_input < 2_000.0),
        ("the plugin's state after reloading is the same", json!(same), same),
        ("the mute after reloading", reloaded["other_mute"].clone(), reloaded["other_mute"] == json!(1)),
        ("exported: clicks", json!(clicks), clicks as f64 >= 2.0 * song.seconds() - 1.0),
        ("exported: frames that a click is off its beat at most", json!(off), off <= TICK_FRAMES / 2),
        ("in Ardour's editor: the vocals, dB", json!(before), before > -50.0),
        ("in Ardour's editor: muted with the mouse, dB", json!(behind), behind < -90.0),
    ];
    let results: Vec<Finding> = results.into_iter().chain(alone).collect();
    report(&results, &folder, "daw-check")
}

/// The example song as `song.wav` in `folder`.
pub(crate) fn song(kit: &Kit, folder: &Path) -> Result<(PathBuf, Sound)> {
    let example = kit.example_song()?;
    let parts = folder.join("parts");
    let (example, parts_text) = (example.to_string_lossy(), parts.to_string_lossy());
    kit.json(&["separate", &example, "--model", SPLEETER, "--out", &parts_text, "--overwrite", "--json"])?;
    // The parts sum to the song; this decodes it.
    let mut song: Option<Sound> = None;
    for (_, path) in stems_in(&parts)? {
        let part = Sound::read(&path)?;
        match &mut song {
            Some(song) => song.add(&part),
            None => song = Some(part),
        }
    }
    let song = song.context("the song has no parts")?;
    ensure!(song.rate_hz == 44_100 && song.channels.len() == 2, "the example song is not what it was");
    let path = folder.join("song.wav");
    song.write(&path)?;
    Ok((path, song))
}

/// Its vocals as a bounce of the command makes them.
fn vocals(kit: &Kit, server: &str, song: &Path, folder: &Path) -> Result<Sound> {
    let stems = folder.join("stems");
    let (song, out) = (song.to_string_lossy(), stems.to_string_lossy());
    kit.json(&[
        "stream",
        &song,
        "--server",
        server,
        "--pace",
        "fast",
        "--overwrite",
        "--json",
        "--out",
        &out,
    ])?;
    Sound::read(&stems.join("vocals.wav"))
}

/// [`play`], again while Ardour's Lua and JACK lose each other: they do every third time or so while they connect,
/// plugin or no plugin.
fn play_until_connected(ardour: &Ardour) -> Result<(Sound, f64)> {
    for _ in 1..TRIES {
        match play(ardour) {
            Ok(played) => return Ok(played),
            Err(error) => println!("  once more, since {error:#}"),
        }
    }
    play(ardour)
}

/// Plays the session on JACK. Gives what came out, and how many frames a signal took through the other track.
fn play(ardour: &Ardour) -> Result<(Sound, f64)> {
    for told in ["rolling", "played.json"] {
        let _ = std::fs::remove_file(ardour.folder.join(told));
    }
    let _jack = jack(&ardour.folder)?;
    let playing = ardour.start_lua("play.lua", include_str!("play.lua"))?;
    ardour.wait_for("rolling", &playing)?;
    // Ardour's Lua has no name in JACK, so its ports begin with the colon.
    let ports = capture(Command::new("jack_lsp").stderr(Stdio::null()))?;
    let port = |end: &str| {
        let found = ports.lines().map(str::trim_end).find(|port| port.ends_with(end)).map(str::to_owned);
        found.with_context(|| format!("Ardour has no port {end} in JACK, which has:\n{ports}"))
    };
    let out = ardour.folder.join("played.wav");
    let outputs = [port("Song/audio_out 1")?, port("Song/audio_out 2")?];
    let recorder = Background::start(
        Command::new("jack_rec")
            .arg("-f")
            .arg(&out)
            .args(["-d", "14", "-b", "32"])
            .args(&outputs)
            .stdout(Stdio::null())
            .stderr(Stdio::null()),
    )?;
    let log = ardour.folder.join("live-input.log");
    let mut iodelay = Command::new("stdbuf");
    iodelay.args(["-oL", "jack_iodelay"]).stdout(std::fs::File::create(&log)?).stderr(Stdio::null());
    let meter = Background::start(&mut iodelay)?;
    std::thread::sleep(Duration::from_secs(1));
    for [from, to] in
        [["jack_delay:out", &port("Me/audio_in 1")?], [&port("Me/audio_out 1")?, "jack_delay:in"]]
    {
        crate::shell::run(Command::new("jack_connect").args([from, to]))?;
    }
    ardour.wait_for("played.json", &playing)?;
    drop(meter);
    // It writes the file's length at its end.
    recorder.wait()?;
    playing.wait()?;
    let said = std::fs::read_to_string(&log)?;
    let frames = said.lines().rev().find_map(|line| {
        line.contains("total roundtrip").then(|| line.split_whitespace().next()?.parse().ok()).flatten()
    });
    Ok((Sound::read(&out)?, frames.context("nothing came through the track for the live input")?))
}

/// What Ardour keeps of the plugin, as it is in the session's file.
fn plugin_state(ardour: &Ardour) -> Result<String> {
    let path: PathBuf = ardour.session_file();
    let text =
        std::fs::read_to_string(&path).with_context(|| format!("could not read {}", path.display()))?;
    let chunk = text.split_once("<chunk>").and_then(|(_, rest)| rest.split_once("</chunk>"));
    Ok(chunk.context("the session has no state of the plugin")?.0.to_owned())
}

fn read_json(path: &Path) -> Result<Value> {
    let text = std::fs::read_to_string(path)
        .with_context(|| format!("Ardour did not write {}; see the logs beside it", path.display()))?;
    serde_json::from_str(&text).with_context(|| format!("not JSON: {text}"))
}
