//! What a project, or another file of the user's, has in it that this version does not understand: keys that a later
//! version added, and values of kinds that it knows and we do not. It is kept as it was and written back, so that an
//! evening with an older version costs nothing. Plain data; must not know what is in the files.

use std::collections::BTreeMap;

use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Map, Value};

/// A JSON object.
pub type Object = Map<String, Value>;

/// The entries of one object that were not understood.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Kept(BTreeMap<String, Entry>);

#[derive(Debug, Clone, PartialEq)]
struct Entry {
    was: Value,
    /// What stands in its place as long as nobody changes it; `None` for a key that is not ours at all.
    instead: Option<Value>,
}

impl Kept {
    /// Keeps `unread`, in whose place `saved` would be written now.
    pub fn new(unread: Object, saved: &Object) -> Self {
        let entry = |(key, was): (String, Value)| {
            let instead = saved.get(&key).cloned();
            (key, Entry { was, instead })
        };
        Self(unread.into_iter().map(entry).collect())
    }

    /// Puts everything back into `saved` but what was changed since.
    pub fn put_back(&self, saved: &mut Object) {
        for (key, entry) in &self.0 {
            if saved.get(key) == entry.instead.as_ref() {
                saved.insert(key.clone(), entry.was.clone());
            }
        }
    }
}

/// Reads what can be read of `object`, entry by entry: one that makes no sense is its default and costs no other. Gives
/// the entries that were not understood too. A known key that holds nothing (`null`) is no loss.
pub fn read<T: Default + Serialize + DeserializeOwned>(object: &Object) -> (T, Object) {
    let known = to_object(&T::default());
    let (mut good, mut unread) = (Object::new(), Object::new());
    for (key, value) in object {
        let alone = Object::from_iter([(key.clone(), value.clone())]);
        if !known.contains_key(key) {
            unread.insert(key.clone(), value.clone());
        } else if serde_json::from_value::<T>(alone.into()).is_ok() {
            good.insert(key.clone(), value.clone());
        } else if !value.is_null() {
            unread.insert(key.clone(), value.clone());
        }
    }
    (serde_json::from_value(good.into()).unwrap_or_default(), unread)
}

/// `value` as the object that it is written as.
pub fn to_object<T: Serialize>(value: &T) -> Object {
    match serde_json::to_value(value) {
        Ok(Value::Object(object)) => object,
        _ => Object::new(),
    }
}

/// Reads JSON. Numbers that JSON cannot have, or that are too large for it, are taken for the largest, and what some
/// programs write for "not a number" for nothing, rather than giving up on all that stands around them.
///
/// # Errors
/// A sentence about what is no JSON.
pub fn parse(text: &str) -> Result<Value, String> {
    serde_json::from_str(text)
        .or_else(|error| serde_json::from_str(&with_finite_numbers(text)).map_err(|_| error.to_string()))
}

fn with_finite_numbers(text: &str) -> String {
    let mut mended = String::with_capacity(text.len());
    let (mut is_quoted, mut rest) = (false, text);
    while let Some(c) = rest.chars().next() {
        let is_word = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '+' | '.');
        let length = match c {
            // With what it takes the meaning from.
            '\\' if is_quoted => c.len_utf8() + rest.chars().nth(1).map_or(0, char::len_utf8),
            c if !is_quoted && is_word(c) => rest.find(|c| !is_word(c)).unwrap_or(rest.len()),
            _ => c.len_utf8(),
        };
        let (token, after) = rest.split_at(length);
        is_quoted ^= c == '"';
        match token.parse::<f64>() {
            Ok(number) if !is_quoted && number.is_nan() => mended.push_str("null"),
            Ok(number) if !is_quoted && number.is_infinite() => {
                mended.push_str(if number < 0.0 { "-1e308" } else { "1e308" });
            }
            _ => mended.push_str(token),
        }
        rest = after;
    }
    mended
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;
    use serde_json::json;

    use super::*;

    #[derive(Debug, PartialEq, Default, Serialize, Deserialize)]
    #[serde(default)]
    struct Two {
        number: u32,
        word: Option<String>,
    }

    fn object(value: Value) -> Object {
        value.as_object().cloned().unwrap()
    }

    #[test]
    fn one_entry_that_is_not_understood_costs_no_other_and_is_written_back() {
        let was = object(json!({"number": {"later": 1}, "word": "yes", "new": [1, 2]}));
        let (two, unread) = read::<Two>(&was);
        assert_eq!(two, Two { number: 0, word: Some("yes".to_owned()) });
        let kept = Kept::new(unread, &to_object(&two));
        let mut saved = to_object(&two);
        kept.put_back(&mut saved);
        assert_eq!(saved, was);
        // Changed since, it is what it was changed to.
        let mut saved = to_object(&Two { number: 7, ..two });
        kept.put_back(&mut saved);
        assert_eq!(saved, object(json!({"number": 7, "word": "yes", "new": [1, 2]})));
    }

    #[test]
    fn nothing_is_no_loss() {
        let (two, unread) = read::<Two>(&object(json!({"number": null, "word": null, "new": null})));
        assert_eq!(two, Two::default());
        assert_eq!(unread, object(json!({"new": null})));
    }

    #[test]
    fn numbers_that_json_cannot_have_cost_nothing_around_them() {
        let text = r#"{"a": NaN, "b": [Infinity, -Infinity, 1e999, -1e999], "c": "\"NaN 1e999", "d": 1.5}"#;
        let mended = json!({"a": null, "b": [1e308, -1e308, 1e308, -1e308], "c": "\"NaN 1e999", "d": 1.5});
        assert_eq!(parse(text), Ok(mended));
        assert!(parse("{\"a\": nope}").is_err());
        assert!(parse("\"").is_err() && parse("\\").is_err() && parse("").is_err());
    }
}
