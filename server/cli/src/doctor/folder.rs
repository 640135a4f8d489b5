//! The data folder: its version, whether it can be written, whose its files are, how much room is left. Must not make a
//! key where there is none.

use std::{
    io::ErrorKind,
    path::{Path, PathBuf},
};

use rehearsekit_private::List;
use rehearsekit_server::{
    clients::ClientBook,
    data_dir,
    identity::{Identity, IdentityError},
    layout::{self, LayoutError},
    private::PrivateError,
};
use serde_json::json;

use super::finding::{Finding, Trouble};

/// Less room than this is worth a word: a model takes about so much.
const LOW_BYTES: u64 = 512 << 20;

/// All of it; what depends on a failed check is left out.
pub(crate) fn examine(data: &Path) -> Vec<Finding> {
    let state = state(data);
    if state.has_failed() {
        return vec![state];
    }
    let writable = writable(data);
    if writable.has_failed() {
        return vec![state, writable];
    }
    let mut findings = vec![state, writable];
    findings.extend(owners(data));
    findings.extend(access_list(data));
    findings.push(identity(data));
    findings.push(clients(data));
    findings
}

fn state(data: &Path) -> Finding {
    let check = "state version";
    match layout::check(data) {
        Ok(Some(version)) => Finding::good(check, format!("{version}, which is this version's own")),
        Ok(None) => Finding::good(check, "none yet; the next start writes it"),
        Err(error @ LayoutError::Newer { .. }) => {
            Finding::failed(check, Trouble::StateNewer, error.to_string())
        }
        Err(LayoutError::Io { source, .. }) if source.kind() == ErrorKind::PermissionDenied => {
            Finding::good(check, "cannot be read; see the data folder")
        }
        Err(error) => Finding::failed(check, Trouble::StateDamaged, error.to_string()),
    }
}

fn writable(data: &Path) -> Finding {
    let check = "data folder";
    if let Err(error) = data_dir::check(data) {
        let trouble = match error.source.kind() {
            ErrorKind::PermissionDenied if error.has_list => Trouble::DataAcl,
            ErrorKind::PermissionDenied => Trouble::DataOwner,
            ErrorKind::StorageFull | ErrorKind::QuotaExceeded => Trouble::DiskFull,
            ErrorKind::ReadOnlyFilesystem => Trouble::DataReadOnly,
            _ => Trouble::DataUnusable,
        };
        return Finding::failed(check, trouble, error.to_string());
    }
    let Some(free) = free_bytes(data) else {
        return Finding::good(check, format!("{} can be written to", data.display()));
    };
    let (shown, megabytes) = (data.display(), free >> 20);
    let facts = json!({ "free_bytes": free });
    if free < LOW_BYTES {
        let told = format!(
            "{shown} can be written to, but has room for {megabytes} MB only, which a model or an upgrade may need: make \
             room there, or name another folder with --data or REHEARSEKIT_DATA"
        );
        return Finding::warning(check, Trouble::DiskLow, told).with(facts);
    }
    Finding::good(check, format!("{shown} can be written to, {megabytes} MB are free")).with(facts)
}

#[cfg(unix)]
fn free_bytes(data: &Path) -> Option<u64> {
    let found = rustix::fs::statvfs(data).ok()?;
    Some(found.f_bavail.saturating_mul(found.f_frsize))
}

#[cfg(not(unix))]
fn free_bytes(_data: &Path) -> Option<u64> {
    None
}

/// The user that the server runs as, as far as that shows.
#[cfg(unix)]
fn server_user(data: &Path) -> u32 {
    use std::os::unix::fs::MetadataExt as _;
    let owner = |path: &Path| std::fs::symlink_metadata(path).ok().map(|found| found.uid());
    let own = rustix::process::geteuid();
    if !own.is_root() {
        return own.as_raw();
    }
    // Root may look after another user's server; a volume may belong to root and be open to the server's group.
    owner(data).filter(|&uid| uid != 0).or_else(|| owner(&data.join("identity"))).unwrap_or(0)
}

/// What was made in the data folder while root looked at another user's models (locks, and what the device costs) is
/// given to that user, whose server could not use it otherwise.
#[cfg(unix)]
pub(crate) fn give_back(data: &Path) {
    use std::os::unix::fs::{MetadataExt as _, lchown};
    let server = server_user(data);
    if server == 0 || !rustix::process::geteuid().is_root() {
        return;
    }
    let made = ["models", "models/.lock", "runtime/.lock", "devices"].map(|name| data.join(name));
    let costs =
        std::fs::read_dir(data.join("devices")).into_iter().flatten().flatten().map(|entry| entry.path());
    for path in made.into_iter().chain(costs) {
        if std::fs::symlink_metadata(&path).is_ok_and(|found| found.uid() == 0) {
            // If it stays root's, the next look at the owners tells.
            let _ = lchown(&path, Some(server), None);
        }
    }
}

#[cfg(not(unix))]
pub(crate) fn give_back(_data: &Path) {}

/// Files that the server itself could not use, because somebody else made them: usually a command that ran as root.
#[cfg(unix)]
fn owners(data: &Path) -> Option<Finding> {
    use std::os::unix::fs::MetadataExt as _;
    let owner = |path: &Path| std::fs::symlink_metadata(path).ok().map(|found| found.uid());
    let server = server_user(data);
    let strange: Vec<PathBuf> =
        key_files(data).into_iter().filter(|path| owner(path).is_some_and(|uid| uid != server)).collect();
    let first = strange.first()?;
    let told = format!(
        "{} belongs to user {}, but the server's files to user {server}{}; a server of that user cannot use it. Try: chown \
         -R {server} {}",
        first.display(),
        owner(first).unwrap_or_default(),
        if strange.len() > 1 { format!(" (and {} more)", strange.len() - 1) } else { String::new() },
        data.display()
    );
    Some(Finding::failed("owner of the files", Trouble::DataOwner, told))
}

#[cfg(not(unix))]
fn owners(_data: &Path) -> Option<Finding> {
    None
}

/// A list that lets others into the folder and is handed on to all that is made in it. (Lists of the older kind never grant
/// more than the mode says.)
fn access_list(data: &Path) -> Option<Finding> {
    let list = rehearsekit_private::list_of(data).filter(|list| *list == List::Nfs4)?;
    let told = format!(
        "{} has an ACL that may let others change what is in it, whatever the modes say; it was taken off the files with keys. \
         To be rid of it, {}",
        data.display(),
        list.way()
    );
    Some(Finding::warning("access control list", Trouble::DataAcl, told))
}

/// What a server has to open to be itself.
fn key_files(data: &Path) -> Vec<PathBuf> {
    let in_folder = |folder: &Path| {
        let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
        entries.map(|entry| entry.path()).collect::<Vec<_>>()
    };
    let mut files: Vec<PathBuf> =
        ["identity", "models", "models/.lock", "runtime/.lock", "state.json", "server.toml", ".in-use"]
            .map(|name| data.join(name))
            .into();
    files.extend(in_folder(&data.join("identity")));
    files.extend(in_folder(&data.join("devices")));
    files
}

fn identity(data: &Path) -> Finding {
    let check = "server identity";
    if !data.join("identity/server.pem").exists() {
        return Finding::good(check, "none yet; the first start makes it");
    }
    match Identity::open(data) {
        Ok(identity) => Finding::good(check, format!("fingerprint {}", identity.fingerprint())),
        Err(IdentityError::Private(error)) => private(check, &error),
        Err(error) => Finding::failed(check, Trouble::StateDamaged, error.to_string()),
    }
}

fn clients(data: &Path) -> Finding {
    let check = "clients";
    match ClientBook::of(data).read() {
        Ok(clients) => {
            let paired = clients.iter().filter(|client| client.is_paired()).count();
            Finding::good(check, format!("{paired} paired")).with(json!({ "paired": paired }))
        }
        Err(error) => private(check, &error),
    }
}

fn private(check: &str, error: &PrivateError) -> Finding {
    let trouble = match error {
        PrivateError::Io { source, .. } => match source.kind() {
            ErrorKind::PermissionDenied => Trouble::DataOwner,
            ErrorKind::StorageFull | ErrorKind::QuotaExceeded => Trouble::DiskFull,
            _ => Trouble::DataUnusable,
        },
        PrivateError::Exposed { how, .. } | PrivateError::Open { how, .. } if how.list.is_some() => {
            Trouble::DataAcl
        }
        PrivateError::Exposed { .. } | PrivateError::Open { .. } => Trouble::KeyExposed,
        PrivateError::Newer { .. } => Trouble::StateNewer,
        PrivateError::Damaged { .. } => Trouble::StateDamaged,
        PrivateError::Locked { .. } => Trouble::DataUnusable,
    };
    Finding::failed(check, trouble, error.to_string())
}
