//! What the changelog says of one version. Pure.

use anyhow::{Context, Result, ensure};

/// What stands below the heading of `version` (`## 0.1.0` or `## 0.1.0 (2026-12-01)`), up to the next one.
///
/// # Errors
/// When there is no such heading, or nothing below it.
pub(super) fn of(changelog: &str, version: &str) -> Result<String> {
    let is_it = |line: &str| {
        let title = line.strip_prefix("## ").unwrap_or_default();
        title.split_whitespace().next() == Some(version)
    };
    let mut lines = changelog.lines().skip_while(|line| !is_it(line));
    lines.next().with_context(|| {
        format!("CHANGELOG.md has no heading \"## {version}\": give what is unreleased that version")
    })?;
    let words: Vec<&str> = lines.take_while(|line| !line.starts_with("## ")).collect();
    let words = words.join("\n").trim().to_owned();
    ensure!(!words.is_empty(), "CHANGELOG.md says nothing of {version}");
    Ok(words)
}

#[cfg(test)]
mod tests {
    use super::of;

    const CHANGELOG: &str = "# Changelog\n\n## Unreleased\n\n- soon\n\n## 0.2.0 (2026-12-01)\n\nTwo.\n\n### Fixed\n\n- it\n\n\
                             ## 0.1.0\n\n- one\n## 0.0.9\n";

    #[test]
    fn a_version_has_its_own_words_and_nobody_elses() {
        assert_eq!(of(CHANGELOG, "0.2.0").unwrap(), "Two.\n\n### Fixed\n\n- it");
        assert_eq!(of(CHANGELOG, "0.1.0").unwrap(), "- one");
        for version in ["0.0.9", "0.2", "0.3.0", "2026-12-01"] {
            let told = of(CHANGELOG, version).unwrap_err().to_string();
            assert!(told.contains("CHANGELOG.md"), "{version}: {told}");
        }
    }
}
