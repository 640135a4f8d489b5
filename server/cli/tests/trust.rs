//! `pair` and `clients` as the real program, without a server: what they say, to people and to scripts, and what they
//! leave behind.
#![allow(clippy::unwrap_used)]

mod common;

use std::{
    io::{BufRead, BufReader},
    path::Path,
    process::{Child, Command, Output, Stdio},
};

use common::{assert_refused, json, rehearsekit, stderr};
use rehearsekit_server::pairing::{Ending, PairingDesk};
use serde_json::Value;

fn command(data: &Path, args: &[&str]) -> Command {
    let mut command = rehearsekit();
    command.arg("--data").arg(data).args(args);
    command
}

fn run(data: &Path, args: &[&str]) -> Output {
    command(data, args).output().unwrap()
}

/// A `pair --json` that runs, and its lines.
struct Pair {
    child: Child,
    lines: std::io::Lines<BufReader<std::process::ChildStdout>>,
}

impl Pair {
    fn start(data: &Path) -> Self {
        let mut child =
            command(data, &["pair", "--json"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Self { child, lines }
    }

    fn event(&mut self) -> Value {
        serde_json::from_str(&self.lines.next().unwrap().unwrap()).unwrap()
    }

    /// Its last event, exit code and complaint.
    fn end(mut self) -> (Value, Option<i32>, String) {
        let event = self.event();
        assert!(self.lines.next().is_none());
        let output = self.child.wait_with_output().unwrap();
        (event, output.status.code(), stderr(&output))
    }
}

fn code_file(data: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(data.join("identity/pairing.json")).unwrap()).unwrap()
}

#[cfg(unix)]
#[test]
fn a_code_is_shown_and_ctrl_c_takes_it_back() {
    let data = tempfile::tempdir().unwrap();
    let mut pair = Pair::start(data.path());
    let shown = pair.event();
    let digits = shown["code"].as_str().unwrap().replace('-', "");
    assert_eq!((&shown["event"], &shown["seconds"], digits.len()), (&"code".into(), &120.into(), 8));
    assert_eq!(code_file(data.path())["code"], digits.as_str());
    let pid = rustix::process::Pid::from_child(&pair.child);
    rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
    let (event, exit, said) = pair.end();
    assert_eq!((&event["why"], exit), (&"withdrawn".into(), Some(1)));
    assert!(said.contains("error: the code was taken back"), "{said}");
    assert!(code_file(data.path())["code"].is_null());
}

#[test]
fn who_is_paired_is_said_and_ends_the_command_well() {
    let data = tempfile::tempdir().unwrap();
    let mut pair = Pair::start(data.path());
    pair.event();
    // What a server does at the other end of the file.
    let ending = Ending::Paired { name: "drummer's laptop".to_owned(), id: "3f9a01c2".to_owned() };
    let id = code_file(data.path())["id"].as_str().unwrap().to_owned();
    PairingDesk::of(data.path()).end(&id, ending).unwrap();
    let (event, exit, said) = pair.end();
    let told = (&event["event"], &event["name"], &event["id"]);
    assert_eq!(told, (&"paired".into(), &"drummer's laptop".into(), &"3f9a01c2".into()));
    assert_eq!((exit, said.as_str()), (Some(0), ""));
}

#[test]
fn a_second_code_takes_the_place_of_the_first() {
    let data = tempfile::tempdir().unwrap();
    let mut first = Pair::start(data.path());
    let shown = first.event();
    let mut second = Pair::start(data.path());
    assert_ne!(second.event()["code"], shown["code"]);
    let (event, exit, said) = first.end();
    assert_eq!((&event["why"], exit), (&"replaced".into(), Some(1)), "{said}");
    // Without a server somebody should say so.
    let mut said = BufReader::new(second.child.stderr.take().unwrap()).lines();
    let hint = said.next().unwrap().unwrap();
    assert!(hint.starts_with("no server has taken note of the code"), "{hint}");
    second.child.kill().unwrap();
    second.child.wait().unwrap();
}

#[test]
fn clients_are_added_listed_and_shut_out() {
    let data = tempfile::tempdir().unwrap();
    assert_eq!(json(&run(data.path(), &["clients", "list", "--json"]))["clients"], Value::Array(vec![]));
    let added = run(data.path(), &["clients", "add", "prometheus"]);
    let token = String::from_utf8(added.stdout.clone()).unwrap().trim().to_owned();
    assert!(token.len() == 64 && token.bytes().all(|b| b.is_ascii_hexdigit()), "{token}");
    assert!(stderr(&added).contains("shown only now"));
    let drummer = json(&run(data.path(), &["clients", "add", "drummer's laptop", "--json"]));
    assert_eq!(drummer["token"].as_str().unwrap().len(), 64);

    let listed = json(&run(data.path(), &["clients", "list", "--json"]));
    let told: Vec<_> =
        listed["clients"].as_array().unwrap().iter().map(|c| (&c["name"], &c["paired"])).collect();
    assert_eq!(told, [(&"prometheus".into(), &true.into()), (&"drummer's laptop".into(), &true.into())]);
    assert!(!listed.to_string().contains(&token), "the token is shown once");

    let gone = json(&run(data.path(), &["clients", "revoke", drummer["id"].as_str().unwrap(), "--json"]));
    assert_eq!((&gone["name"], &gone["paired"]), (&"drummer's laptop".into(), &false.into()));
    let human = String::from_utf8(run(data.path(), &["clients", "list"]).stdout).unwrap();
    assert!(human.contains("drummer's laptop  shut out just now"), "{human}");
    assert!(human.contains("prometheus        paired just now"), "{human}");

    let unknown = run(data.path(), &["clients", "revoke", "guitar"]);
    assert_refused(&unknown, 2, &["no client is called 'guitar'; there are prometheus ("]);
    let again = run(data.path(), &["clients", "revoke", "drummer's laptop"]);
    assert_refused(&again, 2, &["was shut out already"]);
    assert_refused(&run(data.path(), &["clients", "add", " "]), 2, &["needs a name"]);
}

#[test]
fn a_folder_nobody_made_or_a_damaged_list_is_told() {
    let data = tempfile::tempdir().unwrap();
    let nowhere = data.path().join("nowhere");
    for args in [&["pair"][..], &["clients", "list"], &["clients", "add", "x"]] {
        assert_refused(&run(&nowhere, args), 2, &["there is no data folder", "nowhere", "--data"]);
    }
    assert!(!nowhere.exists());
    json(&run(data.path(), &["clients", "add", "x", "--json"]));
    let list = data.path().join("identity/clients.json");
    std::fs::write(&list, "{}").unwrap();
    for args in [&["clients", "list"][..], &["clients", "add", "y"], &["clients", "revoke", "x"]] {
        assert_refused(&run(data.path(), args), 1, &["clients.json is damaged", "delete it"]);
    }
    assert_eq!(std::fs::read(&list).unwrap(), b"{}");
}
