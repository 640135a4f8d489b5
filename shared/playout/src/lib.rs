//! Playout: what came back from the server, laid into its slots by position and played at a latency that
//! never moves, together with the mix it was made from.
//!
//! This crate is for the audio thread. After [`Playout::new`] nothing here may allocate, lock, wait, log,
//! make a system call or panic; its only clock is the audio callback. It knows no network, no file and no
//! thread: slots arrive by [`Playout::push_slot`] or out of an rtrb ring, faults are counted in atomics.
//!
//! *Slots*: positions are cut into slots of [`SLOT_FRAMES`] frames on a fixed grid. Playout decides one
//! slot ahead whether a slot is there, complete; so it can fade the stems out *before* a hole and in after
//! it, and its output does not depend on the order of arrival nor on how the host cuts its blocks.
//!
//! *Bridging*: over a hole the stem that closes the sum carries the mix and the others are silent, the
//! main output carries the mix at the largest effective gain.
//!
//! *Lanes*: a playout for one model ([`Playout::new`]) has a lane for each of its stems. One that takes any model
//! ([`Playout::for_any_model`]) has six named ones ([`layout`]), reads from every slot which lanes it fills, and
//! goes from one model to another as over a hole.

pub mod click;
pub mod counters;
pub mod gains;
pub mod layout;
pub mod levels;
mod playout;
mod render;
pub mod slots;
mod store;

pub use click::{ClickTrack, HeardBeat, OwnSounds};
pub use counters::{PlayoutCounters, PlayoutCounts};
pub use gains::{Part, StemGains};
pub use layout::Layout;
pub use levels::Peaks;
pub use playout::{Placed, Playout, PlayoutConfig};
pub use slots::{MixSlot, StemSlot};

/// Frames of a slot: what playout decides about at once, and the length of every cross-fade.
pub const SLOT_FRAMES: usize = 64;
/// Most channels a slot of stems carries: left and right of all stems but the closing one.
pub const MAX_TRAVELLING_CHANNELS: usize = 2 * (rehearsekit_audio::StemSet::MAX - 1);
