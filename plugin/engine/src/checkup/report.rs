//! The findings as text for a bug report, without what is nobody else's business: keys, tokens, folders of a home, the
//! names of this computer and its user.

use std::fmt::Write as _;

use super::{Finding, Verdict};

/// So many hexadecimal digits in a row may be a token; shorter ones are identifiers of no worth.
const TOKEN_DIGITS: usize = 32;
/// Shorter names are parts of words.
const SHORTEST_NAME: usize = 3;

/// What must not go along, and what stands in its place.
#[derive(Debug, Clone, Default)]
pub struct Private(Vec<(String, &'static str)>);

impl Private {
    /// Of this computer and its user.
    pub fn here() -> Self {
        let home = std::env::home_dir().filter(|home| home.components().count() > 1);
        let user = ["USER", "LOGNAME", "USERNAME"].into_iter().find_map(|name| std::env::var(name).ok());
        // Of root everybody knows.
        let user = user.filter(|user| user != "root");
        Self::of([
            (home.map(|home| home.to_string_lossy().into_owned()), "~"),
            (Some(gethostname::gethostname().to_string_lossy().into_owned()), "HOST"),
            (user, "USER"),
        ])
    }

    fn of(names: [(Option<String>, &'static str); 3]) -> Self {
        let told = names.into_iter().filter_map(|(name, word)| Some((name?, word)));
        Self(told.filter(|(name, _)| name.len() >= SHORTEST_NAME).collect())
    }

    /// The text without all that.
    fn hide(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for (name, word) in &self.0 {
            text = text.replace(name, word);
        }
        without_tokens(&text)
    }
}

/// The findings, a line each, and which program on which system they are of.
pub fn report(findings: &[Finding], private: &Private) -> String {
    let (version, system, processor) =
        (env!("CARGO_PKG_VERSION"), std::env::consts::OS, std::env::consts::ARCH);
    let mut text = format!("RehearseKit plugin {version} ({system}, {processor}), check of the set-up\n");
    for finding in findings {
        let verdict = match finding.verdict {
            Verdict::Failed => "failed",
            Verdict::Warning => "warning",
            Verdict::Good => "ok",
        };
        let name = finding.name.map(|name| format!(" [{name}]")).unwrap_or_default();
        let sentence = private.hide(&finding.sentence);
        // Writing to a text does not fail.
        let _ = writeln!(text, "{verdict:8}{:8}{sentence}{name}", finding.check.word());
    }
    text
}

fn without_tokens(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut digits = String::new();
    // What is behind the end ends the last number.
    for letter in text.chars().map(Some).chain([None]) {
        if let Some(digit) = letter.filter(char::is_ascii_hexdigit) {
            digits.push(digit);
            continue;
        }
        if digits.len() >= TOKEN_DIGITS {
            out += "(digits)";
        } else {
            out += &digits;
        }
        digits.clear();
        out.extend(letter);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checkup::Check;

    #[test]
    fn secrets_stay_here_and_sentences_go() {
        let token = "0123456789abcdef".repeat(4);
        let private = Private::of([
            (Some("/home/ann".to_owned()), "~"),
            (Some("drummers-laptop".to_owned()), "HOST"),
            (Some("a".to_owned()), "USER"),
        ]);
        let sentence =
            format!("/home/ann/.config/servers.json of drummers-laptop is damaged: é{token}, {token}");
        let findings = [
            Finding::failed(Check::Server, "pairings-unusable", sentence),
            Finding::good(Check::Link, "There and back takes 1 ms at deadbeef."),
        ];
        let text = report(&findings, &private);
        let lines: Vec<&str> = text.lines().collect();
        assert!(lines[0].starts_with("RehearseKit plugin 0."));
        assert_eq!(
            lines[1..],
            [
                "failed  server  ~/.config/servers.json of HOST is damaged: é(digits), (digits) [pairings-unusable]",
                "ok      link    There and back takes 1 ms at deadbeef.",
            ]
        );
    }
}
