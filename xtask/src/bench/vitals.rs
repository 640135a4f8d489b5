//! What a process costs, as Linux tells it: processor time, memory, threads, open files. Must not know what it does.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use serde_json::{Value, json};

/// Ticks of a processor that the kernel counts in a second; the same on every Linux there is.
pub(super) const TICKS: f64 = 100.0;

/// A process at one moment.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Vitals {
    /// Since the watch began.
    pub(crate) at_seconds: f64,
    /// Since the process began, on all cores.
    pub(crate) cpu_seconds: f64,
    pub(crate) resident_bytes: u64,
    pub(crate) threads: u64,
    pub(crate) descriptors: u64,
}

impl Vitals {
    /// # Errors
    /// When the process is gone or the system has no `/proc`.
    pub(crate) fn of(process: u32) -> Result<Self> {
        let folder = Path::new("/proc").join(process.to_string());
        let path = folder.join("status");
        let status =
            std::fs::read_to_string(&path).with_context(|| format!("could not read {}", path.display()))?;
        let number = |key: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(key));
            line.and_then(|text| text.split_whitespace().next()?.parse::<u64>().ok())
                .with_context(|| format!("the kernel does not say {key}"))
        };
        let (_, ticks) = name_and_ticks(&folder.join("stat"))?;
        Ok(Self {
            at_seconds: 0.0,
            cpu_seconds: ticks / TICKS,
            resident_bytes: number("VmRSS:")? * 1024,
            threads: number("Threads:")?,
            descriptors: std::fs::read_dir(folder.join("fd")).context("no open files")?.count() as u64,
        })
    }

    pub(crate) fn json(&self) -> Value {
        json!({"at_seconds": self.at_seconds, "cpu_seconds": self.cpu_seconds,
            "resident_bytes": self.resident_bytes, "threads": self.threads, "descriptors": self.descriptors})
    }
}

/// Does something, and looks at a process meanwhile, at the beginning and then so often.
pub(super) fn watch<T>(process: u32, every: Duration, work: impl FnOnce() -> T) -> (T, Vec<Vitals>) {
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let seen = scope.spawn(|| {
            let (began, mut seen) = (Instant::now(), Vec::new());
            while !over.load(Ordering::Relaxed) {
                if began.elapsed() >= every * seen.len() as u32 {
                    // One that has ended meanwhile is told by whoever needs it.
                    let Ok(now) = Vitals::of(process) else { break };
                    seen.push(Vitals { at_seconds: began.elapsed().as_secs_f64(), ..now });
                }
                std::thread::sleep(Duration::from_millis(20));
            }
            seen
        });
        let done = work();
        over.store(true, Ordering::Relaxed);
        (done, seen.join().unwrap_or_default())
    })
}

/// Cores that were busy for the process between the first look and the last.
pub(super) fn cores(seen: &[Vitals]) -> Option<f64> {
    let (first, last) = (seen.first()?, seen.last()?);
    let seconds = last.at_seconds - first.at_seconds;
    (seconds > 0.0).then(|| (last.cpu_seconds - first.cpu_seconds) / seconds)
}

/// Name and processor time, in ticks, of a process or thread, by its `stat` file.
///
/// # Errors
/// When there is none, or it is no such file.
pub(super) fn name_and_ticks(stat: &Path) -> Result<(String, f64)> {
    let text = std::fs::read_to_string(stat).with_context(|| format!("could not read {}", stat.display()))?;
    let parts = text.split_once('(').and_then(|(_, rest)| rest.rsplit_once(')'));
    let (name, rest) = parts.context("no statistics of a thread")?;
    let fields: Vec<&str> = rest.split_whitespace().collect();
    // User and system time; see proc_pid_stat(5), whose third field is the first here.
    let time =
        [11, 12].map(|field| fields.get(field).and_then(|text| text.parse::<f64>().ok()).unwrap_or(0.0));
    Ok((name.to_owned(), time[0] + time[1]))
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn this_process_is_alive_and_watched() {
        let (answer, seen) = watch(std::process::id(), Duration::from_millis(1), || {
            // Until it has been looked at twice, however busy the machine is.
            std::thread::sleep(Duration::from_millis(300));
            42
        });
        assert_eq!(answer, 42);
        let first = seen.first().unwrap();
        assert!(first.resident_bytes > 100_000 && first.threads >= 2 && first.descriptors >= 3, "{first:?}");
        let at = |at_seconds, cpu_seconds| Vitals { at_seconds, cpu_seconds, ..Vitals::default() };
        assert_eq!(cores(&[at(1.0, 5.0), at(2.0, 9.0), at(5.0, 11.0)]), Some(1.5));
        assert_eq!(cores(&[at(1.0, 5.0)]), None);
    }
}
