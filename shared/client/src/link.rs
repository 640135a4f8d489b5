//! The handle: connects in the background, shows what is going on, closes cleanly.
//!
//! Nothing here waits for the network: every function returns at once (but [`LinkEnd::wait`], which says so).
//! None of it is for the audio thread, which only ever sees the two rings.

use std::{
    hash::{BuildHasher, RandomState},
    sync::{
        Arc, Condvar, Mutex, PoisonError,
        atomic::{
            AtomicU64,
            Ordering::{Acquire, Relaxed},
        },
    },
    time::Duration,
};

use rehearsekit_playout::{MixSlot, StemSlot};
use rehearsekit_protocol::{OpenRequest, Opened, Refusal};
use tokio::{runtime::Handle, sync::watch};

use crate::{
    LinkError, LinkStats, LinkTimes,
    backoff::Backoff,
    rates::Decimation,
    reach::Finder,
    stats::Counters,
    supervisor::{LONGEST_WAIT, SHORTEST_WAIT, Supervisor},
    trust::ServerTrust,
};

/// Where to connect and what to ask for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LinkConfig {
    /// `HOST:PORT`; a name is resolved in the background, anew for every attempt. May be empty where `finder` knows the
    /// server.
    pub server: String,
    /// Where the trusted server is now, asked for every attempt; its addresses come before `server`.
    pub finder: Finder,
    /// Whose certificate is believed.
    pub trust: ServerTrust,
    /// Who this is, for the server's log; at most 64 bytes.
    pub client_name: String,
    /// The session to ask for; all its frames are at the wire rate.
    pub open: OpenRequest,
    /// What lies between the host's rate (positions and slots in the rings) and the wire's.
    pub decimation: Decimation,
}

/// What a link is doing.
#[derive(Debug, Clone, PartialEq)]
pub enum LinkState {
    /// Looking for a session, or waiting to look again.
    Connecting {
        /// Which attempt since the last session, from 1; 0 between attempts.
        attempt: u32,
        /// Why there is none yet.
        last_error: Option<LinkError>,
    },
    /// In a session.
    Live(Opened),
    /// The server said no, with its sentence and suggestion. Asked again now and then, or by [`Link::retry_now`].
    Refused(Refusal),
    /// Nothing will change by itself: the configuration is wrong, or an offline render has lost its server.
    /// [`Link::retry_now`] tries again.
    Failed(LinkError),
    /// Over.
    Closed,
}

/// What the handle wants from its task. Counters instead of flags: an order is never overlooked or done twice.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Orders {
    pub(crate) stop: bool,
    pub(crate) finishes: u64,
    pub(crate) retries: u64,
    /// How often the configuration was changed.
    pub(crate) changes: u64,
}

/// The network's ends of the two rings.
pub(crate) struct Rings {
    pub(crate) mix: rtrb::Consumer<MixSlot>,
    pub(crate) stems: rtrb::Producer<StemSlot>,
    /// How many of [`Orders::finishes`] have been carried out.
    pub(crate) finishes_done: u64,
    /// How many of [`Orders::changes`] are in force.
    pub(crate) changes_done: u64,
}

/// A link to a server. Dropping it closes it, as [`Link::close`] does.
#[derive(Debug)]
pub struct Link {
    remote: LinkRemote,
    ended: Arc<EndFlag>,
}

/// What others than the owner may see of a link and ask of it. Keeps nothing alive: the link ends with its
/// [`Link`].
#[derive(Debug, Clone)]
pub struct LinkRemote {
    config: Arc<Mutex<LinkConfig>>,
    orders: watch::Sender<Orders>,
    /// How many of [`Orders::changes`] are in force.
    in_force: Arc<AtomicU64>,
    state: watch::Receiver<LinkState>,
    counters: Arc<Counters>,
}

/// Starts a link on `runtime` and returns at once; nothing has been sent by then.
///
/// The mix is taken out of `mix` every few milliseconds, session or not; slots must come in the order of their
/// positions, which count up as long as the link lives. Stems are put into `stems` as they come, in any order.
pub fn connect(
    runtime: &Handle,
    config: LinkConfig,
    mix: rtrb::Consumer<MixSlot>,
    stems: rtrb::Producer<StemSlot>,
) -> Link {
    let (orders, orders_seen) = watch::channel(Orders::default());
    let (state, state_seen) = watch::channel(LinkState::Connecting { attempt: 0, last_error: None });
    let state = Arc::new(state);
    let counters = Arc::new(Counters::default());
    let ended = Arc::new(EndFlag::default());
    let guard = EndGuard { state: Arc::clone(&state), ended: Arc::clone(&ended) };
    // The standard library's hasher is seeded by the system: randomness enough to spread a band's clients.
    let seed = RandomState::new().hash_one(&config.server);
    let config = Arc::new(Mutex::new(config));
    let in_force = Arc::new(AtomicU64::new(0));
    let supervisor = Supervisor {
        config: Arc::clone(&config),
        in_force: Arc::clone(&in_force),
        rings: Rings { mix, stems, finishes_done: 0, changes_done: 0 },
        orders: orders_seen,
        state,
        counters: Arc::clone(&counters),
        backoff: Backoff::new(SHORTEST_WAIT, LONGEST_WAIT, seed),
    };
    runtime.spawn(async move {
        // Told even when the task panics, or the runtime goes down under it.
        let _guard = guard;
        supervisor.run().await;
    });
    Link { remote: LinkRemote { config, orders, in_force, state: state_seen, counters }, ended }
}

impl Link {
    /// What the link is doing.
    pub fn state(&self) -> LinkState {
        self.remote.state()
    }

    /// A receiver that sees every later state, [`LinkState::Closed`] last.
    pub fn watch(&self) -> watch::Receiver<LinkState> {
        self.remote.state.clone()
    }

    /// What has been counted so far. Sorts samples: not for every frame of a display.
    pub fn stats(&self) -> LinkStats {
        self.remote.stats()
    }

    /// The times behind the percentiles of [`Self::stats`].
    pub fn times(&self) -> LinkTimes {
        self.remote.counters.times()
    }

    /// The end of the audio: once everything that is in the mix ring by now is taken, the epoch is closed on the
    /// wire, and the server sends the stems of its last frames without waiting for more. What is pushed later
    /// starts a new epoch.
    pub fn finish(&self) {
        self.remote.orders.send_modify(|orders| orders.finishes += 1);
    }

    /// Ends a wait between attempts: the player has changed something, or clicked.
    pub fn retry_now(&self) {
        self.remote.retry_now();
    }

    /// Another server, model or trust: see [`LinkRemote::change`].
    pub fn reconfigure(&self, config: LinkConfig) {
        self.remote.change(|present| *present = config);
    }

    /// A handle for others than the owner.
    pub fn remote(&self) -> LinkRemote {
        self.remote.clone()
    }

    /// Says goodbye in the background, within half a second whatever the network does.
    pub fn close(self) -> LinkEnd {
        // Dropping `self` gives the order.
        LinkEnd { ended: Arc::clone(&self.ended) }
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.remote.orders.send_modify(|orders| orders.stop = true);
    }
}

impl LinkRemote {
    /// What the link is doing.
    pub fn state(&self) -> LinkState {
        self.state.borrow().clone()
    }

    /// Looks at what the link is doing without taking a copy. `look` must be brief.
    pub fn with_state<R>(&self, look: impl FnOnce(&LinkState) -> R) -> R {
        look(&self.state.borrow())
    }

    /// Another server, model, trust or mode: ends the session there is and looks for one with what `edit` makes of the
    /// configuration at once; what came before says nothing any more. Positions go on. Rate and decimation must stay
    /// what they were, since they give the rings their meaning. Gives the number of this change, see
    /// [`Self::in_force`]; changes by several threads come one after the other.
    pub fn change(&self, edit: impl FnOnce(&mut LinkConfig)) -> u64 {
        let mut config = self.config.lock().unwrap_or_else(PoisonError::into_inner);
        edit(&mut config);
        let mut number = 0;
        // Under the lock, so that numbers are in the order of the changes.
        self.orders.send_modify(|orders| {
            orders.changes += 1;
            number = orders.changes;
        });
        number
    }

    /// The number of the newest change that is in force: what is pushed into the mix ring from now on is treated as that
    /// configuration says. 0 is the configuration that the link was made with.
    pub fn in_force(&self) -> u64 {
        self.in_force.load(Acquire)
    }

    /// What has been counted so far. Sorts samples: not for every frame of a display.
    pub fn stats(&self) -> LinkStats {
        self.counters.snapshot()
    }

    /// How many underruns the playout has counted so far: the server's metrics show it beside what is seen here.
    pub fn tell_underruns(&self, so_far: u64) {
        self.counters.underruns.store(so_far, Relaxed);
    }

    /// Whether the state was told anew since [`Self::ignore_news`], be it the same.
    pub fn has_news(&self) -> bool {
        // An error means that the link is gone.
        self.state.has_changed().unwrap_or(true)
    }

    /// What was told until now is no news any more.
    pub fn ignore_news(&mut self) {
        self.state.mark_unchanged();
    }

    /// As [`Link::retry_now`].
    pub fn retry_now(&self) {
        self.orders.send_modify(|orders| orders.retries += 1);
    }
}

/// A link that is closing.
#[derive(Debug, Clone)]
pub struct LinkEnd {
    ended: Arc<EndFlag>,
}

impl LinkEnd {
    /// Blocks this thread until nothing of the link runs any more, at most `patience` long; whether that is so.
    /// For an unload; never call it on an audio thread or inside a runtime's task.
    pub fn wait(&self, patience: Duration) -> bool {
        let ended = self.ended.flag.lock().unwrap_or_else(PoisonError::into_inner);
        let (ended, _) = self
            .ended
            .changed
            .wait_timeout_while(ended, patience, |ended| !*ended)
            .unwrap_or_else(PoisonError::into_inner);
        *ended
    }
}

#[derive(Debug, Default)]
struct EndFlag {
    flag: Mutex<bool>,
    changed: Condvar,
}

struct EndGuard {
    state: Arc<watch::Sender<LinkState>>,
    ended: Arc<EndFlag>,
}

impl Drop for EndGuard {
    fn drop(&mut self) {
        self.state.send_replace(LinkState::Closed);
        *self.ended.flag.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.ended.changed.notify_all();
    }
}
