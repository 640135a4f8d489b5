//! Makes a backup while servers and commands go on: small files are read under the lock under which they are changed,
//! models and their library while nobody may replace them, every file through one open handle.

use std::{
    fs::{self, File},
    io::{self, Read, Write},
    path::{Path, PathBuf},
};

use rehearsekit_models::{
    fetch::{Cancel, FetchError, runtime},
    store::{Store, StoreError},
};
use sha2::{Digest as _, Sha256};

use super::{BackupError, FORMAT, HEAD, Head, Progress, SUMS, platform};
use crate::{
    clients::ClientBook,
    config::{Config, Origin, SETTINGS},
    hex,
    identity::{Fingerprint, Identity},
    layout::{self, LAYOUT, PROGRAM},
    private::{self, Lock},
};

/// What is in a backup that was made.
#[derive(Debug, Clone)]
pub struct BackedUp {
    /// Whose it is.
    pub fingerprint: Fingerprint,
    /// Clients that are paired.
    pub clients: usize,
    /// Models that went along.
    pub models: Vec<String>,
    /// Settings that went along.
    pub settings: usize,
    /// Bytes of all files, without what the archive adds.
    pub bytes: u64,
}

enum Content {
    Bytes(Vec<u8>),
    File(PathBuf),
}

/// A file on its way into the archive.
struct Item {
    path: String,
    content: Content,
    mode: u32,
}

impl Item {
    fn bytes(path: &str, bytes: impl Into<Vec<u8>>, mode: u32) -> Self {
        Self { path: path.to_owned(), content: Content::Bytes(bytes.into()), mode }
    }

    fn file(path: String, file: PathBuf) -> Self {
        Self { path, content: Content::File(file), mode: 0o644 }
    }

    fn len(&self) -> Result<u64, FetchError> {
        match &self.content {
            Content::Bytes(bytes) => Ok(bytes.len() as u64),
            Content::File(path) => Ok(fs::metadata(path).map_err(io_error(path))?.len()),
        }
    }
}

fn io_error(path: &Path) -> impl FnOnce(io::Error) -> FetchError {
    let path = path.to_owned();
    move |source| FetchError::Io { path, source }
}

/// Writes a backup of the server whose configuration this is to `out`, models and ONNX Runtime only `with_models`.
///
/// # Errors
/// When no server has ever started with this data folder, a file in it is damaged or of a later version, or `out` takes
/// no more. What was written by then is no backup.
pub fn back_up(
    config: &Config,
    with_models: bool,
    out: impl Write,
    cancel: &Cancel,
    progress: &mut Progress<'_>,
) -> Result<BackedUp, BackupError> {
    let data = &config.data;
    layout::check(data)?;
    let (mut items, mut done) = private_items(data)?;
    let settings: Vec<String> = config
        .show()
        .into_iter()
        // Where the data is, is the other machine's business.
        .filter(|row| row.origin != Origin::Default && row.key != "data")
        .map(|row| {
            let origin = row.origin.to_string().replace(char::is_control, " ");
            format!("# from {origin}\n{} = {}\n", row.key, row.value)
        })
        .collect();
    if !settings.is_empty() {
        done.settings = settings.len();
        items.push(Item::bytes(SETTINGS, settings.concat(), 0o644));
    }
    items.extend(files(&data.join("devices"), "devices")?);
    let has_models = with_models && data.join("models").is_dir();
    let store = has_models.then(|| Store::open(data)).transpose().map_err(BackupError::Model)?;
    let _held = store.as_ref().map(|store| store.hold(cancel)).transpose().map_err(BackupError::Model)?;
    if let Some(store) = &store {
        for listed in store.list().map_err(BackupError::Model)? {
            let name = listed.manifest.name;
            let installed = match store.installed(&name) {
                Err(StoreError::NotInstalled { .. }) => continue,
                installed => installed.map_err(BackupError::Model)?,
            };
            installed.verify(cancel, &mut |_| {}).map_err(BackupError::Model)?;
            items.extend(files(&installed.dir, &format!("models/{name}"))?);
            done.models.push(name);
        }
        for path in runtime::stored_files(data)? {
            let inside = path.strip_prefix(data).unwrap_or(&path).to_string_lossy().into_owned();
            items.push(Item::file(inside, path));
        }
    }
    let total = items.iter().map(Item::len).sum::<Result<u64, _>>()?;
    done.bytes = pack(&items, out, cancel, &mut |bytes| progress(bytes, Some(total)))?;
    Ok(done)
}

/// What its owner alone may read, and who that is.
fn private_items(data: &Path) -> Result<(Vec<Item>, BackedUp), BackupError> {
    let folder = private::folder(data);
    let key = folder.join("server.pem");
    if !key.exists() {
        return Err(BackupError::Nothing(data.to_owned()));
    }
    let _lock = Lock::take(&folder)?;
    // What cannot be used here must not become somebody's only copy.
    let fingerprint = Identity::open(data)?.fingerprint();
    let book = ClientBook::of(data);
    let clients = book.read()?.iter().filter(|client| client.is_paired()).count();
    let mut items = vec![Item::bytes("identity/server.pem", private::read(&key)?.unwrap_or_default(), 0o600)];
    if let Some(bytes) = private::read(&folder.join("clients.json"))? {
        items.push(Item::bytes("identity/clients.json", bytes, 0o600));
    }
    Ok((items, BackedUp { fingerprint, clients, models: Vec::new(), settings: 0, bytes: 0 }))
}

/// The plain files in `folder`, for the archive's folder `inside`; none where there is no such folder.
fn files(folder: &Path, inside: &str) -> Result<Vec<Item>, FetchError> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(io_error(folder)(error)),
    };
    let mut items = Vec::new();
    for entry in entries {
        let path = entry.map_err(io_error(folder))?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        // Hidden: a lock, or half of something.
        if !name.starts_with('.') && path.is_file() {
            items.push(Item::file(format!("{inside}/{name}"), path));
        }
    }
    items.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(items)
}

/// Writes the archive; how many bytes of files it holds.
fn pack(
    items: &[Item],
    out: impl Write,
    cancel: &Cancel,
    progress: &mut dyn FnMut(u64),
) -> Result<u64, BackupError> {
    let made_at = private::unix_now();
    let head =
        Head { format: FORMAT, state: LAYOUT, written_by: PROGRAM.to_owned(), made_at, platform: platform() };
    let head = serde_json::to_vec_pretty(&head).map_err(|error| write_error(error.into()))?;
    let mut tar = tar::Builder::new(out);
    let (mut sums, mut bytes) = (String::new(), 0);
    for item in [&Item::bytes(HEAD, head, 0o644)].into_iter().chain(items) {
        if cancel.is_cancelled() {
            return Err(BackupError::Stopped);
        }
        let (sha256, len) = append(&mut tar, item, made_at, &mut |more| progress(bytes + more))?;
        bytes += len;
        sums += &format!("{sha256}  {}\n", item.path);
    }
    append(&mut tar, &Item::bytes(SUMS, sums, 0o644), made_at, &mut |_| {})?;
    tar.into_inner().and_then(|mut out| out.flush()).map_err(write_error)?;
    Ok(bytes)
}

fn write_error(source: io::Error) -> BackupError {
    BackupError::Archive { what: "write", source }
}

/// Appends one file; its SHA-256 and its length.
fn append(
    tar: &mut tar::Builder<impl Write>,
    item: &Item,
    made_at: u64,
    progress: &mut dyn FnMut(u64),
) -> Result<(String, u64), BackupError> {
    let (from, len): (Box<dyn Read + '_>, u64) = match &item.content {
        Content::Bytes(bytes) => (Box::new(&bytes[..]), bytes.len() as u64),
        Content::File(path) => {
            let file = File::open(path).map_err(io_error(path))?;
            let len = file.metadata().map_err(io_error(path))?.len();
            (Box::new(file.take(len)), len)
        }
    };
    let mut header = tar::Header::new_gnu();
    header.set_size(len);
    header.set_mode(item.mode);
    header.set_mtime(made_at);
    let mut from = Hashed { from, sha256: Sha256::new(), bytes: 0, progress };
    tar.append_data(&mut header, &item.path, &mut from).map_err(write_error)?;
    if from.bytes != len {
        let cut = io::Error::other(format!("{} became shorter meanwhile; try again", item.path));
        return Err(write_error(cut));
    }
    Ok((hex::hex(&from.sha256.finalize()), len))
}

/// Passes on what it reads, and hashes it.
struct Hashed<'a> {
    from: Box<dyn Read + 'a>,
    sha256: Sha256,
    bytes: u64,
    progress: &'a mut dyn FnMut(u64),
}

impl Read for Hashed<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.from.read(buffer)?;
        self.sha256.update(&buffer[..count]);
        self.bytes += count as u64;
        (self.progress)(self.bytes);
        Ok(count)
    }
}
