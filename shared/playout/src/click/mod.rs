//! The click: a metronome on the beats of the *heard* audio, to the frame.
//!
//! A host tells its transport for the frame that goes in; that frame is heard a latency later. So the transport is
//! remembered by position (`map`), and when the output has come to that position, its beats are clicked (`track`).
//! Allocates nothing after [`ClickTrack::new`]; must not know of parameters, windows or files.

mod map;
mod track;
mod voices;

pub use track::{ClickTrack, HeardBeat, OwnSounds};
