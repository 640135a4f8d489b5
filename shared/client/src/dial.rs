//! One attempt: from a name to an open session.
//!
//! Every attempt has a socket of its own, so that a laptop that slept or changed its network starts clean. This
//! module must not touch the rings or decide about the next attempt.

use std::{
    net::{Ipv4Addr, Ipv6Addr, SocketAddr},
    time::Duration,
};

use quinn::{Connection, Endpoint, RecvStream, SendStream};
use rehearsekit_protocol::{ClientEvent, ClientSession, Mode, Opened, Refusal, SessionError};
use tokio::time::{Instant, timeout};

use crate::{LinkConfig, LinkError, transport::client_config, trust::ServerTrust};

/// A name that does not resolve within this time does not resolve.
const RESOLVE_WITHIN: Duration = Duration::from_secs(5);
/// On a LAN an answer takes milliseconds; the QUIC handshake repeats its packets for this long.
const HANDSHAKE_WITHIN: Duration = Duration::from_secs(2);

/// An open session.
#[derive(Debug)]
pub(crate) struct Dialled {
    pub(crate) connection: Connection,
    pub(crate) session: ClientSession,
    pub(crate) opened: Opened,
    pub(crate) control_send: SendStream,
    pub(crate) control_recv: RecvStream,
}

/// No session.
#[derive(Debug)]
pub(crate) enum Failed {
    Refused(Refusal),
    Error(LinkError),
}

impl<E: Into<LinkError>> From<E> for Failed {
    fn from(error: E) -> Self {
        Self::Error(error.into())
    }
}

/// Tries every address of the configured server until one opens a session or refuses one. The endpoints are
/// left in `endpoints`, for the caller to close whether this finishes or is dropped. `start` is the session's
/// zero of time.
pub(crate) async fn dial(
    config: &LinkConfig,
    start: Instant,
    endpoints: &mut Vec<Endpoint>,
) -> Result<Dialled, Failed> {
    let addresses = resolve(config).await?;
    let mut last = None;
    for address in addresses {
        match dial_address(config, address, start, endpoints).await {
            Err(Failed::Error(error)) => last = Some(error),
            done => return done,
        }
    }
    Err(Failed::Error(last.unwrap_or_else(|| unknown(config, "no address"))))
}

fn unknown(config: &LinkConfig, why: impl ToString) -> LinkError {
    LinkError::Address { server: config.server.clone(), why: why.to_string() }
}

async fn resolve(config: &LinkConfig) -> Result<Vec<SocketAddr>, LinkError> {
    let all: Vec<SocketAddr> = match config.server.parse() {
        Ok(address) => vec![address],
        Err(_) => timeout(RESOLVE_WITHIN, tokio::net::lookup_host(&config.server))
            .await
            .map_err(|_| unknown(config, "the name service does not answer"))?
            .map_err(|error| unknown(config, error))?
            .collect(),
    };
    let allowed: Vec<SocketAddr> = all.iter().copied().filter(|a| config.trust.allows(*a)).collect();
    match (allowed.is_empty(), all.first()) {
        (false, _) => Ok(allowed),
        (true, Some(&address)) => Err(LinkError::NotLoopback { address }),
        (true, None) => Err(unknown(config, "the name has no address")),
    }
}

async fn dial_address(
    config: &LinkConfig,
    address: SocketAddr,
    start: Instant,
    endpoints: &mut Vec<Endpoint>,
) -> Result<Dialled, Failed> {
    let (client, verifier) = client_config(&config.trust, config.open.rate_hz, config.open.mode)?;
    let endpoint = Endpoint::client(local_address(&config.trust, address))
        .map_err(|error| LinkError::Socket(error.to_string()))?;
    endpoints.push(endpoint.clone());
    let unreachable = |why: String| LinkError::Unreachable { address, why };
    // The name is not looked at: certificates here are pinned, not named.
    let connecting =
        endpoint.connect_with(client, address, "rehearsekit").map_err(|e| unreachable(e.to_string()))?;
    let connection = match timeout(HANDSHAKE_WITHIN, connecting).await {
        Ok(Ok(connection)) => connection,
        Ok(Err(error)) => {
            return Err(match verifier.mismatch() {
                Some((expected, got)) => LinkError::Fingerprint { expected, got },
                None => unreachable(error.to_string()),
            }
            .into());
        }
        Err(_) => return Err(unreachable("no answer".to_owned()).into()),
    };
    open_session(config, connection, start).await
}

/// A loopback link binds to loopback: no other machine can even send to its socket.
fn local_address(trust: &ServerTrust, remote: SocketAddr) -> SocketAddr {
    match (remote, *trust == ServerTrust::Loopback) {
        (SocketAddr::V4(_), true) => (Ipv4Addr::LOCALHOST, 0).into(),
        (SocketAddr::V4(_), false) => (Ipv4Addr::UNSPECIFIED, 0).into(),
        // An IPv4 address in IPv6 clothes needs a socket that is open for both.
        (SocketAddr::V6(v6), true) if v6.ip().to_ipv4_mapped().is_none() => (Ipv6Addr::LOCALHOST, 0).into(),
        (SocketAddr::V6(_), _) => (Ipv6Addr::UNSPECIFIED, 0).into(),
    }
}

/// Hello, Welcome, Open, Opened.
async fn open_session(
    config: &LinkConfig,
    connection: Connection,
    start: Instant,
) -> Result<Dialled, Failed> {
    let lost = |error: &dyn std::error::Error| LinkError::Lost(error.to_string());
    let mut session = ClientSession::new(&config.client_name, config.open.clone(), start.elapsed())
        .map_err(LinkError::Request)?;
    let (mut control_send, mut control_recv) = connection.open_bi().await.map_err(|e| lost(&e))?;
    let mut buffer = [0; 4_096];
    loop {
        // A server that grants no flow control must not hang the handshake either.
        let outgoing = session.take_outgoing();
        let read = async {
            control_send.write_all(&outgoing).await.map_err(|e| lost(&e))?;
            control_recv.read(&mut buffer).await.map_err(|e| lost(&e))
        };
        let due = session.next_tick().map_or(start.elapsed(), |due| due);
        let read = match tokio::time::timeout_at(start + due, read).await {
            Ok(read) => read?,
            Err(_) => {
                session.tick(start.elapsed())?;
                return Err(SessionError::Handshake.into());
            }
        };
        let Some(length) = read else {
            return Err(LinkError::Lost("the server ended the control stream".to_owned()).into());
        };
        for event in session.receive(&buffer[..length], start.elapsed())? {
            match event {
                ClientEvent::Welcomed { .. } | ClientEvent::Echo { .. } => {}
                ClientEvent::Refused(refusal) => return Err(Failed::Refused(refusal)),
                ClientEvent::Closing(reason) => return Err(LinkError::ServerClosed(reason).into()),
                ClientEvent::Opened(opened) => {
                    let asked = config.open.budget_frames;
                    if opened.latency_frames != asked {
                        return Err(LinkError::Latency { asked, got: opened.latency_frames }.into());
                    }
                    return Ok(Dialled { connection, session, opened, control_send, control_recv });
                }
            }
        }
    }
}

/// Whether the mode lets audio fall by the wayside.
pub(crate) fn is_live(mode: Mode) -> bool {
    mode == Mode::Live
}
