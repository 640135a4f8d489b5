//! A bad network in a box: passes datagrams between clients and one server on loopback, and loses, delays, reorders,
//! holds or swallows them on the way, or changes the clients' addresses. The same seed makes the same choices for the
//! same datagrams. It knows nothing of QUIC. For tests and benches; panics only where it cannot set itself up.
#![allow(clippy::unwrap_used, reason = "what stands in for a network may fall down")]

mod clients;
mod queue;

use std::{
    net::{SocketAddr, UdpSocket},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

use crate::netsim::Dice;
use clients::Clients;
use queue::Queue;

/// How long a blocked read lasts before it looks whether all is over.
const LOOK: Duration = Duration::from_millis(50);
/// The longest datagram there is.
const LONGEST_BYTES: usize = 65_536;

/// What goes wrong. The default is a clean link. Times count from the first datagram; each direction has its own luck.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Impairments {
    /// Decides everything that is left to chance.
    pub seed: u64,
    /// This part of all datagrams is lost, 0 to 1.
    pub loss: f64,
    /// Each takes this long one way, ...
    pub delay: Duration,
    /// ... and up to so much more or less, evenly; later ones may overtake.
    pub jitter: Duration,
    /// So often ...
    pub stall_every: Option<Duration>,
    /// ... nothing moves for so long; what waits comes at the end of it.
    pub stall: Duration,
    /// From this moment on ...
    pub outage_at: Option<Duration>,
    /// ... everything is swallowed for so long.
    pub outage: Duration,
    /// So often every client gets another address.
    pub rebind_every: Option<Duration>,
}

/// What became of the datagrams of both directions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Traffic {
    /// Sent on.
    pub passed: u64,
    /// Lost by chance or swallowed.
    pub lost: u64,
    /// Dropped because too many waited, or too many clients came.
    pub overflowed: u64,
    /// Addresses changed.
    pub rebound: u64,
}

/// A running proxy; dropping it ends it.
#[derive(Debug)]
pub struct UdpProxy {
    /// Where clients connect to.
    pub address: SocketAddr,
    inner: Arc<Inner>,
    threads: Vec<JoinHandle<()>>,
}

#[derive(Debug)]
struct Inner {
    impairments: Impairments,
    front: UdpSocket,
    server: SocketAddr,
    over: AtomicBool,
    clients: Mutex<Clients>,
    queue: Queue,
    began: Mutex<Option<Instant>>,
    /// Up and down.
    luck: [Mutex<Luck>; 2],
    passed: AtomicU64,
    lost: AtomicU64,
    overflowed: AtomicU64,
    rebound: AtomicU64,
}

/// The way a datagram goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    ToServer,
    ToClient,
}

impl UdpProxy {
    /// A proxy on a free port of this machine that leads to `server`, which must be on loopback too.
    pub fn start(server: SocketAddr, impairments: Impairments) -> Self {
        assert!(server.ip().is_loopback(), "{server} is not on this machine");
        let front = UdpSocket::bind((server.ip(), 0)).unwrap();
        front.set_read_timeout(Some(LOOK)).unwrap();
        let address = front.local_addr().unwrap();
        let luck = |salt| Mutex::new(Luck::new(impairments.seed.wrapping_add(salt)));
        let inner = Arc::new(Inner {
            impairments,
            front,
            server,
            over: AtomicBool::new(false),
            clients: Mutex::default(),
            queue: Queue::default(),
            began: Mutex::default(),
            luck: [luck(0), luck(0x9E37_79B9)],
            passed: AtomicU64::new(0),
            lost: AtomicU64::new(0),
            overflowed: AtomicU64::new(0),
            rebound: AtomicU64::new(0),
        });
        let (receiving, sending) = (Arc::clone(&inner), Arc::clone(&inner));
        let threads = vec![
            std::thread::spawn(move || receiving.receive_from_clients()),
            std::thread::spawn(move || sending.send_what_is_due()),
        ];
        Self { address, inner, threads }
    }

    /// Gives every client another address at once, as a router does that has forgotten them. What the server still
    /// sends to the old ones is lost.
    pub fn rebind(&self) {
        self.inner.rebind();
    }

    /// What has happened so far.
    pub fn traffic(&self) -> Traffic {
        let Inner { passed, lost, overflowed, rebound, .. } = &*self.inner;
        Traffic {
            passed: passed.load(Relaxed),
            lost: lost.load(Relaxed),
            overflowed: overflowed.load(Relaxed),
            rebound: rebound.load(Relaxed),
        }
    }
}

impl Drop for UdpProxy {
    fn drop(&mut self) {
        self.inner.over.store(true, Relaxed);
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

impl Inner {
    fn receive_from_clients(self: &Arc<Self>) {
        let mut buffer = vec![0; LONGEST_BYTES];
        let mut rebinds = 0;
        while !self.over.load(Relaxed) {
            // An error is the time-out, or a client's port that is closed: nothing to be told to anybody.
            let Ok((length, from)) = self.front.recv_from(&mut buffer) else { continue };
            let now = Instant::now();
            let since = now - *lock(&self.began).get_or_insert(now);
            let due = self.impairments.rebind_every.map_or(0, |every| rounds(since, every));
            if due > rebinds {
                rebinds = due;
                self.rebind();
            }
            match lock(&self.clients).known_or_new(from, self) {
                Some(back) => self.take(Way::ToServer, &buffer[..length], from, Some(back), now),
                None => self.count(&self.overflowed),
            }
        }
    }

    /// Runs in a thread of its own for each address a client has had at the server.
    fn receive_from_server(self: &Arc<Self>, client: SocketAddr, back: &Arc<UdpSocket>) {
        let mut buffer = vec![0; LONGEST_BYTES];
        while !self.over.load(Relaxed) && lock(&self.clients).is_current(client, back) {
            if let Ok((length, _)) = back.recv_from(&mut buffer) {
                self.take(Way::ToClient, &buffer[..length], client, None, Instant::now());
            }
        }
    }

    /// Decides what becomes of a datagram that has come at `now`.
    fn take(&self, way: Way, bytes: &[u8], client: SocketAddr, back: Option<Arc<UdpSocket>>, now: Instant) {
        let began = *lock(&self.began).get_or_insert(now);
        let fate = lock(&self.luck[way as usize]).fate(&self.impairments, now - began);
        match fate {
            Some(leaves) if began + leaves <= now => self.pass(way, bytes, client, back.as_deref()),
            Some(leaves) => {
                let datagram = queue::Datagram { way, bytes: bytes.to_vec(), client, back };
                if !self.queue.push(began + leaves, datagram) {
                    self.count(&self.overflowed);
                }
            }
            None => self.count(&self.lost),
        }
    }

    fn send_what_is_due(&self) {
        while !self.over.load(Relaxed) {
            if let Some(queue::Datagram { way, bytes, client, back }) = self.queue.next(LOOK) {
                self.pass(way, &bytes, client, back.as_deref());
            }
        }
    }

    fn pass(&self, way: Way, bytes: &[u8], client: SocketAddr, back: Option<&UdpSocket>) {
        // Whoever is not there refuses; that is lost on the way.
        let sent = match (way, back) {
            (Way::ToServer, Some(back)) => back.send_to(bytes, self.server),
            _ => self.front.send_to(bytes, client),
        };
        self.count(if sent.is_ok() { &self.passed } else { &self.lost });
    }

    fn rebind(&self) {
        self.rebound.fetch_add(lock(&self.clients).forget_addresses(), Relaxed);
    }

    fn count(&self, counter: &AtomicU64) {
        counter.fetch_add(1, Relaxed);
    }
}

/// What is left to chance in one direction.
#[derive(Debug)]
struct Luck(Dice);

impl Luck {
    fn new(seed: u64) -> Self {
        Self(Dice::new(seed))
    }

    /// When a datagram that comes at `now` leaves; `None` if never. Every datagram draws the same number of times.
    fn fate(&mut self, of: &Impairments, now: Duration) -> Option<Duration> {
        // 53 bits are what fits a number from 0 to 1.
        let mut unit = || (self.0.roll() >> 11) as f64 / (1_u64 << 53) as f64;
        let (lost, late) = (unit() < of.loss, unit());
        let jitter = of.jitter.as_secs_f64() * (2.0 * late - 1.0);
        let swallowed = of.outage_at.is_some_and(|at| now >= at && now.saturating_sub(at) < of.outage);
        if lost || swallowed {
            return None;
        }
        let leaves = now + Duration::from_secs_f64((of.delay.as_secs_f64() + jitter).max(0.0));
        // A stall begins after each round: what would leave within it leaves at its end.
        let Some(every) = of.stall_every.filter(|every| *every > Duration::ZERO) else { return Some(leaves) };
        let last = every.mul_f64(rounds(leaves, every) as f64);
        let stalled = last > Duration::ZERO && leaves < last + of.stall;
        Some(if stalled { last + of.stall } else { leaves })
    }
}

/// How many whole rounds of `every` have passed.
fn rounds(since: Duration, every: Duration) -> u64 {
    if every.is_zero() { 0 } else { (since.as_nanos() / every.as_nanos()) as u64 }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
