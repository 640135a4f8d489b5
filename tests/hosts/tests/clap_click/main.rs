//! The click of the CLAP in a host with a tempo map: on its beats in the heard audio, to the frame, whatever the blocks
//! and however the map is told; from a tempo of the player's own; and in the host's pre-roll. What is true is said by
//! an oracle that knows the song and nothing of the plugin. There is no server.
#![allow(clippy::unwrap_used, reason = "a test that cannot set itself up has failed")]

mod own_tempo;
/// The true tempo map of a song: the one that judges the click's own tests.
#[path = "../../../../shared/playout/tests/click/song.rs"]
mod song;
mod sound;
mod stage;
mod tempo_map;
