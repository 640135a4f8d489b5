//! Ardour 7 as Debian has it, driven from outside: its scanner, its Lua, its export, its window; and JACK with the
//! dummy driver. Everything lives in a home of its own below `target/`, and ends with its value.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use super::jack::{jack, level};
use super::screen::Screen;
use super::sound;
use crate::shell::{Background, capture, run};
use crate::wav::Sound;

/// Where Debian's package keeps what is not for the `PATH`.
const LIBRARY: &str = "/usr/lib/ardour7";
/// Generous; only a hang lasts this long.
const PATIENCE: Duration = Duration::from_secs(120);

/// Where the first track's first plugin is in Ardour's mixer, from the window's corner.
const FIRST_PLUGIN: [f64; 2] = [330.0, 206.0];

/// A stage for Ardour.
pub(crate) struct Ardour {
    /// Everything is in here.
    pub(super) folder: PathBuf,
    /// Where it is told to look for plugins; else it looks where it always does.
    bundles: Option<PathBuf>,
    seconds: f64,
}

impl Ardour {
    /// In `folder`, with the plugin in `bundles`, else with what is installed in its [`Self::home`]; for sessions of
    /// that many seconds.
    pub(crate) fn new(folder: &Path, bundles: Option<&Path>, seconds: f64) -> Result<Self> {
        let here = Self { folder: folder.to_path_buf(), bundles: bundles.map(Path::to_path_buf), seconds };
        let config = here.home().join("config/ardour7");
        std::fs::create_dir_all(&config).context("could not make a home for Ardour")?;
        // So that its window asks no questions: it has been here before, and its audio is JACK's.
        std::fs::write(config.join(".a7"), "")?;
        std::fs::write(config.join("config"), include_str!("ardour-config.xml"))?;
        Ok(here)
    }

    /// The home of who plays.
    pub(crate) fn home(&self) -> PathBuf {
        self.folder.join("home")
    }

    fn bundle(&self) -> PathBuf {
        let folder = self.bundles.clone().unwrap_or_else(|| self.home().join(".vst3"));
        folder.join("RehearseKit.vst3")
    }

    fn session(&self) -> PathBuf {
        self.folder.join("session")
    }

    /// The session as it is saved.
    pub(super) fn session_file(&self) -> PathBuf {
        self.session().join("session.ardour")
    }

    /// The files of what was recorded, left and right.
    fn recordings(&self) -> [PathBuf; 2] {
        let folder = self.session().join("interchange/session/audiofiles");
        ["L", "R"].map(|side| folder.join(format!("Take1_Song-1%{side}.wav")))
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        let home = self.home();
        for (name, part) in
            [("XDG_CONFIG_HOME", "config"), ("XDG_CACHE_HOME", "cache"), ("XDG_DATA_HOME", "data")]
        {
            command.env(name, home.join(part));
        }
        command.env("HOME", &home);
        if let Some(bundles) = &self.bundles {
            command.env("VST3_PATH", bundles);
        }
        command.env("DAW_SESSION", self.session()).env("DAW_SECONDS", self.seconds.to_string());
        command
    }

    /// Scans the bundle and makes a session with the plugin on a track that has `song`; how long the scan took.
    pub(crate) fn make_session(&self, song: &Sound) -> Result<Duration> {
        let (said, scanned) = self.scan()?;
        ensure!(said.contains("RehearseKit Stems"), "Ardour's scanner does not see both classes:\n{said}");
        self.lua("make.lua", include_str!("make.lua"))?;
        ensure!(self.session_file().is_file(), "Ardour made no session; see make.log");
        for (path, channel) in self.recordings().iter().zip(&song.channels) {
            sound::fill(path, channel)?;
        }
        Ok(scanned)
    }

    /// Lets Ardour's scanner look at the bundle; what it says, and how long it took.
    fn scan(&self) -> Result<(String, Duration)> {
        let mut scanner = self.command(&format!("{LIBRARY}/ardour-vst3-scanner"));
        scanner.env("LD_LIBRARY_PATH", LIBRARY).env("ARDOUR_DLL_PATH", LIBRARY);
        scanner.env("ARDOUR_DATA_PATH", "/usr/share/ardour7").env("ARDOUR_CONFIG_PATH", "/etc/ardour7");
        let began = Instant::now();
        let said = capture(scanner.arg("-f").arg(self.bundle()))?;
        Ok((said, began.elapsed()))
    }

    /// Runs a script to its end.
    pub(super) fn lua(&self, name: &str, script: &str) -> Result<()> {
        self.start_lua(name, script)?.wait().map(drop)
    }

    /// Starts a script.
    pub(super) fn start_lua(&self, name: &str, script: &str) -> Result<Background> {
        let path = self.folder.join(name);
        std::fs::write(&path, script)?;
        let log = std::fs::File::create(path.with_extension("log"))?;
        let mut command = self.command("ardour7-lua");
        command.arg(&path).stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        Background::start(&mut command)
    }

    /// Waits for a file that a script writes; `beside` is what must not end before.
    pub(super) fn wait_for(&self, name: &str, beside: &Background) -> Result<PathBuf> {
        let (path, began) = (self.folder.join(name), Instant::now());
        while !path.is_file() {
            if beside.ended()?.is_some() || began.elapsed() > PATIENCE {
                bail!("Ardour never wrote {name}; its logs are in {}", self.folder.display());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(path)
    }

    /// What Ardour exports of the session, as fast as it goes.
    pub(super) fn export(&self, name: &str) -> Result<PathBuf> {
        let out = self.folder.join(name);
        let mut command = self.command("ardour7-export");
        command.args(["-b", "float", "-o"]).arg(&out).arg(self.session()).arg("session");
        run(&mut command)?;
        Ok(out)
    }

    /// The session in Ardour's window with the plugin's editor open; `on` puts the command on the machine it is for.
    pub(crate) fn open_editor(&self, screen: &Screen, on: impl FnOnce(Command) -> Command) -> Result<Editor> {
        // The session was last saved without JACK; Ardour would ask whether that is meant.
        let session = std::fs::read_to_string(self.session_file())?;
        let lines = session.lines().filter(|line| !line.contains("<EngineHints"));
        std::fs::write(self.session_file(), lines.collect::<Vec<_>>().join("\n"))?;
        let mut ardour = self.command("ardour");
        ardour.args(["-n", "--no-announcements"]).arg(self.session());
        screen.on(&mut ardour);
        let mut ardour = on(ardour);
        let log = std::fs::File::create(self.folder.join("ardour.log"))?;
        ardour.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        let ardour = Background::start(&mut ardour)?;
        let window = screen.wait_for("session - Ardour", &ardour)?;
        // It draws for a while after it has come. Its mixer has the first track's plugin here.
        std::thread::sleep(Duration::from_secs(6));
        screen.hand(&["windowactivate", "--sync", &window, "key", "alt+m", "sleep", "3"])?;
        // On a busy machine it may not take two clicks for a double one.
        for _ in 0..5 {
            screen.at(
                &window,
                FIRST_PLUGIN,
                &["click", "--repeat", "2", "--delay", "80", "1", "sleep", "5"],
            )?;
            if screen.find("RehearseKit .*VST3").is_some() {
                break;
            }
        }
        let editor = screen.wait_for("RehearseKit .*VST3", &ardour)?;
        std::thread::sleep(Duration::from_secs(3));
        let window = screen.wait_for("^RehearseKit$", &ardour).unwrap_or(editor);
        Ok(Editor { window, ardour })
    }

    /// The session playing, and the vocals, which are all that is left, muted in the editor. Photographed. Gives the
    /// level on the track's output before and behind that, in dB below full scale.
    pub(super) fn work_the_editor(&self, picture: &Path, mute: [f64; 2]) -> Result<[f64; 2]> {
        let screen = Screen::start(77)?;
        let _jack = jack(&self.folder)?;
        let editor = self.open_editor(&screen, std::convert::identity)?;
        Editor::play(&screen)?;
        let before = level(&Editor::ports(), &self.folder)?;
        screen.photograph(picture)?;
        screen.at(&editor.window, mute, &["click", "1"])?;
        let behind = level(&Editor::ports(), &self.folder)?;
        screen.photograph(&picture.with_extension("muted.png"))?;
        Ok([before, behind])
    }
}

/// The plugin's editor in Ardour's window.
pub(crate) struct Editor {
    pub(crate) window: String,
    pub(crate) ardour: Background,
}

impl Editor {
    /// The outputs of the first track in JACK.
    pub(crate) fn ports() -> Vec<String> {
        ["1", "2"].map(|side| format!("ardour:Song/audio_out {side}")).to_vec()
    }

    /// Plays from where the session stands.
    pub(crate) fn play(screen: &Screen) -> Result<()> {
        // Onto an empty place of the mixer, so that the key is Ardour's and not the editor's.
        screen.hand(&["mousemove", "1000", "700", "click", "1", "sleep", "0.5", "key", "space"])?;
        std::thread::sleep(Duration::from_secs(2));
        Ok(())
    }
}
