//! What inferences really took, beside what they usually take: how slow a device is now, and how slow the slowest of a
//! hundred is. Must not decide anything.

use std::{
    collections::{BTreeMap, VecDeque},
    time::Duration,
};

use crate::Cost;

/// So many of the last inferences tell how fast a device is at this moment.
const RECENT: usize = 5;
/// So many tell how fast it is in these seconds; a short stall is forgotten in them.
const STEADY: usize = 127;
/// So many of each kind tell of their slowest; below [`ENOUGH`] nothing is known.
const REMEMBERED: usize = 512;
const ENOUGH: usize = 100;
/// They are looked through once per so many.
const LOOK: usize = 20;
/// Until it is known, the slowest of a hundred is taken for one and a half times what one usually takes.
const STALL: f64 = 0.5;

/// The last inferences of one device.
#[derive(Debug, Clone)]
pub struct Observed {
    ratios: VecDeque<f64>,
    /// How many times longer than usual inferences take in these seconds, at least 1; a short stall does not show.
    pub(crate) slowness: f64,
    /// The same for this very moment.
    pub(crate) slowness_now: f64,
    kinds: BTreeMap<u64, Kind>,
}

#[derive(Debug, Clone, Default)]
struct Kind {
    ratios: VecDeque<f64>,
    noted: usize,
    /// How much longer than a usual one the slowest of a hundred takes, in usual ones.
    stall: Option<f64>,
}

impl Default for Observed {
    fn default() -> Self {
        Self { ratios: VecDeque::new(), slowness: 1.0, slowness_now: 1.0, kinds: BTreeMap::new() }
    }
}

impl Observed {
    /// One inference of `count` hops took so long.
    pub(crate) fn note(&mut self, cost: &Cost, count: usize, took: Duration) {
        let ratio = took.as_secs_f64() / cost.of(count).as_secs_f64().max(1e-6);
        push(&mut self.ratios, ratio, STEADY);
        if self.ratios.len() >= STEADY / 4 {
            self.slowness = self.median_of_last(STEADY);
        }
        if self.ratios.len() >= RECENT {
            self.slowness_now = self.median_of_last(RECENT);
        }
        let kind = self.kinds.entry(cost.kind).or_default();
        push(&mut kind.ratios, ratio, REMEMBERED);
        kind.noted += 1;
        if kind.ratios.len() >= ENOUGH && kind.noted.is_multiple_of(LOOK) {
            kind.stall = Some((quantile(&kind.ratios, 0.99) - quantile(&kind.ratios, 0.5)).max(0.0));
        }
    }

    fn median_of_last(&self, count: usize) -> f64 {
        let last = self.ratios.iter().rev().take(count).copied().collect();
        quantile(&last, 0.5).max(1.0)
    }

    /// What the slowest inference of a hundred takes beyond a usual one.
    pub fn stall(&self, cost: &Cost) -> Duration {
        let known = self.kinds.get(&cost.kind).and_then(|kind| kind.stall);
        cost.typical.mul_f64(known.unwrap_or(STALL))
    }
}

fn push(ring: &mut VecDeque<f64>, value: f64, most: usize) {
    if ring.len() >= most {
        ring.pop_front();
    }
    ring.push_back(value);
}

fn quantile(values: &VecDeque<f64>, share: f64) -> f64 {
    let mut sorted: Vec<f64> = values.iter().copied().collect();
    sorted.sort_by(f64::total_cmp);
    sorted
        .get(((sorted.len() as f64 * share) as usize).min(sorted.len().saturating_sub(1)))
        .copied()
        .unwrap_or(1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_stall_does_not_make_a_slow_device_and_many_do() {
        let cost = Cost { kind: 1, typical: Duration::from_millis(20), batches: Vec::new(), wide: false };
        let mut seen = Observed::default();
        assert_eq!(seen.stall(&cost), Duration::from_millis(10), "not known yet");
        for n in 0..400 {
            seen.note(&cost, 1, Duration::from_millis(if n % 50 == 0 { 90 } else { 20 }));
        }
        assert_eq!((seen.slowness, seen.slowness_now), (1.0, 1.0));
        assert_eq!(seen.stall(&cost), Duration::from_millis(70));
        let mut slow = |count: usize| {
            (0..count).for_each(|_| seen.note(&cost, 1, Duration::from_millis(60)));
            (seen.slowness, seen.slowness_now)
        };
        assert_eq!(slow(8), (1.0, 3.0), "a moment");
        assert_eq!(slow(STEADY / 2), (3.0, 3.0));
    }
}
