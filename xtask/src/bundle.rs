//! `cargo xtask bundle`: builds the plugin and puts it where hosts understand it, below `target/bundled`; and
//! `cargo xtask install`: copies that to where hosts look. Each system has its own layout; only Linux's could be
//! tried so far, the others follow the formats' documents.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::setup;
use crate::shell::{cargo, run, target_dir};

/// What the bundles are called.
const NAME: &str = "RehearseKit";
/// The standalone's name.
const STANDALONE: &str = "rehearsekit-standalone";

/// Options of `bundle` and `install`.
#[derive(clap::Args, Default)]
pub(crate) struct Args {
    /// Build with optimisations (`install` always does)
    #[arg(long)]
    release: bool,
}

impl Args {
    /// With optimisations.
    pub(crate) fn release() -> Self {
        Self { release: true }
    }
}

/// The systems we know layouts for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum System {
    Linux,
    MacOs,
    Windows,
}

impl System {
    pub(crate) fn here() -> Result<Self> {
        match std::env::consts::OS {
            "linux" => Ok(Self::Linux),
            "macos" => Ok(Self::MacOs),
            "windows" => Ok(Self::Windows),
            other => bail!("there is no layout for plugins on {other}; the library itself is below target/"),
        }
    }

    /// As in the names of archives.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Linux => "linux",
            Self::MacOs => "macos",
            Self::Windows => "windows",
        }
    }

    /// What is bundled.
    pub(crate) fn bundles(self) -> [String; 3] {
        [format!("{NAME}.vst3"), format!("{NAME}.clap"), self.program()]
    }

    /// What cargo calls the library.
    pub(crate) fn library(self) -> &'static str {
        match self {
            Self::Linux => "librehearsekit_plugin.so",
            Self::MacOs => "librehearsekit_plugin.dylib",
            Self::Windows => "rehearsekit_plugin.dll",
        }
    }

    pub(crate) fn program(self) -> String {
        format!("{STANDALONE}{}", if self == Self::Windows { ".exe" } else { "" })
    }

    /// Where the library lies in the VST3 bundle and as CLAP, below the bundles' folder.
    fn places(self, arch: &str) -> (PathBuf, PathBuf) {
        let vst3 = Path::new("RehearseKit.vst3").join("Contents");
        let clap = PathBuf::from("RehearseKit.clap");
        match self {
            Self::Linux => (vst3.join(format!("{arch}-linux")).join("RehearseKit.so"), clap),
            Self::MacOs => (vst3.join("MacOS").join(NAME), clap.join("Contents").join("MacOS").join(NAME)),
            Self::Windows => {
                let arch = if arch == "aarch64" { "arm64" } else { arch };
                (vst3.join(format!("{arch}-win")).join("RehearseKit.vst3"), clap)
            }
        }
    }

    /// Where hosts look for VST3 and CLAP, and where programs of one user go.
    fn homes(self, variable: impl Fn(&str) -> Option<PathBuf>) -> Result<[PathBuf; 3]> {
        let needed = |name: &str| variable(name).with_context(|| format!("${name} is not set"));
        Ok(match self {
            Self::Linux => {
                let home = needed("HOME")?;
                [home.join(".vst3"), home.join(".clap"), home.join(".local").join("bin")]
            }
            Self::MacOs => {
                let home = needed("HOME")?;
                let plugins = home.join("Library").join("Audio").join("Plug-Ins");
                [plugins.join("VST3"), plugins.join("CLAP"), home.join("Applications")]
            }
            Self::Windows => {
                let local = needed("LOCALAPPDATA")?.join("Programs");
                let common = local.join("Common");
                [common.join("VST3"), common.join("CLAP"), local.join(NAME)]
            }
        })
    }
}

/// Builds and bundles. Returns the folder.
///
/// # Errors
/// When the machine cannot be prepared, the build fails, or a file cannot be written.
pub(crate) fn bundle(args: &Args) -> Result<PathBuf> {
    let system = System::here()?;
    setup::prepare(setup::Purpose::Plugin)?;
    let mut build = cargo();
    build.args(["build", "--package", "rehearsekit-plugin"]);
    if args.release {
        build.arg("--release");
    }
    run(&mut build)?;
    let built = target_dir().join(if args.release { "release" } else { "debug" });
    let folder = target_dir().join("bundled");
    lay(system, std::env::consts::ARCH, &built, &folder)?;
    println!("  bundled: {}", folder.display());
    for name in system.bundles() {
        println!("    {name}");
    }
    Ok(folder)
}

/// Bundles what `cargo build --workspace` has made, for the tests: built by itself the plugin would be built again,
/// with other features of the crates it shares.
///
/// # Errors
/// When it was not built, or the folder cannot be written.
pub(crate) fn bundle_for_tests() -> Result<()> {
    let target = target_dir();
    lay(System::here()?, std::env::consts::ARCH, &target.join("debug"), &target.join("bundled"))
}

/// Bundles an optimised build and copies it to where hosts look.
///
/// # Errors
/// As [`bundle`], and when the places cannot be written.
pub(crate) fn install() -> Result<()> {
    let system = System::here()?;
    let folder = bundle(&Args { release: true })?;
    let homes = system.homes(|name| std::env::var_os(name).filter(|v| !v.is_empty()).map(PathBuf::from))?;
    for (home, name) in homes.iter().zip(&system.bundles()) {
        replace(&folder.join(name), &home.join(name))?;
        println!("  installed {}", home.join(name).display());
    }
    if system != System::Linux {
        println!("  Installing on this system was never tried by us. Please tell us how it went.");
    }
    Ok(())
}

/// Lays the bundles of what was built in `built` out in `folder`.
///
/// # Errors
/// When something was not built, or cannot be written.
pub(crate) fn lay(system: System, arch: &str, built: &Path, folder: &Path) -> Result<()> {
    let library = built.join(system.library());
    let (vst3, clap) = system.places(arch);
    let stage = folder.join(".new");
    remove(&stage)?;
    copy_file(&library, &stage.join(vst3))?;
    copy_file(&library, &stage.join(clap))?;
    copy_file(&built.join(system.program()), &stage.join(system.program()))?;
    if system == System::Linux && built.ends_with("release") {
        // Line tables are nine tenths of an optimised library, and no host looks at them.
        let (vst3, clap) = system.places(arch);
        for file in [vst3, clap, PathBuf::from(system.program())] {
            run(std::process::Command::new("strip").arg("--strip-debug").arg(stage.join(file)))?;
        }
    }
    if system == System::MacOs {
        for bundle in ["vst3", "clap"] {
            let contents = stage.join(format!("{NAME}.{bundle}")).join("Contents");
            write(&contents.join("PkgInfo"), "BNDL????")?;
            write(&contents.join("Info.plist"), &property_list(bundle))?;
        }
    }
    for name in system.bundles() {
        replace(&stage.join(&name), &folder.join(&name))?;
    }
    remove(&stage)
}

fn property_list(bundle: &str) -> String {
    let version = env!("CARGO_PKG_VERSION");
    let pairs = [
        ("CFBundleExecutable", NAME),
        ("CFBundleIdentifier", &format!("org.rehearsekit.{bundle}")),
        ("CFBundleName", NAME),
        ("CFBundlePackageType", "BNDL"),
        ("CFBundleSignature", "????"),
        ("CFBundleShortVersionString", version),
        ("CFBundleVersion", version),
    ]
    .map(|(key, value)| format!("<key>{key}</key><string>{value}</string>\n"));
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<plist version=\"1.0\"><dict>\n{}</dict></plist>\n",
        pairs.concat()
    )
}

/// Puts a copy of `from`, a file or a folder, in place of `to`. It is made beside it and renamed, so that a host
/// that has the old one loaded keeps the old one.
fn replace(from: &Path, to: &Path) -> Result<()> {
    let mut beside = to.as_os_str().to_owned();
    beside.push(".new");
    let beside = PathBuf::from(beside);
    remove(&beside)?;
    copy(from, &beside)?;
    remove(to)?;
    std::fs::rename(&beside, to).with_context(|| format!("could not write {}", to.display()))
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    if !from.is_dir() {
        return copy_file(from, to);
    }
    let entries = std::fs::read_dir(from).with_context(|| format!("could not read {}", from.display()))?;
    for entry in entries {
        let entry = entry?;
        copy(&entry.path(), &to.join(entry.file_name()))?;
    }
    Ok(())
}

fn copy_file(from: &Path, to: &Path) -> Result<()> {
    make_parent(to)?;
    std::fs::copy(from, to)
        .with_context(|| format!("could not copy {} to {}", from.display(), to.display()))?;
    Ok(())
}

fn write(path: &Path, text: &str) -> Result<()> {
    make_parent(path)?;
    std::fs::write(path, text).with_context(|| format!("could not write {}", path.display()))
}

fn make_parent(path: &Path) -> Result<()> {
    let Some(parent) = path.parent() else { return Ok(()) };
    std::fs::create_dir_all(parent).with_context(|| format!("could not make {}", parent.display()))
}

fn remove(path: &Path) -> Result<()> {
    let removed = match std::fs::symlink_metadata(path) {
        Err(_) => return Ok(()),
        Ok(there) if there.is_dir() => std::fs::remove_dir_all(path),
        Ok(_) => std::fs::remove_file(path),
    };
    removed.with_context(|| format!("could not remove {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_system_gets_its_layout() {
        let places = |system: System, arch| {
            let (vst3, clap) = system.places(arch);
            (vst3.to_string_lossy().replace('\\', "/"), clap.to_string_lossy().replace('\\', "/"))
        };
        let (vst3, clap) = places(System::Linux, "x86_64");
        assert_eq!(vst3, "RehearseKit.vst3/Contents/x86_64-linux/RehearseKit.so");
        assert_eq!(clap, "RehearseKit.clap");
        let (vst3, clap) = places(System::MacOs, "aarch64");
        assert_eq!(vst3, "RehearseKit.vst3/Contents/MacOS/RehearseKit");
        assert_eq!(clap, "RehearseKit.clap/Contents/MacOS/RehearseKit");
        let (vst3, _) = places(System::Windows, "x86_64");
        assert_eq!(vst3, "RehearseKit.vst3/Contents/x86_64-win/RehearseKit.vst3");
    }

    #[test]
    fn hosts_look_in_these_places() {
        let variable = |name: &str| Some(PathBuf::from(format!("/{name}")));
        let [vst3, clap, _] = System::Linux.homes(variable).unwrap();
        assert_eq!((vst3, clap), (PathBuf::from("/HOME/.vst3"), PathBuf::from("/HOME/.clap")));
        let [vst3, ..] = System::MacOs.homes(variable).unwrap();
        assert_eq!(vst3, Path::new("/HOME/Library/Audio/Plug-Ins/VST3"));
        let [_, clap, _] = System::Windows.homes(variable).unwrap();
        assert_eq!(clap, Path::new("/LOCALAPPDATA/Programs/Common/CLAP"));
        let error = System::Linux.homes(|_| None).unwrap_err().to_string();
        assert!(error.contains("HOME"), "{error}");
    }

    #[test]
    fn a_second_bundle_replaces_the_first_and_leaves_nothing_behind() {
        let top = std::env::temp_dir().join(format!("xtask-bundle-{}", std::process::id()));
        let (built, folder) = (top.join("built"), top.join("bundled"));
        for content in ["old", "new"] {
            for name in [System::MacOs.library(), &System::MacOs.program()] {
                write(&built.join(name), content).unwrap();
            }
            lay(System::MacOs, "aarch64", &built, &folder).unwrap();
        }
        let library = std::fs::read_to_string(folder.join("RehearseKit.vst3/Contents/MacOS/RehearseKit"));
        let mut names: Vec<_> = std::fs::read_dir(&folder).unwrap().map(|e| e.unwrap().file_name()).collect();
        let plist = std::fs::read_to_string(folder.join("RehearseKit.clap/Contents/Info.plist")).unwrap();
        std::fs::remove_dir_all(&top).unwrap();
        names.sort();
        assert_eq!(library.unwrap(), "new");
        assert_eq!(names, ["RehearseKit.clap", "RehearseKit.vst3", STANDALONE]);
        assert!(plist.contains("<key>CFBundleExecutable</key><string>RehearseKit</string>"), "{plist}");
    }
}
