//! The list of paired servers, in real files.

use super::*;

fn folder() -> tempfile::TempDir {
    tempfile::tempdir().unwrap()
}

fn pairing(number: u8) -> NewPairing {
    NewPairing {
        fingerprint: Fingerprint([number; 32]),
        token: Token([number + 100; 32]),
        server_name: format!("closet {number}"),
        address: "[fe80::1%2]:7433".to_owned(),
    }
}

#[test]
fn what_is_remembered_is_there_in_another_process_and_gone_when_forgotten() {
    let folder = folder();
    let known = KnownServers::at(folder.path().join("deeper/servers.json"));
    assert_eq!(known.list(), Ok(Vec::new()));
    known.remember(pairing(1), "drummer's laptop").unwrap();
    known.remember(pairing(2), "drummer's laptop").unwrap();
    known.remember(NewPairing { token: Token([9; 32]), ..pairing(1) }, "drums").unwrap();
    let again = KnownServers::at(folder.path().join("deeper/servers.json"));
    let one = again.find(Fingerprint([1; 32])).unwrap().unwrap();
    assert_eq!((one.token, one.paired_as.as_str(), one.name.as_str()), (Token([9; 32]), "drums", "closet 1"));
    assert_eq!(again.list().unwrap().len(), 2);
    again.used(Fingerprint([2; 32]), "10.0.0.2:7433").unwrap();
    assert_eq!(known.find(Fingerprint([2; 32])).unwrap().unwrap().address, "10.0.0.2:7433");
    assert_eq!(known.forget(Fingerprint([1; 32])), Ok(true));
    assert_eq!(known.forget(Fingerprint([1; 32])), Ok(false));
    assert_eq!(again.find(Fingerprint([1; 32])), Ok(None));
}

#[cfg(target_os = "linux")]
#[test]
fn a_folder_of_settings_is_one_that_is_named_whole() {
    let of = |set: &[(&str, &str)]| {
        let set: std::collections::BTreeMap<_, _> = set.iter().copied().collect();
        config_dir_by(|name| set.get(name).map(PathBuf::from))
    };
    let home = Some(PathBuf::from("/home/ann/.config/rehearsekit"));
    assert_eq!(of(&[]), None);
    assert_eq!(of(&[("HOME", ""), ("XDG_CONFIG_HOME", "")]), None);
    assert_eq!(of(&[("HOME", "ann")]), None);
    assert_eq!(of(&[("HOME", "/home/ann")]), home);
    assert_eq!(of(&[("HOME", "/home/ann"), ("XDG_CONFIG_HOME", "settings")]), home);
    assert_eq!(of(&[("XDG_CONFIG_HOME", "/etc/ann")]), Some(PathBuf::from("/etc/ann/rehearsekit")));
}

#[test]
fn whether_a_pairing_could_be_kept_is_known_before_there_is_one() {
    let folder = folder();
    let known = KnownServers::at(folder.path().join("deeper/servers.json"));
    known.prepare().unwrap();
    assert_eq!(known.list(), Ok(Vec::new()));
    // Where a file is in the way nobody may make a folder, root neither.
    fs::write(folder.path().join("file"), "").unwrap();
    let told = KnownServers::at(folder.path().join("file/servers.json")).prepare().unwrap_err();
    assert!(matches!(told, KnownError::Io { .. }), "{told}");
}

#[test]
fn many_writers_lose_nothing() {
    let folder = folder();
    let path = folder.path().join("servers.json");
    std::thread::scope(|scope| {
        for number in 0..16 {
            let known = KnownServers::at(&path);
            scope.spawn(move || known.remember(pairing(number), "x").unwrap());
        }
    });
    assert_eq!(KnownServers::at(&path).list().unwrap().len(), 16);
}

#[test]
fn a_file_that_is_not_understood_stays_as_it_is() {
    let folder = folder();
    let path = folder.path().join("servers.json");
    let known = KnownServers::at(&path);
    let later = r#"{"version": 2, "servers": []}"#;
    for text in ["", "{}", "not json", "[]", later] {
        known.remember(pairing(1), "x").unwrap();
        fs::write(&path, text).unwrap();
        let told = known.remember(pairing(2), "x").unwrap_err();
        assert!(matches!(told, KnownError::Damaged { .. }), "{told}");
        assert_eq!(fs::read_to_string(&path).unwrap(), text);
        fs::remove_file(&path).unwrap();
    }
}

#[test]
fn what_a_later_version_added_costs_no_server_and_stays() {
    let folder = folder();
    let path = folder.path().join("servers.json");
    let known = KnownServers::at(&path);
    for number in [1, 2, 3] {
        known.remember(pairing(number), "x").unwrap();
    }
    let file = || -> Value { serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap() };
    let mut content = file();
    content["colours"] = json!({"dark": true});
    content["servers"][0]["songs"] = json!(["a.flac"]);
    // Odd numbers, a server of another kind, one whose token is damaged, and no server at all.
    content["servers"][0]["used_at"] = json!(-1.5);
    content["servers"][1]["used_at"] = json!(u64::MAX);
    content["servers"][2]["token"] = json!("");
    let strange = [json!({"fingerprint": "ab", "passkey": [1]}), json!(null), json!("later")];
    content["servers"].as_array_mut().unwrap().extend(strange.clone());
    fs::write(&path, content.to_string()).unwrap();

    let names: Vec<String> = known.list().unwrap().into_iter().map(|server| server.name).collect();
    assert_eq!(names, ["closet 2", "closet 1"]);
    known.used(Fingerprint([1; 32]), "10.0.0.1:7433").unwrap();
    let now = file();
    assert_eq!(now["colours"], json!({"dark": true}));
    assert_eq!(
        (&now["servers"][0]["songs"], &now["servers"][0]["address"]),
        (&json!(["a.flac"]), &json!("10.0.0.1:7433"))
    );
    assert_eq!(now["servers"][2], content["servers"][2]);
    assert_eq!(now["servers"].as_array().unwrap()[3..], strange);
    // Paired anew, the damaged one is whole; forgotten, one is gone, and so is nobody else.
    known.remember(pairing(3), "x").unwrap();
    assert!(known.forget(Fingerprint([2; 32])).unwrap());
    let mut names: Vec<String> = known.list().unwrap().into_iter().map(|server| server.name).collect();
    names.sort();
    assert_eq!(
        (names, file()["servers"].as_array().unwrap().len()),
        (vec!["closet 1".to_owned(), "closet 3".to_owned()], 5)
    );
}

#[cfg(unix)]
#[test]
fn nobody_else_can_read_it_and_one_that_others_can_read_is_refused() {
    use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
    let folder = folder();
    let path = folder.path().join("servers.json");
    let known = KnownServers::at(&path);
    known.remember(pairing(1), "x").unwrap();
    assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
    let told = known.list().unwrap_err().to_string();
    assert!(told.contains("0644") && told.contains("chmod 600"), "{told}");
}
