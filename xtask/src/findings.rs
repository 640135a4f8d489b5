//! What the checks outside of the CI have seen: told line by line, kept as JSON, and judged as a whole.

use std::path::Path;

use anyhow::{Result, ensure};
use serde_json::{Map, Value};

/// What was looked at, what was seen, and whether that is as it should be.
pub(crate) type Finding = (&'static str, Value, bool);

/// Tells all of them, and keeps them as `name.json` in `folder`.
///
/// # Errors
/// When one is not as it should be, or the file cannot be written.
pub(crate) fn report(seen: &[Finding], folder: &Path, name: &str) -> Result<()> {
    println!();
    for (what, value, good) in seen {
        println!("  {} {what}: {value}", if *good { "ok   " } else { "WRONG" });
    }
    let figures: Map<String, Value> =
        seen.iter().map(|(what, value, _)| ((*what).to_owned(), value.clone())).collect();
    std::fs::write(folder.join(format!("{name}.json")), serde_json::to_string_pretty(&figures)?)?;
    println!("  kept in {}", folder.display());
    ensure!(seen.iter().all(|(.., good)| *good), "it is not as it should be: see the lines with WRONG");
    Ok(())
}
