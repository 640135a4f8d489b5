//! Shared libraries: which ones a program really loads, found by asking the loader, and which Debian package each came
//! with. It looks at this machine's files and copies none.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};

use crate::shell::{capture, on_path};

/// What some programs load.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Closure {
    /// By the name they are loaded under, the loader itself included.
    pub(super) libraries: BTreeMap<String, PathBuf>,
    /// What is nowhere to be found.
    pub(super) missing: Vec<String>,
}

/// Everything that `roots` load, directly or not, with `beside` looked at before the system's folders.
///
/// # Errors
/// When one of them is no program or library of this machine.
pub(super) fn closure(roots: &[PathBuf], beside: &Path) -> Result<Closure> {
    let mut all = Closure::default();
    for root in roots {
        let said = capture(Command::new("ldd").arg(root).env("LD_LIBRARY_PATH", beside))
            .with_context(|| format!("could not ask what {} loads", root.display()))?;
        read_ldd(&said, &mut all);
    }
    all.missing.sort();
    all.missing.dedup();
    Ok(all)
}

/// What the program and the libraries in the folder `root` load when `root` is all there is: by the loader in it, which
/// is told not to look elsewhere.
///
/// # Errors
/// When something is found outside of it, or is missing and not among `from_outside`.
pub(super) fn closed(root: &Path, beside: &str, from_outside: &[&str]) -> Result<Closure> {
    let root = root.canonicalize()?;
    let names = |folder: &str| -> Result<Vec<PathBuf>> {
        let folder = root.join(folder);
        let entries = std::fs::read_dir(&folder).with_context(|| format!("no {}", folder.display()))?;
        Ok(entries.flatten().map(|entry| entry.path()).collect())
    };
    let loader = loader_in(&root)?;
    let machine = format!("usr/lib/{}-linux-gnu", std::env::consts::ARCH);
    let path = format!("{}:{}", root.join(&machine).display(), root.join(beside).display());
    let mut all = Closure::default();
    let mut files = names(beside)?;
    files.push(root.join("usr/bin/rehearsekit"));
    for file in files {
        let mut ask = Command::new(&loader);
        ask.args(["--inhibit-cache", "--library-path", &path, "--list"])
            .arg(file)
            .env_remove("LD_LIBRARY_PATH");
        read_ldd(&capture(&mut ask)?, &mut all);
    }
    all.missing.sort();
    all.missing.dedup();
    let strangers: Vec<_> = all
        .libraries
        .values()
        .filter(|path| !path.canonicalize().is_ok_and(|path| path.starts_with(&root)))
        // The loader stands for itself under the name that programs have for it.
        .filter(|path| path.file_name() != loader.file_name())
        .collect();
    ensure!(strangers.is_empty(), "found outside of the image: {strangers:?}");
    let unknown: Vec<_> = all.missing.iter().filter(|name| !from_outside.contains(&name.as_str())).collect();
    ensure!(unknown.is_empty(), "the image lacks {unknown:?}");
    Ok(all)
}

/// The loader in the folder `root`, where this machine's programs look for it.
///
/// # Errors
/// When there is none.
pub(super) fn loader_in(root: &Path) -> Result<PathBuf> {
    let files = ["lib64", "lib"].iter().filter_map(|folder| std::fs::read_dir(root.join(folder)).ok());
    let mut paths = files.flatten().flatten().map(|entry| entry.path());
    let is_loader =
        |path: &PathBuf| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("ld-linux"));
    paths.find(is_loader).context("there is no loader in the image")
}

/// Reads what `ldd`, or the loader with `--list`, prints. The kernel's own (`linux-vdso.so.1`) has no file.
pub(super) fn read_ldd(said: &str, into: &mut Closure) {
    for line in said.lines().map(str::trim) {
        let words: Vec<&str> = line.split_whitespace().collect();
        match words[..] {
            [name, "=>", "not", "found"] => into.missing.push(name.to_owned()),
            [name, "=>", path, _] => {
                // The loader may be named by its whole path.
                let name = name.rsplit('/').next().unwrap_or(name);
                into.libraries.insert(name.to_owned(), path.into());
            }
            [path, address] if path.starts_with('/') && address.starts_with("(0x") => {
                let name = path.rsplit('/').next().unwrap_or(path);
                into.libraries.insert(name.to_owned(), path.into());
            }
            _ => {}
        }
    }
}

/// A Debian package that is installed here.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct DebianPackage {
    pub(super) name: String,
    pub(super) version: String,
    pub(super) architecture: String,
}

impl DebianPackage {
    /// Its licence text.
    pub(super) fn copyright(&self) -> PathBuf {
        Path::new("/usr/share/doc").join(&self.name).join("copyright")
    }
}

/// The package that brought `file`, which must be as the package has it.
///
/// # Errors
/// When no package brought it, or it was changed since.
pub(super) fn package_of(file: &Path) -> Result<DebianPackage> {
    ensure!(
        on_path("dpkg-query"),
        "the image takes the C library from Debian's packages, and this machine has none; build it with \
         deploy/image/Containerfile instead"
    );
    // Since /lib became a link, a package may know its file by either name.
    let plain = file.to_string_lossy().into_owned();
    let real = file.canonicalize()?.to_string_lossy().into_owned();
    let mut names = vec![plain, real.clone()];
    names.extend(real.strip_prefix("/usr").map(str::to_owned));
    let said = names.iter().find_map(|name| {
        let mut ask = Command::new("dpkg-query");
        ask.args(["-S", name]).stderr(std::process::Stdio::null());
        capture(&mut ask).ok()
    });
    let said = said.with_context(|| format!("no Debian package has {}", file.display()))?;
    let id = said.lines().next().and_then(|line| line.split(": ").next()).unwrap_or_default().to_owned();
    let told =
        capture(Command::new("dpkg-query").args(["-W", "-f=${Package}\t${Version}\t${Architecture}", &id]))?;
    let changed = Command::new("dpkg").args(["--verify", &id]).output().context("could not run dpkg")?;
    let changed = String::from_utf8_lossy(&changed.stdout).into_owned();
    if let Some(line) = changed.lines().find(|line| names.iter().any(|name| line.ends_with(name.as_str()))) {
        bail!("{} is not as {id} brought it ({line}); reinstall that package", file.display());
    }
    match told.split('\t').map(str::to_owned).collect::<Vec<_>>()[..] {
        [ref name, ref version, ref architecture] => Ok(DebianPackage {
            name: name.clone(),
            version: version.clone(),
            architecture: architecture.clone(),
        }),
        _ => bail!("dpkg-query said {told:?} of {id}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_loader_says_is_read() {
        let said = "\tlinux-vdso.so.1 (0x00007fff)\n\tlibm.so.6 => /lib/x86_64-linux-gnu/libm.so.6 (0x00007f)\n\
                    \tlibcuda.so.1 => not found\n\t/lib64/ld-linux-x86-64.so.2 (0x00007f)\n\
                    \t/lib64/ld-linux-x86-64.so.2 => /usr/lib64/ld-linux-x86-64.so.2 (0x00007f)\n\tstatically linked\n";
        let mut all = Closure::default();
        read_ldd(said, &mut all);
        assert_eq!(all.missing, ["libcuda.so.1"]);
        assert_eq!(all.libraries.keys().collect::<Vec<_>>(), ["ld-linux-x86-64.so.2", "libm.so.6"]);
    }

    /// A program of this very machine: this test.
    #[cfg(target_os = "linux")]
    #[test]
    fn a_program_has_its_c_library_and_that_has_a_package() {
        let this = std::env::current_exe().unwrap();
        let found = closure(&[this], Path::new("/nowhere")).unwrap();
        assert!(found.missing.is_empty(), "{found:?}");
        let c = &found.libraries["libc.so.6"];
        if on_path("dpkg-query") {
            assert!(package_of(c).unwrap().name.starts_with("libc6"));
            assert!(package_of(Path::new("/proc/version")).is_err());
        }
        assert!(closure(&["/etc/passwd".into()], Path::new("/nowhere")).is_err());
    }
}
