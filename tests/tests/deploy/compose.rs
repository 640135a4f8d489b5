//! The Compose files, those of ours and those that the catalogue's template makes: they are Compose, and the container
//! is as closed as it is said to be.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use serde_json::Value;

use crate::{names, parse, rendered, settings, top, version, yaml};

fn files() -> Vec<PathBuf> {
    let mut files = vec![top().join("deploy/truenas/custom-app.yaml"), top().join("deploy/compose.yaml")];
    files.extend(
        names(&rendered::kept(), ".json").iter().map(|name| rendered::kept().join(format!("{name}.json"))),
    );
    files
}

/// `check-jsonschema`, which brings the schema of the Compose specification, as `cargo xtask test` has fetched it.
fn schemas() -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap().join("python-schemas");
    let sealed = folder.join("requirements.txt");
    assert!(sealed.exists(), "there is no {}: run `cargo xtask test`, which makes it", sealed.display());
    folder
}

/// Whether `file` follows a schema that comes with it.
pub(crate) fn follows(schema: &str, file: &Path) -> bool {
    let mut check = Command::new("python3");
    check.env("PYTHONPATH", schemas()).env("PYTHONDONTWRITEBYTECODE", "1");
    check.args(["-m", "check_jsonschema", "--builtin-schema", schema]);
    check.arg(file).status().unwrap().success()
}

fn follows_the_specification(file: &Path) -> bool {
    follows("vendor.compose-spec", file)
}

#[test]
fn they_follow_the_compose_specification() {
    for file in files() {
        assert!(follows_the_specification(&file), "{}", file.display());
    }
    let folder = tempfile::tempdir().unwrap();
    let wrong = folder.path().join("compose.yaml");
    std::fs::write(&wrong, "services: {a: {image: b, helthcheck: {}}}").unwrap();
    assert!(!follows_the_specification(&wrong));
}

/// Where Docker has its Compose plugin, it is asked as well.
#[test]
fn docker_compose_takes_them() {
    let there = Command::new("docker").args(["compose", "version"]).output();
    if !there.is_ok_and(|output| output.status.success()) {
        println!("not run: there is no `docker compose` here");
        return;
    }
    for file in files() {
        let status = Command::new("docker")
            .args(["compose", "--file"])
            .arg(&file)
            .args(["config", "--quiet"])
            .status();
        assert!(status.unwrap().success(), "{}", file.display());
    }
}

fn strings(value: &Value) -> Vec<&str> {
    value.as_array().into_iter().flatten().filter_map(Value::as_str).collect()
}

/// What only files that we write whole can say; in the catalogue the rest is the system's business.
fn own_complaints(file: &Value) -> Vec<&'static str> {
    let service = &file["services"]["rehearsekit"];
    let logging = &service["logging"]["options"];
    let said = |is: bool, words: &'static str| (!is).then_some(words);
    [
        said(
            service["pids_limit"].as_u64().is_some_and(|most| (256..=4096).contains(&most)),
            "a limit of processes",
        ),
        said(
            logging["max-size"].is_string() && logging["max-file"].is_string(),
            "a log that does not grow for ever",
        ),
        said(
            service["deploy"]["resources"].get("reservations").is_none(),
            "no card, unless somebody has one",
        ),
    ]
    .into_iter()
    .flatten()
    .collect()
}

#[test]
fn what_is_pasted_unedited_starts_anywhere_and_fills_nothing() {
    for file in &files()[..2] {
        assert_eq!(own_complaints(&yaml(file)), Vec::<&str>::new(), "{}", file.display());
    }
    let whole = crate::text(&files()[0]);
    for (from, to) in [
        ("pids_limit: 1024", "pids_limit: -1"),
        ("max-size: 10m", "max-sizes: 10m"),
        ("        # reservations:", "        reservations: {}\n        #"),
    ] {
        assert!(whole.contains(from), "{from} is not there any more: choose another mistake");
        assert_eq!(own_complaints(&parse(&whole.replacen(from, to, 1)).unwrap()).len(), 1, "{from} → {to}");
    }
}

/// The block for a card is what the text above it says: take five times "# " away, and the card is reserved.
#[test]
fn with_a_card_five_lines_lose_their_mark() {
    for file in &files()[..2] {
        let whole = crate::text(file);
        let at = whole.find("        # reservations:").unwrap();
        let (before, rest) = whole.split_at(at);
        let with: String = rest
            .lines()
            .enumerate()
            .map(|(number, line)| {
                (if number < 5 { line.replacen("# ", "", 1) } else { line.to_owned() }) + "\n"
            })
            .collect();
        let with = parse(&format!("{before}{with}")).unwrap();
        let cards = &with["services"]["rehearsekit"]["deploy"]["resources"]["reservations"]["devices"][0];
        assert_eq!((&cards["driver"], &cards["capabilities"][0]), (&"nvidia".into(), &"gpu".into()));
        assert_eq!(with["services"]["rehearsekit"]["image"], yaml(file)["services"]["rehearsekit"]["image"]);
    }
}

/// What is wrong with the server's container in `file`, each in a line.
fn complaints(file: &Value) -> Vec<String> {
    let service = &file["services"]["rehearsekit"];
    let mut wrong = Vec::new();
    let mut must = |is: bool, words: &str| {
        if !is {
            wrong.push(words.to_owned());
        }
    };
    let image = service["image"].as_str().unwrap_or("");
    let tag = image.rsplit_once(':').map_or("", |(_, tag)| tag);
    must(tag.trim_end_matches("-cuda") == version(), "the image is of this version");
    let user = service["user"].as_str().unwrap_or("");
    must(user.split(':').all(|id| id.parse().is_ok_and(|id: u32| id > 0)), "a user who is not root");
    must(service["read_only"] == true, "a root that cannot be written");
    must(strings(&service["cap_drop"]) == ["ALL"], "no capability");
    must(service.get("cap_add").is_none() && service.get("privileged").is_none(), "none given back");
    must(
        strings(&service["security_opt"]).iter().any(|word| word.starts_with("no-new-privileges")),
        "no new ones",
    );
    must(service.get("tmpfs").is_none(), "nothing to write on but the volume");
    must(strings(&service["command"]) == ["serve", "--stay"], "it serves, and does not start again for ever");
    let health = strings(&service["healthcheck"]["test"]);
    must(health == ["CMD", "/usr/bin/rehearsekit", "health"], "the server asks itself: there is no shell");
    must(service["restart"] == "unless-stopped", "it comes back, after the machine's own start too");
    let limits = &service["deploy"]["resources"]["limits"];
    must(limits["memory"].is_string() && limits["cpus"].is_string(), "limits");
    let empty = Vec::new();
    let volumes = service["volumes"].as_array().unwrap_or(&empty);
    must(volumes.iter().any(|volume| volume["target"] == "/data"), "the volume at /data");
    must(
        volumes.iter().all(|volume| volume["target"].as_str().is_some_and(|at| at.starts_with("/data"))),
        "no other",
    );

    let variables: BTreeMap<String, String> = service["environment"]
        .as_object()
        .into_iter()
        .flatten()
        .map(|(key, value)| (key.clone(), value.as_str().map_or_else(|| value.to_string(), str::to_owned)))
        .collect();
    let config = match settings::config(&variables) {
        Ok(config) => config,
        Err(error) => {
            wrong.push(error);
            return wrong;
        }
    };
    must(config.data == Path::new("/data"), "REHEARSEKIT_DATA is the volume");
    must(config.listen.ip().is_unspecified() && config.http.ip().is_unspecified(), "others reach it");
    let grace = service["stop_grace_period"].as_str().and_then(|text| text.strip_suffix('s')?.parse().ok());
    must(
        grace.is_some_and(|seconds| Duration::from_secs(seconds) > config.drain),
        "players may finish before the end",
    );
    if service["network_mode"] == "host" {
        must(config.announce && service.get("ports").is_none(), "found in the house");
    } else {
        let ports: Vec<(u64, &str)> = service["ports"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(|port| Some((port["target"].as_u64()?, port["protocol"].as_str()?)))
            .collect();
        must(!config.announce, "it does not announce addresses that nobody reaches");
        must(ports.contains(&(u64::from(config.listen.port()), "udp")), "the link is published");
        must(ports.contains(&(u64::from(config.http.port()), "tcp")), "HTTP is published");
    }
    for portal in file["x-portals"].as_array().into_iter().flatten() {
        must(portal["port"] == config.http.port(), "the button opens the port that is listened to");
        must(
            portal["scheme"] == "http" && portal["host"] == "0.0.0.0" && portal["name"].is_string(),
            "a button",
        );
        must(portal["path"].as_str().is_some_and(|path| path.starts_with('/')), "the button's path");
    }
    wrong
}

#[test]
fn the_container_is_closed_and_told_what_it_understands() {
    for file in files() {
        assert_eq!(complaints(&yaml(&file)), Vec::<String>::new(), "{}", file.display());
    }
    // A button where there is something to see; the catalogue's comes with the page.
    let buttons = |file: &PathBuf| yaml(file)["x-portals"].as_array().map_or(0, Vec::len);
    assert_eq!(files().iter().map(buttons).collect::<Vec<_>>(), [1, 0, 0, 0, 0]);
}

#[test]
fn mistakes_are_found() {
    let whole = crate::text(&files()[0]);
    for (from, to) in [
        ("localhost/rehearsekit:0", "localhost/rehearsekit:9"),
        ("user: \"568:568\"", "user: \"0:0\""),
        ("read_only: true", "read_only: false"),
        ("cap_drop: [ALL]", "cap_drop: [NET_RAW]"),
        ("cap_drop: [ALL]", "cap_drop: [ALL]\n    cap_add: [SYS_NICE]"),
        ("no-new-privileges:true", "label:disable"),
        ("/usr/bin/rehearsekit, health", "curl, localhost"),
        ("restart: unless-stopped", "restart: \"no\""),
        ("target: /data", "target: /var/data"),
        ("REHEARSEKIT_DATA: /data", "REHEARSEKIT_DATA: /tmp"),
        ("REHEARSEKIT_LISTEN: 0.0.0.0:7433", "REHEARSEKIT_LISTEN: 127.0.0.1:7433"),
        ("REHEARSEKIT_SERVER_NAME", "REHEARSEKIT_NAME"),
        ("stop_grace_period: 20s", "stop_grace_period: 10s"),
        ("network_mode: host", "network_mode: bridge"),
        ("port: 7480", "port: 8080"),
        ("memory: 4096M", "swap: 4096M"),
    ] {
        assert!(whole.contains(from), "{from} is not there any more: choose another mistake");
        let wrong = parse(&whole.replacen(from, to, 1)).unwrap();
        assert!(!complaints(&wrong).is_empty(), "{from} → {to}");
    }
}
