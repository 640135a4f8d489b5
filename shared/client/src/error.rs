//! What can go wrong with a link, each with a sentence that says what to do.

use std::{net::SocketAddr, time::Duration};

use rehearsekit_protocol::{CloseReason, MessageError, PacketError, SessionError};

use crate::{transport::TlsError, trust::Fingerprint};

/// Why there is no session, or no longer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LinkError {
    /// The address is no address, or its name is not known.
    #[error("cannot find '{server}' ({why}); write the server as HOST:PORT")]
    Address {
        /// As configured.
        server: String,
        /// What the resolver said.
        why: String,
    },
    /// A server elsewhere is only spoken to after pairing.
    #[error(
        "{address} is another machine, and this computer is not paired with it: run `rehearsekit pair` there and type the code here"
    )]
    NotPaired {
        /// Where it would have gone.
        address: SocketAddr,
    },
    /// The server is known by its identity alone, and nobody announces that.
    #[error(
        "the server does not announce itself in this network; is it running, and in the same network? Else type its address"
    )]
    NotFound,
    /// Somebody else answers there.
    #[error(
        "another server answers there: it shows the certificate {}…, but {}… is expected; nothing was sent. If the server was set up anew, pair again", short(.got), short(.expected)
    )]
    Fingerprint {
        /// What is pinned.
        expected: Fingerprint,
        /// What was shown.
        got: Fingerprint,
    },
    /// TLS itself.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// No UDP socket.
    #[error("cannot open a UDP socket ({0}); a firewall or a sandbox may forbid it")]
    Socket(String),
    /// Nobody answers, or not as a RehearseKit server does.
    #[error("no RehearseKit server answers at {address} ({why}); is it running there?")]
    Unreachable {
        /// Where.
        address: SocketAddr,
        /// What QUIC said.
        why: String,
    },
    /// This side asks for something that cannot be asked for.
    #[error("the request for a session makes no sense: {0}")]
    Request(MessageError),
    /// The control stream broke off: silence, or something that is not our protocol.
    #[error("{0}")]
    Session(#[from] SessionError),
    /// The server opened a session with another latency than the one that was asked for.
    #[error(
        "the server granted {got} frames of latency instead of {asked}; it breaks its contract, please report this"
    )]
    Latency {
        /// The budget.
        asked: u32,
        /// What it made of it.
        got: u32,
    },
    /// A stream from the server that is no packet.
    #[error("the server sent what is no chunk of stems: {0}")]
    Garbage(#[from] PacketError),
    /// A packet that this session has no use for.
    #[error("the server sent a chunk that does not belong to this session: {0}")]
    WrongChunk(String),
    /// The server said goodbye.
    #[error("the server closed the session ({})", sentence(*.0))]
    ServerClosed(CloseReason),
    /// The connection is gone.
    #[error("the connection broke: {0}")]
    Lost(String),
    /// The audio side's positions went backwards.
    #[error("positions went back from {expected} to {got}; they must count up as long as a link lives")]
    Rewound {
        /// The position that would have been next.
        expected: u64,
        /// The one that came.
        got: u64,
    },
    /// Reliable mode: something is missing now, and nothing may be.
    #[error("an offline render lost its server and would have holes; start it again ({0})")]
    Interrupted(Box<LinkError>),
}

/// What an error means for the next attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Next {
    /// Soon, with growing waits.
    Backoff,
    /// Something has to be changed by a person first: look again only now and then.
    After(Duration),
    /// Never by itself.
    Never,
}

impl LinkError {
    pub(crate) fn next(&self) -> Next {
        match self {
            Self::Fingerprint { .. } => Next::After(Duration::from_secs(5)),
            Self::NotPaired { .. } | Self::Request(_) | Self::Tls(_) | Self::Interrupted(_) => Next::Never,
            _ => Next::Backoff,
        }
    }
}

/// What people compare of a fingerprint.
fn short(fingerprint: &Fingerprint) -> String {
    fingerprint.to_string()[..8].to_owned()
}

fn sentence(reason: CloseReason) -> &'static str {
    match reason {
        CloseReason::ClientDone => "it took this client for done",
        CloseReason::ServerShutdown => "it is shutting down",
        CloseReason::ProtocolError => "it did not understand this client; are both of the same version?",
        CloseReason::TooSlow => "this client was too slow for it",
        CloseReason::Silent => "it heard nothing from this client",
        CloseReason::Internal => "something failed there; look at its log",
        CloseReason::Revoked => "its owner has shut this client out; it has to pair again",
    }
}
