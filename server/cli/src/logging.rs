//! The log of the command, on stderr, and its lines for whoever started a server: both leave by a thread of their own, so
//! that a reader that is gone, stuck or full never ends or holds up the work.

use std::{
    sync::OnceLock,
    time::{Duration, Instant},
};

use rehearsekit_process::{
    Outlet,
    log::{self, Style},
};
use rehearsekit_server::metrics::LOG_LINES_LOST;
use tracing_subscriber::EnvFilter;

use crate::failure::Failure;

/// What is left to be written at the end may take so long.
const LAST_LINES: Duration = Duration::from_secs(1);

static LOG: OnceLock<Outlet> = OnceLock::new();
/// Of a server, which waits for no reader.
static RESULTS: OnceLock<Outlet> = OnceLock::new();

/// Logs to stderr what `filter` lets through, which has been checked. Without a thread to write it there is no log.
pub(crate) fn start(filter: &str) {
    let Ok(outlet) = Outlet::stderr(|lines| LOG_LINES_LOST.add(lines)) else { return };
    let filter = EnvFilter::new(filter);
    log::start(filter, Style::Server, &outlet);
    let _ = LOG.set(outlet);
}

/// From here on this process is a server: panics go to its log too, and not even its results wait for their reader.
pub(crate) fn detach() -> Result<(), Failure> {
    let failed = |error| Failure::run(format!("cannot start a thread for the output: {error}"));
    if let Some(outlet) = LOG.get() {
        log::take_panics(outlet);
    }
    // What is lost here was for nobody.
    let _ = RESULTS.set(Outlet::stdout(|_| ()).map_err(failed)?);
    Ok(())
}

/// Where the lines of a server go that are not of its log; `None` in a command that ends by itself.
pub(crate) fn detached() -> Option<(&'static Outlet, &'static Outlet)> {
    Some((RESULTS.get()?, LOG.get()?))
}

/// Waits a moment for what is still to be written; whether all of it is.
pub(crate) fn flush() -> bool {
    let until = Instant::now() + LAST_LINES;
    let left = || until.saturating_duration_since(Instant::now());
    let stuck = [LOG.get(), RESULTS.get()].into_iter().flatten().filter(|outlet| !outlet.flush(left()));
    stuck.count() == 0
}
