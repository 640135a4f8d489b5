//! The plugin and the command for the system that this runs on, each in an archive with the licences of what is in it, and
//! checksums over them. Linux' archives were made and unpacked; macOS' and Windows' never were.

use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use sha2::{Digest as _, Sha256};
use zip::write::SimpleFileOptions;

use super::{files, version};
use crate::bundle::{self, System};
use crate::image::crates;
use crate::setup;
use crate::shell::{cargo, repository, run, target_dir};

const SUMS: &str = "SHA256SUMS";
const PLUGIN: &str = "rehearsekit-plugin";
const COMMAND: &str = "rehearsekit-cli";

/// Builds and packs.
///
/// # Errors
/// When the machine cannot be prepared, something does not build, or cannot be written.
pub(super) fn archive() -> Result<()> {
    let system = System::here()?;
    setup::prepare(setup::Purpose::Plugin)?;
    let (built, arch) = build(system)?;
    let folder = target_dir().join("release-bundled");
    bundle::lay(system, &arch, &built, &folder)?;
    let end = if system == System::Windows { ".exe" } else { "" };
    let name = format!("rehearsekit{end}");
    let command = folder.join(&name);
    fs::copy(built.join(&name), &command).with_context(|| format!("{name} was not built"))?;
    if system == System::Linux {
        // As with the bundles: what only debuggers read is most of it.
        run(Command::new("strip").arg("--strip-debug").arg(&command))?;
    }
    fs::create_dir_all(files())?;
    let place = format!("{}-{arch}", system.name());
    let plugin: Vec<(PathBuf, String)> =
        system.bundles().into_iter().map(|name| (folder.join(&name), name)).collect();
    pack(
        &files().join(format!("rehearsekit-plugin-{}-{place}.zip", version())),
        &plugin,
        &licences(PLUGIN)?,
    )?;
    let command = [(command, name)];
    pack(
        &files().join(format!("rehearsekit-command-{}-{place}.zip", version())),
        &command,
        &licences(COMMAND)?,
    )?;
    sums(&files())
}

/// Builds for this system; for all of its processors where one file holds them. The folder, and what it is for.
fn build(system: System) -> Result<(PathBuf, String)> {
    let packages = ["build", "--release", "--locked", "--package", PLUGIN, "--package", COMMAND];
    if system != System::MacOs {
        run(cargo().args(packages))?;
        return Ok((target_dir().join("release"), std::env::consts::ARCH.to_owned()));
    }
    let targets = ["aarch64-apple-darwin", "x86_64-apple-darwin"];
    for target in targets {
        run(Command::new("rustup").current_dir(repository()).args(["target", "add", target]))?;
        run(cargo().args(packages).args(["--target", target]))?;
    }
    let both = target_dir().join("universal").join("release");
    fs::create_dir_all(&both)?;
    for name in [system.library().to_owned(), system.program(), "rehearsekit".to_owned()] {
        let one_each = targets.map(|target| target_dir().join(target).join("release").join(&name));
        run(Command::new("lipo").arg("-create").args(one_each).arg("-output").arg(both.join(&name)))?;
    }
    Ok((both, "universal".to_owned()))
}

/// Our own licences, those of all that is linked into `package`, and Rust's.
fn licences(package: &str) -> Result<Vec<(String, Vec<u8>)>> {
    let mut all = Vec::new();
    for name in ["LICENSE-MIT", "LICENSE-APACHE"] {
        all.push((name.to_owned(), fs::read(repository().join(name))?));
    }
    let texts = crates::licence_texts(&crates::linked(package)?)?;
    all.push(("licences/crates.txt".to_owned(), texts.into_bytes()));
    all.push(("licences/rust.html".to_owned(), fs::read(crates::rust_licences()?)?));
    Ok(all)
}

/// Packs files and folders under the names given, and texts beside them. Nothing in it tells when it was made.
fn pack(archive: &Path, parts: &[(PathBuf, String)], texts: &[(String, Vec<u8>)]) -> Result<()> {
    let made = File::create(archive).with_context(|| format!("could not write {}", archive.display()))?;
    let mut zip = zip::ZipWriter::new(made);
    let plain = SimpleFileOptions::default().last_modified_time(zip::DateTime::default());
    for (from, name) in parts {
        for (path, name) in below(from, name)? {
            zip.start_file(&name, plain.unix_permissions(if is_run(&path)? { 0o755 } else { 0o644 }))?;
            std::io::copy(&mut File::open(&path)?, &mut zip)?;
        }
    }
    for (name, text) in texts {
        zip.start_file(name, plain.unix_permissions(0o644))?;
        zip.write_all(text)?;
    }
    zip.finish()?.sync_all()?;
    println!("  {}", archive.display());
    Ok(())
}

/// The file itself, or all files of the folder, in order, with the names they get.
fn below(from: &Path, name: &str) -> Result<Vec<(PathBuf, String)>> {
    if !from.is_dir() {
        ensure!(from.is_file(), "there is no {}", from.display());
        return Ok(vec![(from.to_owned(), name.to_owned())]);
    }
    let mut entries: Vec<PathBuf> =
        fs::read_dir(from)?.map(|entry| Ok(entry?.path())).collect::<Result<_>>()?;
    entries.sort();
    let mut all = Vec::new();
    for entry in entries {
        let inside = entry.file_name().context("a file without a name")?.to_string_lossy().into_owned();
        all.extend(below(&entry, &format!("{name}/{inside}"))?);
    }
    Ok(all)
}

#[cfg(unix)]
fn is_run(path: &Path) -> Result<bool> {
    use std::os::unix::fs::PermissionsExt as _;
    Ok(fs::metadata(path)?.permissions().mode() & 0o111 != 0)
}

#[cfg(not(unix))]
fn is_run(_path: &Path) -> Result<bool> {
    Ok(true)
}

/// Writes the checksums of all files in `folder`, as `sha256sum -c` reads them.
///
/// # Errors
/// When one cannot be read, or there are none.
pub(super) fn sums(folder: &Path) -> Result<()> {
    let mut lines = Vec::new();
    for (path, name) in below(folder, "")? {
        let name = name.trim_start_matches('/');
        if name == SUMS || name.ends_with(".digest") {
            continue;
        }
        let (mut hash, mut file, mut part) = (Sha256::new(), File::open(&path)?, vec![0; 1 << 16]);
        loop {
            let length = file.read(&mut part)?;
            if length == 0 {
                break;
            }
            hash.update(&part[..length]);
        }
        let digits: String = hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
        lines.push(format!("{digits}  {name}\n"));
    }
    ensure!(!lines.is_empty(), "there is nothing in {}", folder.display());
    fs::write(folder.join(SUMS), lines.concat())?;
    println!("  {} ({} files)", folder.join(SUMS).display(), lines.len());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shell::capture;

    /// Unpacked by another program, it is what was packed, and twice the same to the byte.
    #[test]
    fn an_archive_holds_what_it_was_given_and_its_sum_is_right() {
        let top = std::env::temp_dir().join(format!("xtask-archive-{}", std::process::id()));
        crate::shell::empty(&top).unwrap();
        let bundle = top.join("A.vst3");
        fs::create_dir_all(bundle.join("Contents")).unwrap();
        fs::write(bundle.join("Contents/a.so"), "library").unwrap();
        let program = top.join("program");
        fs::write(&program, "#!/bin/sh\n").unwrap();
        run(Command::new("chmod").arg("755").arg(&program)).unwrap();
        let out = top.join("out");
        fs::create_dir(&out).unwrap();
        let parts = [(bundle, "A.vst3".to_owned()), (program, "program".to_owned())];
        let texts = [("licences/x.txt".to_owned(), b"terms".to_vec())];
        for name in ["one.zip", "two.zip"] {
            pack(&out.join(name), &parts, &texts).unwrap();
        }
        assert_eq!(fs::read(out.join("one.zip")).unwrap(), fs::read(out.join("two.zip")).unwrap());
        sums(&out).unwrap();
        let checked = capture(Command::new("sha256sum").current_dir(&out).args(["-c", SUMS])).unwrap();
        assert_eq!(checked, "one.zip: OK\ntwo.zip: OK\n");
        let script = "import sys, zipfile; [print(i.filename, oct(i.external_attr >> 16 & 0o777), i.file_size) \
                      for i in zipfile.ZipFile(sys.argv[1]).infolist()]";
        let listed = capture(Command::new("python3").args(["-c", script]).arg(out.join("one.zip"))).unwrap();
        assert_eq!(listed, "A.vst3/Contents/a.so 0o644 7\nprogram 0o755 10\nlicences/x.txt 0o644 5\n");
        assert!(pack(&out.join("x.zip"), &[(top.join("nothing"), "n".to_owned())], &[]).is_err());
        fs::remove_dir_all(top).unwrap();
    }
}
