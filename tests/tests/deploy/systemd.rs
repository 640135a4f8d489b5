//! The systemd unit: systemd itself finds nothing wrong with it, and the server takes the settings it is given.

use std::{collections::BTreeMap, path::Path, process::Command};

use crate::{settings, text, top};

/// systemd's judgement of how open a unit is goes from 0.0 to 10.0; here in tenths. As long as no newer systemd knows
/// more to close, ours are at 13 and, with the card's devices, 15.
const MOST_EXPOSED: &str = "20";

fn unit() -> String {
    text(&top().join("deploy/systemd/rehearsekit.service"))
}

/// The values of `key`, one for each line.
fn lines(key: &str) -> Vec<String> {
    let unit = unit();
    unit.lines().filter_map(|line| line.strip_prefix(&format!("{key}="))).map(str::to_owned).collect()
}

fn analyze(folder: &Path, words: &[&str]) -> bool {
    let unit = folder.join("rehearsekit.service");
    Command::new("systemd-analyze").args(words).arg(unit).output().unwrap().status.success()
}

#[test]
fn systemd_finds_nothing_wrong() {
    if Command::new("systemd-analyze").arg("--version").output().is_err() {
        println!("not run: there is no systemd-analyze here");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    // The program need not be installed here.
    let unit = unit().replace("/usr/bin/rehearsekit serve", "/bin/true serve");
    std::fs::write(folder.path().join("rehearsekit.service"), &unit).unwrap();
    let threshold = format!("--threshold={MOST_EXPOSED}");
    let judge = ["security", "--offline=true", "--no-pager", threshold.as_str()];
    assert!(analyze(folder.path(), &["verify"]));
    assert!(analyze(folder.path(), &judge));
    let card = folder.path().join("rehearsekit.service.d");
    std::fs::create_dir(&card).unwrap();
    std::fs::copy(top().join("deploy/systemd/nvidia.conf"), card.join("nvidia.conf")).unwrap();
    assert!(analyze(folder.path(), &["verify"]));
    assert!(analyze(folder.path(), &judge));

    let open = unit.replace("ProtectSystem=strict", "").replace("CapabilityBoundingSet=", "");
    std::fs::write(folder.path().join("rehearsekit.service"), open.replace("SystemCallFilter", "#")).unwrap();
    assert!(!analyze(folder.path(), &judge), "an open unit is found");
}

#[test]
fn the_server_takes_its_settings() {
    let variables: BTreeMap<String, String> = lines("Environment")
        .iter()
        .map(|line| line.split_once('=').unwrap())
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .collect();
    let config = settings::config(&variables).unwrap();
    let state = lines("StateDirectory");
    assert_eq!(config.data, Path::new("/var/lib").join(&state[0]), "the only folder that it may write");
    assert_eq!(lines("StateDirectoryMode"), ["0700"]);
    assert!(!config.listen.ip().is_loopback());
    let grace: u64 = lines("TimeoutStopSec")[0].parse().unwrap();
    assert!(grace > config.drain.as_secs(), "players may finish before the end");
    // A wrong setting (2) and a model that cannot be used (3) do not get better by starting again.
    assert_eq!(lines("RestartPreventExitStatus"), ["2 3"]);
    assert_eq!((lines("MemoryMax").len(), lines("TasksMax").len()), (1, 1));
    // Nothing is run that this service could have written, but ONNX Runtime, where `models pull` puts it.
    assert_eq!(lines("NoExecPaths"), ["/"]);
    let run_from = lines("ExecPaths");
    let run_from: Vec<&str> = run_from[0].split(' ').map(|path| path.trim_start_matches('-')).collect();
    for path in run_from.iter().filter(|path| !["/usr", "/lib", "/lib64", "/bin", "/opt/cuda"].contains(path))
    {
        assert_eq!(Path::new(path), config.data.join("runtime"));
    }
    assert_eq!(lines("ProcSubset"), ["pid"]);
    let card = text(&top().join("deploy/systemd/nvidia.conf"));
    assert!(card.lines().any(|line| line == "ProcSubset=all"), "a driver tells of its cards in /proc");
    let users = text(&top().join("deploy/systemd/rehearsekit.sysusers.conf"));
    assert!(users.lines().any(|line| line.starts_with(&format!("u {} ", lines("User")[0]))));
}
