//! One attempt: from a server's name or identity to an open session.
//!
//! This module must not touch the rings or decide about the next attempt.

use quinn::{Connection, Endpoint, RecvStream, SendStream};
use rehearsekit_protocol::{ClientEvent, ClientSession, Mode, Opened, Refusal, SessionError};
use tokio::time::Instant;

use crate::{LinkConfig, LinkError, reach::Reach, trust::ServerTrust};

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

/// Reaches the configured server and asks it for a session. The endpoints are left in `endpoints`, for the caller to
/// close whether this finishes or is dropped. `start` is the session's zero of time.
pub(crate) async fn dial(
    config: &LinkConfig,
    start: Instant,
    endpoints: &mut Vec<Endpoint>,
) -> Result<Dialled, Failed> {
    let reach = Reach {
        server: &config.server,
        finder: &config.finder,
        expected: config.trust.fingerprint(),
        trust: Some(&config.trust),
        rate_hz: config.open.rate_hz,
        mode: config.open.mode,
    };
    let reached = reach.connect(endpoints).await?;
    open_session(config, reached.connection, start).await
}

/// Hello, Welcome, who this is, Open, Opened.
async fn open_session(
    config: &LinkConfig,
    connection: Connection,
    start: Instant,
) -> Result<Dialled, Failed> {
    let lost = |error: &dyn std::error::Error| LinkError::Lost(error.to_string());
    let (name, open, now) = (&config.client_name, config.open.clone(), start.elapsed());
    let mut session = match &config.trust {
        ServerTrust::Pinned { token: Some(token), .. } => {
            ClientSession::paired(name, token.clone(), open, now)
        }
        // Nobody but a server on this machine is spoken to without one.
        ServerTrust::Pinned { token: None, .. } | ServerTrust::Loopback => {
            ClientSession::new(name, open, now)
        }
    }
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
                ClientEvent::Welcomed { .. } | ClientEvent::Echo { .. } | ClientEvent::Paused(_) => {}
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
