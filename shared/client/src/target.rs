//! Which server is meant by what somebody wrote, or left open. Pure; must not look for it.

use std::net::SocketAddr;

use crate::{Fingerprint, KnownServer, ServerTrust};

/// Where a server on this computer listens if nobody said otherwise.
pub const DEFAULT_SERVER: &str = "127.0.0.1:7433";

/// The server that is meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// One that this computer is paired with.
    Known {
        /// What is known of it.
        server: KnownServer,
        /// Where it may be, `HOST:PORT`, unless it announces itself elsewhere.
        address: String,
    },
    /// One that it is not paired with.
    Other {
        /// `HOST:PORT`; empty where only the identity is known.
        server: String,
        /// The identity, if one was picked.
        fingerprint: Option<Fingerprint>,
    },
}

impl Target {
    /// Who is meant by `written` (an address, or the name of a paired server) and `fingerprint` (an identity that was
    /// picked), to a computer that is paired with `known`, the usual one first.
    ///
    /// Where nothing is said, the usual paired server is meant, and without one a server on this computer: a server that
    /// nobody has paired with is never picked by itself.
    pub fn of(written: Option<&str>, fingerprint: Option<Fingerprint>, known: &[KnownServer]) -> Self {
        let written = written.map(str::trim).filter(|server| !server.is_empty());
        let server = match (fingerprint, written) {
            (Some(fingerprint), _) => known.iter().find(|server| server.fingerprint == fingerprint),
            (None, Some(text)) => known.iter().find(|server| server.address == text || server.name == text),
            (None, None) => known.first(),
        };
        match server {
            Some(server) => Self::Known {
                server: server.clone(),
                address: written.filter(|text| *text != server.name).unwrap_or(&server.address).to_owned(),
            },
            None => {
                let nothing = if fingerprint.is_some() { "" } else { DEFAULT_SERVER };
                Self::Other { server: written.unwrap_or(nothing).to_owned(), fingerprint }
            }
        }
    }

    /// Whom to believe, and what to show.
    pub fn trust(&self) -> ServerTrust {
        match self {
            Self::Known { server, .. } => server.trust(),
            Self::Other { fingerprint: Some(fingerprint), .. } => {
                ServerTrust::Pinned { fingerprint: *fingerprint, token: None }
            }
            Self::Other { fingerprint: None, .. } => ServerTrust::Loopback,
        }
    }

    /// What is written: where it may be.
    pub fn address(&self) -> &str {
        match self {
            Self::Known { address, .. } => address,
            Self::Other { server, .. } => server,
        }
    }

    /// The identity, if one is meant.
    pub fn fingerprint(&self) -> Option<Fingerprint> {
        match self {
            Self::Known { server, .. } => Some(server.fingerprint),
            Self::Other { fingerprint, .. } => *fingerprint,
        }
    }

    /// Whether a code is needed before anything can be played: another machine that this one is not paired with.
    pub fn wants_code(&self) -> bool {
        match self {
            Self::Known { .. } => false,
            // Names are looked up when it is tried; "localhost" is the one that is loopback everywhere.
            Self::Other { server, .. } => match server.parse::<SocketAddr>() {
                Ok(address) => !address.ip().to_canonical().is_loopback(),
                Err(_) => !server.starts_with("localhost:"),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rehearsekit_protocol::Token;

    fn known(number: u8, name: &str) -> KnownServer {
        KnownServer {
            fingerprint: Fingerprint([number; 32]),
            name: name.to_owned(),
            token: Token([number; 32]),
            address: format!("10.0.0.{number}:7433"),
            paired_as: "laptop".to_owned(),
            used_at: 0,
        }
    }

    #[test]
    fn what_was_said_counts_and_otherwise_the_usual_paired_server() {
        let both = [known(1, "closet"), known(2, "attic")];
        let at = |server: Option<&str>, identity: Option<u8>, known: &[KnownServer]| {
            let target = Target::of(server, identity.map(|number| Fingerprint([number; 32])), known);
            (target.fingerprint().map(|f| f.0[0]), target.address().to_owned(), target.wants_code())
        };
        let told =
            |identity: Option<u8>, address: &str, wants_code| (identity, address.to_owned(), wants_code);
        assert_eq!(at(None, None, &[]), told(None, DEFAULT_SERVER, false));
        assert_eq!(at(Some("  "), None, &both), told(Some(1), "10.0.0.1:7433", false));
        assert_eq!(at(None, Some(2), &both), told(Some(2), "10.0.0.2:7433", false));
        assert_eq!(at(Some("10.9.9.9:7433"), Some(2), &both), told(Some(2), "10.9.9.9:7433", false));
        assert_eq!(at(Some("attic"), None, &both), told(Some(2), "10.0.0.2:7433", false));
        assert_eq!(at(Some("10.0.0.2:7433"), None, &both), told(Some(2), "10.0.0.2:7433", false));
        // A stranger, by address or by identity, is spoken to after pairing only.
        assert_eq!(at(Some("10.0.0.3:7433"), None, &both), told(None, "10.0.0.3:7433", true));
        assert_eq!(at(Some("10.0.0.3:7433"), Some(3), &both), told(Some(3), "10.0.0.3:7433", true));
        assert_eq!(at(None, Some(3), &both), told(Some(3), "", true));
        assert_eq!(at(Some("127.0.0.1:7433"), None, &both), told(None, "127.0.0.1:7433", false));
        assert_eq!(at(Some("localhost:7433"), None, &both), told(None, "localhost:7433", false));
    }
}
