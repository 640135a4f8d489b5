//! Counts connections, all and per address, so that one address cannot take every place before it has a
//! session (which HTTP never gives). Must not know QUIC nor HTTP.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

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
    waiting_per_address: usize,
    counts: Mutex<Counts>,
}

/// One connection; dropping it takes it out of the count.
#[derive(Debug)]
pub(crate) struct Guest {
    /// `None`: it is the server itself, which is not counted.
    guests: Option<Arc<Guests>>,
    address: IpAddr,
    waiting: bool,
}

impl Guests {
    /// Room for `most`, of which those without a session may be `waiting_per_address` from one address.
    pub(crate) fn new(most: usize, waiting_per_address: usize) -> Arc<Self> {
        Arc::new(Self { most, waiting_per_address, counts: Mutex::default() })
    }

    /// One more connection from `address`; `None` if there is no room for it.
    pub(crate) fn enter(self: &Arc<Self>, address: IpAddr) -> Option<Guest> {
        let address = address.to_canonical();
        let mut counts = self.lock();
        let here = counts.waiting_of.get(&address).copied().unwrap_or_default();
        if counts.all >= self.most || here >= self.waiting_per_address {
            return None;
        }
        counts.all += 1;
        counts.waiting += 1;
        counts.waiting_of.insert(address, here + 1);
        Some(Guest { guests: Some(self.clone()), address, waiting: true })
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
    /// The server itself, which looks whether one gets in. It takes nobody's place.
    pub(crate) fn own(address: IpAddr) -> Self {
        Self { guests: None, address, waiting: false }
    }

    /// Whether it is the server itself.
    pub(crate) fn is_own(&self) -> bool {
        self.guests.is_none()
    }

    /// This one has a session now and no longer counts against its address.
    pub(crate) fn seated(&mut self) {
        let Some(guests) = self.guests.as_ref().filter(|_| std::mem::take(&mut self.waiting)) else { return };
        let mut counts = guests.lock();
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
        if let Some(guests) = &self.guests {
            guests.lock().all -= 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_address_cannot_take_every_place_and_what_leaves_makes_room() {
        let guests = Guests::new(10, 8);
        let (one, other) = (IpAddr::from([10, 0, 0, 1]), IpAddr::from([10, 0, 0, 2]));
        let mut here: Vec<_> = std::iter::from_fn(|| guests.enter(one)).collect();
        assert_eq!(here.len(), 8);
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
