//! The two ends of a control stream as state machines: handshake, negotiation, heartbeats, goodbyes.
//!
//! A driver (a QUIC task, a test) moves the bytes and tells the time; these decide what the bytes mean and
//! which come next. They must never wait, read a clock or keep audio. After every call write what
//! `take_outgoing` gives; call `tick` no later than `next_tick` says. An `Err` is the end of the session:
//! its goodbye is already among the outgoing bytes.
//!
//! ```text
//! client                         server
//! Hello(min, max)  ───────────▶
//!                  ◀───────────  Welcome(version)      or Refused(Version)
//! Open(request)    ───────────▶
//!                  ◀───────────  Opened(plan)          or Refused(why, smallest budget)
//! Heartbeat(n)     ───────────▶                        each 100 ms
//!                  ◀───────────  HeartbeatEcho(n)
//! Close            ───────────▶  or  ◀──  Closing
//! ```
//!
//! With another machine only [`crate::LAN_VERSIONS`] are spoken; there the client sends Identify(token) before Open,
//! or pairs in the place of Open, as [`crate::pairing`] draws it. From version 3 on it tells its Health now and then.

mod client;
mod pairing;
mod server;

pub use client::{ClientEvent, ClientSession};
pub use pairing::{PairingEvent, PairingSession};
pub use server::{ServerEvent, ServerSession};

use std::{ops::RangeInclusive, time::Duration};

use crate::{CloseReason, MessageError, pairing::PairingError};

/// Why a session has ended on this side.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SessionError {
    /// What arrived is no message.
    #[error("the other end broke the protocol: {0}")]
    Message(#[from] MessageError),
    /// A message that has no place where the session stands.
    #[error("the other end sent {message} while this end was {state}")]
    Unexpected {
        /// Which message.
        message: &'static str,
        /// Where the session stood.
        state: &'static str,
    },
    /// The server chose a version it was not offered.
    #[error(
        "the server answers in version {0} of the protocol, which was not offered: it is too old for this client, or somebody sits between; update it"
    )]
    Version(u16),
    /// The other end's part of a pairing is wrong.
    #[error(
        "{}", match .0 {
            PairingError::WrongCode => "whoever answers there does not know this code: type it again, and look whether it is the right server",
            PairingError::Intercepted => "somebody sits between this computer and the server and pretends to be it; nothing was paired: look who else is in this network",
        }
    )]
    Pairing(#[from] PairingError),
    /// No session after [`crate::HANDSHAKE_WITHIN`].
    #[error("no session was opened within {} s", crate::HANDSHAKE_WITHIN.as_secs())]
    Handshake,
    /// Nothing was heard for too long.
    #[error("nothing was heard from the other end for {} ms", .0.as_millis())]
    Silent(Duration),
}

impl SessionError {
    /// What the other end is told.
    pub fn reason(&self) -> CloseReason {
        match self {
            Self::Message(_) | Self::Unexpected { .. } | Self::Version(_) | Self::Pairing(_) => {
                CloseReason::ProtocolError
            }
            Self::Handshake => CloseReason::TooSlow,
            Self::Silent(_) => CloseReason::Silent,
        }
    }
}

/// The newest version in both ranges.
pub fn negotiate(ours: &RangeInclusive<u16>, theirs: &RangeInclusive<u16>) -> Option<u16> {
    let newest = *ours.end().min(theirs.end());
    (ours.contains(&newest) && theirs.contains(&newest)).then_some(newest)
}

/// How long nothing was heard, counting only time in which this end was awake to listen: a process that
/// was suspended, or a machine that stalled, must not take its own absence for the other's.
#[derive(Debug, Clone)]
struct Silence {
    counted: Duration,
    last: Duration,
    /// A longer stretch between two looks counts as this much.
    cap: Duration,
}

impl Silence {
    fn new(now: Duration, cap: Duration) -> Self {
        Self { counted: Duration::ZERO, last: now, cap }
    }

    fn heard(&mut self, now: Duration) {
        self.counted = Duration::ZERO;
        self.last = self.last.max(now);
    }

    fn look(&mut self, now: Duration) -> Duration {
        self.counted += now.saturating_sub(self.last).min(self.cap);
        self.last = self.last.max(now);
        self.counted
    }

    /// When `limit` will be reached if nothing is heard.
    fn ends(&self, limit: Duration) -> Duration {
        self.last + limit.saturating_sub(self.counted)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_common_version_is_chosen() {
        assert_eq!(negotiate(&(1..=3), &(2..=5)), Some(3));
        assert_eq!(negotiate(&(2..=5), &(1..=3)), Some(3));
        assert_eq!(negotiate(&(1..=1), &(2..=9)), None);
        assert_eq!(negotiate(&(4..=9), &(1..=3)), None);
        #[expect(clippy::reversed_empty_ranges, reason = "a client may send nonsense")]
        let nonsense = 9..=1;
        assert_eq!(negotiate(&(1..=9), &nonsense), None);
    }
}
