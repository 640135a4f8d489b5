//! Backups there and back, and what archives of strangers and halves of them may not do.

use std::{
    collections::BTreeMap,
    ffi::OsString,
    fs,
    path::{Path, PathBuf},
};

use rehearsekit_models::fetch::Cancel;
use rehearsekit_protocol::Token;
use sha2::{Digest as _, Sha256};
use tempfile::TempDir;

use super::*;
use crate::{
    clients::{Belongs, ClientBook, who},
    config::{Config, Sources},
    hex, layout,
    pairing::PairingDesk,
};

/// The configuration of a server whose data is there, with these settings in its environment.
fn config(data: &Path, settings: &[(&str, &str)]) -> Config {
    let mut environment: BTreeMap<OsString, OsString> =
        settings.iter().map(|(name, value)| (name.into(), value.into())).collect();
    environment.insert("REHEARSEKIT_DATA".into(), data.into());
    Config::load(&Sources { environment, ..Sources::default() }).unwrap()
}

fn pack(config: &Config) -> Vec<u8> {
    let mut bytes = Vec::new();
    back_up(config, true, &mut bytes, &Cancel::new(), &mut |_, _| {}).unwrap();
    bytes
}

fn unpack(data: &Path, bytes: &[u8], replace: bool) -> Result<Restored, BackupError> {
    restore(data, bytes, replace, None, &Cancel::new(), &mut |_, _| {})
}

/// A server's folder with a paired client, whose token is given, and a backup of it.
fn house() -> (TempDir, Token, Vec<u8>) {
    let data = tempfile::tempdir().unwrap();
    crate::identity::Identity::open(data.path()).unwrap();
    let (_, token) = ClientBook::of(data.path()).add("drummer's laptop").unwrap();
    PairingDesk::of(data.path()).show().unwrap();
    fs::create_dir(data.path().join("devices")).unwrap();
    fs::write(data.path().join("devices/some-processor.toml"), "device = \"some processor\"").unwrap();
    fs::write(data.path().join("devices/.half"), "dev").unwrap();
    let config = config(
        data.path(),
        &[("REHEARSEKIT_LISTEN", "0.0.0.0:7433"), ("REHEARSEKIT_HTTP_HOSTS", "nas.local,closet")],
    );
    let bytes = pack(&config);
    (data, token, bytes)
}

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name != layout::IN_USE)
        .collect();
    names.sort();
    names
}

#[test]
fn an_empty_folder_becomes_the_same_server() {
    let (old, token, bytes) = house();
    let new = tempfile::tempdir().unwrap();
    let place = new.path().join("volume");
    let restored = unpack(&place, &bytes, false).unwrap();
    let fingerprint = |data: &Path| crate::identity::Identity::open(data).unwrap().fingerprint();
    assert_eq!(
        (fingerprint(&place), restored.fingerprint),
        (fingerprint(old.path()), fingerprint(old.path()))
    );
    let clients = ClientBook::of(&place).read().unwrap();
    assert!(matches!(who(&clients, &token), Belongs::To(client) if client.name == "drummer's laptop"));
    assert_eq!((restored.clients, restored.settings, restored.replaced), (1, true, None));
    // Nothing but the folder is said, and the settings are there.
    let now = config(&place, &[]);
    assert_eq!(now.listen.to_string(), "0.0.0.0:7433");
    assert_eq!(now.http_hosts, ["nas.local", "closet"]);
    assert_eq!(now.data, place);
    assert_eq!(names(&place), ["devices", "identity", "server.toml", "state.json"]);
    assert_eq!(names(&place.join("devices")), ["some-processor.toml"]);
    assert_eq!(
        names(&place.join("identity")),
        ["clients.json", "server.pem"],
        "codes and locks stay at home"
    );
    assert_eq!(layout::check(&place).unwrap(), Some(layout::LAYOUT));
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        let mode = |path: &str| fs::metadata(place.join(path)).unwrap().permissions().mode() & 0o7777;
        assert_eq!((mode("identity"), mode("identity/server.pem")), (0o700, 0o600));
    }
}

#[test]
fn what_is_there_is_only_replaced_when_that_is_said_and_then_kept() {
    let (old, _, bytes) = house();
    let there = crate::identity::Identity::open(old.path()).unwrap().fingerprint();
    let told = unpack(old.path(), &bytes, false).unwrap_err().to_string();
    assert!(
        told.contains("is not empty (it holds devices, identity") && told.contains("--replace"),
        "{told}"
    );
    let (other, _, _) = house();
    fs::write(other.path().join("song.flac"), "la").unwrap();
    let before = crate::identity::Identity::open(other.path()).unwrap().fingerprint();
    let running = layout::open(other.path()).unwrap();
    let told = unpack(other.path(), &bytes, true).unwrap_err().to_string();
    assert!(told.contains("a server is at work in") && told.contains("stop it"), "{told}");
    drop(running);
    let kept = unpack(other.path(), &bytes, true).unwrap().replaced.unwrap();
    assert_eq!(crate::identity::Identity::open(other.path()).unwrap().fingerprint(), there);
    assert_eq!(crate::identity::Identity::open(&kept).unwrap().fingerprint(), before);
    assert!(other.path().join("song.flac").exists());
}

/// The files of an archive, in order.
fn entries(bytes: &[u8]) -> Vec<(String, Vec<u8>)> {
    let mut tar = tar::Archive::new(bytes);
    let read = |entry: io::Result<tar::Entry<'_, &[u8]>>| {
        let mut entry = entry.unwrap();
        let mut content = Vec::new();
        io::Read::read_to_end(&mut entry, &mut content).unwrap();
        (entry.path().unwrap().to_str().unwrap().to_owned(), content)
    };
    tar.entries().unwrap().map(read).collect()
}

/// An archive of these files, names written as they are, checksums made anew.
fn archive(files: &[(String, Vec<u8>)], kind: tar::EntryType) -> Vec<u8> {
    let mut files: Vec<_> = files.iter().filter(|(name, _)| name != SUMS).cloned().collect();
    let sums: String = files
        .iter()
        .map(|(name, content)| format!("{}  {name}\n", hex::hex(&Sha256::digest(content))))
        .collect();
    files.push((SUMS.to_owned(), sums.into_bytes()));
    let mut tar = tar::Builder::new(Vec::new());
    for (name, content) in files {
        let mut header = tar::Header::new_gnu();
        header.as_gnu_mut().unwrap().name[..name.len()].copy_from_slice(name.as_bytes());
        header.set_size(content.len() as u64);
        header.set_mode(0o777);
        header.set_entry_type(if name.ends_with("odd") { kind } else { tar::EntryType::Regular });
        header.set_cksum();
        tar.append(&header, &content[..]).unwrap();
    }
    tar.into_inner().unwrap()
}

fn refused(bytes: &[u8], words: &str) {
    let above = tempfile::tempdir().unwrap();
    let data: PathBuf = above.path().join("data");
    let told = unpack(&data, bytes, false).unwrap_err().to_string();
    assert!(told.contains(words), "'{words}' is missing in: {told}");
    assert_eq!(names(&data), Vec::<String>::new(), "{told}");
    assert_eq!(names(above.path()), ["data"], "{told}");
}

#[test]
fn half_of_an_archive_or_a_changed_one_changes_nothing() {
    let (_old, _, bytes) = house();
    let files = entries(&bytes);
    assert_eq!((files[0].0.as_str(), files.last().unwrap().0.as_str()), (HEAD, SUMS));
    for length in (0..bytes.len()).step_by(512) {
        // After the checksums come only zeros.
        if length + 1536 < bytes.len() {
            let above = tempfile::tempdir().unwrap();
            let told = unpack(above.path(), &bytes[..length], false).unwrap_err();
            assert!(told.is_bad_input(), "{length}: {told}");
            assert_eq!(names(above.path()), Vec::<String>::new(), "{length}");
        }
    }
    let at = bytes.windows(9).position(|bytes| bytes == b"CERTIFICA").unwrap();
    let mut changed = bytes.clone();
    changed[at + 60] ^= 1;
    refused(&changed, "identity/server.pem is damaged (its SHA-256 is another)");
    refused(b"no archive at all", "");
    refused(&[], "cut short");
}

#[test]
fn only_what_a_backup_has_is_taken_from_a_stranger() {
    let (_old, _, bytes) = house();
    let good = entries(&bytes);
    let with = |name: &str, content: &str| {
        let mut files = good.clone();
        files.push((name.to_owned(), content.as_bytes().to_vec()));
        files
    };
    for name in [
        "../escaped",
        "/escaped",
        "identity/../../escaped",
        "identity/pairing.json",
        "models/.hidden/x",
        "models/a/b/c",
        "models/x",
        "songs/song.flac",
        "replaced-1/x",
        ".in-use",
    ] {
        refused(&archive(&with(name, "x"), tar::EntryType::Regular), "which no backup does");
    }
    for kind in
        [tar::EntryType::Symlink, tar::EntryType::Link, tar::EntryType::Fifo, tar::EntryType::Directory]
    {
        refused(&archive(&with("models/m/odd", ""), kind), "no plain file");
    }
    refused(&archive(&with("models/m/x", "x"), tar::EntryType::Regular), "no model named m");
    refused(&archive(&with("identity/server.pem", "x"), tar::EntryType::Regular), "");
    refused(&archive(&with("devices/x", &"x".repeat(2 << 20)), tar::EntryType::Regular), "too long");
    refused(&archive(&good[1..], tar::EntryType::Regular), "does not stand at its beginning");
    let without = |name: &str| good.iter().filter(|(n, _)| n != name).cloned().collect::<Vec<_>>();
    refused(
        &archive(&without("identity/server.pem"), tar::EntryType::Regular),
        "the server's key is missing",
    );
    let changed = |name: &str, from: &str, to: &str| {
        let change = |(n, content): (String, Vec<u8>)| {
            let text = String::from_utf8_lossy(&content).replace(from, to).into_bytes();
            if n == name { (n, text) } else { (n, content) }
        };
        archive(&good.clone().into_iter().map(change).collect::<Vec<_>>(), tar::EntryType::Regular)
    };
    refused(&changed(SETTINGS_NAME, "listen", "glisten"), "unknown key 'glisten'");
    refused(&changed("identity/clients.json", "token_sha256", "token"), "is damaged");
    let version = format!("\"written_by\": \"{PROGRAM}\"");
    let newer = changed(HEAD, &version, "\"written_by\": \"7.0\"");
    assert!(unpack(tempfile::tempdir().unwrap().path(), &newer, false).is_ok(), "a word alone is no version");
    for key in ["format", "state"] {
        let told = changed(HEAD, &format!("\"{key}\": 1"), &format!("\"{key}\": 2"));
        refused(&told, "restore it with");
    }
}

const SETTINGS_NAME: &str = crate::config::SETTINGS;

#[test]
fn there_is_no_backup_of_what_could_not_be_restored() {
    let data = tempfile::tempdir().unwrap();
    let back = |data: &Path| {
        back_up(&config(data, &[]), true, Vec::new(), &Cancel::new(), &mut |_, _| {}).unwrap_err().to_string()
    };
    assert!(back(data.path()).contains("no server has started there"));
    assert_eq!(names(data.path()), Vec::<String>::new());
    let (house, _, _) = house();
    fs::write(house.path().join("identity/clients.json"), "{}").unwrap();
    assert!(back(house.path()).contains("clients.json is damaged"));
    fs::write(house.path().join(layout::FILE), r#"{"state": 9, "written_by": "9.0"}"#).unwrap();
    assert!(back(house.path()).contains("run 9.0 or later"));
}
