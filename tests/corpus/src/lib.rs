//! What a corpus of sound files is made and judged with: a signal whose truth is known, other people's encoders and
//! decoders, and a comparison in length, lag and residual. The families of files themselves are the tests.
//!
//! The encoders and decoders (flac, lame, mpg123, vorbis-tools, opus-tools, sox, ffmpeg) are installed by
//! `cargo xtask test`. This crate must never be part of a program that ships.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "it is linked into tests alone")]

pub mod bench;
pub mod judge;
pub mod signal;

pub use bench::{Bench, changed, frames};
pub use signal::Signal;
