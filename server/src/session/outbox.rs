//! Chunks of stems on their way to the client: one stream each, in live mode given up when the player can
//! no longer use it, in reliable mode never. Must not know where chunks come from.

use std::time::Duration;

use quinn::Connection;
use tokio::{
    task::JoinSet,
    time::{Instant, timeout_at},
};

/// Chunks under way beyond which a reliable session makes no more.
const RELIABLE_PENDING: usize = 32;
/// Chunks under way beyond which a live session gives up new ones at once.
const LIVE_PENDING: usize = 1024;
/// A live client that has taken nothing for so long, while this many chunks ran out, reads nothing.
const LIVE_STALL: Duration = Duration::from_secs(3);
const LIVE_STALL_CHUNKS: u32 = 4;
/// Blocked chunks further apart than this have nothing to do with each other.
const LIVE_STALL_GAP: Duration = Duration::from_secs(2);
/// A chunk that had less time than this before its deadline tells nothing about the client.
const FAIR: Duration = Duration::from_millis(20);
/// A reliable client may stop reading for a while: a bounce can be paused.
const RELIABLE_STALL: Duration = Duration::from_secs(30);

/// How a chunk fared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sent {
    Delivered,
    /// Its deadline passed first; `blocked` when the client would not even take it off our hands.
    Late {
        blocked: bool,
    },
    /// The connection is gone, or the client did not want this one.
    Gone,
}

pub(super) struct Outbox {
    connection: Connection,
    reliable: bool,
    sends: JoinSet<Sent>,
    sequence: u32,
    /// Reliable: since when nothing was delivered although something was there.
    waiting_since: Option<Instant>,
    /// Live: the first and last of the blocked chunks in a row, and how many.
    blocked: Option<(Instant, Instant, u32)>,
}

impl Outbox {
    pub(super) fn new(connection: Connection, reliable: bool) -> Self {
        Self { connection, reliable, sends: JoinSet::new(), sequence: 0, waiting_since: None, blocked: None }
    }

    /// Numbers the packets of this connection from 0.
    pub(super) fn next_sequence(&mut self) -> u32 {
        let sequence = self.sequence;
        self.sequence = self.sequence.wrapping_add(1);
        sequence
    }

    /// Whether making more chunks should wait.
    pub(super) fn is_full(&self) -> bool {
        self.reliable && self.sends.len() >= RELIABLE_PENDING
    }

    /// Sends one packet; `due` is when the player has no more use for it.
    pub(super) fn send(&mut self, bytes: Vec<u8>, due: Instant) {
        let due = (!self.reliable).then_some(due);
        if due.is_some() && self.sends.len() >= LIVE_PENDING {
            self.sends.spawn(async { Sent::Late { blocked: true } });
            return;
        }
        self.waiting_since.get_or_insert_with(Instant::now);
        self.sends.spawn(deliver(self.connection.clone(), bytes, due));
    }

    /// Waits for a chunk to arrive or to be given up; for ever if none is under way. May be cancelled.
    pub(super) async fn next(&mut self) -> Sent {
        let sent = match self.sends.join_next().await {
            Some(Ok(sent)) => sent,
            Some(Err(_)) => Sent::Gone,
            None => std::future::pending().await,
        };
        let now = Instant::now();
        match sent {
            Sent::Delivered => {
                self.blocked = None;
                self.waiting_since = (!self.sends.is_empty()).then_some(now);
            }
            Sent::Late { blocked: true } => {
                let (first, _, count) =
                    self.blocked.filter(|(_, last, _)| now - *last < LIVE_STALL_GAP).unwrap_or((now, now, 0));
                self.blocked = Some((first, now, count + 1));
            }
            Sent::Late { blocked: false } | Sent::Gone => {}
        }
        sent
    }

    /// Whether the client takes nothing at all.
    pub(super) fn is_stalled(&self) -> bool {
        if self.reliable {
            return self.waiting_since.is_some_and(|since| since.elapsed() >= RELIABLE_STALL);
        }
        self.blocked
            .is_some_and(|(first, last, count)| last - first >= LIVE_STALL && count >= LIVE_STALL_CHUNKS)
    }
}

async fn deliver(connection: Connection, bytes: Vec<u8>, due: Option<Instant>) -> Sent {
    let start = Instant::now();
    // Reliable chunks have a deadline too far away to ever matter.
    let due = due.unwrap_or(start + Duration::from_secs(86_400 * 365));
    let late = |taken: bool| Sent::Late { blocked: !taken && due - start >= FAIR };
    let mut stream = match timeout_at(due, connection.open_uni()).await {
        Ok(Ok(stream)) => stream,
        Ok(Err(_)) => return Sent::Gone,
        Err(_) => return late(false),
    };
    let mut taken = false;
    let delivery = async {
        stream.write_all(&bytes).await.ok()?;
        stream.finish().ok()?;
        taken = true;
        stream.stopped().await.ok()
    };
    match timeout_at(due, delivery).await {
        Ok(Some(None)) => Sent::Delivered,
        Ok(_) => Sent::Gone,
        Err(_) => {
            // Frees what still waits in the send buffer; an error means that it has just arrived.
            let _ = stream.reset(0u8.into());
            late(taken)
        }
    }
}
