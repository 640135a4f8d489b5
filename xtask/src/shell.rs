//! Running other programs: says what it runs, checks that it worked, and ends by id whatever it started,
//! also on failure and on Ctrl-C. It never ends a process by name, and never one it did not start.

use std::ffi::OsStr;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde_json::Value;

/// How long a program gets to end in an orderly way before it is killed.
const GRACE: Duration = Duration::from_secs(8);

/// Processes that are not our children any more, but were started for us.
static ADOPTED: Mutex<Vec<u32>> = Mutex::new(Vec::new());

static RUNNING: Mutex<Vec<Arc<Mutex<Child>>>> = Mutex::new(Vec::new());

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Ends everything started here when the user presses Ctrl-C or the terminal goes away.
///
/// # Errors
/// When the system refuses the handler.
pub(crate) fn end_children_on_interrupt() -> Result<()> {
    #[cfg(unix)]
    let ignored = crate::inherited::ignored();
    ctrlc::set_handler(|| {
        eprintln!("\nxtask: interrupted; ending what was started");
        let children: Vec<_> = lock(&RUNNING).drain(..).collect();
        // The newest first: a client before the server that would wait for it.
        for child in children.iter().rev() {
            end(child);
        }
        for adopted in lock(&ADOPTED).drain(..) {
            end_adopted(adopted);
        }
        std::process::exit(130);
    })
    .context("could not install the Ctrl-C handler")?;
    // Under `nohup` a closed terminal ends neither us nor what we start.
    #[cfg(unix)]
    anyhow::ensure!(ignored.restore(), "could not leave ignored signals ignored");
    Ok(())
}

/// Asks a child to end, waits, and kills it when it does not. Holding the lock and having seen it
/// unreaped means that the id is still this child's and nobody else's.
fn end(child: &Mutex<Child>) {
    let mut child = lock(child);
    if !matches!(child.try_wait(), Ok(None)) {
        return;
    }
    let asked = Command::new("kill").arg("-TERM").arg(child.id().to_string()).status();
    if asked.is_ok_and(|status| status.success()) {
        let until = Instant::now() + GRACE;
        while Instant::now() < until {
            if !matches!(child.try_wait(), Ok(None)) {
                return;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }
    let _ = child.kill();
    let _ = child.wait();
}

/// A program that runs beside us. Dropping it ends it.
pub(crate) struct Background {
    child: Arc<Mutex<Child>>,
    name: String,
}

impl Background {
    /// Starts `command`; the caller has set where its output goes.
    ///
    /// # Errors
    /// When it cannot be started.
    pub(crate) fn start(command: &mut Command) -> Result<Self> {
        let name = describe(command);
        let child = command.spawn().with_context(|| format!("could not start `{name}`"))?;
        let child = Arc::new(Mutex::new(child));
        lock(&RUNNING).push(Arc::clone(&child));
        Ok(Self { child, name })
    }

    /// Its process id.
    pub(crate) fn id(&self) -> u32 {
        lock(&self.child).id()
    }

    /// `Some` once it has ended.
    ///
    /// # Errors
    /// When the system cannot say.
    pub(crate) fn ended(&self) -> Result<Option<ExitStatus>> {
        lock(&self.child).try_wait().with_context(|| format!("lost track of `{}`", self.name))
    }

    /// Takes the pipe of its standard output, once.
    pub(crate) fn take_stdout(&self) -> Option<std::process::ChildStdout> {
        lock(&self.child).stdout.take()
    }

    /// Takes the pipe of its standard input, once.
    pub(crate) fn take_stdin(&self) -> Option<std::process::ChildStdin> {
        lock(&self.child).stdin.take()
    }

    /// Waits until it has ended.
    ///
    /// # Errors
    /// When the system cannot say.
    pub(crate) fn wait(self) -> Result<ExitStatus> {
        loop {
            if let Some(status) = self.ended()? {
                return Ok(status);
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        end(&self.child);
        lock(&RUNNING).retain(|other| !Arc::ptr_eq(other, &self.child));
    }
}

/// A program that was started for us by another that may end before it. Dropping this ends it.
pub(crate) struct Adopted {
    process: u32,
}

impl Adopted {
    /// Takes care of the process of this number.
    pub(crate) fn new(process: u32) -> Self {
        lock(&ADOPTED).push(process);
        Self { process }
    }

    /// Its process id.
    pub(crate) fn id(&self) -> u32 {
        self.process
    }

    /// Whether it still runs; one that nobody has reaped does not.
    pub(crate) fn is_alive(&self) -> bool {
        runs(self.process)
    }
}

impl Drop for Adopted {
    fn drop(&mut self) {
        let mut adopted = lock(&ADOPTED);
        // Its number is only ours as long as it stands there.
        if let Some(at) = adopted.iter().position(|process| *process == self.process) {
            adopted.remove(at);
            drop(adopted);
            end_adopted(self.process);
        }
    }
}

fn runs(process: u32) -> bool {
    let status = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    status.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with('Z'))
}

fn end_adopted(process: u32) {
    for signal in ["-TERM", "-KILL"] {
        let until = Instant::now() + GRACE;
        if !runs(process) || Command::new("kill").arg(signal).arg(process.to_string()).status().is_err() {
            return;
        }
        while runs(process) && Instant::now() < until {
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

/// The command line as one would type it, for messages.
pub(crate) fn describe(command: &Command) -> String {
    let quote = |word: &OsStr| {
        let word = word.to_string_lossy();
        if word.contains(' ') { format!("'{word}'") } else { word.into_owned() }
    };
    std::iter::once(command.get_program()).chain(command.get_args()).map(quote).collect::<Vec<_>>().join(" ")
}

/// Runs to the end with the terminal's own output, saying what it runs.
///
/// # Errors
/// When it cannot be started or ends with a failure.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    println!("  $ {}", describe(command));
    run_unsaid(command)
}

/// The same where the caller has said it in other words.
///
/// # Errors
/// As [`run`].
pub(crate) fn run_unsaid(command: &mut Command) -> Result<()> {
    let status = Background::start(command)?.wait()?;
    if !status.success() {
        bail!("`{}` failed ({status})", describe(command));
    }
    Ok(())
}

/// Runs to the end and gives back its standard output; standard error stays on the terminal.
///
/// # Errors
/// When it cannot be started, ends with a failure, or says something that is not UTF-8.
pub(crate) fn capture(command: &mut Command) -> Result<String> {
    let (status, said) = capture_end(command)?;
    if !status.success() {
        bail!("`{}` failed ({status})\n{said}", describe(command));
    }
    Ok(said)
}

/// The same however it ends.
fn capture_end(command: &mut Command) -> Result<(ExitStatus, String)> {
    let background = Background::start(command.stdout(Stdio::piped()))?;
    let mut said = String::new();
    if let Some(mut pipe) = background.take_stdout() {
        let unreadable = || format!("could not read what `{}` says", describe(command));
        pipe.read_to_string(&mut said).with_context(unreadable)?;
    }
    Ok((background.wait()?, said))
}

/// Like [`capture`], announcing the command, and reads the output as one JSON value.
///
/// # Errors
/// As [`capture`], and when the output is not JSON.
pub(crate) fn capture_json(command: &mut Command) -> Result<Value> {
    let name = describe(command);
    println!("  $ {name}");
    let said = capture(command)?;
    serde_json::from_str(&said).with_context(|| format!("`{name} ` did not print JSON but:\n{said}"))
}

/// Like [`capture_json`] of a program whose failure is a result, too, as long as it prints one.
///
/// # Errors
/// When it cannot be started or its output is not JSON.
pub(crate) fn capture_json_of_any_end(command: &mut Command) -> Result<Value> {
    let name = describe(command);
    println!("  $ {name}");
    let (status, said) = capture_end(command)?;
    serde_json::from_str(&said).with_context(|| format!("`{name}` ended ({status}) without JSON:\n{said}"))
}

/// Makes a folder of it that has nothing in it.
///
/// # Errors
/// When it cannot be emptied or made.
pub(crate) fn empty(folder: &Path) -> Result<()> {
    let unusable = || format!("could not empty {}", folder.display());
    if folder.exists() {
        std::fs::remove_dir_all(folder).with_context(unusable)?;
    }
    std::fs::create_dir_all(folder).with_context(unusable)
}

/// Whether a program of this name is on the `PATH`.
pub(crate) fn on_path(name: &str) -> bool {
    std::env::var_os("PATH")
        .is_some_and(|path| std::env::split_paths(&path).any(|folder| folder.join(name).is_file()))
}

/// The top of the repository.
pub(crate) fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().map_or_else(PathBuf::new, Path::to_path_buf)
}

/// Where cargo builds.
pub(crate) fn target_dir() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| repository().join("target"), PathBuf::from)
}

/// `cargo` as one types it, in the repository. The one that runs us (`$CARGO`) is only asked where there
/// is none on the `PATH`: it may be past rustup, which picks the toolchain.
pub(crate) fn cargo() -> Command {
    let program = if on_path("cargo") { None } else { std::env::var_os("CARGO") };
    let mut command = Command::new(program.unwrap_or_else(|| "cargo".into()));
    command.current_dir(repository());
    // `cargo run` describes xtask itself in these; build scripts that watch them (ring's does) would run again,
    // and everything above them be built again, whenever cargo is used by hand and through xtask in turn.
    for (name, _) in std::env::vars_os() {
        if name
            .to_str()
            .is_some_and(|name| ["CARGO_MANIFEST_", "CARGO_PKG_"].iter().any(|p| name.starts_with(p)))
        {
            command.env_remove(name);
        }
    }
    command
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_background_program_is_gone_after_the_drop() {
        let sleeper = Background::start(Command::new("sleep").arg("600")).unwrap();
        let proc_entry = PathBuf::from(format!("/proc/{}", sleeper.id()));
        assert_eq!(sleeper.ended().unwrap(), None);
        drop(sleeper);
        assert!(!proc_entry.exists());
    }

    #[test]
    fn a_failing_program_is_an_error_that_names_it() {
        let error = capture(Command::new("false").arg("really")).unwrap_err().to_string();
        assert!(error.contains("false really"), "{error}");
    }

    #[test]
    fn json_that_is_none_is_shown() {
        let error = capture_json(Command::new("echo").arg("hm")).unwrap_err().to_string();
        assert!(error.contains("hm"), "{error}");
        assert_eq!(capture_json(Command::new("echo").arg("[1]")).unwrap(), serde_json::json!([1]));
    }
}
