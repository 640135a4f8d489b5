//! Takes out of texts what is nobody else's business before they are attached to a bug report: keys, tokens, folders of a
//! home, names of clients, machines and people. Must not know where the texts come from.

use serde_json::Value;

use crate::KnownServers;

/// So many hexadecimal digits in a row may be a token; shorter ones are identifiers of no worth.
const TOKEN_DIGITS: usize = 32;

/// What is hidden, and what stands in its place.
#[derive(Debug, Default)]
pub struct Scrub {
    /// Longest first, so that a folder goes before the home it is in.
    names: Vec<(String, String)>,
}

impl Scrub {
    /// Hides what this computer and its user are called, the user's folder, and the servers that were paired with.
    pub fn of_this_computer() -> Self {
        let mut scrub = Self::default();
        if let Some(home) = std::env::home_dir().filter(|home| home.components().count() > 1) {
            scrub.hide(&home.to_string_lossy(), "~");
        }
        let user = ["USER", "LOGNAME", "USERNAME"].into_iter().find_map(|name| std::env::var(name).ok());
        // Of root everybody knows.
        scrub.hide(&user.filter(|user| user != "root").unwrap_or_default(), "USER");
        scrub.hide(&gethostname::gethostname().to_string_lossy(), "HOST");
        let known = KnownServers::of_user().and_then(|file| file.list()).unwrap_or_default();
        for (number, server) in known.iter().enumerate() {
            scrub.hide(&server.name, &format!("server-{}", number + 1));
            scrub.hide(&server.paired_as, "THIS-COMPUTER");
        }
        scrub
    }

    /// Puts `word` in the place of every whole `name`; a name of nothing is none.
    pub fn hide(&mut self, name: &str, word: &str) {
        if name.len() > 1 {
            self.names.push((name.to_owned(), word.to_owned()));
            self.names.sort_by_key(|(name, _)| std::cmp::Reverse(name.len()));
        }
    }

    /// The text without all that.
    pub fn text(&self, text: &str) -> String {
        if text.contains("-----BEGIN") {
            return "(a key)".to_owned();
        }
        let mut text = text.to_owned();
        for (name, word) in &self.names {
            text = replace_whole(&text, name, word);
        }
        without_tokens(&text)
    }

    /// All texts in `value`, the names of its fields as well.
    pub fn value(&self, value: &Value) -> Value {
        match value {
            Value::String(text) => Value::String(self.text(text)),
            Value::Array(items) => items.iter().map(|item| self.value(item)).collect(),
            Value::Object(fields) => {
                let fields = fields.iter().map(|(key, value)| (self.text(key), self.value(value)));
                Value::Object(fields.collect())
            }
            other => other.clone(),
        }
    }
}

/// Replaces `name` where it is no part of a longer word, so that a client called "a" leaves the sentences alone.
fn replace_whole(text: &str, name: &str, word: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(name) {
        let (before, found) = rest.split_at(at);
        let after = &found[name.len()..];
        let joins = |c: Option<char>| c.is_some_and(char::is_alphanumeric);
        let before_all = if before.is_empty() { out.chars().next_back() } else { before.chars().next_back() };
        let (ends, begins) = (name.chars().next_back(), name.chars().next());
        let is_part = joins(before_all) && joins(begins) || joins(after.chars().next()) && joins(ends);
        out += before;
        out += if is_part { name } else { word };
        rest = after;
    }
    out + rest
}

fn without_tokens(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while !rest.is_empty() {
        let digits = rest.bytes().take_while(u8::is_ascii_hexdigit).count();
        if digits >= TOKEN_DIGITS {
            out += &format!("({digits} hexadecimal digits)");
            rest = &rest[digits..];
        } else {
            // At least one character, and all digits that are too few.
            let next = rest[digits..].chars().next().map_or(digits, |c| digits + c.len_utf8());
            out += &rest[..next];
            rest = &rest[next..];
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_private_goes_and_sentences_stay() {
        let mut scrub = Scrub::default();
        scrub.hide("/home/ann", "~");
        scrub.hide("/home/ann/data", "DATA");
        scrub.hide("drummer's laptop", "client-1");
        scrub.hide("an", "client-2");
        scrub.hide("", "nobody");
        let token = "0123456789abcdef".repeat(4);
        let text = format!(
            "an answer of drummer's laptop for /home/ann/data/identity and /home/ann/x: {token}, é{token}!"
        );
        assert_eq!(
            scrub.text(&text),
            "client-2 answer of client-1 for DATA/identity and ~/x: (64 hexadecimal digits), é(64 hexadecimal digits)!"
        );
        assert_eq!(scrub.text("-----BEGIN PRIVATE KEY-----\nMIG"), "(a key)");
        assert_eq!(scrub.text("deadbeef wants an annex, anan"), "deadbeef wants client-2 annex, anan");
        let value = json!({ "/home/ann": ["an", 1, null, { "x": token }] });
        assert_eq!(
            scrub.value(&value),
            json!({ "~": ["client-2", 1, null, { "x": "(64 hexadecimal digits)" }] })
        );
    }
}
