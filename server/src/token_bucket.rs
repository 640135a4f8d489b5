//! A token bucket: how much may come at once, and how much in every second after that. The one way in which this server
//! limits a rate.
//!
//! What was not used is saved up to the size of the bucket and no further, so that no pause buys more than that and
//! nothing is counted for ever. It must not read a clock: time is an argument.
#![warn(clippy::arithmetic_side_effects, reason = "it reckons with what came over the wire")]

use std::time::Duration;

/// Parts of a token that are told apart, so that a rate holds to the nanosecond.
const PARTS: u128 = 1_000_000_000;

/// A bucket, full at first. `now` is the time since any fixed moment; one before an earlier one counts as that one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TokenBucket {
    /// In parts.
    size: u128,
    per_second: u64,
    /// In parts; at most `size`.
    left: u128,
    at: Duration,
}

impl TokenBucket {
    /// A bucket of `size` tokens, into which `per_second` tokens run.
    pub(crate) const fn new(size: u64, per_second: u64) -> Self {
        let size = (size as u128).saturating_mul(PARTS);
        Self { size, per_second, left: size, at: Duration::ZERO }
    }

    /// Takes `tokens` at `now`. Where there are not so many, none is taken and it says `false`.
    pub(crate) fn take(&mut self, tokens: u64, now: Duration) -> bool {
        self.left = self.left_at(now);
        self.at = self.at.max(now);
        let rest = self.left.checked_sub(u128::from(tokens).saturating_mul(PARTS));
        self.left = rest.unwrap_or(self.left);
        rest.is_some()
    }

    /// Whether nothing would be lost by forgetting it at `now`: it is as a new one.
    pub(crate) fn is_full(&self, now: Duration) -> bool {
        self.left_at(now) == self.size
    }

    fn left_at(&self, now: Duration) -> u128 {
        let gained = now.saturating_sub(self.at).as_nanos().saturating_mul(self.per_second.into());
        self.left.saturating_add(gained).min(self.size)
    }
}

#[cfg(test)]
#[allow(clippy::arithmetic_side_effects, reason = "in a test an overflow is a report")]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Sizes and rates from a trickle to far beyond anything we use, and what is asked for when.
    fn asked() -> impl Strategy<Value = (u64, u64, Vec<(u64, u64)>)> {
        let number = || prop_oneof![0..20_u64, 0..20_000_u64, any::<u64>()];
        let steps = prop::collection::vec(
            (number(), prop_oneof![0..3_u64, 0..5_000_000_000_u64, any::<u64>()]),
            1..80,
        );
        (number(), number(), steps)
    }

    proptest! {
        #[test]
        fn between_any_two_moments_no_more_is_given_than_the_size_and_what_ran_in((size, rate, steps) in asked()) {
            let mut bucket = TokenBucket::new(size, rate);
            let mut now = Duration::ZERO;
            let mut given: Vec<(Duration, u64)> = Vec::new();
            for (tokens, nanos) in steps {
                now = now.saturating_add(Duration::from_nanos(nanos));
                if bucket.take(tokens, now) {
                    given.push((now, tokens));
                }
            }
            for (index, (since, _)) in given.iter().enumerate() {
                let mut sum = 0_u128;
                for (at, tokens) in &given[index..] {
                    sum += u128::from(*tokens);
                    let ran_in = (*at - *since).as_nanos().saturating_mul(rate.into());
                    let most = (u128::from(size) * PARTS).saturating_add(ran_in);
                    prop_assert!(sum * PARTS <= most, "{sum} tokens between {since:?} and {at:?}");
                }
            }
        }

        #[test]
        fn who_keeps_to_the_rate_is_never_refused(size in 1..1_000_000_u64, rate in 1..2_000_000_000_u64, steps in prop::collection::vec(0..10_000_000_000_u64, 1..200)) {
            let mut bucket = TokenBucket::new(size, rate);
            let mut now = Duration::ZERO;
            for nanos in steps {
                now += Duration::from_nanos(nanos);
                // What ran in since then, rounded down, and never more than fits.
                let tokens = u64::try_from(u128::from(nanos) * u128::from(rate) / PARTS).unwrap().min(size);
                prop_assert!(bucket.take(tokens, now), "{tokens} at {now:?}");
            }
        }

        #[test]
        fn a_moment_before_the_last_one_counts_as_the_last_one((size, rate, steps) in asked()) {
            let (mut bucket, mut same) = (TokenBucket::new(size, rate), TokenBucket::new(size, rate));
            let mut latest = Duration::ZERO;
            for (tokens, nanos) in steps {
                let now = Duration::from_nanos(nanos);
                latest = latest.max(now);
                prop_assert_eq!(bucket.take(tokens, now), same.take(tokens, latest));
                prop_assert_eq!(bucket, same);
                prop_assert!(bucket.left <= bucket.size);
            }
        }
    }

    #[test]
    fn a_refusal_takes_nothing_and_a_pause_fills_it_once() {
        let mut bucket = TokenBucket::new(10, 4);
        let hours = |hours: u64| Duration::from_secs(3_600 * hours);
        assert!(!bucket.take(11, hours(0)) && bucket.take(10, hours(0)) && !bucket.take(1, hours(0)));
        assert!(!bucket.is_full(hours(0)) && bucket.is_full(hours(1)));
        assert!(
            bucket.take(10, hours(1)) && !bucket.take(1, hours(1)),
            "an hour is worth no more than the bucket"
        );
        assert!(bucket.take(10, Duration::MAX) && !bucket.take(1, Duration::MAX), "nor is for ever");
    }
}
