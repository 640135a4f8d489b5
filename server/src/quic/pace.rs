//! How often an address may begin a handshake: each costs a signature, and a storm of them would cost the players their
//! share of the processor. Must not know QUIC, nor read a clock.

use std::{collections::HashMap, net::IpAddr, sync::Mutex, sync::PoisonError, time::Duration};

use crate::token_bucket::TokenBucket;

/// Handshakes that an address may begin at once: a band behind one router, and all of it again after a restart.
const BURST: u64 = 32;
/// And so many per second after that.
const PER_SECOND: u64 = 8;
/// Addresses that are remembered. Who is left out has to prove its address, which costs next to nothing.
const ADDRESSES: usize = 4_096;

/// The paces of all addresses. Of an address that is not proven, anybody may have written the datagrams; so they are
/// counted apart, and nobody uses up what belongs to another.
#[derive(Debug, Default)]
pub(crate) struct Paces(Mutex<HashMap<(IpAddr, bool), TokenBucket>>);

impl Paces {
    /// Whether `address`, proven or not, may begin one more handshake at `now`.
    pub(crate) fn allow(&self, address: IpAddr, proven: bool, now: Duration) -> bool {
        let key = (address.to_canonical(), proven);
        let mut paces = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if paces.len() >= ADDRESSES && !paces.contains_key(&key) {
            // Who has all of its room again need not be remembered.
            paces.retain(|_, pace| !pace.is_full(now));
            if paces.len() >= ADDRESSES {
                return false;
            }
        }
        paces.entry(key).or_insert(TokenBucket::new(BURST, PER_SECOND)).take(1, now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn through(paces: &Paces, last: u8, proven: bool, seconds: u64) -> usize {
        let (address, now) = (IpAddr::from([10, 0, 0, last]), Duration::from_secs(seconds));
        (0..1_000).filter(|_| paces.allow(address, proven, now)).count()
    }

    #[test]
    fn an_address_has_its_own_pace_and_whoever_writes_it_on_his_datagrams_another() {
        let paces = Paces::default();
        assert_eq!(through(&paces, 1, false, 0), 32);
        assert_eq!(through(&paces, 1, true, 0), 32, "nobody has used up what is proven");
        assert_eq!(through(&paces, 2, true, 0), 32);
        assert_eq!(through(&paces, 1, true, 1), 8);
        assert_eq!(through(&paces, 1, true, 100), 32);
    }

    #[test]
    fn a_flood_of_addresses_fills_no_memory_and_is_forgotten() {
        let paces = Paces::default();
        let address = |n: u32| IpAddr::from(n.to_be_bytes());
        let allowed = (0..10_000).filter(|&n| paces.allow(address(n), false, Duration::ZERO)).count();
        assert_eq!(allowed, ADDRESSES);
        assert!(paces.allow(address(20_000), false, Duration::from_secs(1)));
        assert_eq!(paces.0.lock().unwrap().len(), 1);
    }
}
