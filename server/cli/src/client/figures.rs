//! Figures of a client as JSON has them, the same in every command: times, offers, misses.

use rehearsekit_client::{BudgetOffer, LinkStats, Percentiles};
use serde::Serialize;

/// A time in milliseconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub(crate) struct Times {
    count: u64,
    pub(crate) p50: f64,
    pub(crate) p99: f64,
    pub(crate) max: f64,
}

impl From<Percentiles> for Times {
    fn from(Percentiles { count, p50, p99, max }: Percentiles) -> Self {
        Self { count, p50, p99, max }
    }
}

/// What a budget buys.
#[derive(Debug, Serialize)]
pub(crate) struct Offer {
    budget_millis: u32,
    holds: bool,
    quality_db: Option<f64>,
    words: String,
    needs_millis: Option<f64>,
}

/// Offers in the order they came.
pub(crate) fn offers(of: &[BudgetOffer]) -> Vec<Offer> {
    let told = |BudgetOffer { millis, holds, quality_db, words, need_millis }: &BudgetOffer| Offer {
        budget_millis: *millis,
        holds: *holds,
        // Tenths as they were measured, not the digits of an f32.
        quality_db: tenths(quality_db.map(f64::from)),
        words: words.clone(),
        needs_millis: tenths(*need_millis),
    };
    of.iter().map(told).collect()
}

/// Rounded for people.
pub(crate) fn tenths(of: Option<f64>) -> Option<f64> {
    of.map(|value| (value * 10.0).round() / 10.0)
}

/// Hops that should have come, and those that did not come in time.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub(crate) struct Misses {
    /// Hops that were due.
    pub(crate) hops_due: u64,
    /// Late, lost, or never asked for because there was no session.
    pub(crate) misses: u64,
    /// The same as a rate.
    pub(crate) misses_per_10000_hops: f64,
}

impl Misses {
    /// Of `frames` that were pushed, the silence of a latency's length at the end included, in hops of `hop_frames`, both of
    /// the host.
    pub(crate) fn of(link: &LinkStats, frames: u64, hop_frames: u64) -> Self {
        let hop_frames = hop_frames.max(1);
        let misses = link.late + link.lost + link.unsent_frames.div_ceil(hop_frames);
        Self::at_rate(frames.div_ceil(hop_frames), misses)
    }

    /// Of several clients together.
    pub(crate) fn sum(all: impl Iterator<Item = Self>) -> Self {
        let (due, misses) = all.fold((0, 0), |(due, misses), of| (due + of.hops_due, misses + of.misses));
        Self::at_rate(due, misses)
    }

    fn at_rate(hops_due: u64, misses: u64) -> Self {
        let misses_per_10000_hops = 1e4 * misses as f64 / hops_due.max(1) as f64;
        Self { hops_due, misses, misses_per_10000_hops }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_never_asked_for_is_missed_too() {
        let link = LinkStats { late: 1, lost: 2, unsent_frames: 5_000, ..LinkStats::default() };
        let one = Misses::of(&link, 4_410_000, 4_410);
        assert_eq!(one, Misses { hops_due: 1_000, misses: 5, misses_per_10000_hops: 50.0 });
        let clean = Misses::of(&LinkStats::default(), 4_410, 4_410);
        assert_eq!((clean.hops_due, clean.misses_per_10000_hops), (1, 0.0));
        let both = Misses::sum([one, clean].into_iter());
        assert_eq!((both.hops_due, both.misses), (1_001, 5));
        assert_eq!(Misses::sum(std::iter::empty()).misses_per_10000_hops, 0.0);
    }
}
