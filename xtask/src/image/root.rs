//! The image's file system, laid out in a folder: which files at which places, nothing else. Everything is checked where
//! it comes from, and two runs give the same bytes. It packs nothing and knows no container tool.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use sha2::{Digest, Sha256};

use super::libraries::{DebianPackage, closure, package_of};
use super::variant::Variant;
use super::wheels::Kept;
use crate::kit::SPLEETER;
use crate::shell::{empty, repository};

/// Where the wheels' libraries are; the server looks here for a GPU's provider.
pub(super) const LIBRARIES: &str = "usr/lib/rehearsekit";
/// Models that came with the program.
const MODELS: &str = "usr/share/rehearsekit/models";
/// Licences and the bill of materials.
pub(super) const DOCS: &str = "usr/share/doc";
/// User and group that the server runs as; TrueNAS calls them `apps`.
const USERS: [(&str, &str); 3] = [
    ("etc/passwd", "rehearsekit:x:568:568:RehearseKit:/data:/sbin/nologin\n"),
    ("etc/group", "rehearsekit:x:568:\n"),
    ("etc/nsswitch.conf", "passwd: files\ngroup: files\nhosts: files dns\n"),
];

/// Where a file of the image is from.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Origin {
    /// This repository.
    Us,
    /// A Debian package.
    Debian(DebianPackage),
    /// A wheel, by name and version.
    Wheel(String, String),
    /// The model that is shipped.
    Model,
}

/// A file of the image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) origin: Origin,
    pub(super) bytes: u64,
    /// In hexadecimal.
    pub(super) sha256: String,
}

/// The folder that becomes the image, and what is in it.
pub(super) struct Root {
    pub(super) folder: PathBuf,
    /// By the path in the image, without the slash in front.
    pub(super) entries: BTreeMap<String, Entry>,
}

impl Root {
    /// An empty folder.
    ///
    /// # Errors
    /// When it cannot be made.
    pub(super) fn new(folder: PathBuf) -> Result<Self> {
        empty(&folder)?;
        Ok(Self { folder, entries: BTreeMap::new() })
    }

    /// Puts text there.
    ///
    /// # Errors
    /// When it cannot be written.
    pub(super) fn write(&mut self, path: &str, text: &str, origin: Origin) -> Result<()> {
        let to = self.place(path)?;
        fs::write(&to, text).with_context(|| format!("could not write {}", to.display()))?;
        self.enter(path, origin, 0o644)
    }

    /// Copies a file there.
    ///
    /// # Errors
    /// When it cannot be copied.
    pub(super) fn copy(&mut self, from: &Path, path: &str, origin: Origin, mode: u32) -> Result<()> {
        let to = self.place(path)?;
        fs::copy(from, &to).with_context(|| format!("could not copy {}", from.display()))?;
        self.enter(path, origin, mode)
    }

    /// The same for a file below `target/`, as another name of it: the libraries of CUDA have gigabytes.
    fn link_file(&mut self, from: &Path, path: &str, origin: Origin) -> Result<()> {
        let to = self.place(path)?;
        fs::hard_link(from, &to).with_context(|| format!("could not link {}", from.display()))?;
        self.enter(path, origin, 0o644)
    }

    fn place(&self, path: &str) -> Result<PathBuf> {
        let to = self.folder.join(path);
        ensure!(!to.exists(), "{path} would be in the image twice");
        if let Some(parent) = to.parent() {
            fs::create_dir_all(parent)?;
        }
        Ok(to)
    }

    fn enter(&mut self, path: &str, origin: Origin, mode: u32) -> Result<()> {
        let to = self.folder.join(path);
        set_mode(&to, mode)?;
        let (bytes, sha256) = hash(&to)?;
        self.entries.insert(path.to_owned(), Entry { origin, bytes, sha256 });
        Ok(())
    }

    /// A link, as Debian has them.
    #[cfg(unix)]
    fn link(&self, path: &str, to: &str) -> Result<()> {
        fs::create_dir_all(self.folder.join(to))?;
        std::os::unix::fs::symlink(to, self.folder.join(path))
            .with_context(|| format!("could not link {path}"))
    }

    #[cfg(not(unix))]
    fn link(&self, path: &str, _to: &str) -> Result<()> {
        anyhow::bail!("images are built on Linux; {path} would be a link")
    }

    /// Everything but the licences of crates and the bill of materials.
    ///
    /// # Errors
    /// When something is missing, damaged or loads what is not to be had.
    pub(super) fn fill(
        &mut self,
        variant: Variant,
        program: &Path,
        wheels: &[Kept],
        model: &Path,
    ) -> Result<()> {
        for link in ["lib", "lib64"] {
            self.link(link, &format!("usr/{link}"))?;
        }
        for (path, text) in USERS {
            self.write(path, text, Origin::Us)?;
        }
        for licence in ["LICENSE-MIT", "LICENSE-APACHE"] {
            let from = repository().join(licence);
            self.copy(&from, &format!("{DOCS}/rehearsekit/{licence}"), Origin::Us, 0o644)?;
        }
        self.copy(program, "usr/bin/rehearsekit", Origin::Us, 0o755)?;
        self.model(model)?;
        self.libraries(variant, program, wheels)
    }

    /// The model in the store's own layout.
    fn model(&mut self, model: &Path) -> Result<()> {
        for file in fs::read_dir(model).with_context(|| format!("there is no {}", model.display()))? {
            let file = file?;
            let to = format!("{MODELS}/{SPLEETER}/{}", file.file_name().to_string_lossy());
            self.copy(&file.path(), &to, Origin::Model, 0o644)?;
        }
        Ok(())
    }

    fn libraries(&mut self, variant: Variant, program: &Path, wheels: &[Kept]) -> Result<()> {
        let flat = self.folder.with_file_name("libraries");
        let from_wheels = side_by_side(wheels, &flat)?;
        // cuDNN opens its parts and the compiler of kernels by name, which no loader can know of.
        let is_root = |name: &str| ["onnxruntime", "cudnn", "nvrtc"].iter().any(|word| name.contains(word));
        let mut roots: Vec<PathBuf> =
            from_wheels.keys().filter(|name| is_root(name)).map(|name| flat.join(name)).collect();
        let needed_by_name: BTreeSet<String> =
            from_wheels.keys().filter(|name| is_root(name)).cloned().collect();
        roots.push(program.to_owned());
        let found = closure(&roots, &flat)?;
        let strangers: Vec<&String> =
            found.missing.iter().filter(|name| !variant.drivers_own().contains(&name.as_str())).collect();
        ensure!(strangers.is_empty(), "the image would lack {strangers:?}");

        let mut packages = BTreeSet::new();
        for (name, path) in &found.libraries {
            if path.starts_with(&flat) {
                continue;
            }
            let package = package_of(path)?;
            let folder = path.parent().context("a library without a folder")?.canonicalize()?;
            // The loader is looked for where programs say it is, which is a link on the way to the rest.
            let folder =
                if name.starts_with("ld-linux") { path.parent().unwrap_or(&folder) } else { &folder };
            let folder = folder.to_string_lossy().trim_start_matches('/').to_owned();
            let folder = if folder.starts_with("lib") { format!("usr/{folder}") } else { folder };
            self.copy(path, &format!("{folder}/{name}"), Origin::Debian(package.clone()), 0o755)?;
            packages.insert(package);
        }
        let mut terms = String::new();
        for package in packages {
            let to = format!("{DOCS}/{}/copyright", package.name);
            terms += &fs::read_to_string(package.copyright())
                .with_context(|| format!("the package {} has no licence here", package.name))?;
            self.copy(&package.copyright(), &to, Origin::Debian(package.clone()), 0o644)?;
        }
        // Those texts name longer ones by their place.
        let common = "usr/share/common-licenses";
        for (name, path) in files(&Path::new("/").join(common))? {
            if terms.contains(&format!("/{common}/{name}")) {
                self.copy(&path, &format!("{common}/{name}"), Origin::Us, 0o644)?;
            }
        }
        // A container tool that brings the driver's libraries looks here for where Debian keeps libraries.
        let debian = fs::read_to_string("/etc/debian_version").unwrap_or_default();
        self.write("etc/debian_version", &debian, Origin::Us)?;

        let mut used = BTreeSet::new();
        for (name, (path, wheel)) in &from_wheels {
            if found.libraries.contains_key(name) || needed_by_name.contains(name) {
                let origin = Origin::Wheel(wheel.wheel.name.clone(), wheel.wheel.version.clone());
                self.link_file(path, &format!("{LIBRARIES}/{name}"), origin.clone())?;
                used.insert(wheel.wheel.name.clone());
            }
        }
        for wheel in wheels.iter().filter(|wheel| used.contains(&wheel.wheel.name)) {
            let Kept { wheel: of, folder } = wheel;
            let origin = Origin::Wheel(of.name.clone(), of.version.clone());
            for (name, path) in files(folder)?.into_iter().filter(|(name, _)| is_text(name)) {
                self.copy(&path, &format!("{DOCS}/{}/{name}", of.name), origin.clone(), 0o644)?;
            }
        }
        Ok(())
    }
}

/// Libraries and licences are all that is kept of a wheel.
fn is_text(name: &str) -> bool {
    !name.contains(".so") && name != "kept"
}

fn files(folder: &Path) -> Result<BTreeMap<String, PathBuf>> {
    let entries = fs::read_dir(folder).with_context(|| format!("there is no {}", folder.display()))?;
    let paths = entries.flatten().map(|entry| entry.path());
    Ok(paths
        .filter_map(|path| Some((path.file_name()?.to_string_lossy().into_owned(), path.clone())))
        .collect())
}

/// All libraries of all wheels in the one folder `flat`, as links: so they find each other, as they will in the image.
fn side_by_side<'a>(wheels: &'a [Kept], flat: &Path) -> Result<BTreeMap<String, (PathBuf, &'a Kept)>> {
    if flat.exists() {
        fs::remove_dir_all(flat)?;
    }
    fs::create_dir_all(flat)?;
    let mut all = BTreeMap::new();
    for wheel in wheels {
        for (name, path) in files(&wheel.folder)?.into_iter().filter(|(name, _)| name.contains(".so")) {
            fs::hard_link(&path, flat.join(&name))
                .with_context(|| format!("{name} is in two wheels, or could not be linked"))?;
            all.insert(name, (path, wheel));
        }
    }
    Ok(all)
}

#[cfg(unix)]
fn set_mode(path: &Path, mode: u32) -> Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    fs::set_permissions(path, fs::Permissions::from_mode(mode))
        .with_context(|| format!("could not set the mode of {}", path.display()))
}

#[cfg(not(unix))]
fn set_mode(_path: &Path, _mode: u32) -> Result<()> {
    Ok(())
}

/// Size and SHA-256 of a file.
///
/// # Errors
/// When it cannot be read.
pub(super) fn hash(path: &Path) -> Result<(u64, String)> {
    let mut file = File::open(path).with_context(|| format!("could not read {}", path.display()))?;
    let (mut hasher, mut part, mut bytes) = (Sha256::new(), vec![0; 1 << 20], 0);
    loop {
        let read = file.read(&mut part)?;
        if read == 0 {
            break;
        }
        hasher.update(&part[..read]);
        bytes += read as u64;
    }
    Ok((bytes, hex(&hasher.finalize())))
}

/// SHA-256 of bytes, in hexadecimal.
pub(super) fn sha256(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::super::libraries::closed;
    use super::*;
    use crate::shell::on_path;

    /// With this test for a program, and a wheel whose library is this test as well.
    #[test]
    fn a_folder_is_whole_the_same_each_time_and_missed_when_a_library_is_gone() {
        if !on_path("dpkg-query") {
            return; // Such a machine builds by the Containerfile.
        }
        let top = std::env::temp_dir().join(format!("root-{}", std::process::id()));
        let (model, wheel) = (top.join("model"), top.join("wheel"));
        for (folder, file) in [(&model, "manifest.toml"), (&wheel, "LICENSE")] {
            fs::create_dir_all(folder).unwrap();
            fs::write(folder.join(file), "text").unwrap();
        }
        let program = std::env::current_exe().unwrap();
        for library in ["libonnxruntime.so.1", "libunused.so.1"] {
            fs::copy(&program, wheel.join(library)).unwrap();
        }
        let of = super::super::wheels::Wheel {
            name: "onnxruntime".to_owned(),
            version: "1".to_owned(),
            hashes: Vec::new(),
        };
        let wheels = [Kept { wheel: of, folder: wheel }];
        let made = |name: &str| {
            let mut root = Root::new(top.join(name).join("root")).unwrap();
            root.fill(Variant::Cpu, &program, &wheels, &model).unwrap();
            root
        };
        let (one, other) = (made("one"), made("other"));
        assert_eq!(one.entries, other.entries);
        for path in [
            "etc/passwd",
            "usr/bin/rehearsekit",
            "usr/lib/rehearsekit/libonnxruntime.so.1",
            "usr/share/doc/libc6/copyright",
            "usr/share/doc/onnxruntime/LICENSE",
            "usr/share/rehearsekit/models/spleeter-2stems/manifest.toml",
        ] {
            assert!(one.entries.contains_key(path), "{path} is missing in {:?}", one.entries.keys());
        }
        let bad =
            |path: &&String| path.contains("unused") || path.ends_with("/sh") || path.contains("python");
        assert_eq!(one.entries.keys().find(bad), None);

        assert!(closed(&one.folder, LIBRARIES, &[]).unwrap().libraries.contains_key("libc.so.6"));
        let c = one.entries.keys().find(|path| path.ends_with("/libc.so.6")).unwrap();
        fs::remove_file(one.folder.join(c)).unwrap();
        assert!(closed(&one.folder, LIBRARIES, &[]).is_err(), "the machine's own is none of the image's");
        fs::remove_dir_all(top).unwrap();
    }
}
