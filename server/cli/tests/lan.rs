//! Servers that are found from another machine, with the real command on both: two network namespaces with two
//! cables between them. Nothing here depends on who is quick, only on who is there.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used)]

mod common;
#[path = "../../../tests/src/netns.rs"]
#[allow(unreachable_pub, reason = "it is public where it is at home")]
mod netns;

use std::{ffi::OsStr, fs, os::unix::fs::symlink, path::Path, process::Output, time::Duration};

use common::{data, json, song, stderr};
use netns::{Lan, Running, Side};
use serde_json::Value;

const COMMAND: &str = env!("CARGO_BIN_EXE_rehearsekit");

/// A server in the closet, ready.
struct Server {
    running: Running,
    fingerprint: String,
}

/// A data folder of its own, hence a key of its own; models and measurements are the tests'.
fn data_folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for part in fs::read_dir(data()).unwrap().map(|entry| entry.unwrap()) {
        if part.file_name() != "identity" {
            symlink(part.path(), folder.path().join(part.file_name())).unwrap();
        }
    }
    folder
}

impl Server {
    fn start(lan: &Lan, data: &Path, listen: &str, more: &[&str]) -> Self {
        Self::start_with(lan, data, listen, more, &[])
    }

    fn start_with(lan: &Lan, data: &Path, listen: &str, more: &[&str], variables: &[(&str, &OsStr)]) -> Self {
        let variables = [&[("REHEARSEKIT_DATA", data.as_os_str())], variables].concat();
        let mut command = lan.command(Side::Closet, COMMAND, &variables);
        command.args(["serve", "--json", "--listen", listen, "--http", "127.0.0.1:0"]);
        command.args(["--model", "spleeter-2stems", "--set", "server_name=closet"]).args(more);
        let mut running = lan.start(&command);
        let line = running.line();
        let ready: Value = serde_json::from_str(&line).unwrap_or_else(|e| panic!("'{line}': {e}"));
        Self { running, fingerprint: ready["fingerprint"].as_str().unwrap().to_owned() }
    }

    fn stop(&mut self) {
        self.running.signal("TERM");
        assert!(self.running.ended().success());
    }
}

fn search(lan: &Lan, seconds: &str) -> Output {
    let mut command = lan.command(Side::Stage, COMMAND, &[]);
    command.args(["servers", "--seconds", seconds, "--json"]).output().unwrap()
}

/// What is found: fingerprint and addresses, after checking what else is said.
fn found(output: &Output) -> Vec<(String, Vec<String>)> {
    let report = json(output);
    assert_eq!(report["trouble"], Value::Null, "{report}");
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let servers = report["servers"].as_array().unwrap().iter().map(|server| {
        assert_eq!(server["name"], "closet");
        assert_eq!(server["models"], serde_json::json!(["spleeter-2stems"]));
        assert_eq!(server["version"], env!("CARGO_PKG_VERSION"));
        assert_eq!(server["sessions"], serde_json::json!({ "open": 0, "most": 16 }));
        (text(&server["fingerprint"]), server["addresses"].as_array().unwrap().iter().map(text).collect())
    });
    servers.collect()
}

/// Nobody is found, and the sentence has these words.
fn nobody(output: &Output, words: &[&str]) {
    let said = stderr(output);
    assert_eq!(output.status.code(), Some(4), "{said}");
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["servers"], serde_json::json!([]));
    for word in words {
        assert!(said.contains(word), "'{word}' is missing in: {said}");
    }
}

#[test]
fn a_server_is_found_once_at_all_its_addresses_and_found_again_where_it_moves() {
    let lan = Lan::new();
    let folder = data_folder();
    let mut server = Server::start(&lan, folder.path(), "[::]:7433", &[]);
    let servers = found(&search(&lan, "4"));
    assert_eq!(servers.len(), 1, "{servers:?}");
    assert_eq!(servers[0].0, server.fingerprint);
    let everywhere = ["10.77.0.1:7433", "10.77.1.1:7433", "[fd77::1]:7433", "[fd77:1::1]:7433"];
    assert_eq!(servers[0].1[..4], everywhere, "the best first");
    let link_local = |address: &String| address.starts_with("[fe80::") && address.contains('%');
    assert!(servers[0].1.len() > 4 && servers[0].1[4..].iter().all(link_local), "{servers:?}");

    // The router gives it another address while it runs; it looks every five seconds.
    lan.ip(Side::Closet, &["addr", "del", "10.77.0.1/24", "dev", "lan0"]);
    lan.ip(Side::Closet, &["addr", "add", "10.77.0.7/24", "dev", "lan0"]);
    let servers = found(&search(&lan, "9"));
    assert_eq!(servers.len(), 1, "{servers:?}");
    assert_eq!(servers[0].0, server.fingerprint);
    assert_eq!(servers[0].1[..2], ["10.77.0.7:7433", "10.77.1.1:7433"]);

    // It is put somewhere else, with its data: the same server.
    server.stop();
    let mut moved = Server::start(&lan, folder.path(), "10.77.1.1:7444", &[]);
    let servers = found(&search(&lan, "4"));
    assert_eq!(servers, [(server.fingerprint.clone(), vec!["10.77.1.1:7444".to_owned()])]);
    moved.stop();
}

#[test]
fn two_servers_of_one_name_are_two_and_each_leaves_in_its_own_way() {
    let lan = Lan::new();
    let folders = [data_folder(), data_folder()];
    let start =
        |at: usize| Server::start(&lan, folders[at].path(), ["0.0.0.0:7433", "0.0.0.0:7434"][at], &[]);
    let mut polite = start(0);
    let powerless = start(1);
    let mut both = [polite.fingerprint.clone(), powerless.fingerprint.clone()];
    both.sort();
    let fingerprints = |output: &Output| {
        let mut fingerprints: Vec<String> = found(output).into_iter().map(|server| server.0).collect();
        fingerprints.sort();
        fingerprints
    };
    std::thread::scope(|scope| {
        let before = scope.spawn(|| search(&lan, "3"));
        let meanwhile = scope.spawn(|| search(&lan, "8"));
        let through_all = scope.spawn(|| search(&lan, "28"));
        assert_eq!(fingerprints(&before.join().unwrap()), both);
        // It says goodbye.
        polite.stop();
        assert_eq!(fingerprints(&meanwhile.join().unwrap()), std::slice::from_ref(&powerless.fingerprint));
        // It says nothing; who looks at the list asks after it.
        powerless.running.signal("KILL");
        nobody(&through_all.join().unwrap(), &["multicast"]);
    });
}

#[test]
fn who_is_not_found_is_not_there_or_multicast_is_blocked_and_that_is_said() {
    let lan = Lan::new();
    let folder = data_folder();
    let mut server = Server::start(&lan, folder.path(), "0.0.0.0:7433", &[]);
    // Neither multicast DNS nor the question by broadcast.
    let mdns = "udp dport { 5353, 7432 }";
    lan.block(Side::Stage, "input", "udp dport 5353");
    assert_eq!(found(&search(&lan, "4")).len(), 1, "asked by broadcast, it answers");
    lan.unblock(Side::Stage);
    lan.block(Side::Stage, "input", "udp dport 5353");
    lan.block(Side::Stage, "input", "udp sport 7432");
    nobody(
        &search(&lan, "4"),
        &["a firewall on this machine blocks multicast", "arrives", "type the server's address"],
    );
    lan.unblock(Side::Stage);
    lan.block(Side::Stage, "output", mdns);
    nobody(&search(&lan, "4"), &["a firewall on this machine blocks multicast", "lets no question out"]);
    lan.unblock(Side::Stage);
    // On the way, which looks from here as if nobody were there.
    lan.block(Side::Closet, "input", mdns);
    nobody(
        &search(&lan, "4"),
        &["nobody on this network answers", "UDP port 5353", "Type the server's address"],
    );
    lan.unblock(Side::Closet);
    assert_eq!(found(&search(&lan, "4")).len(), 1, "nothing but the firewall was in the way");
    server.stop();
    for silent in [&["0.0.0.0:7433", "--set", "announce=false"][..], &["127.0.0.1:7433"]] {
        let mut server = Server::start(&lan, folder.path(), silent[0], &silent[1..]);
        nobody(&search(&lan, "4"), &[]);
        server.stop();
    }
    lan.ip(Side::Stage, &["link", "set", "lan0", "down"]);
    lan.ip(Side::Stage, &["link", "set", "lan1", "down"]);
    nobody(&search(&lan, "2"), &["this machine is on no network"]);
}

/// As on TrueNAS, where avahi takes the port without sharing it.
#[test]
fn a_server_whose_port_of_multicast_dns_is_taken_is_found_by_asking() {
    let lan = Lan::new();
    let hold = "import socket, time; s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.bind(('', 5353)); \
                print('held', flush=True); time.sleep(600)";
    let mut command = lan.command(Side::Closet, "python3", &[]);
    let mut holder = lan.start(command.args(["-c", hold]));
    assert_eq!(holder.line().trim(), "held");
    let folder = data_folder();
    let nowhere = folder.path().join("no-bus");
    let bus = format!("unix:path={}", nowhere.display());
    let bus = [("DBUS_SYSTEM_BUS_ADDRESS", OsStr::new(&bus))];
    let server = Server::start_with(&lan, folder.path(), "0.0.0.0:7433", &[], &bus);
    let servers = found(&search(&lan, "4"));
    assert_eq!(servers.len(), 1, "{servers:?}");
    assert_eq!(servers[0].0, server.fingerprint);
    assert_eq!(servers[0].1, ["10.77.0.1:7433", "10.77.1.1:7433"]);
    // The doctor of that machine says what is there, and what to do.
    let doctor = |bus: &[(&str, &OsStr)]| {
        let variables = [&[("REHEARSEKIT_DATA", folder.path().as_os_str())], bus].concat();
        let mut command = lan.command(Side::Closet, COMMAND, &variables);
        command.args(["doctor", "--quick", "--listen", "0.0.0.0:7433"]).output().unwrap()
    };
    let said = doctor(&bus);
    let said = format!("{}{}", String::from_utf8_lossy(&said.stdout), stderr(&said));
    assert!(said.contains("5353") && said.contains("avahi") && said.contains("system_bus_socket"), "{said}");
    drop(server);
    lan.block(Side::Closet, "input", "udp dport 7432");
    nobody(&search(&lan, "4"), &["UDP port 5353"]);
}

/// A real avahi with a bus of its own, which shares its port with nobody.
struct TruenasAvahi {
    bus: String,
    _running: [Running; 2],
}

impl TruenasAvahi {
    fn start(lan: &Lan, folder: &Path) -> Self {
        let (bus_file, bus_config, config) =
            (folder.join("bus"), folder.join("bus.conf"), folder.join("avahi.conf"));
        fs::write(
            &bus_config,
            format!(
                "<busconfig><type>system</type><listen>unix:path={}</listen><auth>EXTERNAL</auth><policy \
                 context=\"default\"><allow user=\"*\"/><allow own=\"*\"/><allow send_destination=\"*\" \
                 eavesdrop=\"true\"/><allow eavesdrop=\"true\"/></policy></busconfig>",
                bus_file.display()
            ),
        )
        .unwrap();
        fs::write(&config, "[server]\ndisallow-other-stacks=yes\nenable-dbus=yes\n").unwrap();
        let mut command = lan.command(Side::Closet, "dbus-daemon", &[]);
        let daemon =
            lan.start(command.arg("--nofork").arg(format!("--config-file={}", bus_config.display())));
        until(|| bus_file.exists());
        let bus = format!("unix:path={}", bus_file.display());
        // Its own folder for its number, out of the way of one that this machine may run.
        let own = format!(
            "mkdir -p /run/avahi-daemon && mount -t tmpfs none /run/avahi-daemon && exec avahi-daemon --no-drop-root \
             --no-chroot --no-rlimits -f '{}'",
            config.display()
        );
        let mut command = lan.command(Side::Closet, "sh", &[("DBUS_SYSTEM_BUS_ADDRESS", OsStr::new(&bus))]);
        let avahi = lan.start(command.args(["-c", &own]));
        // Not asked by any question of multicast DNS, which would hold the port itself for a moment.
        until(|| {
            let sockets = lan.command(Side::Closet, "cat", &[]).arg("/proc/net/udp").output().unwrap();
            String::from_utf8_lossy(&sockets.stdout).contains(":14E9 ")
        });
        Self { bus, _running: [daemon, avahi] }
    }
}

/// Waits for something that comes soon; the limit only ends a test that would never end.
fn until(comes: impl Fn() -> bool) {
    for _ in 0..200 {
        if comes() {
            return;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    panic!("it did not come");
}

#[test]
fn an_avahi_that_shares_its_port_with_nobody_announces_the_server() {
    let lan = Lan::new();
    let folder = data_folder();
    let beside = tempfile::tempdir().unwrap();
    let avahi = TruenasAvahi::start(&lan, beside.path());
    let bus = [("DBUS_SYSTEM_BUS_ADDRESS", OsStr::new(&avahi.bus))];
    let doctor = || {
        let variables = [&[("REHEARSEKIT_DATA", folder.path().as_os_str())], &bus[..]].concat();
        let mut command = lan.command(Side::Closet, COMMAND, &variables);
        let output = command.args(["doctor", "--quick", "--listen", "0.0.0.0:7433"]).output().unwrap();
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    until(|| doctor().contains("announces the server"));
    let mut server = Server::start_with(&lan, folder.path(), "0.0.0.0:7433", &[], &bus);
    // Without the question by broadcast.
    lan.block(Side::Closet, "input", "udp dport 7432");
    let servers = found(&search(&lan, "6"));
    assert_eq!(servers.len(), 1, "{servers:?}");
    assert_eq!(servers[0].0, server.fingerprint);
    assert!(servers[0].1.contains(&"10.77.0.1:7433".to_owned()), "{servers:?}");
    server.stop();
    nobody(&search(&lan, "4"), &[]);
}

#[test]
fn how_busy_a_server_is_can_be_seen_from_afar() {
    let lan = Lan::new();
    let (folder, work) = (data_folder(), tempfile::tempdir().unwrap());
    let _server = Server::start(&lan, folder.path(), "0.0.0.0:7433", &[]);
    assert_eq!(found(&search(&lan, "3")).len(), 1);
    // Who plays on the same machine.
    let song = song(work.path(), "song.wav", 44_100, 2, 44_100);
    let mut stream = lan.command(Side::Closet, COMMAND, &[]);
    stream.arg("stream").arg(song).args(["--server", "127.0.0.1:7433", "--loop", "--seconds", "600"]);
    let _playing = lan.start(stream.arg("--out").arg(work.path().join("out")));
    // An update takes some seconds; the limit only ends a test that would never end.
    let open = (0..60).map(|_| {
        let report: Value = serde_json::from_slice(&search(&lan, "2").stdout).unwrap();
        report["servers"][0]["sessions"]["open"].clone()
    });
    assert!(open.into_iter().any(|open| open == 1), "the load never changed");
}

#[test]
fn a_stranger_is_refused_then_paired_plays_finds_the_server_where_it_moved_and_is_shut_out() {
    let lan = Lan::new();
    let (folder, work) = (data_folder(), tempfile::tempdir().unwrap());
    let server = Server::start(&lan, folder.path(), "[::]:7433", &[]);
    let other_folder = data_folder();
    let _other = Server::start(&lan, other_folder.path(), "[::]:7434", &["--set", "server_name=attic"]);
    let on_stage = [("XDG_CONFIG_HOME", work.path().as_os_str())];
    let stage = |words: &[&str]| lan.command(Side::Stage, COMMAND, &on_stage).args(words).output().unwrap();
    let in_closet = |words: &[&str]| {
        let mut command =
            lan.command(Side::Closet, COMMAND, &[("REHEARSEKIT_DATA", folder.path().as_os_str())]);
        command.args(words);
        command
    };
    let song = song(work.path(), "song.wav", 44_100, 2, 88_200);
    let out = work.path().join("out");
    let (song, out) = (song.to_str().unwrap(), out.to_str().unwrap());
    let play = |server: &str| {
        stage(&["stream", song, "--server", server, "--pace", "fast", "--overwrite", "--json", "--out", out])
    };

    let told = stderr(&play("10.77.0.1:7433"));
    assert!(told.contains("not paired") && told.contains("rehearsekit pair"), "{told}");
    let pair = |code: &str| {
        stage(&["pair", "--with", "closet", "--code", code, "--name", "drummer's laptop", "--json"])
    };
    let told = stderr(&pair("1234-5678"));
    // A server's first start shows a code by itself, in its log; guessing costs it a try.
    assert!(told.contains("the code is wrong; 4 tries are left"), "{told}");
    let showing = in_closet(&["pair", "--json"]);
    let mut showing = lan.start(&showing);
    let code = serde_json::from_str::<Value>(&showing.line()).unwrap()["code"].as_str().unwrap().to_owned();
    let wrong = if code.starts_with('0') { "1111-1111" } else { "0000-0000" };
    let told = stderr(&pair(wrong));
    assert!(told.contains("wrong"), "{told}");
    let paired = json(&pair(&code));
    assert_eq!(
        (paired["fingerprint"].as_str(), &paired["server"]),
        (Some(&*server.fingerprint), &"closet".into())
    );
    assert!(showing.ended().success(), "who showed the code is told");

    // By its name, as the usual one, and at an address it never had.
    assert!(json(&play("closet"))["hops"].as_u64().unwrap() > 0);
    assert!(json(&play(""))["hops"].as_u64().unwrap() > 0);
    for (gone, cable) in [("10.77.0.1/24", "lan0"), ("10.77.1.1/24", "lan1")] {
        lan.ip(Side::Closet, &["addr", "del", gone, "dev", cable]);
    }
    for (gone, cable) in [("fd77:0::1/64", "lan0"), ("fd77:1::1/64", "lan1")] {
        lan.ip(Side::Closet, &["addr", "del", gone, "dev", cable]);
    }
    lan.ip(Side::Closet, &["addr", "add", "10.77.0.9/24", "dev", "lan0"]);
    assert!(json(&play("closet"))["hops"].as_u64().unwrap() > 0, "found again by its identity");
    let listed = json(&in_closet(&["clients", "list", "--json"]).output().unwrap());
    assert_eq!(listed["clients"][0]["name"], "drummer's laptop", "{listed}");
    let revoked = in_closet(&["clients", "revoke", "drummer's laptop"]).output().unwrap();
    assert!(revoked.status.success(), "{}", stderr(&revoked));
    let told = stderr(&play("closet"));
    assert!(told.contains("says no") && told.contains("shut"), "{told}");
    let forgotten = stage(&["servers", "forget", "closet"]);
    assert!(forgotten.status.success(), "{}", stderr(&forgotten));
    let told = stderr(&stage(&["servers", "forget", "closet"]));
    assert!(told.contains("not paired with"), "{told}");
}
