//! Faders, mutes and solos: what gain each stem really gets, without a click when it changes. Must not
//! know of decibels or of a host's parameters.

use rehearsekit_audio::StemSet;

use crate::Layout;

/// How much a gain may move in one frame: a mute at 0 dB takes 256 frames, about 5 ms.
const STEP: f32 = 1.0 / 256.0;

/// What the player set for one stem.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct StemGains {
    /// The fader, linear; 1 is 0 dB. Negative or not finite counts as 0.
    pub linear: f32,
    /// Mute; wins over solo.
    pub muted: bool,
    /// Solo: all stems without it are silent.
    pub soloed: bool,
}

impl Default for StemGains {
    fn default() -> Self {
        Self { linear: 1.0, muted: false, soloed: false }
    }
}

/// The gains as they are while moving to where they should be.
#[derive(Debug, Clone)]
pub(crate) struct Smoothed {
    wanted: [StemGains; StemSet::MAX],
    /// Lanes that a stem lies on; the others are silent, and a solo there counts for nothing.
    used: [bool; StemSet::MAX],
    current: [f32; StemSet::MAX],
    target: [f32; StemSet::MAX],
    /// The largest effective gain, which the mix gets where it stands in for the stems.
    largest: f32,
    settled: bool,
    started: bool,
}

impl Smoothed {
    pub(crate) fn new(layout: &Layout) -> Self {
        let unity = [1.0; StemSet::MAX];
        let mut new = Self {
            wanted: [StemGains::default(); StemSet::MAX],
            used: [false; StemSet::MAX],
            current: unity,
            target: unity,
            largest: 1.0,
            settled: true,
            started: false,
        };
        new.lay_out(layout);
        new
    }

    /// The next targets come into force at once, without a ramp.
    pub(crate) fn restart(&mut self) {
        self.started = false;
    }

    /// Other stems. To be called while none is heard: lanes that come in or fall silent do so at once, only the
    /// largest gain goes there in a ramp.
    pub(crate) fn lay_out(&mut self, layout: &Layout) {
        let before = self.used;
        self.used = std::array::from_fn(|lane| layout.has(lane));
        self.retarget();
        for (lane, current) in self.current.iter_mut().enumerate() {
            if self.used[lane] != before[lane] {
                *current = self.target[lane];
            }
        }
        self.settled = false;
    }

    /// Where to go. Lanes that `gains` does not name stay at 0 dB.
    pub(crate) fn aim(&mut self, gains: &[StemGains]) {
        for (lane, wanted) in self.wanted.iter_mut().enumerate() {
            *wanted = gains.get(lane).copied().unwrap_or_default();
        }
        self.retarget();
        if !self.started {
            self.current = self.target;
            self.largest = max(&self.current);
            self.started = true;
            self.settled = true;
        }
    }

    fn retarget(&mut self) {
        let any_solo = self.wanted.iter().zip(self.used).any(|(gain, used)| used && gain.soloed);
        for ((target, gain), used) in self.target.iter_mut().zip(&self.wanted).zip(self.used) {
            let silent = !used || gain.muted || (any_solo && !gain.soloed) || !gain.linear.is_finite();
            *target = if silent { 0.0 } else { gain.linear.max(0.0) };
        }
        self.settled &= self.current == self.target;
    }

    /// One frame further; gives the gain of every lane, and the largest.
    pub(crate) fn step(&mut self) -> (&[f32; StemSet::MAX], f32) {
        if !self.settled {
            for (current, target) in self.current.iter_mut().zip(self.target) {
                *current = slide(*current, target);
            }
            let largest = max(&self.current);
            self.largest = slide(self.largest, largest);
            self.settled = self.current == self.target && self.largest == largest;
        }
        (&self.current, self.largest)
    }
}

fn max(gains: &[f32]) -> f32 {
    gains.iter().fold(0.0, |a: f32, &b| a.max(b))
}

/// One frame of a ramp from `current` to `target`.
pub(crate) fn slide(current: f32, target: f32) -> f32 {
    let way = target - current;
    if way.abs() <= STEP { target } else { current + STEP.copysign(way) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn aimed(gains: &[StemGains]) -> Vec<f32> {
        let mut smoothed = Smoothed::new(&Layout::in_order(gains.len(), 0));
        smoothed.aim(gains);
        smoothed.step().0[..gains.len()].to_vec()
    }

    #[test]
    fn mute_wins_over_solo_and_solo_over_the_rest() {
        let on = StemGains::default();
        let solo = StemGains { soloed: true, ..on };
        let mute = StemGains { muted: true, ..on };
        assert_eq!(aimed(&[on, mute, StemGains { linear: 0.5, ..on }]), [1.0, 0.0, 0.5]);
        assert_eq!(aimed(&[on, solo, StemGains { muted: true, ..solo }]), [0.0, 1.0, 0.0]);
        assert_eq!(
            aimed(&[StemGains { linear: f32::NAN, ..on }, StemGains { linear: -2.0, ..on }]),
            [0.0, 0.0]
        );
    }

    #[test]
    fn a_change_is_a_ramp_that_ends_exactly() {
        let mut smoothed = Smoothed::new(&Layout::in_order(2, 1));
        smoothed.aim(&[StemGains::default(); 2]);
        assert_eq!(smoothed.step().0[..2], [1.0, 1.0]);
        smoothed.aim(&[StemGains { linear: 0.3, ..StemGains::default() }, StemGains::default()]);
        let mut before = 1.0;
        for _ in 0..200 {
            let now = smoothed.step().0[0];
            assert!((before - now).abs() <= STEP * 1.0001);
            before = now;
        }
        assert_eq!(smoothed.step().0[..2], [0.3, 1.0]);
    }

    #[test]
    fn lanes_without_a_stem_are_silent_and_their_solo_counts_for_nothing() {
        let on = StemGains::default();
        let mut smoothed = Smoothed::new(&Layout::in_order(2, 1));
        smoothed.aim(&[on, on, StemGains { soloed: true, linear: 4.0, ..on }]);
        assert_eq!(smoothed.step(), (&[1.0, 1.0, 0.0, 0.0, 0.0, 0.0], 1.0));
        smoothed.lay_out(&Layout::in_order(3, 1));
        let (gains, largest) = smoothed.step();
        assert_eq!(gains[2], 4.0, "it comes in where nobody hears it");
        assert!(gains[0] < 1.0 && gains[0] >= 1.0 - STEP, "the others are no longer alone");
        assert!(largest > 1.0 && largest <= 1.0 + STEP, "this one is heard");
        for _ in 0..2_000 {
            smoothed.step();
        }
        assert_eq!(smoothed.step(), (&[0.0, 0.0, 4.0, 0.0, 0.0, 0.0], 4.0));
    }
}
