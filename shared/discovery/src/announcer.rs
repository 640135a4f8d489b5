//! The server's half: says who it is, for as long as it runs, and goodbye when it ends. Only what the server really
//! listens on is announced. Must not know what a session is.

use std::{
    net::{IpAddr, SocketAddr},
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use mdns_sd::{IfKind, ServiceInfo, TxtProperty};

use crate::{Announcement, Load, SERVICE_TYPE, daemon::Daemon};

/// Multicast DNS allows ten changes of a record per minute.
const BETWEEN_UPDATES: Duration = Duration::from_secs(6);

/// Why a server is not announced.
#[derive(Debug, thiserror::Error)]
pub enum CannotAnnounce {
    /// Nobody else could reach it.
    #[error("{0} can be reached from this machine only, so there is nothing to announce")]
    Loopback(SocketAddr),
    /// Multicast DNS does not work here.
    #[error("multicast DNS does not start: {0}")]
    Multicast(#[from] mdns_sd::Error),
}

/// Announces one server until it is dropped; then it says goodbye (which takes a moment, at most two seconds).
pub struct Announcer {
    listening: SocketAddr,
    said: Mutex<Said>,
}

/// What was announced last, by which thread, and when.
struct Said {
    daemon: Daemon,
    announcement: Announcement,
    at: Instant,
}

impl Announcer {
    /// Announces `announcement` at the addresses behind `listening`: all of this machine's IPv4 ones for `0.0.0.0`,
    /// all of both kinds for `[::]`, else the one. Addresses that come and go are followed. `quic_port` is taken from
    /// `listening`.
    ///
    /// # Errors
    /// When `listening` is loopback, or multicast DNS cannot be started at all. That nothing gets through is not
    /// known here; see [`examine`](crate::examine).
    pub fn start(announcement: Announcement, listening: SocketAddr) -> Result<Self, CannotAnnounce> {
        if listening.ip().to_canonical().is_loopback() {
            return Err(CannotAnnounce::Loopback(listening));
        }
        let announcement = Announcement { quic_port: listening.port(), ..announcement };
        let daemon = Daemon::start()?;
        daemon.handle.register(service(&announcement, listening)?)?;
        let said = Said { daemon, announcement, at: Instant::now() };
        Ok(Self { listening, said: Mutex::new(said) })
    }

    /// Tells how busy the server is now. Call it as often as you like and again while nothing changes: at most one
    /// update in six seconds goes out, and one that was held back goes with a later call. So does a whole new
    /// announcement, should the library have broken down.
    pub fn update(&self, load: Load) {
        let mut said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        let dead = said.daemon.is_dead();
        if (said.announcement.load == load && !dead) || said.at.elapsed() < BETWEEN_UPDATES {
            return;
        }
        said.announcement.load = load;
        said.at = Instant::now();
        if let Err(error) = said.again(self.listening, dead) {
            tracing::warn!(%error, "an announcement could not be updated");
        }
    }
}

impl Said {
    fn again(&mut self, listening: SocketAddr, dead: bool) -> Result<(), mdns_sd::Error> {
        if dead {
            self.daemon = Daemon::start()?;
        }
        self.daemon.handle.register(service(&self.announcement, listening)?)
    }
}

fn service(announcement: &Announcement, listening: SocketAddr) -> Result<ServiceInfo, mdns_sd::Error> {
    let properties: Vec<TxtProperty> = announcement.to_properties().iter().map(TxtProperty::from).collect();
    let (instance, host) = (announcement.instance(), announcement.host());
    let ip = listening.ip().to_canonical();
    let mut service = if ip.is_unspecified() {
        ServiceInfo::new(SERVICE_TYPE, &instance, &host, (), listening.port(), properties)?.enable_addr_auto()
    } else {
        ServiceInfo::new(SERVICE_TYPE, &instance, &host, ip, listening.port(), properties)?
    };
    // `[::]` hears IPv4 too, except where the system keeps the two apart.
    let both = ip.is_ipv6() && !cfg!(windows);
    service.set_interfaces(vec![match ip {
        _ if both => IfKind::All,
        IpAddr::V4(_) => IfKind::IPv4,
        IpAddr::V6(_) => IfKind::IPv6,
    }]);
    // Instance and host carry the fingerprint, so no other server can have these names, and a new load need not be
    // asked about for a second before it is told.
    service.set_requires_probe(false);
    Ok(service)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::announcement::tests::closet;

    #[test]
    fn nothing_is_announced_that_nobody_else_can_reach() {
        for address in ["127.0.0.1:7433", "[::1]:7433", "[::ffff:127.0.0.1]:7433"] {
            let refused = Announcer::start(closet(), address.parse().unwrap());
            assert!(matches!(refused, Err(CannotAnnounce::Loopback(_))), "{address}");
        }
    }

    #[test]
    fn only_what_is_listened_on_is_announced() {
        let made = |address: &str| service(&closet(), address.parse().unwrap()).unwrap();
        let one = made("192.0.2.7:7433");
        assert!(!one.is_addr_auto());
        assert_eq!(one.get_addresses().iter().map(ToString::to_string).collect::<Vec<_>>(), ["192.0.2.7"]);
        for everything in ["0.0.0.0:7433", "[::]:7433"] {
            assert!(made(everything).is_addr_auto() && made(everything).get_addresses().is_empty());
        }
        assert_eq!(one.get_property_val_str("name"), Some("closet"));
    }
}
