//! The findings as text for a bug report, without what is nobody else's business.

use std::fmt::Write as _;

use rehearsekit_client::Scrub;

use super::{Finding, Verdict};

/// The findings, a line each, and which program on which system they are of.
pub fn report(findings: &[Finding], private: &Scrub) -> String {
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
        let sentence = private.text(&finding.sentence);
        // Writing to a text does not fail.
        let _ = writeln!(text, "{verdict:8}{:8}{sentence}{name}", finding.check.word());
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checkup::Check;

    #[test]
    fn secrets_stay_here_and_sentences_go() {
        let token = "0123456789abcdef".repeat(4);
        let mut private = Scrub::default();
        private.hide("/home/ann", "~");
        private.hide("drummers-laptop", "HOST");
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
                "failed  server  ~/.config/servers.json of HOST is damaged: é(64 hexadecimal digits), (64 hexadecimal digits) [pairings-unusable]",
                "ok      link    There and back takes 1 ms at deadbeef.",
            ]
        );
    }
}
