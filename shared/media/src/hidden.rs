//! Hidden folders in which files grow out of sight, beside where they will be: gone when they are dropped, when
//! [`abandon`] is called, and, where a process was killed, with the next one that works in the same place.
//!
//! Each holds a file that is locked by who works there. Whoever gets that lock knows that nobody does any more. Must
//! not remove anything else.

use std::{
    fs::{self, File},
    io::{self, Write as _},
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard, PoisonError},
};

use crate::place;

const PREFIX: &str = ".rehearsekit-";
const LOCK: &str = "unfinished";
/// What stands in the lock's file; for people too.
const TOLD: &str =
    "rehearsekit writes here. When it was killed, the next one that writes beside removes this.\n";
/// Whoever sweeps may take a folder away between its making and its lock; not often.
const TRIES: usize = 16;

/// What this process has begun and not finished.
static BEGUN: Mutex<Vec<Begun>> = Mutex::new(Vec::new());

#[derive(Debug, Clone, PartialEq, Eq)]
struct Begun {
    hidden: PathBuf,
    /// Folders that were made for it, the innermost first.
    made: Vec<PathBuf>,
}

fn begun() -> MutexGuard<'static, Vec<Begun>> {
    BEGUN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A hidden folder of one's own.
#[derive(Debug)]
pub(crate) struct Hidden {
    begun: Begun,
    lock: Option<File>,
}

impl Hidden {
    /// One in `folder`, which is made, with those around it, if it is not there.
    pub(crate) fn inside(folder: &Path) -> io::Result<Self> {
        let missing = folder.ancestors().take_while(|f| !f.as_os_str().is_empty() && !f.exists());
        let made: Vec<PathBuf> = missing.map(Path::to_owned).collect();
        let result = fs::create_dir_all(folder).and_then(|()| Self::make(folder, made.clone()));
        if result.is_err() {
            remove_empty(&made);
        }
        result
    }

    /// One in the folder of `file`, which must be there.
    pub(crate) fn beside(file: &Path) -> io::Result<Self> {
        Self::make(place::folder_of(file), Vec::new())
    }

    fn make(folder: &Path, made: Vec<PathBuf>) -> io::Result<Self> {
        sweep(folder);
        for _ in 0..TRIES {
            let hidden = tempfile::Builder::new().prefix(PREFIX).tempdir_in(folder)?;
            let lock = match lock(hidden.path()) {
                Ok(Some(lock)) => lock,
                // Swept by another; what is left of it goes with it.
                Ok(None) => continue,
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => return Err(error),
            };
            let begun = Begun { hidden: hidden.keep(), made };
            self::begun().push(begun.clone());
            return Ok(Self { begun, lock: Some(lock) });
        }
        Err(io::Error::other("other programs remove every hidden folder that is made there"))
    }

    pub(crate) fn path(&self) -> &Path {
        &self.begun.hidden
    }

    /// The folders around it stay, since something is in them now.
    pub(crate) fn keep_folders(&mut self) {
        let mut all = begun();
        all.iter_mut().filter(|other| **other == self.begun).for_each(|other| other.made.clear());
        self.begun.made.clear();
    }
}

impl Drop for Hidden {
    fn drop(&mut self) {
        // Some systems remove no file that is open.
        self.lock = None;
        remove(&self.begun);
        begun().retain(|other| *other != self.begun);
    }
}

/// Removes what this process has begun and not finished, before it is ended from outside. Waits for files that are just
/// being put in place, and lets nobody put others there afterwards.
pub fn abandon() {
    std::mem::forget(place::placing());
    begun().iter().for_each(remove);
}

/// If something stays, the next process in that place removes it.
fn remove(begun: &Begun) {
    empty(&begun.hidden);
    remove_empty(&begun.made);
}

/// Innermost first; a folder that somebody else has put something into stays.
fn remove_empty(folders: &[PathBuf]) {
    for folder in folders {
        let _ = fs::remove_dir(folder);
    }
}

/// Removes a hidden folder, the lock's file last. There are only files in it.
fn empty(hidden: &Path) {
    for entry in fs::read_dir(hidden).into_iter().flatten().flatten() {
        if entry.file_name() != LOCK {
            let _ = fs::remove_file(entry.path());
        }
    }
    let _ = fs::remove_file(hidden.join(LOCK));
    let _ = fs::remove_dir(hidden);
}

/// Makes and locks the file that says who works in `hidden`; nothing where somebody took it away.
fn lock(hidden: &Path) -> io::Result<Option<File>> {
    let path = hidden.join(LOCK);
    let mut file = File::options().write(true).create_new(true).open(&path)?;
    match file.try_lock() {
        Ok(()) => {}
        Err(fs::TryLockError::WouldBlock) => return Ok(None),
        // Some network file systems know no locks; nobody gets this one then.
        Err(fs::TryLockError::Error(_)) => {}
    }
    file.write_all(TOLD.as_bytes())?;
    Ok(path.exists().then_some(file))
}

/// Removes the hidden folders in `folder` that nobody works in any more.
fn sweep(folder: &Path) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let is_ours = entry.file_name().to_string_lossy().starts_with(PREFIX);
        if !is_ours || !entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            continue;
        }
        let hidden = entry.path();
        match File::options().read(true).write(true).open(hidden.join(LOCK)) {
            Ok(file) if file.try_lock().is_ok() => {
                drop(file);
                empty(&hidden);
            }
            Ok(_) => {}
            // Killed before it made the file: then there is nothing else in it. If there is, it is not ours.
            Err(_) => drop(fs::remove_dir(&hidden)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entries(folder: &Path) -> usize {
        fs::read_dir(folder).unwrap().count()
    }

    #[test]
    fn the_next_one_removes_what_a_killed_process_left_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let working = Hidden::inside(folder.path()).unwrap();
        fs::write(working.path().join("vocals.wav"), b"half").unwrap();
        // As a killed process leaves it: the same, and nobody holds the lock.
        let left = folder.path().join(".rehearsekit-killed");
        fs::create_dir(&left).unwrap();
        fs::write(left.join(LOCK), TOLD).unwrap();
        fs::write(left.join("vocals.wav"), b"half").unwrap();
        fs::create_dir(folder.path().join(".rehearsekit-begun")).unwrap();
        // Not ours, whatever it is called.
        let other = folder.path().join(".rehearsekit-notes");
        fs::create_dir(&other).unwrap();
        fs::write(other.join("notes.txt"), b"mine").unwrap();
        fs::write(folder.path().join(".rehearsekit-file"), b"mine").unwrap();

        let next = Hidden::inside(folder.path()).unwrap();
        assert!(!left.exists() && !folder.path().join(".rehearsekit-begun").exists());
        assert!(working.path().join("vocals.wav").exists(), "somebody works there");
        assert!(other.join("notes.txt").exists() && folder.path().join(".rehearsekit-file").exists());
        drop((working, next));
        assert_eq!(entries(folder.path()), 2);
    }

    #[test]
    fn folders_that_were_made_go_with_it_unless_they_are_kept() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("new/deeper");
        drop(Hidden::inside(&folder).unwrap());
        assert_eq!(entries(root.path()), 0);
        let mut hidden = Hidden::inside(&folder).unwrap();
        hidden.keep_folders();
        drop(hidden);
        assert_eq!(entries(&folder), 0);
    }
}
