//! How meters move: up at once, down slowly, the peak held for a while, a light when it was too loud. Time is an
//! argument. Nothing here draws.

use std::time::Duration;

use crate::FADER_FOOT_DB;
use crate::law::db;

/// A bar falls this fast.
const FALL_DB_PER_SECOND: f32 = 26.0;
/// A peak stays for this long, then falls like the bar.
const HOLD_SECONDS: f64 = 1.5;
/// The clip light stays for this long.
const CLIP_SECONDS: f64 = 3.0;
/// Between two pictures of something that falls.
const FALLING: Duration = Duration::from_millis(33);

/// One meter's memory.
#[derive(Debug, Clone, Default)]
pub(crate) struct Meter {
    sides: [Side; 2],
    then: f64,
    clip_until: Option<f64>,
}

/// Left or right.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Side {
    /// The bar's end.
    pub(crate) level_db: f32,
    /// The held peak.
    pub(crate) peak_db: f32,
    held_until: f64,
}

impl Default for Side {
    fn default() -> Self {
        Self { level_db: FADER_FOOT_DB, peak_db: FADER_FOOT_DB, held_until: 0.0 }
    }
}

impl Meter {
    /// Takes the largest samples since the last picture, at `now` seconds. Returns how soon it would like the next
    /// picture though nothing new comes; `None` if it is at rest.
    pub(crate) fn take(&mut self, now: f64, peak: [f32; 2]) -> Option<Duration> {
        let passed = (now - self.then).clamp(0.0, 10.0) as f32;
        self.then = now;
        if peak.iter().any(|peak| *peak > 1.0 || peak.is_nan()) {
            self.clip_until = Some(now + CLIP_SECONDS);
        }
        let mut next = None;
        let mut wish = |soon: f64| {
            let soon = Duration::from_secs_f64(soon.max(0.0)).max(FALLING);
            next = Some(next.map_or(soon, |other: Duration| other.min(soon)));
        };
        for (side, peak) in self.sides.iter_mut().zip(peak) {
            let new_db = db(peak);
            let fallen_db = FALL_DB_PER_SECOND * passed;
            side.level_db = new_db.max(side.level_db - fallen_db);
            if side.level_db >= side.peak_db {
                side.peak_db = side.level_db;
                side.held_until = now + HOLD_SECONDS;
            } else if now >= side.held_until {
                side.peak_db = side.level_db.max(side.peak_db - fallen_db);
            }
            if side.level_db > new_db {
                wish(0.0);
            } else if side.peak_db > side.level_db {
                wish(side.held_until - now);
            }
        }
        match self.clip_until {
            Some(until) if until <= now => self.clip_until = None,
            Some(until) => wish(until - now),
            None => {}
        }
        next
    }

    /// Left and right.
    pub(crate) fn sides(&self) -> [Side; 2] {
        self.sides
    }

    /// Whether it was too loud a moment ago.
    pub(crate) fn clipped(&self) -> bool {
        self.clip_until.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn up_at_once_and_down_slowly() {
        let mut meter = Meter::default();
        meter.take(1.0, [0.5, 0.0]);
        assert!((meter.sides()[0].level_db + 6.02).abs() < 0.01);
        assert_eq!(meter.sides()[1].level_db, FADER_FOOT_DB);
        meter.take(1.5, [0.0, 0.0]);
        assert!((meter.sides()[0].level_db + 6.02 + 13.0).abs() < 0.01);
        assert!((meter.sides()[0].peak_db + 6.02).abs() < 0.01, "held");
    }

    #[test]
    fn the_peak_is_let_go_after_a_while() {
        let mut meter = Meter::default();
        meter.take(1.0, [0.5, 0.5]);
        meter.take(2.4, [0.0, 0.0]);
        assert!((meter.sides()[0].peak_db + 6.02).abs() < 0.01);
        meter.take(2.6, [0.0, 0.0]);
        assert!(meter.sides()[0].peak_db < -7.0);
    }

    #[test]
    fn too_loud_is_said_for_a_while_also_when_it_is_not_a_number() {
        for peak in [1.01, f32::NAN, f32::INFINITY] {
            let mut meter = Meter::default();
            meter.take(1.0, [0.1, peak]);
            assert!(meter.clipped(), "{peak}");
            meter.take(3.9, [0.0; 2]);
            assert!(meter.clipped());
            meter.take(4.1, [0.0; 2]);
            assert!(!meter.clipped());
        }
    }

    #[test]
    fn it_comes_to_rest_and_then_wants_nothing() {
        let mut meter = Meter::default();
        assert_eq!(meter.take(0.0, [0.0; 2]), None);
        let mut now = 1.0;
        let mut next = meter.take(now, [2.0, 0.3]);
        let mut pictures = 0;
        while let Some(soon) = next {
            now += soon.as_secs_f64();
            next = meter.take(now, [0.0; 2]);
            pictures += 1;
            assert!(pictures < 500, "never rests");
        }
        assert_eq!(meter.sides()[0].peak_db, FADER_FOOT_DB);
        assert!(!meter.clipped());
    }

    #[test]
    fn a_steady_tone_needs_no_pictures_of_its_own() {
        let mut meter = Meter::default();
        meter.take(0.0, [0.5, 0.5]);
        assert_eq!(meter.take(1.0, [0.5, 0.5]), None);
    }
}
