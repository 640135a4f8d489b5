//! The server's end. Must not decide whom to admit or what a plan looks like: it hands the request out and
//! takes the answer in.

use std::{mem, ops::RangeInclusive, time::Duration};

use super::{SessionError, Silence, negotiate};
use crate::{
    BudgetOffer, CLIENT_DEAD_AFTER, ClientMessage, CloseReason, FrameReader, HANDSHAKE_WITHIN, Health,
    MessageError, NEEDS_SINCE_VERSION, OpenRequest, Opened, PROTOCOL_VERSIONS, Refusal, RefusalCode,
    ServerMessage, Token,
    message::{Half, PairProof, PairStart, Paired},
};

/// Clients of earlier versions would stumble over a pause.
const PAUSED_SINCE_VERSION: u16 = 4;

/// What a server's driver has to know.
#[derive(Debug, Clone, PartialEq)]
pub enum ServerEvent {
    /// A client introduced itself and was welcomed.
    Hello {
        /// Who it says it is.
        client_name: String,
        /// The version both speak.
        version: u16,
    },
    /// The client shows this token; what it asks for comes after it.
    Identify(Token),
    /// Answer with [`ServerSession::pair_reply`] or [`ServerSession::refuse`].
    PairStart(PairStart),
    /// Answer with [`ServerSession::paired`] or [`ServerSession::refuse`].
    PairProof(PairProof),
    /// How the open session goes on the client's side.
    Health(Health),
    /// Answer with [`ServerSession::open`] or [`ServerSession::refuse`]. The numbers are within limits.
    Open(OpenRequest),
    /// The client was refused for what it said; the session is over.
    Refused(Refusal),
    /// The client said goodbye; the session is over.
    Closed(CloseReason),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Greeting,
    Welcomed,
    /// The driver has a request for a session, or one end's part of a pairing, and has to answer.
    Deciding(Asked),
    /// The server's half is out.
    Proving,
    Open,
    Over,
}

/// What the driver has to answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Asked {
    Session,
    Half,
    Proof,
}

impl State {
    fn name(self) -> &'static str {
        match self {
            Self::Greeting => "waiting for the hello",
            Self::Welcomed => "waiting for the request",
            Self::Deciding(_) => "deciding on the request",
            Self::Proving => "waiting for the client's proof",
            Self::Open => "in an open session",
            Self::Over => "done",
        }
    }
}

/// The server's end of one control stream.
#[derive(Debug)]
pub struct ServerSession {
    state: State,
    versions: RangeInclusive<u16>,
    /// What both speak, once that is known.
    version: u16,
    /// Tried out when the session is made, so that the welcome cannot fail later.
    server_name: String,
    models: Vec<String>,
    reader: FrameReader,
    outgoing: Vec<u8>,
    started: Duration,
    silence: Silence,
}

impl ServerSession {
    /// A session that waits for a hello. `models`: what is served, the default first. An error if a name
    /// breaks a limit.
    pub fn new(server_name: &str, models: &[String], now: Duration) -> Result<Self, MessageError> {
        Self::speaking(PROTOCOL_VERSIONS, server_name, models, now)
    }

    /// As [`Self::new`], speaking other versions than this build's own.
    pub fn speaking(
        versions: RangeInclusive<u16>,
        server_name: &str,
        models: &[String],
        now: Duration,
    ) -> Result<Self, MessageError> {
        let (server_name, models) = (server_name.to_owned(), models.to_vec());
        let trial =
            ServerMessage::Welcome { version: 0, server_name: server_name.clone(), models: models.clone() };
        trial.encode(&mut Vec::new())?;
        Ok(Self {
            state: State::Greeting,
            versions,
            version: 0,
            server_name,
            models,
            reader: FrameReader::new(),
            outgoing: Vec::new(),
            started: now,
            silence: Silence::new(now, CLIENT_DEAD_AFTER / 3),
        })
    }

    /// Bytes that arrived on the control stream, split anyhow. Ignored once the session is over. Every
    /// heartbeat adds its echo to the outgoing bytes, so write them before reading on.
    pub fn receive(&mut self, bytes: &[u8], now: Duration) -> Result<Vec<ServerEvent>, SessionError> {
        let mut events = Vec::new();
        if self.is_over() {
            return Ok(events);
        }
        self.silence.heard(now);
        self.reader.push(bytes);
        while !self.is_over() {
            match self.next_message() {
                Ok(Some(message)) => match self.handle(message) {
                    Ok(event) => events.extend(event),
                    Err(error) => return Err(self.fail(error)),
                },
                Ok(None) => break,
                Err(error) => return Err(self.fail(error.into())),
            }
        }
        Ok(events)
    }

    fn next_message(&mut self) -> Result<Option<ClientMessage>, MessageError> {
        self.reader.next_frame()?.map(ClientMessage::decode).transpose()
    }

    fn handle(&mut self, message: ClientMessage) -> Result<Option<ServerEvent>, SessionError> {
        Ok(Some(match (message, self.state) {
            (ClientMessage::Hello { min_version, max_version, client_name }, State::Greeting) => {
                let Some(version) = negotiate(&self.versions, &(min_version..=max_version)) else {
                    let (oldest, newest) = (self.versions.start(), self.versions.end());
                    let message = format!(
                        "this server speaks protocol versions {oldest} to {newest}, the client \
                         {min_version} to {max_version}: update the older of the two"
                    );
                    return Ok(Some(self.refused(Refusal::new(RefusalCode::Version, &message, None))));
                };
                let (server_name, models) = (self.server_name.clone(), self.models.clone());
                ServerMessage::Welcome { version, server_name, models }.encode(&mut self.outgoing)?;
                self.state = State::Welcomed;
                self.version = version;
                ServerEvent::Hello { client_name, version }
            }
            (ClientMessage::Open(request), State::Welcomed) => match request.check() {
                Ok(()) => {
                    self.state = State::Deciding(Asked::Session);
                    ServerEvent::Open(request)
                }
                Err(error) => self.refused(Refusal::new(RefusalCode::BadRequest, &error.to_string(), None)),
            },
            (ClientMessage::Identify(token), State::Welcomed) => ServerEvent::Identify(token),
            (ClientMessage::PairStart(start), State::Welcomed) => {
                self.state = State::Deciding(Asked::Half);
                ServerEvent::PairStart(start)
            }
            (ClientMessage::PairProof(proof), State::Proving) => {
                self.state = State::Deciding(Asked::Proof);
                ServerEvent::PairProof(proof)
            }
            (ClientMessage::Health(health), State::Open) => ServerEvent::Health(health),
            (ClientMessage::Heartbeat { sequence }, state) if state != State::Greeting => {
                ServerMessage::HeartbeatEcho { sequence }.encode(&mut self.outgoing)?;
                return Ok(None);
            }
            (ClientMessage::Close { reason }, _) => {
                self.state = State::Over;
                ServerEvent::Closed(reason)
            }
            (ClientMessage::Hello { .. }, _) => return Err(self.unexpected("a hello")),
            (ClientMessage::Open(_), _) => return Err(self.unexpected("a request for a session")),
            (ClientMessage::Heartbeat { .. }, _) => return Err(self.unexpected("a heartbeat")),
            (ClientMessage::Identify(_), _) => return Err(self.unexpected("a token")),
            (ClientMessage::PairStart(_), _) => return Err(self.unexpected("the beginning of a pairing")),
            (ClientMessage::PairProof(_), _) => return Err(self.unexpected("a proof of a pairing")),
            (ClientMessage::Health(_), _) => return Err(self.unexpected("its health")),
        }))
    }

    /// Grants the request. An error (and nothing sent) if `opened` breaks a limit; ignored unless a
    /// request waits for its answer.
    pub fn open(&mut self, mut opened: Opened) -> Result<(), MessageError> {
        if self.state == State::Deciding(Asked::Session) {
            self.keep_to_version(&mut opened.offers);
            ServerMessage::Opened(opened).encode(&mut self.outgoing)?;
            self.state = State::Open;
        }
        Ok(())
    }

    /// Tells the client of an open session that it waits, or no longer; an early one would not understand it.
    pub fn tell_paused(&mut self, paused: bool) {
        if self.state == State::Open && self.version >= PAUSED_SINCE_VERSION {
            // Its length is fixed, so there is no error to tell.
            let _ = ServerMessage::Paused { paused }.encode(&mut self.outgoing);
        }
    }

    /// Goes on with a pairing; ignored unless a PairStart waits for its answer.
    pub fn pair_reply(&mut self, half: Half) {
        self.answer(Asked::Half, ServerMessage::PairReply(half), State::Proving);
    }

    /// Ends a pairing that worked; the session is over. Ignored unless a proof waits for its answer.
    pub fn paired(&mut self, paired: Paired) {
        self.answer(Asked::Proof, ServerMessage::Paired(paired), State::Over);
    }

    fn answer(&mut self, asked: Asked, message: ServerMessage, next: State) {
        if self.state == State::Deciding(asked) {
            // The lengths of both messages are fixed, so there is no error to tell.
            let _ = message.encode(&mut self.outgoing);
            self.state = next;
        }
    }

    /// Leaves out what a client of an earlier version would stumble over.
    fn keep_to_version(&self, offers: &mut [BudgetOffer]) {
        if self.version < NEEDS_SINCE_VERSION {
            offers.iter_mut().for_each(|offer| offer.need_frames = None);
        }
    }

    /// Says no, at any time before a session is open; the session is over.
    pub fn refuse(&mut self, refusal: Refusal) {
        if !matches!(self.state, State::Open | State::Over) {
            self.refused(refusal);
        }
    }

    fn refused(&mut self, refusal: Refusal) -> ServerEvent {
        // Cut again in case the fields were set by hand; then it always fits, without its offers at the latest.
        let plain = Refusal::new(refusal.code, &refusal.message, refusal.smallest_budget_frames);
        let mut refusal = Refusal { offers: refusal.offers, ..plain.clone() };
        self.keep_to_version(&mut refusal.offers);
        if ServerMessage::Refused(refusal.clone()).encode(&mut self.outgoing).is_err() {
            refusal = plain;
            let _ = ServerMessage::Refused(refusal.clone()).encode(&mut self.outgoing);
        }
        self.state = State::Over;
        ServerEvent::Refused(refusal)
    }

    /// Finds out whether the client is still there.
    pub fn tick(&mut self, now: Duration) -> Result<(), SessionError> {
        match self.state {
            State::Over => Ok(()),
            State::Open => {
                let silent = self.silence.look(now);
                if silent < CLIENT_DEAD_AFTER { Ok(()) } else { Err(self.fail(SessionError::Silent(silent))) }
            }
            // How long deciding takes is the server's own affair; the client has its own limit.
            State::Deciding(_) => Ok(()),
            State::Greeting | State::Welcomed | State::Proving => {
                let waited = now.saturating_sub(self.started);
                if waited < HANDSHAKE_WITHIN { Ok(()) } else { Err(self.fail(SessionError::Handshake)) }
            }
        }
    }

    /// The latest moment for the next [`Self::tick`]; `None` when there is nothing to wait for.
    pub fn next_tick(&self) -> Option<Duration> {
        match self.state {
            State::Over | State::Deciding(_) => None,
            State::Greeting | State::Welcomed | State::Proving => Some(self.started + HANDSHAKE_WITHIN),
            // In thirds, because a longer stretch between two looks counts as no more than that.
            State::Open => {
                let soon = self.silence.last + self.silence.cap;
                Some(self.silence.ends(CLIENT_DEAD_AFTER).min(soon))
            }
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
            let _ = ServerMessage::Closing { reason }.encode(&mut self.outgoing);
        }
    }

    /// Whether audio may flow.
    pub fn is_open(&self) -> bool {
        self.state == State::Open
    }

    /// Whether nothing more will come of this session.
    pub fn is_over(&self) -> bool {
        self.state == State::Over
    }

    fn unexpected(&self, message: &'static str) -> SessionError {
        SessionError::Unexpected { message, state: self.state.name() }
    }

    fn fail(&mut self, error: SessionError) -> SessionError {
        self.close(error.reason());
        error
    }
}
