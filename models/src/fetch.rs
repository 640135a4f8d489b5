//! Getting packages: by name and exact version, with the ecosystem's own client, into a staging folder.
//!
//! pip and npm bring their own proxies, mirrors and certificates, so whatever a house has set up for them works
//! here too. Nothing is installed, no script of a package is run, and nothing outside the staging folder is
//! written. What comes out is a file whose SHA-256 was checked; what it means is not known here.

mod extract;
mod tool;

pub mod runtime;

use std::path::{Component, Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

pub(crate) use extract::hash_file;
pub use extract::{Wanted, copy_checked, extract};

use crate::manifest::SourceKind;

/// Why something could not be fetched.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FetchError {
    /// A file cannot be read or written.
    #[error("{path}: {source}", path = path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A folder in which something is to be made or changed may only be read.
    #[error(
        "cannot change anything in {folder}: {source}; allow this user to write there, or name another data folder with \
         --data or REHEARSEKIT_DATA",
        folder = folder.display()
    )]
    NotWritable {
        /// The folder.
        folder: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The disk is full.
    #[error("the disk that holds {folder} is full; nothing was kept. Free some space and try again", folder = folder.display())]
    DiskFull {
        /// A folder on that disk.
        folder: PathBuf,
    },
    /// The client is not installed.
    #[error(
        "{tool} is needed to fetch {package} and is not installed; install it (Debian: apt install {debian}), or \
         carry the model over from a machine that has it: rehearsekit models export there, rehearsekit models import here"
    )]
    ToolMissing {
        /// The client.
        tool: &'static str,
        /// What should have been fetched.
        package: String,
        /// The Debian package that brings the client.
        debian: &'static str,
    },
    /// The client gave up.
    #[error("{tool} could not fetch {package}: {reason}")]
    ToolFailed {
        /// The client.
        tool: &'static str,
        /// What should have been fetched.
        package: String,
        /// The end of what it said.
        reason: String,
    },
    /// The client brought nothing for a long time.
    #[error(
        "{tool} brought nothing of {package} for {seconds} s and was stopped; check the network and try again"
    )]
    Stalled {
        /// The client.
        tool: &'static str,
        /// What should have been fetched.
        package: String,
        /// How long nothing came.
        seconds: u64,
    },
    /// A person stopped it.
    #[error("stopped; nothing was kept")]
    Cancelled,
    /// The package is not what it should be.
    #[error("{package} is damaged or another one: {reason}")]
    BadPackage {
        /// The package file.
        package: String,
        /// What is wrong.
        reason: String,
    },
    /// A file is not the one that was expected.
    #[error("{file} has the SHA-256 {found}, but {expected} is expected; it is damaged or was changed")]
    WrongHash {
        /// The file.
        file: String,
        /// The hash it should have.
        expected: String,
        /// The hash it has.
        found: String,
    },
    /// There is no ONNX Runtime for this machine.
    #[error(
        "no ONNX Runtime is known for {os} on {arch}; set {variable} to the path of a libonnxruntime 1.26",
        variable = runtime::OVERRIDE
    )]
    NoRuntime {
        /// Operating system.
        os: &'static str,
        /// Processor architecture.
        arch: &'static str,
    },
}

impl FetchError {
    pub(crate) fn io(path: &Path) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.to_owned();
        move |source| match source.kind() {
            std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => {
                Self::disk_full(if path.is_dir() { &path } else { path.parent().unwrap_or(&path) })
            }
            _ => Self::Io { path, source },
        }
    }

    /// The same about making something in `folder`.
    pub(crate) fn making_in(folder: &Path) -> impl FnOnce(std::io::Error) -> Self {
        let folder = folder.to_owned();
        move |source| match source.kind() {
            std::io::ErrorKind::PermissionDenied | std::io::ErrorKind::ReadOnlyFilesystem => {
                Self::NotWritable { folder, source }
            }
            _ => Self::io(&folder)(source),
        }
    }

    /// Tells of the folder a person knows, not of a staging folder that is gone by then.
    fn disk_full(folder: &Path) -> Self {
        let hidden = |part: Component<'_>| part.as_os_str() == ".staging";
        let known = folder.ancestors().find(|folder| !folder.components().any(hidden));
        Self::DiskFull { folder: known.unwrap_or(folder).to_owned() }
    }
}

/// What a fetch is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FetchStep {
    /// The client downloads.
    Downloading,
    /// Files are taken out of the package and checked.
    Extracting,
    /// Files are converted.
    Converting,
    /// Stored files are checked.
    Verifying,
}

/// How far a fetch is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FetchProgress {
    /// What it is doing.
    pub step: FetchStep,
    /// Bytes of this step that are done.
    pub done_bytes: u64,
    /// Bytes of this step in all, if known.
    pub total_bytes: Option<u64>,
}

/// Who is told how far a fetch is.
pub type Progress<'a> = dyn FnMut(FetchProgress) + 'a;

/// A wish to stop, shared with whoever may have it.
#[derive(Clone, Debug, Default)]
pub struct Cancel(Arc<AtomicBool>);

impl Cancel {
    /// Nobody wants to stop yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Stops whatever looks at this, soon.
    pub fn cancel(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// Whether somebody wants to stop.
    pub fn is_cancelled(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    pub(crate) fn check(&self) -> Result<(), FetchError> {
        if self.is_cancelled() { Err(FetchError::Cancelled) } else { Ok(()) }
    }
}

/// A package to download.
#[derive(Clone, Debug)]
pub struct Package<'a> {
    /// Which client gets it: pip or npm.
    pub kind: SourceKind,
    /// Its name.
    pub name: &'a str,
    /// Its exact version.
    pub version: &'a str,
    /// For a wheel with machine code: the platform tags it may have, best first.
    pub platform_tags: &'a [String],
    /// Its size, 0 when unknown.
    pub bytes: u64,
}

/// Downloads `package` into `folder`, which must be empty and is on the disk where its content will stay.
/// Returns the path of the package's file.
///
/// # Errors
/// When the client is missing, fails, stalls or is cancelled, or the disk is full.
pub fn download(
    package: &Package<'_>,
    folder: &Path,
    cancel: &Cancel,
    progress: &mut Progress<'_>,
) -> Result<PathBuf, FetchError> {
    let arrived = folder.join("package");
    std::fs::create_dir_all(&arrived).map_err(FetchError::io(&arrived))?;
    tool::run(package, folder, &arrived, cancel, progress)?;
    let mut entries = std::fs::read_dir(&arrived).map_err(FetchError::io(&arrived))?;
    match (entries.next(), entries.next()) {
        (Some(Ok(only)), None) => Ok(only.path()),
        _ => Err(FetchError::BadPackage {
            package: format!("{} {}", package.name, package.version),
            reason: "the client did not leave exactly one file".to_owned(),
        }),
    }
}
