//! Faders, mutes and solos: what gain each stem really gets, without a click when it changes. Must not
//! know of decibels or of a host's parameters.

use crate::{Layout, layout::LANES};

/// How much a gain may move in one frame: a mute at 0 dB takes 256 frames, about 5 ms.
const STEP: f32 = 1.0 / 256.0;

/// What the player set for one stem.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct StemGains {
    /// The fader, linear; 1 is 0 dB. Negative or not finite counts as 0.
    pub linear: f32,
    /// Balance, −1 (left) to 1 (right): the side it moves away from falls with a quarter of a cosine, the other
    /// stays. Not finite counts as 0.
    pub pan: f32,
    /// Mute; wins over solo.
    pub muted: bool,
    /// Solo: all stems without it are silent.
    pub soloed: bool,
}

impl Default for StemGains {
    fn default() -> Self {
        Self { linear: 1.0, pan: 0.0, muted: false, soloed: false }
    }
}

impl StemGains {
    /// The gains of left and right while the stem is heard.
    fn sides(&self) -> [f32; 2] {
        if !self.linear.is_finite() {
            return [0.0; 2];
        }
        balance(self.pan).map(|side| side * self.linear.max(0.0))
    }
}

/// The gains of left and right for a balance of −1 to 1: both are 1 in the middle, exactly.
pub fn balance(pan: f32) -> [f32; 2] {
    let pan = if pan.is_finite() { pan.clamp(-1.0, 1.0) } else { 0.0 };
    let away = match pan.abs() {
        all if all >= 1.0 => 0.0,
        part => (part * std::f32::consts::FRAC_PI_2).cos(),
    };
    if pan < 0.0 { [1.0, away] } else { [away, 1.0] }
}

/// What is heard of the lane that the player calls theirs. Counts for nothing where no stem lies on that lane.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Part {
    /// It is a lane like the others.
    #[default]
    All,
    /// Nothing of this lane, whatever its solo says; the others as they are set.
    Without(usize),
    /// This lane behind its fader, whatever mutes and solos say, and no other.
    Only(usize),
}

/// Which lanes are heard, by mutes, solos and the player's part. Lanes that are not `used` are silent, and their
/// solos count for nothing.
pub fn heard(wanted: &[StemGains; LANES], used: [bool; LANES], part: Part) -> [bool; LANES] {
    let is_used = |lane: usize| used.get(lane) == Some(&true);
    let mine = match part {
        Part::Only(lane) if is_used(lane) => return std::array::from_fn(|other| other == lane),
        Part::Without(lane) if is_used(lane) => Some(lane),
        _ => None,
    };
    let counts = |lane: usize| used[lane] && mine != Some(lane);
    let any_solo = (0..LANES).any(|lane| counts(lane) && wanted[lane].soloed);
    std::array::from_fn(|lane| counts(lane) && !wanted[lane].muted && (wanted[lane].soloed || !any_solo))
}

/// Gains of left and right of every lane.
pub(crate) type Sides = [[f32; 2]; LANES];

/// The gains as they are while moving to where they should be.
#[derive(Debug, Clone)]
pub(crate) struct Smoothed {
    wanted: [StemGains; LANES],
    part: Part,
    /// Lanes that a stem lies on; the others are silent, and a solo there counts for nothing.
    used: [bool; LANES],
    current: Sides,
    target: Sides,
    /// The largest effective gain of either side, which the mix gets where it stands in for the stems.
    largest: [f32; 2],
    settled: bool,
    started: bool,
}

impl Smoothed {
    pub(crate) fn new(layout: &Layout) -> Self {
        let unity = [[1.0; 2]; LANES];
        let mut new = Self {
            wanted: [StemGains::default(); LANES],
            part: Part::All,
            used: [false; LANES],
            current: unity,
            target: unity,
            largest: [1.0; 2],
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

    /// What is heard of the player's lane, from the next [`Self::aim`] on.
    pub(crate) fn set_part(&mut self, part: Part) {
        self.part = part;
    }

    /// Where to go. Lanes that `gains` does not name stay at 0 dB.
    pub(crate) fn aim(&mut self, gains: &[StemGains]) {
        for (lane, wanted) in self.wanted.iter_mut().enumerate() {
            *wanted = gains.get(lane).copied().unwrap_or_default();
        }
        self.retarget();
        if !self.started {
            self.current = self.target;
            self.largest = largest(&self.current);
            self.started = true;
            self.settled = true;
        }
    }

    fn retarget(&mut self) {
        let heard = heard(&self.wanted, self.used, self.part);
        for ((target, wanted), heard) in self.target.iter_mut().zip(&self.wanted).zip(heard) {
            *target = if heard { wanted.sides() } else { [0.0; 2] };
        }
        self.settled &= self.current == self.target;
    }

    /// One frame further; gives the gains of every lane, and the largest.
    pub(crate) fn step(&mut self) -> (&Sides, [f32; 2]) {
        if !self.settled {
            for (current, target) in self.current.iter_mut().flatten().zip(self.target.as_flattened()) {
                *current = slide(*current, *target);
            }
            let largest = largest(&self.current);
            for (current, target) in self.largest.iter_mut().zip(largest) {
                *current = slide(*current, target);
            }
            self.settled = self.current == self.target && self.largest == largest;
        }
        (&self.current, self.largest)
    }
}

fn largest(gains: &Sides) -> [f32; 2] {
    let of = |side: usize| gains.iter().fold(0.0, |most: f32, lane| most.max(lane[side]));
    [of(0), of(1)]
}

/// A level that moves to where it should be in a ramp.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Level {
    current: f32,
    target: f32,
}

impl Level {
    pub(crate) const fn at(level: f32) -> Self {
        Self { current: level, target: level }
    }

    /// Where to go.
    pub(crate) fn aim(&mut self, target: f32) {
        self.target = target;
    }

    /// Is there at once.
    pub(crate) fn jump(&mut self) {
        self.current = self.target;
    }

    /// One frame further.
    pub(crate) fn step(&mut self) -> f32 {
        if self.current != self.target {
            self.current = slide(self.current, self.target);
        }
        self.current
    }
}

/// One frame of a ramp from `current` to `target`.
fn slide(current: f32, target: f32) -> f32 {
    let way = target - current;
    if way.abs() <= STEP { target } else { current + STEP.copysign(way) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn aimed(gains: &[StemGains]) -> Vec<f32> {
        let mut smoothed = Smoothed::new(&Layout::in_order(gains.len(), 0));
        smoothed.aim(gains);
        smoothed.step().0[..gains.len()].iter().map(|sides| sides[0]).collect()
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
        assert_eq!(smoothed.step().0[..2], [[1.0; 2]; 2]);
        smoothed.aim(&[StemGains { linear: 0.3, ..StemGains::default() }, StemGains::default()]);
        let mut before = 1.0;
        for _ in 0..200 {
            let now = smoothed.step().0[0][1];
            assert!((before - now).abs() <= STEP * 1.0001);
            before = now;
        }
        assert_eq!(smoothed.step().0[..2], [[0.3; 2], [1.0; 2]]);
    }

    #[test]
    fn lanes_without_a_stem_are_silent_and_their_solo_counts_for_nothing() {
        let on = StemGains::default();
        let mut smoothed = Smoothed::new(&Layout::in_order(2, 1));
        smoothed.aim(&[on, on, StemGains { soloed: true, linear: 4.0, ..on }]);
        assert_eq!(smoothed.step(), (&[1.0, 1.0, 0.0, 0.0, 0.0, 0.0].map(|side| [side; 2]), [1.0; 2]));
        smoothed.lay_out(&Layout::in_order(3, 1));
        let (gains, largest) = smoothed.step();
        assert_eq!(gains[2], [4.0; 2], "it comes in where nobody hears it");
        assert!(gains[0][0] < 1.0 && gains[0][0] >= 1.0 - STEP, "the others are no longer alone");
        assert!(largest[0] > 1.0 && largest[0] <= 1.0 + STEP, "this one is heard");
        for _ in 0..2_000 {
            smoothed.step();
        }
        assert_eq!(smoothed.step(), (&[0.0, 0.0, 4.0, 0.0, 0.0, 0.0].map(|side| [side; 2]), [4.0; 2]));
    }

    #[test]
    fn a_balance_takes_from_one_side_and_leaves_the_other() {
        assert_eq!(balance(0.0), [1.0, 1.0]);
        assert_eq!(balance(-1.0), [1.0, 0.0]);
        assert_eq!(balance(1.0), [0.0, 1.0]);
        assert_eq!(balance(f32::NAN), [1.0, 1.0]);
        let [left, right] = balance(0.5);
        assert!((left - std::f32::consts::FRAC_1_SQRT_2).abs() < 1e-6 && right == 1.0);
        let mut smoothed = Smoothed::new(&Layout::in_order(2, 1));
        let left = StemGains { pan: -1.0, linear: 0.5, ..StemGains::default() };
        let right = StemGains { pan: 1.0, linear: 2.0, ..left };
        smoothed.aim(&[left, right]);
        let (gains, largest) = smoothed.step();
        assert_eq!((gains[0], gains[1], largest), ([0.5, 0.0], [0.0, 2.0], [0.5, 2.0]));
    }
}
