//! `doctor` with the real command on machines that somebody has made ill: each fault is found, named and explained. The
//! names are a contract: the troubleshooting guide follows them. (Blocked multicast and a refused token need a network of
//! two machines: `doctor_lan`.)
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used)]

mod common;

use std::{
    fs,
    net::{TcpListener, UdpSocket},
    path::Path,
    process::{Command, Output},
};

use common::{Server, as_root, assert_refused, copied_data, json, linked_data, rehearsekit, song, stderr};
use rehearsekit_badlink::UdpProxy;
use serde_json::Value;

/// Addresses that are free, and no model run: what is looked for shows without.
const QUICK: [&str; 7] = ["doctor", "--json", "--quick", "--listen", "127.0.0.1:0", "--http", "127.0.0.1:0"];

fn doctor(data: &Path, more: &[&str]) -> Command {
    let mut command = rehearsekit();
    command.arg("--data").arg(data).args(QUICK).args(more);
    command
}

/// The finding with this name, after checking how loud it is and that it says these words.
fn found(output: &Output, verdict: &str, id: &str, words: &[&str]) -> Value {
    let told: Value =
        serde_json::from_slice(&output.stdout).unwrap_or_else(|e| panic!("{e}: {}", stderr(output)));
    let checks = told["checks"].as_array().unwrap();
    let finding =
        checks.iter().find(|check| check["id"] == id).unwrap_or_else(|| panic!("{id}: {told}")).clone();
    assert_eq!(finding["verdict"], verdict, "{finding}");
    for word in words {
        assert!(finding["detail"].as_str().unwrap().contains(word), "'{word}' is missing in: {finding}");
    }
    let has_failed = checks.iter().any(|check| check["verdict"] == "failed");
    assert_eq!(
        (told["healthy"].as_bool(), output.status.code()),
        (Some(!has_failed), Some(i32::from(has_failed)))
    );
    // Nothing is well and named, nothing is unwell and nameless.
    assert!(checks.iter().all(|check| (check["verdict"] == "ok") == check["id"].is_null()), "{told}");
    finding
}

#[test]
fn a_file_of_somebody_else() {
    let folder = tempfile::tempdir().unwrap();
    let data = linked_data(folder.path());
    json(&rehearsekit().arg("--data").arg(&data).args(["clients", "add", "x", "--json"]).output().unwrap());
    let list = data.join("identity/clients.json");
    assert!(as_root("chown").arg("4321").arg(&list).status().unwrap().success());
    let output = doctor(&data, &[]).output().unwrap();
    let own = rustix::process::geteuid().as_raw();
    let way = format!("chown -R {own} {}", data.display());
    found(&output, "failed", "data-owner", &["clients.json belongs to user 4321", &way]);
    assert!(as_root("chown").arg(own.to_string()).arg(&list).status().unwrap().success());
    assert_eq!(doctor(&data, &[]).output().unwrap().status.code(), Some(0));
}

#[test]
fn a_full_disk() {
    let folder = tempfile::tempdir().unwrap();
    // A mount namespace of its own: nobody else sees the small disk.
    let script = r#"mount -t tmpfs -o size=16k none "$1" && shift && exec "$@""#;
    let mut command = as_root("unshare");
    command
        .args(["--mount", "sh", "-c", script, "sh"])
        .arg(folder.path())
        .arg(env!("CARGO_BIN_EXE_rehearsekit"));
    let output = command.arg("--data").arg(folder.path()).args(QUICK).output().unwrap();
    found(&output, "failed", "disk-full", &["No space left", "Make room there", "--data"]);
}

#[test]
fn a_port_that_somebody_has() {
    let folder = tempfile::tempdir().unwrap();
    let data = linked_data(folder.path());
    let (udp, tcp) = (UdpSocket::bind("127.0.0.1:0").unwrap(), TcpListener::bind("127.0.0.1:0").unwrap());
    let who = format!("(process {})", std::process::id());
    let address = udp.local_addr().unwrap().to_string();
    let doctor = |listen: &str, http: &str| {
        let mut command = rehearsekit();
        command
            .arg("--data")
            .arg(&data)
            .args(["doctor", "--json", "--quick", "--listen", listen, "--http", http]);
        command.output().unwrap()
    };
    let output = doctor(&address, "127.0.0.1:0");
    let finding = found(&output, "failed", "port-taken", &[&who, &address, "set listen to another port"]);
    assert_eq!(finding["check"], "address listen");
    let address = tcp.local_addr().unwrap().to_string();
    let output = doctor("127.0.0.1:0", &address);
    let finding = found(&output, "failed", "port-taken", &[&who, &address, "set http to another port"]);
    assert_eq!(finding["check"], "address http");
}

#[test]
fn our_own_server_is_no_fault_and_its_figures_go_into_a_report_without_names() {
    let folder = tempfile::tempdir().unwrap();
    let data = linked_data(folder.path());
    let in_data = |words: &[&str]| {
        let mut command = rehearsekit();
        command.arg("--data").arg(&data).args(words);
        command
    };
    let added = json(&in_data(&["clients", "add", "drummer's laptop", "--json"]).output().unwrap());
    let server =
        Server::start_with(in_data(&["serve", "--json", "--listen", "127.0.0.1:0", "--http", "127.0.0.1:0"]));
    // Nobody's cores are taken while somebody plays.
    let (song, out) = (song(folder.path(), "song.wav", 44_100, 2, 44_100), folder.path().join("out"));
    let mut stream = rehearsekit();
    stream.arg("stream").arg(song).arg("--out").arg(out).args(["--server", &server.address, "--loop"]);
    let mut playing = stream.args(["--seconds", "600"]).spawn().unwrap();
    let of_model = || {
        let whole = ["doctor", "--json", "--listen", &server.address, "--http", &server.http];
        let told = json(&in_data(&whole).output().unwrap());
        let checks = told["checks"].as_array().unwrap().clone();
        let model = checks.into_iter().find(|c| c["check"] == "model spleeter-2stems").unwrap();
        model["detail"].as_str().unwrap().to_owned()
    };
    // It comes in within a moment; the limit only ends a test that would never end.
    let seen = (0..60).any(|_| of_model().contains("not run, since somebody plays"));
    playing.kill().unwrap();
    playing.wait().unwrap();
    assert!(seen, "{}", of_model());
    let report = folder.path().join("report.json");
    let mut command =
        in_data(&["doctor", "--json", "--quick", "--listen", &server.address, "--http", &server.http]);
    let output = command.arg("--report").arg(&report).output().unwrap();
    let told = json(&output);
    for check in ["address listen", "address http"] {
        let finding = told["checks"].as_array().unwrap().iter().find(|c| c["check"] == check).unwrap();
        assert_eq!(finding["verdict"], "ok", "{finding}");
        assert!(
            finding["detail"].as_str().unwrap().contains("a rehearsekit server that runs and answers"),
            "{finding}"
        );
    }
    let text = fs::read_to_string(&report).unwrap();
    let fingerprint = server.fingerprint.as_str();
    for secret in ["drummer", added["token"].as_str().unwrap(), fingerprint, data.to_str().unwrap(), "BEGIN"]
    {
        assert!(!text.contains(secret), "'{secret}' is in: {text}");
    }
    let whole: Value = serde_json::from_str(&text).unwrap();
    assert!(whole["machine"]["cores"].as_u64() > Some(0) && whole["settings"].as_array().unwrap().len() > 5);
    assert!(whole["metrics"].to_string().contains("rehearsekit_sessions"), "{}", whole["metrics"]);
    assert!(whole["data"].to_string().contains("DATA/identity/server.pem"), "{}", whole["data"]);
    assert_eq!(whole["findings"].as_array().unwrap().len(), told["checks"].as_array().unwrap().len());
}

#[test]
fn a_model_that_is_not_there_or_not_what_it_should_be() {
    let folder = tempfile::tempdir().unwrap();
    let copy = copied_data(folder.path());
    let output = doctor(&copy, &["--model", "spleeter-2stems", "--model", "htdemucs"]).output().unwrap();
    let finding =
        found(&output, "failed", "model-missing", &["htdemucs is not installed", "models pull htdemucs"]);
    assert_eq!(finding["check"], "model htdemucs");
    let weights = copy.join("models/spleeter-2stems/weights.safetensors");
    let mut bytes = fs::read(&weights).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&weights, &bytes).unwrap();
    let words = ["spleeter-2stems is damaged", "weights.safetensors", "models pull spleeter-2stems"];
    found(&doctor(&copy, &[]).output().unwrap(), "failed", "model-corrupt", &words);
    fs::write(&weights, &bytes[..middle]).unwrap();
    found(&doctor(&copy, &[]).output().unwrap(), "failed", "model-corrupt", &words);
}

#[test]
fn an_onnx_runtime_of_another_version() {
    let folder = tempfile::tempdir().unwrap();
    let copy = copied_data(folder.path());
    // What an older version of us would have left.
    fs::rename(copy.join("runtime/onnxruntime-1.26.0"), copy.join("runtime/onnxruntime-1.20.0")).unwrap();
    let mut without = doctor(&copy, &[]);
    let output = without.env_remove("ONNXRUNTIME_LIBRARY").output().unwrap();
    found(
        &output,
        "failed",
        "runtime-version",
        &["holds ONNX Runtime 1.20.0", "needs 1.26.0", "models pull"],
    );
    // One that somebody has named: it says itself what it is.
    let (source, library) = (folder.path().join("old.c"), folder.path().join("libonnxruntime.so"));
    let code = "static const void *api(unsigned v) { return 0; }\n\
                static const char *version(void) { return \"1.17.3\"; }\n\
                static const struct { const void *(*a)(unsigned); const char *(*v)(void); } base = { api, version };\n\
                const void *OrtGetApiBase(void) { return &base; }\n";
    fs::write(&source, code).unwrap();
    let built =
        Command::new("cc").args(["-shared", "-fPIC", "-o"]).arg(&library).arg(&source).status().unwrap();
    assert!(built.success());
    let output = doctor(&copy, &[]).env("ONNXRUNTIME_LIBRARY", &library).output().unwrap();
    found(
        &output,
        "failed",
        "runtime-version",
        &["is version 1.17.3", "1.26 or later", "ONNXRUNTIME_LIBRARY"],
    );
}

#[test]
fn a_link_that_is_never_twice_the_same() {
    let server = Server::start();
    let way = "delay=60ms,jitter=55ms,seed=3".parse().unwrap();
    let proxy = UdpProxy::start(server.address.parse().unwrap(), way).unwrap();
    let address = proxy.address.to_string();
    let output =
        rehearsekit().args(["doctor", "--json", "--server", &address, "--seconds", "6"]).output().unwrap();
    let words = ["over this link: it needs", "cable", "round trip", "Mbit/s"];
    let finding = found(&output, "failed", "link-jitter", &words);
    // Each way takes 5 to 115 ms; that much music makes such a link late is certain, how much is chance.
    assert!(finding["facts"]["jitter_millis"].as_f64().unwrap() > 20.0, "{finding}");
    assert!(finding["facts"]["round_trip_millis"]["p50"].as_f64().unwrap() > 40.0, "{finding}");
    let told: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert!(
        told["checks"].as_array().unwrap().iter().any(|c| c["check"] == "server" && c["verdict"] == "ok")
    );
}

#[test]
fn a_server_that_is_not_there() {
    let nobody = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let output =
        rehearsekit().args(["doctor", "--json", "--server", &nobody, "--seconds", "1"]).output().unwrap();
    found(&output, "failed", "server-unreachable", &[&nobody, "rehearsekit serve"]);
}

#[test]
fn state_of_a_later_version_is_left_alone_by_all() {
    let folder = tempfile::tempdir().unwrap();
    let data = linked_data(folder.path());
    let state = r#"{"state": 2, "written_by": "9.1.0", "more": true}"#;
    fs::write(data.join("state.json"), state).unwrap();
    let output = doctor(&data, &[]).output().unwrap();
    found(
        &output,
        "failed",
        "state-newer",
        &["rehearsekit 9.1.0", "run 9.1.0 or later", "restore the backup", "--data"],
    );
    let before = common::entries(&data);
    for words in [
        &["serve", "--listen", "127.0.0.1:0", "--http", "127.0.0.1:0"][..],
        &["clients", "list"],
        &["clients", "add", "x"],
        &["pair"],
        &["models", "list"],
        &["backup", "-"],
    ] {
        let output = rehearsekit().arg("--data").arg(&data).args(words).output().unwrap();
        assert_refused(&output, 2, &["was written by rehearsekit 9.1.0", "Nothing was changed"]);
    }
    assert_eq!(fs::read_to_string(data.join("state.json")).unwrap(), state);
    // Settings that only the later version knows are its business too.
    fs::write(data.join("server.toml"), "hologram = true\n").unwrap();
    found(&doctor(&data, &[]).output().unwrap(), "failed", "state-newer", &["run 9.1.0 or later"]);
    fs::remove_file(data.join("server.toml")).unwrap();
    assert_eq!(common::entries(&data), before);
}

#[test]
fn people_read_a_line_each() {
    let folder = tempfile::tempdir().unwrap();
    let data = linked_data(folder.path());
    let mut command = rehearsekit();
    command.arg("--data").arg(&data).args(&QUICK[..1]).args(&QUICK[2..]).args(["--model", "htdemucs-2"]);
    let output = command.output().unwrap();
    let text = String::from_utf8(output.stdout.clone()).unwrap();
    let line = text.lines().find(|line| line.contains("[model-missing]")).unwrap();
    assert!(line.starts_with("failed  model htdemucs-2"), "{line}");
    assert!(
        text.lines().any(|line| line.starts_with("ok      clock") || line.starts_with("warning clock")),
        "{text}"
    );
    assert!(stderr(&output).contains("what to do stands beside"), "{}", stderr(&output));
}
