//! The link's life: attempt, session, wait, attempt again, until it is closed.
//!
//! Whatever happens, the mix ring keeps being drained; only a reliable link that still looks for a session
//! leaves the mix where it is, since nothing of it may be lost. This module must not look into packets.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering::Release},
    },
    time::Duration,
};

use quinn::Endpoint;
use tokio::{
    sync::watch,
    time::{Instant, MissedTickBehavior, interval},
};
use tracing::{debug, info, warn};

use crate::{
    LinkConfig, LinkError, LinkState,
    backoff::Backoff,
    dial::{self, Failed, is_live},
    error::Next,
    link::{Orders, Rings},
    reach::close,
    stats::{Counters, add},
    streaming::{self, Ended},
};

/// The first wait between attempts, and the longest.
pub(crate) const SHORTEST_WAIT: Duration = Duration::from_millis(50);
pub(crate) const LONGEST_WAIT: Duration = Duration::from_secs(2);
/// A refusal that may turn into a yes by itself is looked at again after this; one that needs a change, later.
const REFUSED_FOR_NOW: Duration = Duration::from_secs(1);
const REFUSED_FOR_GOOD: Duration = Duration::from_secs(30);
/// A session that lived this long shows a server worth coming back to at once.
const PROVEN_AFTER: Duration = Duration::from_secs(2);
/// The ring is looked at this often while there is nobody to send to.
const IDLE_POLL: Duration = Duration::from_millis(5);

pub(crate) struct Supervisor {
    /// As last ordered; each attempt takes a copy.
    pub(crate) config: Arc<Mutex<LinkConfig>>,
    /// Told to others: how many changes are in force.
    pub(crate) in_force: Arc<AtomicU64>,
    pub(crate) rings: Rings,
    pub(crate) orders: watch::Receiver<Orders>,
    pub(crate) state: Arc<watch::Sender<LinkState>>,
    pub(crate) counters: Arc<Counters>,
    pub(crate) backoff: Backoff,
}

impl Supervisor {
    /// Runs until the link is closed.
    pub(crate) async fn run(mut self) {
        let endpoints = self.until_stopped().await;
        // The rings are megabytes, and saying goodbye takes up to half a second: whoever activates again and again
        // would hold a pile of them.
        drop(self);
        close(endpoints).await;
    }

    /// Gives the endpoints that are left to be closed.
    async fn until_stopped(&mut self) -> Vec<Endpoint> {
        let (mut attempt, mut epoch, mut sessions) = (0, 0, 0_u64);
        let mut last_error = None;
        while !self.stopped() {
            attempt += 1;
            // Before the state tells anybody anything: what is ordered in answer to it must not be overlooked.
            let orders = *self.orders.borrow();
            self.rings.changes_done = orders.changes;
            let config = self.config.lock().unwrap_or_else(PoisonError::into_inner).clone();
            self.state.send_replace(LinkState::Connecting { attempt, last_error: last_error.clone() });
            let mut endpoints = Vec::new();
            let start = Instant::now();
            let hold = !is_live(config.open.mode);
            // From here on nothing drains the ring that a reliable link must not lose.
            self.in_force.store(orders.changes, Release);
            let dialling = dial::dial(&config, start, &mut endpoints);
            let dialling = unless_changed(dialling, self.orders.clone(), orders.changes);
            let Some(dialled) = self.while_idle(dialling, hold).await else {
                return endpoints;
            };
            let next = match dialled {
                Some(Ok(dialled)) => {
                    info!(
                        session = dialled.opened.session,
                        plan = dialled.opened.description,
                        "link is live"
                    );
                    self.state.send_replace(LinkState::Live(dialled.opened.clone()));
                    add(&self.counters.reconnects, u64::from(sessions > 0));
                    sessions += 1;
                    let Self { rings, orders, counters, .. } = self;
                    let ended =
                        streaming::run(&config, dialled, rings, orders, counters, &mut epoch, start).await;
                    attempt = 0;
                    if start.elapsed() > PROVEN_AFTER {
                        self.backoff.reset();
                    }
                    match ended {
                        Ended::Stopped => return endpoints,
                        Ended::Changed => self.at_once(&mut last_error),
                        Ended::Broken(error) if hold => self.failed(LinkError::Interrupted(Box::new(error))),
                        Ended::Broken(error) => self.failed_or_again(error, &mut last_error),
                    }
                }
                Some(Err(Failed::Error(error))) => self.failed_or_again(error, &mut last_error),
                Some(Err(Failed::Refused(refusal))) => {
                    warn!(code = ?refusal.code, "refused: {refusal}");
                    let worth = refusal.code.is_worth_retrying();
                    self.state.send_replace(LinkState::Refused(refusal));
                    let wait = if worth { REFUSED_FOR_NOW } else { REFUSED_FOR_GOOD };
                    Some(self.backoff.jittered(wait))
                }
                None => {
                    attempt = 0;
                    self.at_once(&mut last_error)
                }
            };
            // What has failed for good needs its mix no longer.
            let hold = hold && next.is_some();
            // Closing takes up to a moment; the ring goes on being drained meanwhile.
            if self.while_idle(close(endpoints), hold).await.is_none() {
                break;
            }
            self.wait(next, orders, hold).await;
        }
        Vec::new()
    }

    /// Something else is wanted: what went wrong before says nothing about it.
    fn at_once(&mut self, last_error: &mut Option<LinkError>) -> Option<Duration> {
        *last_error = None;
        self.backoff.reset();
        Some(Duration::ZERO)
    }

    fn failed_or_again(&mut self, error: LinkError, last_error: &mut Option<LinkError>) -> Option<Duration> {
        let wait = match error.next() {
            Next::Never => return self.failed(error),
            Next::After(wait) => self.backoff.jittered(wait),
            Next::Backoff => self.backoff.next_wait(),
        };
        debug!(?wait, "no session: {error}");
        *last_error = Some(error.clone());
        self.state.send_replace(LinkState::Connecting { attempt: 0, last_error: Some(error) });
        Some(wait)
    }

    fn failed(&mut self, error: LinkError) -> Option<Duration> {
        warn!("link failed: {error}");
        self.state.send_replace(LinkState::Failed(error));
        None
    }

    fn stopped(&self) -> bool {
        self.orders.has_changed().is_err() || self.orders.borrow().stop
    }

    /// Waits (`None`: for good) unless told something else than `seen`: to try again, to change, to stop.
    async fn wait(&mut self, wait: Option<Duration>, seen: Orders, hold: bool) {
        let mut orders = self.orders.clone();
        let told = async move {
            let news = |now: &Orders| (now.retries, now.changes) != (seen.retries, seen.changes);
            // An error means that the link is gone, which ends the wait as well.
            let _ = orders.wait_for(news).await;
        };
        let patience = async {
            match wait {
                Some(wait) => tokio::time::sleep(wait).await,
                None => std::future::pending().await,
            }
        };
        let either = async {
            tokio::select! { () = told => {}, () = patience => {} }
        };
        self.while_idle(either, hold).await;
    }

    /// Does `work` and drains the mix ring beside it, unless it is to be `hold`. `None` when the link is to stop.
    async fn while_idle<T>(&mut self, work: impl Future<Output = T>, hold: bool) -> Option<T> {
        tokio::pin!(work);
        let mut poll = interval(IDLE_POLL);
        poll.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut orders = self.orders.clone();
        let stop = async move {
            let _ = orders.wait_for(|orders| orders.stop).await;
        };
        tokio::pin!(stop);
        loop {
            tokio::select! {
                biased;
                () = &mut stop => return None,
                done = &mut work => return Some(done),
                _ = poll.tick() => if !hold {
                    self.drain();
                },
            }
        }
    }

    fn drain(&mut self) {
        let mut frames = 0;
        while let Ok(slot) = self.rings.mix.pop() {
            frames += u64::from(slot.frames);
        }
        add(&self.counters.unsent_frames, frames);
        // Nobody is there to flush anything for: orders to finish are done with.
        self.rings.finishes_done = self.orders.borrow().finishes;
    }
}

/// What `work` gives; `None` as soon as the configuration is another one than after `seen` changes.
async fn unless_changed<T>(
    work: impl Future<Output = T>,
    mut orders: watch::Receiver<Orders>,
    seen: u64,
) -> Option<T> {
    tokio::select! {
        done = work => Some(done),
        Ok(_) = orders.wait_for(|orders| orders.changes != seen) => None,
    }
}
