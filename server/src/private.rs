//! Files in `DATA/identity` that only their owner may read: the server's key, who is paired, the pairing code.
//!
//! Whoever can write there is the server's owner, so these files are the whole authority: commands change them,
//! under one lock, and a running server notices. Must not know what stands in the files.

use std::{
    fs::{self, File, TryLockError},
    io::{self, Read as _, Write as _},
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant, SystemTime},
};

pub(crate) use rehearsekit_private::owner_only;
use rehearsekit_private::{self as closed, Danger, Exposure};

/// Larger than any of these files ever gets.
const MOST_BYTES: u64 = 1 << 20;
/// Nobody holds the lock for longer than two small files take; who waits longer waits for a process that hangs.
const LOCKED_WITHIN: Duration = Duration::from_secs(3);

/// Why a private file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum PrivateError {
    /// It cannot be read or written.
    #[error("cannot use {}: {source}{}", path.display(), advice(source))]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// Others may read it.
    #[error("{} can be read by others {how}, and if somebody else may have read it, delete it and pair again", path.display())]
    Exposed {
        /// The file.
        path: PathBuf,
        /// How, and the way out.
        how: Exposure,
    },
    /// Others may put other files in its place.
    #[error("the folder {} can be changed by others {how}", path.display())]
    Open {
        /// The folder.
        path: PathBuf,
        /// How, and the way out.
        how: Exposure,
    },
    /// Another process does not give it back.
    #[error("{} is held by another rehearsekit that does not go on: end that one first", path.display())]
    Locked {
        /// The lock file.
        path: PathBuf,
    },
    /// It is not what we write.
    #[error(
        "{} is damaged ({reason}): restore it from a backup, or delete it (clients must then pair again)",
        path.display()
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// A later version of us wrote it.
    #[error(
        "{} was written by a later version of rehearsekit (format {version}): update this one, or delete the file \
         (clients must then pair again)",
        path.display()
    )]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its format.
        version: u64,
    },
}

impl PrivateError {
    /// Whether somebody has to do something before it can go well.
    pub fn is_lasting(&self) -> bool {
        match self {
            Self::Io { source, .. } => source.kind() == io::ErrorKind::PermissionDenied,
            Self::Locked { .. } => false,
            Self::Exposed { .. } | Self::Open { .. } | Self::Damaged { .. } | Self::Newer { .. } => true,
        }
    }

    pub(crate) fn io(path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { path, source }
    }
}

fn advice(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::PermissionDenied => {
            "; it must belong to the user the server runs as: run this as that user, or chown it"
        }
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => "; make room there",
        _ => "",
    }
}

/// The folder below `data`.
pub(crate) fn folder(data: &Path) -> PathBuf {
    data.join("identity")
}

/// Whoever holds it is alone in changing these files, of all processes. Waits a little while another has it.
pub(crate) struct Lock(#[expect(dead_code, reason = "held for the lock on it")] File);

impl Lock {
    /// Makes `folder` if it is not there.
    pub(crate) fn take(folder: &Path) -> Result<Self, PrivateError> {
        make_folder(folder)?;
        let path = folder.join("lock");
        let file = owner_only().create(true).truncate(false).open(&path);
        let file = file.map_err(PrivateError::io(&path))?;
        // It holds nothing that could have been read.
        closed::close(&file, Danger::Use);
        belong_with(folder, &file);
        let began = Instant::now();
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(Self(file)),
                Err(TryLockError::Error(error)) => return Err(PrivateError::io(&path)(error)),
                Err(TryLockError::WouldBlock) if began.elapsed() > LOCKED_WITHIN => {
                    return Err(PrivateError::Locked { path });
                }
                Err(TryLockError::WouldBlock) => thread::sleep(Duration::from_millis(5)),
            }
        }
    }
}

/// What stands in `path`; `None` if there is no such file.
pub(crate) fn read(path: &Path) -> Result<Option<Vec<u8>>, PrivateError> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(PrivateError::io(path)(error)),
    };
    check_closed(path, &file)?;
    let mut bytes = Vec::new();
    (&file).take(MOST_BYTES).read_to_end(&mut bytes).map_err(PrivateError::io(path))?;
    Ok(Some(bytes))
}

/// Reads `path` as JSON of format `version`; `None` if there is no such file.
pub(crate) fn read_json<T: serde::de::DeserializeOwned>(
    path: &Path,
    version: u64,
) -> Result<Option<T>, PrivateError> {
    let Some(bytes) = read(path)? else { return Ok(None) };
    let damaged = |reason: String| PrivateError::Damaged { path: path.to_owned(), reason };
    let value: serde_json::Value =
        serde_json::from_slice(&bytes).map_err(|error| damaged(error.to_string()))?;
    match value["version"].as_u64() {
        Some(got) if got > version => Err(PrivateError::Newer { path: path.to_owned(), version: got }),
        Some(_) => serde_json::from_value(value).map(Some).map_err(|error| damaged(error.to_string())),
        None => Err(damaged("it has no version".to_owned())),
    }
}

/// Writes `path` whole or not at all. With `replace` false a file that is there already stands.
pub(crate) fn write(path: &Path, content: &[u8], replace: bool) -> Result<(), PrivateError> {
    let folder = path.parent().unwrap_or(Path::new("."));
    make_folder(folder)?;
    let written = || {
        // tempfile creates with mode 0600, so it is never readable by others, not even for a moment.
        let mut file = tempfile::Builder::new().prefix(".new-").tempfile_in(folder)?;
        // Where a folder's ACL made the mode, it is closed before anything stands in it.
        closed::close(file.as_file(), Danger::Use);
        belong_with(folder, file.as_file());
        file.write_all(content)?;
        file.as_file().sync_all()?;
        let put = if replace { file.persist(path) } else { file.persist_noclobber(path) };
        match put {
            Ok(_) => Ok(()),
            Err(error) if !replace && error.error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
            Err(error) => Err(error.error),
        }
    };
    written().map_err(PrivateError::io(path))
}

/// The same for a value as JSON, replacing what is there.
pub(crate) fn write_json(path: &Path, value: &impl serde::Serialize) -> Result<(), PrivateError> {
    let text =
        serde_json::to_vec_pretty(value).map_err(|error| PrivateError::io(path)(io::Error::other(error)))?;
    write(path, &text, true)
}

pub(crate) fn make_folder(folder: &Path) -> Result<(), PrivateError> {
    let make = || {
        if closed::make_folder(folder)? {
            belong_with(folder.parent().unwrap_or(folder), &File::open(folder)?);
        }
        Ok(())
    };
    make().map_err(PrivateError::io(folder))
}

/// A command that root runs for a server of another user must not leave files which that server cannot read.
#[cfg(unix)]
pub(crate) fn belong_with(folder: &Path, file: &File) {
    use std::os::unix::fs::{MetadataExt as _, fchown};
    let (Ok(of), Ok(is)) = (fs::metadata(folder), file.metadata()) else { return };
    if (of.uid(), of.gid()) != (is.uid(), is.gid()) && rustix::process::geteuid().is_root() {
        // If it cannot be given away, the server says so when it reads it.
        let _ = fchown(file, Some(of.uid()), Some(of.gid()));
    }
}

#[cfg(not(unix))]
pub(crate) fn belong_with(_folder: &Path, _file: &File) {}

fn check_closed(path: &Path, file: &File) -> Result<(), PrivateError> {
    let folder = path.parent().unwrap_or(Path::new("."));
    if let Some(how) = closed::exposure(file, Danger::Use).map_err(PrivateError::io(path))? {
        return Err(PrivateError::Exposed { path: path.to_owned(), how });
    }
    // Windows opens no folders, and has nothing to look at there.
    if cfg!(unix) {
        let opened = File::open(folder).map_err(PrivateError::io(folder))?;
        if let Some(how) = closed::exposure(&opened, Danger::Replace).map_err(PrivateError::io(folder))? {
            return Err(PrivateError::Open { path: folder.to_owned(), how });
        }
    }
    Ok(())
}

/// When a file was last put in its place; two different contents have two different stamps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Stamp(Option<(SystemTime, u64, u64)>);

impl Stamp {
    pub(crate) fn of(path: &Path) -> Self {
        let Ok(found) = fs::metadata(path) else { return Self(None) };
        #[cfg(unix)]
        let place = std::os::unix::fs::MetadataExt::ino(&found);
        #[cfg(not(unix))]
        let place = 0;
        Self(Some((found.modified().unwrap_or(SystemTime::UNIX_EPOCH), found.len(), place)))
    }
}

/// Bytes nobody can guess.
pub(crate) fn random<const N: usize>() -> Result<[u8; N], PrivateError> {
    let mut bytes = [0; N];
    let filled = rustls::crypto::ring::default_provider().secure_random.fill(&mut bytes);
    filled.map_err(|_| {
        PrivateError::io(Path::new("the system's source of randomness"))(io::ErrorKind::Other.into())
    })?;
    Ok(bytes)
}

/// Seconds since 1970 by the system's clock, which may jump.
pub(crate) fn unix_now() -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or(Duration::ZERO).as_secs()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_owner_only_and_replaced_only_when_asked() {
        let data = tempfile::tempdir().unwrap();
        let path = folder(data.path()).join("x.json");
        assert!(read(&path).unwrap().is_none());
        write(&path, b"one", false).unwrap();
        write(&path, b"two", false).unwrap();
        assert_eq!(read(&path).unwrap().unwrap(), b"one");
        let before = Stamp::of(&path);
        write(&path, b"two", true).unwrap();
        assert_ne!(Stamp::of(&path), before);
        assert_eq!(read(&path).unwrap().unwrap(), b"two");
        let _lock = Lock::take(&folder(data.path())).unwrap();
        let told = Lock::take(&folder(data.path())).err().unwrap().to_string();
        assert!(told.contains("held by another"), "{told}");
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o7777;
            assert_eq!((mode(&path), mode(path.parent().unwrap())), (0o600, 0o700));
            assert_eq!(mode(&path.with_file_name("lock")), 0o600);
            fs::set_permissions(path.parent().unwrap(), fs::Permissions::from_mode(0o770)).unwrap();
            let told = read(&path).unwrap_err().to_string();
            assert!(told.contains("can be changed by others (mode 0770): run chmod 700"), "{told}");
        }
    }
}
