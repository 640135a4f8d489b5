//! `cargo xtask release …`: the steps of a release, each a command that runs on any machine as it does in
//! `.github/workflows/release.yml`, which strings them together when a version's tag is pushed. Must not decide when there
//! is one.

mod archive;
mod names;
mod notes;
mod push;
#[cfg(test)]
mod workflow;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};

use crate::shell::{capture, repository, target_dir};

/// Options of `release`.
#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    step: Step,
}

#[derive(clap::Subcommand)]
enum Step {
    /// Say whether everything is of the version that a tag names: the workspace, the changelog, deploy/
    CheckVersion {
        /// Like v0.1.0
        tag: String,
    },
    /// Print what the changelog says of a version
    Notes {
        /// Like v0.1.0
        tag: String,
    },
    /// Build the plugin and the command for this system, and pack them, with their checksums, below target/release-files
    Archive,
    /// Write SHA256SUMS over the files of a folder
    Sums {
        /// The folder
        folder: PathBuf,
    },
    /// Push an image that `cargo xtask image` has built, and print its digest
    Push {
        /// cpu or cuda
        variant: String,
        /// Somewhere else than the registry, as buildah names it, like oci:target/image/oci
        #[arg(long, value_name = "WHERE")]
        to: Option<String>,
        /// Only say what would be done
        #[arg(long)]
        dry_run: bool,
    },
    /// Sign a pushed image by its digest, without a key: the signature is for the workflow that made it
    Sign {
        /// cpu or cuda
        variant: String,
        /// Only say what would be done
        #[arg(long)]
        dry_run: bool,
    },
    /// Make the release's page, with the changelog's words and the files of a folder
    Publish {
        /// Like v0.1.0
        tag: String,
        /// The folder
        folder: PathBuf,
        /// Only say what would be done
        #[arg(long)]
        dry_run: bool,
    },
    /// Write in all places whose repository this is, like `example/rehearsekit`
    Home {
        /// Its owner and name on GitHub
        repository: String,
    },
}

/// Does one step.
///
/// # Errors
/// When something does not fit, cannot be built or cannot be sent.
pub(crate) fn run(args: &Args) -> Result<()> {
    match &args.step {
        Step::CheckVersion { tag } => check_version(tag),
        Step::Notes { tag } => {
            println!("{}", notes::of(&changelog()?, version_of(tag)?)?);
            Ok(())
        }
        Step::Archive => archive::archive(),
        Step::Sums { folder } => archive::sums(folder),
        Step::Push { variant, to, dry_run } => push::push(variant, to.as_deref(), *dry_run),
        Step::Sign { variant, dry_run } => push::sign(variant, *dry_run),
        Step::Publish { tag, folder, dry_run } => publish(tag, folder, *dry_run),
        Step::Home { repository } => names::move_home(repository),
    }
}

/// The version of the workspace.
pub(super) fn version() -> &'static str {
    env!("CARGO_PKG_VERSION")
}

fn version_of(tag: &str) -> Result<&str> {
    tag.strip_prefix('v').with_context(|| format!("{tag} is no tag of a version, like v{}", version()))
}

fn changelog() -> Result<String> {
    let path = repository().join("CHANGELOG.md");
    fs::read_to_string(&path).with_context(|| format!("could not read {}", path.display()))
}

fn check_version(tag: &str) -> Result<()> {
    let wanted = version_of(tag)?;
    ensure!(
        wanted == version(),
        "the tag is {tag}, and the workspace is of version {} (Cargo.toml)",
        version()
    );
    let notes = notes::of(&changelog()?, wanted)?;
    let home = names::home()?;
    ensure!(
        !home.starts_with(names::NOBODY),
        "nobody's repository is named yet: `cargo xtask release home OWNER/NAME`, and commit what it changes"
    );
    let others = names::others(&home)?;
    ensure!(others.is_empty(), "these name another repository than Cargo.toml: {others:?}");
    let changed =
        capture(std::process::Command::new("git").current_dir(repository()).args(["status", "--porcelain"]))?;
    ensure!(changed.trim().is_empty(), "not everything is committed:\n{changed}");
    println!("  {tag} of {home}: {} lines of changes", notes.lines().count());
    Ok(())
}

/// Where the files of a release are made.
fn files() -> PathBuf {
    target_dir().join("release-files")
}

fn publish(tag: &str, folder: &Path, dry_run: bool) -> Result<()> {
    let words = notes::of(&changelog()?, version_of(tag)?)?;
    let mut paths: Vec<PathBuf> =
        fs::read_dir(folder)?.map(|entry| Ok(entry?.path())).collect::<Result<_>>()?;
    paths.sort();
    if paths.is_empty() {
        bail!("there is nothing in {}", folder.display());
    }
    let notes = target_dir().join("release-notes.md");
    fs::write(&notes, words)?;
    let mut gh = std::process::Command::new("gh");
    gh.args(["release", "create", tag, "--verify-tag", "--title", tag, "--notes-file"])
        .arg(notes)
        .args(paths);
    push::do_or_say(&mut gh, dry_run)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_is_a_version_with_a_v() {
        assert_eq!(version_of("v1.2.3").unwrap(), "1.2.3");
        assert!(version_of("1.2.3").unwrap_err().to_string().contains("no tag of a version"));
        assert!(check_version("v99.0.0").unwrap_err().to_string().contains("the workspace is of version"));
    }
}
