//! Values of sound: rates, budgets, positions, stems, gains and the sums over them.
//!
//! Everything here is plain data and pure functions. This crate must never do I/O, read a clock, log,
//! spawn, or know about the wire, the models or a plugin.
//!
//! Words (DESIGN §2): a *sample* is one number, a *frame* is one sample per channel; audio is planar
//! `f32`, one `Vec` per channel, full scale ±1.0.

pub mod audio;
pub mod click;
pub mod gain;
pub mod measure;
pub mod overlap_add;
pub mod stems;
pub mod typed;
pub mod units;

pub use audio::Audio;
pub use stems::{StemName, StemSet};
pub use units::{Budget, SampleRate};
