//! RehearseKit on the stage, as the standalone or as a plugin in Ardour: a hand at its window, and an ear at its
//! outputs.

use std::ffi::OsStr;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Result, ensure};

use super::MOMENT;
use super::netns::{Lan, Side};
use crate::daw_check::{Ardour, Editor, Places, Screen, level, middle, places, record};
use crate::shell::{Background, capture, target_dir};
use crate::wav::Sound;

/// It plays as long as this lives.
pub(crate) struct Player<'a> {
    screen: &'a Screen,
    folder: &'a Path,
    window: String,
    ports: Vec<String>,
    mixer: Places,
    set_up: Places,
    /// What it is called in a server's list.
    pub(crate) name: String,
    _program: Background,
}

impl<'a> Player<'a> {
    /// The standalone, playing `song` over and over, before that many servers.
    pub(crate) fn standalone(
        lan: &Lan,
        screen: &'a Screen,
        song: &Path,
        folder: &'a Path,
        servers: u32,
    ) -> Result<Self> {
        let config = folder.join("config");
        let program = target_dir().join("bundled").join("rehearsekit-standalone");
        let display = screen.display();
        let variables = [
            ("XDG_CONFIG_HOME", config.as_os_str()),
            ("DISPLAY", OsStr::new(display)),
            ("LIBGL_ALWAYS_SOFTWARE", OsStr::new("1")),
        ];
        let mut command = lan.command(Side::Stage, program, &variables);
        command.arg("--file").arg(song).args(["--loop", "--backend", "jack"]);
        let log = std::fs::File::create(folder.join("standalone.log"))?;
        let program = Background::start(command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log))?;
        let window = screen.wait_for("^RehearseKit$", &program)?;
        std::thread::sleep(MOMENT);
        let said = capture(Command::new("jack_lsp").stderr(Stdio::null()))?;
        let is_output = |port: &&str| port.contains("out") && !port.contains("system");
        let ports: Vec<String> = said.lines().map(str::trim).filter(is_output).map(str::to_owned).collect();
        ensure!(ports.len() == 2, "the standalone should have two outputs in JACK, which has:\n{said}");
        Self::at(screen, folder, window, ports, program, [places(&["player"])?, of_servers(servers)?])
    }

    /// The plugin in Ardour's window, before that many servers; it plays from [`Editor::play`] on.
    pub(crate) fn in_ardour(
        lan: &Lan,
        screen: &'a Screen,
        ardour: &Ardour,
        folder: &'a Path,
        servers: u32,
    ) -> Result<Self> {
        let on_the_stage = |command: Command| {
            let variables: Vec<(&str, &OsStr)> =
                command.get_envs().filter_map(|(name, value)| Some((name.to_str()?, value?))).collect();
            let mut moved = lan.command(Side::Stage, command.get_program(), &variables);
            moved.args(command.get_args());
            moved
        };
        let Editor { window, ardour } = ardour.open_editor(screen, on_the_stage)?;
        Self::at(screen, folder, window, Editor::ports(), ardour, [places(&[])?, of_servers(servers)?])
    }

    fn at(
        screen: &'a Screen,
        folder: &'a Path,
        window: String,
        ports: Vec<String>,
        program: Background,
        [mixer, set_up]: [Places; 2],
    ) -> Result<Self> {
        let name = capture(&mut Command::new("hostname"))?.trim().to_owned();
        Ok(Self { screen, folder, window, ports, mixer, set_up, name, _program: program })
    }

    pub(crate) fn press(&self, label: &str) -> Result<()> {
        let place = middle(&self.set_up, label).or_else(|_| middle(&self.mixer, label))?;
        self.screen.at(&self.window, place, &["click", "1", "sleep", "0.5"])
    }

    /// Types a code where one is asked for, and waits for what comes of it.
    pub(crate) fn type_code(&self, code: &str) -> Result<()> {
        self.screen.hand(&["key", "ctrl+a"])?;
        self.screen.hand(&["type", "--delay", "150", code])?;
        std::thread::sleep(MOMENT);
        self.screen.hand(&["key", "Return"])?;
        std::thread::sleep(MOMENT);
        Ok(())
    }

    pub(crate) fn photograph(&self, name: &str) -> Result<()> {
        std::thread::sleep(MOMENT);
        self.screen.photograph(&self.folder.join(format!("{name}.png")))
    }

    pub(crate) fn level(&self) -> Result<f64> {
        level(&self.ports, self.folder)
    }

    /// What is heard for some seconds, kept as `heard.wav`.
    pub(crate) fn listen(&self, seconds: u32) -> Result<Sound> {
        record(&self.ports, seconds, &self.folder.join("heard.wav"))
    }
}

/// The page of that many servers, in the standalone as in a host.
fn of_servers(count: u32) -> Result<Places> {
    places(&["servers", &count.to_string()])
}
