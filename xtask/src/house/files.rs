//! Rules on the source files themselves: their length, their first line, and what may be named only in one
//! place. It looks at lines, not at meaning; whatever cargo knows better belongs to `arrows`.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

/// A file longer than this explains itself with a first-lines `//! Long because …`.
const LONGEST_LINES: usize = 450;

/// The word that marks a file as using ONNX Runtime's crate; written in two parts so that this file is clean.
const ORT: &[&str] = &[concat!("use or", "t"), concat!("or", "t::")];

/// The one file that may use it.
const ORT_HOME: &str = "models/src/runtime.rs";

/// What must not appear under a folder: `(folder, words, why)`.
const ABSENT: &[(&str, &[&str], &str)] = &[
    (
        "shared/audio/src",
        &["std::time", "std::fs", "std::net", "std::thread"],
        "values know no clock and no I/O",
    ),
    ("shared/protocol/src", &["Instant", "SystemTime", "std::net", "std::thread"], "`now` is an argument"),
    (
        "shared/playout/src",
        &["Instant", "SystemTime", "Mutex", "RwLock", "println!"],
        "it runs in the audio callback",
    ),
];

/// The broken rules among the Rust files under `top`, each a sentence.
///
/// # Errors
/// When a file cannot be read.
pub(super) fn check(top: &Path) -> Result<Vec<String>> {
    let mut broken = Vec::new();
    for path in rust_files(top)? {
        let text =
            std::fs::read_to_string(&path).with_context(|| format!("could not read {}", path.display()))?;
        let name = path.strip_prefix(top).unwrap_or(&path).to_string_lossy().replace('\\', "/");
        broken.extend(judge(&name, &text));
    }
    Ok(broken)
}

fn judge(name: &str, text: &str) -> Vec<String> {
    let mut broken = Vec::new();
    let lines = text.lines().count();
    let reason =
        text.lines().take_while(|line| line.starts_with("//!")).any(|line| line.contains("Long because"));
    if lines > LONGEST_LINES && !reason {
        broken.push(format!(
            "{name} has {lines} lines: split it at {LONGEST_LINES}, or say `//! Long because …`"
        ));
    }
    if !text.starts_with("//!") && !text.starts_with("#!") {
        broken.push(format!("{name} does not begin with `//!`: what is it for, and what must it not do?"));
    }
    let code = || text.lines().filter(|line| !line.trim_start().starts_with("//"));
    if name != ORT_HOME && code().any(|line| ORT.iter().any(|word| names_word(line, word))) {
        broken.push(format!("{name} names the ONNX Runtime crate: only {ORT_HOME} may"));
    }
    for (folder, words, why) in ABSENT {
        // A test may use a clock; everything from the first test module on is one.
        let shipped = || code().take_while(|line| !line.contains("#[cfg(test)]"));
        let of_tests = name.contains("/tests");
        for word in words.iter().filter(|_| name.starts_with(folder) && !of_tests) {
            if shipped().any(|line| names_word(line, word)) {
                broken.push(format!("{name} names `{word}`: {why}"));
            }
        }
    }
    broken
}

/// Whether `word` stands in `line` and is not the end or the beginning of a longer name.
fn names_word(line: &str, word: &str) -> bool {
    let part = |c: char| c.is_alphanumeric() || c == '_';
    line.match_indices(word).any(|(at, _)| {
        let before = line[..at].chars().next_back().is_some_and(part);
        let open_end = word.ends_with(':') || word.ends_with('!');
        let after = !open_end && line[at + word.len()..].chars().next().is_some_and(part);
        !before && !after
    })
}

/// Every `.rs` file that git would know of; build products are not among them.
fn rust_files(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    let entries =
        std::fs::read_dir(folder).with_context(|| format!("could not read {}", folder.display()))?;
    for entry in entries {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if path.is_dir() {
            if name != "target" && !name.starts_with('.') {
                files.extend(rust_files(&path)?);
            }
        } else if name.ends_with(".rs") {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_file_needs_a_reason() {
        let body = "fn f() {}\n".repeat(LONGEST_LINES);
        assert_eq!(judge("a.rs", &format!("//! Short words.\n{body}")).len(), 1);
        assert_eq!(
            judge("a.rs", &format!("//! A table.\n//! Long because it is one table.\n{body}")),
            Vec::<String>::new()
        );
    }

    #[test]
    fn a_file_says_what_it_is_for() {
        assert_eq!(judge("a.rs", "fn f() {}").len(), 1);
    }

    #[test]
    fn the_runtime_is_named_in_one_place() {
        let using = format!("//! It.\n{}::{{Session}};\n", ORT[0]);
        assert_eq!(judge("models/src/live.rs", &using).len(), 1);
        assert_eq!(judge(ORT_HOME, &using), Vec::<String>::new());
        let near_misses = format!("//! It.\nuse eff{}{{x}};\n// in prose: {}init\n", ORT[1], ORT[1]);
        assert_eq!(judge("a.rs", &near_misses), Vec::<String>::new());
    }

    #[test]
    fn a_clock_is_not_allowed_where_now_is_an_argument() {
        let clock = "//! It.\nuse std::time::Instant;\n";
        assert_eq!(judge("shared/protocol/src/session.rs", clock).len(), 1);
        assert_eq!(judge("server/src/session.rs", clock), Vec::<String>::new());
        let in_tests = "//! It.\nfn f() {}\n#[cfg(test)]\nmod tests { use std::time::Instant; }\n";
        assert_eq!(judge("shared/protocol/src/session.rs", in_tests), Vec::<String>::new());
    }
}
