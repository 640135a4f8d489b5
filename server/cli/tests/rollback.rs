//! The way back from an update, as the guide tells it: a folder that a later version has changed is refused and left alone,
//! and the backup from before the update makes the older version the same server again.
#![cfg(unix)]
#![allow(clippy::unwrap_used)]

mod common;

use std::{fs, path::Path, process::Command};

use common::{Server, assert_refused, entries, json, linked_data, rehearsekit, stderr};

fn in_data(data: &Path, words: &[&str]) -> Command {
    let mut command = rehearsekit();
    command.arg("--data").arg(data).args(words);
    command
}

const SERVE: [&str; 6] = ["serve", "--json", "--listen", "127.0.0.1:0", "--http", "127.0.0.1:0"];

#[test]
fn a_folder_of_a_later_version_names_the_way_back_and_the_backup_from_before_is_it() {
    let folder = tempfile::tempdir().unwrap();
    let data = linked_data(folder.path());
    json(&in_data(&data, &["clients", "add", "drummer", "--json"]).output().unwrap());
    let before = Server::start_with(in_data(&data, &SERVE)).fingerprint.clone();
    let backup = folder.path().join("before.tar");
    let made = in_data(&data, &["backup", "--without-models"]).arg(&backup).output().unwrap();
    assert!(made.status.success(), "{}", stderr(&made));

    // The update changes the form of the folder.
    let later = r#"{"state": 2, "written_by": "9.0.0", "songs": "songs.db"}"#;
    fs::write(data.join("state.json"), later).unwrap();
    fs::write(data.join("songs.db"), "of a later form").unwrap();
    let all = entries(&data);
    let words = [
        "written by rehearsekit 9.0.0",
        "restore the backup from before the update",
        "--replace",
        "Nothing was changed",
    ];
    assert_refused(&in_data(&data, &SERVE[..1]).output().unwrap(), 2, &words);
    assert_eq!(
        (entries(&data), fs::read_to_string(data.join("state.json")).unwrap()),
        (all, later.to_owned())
    );

    // What the sentence and the guide say.
    let restored = in_data(&data, &["restore", "--replace"]).arg(&backup).output().unwrap();
    assert!(restored.status.success(), "{}", stderr(&restored));
    assert_eq!(Server::start_with(in_data(&data, &SERVE)).fingerprint, before);
    let clients = json(&in_data(&data, &["clients", "list", "--json"]).output().unwrap());
    assert!(clients.to_string().contains("drummer"), "{clients}");
    let kept = entries(&data).into_iter().find(|name| name.starts_with("replaced-")).unwrap();
    assert_eq!(fs::read_to_string(data.join(kept).join("state.json")).unwrap(), later);
}
