//! Every key of the server's configuration arrives, whichever way it is set: a real server is started with all of them
//! set in the file, in the environment and by flags, and each must have its *effect*, which a server at its defaults has
//! not. The table has a row for each key that `config show` lists; one without a row is a failure.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used)]

#[path = "../common/mod.rs"]
mod common;
#[path = "../../../../tests/src/netns.rs"]
#[allow(unreachable_pub, reason = "it is public where it is at home")]
mod netns;
mod seen;
mod table;

use std::{
    fs,
    net::{TcpListener, UdpSocket},
    os::unix::fs::symlink,
    process::Command,
};

use common::{json, stderr};
use netns::{Lan, Side};
use seen::{Seen, bare, data_folder, pin_costs, seen_of};
use serde_json::Value;
use table::{COPY, Effect, LAYERS, Layer, ROWS, Row, Set, set};

#[test]
fn the_table_has_every_key() {
    let folder = tempfile::tempdir().unwrap();
    let shown = bare().args(["config", "show", "--json", "--data"]).arg(folder.path()).output().unwrap();
    let shown = json(&shown);
    let keys: Vec<&str> = shown.as_array().unwrap().iter().map(|row| row["key"].as_str().unwrap()).collect();
    let rows: Vec<&str> = ROWS.iter().map(|row| row.key).collect();
    assert_eq!(rows, keys, "a new key needs a row here that shows its effect");
}

#[test]
fn every_key_has_its_effect_from_each_layer_and_none_without() {
    let effects = |seen: &Seen| -> Vec<(&str, bool)> {
        let effect = |row: &Row| match row.effect {
            Effect::Here(effect) => Some((row.key, effect(seen))),
            Effect::Refusal(_) | Effect::OnTheLan => None,
        };
        ROWS.iter().filter_map(effect).collect()
    };

    let devices = tempfile::tempdir().unwrap();
    for (settings, millis) in [(&[][..], 1), (&["threads=2", "workers=3"][..], 3)] {
        let work = tempfile::tempdir().unwrap();
        let mut command = bare();
        command.args(["serve", "--listen", "127.0.0.1:0", "--http", "127.0.0.1:0", "--set", "device=cpu"]);
        command.args(["--model", "spleeter-2stems", "--model", COPY, "--data"]);
        command.arg(data_folder(work.path(), devices.path()));
        command.args(settings.iter().flat_map(|setting| ["--set", *setting]));
        pin_costs(command, devices.path(), millis);
    }

    let work = tempfile::tempdir().unwrap();
    let named = data_folder(work.path(), devices.path());
    fs::create_dir(work.path().join("xdg")).unwrap();
    let usual = work.path().join("xdg/rehearsekit");
    fs::create_dir(&usual).unwrap();
    for part in ["models", "runtime", "devices"] {
        symlink(named.join(part), usual.join(part)).unwrap();
    }
    let mut command = bare();
    // Any free ports, so that it cannot be in anybody's way; what a key is set to below is another.
    command.args(["serve", "--listen", "127.0.0.1:0", "--http", "127.0.0.1:0", "--set", "device=cpu"]);
    let seen = seen_of(command, work.path(), &named, ["", ""]);
    for (key, effect) in effects(&seen) {
        assert!(!effect, "{key} has its effect at its default, so the row shows nothing: {seen:#?}");
    }

    for layer in LAYERS {
        let work = tempfile::tempdir().unwrap();
        let named = data_folder(work.path(), devices.path());
        let udp = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
        let tcp = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
        let here = ROWS.iter().filter(|row| matches!(row.effect, Effect::Here(_)));
        let mut settings: Vec<(&str, String)> = here
            .map(|row| {
                let value = match (&row.value, row.key) {
                    (Set::Word(word), _) => format!("{word:?}"),
                    (Set::Bare(bare), _) => (*bare).to_owned(),
                    (Set::List(items), _) => format!("{items:?}"),
                    (Set::Picked, "listen") => format!("{udp:?}"),
                    (Set::Picked, "http") => format!("{tcp:?}"),
                    (Set::Picked, _) => format!("{:?}", named.to_str().unwrap()),
                };
                (row.key, value)
            })
            .collect();
        settings.push(("device", "\"cpu\"".to_owned()));
        let mut command = bare();
        command.arg("serve");
        set(&mut command, layer, &settings, work.path());
        let seen = seen_of(command, work.path(), &named, [&udp, &tcp]);
        let without: Vec<&str> =
            effects(&seen).into_iter().filter(|(_, effect)| !effect).map(|(key, _)| key).collect();
        assert!(without.is_empty(), "{layer:?}: {without:?} had no effect: {seen:#?}");

        for row in ROWS {
            let Effect::Refusal(words) = row.effect else { continue };
            let Set::Word(word) = row.value else { panic!("{} must be a word", row.key) };
            let mut command = bare();
            command.args(["serve", "--listen", "127.0.0.1:0", "--http", "127.0.0.1:0", "--data"]).arg(&named);
            set(&mut command, layer, &[(row.key, format!("{word:?}"))], work.path());
            let output = command.output().unwrap();
            let origin = match layer {
                Layer::File => "settings.toml:1".to_owned(),
                Layer::Environment => format!("REHEARSEKIT_{}", row.key.to_uppercase()),
                Layer::Flag => format!("flag --set {}", row.key),
            };
            let said = stderr(&output);
            assert_eq!(output.status.code(), Some(2), "{said}");
            assert!(said.contains(words) && said.contains(&origin), "{layer:?}: {said}");
        }
    }
}

#[test]
fn announce_has_its_effect_from_each_layer() {
    let lan = Lan::new();
    let devices = tempfile::tempdir().unwrap();
    let search = || lan.command(Side::Stage, env!("CARGO_BIN_EXE_rehearsekit"), &[]);
    let found = || {
        let output = search().args(["servers", "--seconds", "3", "--json"]).output().unwrap();
        let report: Value = serde_json::from_slice(&output.stdout).unwrap();
        report["servers"].as_array().unwrap().len()
    };
    for layer in [None, Some(Layer::File), Some(Layer::Environment), Some(Layer::Flag)] {
        let work = tempfile::tempdir().unwrap();
        let named = data_folder(work.path(), devices.path());
        // The same words and variables, on the machine in the closet.
        let mut words = Command::new("none");
        words.args(["--set", "device=cpu", "--data"]).arg(&named);
        if let Some(layer) = layer {
            set(&mut words, layer, &[("announce", "false".to_owned())], work.path());
        }
        let variables: Vec<_> =
            words.get_envs().filter_map(|(name, value)| Some((name.to_str()?, value?))).collect();
        let mut command = lan.command(Side::Closet, env!("CARGO_BIN_EXE_rehearsekit"), &variables);
        command
            .args(["serve", "--json", "--listen", "0.0.0.0:7433", "--http", "127.0.0.1:0"])
            .args(words.get_args());
        let mut server = lan.start(&command);
        server.line();
        assert_eq!(found(), usize::from(layer.is_none()), "{layer:?}");
        server.signal("TERM");
        assert!(server.ended().success());
    }
}

/// Starts a server that soon fails for want of a model, and gives its log: filters show in it, and nothing is waited for.
fn log_of(file: Option<&str>, variable: Option<&str>, flag: Option<&str>) -> String {
    let work = tempfile::tempdir().unwrap();
    let mut command = bare();
    command.args(["serve", "--listen", "127.0.0.1:0", "--http", "127.0.0.1:0", "--model", "nobodys-model"]);
    command.arg("--data").arg(work.path().join("data")).env_remove("RUST_LOG");
    for (layer, value) in [(Layer::File, file), (Layer::Environment, variable), (Layer::Flag, flag)] {
        if let Some(value) = value {
            set(&mut command, layer, &[("log", format!("{value:?}"))], work.path());
        }
    }
    let output = command.output().unwrap();
    assert_eq!(output.status.code(), Some(3), "{}", stderr(&output));
    stderr(&output)
}

#[test]
fn the_log_follows_the_file_then_the_environment_then_the_flag() {
    // What a filter lets through: the finest level that is seen.
    let finest = |log: &str| {
        let has = |level: &str| log.lines().any(|line| line.split_whitespace().nth(1) == Some(level));
        ["DEBUG", "INFO"].into_iter().find(|level| has(level)).unwrap_or("less")
    };
    for (file, variable, flag, expected) in [
        (None, None, None, "INFO"),
        (Some("debug"), None, None, "DEBUG"),
        (Some("debug"), Some("warn"), None, "less"),
        (Some("warn"), Some("error"), Some("debug"), "DEBUG"),
        (Some("debug"), None, Some("info"), "INFO"),
        (None, Some("debug"), None, "DEBUG"),
        (None, Some("debug"), Some("off"), "less"),
        (Some("warn,rehearsekit_server=debug"), None, None, "DEBUG"),
    ] {
        let log = log_of(file, variable, flag);
        assert_eq!(finest(&log), expected, "{file:?} {variable:?} {flag:?}: {log}");
    }
}

#[test]
fn a_filter_that_is_none_is_refused_by_every_command() {
    for words in [&["serve"][..], &["servers", "--seconds", "0"], &["models", "list"]] {
        let folder = tempfile::tempdir().unwrap();
        let mut command = bare();
        command.args(words).arg("--data").arg(folder.path()).env("REHEARSEKIT_LOG", "loud");
        common::assert_refused(&command.output().unwrap(), 2, &["REHEARSEKIT_LOG", "loud", "debug"]);
    }
}
