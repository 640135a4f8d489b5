//! Numbers as people type them: with a decimal comma or point, with whatever dash their keyboard or a web page gave
//! them for a minus, with a unit in small or capital letters or without one. Every field and every flag reads through
//! here, so that a value that one of them takes is taken by all. Pure functions; what a number may be is its owner's to
//! say.

/// Units of time, in milliseconds.
pub const MILLIS: &[(&str, f64)] = &[
    ("milliseconds", 1.0),
    ("millisecond", 1.0),
    ("millis", 1.0),
    ("msec", 1.0),
    ("ms", 1.0),
    ("seconds", 1e3),
    ("second", 1e3),
    ("secs", 1e3),
    ("sec", 1e3),
    ("s", 1e3),
    ("minutes", 60e3),
    ("minute", 60e3),
    ("min", 60e3),
];

/// Units of level.
pub const DECIBELS: &[(&str, f64)] = &[("dbfs", 1.0), ("db", 1.0)];

/// A share, in hundredths.
pub const PERCENT: &[(&str, f64)] = &[("percent", 1.0), ("%", 1.0)];

/// A tempo.
pub const BPM: &[(&str, f64)] = &[("bpm", 1.0)];

/// Units of frequency, in hertz.
pub const HERTZ: &[(&str, f64)] = &[("khz", 1e3), ("hz", 1.0)];

/// The same text in small letters, with ASCII's minus, plus, digits, spaces and marks for their look-alikes, without
/// marks that nobody sees, and without space around it.
pub fn folded(text: &str) -> String {
    let plain = |c: char| match c {
        // Hyphens, dashes and minus signs.
        '\u{2010}'..='\u{2015}' | '\u{2212}' | '\u{fe58}' | '\u{fe63}' | '\u{ff0d}' => Some('-'),
        '\u{fe62}' | '\u{ff0b}' => Some('+'),
        '\u{ff0e}' | '\u{066b}' => Some('.'),
        '\u{ff0c}' | '\u{3001}' => Some(','),
        '\u{ff05}' | '\u{066a}' => Some('%'),
        '\u{2019}' | '\u{066c}' => Some('\''),
        // Full width, Arabic, Persian.
        '\u{ff10}'..='\u{ff19}' => digit(c, '\u{ff10}'),
        '\u{0660}'..='\u{0669}' => digit(c, '\u{0660}'),
        '\u{06f0}'..='\u{06f9}' => digit(c, '\u{06f0}'),
        // Of no width, or for the direction of writing.
        '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}' => None,
        c if c.is_whitespace() => Some(' '),
        c => Some(c),
    };
    text.chars().filter_map(plain).collect::<String>().to_lowercase().trim().to_owned()
}

fn digit(c: char, zero: char) -> Option<char> {
    char::from_digit(u32::from(c) - u32::from(zero), 10)
}

/// The number that `text` is; `None` for anything else, infinities and NaN included.
///
/// One comma or point is the decimal mark. Where both stand, the last one is, and the others part thousands, as spaces
/// and apostrophes do.
pub fn number(text: &str) -> Option<f64> {
    let text = folded(text);
    let (sign, digits) = match text.strip_prefix(['-', '+']) {
        Some(rest) => (if text.starts_with('-') { -1.0 } else { 1.0 }, rest.trim_start()),
        None => (1.0, text.as_str()),
    };
    let (mantissa, exponent) = digits.split_once('e').map_or((digits, None), |(m, e)| (m, Some(e)));
    let (whole, fraction) = match mantissa.rfind([',', '.']) {
        Some(mark) => (&mantissa[..mark], &mantissa[mark + 1..]),
        None => (mantissa, ""),
    };
    let mark = mantissa[whole.len()..].chars().next();
    let whole = without_thousands(whole, mark)?;
    let all_digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    if (whole.is_empty() && fraction.is_empty()) || !all_digits(&whole) || !all_digits(fraction) {
        return None;
    }
    let exponent: i32 = exponent.map_or(Some(0), |exponent| exponent.parse().ok())?;
    let number: f64 = format!("{whole}.{fraction}0e{exponent}").parse().ok()?;
    // Adding zero turns a −0 into a 0.
    number.is_finite().then_some(sign * number + 0.0)
}

/// `whole` without what parts its thousands; `None` if that stands in a wrong place, or is the decimal mark too.
fn without_thousands(whole: &str, decimal: Option<char>) -> Option<String> {
    let is_parting = |c: char| matches!(c, ' ' | '\'' | ',' | '.');
    let Some(parting) = whole.chars().find(|c| is_parting(*c)) else { return Some(whole.to_owned()) };
    if decimal == Some(parting) {
        return None;
    }
    let mut groups = whole.split(parting);
    let first_fits = groups.next().is_some_and(|first| (1..=3).contains(&first.len()));
    (first_fits && groups.all(|group| group.len() == 3)).then(|| whole.replace(parting, ""))
}

/// The number that `text` is, with one of `units` behind it or none, times what that unit stands for. A number without
/// a unit counts once. Longer units stand before those that they end with.
pub fn with_unit(text: &str, units: &[(&str, f64)]) -> Option<f64> {
    let text = folded(text);
    let unit = units.iter().find_map(|(unit, factor)| Some((text.strip_suffix(unit)?, *factor)));
    let (bare, factor) = unit.unwrap_or((&text, 1.0));
    number(bare).map(|number| number * factor).filter(|number| number.is_finite())
}

/// The whole number that `text` is, with one of `units` behind it or none.
pub fn whole_with_unit(text: &str, units: &[(&str, f64)]) -> Option<i64> {
    let number = with_unit(text, units)?;
    // Beyond 2⁵³ neighbours are not told apart any more.
    (number.fract() == 0.0 && number.abs() <= 9_007_199_254_740_992.0).then_some(number as i64)
}

/// The level that `text` is, in dB; −∞ for what a fader's foot is called.
pub fn decibels(text: &str) -> Option<f64> {
    let folded = folded(text);
    let bare = folded.strip_suffix("db").unwrap_or(&folded).trim_end();
    let rest = bare.strip_prefix('-').map(str::trim_start);
    let is_foot = bare == "off" || rest.is_some_and(|rest| matches!(rest, "inf" | "infinity" | "∞"));
    if is_foot { Some(f64::NEG_INFINITY) } else { with_unit(&folded, DECIBELS) }
}

/// The balance that `text` is, from −1 (left) to 1 (right): in hundredths, negative to the left, or with a letter for the
/// side before or behind it, or a word for the middle.
pub fn balance(text: &str) -> Option<f64> {
    let text = folded(text);
    if matches!(text.as_str(), "c" | "centre" | "center" | "mid") {
        return Some(0.0);
    }
    let without = |letter: char| text.strip_prefix(letter).or_else(|| text.strip_suffix(letter));
    let (sign, hundredths) = match (without('l'), without('r')) {
        (Some(left), _) => (-1.0, with_unit(left, PERCENT).filter(|number| *number >= 0.0)?),
        (None, Some(right)) => (1.0, with_unit(right, PERCENT).filter(|number| *number >= 0.0)?),
        (None, None) => (1.0, with_unit(&text, PERCENT)?),
    };
    Some((sign * hundredths / 100.0).clamp(-1.0, 1.0) + 0.0)
}

/// The share that `text` is, from 0 to 1, in hundredths.
pub fn share(text: &str) -> Option<f64> {
    with_unit(text, PERCENT).map(|hundredths| (hundredths / 100.0).clamp(0.0, 1.0))
}

/// Whether `text` says on or off.
pub fn switch(text: &str) -> Option<bool> {
    match folded(text).as_str() {
        "on" | "true" | "yes" | "1" => Some(true),
        "off" | "false" | "no" | "0" => Some(false),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_understood_however_it_is_typed() {
        for (text, expected) in [
            ("-6.5", -6.5),
            ("-6,5", -6.5),
            ("−6,5", -6.5),
            ("–6.5", -6.5),
            ("\u{2010}6.5", -6.5),
            ("－６．５", -6.5),
            ("- 6.5", -6.5),
            ("+3", 3.0),
            (".5", 0.5),
            ("5.", 5.0),
            ("\u{a0}93\u{202f}", 93.0),
            ("\u{feff}93", 93.0),
            ("1 500", 1_500.0),
            ("1'500,25", 1_500.25),
            ("1.500,25", 1_500.25),
            ("1,500.25", 1_500.25),
            ("1\u{202f}234\u{202f}567", 1_234_567.0),
            ("٩٣", 93.0),
            ("1e3", 1_000.0),
            ("-1,5e-2", -0.015),
        ] {
            assert_eq!(number(text), Some(expected), "{text:?}");
        }
        assert!(number("-0").is_some_and(f64::is_sign_positive), "there is no −0");
        for text in [
            "", " ", "-", ".", ",", "loud", "nan", "inf", "-inf", "∞", "1.2.3", "1,2,3", "--4", "1 50",
            "1 5000", "12 ", "1e", "1e999", "0x10", "1_000", "1,50.25", "five", "1 . 5",
        ] {
            let expected = if text == "12 " { Some(12.0) } else { None };
            assert_eq!(number(text), expected, "{text:?}");
        }
    }

    #[test]
    fn a_unit_is_understood_in_any_letters_and_none_is_needed() {
        for text in ["1500", "1500 ms", "1500MS", "1.5s", "1,5 S", "1,5 seconds", "1 500 millis", "0,025 min"]
        {
            assert_eq!(with_unit(text, MILLIS), Some(1_500.0), "{text:?}");
        }
        assert_eq!(with_unit("−6,5 DB", DECIBELS), Some(-6.5));
        assert_eq!(with_unit("50％", PERCENT), Some(50.0));
        assert_eq!(with_unit("92,5 bpm", BPM), Some(92.5));
        assert_eq!(with_unit("44,1 kHz", HERTZ), Some(44_100.0));
        assert_eq!(whole_with_unit("48 KHZ", HERTZ), Some(48_000));
        assert_eq!(whole_with_unit("1,5", &[]), None);
        assert_eq!(whole_with_unit("1e30", &[]), None);
        for text in ["ms", "1.5 parsecs", "1 ms ms", "s", "1 m s"] {
            assert_eq!(with_unit(text, MILLIS), None, "{text:?}");
        }
    }

    #[test]
    fn levels_balances_shares_and_switches() {
        for text in ["-inf", "-inf dB", "-INF", "-∞", "−∞ dB", "–Infinity", "- inf", "Off"] {
            assert_eq!(decibels(text), Some(f64::NEG_INFINITY), "{text:?}");
        }
        assert_eq!((decibels("−6,5 Db"), decibels("+3")), (Some(-6.5), Some(3.0)));
        for text in ["", "inf", "∞", "-", "-infinite", "dB"] {
            assert_eq!(decibels(text), None, "{text:?}");
        }
        for (text, expected) in
            [("C", 0.0), ("L30", -0.3), ("30 l", -0.3), ("−30 %", -0.3), ("r 12,5", 0.125)]
        {
            assert_eq!(balance(text), Some(expected), "{text:?}");
        }
        assert_eq!(
            (balance("999 L"), balance("L-30"), balance("x"), balance("")),
            (Some(-1.0), None, None, None)
        );
        assert_eq!(
            (share("50,5 %"), share("−3"), share("900"), share("%")),
            (Some(0.505), Some(0.0), Some(1.0), None)
        );
        assert_eq!((switch(" ON "), switch("no"), switch("perhaps")), (Some(true), Some(false), None));
    }
}
