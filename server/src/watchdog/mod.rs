//! Asks the server every few seconds for what a newcomer needs of it: a connection through its own front door, a file in
//! its data folder, a word from its scheduler. `/readyz` answers from what was seen last, which is good for a while only:
//! a part that hangs, or a watchdog that died, is red too. Must not mend anything, nor keep anybody out.

mod door;
mod folder;
#[cfg(test)]
mod tests;

use std::{
    io,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        mpsc::{self, Receiver, RecvTimeoutError},
    },
    thread,
    time::{Duration, Instant},
};

use tokio::sync::watch;

use crate::{
    identity::Fingerprint,
    quic::Life,
    workers::{Pulse, Task},
};
use door::Door;
use folder::Folder;

/// How long an inference may take before the lane is said to hang: the longest of our models takes seconds on the
/// slowest machine that can use it at all.
const LONGEST_INFERENCE: Duration = Duration::from_secs(60);

/// How often is looked, and how long what was seen is good for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rhythm {
    /// Between two looks at one part.
    pub(crate) every: Duration,
    /// A connection must be welcomed after this, as every client's must.
    pub(crate) welcomed_within: Duration,
    /// After this, silence is trouble. Longer than the others together.
    pub(crate) stale: Duration,
}

impl Default for Rhythm {
    fn default() -> Self {
        Self {
            every: Duration::from_secs(3),
            welcomed_within: Duration::from_secs(5),
            stale: Duration::from_secs(15),
        }
    }
}

/// What is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    Door,
    Folder,
    Scheduler,
}

const PARTS: [Part; 3] = [Part::Door, Part::Folder, Part::Scheduler];

impl Part {
    /// For scripts and metrics.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Door => "door",
            Self::Folder => "data_folder",
            Self::Scheduler => "scheduler",
        }
    }

    fn silent(self, seconds: u64) -> String {
        match self {
            Self::Door => format!("nobody has looked for {seconds} s whether newcomers get in"),
            Self::Folder => format!("the data folder has not answered for {seconds} s"),
            Self::Scheduler => format!("the scheduler has not answered for {seconds} s"),
        }
    }
}

/// What was seen of one part, and when.
#[derive(Debug, Default)]
struct Seen {
    last: Option<(Instant, Option<String>)>,
    /// Whether the log has it for red.
    told: bool,
}

/// What was seen last. The watchdog writes it, `/readyz` reads it.
#[derive(Debug)]
pub(crate) struct Watch {
    rhythm: Rhythm,
    data: PathBuf,
    seen: Mutex<[Seen; 3]>,
    /// Where the watchdog's own connections come from.
    knocks_from: Mutex<Option<SocketAddr>>,
}

impl Watch {
    pub(crate) fn new(rhythm: Rhythm, data: &Path) -> Arc<Self> {
        let (seen, knocks_from) = (Mutex::default(), Mutex::default());
        Arc::new(Self { rhythm, data: data.to_owned(), seen, knocks_from })
    }

    /// What keeps newcomers out now; empty if nothing does.
    pub(crate) fn troubles(&self) -> Vec<(Part, String)> {
        let now = Instant::now();
        let seen = self.seen();
        PARTS.into_iter().filter_map(|part| Some((part, self.trouble(&seen, part, now)?))).collect()
    }

    fn trouble(&self, seen: &[Seen; 3], part: Part, now: Instant) -> Option<String> {
        match &seen[part as usize].last {
            None => Some(format!("the first look at the {} is not over", part.name().replace('_', " "))),
            Some((at, _)) if now.saturating_duration_since(*at) > self.rhythm.stale => {
                Some(part.silent(now.saturating_duration_since(*at).as_secs()))
            }
            Some((_, trouble)) => trouble.clone(),
        }
    }

    /// Each part, and whether it is well.
    pub(crate) fn parts(&self) -> [(&'static str, bool); 3] {
        let troubles = self.troubles();
        PARTS.map(|part| (part.name(), !troubles.iter().any(|(other, _)| *other == part)))
    }

    /// Waits for the first look at everything, but no longer than what is seen would be good for.
    pub(crate) async fn first_look(&self) {
        let all = async {
            while self.seen().iter().any(|seen| seen.last.is_none()) {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        // What is missing then is red.
        let _ = tokio::time::timeout(self.rhythm.stale, all).await;
    }

    /// Whether a connection from there is the watchdog's.
    pub(crate) fn is_own(&self, address: SocketAddr) -> bool {
        let own = *self.knocks_from.lock().unwrap_or_else(PoisonError::into_inner);
        own.is_some_and(|own| (own.ip(), own.port()) == (address.ip().to_canonical(), address.port()))
    }

    /// Remembers a look, and tells the log what has changed since the last one, of all parts: one that hangs cannot.
    fn saw(&self, part: Part, trouble: Option<String>) {
        let mut seen = self.seen();
        seen[part as usize].last = Some((Instant::now(), trouble));
        let now = Instant::now();
        for part in PARTS {
            // Before the first look nothing has changed.
            if seen[part as usize].last.is_none() {
                continue;
            }
            let trouble = self.trouble(&seen, part, now);
            if seen[part as usize].told == trouble.is_some() {
                continue;
            }
            seen[part as usize].told = trouble.is_some();
            let (data, part) = (self.data.display(), part.name());
            match trouble {
                Some(trouble) => tracing::error!(%data, part, "no longer ready: {trouble}"),
                None => tracing::info!(part, "well again"),
            }
        }
    }

    fn seen(&self) -> MutexGuard<'_, [Seen; 3]> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The looks under way; dropping it ends them. A look that hangs is left behind.
pub(crate) struct Looking {
    door: tokio::task::JoinHandle<()>,
    _folder: mpsc::Sender<()>,
    _scheduler: mpsc::Sender<()>,
}

/// Begins to look, until `life` is over. `address`: where the front door is.
pub(crate) fn start<T: Task>(
    watch: &Arc<Watch>,
    address: SocketAddr,
    certificate: Fingerprint,
    pulse: Pulse<T>,
    life: watch::Receiver<Life>,
) -> io::Result<Looking> {
    let door = Door::new(address, certificate);
    let folder = Folder::new(&watch.data);
    Ok(Looking {
        _folder: look(watch, Part::Folder, move || folder.look().err())?,
        _scheduler: look(watch, Part::Scheduler, move || {
            let longest = pulse.longest_run()?;
            let hangs = longest > LONGEST_INFERENCE;
            hangs.then(|| format!("an inference has not come to its end for {} s", longest.as_secs()))
        })?,
        door: tokio::spawn(knock(watch.clone(), door, life)),
    })
}

impl Looking {
    /// Waits until the door is left alone.
    pub(crate) async fn end(self) {
        let _ = self.door.await;
    }
}

/// Looks at a part again and again, in a thread of its own that may hang; until the result is dropped.
fn look(
    watch: &Arc<Watch>,
    part: Part,
    look: impl Fn() -> Option<String> + Send + 'static,
) -> io::Result<mpsc::Sender<()>> {
    let watch = watch.clone();
    let (stop, stopped): (_, Receiver<()>) = mpsc::channel();
    thread::Builder::new().name(format!("watch-{}", part.name())).spawn(move || {
        while stopped.recv_timeout(Duration::ZERO) == Err(RecvTimeoutError::Timeout) {
            watch.saw(part, look());
            if stopped.recv_timeout(watch.rhythm.every) != Err(RecvTimeoutError::Timeout) {
                return;
            }
        }
    })?;
    Ok(stop)
}

async fn knock(watch: Arc<Watch>, mut door: Door, mut life: watch::Receiver<Life>) {
    loop {
        let told = |from| {
            *watch.knocks_from.lock().unwrap_or_else(PoisonError::into_inner) = Some(from);
        };
        let trouble = tokio::select! {
            result = door.knock(watch.rhythm.welcomed_within, told) => result.err(),
            () = Life::over(&mut life) => return,
        };
        watch.saw(Part::Door, trouble.map(|why| format!("newcomers do not get in: {why}")));
        tokio::select! {
            () = tokio::time::sleep(watch.rhythm.every) => {}
            () = Life::over(&mut life) => return,
        }
    }
}
