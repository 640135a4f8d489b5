//! Families of models: what turns the newest hop of audio, and the context it has seen, into stems.
//!
//! A family is a [`Kernel`]: it keeps one stream's context, and says what the network is to be given at each hop.
//! It runs nothing itself, so that whoever drives it may run several streams' hops at once ([`infer`]). It knows
//! nothing of rates, sessions or the sum rule; [`crate::live::Live`] drives it.

pub mod hybrid;
pub mod unet;

use std::{
    sync::{Arc, Condvar, Mutex, PoisonError},
    time::{Duration, Instant},
};

use rehearsekit_audio::overlap_add::OverlapAdd;

use crate::runtime::{Feed, Network, RuntimeError};

/// One stream through one model. All positions are frames at the model's rate since [`Kernel::start`].
pub trait Kernel: Send {
    /// New frames per inference.
    fn hop_frames(&self) -> usize;

    /// How far the finished output stays behind what was pushed, right after a hop. The algorithmic latency is
    /// `hop_frames + delay_frames`.
    fn delay_frames(&self) -> usize;

    /// Forgets all context: the next frame is frame 0, with nothing before it.
    fn start(&mut self);

    /// Takes exactly `hop_frames` new frames of the stereo mix. Whether an inference is needed: there is none in a
    /// pause. [`Kernel::complete`] comes before the next hop either way.
    fn prepare(&mut self, mix: [&[f32]; 2]) -> bool;

    /// Frames beyond the finished ones to which a hop adds: what is missing there when one had no inference.
    fn tail_frames(&self) -> usize;

    /// The networks that may run this stream's hops. The same for the kernel's whole life.
    fn pool(&self) -> &Arc<NetworkPool>;

    /// What the network is given for the hop that was prepared, at a batch of one.
    fn inputs(&self) -> Vec<Feed<'_>>;

    /// Adds what is now known of the wanted stems to `stems` (channels 2·i and 2·i + 1 are the i-th wanted stem).
    /// `outputs` are the network's for this stream's inputs; none where no inference was needed.
    fn complete(&mut self, outputs: &[&[f32]], stems: &mut OverlapAdd);
}

/// A prepared kernel, and where what it finds is added.
pub type Prepared<'a> = (&'a mut dyn Kernel, &'a mut OverlapAdd);

/// Runs one network for all of `streams`, each prepared and in need of an inference, and completes their hops.
/// Returns the time spent in inference.
///
/// # Errors
/// [`RuntimeError::Batch`] when several have not the same pool, or its networks have no batch axis; or what the
/// run failed with. Then no stream is completed.
pub fn infer(streams: &mut [Prepared<'_>]) -> Result<Duration, RuntimeError> {
    let Some((first, _)) = streams.first() else { return Ok(Duration::ZERO) };
    let (pool, count) = (first.pool().clone(), streams.len());
    let together = |(kernel, _): &Prepared<'_>| Arc::ptr_eq(kernel.pool(), &pool);
    if count > 1 && !(pool.has_batch_axis() && streams.iter().all(together)) {
        return Err(RuntimeError::Batch);
    }
    pool.with(|network| {
        let started = Instant::now();
        let outputs = if count == 1 {
            network.run(&streams[0].0.inputs())?
        } else {
            let joined = joined_inputs(streams);
            let feeds: Vec<Feed<'_>> = joined.iter().map(|(n, s, d)| (n.as_str(), &s[..], &d[..])).collect();
            network.run(&feeds)?
        };
        let (spent, outputs) = (started.elapsed(), outputs.slices()?);
        for (index, (kernel, stems)) in streams.iter_mut().enumerate() {
            let own = outputs.iter().map(|all| &all[all.len() / count * index..][..all.len() / count]);
            kernel.complete(&own.collect::<Vec<_>>(), stems);
        }
        Ok(spent)
    })
}

/// One whole hop of one stream. Returns the time spent in inference.
///
/// # Errors
/// What the run failed with.
pub fn hop(
    kernel: &mut dyn Kernel,
    mix: [&[f32]; 2],
    stems: &mut OverlapAdd,
) -> Result<Duration, RuntimeError> {
    if kernel.prepare(mix) {
        return infer(&mut [(kernel, stems)]);
    }
    kernel.complete(&[], stems);
    Ok(Duration::ZERO)
}

/// Each input of all streams, one behind the other.
fn joined_inputs(streams: &[Prepared<'_>]) -> Vec<(String, Vec<usize>, Vec<f32>)> {
    let mut joined: Vec<(String, Vec<usize>, Vec<f32>)> = Vec::new();
    for (kernel, _) in streams {
        for (index, (name, shape, data)) in kernel.inputs().into_iter().enumerate() {
            match joined.get_mut(index) {
                None => joined.push((name.to_owned(), shape.to_vec(), data.to_vec())),
                Some((_, all_shape, all_data)) => {
                    all_shape[0] += shape[0];
                    all_data.extend_from_slice(data);
                }
            }
        }
    }
    joined
}

/// Identical networks, taken by one worker at a time. Runs wait for a free one.
pub struct NetworkPool {
    batched: bool,
    free: Mutex<Vec<Network>>,
    returned: Condvar,
}

impl NetworkPool {
    /// A pool of the given networks, at least one.
    pub fn new(networks: Vec<Network>) -> Self {
        let batched = networks.iter().all(Network::has_batch_axis);
        Self { batched, free: Mutex::new(networks), returned: Condvar::new() }
    }

    /// Whether one run may take several streams.
    pub fn has_batch_axis(&self) -> bool {
        self.batched
    }

    /// Runs `work` with a network, after waiting for one.
    pub fn with<T>(
        &self,
        work: impl FnOnce(&mut Network) -> Result<T, RuntimeError>,
    ) -> Result<T, RuntimeError> {
        let mut free = self.free.lock().unwrap_or_else(PoisonError::into_inner);
        let mut lent = loop {
            match free.pop() {
                Some(network) => break Lent { pool: self, network: Some(network) },
                None => free = self.returned.wait(free).unwrap_or_else(PoisonError::into_inner),
            }
        };
        drop(free);
        let network = lent.network.as_mut().ok_or_else(|| RuntimeError::Run {
            name: "pool".to_owned(),
            reason: "a lent network is gone".to_owned(),
        })?;
        work(network)
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
