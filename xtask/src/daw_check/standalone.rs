//! The standalone under JACK's dummy driver, its window on a screen without a monitor: pressed, dragged and typed at
//! as a player would, with the effect heard in what comes out.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use super::jack::{jack, level};
use super::screen::Screen;
use crate::findings::Finding;
use crate::shell::{Background, capture, capture_json, cargo, target_dir};

/// The window as it opens first.
const SIZE: [f64; 2] = [900.0, 540.0];
/// Silence, in dB below full scale.
const SILENT_DB: f64 = -90.0;

/// Where things are in the window of [`SIZE`]: corner and size, in points.
pub(crate) type Places = BTreeMap<String, [f64; 4]>;

struct Desk<'a> {
    screen: &'a Screen,
    places: Places,
    window: String,
    ports: Vec<String>,
    folder: &'a Path,
}

/// Where things are in a window as it opens first, with two stems; or on another `page`, in the words of that example.
pub(crate) fn places(page: &[&str]) -> Result<Places> {
    let [width, height] = SIZE.map(|side| side.to_string());
    let mut places = cargo();
    places.args(["run", "--quiet", "--package", "rehearsekit-gui", "--example", "places", &width, &height]);
    places.args(page);
    Ok(serde_json::from_value(capture_json(&mut places)?)?)
}

/// The middle of something, from the window's corner.
pub(crate) fn middle(places: &Places, label: &str) -> Result<[f64; 2]> {
    let [x, y, width, height] = places.get(label).with_context(|| format!("there is no {label}"))?;
    Ok([x + width / 2.0, y + height / 2.0])
}

/// The two outputs of the standalone in JACK.
pub(super) fn outputs() -> Result<Vec<String>> {
    let said = capture(Command::new("jack_lsp").stderr(Stdio::null()))?;
    let ports: Vec<String> = said
        .lines()
        .map(str::trim)
        .filter(|port| port.contains("out") && !port.contains("system"))
        .map(str::to_owned)
        .collect();
    ensure!(ports.len() == 2, "the standalone should have two outputs in JACK, which has:\n{said}");
    Ok(ports)
}

/// Plays `song` in the standalone and works its window. Gives what was seen, for the report.
pub(super) fn check(song: &Path, server: &str, places: Places, folder: &Path) -> Result<Vec<Finding>> {
    let screen = Screen::start(78)?;
    let _jack = jack(folder)?;
    let log = std::fs::File::create(folder.join("standalone.log"))?;
    let mut program = Command::new(target_dir().join("bundled").join("rehearsekit-standalone"));
    program.arg("--file").arg(song).args(["--loop", "--backend", "jack", "--server", server]);
    // Not the user's own: it remembers what it was left at.
    let config = folder.join("config");
    program.env("XDG_CONFIG_HOME", &config);
    let program =
        Background::start(screen.on(&mut program).stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log))?;
    let window = screen.wait_for("^RehearseKit$", &program)?;
    std::thread::sleep(Duration::from_secs(4));
    let desk = Desk { screen: &screen, places, window, ports: outputs()?, folder };
    let mut seen = Vec::new();
    let mut note = |what, level: f64, good| seen.push((what, json!(level), good));

    let all = desk.level()?;
    note("standalone, everything up, dB", all, all > -30.0);
    screen.photograph(&folder.join("standalone.png"))?;
    desk.press("Vocals mute")?;
    let band = desk.level()?;
    note("standalone, vocals muted by the mouse, dB", band, band < all && band > -40.0);
    desk.press("Band mute")?;
    let nothing = desk.level()?;
    note("standalone, both muted, dB", nothing, nothing < SILENT_DB);
    desk.press("Only my vocals")?;
    let mine = desk.level()?;
    note("standalone, only my vocals, dB", mine, mine > -50.0 && (mine - all).abs() > 0.2);
    desk.press("Everybody plays")?;
    desk.press("Vocals mute")?;
    desk.press("Band mute")?;
    desk.drag_down("Main fader, 0.0 dB")?;
    let down = desk.level()?;
    note("standalone, the main fader dragged down, dB", down, down < SILENT_DB);
    screen.photograph(&folder.join("standalone-down.png"))?;

    // Nothing but keys from here on: Home is 0 dB; then back to the strip before, whose M mutes.
    desk.screen.hand(&["key", "Home"])?;
    let back = desk.level()?;
    note("standalone, the fader at 0 dB again by Home, dB", back, (back - all).abs() < 3.0);
    let muted = desk.mute_by_keys()?;
    note("standalone, the band muted by keys, dB", muted, muted < back - 0.2 && muted > -40.0);
    screen.photograph(&folder.join("standalone-keys.png"))?;
    screen.hand(&["key", "alt+F4"])?;
    let ended = (0..200).find_map(|_| {
        std::thread::sleep(Duration::from_millis(100));
        program.ended().ok().flatten()
    });
    let left = ended.context("the window does not close")?;
    let kept = std::fs::read_to_string(config.join("rehearsekit").join("standalone.json"));
    let kept: Value = serde_json::from_str(&kept.context("it kept nothing of what was set")?)?;
    seen.push(("standalone, ends with its window", json!(left.success()), left.success()));
    let muted = kept["parameters"]["other_mute"].clone();
    seen.push(("standalone, remembers the mute", muted.clone(), muted == json!(1.0)));
    Ok(seen)
}

impl Desk<'_> {
    fn press(&self, label: &str) -> Result<()> {
        self.screen.at(&self.window, middle(&self.places, label)?, &["click", "1"])
    }

    /// Takes a fader at 0 dB by its cap and pulls it below its foot.
    fn drag_down(&self, label: &str) -> Result<()> {
        let [x, y, width, height] = self.places.get(label).with_context(|| format!("there is no {label}"))?;
        // The cap stands at almost three quarters of the way up; see the picture.
        let at = |part: f64, then: &[&str]| {
            self.screen.at(&self.window, [x + width * 0.48, y + height * part], then)
        };
        at(0.28, &["mousedown", "1"])?;
        at(0.6, &[])?;
        at(1.0, &["mouseup", "1"])
    }

    /// Walks back with Shift and Tab from the main strip to the one before it, until M mutes something. Gives the
    /// level behind it.
    fn mute_by_keys(&self) -> Result<f64> {
        let before = self.level()?;
        for _ in 0..6 {
            self.screen.hand(&["key", "shift+Tab", "sleep", "0.1", "key", "m"])?;
            let now = self.level()?;
            if (now - before).abs() > 0.2 {
                return Ok(now);
            }
        }
        Ok(before)
    }

    /// How loud it is now, in dB below full scale.
    fn level(&self) -> Result<f64> {
        level(&self.ports, self.folder)
    }
}
