//! Carrying a model to a machine without internet: export into one tar file, import from it.
//!
//! ONNX Runtime's library goes along, as `runtime/BUILD/FILE`, so that the other machine needs neither pip nor
//! npm. An archive is a stranger's until checked: only plain files of the form `NAME/FILE` and those of the
//! library are taken, the model is hashed against the archive's own inventory, the library against the hash that
//! is built in, and a licence is asked for as when pulling.

use std::fs::File;
use std::io::BufReader;
use std::path::{Component, Path, PathBuf};

use super::{Content, INSTALLED, Installed, Inventory, MANIFEST, PullOptions, Store, StoreError};
use crate::convert::{ConvertError, htdemucs, unet::UnetWeights};
use crate::fetch::{
    Cancel, FetchError, FetchProgress, FetchStep, Progress, copy_checked, hash_file, runtime,
};
use crate::manifest::{Manifest, is_file_name, is_stored_name};

const MAX_FILES: usize = 64;
const MAX_TEXT_BYTES: u64 = 1 << 20;
const RUNTIME: &str = "runtime";

/// What became of the ONNX Runtime in an archive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RuntimeArrival {
    /// The archive brought none.
    None,
    /// This machine had a good one already.
    AlreadyThere,
    /// It is installed now, at this path.
    Installed(PathBuf),
    /// It is not for this machine, and was left out.
    OtherBuild {
        /// Version and platform it is for.
        brought: String,
        /// What this machine needs; `None` when no library is known for it.
        needed: Option<String>,
    },
}

/// What [`Store::import`] took in.
#[derive(Clone, Debug, PartialEq)]
pub struct Imported {
    /// The model.
    pub model: Installed,
    /// What became of the library.
    pub runtime: RuntimeArrival,
}

impl Store {
    /// Writes the installed model `name`, checked anew, to a tar file at `to`, and with it the data folder's ONNX
    /// Runtime if there is one. A file that is there is replaced, but only by a whole one. Returns the build of the
    /// library that went along: version and platform.
    ///
    /// # Errors
    /// When the model is not installed, it or the library is damaged, or the file cannot be written.
    pub fn export(
        &self,
        name: &str,
        to: &Path,
        cancel: &Cancel,
        progress: &mut Progress<'_>,
    ) -> Result<Option<String>, StoreError> {
        let installed = self.installed(name)?;
        installed.verify(cancel, progress)?;
        let carried = runtime::to_carry(self.data())?;
        let folder = to.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let mut beside = tempfile::Builder::new();
        // There is no secret in it: who may read it is for the user's umask to say, as of every file that is asked for.
        #[cfg(unix)]
        beside.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
        let half = beside.tempfile_in(folder).map_err(FetchError::io(folder))?;
        let mut tar = tar::Builder::new(std::io::BufWriter::new(half));
        tar.mode(tar::HeaderMode::Deterministic);
        let files = installed.files.iter().map(|file| file.name.as_str());
        for file in [MANIFEST, INSTALLED].into_iter().chain(files) {
            cancel.check()?;
            let path = installed.dir.join(file);
            tar.append_path_with_name(&path, format!("{name}/{file}")).map_err(FetchError::io(to))?;
        }
        for path in carried.iter().flat_map(|carried| &carried.files) {
            cancel.check()?;
            let file = path.file_name().unwrap_or_default().to_string_lossy();
            let build = carried.as_ref().map_or("", |carried| &carried.build);
            let inside = format!("{RUNTIME}/{build}/{file}");
            tar.append_path_with_name(path, inside).map_err(FetchError::io(to))?;
        }
        let finish = || {
            let half = tar.into_inner()?.into_inner().map_err(std::io::IntoInnerError::into_error)?;
            half.as_file().sync_all()?;
            half.persist(to).map_err(|error| error.error)
        };
        finish().map_err(FetchError::io(to))?;
        Ok(carried.map(|carried| carried.build))
    }

    /// Takes in a model from a tar file that [`Store::export`] wrote, replacing one of the same name, and the ONNX
    /// Runtime in it when this machine has no good one. A library for another machine is left out and told of.
    ///
    /// # Errors
    /// When the file is anything else or damaged, the licence asks for agreement, or another process is
    /// changing the store. The models are then as they were.
    pub fn import(
        &self,
        from: &Path,
        options: &PullOptions,
        progress: &mut Progress<'_>,
    ) -> Result<Imported, StoreError> {
        let no = |reason: String| StoreError::Archive { path: from.to_owned(), reason };
        let total_bytes = std::fs::metadata(from).map_err(FetchError::io(from))?.len();
        let workshop = self.workshop()?;
        let staging = workshop.stage()?;
        let made = staging.folder("made")?;
        let library = staging.folder(RUNTIME)?;
        let mut brought: Option<String> = None;
        let needed = runtime::build_here();
        let mut tar = tar::Archive::new(BufReader::new(File::open(from).map_err(FetchError::io(from))?));
        let mut model: Option<String> = None;
        let entries = tar.entries().map_err(|e| no(e.to_string()))?;
        for (count, entry) in entries.enumerate() {
            let entry = entry.map_err(|e| no(e.to_string()))?;
            let path = entry.path().map_err(|e| no(e.to_string()))?.into_owned();
            let part = part(&path).ok_or_else(|| no(format!("it holds {}", path.display())))?;
            if !entry.header().entry_type().is_file() || count >= MAX_FILES {
                return Err(no(format!("{} is no plain file, or one too many", path.display())));
            }
            let (to, file) = match part {
                Part::Model { name, file } => {
                    if *model.get_or_insert_with(|| name.clone()) != name {
                        return Err(no("it holds more than one model".to_owned()));
                    }
                    (&made, file)
                }
                Part::Runtime { build, file } => {
                    if *brought.get_or_insert_with(|| build.clone()) != build {
                        return Err(no("it holds more than one ONNX Runtime".to_owned()));
                    }
                    if needed.as_ref() != Some(&build) {
                        continue;
                    }
                    (&library, file)
                }
            };
            let done_bytes = entry.raw_file_position();
            progress(FetchProgress {
                step: FetchStep::Extracting,
                done_bytes,
                total_bytes: Some(total_bytes),
            });
            let size = entry.size();
            let to = to.join(&file);
            copy_checked(entry, &to, &options.cancel)?;
            let there = std::fs::metadata(&to).map_err(FetchError::io(&to))?.len();
            if there != size {
                return Err(no(format!("{} is cut short", path.display())));
            }
        }
        let name = model.ok_or_else(|| no("it holds no model".to_owned()))?;
        let manifest = check(&made, &name, &options.cancel).map_err(|error| match error {
            StoreError::Fetch(FetchError::Cancelled) => error,
            error => no(error.to_string()),
        })?;
        self.check_licence(&manifest, options.accept_licence)?;
        // Before the model: a model that is there can then be run.
        let runtime = match brought {
            None => RuntimeArrival::None,
            Some(brought) if needed.as_ref() != Some(&brought) => {
                RuntimeArrival::OtherBuild { brought, needed }
            }
            Some(_) => runtime::take_in(&library, self.data(), &options.cancel)?
                .map_or(RuntimeArrival::AlreadyThere, RuntimeArrival::Installed),
        };
        staging.place(&made, &self.models().join(&name))?;
        drop(staging);
        Ok(Imported { model: self.installed(&name)?, runtime })
    }
}

enum Part {
    Model { name: String, file: String },
    Runtime { build: String, file: String },
}

/// `NAME/FILE` or `runtime/BUILD/FILE`, and nothing that leads anywhere else.
fn part(path: &Path) -> Option<Part> {
    let names = path.components().map(|part| match part {
        Component::Normal(name) => name.to_str(),
        _ => None,
    });
    let names = names.take(4).collect::<Option<Vec<_>>>()?;
    match names[..] {
        [name, file] if is_file_name(name) && is_stored_name(file) => {
            Some(Part::Model { name: name.to_owned(), file: file.to_owned() })
        }
        [RUNTIME, build, file] if is_file_name(build) && is_stored_name(file) => {
            Some(Part::Runtime { build: build.to_owned(), file: file.to_owned() })
        }
        _ => None,
    }
}

/// Checks an unpacked model: manifest, inventory, every hash, no file too many, all that its family needs.
fn check(made: &Path, name: &str, cancel: &Cancel) -> Result<Manifest, StoreError> {
    let damaged = |reason: String| StoreError::Damaged { name: name.to_owned(), reason };
    let manifest = Manifest::read(&made.join(MANIFEST))?;
    let path = made.join(INSTALLED);
    if std::fs::metadata(&path).map_err(FetchError::io(&path))?.len() > MAX_TEXT_BYTES {
        return Err(damaged(format!("{INSTALLED} is too long")));
    }
    let inventory = std::fs::read_to_string(&path).map_err(FetchError::io(&path))?;
    let inventory: Inventory = toml::from_str(&inventory).map_err(|e| damaged(e.to_string()))?;
    if manifest.name != name {
        return Err(damaged(format!("the manifest is that of {}", manifest.name)));
    }
    for file in &inventory.files {
        if !is_stored_name(&file.name) || hash_file(&made.join(&file.name), cancel)? != file.sha256 {
            return Err(damaged(format!("{} is not what the inventory says", file.name)));
        }
    }
    for entry in std::fs::read_dir(made).map_err(FetchError::io(made))?.flatten() {
        let file = entry.file_name();
        let known = inventory.files.iter().any(|f| file == f.name.as_str());
        if !known && file != MANIFEST && file != INSTALLED {
            return Err(damaged(format!("{} is not in the inventory", file.display())));
        }
    }
    let installed = Installed { manifest, dir: made.to_owned(), files: inventory.files };
    match installed.content() {
        Content::Unet(weights) => {
            UnetWeights::load(&weights, &installed.manifest.stems)?;
        }
        Content::Hybrid(windows) => check_windows(&installed, windows.into_keys())?,
    }
    Ok(installed.manifest)
}

fn check_windows(installed: &Installed, windows: impl Iterator<Item = usize>) -> Result<(), ConvertError> {
    for columns in windows {
        let path = installed.dir.join(htdemucs::graph_file(columns));
        let expected = htdemucs::expected_tensors(columns, installed.manifest.stems.len());
        crate::convert::check_tensors(&path, &expected)?;
    }
    Ok(())
}
