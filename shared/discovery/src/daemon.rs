//! Starting and ending the thread that speaks multicast DNS. The plugin is unloaded from its host, so the thread
//! must be gone when we say so; how long we wait for it is bounded. Must not know what is announced or sought.

use std::time::{Duration, Instant};

use mdns_sd::{DaemonEvent, Receiver, RecvTimeoutError, ServiceDaemon};

/// How long the thread may take to say goodbye.
const GOODBYE_WITHIN: Duration = Duration::from_secs(2);
/// Between the last thing that can be seen of the thread and its end lies the end of a function.
const LAST_STEPS: Duration = Duration::from_millis(20);

/// The thread; ends, after its goodbyes, when this is dropped.
pub(crate) struct Daemon {
    pub(crate) handle: ServiceDaemon,
    /// Held by the thread's innermost state, so it closes when that is gone. The library gives nothing to join.
    alive: Receiver<DaemonEvent>,
}

impl Daemon {
    pub(crate) fn start() -> Result<Self, mdns_sd::Error> {
        let handle = ServiceDaemon::new()?;
        let alive = handle.monitor()?;
        Ok(Self { handle, alive })
    }

    /// Whether the thread has ended by itself, as it does when the library panics.
    pub(crate) fn is_dead(&self) -> bool {
        self.alive.is_disconnected()
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let until = Instant::now() + GOODBYE_WITHIN;
        // Its queue may be full for a moment.
        while matches!(self.handle.shutdown(), Err(mdns_sd::Error::Again)) && Instant::now() < until {
            std::thread::sleep(LAST_STEPS);
        }
        loop {
            match self.alive.recv_timeout(until.saturating_duration_since(Instant::now())) {
                Ok(_) => {}
                Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) => {
                    tracing::warn!("the thread of multicast DNS did not end in time");
                    return;
                }
            }
        }
        std::thread::sleep(LAST_STEPS);
    }
}
