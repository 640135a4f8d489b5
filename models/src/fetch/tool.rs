//! Runs pip or npm, watches what arrives, and never leaves one behind.

use std::collections::VecDeque;
use std::io::Read;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::{Cancel, FetchError, FetchProgress, FetchStep, Package, Progress};
use crate::manifest::SourceKind;

/// How often the arriving bytes are counted.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// Without a single new byte for this long, the client is stopped. pip's own retries take about half of it.
const STALLED_AFTER: Duration = Duration::from_secs(120);
/// How much of the end of a client's words is kept. They are kept in memory: the disk may be what is full.
const LAST_WORDS_BYTES: usize = 16_000;
/// How many of a client's lines go into an error.
const LINES_TOLD: usize = 4;

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

    let mut command = Command::new(call[0]);
    command.args(&call[1..]);
    match package.kind {
        SourceKind::Npm => npm_arguments(&mut command, package, arrived, &temporary),
        SourceKind::Pip | SourceKind::File => pip_arguments(&mut command, package, arrived),
    }
    command.env("TMPDIR", &temporary).current_dir(folder);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut client = Running(command.spawn().map_err(FetchError::io(Path::new(call[0])))?);
    let words = client.0.stderr.take().map(listen);

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
            Some(_) => {
                let words = words.and_then(|words| words.join().ok()).unwrap_or_default();
                return Err(failure(tool.name, wanted, &words, folder));
            }
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

/// Keeps the end of what a client says until it ends.
fn listen(mut from: impl Read + Send + 'static) -> JoinHandle<String> {
    std::thread::spawn(move || {
        let mut kept = VecDeque::new();
        let mut chunk = [0; 4096];
        while let Ok(count @ 1..) = from.read(&mut chunk) {
            kept.extend(&chunk[..count]);
            let too_many = kept.len().saturating_sub(LAST_WORDS_BYTES);
            kept.drain(..too_many);
        }
        String::from_utf8_lossy(kept.make_contiguous()).into_owned()
    })
}

fn failure(tool: &'static str, package: String, words: &str, folder: &Path) -> FetchError {
    if words.contains("No space left on device") || words.contains("ENOSPC") {
        return FetchError::disk_full(folder);
    }
    FetchError::ToolFailed { tool, package, reason: told(words) }
}

/// The lines that say why: those a client marks as errors, else its last.
fn told(words: &str) -> String {
    let lines: Vec<&str> = words.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    let marked = |line: &&str| line.starts_with("ERROR:") || line.starts_with("npm error ");
    let errors: Vec<&str> = lines.iter().copied().filter(marked).take(LINES_TOLD).collect();
    let last = &lines[lines.len().saturating_sub(LINES_TOLD)..];
    match (errors.as_slice(), last) {
        ([], []) => "it said nothing".to_owned(),
        ([], last) => last.join("; "),
        (errors, _) => errors.join("; "),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_tells_what_the_client_marks_as_an_error() {
        let pip = "Looking in links: x\nERROR: Could not find a version\nERROR: No matching distribution\n";
        assert_eq!(told(pip), "ERROR: Could not find a version; ERROR: No matching distribution");
        assert_eq!(told("a\nb\n\nc\nd\ne\n"), "b; c; d; e");
        assert_eq!(told(""), "it said nothing");
    }

    #[test]
    fn a_full_disk_is_recognised_in_a_clients_words() {
        let folder = Path::new("/data/models/.staging/1-0/download");
        let words = "OSError: [Errno 28] No space left on device";
        let error = failure("pip", "x 1".to_owned(), words, folder).to_string();
        assert!(error.starts_with("the disk that holds /data/models is full"), "{error}");
    }

    #[test]
    fn only_the_end_of_endless_words_is_kept() {
        let words = "x".repeat(10 * LAST_WORDS_BYTES) + "the end";
        let kept = listen(std::io::Cursor::new(words)).join().unwrap();
        assert_eq!(kept.len(), LAST_WORDS_BYTES);
        assert!(kept.ends_with("the end"));
    }
}
