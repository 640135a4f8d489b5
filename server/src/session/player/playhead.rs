//! Where a session's player stands in the music, by the packets that come from there: the server's only clock of the
//! client's. Taken anew from each packet, so that two clocks may differ for ever. Must not know packets or streams.
#![warn(clippy::arithmetic_side_effects, reason = "it reckons with what came over the wire")]

use std::time::Duration;

/// A chunk is given up only this long after its last frame has played, so that two clocks may disagree.
const GRACE: Duration = Duration::from_millis(10);
/// Nothing is waited for longer, whatever positions a client makes up.
const LONGEST: Duration = Duration::from_secs(365 * 86_400);

/// When the frames of one session are heard. All positions are the client's, as they stand on the wire.
#[derive(Debug, Clone, Copy)]
pub(in crate::session) struct Playhead {
    rate_hz: u32,
    budget_frames: u32,
    /// The end of the newest frame, and when it came.
    newest: (u64, Duration),
}

impl Playhead {
    pub(in crate::session) fn new(rate_hz: u32, budget_frames: u32) -> Self {
        Self { rate_hz: rate_hz.max(1), budget_frames, newest: (0, Duration::ZERO) }
    }

    /// Frames up to position `end` came at `now`.
    pub(in crate::session) fn heard(&mut self, end: u64, now: Duration) {
        if end >= self.newest.0 {
            self.newest = (end, now);
        }
    }

    /// When the frame before position `end` has played at the client, on the clock of [`Self::heard`]: the newest frame
    /// was recorded when it came (or a little before), and plays one budget later.
    pub(in crate::session) fn due(&self, end: u64) -> Duration {
        let (newest, came) = self.newest;
        let plays = end.saturating_add(self.budget_frames.into());
        let (wait, came) = (self.time_of(plays.abs_diff(newest)), came.saturating_add(GRACE));
        if plays >= newest { came.saturating_add(wait) } else { came.saturating_sub(wait) }
    }

    fn time_of(&self, frames: u64) -> Duration {
        let nanos = u128::from(frames).saturating_mul(1_000_000_000).checked_div(self.rate_hz.into());
        let nanos = nanos.and_then(|nanos| u64::try_from(nanos).ok());
        nanos.map_or(LONGEST, Duration::from_nanos).min(LONGEST)
    }
}

#[cfg(test)]
#[allow(clippy::arithmetic_side_effects, reason = "in a test an overflow is a report")]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn ms(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    #[test]
    fn a_frame_is_due_one_budget_after_it_came() {
        let mut playhead = Playhead::new(8_000, 2_000);
        playhead.heard(8_000, ms(1_000));
        for (end, due) in
            [(8_000, 1_250), (8_800, 1_350), (6_000, 1_000), (5_200, 900), (0, 250), (16_000, 2_250)]
        {
            assert_eq!(playhead.due(end), ms(due) + GRACE, "{end}");
        }
        playhead.heard(7_000, ms(1_100));
        assert_eq!(playhead.due(8_000), ms(1_250) + GRACE, "what was overtaken says nothing new");
        playhead.heard(800_000, ms(1_100));
        assert_eq!(playhead.due(0), Duration::ZERO, "long ago");
    }

    proptest! {
        #[test]
        fn any_position_has_a_moment_and_a_later_one_no_earlier_one(
            newest in prop_oneof![any::<u64>(), (0..4u64).prop_map(|n| u64::MAX - n)],
            end in prop_oneof![any::<u64>(), (0..4u64).prop_map(|n| u64::MAX - n)],
            more in any::<u32>(),
            rate_hz in 0..48_001_u32,
            budget in any::<u32>(),
        ) {
            let mut playhead = Playhead::new(rate_hz, budget);
            playhead.heard(newest, ms(1_000));
            let due = playhead.due(end);
            prop_assert!(due <= ms(1_000) + GRACE + LONGEST);
            prop_assert!(playhead.due(end.saturating_add(more.into())) >= due);
        }
    }
}
