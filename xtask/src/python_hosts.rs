//! The VST3 hosts that are Python packages, for the tests: fetched once, below `target/`, never into the system's or
//! the user's own packages.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result};

use crate::shell::{repository, run, target_dir};

/// Where the tests look for them.
fn folder() -> PathBuf {
    target_dir().join("python-hosts")
}

/// Fetches the packages of `tests/hosts/python/requirements.txt`, unless those of just that list are there.
///
/// # Errors
/// When pip cannot get them.
pub(crate) fn prepare() -> Result<()> {
    let list = repository().join("tests").join("hosts").join("python").join("requirements.txt");
    let wanted = std::fs::read(&list).with_context(|| format!("could not read {}", list.display()))?;
    let folder = folder();
    let seal = folder.join("requirements.txt");
    if std::fs::read(&seal).is_ok_and(|there| there == wanted) {
        return Ok(());
    }
    println!("  will fetch the plugin hosts DawDreamer and pedalboard from PyPI into {}", folder.display());
    if folder.exists() {
        std::fs::remove_dir_all(&folder).with_context(|| format!("could not empty {}", folder.display()))?;
    }
    let mut pip = Command::new("python3");
    pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--requirement"]);
    run(pip.arg(&list).arg("--target").arg(&folder))?;
    // Last: without it nothing of the folder counts.
    std::fs::write(&seal, wanted).with_context(|| format!("could not write {}", seal.display()))
}
