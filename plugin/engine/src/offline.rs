//! The one place where an engine may wait: an offline render stands still for the exact chunk. It can be told to
//! stop from the main thread, gives up in the end, and then has failed until it is reset: no silent dry bounce.
//!
//! An engine changes between live and offline while it runs, by orders that it leaves here for the network's side
//! ([`Switch`](crate::switch::Switch)). The audio thread meets nothing but atomics in this file, also while it waits.

use std::{
    sync::atomic::{
        AtomicU64,
        Ordering::{Acquire, Relaxed, Release},
    },
    thread,
    time::{Duration, Instant},
};

use rehearsekit_client::LinkState;

use crate::{shared::Run, view};

/// How long between two looks.
const POLL: Duration = Duration::from_micros(500);

/// What the audio thread wants of the link: numbered, so that what was carried out for one order is never taken for
/// another's. The lowest bit says whether it is for an offline render.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Order(u64);

impl Order {
    fn first(offline: bool) -> Self {
        Self(u64::from(offline))
    }

    fn next(self, offline: bool) -> Self {
        Self((self.0 & !1).wrapping_add(2) | u64::from(offline))
    }

    /// Whether it is for an offline render.
    pub(crate) fn is_offline(self) -> bool {
        self.0 & 1 == 1
    }
}

/// Why an offline render cannot be exact any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Failure {
    Stopped = 1,
    NoServer,
    Hopeless,
    Patience,
}

impl Failure {
    const ALL: [Self; 4] = [Self::Stopped, Self::NoServer, Self::Hopeless, Self::Patience];

    /// As a sentence; `link` is what the link was doing then.
    pub(crate) fn words(self, link: Option<&LinkState>, patience: Duration) -> String {
        let link = || link.map(|state| view::words(state, "the server", false).1).unwrap_or_default();
        match self {
            Self::Stopped => "The offline render was stopped.".to_owned(),
            Self::NoServer => "The offline render has no server to ask.".to_owned(),
            Self::Hopeless => format!("The offline render failed. {}", link()),
            Self::Patience => {
                let seconds = patience.as_secs_f64();
                format!("The offline render failed: no stems came within {seconds} s. {}", link())
            }
        }
    }
}

/// What the audio thread and the network's side tell each other about offline renders.
#[derive(Debug)]
pub(crate) struct Desk {
    /// The audio thread's newest order.
    wanted: AtomicU64,
    /// The newest order that the link has carried out.
    carried_out: AtomicU64,
    /// The newest order with which there is no point in waiting any longer; none is [`NONE`].
    hopeless: AtomicU64,
    /// The order that failed, and in the lowest [`FAILURE_BITS`] why; 0 for none.
    failure: AtomicU64,
}

const FAILURE_BITS: u32 = 3;
const NONE: u64 = u64::MAX;

impl Desk {
    /// A link that is made for an engine of this mode has nothing to carry out.
    pub(crate) fn new(offline: bool) -> Self {
        let first = Order::first(offline).0;
        Self {
            wanted: AtomicU64::new(first),
            carried_out: AtomicU64::new(first),
            hopeless: AtomicU64::new(NONE),
            failure: AtomicU64::new(0),
        }
    }

    /// The audio thread's newest order.
    pub(crate) fn wanted(&self) -> Order {
        Order(self.wanted.load(Acquire))
    }

    /// From now on the link does with the mix what this order wants.
    pub(crate) fn carry_out(&self, order: Order) {
        self.carried_out.store(order.0, Release);
    }

    /// Nothing will come for this order.
    pub(crate) fn give_up(&self, order: Order) {
        self.hopeless.store(order.0, Release);
    }

    /// Which render has failed, and why.
    pub(crate) fn failure(&self) -> Option<(Order, Failure)> {
        let packed = self.failure.load(Acquire);
        let why = packed & ((1 << FAILURE_BITS) - 1);
        let failure = Failure::ALL.into_iter().find(|failure| *failure as u64 == why)?;
        Some((Order(packed >> FAILURE_BITS), failure))
    }

    fn fail(&self, order: Order, failure: Failure) {
        self.failure.store(order.0 << FAILURE_BITS | failure as u64, Release);
    }
}

/// The waiting side of an engine.
#[derive(Debug)]
pub(crate) struct Offline {
    order: Order,
    /// Whether there is a link at all.
    is_linked: bool,
    patience: Duration,
    failed: bool,
}

impl Offline {
    /// For an engine that begins in this mode, as its [`Desk`] does.
    pub(crate) fn new(offline: bool, is_linked: bool, patience: Duration) -> Self {
        Self { order: Order::first(offline), is_linked, patience, failed: false }
    }

    /// Whether this is an offline render.
    pub(crate) fn is_on(&self) -> bool {
        self.order.is_offline()
    }

    /// Whether the render cannot be exact any more.
    pub(crate) fn has_failed(&self) -> bool {
        self.failed
    }

    /// Starts over, in this mode. Real-time safe.
    pub(crate) fn begin(&mut self, offline: bool, run: &Run) {
        if !offline && !self.is_on() {
            return;
        }
        self.failed = false;
        run.cancelled.store(false, Relaxed);
        run.desk.failure.store(0, Relaxed);
        self.order = self.order.next(offline);
        run.desk.wanted.store(self.order.0, Release);
    }

    /// Stands still until `ready`. If that cannot be, says why in `run` and fails for good.
    pub(crate) fn wait(&mut self, run: &Run, mut ready: impl FnMut() -> bool) -> bool {
        let began = Instant::now();
        loop {
            // A link that is still in the other mode throws the mix away, so nothing may be pushed before.
            if run.desk.carried_out.load(Acquire) == self.order.0 && ready() {
                return true;
            }
            if let Some(failure) = self.verdict(run, began.elapsed()) {
                self.failed = true;
                // An order to stop is no fault to tell anybody about.
                if !run.over.load(Acquire) {
                    run.desk.fail(self.order, failure);
                }
                return false;
            }
            thread::sleep(POLL);
        }
    }

    /// Why there is no point in waiting any longer.
    fn verdict(&self, run: &Run, waited: Duration) -> Option<Failure> {
        if run.cancelled.load(Acquire) || run.over.load(Acquire) {
            Some(Failure::Stopped)
        } else if !self.is_linked {
            Some(Failure::NoServer)
        } else if run.desk.hopeless.load(Acquire) == self.order.0 {
            Some(Failure::Hopeless)
        } else {
            (waited > self.patience).then_some(Failure::Patience)
        }
    }
}
