//! Whether the data folder is still there, still this server's, and can be written in: pairing and the list of clients
//! live in it. Must not make the folder anew, and leaves nothing in it.

use std::{
    fs,
    io::{self, Write as _},
    path::{Path, PathBuf},
};

use sha2::{Digest as _, Sha256};

use crate::private;

/// More than a file system keeps inside of a directory, so that a full disk shows.
const TRIAL: [u8; 4_096] = [0x5a; 4_096];

pub(super) struct Folder {
    path: PathBuf,
    /// Of the server's key as it was when the server began, if it could be read.
    key: Option<[u8; 32]>,
}

impl Folder {
    pub(super) fn new(data: &Path) -> Self {
        let key = fs::read(key_file(data)).ok().map(|bytes| Sha256::digest(bytes).into());
        Self { path: data.to_owned(), key }
    }

    /// An error is a sentence that a stranger may read: without the path.
    pub(super) fn look(&self) -> Result<(), String> {
        match fs::metadata(&self.path) {
            Ok(found) if found.is_dir() => {}
            Ok(_) => return Err("the data folder is gone: something else is in its place".to_owned()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err("the data folder is gone: put it back, or start the server anew".to_owned());
            }
            Err(error) => return Err(format!("the data folder cannot be reached: {error}")),
        }
        match fs::read(key_file(&self.path)) {
            Ok(bytes) if self.key.is_none_or(|key| key == <[u8; 32]>::from(Sha256::digest(&bytes))) => {}
            Ok(_) => return Err(replaced("another server's key")),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(replaced("no server's key")),
            Err(error) => return Err(format!("the server's key in the data folder cannot be read: {error}")),
        }
        self.write().map_err(|error| match error.kind() {
            io::ErrorKind::ReadOnlyFilesystem => "the data folder has become read-only".to_owned(),
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                format!("the data folder has no room left: {error}")
            }
            _ => format!("the data folder cannot be written in any more: {error}"),
        })
    }

    /// Not synced: disks that sleep may sleep on.
    fn write(&self) -> io::Result<()> {
        // A file without a name where the system has those, so that not even a kill leaves it behind.
        let mut file = tempfile::tempfile_in(&self.path)?;
        file.write_all(&TRIAL)?;
        file.flush()
    }
}

fn key_file(data: &Path) -> PathBuf {
    private::folder(data).join("server.pem")
}

fn replaced(holds: &str) -> String {
    format!(
        "the data folder is another than the server began with, there is {holds} in it: start the server anew"
    )
}
