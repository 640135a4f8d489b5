//! How long to wait before the next attempt: doubling, with jitter, pure and seeded.
//!
//! The jitter keeps a whole band from knocking in the same millisecond when the server comes back. This module
//! must not sleep, read a clock or draw from a global random source.

use std::time::Duration;

/// Waits that double from `shortest` to `longest`, each drawn from the upper half of its step.
#[derive(Debug, Clone)]
pub struct Backoff {
    shortest: Duration,
    longest: Duration,
    failures: u32,
    state: u64,
}

impl Backoff {
    /// A fresh back-off. The same `seed` gives the same waits.
    pub fn new(shortest: Duration, longest: Duration, seed: u64) -> Self {
        Self { shortest, longest: longest.max(shortest), failures: 0, state: seed }
    }

    /// The wait after one more failure: between half the step and the whole step.
    pub fn next_wait(&mut self) -> Duration {
        let step = self.shortest.saturating_mul(1 << self.failures.min(16)).min(self.longest);
        self.failures = self.failures.saturating_add(1);
        self.jittered(step)
    }

    /// `step` with the same jitter, without counting a failure: for waits of a fixed size.
    pub fn jittered(&mut self, step: Duration) -> Duration {
        step.mul_f64(0.5 + 0.5 * self.draw())
    }

    /// Starts over from the shortest wait: a connection has proven itself.
    pub fn reset(&mut self) {
        self.failures = 0;
    }

    /// Uniform in `[0, 1)`, by splitmix64: quality enough for jitter, and no dependency.
    fn draw(&mut self) -> f64 {
        self.state = self.state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^= z >> 31;
        (z >> 11) as f64 / (1_u64 << 53) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHORTEST: Duration = Duration::from_millis(50);
    const LONGEST: Duration = Duration::from_secs(2);

    #[test]
    fn waits_double_up_to_the_longest_and_start_over() {
        let mut backoff = Backoff::new(SHORTEST, LONGEST, 7);
        for step_millis in [50, 100, 200, 400, 800, 1_600, 2_000, 2_000, 2_000] {
            let step = Duration::from_millis(step_millis);
            let wait = backoff.next_wait();
            assert!(wait >= step / 2 && wait <= step, "{wait:?} is not within {step:?}");
        }
        for _ in 0..100 {
            assert!(backoff.next_wait() <= LONGEST);
        }
        backoff.reset();
        assert!(backoff.next_wait() <= SHORTEST);
    }

    #[test]
    fn seeds_decide_and_clients_spread() {
        let waits = |seed| {
            let mut backoff = Backoff::new(SHORTEST, LONGEST, seed);
            (0..8).map(|_| backoff.next_wait()).collect::<Vec<_>>()
        };
        assert_eq!(waits(1), waits(1));
        assert_ne!(waits(1), waits(2));
        let firsts: Vec<_> = (0..64).map(|seed| waits(seed)[0]).collect();
        let spread = firsts.iter().max().unwrap().saturating_sub(*firsts.iter().min().unwrap());
        assert!(spread > SHORTEST / 4, "64 clients would knock within {spread:?}");
    }
}
