//! The standalone as a player: a song opened by its path and from the list, played, paused, sought and looped by mouse,
//! keys and media keys; what JACK recorded of it is held against the song, frame by frame. Nothing is timed: each
//! recording begins before the hand does, and what is heard says itself where in the song it is.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::json;

use super::jack::jack_in_step;
use super::screen::Screen;
use super::sound::place;
use super::standalone::{Places, middle, outputs, places};
use crate::findings::Finding;
use crate::shell::{Background, capture, target_dir};
use crate::wav::Sound;

const RATE_HZ: u32 = 44_100;
/// As long as the song in the places, so that a bar says the same in both.
const SONG_SECONDS: u32 = 10;
/// Sound that is cut off when it is paused fades over so many frames.
const FADE_FRAMES: usize = 128;
/// Of what is looked up in the song.
const PIECE_FRAMES: usize = 8_192;
/// Agreement of what is heard with the song: floats that were summed in another order.
const EXACT_DB: f64 = 90.0;
/// The loop in frames, from 2.345 s to 3.456 s, each to the nearest: no whole number of anybody's blocks or slots.
const LOOP: [usize; 2] = [103_415, 152_410];

/// A player's room: screen, JACK, a desktop's bus, and the standalone in it.
struct Room<'a> {
    screen: &'a Screen,
    folder: &'a Path,
    window: String,
    bus: String,
    mixer: Places,
    songs: Places,
    song: Sound,
}

/// A stretch of sound in a recording, and where in the song it begins.
#[derive(Debug, Clone, Copy)]
struct Heard {
    from: usize,
    to: usize,
    at: i64,
}

/// Works the player's window. Gives what was seen, for the report.
pub(super) fn check(server: Option<&str>, folder: &Path) -> Result<Vec<Finding>> {
    let screen = Screen::start(94)?;
    let _jack = jack_in_step(folder)?;
    let (bus, _desktop) = desktop()?;
    let song = song();
    let path = folder.join("a player's song.wav");
    song.write(&path)?;
    let log = std::fs::File::create(folder.join("player.log"))?;
    let mut program = Command::new(target_dir().join("bundled").join("rehearsekit-standalone"));
    program.args(["--backend", "jack"]).args(server.iter().flat_map(|server| ["--server", server]));
    program.env("XDG_CONFIG_HOME", folder.join("player-config")).env("DBUS_SESSION_BUS_ADDRESS", &bus);
    let program =
        Background::start(screen.on(&mut program).stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log))?;
    let window = screen.wait_for("^RehearseKit$", &program)?;
    std::thread::sleep(Duration::from_secs(4));
    let (mixer, songs) = (places(&["player"])?, places(&["songs"])?);
    let room = Room { screen: &screen, folder, window, bus, mixer, songs, song };
    let seen = room.work(&path)?;
    screen.hand(&["key", "alt+F4"])?;
    let ended = (0..200).find_map(|_| {
        std::thread::sleep(Duration::from_millis(100));
        program.ended().ok().flatten()
    });
    ensure!(
        ended.context("the player's window does not close")?.success(),
        "the player failed; see player.log"
    );
    Ok(seen)
}

/// A desktop's bus without a desktop.
fn desktop() -> Result<(String, Background)> {
    let mut daemon = Command::new("dbus-daemon");
    daemon.args(["--session", "--nofork", "--nopidfile", "--print-address"]);
    let daemon = Background::start(daemon.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()))?;
    let mut said = std::io::BufReader::new(daemon.take_stdout().context("the bus says nothing")?);
    let mut address = String::new();
    std::io::BufRead::read_line(&mut said, &mut address)?;
    ensure!(!address.trim().is_empty(), "the desktop's bus does not start");
    Ok((address.trim().to_owned(), daemon))
}

/// Noise that swells like music: each moment of it is there once only.
fn song() -> Sound {
    let mut state = 7_u32;
    let mut noise = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 8) as f32 / (1 << 24) as f32 - 0.5
    };
    let frames = (SONG_SECONDS * RATE_HZ) as usize;
    let mut channel = || -> Vec<f32> {
        let swell = |at: usize| 0.3 + 0.2 * (at as f32 / 7_000.0).sin();
        (0..frames).map(|at| noise() * swell(at)).collect()
    };
    Sound { rate_hz: RATE_HZ, channels: vec![channel(), channel()] }
}

impl Room<'_> {
    fn work(&self, path: &Path) -> Result<Vec<Finding>> {
        let mut seen: Vec<Finding> = Vec::new();
        let all = self.song.frames() as i64;

        self.press(&self.mixer, "Open a song")?;
        self.screen.photograph(&self.folder.join("player-songs.png"))?;
        self.press(&self.songs, "Path of a song")?;
        self.screen.hand(&["type", "--delay", "40", &path.to_string_lossy()])?;
        self.screen.hand(&["key", "Return", "sleep", "1"])?;
        self.press(&self.songs, "Back from the songs")?;
        let heard = self.heard("opened", 2, || Ok(()))?;
        seen.push((
            "player, opened by its path: it stands, pieces heard",
            json!(heard.len()),
            heard.is_empty(),
        ));

        let heard = self.heard("played", 5, || {
            self.key("space")?;
            self.wait(1.0);
            self.screen.photograph(&self.folder.join("player.png"))?;
            self.key("space")
        })?;
        let first = heard.first().map(|heard| heard.at);
        seen.push(("player, played by Space: its first frame", json!(first), first == Some(0)));
        self.key("Home")?;

        // Paused and played on, in one recording: silence, and no frame of the song is missing behind it.
        let heard = self.heard("paused", 7, || {
            self.press(&self.mixer, "Play")?;
            self.wait(1.5);
            self.press(&self.mixer, "Play")?;
            self.wait(1.0);
            self.press(&self.mixer, "Play")?;
            self.wait(1.0);
            self.press(&self.mixer, "Play")
        })?;
        let pauses: Vec<[Heard; 2]> = heard.windows(2).map(|pair| [pair[0], pair[1]]).collect();
        let repeated = pauses.first().map(|[before, behind]| before.end() - behind.at);
        let good = repeated.is_some_and(|frames| (0..i64::from(RATE_HZ) / 2).contains(&frames));
        seen.push(("player, paused and played by the mouse: frames heard again", json!(repeated), good));

        // From a standstill: what is heard first says where it was sought to.
        let bar = self.bar()?;
        let heard = self.heard("sought", 4, || {
            self.click([bar[0] + bar[2] * 0.6, bar[1] + bar[3] / 2.0])?;
            self.key("space")?;
            self.wait(1.0);
            self.key("space")
        })?;
        let off = heard.first().map(|heard| heard.at - all * 6 / 10);
        // A pixel and a half of the bar.
        let pixel = (all as f64 / bar[2] * 1.5) as i64;
        seen.push((
            "player, sought by the mouse: frames off",
            json!(off),
            off.is_some_and(|off| off.abs() <= pixel),
        ));

        let heard = self.heard("skipped", 4, || {
            self.key("Home")?;
            self.key("Right")?;
            self.key("shift+Left")?;
            self.key("space")?;
            self.wait(1.0);
            self.key("space")
        })?;
        let at = heard.first().map(|heard| heard.at);
        seen.push(("player, Home, 5 s on, 1 s back: frame", json!(at), at == Some(4 * i64::from(RATE_HZ))));

        seen.push(self.looped()?);
        self.screen.photograph(&self.folder.join("player-loop.png"))?;
        self.key("l")?;
        self.key("space")?;
        self.wait(1.0);
        seen.push(self.by_media_keys()?);

        self.press(&self.mixer, "Open a song")?;
        self.press(&self.songs, "Close the song")?;
        self.wait(0.5);
        self.press(&self.songs, "Open Song, 1")?;
        self.wait(1.0);
        self.press(&self.songs, "Back from the songs")?;
        let heard = self.heard("again", 3, || self.key("space"))?;
        let at = heard.first().map(|heard| heard.at);
        seen.push(("player, opened from the list: its first frame", json!(at), at == Some(0)));
        Ok(seen)
    }

    /// The loop's ends typed to the millisecond, and several passes heard to the frame.
    fn looped(&self) -> Result<Finding> {
        for (field, text) in [("Loop from", "0:02.345"), ("Loop to", "3,456")] {
            self.press(&self.mixer, field)?;
            self.screen.hand(&["key", "ctrl+a", "type", "--delay", "40", text])?;
            self.screen.hand(&["key", "Return", "sleep", "0.3"])?;
        }
        // Nothing has the keyboard any more, so that keys are the player's.
        self.key("Escape")?;
        self.key("Home")?;
        let recording = self.record("looped", 8, || self.key("space"))?;
        let first = recording.channels[0].iter().position(|sample| *sample != 0.0);
        let first = first.context("nothing was heard of the loop")?;
        let [from, to] = LOOP;
        let order = (0..to).chain((0..).flat_map(|_| from..to));
        let frames = recording.frames() - first;
        let passes = frames.saturating_sub(to) as f64 / (to - from) as f64;
        let order: Vec<usize> = order.take(frames).collect();
        let expected = self.song.channels.iter().map(|channel| order.iter().map(|at| channel[*at]).collect());
        let expected = Sound { rate_hz: RATE_HZ, channels: expected.collect() };
        let heard = recording.channels.iter().map(|channel| channel[first..].to_vec()).collect();
        let heard = Sound { rate_hz: RATE_HZ, channels: heard };
        let db = crate::wav::agreement_db(&expected, &heard, 0);
        println!("  {passes:.1} passes of the loop");
        Ok((
            "player, the loop, frame by frame over all passes, dB",
            json!(db.min(999.0)),
            db > EXACT_DB && passes > 2.0,
        ))
    }

    /// What a desktop sends when its media keys are pressed.
    fn by_media_keys(&self) -> Result<Finding> {
        let heard = self.heard("media-keys", 5, || {
            self.media("Previous")?;
            self.wait(0.3);
            self.media("PlayPause")?;
            self.wait(2.0);
            self.media("Pause")
        })?;
        let first = heard.first().map(|heard| heard.at);
        let stopped = heard.len() == 1;
        Ok((
            "player, media keys: first frame, and it stops",
            json!([first, stopped]),
            first == Some(0) && stopped,
        ))
    }

    fn media(&self, method: &str) -> Result<()> {
        let mut send = Command::new("dbus-send");
        send.env("DBUS_SESSION_BUS_ADDRESS", &self.bus);
        send.args(["--session", "--print-reply", "--dest=org.mpris.MediaPlayer2.rehearsekit"]);
        send.arg("/org/mpris/MediaPlayer2").arg(format!("org.mpris.MediaPlayer2.Player.{method}"));
        capture(&mut send).map(drop)
    }

    /// Records, does this meanwhile, and says what of the song was heard, stretch by stretch.
    fn heard(&self, name: &str, seconds: u32, act: impl FnOnce() -> Result<()>) -> Result<Vec<Heard>> {
        let recording = self.record(name, seconds, act)?;
        let mut all = Vec::new();
        for (from, to) in stretches(&recording.channels[0]) {
            let piece = &recording.channels[0][from..to.min(from + PIECE_FRAMES)];
            let heard = Heard { from, to, at: place(&self.song, piece)? };
            let db = self.agreement(&recording, heard);
            println!("  {name}: frames {from} to {to} are the song from {} on, {db:.0} dB", heard.at);
            ensure!(db > EXACT_DB, "what was heard is not the song: {db:.1} dB; see {name}.wav");
            all.push(heard);
        }
        Ok(all)
    }

    fn agreement(&self, recording: &Sound, heard: Heard) -> f64 {
        let range = heard.from..heard.to.saturating_sub(FADE_FRAMES).max(heard.from + 1);
        let start = usize::try_from(heard.at).unwrap_or(0);
        let cut = |sound: &Sound, range: std::ops::Range<usize>| Sound {
            rate_hz: RATE_HZ,
            channels: sound
                .channels
                .iter()
                .map(|c| c.get(range.clone()).unwrap_or_default().to_vec())
                .collect(),
        };
        let expected = cut(&self.song, start..start + range.len());
        crate::wav::agreement_db(&expected, &cut(recording, range), 0)
    }

    fn record(&self, name: &str, seconds: u32, act: impl FnOnce() -> Result<()>) -> Result<Sound> {
        let out = self.folder.join(format!("player-{name}.wav"));
        let mut recorder = Command::new("jack_rec");
        recorder.arg("-f").arg(&out).args(["-d", &seconds.to_string(), "-b", "32"]).args(outputs()?);
        let recorder = Background::start(recorder.stdout(Stdio::null()).stderr(Stdio::null()))?;
        self.wait(1.0);
        act()?;
        recorder.wait()?;
        let heard = Sound::read(&out)?;
        ensure!(heard.frames() > 0, "nothing was recorded");
        Ok(heard)
    }

    fn bar(&self) -> Result<[f64; 4]> {
        let found = self.mixer.iter().find(|(label, _)| label.starts_with("Position, "));
        Ok(*found.context("there is no position")?.1)
    }

    fn press(&self, places: &Places, label: &str) -> Result<()> {
        self.click(middle(places, label)?)
    }

    fn click(&self, place: [f64; 2]) -> Result<()> {
        self.screen.at(&self.window, place, &["click", "1", "sleep", "0.3"])
    }

    fn key(&self, key: &str) -> Result<()> {
        self.screen.hand(&["key", key, "sleep", "0.3"])
    }

    fn wait(&self, seconds: f64) {
        std::thread::sleep(Duration::from_secs_f64(seconds));
    }
}

impl Heard {
    /// The frame of the song behind its last one.
    fn end(&self) -> i64 {
        self.at + (self.to - self.from) as i64
    }
}

/// The stretches of sound between silences of a twentieth of a second and more.
fn stretches(samples: &[f32]) -> Vec<(usize, usize)> {
    let gap = RATE_HZ as usize / 20;
    let mut all: Vec<(usize, usize)> = Vec::new();
    for (at, _) in samples.iter().enumerate().filter(|(_, sample)| sample.abs() > 0.0) {
        match all.last_mut() {
            Some((_, to)) if at - *to < gap => *to = at + 1,
            _ => all.push((at, at + 1)),
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stretches_of_sound_are_told_from_silence() {
        let mut samples = vec![0.0; 20_000];
        samples[100..5_000].fill(0.1);
        samples[300..400].fill(0.0);
        samples[9_000..9_010].fill(-0.1);
        assert_eq!(stretches(&samples), [(100, 5_000), (9_000, 9_010)]);
        assert_eq!(stretches(&[0.0; 100]), []);
    }

    #[test]
    fn a_piece_of_the_song_says_where_it_is() {
        let song = song();
        for at in [0, 1, 12_345, 400_000] {
            assert_eq!(place(&song, &song.channels[0][at..at + PIECE_FRAMES]).unwrap(), at as i64);
        }
    }
}
