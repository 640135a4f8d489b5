//! Where the built things are. Panics with what to do when they are not there.
#![allow(clippy::print_stderr, reason = "a test tells what it saw")]
#![allow(clippy::unwrap_used, reason = "what stands in for a host may fall down")]

use std::path::{Path, PathBuf};

/// The profile's folder below `target` in which this test was built.
fn profile() -> PathBuf {
    let here = std::env::current_exe().unwrap();
    let folder = here.parent().unwrap();
    // Tests lie in `deps`, programs beside it.
    if folder.ends_with("deps") { folder.parent().unwrap().to_owned() } else { folder.to_owned() }
}

fn built(path: PathBuf, by: &str) -> PathBuf {
    assert!(path.exists(), "there is no {}: run `{by}`, or `cargo xtask test`, which does", path.display());
    path
}

/// The folder of the bundles. A warning is said where the library was built after them.
pub fn bundled() -> PathBuf {
    let folder = built(profile().parent().unwrap().join("bundled"), "cargo xtask bundle");
    let time = |path: &Path| std::fs::metadata(path).and_then(|data| data.modified()).ok();
    let library = profile().join("librehearsekit_plugin.so");
    if time(&library) > time(&folder.join("RehearseKit.clap")) {
        eprintln!("the plugin was built after it was bundled: `cargo xtask bundle` brings the new one here");
    }
    folder
}

/// The CLAP.
pub fn clap() -> PathBuf {
    bundled().join("RehearseKit.clap")
}

/// The VST3.
pub fn vst3() -> PathBuf {
    bundled().join("RehearseKit.vst3")
}

/// The `rehearsekit` command of the same build.
pub fn command() -> PathBuf {
    built(profile().join("rehearsekit"), "cargo build --workspace")
}

/// The data folder with `spleeter-2stems` in it.
pub fn data() -> PathBuf {
    let data = std::env::var_os("REHEARSEKIT_DATA").map(PathBuf::from);
    let data = data.unwrap_or_else(|| profile().parent().unwrap().join("rehearsekit-data"));
    built(data.join("models/spleeter-2stems"), "cargo xtask test");
    data
}
