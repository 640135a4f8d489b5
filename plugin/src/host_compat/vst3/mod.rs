//! VST3: our own factory and class around nice-plug's `Wrapper`. The class forwards what is right and decides by
//! itself what is not; see the table in `host_compat`.

mod audio;
mod class;
mod controller;
pub mod entry;
mod factory;
mod handler;
mod process;
mod queries;
mod stream;

#[cfg(test)]
mod tests;

pub use factory::get_plugin_factory;

use vst3::Steinberg::Vst::{BusDirections_, SpeakerArr, SpeakerArrangement};

/// The bindings give enumerations different integer types per platform; hosts pass `i32`.
#[allow(clippy::unnecessary_cast)]
mod numbers {
    use super::*;
    pub(super) const INPUT: i32 = BusDirections_::kInput as i32;
    pub(super) const OUTPUT: i32 = BusDirections_::kOutput as i32;
    pub(super) const EMPTY: SpeakerArrangement = SpeakerArr::kEmpty;
    pub(super) const MONO: SpeakerArrangement = SpeakerArr::kMono;
    pub(super) const STEREO: SpeakerArrangement = SpeakerArr::kStereo;
}
