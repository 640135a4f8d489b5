//! Puts a backup into a data folder: everything is unpacked beside, out of sight, and checked there (names, checksums,
//! versions, and whether a server could start with it) before anything is moved into place. An archive is a stranger's
//! until then: only plain files at the places that a backup has are taken.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{self, Read},
    path::{Component, Path, PathBuf},
};

use rehearsekit_models::{
    fetch::{Cancel, FetchError, copy_checked},
    store::{Store, StoreError},
};
use rehearsekit_private::{self as closed, Danger};
use tempfile::TempDir;

use super::{BackupError, FORMAT, HEAD, Head, MOST_TEXT_BYTES, Progress, SUMS, platform};
use crate::{
    clients::ClientBook,
    config::{Config, Flag, SETTINGS, Sources, Value},
    identity::{Fingerprint, Identity},
    layout::{self, LAYOUT},
    private,
};

const MOST_FILES: usize = 1024;
const STAGING: &str = ".restoring-";
/// What a backup always brings or takes away, and what it only brings.
const ALWAYS: [&str; 3] = ["identity", SETTINGS, layout::FILE];
const IF_BROUGHT: [&str; 3] = ["devices", "runtime", "models"];

/// What was put in place.
#[derive(Debug, Clone)]
pub struct Restored {
    /// Whose it is.
    pub fingerprint: Fingerprint,
    /// Clients that are paired.
    pub clients: usize,
    /// Models that are there now.
    pub models: Vec<String>,
    /// Whether it brought settings.
    pub settings: bool,
    /// The version that made the backup, and when, in seconds since 1970.
    pub made_by: (String, u64),
    /// Where that is which was there before.
    pub replaced: Option<PathBuf>,
    /// ONNX Runtime was left out, because it is for such machines.
    pub other_platform: Option<String>,
}

/// Restores the backup that `from` gives into the folder `data`. What is there already is only touched with `replace`,
/// and then kept in a folder beside. `total` is the archive's length, if known.
///
/// # Errors
/// When a server is at work there, the folder is not empty, or the archive is not a whole, sound backup of this version
/// or an earlier one. Nothing has been changed then.
pub fn restore(
    data: &Path,
    from: impl Read,
    replace: bool,
    total: Option<u64>,
    cancel: &Cancel,
    progress: &mut Progress<'_>,
) -> Result<Restored, BackupError> {
    private::make_folder(data)?;
    let _alone = layout::alone(data)?;
    sweep(data);
    if !replace {
        check_empty(data)?;
    }
    let staged = tempfile::Builder::new().prefix(STAGING).tempdir_in(data).map_err(io_error(data))?;
    owner_only(staged.path(), Danger::Replace)?;
    belong(data, staged.path());
    let head = unpack(staged.path(), from, cancel, &mut |done| progress(done, total))?;
    let mut restored = check(staged.path(), head)?;
    restored.replaced = place(&staged, data)?;
    Ok(restored)
}

fn io_error(path: &Path) -> impl FnOnce(io::Error) -> FetchError {
    let path = path.to_owned();
    move |source| FetchError::Io { path, source }
}

/// Removes what a killed restore left.
fn sweep(data: &Path) {
    for entry in fs::read_dir(data).into_iter().flatten().flatten() {
        if entry.file_name().to_string_lossy().starts_with(STAGING) {
            // If it stays, it is only in the way of who counts bytes.
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

fn check_empty(data: &Path) -> Result<(), BackupError> {
    let entries = fs::read_dir(data).map_err(io_error(data))?;
    let names = entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned());
    // The first is ours since a moment ago, the second every new ext4 volume has.
    let mut there: Vec<String> =
        names.filter(|name| name != layout::IN_USE && name != "lost+found").collect();
    there.sort();
    if there.is_empty() {
        return Ok(());
    }
    let more = if there.len() > 4 { ", …" } else { "" };
    there.truncate(4);
    Err(BackupError::NotEmpty { path: data.to_owned(), holds: there.join(", ") + more })
}

/// As the folder above it: who restores as root restores for the folder's owner.
fn belong(above: &Path, path: &Path) {
    if let Ok(file) = File::open(path) {
        private::belong_with(above, &file);
    }
}

/// Unpacks the archive into `staged`, whole and as its checksums say, and gives its head.
fn unpack(
    staged: &Path,
    from: impl Read,
    cancel: &Cancel,
    progress: &mut dyn FnMut(u64),
) -> Result<Head, BackupError> {
    let mut tar = tar::Archive::new(from);
    let (mut head, mut promised) = (None, None);
    let mut found: BTreeMap<String, String> = BTreeMap::new();
    let broken = |error: io::Error| match error.kind() {
        io::ErrorKind::UnexpectedEof | io::ErrorKind::Other | io::ErrorKind::InvalidData => {
            BackupError::no(error.to_string())
        }
        _ => BackupError::Archive { what: "read", source: error },
    };
    for (count, entry) in tar.entries().map_err(broken)?.enumerate() {
        let mut entry = entry.map_err(broken)?;
        progress(entry.raw_file_position());
        let path = entry.path().map_err(broken)?.into_owned();
        let Some(parts) = place_of(&path) else {
            return Err(BackupError::no(format!("it holds {}, which no backup does", path.display())));
        };
        let name = parts.join("/");
        if !entry.header().entry_type().is_file() || count >= MOST_FILES || promised.is_some() {
            return Err(BackupError::no(format!("{name} is no plain file, or one too many")));
        }
        if (name == HEAD) == head.is_some() {
            return Err(BackupError::no(format!("{HEAD} does not stand at its beginning")));
        }
        if !matches!(parts[0].as_str(), "models" | "runtime") && entry.size() > MOST_TEXT_BYTES {
            return Err(BackupError::no(format!("{name} is too long")));
        }
        if name == SUMS {
            let mut text = String::new();
            entry.read_to_string(&mut text).map_err(broken)?;
            promised = Some(text);
            continue;
        }
        let to = staged.join(&name);
        make_folders(staged, &to)?;
        let size = entry.size();
        let mut bytes = &mut entry;
        let sha256 = copy_checked(&mut bytes, &to, cancel)?;
        if fs::metadata(&to).map_err(io_error(&to))?.len() != size {
            return Err(BackupError::no(format!("it is cut short within {name}")));
        }
        if parts[0] == "identity" {
            owner_only(&to, Danger::Use)?;
        }
        belong(to.parent().unwrap_or(staged), &to);
        if name == HEAD {
            // At once: of a later form nothing else may be understood.
            head = Some(read_head(&to)?);
        }
        found.insert(name, sha256);
    }
    let promised = promised.ok_or_else(|| BackupError::no("it is cut short: its checksums are missing"))?;
    check_sums(&promised, &found)?;
    fs::remove_file(staged.join(HEAD)).map_err(io_error(staged))?;
    head.ok_or_else(|| BackupError::no(format!("{HEAD} is missing")))
}

/// The parts of a path that a backup may hold.
fn place_of(path: &Path) -> Option<Vec<String>> {
    let parts = path.components().map(|part| match part {
        Component::Normal(name) => name.to_str().map(str::to_owned),
        _ => None,
    });
    let parts = parts.take(4).collect::<Option<Vec<_>>>()?;
    let plain = |name: &str| {
        let known = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
        name.len() <= 128 && !name.starts_with('.') && name.bytes().all(known)
    };
    let fits = match parts.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [file] => [HEAD, SUMS, SETTINGS].contains(&file),
        ["identity", file] => ["server.pem", "clients.json"].contains(&file),
        ["devices", file] => plain(file),
        ["models" | "runtime", name, file] => plain(name) && plain(file),
        _ => false,
    };
    fits.then_some(parts)
}

fn make_folders(staged: &Path, to: &Path) -> Result<(), FetchError> {
    let above: Vec<&Path> = to.ancestors().skip(1).take_while(|folder| *folder != staged).collect();
    for folder in above.into_iter().rev() {
        if !folder.is_dir() {
            fs::create_dir(folder).map_err(io_error(folder))?;
            if folder.parent() == Some(staged) && folder.file_name().is_some_and(|name| name == "identity") {
                owner_only(folder, Danger::Replace)?;
            }
            belong(folder.parent().unwrap_or(staged), folder);
        }
    }
    Ok(())
}

/// For what was unpacked just now, or a folder made for it.
fn owner_only(path: &Path, danger: Danger) -> Result<(), FetchError> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        let mode = if danger == Danger::Use { 0o600 } else { 0o700 };
        // Where nothing keeps modes, the look at what was unpacked tells.
        let _ = fs::set_permissions(path, fs::Permissions::from_mode(mode));
        closed::close(&File::open(path).map_err(io_error(path))?, danger);
    }
    #[cfg(not(unix))]
    let _ = (path, danger);
    Ok(())
}

fn read_head(path: &Path) -> Result<Head, BackupError> {
    let text = fs::read(path).map_err(io_error(path))?;
    let head: Head = serde_json::from_slice(&text).map_err(|error| BackupError::no(error.to_string()))?;
    if head.format > FORMAT || head.state > LAYOUT {
        return Err(BackupError::Newer(head.written_by));
    }
    Ok(head)
}

/// Every file that is promised is there as promised, and no other.
fn check_sums(promised: &str, found: &BTreeMap<String, String>) -> Result<(), BackupError> {
    let lines: Option<BTreeMap<String, String>> = promised
        .lines()
        .map(|line| line.split_once("  ").map(|(sum, name)| (name.to_owned(), sum.to_owned())))
        .collect();
    let promised = lines.ok_or_else(|| BackupError::no(format!("{SUMS} is damaged")))?;
    for (name, sum) in &promised {
        match found.get(name) {
            Some(is) if is == sum => {}
            Some(_) => return Err(BackupError::no(format!("{name} is damaged (its SHA-256 is another)"))),
            None => return Err(BackupError::no(format!("{name} is missing"))),
        }
    }
    match found.keys().find(|name| !promised.contains_key(*name)) {
        Some(stray) => Err(BackupError::no(format!("{stray} is not in its list"))),
        None => Ok(()),
    }
}

/// Whether a server could start with what was unpacked, and who it would be.
fn check(staged: &Path, head: Head) -> Result<Restored, BackupError> {
    if !private::folder(staged).join("server.pem").is_file() {
        return Err(BackupError::no("the server's key is missing"));
    }
    let fingerprint = Identity::open(staged)?.fingerprint();
    let clients = ClientBook::of(staged).read()?.iter().filter(|client| client.is_paired()).count();
    let settings = staged.join(SETTINGS);
    let has_settings = settings.is_file();
    if has_settings {
        let data = Value::Text(staged.display().to_string());
        let flags = vec![Flag { name: "--data".to_owned(), key: "data".to_owned(), value: data }];
        Config::load(&Sources { file: Some(settings), flags, ..Sources::default() })?;
    }
    let mut models = Vec::new();
    for entry in fs::read_dir(staged.join("models")).into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        Store::open(staged).and_then(|store| store.installed(&name)).map_err(|error| match error {
            StoreError::Fetch(error) => BackupError::Fetch(error),
            error => BackupError::no(error.to_string()),
        })?;
        models.push(name);
    }
    models.sort();
    // Opening the store left its lock, which is the server's own to make.
    let _ = fs::remove_file(staged.join("models/.lock"));
    let is_other = head.platform != platform() && staged.join("runtime").is_dir();
    if is_other {
        fs::remove_dir_all(staged.join("runtime")).map_err(io_error(staged))?;
    }
    // An older state stays what it is: the server brings it up to date when it starts.
    layout::write(staged, head.state, &head.written_by)?;
    Ok(Restored {
        fingerprint,
        clients,
        models,
        settings: has_settings,
        made_by: (head.written_by, head.made_at),
        replaced: None,
        other_platform: is_other.then_some(head.platform),
    })
}

/// Moves everything into place, the identity first: a server that starts without it would become another one. What was
/// there goes into a folder of its own, whose path is given.
fn place(staged: &TempDir, data: &Path) -> Result<Option<PathBuf>, FetchError> {
    let brings = |name: &&str| staged.path().join(name).exists();
    let coming: Vec<&str> = ALWAYS.into_iter().chain(IF_BROUGHT.into_iter().filter(brings)).collect();
    let mut replaced = None;
    for name in &coming {
        let (new, there) = (staged.path().join(name), data.join(name));
        if there.exists() {
            let kept = match &replaced {
                Some(kept) => kept,
                None => replaced.insert(keep(data)?),
            };
            fs::rename(&there, kept.join(name)).map_err(io_error(&there))?;
        }
        if new.exists() {
            fs::rename(&new, &there).map_err(io_error(&there))?;
        }
    }
    let folder = File::open(data).map_err(io_error(data))?;
    folder.sync_all().map_err(io_error(data))?;
    Ok(replaced)
}

/// A new folder for what was there; it holds a key, so it is its owner's alone.
fn keep(data: &Path) -> Result<PathBuf, FetchError> {
    let prefix = format!("replaced-{}-", private::unix_now());
    let kept = tempfile::Builder::new().prefix(&prefix).tempdir_in(data).map_err(io_error(data))?.keep();
    owner_only(&kept, Danger::Replace)?;
    belong(data, &kept);
    Ok(kept)
}
