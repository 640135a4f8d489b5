//! Who moved a parameter: the host, whose automation is early by our latency and is delayed by the engine, or the
//! player, whose hand is followed at once. A VST3 host sends our own gestures back to us as if they were automation;
//! those echoes are recognised here and dropped, or every move would be heard twice. A CLAP host sends none back.
//!
//! An echo is taken for one once, in the order of the moves, with those before it that the host left out. The host's
//! last word holds: where it was taken for an echo, and the echo of what was moved after it never comes, it is
//! followed late.
//!
//! Nobody waits for anybody here, and nothing allocates.

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};

use rehearsekit_plugin_engine::{Control, Touched};

use crate::params::PARAM_COUNT;

/// How many moves of one parameter are remembered to recognise their echoes. A hand makes about 60 a second, and
/// no host takes half a second to send them back.
const REMEMBERED: usize = 32;

/// For how many frames after the last move an equal value from the host is taken for an echo: a second at 48 kHz.
const ECHO_FRAMES: u64 = 48_000;

/// No value: it is not a number, so it is equal to nothing a host may send.
const NOTHING: u32 = f32::NAN.to_bits();

/// The moves of one parameter.
struct Lane {
    /// The moves made lately, as bits; written by the editor in a circle.
    made: [AtomicU32; REMEMBERED],
    /// How many were made.
    count: AtomicU32,
    /// How many of them need no echo any more. Audio thread.
    answered: AtomicU32,
    /// The value that was taken for an echo last. Audio thread.
    last_echo: AtomicU32,
    /// When the newest move was made, on the audio thread's own count of frames.
    made_at: AtomicU64,
}

impl Default for Lane {
    fn default() -> Self {
        Self {
            made: std::array::from_fn(|_| AtomicU32::new(NOTHING)),
            count: AtomicU32::new(0),
            answered: AtomicU32::new(0),
            last_echo: AtomicU32::new(NOTHING),
            made_at: AtomicU64::new(0),
        }
    }
}

/// All gestures of one instance. Shared by its editor and its audio thread.
pub struct Gestures {
    lanes: [Lane; PARAM_COUNT],
    touched: AtomicU64,
    /// Frames that the audio thread has processed.
    clock: AtomicU64,
    echoes: AtomicBool,
    /// Bits of parameters of which an echo came but not the one of the newest move. Audio thread.
    waiting: AtomicU64,
}

impl Default for Gestures {
    fn default() -> Self {
        Self {
            lanes: std::array::from_fn(|_| Lane::default()),
            touched: AtomicU64::new(0),
            clock: AtomicU64::new(0),
            echoes: AtomicBool::new(false),
            waiting: AtomicU64::new(0),
        }
    }
}

impl Gestures {
    /// The host is one that sends our gestures back to us. Before anything runs.
    pub fn expect_echoes(&self) {
        self.echoes.store(true, Ordering::Relaxed);
    }

    /// Editor: the player is about to move parameter `index` to this value in 0..=1. Before the parameter is
    /// set and the host is told, so that no echo can be faster; [`Self::moved`] follows.
    pub fn moving(&self, index: usize, normalized: f32) {
        let Some(lane) = self.lanes.get(index) else { return };
        let number = lane.count.load(Ordering::Relaxed);
        lane.made[number as usize % REMEMBERED].store(normalized.to_bits(), Ordering::Relaxed);
        lane.made_at.store(self.clock.load(Ordering::Relaxed), Ordering::Relaxed);
        lane.count.store(number.wrapping_add(1), Ordering::Release);
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
        let Some(lane) = self.lanes.get(index).filter(|_| self.echoes.load(Ordering::Relaxed)) else {
            return false;
        };
        let count = lane.count.load(Ordering::Acquire);
        let open = count.wrapping_sub(lane.answered.load(Ordering::Relaxed));
        if open == 0 || self.is_long_ago(lane) {
            self.settle(index, count);
            return false;
        }
        let value = normalized.to_bits();
        let is_move =
            |number: &u32| lane.made[*number as usize % REMEMBERED].load(Ordering::Relaxed) == value;
        let remembered = (1..=open.min(REMEMBERED as u32)).rev().map(|ago| count.wrapping_sub(ago));
        if let Some(number) = remembered.into_iter().find(is_move) {
            lane.last_echo.store(value, Ordering::Relaxed);
            self.settle(index, number.wrapping_add(1));
            if number.wrapping_add(1) != count {
                self.waiting.fetch_or(1 << index, Ordering::Relaxed);
            }
            return true;
        }
        // Some hosts say the same again and again until there is news.
        if lane.last_echo.load(Ordering::Relaxed) == value {
            self.waiting.fetch_or(1 << index, Ordering::Relaxed);
            return true;
        }
        self.settle(index, count);
        false
    }

    /// No echo of the first `answered` moves is waited for.
    fn settle(&self, index: usize, answered: u32) {
        self.lanes[index].answered.store(answered, Ordering::Relaxed);
        self.waiting.fetch_and(!(1 << index), Ordering::Relaxed);
    }

    fn is_long_ago(&self, lane: &Lane) -> bool {
        let made_at = lane.made_at.load(Ordering::Relaxed);
        self.clock.load(Ordering::Relaxed).saturating_sub(made_at) > ECHO_FRAMES
    }

    /// Audio thread: what the host said last, was taken for an echo, and has stayed its last word, although the
    /// parameter was moved on after that. To be followed now.
    pub fn overdue(&self, mut follow: impl FnMut(usize, f32)) {
        if self.waiting.load(Ordering::Relaxed) == 0 {
            return;
        }
        for (index, lane) in self.lanes.iter().enumerate() {
            let waits = self.waiting.load(Ordering::Relaxed) & (1 << index) != 0;
            if waits && self.is_long_ago(lane) {
                self.settle(index, lane.count.load(Ordering::Acquire));
                follow(index, f32::from_bits(lane.last_echo.load(Ordering::Relaxed)));
            }
        }
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

    fn echoed() -> Gestures {
        let gestures = Gestures::default();
        gestures.expect_echoes();
        gestures
    }

    #[test]
    fn every_move_comes_back_and_is_known() {
        let gestures = echoed();
        for step in 0..10 {
            gestures.moving(1, step as f32 / 10.0);
        }
        gestures.passed(512);
        for step in 0..10 {
            assert!(gestures.is_echo(1, step as f32 / 10.0), "step {step}");
        }
        assert!(!gestures.is_echo(2, 0.5), "another parameter");
        assert!(!gestures.is_echo(1, 0.5), "it has come back already");
    }

    #[test]
    fn an_echo_is_one_once_and_answers_for_those_before_it() {
        let gestures = echoed();
        for value in [0.1, 0.2, 0.3, 0.4] {
            gestures.moving(1, value);
        }
        assert!(gestures.is_echo(1, 0.1) && gestures.is_echo(1, 0.1), "said twice while more is to come");
        assert!(gestures.is_echo(1, 0.3), "the host leaves one out");
        assert!(gestures.is_echo(1, 0.4));
        for value in [0.1, 0.2, 0.3, 0.4] {
            assert!(!gestures.is_echo(1, value), "{value} is the host's own");
        }
        gestures.moving(1, 0.1);
        gestures.moving(1, 0.2);
        assert!(!gestures.is_echo(1, 0.77), "nobody moved it there");
        assert!(!gestures.is_echo(1, 0.2), "the host has taken over");
        gestures.overdue(|_, _| panic!("nothing waits"));
    }

    #[test]
    fn more_moves_than_are_remembered_are_answered_by_the_newest() {
        let gestures = echoed();
        for step in 0..100 {
            gestures.moving(1, step as f32);
        }
        assert!(!gestures.is_echo(1, 3.0), "forgotten, so the host has taken over");
        for step in 0..100 {
            gestures.moving(1, step as f32);
        }
        assert!(gestures.is_echo(1, 99.0));
    }

    #[test]
    fn the_same_value_long_after_is_automation() {
        let gestures = echoed();
        gestures.moving(1, 0.5);
        gestures.passed(ECHO_FRAMES as usize + 1);
        assert!(!gestures.is_echo(1, 0.5));
    }

    #[test]
    fn the_hosts_last_word_is_followed_even_if_it_looked_like_an_echo() {
        let gestures = echoed();
        gestures.moving(1, 0.1);
        gestures.moving(1, 0.2);
        assert!(gestures.is_echo(1, 0.1));
        gestures.overdue(|_, _| panic!("the other may still come"));
        gestures.passed(ECHO_FRAMES as usize + 1);
        let mut followed = Vec::new();
        gestures.overdue(|index, value| followed.push((index, value)));
        gestures.overdue(|index, value| followed.push((index, value)));
        assert_eq!(followed, [(1, 0.1)]);
    }

    #[test]
    fn automation_without_a_gesture_is_never_an_echo() {
        assert!(!echoed().is_echo(0, 0.0));
        assert!(!echoed().is_echo(PARAM_COUNT, 0.0), "no such parameter");
        let clap = Gestures::default();
        clap.moving(1, 0.5);
        assert!(!clap.is_echo(1, 0.5), "a host that sends nothing back");
    }
}
