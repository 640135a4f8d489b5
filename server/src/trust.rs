//! Who may come in: peers on this machine, and clients that are paired. The running server's view of
//! `DATA/identity`, which is read again whenever it has changed. Must not know what sessions or pages do.

use std::{
    net::IpAddr,
    path::Path,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use rehearsekit_protocol::{Refusal, RefusalCode, Token};
use tokio::sync::watch;

use crate::{
    clients::{self, Belongs, Client, ClientBook},
    pairing::Reception,
    private::{PrivateError, Stamp},
    quic::Life,
    state::Shared,
};

/// How often the server looks whether somebody was paired or shut out, or a code is shown.
const LOOK: Duration = Duration::from_millis(500);

/// Which peers are on this machine and need no pairing. It can only be made narrower than what is true: nothing
/// makes another machine near.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Nearness {
    /// Loopback.
    Loopback,
    /// This address of loopback alone, so that tests can play another machine from the next.
    Only(IpAddr),
}

impl Nearness {
    pub(crate) fn is_near(self, address: IpAddr) -> bool {
        // An IPv4 peer of a socket that takes both is written as IPv6.
        let address = address.to_canonical();
        address.is_loopback()
            && match self {
                Self::Loopback => true,
                Self::Only(near) => address == near,
            }
    }
}

/// Who is paired, as this server knows it, and who may come in without.
pub(crate) struct Trust {
    nearness: Nearness,
    server_name: String,
    book: ClientBook,
    /// Of the file whose content is in `known`, and what last went wrong with reading it.
    read: Mutex<(Option<Stamp>, Option<String>)>,
    known: watch::Sender<Arc<Vec<Client>>>,
    pub(crate) reception: Reception,
}

/// A paired client that is here.
#[derive(Debug, Clone)]
pub(crate) struct Visitor {
    pub(crate) id: String,
    pub(crate) name: String,
    known: watch::Receiver<Arc<Vec<Client>>>,
}

impl Visitor {
    /// Waits until it is shut out. May be cancelled.
    pub(crate) async fn shut_out(&mut self) {
        let id = &self.id;
        let is_out = |clients: &Arc<Vec<Client>>| !clients.iter().any(|c| c.id == *id && c.is_paired());
        if self.known.wait_for(is_out).await.is_err() {
            // The server itself is gone, which others tell.
            std::future::pending().await
        }
    }
}

impl Trust {
    /// Reads everything once: files that others can read, or that are damaged, are an error.
    pub(crate) fn open(
        data: &Path,
        server_name: &str,
        nearness: Nearness,
        link: std::net::SocketAddr,
    ) -> Result<Self, PrivateError> {
        let book = ClientBook::of(data);
        let stamp = book.stamp();
        let known = book.read()?;
        let reception = Reception::new(data, server_name, link);
        reception.desk().check()?;
        Ok(Self {
            nearness,
            server_name: server_name.to_owned(),
            book,
            read: Mutex::new((Some(stamp), None)),
            known: watch::Sender::new(Arc::new(known)),
            reception,
        })
    }

    pub(crate) fn is_near(&self, address: IpAddr) -> bool {
        self.nearness.is_near(address)
    }

    /// Clients that are paired now.
    pub(crate) fn paired(&self) -> usize {
        self.known.borrow().iter().filter(|client| client.is_paired()).count()
    }

    /// Reads the list again if it has changed. One that cannot be read leaves those in who were, and is told once:
    /// a rehearsal must not end because somebody edits a file. Reads files.
    pub(crate) fn refresh(&self) {
        let mut read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        let stamp = self.book.stamp();
        if read.0.as_ref() == Some(&stamp) {
            return;
        }
        match self.book.read() {
            Ok(clients) => {
                *read = (Some(stamp), None);
                self.known.send_replace(Arc::new(clients));
            }
            Err(error) => {
                let error = error.to_string();
                if read.1.as_ref() != Some(&error) {
                    tracing::error!("the list of clients stays as it was: {error}");
                }
                *read = (None, Some(error));
            }
        }
    }

    /// Who shows this token. Reads files.
    pub(crate) fn identify(&self, token: &Token) -> Result<Visitor, Refusal> {
        self.refresh();
        let known = self.known.subscribe();
        let clients = known.borrow().clone();
        match clients::who(&clients, token) {
            Belongs::To(client) => Ok(Visitor { id: client.id.clone(), name: client.name.clone(), known }),
            Belongs::Revoked(client) => {
                let words = format!(
                    "{} has shut out '{}'; to come in again, run `rehearsekit pair` on it and type the code",
                    self.server_name, client.name
                );
                Err(Refusal::new(RefusalCode::Revoked, &words, None))
            }
            Belongs::ToNobody => Err(self.not_paired()),
        }
    }

    /// The no for who shows no token, or a strange one.
    pub(crate) fn not_paired(&self) -> Refusal {
        let name = &self.server_name;
        let words = format!(
            "{name} does not know this computer yet: run `rehearsekit pair` on {name} and type the code it shows"
        );
        Refusal::new(RefusalCode::NotPaired, &words, None)
    }
}

/// Looks after the files until `life` is over.
pub(crate) async fn watch(shared: Arc<Shared>, mut life: watch::Receiver<Life>) {
    let mut told = None;
    loop {
        tokio::select! {
            () = tokio::time::sleep(LOOK) => {}
            () = Life::over(&mut life) => return,
        }
        let looking = shared.clone();
        let looked = tokio::task::spawn_blocking(move || {
            looking.trust.refresh();
            looking.trust.reception.look()
        });
        let error =
            looked.await.map_err(|error| error.to_string()).and_then(|r| r.map_err(|e| e.to_string()));
        let error = error.err();
        if error != told {
            if let Some(error) = &error {
                tracing::error!("pairing does not work: {error}");
            }
            told = error;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_machine_is_near_however_it_is_written_and_nothing_else_is() {
        let near = |nearness: Nearness, text: &str| nearness.is_near(text.parse().unwrap());
        let one = Nearness::Only(IpAddr::from([127, 0, 0, 1]));
        for text in ["127.0.0.1", "::ffff:127.0.0.1"] {
            assert!(near(Nearness::Loopback, text) && near(one, text), "{text}");
        }
        for text in ["127.0.0.2", "::1", "::ffff:127.8.8.8"] {
            assert!(near(Nearness::Loopback, text) && !near(one, text), "{text}");
        }
        for text in ["0.0.0.0", "::", "10.0.0.1", "192.168.1.2", "::ffff:10.0.0.1", "fe80::1", "::127.0.0.1"]
        {
            assert!(!near(Nearness::Loopback, text) && !near(one, text), "{text}");
        }
        assert!(!near(Nearness::Only(IpAddr::from([10, 0, 0, 1])), "10.0.0.1"), "never another machine");
    }
}
