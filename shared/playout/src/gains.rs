//! Faders, mutes and solos: what gain each stem really gets, without a click when it changes. Must not
//! know of decibels or of a host's parameters.

use rehearsekit_audio::StemSet;

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
    current: [f32; StemSet::MAX],
    target: [f32; StemSet::MAX],
    count: usize,
    settled: bool,
    started: bool,
}

impl Smoothed {
    pub(crate) fn new(count: usize) -> Self {
        let unity = [1.0; StemSet::MAX];
        Self { current: unity, target: unity, count, settled: true, started: false }
    }

    /// The next targets come into force at once, without a ramp.
    pub(crate) fn restart(&mut self) {
        self.started = false;
    }

    /// Where to go. Stems that `gains` does not name stay at 0 dB.
    pub(crate) fn aim(&mut self, gains: &[StemGains]) {
        let gains = &gains[..gains.len().min(self.count)];
        let any_solo = gains.iter().any(|g| g.soloed);
        for (i, target) in self.target[..self.count].iter_mut().enumerate() {
            let gain = gains.get(i).copied().unwrap_or_default();
            let silent = gain.muted || (any_solo && !gain.soloed) || !gain.linear.is_finite();
            *target = if silent { 0.0 } else { gain.linear.max(0.0) };
        }
        if !self.started {
            self.current = self.target;
            self.started = true;
        }
        self.settled = self.current == self.target;
    }

    /// One frame further; gives the gain of every stem.
    pub(crate) fn step(&mut self) -> &[f32] {
        if !self.settled {
            for (current, target) in self.current.iter_mut().zip(self.target) {
                *current += (target - *current).clamp(-STEP, STEP);
            }
            self.settled = self.current == self.target;
        }
        &self.current[..self.count]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn aimed(gains: &[StemGains]) -> Vec<f32> {
        let mut smoothed = Smoothed::new(gains.len());
        smoothed.aim(gains);
        smoothed.step().to_vec()
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
        let mut smoothed = Smoothed::new(2);
        smoothed.aim(&[StemGains::default(); 2]);
        assert_eq!(smoothed.step(), [1.0, 1.0]);
        smoothed.aim(&[StemGains { linear: 0.3, ..StemGains::default() }, StemGains::default()]);
        let mut before = 1.0;
        for _ in 0..200 {
            let now = smoothed.step()[0];
            assert!((before - now).abs() <= STEP * 1.0001);
            before = now;
        }
        assert_eq!(smoothed.step(), [0.3, 1.0]);
    }
}
