//! Songs in and stems out: decoding the formats people have, writing the files they can use.
//!
//! [`decode`] reads a song whole into memory; [`write`] streams stems to disk block by block and shows them
//! only when all of them are complete. This module must never run a model, know about sessions or print.

pub mod decode;
pub mod flac;
pub mod grid;
mod hidden;
mod mp4_delay;
pub mod place;
pub mod wav;
pub mod write;

pub use decode::{DecodeError, decode};
pub use hidden::abandon;
pub use place::{Inputs, WholeFile};
pub use write::{StemFiles, StemFormat, StemWriter, WriteError, WrittenStem};
