//! Data folders with access control lists: the real command in a folder as TrueNAS makes it with the preset *Apps* (played by
//! a file system of the tests'), and on this machine's own file system with POSIX lists. For root, as the other tests with
//! machines of their own.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a test says what it could not run")]

mod common;
#[path = "common/nas_folder.rs"]
mod nas_folder;

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use common::{Server, json, linked_data, rehearsekit, stderr};
use serde_json::Value;

const AT: [&str; 4] = ["--listen", "127.0.0.1:0", "--http", "127.0.0.1:0"];

fn in_data(data: &Path, words: &[&str]) -> Command {
    let mut command = rehearsekit();
    command.arg("--data").arg(data).args(words);
    command
}

fn serve(data: &Path) -> Command {
    let mut command = in_data(data, &["serve", "--json"]);
    command.args(AT);
    command
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

/// What the doctor calls wrong, by its name, with its verdict and its words.
fn doctor(data: &Path) -> Vec<(String, String, String)> {
    let output = in_data(data, &["doctor", "--json", "--quick"]).args(AT).output().unwrap();
    let told: Value =
        serde_json::from_slice(&output.stdout).unwrap_or_else(|e| panic!("{e}: {}", stderr(&output)));
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let wrong = told["checks"].as_array().unwrap().iter().filter(|check| check["id"].is_string());
    wrong.map(|check| (text(&check["id"]), text(&check["verdict"]), text(&check["detail"]))).collect()
}

/// A folder with models, and the same as a data set with an ACL.
fn data_set(top: &Path, may_strip: bool) -> Option<(PathBuf, fuser::BackgroundSession)> {
    if !rustix::process::geteuid().is_root() || !Path::new("/dev/fuse").exists() {
        println!("not run: it takes root and /dev/fuse to play a file system");
        return None;
    }
    let at = top.join("mounted");
    fs::create_dir(&at).unwrap();
    let mounted = nas_folder::mount(&linked_data(top), &at, may_strip);
    Some((at, mounted))
}

fn refused(output: &Output, words: &[&str]) {
    let said = stderr(output);
    assert!(!output.status.success() && !said.contains("panicked"), "{said}");
    for word in words {
        assert!(said.contains(word), "'{word}' is missing in: {said}");
    }
}

#[test]
fn a_first_start_takes_the_list_of_a_truenas_data_set_off_its_own_files() {
    let folder = tempfile::tempdir().unwrap();
    let Some((data, _mounted)) = data_set(folder.path(), true) else { return };
    let server = Server::start_with(serve(&data));
    json(&in_data(&data, &["clients", "add", "drummer", "--json"]).output().unwrap());
    drop(server);
    let made = ["identity/server.pem", "identity/clients.json", "identity/lock", "state.json"];
    for name in made {
        assert_eq!(mode(&data.join(name)), 0o600, "{name}");
        let mut names = [0; 100];
        assert_eq!(rustix::fs::listxattr(data.join(name), &mut names[..]).unwrap(), 0, "{name}");
    }
    assert_eq!(mode(&data.join("identity")), 0o700);
    // And once more, with what is there.
    drop(Server::start_with(serve(&data)));
    let backup = data.join("backup.tar");
    let made = in_data(&data, &["backup", "--without-models"]).arg(&backup).output().unwrap();
    assert!(made.status.success() && !stderr(&made).contains("warning"), "{}", stderr(&made));
    assert_eq!(mode(&backup), 0o600);
    // It works; but whoever is in the folder's own list could put another folder in the place of ours.
    let wrong = doctor(&data);
    let [(name, verdict, told)] = wrong.as_slice() else { panic!("{wrong:?}") };
    assert_eq!((name.as_str(), verdict.as_str()), ("data-acl", "warning"), "{told}");
    assert!(told.contains("press Strip ACL") && told.contains("Datasets"), "{told}");
}

#[test]
fn a_backup_is_restored_into_a_truenas_data_set() {
    let folder = tempfile::tempdir().unwrap();
    let Some((data, _mounted)) = data_set(folder.path(), true) else { return };
    drop(Server::start_with(serve(&data)));
    let backup = folder.path().join("backup.tar");
    let made = in_data(&data, &["backup", "--without-models"]).arg(&backup).output().unwrap();
    assert!(made.status.success(), "{}", stderr(&made));
    let new = data.join("new");
    let restored = in_data(&new, &["restore"]).arg(&backup).output().unwrap();
    assert!(restored.status.success(), "{}", stderr(&restored));
    assert_eq!((mode(&new), mode(&new.join("identity"))), (0o700, 0o700));
    assert_eq!(mode(&new.join("identity/server.pem")), 0o600);
}

#[test]
fn where_the_list_stays_the_way_to_strip_it_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let Some((data, _mounted)) = data_set(folder.path(), false) else { return };
    let strip = ["and an ACL)", "press Strip ACL", "Datasets, the data set, Permissions, Edit"];
    let output = serve(&data).output().unwrap();
    refused(&output, &strip);
    assert_eq!(
        output.status.code(),
        Some(2),
        "it does not get better by starting again: {}",
        stderr(&output)
    );
    assert!(doctor(&data).iter().any(|(name, verdict, told)| {
        name == "data-acl" && verdict == "failed" && told.contains("server.pem") && told.contains("Strip ACL")
    }));
    // A backup that goes there is made all the same, and said to be open.
    let good = folder.path().join("good");
    fs::create_dir(&good).unwrap();
    json(&in_data(&good, &["clients", "add", "x", "--json"]).output().unwrap());
    rehearsekit_server::identity::Identity::open(&good).unwrap();
    let made = in_data(&good, &["backup", "--without-models"]).arg(data.join("backup.tar")).output().unwrap();
    assert!(made.status.success(), "{}", stderr(&made));
    assert!(stderr(&made).contains("warning: ") && stderr(&made).contains("Strip ACL"), "{}", stderr(&made));
    // And so is a player's list of servers.
    let config = data.join("config/rehearsekit");
    fs::create_dir_all(&config).unwrap();
    fs::write(config.join("servers.json"), r#"{"version": 1, "servers": []}"#).unwrap();
    let mut asked = rehearsekit();
    asked.env("XDG_CONFIG_HOME", data.join("config")).args(["doctor", "--server", "closet", "--json"]);
    let output = asked.output().unwrap();
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(told.contains("pairings-unusable") && told.contains("Strip ACL"), "{told} {}", stderr(&output));
}

#[test]
fn entries_that_an_ordinary_folder_hands_on_open_nothing_and_a_list_of_a_key_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let data = linked_data(folder.path());
    let entries = |words: &[&str], path: &Path| {
        let set = Command::new("setfacl").args(words).arg(path).status().unwrap();
        assert!(set.success(), "{words:?}");
    };
    entries(&["--default", "--modify", "user:1234:rwx,group::rwx,mask::rwx"], &data);
    drop(Server::start_with(serve(&data)));
    let key = data.join("identity/server.pem");
    let shown = Command::new("getfacl").args(["--omit-header", "--numeric"]).arg(&key).output().unwrap();
    let shown = String::from_utf8(shown.stdout).unwrap();
    assert_eq!(mode(&key), 0o600);
    assert_eq!(shown.trim(), "user::rw-\ngroup::---\nother::---", "nothing was handed on");
    assert_eq!(doctor(&data), []);
    entries(&["--modify", "user:1234:r"], &key);
    let output = serve(&data).output().unwrap();
    refused(&output, &["server.pem can be read by others (mode 0640, and an ACL)", "setfacl --recursive"]);
    assert!(doctor(&data).iter().any(|(name, verdict, _)| name == "data-acl" && verdict == "failed"));
}
