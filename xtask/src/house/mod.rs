//! The rules of the house, checked instead of hoped for: who may know whom (`arrows`), how long a file may
//! be and where a library may be named (`files`), which licences may come in (`licences`).
//! It reads the repository and changes nothing.

mod arrows;
mod files;
mod licences;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::shell::{capture, cargo, repository};

/// What `cargo metadata` says of the whole workspace.
fn metadata() -> Result<Value> {
    let said = capture(cargo().args(["metadata", "--format-version", "1"]))?;
    serde_json::from_str(&said).context("cargo metadata did not print JSON")
}

/// `cargo xtask arrows`.
///
/// # Errors
/// With every broken rule, when there is one.
pub(crate) fn check_arrows() -> Result<()> {
    let mut broken = arrows::check(&metadata()?);
    broken.extend(files::check(&repository())?);
    conclude("the arrows and the files", &broken)
}

/// The licences of everything we link, against the list in `deny.toml`.
///
/// # Errors
/// With every licence that is not on the list.
pub(crate) fn check_licences() -> Result<()> {
    let deny = repository().join("deny.toml");
    let list =
        std::fs::read_to_string(&deny).with_context(|| format!("could not read {}", deny.display()))?;
    conclude("the licences", &licences::check(&metadata()?, &licences::allowed(&list)?))
}

fn conclude(what: &str, broken: &[String]) -> Result<()> {
    if broken.is_empty() {
        println!("  {what} are in order");
        return Ok(());
    }
    for rule in broken {
        eprintln!("  ✗ {rule}");
    }
    bail!("{what} are not in order: {} broken rule(s), listed above", broken.len())
}
