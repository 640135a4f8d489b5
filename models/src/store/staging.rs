//! A workshop: a folder in which one process at a time makes new things, out of sight of everybody who uses
//! the finished ones beside it.
//!
//! `PARENT/.lock` is locked while somebody works; `PARENT/.staging/ID/` holds what is not finished. A thing becomes
//! visible by one rename, after all of it is on the disk. What a killed process left is swept away by whoever
//! locks next.

use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use crate::fetch::{Cancel, FetchError};

const LOCK: &str = ".lock";
const STAGING: &str = ".staging";
const REPLACED: &str = "replaced";

/// The right to make things in a folder. Given back when dropped, also by the system when the process dies.
#[derive(Debug)]
pub(crate) struct Workshop {
    parent: PathBuf,
    _lock: File,
}

impl Workshop {
    /// Takes the workshop of `parent`, and sweeps it; `None` when somebody else works there.
    pub(crate) fn take(parent: &Path) -> Result<Option<Self>, FetchError> {
        fs::create_dir_all(parent).map_err(FetchError::making_in(parent))?;
        let path = parent.join(LOCK);
        let lock = File::options().create(true).truncate(false).write(true).open(&path);
        let lock = lock.map_err(FetchError::making_in(parent))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Ok(None),
            Err(TryLockError::Error(error)) => return Err(FetchError::io(&path)(error)),
        }
        let workshop = Self { parent: parent.to_owned(), _lock: lock };
        workshop.sweep()?;
        Ok(Some(workshop))
    }

    /// Takes the workshop of `parent`, waiting for whoever works there.
    pub(crate) fn wait(parent: &Path, cancel: &Cancel) -> Result<Self, FetchError> {
        loop {
            if let Some(workshop) = Self::take(parent)? {
                return Ok(workshop);
            }
            cancel.check()?;
            std::thread::sleep(Duration::from_millis(200));
        }
    }

    /// Removes what a killed process left, and puts back what it was about to replace.
    fn sweep(&self) -> Result<(), FetchError> {
        let staging = self.parent.join(STAGING);
        for folder in entries(&staging) {
            for replaced in entries(&folder.join(REPLACED)) {
                let back = self.parent.join(replaced.file_name().unwrap_or_default());
                if !back.exists() {
                    fs::rename(&replaced, &back).map_err(FetchError::io(&back))?;
                }
            }
        }
        // A client whose rehearsekit was killed may still be writing there. That harms nobody, since every
        // staging folder has a name of its own, and the next sweep gets it.
        match fs::remove_dir_all(&staging) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                tracing::warn!(%error, "what an unfinished download left could not all be removed yet");
            }
            _ => {}
        }
        Ok(())
    }

    /// An empty place to work in.
    pub(crate) fn stage(&self) -> Result<Staging<'_>, FetchError> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let folder = self.parent.join(STAGING).join(format!("{}-{count}", std::process::id()));
        fs::create_dir_all(&folder).map_err(FetchError::making_in(&self.parent))?;
        Ok(Staging { workshop: self, folder })
    }
}

/// The paths in `folder`; none when there is no such folder.
fn entries(folder: &Path) -> impl Iterator<Item = PathBuf> {
    fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path())
}

/// A place to work in; it and all that is in it is removed when dropped.
#[derive(Debug)]
pub(crate) struct Staging<'a> {
    workshop: &'a Workshop,
    folder: PathBuf,
}

impl Staging<'_> {
    /// A new empty folder in it.
    pub(crate) fn folder(&self, name: &str) -> Result<PathBuf, FetchError> {
        let folder = self.folder.join(name);
        fs::create_dir(&folder).map_err(FetchError::io(&folder))?;
        Ok(folder)
    }

    /// Makes the finished folder `made` visible as `target`, a sibling of the staging folder, replacing what was
    /// there. Its files must be on the disk already.
    pub(crate) fn place(&self, made: &Path, target: &Path) -> Result<(), FetchError> {
        sync_folder(made)?;
        self.set_aside(target)?;
        fs::rename(made, target).map_err(FetchError::io(target))?;
        sync_folder(&self.workshop.parent)
    }

    /// Removes the folder `target`: out of sight at once, then gone.
    pub(crate) fn discard(&self, target: &Path) -> Result<(), FetchError> {
        let discarded = self.folder.join("discarded");
        fs::rename(target, &discarded).map_err(FetchError::io(target))?;
        sync_folder(&self.workshop.parent)
    }

    fn set_aside(&self, target: &Path) -> Result<(), FetchError> {
        let Some(name) = target.file_name().filter(|_| target.exists()) else { return Ok(()) };
        let replaced = self.folder.join(REPLACED);
        fs::create_dir_all(&replaced).map_err(FetchError::io(&replaced))?;
        fs::rename(target, replaced.join(name)).map_err(FetchError::io(target))
    }
}

impl Drop for Staging<'_> {
    fn drop(&mut self) {
        // Were a thing taken away and not replaced, the sweep would put it back; so it does here.
        if let Err(error) = self.workshop.sweep() {
            tracing::warn!(%error, "an unfinished download could not be removed; the next start tries again");
        }
    }
}

fn sync_folder(folder: &Path) -> Result<(), FetchError> {
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(FetchError::io(folder))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_one_works_at_a_time() {
        let parent = tempfile::tempdir().unwrap();
        let first = Workshop::take(parent.path()).unwrap().unwrap();
        assert!(Workshop::take(parent.path()).unwrap().is_none());
        drop(first);
        assert!(Workshop::take(parent.path()).unwrap().is_some());
    }

    #[test]
    fn what_a_killed_process_left_is_swept_and_what_it_took_away_comes_back() {
        let parent = tempfile::tempdir().unwrap();
        let replaced = parent.path().join(".staging/77-0/replaced/model");
        fs::create_dir_all(&replaced).unwrap();
        fs::write(replaced.join("weights"), b"old").unwrap();
        fs::write(parent.path().join(".staging/77-0/half"), b"ha").unwrap();
        let _workshop = Workshop::take(parent.path()).unwrap().unwrap();
        assert_eq!(fs::read(parent.path().join("model/weights")).unwrap(), b"old");
        assert!(!parent.path().join(".staging").exists());
    }

    #[test]
    fn a_finished_folder_replaces_the_old_one_and_an_unfinished_one_vanishes() {
        let parent = tempfile::tempdir().unwrap();
        let target = parent.path().join("model");
        let workshop = Workshop::take(parent.path()).unwrap().unwrap();
        for content in ["one", "two"] {
            let staging = workshop.stage().unwrap();
            let made = staging.folder("made").unwrap();
            fs::write(made.join("file"), content).unwrap();
            staging.place(&made, &target).unwrap();
            drop(staging);
            assert_eq!(fs::read_to_string(target.join("file")).unwrap(), content);
        }
        let staging = workshop.stage().unwrap();
        fs::write(staging.folder("made").unwrap().join("file"), "three").unwrap();
        drop(staging);
        assert_eq!(fs::read_to_string(target.join("file")).unwrap(), "two");
        assert!(!parent.path().join(".staging").exists());
    }
}
