//! Units as types, so that a rate is never taken for a count of frames.

use std::{fmt, str::FromStr, time::Duration};

use crate::typed;

/// Why a unit could not be made from what was given.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UnitError {
    /// A sample rate outside what any part of this project handles.
    #[error("sample rate {0} Hz is outside {min}..={max} Hz", min = SampleRate::MIN_HZ, max = SampleRate::MAX_HZ)]
    Rate(u32),
    /// A latency budget that is not a number with a unit, or is out of range.
    #[error("'{0}' is not a latency budget; write it like 250ms or 1.5s, between 1ms and 20s")]
    Budget(String),
}

/// Frames per second.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SampleRate(u32);

impl SampleRate {
    /// Slowest rate accepted, in Hz.
    pub const MIN_HZ: u32 = 8_000;
    /// Fastest rate accepted, in Hz.
    pub const MAX_HZ: u32 = 192_000;
    /// The rate of every model shipped so far.
    pub const HZ_44100: Self = Self(44_100);
    /// The usual rate of a DAW.
    pub const HZ_48000: Self = Self(48_000);

    /// A rate in Hz; an error outside `MIN_HZ..=MAX_HZ`.
    pub fn new(hz: u32) -> Result<Self, UnitError> {
        if (Self::MIN_HZ..=Self::MAX_HZ).contains(&hz) { Ok(Self(hz)) } else { Err(UnitError::Rate(hz)) }
    }

    /// Frames per second.
    pub const fn hz(self) -> u32 {
        self.0
    }

    /// How long `frames` last.
    pub fn duration(self, frames: u64) -> Duration {
        Duration::from_secs_f64(frames as f64 / f64::from(self.0))
    }

    /// Whole frames that fit into `duration` (rounded down).
    pub fn frames_in(self, duration: Duration) -> u64 {
        // The half nanosecond keeps 10 ms at 44.1 kHz at 441 frames whatever the float says.
        ((duration.as_secs_f64() + 0.5e-9) * f64::from(self.0)).floor() as u64
    }
}

impl fmt::Display for SampleRate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} Hz", self.0)
    }
}

/// The latency a player picked: what the plugin reports, to the frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Budget(Duration);

impl Budget {
    /// What a new project starts with (DESIGN §4).
    pub const DEFAULT: Self = Self(Duration::from_millis(250));

    /// A budget from a duration between 1 ms and 20 s.
    pub fn new(duration: Duration) -> Result<Self, UnitError> {
        if (Duration::from_millis(1)..=Duration::from_secs(20)).contains(&duration) {
            Ok(Self(duration))
        } else {
            Err(UnitError::Budget(format!("{}ms", duration.as_secs_f64() * 1e3)))
        }
    }

    /// The budget as time.
    pub const fn duration(self) -> Duration {
        self.0
    }

    /// The budget in whole frames at `rate` (rounded down): the latency that is reported.
    pub fn frames(self, rate: SampleRate) -> u32 {
        // At most 20 s × 192 kHz, well inside u32.
        rate.frames_in(self.0) as u32
    }
}

impl fmt::Display for Budget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let millis = self.0.as_secs_f64() * 1e3;
        // Tenths are enough for a human and keep 46.4 ms apart from 46 ms.
        let tenths = (millis * 10.0).round() / 10.0;
        write!(f, "{tenths}ms")
    }
}

impl FromStr for Budget {
    type Err = UnitError;

    /// `250ms`, `1.5s`, `46,5 MS`, or a bare number of milliseconds; see [`typed`].
    fn from_str(text: &str) -> Result<Self, UnitError> {
        let bad = || UnitError::Budget(text.to_owned());
        let millis = typed::with_unit(text, typed::MILLIS).ok_or_else(bad)?;
        if !(1.0..=20_000.0).contains(&millis) {
            return Err(bad());
        }
        Self::new(Duration::from_secs_f64(millis / 1e3)).map_err(|_| bad())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn budgets_parse_and_print() {
        let budget: Budget = "250ms".parse().unwrap();
        assert_eq!(budget, Budget::DEFAULT);
        assert_eq!(budget.to_string(), "250ms");
        assert_eq!(budget.frames(SampleRate::HZ_48000), 12_000);
        assert_eq!(budget.frames(SampleRate::HZ_44100), 11_025);
        assert_eq!("1.5s".parse::<Budget>().unwrap().duration(), Duration::from_millis(1_500));
        assert_eq!("46.5".parse::<Budget>().unwrap().to_string(), "46.5ms");
        for text in ["1,5 s", "1500 MS", "1.5S", "1\u{a0}500\u{202f}ms"] {
            assert_eq!(text.parse::<Budget>().unwrap().duration(), Duration::from_millis(1_500), "{text:?}");
        }
        for bad in ["", "ms", "-3ms", "0", "nan", "inf", "21s", "250 parsecs"] {
            assert!(bad.parse::<Budget>().is_err(), "{bad:?} was accepted");
        }
    }

    #[test]
    fn rates_outside_the_range_are_refused() {
        assert!(SampleRate::new(7_999).is_err());
        assert!(SampleRate::new(192_001).is_err());
        assert_eq!(SampleRate::new(96_000).unwrap().hz(), 96_000);
        assert_eq!(SampleRate::HZ_44100.frames_in(Duration::from_millis(10)), 441);
    }
}
