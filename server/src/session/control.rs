//! The control stream of one connection: moves the bytes of the protocol's state machine and tells it the
//! time. What the messages mean is decided there; must not know audio.

use std::time::Duration;

use quinn::{RecvStream, SendStream};
use rehearsekit_protocol::{CloseReason, Half, Opened, Paired, Refusal, ServerEvent, ServerSession};
use tokio::time::{Instant, timeout};

use super::{End, TokenBucket};

/// A client that does not take a few bytes of control for this long reads nothing at all.
const WRITE_WITHIN: Duration = Duration::from_secs(2);
/// How long a goodbye may take to arrive.
const GOODBYE_WITHIN: Duration = Duration::from_millis(500);
/// Control bytes a client may send at once, and per second after that: ten heartbeats a second are 70.
const BURST_BYTES: u64 = 16 * 1024;
const BYTES_PER_SECOND: u64 = 4 * 1024;

/// The bytes that a client may send on its control stream.
pub(super) const fn pace() -> TokenBucket {
    TokenBucket::new(BURST_BYTES, BYTES_PER_SECOND)
}

pub(super) struct Control {
    session: ServerSession,
    send: SendStream,
    recv: RecvStream,
    start: Instant,
    pace: TokenBucket,
    buffer: Box<[u8; 1024]>,
}

impl Control {
    pub(super) fn new(session: ServerSession, streams: (SendStream, RecvStream), start: Instant) -> Self {
        let (send, recv) = streams;
        // Echoes and goodbyes go before any chunk.
        let _ = send.set_priority(1);
        Self { session, send, recv, start, pace: pace(), buffer: Box::new([0; 1024]) }
    }

    /// Time since the connection's start, which is the protocol's and the intake's clock.
    pub(super) fn now(&self) -> Duration {
        self.start.elapsed()
    }

    /// Waits for bytes. Nothing is lost if this is cancelled; hand the result to [`Self::handle`].
    pub(super) async fn read(&mut self) -> Result<usize, End> {
        match self.recv.read(&mut self.buffer[..]).await {
            Ok(Some(count)) => Ok(count),
            Ok(None) => {
                Err(End::Protocol("the client ended the control stream without a goodbye".to_owned()))
            }
            Err(quinn::ReadError::Reset(_)) => {
                Err(End::Protocol("the client reset the control stream".to_owned()))
            }
            Err(error) => Err(End::Gone(error.to_string())),
        }
    }

    /// Takes what [`Self::read`] has read and answers it.
    pub(super) async fn handle(&mut self, count: usize) -> Result<Vec<ServerEvent>, End> {
        let now = self.now();
        if !self.pace.take(count as u64, now) {
            return Err(End::Protocol("the client floods the control stream".to_owned()));
        }
        let events = self.session.receive(&self.buffer[..count], now);
        self.flush().await?;
        events.map_err(End::from)
    }

    pub(super) async fn tick(&mut self) -> Result<(), End> {
        let result = self.session.tick(self.now());
        self.flush().await?;
        result.map_err(End::from)
    }

    /// When [`Self::tick`] has something to do.
    pub(super) fn next_tick(&self) -> Option<Instant> {
        self.session.next_tick().map(|at| self.start + at)
    }

    pub(super) async fn open(&mut self, opened: Opened) -> Result<(), End> {
        self.session.open(opened).map_err(|error| End::Internal(error.to_string()))?;
        self.flush().await
    }

    /// Tells the client that its hops are not taken at present, or are again.
    pub(super) async fn tell_paused(&mut self, paused: bool) -> Result<(), End> {
        self.session.tell_paused(paused);
        self.flush().await
    }

    pub(super) async fn pair_reply(&mut self, half: Half) -> Result<(), End> {
        self.session.pair_reply(half);
        self.flush().await
    }

    /// Hands out a token and waits until it has arrived.
    pub(super) async fn paired(&mut self, paired: Paired) {
        self.session.paired(paired);
        self.goodbye().await;
    }

    /// Says no and waits until it has arrived.
    pub(super) async fn refuse(&mut self, refusal: Refusal) {
        self.session.refuse(refusal);
        self.goodbye().await;
    }

    /// Says why it is over and waits until it has arrived.
    pub(super) async fn close(&mut self, reason: CloseReason) {
        self.session.close(reason);
        self.goodbye().await;
    }

    pub(super) async fn goodbye(&mut self) {
        let all = async {
            self.flush().await.ok()?;
            self.send.finish().ok()?;
            self.send.stopped().await.ok()
        };
        // Whoever does not take it learns it from the closing of the connection.
        let _ = timeout(GOODBYE_WITHIN, all).await;
    }

    async fn flush(&mut self) -> Result<(), End> {
        let bytes = self.session.take_outgoing();
        if bytes.is_empty() {
            return Ok(());
        }
        match timeout(WRITE_WITHIN, self.send.write_all(&bytes)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(End::Gone(error.to_string())),
            Err(_) => Err(End::TooSlow("the client does not read the control stream".to_owned())),
        }
    }
}
