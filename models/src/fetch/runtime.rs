//! Gets ONNX Runtime's shared library out of its PyPI wheel, checks it, and says where it is.

use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::{
    Cancel, FetchError, FetchProgress, FetchStep, Package, Progress, Wanted, copy_checked, download, extract,
    hash_file,
};
use crate::manifest::SourceKind;
use crate::store::staging::Workshop;

/// Environment variable with the path of a library to use instead.
pub const OVERRIDE: &str = "ONNXRUNTIME_LIBRARY";

const LICENCE: &str = "LICENSE";
const MANIFEST: &str = include_str!("../../manifests/onnxruntime.toml");

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Runtime {
    version: String,
    library: String,
    platforms: Vec<Platform>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Platform {
    os: String,
    arch: String,
    tags: Vec<String>,
    download_bytes: u64,
    sha256: String,
}

struct Here {
    runtime: Runtime,
    platform: Platform,
}

fn here() -> Result<Here, FetchError> {
    let (os, arch) = (std::env::consts::OS, std::env::consts::ARCH);
    let none = || FetchError::NoRuntime { os, arch };
    // A test reads the built-in manifest, so it is only the platform that can be missing.
    let mut runtime: Runtime = toml::from_str(MANIFEST).map_err(|_| none())?;
    let at = runtime.platforms.iter().position(|p| p.os == os && p.arch == arch).ok_or_else(none)?;
    let platform = runtime.platforms.swap_remove(at);
    Ok(Here { runtime, platform })
}

impl Here {
    fn folder(&self, data: &Path) -> PathBuf {
        data.join("runtime").join(format!("onnxruntime-{}", self.runtime.version))
    }

    fn library_name(&self) -> &str {
        self.runtime.library.rsplit('/').next().unwrap_or_default()
    }

    fn library(&self, data: &Path) -> PathBuf {
        self.folder(data).join(self.library_name())
    }

    /// What the library is called where it travels: version and platform.
    fn build(&self) -> String {
        format!("onnxruntime-{}-{}-{}", self.runtime.version, self.platform.os, self.platform.arch)
    }

    /// The library in `data`, checked, whatever the override says.
    fn stored(&self, data: &Path) -> Result<Option<PathBuf>, FetchError> {
        let library = self.library(data);
        if !library.exists() {
            return Ok(None);
        }
        let found = hash_file(&library, &Cancel::new())?;
        if found == self.platform.sha256 {
            return Ok(Some(library));
        }
        let expected = self.platform.sha256.clone();
        Err(FetchError::WrongHash { file: library.display().to_string(), expected, found })
    }
}

/// The library's path when it is there already, checked by SHA-256; the override's path when that is set.
///
/// # Errors
/// When there is none for this machine, or what is there is damaged or cannot be read.
pub fn installed_runtime(data: &Path) -> Result<Option<PathBuf>, FetchError> {
    if let Some(own) = std::env::var_os(OVERRIDE).filter(|path| !path.is_empty()) {
        let own = PathBuf::from(own);
        // Looked at now, so that the error names the path and not some symbol.
        return std::fs::metadata(&own).map_err(FetchError::io(&own)).map(|_| Some(own));
    }
    here()?.stored(data)
}

/// The library in `data` with its licence, to go along with a model.
pub(crate) struct Carried {
    /// Version and platform; see [`build_here`].
    pub(crate) build: String,
    /// The files.
    pub(crate) files: Vec<PathBuf>,
}

/// What [`Carried::build`] must be on this machine; `None` when no library is known for it.
pub(crate) fn build_here() -> Option<String> {
    here().ok().map(|here| here.build())
}

/// The version of ONNX Runtime that this program needs on this machine; `None` when none is known for it.
pub fn needed_version() -> Option<String> {
    here().ok().map(|here| here.runtime.version)
}

/// The versions of ONNX Runtime that `data` holds, whole or not, by the names of their folders.
pub fn stored_versions(data: &Path) -> Vec<String> {
    let folders = std::fs::read_dir(data.join("runtime")).into_iter().flatten().flatten();
    let version = |folder: std::fs::DirEntry| {
        Some(folder.file_name().to_str()?.strip_prefix("onnxruntime-")?.to_owned())
    };
    let mut versions: Vec<String> = folders.filter_map(version).collect();
    versions.sort();
    versions
}

/// The files of the library in `data`, checked: what has to go along where a model goes; none when there is none.
///
/// # Errors
/// When the library is damaged or cannot be read.
pub fn stored_files(data: &Path) -> Result<Vec<PathBuf>, FetchError> {
    Ok(to_carry(data)?.map(|carried| carried.files).unwrap_or_default())
}

/// The library in `data`, checked; `None` when there is none. One that the override names stays at home: nobody
/// has checked it.
pub(crate) fn to_carry(data: &Path) -> Result<Option<Carried>, FetchError> {
    let Ok(here) = here() else { return Ok(None) };
    let Some(library) = here.stored(data)? else { return Ok(None) };
    let licence = here.folder(data).join(LICENCE);
    let files = std::iter::once(library).chain(licence.is_file().then_some(licence)).collect();
    Ok(Some(Carried { build: here.build(), files }))
}

/// Puts the library for this machine, brought in the folder `from`, into `data`, checked by SHA-256. Returns
/// `None` when there is a good one already.
///
/// # Errors
/// When it is not the library that it should be, or cannot be written. What was there is then as it was.
pub(crate) fn take_in(from: &Path, data: &Path, cancel: &Cancel) -> Result<Option<PathBuf>, FetchError> {
    let here = here()?;
    let workshop = Workshop::wait(&data.join("runtime"), cancel)?;
    match here.stored(data) {
        Ok(Some(_)) => return Ok(None),
        Ok(None) | Err(FetchError::WrongHash { .. }) => {}
        Err(error) => return Err(error),
    }
    let staging = workshop.stage()?;
    let made = staging.folder("made")?;
    let copy = |name: &str| {
        let path = from.join(name);
        let file = std::fs::File::open(&path).map_err(FetchError::io(&path))?;
        copy_checked(file, &made.join(name), cancel)
    };
    let found = copy(here.library_name())?;
    if found != here.platform.sha256 {
        let (file, expected) = (here.library_name().to_owned(), here.platform.sha256);
        return Err(FetchError::WrongHash { file, expected, found });
    }
    if from.join(LICENCE).is_file() {
        copy(LICENCE)?;
    }
    staging.place(&made, &here.folder(data))?;
    Ok(Some(here.library(data)))
}

/// The library's path; fetches it with pip first when it is not there or damaged.
///
/// # Errors
/// When it cannot be fetched.
pub fn ensure_runtime(
    data: &Path,
    cancel: &Cancel,
    progress: &mut Progress<'_>,
) -> Result<PathBuf, FetchError> {
    match installed_runtime(data) {
        Ok(Some(library)) => return Ok(library),
        Ok(None) | Err(FetchError::WrongHash { .. }) => {}
        Err(error) => return Err(error),
    }
    let here = here()?;
    let workshop = Workshop::wait(&data.join("runtime"), cancel)?;
    // Another process may have brought it while this one waited.
    if let Ok(Some(library)) = installed_runtime(data) {
        return Ok(library);
    }
    let staging = workshop.stage()?;
    let folder = staging.folder("download")?;
    let package = Package {
        kind: SourceKind::Pip,
        name: "onnxruntime",
        version: &here.runtime.version,
        platform_tags: &here.platform.tags,
        bytes: here.platform.download_bytes,
    };
    let wheel = download(&package, &folder, cancel, progress)?;
    progress(FetchProgress { step: FetchStep::Extracting, done_bytes: 0, total_bytes: None });
    let made = staging.folder("made")?;
    let library = here.library(data);
    let licence = "onnxruntime/LICENSE";
    let wanted = [
        Wanted {
            path: here.runtime.library.clone(),
            sha256: Some(here.platform.sha256.clone()),
            to: made.join(library.file_name().unwrap_or_default()),
        },
        Wanted { path: licence.to_owned(), sha256: None, to: made.join(LICENCE) },
    ];
    extract(&wheel, &wanted, cancel)?;
    staging.place(&made, &here.folder(data))?;
    Ok(library)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_built_in_manifest_knows_this_machine_and_every_hash_is_whole() {
        let runtime: Runtime = toml::from_str(MANIFEST).unwrap();
        for platform in &runtime.platforms {
            assert_eq!(platform.sha256.len(), 64, "{} {}", platform.os, platform.arch);
            assert!(!platform.tags.is_empty());
        }
        assert!(here().is_ok());
    }

    #[test]
    fn a_damaged_library_is_not_used() {
        if std::env::var_os(OVERRIDE).is_some() {
            return; // The override is not ours to check.
        }
        let data = tempfile::tempdir().unwrap();
        assert_eq!(installed_runtime(data.path()).unwrap(), None);
        let library = here().unwrap().library(data.path());
        std::fs::create_dir_all(library.parent().unwrap()).unwrap();
        std::fs::write(&library, b"half a library").unwrap();
        let error = installed_runtime(data.path()).unwrap_err();
        assert!(matches!(error, FetchError::WrongHash { .. }));
    }
}
