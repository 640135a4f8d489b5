//! The network client: a mix goes out over QUIC, stems come in, both through rtrb rings.
//!
//! [`connect`] returns at once and everything happens in the background of the caller's tokio runtime: finding
//! the server, agreeing on a session, cutting the mix into packets, giving up what is too late, reconnecting.
//! The audio thread sees two rings and nothing else; the main thread sees a [`Link`], none of whose functions
//! waits for the network.
//!
//! This crate must not play out, bridge or mix anything (that is `playout`), must not read audio files, and
//! must never make a caller wait. What arrives is not trusted: it ends the session with a typed error, and the
//! link tries again.

mod account;
pub mod backoff;
pub mod congestion;
#[cfg(test)]
mod day;
mod dial;
mod downstream;
mod error;
pub mod known;
mod link;
pub mod offers;
pub mod pairing;
pub mod rates;
mod reach;
mod recommend;
mod scrub;
mod sender;
mod shadow;
pub mod stats;
mod streaming;
mod supervisor;
mod target;
mod transport;
pub mod trust;
mod upstream;

pub use error::LinkError;
pub use known::{KnownError, KnownServer, KnownServers};
pub use link::{Link, LinkConfig, LinkEnd, LinkRemote, LinkState, connect};
pub use offers::{BudgetOffer, LINK_ALLOWANCE, STANDARD_BUDGETS_MILLIS};
pub use pairing::{NewPairing, PairRequest, PairingFailure, pair};
pub use rates::Decimation;
pub use reach::Finder;
pub use recommend::{Recommendation, Situation, recommend, would_hold};
pub use rehearsekit_protocol::{
    OpenRequest, Opened, PairingCode, PairingCodeError, Refusal, RefusalCode, Token,
};
pub use scrub::Scrub;
pub use shadow::{ShadowBuffer, ShadowFigures};
pub use stats::{LinkStats, LinkTimes, Percentiles};
pub use target::{DEFAULT_SERVER, Target};
pub use transport::TlsError;
pub use trust::{Fingerprint, FingerprintError, ServerTrust};
