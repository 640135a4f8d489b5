//! Families of models: what turns the newest hop of audio, and the context it has seen, into stems.
//!
//! A family is a [`Kernel`]: it keeps one stream's context and runs one inference per hop. It knows nothing of
//! rates, sessions or the sum rule; [`crate::live::Live`] drives it.

pub mod hybrid;
pub mod unet;

use std::{
    sync::{Condvar, Mutex, PoisonError},
    time::{Duration, Instant},
};

use rehearsekit_audio::overlap_add::OverlapAdd;

use crate::runtime::{Network, RuntimeError};

/// One stream through one model. All positions are frames at the model's rate since [`Kernel::start`].
pub trait Kernel: Send {
    /// New frames per inference.
    fn hop_frames(&self) -> usize;

    /// How far the finished output stays behind what was pushed, right after a hop. The algorithmic latency is
    /// `hop_frames + delay_frames`.
    fn delay_frames(&self) -> usize;

    /// Forgets all context: the next frame is frame 0, with nothing before it.
    fn start(&mut self);

    /// Takes exactly `hop_frames` new frames of the stereo mix and adds what it now knows of the wanted stems
    /// to `stems` (channels 2·i and 2·i + 1 are the i-th wanted stem). Returns the time spent in inference.
    fn hop(&mut self, mix: [&[f32]; 2], stems: &mut OverlapAdd) -> Result<Duration, RuntimeError>;

    /// Takes a hop's frames as context, without an inference: what it would have added is missing.
    fn skip(&mut self, mix: [&[f32]; 2]);

    /// Frames beyond the finished ones to which a hop adds: what a skipped one leaves incomplete there.
    fn tail_frames(&self) -> usize;
}

/// Identical networks, taken by one worker at a time. Runs wait for a free one.
pub struct NetworkPool {
    free: Mutex<Vec<Network>>,
    returned: Condvar,
}

impl NetworkPool {
    /// A pool of the given networks, at least one.
    pub fn new(networks: Vec<Network>) -> Self {
        Self { free: Mutex::new(networks), returned: Condvar::new() }
    }

    /// Runs `work` with a network, and says how long the work took without the wait for it.
    pub fn with<T>(
        &self,
        work: impl FnOnce(&mut Network) -> Result<T, RuntimeError>,
    ) -> Result<(T, Duration), RuntimeError> {
        let mut free = self.free.lock().unwrap_or_else(PoisonError::into_inner);
        let mut lent = loop {
            match free.pop() {
                Some(network) => break Lent { pool: self, network: Some(network) },
                None => free = self.returned.wait(free).unwrap_or_else(PoisonError::into_inner),
            }
        };
        drop(free);
        let started = Instant::now();
        let network = lent.network.as_mut().ok_or_else(|| RuntimeError::Run {
            name: "pool".to_owned(),
            reason: "a lent network is gone".to_owned(),
        })?;
        Ok((work(network)?, started.elapsed()))
    }
}

/// Gives the network back whatever happens to the work, also a panic.
struct Lent<'a> {
    pool: &'a NetworkPool,
    network: Option<Network>,
}

impl Drop for Lent<'_> {
    fn drop(&mut self) {
        if let Some(network) = self.network.take() {
            self.pool.free.lock().unwrap_or_else(PoisonError::into_inner).push(network);
            self.pool.returned.notify_one();
        }
    }
}

/// The index that stands in for `index` when a run is reflected at both its ends, as often as it takes:
/// `first..=last` is real, 1 beyond an edge is 1 before it.
pub(crate) fn reflect(index: i64, first: i64, last: i64) -> i64 {
    let span = last - first;
    if span <= 0 {
        return first;
    }
    let folded = (index - first).rem_euclid(2 * span);
    first + if folded > span { 2 * span - folded } else { folded }
}

#[cfg(test)]
mod tests {
    use super::reflect;

    #[test]
    fn reflection_bounces_between_the_ends() {
        let got: Vec<i64> = (-4..=8).map(|i| reflect(i, 0, 3)).collect();
        assert_eq!(got, [2, 3, 2, 1, 0, 1, 2, 3, 2, 1, 0, 1, 2]);
        assert_eq!(reflect(-17, 5, 5), 5);
    }
}
