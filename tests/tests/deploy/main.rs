//! What stands in `deploy/` and in the guides, held against what the program really takes, says and does. Nothing here
//! starts a container: `cargo xtask image --check` does that.
#![allow(clippy::unwrap_used)]

mod catalogue;
mod compose;
mod guides;
mod library;
mod questions;
mod rendered;
mod settings;
mod systemd;
mod workflow;

use std::{
    fs,
    path::{Path, PathBuf},
};

use serde_json::Value;

/// The repository.
fn top() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

/// The entry for the catalogue of TrueNAS.
fn entry() -> PathBuf {
    top().join("deploy/truenas/catalogue/rehearsekit")
}

fn text(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn yaml(path: &Path) -> Value {
    parse(&text(path)).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn parse(text: &str) -> Result<Value, String> {
    serde_saphyr::from_str(text).map_err(|error| error.to_string())
}

/// The files of `folder` that end in `.ending`, sorted, by their names without it.
fn names(folder: &Path, ending: &str) -> Vec<String> {
    let listed = fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let names = listed.map(|file| file.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<String> =
        names.filter_map(|name| name.strip_suffix(ending).map(str::to_owned)).collect();
    names.sort();
    assert!(!names.is_empty(), "no *{ending} in {}", folder.display());
    names
}

/// The version of this workspace.
fn version() -> &'static str {
    env!("CARGO_PKG_VERSION")
}
