//! Files and folders that belong to their owner alone: keys, tokens, who is paired, backups. They are made so, as far as
//! the file system lets us, and looked at before they are believed.
//!
//! A mode is not the whole truth: where a file system has access control lists (ACLs), a folder hands its entries on to
//! what is made in it, whatever mode that asks for. This crate must not know what stands in the files.

#[cfg(target_os = "linux")]
mod acl;

use std::{
    fmt,
    fs::{self, File, OpenOptions},
    io,
    path::Path,
};

/// What others must not be able to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Danger {
    /// To read or change a file.
    Use,
    /// To put other files into a folder, or take its own away.
    Replace,
}

/// Which kind of list lets others in, besides the mode.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum List {
    /// ZFS with NFSv4 ACLs, as TrueNAS makes its data sets for apps and shares; or an NFS server with such.
    Nfs4,
    /// The older kind, of ext4, XFS, Btrfs and ZFS (`setfacl`).
    Posix,
}

/// How others get at something. Shown, it is the way out, without its first word's subject: the path stands before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Exposure {
    /// The mode, of which an ACL may have made a part.
    pub mode: u32,
    /// The list that has something to do with it.
    pub list: Option<List>,
    danger: Danger,
}

impl fmt::Display for Exposure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mode = match self.danger {
            Danger::Use => "600",
            Danger::Replace => "700",
        };
        let is = self.mode;
        match self.list {
            None => write!(f, "(mode {is:04o}): run chmod {mode} on it"),
            Some(list) => {
                write!(f, "(mode {is:04o}, and an ACL): {}, then run chmod {mode} on it", list.way())
            }
        }
    }
}

impl List {
    /// How it is taken off, as the beginning of a sentence.
    pub fn way(self) -> &'static str {
        match self {
            Self::Nfs4 => {
                "in TrueNAS press Strip ACL for its data set, recursively (Datasets, the data set, Permissions, Edit, Strip \
                 ACL)"
            }
            Self::Posix => {
                "take the ACL off the data folder (setfacl --recursive --remove-all --remove-default)"
            }
        }
    }
}

/// For a new file that only its owner may read and write.
pub fn owner_only() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.read(true).write(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
}

/// Makes `folder` for its owner alone, and those above it that are missing; whether it was made now.
///
/// # Errors
/// When it cannot be made or looked at.
pub fn make_folder(folder: &Path) -> io::Result<bool> {
    if folder.is_dir() {
        return Ok(false);
    }
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder)?;
    close(&File::open(folder)?, Danger::Replace);
    Ok(true)
}

/// Takes from everybody but its owner what they got of a file or folder *that was made just now*, as far as the file
/// system allows. What is left shows in [`exposure`]; what others may have read already must not be closed in silence.
pub fn close(made: &File, danger: Danger) {
    #[cfg(unix)]
    {
        let mode = match danger {
            Danger::Use => 0o600,
            Danger::Replace => 0o700,
        };
        // A list that grants nothing today would grant everything again after the next chmod.
        #[cfg(target_os = "linux")]
        acl::take_off(made);
        if !matches!(exposure(made, danger), Ok(None)) {
            let _ = rustix::fs::fchmod(made, rustix::fs::Mode::from_raw_mode(mode));
        }
    }
    #[cfg(not(unix))]
    let _ = (made, danger);
}

/// Whether others than its owner are a danger to an open file or folder, and how they get there.
///
/// # Errors
/// When the system does not tell.
pub fn exposure(of: &File, danger: Danger) -> io::Result<Option<Exposure>> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        let mode = of.metadata()?.permissions().mode() & 0o7777;
        let others = match danger {
            Danger::Use => 0o077,
            Danger::Replace => 0o022,
        };
        #[cfg(target_os = "linux")]
        let (list, lets_in) = acl::look(of, danger)?;
        #[cfg(not(target_os = "linux"))]
        let (list, lets_in) = (None, false);
        Ok((mode & others != 0 || lets_in).then_some(Exposure { mode, list, danger }))
    }
    #[cfg(not(unix))]
    {
        let _ = (of, danger);
        Ok(None)
    }
}

/// The list that decides in `folder` beside its mode, or is handed on to what is made in it; `None` where there is none, or
/// it cannot be looked at.
pub fn list_of(folder: &Path) -> Option<List> {
    #[cfg(target_os = "linux")]
    return acl::list_of(folder);
    #[cfg(not(target_os = "linux"))]
    {
        let _ = folder;
        None
    }
}
