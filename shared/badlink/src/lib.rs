//! A bad network in a box: passes datagrams between clients on this machine and one server, and loses, delays, reorders,
//! holds or swallows them on the way, or changes the clients' addresses. The same seed makes the same choices for the
//! same datagrams. It knows nothing of QUIC, nor of any other crate of the house. For tests, benches and `load`.

mod clients;
mod dice;
mod impairments;
mod queue;

use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

use clients::Clients;
pub use dice::Dice;
pub use impairments::{ImpairmentError, Impairments};
use queue::Queue;

/// How long a blocked read lasts before it looks whether all is over.
const LOOK: Duration = Duration::from_millis(50);
/// The longest datagram there is.
const LONGEST_BYTES: usize = 65_536;

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
    /// A proxy on a free loopback port that leads to `server`.
    ///
    /// # Errors
    /// When the system gives it no socket.
    pub fn start(server: SocketAddr, impairments: Impairments) -> io::Result<Self> {
        let front = UdpSocket::bind((own_ip(server, true), 0))?;
        front.set_read_timeout(Some(LOOK))?;
        let address = front.local_addr()?;
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
        Ok(Self { address, inner, threads })
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

/// Where to bind a socket of this machine that has to do with `server`; `for_clients`: only what runs here may reach it.
fn own_ip(server: SocketAddr, for_clients: bool) -> IpAddr {
    let loopback = for_clients || server.ip().is_loopback();
    match (server, loopback) {
        (SocketAddr::V4(_), true) => Ipv4Addr::LOCALHOST.into(),
        (SocketAddr::V4(_), false) => Ipv4Addr::UNSPECIFIED.into(),
        (SocketAddr::V6(_), true) => Ipv6Addr::LOCALHOST.into(),
        (SocketAddr::V6(_), false) => Ipv6Addr::UNSPECIFIED.into(),
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
