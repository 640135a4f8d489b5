//! Datagrams that wait for their moment, the earliest first, of one moment in the order they came. Bounded.

use std::{
    cmp::Reverse,
    collections::BinaryHeap,
    net::{SocketAddr, UdpSocket},
    sync::{Arc, Condvar, Mutex, PoisonError},
    time::{Duration, Instant},
};

use super::{Way, lock};

/// More are dropped: at a usual size, 24 MB, or four seconds of two whole sessions.
const MOST: usize = 16_384;

/// One on its way.
#[derive(Debug)]
pub(super) struct Datagram {
    pub(super) way: Way,
    pub(super) bytes: Vec<u8>,
    pub(super) client: SocketAddr,
    /// On the way to the server: the address it is sent from, as it was when it came.
    pub(super) back: Option<Arc<UdpSocket>>,
}

#[derive(Debug)]
struct Waiting {
    due: Instant,
    number: u64,
    datagram: Datagram,
}

impl Waiting {
    fn key(&self) -> (Instant, u64) {
        (self.due, self.number)
    }
}

impl PartialEq for Waiting {
    fn eq(&self, other: &Self) -> bool {
        self.key() == other.key()
    }
}

impl Eq for Waiting {}

impl PartialOrd for Waiting {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Waiting {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.key().cmp(&other.key())
    }
}

#[derive(Debug, Default)]
pub(super) struct Queue {
    waiting: Mutex<(BinaryHeap<Reverse<Waiting>>, u64)>,
    news: Condvar,
}

impl Queue {
    /// Takes a datagram that is to leave at `due`; whether there was room.
    pub(super) fn push(&self, due: Instant, datagram: Datagram) -> bool {
        let mut waiting = lock(&self.waiting);
        let (heap, count) = &mut *waiting;
        if heap.len() >= MOST {
            return false;
        }
        *count += 1;
        heap.push(Reverse(Waiting { due, number: *count, datagram }));
        drop(waiting);
        self.news.notify_one();
        true
    }

    /// Waits until a datagram is due, at most `patience`.
    pub(super) fn next(&self, patience: Duration) -> Option<Datagram> {
        let until = Instant::now() + patience;
        let mut waiting = lock(&self.waiting);
        loop {
            let now = Instant::now();
            let due = waiting.0.peek().map(|Reverse(first)| first.due);
            if due.is_some_and(|due| due <= now) {
                return waiting.0.pop().map(|Reverse(first)| first.datagram);
            }
            if now >= until {
                return None;
            }
            let wake = due.map_or(until, |due| due.min(until));
            let waited = self.news.wait_timeout(waiting, wake - now);
            waiting = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}
