//! Servers as the window shows them: who is there, how we stand with each, and where pairing has got to. Plain data.

/// One server of the picker.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ServerView {
    /// The fingerprint of its certificate, 64 hexadecimal digits; empty for a server on this computer.
    pub id: String,
    /// What it calls itself; empty if unknown.
    pub name: String,
    /// The first digits of the fingerprint, shown where two have the same name.
    pub short: String,
    /// Where it is, `host:port`; empty if unknown.
    pub address: String,
    /// A few words about it: "2 of 16 playing, spleeter-2stems, htdemucs". May be empty.
    pub note: String,
    /// How we stand with it.
    pub standing: Standing,
    /// Whether it is on the network now.
    pub there: bool,
    /// Whether it is the one the player picked; true of one at most.
    pub picked: bool,
}

/// How we stand with a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Standing {
    /// Never paired with: it wants a code first.
    #[default]
    New,
    /// Paired with.
    Known,
    /// Paired with once; it does not accept us any more.
    Revoked,
    /// On this computer: no pairing is needed.
    ThisMachine,
}

/// Where pairing has got to.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum PairingView {
    /// Nobody is being paired with.
    #[default]
    None,
    /// The server's code is wanted.
    AskCode {
        /// What the server is called.
        server: String,
        /// How many tries its code has left, once one was wrong.
        tries_left: Option<u8>,
        /// What went wrong last, in a sentence.
        problem: Option<String>,
    },
    /// The code is with the server.
    Busy {
        /// What the server is called.
        server: String,
    },
    /// It worked; shown until the owner says `None`.
    Done {
        /// What the server is called.
        server: String,
    },
}

impl PairingView {
    /// Whether a code is wanted or being tried.
    pub(crate) fn is_open(&self) -> bool {
        matches!(self, Self::AskCode { .. } | Self::Busy { .. })
    }
}
