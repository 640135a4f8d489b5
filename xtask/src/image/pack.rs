//! From the folder to the image: buildah takes it, and gives a file that `podman load` and `docker load` read. What the
//! image says of itself stands in `deploy/image/Containerfile` and nowhere else. Everything buildah keeps is below
//! `target/`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

use super::Source;
use super::root::hash;
use super::settle::settle;
use super::variant::{Variant, top};
use crate::shell::{repository, run};

/// An image in a file.
pub(super) struct Packed {
    /// The name it is loaded under.
    pub(super) tag: String,
    pub(super) archive: PathBuf,
    /// The image's identity: the hash of all that it says of itself, which has the layer's in it.
    pub(super) id: String,
    /// The hash of its one layer.
    pub(super) layer: String,
    pub(super) archive_bytes: u64,
    pub(super) archive_sha256: String,
}

/// Packs the folders `root` and `data` of `variant`.
///
/// # Errors
/// When buildah fails.
pub(super) fn pack(variant: Variant, source: &Source) -> Result<Packed> {
    let folder = variant.folder();
    let recipe = folder.join("Containerfile");
    let whole = fs::read_to_string(repository().join("deploy/image/Containerfile"))?;
    fs::write(&recipe, last_stage(&whole)?)?;
    let tag = variant.tag(&source.version);
    // Layers as a registry gets them, without buildah's own label, and nothing of this machine.
    let mut build = buildah();
    build.args(["bud", "--isolation", "chroot", "--format", "docker", "--no-cache", "--layers=false"]);
    build.args(["--identity-label=false", "--timestamp", &source.epoch.to_string(), "--tag", &tag]);
    for (name, value) in [
        ("VARIANT", variant.name()),
        ("VERSION", &source.version),
        ("REVISION", &source.revision),
        ("CREATED", &source.created),
    ] {
        build.arg("--build-arg").arg(format!("{name}={value}"));
    }
    run(build.arg("--file").arg(&recipe).arg(&folder))?;

    let name = format!("rehearsekit-{}-{}.tar", source.version, variant.name());
    let (archive, raw) = (top().join(&name), top().join(format!("raw-{name}")));
    if raw.exists() {
        fs::remove_file(&raw)?;
    }
    run(buildah().args(["push", "--quiet", &tag]).arg(format!("docker-archive:{}", raw.display())))?;
    // It is in the file now; the copy in buildah's store would only fill the disk.
    run(buildah().args(["rmi", "--force", &tag]))?;
    let (id, layer) = settle(&raw, &archive, &tag)?;
    fs::remove_file(&raw)?;
    let (archive_bytes, archive_sha256) = hash(&archive)?;
    Ok(Packed { tag, archive, id, layer, archive_bytes, archive_sha256 })
}

fn buildah() -> Command {
    let mut command = Command::new("buildah");
    command.args(store());
    command
}

/// Where buildah keeps things; nothing of the user's own is touched.
fn store() -> [String; 4] {
    let of = |name: &str| top().join(name).display().to_string();
    ["--root".to_owned(), of("store"), "--runroot".to_owned(), of("store-run")]
}

/// The last stage of a recipe, with what it takes from the stage before taken from the folder beside it.
fn last_stage(recipe: &str) -> Result<String> {
    let from = recipe.rfind("\nFROM scratch").context("the Containerfile has no stage from scratch")?;
    let stage = &recipe[from + 1..];
    let local = stage.replace("--from=build ", "").replace("/src/target/image/${VARIANT}/", "");
    ensure!(!local.contains("--from") && local.contains("COPY root/ /"), "the last stage changed its form");
    Ok(local)
}

/// Size of a file as a registry would send it.
///
/// # Errors
/// When gzip fails.
pub(super) fn compressed_bytes(archive: &Path) -> Result<u64> {
    let count = Command::new("sh")
        .args(["-c", "gzip -6 -c \"$1\" | wc -c", "sh"])
        .arg(archive)
        .output()
        .context("could not run gzip")?;
    Ok(String::from_utf8_lossy(&count.stdout).trim().parse()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_image_says_of_itself_is_taken_from_the_one_recipe() {
        let whole = fs::read_to_string(repository().join("deploy/image/Containerfile")).unwrap();
        let stage = last_stage(&whole).unwrap();
        assert!(stage.starts_with("FROM scratch\n") && !stage.contains("/src/"));
        for line in [
            "USER 568:568",
            "VOLUME [\"/data\"]",
            "STOPSIGNAL SIGTERM",
            "ENTRYPOINT [\"/usr/bin/rehearsekit\"]",
            "COPY --chown=568:568 data/ /data/",
        ] {
            assert!(stage.lines().any(|found| found == line), "{line}");
        }
        assert!(stage.contains("HEALTHCHECK ") && stage.contains("[\"/usr/bin/rehearsekit\", \"health\"]"));
        assert!(!stage.lines().any(|line| line.starts_with("RUN ")), "there is nothing to run it with");
        assert!(last_stage("FROM debian\n").is_err());
    }

    /// The defaults in the recipe are for builds without xtask.
    #[test]
    fn the_recipe_names_the_versions_of_the_house() {
        let read = |path: &str| fs::read_to_string(repository().join(path)).unwrap();
        let recipe = read("deploy/image/Containerfile");
        let value = |text: &str, table: &str, key: &str| {
            let text: toml::Table = toml::from_str(text).unwrap();
            let table = table.split('.').fold(&text, |at, name| at[name].as_table().unwrap());
            table[key].as_str().unwrap().to_owned()
        };
        let version = value(&read("Cargo.toml"), "workspace.package", "version");
        assert!(recipe.contains(&format!("ARG VERSION={version}\n")));
        let rust = value(&read("rust-toolchain.toml"), "toolchain", "channel");
        assert!(recipe.contains(&format!("RUSTUP_TOOLCHAIN={rust}\n")));
        assert!(recipe.contains(&format!("rust:{rust}-slim-bookworm\n")));
    }
}
