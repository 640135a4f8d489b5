//! The servers of the soak: one in a mount namespace and with a clock of its own, whose log goes through a named pipe; and
//! one on a terminal that can be closed. Must not know when anything happens to them.

use std::ffi::OsString;
use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

use crate::kit::{Kit, SPLEETER};
use crate::shell::{Adopted, Background, capture};

/// Moves the wall clock of a process that is started with it.
pub(super) const CLOCK_LIBRARY: &str = "/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1";
/// Generous; only a hang lasts this long.
const PATIENCE: Duration = Duration::from_secs(180);

/// A server that things happen to.
pub(super) struct Server {
    pub(super) name: &'static str,
    pub(super) listen: String,
    pub(super) http: String,
    folder: PathBuf,
    process: Process,
}

enum Process {
    Piped { server: Background, reader: std::sync::Mutex<Option<Background>> },
    Terminal { server: Adopted, terminal: std::sync::Mutex<Option<Background>> },
}

impl Server {
    /// In a mount namespace of its own, its log read through a pipe by a program, its clock kept in a file.
    pub(super) fn with_a_log_reader(kit: &Kit, folder: &Path) -> Result<Self> {
        let data = data(kit, folder)?;
        let (pipe, clock) = (folder.join("log.pipe"), folder.join("clock"));
        capture(Command::new("mkfifo").arg(&pipe))?;
        std::fs::write(&clock, "+0\n")?;
        let reader = read(&pipe, &folder.join("server.log"))?;
        let out = folder.join("server.out");
        // The redirection waits for the reader; what is executed keeps the number of the process.
        let script = "exec \"$@\" 2>\"$P\"";
        let mut command = Command::new("unshare");
        command.args(["--mount", "--propagation", "private", "sh", "-c", script, "sh", "env"]);
        command.arg(format!("LD_PRELOAD={CLOCK_LIBRARY}"));
        command.arg(format!("FAKETIME_TIMESTAMP_FILE={}", clock.display()));
        // What passes is a step of the wall clock, as by NTP or by hand: the other clock never jumps.
        command.args(["FAKETIME_DONT_FAKE_MONOTONIC=1", "FAKETIME_CACHE_DURATION=1"]);
        command.arg(kit.program()).args(WORDS).envs(environment(&data));
        command.env("P", &pipe);
        command
            .stdin(Stdio::null())
            .stdout(File::create(&out)?)
            .stderr(File::create(folder.join("setup.log"))?);
        let server = Background::start(&mut command)?;
        let ready = ready(&out, || Ok(server.ended()?.is_none()))?;
        let process = Process::Piped { server, reader: Some(reader).into() };
        Self::new("with a log reader", folder, &ready, process)
    }

    /// On a terminal that can be closed, not to be ended by that, as under `nohup`.
    pub(super) fn on_a_terminal(kit: &Kit, folder: &Path) -> Result<Self> {
        let data = data(kit, folder)?;
        let (number, out) = (folder.join("pid"), folder.join("server.out"));
        let script = "trap '' HUP; echo $$ >\"$N\"; exec \"$K\" $W";
        let mut command = Command::new("script");
        command.args(["-q", "-e", "-f", "-c", script, "/dev/null"]).stdin(Stdio::null());
        command.env("N", &number).env("K", kit.program()).env("W", WORDS.join(" ")).env("SHELL", "/bin/sh");
        command.envs(environment(&data)).stdout(File::create(&out)?).stderr(Stdio::null());
        let terminal = Background::start(&mut command)?;
        let ready = ready(&out, || Ok(terminal.ended()?.is_none()))?;
        let number = std::fs::read_to_string(&number)?.trim().parse().context("the server's number")?;
        let process = Process::Terminal { server: Adopted::new(number), terminal: Some(terminal).into() };
        Self::new("on a terminal", folder, &ready, process)
    }

    fn new(name: &'static str, folder: &Path, ready: &Value, process: Process) -> Result<Self> {
        let text = |key: &str| {
            let value = ready[key].as_str().map(str::to_owned);
            value.with_context(|| format!("the server's ready line has no `{key}`: {ready}"))
        };
        let (listen, http) = (text("listen")?, text("http")?);
        let server = Self { name, listen, http, folder: folder.to_owned(), process };
        println!("  a server {name}: process {}, http://{}/readyz", server.id(), server.http);
        Ok(server)
    }

    pub(super) fn id(&self) -> u32 {
        match &self.process {
            Process::Piped { server, .. } => server.id(),
            Process::Terminal { server, .. } => server.id(),
        }
    }

    pub(super) fn is_alive(&self) -> bool {
        match &self.process {
            Process::Piped { server, .. } => matches!(server.ended(), Ok(None)),
            Process::Terminal { server, .. } => server.is_alive(),
        }
    }

    /// Kills whoever reads the log.
    pub(super) fn kill_reader(&self) {
        if let Process::Piped { reader, .. } = &self.process {
            drop(lock(reader).take());
        }
    }

    /// Somebody reads the log again.
    pub(super) fn read_again(&self) -> Result<()> {
        if let Process::Piped { reader, .. } = &self.process {
            *lock(reader) = Some(read(&self.folder.join("log.pipe"), &self.log())?);
        }
        Ok(())
    }

    /// Whoever reads the log stops doing so, and the pipe is full.
    pub(super) fn stop_reading(&self) -> Result<()> {
        self.signal_reader("-STOP")?;
        let mut pipe = OpenOptions::new();
        let mut pipe = pipe.write(true).custom_flags(libc::O_NONBLOCK).open(self.folder.join("log.pipe"))?;
        loop {
            match pipe.write(b"(the soak fills the pipe)\n") {
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error).context("filling the log's pipe"),
            }
        }
    }

    /// And reads on.
    pub(super) fn read_on(&self) -> Result<()> {
        self.signal_reader("-CONT")
    }

    fn signal_reader(&self, signal: &str) -> Result<()> {
        if let Process::Piped { reader, .. } = &self.process
            && let Some(reader) = &*lock(reader)
        {
            capture(Command::new("kill").arg(signal).arg(reader.id().to_string()))?;
        }
        Ok(())
    }

    /// Closes the terminal, as a window that is closed or a line that breaks does.
    pub(super) fn close_terminal(&self) -> Result<()> {
        if let Process::Terminal { terminal, .. } = &self.process
            && let Some(terminal) = lock(terminal).take()
        {
            capture(Command::new("kill").arg("-KILL").arg(terminal.id().to_string()))?;
            terminal.wait()?;
        }
        Ok(())
    }

    /// Makes the data folder read-only, or writable again, as this server sees it. The read-only mount lies on top: of the
    /// one below a file is open, which keeps it writable.
    pub(super) fn make_writable(&self, writable: bool) -> Result<()> {
        let script = match writable {
            false => "mount --bind \"$1\" \"$1\" && mount -o remount,bind,ro \"$1\"",
            true => "umount \"$1\"",
        };
        let mut command = Command::new("nsenter");
        command.args(["--mount", "--target", &self.id().to_string(), "sh", "-c", script, "sh"]);
        capture(command.arg(self.folder.join("data"))).map(drop)
    }

    /// Moves the server's wall clock to so far beside the right time, like "+1d".
    pub(super) fn move_clock(&self, to: &str) -> Result<()> {
        // Whole or not at all: the server reads it at any moment.
        let (clock, next) = (self.folder.join("clock"), self.folder.join("clock.next"));
        std::fs::write(&next, format!("{to}\n"))?;
        std::fs::rename(next, clock).context("moving the clock")
    }

    /// Where the log lands.
    pub(super) fn log(&self) -> PathBuf {
        self.folder.join("server.log")
    }

    /// Ends it, and sees that it ends in order.
    pub(super) fn end(self) -> Result<()> {
        capture(Command::new("kill").arg("-TERM").arg(self.id().to_string()))?;
        let began = Instant::now();
        while self.is_alive() {
            ensure!(began.elapsed() < PATIENCE, "it does not end");
            std::thread::sleep(Duration::from_millis(50));
        }
        match &self.process {
            Process::Piped { server, .. } => {
                let status = server.ended()?.context("its end is not known")?;
                ensure!(status.success(), "it ended with {status}");
            }
            // Not a child of ours, so its status is not ours to know.
            Process::Terminal { .. } => {}
        }
        Ok(())
    }
}

/// Free ports of loopback, and the line that tells them.
const WORDS: [&str; 8] =
    ["serve", "--listen", "127.0.0.1:0", "--http", "127.0.0.1:0", "--json", "--model", SPLEETER];

/// With a log that says something every few seconds: the watchdog's hello is a line of it.
fn environment(data: &Path) -> [(&'static str, OsString); 2] {
    [("REHEARSEKIT_DATA", data.into()), ("REHEARSEKIT_LOG", "debug".into())]
}

/// A data folder with everybody's models and an identity of its own.
fn data(kit: &Kit, folder: &Path) -> Result<PathBuf> {
    let data = folder.join("data");
    std::fs::create_dir_all(&data)?;
    for part in ["models", "runtime"] {
        symlink(std::path::absolute(kit.data().join(part))?, data.join(part))?;
    }
    Ok(data)
}

fn read(pipe: &Path, log: &Path) -> Result<Background> {
    let log = OpenOptions::new().create(true).append(true).open(log)?;
    Background::start(Command::new("cat").arg(pipe).stdout(log))
}

/// The server's word that it is ready.
fn ready(out: &Path, is_alive: impl Fn() -> Result<bool>) -> Result<Value> {
    let began = Instant::now();
    loop {
        let said = std::fs::read_to_string(out).unwrap_or_default();
        let line = said.lines().find_map(|line| serde_json::from_str(line.trim()).ok());
        if let Some(ready) = line {
            return Ok(ready);
        }
        if !is_alive()? || began.elapsed() > PATIENCE {
            bail!("the server does not start; it said: {said}");
        }
        std::thread::sleep(Duration::from_millis(100));
    }
}

fn lock<T>(mutex: &std::sync::Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}
