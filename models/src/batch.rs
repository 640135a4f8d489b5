//! One run of a network for the hops of several streams.
//!
//! Who runs when, and with whom, is a scheduler's business; nothing is decided or kept here.

use std::{sync::Arc, time::Duration};

use crate::{
    families::{self, NetworkPool},
    pipeline::LivePipeline,
    runtime::RuntimeError,
};

/// Says whose hops one network can run together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct BatchKey(usize);

impl BatchKey {
    /// The key of streams that run on the networks of `pool`; as good as the pool lives.
    pub(crate) fn of(pool: &Arc<NetworkPool>) -> Option<Self> {
        pool.has_batch_axis().then(|| Self(Arc::as_ptr(pool).addr()))
    }
}

/// Runs the inference that each of `streams` needs ([`LivePipeline::prepare`] said so), all in one, on a network that
/// is free or after waiting for one. Each stream gets the same as if it were alone, to the rounding of its
/// arithmetic. Returns the time spent in inference, which is also each stream's.
///
/// # Errors
/// [`RuntimeError::Batch`] when several have not equal keys; or what the run failed with. No stream is completed then.
pub fn run(streams: &mut [&mut LivePipeline]) -> Result<Duration, RuntimeError> {
    let mut parts: Vec<_> = streams.iter_mut().map(|stream| stream.live().parts()).collect();
    let spent = families::infer(&mut parts)?;
    streams.iter_mut().for_each(|stream| stream.live().complete(spent));
    Ok(spent)
}
