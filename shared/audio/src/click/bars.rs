//! Bars: which clicks there are, on which beats, and which of them is the one. Must not know of time.

use super::Subdivision;

/// Rounding that moves no bar line, in quarter notes. Hosts count in 1920ths and finer.
const ROUNDING_BEATS: f64 = 1e-3;

/// A time signature.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Meter {
    numerator: u32,
    denominator: u32,
}

impl Meter {
    /// `numerator` beats of 1/`denominator` notes; `None` for what is no meter.
    pub fn new(numerator: u32, denominator: u32) -> Option<Self> {
        let is_meter = (1..=128).contains(&numerator) && (1..=64).contains(&denominator);
        is_meter.then_some(Self { numerator, denominator })
    }

    /// Length of a beat in quarter notes.
    fn beat_quarters(self) -> f64 {
        4.0 / f64::from(self.denominator)
    }

    /// Length of a bar in quarter notes.
    pub fn bar_quarters(self) -> f64 {
        f64::from(self.numerator) * self.beat_quarters()
    }
}

/// What a click is, the softest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum TickKind {
    /// Between the beats.
    Subdivision,
    /// A beat.
    Beat,
    /// A bar's first beat.
    Accent,
}

/// A moment that may be clicked on.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Tick {
    /// Where, in quarter notes.
    pub beats: f64,
    /// What.
    pub kind: TickKind,
}

/// Bars of one meter, in both directions from one bar line.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Bars {
    /// Unknown: beats are quarters, and none of them is the one.
    meter: Option<Meter>,
    /// A bar line, in quarter notes.
    origin: f64,
}

impl Bars {
    /// Bars with a bar line at `origin` quarter notes.
    pub fn new(meter: Option<Meter>, origin: f64) -> Self {
        Self { meter, origin }
    }

    /// What a host's words at `beats` mean, after the bars that were before.
    ///
    /// A bar start is believed only where the bar of `beats` can have begun: there are hosts that name the next bar's,
    /// and count it in quarters whatever the meter. Without it, bars go on as before; a new meter begins at a bar line
    /// of the old; and the first bar of all begins at 0.
    pub fn follow(before: Option<&Self>, meter: Option<Meter>, bar_start: Option<f64>, beats: f64) -> Self {
        let Some(new) = meter else { return Self::new(None, 0.0) };
        let believed = bar_start.filter(|start| {
            let into = beats - start;
            into >= -ROUNDING_BEATS && into < new.bar_quarters() + ROUNDING_BEATS
        });
        let follows = before.filter(|before| before.meter.is_some());
        match (believed, follows) {
            (Some(start), _) => Self::new(meter, start),
            (None, Some(before)) if before.meter == meter => *before,
            (None, Some(before)) => Self::new(meter, before.bar_line_at(beats)),
            (None, None) => Self::new(meter, 0.0),
        }
    }

    /// The last bar line at or before `beats`, or a hair behind it.
    pub fn bar_line_at(&self, beats: f64) -> f64 {
        let bar = self.bar_quarters();
        self.origin + ((beats - self.origin + ROUNDING_BEATS) / bar).floor() * bar
    }

    /// Whether both have the same meter and, but for rounding, the same bar lines.
    pub fn agrees_with(&self, other: &Self) -> bool {
        let bar = self.bar_quarters();
        let apart = (self.origin - other.origin).rem_euclid(bar);
        self.meter == other.meter && apart.min(bar - apart) < ROUNDING_BEATS
    }

    /// The first click at `from` quarter notes or later.
    pub fn next_tick(&self, from: f64, subdivision: Subdivision, accent: bool) -> Tick {
        let denominator = self.meter.map_or(4, |meter| meter.denominator);
        let per_beat = match subdivision {
            Subdivision::Beats => 1,
            Subdivision::Eighths => (8 / denominator).max(1),
            Subdivision::Triplets => 3,
            Subdivision::Sixteenths => (16 / denominator).max(1),
        };
        let length = self.beat_quarters() / f64::from(per_beat);
        let number = ((from - self.origin) / length).ceil();
        let per_bar = f64::from(per_beat * self.meter.map_or(1, |meter| meter.numerator));
        let kind = if number.rem_euclid(f64::from(per_beat)) != 0.0 {
            TickKind::Subdivision
        } else if accent && self.meter.is_some() && number.rem_euclid(per_bar) == 0.0 {
            TickKind::Accent
        } else {
            TickKind::Beat
        };
        Tick { beats: self.origin + number * length, kind }
    }

    /// Which beat of how many `beats` lies in, from 1; `None` without a meter.
    pub fn beat_at(&self, beats: f64) -> Option<(u32, u32)> {
        let meter = self.meter?;
        let number = ((beats - self.origin) / meter.beat_quarters()).floor();
        // Non-negative and below the numerator.
        Some((number.rem_euclid(f64::from(meter.numerator)) as u32 + 1, meter.numerator))
    }

    fn beat_quarters(&self) -> f64 {
        self.meter.map_or(1.0, Meter::beat_quarters)
    }

    fn bar_quarters(&self) -> f64 {
        self.meter.map_or(1.0, Meter::bar_quarters)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bars(numerator: u32, denominator: u32, origin: f64) -> Bars {
        Bars::new(Some(Meter::new(numerator, denominator).unwrap()), origin)
    }

    /// A bar from `from` as letters: Accent, Beat, subdivision.
    fn pattern(bars: &Bars, from: f64, count: usize, subdivision: Subdivision) -> (String, f64) {
        let mut at = from;
        let mut text = String::new();
        for _ in 0..count {
            let tick = bars.next_tick(at, subdivision, true);
            text.push(match tick.kind {
                TickKind::Accent => 'A',
                TickKind::Beat => 'B',
                TickKind::Subdivision => '.',
            });
            at = tick.beats + 1e-6;
        }
        (text, at)
    }

    #[test]
    fn beats_are_the_denominators_notes_and_subdivisions_are_note_values() {
        for (meter, subdivision, expected, quarters) in [
            ((4, 4), Subdivision::Beats, "ABBBA", 4.0),
            ((4, 4), Subdivision::Eighths, "A.B.B.B.A", 4.0),
            ((3, 4), Subdivision::Triplets, "A..B..B..A", 3.0),
            ((2, 2), Subdivision::Eighths, "A...B...A", 4.0),
            ((2, 4), Subdivision::Sixteenths, "A...B...A", 2.0),
            ((7, 8), Subdivision::Beats, "ABBBBBBA", 3.5),
            ((7, 8), Subdivision::Eighths, "ABBBBBBA", 3.5),
            ((6, 8), Subdivision::Sixteenths, "A.B.B.B.B.B.A", 3.0),
            ((3, 16), Subdivision::Sixteenths, "ABBA", 0.75),
            ((1, 32), Subdivision::Triplets, "A..A", 0.125),
        ] {
            for origin in [0.0, 1.25, -3.0] {
                let bars = bars(meter.0, meter.1, origin);
                for bar in [-3.0, 0.0, 7.0] {
                    let from = origin + bar * quarters;
                    let (text, end) = pattern(&bars, from - 1e-9, expected.len(), subdivision);
                    assert_eq!(text, expected, "{meter:?} {subdivision:?} from {from}");
                    assert!((end - from - quarters).abs() < 1e-5, "{meter:?}: {end} from {from}");
                }
            }
        }
    }

    #[test]
    fn without_a_meter_no_beat_is_the_one() {
        let bars = Bars::new(None, 0.0);
        assert_eq!(pattern(&bars, 0.0, 5, Subdivision::Eighths).0, "B.B.B");
        assert_eq!(bars.beat_at(3.0), None);
        assert_eq!(Meter::new(0, 4), None);
        assert_eq!(Meter::new(4, 0), None);
    }

    #[test]
    fn a_bar_start_is_believed_where_the_bar_can_have_begun() {
        let (common, seven) = (Meter::new(4, 4), Meter::new(7, 8));
        let follow = |before: Option<&Bars>, meter, start, beats| Bars::follow(before, meter, start, beats);
        assert_eq!(follow(None, common, Some(6.0), 7.0).beat_at(7.0), Some((2, 4)));
        assert_eq!(follow(None, common, Some(8.0), 5.0).beat_at(5.0), Some((2, 4)), "the next bar's");
        // Ardour's: the number of the next bar times four.
        for tenth in 0..100 {
            let beats = f64::from(tenth) / 10.0;
            let told = ((beats / 3.5).floor() + 1.0) * 4.0;
            let bars = follow(None, seven, Some(told), beats);
            assert!(bars.agrees_with(&Bars::new(seven, 0.0)) || told - beats < ROUNDING_BEATS, "{beats}");
        }
        let before = Bars::new(common, 1.0);
        assert_eq!(follow(Some(&before), common, None, 77.0), before);
        assert_eq!(follow(Some(&before), seven, None, 77.2), Bars::new(seven, 77.0));
        assert_eq!(follow(Some(&before), None, Some(3.0), 3.0), Bars::new(None, 0.0));
    }

    #[test]
    fn the_beat_that_is_heard_has_a_number() {
        let bars = bars(7, 8, 3.5);
        assert_eq!(bars.beat_at(3.5), Some((1, 7)));
        assert_eq!(bars.beat_at(6.99), Some((7, 7)));
        assert_eq!(bars.beat_at(-0.1), Some((7, 7)));
        assert!(bars.agrees_with(&Bars::new(Meter::new(7, 8), -7.000_1)));
        assert!(!bars.agrees_with(&Bars::new(Meter::new(7, 8), 4.0)));
    }
}
