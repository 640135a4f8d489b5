//! The data folder is tried at start by really writing into it, because storage that turns out not writable
//! an hour later costs a rehearsal. This module must not decide what is kept there.

use std::{
    fmt, fs,
    io::{self, Write as _},
    path::{Path, PathBuf},
};

/// The data folder cannot be used; the sentence says who tried, whose it is and what to do.
#[derive(Debug, thiserror::Error)]
#[error("cannot write in the data folder {}: {source}. {advice}", path.display())]
pub struct DataDirError {
    /// The folder as configured.
    pub path: PathBuf,
    /// What the system says.
    pub source: io::Error,
    /// What to do.
    pub advice: Advice,
    /// Whether an access control list stands in the way, or may.
    pub has_list: bool,
}

/// What stands in the way and what to do about it.
#[derive(Debug)]
pub struct Advice(String);

impl fmt::Display for Advice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Creates `path` if needed, writes a file there, syncs it and removes it again.
pub fn check(path: &Path) -> Result<(), DataDirError> {
    try_writing(path).map_err(|source| {
        let list = nearest(path).and_then(|(folder, _)| rehearsekit_private::list_of(folder));
        let list = list.filter(|_| source.kind() == io::ErrorKind::PermissionDenied);
        let mut advice = advise(path, &source);
        if let Some(list) = list {
            advice = format!("An ACL decides there besides the mode: {}. {advice}", list.way());
        }
        DataDirError { path: path.to_owned(), source, advice: Advice(advice), has_list: list.is_some() }
    })
}

fn try_writing(path: &Path) -> io::Result<()> {
    fs::create_dir_all(path)?;
    let mut file = tempfile::Builder::new().prefix(".write-test-").tempfile_in(path)?;
    // More than what a file system keeps inside the directory entry, so that a full disk shows.
    file.write_all(&[0x5a; 65_536])?;
    file.as_file().sync_all()?;
    file.close()
}

/// The folder itself, or the one above it that is there.
fn nearest(path: &Path) -> Option<(&Path, fs::Metadata)> {
    path.ancestors().find_map(|dir| fs::symlink_metadata(dir).ok().map(|found| (dir, found)))
}

fn advise(path: &Path, error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            return "Make room there, or name another folder with --data or REHEARSEKIT_DATA".to_owned();
        }
        io::ErrorKind::ReadOnlyFilesystem => {
            return "The file system is mounted read-only: mount it writable, or name another folder with \
                    --data or REHEARSEKIT_DATA"
                .to_owned();
        }
        _ => {}
    }
    let Some((nearest, found)) = nearest(path) else {
        return "Name another folder with --data or REHEARSEKIT_DATA".to_owned();
    };
    if !fs::metadata(nearest).is_ok_and(|found| found.is_dir()) {
        return format!(
            "{} is not a folder: move it away, or name another folder with --data or REHEARSEKIT_DATA",
            nearest.display()
        );
    }
    ownership(path, nearest, &found)
}

#[cfg(unix)]
fn ownership(path: &Path, nearest: &Path, found: &fs::Metadata) -> String {
    use std::os::unix::fs::MetadataExt as _;
    let (user, group) = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
    let (owner, owner_group, mode) = (found.uid(), found.gid(), found.mode() & 0o7777);
    let way = if nearest == path {
        format!("chown -R {user}:{group} {}", path.display())
    } else {
        let path = path.display();
        format!("mkdir -p {path} && chown {user}:{group} {path}")
    };
    format!(
        "The server runs as user {user} (group {group}); {} belongs to user {owner} (group {owner_group}) with \
         mode {mode:04o}. Try: {way}. Or name another folder with --data or REHEARSEKIT_DATA",
        nearest.display()
    )
}

#[cfg(not(unix))]
fn ownership(_path: &Path, nearest: &Path, _found: &fs::Metadata) -> String {
    format!(
        "Allow the server's user to write in {}, or name another folder with --data or REHEARSEKIT_DATA",
        nearest.display()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_writable_folder_is_made_and_left_empty() {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("a/b");
        check(&data).unwrap();
        assert_eq!(fs::read_dir(&data).unwrap().count(), 0);
    }

    #[test]
    fn a_file_in_the_place_of_the_folder_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("taken");
        fs::write(&file, "x").unwrap();
        for data in [file.clone(), file.join("below")] {
            let told = check(&data).unwrap_err().to_string();
            let start = format!("cannot write in the data folder {}: ", data.display());
            assert!(told.starts_with(&start), "{told}");
            let way = format!("{} is not a folder: move it away", file.display());
            assert!(told.contains(&way), "{told}");
        }
    }

    /// Root may write nearly anywhere; in /proc nobody may, whoever runs this test.
    #[cfg(target_os = "linux")]
    #[test]
    fn an_unwritable_folder_tells_user_owner_mode_and_the_way_out() {
        let told = check(Path::new("/proc/1/rehearsekit")).unwrap_err().to_string();
        let user = rustix::process::geteuid().as_raw();
        assert!(told.contains(&format!("The server runs as user {user} (group ")), "{told}");
        assert!(told.contains("/proc/1 belongs to user ") && told.contains(" with mode 0555"), "{told}");
        assert!(told.contains("Try: mkdir -p /proc/1/rehearsekit && chown "), "{told}");
    }
}
