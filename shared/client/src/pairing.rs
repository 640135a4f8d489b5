//! Pairs this computer with a server: one connection, one code, and what is worth keeping of it.
//!
//! This module must not keep anything itself (that is `known`), nor ask for a session.

use std::time::Duration;

use quinn::{Connection, Endpoint};
use rehearsekit_protocol::{
    Mode, PairingCode, PairingEvent, PairingSession, Refusal, Token,
    pairing::{Channel, EXPORTER_LABEL},
};
use tokio::time::Instant;

use crate::{
    Fingerprint, LinkError,
    reach::{Finder, Reach, Reached, close},
};

/// A rate for the connection's set-up; no audio goes over it.
const RATE_HZ: u32 = 48_000;

/// With whom, by which code.
#[derive(Debug, Clone)]
pub struct PairRequest {
    /// `HOST:PORT`; may be empty where the finder knows the server.
    pub server: String,
    /// Where it is now, by its identity.
    pub finder: Finder,
    /// The identity that the player picked; `None` for a typed address.
    pub expected: Option<Fingerprint>,
    /// The code that the server shows.
    pub code: PairingCode,
    /// What this client is to be called in the server's list.
    pub name: String,
}

/// A pairing that worked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewPairing {
    /// Whom to believe from now on.
    pub fingerprint: Fingerprint,
    /// What to show it.
    pub token: Token,
    /// What it calls itself.
    pub server_name: String,
    /// Where it answered.
    pub address: String,
}

/// Why there is none.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum PairingFailure {
    /// The server said no; its sentence says why.
    #[error("{0}")]
    Refused(Refusal),
    /// It did not come to an answer, or not to one that can be believed.
    #[error("{0}")]
    Link(#[from] LinkError),
}

/// Pairs. Takes as long as a handshake, or up to ten seconds where somebody does not answer.
///
/// # Errors
/// With a sentence for the player.
pub async fn pair(request: PairRequest) -> Result<NewPairing, PairingFailure> {
    let mut endpoints = Vec::new();
    let result = pair_over(&request, &mut endpoints).await;
    close(endpoints).await;
    result
}

async fn pair_over(
    request: &PairRequest,
    endpoints: &mut Vec<Endpoint>,
) -> Result<NewPairing, PairingFailure> {
    let reach = Reach {
        server: &request.server,
        finder: &request.finder,
        expected: request.expected,
        trust: None,
        rate_hz: RATE_HZ,
        mode: Mode::Reliable,
    };
    let Reached { connection, address, shown } = reach.connect(endpoints).await?;
    match converse(request, &connection).await? {
        PairingEvent::Refused(refusal) => Err(PairingFailure::Refused(refusal)),
        PairingEvent::Paired { server_name, token } => {
            Ok(NewPairing { fingerprint: shown, token, server_name, address: address.to_string() })
        }
    }
}

async fn converse(request: &PairRequest, connection: &Connection) -> Result<PairingEvent, LinkError> {
    let lost = |error: &dyn std::error::Error| LinkError::Lost(error.to_string());
    let mut channel = Channel::default();
    connection
        .export_keying_material(&mut channel, EXPORTER_LABEL, b"")
        .map_err(|_| LinkError::Lost("this connection cannot be told from others".to_owned()))?;
    let start = Instant::now();
    let mut session = PairingSession::new(&request.code, &request.name, channel, Duration::ZERO)
        .map_err(LinkError::Request)?;
    let (mut send, mut recv) = connection.open_bi().await.map_err(|e| lost(&e))?;
    let talk = async {
        let mut buffer = [0; 1_024];
        loop {
            send.write_all(&session.take_outgoing()).await.map_err(|e| lost(&e))?;
            let read = recv.read(&mut buffer).await.map_err(|e| lost(&e))?;
            let length =
                read.ok_or_else(|| LinkError::Lost("the server ended the control stream".to_owned()))?;
            if let Some(event) = session.receive(&buffer[..length])? {
                return Ok(event);
            }
        }
    };
    let deadline = start + rehearsekit_protocol::HANDSHAKE_WITHIN;
    let no_answer = || LinkError::Session(rehearsekit_protocol::SessionError::Handshake);
    tokio::time::timeout_at(deadline, talk).await.unwrap_or_else(|_| Err(no_answer()))
}
