//! The separation server as a library: listeners, a configuration and a shutdown in, sessions served until
//! it is over. [`run`] is the whole of it; the parts are told apart below.
//!
//! The way of the audio: `quic` lets a connection in, `session` talks to it and orders its packets, `admission` finds
//! it room, `workers` run the pipeline that `engine` opened, and the chunks go back through the session. [`http`] only watches.
//! This crate must never print, parse a command line, or end the process.

mod admission;
mod announce;
pub mod backup;
pub mod capacity;
pub mod clients;
pub mod config;
pub mod data_dir;
pub mod engine;
mod guests;
mod hex;
pub mod http;
pub mod identity;
pub mod layout;
pub mod memory;
pub mod metrics;
pub mod pairing;
pub mod private;
mod quic;
mod serve;
mod session;
mod state;
mod token_bucket;
mod trust;
mod watchdog;
pub mod workers;

pub use serve::{Event, Listeners, ServeError, run, run_with};
