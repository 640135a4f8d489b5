//! The crates that are linked into the program: which they are, by cargo's own account, and the licence texts they bring.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use serde_json::Value;

use crate::shell::{capture, cargo, repository};

/// A crate that is linked.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Crate {
    pub(super) name: String,
    pub(super) version: String,
    /// An SPDX expression.
    pub(super) licence: String,
    /// SHA-256 of its package; none of this repository's own.
    pub(super) sha256: Option<String>,
    /// Where its sources are.
    folder: PathBuf,
}

impl Crate {
    /// Whether it is of this repository.
    pub(super) fn is_ours(&self) -> bool {
        self.sha256.is_none()
    }
}

/// The crates of the program of `package`, without those that only build it.
///
/// # Errors
/// When cargo cannot say.
pub(crate) fn linked(package: &str) -> Result<Vec<Crate>> {
    let tree = ["tree", "--package", package, "--edges", "normal,no-proc-macro", "--prefix", "none"];
    let tree = capture(cargo().args(tree).args(["--format", "{p}", "--locked"]))?;
    let names: BTreeSet<(String, String)> = tree.lines().filter_map(name_and_version).collect();
    let metadata: Value =
        serde_json::from_str(&capture(cargo().args(["metadata", "--format-version", "1", "--locked"]))?)?;
    let lock = fs::read_to_string(repository().join("Cargo.lock"))?;
    let lock: toml::Table = toml::from_str(&lock).context("Cargo.lock is not TOML")?;
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let hashes: BTreeMap<(String, String), String> = lock
        .get("package")
        .and_then(toml::Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(|package| {
            let word = |key: &str| Some(package.get(key)?.as_str()?.to_owned());
            Some(((word("name")?, word("version")?), word("checksum")?))
        })
        .collect();
    let mut crates: Vec<Crate> = metadata["packages"]
        .as_array()
        .context("cargo metadata names no packages")?
        .iter()
        .map(|package| ((text(&package["name"]), text(&package["version"])), package))
        .filter(|(id, _)| names.contains(id))
        .map(|(id, package)| Crate {
            licence: text(&package["license"]).replace('/', " OR "),
            sha256: hashes.get(&id).cloned(),
            folder: Path::new(&text(&package["manifest_path"]))
                .parent()
                .map_or_else(PathBuf::new, Into::into),
            name: id.0,
            version: id.1,
        })
        .collect();
    crates.sort();
    Ok(crates)
}

/// Of a line like `serde v1.0.2 (/path)`.
fn name_and_version(line: &str) -> Option<(String, String)> {
    let mut words = line.split_whitespace();
    Some((words.next()?.to_owned(), words.next()?.strip_prefix('v')?.to_owned()))
}

/// The licence texts of all crates that are not ours, each text once, with those it is of.
///
/// # Errors
/// When one cannot be read.
pub(crate) fn licence_texts(crates: &[Crate]) -> Result<String> {
    let mut texts: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut without = Vec::new();
    for of in crates.iter().filter(|of| !of.is_ours()) {
        let title = format!("{} {}", of.name, of.version);
        let found = texts_in(&of.folder)?;
        if found.is_empty() {
            without.push(format!("{title}: {}", of.licence));
        }
        for text in found {
            texts.entry(text).or_default().push(title.clone());
        }
    }
    let mut all =
        "What is linked into this program besides its own code, and under which terms.\n".to_owned();
    if !without.is_empty() {
        all += &format!("\nWithout a text of its own, by its package's word:\n  {}\n", without.join("\n  "));
    }
    for (text, of) in texts {
        let rule = "=".repeat(100);
        all += &format!("\n{rule}\n{}\n{rule}\n{}\n", of.join(", "), text.trim_end());
    }
    Ok(all)
}

/// The licences of Rust's own library and all that is in it, as its toolchain has them.
///
/// # Errors
/// When there is no compiler.
pub(crate) fn rust_licences() -> Result<PathBuf> {
    let mut rustc = Command::new("rustc");
    let sysroot = capture(rustc.current_dir(repository()).args(["--print", "sysroot"]))?;
    Ok(Path::new(sysroot.trim()).join("share/doc/rust/COPYRIGHT-library.html"))
}

fn texts_in(folder: &Path) -> Result<Vec<String>> {
    let Ok(entries) = fs::read_dir(folder) else { return Ok(Vec::new()) };
    let is_licence = |path: &PathBuf| {
        let name =
            path.file_name().map(|name| name.to_string_lossy().to_ascii_uppercase()).unwrap_or_default();
        let first = ["LICENSE", "LICENCE", "COPYING", "COPYRIGHT", "NOTICE", "UNLICENSE"];
        path.is_file() && first.iter().any(|word| name.starts_with(word))
    };
    let mut paths: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).filter(is_licence).collect();
    paths.sort();
    let read = |path: &PathBuf| {
        let bytes = fs::read(path).with_context(|| format!("could not read {}", path.display()))?;
        Ok(String::from_utf8_lossy(&bytes).replace("\r\n", "\n"))
    };
    paths.iter().map(read).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_program_is_made_of_ours_and_others_and_every_other_has_a_hash_and_a_licence() {
        let crates = linked("rehearsekit-cli").unwrap();
        let of = |name: &str| crates.iter().find(|of| of.name == name);
        assert!(of("rehearsekit-cli").unwrap().is_ours() && of("rehearsekit-server").is_some());
        assert!(!of("quinn").unwrap().is_ours());
        for absent in ["xtask", "rehearsekit-gui", "serde_derive", "proptest"] {
            assert!(of(absent).is_none(), "{absent} is not linked");
        }
        for other in crates.iter().filter(|of| !of.is_ours()) {
            assert!(!other.licence.is_empty() && !other.licence.contains('/'), "{other:?}");
        }
        let texts = licence_texts(&crates).unwrap();
        assert!(texts.contains("quinn 0.11") && texts.contains("Permission is hereby granted"));
        assert!(rust_licences().unwrap().is_file());
        assert!(!texts.contains("rehearsekit-"), "our own licence stands beside it");
    }
}
