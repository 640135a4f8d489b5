//! What went wrong in the last five minutes, as whoever looks every few milliseconds sees it: stems that were missed, and
//! whether network and audio were held up. Pure: time is an argument. Must not judge, and must not grow.

use std::{collections::VecDeque, time::Duration};

use crate::shared::Missed;

/// The window is this many stretches of this length.
const STRETCHES: u64 = 30;
const STRETCH: Duration = Duration::from_secs(10);
/// Whoever comes this much late was held up, and a host that is a block late by this much more.
const HELD_UP: Duration = Duration::from_millis(60);
/// A host that does not call for longer has stopped, which is its right.
const STOPPED: Duration = Duration::from_millis(500);

/// How often something waited for its turn, and how long at worst.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct HeldUp {
    pub(crate) times: u32,
    pub(crate) worst: Duration,
}

impl HeldUp {
    fn add(&mut self, times: u32, worst: Duration) {
        self.times = self.times.saturating_add(times);
        self.worst = self.worst.max(worst);
    }
}

/// All of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Happened {
    pub(crate) missed: Missed,
    /// The thread on which the network lives.
    pub(crate) network: HeldUp,
    /// The host's calls.
    pub(crate) audio: HeldUp,
}

/// Looks and remembers.
#[derive(Debug)]
pub(crate) struct Lately {
    /// How often it is looked.
    every: Duration,
    /// A host that does not call for this long is late.
    patience: Duration,
    stretches: VecDeque<(u64, Happened)>,
    last_look: Option<Duration>,
    /// The host's frames, since when they are that many, and whether it was looked in time ever since.
    frames: (u64, Duration, bool),
    missed: Missed,
}

impl Lately {
    pub(crate) fn new(every: Duration, rate_hz: u32, max_block_frames: u32) -> Self {
        // As with a host that is ahead: two blocks may come at once.
        let blocks = 2.0 * f64::from(max_block_frames) / f64::from(rate_hz.max(1));
        Self {
            every,
            patience: Duration::from_secs_f64(blocks) + HELD_UP,
            stretches: VecDeque::new(),
            last_look: None,
            frames: (0, Duration::ZERO, false),
            missed: [0; 3],
        }
    }

    /// `frames` have been played in all at `now`.
    pub(crate) fn look(&mut self, frames: u64, now: Duration) {
        let late = self.last_look.map_or(Duration::ZERO, |last| now.saturating_sub(last + self.every));
        self.last_look = Some(now);
        let in_time = late < HELD_UP;
        if !in_time {
            self.stretch(now).network.add(1, late);
        }
        let (before, since, watched) = self.frames;
        if frames == before {
            self.frames.2 &= in_time;
            return;
        }
        let still = now.saturating_sub(since);
        // Whoever was held up itself cannot tell how long the host was.
        if before > 0 && frames > before && watched && in_time && still > self.patience && still < STOPPED {
            self.stretch(now).audio.add(1, still);
        }
        self.frames = (frames, now, true);
    }

    /// Nobody looks until the next time, and the host may do as it likes.
    pub(crate) fn pause(&mut self) {
        self.last_look = None;
        self.frames = (0, Duration::ZERO, false);
    }

    /// So much has been missed in this session; less than a moment ago is another session.
    pub(crate) fn missed(&mut self, missed: Missed, now: Duration) {
        let before = std::mem::replace(&mut self.missed, missed);
        let more: Missed = std::array::from_fn(|kind| missed[kind].saturating_sub(before[kind]));
        if more != [0; 3] {
            let sum = &mut self.stretch(now).missed;
            sum.iter_mut().zip(more).for_each(|(sum, more)| *sum += more);
        }
    }

    /// The sum.
    pub(crate) fn happened(&self, now: Duration) -> Happened {
        let oldest = number(now).saturating_sub(STRETCHES - 1);
        let mut all = Happened::default();
        for (_, one) in self.stretches.iter().filter(|(number, _)| *number >= oldest) {
            all.missed.iter_mut().zip(one.missed).for_each(|(sum, more)| *sum += more);
            all.network.add(one.network.times, one.network.worst);
            all.audio.add(one.audio.times, one.audio.worst);
        }
        all
    }

    fn stretch(&mut self, now: Duration) -> &mut Happened {
        let number = number(now);
        if self.stretches.back().is_none_or(|(last, _)| *last != number) {
            self.stretches.push_back((number, Happened::default()));
            if self.stretches.len() as u64 > STRETCHES {
                self.stretches.pop_front();
            }
        }
        let last = self.stretches.len() - 1;
        &mut self.stretches[last].1
    }
}

fn number(now: Duration) -> u64 {
    now.as_secs() / STRETCH.as_secs()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    fn lately() -> Lately {
        Lately::new(ms(20), 48_000, 512)
    }

    #[test]
    fn a_quiet_machine_is_not_accused() {
        for block in [64, 512, 8_192_u64] {
            let mut lately = Lately::new(ms(20), 48_000, block as u32);
            for look in 0..3_000 {
                lately.look(look * 960 / block * block, ms(20 * look));
            }
            assert_eq!(lately.happened(ms(60_000)), Happened::default(), "blocks of {block}");
        }
    }

    #[test]
    fn a_host_that_is_late_is_told_from_one_that_has_stopped() {
        let mut lately = lately();
        let mut at = 0;
        let mut frames = 0;
        for pause in [200, 400, 3_000] {
            for _ in 0..50 {
                (at, frames) = (at + 20, frames + 960);
                lately.look(frames, ms(at));
            }
            for _ in 0..pause / 20 - 1 {
                at += 20;
                lately.look(frames, ms(at));
            }
        }
        lately.look(frames + 960, ms(at + 20));
        let audio = lately.happened(ms(at)).audio;
        assert_eq!(audio, HeldUp { times: 2, worst: ms(400) });
    }

    #[test]
    fn what_held_up_the_one_who_looks_is_no_fault_of_the_hosts() {
        let mut lately = lately();
        (0..50).for_each(|look| lately.look(look * 960, ms(20 * look)));
        lately.look(49 * 960, ms(1_200));
        lately.look(60 * 960, ms(1_220));
        lately.look(80 * 960, ms(1_400));
        let happened = lately.happened(ms(1_400));
        assert_eq!(happened.network, HeldUp { times: 2, worst: ms(200) });
        assert_eq!(happened.audio, HeldUp::default());
    }

    #[test]
    fn nobody_is_late_during_a_pause() {
        let mut lately = lately();
        (0..50).for_each(|look| lately.look(look * 960, ms(20 * look)));
        lately.pause();
        (0..50).for_each(|look| lately.look(900_000 + look * 960, ms(1_400 + 20 * look)));
        assert_eq!(lately.happened(ms(2_400)), Happened::default());
    }

    #[test]
    fn what_is_missed_is_summed_over_sessions_and_forgotten_after_five_minutes() {
        let mut lately = lately();
        lately.missed([3, 1, 0], ms(5_000));
        lately.missed([3, 1, 0], ms(6_000));
        // Another session.
        lately.missed([0, 0, 0], ms(15_000));
        lately.missed([0, 0, 2], ms(16_000));
        assert_eq!(lately.happened(ms(290_000)).missed, [3, 1, 2]);
        assert_eq!(lately.happened(ms(301_000)).missed, [0, 0, 2]);
        assert_eq!(lately.happened(ms(400_000)).missed, [0; 3]);
        (0..10_000).for_each(|n| lately.missed([n, 0, 0], Duration::from_secs(7 * n)));
        assert!(lately.stretches.len() <= 30);
    }
}
