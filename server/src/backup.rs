//! Backups: one tar file of all that makes a server itself, made while it runs, and put into an empty folder elsewhere.
//!
//! First comes `backup.json` (what this is and who wrote it), then the files as they lie in the data folder, last
//! `SHA256SUMS` over all of them, as `sha256sum -c` reads it: a file without its end is no backup. Settings travel as
//! `server.toml`, whatever they came from. A pairing code, locks and what is half-made stay at home. This module must not
//! print, and must not know how a server runs.

mod restore;
mod write;

use std::{io, path::PathBuf};

use rehearsekit_models::{fetch::FetchError, store::StoreError};
use serde::{Deserialize, Serialize};

use crate::{
    config::ConfigError,
    identity::IdentityError,
    layout::{LayoutError, PROGRAM},
    private::PrivateError,
};

pub use restore::{Restored, restore};
pub use write::{BackedUp, back_up};

/// The form of the archive.
const FORMAT: u64 = 1;
const HEAD: &str = "backup.json";
const SUMS: &str = "SHA256SUMS";
/// Of the texts in an archive.
const MOST_TEXT_BYTES: u64 = 1 << 20;

/// How far it is: bytes done, and in all where that is known.
pub type Progress<'a> = dyn FnMut(u64, Option<u64>) + 'a;

/// `backup.json`. Later versions may add to it; what is here must be understood for ever.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Head {
    format: u64,
    /// The layout of the data folder.
    state: u64,
    written_by: String,
    /// Seconds since 1970.
    made_at: u64,
    /// What ONNX Runtime in it is for.
    platform: String,
}

/// What libraries in a data folder of this machine are for.
fn platform() -> String {
    format!("{}-{}", std::env::consts::OS, std::env::consts::ARCH)
}

/// Why there is no backup, or why it is not restored.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// No server has ever started there.
    #[error(
        "there is nothing to back up in {}: no server has started there, so it has no identity yet (models alone travel by \
         rehearsekit models export)",
        .0.display()
    )]
    Nothing(PathBuf),
    /// The data folder's version, or somebody who is at work there.
    #[error(transparent)]
    Layout(#[from] LayoutError),
    /// A private file cannot be used.
    #[error(transparent)]
    Private(#[from] PrivateError),
    /// The server's key cannot be used.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// A model cannot be taken along.
    #[error("{0}; or leave the models out: --without-models")]
    Model(StoreError),
    /// A file of the data folder cannot be read or written.
    #[error(transparent)]
    Fetch(#[from] FetchError),
    /// The archive cannot be read or written.
    #[error("cannot {what} the backup: {source}{}", advice(source))]
    Archive {
        /// `read` or `write`.
        what: &'static str,
        /// What the system says.
        source: io::Error,
    },
    /// It is no backup, or damaged.
    #[error("this is no whole backup of rehearsekit: {0}. Nothing was changed; take another copy of it")]
    NotABackup(String),
    /// A later version of us made it.
    #[error(
        "this backup was made by rehearsekit {0}, and this is {PROGRAM}, which does not know what stands in it: restore it \
         with {0} or later. Nothing was changed"
    )]
    Newer(String),
    /// Its settings are not understood.
    #[error("the settings in the backup are not understood: {0}. Nothing was changed")]
    Settings(#[from] ConfigError),
    /// There is something already.
    #[error(
        "the data folder {} is not empty (it holds {holds}): name an empty one with --data, or say --replace, which keeps \
         what is there in a folder beside. Nothing was changed",
        path.display()
    )]
    NotEmpty {
        /// The folder.
        path: PathBuf,
        /// Some of what is there.
        holds: String,
    },
    /// A person stopped it.
    #[error("stopped; nothing was changed")]
    Stopped,
}

impl BackupError {
    /// Whether the archive itself is at fault.
    pub fn is_bad_input(&self) -> bool {
        matches!(self, Self::NotABackup(_) | Self::Newer(_) | Self::Settings(_) | Self::Model(_))
    }

    fn no(reason: impl Into<String>) -> Self {
        Self::NotABackup(reason.into())
    }
}

fn advice(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => "; make room there, nothing was kept",
        _ => "",
    }
}

#[cfg(test)]
mod tests;
