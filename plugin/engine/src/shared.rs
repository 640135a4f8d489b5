//! What the audio thread, the network and the main thread share: atomics, and behind locks only what the audio
//! thread never touches in a live session.

use crate::meters::Meters;

/// One per instance, for its whole life.
#[derive(Debug, Default)]
pub(crate) struct Shared {
    pub(crate) meters: Meters,
}
