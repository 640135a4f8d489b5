//! The plugin's engine and a server, together over real sockets: what an offline render gives, to the bit, and
//! what a live session sounds like while the server is killed, stalled, slowed and restarted.
//!
//! What is exact is tested with real Spleeter weights from `REHEARSEKIT_DATA` (which `cargo xtask test` prepares).
//! Where the server's death is the point, its engine is one whose stems are known to the bit.

#![allow(clippy::unwrap_used, reason = "in a test a panic is the report")]

mod exact;
mod links;
mod meeting;
mod trouble;
