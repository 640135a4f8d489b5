//! The workflow that makes a release, held against what it calls: every command in it is one of ours and is understood, every
//! action of others is pinned to a commit, and no job may do more than it has to. Whether it follows GitHub's schema, the
//! tests of deploy/ ask. It was never run.

use std::fs;

use clap::Parser as _;
use serde_json::Value;

use crate::Cli;
use crate::shell::repository;

const WORKFLOW: &str = ".github/workflows/release.yml";

fn text() -> String {
    fs::read_to_string(repository().join(WORKFLOW)).unwrap()
}

fn parse(text: &str) -> Value {
    serde_saphyr::from_str(text).unwrap()
}

fn jobs(workflow: &Value) -> Vec<(&String, &Value)> {
    workflow["jobs"].as_object().unwrap().iter().collect()
}

fn steps(job: &Value) -> Vec<&Value> {
    job["steps"].as_array().unwrap().iter().collect()
}

/// What each job may write; everything else it may at most read.
const MAY_WRITE: &[(&str, &[&str])] = &[
    ("check", &[]),
    ("image", &["attestations", "id-token", "packages"]),
    ("programs", &[]),
    ("publish", &["contents"]),
];

/// What is wrong with the workflow `file`, each in a line.
fn complaints(file: &str) -> Vec<String> {
    let workflow = parse(file);
    let mut wrong = Vec::new();
    if workflow["permissions"] != serde_json::json!({ "contents": "read" }) {
        wrong.push("a job that says nothing may read the sources, and no more".to_owned());
    }
    for (name, job) in jobs(&workflow) {
        let writes: Vec<&str> = job["permissions"]
            .as_object()
            .into_iter()
            .flatten()
            .filter(|(_, how)| *how != "read")
            .map(|(what, _)| what.as_str())
            .collect();
        if MAY_WRITE.iter().find(|(job, _)| *job == name.as_str()).map(|(_, may)| *may) != Some(&writes) {
            wrong.push(format!("{name} may write {writes:?}"));
        }
        for step in steps(job) {
            match (step["run"].as_str(), step["uses"].as_str()) {
                (Some(line), None) => wrong.extend(run_complaint(line)),
                (None, Some(action)) => wrong.extend(action_complaint(file, action)),
                _ => wrong.push(format!("{name}: a step is a command or an action: {step}")),
            }
        }
    }
    wrong
}

/// One of our commands, with words that it understands; what GitHub fills in comes by the environment alone.
fn run_complaint(line: &str) -> Option<String> {
    if line.contains("${{") || line.trim().lines().count() != 1 {
        return Some(format!("'{line}' is not one plain line"));
    }
    let words = line.trim().replace("\"$TAG\"", "v0.1.0").replace("\"$VARIANT\"", "cpu");
    let Some(words) = words.strip_prefix("cargo xtask ") else {
        return Some(format!("'{line}' is none of our commands"));
    };
    let parsed = Cli::try_parse_from(["xtask"].into_iter().chain(words.split_whitespace()));
    parsed.err().map(|error| format!("'{line}': {error}"))
}

/// Pinned to a commit, with the version said beside it.
fn action_complaint(file: &str, action: &str) -> Option<String> {
    let commit = action.rsplit_once('@').map_or("", |(_, commit)| commit);
    let is_commit = commit.len() == 40 && commit.bytes().all(|byte| byte.is_ascii_hexdigit());
    let mut lines = file.lines().filter(|line| line.contains(action));
    let is_told = lines.all(|line| line.contains(&format!("{action} # v")));
    (!is_commit || !is_told).then(|| format!("{action} is not pinned to a commit with its version beside it"))
}

#[test]
fn every_step_is_a_command_of_ours_or_a_pinned_action_and_may_no_more_than_it_has_to() {
    assert_eq!(complaints(&text()), Vec::<String>::new());
    let workflow = parse(&text());
    assert_eq!(workflow["on"]["push"]["tags"], serde_json::json!(["v[0-9]+.[0-9]+.[0-9]+"]));
    let all = jobs(&workflow);
    let runs = |name: &str, words: &str| {
        let job = all.iter().find(|(job, _)| *job == name).unwrap().1;
        steps(job).iter().any(|step| step["run"].as_str().is_some_and(|line| line.contains(words)))
    };
    for (job, words) in [
        ("check", "release check-version"),
        ("check", "xtask test"),
        ("image", "image --variant \"$VARIANT\" --twice"),
        ("image", "release push \"$VARIANT\""),
        ("image", "release sign"),
        ("programs", "release archive"),
        ("publish", "release publish"),
    ] {
        assert!(runs(job, words), "{job}: {words}");
    }
    // Nothing is pushed before it was tested, nothing is published before everything is there.
    let needs = |name: &str| all.iter().find(|(job, _)| *job == name).unwrap().1["needs"].clone();
    assert_eq!((needs("image"), needs("programs")), ("check".into(), "check".into()));
    assert_eq!(needs("publish"), serde_json::json!(["image", "programs"]));
}

#[test]
fn mistakes_in_the_workflow_are_found() {
    let whole = text();
    for (from, to) in [
        ("cargo xtask release archive", "cargo xtask release achive"),
        ("cargo xtask release archive", "cargo build"),
        ("release check-version \"$TAG\"", "release check-version ${{ github.ref_name }}"),
        (" # v4.2.2", ""),
        ("actions/checkout@11bd71901bbe5b1630ceea73d27597364c9af683 # v4.2.2", "actions/checkout@v4 # v4"),
        ("permissions:\n  contents: read\n", "permissions: write-all\n"),
        ("      contents: read\n      # Pushes", "      contents: write\n      # Pushes"),
    ] {
        assert!(whole.contains(from), "{from} is not there any more: choose another mistake");
        assert!(!complaints(&whole.replacen(from, to, 1)).is_empty(), "{from} → {to}");
    }
}
