//! Each sentence a user may see, as a table.

use std::{collections::BTreeMap, fs, path::PathBuf};

use super::*;

/// Sources with a home, these variables, this file's text and these flags `(flag, key, value)`.
fn sources(
    folder: &tempfile::TempDir,
    file: &str,
    variables: &[(&str, &str)],
    flags: &[(&str, &str, &str)],
) -> Sources {
    let path = folder.path().join("server.toml");
    fs::write(&path, file).unwrap();
    let home = [("HOME", "/home/band")];
    let environment: BTreeMap<_, _> =
        home.iter().chain(variables).map(|(name, value)| ((*name).into(), (*value).into())).collect();
    let flag = |(name, key, value): &(&str, &str, &str)| Flag {
        name: (*name).to_owned(),
        key: (*key).to_owned(),
        value: Value::Text((*value).to_owned()),
    };
    Sources { file: Some(path), environment, flags: flags.iter().map(flag).collect() }
}

fn sentence(file: &str, variables: &[(&str, &str)], flags: &[(&str, &str, &str)]) -> String {
    let folder = tempfile::tempdir().unwrap();
    let error = Config::load(&sources(&folder, file, variables, flags)).unwrap_err();
    error.to_string().replace(&folder.path().display().to_string(), "/etc")
}

#[test]
fn defaults_hold_when_nobody_says_anything() {
    let folder = tempfile::tempdir().unwrap();
    let config = Config::load(&sources(&folder, "", &[], &[])).unwrap();
    assert!(config.listen.ip().is_loopback() && config.http.ip().is_loopback());
    assert_eq!(config.data, PathBuf::from("/home/band/.local/share/rehearsekit"));
    assert_eq!(config.default_model, config.models[0]);
    assert!(config.workers >= 1);
    assert!(config.announce && (1..=64).contains(&config.server_name.len()));
    assert!(config.show().iter().all(|row| row.origin == Origin::Default), "{:?}", config.show());
    let config = Config::load(&sources(&folder, "", &[("XDG_DATA_HOME", "/srv")], &[])).unwrap();
    assert_eq!(config.data, PathBuf::from("/srv/rehearsekit"));
}

#[test]
fn a_file_in_the_data_folder_is_read_where_the_user_has_none() {
    let folder = tempfile::tempdir().unwrap();
    let place = |name: &str| folder.path().join(name);
    fs::create_dir_all(place("data")).unwrap();
    fs::create_dir_all(place("settings/rehearsekit")).unwrap();
    let load = |data: &str| {
        let variable = |name: &str, path: &str| (name.into(), place(path).into());
        let environment =
            [variable("REHEARSEKIT_DATA", data), variable("XDG_CONFIG_HOME", "settings")].into();
        Config::load(&Sources { environment, ..Sources::default() }).unwrap()
    };
    assert_eq!(load("data").max_sessions, 16);
    fs::write(place("data/server.toml"), "max_sessions = 3\n").unwrap();
    let config = load("data");
    let origin = Origin::File { path: place("data/server.toml"), line: 1 };
    assert_eq!((config.max_sessions, config.origin("max_sessions")), (3, Some(&origin)));
    // What cannot be looked into is the data folder's own trouble.
    assert_eq!(load("data/server.toml").max_sessions, 16);
    fs::write(place("settings/rehearsekit/server.toml"), "max_sessions = 4\n").unwrap();
    assert_eq!(load("data").max_sessions, 4);
}

#[test]
fn each_layer_covers_the_one_below_and_the_origin_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let file = "# ours\nlisten = \"0.0.0.0:1\"\nmax_sessions = 3\nmodels = [\"a\", \"b\"]\n";
    let variables = [
        ("REHEARSEKIT_LISTEN", "0.0.0.0:2"),
        ("REHEARSEKIT_WORKERS", "7"),
        ("REHEARSEKIT_ANNOUNCE", "false"),
        ("OTHER", "x"),
    ];
    let config = Config::load(&sources(&folder, file, &variables, &[("--listen", "listen", "0.0.0.0:3")]));
    let config = config.unwrap();
    assert_eq!((config.listen.port(), config.max_sessions, config.workers), (3, 3, 7));
    assert_eq!((config.announce, &config.models[..]), (false, &["a".to_owned(), "b".to_owned()][..]));
    let origin = |key: &str| config.origin(key).unwrap().to_string();
    assert_eq!(origin("listen"), "flag --listen");
    assert_eq!(origin("workers"), "environment variable REHEARSEKIT_WORKERS");
    assert_eq!(origin("max_sessions"), format!("{}:3", folder.path().join("server.toml").display()));
    assert_eq!(origin("log"), "default");
}

#[test]
fn what_is_shown_can_be_read_again() {
    let folder = tempfile::tempdir().unwrap();
    let file = "server_name = \"Closet \\\"box\\\"\"\nhttp_hosts = [\"NAS.local\"]\ndrain_seconds = 0\nannounce = false\n";
    let config = Config::load(&sources(&folder, file, &[], &[])).unwrap();
    let shown: String = config.show().iter().map(|row| format!("{} = {}\n", row.key, row.value)).collect();
    let again = Config::load(&sources(&folder, &shown, &[], &[])).unwrap();
    let values = |config: &Config| config.show().into_iter().map(|row| row.value).collect::<Vec<_>>();
    assert_eq!(values(&again), values(&config));
    assert_eq!((again.http_hosts, again.announce), (vec!["nas.local".to_owned()], false));
}

/// The file, the variables, the flags, and the sentence.
type Case<'a> = (&'a str, &'a [(&'a str, &'a str)], &'a [(&'a str, &'a str, &'a str)], String);

#[test]
fn every_mistake_has_its_sentence() {
    let right_listen = "write an IP address and a port, like 127.0.0.1:7433, 0.0.0.0:7433 or [::]:7433";
    let cases: &[Case<'_>] = &[
        (
            "\nlissten = 3",
            &[],
            &[],
            "unknown key 'lissten' (/etc/server.toml:2); did you mean listen?".to_owned(),
        ),
        (
            "",
            &[("REHEARSEKIT_MAX_SESSION", "3")],
            &[],
            "unknown key 'max_session' (environment variable REHEARSEKIT_MAX_SESSION); did you mean \
             REHEARSEKIT_MAX_SESSIONS?"
                .to_owned(),
        ),
        (
            "listen = \"localhost\"",
            &[],
            &[],
            format!("listen = \"localhost\" (/etc/server.toml:1) does not fit; {right_listen}"),
        ),
        (
            "",
            &[],
            &[("--listen", "listen", "7433")],
            format!("listen = \"7433\" (flag --listen) does not fit; {right_listen}"),
        ),
        (
            "",
            &[("REHEARSEKIT_WORKERS", "many")],
            &[],
            "workers = \"many\" (environment variable REHEARSEKIT_WORKERS) does not fit; write a whole number \
             from 1 to 256"
                .to_owned(),
        ),
        (
            "max_sessions = true",
            &[],
            &[],
            "max_sessions = true (/etc/server.toml:1) does not fit; write a whole number from 1 to 1000"
                .to_owned(),
        ),
        (
            "announce = 1",
            &[],
            &[],
            "announce = \"1\" (/etc/server.toml:1) does not fit; write true or false".to_owned(),
        ),
        (
            "[log]\nlevel = \"info\"",
            &[],
            &[],
            "log = a table (/etc/server.toml:1) does not fit; write off, error, warn, info, debug or trace, or \
             per part, like warn,rehearsekit_server=debug"
                .to_owned(),
        ),
        (
            "models = [\"a\"]\ndefault_model = \"b\"",
            &[],
            &[],
            "default_model = \"b\" (/etc/server.toml:2) does not fit; write one of the models that the server \
             loads (key models): a"
                .to_owned(),
        ),
        (
            "",
            &[("REHEARSEKIT_DATA", "~/kit")],
            &[],
            "data = \"~/kit\" (environment variable REHEARSEKIT_DATA) does not fit; write the path of a folder, \
             whole and without ~, like /var/lib/rehearsekit"
                .to_owned(),
        ),
    ];
    for (file, variables, flags, expected) in cases {
        assert_eq!(&sentence(file, variables, flags), expected);
    }
}

#[test]
fn a_bad_value_is_told_even_when_another_layer_covers_it() {
    let told = sentence("workers = 0", &[], &[("--workers", "workers", "2")]);
    assert!(told.starts_with("workers = \"0\" (/etc/server.toml:1)"), "{told}");
}

#[test]
fn a_key_far_from_any_other_gets_the_whole_list() {
    let told = sentence("banana = 1", &[], &[]);
    assert!(told.contains("the keys are listen, http, ") && told.ends_with("drain_seconds"), "{told}");
}

#[test]
fn model_names_that_would_leave_the_folder_are_refused() {
    for bad in ["[\"../x\"]", "[]", "[\"a\", \"a\"]", "[\".\"]", "[\"A\"]", "[1]", "{ a = 1 }"] {
        let told = sentence(&format!("models = {bad}"), &[], &[]);
        assert!(told.contains("does not fit; write a list of different model names"), "{told}");
    }
}

#[test]
fn broken_toml_names_its_line_and_a_missing_file_who_named_it() {
    let told = sentence("workers = 1\nlisten = ", &[], &[]);
    assert!(told.starts_with("the configuration file is not TOML at /etc/server.toml:2: "), "{told}");
    let environment =
        [("HOME".into(), "/nowhere".into()), ("REHEARSEKIT_CONFIG".into(), "/nowhere/x.toml".into())];
    let missing = Sources { environment: environment.into_iter().collect(), ..Sources::default() };
    let told = Config::load(&missing).unwrap_err().to_string();
    let expected = "cannot read the configuration file /nowhere/x.toml (named by environment variable \
                    REHEARSEKIT_CONFIG): ";
    assert!(told.starts_with(expected), "{told}");
}

#[test]
fn without_a_home_the_data_folder_must_be_named() {
    let told = Config::load(&Sources::default()).unwrap_err().to_string();
    assert!(told.starts_with("data has no default"), "{told}");
}
