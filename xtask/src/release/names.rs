//! Whose repository this is, and what images and pages are called after it. One place says so: `repository` in Cargo.toml;
//! what is copied to elsewhere (deploy/) repeats it, and is held against it.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

use crate::shell::repository;

/// Stands for the owner until there is one.
pub(super) const NOBODY: &str = "OWNER/";
/// Before the repository's owner and name: a page, and an image of a release.
const PAGE: &str = "https://github.com/";
const REGISTRY: &str = "ghcr.io/";

/// Owner and name of the repository, as Cargo.toml has them.
///
/// # Errors
/// When it names none on GitHub.
pub(super) fn home() -> Result<String> {
    let text = fs::read_to_string(repository().join("Cargo.toml"))?;
    let table: toml::Table = toml::from_str(&text).context("Cargo.toml is not TOML")?;
    let page = table.get("workspace").and_then(|at| at.get("package")).and_then(|at| at.get("repository"));
    let page = page.and_then(toml::Value::as_str).context("Cargo.toml has no repository")?;
    let home = page.strip_prefix(PAGE).context("the repository in Cargo.toml is not on GitHub")?;
    check(home)?;
    Ok(home.to_owned())
}

fn check(home: &str) -> Result<()> {
    let is_word = |word: &str| {
        !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
    };
    let parts: Vec<&str> = home.split('/').collect();
    ensure!(
        parts.len() == 2 && parts.iter().all(|part| is_word(part)),
        "{home} is no owner and name, like a/b"
    );
    Ok(())
}

/// The name of a release's image, without its tag; registries know small letters alone.
pub(super) fn image(home: &str) -> String {
    format!("{REGISTRY}{}", home.to_lowercase())
}

/// The files that repeat it.
fn repeating() -> Vec<PathBuf> {
    let mut files = Vec::new();
    let mut folders = vec![repository().join("deploy")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.is_dir() { folders.push(path) } else { files.push(path) }
        }
    }
    files.sort();
    files
}

/// What stands behind each `mark` in `text`: an owner and a name.
fn named<'a>(text: &'a str, mark: &str) -> Vec<&'a str> {
    let ends = |c: char| !(c.is_ascii_alphanumeric() || "-_.".contains(c));
    let behind = text.match_indices(mark).map(|(at, _)| &text[at + mark.len()..]);
    behind
        .filter_map(|rest| {
            let owner = rest.find('/')?;
            let name = rest[owner + 1..].find(ends).unwrap_or(rest.len() - owner - 1);
            Some(rest[..owner + 1 + name].trim_end_matches('.'))
        })
        .collect()
}

/// Where deploy/ names another repository of ours than `home`: `FILE: NAME`.
pub(super) fn others(home: &str) -> Result<Vec<String>> {
    let mut wrong = Vec::new();
    for path in repeating() {
        let text = fs::read_to_string(&path).with_context(|| format!("could not read {}", path.display()))?;
        let ours = |name: &&str| name.to_lowercase().ends_with("/rehearsekit");
        let pages = named(&text, PAGE).into_iter().filter(ours).filter(|name| *name != home);
        let images =
            named(&text, REGISTRY).into_iter().filter(ours).filter(|name| *name != home.to_lowercase());
        wrong.extend(pages.chain(images).map(|name| format!("{}: {name}", short(&path))));
    }
    Ok(wrong)
}

fn short(path: &Path) -> String {
    path.strip_prefix(repository()).unwrap_or(path).display().to_string()
}

/// Writes another owner and name into all places.
///
/// # Errors
/// When it is none, or a file cannot be written.
pub(super) fn move_home(to: &str) -> Result<()> {
    check(to)?;
    let from = home()?;
    let mut files = repeating();
    files.push(repository().join("Cargo.toml"));
    for path in files {
        let text = fs::read_to_string(&path)?;
        let moved = moved(&text, &from, to);
        if moved != text {
            fs::write(&path, moved).with_context(|| format!("could not write {}", path.display()))?;
            println!("  {}", short(&path));
        }
    }
    println!(
        "  images of releases are {}:{}; what the tests keep of the catalogue's entry has to be made anew",
        image(to),
        super::version()
    );
    Ok(())
}

fn moved(text: &str, from: &str, to: &str) -> String {
    let pages = text.replace(&format!("{PAGE}{from}"), &format!("{PAGE}{to}"));
    pages.replace(&image(from), &image(to))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deploy_names_the_repository_that_cargo_toml_names() {
        let home = home().unwrap();
        assert_eq!(others(&home).unwrap(), Vec::<String>::new());
        let values = repository().join("deploy/truenas/catalogue/rehearsekit/ix_values.yaml");
        let values = fs::read_to_string(values).unwrap();
        assert_eq!(named(&values, REGISTRY), vec![home.to_lowercase(); 2], "both images");
        assert!(!others("somebody/rehearsekit").unwrap().is_empty());
    }

    #[test]
    fn a_new_home_is_written_everywhere_and_can_be_left_again() {
        let text = "repository: ghcr.io/owner/rehearsekit\n- https://github.com/OWNER/rehearsekit/releases\n- https://github.com/other/thing\n";
        let there = moved(text, "OWNER/rehearsekit", "Some-Band/rehearsekit");
        assert_eq!(
            there,
            "repository: ghcr.io/some-band/rehearsekit\n- https://github.com/Some-Band/rehearsekit/releases\n- https://github.com/other/thing\n"
        );
        let again = moved(&there, "Some-Band/rehearsekit", "x/rehearsekit");
        assert_eq!(named(&again, REGISTRY), ["x/rehearsekit"]);
        assert_eq!(named(&again, PAGE), ["x/rehearsekit", "other/thing"]);
        for wrong in ["", "a", "a/b/c", "a b/c", "/b", "https://github.com/a/b"] {
            assert!(check(wrong).is_err(), "{wrong}");
        }
    }
}
