//! Songs in and stems out: decoding the formats people have, writing the files they can use.
//!
//! [`Song`] reads a song block by block, from a file or a pipe, and [`decode`] reads it whole into memory; [`write`]
//! streams stems to disk block by block and shows them only when all of them are complete. Which formats these are,
//! and what each promises, stands in `docs/formats.md`. This crate must never run a model, know about sessions or
//! print.
//!
//! Containers are read by ourselves, decoders are other people's: every byte of a song is accounted for only where
//! the reader of the container never trusts an estimate.

mod adts;
mod aiff;
mod caf;
mod codec;
pub mod decode;
pub mod error;
pub mod ffmpeg;
pub mod flac;
mod flac_frames;
mod flac_song;
pub mod grid;
mod mkv;
mod mp4;
mod mpeg;
mod ogg_pages;
mod ogg_song;
mod pcm;
mod riff;
mod sniff;
pub mod song;
mod source;
mod stream;
mod table;
pub mod tags;
pub mod wav;
pub mod write;

pub use decode::decode;
pub use error::DecodeError;
pub use song::{Song, read_tags};
pub use tags::{Cover, Tags};
pub use write::{StemFormat, StemWriter, WriteError, WrittenStem};
