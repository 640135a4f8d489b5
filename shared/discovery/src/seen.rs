//! The list of servers that are there, made of what multicast DNS reports and of answers to the roll call. Pure: events
//! in, servers out. Must not trust anything it is told, and must not touch a socket.

use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv6Addr, SocketAddr, SocketAddrV6},
    time::{Duration, Instant},
};

use mdns_sd::{ResolvedService, ScopedIp, ServiceEvent};

use crate::Announcement;

/// Most entries; who floods the network gets no more of us.
const MAX_ENTRIES: usize = 64;
/// Most addresses per server.
const MAX_ADDRESSES: usize = 16;
/// Most properties that are looked at; ours are seven.
const MAX_PROPERTIES: usize = 32;
/// An entry nothing was heard of for this long is asked after, while somebody looks at the list.
const ASK_AFTER: Duration = Duration::from_secs(6);
/// A roll call is two packets on a network that may lose some.
const MOST_UNANSWERED: u32 = 3;
/// How long it has to answer before it leaves the list; two questions fit into it.
pub(crate) const ANSWER_WITHIN: Duration = Duration::from_secs(4);

/// A server that is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeenServer {
    /// What it says of itself; unproven until its certificate has the fingerprint.
    pub announcement: Announcement,
    /// Where it says it is, the most promising first: IPv4, IPv6, link-local ones (with their scope), loopback.
    pub addresses: Vec<SocketAddr>,
    /// When it was last known to be there.
    pub last_seen: Instant,
}

/// One instance of the service, by its full DNS name.
struct Entry {
    server: SeenServer,
    asked: Option<Instant>,
    doubted: bool,
}

/// A server that has answered the roll call at one address.
struct Answered {
    server: SeenServer,
    /// Roll calls since.
    unanswered: u32,
}

/// All instances of the service, and all who answered.
#[derive(Default)]
pub(crate) struct List {
    entries: BTreeMap<String, Entry>,
    answered: BTreeMap<([u8; 32], SocketAddr), Answered>,
    wanted: bool,
}

impl List {
    /// Takes in what multicast DNS reports at `now`.
    pub(crate) fn take(&mut self, event: ServiceEvent, now: Instant) {
        match event {
            ServiceEvent::ServiceResolved(service) => {
                let full = self.entries.len() >= MAX_ENTRIES && !self.entries.contains_key(&service.fullname);
                match server(&service, now) {
                    Some(server) if !full => {
                        let entry = Entry { server, asked: None, doubted: false };
                        self.entries.insert(service.fullname, entry);
                    }
                    // What has become nonsense is not shown as it was.
                    _ => self.remove(&service.fullname),
                }
            }
            ServiceEvent::ServiceRemoved(_, instance) => self.remove(&instance),
            _ => {}
        }
    }

    /// A goodbye is meant for all ways in which the server was heard. If it is there after all, it answers the next call.
    fn remove(&mut self, instance: &str) {
        if let Some(entry) = self.entries.remove(instance) {
            let gone = entry.server.announcement.fingerprint;
            self.answered.retain(|(fingerprint, _), _| *fingerprint != gone);
        }
    }

    /// Takes in an answer to the roll call.
    pub(crate) fn take_answer(&mut self, announcement: Announcement, address: SocketAddr, now: Instant) {
        let key = (announcement.fingerprint, address);
        if self.answered.len() < MAX_ENTRIES || self.answered.contains_key(&key) {
            let server = SeenServer { announcement, addresses: vec![address], last_seen: now };
            self.answered.insert(key, Answered { server, unanswered: 0 });
        }
    }

    /// The roll call goes out once more; whoever has missed too many is not there any more.
    pub(crate) fn call(&mut self) {
        self.wanted = false;
        self.answered.retain(|_, answered| {
            answered.unanswered += 1;
            answered.unanswered <= MOST_UNANSWERED
        });
    }

    /// Somebody looks for a server that multicast DNS has not found.
    pub(crate) fn want(&mut self) {
        self.wanted = true;
    }

    /// Whether somebody does.
    pub(crate) fn is_wanted(&self) -> bool {
        self.wanted
    }

    /// Instances to ask after now. Who was asked and is still in the list when its time is over has answered.
    pub(crate) fn due(&mut self, now: Instant, watched: bool) -> Vec<String> {
        let mut names = Vec::new();
        for (name, entry) in &mut self.entries {
            match entry.asked {
                Some(asked)
                    if now.saturating_duration_since(asked) > ANSWER_WITHIN + Duration::from_secs(1) =>
                {
                    entry.asked = None;
                    entry.server.last_seen = now;
                }
                Some(_) => {}
                None if entry.doubted
                    || (watched && now.saturating_duration_since(entry.server.last_seen) >= ASK_AFTER) =>
                {
                    entry.asked = Some(now);
                    entry.doubted = false;
                    names.push(name.clone());
                }
                None => {}
            }
        }
        names
    }

    /// The server with this fingerprint is asked after soon.
    pub(crate) fn doubt(&mut self, fingerprint: &[u8; 32]) {
        self.wanted = true;
        let theirs = |entry: &&mut Entry| entry.server.announcement.fingerprint == *fingerprint;
        self.entries.values_mut().filter(theirs).for_each(|entry| entry.doubted = true);
    }

    /// Each server once, by name and fingerprint. Several instances of one fingerprint are one server at all their
    /// addresses: who has the key can only be told there.
    pub(crate) fn servers(&self) -> Vec<SeenServer> {
        let answered = self.answered.values().map(|answered| &answered.server);
        let mut newest_first: Vec<&SeenServer> =
            self.entries.values().map(|entry| &entry.server).chain(answered).collect();
        newest_first.sort_by_key(|server| std::cmp::Reverse(server.last_seen));
        let mut servers: Vec<SeenServer> = Vec::new();
        for seen in newest_first {
            let known =
                servers.iter_mut().find(|s| s.announcement.fingerprint == seen.announcement.fingerprint);
            match known {
                Some(known) => {
                    known.addresses.extend(&seen.addresses);
                    known.addresses = in_order(std::mem::take(&mut known.addresses));
                }
                None => servers.push(seen.clone()),
            }
        }
        servers.truncate(MAX_ENTRIES);
        servers.sort_by(|a, b| {
            let key = |s: &SeenServer| (s.announcement.name.to_lowercase(), s.announcement.fingerprint);
            key(a).cmp(&key(b))
        });
        servers
    }

    /// Only who was seen since `moment` stays.
    pub(crate) fn forget_before(&mut self, moment: Instant) {
        self.entries.retain(|_, entry| entry.server.last_seen >= moment);
        self.answered.retain(|_, answered| answered.server.last_seen >= moment);
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.entries.is_empty() && self.answered.is_empty()
    }
}

fn server(service: &ResolvedService, now: Instant) -> Option<SeenServer> {
    let properties = service.txt_properties.iter().take(MAX_PROPERTIES);
    let properties = properties.map(|p| (p.key(), p.val().unwrap_or_default()));
    let announcement = Announcement::from_properties(properties, service.port)
        .inspect_err(|error| tracing::debug!(instance = service.fullname, %error, "a broken announcement"))
        .ok()?;
    let addresses = service.addresses.iter().filter(|ip| believable(ip)).map(|ip| address(ip, service.port));
    let addresses = in_order(addresses.collect());
    (!addresses.is_empty()).then_some(SeenServer { announcement, addresses, last_seen: now })
}

/// Loopback is believed only where it was heard; nobody else may send us to a program of our own machine.
fn believable(ip: &ScopedIp) -> bool {
    let plain = ip.to_ip_addr().to_canonical();
    let heard_here = || match ip {
        ScopedIp::V4(v4) => {
            v4.interface_ids().iter().any(|id| id.get_addrs().iter().any(IpAddr::is_loopback))
        }
        ScopedIp::V6(v6) => v6.scope_id().get_addrs().iter().any(IpAddr::is_loopback),
        _ => false,
    };
    !plain.is_unspecified() && !plain.is_multicast() && (!plain.is_loopback() || heard_here())
}

fn address(ip: &ScopedIp, port: u16) -> SocketAddr {
    match ip {
        ScopedIp::V6(v6) if v6.addr().is_unicast_link_local() => {
            SocketAddr::V6(SocketAddrV6::new(*v6.addr(), port, 0, v6.scope_id().index))
        }
        other => SocketAddr::new(other.to_ip_addr(), port),
    }
}

/// The most promising first, each once, not too many.
fn in_order(mut addresses: Vec<SocketAddr>) -> Vec<SocketAddr> {
    addresses.sort_by_key(|address| (rank(address.ip()), *address));
    addresses.dedup();
    addresses.truncate(MAX_ADDRESSES);
    addresses
}

fn rank(ip: IpAddr) -> u8 {
    match ip {
        _ if ip.is_loopback() => 4,
        IpAddr::V4(v4) if v4.is_link_local() => 2,
        IpAddr::V4(_) => 0,
        IpAddr::V6(v6) if Ipv6Addr::is_unicast_link_local(&v6) => 3,
        IpAddr::V6(_) => 1,
    }
}

#[cfg(test)]
#[path = "seen_tests.rs"]
mod tests;
