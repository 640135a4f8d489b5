//! The client's end of a control stream on which it pairs. Must not know where the code came from, nor keep the token.

use std::{mem, time::Duration};

use super::SessionError;
use crate::{
    ClientMessage, FrameReader, HANDSHAKE_WITHIN, LAN_VERSIONS, MessageError, PairingCode, Refusal,
    ServerMessage, Token,
    pairing::{Channel, ClientPairing, ClientProven},
};

/// How a pairing ends.
#[derive(Debug, Clone, PartialEq)]
pub enum PairingEvent {
    /// The server knows this client from now on.
    Paired {
        /// Who the server is.
        server_name: String,
        /// What to show it from now on.
        token: Token,
    },
    /// The server said no.
    Refused(Refusal),
}

enum State {
    Greeting(ClientPairing),
    Started { server_name: String, pairing: ClientPairing },
    Proven { server_name: String, proven: ClientProven },
    Over,
}

impl State {
    fn name(&self) -> &'static str {
        match self {
            Self::Greeting(_) => "waiting for the welcome",
            Self::Started { .. } => "waiting for the other half",
            Self::Proven { .. } => "waiting for the proof",
            Self::Over => "done",
        }
    }
}

/// One attempt to pair. Make a new one for every connection.
pub struct PairingSession {
    state: State,
    reader: FrameReader,
    outgoing: Vec<u8>,
    deadline: Duration,
}

impl PairingSession {
    /// An attempt that greets at once. `name`: what the client is to be called in the server's list; `channel`: what
    /// TLS exports on this connection. An error if the name breaks a limit.
    pub fn new(
        code: &PairingCode,
        name: &str,
        channel: Channel,
        now: Duration,
    ) -> Result<Self, MessageError> {
        let pairing = ClientPairing::new(code, name, channel);
        let (min_version, max_version) = (*LAN_VERSIONS.start(), *LAN_VERSIONS.end());
        let mut outgoing = Vec::new();
        ClientMessage::Hello { min_version, max_version, client_name: name.to_owned() }
            .encode(&mut outgoing)?;
        Ok(Self {
            state: State::Greeting(pairing),
            reader: FrameReader::new(),
            outgoing,
            deadline: now + HANDSHAKE_WITHIN,
        })
    }

    /// Bytes that arrived on the control stream, split anyhow. After an end, or an error, nothing is read any more.
    pub fn receive(&mut self, bytes: &[u8]) -> Result<Option<PairingEvent>, SessionError> {
        self.reader.push(bytes);
        loop {
            let state = mem::replace(&mut self.state, State::Over);
            if matches!(state, State::Over) {
                return Ok(None);
            }
            let Some(frame) = self.reader.next_frame()? else {
                self.state = state;
                return Ok(None);
            };
            match (ServerMessage::decode(frame)?, state) {
                (ServerMessage::Refused(refusal), _) => return Ok(Some(PairingEvent::Refused(refusal))),
                (ServerMessage::Welcome { version, server_name, .. }, State::Greeting(pairing)) => {
                    if !LAN_VERSIONS.contains(&version) {
                        return Err(SessionError::Version(version));
                    }
                    ClientMessage::PairStart(pairing.start().clone()).encode(&mut self.outgoing)?;
                    self.state = State::Started { server_name, pairing };
                }
                (ServerMessage::PairReply(half), State::Started { server_name, pairing }) => {
                    let (proven, proof) = pairing.prove(&half)?;
                    ClientMessage::PairProof(proof).encode(&mut self.outgoing)?;
                    self.state = State::Proven { server_name, proven };
                }
                (ServerMessage::Paired(paired), State::Proven { server_name, proven }) => {
                    proven.check(&paired.proof)?;
                    return Ok(Some(PairingEvent::Paired { server_name, token: paired.token }));
                }
                (_, state) => {
                    return Err(SessionError::Unexpected {
                        message: "a message that has no place in a pairing",
                        state: state.name(),
                    });
                }
            }
        }
    }

    /// The bytes to write to the control stream now.
    pub fn take_outgoing(&mut self) -> Vec<u8> {
        mem::take(&mut self.outgoing)
    }

    /// When a server that has not answered by then is not going to.
    pub fn deadline(&self) -> Duration {
        self.deadline
    }
}
