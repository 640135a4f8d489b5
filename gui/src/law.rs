//! How positions on the screen and values belong together: the faders' law, pan and dry/wet, and how values are
//! written and read. Pure functions; nothing here draws.

use rehearsekit_audio::typed;

use crate::{FADER_FOOT_DB, FADER_HEAD_DB};

/// A console's fader: half of the travel for the 20 dB around which one mixes, nothing wasted at the foot. Position
/// (0 is the foot, 1 the head) and dB.
const FADER: [(f32, f32); 8] = [
    (0.0, FADER_FOOT_DB),
    (0.04, -60.0),
    (0.12, -40.0),
    (0.22, -30.0),
    (0.36, -20.0),
    (0.54, -10.0),
    (0.75, 0.0),
    (1.0, FADER_HEAD_DB),
];

/// Where a fader's scale has marks, in dB, the most needed first: a short fader shows only the first few.
pub(crate) const FADER_MARKS_DB: [f32; 10] =
    [0.0, FADER_FOOT_DB, 12.0, -10.0, -20.0, -40.0, 6.0, -5.0, -30.0, -60.0];

/// What kind of value a control has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Law {
    /// dB, from silence to +12.
    Fader,
    /// −1 is left, 1 is right.
    Pan,
    /// 0 is dry, 1 is wet.
    Wet,
}

impl Law {
    /// Where `value` is, 0 to 1.
    pub(crate) fn position(self, value: f32) -> f32 {
        match self {
            Self::Fader => {
                through(value.clamp(FADER_FOOT_DB, FADER_HEAD_DB), |(position, db)| (db, position))
            }
            Self::Pan => (value.clamp(-1.0, 1.0) + 1.0) / 2.0,
            Self::Wet => value.clamp(0.0, 1.0),
        }
    }

    /// The value at `position`, 0 to 1.
    pub(crate) fn value(self, position: f32) -> f32 {
        let position = position.clamp(0.0, 1.0);
        match self {
            Self::Fader => through(position, |point| point),
            Self::Pan => position * 2.0 - 1.0,
            Self::Wet => position,
        }
    }

    /// What a double click sets.
    pub(crate) fn default_value(self) -> f32 {
        match self {
            Self::Fader | Self::Pan => 0.0,
            Self::Wet => 1.0,
        }
    }

    /// Smallest and largest value.
    pub(crate) fn range(self) -> [f32; 2] {
        [self.value(0.0), self.value(1.0)]
    }

    /// `value` moved by `steps` of an arrow key or of the wheel, finer with `fine`.
    pub(crate) fn stepped(self, value: f32, steps: f32, fine: bool) -> f32 {
        let step = match (self, fine) {
            (Self::Fader, false) => 0.5,
            (Self::Fader, true) => 0.1,
            (_, false) => 0.05,
            (_, true) => 0.01,
        };
        let [least, most] = self.range();
        let moved = value + steps * step;
        // Far down half a dB is no way at all: from there a step is one along the fader instead.
        let moved = if self == Self::Fader && moved < -40.0 {
            self.value(self.position(value) + steps * if fine { 0.002 } else { 0.01 })
        } else {
            moved
        };
        self.settled(moved.clamp(least, most))
    }

    /// `value` as it is set: to a tenth of a dB, to a hundredth otherwise.
    pub(crate) fn settled(self, value: f32) -> f32 {
        let grid = if self == Self::Fader { 10.0 } else { 100.0 };
        // Adding zero turns a −0 into a 0.
        (value * grid).round() / grid + 0.0
    }

    /// The value in words, with its unit.
    pub(crate) fn text(self, value: f32) -> String {
        match self {
            Self::Fader if value <= FADER_FOOT_DB => "−∞ dB".to_owned(),
            Self::Fader => format!("{} dB", signed(self.settled(value))),
            Self::Pan => match (value * 100.0).round() as i32 {
                0 => "centre".to_owned(),
                left if left < 0 => format!("{} L", -left),
                right => format!("{right} R"),
            },
            Self::Wet => format!("{:.0} %", value * 100.0),
        }
    }

    /// A typed value, however it was typed; `None` if it is none.
    pub(crate) fn parsed(self, text: &str) -> Option<f32> {
        let [least, most] = self.range();
        let value = match self {
            Self::Fader => typed::decibels(text)?,
            Self::Pan => typed::balance(text)?,
            Self::Wet => typed::share(text)?,
        };
        // The foot of a fader is −∞.
        Some(self.settled((value as f32).clamp(least, most)))
    }
}

/// A number with a real minus and one decimal.
fn signed(value: f32) -> String {
    let sign = if value < 0.0 {
        "−"
    } else if value > 0.0 {
        "+"
    } else {
        ""
    };
    format!("{sign}{:.1}", value.abs())
}

/// Walks along the fader's law in the direction that `of` says.
fn through(x: f32, of: impl Fn((f32, f32)) -> (f32, f32)) -> f32 {
    let mut points = FADER.iter().map(|point| of(*point));
    let mut below = points.next().unwrap_or_default();
    for above in points {
        if x <= above.0 {
            let share = (x - below.0) / (above.0 - below.0);
            return below.1 + share * (above.1 - below.1);
        }
        below = above;
    }
    below.1
}

/// Linear to dB, never below the fader's foot.
pub(crate) fn db(linear: f32) -> f32 {
    if linear.is_finite() { (20.0 * linear.max(1e-9).log10()).max(FADER_FOOT_DB) } else { FADER_HEAD_DB }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fader_rises_all_the_way_and_comes_back_to_where_it_was() {
        let mut last = f32::NEG_INFINITY;
        for step in 0..=1000 {
            let position = step as f32 / 1000.0;
            let db = Law::Fader.value(position);
            assert!(db > last, "{db} dB at {position}");
            assert!((Law::Fader.position(db) - position).abs() < 1e-5, "{position} came back elsewhere");
            last = db;
        }
    }

    #[test]
    fn zero_db_is_three_quarters_up_and_exact() {
        assert_eq!(Law::Fader.position(0.0), 0.75);
        assert_eq!(Law::Fader.value(0.75), 0.0);
        assert_eq!(Law::Fader.default_value(), 0.0);
        assert_eq!(Law::Fader.range(), [FADER_FOOT_DB, FADER_HEAD_DB]);
    }

    #[test]
    fn what_is_out_of_range_ends_at_the_ends() {
        assert_eq!(Law::Fader.position(-200.0), 0.0);
        assert_eq!(Law::Fader.position(40.0), 1.0);
        assert_eq!(Law::Pan.position(-3.0), 0.0);
        assert_eq!(Law::Wet.value(7.0), 1.0);
    }

    #[test]
    fn steps_reach_both_ends_and_come_back_through_zero() {
        for law in [Law::Fader, Law::Pan, Law::Wet] {
            let [least, most] = law.range();
            let walk = |mut value: f32, steps: f32| {
                for _ in 0..400 {
                    value = law.stepped(value, steps, false);
                }
                value
            };
            assert_eq!(walk(law.default_value(), -1.0), least, "{law:?}");
            assert_eq!(walk(least, 1.0), most, "{law:?}");
        }
        assert_eq!(Law::Fader.stepped(-0.5, 1.0, false), 0.0);
        assert_eq!(Law::Fader.stepped(0.0, 1.0, true), 0.1);
    }

    #[test]
    fn values_are_written_and_read_back() {
        assert_eq!(Law::Fader.text(-3.2), "−3.2 dB");
        assert_eq!(Law::Fader.text(FADER_FOOT_DB), "−∞ dB");
        assert_eq!(Law::Pan.text(-0.32), "32 L");
        assert_eq!(Law::Pan.text(0.0), "centre");
        for (law, values) in [
            (Law::Fader, [FADER_FOOT_DB, -3.2, 0.0, 12.0]),
            (Law::Pan, [-1.0, -0.32, 0.0, 0.5]),
            (Law::Wet, [0.0, 0.25, 0.5, 1.0]),
        ] {
            for value in values {
                assert_eq!(law.parsed(&law.text(value)), Some(value), "{law:?} {value}");
            }
        }
    }

    #[test]
    fn nonsense_typed_is_no_value() {
        for typed in ["", "loud", "nan", "1.2.3", "--4"] {
            for law in [Law::Fader, Law::Pan, Law::Wet] {
                assert_eq!(law.parsed(typed), None, "{typed:?}");
            }
        }
        for text in ["-6,5", "−6.5 DB", "–6,5db"] {
            assert_eq!(Law::Fader.parsed(text), Some(-6.5), "{text:?}");
        }
        for text in ["32 l", "L32", "−32"] {
            assert_eq!(Law::Pan.parsed(text), Some(-0.32), "{text:?}");
        }
        assert_eq!(Law::Wet.parsed("25,0 %"), Some(0.25));
        assert_eq!(Law::Fader.parsed("99"), Some(FADER_HEAD_DB));
    }
}
