//! Which client is known to the server by which address. Must not look at datagrams.

use std::{
    collections::HashMap,
    net::{SocketAddr, UdpSocket},
    sync::Arc,
};

use super::{Inner, LOOK, own_ip};

/// More are not let through.
const MOST: usize = 64;

/// Clients by their address at the proxy, each with a socket that the server takes for the client.
#[derive(Debug, Default)]
pub(super) struct Clients(HashMap<SocketAddr, Option<Arc<UdpSocket>>>);

impl Clients {
    /// The socket of this client; a new one where it has none, with a thread that listens on it. `None` where there are
    /// too many already.
    pub(super) fn known_or_new(&mut self, client: SocketAddr, inner: &Arc<Inner>) -> Option<Arc<UdpSocket>> {
        let room = self.0.len() < MOST;
        if !room && !self.0.contains_key(&client) {
            return None;
        }
        let entry = self.0.entry(client).or_default();
        if entry.is_none() {
            let back = Arc::new(UdpSocket::bind((own_ip(inner.server, false), 0)).ok()?);
            back.set_read_timeout(Some(LOOK)).ok()?;
            *entry = Some(Arc::clone(&back));
            let (inner, listened) = (Arc::clone(inner), Arc::clone(&back));
            // Ends by itself a moment after the address is forgotten or the proxy is over.
            std::thread::spawn(move || inner.receive_from_server(client, &listened));
        }
        entry.clone()
    }

    /// Whether the server still knows this client by this socket.
    pub(super) fn is_current(&self, client: SocketAddr, back: &Arc<UdpSocket>) -> bool {
        matches!(self.0.get(&client), Some(Some(current)) if Arc::ptr_eq(current, back))
    }

    /// Forgets all addresses; how many there were.
    pub(super) fn forget_addresses(&mut self) -> u64 {
        self.0.values_mut().filter_map(Option::take).count() as u64
    }
}
