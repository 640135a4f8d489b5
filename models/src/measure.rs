//! What hops of a model take on this device, alone and in batches. Nothing is remembered or decided here.

use std::{
    ops::RangeInclusive,
    sync::atomic::{AtomicBool, Ordering},
    time::{Duration, Instant},
};

use rehearsekit_audio::overlap_add::OverlapAdd;

use crate::{ModelError, families, model::Model, plan::Geometry};

/// Time for the runs of one geometry.
const MEASURING_TIME: Duration = Duration::from_secs(3);
/// Runs of the other workers between two looks whether it is over.
const OTHERS_RUNS: RangeInclusive<usize> = 3..=3;

impl Model {
    /// The lower quartile of `runs` hops of one stream, while all other workers are at the same: what they take on a
    /// server that is full, and neither a stall nor a lucky run.
    pub(crate) fn time_runs(
        &self,
        geometry: Geometry,
        runs: RangeInclusive<usize>,
    ) -> Result<Duration, ModelError> {
        let done = AtomicBool::new(false);
        let other = || {
            while !done.load(Ordering::Relaxed) {
                if self.hop_times(&geometry, 1, OTHERS_RUNS).is_err() {
                    // The one that is measured fails too, and that is told.
                    break;
                }
            }
        };
        std::thread::scope(|scope| {
            for _ in 1..self.options().workers {
                scope.spawn(other);
            }
            let times = self.hop_times(&geometry, 1, runs);
            done.store(true, Ordering::Relaxed);
            let mut times = times?;
            times.sort();
            Ok(times.get(times.len() / 4).copied().unwrap_or_default())
        })
    }

    /// How long `batch` streams' hops of noise took, all in one inference, each time anew; after a first one, which
    /// does not count. The whole hops count, not the network alone: the transforms around it take their time too.
    /// Ends with the most `runs`, or after three seconds with the fewest.
    ///
    /// # Errors
    /// When the network fails, or has no batch axis and `batch` is more than one.
    pub fn hop_times(
        &self,
        geometry: &Geometry,
        batch: usize,
        runs: RangeInclusive<usize>,
    ) -> Result<Vec<Duration>, ModelError> {
        let wanted: Vec<usize> = self.stems().travelling().collect();
        let mut streams = (0..batch)
            .map(|_| {
                Ok((self.kernel(geometry.clone(), wanted.clone())?, OverlapAdd::new(2 * wanted.len(), 0)))
            })
            .collect::<Result<Vec<_>, ModelError>>()?;
        let mut state = 1u32;
        let noise: Vec<f32> = (0..streams.first().map_or(0, |(kernel, _)| kernel.hop_frames()))
            .map(|_| {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                (state >> 8) as f32 / 16_777_216.0 - 0.5
            })
            .collect();
        let mut run = || {
            let started = Instant::now();
            let mut prepared: Vec<families::Prepared<'_>> = Vec::with_capacity(batch);
            for (kernel, sum) in &mut streams {
                kernel.prepare([&noise, &noise]);
                prepared.push((&mut **kernel, sum));
            }
            families::infer(&mut prepared).map(|_| started.elapsed())
        };
        run()?;
        let began = Instant::now();
        let mut times = Vec::new();
        while times.len() < *runs.start() || (times.len() < *runs.end() && began.elapsed() < MEASURING_TIME) {
            times.push(run()?);
        }
        Ok(times)
    }
}
