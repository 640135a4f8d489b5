//! Which version of its layout the data folder has, and who is at work in it: `DATA/state.json`, written by each server
//! at its start, and `DATA/.in-use`, which is locked.
//!
//! A folder that a later version has written is left alone, an older one is brought up to date, so an upgrade needs
//! nobody and a way back is never taken in silence. Must not know what stands in the other files.

use std::{
    fs::{self, File, TryLockError},
    io,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use crate::private::{self, PrivateError};

/// The layout that this version reads and writes. A folder without `state.json` has it too, since the first versions
/// wrote none.
pub const LAYOUT: u64 = 1;
/// The file that tells it.
pub(crate) const FILE: &str = "state.json";
/// Locked by who uses the folder: by many servers at a time, or by one who replaces everything.
pub(crate) const IN_USE: &str = ".in-use";
/// This program's version, as files have it.
pub(crate) const PROGRAM: &str = env!("CARGO_PKG_VERSION");

/// Why the data folder is not touched.
#[derive(Debug, thiserror::Error)]
pub enum LayoutError {
    /// A later version of us has written it.
    #[error(
        "the data folder {} was written by rehearsekit {written_by} (state version {layout}), and this is {PROGRAM} (state \
         version {LAYOUT}): run {written_by} or later, or restore the backup from before the update (rehearsekit \
         restore FILE --replace, which keeps what is there in a folder beside), or name another folder with --data or \
         REHEARSEKIT_DATA. Nothing was changed",
        path.display()
    )]
    Newer {
        /// The data folder.
        path: PathBuf,
        /// Its layout.
        layout: u64,
        /// The version that wrote it.
        written_by: String,
    },
    /// The file is not what we write.
    #[error(
        "{} is damaged ({reason}): restore a backup, or delete that file if no later version of rehearsekit has used the \
         folder",
        path.display()
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// It cannot be read or written.
    #[error("cannot use {}: {source}; it must belong to the user the server runs as", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// A server runs there.
    #[error("a server is at work in {}: stop it first", path.display())]
    InUse {
        /// The data folder.
        path: PathBuf,
    },
    /// Somebody replaces everything there.
    #[error("a backup is being restored into {} right now: start the server again when that is done", path.display())]
    Restoring {
        /// The data folder.
        path: PathBuf,
    },
    /// It cannot be written.
    #[error(transparent)]
    Private(#[from] PrivateError),
}

#[derive(Serialize, Deserialize)]
struct Written {
    state: u64,
    written_by: String,
}

/// The folder is in use as long as this lives.
#[derive(Debug)]
pub struct InUse(#[expect(dead_code, reason = "held for the lock on it")] File);

/// The layout of the folder `data`, if this version can live with it; `None` where nobody has written one yet. Changes
/// nothing.
pub fn check(data: &Path) -> Result<Option<u64>, LayoutError> {
    let path = data.join(FILE);
    let text = match fs::read(&path) {
        Ok(text) => text,
        Err(source) if source.kind() == io::ErrorKind::NotFound => return Ok(None),
        // What is no folder is told by whoever makes the folder.
        Err(source) if source.kind() == io::ErrorKind::NotADirectory => return Ok(None),
        Err(source) => return Err(LayoutError::Io { path, source }),
    };
    // Of what a later version writes, these two must be understood for ever.
    let Written { state, written_by } = serde_json::from_slice(&text)
        .map_err(|error| LayoutError::Damaged { path, reason: error.to_string() })?;
    if state > LAYOUT {
        return Err(LayoutError::Newer { path: data.to_owned(), layout: state, written_by });
    }
    Ok(Some(state))
}

/// For a server that starts: refuses what [`check`] refuses, brings an older folder up to date, and takes note that the
/// folder is in use.
pub fn open(data: &Path) -> Result<InUse, LayoutError> {
    // Before anything is made there; and once more when nobody can be replacing it.
    check(data)?;
    let file = lock_file(data)?;
    match file.try_lock_shared() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return Err(LayoutError::Restoring { path: data.to_owned() }),
        // Some network file systems know no locks. Whoever restores there is told so and stops.
        Err(TryLockError::Error(error)) => tracing::warn!(%error, "the data folder cannot be locked"),
    }
    if check(data)? != Some(LAYOUT) {
        // Here an older layout is changed into today's, step by step. There is none yet.
        write(data, LAYOUT, PROGRAM)?;
    }
    Ok(InUse(file))
}

/// For whoever replaces everything: no server may be at work.
pub(crate) fn alone(data: &Path) -> Result<InUse, LayoutError> {
    let file = lock_file(data)?;
    match file.try_lock() {
        Ok(()) => Ok(InUse(file)),
        Err(TryLockError::WouldBlock) => Err(LayoutError::InUse { path: data.to_owned() }),
        Err(TryLockError::Error(source)) => Err(LayoutError::Io { path: data.join(IN_USE), source }),
    }
}

/// Takes note of the layout that the folder has.
pub(crate) fn write(data: &Path, layout: u64, written_by: &str) -> Result<(), PrivateError> {
    private::write_json(&data.join(FILE), &Written { state: layout, written_by: written_by.to_owned() })
}

fn lock_file(data: &Path) -> Result<File, LayoutError> {
    let path = data.join(IN_USE);
    let file = private::owner_only().create(true).truncate(false).open(&path);
    let file = file.map_err(|source| LayoutError::Io { path, source })?;
    private::belong_with(data, &file);
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_folder_gets_todays_version_and_keeps_it() {
        let data = tempfile::tempdir().unwrap();
        assert_eq!(check(data.path()).unwrap(), None);
        assert_eq!(check(&data.path().join("nowhere")).unwrap(), None);
        drop(open(data.path()).unwrap());
        assert_eq!(check(data.path()).unwrap(), Some(LAYOUT));
        let before = fs::read(data.path().join(FILE)).unwrap();
        drop(open(data.path()).unwrap());
        assert_eq!(fs::read(data.path().join(FILE)).unwrap(), before);
    }

    #[test]
    fn a_later_version_or_garbage_is_refused_with_the_way_out_and_left_alone() {
        let data = tempfile::tempdir().unwrap();
        for (text, words) in [
            (
                r#"{"state": 2, "written_by": "0.9.0", "more": []}"#,
                "run 0.9.0 or later, or restore the backup from before the update (rehearsekit restore FILE --replace",
            ),
            ("{}", "is damaged ("),
            ("", "is damaged ("),
        ] {
            fs::write(data.path().join(FILE), text).unwrap();
            for told in
                [check(data.path()).unwrap_err().to_string(), open(data.path()).unwrap_err().to_string()]
            {
                assert!(told.contains(words), "{told}");
            }
            assert_eq!(fs::read_to_string(data.path().join(FILE)).unwrap(), text);
        }
    }

    #[test]
    fn servers_share_a_folder_and_who_replaces_it_is_alone() {
        let data = tempfile::tempdir().unwrap();
        let (one, other) = (open(data.path()).unwrap(), open(data.path()).unwrap());
        drop(one);
        assert!(matches!(alone(data.path()), Err(LayoutError::InUse { .. })));
        drop(other);
        let alone = alone(data.path()).unwrap();
        assert!(matches!(open(data.path()), Err(LayoutError::Restoring { .. })));
        drop(alone);
        drop(open(data.path()).unwrap());
    }
}
