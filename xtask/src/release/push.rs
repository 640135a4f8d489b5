//! A built image on its way to the registry, by buildah, and its signature, by cosign. Who may push, and for whom the
//! signature is, these programs learn from their environment; no key is kept anywhere.

use std::fs;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail, ensure};

use super::{files, names, version};
use crate::shell::{describe, run, target_dir};

/// The tag of a variant's image.
fn tag(variant: &str) -> Result<String> {
    match variant {
        "cpu" => Ok(version().to_owned()),
        "cuda" => Ok(format!("{}-cuda", version())),
        other => bail!("there is no variant {other}: cpu or cuda"),
    }
}

/// Runs a command, or says it.
pub(super) fn do_or_say(command: &mut Command, dry_run: bool) -> Result<()> {
    if dry_run {
        println!("  $ {}", describe(command));
        return Ok(());
    }
    run(command)
}

/// Pushes the file of `cargo xtask image`.
///
/// # Errors
/// When it was not built, or the registry does not take it.
pub(super) fn push(variant: &str, to: Option<&str>, dry_run: bool) -> Result<()> {
    let tag = tag(variant)?;
    let archive = target_dir().join("image").join(format!("rehearsekit-{}-{variant}.tar", version()));
    ensure!(dry_run || archive.exists(), "there is no {}: `cargo xtask image` makes it", archive.display());
    let name = names::image(&names::home()?);
    let to = to.map_or_else(|| format!("docker://{name}:{tag}"), str::to_owned);
    let digest_file = files().join(format!("{variant}.digest"));
    fs::create_dir_all(files())?;
    let of_registry = to.starts_with("docker://");
    if of_registry && !dry_run {
        log_in(&name)?;
    }
    do_or_say(
        buildah().args(["pull", "--quiet"]).arg(format!("docker-archive:{}", archive.display())),
        dry_run,
    )?;
    let image = format!("localhost/rehearsekit:{tag}");
    let mut send = buildah();
    send.args(["push", "--format", "v2s2", "--digestfile"]).arg(&digest_file).args([&image, &to]);
    do_or_say(&mut send, dry_run)?;
    do_or_say(buildah().args(["rmi", "--force", &image]), dry_run)?;
    if dry_run {
        return Ok(());
    }
    let digest = fs::read_to_string(&digest_file).context("buildah told no digest")?;
    println!("  {to} is {digest}");
    // The workflow's next steps attest to it by name and digest.
    if let Some(outputs) = std::env::var_os("GITHUB_OUTPUT") {
        use std::io::Write as _;
        let mut outputs = fs::OpenOptions::new().append(true).open(outputs)?;
        writeln!(outputs, "name={name}\ndigest={}", digest.trim())?;
    }
    Ok(())
}

/// By the token that the workflow is given; it comes by a pipe and stands in no list of processes.
fn log_in(name: &str) -> Result<()> {
    use std::io::Write as _;
    let registry = name.split('/').next().unwrap_or_default();
    let token = std::env::var("GITHUB_TOKEN").context("GITHUB_TOKEN is not set: who pushes?")?;
    let user = std::env::var("GITHUB_ACTOR").context("GITHUB_ACTOR is not set: who pushes?")?;
    let mut login = buildah();
    login.args(["login", "--username", &user, "--password-stdin", registry]).stdin(Stdio::piped());
    let mut child = login.spawn().context("could not run buildah")?;
    child.stdin.take().context("no way in")?.write_all(token.as_bytes())?;
    ensure!(child.wait()?.success(), "the registry {registry} does not let {user} in");
    Ok(())
}

/// A store of its own, as `cargo xtask image` has it.
fn buildah() -> Command {
    let folder = |name: &str| target_dir().join("image").join(name);
    let mut command = Command::new("buildah");
    command.arg("--root").arg(folder("store")).arg("--runroot").arg(folder("store-run"));
    command
}

/// Signs what was pushed.
///
/// # Errors
/// When nothing was pushed, or cosign is told by nobody who it is.
pub(super) fn sign(variant: &str, dry_run: bool) -> Result<()> {
    tag(variant)?;
    let name = names::image(&names::home()?);
    let digest_file = files().join(format!("{variant}.digest"));
    let digest = match fs::read_to_string(&digest_file) {
        Ok(digest) => digest.trim().to_owned(),
        Err(_) if dry_run => "sha256:…".to_owned(),
        Err(_) => bail!("nothing was pushed yet: there is no {}", digest_file.display()),
    };
    do_or_say(Command::new("cosign").args(["sign", "--yes", &format!("{name}@{digest}")]), dry_run)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tags_are_those_that_deploy_names() {
        assert_eq!(tag("cpu").unwrap(), version());
        let values = crate::shell::repository().join("deploy/truenas/catalogue/rehearsekit/ix_values.yaml");
        let values = fs::read_to_string(values).unwrap();
        for variant in ["cpu", "cuda"] {
            assert!(values.contains(&format!("tag: {}\n", tag(variant).unwrap())), "{variant}");
        }
        assert!(tag("rocm").is_err() && sign("rocm", true).is_err());
    }

    #[test]
    fn what_would_be_sent_can_be_looked_at_without_an_image_or_a_registry() {
        push("cpu", None, true).unwrap();
        push("cuda", Some("oci:somewhere"), true).unwrap();
        sign("cpu", true).unwrap();
    }
}
