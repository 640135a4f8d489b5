//! Runs pip or npm, watches what arrives, and never leaves one behind.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::{Cancel, FetchError, FetchProgress, FetchStep, Package, Progress};
use crate::manifest::SourceKind;

/// How often the arriving bytes are counted.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// Without a single new byte for this long, the client is stopped. pip's own retries take about half of it.
const STALLED_AFTER: Duration = Duration::from_secs(120);
/// How much of the end of a client's words goes into an error.
const LAST_WORDS_BYTES: u64 = 2000;

struct Tool {
    name: &'static str,
    debian: &'static str,
    /// Ways to call it, the first that works is taken.
    calls: &'static [&'static [&'static str]],
}

const PIP: Tool = Tool {
    name: "pip",
    debian: "python3-pip",
    calls: &[&["python3", "-m", "pip"], &["pip3"], &["pip"], &["python", "-m", "pip"]],
};
const NPM: Tool = Tool { name: "npm", debian: "npm", calls: &[&["npm"]] };

/// A client that is stopped when it goes out of sight.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // Both fail only when it has ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Downloads `package` so that its file lies in `arrived`; everything temporary goes to other folders in `folder`.
pub(super) fn run(
    package: &Package<'_>,
    folder: &Path,
    arrived: &Path,
    cancel: &Cancel,
    progress: &mut Progress<'_>,
) -> Result<(), FetchError> {
    let tool = if package.kind == SourceKind::Npm { NPM } else { PIP };
    let wanted = format!("{} {}", package.name, package.version);
    let call = tool.calls.iter().find(|call| answers(call)).ok_or_else(|| FetchError::ToolMissing {
        tool: tool.name,
        package: wanted.clone(),
        debian: tool.debian,
    })?;
    let temporary = folder.join("temporary");
    std::fs::create_dir_all(&temporary).map_err(FetchError::io(&temporary))?;
    let words = folder.join("words.txt");
    let said = File::create(&words).map_err(FetchError::io(&words))?;
    let also = said.try_clone().map_err(FetchError::io(&words))?;

    let mut command = Command::new(call[0]);
    command.args(&call[1..]);
    match package.kind {
        SourceKind::Npm => npm_arguments(&mut command, package, arrived, &temporary),
        SourceKind::Pip | SourceKind::File => pip_arguments(&mut command, package, arrived),
    }
    command.env("TMPDIR", &temporary).current_dir(folder);
    command.stdin(Stdio::null()).stdout(said).stderr(also);
    let mut client = Running(command.spawn().map_err(FetchError::io(Path::new(call[0])))?);

    let total_bytes = Some(package.bytes).filter(|&bytes| bytes > 0);
    let (mut most, mut last_news) = (0, Instant::now());
    loop {
        let ended = client.0.try_wait().map_err(FetchError::io(Path::new(call[0])))?;
        // npm holds the package twice at the end, so there can be more than the whole.
        let bytes = folder_bytes(folder);
        if bytes > most {
            (most, last_news) = (bytes, Instant::now());
            let done_bytes = total_bytes.map_or(bytes, |total| bytes.min(total));
            progress(FetchProgress { step: FetchStep::Downloading, done_bytes, total_bytes });
        }
        match ended {
            Some(status) if status.success() => return Ok(()),
            Some(_) => return Err(failure(tool.name, wanted, &words, folder)),
            None => {}
        }
        cancel.check()?;
        if last_news.elapsed() > STALLED_AFTER {
            let seconds = STALLED_AFTER.as_secs();
            return Err(FetchError::Stalled { tool: tool.name, package: wanted, seconds });
        }
        std::thread::sleep(LOOK_EVERY);
    }
}

fn answers(call: &[&str]) -> bool {
    let mut command = Command::new(call[0]);
    command.args(&call[1..]).arg("--version");
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

fn pip_arguments(command: &mut Command, package: &Package<'_>, arrived: &Path) {
    // Wheels only, and without what they depend on: nothing is built, nothing of the package runs.
    command.args(["download", "--no-deps", "--only-binary=:all:", "--no-cache-dir", "--no-input"]);
    command.args(["--disable-pip-version-check", "--progress-bar", "off", "--dest"]).arg(arrived);
    if !package.platform_tags.is_empty() {
        // The library inside does not depend on Python; any Python may fetch the wheel of this one.
        command.args(["--implementation", "cp", "--python-version", "3.11", "--abi", "cp311"]);
        for tag in package.platform_tags {
            command.args(["--platform", tag]);
        }
    }
    command.arg(format!("{}=={}", package.name, package.version));
}

fn npm_arguments(command: &mut Command, package: &Package<'_>, arrived: &Path, temporary: &Path) {
    command.arg("pack").arg(format!("{}@{}", package.name, package.version));
    command.args(["--ignore-scripts", "--no-audit", "--no-fund", "--no-update-notifier", "--loglevel=error"]);
    command.arg("--pack-destination").arg(arrived).arg("--cache").arg(temporary.join("npm"));
}

fn failure(tool: &'static str, package: String, words: &Path, folder: &Path) -> FetchError {
    let reason = last_words(words);
    if reason.contains("No space left on device") || reason.contains("ENOSPC") {
        return FetchError::DiskFull { folder: folder.to_owned() };
    }
    FetchError::ToolFailed { tool, package, reason }
}

fn last_words(path: &Path) -> String {
    let read = || -> std::io::Result<String> {
        let mut file = File::open(path)?;
        let length = file.metadata()?.len();
        file.seek(SeekFrom::Start(length.saturating_sub(LAST_WORDS_BYTES)))?;
        let mut words = Vec::new();
        file.read_to_end(&mut words)?;
        Ok(String::from_utf8_lossy(&words).trim().to_owned())
    };
    match read() {
        Ok(words) if words.is_empty() => "it said nothing".to_owned(),
        Ok(words) => words,
        Err(error) => format!("its words are lost ({error})"),
    }
}

/// Bytes of all files below `folder`. Files come and go meanwhile; what cannot be read counts nothing.
fn folder_bytes(folder: &Path) -> u64 {
    let Ok(entries) = std::fs::read_dir(folder) else { return 0 };
    let size = |entry: std::fs::DirEntry| match entry.metadata() {
        Ok(metadata) if metadata.is_dir() => folder_bytes(&entry.path()),
        Ok(metadata) => metadata.len(),
        Err(_) => 0,
    };
    entries.flatten().map(size).sum()
}
