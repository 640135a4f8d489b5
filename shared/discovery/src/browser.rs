//! The client's half: a thread that keeps the list of servers, asks after them, and looks for trouble while nobody
//! is found. Everything that callers ask is answered at once from memory. Must not connect to a server.

use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

use mdns_sd::{Receiver, RecvTimeoutError, ServiceEvent};

use crate::{
    SERVICE_TYPE, SeenServer, Trouble,
    asker::Asker,
    daemon::Daemon,
    probe::{Probed, probe},
    seen::{ANSWER_WITHIN, List},
    trouble::judge,
};

/// How often the thread looks whether there is something to do besides listening.
const LOOK: Duration = Duration::from_millis(250);
/// Servers usually answer within a moment; only then is there a reason to look for trouble.
const FIRST_PROBE: Duration = Duration::from_millis(800);
/// Every probe makes all devices of the network answer, so they get rarer.
const BETWEEN_PROBES: Duration = Duration::from_secs(10);
const MOST_BETWEEN_PROBES: Duration = Duration::from_secs(60);
/// Somebody who asked for the list this recently is still looking at it.
const WATCHED: Duration = Duration::from_secs(5);
/// Who begins to look at a search older than this gets a new one: the library asks ever more rarely, and an
/// announcement may have been lost in the meantime, or a laptop may have slept.
const STALE: Duration = Duration::from_secs(60);
/// Whom a new search has not found by then is not there any more.
const FOUND_WITHIN: Duration = Duration::from_secs(3);
/// Between two roll calls, while somebody looks at the list or misses a server.
const BETWEEN_CALLS: Duration = Duration::from_secs(3);
/// Before a search that broke down begins again.
const REST: Duration = Duration::from_secs(1);

/// Looks for servers until it is dropped. One per process is enough, shared by all who want to know. Dropping it ends
/// its threads and waits for that: usually a moment, at most some three seconds.
pub struct Browser {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

struct Shared {
    started: Instant,
    stop: AtomicBool,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    list: List,
    probed: Option<Probed>,
    broken: Option<String>,
    watched: Option<Instant>,
}

/// The roll call, and when it may go out again.
struct Calls {
    asker: Asker,
    next: Instant,
}

impl State {
    fn is_watched(&self, now: Instant) -> bool {
        self.watched.is_some_and(|at| now.saturating_duration_since(at) < WATCHED)
    }
}

impl Browser {
    /// Begins the search. What goes wrong with it is told by [`trouble`](Self::trouble).
    pub fn start() -> Self {
        let shared = Arc::new(Shared {
            started: Instant::now(),
            stop: AtomicBool::new(false),
            state: Mutex::new(State::default()),
        });
        let its_own = shared.clone();
        let spawned =
            std::thread::Builder::new().name("discovery".to_owned()).spawn(move || its_own.search());
        let thread = spawned.map_err(|error| shared.state().broken = Some(error.to_string())).ok();
        Self { shared, thread }
    }

    /// The servers that are there now, each once, by name and fingerprint. Asking for them keeps the list lively:
    /// while it is asked for every few seconds, a server that lost its power leaves it within some 15 seconds;
    /// otherwise its own announcement is believed, for two minutes. So ask only while somebody looks at the list.
    pub fn servers(&self) -> Vec<SeenServer> {
        let mut state = self.shared.state();
        state.watched = Some(Instant::now());
        state.list.servers()
    }

    /// Where the server with this fingerprint says it is now, the most promising address first; empty if it is not
    /// there.
    pub fn addresses_of(&self, fingerprint: &[u8; 32]) -> Vec<SocketAddr> {
        let mut state = self.shared.state();
        let servers = state.list.servers();
        let found = servers.into_iter().find(|server| server.announcement.fingerprint == *fingerprint);
        if found.is_none() {
            state.list.want();
        }
        found.map_or_else(Vec::new, |server| server.addresses)
    }

    /// Asks after a server that could not be reached; it leaves the list within some five seconds if it does not
    /// answer.
    pub fn doubt(&self, fingerprint: &[u8; 32]) {
        self.shared.state().list.doubt(fingerprint);
    }

    /// Why no server is found, if none is and the reason can be told.
    pub fn trouble(&self) -> Option<Trouble> {
        self.trouble_knowing(&[])
    }

    /// The same, told that these servers answer right now at addresses of the network (not of loopback): if one of
    /// them is not heard, multicast is blocked for sure.
    pub fn trouble_knowing(&self, answering: &[[u8; 32]]) -> Option<Trouble> {
        let mut state = self.shared.state();
        state.watched = Some(Instant::now());
        let servers = state.list.servers();
        if let (Some(error), true) = (&state.broken, servers.is_empty()) {
            return Some(Trouble::CannotStart(error.clone()));
        }
        let heard =
            |fingerprint: &[u8; 32]| servers.iter().any(|s| s.announcement.fingerprint == *fingerprint);
        let unheard = answering.iter().any(|fingerprint| !heard(fingerprint));
        judge(state.probed.as_ref(), self.shared.started.elapsed(), !servers.is_empty(), unheard)
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Relaxed);
        // If it panicked, it has ended too.
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    /// The thread: searches, and begins again where a search breaks down.
    fn search(&self) {
        let mut calls = Calls { asker: Asker::new(), next: Instant::now() };
        while !self.stopped() {
            match begin() {
                Ok((daemon, events)) if self.listen(&daemon, &events, &mut calls) => continue,
                Ok(_) => {}
                Err(error) => self.state().broken = Some(error.to_string()),
            }
            let rested = Instant::now() + REST;
            while !self.stopped() && Instant::now() < rested {
                std::thread::sleep(LOOK);
                self.call(&mut calls);
            }
        }
    }

    /// Takes in who has answered, and calls the roll where somebody looks and it is time. Needs no multicast DNS.
    fn call(&self, calls: &mut Calls) {
        let now = Instant::now();
        let heard = calls.asker.hear();
        let mut state = self.state();
        for (announcement, address) in heard {
            state.list.take_answer(announcement, address, now);
        }
        if now >= calls.next && (state.is_watched(now) || state.list.is_wanted()) {
            state.list.call();
            drop(state);
            calls.asker.ask();
            calls.next = now + BETWEEN_CALLS;
        }
    }

    /// Listens until it shall stop, the search has broken down (false), or has become stale (true).
    fn listen(&self, daemon: &Daemon, events: &Receiver<ServiceEvent>, calls: &mut Calls) -> bool {
        let began = Instant::now();
        self.state().broken = None;
        let mut next_probe = began + FIRST_PROBE;
        let mut between_probes = BETWEEN_PROBES;
        let (mut was_watched, mut swept) = (true, false);
        while !self.stopped() {
            match events.recv_timeout(LOOK) {
                Ok(event) => self.state().list.take(event, Instant::now()),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return false,
            }
            self.call(calls);
            let now = Instant::now();
            let (names, lost, watched) = {
                let mut state = self.state();
                if !swept && now > began + FOUND_WITHIN {
                    swept = true;
                    state.list.forget_before(began);
                }
                let watched = state.is_watched(now);
                (state.list.due(now, watched), state.list.is_empty(), watched)
            };
            if watched && !was_watched && now > began + STALE {
                return true;
            }
            was_watched = watched;
            for name in names {
                // A queue that is full for a moment costs one question.
                let _ = daemon.handle.verify(name, ANSWER_WITHIN);
            }
            if lost && watched && now >= next_probe {
                let probed = probe(&self.stop);
                self.state().probed = Some(probed);
                next_probe = Instant::now() + between_probes;
                between_probes = MOST_BETWEEN_PROBES.min(between_probes * 2);
            }
        }
        true
    }
}

fn begin() -> Result<(Daemon, Receiver<ServiceEvent>), mdns_sd::Error> {
    let daemon = Daemon::start()?;
    let events = daemon.handle.browse(SERVICE_TYPE)?;
    Ok((daemon, events))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Threads of this process that a browser starts.
    #[cfg(target_os = "linux")]
    fn threads() -> Vec<String> {
        let names = std::fs::read_dir("/proc/self/task").unwrap().filter_map(|task| {
            // A thread may end while we look.
            std::fs::read_to_string(task.ok()?.path().join("comm")).ok()
        });
        names.filter(|name| ["discovery", "mDNS_daemon"].contains(&name.trim())).collect()
    }

    #[test]
    fn it_may_be_held_by_all_threads_and_ends_when_it_is_dropped() {
        fn shareable<T: Send + Sync + 'static>(_: &T) {}
        for _ in 0..5 {
            let browser = Browser::start();
            shareable(&browser);
            assert_eq!(browser.addresses_of(&[0; 32]), []);
            let shared = Arc::downgrade(&browser.shared);
            drop(browser);
            assert!(shared.upgrade().is_none(), "its thread has ended");
            #[cfg(target_os = "linux")]
            assert_eq!(threads(), Vec::<String>::new());
        }
    }
}
