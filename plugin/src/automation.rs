//! Who moved a parameter: the host, whose automation is early by our latency and is delayed by the engine, or the
//! player, whose hand is followed at once. A host sends our own gestures back to us as if they were automation
//! (VST3 always does); those echoes are recognised here and dropped, or every move would be heard twice.
//!
//! Nobody waits for anybody here, and nothing allocates.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use rehearsekit_plugin_engine::{Control, Touched};

use crate::params::PARAM_COUNT;

/// How many moves of one parameter are remembered to recognise their echoes. A hand makes about 60 a second, and
/// no host takes half a second to send them back.
const REMEMBERED: usize = 32;

/// For how many frames after the last move an equal value from the host is taken for an echo: a second at 48 kHz.
const ECHO_FRAMES: u64 = 48_000;

/// No move in this place. It is not a number, so it is equal to nothing a host may send.
const NOTHING: u32 = f32::NAN.to_bits();

/// The moves of one parameter.
struct Lane {
    /// The moves made lately, as bits; written by the editor in a circle.
    made: [AtomicU32; REMEMBERED],
    /// Where the next move is remembered.
    next: AtomicU32,
    /// When the newest move was made, on the audio thread's own count of frames; 0 when there was none.
    made_at: AtomicU64,
}

/// All gestures of one instance. Shared by its editor and its audio thread.
pub struct Gestures {
    lanes: [Lane; PARAM_COUNT],
    touched: AtomicU64,
    /// Frames that the audio thread has processed, and one, so that 0 is never a time.
    clock: AtomicU64,
}

impl Default for Gestures {
    fn default() -> Self {
        let lane = || Lane {
            made: std::array::from_fn(|_| AtomicU32::new(NOTHING)),
            next: AtomicU32::new(0),
            made_at: AtomicU64::new(0),
        };
        Self { lanes: std::array::from_fn(|_| lane()), touched: AtomicU64::new(0), clock: AtomicU64::new(1) }
    }
}

impl Gestures {
    /// Editor: the player is about to move parameter `index` to this value in 0..=1. Before the parameter is
    /// set and the host is told, so that no echo can be faster; [`Self::moved`] follows.
    pub fn moving(&self, index: usize, normalized: f32) {
        let Some(lane) = self.lanes.get(index) else { return };
        let place = lane.next.fetch_add(1, Ordering::Relaxed) as usize % REMEMBERED;
        lane.made[place].store(normalized.to_bits(), Ordering::Relaxed);
        lane.made_at.store(self.clock.load(Ordering::Relaxed), Ordering::Release);
    }

    /// Editor: the parameter is set; the next block follows it at once.
    pub fn moved(&self, index: usize) {
        // Parameters are announced in the order of the engine's controls.
        let touched = Control::at(index).map_or(Touched::NONE, Touched::one);
        self.touched.fetch_or(touched.bits(), Ordering::Release);
    }

    /// Audio thread: what the player moved since the last call. Ask before reading the parameters.
    pub fn take(&self) -> Touched {
        if self.touched.load(Ordering::Relaxed) == 0 {
            return Touched::NONE;
        }
        Touched::from_bits(self.touched.swap(0, Ordering::Acquire))
    }

    /// Audio thread: whether this value from the host is our own gesture on its way back. A value that is none
    /// ends the waiting for more.
    pub fn is_echo(&self, index: usize, normalized: f32) -> bool {
        let Some(lane) = self.lanes.get(index) else { return false };
        let made_at = lane.made_at.load(Ordering::Acquire);
        if made_at == 0 {
            return false;
        }
        let recent = self.clock.load(Ordering::Relaxed).saturating_sub(made_at) <= ECHO_FRAMES;
        let known = lane.made.iter().any(|made| made.load(Ordering::Relaxed) == normalized.to_bits());
        if recent && known {
            return true;
        }
        lane.made_at.store(0, Ordering::Relaxed);
        lane.made.iter().for_each(|made| made.store(NOTHING, Ordering::Relaxed));
        false
    }

    /// Audio thread: this many frames were processed.
    pub fn passed(&self, frames: usize) {
        self.clock.fetch_add(frames as u64, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_move_is_taken_once() {
        let gestures = Gestures::default();
        assert_eq!(gestures.take(), Touched::NONE);
        let moved = [Control::BYPASS, Control::gain(0), Control::solo(5), Control::MINE];
        for control in moved {
            gestures.moving(control.index(), 0.25);
            gestures.moved(control.index());
        }
        let expected = moved.into_iter().fold(Touched::NONE, |all, control| all.and(Touched::one(control)));
        assert_eq!(gestures.take(), expected);
        assert_eq!(gestures.take(), Touched::NONE);
    }

    #[test]
    fn every_move_comes_back_and_is_known() {
        let gestures = Gestures::default();
        for step in 0..10 {
            gestures.moving(1, step as f32 / 10.0);
        }
        gestures.passed(512);
        for step in 0..10 {
            assert!(gestures.is_echo(1, step as f32 / 10.0), "step {step}");
        }
        assert!(!gestures.is_echo(2, 0.5), "another parameter");
        assert!(!gestures.is_echo(1, 0.77), "nobody moved it there");
        assert!(!gestures.is_echo(1, 0.5), "the host has taken over");
    }

    #[test]
    fn the_same_value_long_after_is_automation() {
        let gestures = Gestures::default();
        gestures.moving(1, 0.5);
        gestures.passed(ECHO_FRAMES as usize + 1);
        assert!(!gestures.is_echo(1, 0.5));
    }

    #[test]
    fn automation_without_a_gesture_is_never_an_echo() {
        let gestures = Gestures::default();
        assert!(!gestures.is_echo(0, 0.0));
        assert!(!gestures.is_echo(PARAM_COUNT, 0.0), "no such parameter");
    }
}
