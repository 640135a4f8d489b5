//! How fast a host calls: finds out that it runs far ahead of real time, which no server can. Pure; looked at
//! from the network's side now and then, so that the audio thread needs no clock.

use std::time::Duration;

/// A host may be this far ahead without anything being said: late callbacks that are made up for, and our own
/// looks that come late.
const SLACK: Duration = Duration::from_millis(60);
/// Clocks differ, and what once was ahead is forgotten at this part of real time.
const FORGET: f64 = 0.005;
/// How long a burst is told of.
const REMEMBERED: Duration = Duration::from_secs(10);

/// Compares frames with time.
#[derive(Debug)]
pub(crate) struct Pace {
    rate_hz: f64,
    allowed_frames: f64,
    /// How far the host is ahead, in frames.
    ahead: f64,
    above: bool,
    last: Option<(u64, Duration)>,
    last_burst: Option<Duration>,
    bursts: u64,
}

impl Pace {
    pub(crate) fn new(rate_hz: u32, max_block_frames: u32) -> Self {
        let rate_hz = f64::from(rate_hz.max(1));
        // Two blocks may come at once whenever they are large.
        let allowed_frames = 2.0 * f64::from(max_block_frames) + SLACK.as_secs_f64() * rate_hz;
        Self { rate_hz, allowed_frames, ahead: 0.0, above: false, last: None, last_burst: None, bursts: 0 }
    }

    /// `frames` have been played in all at `now`.
    pub(crate) fn look(&mut self, frames: u64, now: Duration) {
        if let Some((frames_then, then)) = self.last {
            let played = frames.saturating_sub(frames_then) as f64;
            let elapsed = now.saturating_sub(then).as_secs_f64() * self.rate_hz;
            self.ahead = (self.ahead + played - elapsed * (1.0 + FORGET)).max(0.0);
        }
        self.last = Some((frames, now));
        let above = self.ahead > self.allowed_frames;
        self.bursts += u64::from(above && !self.above);
        if above {
            self.last_burst = Some(now);
            // Told; the next one is measured from here.
            self.ahead = self.ahead.min(2.0 * self.allowed_frames);
        }
        self.above = above;
    }

    /// What the host does until the next look says nothing about its pace.
    pub(crate) fn pause(&mut self) {
        (self.last, self.ahead, self.above) = (None, 0.0, false);
    }

    /// How often the host ran ahead.
    pub(crate) fn bursts(&self) -> u64 {
        self.bursts
    }

    /// Whether it did lately.
    pub(crate) fn is_bursting(&self, now: Duration) -> bool {
        self.last_burst.is_some_and(|at| now.saturating_sub(at) < REMEMBERED)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    #[test]
    fn an_honest_host_is_never_accused() {
        for block in [64, 512, 8_192_u64] {
            let mut pace = Pace::new(48_000, block as u32);
            // Ten minutes; callbacks on time, every second one late and made up for; a clock 200 ppm too fast.
            let mut frames = 0;
            for look in 0..30_000_u64 {
                let due = (look as f64 * 960.0 * 1.0002) as u64 / block * block;
                frames = frames.max(if look % 2 == 0 { due.saturating_sub(block) } else { due });
                pace.look(frames, ms(20 * look));
            }
            assert_eq!(pace.bursts(), 0, "blocks of {block}");
        }
    }

    #[test]
    fn a_pause_of_the_looker_is_no_burst() {
        let mut pace = Pace::new(48_000, 128);
        pace.look(0, ms(0));
        pace.look(48_000 * 30, ms(30_000));
        pace.look(48_000 * 30, ms(40_000));
        pace.look(48_000 * 31, ms(41_000));
        assert_eq!(pace.bursts(), 0);
    }

    #[test]
    fn rendering_ahead_is_seen_counted_and_forgotten() {
        let mut pace = Pace::new(48_000, 512);
        let mut frames = 0;
        for look in 0..50 {
            // 400 ms at once, then nothing until they are over.
            frames += if look % 20 == 0 { 19_200 } else { 0 };
            pace.look(frames, ms(20 * look));
        }
        assert_eq!(pace.bursts(), 3 - 1, "the first look has nothing to compare with");
        assert!(pace.is_bursting(ms(1_000)));
        assert!(!pace.is_bursting(ms(12_000)));
    }

    #[test]
    fn what_is_played_during_a_pause_is_no_burst() {
        let mut pace = Pace::new(48_000, 512);
        (0..10).for_each(|look| pace.look(look * 960, ms(20 * look)));
        pace.pause();
        (0..10).for_each(|look| pace.look(1_000_000_000 + look * 960, ms(400 + 20 * look)));
        assert_eq!(pace.bursts(), 0);
    }

    #[test]
    fn rendering_at_full_speed_is_one_long_burst() {
        let mut pace = Pace::new(48_000, 512);
        (0..100).for_each(|look| pace.look(look * 48_000, ms(20 * look)));
        assert_eq!(pace.bursts(), 1);
        assert!(pace.is_bursting(ms(2_000)));
    }
}
