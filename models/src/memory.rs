//! What a model takes of the processor's memory at its most: measured, so that a server can tell before it is killed for
//! it. Must not look at the machine.

use crate::{Compute, ModelOptions, manifest::Family};

const MIB: u64 = 1 << 20;

/// Bytes that a model of this family takes at most on the processor, while it is measured or played live. On a card it is
/// the card's own memory, and 0 here.
///
/// Measured with `spleeter-2stems` (all its hops in use, two networks of each) and `htdemucs` (its longest window);
/// README, "Memory".
pub fn most_bytes(family: &Family, options: &ModelOptions) -> u64 {
    match (options.compute, family) {
        (Compute::Cuda(_), _) => 0,
        (Compute::Processor, Family::SpectralUnet(_)) => (300 + 250 * options.workers as u64) * MIB,
        (Compute::Processor, Family::HybridDemucs(settings)) => {
            let columns = settings.windows.last().copied().unwrap_or_default() as u64;
            (200 + 10 * columns) * MIB * options.workers as u64
        }
    }
}
