//! A guide as somebody reads it who types what it says: its chapters, and what is typed in each on which computer.

use anyhow::{Context, Result, ensure};

/// Whose keyboard it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Keyboard {
    /// The Linux computer with the clone; its prompt is `$`.
    Clone,
    /// The box; its prompt is `truenas$`.
    Box,
}

/// What stands behind a prompt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Typed {
    pub(super) at: Keyboard,
    pub(super) line: String,
}

/// What stands below a heading of the second order.
pub(super) struct Chapter {
    pub(super) title: String,
    /// Of prose.
    pub(super) words: usize,
    pub(super) typed: Vec<Typed>,
}

/// Reads all chapters.
pub(super) fn read(guide: &str) -> Vec<Chapter> {
    let mut chapters: Vec<Chapter> = Vec::new();
    let mut is_console = false;
    for line in guide.lines() {
        if let Some(title) = line.strip_prefix("## ") {
            chapters.push(Chapter { title: title.to_owned(), words: 0, typed: Vec::new() });
        }
        let Some(chapter) = chapters.last_mut() else { continue };
        if line.starts_with("```") {
            is_console = line == "```console";
        } else if !is_console {
            chapter.words += line.split_whitespace().count();
        } else if let Some(line) = line.strip_prefix("truenas$ ") {
            chapter.typed.push(Typed { at: Keyboard::Box, line: line.to_owned() });
        } else if let Some(line) = line.strip_prefix("$ ") {
            chapter.typed.push(Typed { at: Keyboard::Clone, line: line.to_owned() });
        }
    }
    chapters
}

/// The chapter whose title begins so.
///
/// # Errors
/// When there is none, or nothing is typed in it.
pub(super) fn chapter<'a>(chapters: &'a [Chapter], title: &str) -> Result<&'a Chapter> {
    let found = chapters.iter().find(|chapter| chapter.title.starts_with(title));
    let found = found.with_context(|| format!("the guide has no chapter \"{title}\""))?;
    ensure!(!found.typed.is_empty(), "nothing is typed in the guide's chapter \"{title}\"");
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_typed_is_known_from_what_is_read() {
        let guide = "# Top\nwords before\n## 1. One\nThree more words\n```console\n$ cargo xtask image   # note\n\
                     truenas$ sudo docker load\noutput\n```\n```yaml\n$ not this\n```\n## 2. Two\n";
        let chapters = read(guide);
        let titles: Vec<&str> = chapters.iter().map(|one| one.title.as_str()).collect();
        assert_eq!(titles, ["1. One", "2. Two"]);
        let one = chapter(&chapters, "1.").unwrap();
        // The heading's own, the three, and those in a block that is no console's.
        assert_eq!(one.words, 3 + 3 + 3);
        let typed = |at, line: &str| Typed { at, line: line.to_owned() };
        let expected =
            [typed(Keyboard::Clone, "cargo xtask image   # note"), typed(Keyboard::Box, "sudo docker load")];
        assert_eq!(one.typed, expected);
        assert!(chapter(&chapters, "2.").is_err() && chapter(&chapters, "3.").is_err());
    }
}
