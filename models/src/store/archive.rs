//! Carrying a model to a machine without internet: export into one tar file, import from it.
//!
//! An archive is a stranger's until checked: only plain files of the form `NAME/FILE` are taken, everything is
//! hashed against the archive's own inventory, and a licence is asked for as when pulling.

use std::fs::File;
use std::io::BufReader;
use std::path::{Component, Path};

use super::{Content, INSTALLED, Installed, Inventory, MANIFEST, PullOptions, Store, StoreError};
use crate::convert::{ConvertError, htdemucs, unet::UnetWeights};
use crate::fetch::{Cancel, FetchError, FetchProgress, FetchStep, Progress, copy_checked, hash_file};
use crate::manifest::{Manifest, is_file_name, is_stored_name};

const MAX_FILES: usize = 64;
const MAX_TEXT_BYTES: u64 = 1 << 20;

impl Store {
    /// Writes the installed model `name`, checked anew, to a tar file at `to`. A file that is there is replaced,
    /// but only by a whole one.
    ///
    /// # Errors
    /// When the model is not installed or damaged, or the file cannot be written.
    pub fn export(
        &self,
        name: &str,
        to: &Path,
        cancel: &Cancel,
        progress: &mut Progress<'_>,
    ) -> Result<(), StoreError> {
        let installed = self.installed(name)?;
        installed.verify(cancel, progress)?;
        let folder = to.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let half = tempfile::NamedTempFile::new_in(folder).map_err(FetchError::io(folder))?;
        let mut tar = tar::Builder::new(std::io::BufWriter::new(half));
        tar.mode(tar::HeaderMode::Deterministic);
        let files = installed.files.iter().map(|file| file.name.as_str());
        for file in [MANIFEST, INSTALLED].into_iter().chain(files) {
            cancel.check()?;
            let path = installed.dir.join(file);
            tar.append_path_with_name(&path, format!("{name}/{file}")).map_err(FetchError::io(to))?;
        }
        let finish = || {
            let half = tar.into_inner()?.into_inner().map_err(std::io::IntoInnerError::into_error)?;
            half.as_file().sync_all()?;
            half.persist(to).map_err(|error| error.error)
        };
        finish().map_err(FetchError::io(to))?;
        Ok(())
    }

    /// Takes in a model from a tar file that [`Store::export`] wrote, replacing one of the same name.
    ///
    /// # Errors
    /// When the file is anything else or damaged, the licence asks for agreement, or another process is
    /// changing the store. The store is then as it was.
    pub fn import(
        &self,
        from: &Path,
        options: &PullOptions,
        progress: &mut Progress<'_>,
    ) -> Result<Installed, StoreError> {
        let no = |reason: String| StoreError::Archive { path: from.to_owned(), reason };
        let total_bytes = std::fs::metadata(from).map_err(FetchError::io(from))?.len();
        let workshop = self.workshop()?;
        let staging = workshop.stage()?;
        let made = staging.folder("made")?;
        let mut tar = tar::Archive::new(BufReader::new(File::open(from).map_err(FetchError::io(from))?));
        let mut model: Option<String> = None;
        let entries = tar.entries().map_err(|e| no(e.to_string()))?;
        for (count, entry) in entries.enumerate() {
            let entry = entry.map_err(|e| no(e.to_string()))?;
            let path = entry.path().map_err(|e| no(e.to_string()))?.into_owned();
            let (name, file) = parts(&path).ok_or_else(|| no(format!("it holds {}", path.display())))?;
            if !entry.header().entry_type().is_file() || count >= MAX_FILES {
                return Err(no(format!("{} is no plain file, or one too many", path.display())));
            }
            if *model.get_or_insert_with(|| name.clone()) != name {
                return Err(no("it holds more than one model".to_owned()));
            }
            let done_bytes = entry.raw_file_position();
            progress(FetchProgress {
                step: FetchStep::Extracting,
                done_bytes,
                total_bytes: Some(total_bytes),
            });
            let size = entry.size();
            copy_checked(entry, &made.join(&file), &options.cancel)?;
            let there = std::fs::metadata(made.join(&file)).map_err(FetchError::io(&made))?.len();
            if there != size {
                return Err(no(format!("{} is cut short", path.display())));
            }
        }
        let name = model.ok_or_else(|| no("it is empty".to_owned()))?;
        let manifest = check(&made, &name, &options.cancel).map_err(|error| match error {
            StoreError::Fetch(FetchError::Cancelled) => error,
            error => no(error.to_string()),
        })?;
        self.check_licence(&manifest, options.accept_licence)?;
        staging.place(&made, &self.models().join(&name))?;
        drop(staging);
        self.installed(&name)
    }
}

/// `NAME/FILE`, and nothing that leads anywhere else.
fn parts(path: &Path) -> Option<(String, String)> {
    let mut parts = path.components();
    let (Some(Component::Normal(name)), Some(Component::Normal(file)), None) =
        (parts.next(), parts.next(), parts.next())
    else {
        return None;
    };
    let (name, file) = (name.to_str()?, file.to_str()?);
    (is_file_name(name) && is_stored_name(file)).then(|| (name.to_owned(), file.to_owned()))
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
