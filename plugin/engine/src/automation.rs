//! What the mixer is set to when: host automation acts a latency later, with the audio it was written for;
//! gestures in our own editor act at once and take their control away from automation still under way.
//!
//! Allocates nothing after it is made. Must not know of gains or of blocks' audio.

use std::collections::VecDeque;

use crate::control::{CONTROLS, Control, Touched};
use crate::mixer::Mixer;

/// Changes that may wait: more than a host sends within a latency, unless it splits blocks to a few frames.
const FEWEST_PENDING: usize = 2_048;
const MOST_PENDING: usize = 65_536;

/// One control's new value, to act when the frame that goes in at `at` does.
#[derive(Debug, Clone, Copy)]
struct Event {
    at: u64,
    control: usize,
    value: f32,
}

/// The values on their way and in force.
#[derive(Debug)]
pub(crate) struct Automation {
    latency_frames: u64,
    pending: VecDeque<Event>,
    newest: [f32; CONTROLS],
    in_force: [f32; CONTROLS],
    /// A tapped "one" is no automation: it counts at once.
    own_one_seconds: f64,
    started: bool,
}

impl Automation {
    pub(crate) fn new(latency_frames: u32) -> Self {
        let capacity = (latency_frames as usize / 8).clamp(FEWEST_PENDING, MOST_PENDING);
        let values = Mixer::default().values();
        Self {
            latency_frames: latency_frames.into(),
            pending: VecDeque::with_capacity(capacity),
            newest: values,
            in_force: values,
            own_one_seconds: 0.0,
            started: false,
        }
    }

    /// The next values come into force at once, and nothing is under way.
    pub(crate) fn restart(&mut self) {
        self.pending.clear();
        self.started = false;
    }

    /// The mixer as it is at the block whose first frame goes in at `position`. Whether anything came into force
    /// right now.
    pub(crate) fn receive(&mut self, position: u64, mixer: &Mixer, touched: Touched) -> bool {
        let values = mixer.values();
        let one = mixer.click.own_one_seconds;
        let one = if one.is_finite() { one } else { 0.0 };
        let mut at_once = self.own_one_seconds.to_bits() != one.to_bits();
        self.own_one_seconds = one;
        if !self.started {
            self.started = true;
            self.newest = values;
            self.in_force = values;
            return true;
        }
        for (control, &value) in values.iter().enumerate() {
            if Control::at(control).is_some_and(|control| touched.has(control)) {
                self.pending.retain(|event| event.control != control);
                self.in_force[control] = value;
                at_once = true;
            } else if value.to_bits() != self.newest[control].to_bits() {
                let event = Event { at: position + self.latency_frames, control, value };
                at_once |= self.wait(event);
            }
            self.newest[control] = value;
        }
        at_once
    }

    /// Keeps an event until its time. Where there is no room, a ramp loses its last step but one, which then comes a step
    /// early; if its control has none under way, the oldest event of all comes into force early, which this says. Both
    /// are better than never, and than an allocation.
    fn wait(&mut self, event: Event) -> bool {
        let mut at_once = false;
        if self.pending.len() == self.pending.capacity() {
            if let Some(step) = self.pending.iter_mut().rev().find(|step| step.control == event.control) {
                step.value = event.value;
                return false;
            }
            if let Some(oldest) = self.pending.pop_front() {
                self.in_force[oldest.control] = oldest.value;
                at_once = true;
            }
        }
        self.pending.push_back(event);
        at_once
    }

    /// When the next value comes into force.
    pub(crate) fn next(&self) -> Option<u64> {
        self.pending.front().map(|event| event.at)
    }

    /// Brings everything into force that is due at `position`; whether that was anything.
    pub(crate) fn apply(&mut self, position: u64) -> bool {
        let mut applied = false;
        while let Some(event) = self.pending.front().filter(|event| event.at <= position) {
            self.in_force[event.control] = event.value;
            self.pending.pop_front();
            applied = true;
        }
        applied
    }

    /// What is in force.
    pub(crate) fn mixer(&self) -> Mixer {
        Mixer::from_values(&self.in_force, self.own_one_seconds)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vocals(gain_db: f32) -> Mixer {
        let mut mixer = Mixer::default();
        mixer.strips[0].gain_db = gain_db;
        mixer
    }

    fn in_force(automation: &Automation) -> f32 {
        automation.mixer().strips[0].gain_db
    }

    #[test]
    fn automation_waits_for_its_audio_and_a_gesture_does_not() {
        let mut automation = Automation::new(1_000);
        assert!(automation.receive(500, &vocals(-3.0), Touched::NONE), "the first values act at once");
        assert!(!automation.receive(600, &vocals(-6.0), Touched::NONE));
        assert_eq!(automation.next(), Some(1_600));
        assert!(!automation.apply(1_599));
        assert_eq!(in_force(&automation), -3.0);
        assert!(automation.apply(1_600));
        assert_eq!(in_force(&automation), -6.0);
        assert!(automation.receive(1_700, &vocals(-9.0), Touched::one(Control::gain(0))));
        assert_eq!(in_force(&automation), -9.0);
        assert!(!automation.receive(1_800, &vocals(-9.0), Touched::NONE), "no change, no event");
        assert_eq!(automation.next(), None);
    }

    #[test]
    fn a_gesture_takes_its_own_control_and_no_other() {
        let mut automation = Automation::new(1_000);
        automation.receive(0, &vocals(0.0), Touched::NONE);
        let mut mixer = vocals(-20.0);
        mixer.strips[1].muted = true;
        mixer.bypassed = true;
        automation.receive(100, &mixer, Touched::NONE);
        mixer.strips[0].gain_db = -1.0;
        automation.receive(200, &mixer, Touched::one(Control::gain(0)));
        assert_eq!(in_force(&automation), -1.0);
        assert!(!automation.mixer().bypassed);
        automation.apply(5_000);
        assert_eq!(automation.mixer(), mixer);
    }

    #[test]
    fn more_than_fits_loses_steps_and_no_time_and_costs_no_memory() {
        let mut automation = Automation::new(100_000);
        let capacity = automation.pending.capacity();
        for position in 0..2 * capacity as u64 {
            automation.receive(position, &vocals(-(position as f32) / 1e3), Touched::NONE);
            assert_eq!(in_force(&automation), 0.0, "before its time");
        }
        // Another control has a place, too.
        let mut mixer = vocals(-(2.0 * capacity as f32 - 1.0) / 1e3);
        mixer.bypassed = true;
        automation.receive(2 * capacity as u64, &mixer, Touched::NONE);
        assert_eq!(automation.pending.capacity(), capacity);
        automation.apply(u64::MAX);
        assert_eq!(automation.mixer(), mixer, "the last values");
        automation.receive(0, &vocals(1.0), Touched::NONE);
        automation.restart();
        assert_eq!(automation.next(), None);
    }
}
