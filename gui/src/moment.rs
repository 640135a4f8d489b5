//! Moments of a song as people write them: `1:02.345`. Arithmetic only.

/// No song is longer, in seconds: a hundred hours.
const MOST_SECONDS: f64 = 360_000.0;

/// A moment to tenths of a second: `1:02.3`; before the beginning with a minus.
pub(crate) fn tenths(seconds: f64) -> String {
    written(seconds, 10, 1)
}

/// A moment to the millisecond: `1:02.345`.
pub(crate) fn millis(seconds: f64) -> String {
    written(seconds, 1_000, 3)
}

fn written(seconds: f64, parts: i64, digits: usize) -> String {
    let seconds = if seconds.is_finite() { seconds.clamp(-MOST_SECONDS, MOST_SECONDS) } else { 0.0 };
    let all = (seconds * parts as f64).round() as i64;
    let (sign, all) = (if all < 0 { "−" } else { "" }, all.abs());
    let (whole, rest) = (all / parts, all % parts);
    let (hours, minutes, seconds) = (whole / 3_600, whole / 60 % 60, whole % 60);
    if hours > 0 {
        format!("{sign}{hours}:{minutes:02}:{seconds:02}.{rest:0digits$}")
    } else {
        format!("{sign}{minutes}:{seconds:02}.{rest:0digits$}")
    }
}

/// What was typed, to the millisecond: seconds, `minutes:seconds` or `hours:minutes:seconds`, with a point or a comma.
pub(crate) fn read(typed: &str) -> Option<f64> {
    let typed = typed.trim().trim_end_matches('s').trim_end().replace(',', ".");
    let parts: Vec<&str> = typed.split(':').collect();
    let (last, before) = parts.split_last().filter(|(_, before)| before.len() < 3)?;
    let is_plain = |part: &str| !part.is_empty() && part.chars().all(|c| c.is_ascii_digit() || c == '.');
    let seconds = last.parse::<f64>().ok().filter(|_| is_plain(last))?;
    let mut all = 0.0;
    for part in before {
        all = all * 60.0 + f64::from(part.parse::<u32>().ok().filter(|_| is_plain(part))?);
    }
    let all = if before.is_empty() { seconds } else { all * 60.0 + seconds };
    (all <= MOST_SECONDS).then(|| (all * 1e3).round() / 1e3)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_written_as_people_do() {
        for (seconds, short, long) in [
            (0.0, "0:00.0", "0:00.000"),
            (62.345_4, "1:02.3", "1:02.345"),
            (59.96, "1:00.0", "0:59.960"),
            (3_725.5, "1:02:05.5", "1:02:05.500"),
            (-2.25, "−0:02.3", "−0:02.250"),
            (-0.01, "0:00.0", "−0:00.010"),
            (f64::NAN, "0:00.0", "0:00.000"),
        ] {
            assert_eq!((tenths(seconds).as_str(), millis(seconds).as_str()), (short, long));
        }
        assert!(tenths(f64::MAX).len() < 12);
    }

    #[test]
    fn moments_are_read_as_people_write_them() {
        for (typed, seconds) in [
            ("83", 83.0),
            ("83,5", 83.5),
            (" 1:23.456 ", 83.456),
            ("1:2", 62.0),
            ("1:02:05.5", 3_725.5),
            ("0.0004", 0.0),
            ("12.3456 s", 12.346),
        ] {
            assert_eq!(read(typed), Some(seconds), "{typed}");
        }
        for typed in
            ["", "x", "1:", ":1", "-1", "1e9", "1:2:3:4", "1.5:20", "inf", "NaN", "999999999", "1..2"]
        {
            assert_eq!(read(typed), None, "{typed}");
        }
    }

    #[test]
    fn what_is_written_is_read_back_to_the_millisecond() {
        for millis in (0..4_000_000_u32).step_by(7_919) {
            let seconds = f64::from(millis) / 1e3;
            assert_eq!(read(&super::millis(seconds)), Some(seconds));
        }
    }
}
