//! The client's end. Must not decide whether to connect again: that is the driver's business.

use std::{collections::VecDeque, mem, ops::RangeInclusive, time::Duration};

use super::{SessionError, Silence};
use crate::{
    ClientMessage, CloseReason, FrameReader, HANDSHAKE_WITHIN, HEARTBEAT_INTERVAL, Health, LAN_VERSIONS,
    MessageError, Mode, OFFERS_SINCE_VERSION, OpenRequest, Opened, PROTOCOL_VERSIONS,
    RELIABLE_SERVER_DEAD_AFTER, Refusal, SERVER_DEAD_AFTER, ServerMessage, Token,
};

/// What a client's driver has to know.
#[derive(Debug, Clone, PartialEq)]
pub enum ClientEvent {
    /// The server greeted; the Open is already on its way.
    Welcomed {
        /// The version both speak.
        version: u16,
        /// Who the server is.
        server_name: String,
        /// The models it serves, the default first.
        models: Vec<String>,
    },
    /// The session is open: audio may flow.
    Opened(Opened),
    /// The server said no; the session is over.
    Refused(Refusal),
    /// A heartbeat came back.
    Echo {
        /// Which one.
        sequence: u32,
        /// How long it took there and back.
        round_trip: Duration,
    },
    /// The server is too slow for all of its sessions at present, and this one waits; or no longer.
    Paused(bool),
    /// The server said goodbye; the session is over.
    Closing(CloseReason),
}

#[derive(Debug)]
enum State {
    Greeting { open: OpenRequest },
    Opening,
    Open(Box<Opened>),
    Over,
}

impl State {
    fn name(&self) -> &'static str {
        match self {
            Self::Greeting { .. } => "waiting for the welcome",
            Self::Opening => "waiting for the session",
            Self::Open(_) => "in an open session",
            Self::Over => "done",
        }
    }
}

/// The client's end of one control stream. Make a new one for every connection.
#[derive(Debug)]
pub struct ClientSession {
    state: State,
    versions: RangeInclusive<u16>,
    /// What is shown to a server on another machine.
    token: Option<Token>,
    /// What both speak, once that is known.
    version: u16,
    reader: FrameReader,
    outgoing: Vec<u8>,
    started: Duration,
    silence: Silence,
    /// How long the server may say nothing.
    dead_after: Duration,
    next_heartbeat: Duration,
    next_sequence: u32,
    /// Heartbeats without an echo yet, oldest first: sequence and moment of sending.
    unanswered: VecDeque<(u32, Duration)>,
}

impl ClientSession {
    /// A session that greets at once, with a server on this machine. An error if a name or a number of the request
    /// breaks a limit.
    pub fn new(client_name: &str, open: OpenRequest, now: Duration) -> Result<Self, MessageError> {
        Self::speaking(PROTOCOL_VERSIONS, client_name, open, now)
    }

    /// As [`Self::new`], with a server on another machine, which wants to see `token`.
    pub fn paired(
        client_name: &str,
        token: Token,
        open: OpenRequest,
        now: Duration,
    ) -> Result<Self, MessageError> {
        Ok(Self { token: Some(token), ..Self::speaking(LAN_VERSIONS, client_name, open, now)? })
    }

    /// As [`Self::new`], offering other versions than this build's own.
    pub fn speaking(
        versions: RangeInclusive<u16>,
        client_name: &str,
        open: OpenRequest,
        now: Duration,
    ) -> Result<Self, MessageError> {
        open.check()?;
        // Encoded once to see that it can be: the real one goes out after the welcome.
        ClientMessage::Open(open.clone()).encode(&mut Vec::new())?;
        let mut outgoing = Vec::new();
        let (min_version, max_version) = (*versions.start(), *versions.end());
        let hello = ClientMessage::Hello { min_version, max_version, client_name: client_name.to_owned() };
        hello.encode(&mut outgoing)?;
        let dead_after = match open.mode {
            Mode::Live => SERVER_DEAD_AFTER,
            Mode::Reliable => RELIABLE_SERVER_DEAD_AFTER,
        };
        Ok(Self {
            state: State::Greeting { open },
            versions,
            token: None,
            version: 0,
            reader: FrameReader::new(),
            outgoing,
            started: now,
            silence: Silence::new(now, 2 * HEARTBEAT_INTERVAL),
            dead_after,
            next_heartbeat: now,
            next_sequence: 0,
            unanswered: VecDeque::new(),
        })
    }

    /// Bytes that arrived on the control stream, split anyhow. Ignored once the session is over.
    pub fn receive(&mut self, bytes: &[u8], now: Duration) -> Result<Vec<ClientEvent>, SessionError> {
        let mut events = Vec::new();
        if self.is_over() {
            return Ok(events);
        }
        self.reader.push(bytes);
        while !self.is_over() {
            match self.next_event(now) {
                Ok(Some(event)) => events.push(event),
                Ok(None) => break,
                Err(error) => return Err(self.fail(error)),
            }
        }
        Ok(events)
    }

    fn next_event(&mut self, now: Duration) -> Result<Option<ClientEvent>, SessionError> {
        let Some(frame) = self.reader.next_frame()? else { return Ok(None) };
        let message = ServerMessage::decode(frame)?;
        Ok(Some(match (message, &mut self.state) {
            (ServerMessage::Welcome { version, server_name, models }, State::Greeting { open }) => {
                if !self.versions.contains(&version) {
                    return Err(SessionError::Version(version));
                }
                self.version = version;
                if let Some(token) = self.token.take() {
                    ClientMessage::Identify(token).encode(&mut self.outgoing)?;
                }
                let mut open = open.clone();
                if version < OFFERS_SINCE_VERSION {
                    open.wanted_offers_frames.clear();
                }
                ClientMessage::Open(open).encode(&mut self.outgoing)?;
                self.state = State::Opening;
                ClientEvent::Welcomed { version, server_name, models }
            }
            (ServerMessage::Opened(opened), State::Opening) => {
                self.state = State::Open(Box::new(opened.clone()));
                self.silence.heard(now);
                self.next_heartbeat = now;
                ClientEvent::Opened(opened)
            }
            (ServerMessage::Refused(refusal), State::Greeting { .. } | State::Opening) => {
                self.state = State::Over;
                ClientEvent::Refused(refusal)
            }
            (ServerMessage::HeartbeatEcho { sequence }, State::Open(_)) => {
                self.silence.heard(now);
                // Echoes come in order on one stream; whatever is older than this one was never answered.
                let Some(found) = self.unanswered.iter().position(|&(sent, _)| sent == sequence) else {
                    return Err(self.unexpected("an echo of a heartbeat that was never sent"));
                };
                let sent = self.unanswered.drain(..=found).next_back().map_or(now, |(_, at)| at);
                ClientEvent::Echo { sequence, round_trip: now.saturating_sub(sent) }
            }
            (ServerMessage::Paused { paused }, State::Open(_)) => ClientEvent::Paused(paused),
            (ServerMessage::Closing { reason }, _) => {
                self.state = State::Over;
                ClientEvent::Closing(reason)
            }
            (ServerMessage::PairReply(_) | ServerMessage::Paired(_), _) => {
                return Err(self.unexpected("an answer to a pairing"));
            }
            (ServerMessage::Welcome { .. }, _) => return Err(self.unexpected("a welcome")),
            (ServerMessage::Opened(_), _) => return Err(self.unexpected("an opened session")),
            (ServerMessage::Refused(_), _) => return Err(self.unexpected("a refusal")),
            (ServerMessage::HeartbeatEcho { .. }, _) => return Err(self.unexpected("a heartbeat's echo")),
            (ServerMessage::Paused { .. }, _) => return Err(self.unexpected("a pause")),
        }))
    }

    /// Sends the heartbeat that is due and finds out whether the server is still there. Read what has
    /// arrived first: an echo that lies unread is no silence.
    pub fn tick(&mut self, now: Duration) -> Result<(), SessionError> {
        match &self.state {
            State::Over => Ok(()),
            State::Greeting { .. } | State::Opening => {
                if now.saturating_sub(self.started) < HANDSHAKE_WITHIN {
                    Ok(())
                } else {
                    Err(self.fail(SessionError::Handshake))
                }
            }
            State::Open(_) => {
                let silent = self.silence.look(now);
                if silent >= self.dead_after {
                    return Err(self.fail(SessionError::Silent(silent)));
                }
                if now >= self.next_heartbeat {
                    let sequence = self.next_sequence;
                    self.next_sequence = sequence.wrapping_add(1);
                    ClientMessage::Heartbeat { sequence }.encode(&mut self.outgoing)?;
                    self.unanswered.push_back((sequence, now));
                    // From now, not from when it was due: a stall is not made up for by a burst.
                    self.next_heartbeat = now + HEARTBEAT_INTERVAL;
                }
                Ok(())
            }
        }
    }

    /// Tells the server how the session goes; call it each [`crate::HEALTH_INTERVAL`]. Nothing is sent before a session is
    /// open, or to a server that would not understand it.
    pub fn report(&mut self, health: Health) {
        if matches!(self.state, State::Open(_)) && LAN_VERSIONS.contains(&self.version) {
            // Its length is fixed, so there is no error to tell.
            let _ = ClientMessage::Health(health).encode(&mut self.outgoing);
        }
    }

    /// The latest moment for the next [`Self::tick`]; `None` when the session is over.
    pub fn next_tick(&self) -> Option<Duration> {
        match self.state {
            State::Over => None,
            State::Greeting { .. } | State::Opening => Some(self.started + HANDSHAKE_WITHIN),
            State::Open(_) => Some(self.next_heartbeat.min(self.silence.ends(self.dead_after))),
        }
    }

    /// The bytes to write to the control stream now.
    pub fn take_outgoing(&mut self) -> Vec<u8> {
        mem::take(&mut self.outgoing)
    }

    /// Says goodbye; nothing is read any more.
    pub fn close(&mut self, reason: CloseReason) {
        if !self.is_over() {
            self.state = State::Over;
            // Two bytes always fit, so there is no error to tell.
            let _ = ClientMessage::Close { reason }.encode(&mut self.outgoing);
        }
    }

    /// What the server granted, while the session is open.
    pub fn opened(&self) -> Option<&Opened> {
        match &self.state {
            State::Open(opened) => Some(opened),
            _ => None,
        }
    }

    /// Whether nothing more will come of this session.
    pub fn is_over(&self) -> bool {
        matches!(self.state, State::Over)
    }

    fn unexpected(&self, message: &'static str) -> SessionError {
        SessionError::Unexpected { message, state: self.state.name() }
    }

    fn fail(&mut self, error: SessionError) -> SessionError {
        self.close(error.reason());
        error
    }
}
