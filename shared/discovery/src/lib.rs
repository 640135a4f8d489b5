//! Servers on the local network: a server announces itself ([`Announcer`]), a client sees who is there
//! ([`Browser`]), and both can say what is wrong when multicast does not get through ([`Trouble`]). Multicast DNS is one
//! way; where its port is taken or multicast is dropped, servers answer a question by broadcast ([`Answerer`]).
//!
//! What is announced is a hint and never proof: anybody on the network can announce anything. Whoever connects must
//! check the server's certificate against the fingerprint. This crate knows no other crate of the house, has no
//! async runtime, and never connects to a server.

mod announcement;
mod announcer;
mod answerer;
mod asker;
mod browser;
mod daemon;
mod probe;
mod roll_call;
mod seen;
mod trouble;

pub use announcement::{Announcement, Load, NotAnAnnouncement};
pub use announcer::{Announcer, CannotAnnounce};
pub use answerer::Answerer;
pub use browser::Browser;
pub use probe::examine;
pub use seen::SeenServer;
pub use trouble::Trouble;

/// The service type in DNS-SD.
pub const SERVICE_TYPE: &str = "_rehearsekit._udp.local.";
