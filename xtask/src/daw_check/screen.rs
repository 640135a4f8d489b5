//! A screen without a monitor: Xvfb with a window manager, a hand (xdotool) and a camera (ImageMagick). It ends with
//! its value.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

use crate::shell::{Background, capture, run};

/// Generous; only a hang lasts this long.
const PATIENCE: Duration = Duration::from_secs(120);

pub(crate) struct Screen {
    display: String,
    /// Ended before the server.
    manager: Option<Background>,
    server: Background,
}

impl Screen {
    /// A screen of 1400 by 900, whose keys do not repeat: on a busy machine a short press is a long one.
    pub(crate) fn start(number: u32) -> Result<Self> {
        let display = format!(":{number}");
        let quiet = |command: &mut Command| {
            Background::start(command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()))
        };
        let server = quiet(Command::new("Xvfb").args([&display, "-screen", "0", "1400x900x24", "-r"]))?;
        let mut screen = Self { display, manager: None, server };
        let began = Instant::now();
        // A socket may be left from another, so the manager is tried until it has come up on the screen.
        while !screen.is_managed() {
            if screen.server.ended()?.is_some() || began.elapsed() > PATIENCE {
                bail!("Xvfb does not start on display {}; is there another?", screen.display);
            }
            let is_gone = |manager: &Background| !matches!(manager.ended(), Ok(None));
            if screen.manager.as_ref().is_none_or(is_gone) {
                screen.manager = Some(quiet(Command::new("openbox").env("DISPLAY", &screen.display))?);
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        Ok(screen)
    }

    /// Whether a window manager is at work there.
    fn is_managed(&self) -> bool {
        let mut ask = Command::new("xdotool");
        let ask = self.on(ask.arg("get_num_desktops")).stdout(Stdio::null()).stderr(Stdio::null());
        ask.status().is_ok_and(|status| status.success())
    }

    /// Its name, for `DISPLAY`.
    pub(crate) fn display(&self) -> &str {
        &self.display
    }

    /// Lets a command use this screen.
    pub(crate) fn on<'a>(&self, command: &'a mut Command) -> &'a mut Command {
        command.env("DISPLAY", &self.display)
    }

    /// The number of the newest window with this in its name.
    pub(crate) fn find(&self, name: &str) -> Option<String> {
        let find = ["search", "--onlyvisible", "--name", name];
        let found = capture(self.on(Command::new("xdotool").args(find)).stderr(Stdio::null())).ok()?;
        found.lines().last().map(|window| window.trim().to_owned())
    }

    /// Waits for a window with this in its name, as long as `owner` runs, and gives its number.
    pub(crate) fn wait_for(&self, name: &str, owner: &Background) -> Result<String> {
        let began = Instant::now();
        loop {
            if let Some(window) = self.find(name) {
                return Ok(window);
            }
            if owner.ended()?.is_some() || began.elapsed() > PATIENCE {
                bail!("no window called {name} came");
            }
            std::thread::sleep(Duration::from_millis(300));
        }
    }

    /// Moves the pointer to a place in a window, in pixels from its corner, and does this there.
    pub(crate) fn at(&self, window: &str, place: [f64; 2], then: &[&str]) -> Result<()> {
        let [x, y] = place.map(|side| side.round().to_string());
        self.hand(&[&["mousemove", "--window", window, &x, &y, "sleep", "0.3"], then].concat())
    }

    /// Moves and presses: xdotool's own words.
    pub(crate) fn hand(&self, words: &[&str]) -> Result<()> {
        capture(self.on(Command::new("xdotool").args(words))).map(drop)
    }

    /// A picture of all of it.
    pub(crate) fn photograph(&self, picture: &Path) -> Result<()> {
        run(self.on(Command::new("import").args(["-window", "root"]).arg(picture)))
    }
}
