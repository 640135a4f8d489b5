//! The models on this machine: which there are, getting them, checking them, taking them along.
//!
//! `DATA/models/NAME/` holds a model's manifest, its converted files and `installed.toml` with the SHA-256 of
//! each. A model is there whole or not at all: everything is made in a staging folder on the same disk and
//! renamed into place at the end. Models that came with the program (in a container image, say) lie in
//! `PREFIX/share/rehearsekit/models/` for a program in `PREFIX/bin/`; they are read only, and one of the data folder
//! with the same name goes before. Nothing here loads or runs a model.

mod archive;
mod install;
pub(crate) mod staging;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::convert::{ConvertError, htdemucs};
use crate::fetch::{Cancel, FetchError, FetchProgress, FetchStep, Progress, hash_file};
use crate::manifest::{self, Family, Manifest, ManifestError};
use staging::Workshop;

pub use archive::{Imported, RuntimeArrival};
pub use install::PullOptions;

/// How far a pull is.
pub type PullProgress = FetchProgress;

const MANIFEST: &str = "manifest.toml";
const INSTALLED: &str = "installed.toml";
/// The weights of a spectral U-Net, in the safetensors format.
pub const UNET_WEIGHTS: &str = "weights.safetensors";
/// A user's own graph of a spectral U-Net.
pub const UNET_GRAPH: &str = "graph.onnx";

/// Why the store cannot do what it was asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// Nobody knows a model of that name.
    #[error(
        "there is no model named {name}; known are {known}. A model of your own: rehearsekit models import MANIFEST"
    )]
    Unknown {
        /// The name.
        name: String,
        /// The names there are.
        known: String,
    },
    /// The model is known, but not on this machine.
    #[error("the model {name} is not installed; get it with: rehearsekit models pull {name}")]
    NotInstalled {
        /// Its name.
        name: String,
    },
    /// The licence was not agreed to.
    #[error(
        "{name} may be used only under its licence ({licence}): {summary} If you agree: rehearsekit models pull {name} --accept-licence {name}"
    )]
    LicenceNotAccepted {
        /// The model's name.
        name: String,
        /// The licence's name.
        licence: String,
        /// What it says.
        summary: String,
    },
    /// The model is part of what the program was installed with.
    #[error("the model {name} came with this program, in {folder}, and takes no room in the data folder; it stays", folder = folder.display())]
    Shipped {
        /// Its name.
        name: String,
        /// Where it is.
        folder: PathBuf,
    },
    /// A stored file is not what was stored.
    #[error(
        "the model {name} is damaged: {reason}. Get it again: rehearsekit models remove {name}, then rehearsekit models pull {name}"
    )]
    Damaged {
        /// The model's name.
        name: String,
        /// What is wrong.
        reason: String,
    },
    /// Another process is changing the store.
    #[error("another rehearsekit is changing the models in {folder} right now; try again when it is done", folder = folder.display())]
    Busy {
        /// The store's folder.
        folder: PathBuf,
    },
    /// An archive cannot be used.
    #[error("{path} is not a model exported by rehearsekit: {reason}", path = path.display())]
    Archive {
        /// The archive.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// There is no place for data.
    #[error("no data folder is known: set REHEARSEKIT_DATA or HOME")]
    NoDataFolder,
    /// Fetching failed, or a file could not be read or written.
    #[error(transparent)]
    Fetch(#[from] FetchError),
    /// A file could not be converted.
    #[error(transparent)]
    Convert(ConvertError),
    /// A manifest cannot be used.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
}

impl From<ConvertError> for StoreError {
    fn from(error: ConvertError) -> Self {
        match error {
            // Where a disk can be full, the sentence about it is fetching's.
            ConvertError::Io { path, source } => Self::Fetch(FetchError::io(&path)(source)),
            error => Self::Convert(error),
        }
    }
}

/// `installed.toml`: what is in a model's folder.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Inventory {
    format: u32,
    licence_accepted: bool,
    files: Vec<StoredFile>,
}

/// A file of an installed model.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StoredFile {
    /// Its name in the model's folder.
    pub name: String,
    /// Its size.
    pub bytes: u64,
    /// The SHA-256 it had when it was stored, in hexadecimal.
    pub sha256: String,
}

/// What an engine loads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Content {
    /// What [`UnetWeights::load`] reads: the weights of a spectral U-Net, or a user's own graph.
    ///
    /// [`UnetWeights::load`]: crate::convert::unet::UnetWeights::load
    Unet(PathBuf),
    /// The graph files of a hybrid model by their windows, in columns.
    Hybrid(BTreeMap<usize, PathBuf>),
}

/// A manifest as it is kept with its model. A built-in model's figures come from the program, and versions that know
/// of none still have to read what is kept.
fn as_stored(manifest: &Manifest) -> Manifest {
    let is_built_in = manifest::built_in().iter().any(|known| known.name == manifest.name);
    let quality = if is_built_in { Vec::new() } else { manifest.quality.clone() };
    Manifest { quality, ..manifest.clone() }
}

/// A built-in model's manifest as this version of the program has it: how a network is run may have been tuned
/// since the model was stored, and how good it is measured. Only where the stored files are the same ones; the
/// windows of a hybrid model are files.
fn as_run_today(stored: Manifest) -> Manifest {
    let same = |known: &Manifest| {
        known.name == stored.name && known.source == stored.source && known.stems == stored.stems
    };
    match manifest::built_in().into_iter().find(same) {
        Some(known) if matches!(known.family, Family::SpectralUnet(_)) => known,
        Some(known) => Manifest { quality: known.quality, ..stored },
        None => stored,
    }
}

/// A model that is on this machine.
#[derive(Clone, Debug, PartialEq)]
pub struct Installed {
    /// What it is.
    pub manifest: Manifest,
    /// Its folder.
    pub dir: PathBuf,
    /// Its files, without manifest and inventory.
    pub files: Vec<StoredFile>,
}

impl Installed {
    /// What an engine loads.
    pub fn content(&self) -> Content {
        match &self.manifest.family {
            Family::SpectralUnet(_) => {
                let is_graph = self.files.iter().any(|file| file.name == UNET_GRAPH);
                Content::Unet(self.dir.join(if is_graph { UNET_GRAPH } else { UNET_WEIGHTS }))
            }
            Family::HybridDemucs(family) => Content::Hybrid(
                family.windows.iter().map(|&t| (t, self.dir.join(htdemucs::graph_file(t)))).collect(),
            ),
        }
    }

    /// The path of a file that is kept along with the model, such as an example song.
    pub fn extra(&self, name: &str) -> Option<PathBuf> {
        self.files.iter().find(|file| file.name == name).map(|file| self.dir.join(&file.name))
    }

    /// Bytes on the disk.
    pub fn bytes(&self) -> u64 {
        self.files.iter().map(|file| file.bytes).sum()
    }

    /// Hashes every file anew.
    ///
    /// # Errors
    /// Names the first file that is missing or is not what was stored.
    pub fn verify(&self, cancel: &Cancel, progress: &mut Progress<'_>) -> Result<(), StoreError> {
        let total_bytes = Some(self.bytes());
        let mut done_bytes = 0;
        let damaged = |reason: String| StoreError::Damaged { name: self.manifest.name.clone(), reason };
        for file in &self.files {
            progress(PullProgress { step: FetchStep::Verifying, done_bytes, total_bytes });
            match hash_file(&self.dir.join(&file.name), cancel) {
                Ok(found) if found == file.sha256 => {}
                Ok(_) => return Err(damaged(format!("{} was changed or cut short", file.name))),
                Err(FetchError::Cancelled) => return Err(FetchError::Cancelled.into()),
                Err(error) => return Err(damaged(error.to_string())),
            }
            done_bytes += file.bytes;
        }
        progress(PullProgress { step: FetchStep::Verifying, done_bytes, total_bytes });
        Ok(())
    }
}

/// A line of [`Store::list`].
#[derive(Clone, Debug, PartialEq)]
pub struct Listed {
    /// What the model is.
    pub manifest: Manifest,
    /// Bytes on this machine's disk; `None` when it is not installed.
    pub installed_bytes: Option<u64>,
}

/// The models on this machine.
#[derive(Clone, Debug)]
pub struct Store {
    data: PathBuf,
    /// Models that came with the program.
    shipped: Option<PathBuf>,
}

/// Where models that came with this program are.
fn shipped_models() -> Option<PathBuf> {
    Some(std::env::current_exe().ok()?.parent()?.parent()?.join("share/rehearsekit/models"))
}

/// The models stay as they are while this lives.
#[derive(Debug)]
pub struct Hold(#[expect(dead_code, reason = "held for the lock in it")] Option<Workshop>);

/// Where data is kept when nobody says otherwise: `$REHEARSEKIT_DATA`, else `$XDG_DATA_HOME/rehearsekit`, else
/// `~/.local/share/rehearsekit`.
///
/// # Errors
/// When none of these is set.
pub fn default_data_dir() -> Result<PathBuf, StoreError> {
    let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    set("REHEARSEKIT_DATA")
        .or_else(|| Some(set("XDG_DATA_HOME")?.join("rehearsekit")))
        .or_else(|| Some(set("HOME")?.join(".local/share/rehearsekit")))
        .ok_or(StoreError::NoDataFolder)
}

impl Store {
    /// Opens the store in the data folder `data`, and sweeps away what a killed process left. Nothing is made there before
    /// there is something to keep, and a folder that may only be read can be read.
    ///
    /// # Errors
    /// When the folder cannot be used for another reason.
    pub fn open(data: &Path) -> Result<Self, StoreError> {
        let store = Self { data: data.to_owned(), shipped: shipped_models() };
        if store.models().exists() {
            match Workshop::take(&store.models()) {
                // Somebody else at work is no reason not to use what is there.
                Ok(_) => {}
                Err(error @ FetchError::NotWritable { .. }) => {
                    tracing::debug!(%error, "the models can be read and not changed");
                }
                Err(error) => return Err(error.into()),
            }
        }
        Ok(store)
    }

    /// The data folder.
    pub fn data(&self) -> &Path {
        &self.data
    }

    fn models(&self) -> PathBuf {
        self.data.join("models")
    }

    /// The folder of the model `name`, if there is one.
    fn folder(&self, name: &str) -> Option<PathBuf> {
        let places = std::iter::once(self.models()).chain(self.shipped.clone());
        places.map(|place| place.join(name)).find(|folder| folder.join(INSTALLED).is_file())
    }

    /// Keeps everybody else from changing the models until what is given is dropped, waiting for whoever does so now.
    ///
    /// # Errors
    /// When the folder cannot be used, or the wait is cancelled.
    pub fn hold(&self, cancel: &Cancel) -> Result<Hold, StoreError> {
        match Workshop::wait(&self.models(), cancel) {
            Ok(workshop) => Ok(Hold(Some(workshop))),
            // Where nothing can be changed from here, as in a snapshot of a file system, it stays without a lock.
            Err(FetchError::NotWritable { .. }) => Ok(Hold(None)),
            Err(error) => Err(error.into()),
        }
    }

    fn workshop(&self) -> Result<Workshop, StoreError> {
        Workshop::take(&self.models())?.ok_or_else(|| StoreError::Busy { folder: self.models() })
    }

    /// The installed model `name`. Its files' sizes are checked; for their content see [`Installed::verify`].
    ///
    /// # Errors
    /// When it is not installed, or what is there is damaged.
    pub fn installed(&self, name: &str) -> Result<Installed, StoreError> {
        let Some(dir) = self.folder(name).filter(|_| manifest::is_file_name(name)) else {
            return Err(match self.known(name) {
                Some(_) => StoreError::NotInstalled { name: name.to_owned() },
                None => self.unknown(name),
            });
        };
        let damaged = |reason: String| StoreError::Damaged { name: name.to_owned(), reason };
        let manifest = Manifest::read(&dir.join(MANIFEST)).map_err(|e| damaged(e.to_string()))?;
        let inventory = std::fs::read_to_string(dir.join(INSTALLED)).map_err(|e| damaged(e.to_string()))?;
        let inventory: Inventory = toml::from_str(&inventory).map_err(|e| damaged(e.to_string()))?;
        if manifest.name != name {
            return Err(damaged(format!("its manifest is that of {}", manifest.name)));
        }
        for file in &inventory.files {
            let there = std::fs::metadata(dir.join(&file.name)).map(|metadata| metadata.len()).ok();
            if !manifest::is_stored_name(&file.name) || there != Some(file.bytes) {
                return Err(damaged(format!("{} is missing or cut short", file.name)));
            }
        }
        Ok(Installed { manifest: as_run_today(manifest), dir, files: inventory.files })
    }

    /// The installed model `name`, with every file hashed anew.
    ///
    /// # Errors
    /// When it is not installed, or what is there is damaged.
    pub fn verified(&self, name: &str) -> Result<Installed, StoreError> {
        let installed = self.installed(name)?;
        installed.verify(&Cancel::new(), &mut |_| {})?;
        Ok(installed)
    }

    /// Every model that is known or installed: the built-in ones first, then a user's own by name.
    ///
    /// # Errors
    /// When the folder cannot be read. A damaged model is listed as not installed if it is built in.
    pub fn list(&self) -> Result<Vec<Listed>, StoreError> {
        let mut listed: Vec<Listed> = Vec::new();
        for known in manifest::built_in() {
            let installed = self.installed(&known.name).ok();
            let installed_bytes = installed.as_ref().map(Installed::bytes);
            listed.push(Listed { manifest: installed.map_or(known, |i| i.manifest), installed_bytes });
        }
        let folder = self.models();
        let entries = match std::fs::read_dir(&folder) {
            Ok(entries) => Some(entries),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
            Err(error) => return Err(FetchError::io(&folder)(error).into()),
        };
        let entries = entries.into_iter().flatten().flatten();
        let mut names: Vec<String> =
            entries.filter_map(|entry| entry.file_name().into_string().ok()).collect();
        names.sort();
        for name in names {
            let is_listed = listed.iter().any(|line| line.manifest.name == name);
            let is_model = manifest::is_file_name(&name) && folder.join(&name).join(INSTALLED).is_file();
            if is_model
                && !is_listed
                && let Ok(own) = self.installed(&name)
            {
                let installed_bytes = Some(own.bytes());
                listed.push(Listed { manifest: own.manifest, installed_bytes });
            }
        }
        Ok(listed)
    }

    /// The built-in manifest of `name`.
    pub fn known(&self, name: &str) -> Option<Manifest> {
        manifest::built_in().into_iter().find(|manifest| manifest.name == name)
    }

    /// Removes the installed model `name`, whole or damaged.
    ///
    /// # Errors
    /// When there is none, it came with the program, or another process is changing the store.
    pub fn remove(&self, name: &str) -> Result<(), StoreError> {
        let dir = self.models().join(name);
        if !manifest::is_file_name(name) || !dir.is_dir() {
            if let Ok(installed) = self.installed(name) {
                return Err(StoreError::Shipped { name: name.to_owned(), folder: installed.dir });
            }
            return Err(match self.known(name) {
                Some(_) => StoreError::NotInstalled { name: name.to_owned() },
                None => self.unknown(name),
            });
        }
        let workshop = self.workshop()?;
        workshop.stage()?.discard(&dir)?;
        Ok(())
    }

    fn unknown(&self, name: &str) -> StoreError {
        let known: Vec<String> =
            self.list().unwrap_or_default().into_iter().map(|line| line.manifest.name).collect();
        StoreError::Unknown { name: name.to_owned(), known: known.join(", ") }
    }
}

#[cfg(test)]
#[path = "store/store_tests.rs"]
mod tests;
