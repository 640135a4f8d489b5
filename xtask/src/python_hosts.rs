//! Python packages for the tests, the VST3 hosts among them: fetched once, below `target/`, never into the system's or
//! the user's own packages.

use std::process::Command;

use anyhow::{Context, Result};

use crate::shell::{repository, run, target_dir};

/// What they are, the list of them, and the folder where the tests look for them.
const PACKAGES: &[(&str, &str, &str)] = &[
    ("the plugin hosts DawDreamer and pedalboard", "tests/hosts/python/requirements.txt", "python-hosts"),
    ("check-jsonschema, with the schema of Compose", "tests/tests/deploy/requirements.txt", "python-schemas"),
];

/// Fetches the packages of each list, unless those of just that list are there.
///
/// # Errors
/// When pip cannot get them.
pub(crate) fn prepare() -> Result<()> {
    PACKAGES.iter().try_for_each(|(what, list, folder)| fetch(what, list, folder))
}

fn fetch(what: &str, list: &str, folder: &str) -> Result<()> {
    let list = repository().join(list);
    let wanted = std::fs::read(&list).with_context(|| format!("could not read {}", list.display()))?;
    let folder = target_dir().join(folder);
    let seal = folder.join("requirements.txt");
    if std::fs::read(&seal).is_ok_and(|there| there == wanted) {
        return Ok(());
    }
    println!("  will fetch {what} from PyPI into {}", folder.display());
    if folder.exists() {
        std::fs::remove_dir_all(&folder).with_context(|| format!("could not empty {}", folder.display()))?;
    }
    let mut pip = Command::new("python3");
    pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--requirement"]);
    run(pip.arg(&list).arg("--target").arg(&folder))?;
    // Last: without it nothing of the folder counts.
    std::fs::write(&seal, wanted).with_context(|| format!("could not write {}", seal.display()))
}
