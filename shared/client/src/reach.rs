//! From a server's name or identity to a QUIC connection with it: where it may be, and who answers there first.
//!
//! Every attempt has sockets of its own, so that a laptop that slept or changed its network starts clean. This module
//! must not know about sessions or pairing.

use std::{
    fmt,
    net::{Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use quinn::{Connection, Endpoint, VarInt};
use rehearsekit_protocol::Mode;
use tokio::{task::JoinSet, time::timeout};

use crate::{
    LinkError,
    transport::client_config,
    trust::{Fingerprint, ServerTrust},
};

/// A name that does not resolve within this time does not resolve.
const RESOLVE_WITHIN: Duration = Duration::from_secs(5);
/// On a LAN an answer takes milliseconds; the QUIC handshake repeats its packets for this long.
const HANDSHAKE_WITHIN: Duration = Duration::from_secs(2);
/// The next address is tried beside the ones before it after this, so that an old one costs no handshake's time.
const STAGGER: Duration = Duration::from_millis(200);
/// An orderly goodbye takes a round trip; beyond this nobody is listening any more.
const GOODBYE_WITHIN: Duration = Duration::from_millis(300);

/// Says where a server is now, whatever address it had when it was last met: discovery, seen from here.
#[derive(Clone, Default)]
pub struct Finder(Option<Arc<dyn Fn(Fingerprint) -> Vec<SocketAddr> + Send + Sync>>);

impl Finder {
    /// Finds by asking `addresses_of`, which must return at once.
    pub fn new(addresses_of: impl Fn(Fingerprint) -> Vec<SocketAddr> + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(addresses_of)))
    }

    fn addresses_of(&self, fingerprint: Fingerprint) -> Vec<SocketAddr> {
        self.0.as_ref().map(|find| find(fingerprint)).unwrap_or_default()
    }
}

impl fmt::Debug for Finder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "Finder" } else { "no finder" })
    }
}

/// Two are the same if they are clones of one.
impl PartialEq for Finder {
    fn eq(&self, other: &Self) -> bool {
        match (&self.0, &other.0) {
            (Some(this), Some(that)) => Arc::ptr_eq(this, that),
            (None, None) => true,
            _ => false,
        }
    }
}

impl Eq for Finder {}

/// Whom to reach, and how much the connection is to carry.
pub(crate) struct Reach<'a> {
    /// `HOST:PORT`; may be empty where a finder knows better.
    pub(crate) server: &'a str,
    pub(crate) finder: &'a Finder,
    /// The one certificate that is believed; any, if none is named.
    pub(crate) expected: Option<Fingerprint>,
    /// Whether other machines may be spoken to at all.
    pub(crate) trust: Option<&'a ServerTrust>,
    pub(crate) rate_hz: u32,
    pub(crate) mode: Mode,
}

/// A connection, and whose certificate was shown on it.
#[derive(Debug)]
pub(crate) struct Reached {
    pub(crate) connection: Connection,
    pub(crate) address: SocketAddr,
    pub(crate) shown: Fingerprint,
}

impl Reach<'_> {
    /// Tries every address, the next a moment after the one before, until one answers as it should. What is open then is
    /// left in `endpoints`, for the caller to close whether this finishes or is dropped.
    pub(crate) async fn connect(&self, endpoints: &mut Vec<Endpoint>) -> Result<Reached, LinkError> {
        let mut waiting = self.addresses().await?.into_iter();
        let mut attempts = JoinSet::new();
        let mut worst = None;
        loop {
            if let Some(address) = waiting.next() {
                match self.attempt(address, endpoints) {
                    Ok(attempt) => drop(attempts.spawn(attempt)),
                    Err(error) => keep_telling(&mut worst, error),
                }
            }
            let next = async {
                match waiting.len() {
                    0 => attempts.join_next().await,
                    // Whoever answers within the moment, or the next one's turn.
                    _ => timeout(STAGGER, attempts.join_next()).await.unwrap_or_default(),
                }
            };
            match next.await {
                Some(Ok(Ok((reached, number)))) => {
                    let used = endpoints.swap_remove(number);
                    // Whoever answers later has nobody to talk to.
                    endpoints.drain(..).for_each(|unused| unused.close(0u8.into(), b""));
                    endpoints.push(used);
                    return Ok(reached);
                }
                Some(Ok(Err(error))) => keep_telling(&mut worst, error),
                Some(Err(error)) => keep_telling(&mut worst, LinkError::Lost(error.to_string())),
                None if waiting.len() == 0 && attempts.is_empty() => {
                    return Err(worst.unwrap_or_else(|| self.unknown("no address")));
                }
                None => {}
            }
        }
    }

    /// Where the server may be: as it is announced now, then as it is written.
    async fn addresses(&self) -> Result<Vec<SocketAddr>, LinkError> {
        let mut all = self.expected.map(|expected| self.finder.addresses_of(expected)).unwrap_or_default();
        match self.resolve().await {
            Ok(written) => all.extend(written),
            Err(error) if all.is_empty() => return Err(error),
            Err(_) => {}
        }
        let mut seen = Vec::new();
        all.retain(|address| {
            !seen.contains(address) && {
                seen.push(*address);
                true
            }
        });
        let allowed: Vec<SocketAddr> =
            all.iter().copied().filter(|a| self.trust.is_none_or(|trust| trust.allows(*a))).collect();
        match (allowed.is_empty(), all.first()) {
            (false, _) => Ok(allowed),
            (true, Some(&address)) => Err(LinkError::NotPaired { address }),
            (true, None) => Err(self.unknown("the name has no address")),
        }
    }

    async fn resolve(&self) -> Result<Vec<SocketAddr>, LinkError> {
        if self.server.is_empty() {
            return Err(LinkError::NotFound);
        }
        if let Ok(address) = self.server.parse() {
            return Ok(vec![address]);
        }
        let found = timeout(RESOLVE_WITHIN, tokio::net::lookup_host(self.server)).await;
        let found = found.map_err(|_| self.unknown("the name service does not answer"))?;
        Ok(found.map_err(|error| self.unknown(error))?.collect())
    }

    fn unknown(&self, why: impl ToString) -> LinkError {
        LinkError::Address { server: self.server.to_owned(), why: why.to_string() }
    }

    /// One handshake, on a socket of its own: that of the number it gives among the endpoints.
    fn attempt(
        &self,
        address: SocketAddr,
        endpoints: &mut Vec<Endpoint>,
    ) -> Result<impl Future<Output = Result<(Reached, usize), LinkError>> + use<>, LinkError> {
        let (client, verifier) = client_config(self.expected, self.rate_hz, self.mode)?;
        let only_here = self.trust == Some(&ServerTrust::Loopback);
        let endpoint = Endpoint::client(local_address(only_here, address))
            .map_err(|error| LinkError::Socket(error.to_string()))?;
        let number = endpoints.len();
        endpoints.push(endpoint.clone());
        let unreachable = move |why: String| LinkError::Unreachable { address, why };
        // The name is not looked at: certificates here are pinned, not named.
        let connecting = endpoint
            .connect_with(client, address, "rehearsekit")
            .map_err(|error| unreachable(error.to_string()))?;
        Ok(async move {
            match timeout(HANDSHAKE_WITHIN, connecting).await {
                Ok(Ok(connection)) => match verifier.shown() {
                    Some(shown) => Ok((Reached { connection, address, shown }, number)),
                    None => Err(unreachable("it showed no certificate".to_owned())),
                },
                Ok(Err(error)) => Err(match verifier.mismatch() {
                    Some((expected, got)) => LinkError::Fingerprint { expected, got },
                    None => unreachable(error.to_string()),
                }),
                Err(_) => Err(unreachable("no answer".to_owned())),
            }
        })
    }
}

/// Of several reasons the player is told the gravest, and otherwise the first: that of the best address.
fn keep_telling(worst: &mut Option<LinkError>, error: LinkError) {
    if worst.is_none() || matches!(error, LinkError::Fingerprint { .. }) {
        *worst = Some(error);
    }
}

/// A loopback link binds to loopback: no other machine can even send to its socket.
fn local_address(only_here: bool, remote: SocketAddr) -> SocketAddr {
    match (remote, only_here) {
        (SocketAddr::V4(_), true) => (Ipv4Addr::LOCALHOST, 0).into(),
        (SocketAddr::V4(_), false) => (Ipv4Addr::UNSPECIFIED, 0).into(),
        // An IPv4 address in IPv6 clothes needs a socket that is open for both.
        (SocketAddr::V6(v6), true) if v6.ip().to_ipv4_mapped().is_none() => (Ipv6Addr::LOCALHOST, 0).into(),
        (SocketAddr::V6(_), _) => (Ipv6Addr::UNSPECIFIED, 0).into(),
    }
}

/// Closes every connection of the endpoints and waits a moment for the goodbyes to get out.
pub(crate) async fn close(endpoints: Vec<Endpoint>) {
    for endpoint in &endpoints {
        endpoint.close(VarInt::from_u32(0), b"done");
    }
    let idle = async {
        for endpoint in &endpoints {
            endpoint.wait_idle().await;
        }
    };
    let _ = tokio::time::timeout(GOODBYE_WITHIN, idle).await;
}
