//! `doctor` between two machines: what keeps a server from being found, and a token that is worth nothing any more.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used)]

mod common;
#[path = "../../../tests/src/netns.rs"]
#[allow(unreachable_pub, reason = "it is public where it is at home")]
mod netns;

use std::process::Output;

use common::{json, linked_data, stderr};
use netns::{Lan, Side};
use serde_json::Value;

const COMMAND: &str = env!("CARGO_BIN_EXE_rehearsekit");

/// How one check ended: verdict, name and sentence.
fn check(output: &Output, check: &str) -> (String, Option<String>, String) {
    let told: Value =
        serde_json::from_slice(&output.stdout).unwrap_or_else(|e| panic!("{e}: {}", stderr(output)));
    let found = told["checks"].as_array().unwrap().iter().find(|c| c["check"] == check);
    let found = found.unwrap_or_else(|| panic!("{check}: {told}"));
    let text = |key: &str| found[key].as_str().map(str::to_owned);
    (text("verdict").unwrap(), text("id"), text("detail").unwrap())
}

#[test]
fn blocked_multicast_is_told_at_the_server() {
    let lan = Lan::new();
    let folder = tempfile::tempdir().unwrap();
    let data = linked_data(folder.path());
    let doctor = || {
        let mut command = lan.command(Side::Closet, COMMAND, &[("REHEARSEKIT_DATA", data.as_os_str())]);
        command.args(["doctor", "--quick", "--json", "--listen", "0.0.0.0:7433"]).output().unwrap()
    };
    assert_eq!(check(&doctor(), "multicast").0, "ok");
    for (hook, words) in
        [("input", "nothing that is sent to UDP port 5353 arrives"), ("output", "lets no question out")]
    {
        lan.block(Side::Closet, hook, "udp dport 5353");
        let (verdict, id, told) = check(&doctor(), "multicast");
        assert_eq!((verdict.as_str(), id.as_deref()), ("warning", Some("multicast-blocked")));
        assert!(told.contains(words) && told.contains("a firewall on this machine"), "{told}");
        lan.unblock(Side::Closet);
    }
    for device in ["lan0", "lan1"] {
        lan.ip(Side::Closet, &["link", "set", device, "down"]);
    }
    assert_eq!(check(&doctor(), "multicast").1.as_deref(), Some("no-network"));
}

#[test]
fn a_player_is_told_of_pairing_of_multicast_on_the_way_and_of_being_shut_out() {
    let lan = Lan::new();
    let work = tempfile::tempdir().unwrap();
    let data = linked_data(work.path());
    let in_closet = |words: &[&str]| {
        let mut command = lan.command(Side::Closet, COMMAND, &[("REHEARSEKIT_DATA", data.as_os_str())]);
        command.args(words);
        command
    };
    let serve =
        ["serve", "--json", "--listen", "[::]:7433", "--http", "127.0.0.1:0", "--set", "server_name=closet"];
    let mut server = lan.start(&in_closet(&serve));
    assert!(server.line().contains("ready"));
    let on_stage = [("XDG_CONFIG_HOME", work.path().as_os_str())];
    let stage = |words: &[&str]| lan.command(Side::Stage, COMMAND, &on_stage).args(words).output().unwrap();
    let doctor = |server: &str| stage(&["doctor", "--json", "--server", server, "--seconds", "3"]);

    let (verdict, id, told) = check(&doctor("10.77.0.1:7433"), "server");
    assert_eq!((verdict.as_str(), id.as_deref()), ("failed", Some("not-paired")));
    assert!(told.contains("rehearsekit pair"), "{told}");

    let mut showing = lan.start(&in_closet(&["pair", "--json"]));
    let code = serde_json::from_str::<Value>(&showing.line()).unwrap()["code"].as_str().unwrap().to_owned();
    json(&stage(&["pair", "--with", "closet", "--code", &code, "--name", "drummer's laptop", "--json"]));
    assert!(showing.ended().success());
    let well = doctor("closet");
    assert_eq!(check(&well, "server").0, "ok");
    assert_eq!(check(&well, "multicast").0, "ok");
    let (_, id, told) = check(&well, "link");
    // A busy machine may well be late; it is not the link that is.
    assert!(id.is_none_or(|id| id == "server-slow" || id == "link-jitter"), "{told}");

    // On the way: the player's machine hears itself, and the server at its address.
    lan.block(Side::Closet, "output", "udp dport 5353");
    lan.block(Side::Closet, "output", "udp sport 7432");
    let (verdict, id, told) = check(&doctor("closet"), "multicast");
    assert_eq!((verdict.as_str(), id.as_deref()), ("warning", Some("multicast-blocked")), "{told}");
    assert!(told.contains("blocked on the way"), "{told}");
    lan.unblock(Side::Closet);

    let revoked = in_closet(&["clients", "revoke", "drummer's laptop"]).output().unwrap();
    assert!(revoked.status.success(), "{}", stderr(&revoked));
    let (verdict, id, told) = check(&doctor("closet"), "server");
    assert_eq!((verdict.as_str(), id.as_deref()), ("failed", Some("token-refused")), "{told}");
    assert!(told.contains("shut") && told.contains("pair --with"), "{told}");
    // Forgotten there altogether: the token belongs to nobody.
    std::fs::remove_file(data.join("identity/clients.json")).unwrap();
    let forgotten = (0..20).map(|_| check(&doctor("closet"), "server"));
    assert!(
        forgotten
            .into_iter()
            .any(|(_, id, told)| id.as_deref() == Some("token-refused") && !told.contains("shut"))
    );
}
