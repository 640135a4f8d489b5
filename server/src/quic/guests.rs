//! Counts connections, all and per address, so that one address cannot take every place before it has a
//! session. Must not know QUIC.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// Connections without a session that one address may have; a band behind one router starts at once.
const WAITING_PER_ADDRESS: usize = 24;

#[derive(Debug, Default)]
struct Counts {
    all: usize,
    waiting: usize,
    waiting_of: HashMap<IpAddr, usize>,
}

/// The count of everybody who is connected.
#[derive(Debug)]
pub(crate) struct Guests {
    most: usize,
    counts: Mutex<Counts>,
}

/// One connection; dropping it takes it out of the count.
#[derive(Debug)]
pub(crate) struct Guest {
    guests: Arc<Guests>,
    address: IpAddr,
    waiting: bool,
}

impl Guests {
    pub(crate) fn new(most: usize) -> Arc<Self> {
        Arc::new(Self { most, counts: Mutex::default() })
    }

    /// One more connection from `address`; `None` if there is no room for it.
    pub(crate) fn enter(self: &Arc<Self>, address: IpAddr) -> Option<Guest> {
        let mut counts = self.lock();
        let here = counts.waiting_of.get(&address).copied().unwrap_or_default();
        if counts.all >= self.most || here >= WAITING_PER_ADDRESS {
            return None;
        }
        counts.all += 1;
        counts.waiting += 1;
        counts.waiting_of.insert(address, here + 1);
        Some(Guest { guests: self.clone(), address, waiting: true })
    }

    /// Connections that have no session yet.
    pub(crate) fn waiting(&self) -> usize {
        self.lock().waiting
    }

    fn lock(&self) -> MutexGuard<'_, Counts> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Guest {
    /// This one has a session now and no longer counts against its address.
    pub(crate) fn seated(&mut self) {
        if !std::mem::take(&mut self.waiting) {
            return;
        }
        let mut counts = self.guests.lock();
        counts.waiting -= 1;
        if let Some(here) = counts.waiting_of.get_mut(&self.address) {
            *here -= 1;
            if *here == 0 {
                counts.waiting_of.remove(&self.address);
            }
        }
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        self.seated();
        self.guests.lock().all -= 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_address_cannot_take_every_place_and_what_leaves_makes_room() {
        let guests = Guests::new(WAITING_PER_ADDRESS + 2);
        let (one, other) = (IpAddr::from([10, 0, 0, 1]), IpAddr::from([10, 0, 0, 2]));
        let mut here: Vec<_> = std::iter::from_fn(|| guests.enter(one)).collect();
        assert_eq!(here.len(), WAITING_PER_ADDRESS);
        let neighbour = guests.enter(other).unwrap();
        here[0].seated();
        here[0].seated();
        let last = guests.enter(one);
        assert!(last.is_some(), "a session must not count as waiting");
        assert!(guests.enter(other).is_none(), "more than all");
        drop((here, neighbour, last));
        assert_eq!(guests.waiting(), 0);
        assert!(guests.lock().waiting_of.is_empty() && guests.lock().all == 0);
    }
}
