//! The one place where an engine may wait: an offline render stands still for the exact chunk. It can be told to
//! stop from the main thread, gives up in the end, and then has failed until it is reset: no silent dry bounce.

use std::{
    sync::atomic::Ordering::{Acquire, Relaxed},
    thread,
    time::{Duration, Instant},
};

use rehearsekit_client::{LinkRemote, LinkState};

use crate::{
    shared::{Run, lock},
    view,
};

/// How long between two looks.
const POLL: Duration = Duration::from_micros(500);

/// The waiting side of an engine.
#[derive(Debug)]
pub(crate) struct Offline {
    /// `None`: there is no connection at all.
    remote: Option<LinkRemote>,
    patience: Duration,
    failed: bool,
    /// A link that has failed was told to try again and has not begun to.
    retrying: bool,
}

impl Offline {
    pub(crate) fn new(remote: Option<LinkRemote>, patience: Duration) -> Self {
        Self { remote, patience, failed: false, retrying: false }
    }

    /// Whether the render cannot be exact any more.
    pub(crate) fn has_failed(&self) -> bool {
        self.failed
    }

    /// Starts over.
    pub(crate) fn reset(&mut self, run: &Run) {
        self.failed = false;
        run.cancelled.store(false, Relaxed);
        *lock(&run.error) = None;
        if let Some(remote) = &mut self.remote
            && matches!(remote.state(), LinkState::Failed(_))
        {
            self.retrying = true;
            remote.ignore_news();
            remote.retry_now();
        }
    }

    /// Stands still until `ready`. If that cannot be, says why in `run` and fails for good.
    pub(crate) fn wait(&mut self, run: &Run, mut ready: impl FnMut() -> bool) -> bool {
        let began = Instant::now();
        loop {
            self.retrying &= self.remote.as_ref().is_some_and(|remote| !remote.has_news());
            // A failed link throws the mix away until it begins anew, so nothing may be pushed before.
            if !self.retrying && ready() {
                return true;
            }
            if let Some(why) = self.verdict(run, began.elapsed()) {
                self.failed = true;
                // An order to stop is no fault to tell anybody about.
                if !run.over.load(Acquire) {
                    lock(&run.error).get_or_insert(why);
                }
                return false;
            }
            thread::sleep(POLL);
        }
    }

    /// Why there is no point in waiting any longer.
    fn verdict(&self, run: &Run, waited: Duration) -> Option<String> {
        if run.cancelled.load(Acquire) || run.over.load(Acquire) {
            return Some("The offline render was stopped.".to_owned());
        }
        let Some(remote) = &self.remote else {
            return Some("The offline render has no server to ask.".to_owned());
        };
        let state = remote.state();
        let hopeless = match &state {
            LinkState::Failed(_) => !self.retrying,
            LinkState::Refused(refusal) => !refusal.code.is_worth_retrying(),
            LinkState::Closed => true,
            LinkState::Connecting { .. } | LinkState::Live(_) => false,
        };
        if hopeless {
            return Some(format!(
                "The offline render failed. {}",
                view::words(&state, "the server", false).1
            ));
        }
        (waited > self.patience).then(|| {
            let seconds = self.patience.as_secs_f64();
            let link = view::words(&state, "the server", false).1;
            format!("The offline render failed: no stems came within {seconds} s. {link}")
        })
    }
}
