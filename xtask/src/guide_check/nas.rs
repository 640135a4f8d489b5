//! A box like a TrueNAS as far as the guide touches it: Docker, and folders below `/mnt/tank`. It is the LAN's closet
//! with a mount and a process namespace of its own: nothing of it is seen outside of them, everything ends with them,
//! and Docker's "host" network is the closet's.

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use crate::lan_check::netns::{Lan, Side};
use crate::shell::{Background, capture, run_unsaid};

/// Generous; only a hang lasts this long.
const PATIENCE: Duration = Duration::from_secs(600);

/// The first process of the box: Docker itself, which gets all that is left behind.
const BOOT: &str = "mount --bind \"$1/mnt\" /mnt && mount -t tmpfs tmpfs /run && exec dockerd \
                    --data-root \"$1/docker\" --bridge none --iptables=false --ip6tables=false --ip-forward=false";

pub(super) struct Nas {
    folder: PathBuf,
    /// Of its first process, as seen from outside.
    first: String,
    docker: Background,
}

impl Nas {
    /// Boots it on the LAN's closet, and waits for its Docker.
    pub(super) fn boot(lan: &Lan, folder: &Path) -> Result<Self> {
        for part in ["mnt/tank/share", "mnt/tank/home", "docker"] {
            std::fs::create_dir_all(folder.join(part))?;
        }
        let log = std::fs::File::create(folder.join("dockerd.log"))?;
        // Not `ip netns exec`: it mounts a fresh /sys, without the control groups that Docker wants.
        let mut boot = Command::new("nsenter");
        boot.arg(format!("--net=/run/netns/{}", lan.name(Side::Closet)));
        boot.args(["unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"]);
        boot.args(["sh", "-c", BOOT, "sh"]).arg(folder);
        let docker = Background::start(boot.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log))?;
        let mut nas = Self { folder: folder.to_path_buf(), first: String::new(), docker };
        let began = Instant::now();
        loop {
            let id = nas.docker.id();
            let children = std::fs::read_to_string(format!("/proc/{id}/task/{id}/children"));
            children.unwrap_or_default().trim().clone_into(&mut nas.first);
            if !nas.first.is_empty() && nas.silently("docker info") {
                return Ok(nas);
            }
            if nas.docker.ended()?.is_some() || began.elapsed() > PATIENCE {
                bail!("Docker does not start; see {}", folder.join("dockerd.log").display());
            }
            std::thread::sleep(Duration::from_millis(200));
        }
    }

    /// `/mnt/tank` as seen from outside.
    pub(super) fn tank(&self) -> PathBuf {
        self.folder.join("mnt/tank")
    }

    /// Somebody at its shell, as root, whose home is `/mnt/tank/home`.
    fn command(&self, line: &str) -> Command {
        let mut command = Command::new("nsenter");
        command.args(["--target", &self.first, "--mount", "--net", "--pid"]);
        // We are root already, and there may be no sudo.
        command.args(["sh", "-c"]).arg(format!("cd /mnt/tank/home && {}", line.replace("sudo ", "")));
        command.stdin(Stdio::null());
        command
    }

    fn silently(&self, line: &str) -> bool {
        let mut command = self.command(line);
        let status = command.stdout(Stdio::null()).stderr(Stdio::null()).status();
        status.is_ok_and(|status| status.success())
    }

    /// Types a line and waits for its end.
    pub(super) fn types(&self, line: &str) -> Result<()> {
        println!("  truenas$ {line}");
        run_unsaid(&mut self.command(line))
    }

    /// What a line prints.
    pub(super) fn asks(&self, line: &str) -> Result<String> {
        capture(&mut self.command(line))
    }

    /// Types a line that goes on, at a terminal.
    pub(super) fn starts(&self, line: &str) -> Result<Terminal> {
        println!("  truenas$ {line} &");
        let line = line.replace('\'', r"'\''");
        let script = format!("script --quiet --return --flush --command '{line}' /dev/null");
        let mut script = self.command(&script);
        let program = Background::start(script.stdin(Stdio::piped()).stdout(Stdio::piped()))?;
        let keys = program.take_stdin();
        let out = BufReader::new(program.take_stdout().context("no output")?);
        let (told, lines) = channel();
        std::thread::spawn(move || {
            out.lines().map_while(std::result::Result::ok).for_each(|line| drop(told.send(line)));
        });
        Ok(Terminal { program, lines, _keys: keys })
    }

    /// Waits until the app is healthy by Docker's own account.
    pub(super) fn wait_until_healthy(&self) -> Result<()> {
        let began = Instant::now();
        let state = "docker inspect --format \
                     '{{.State.Health.Status}} {{.State.Running}} {{.RestartCount}}' rehearsekit";
        loop {
            let said = self.asks(state)?;
            if said.trim() == "healthy true 0" {
                return Ok(());
            }
            // The first time that it ends by itself is the last that is waited for.
            if !said.trim().ends_with(" 0") || began.elapsed() > PATIENCE {
                self.types("docker logs rehearsekit")?;
                bail!("the app is {}", said.trim());
            }
            std::thread::sleep(Duration::from_millis(200));
        }
    }
}

impl Drop for Nas {
    fn drop(&mut self) {
        // Docker ends its containers, and then itself; what is left ends with the first process.
        let _ = Command::new("kill").args(["-s", "TERM", &self.first]).status();
        let began = Instant::now();
        while matches!(self.docker.ended(), Ok(None)) && began.elapsed() < Duration::from_secs(20) {
            std::thread::sleep(Duration::from_millis(100));
        }
    }
}

/// A program at a terminal of the box.
pub(super) struct Terminal {
    program: Background,
    lines: Receiver<String>,
    /// Closed, the program would be told that nobody types any more.
    _keys: Option<ChildStdin>,
}

impl Terminal {
    /// The pairing code that it shows.
    pub(super) fn code(&self) -> Result<String> {
        let began = Instant::now();
        let mut said = String::new();
        while began.elapsed() < Duration::from_secs(30) {
            let Ok(line) = self.lines.recv_timeout(Duration::from_millis(200)) else { continue };
            if let Some(code) = code_in(&line) {
                return Ok(code);
            }
            said += &line;
        }
        bail!("no code was shown but: {said}")
    }

    /// Waits until it has ended, well.
    pub(super) fn ends(self) -> Result<()> {
        let status = self.program.wait()?;
        let said: Vec<String> = self.lines.try_iter().collect();
        ensure!(status.success(), "it ended with {status}: {}", said.join("\n"));
        Ok(())
    }
}

/// A code like `2845-3801` among words.
pub(super) fn code_in(line: &str) -> Option<String> {
    let is_half = |half: &str| half.len() == 4 && half.bytes().all(|byte| byte.is_ascii_digit());
    let words = line.split(|c: char| !c.is_ascii_digit() && c != '-');
    let mut codes = words.filter(|word| word.split_once('-').is_some_and(|(a, b)| is_half(a) && is_half(b)));
    codes.next().map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_told_from_dates_and_versions() {
        assert_eq!(code_in("\u{1b}[1m  2845-3801\u{1b}[0m\r").as_deref(), Some("2845-3801"));
        assert_eq!(code_in("2026-11-26 rehearsekit 0.1.0"), None);
        assert_eq!(code_in("12345-6789 1234-567"), None);
    }
}
