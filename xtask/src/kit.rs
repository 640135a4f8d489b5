//! The `rehearsekit` program as xtask drives it: built, fed with models, served, asked. Everything goes
//! through its command line and its JSON; nothing here knows how separation works.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::shell::{Background, capture_json, cargo, repository, run, target_dir};

/// The model everybody may use.
pub(crate) const SPLEETER: &str = "spleeter-2stems";
/// The model with a licence to accept.
pub(crate) const HTDEMUCS: &str = "htdemucs";

/// How long a server may take to load its models, measured generously for a slow machine's first start.
const WARM_UP: Duration = Duration::from_secs(300);

/// A built `rehearsekit` and its data directory.
pub(crate) struct Kit {
    program: PathBuf,
    data: PathBuf,
}

/// `$REHEARSEKIT_DATA`, else a folder below `target/` that demo, tests and benches share, so that a second
/// run of any of them downloads nothing.
pub(crate) fn data_dir() -> PathBuf {
    match std::env::var_os("REHEARSEKIT_DATA") {
        Some(folder) if !folder.is_empty() => PathBuf::from(folder),
        _ => target_dir().join("rehearsekit-data"),
    }
}

/// Songs and references kept beside the repository, where there are any.
pub(crate) fn shared_dir() -> Option<PathBuf> {
    let folder = match std::env::var_os("SONGS_AND_REFERENCE") {
        Some(folder) if !folder.is_empty() => PathBuf::from(folder),
        _ => repository().parent()?.join("shared"),
    };
    folder.join("songs").is_dir().then_some(folder)
}

impl Kit {
    /// A program that is there already.
    pub(crate) fn of(program: &Path) -> Self {
        Self { program: program.to_owned(), data: data_dir() }
    }

    /// Builds the release program.
    ///
    /// # Errors
    /// When the build fails.
    pub(crate) fn release() -> Result<Self> {
        run(cargo().args(["build", "--release", "--package", "rehearsekit-cli"]))?;
        Ok(Self { program: target_dir().join("release").join("rehearsekit"), data: data_dir() })
    }

    /// Builds the whole workspace for tests and takes the program from there. With the tests themselves, whose
    /// dependencies ask for other features: else the libraries of others would be built twice.
    ///
    /// # Errors
    /// When the build fails.
    pub(crate) fn for_tests() -> Result<Self> {
        run(cargo().args(["build", "--workspace", "--all-targets"]))?;
        Ok(Self { program: target_dir().join("debug").join("rehearsekit"), data: data_dir() })
    }

    /// Where its models are.
    pub(crate) fn data(&self) -> &Path {
        &self.data
    }

    /// The program itself.
    pub(crate) fn program(&self) -> &Path {
        &self.program
    }

    /// `rehearsekit` with these words, on this kit's data.
    pub(crate) fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        command.args(words).env("REHEARSEKIT_DATA", &self.data);
        command
    }

    /// Fetches a model unless it is there; `accept` states that the user agreed to its licence.
    ///
    /// # Errors
    /// When it cannot be had.
    pub(crate) fn pull(&self, model: &str, accept: bool) -> Result<()> {
        let mut words = vec!["models", "pull", model];
        if accept {
            words.extend(["--accept-licence", model]);
        }
        run(&mut self.command(&words))
    }

    /// Whether a model is installed, by the program's own account.
    pub(crate) fn has(&self, model: &str) -> bool {
        self.data.join("models").join(model).join("installed.toml").is_file()
    }

    /// The example song that comes with Spleeter's package.
    ///
    /// # Errors
    /// When the model is installed without it.
    pub(crate) fn example_song(&self) -> Result<PathBuf> {
        let song = self.data.join("models").join(SPLEETER).join("audio_example.mp3");
        if !song.is_file() {
            bail!(
                "there is no {}; `rehearsekit models remove {SPLEETER}` and run this again",
                song.display()
            );
        }
        Ok(song)
    }

    /// Runs a command that prints JSON.
    ///
    /// # Errors
    /// When it fails or prints none.
    pub(crate) fn json(&self, words: &[&str]) -> Result<Value> {
        capture_json(&mut self.command(words))
    }

    /// Starts a server on free loopback ports and waits until it is ready. Its log goes to `log`.
    ///
    /// # Errors
    /// When it ends before it is ready, or is not ready within the time for warming up.
    pub(crate) fn serve(&self, models: &[&str], log: &Path) -> Result<Server> {
        self.serve_at("127.0.0.1:0", models, log)
    }

    /// The same on this address.
    ///
    /// # Errors
    /// As [`Self::serve`].
    pub(crate) fn serve_at(&self, listen: &str, models: &[&str], log: &Path) -> Result<Server> {
        let mut words = vec!["serve", "--listen", listen, "--http", "127.0.0.1:0", "--json"];
        for model in models {
            words.extend(["--model", model]);
        }
        let file =
            std::fs::File::create(log).with_context(|| format!("could not write {}", log.display()))?;
        let mut command = self.command(&words);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(file);
        println!("  $ {} &", crate::shell::describe(&command));
        let process = Background::start(&mut command)?;
        let pipe = process.take_stdout().context("the server has no standard output")?;
        let (told, telling) = std::sync::mpsc::channel();
        // A thread of its own, so that a server that says nothing cannot hang us. It reads on until the end:
        // a full pipe must not stop the server.
        std::thread::spawn(move || {
            for line in BufReader::new(pipe).lines().map_while(std::result::Result::ok) {
                let _ = told.send(line);
            }
        });
        let started = Instant::now();
        let line = loop {
            match telling.recv_timeout(Duration::from_millis(200)) {
                Ok(line) if line.trim_start().starts_with('{') => break line,
                Ok(_) => {}
                Err(_) => {
                    if let Some(status) = process.ended()? {
                        let said = std::fs::read_to_string(log).unwrap_or_default();
                        bail!("the server ended before it was ready ({status}):\n{said}");
                    }
                }
            }
            if started.elapsed() > WARM_UP {
                bail!("the server was not ready after {} s; see {}", WARM_UP.as_secs(), log.display());
            }
        };
        let ready: Value = serde_json::from_str(&line).with_context(|| format!("the server said {line}"))?;
        let text = |key: &str| {
            let value = ready[key].as_str().map(str::to_owned);
            value.with_context(|| format!("the server's ready line has no `{key}`: {line}"))
        };
        println!("  ready after {:.1} s (process {})", started.elapsed().as_secs_f64(), process.id());
        Ok(Server { listen: text("listen")?, http: text("http")?, process })
    }
}

/// A running server; dropping it ends it in order.
pub(crate) struct Server {
    /// Where clients connect.
    pub(crate) listen: String,
    /// Where `/metrics` is.
    pub(crate) http: String,
    process: Background,
}

impl Server {
    /// Its process id.
    pub(crate) fn id(&self) -> u32 {
        self.process.id()
    }
}

/// A song that is played to a server at real-time pace, over and over.
pub(crate) struct Stream<'a> {
    pub(crate) server: &'a str,
    pub(crate) song: &'a Path,
    pub(crate) model: &'a str,
    pub(crate) budget: &'a str,
    pub(crate) seconds: f64,
    pub(crate) out: &'a Path,
}

impl Kit {
    /// Plays it with `rehearsekit stream`, and gives back its report.
    ///
    /// # Errors
    /// When the server refuses, or what else `stream` fails of.
    pub(crate) fn stream(&self, of: &Stream<'_>) -> Result<Value> {
        let mut command = self.command(&["stream", "--pace", "realtime", "--loop", "--overwrite", "--json"]);
        command.args(["--server", of.server, "--model", of.model, "--budget", of.budget]);
        command.args(["--seconds", &of.seconds.to_string()]).arg("--out").arg(of.out).arg(of.song);
        capture_json(&mut command)
    }
}
