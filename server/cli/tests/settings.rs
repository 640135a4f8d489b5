//! Every key of the server's configuration arrives, whichever way it is set: a real server is started with all of them
//! set in the file, in the environment and by flags, and each must have its *effect*, which a server at its defaults has
//! not. The table has a row for each key that `config show` lists; one without a row is a failure.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used)]

mod common;
#[path = "../../../tests/src/netns.rs"]
#[allow(unreachable_pub, reason = "it is public where it is at home")]
mod netns;

use std::{
    fs::{self, File},
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{TcpListener, TcpStream, UdpSocket},
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use common::{data, json, rehearsekit, song, stderr};
use netns::{Lan, Side};
use rustix::process::{Pid, Signal};
use serde_json::Value;

/// Only there so that a broken test ends.
const LIMIT: Duration = Duration::from_secs(240);
const COPY: &str = "spleeter-copy";

/// A key, and what to set it to.
struct Row {
    key: &'static str,
    value: Set,
    effect: Effect,
}

enum Set {
    /// A word, for the file in quotes.
    Word(&'static str),
    /// A number or a truth value.
    Bare(&'static str),
    List(&'static [&'static str]),
    /// What the test has picked: a free port, or the data folder.
    Picked,
}

enum Effect {
    /// On a server of this machine.
    Here(fn(&Seen) -> bool),
    /// On a start that must fail, with these words.
    Refusal(&'static str),
    /// On what another machine finds.
    OnTheLan,
}

/// What was seen of a server, from outside.
#[derive(Debug, Default)]
struct Seen {
    /// Where it listens, and where it was told to.
    listen: (String, String),
    http: (String, String),
    /// The status of a request that names a host by another name.
    other_host: u16,
    /// The folder that was named, or one that was not, has the server's key.
    has_key: bool,
    models: Vec<String>,
    /// The model of a client that names none.
    unnamed_model: String,
    /// What a second client at the same time was told.
    second_client: String,
    /// The server's name, as it tells it.
    name: String,
    metrics: String,
    log: String,
    /// The names of the files in which costs are remembered.
    measured: Vec<String>,
}

/// All keys.
const ROWS: &[Row] = &[
    Row { key: "listen", value: Set::Picked, effect: Effect::Here(|seen| seen.listen.0 == seen.listen.1) },
    Row { key: "http", value: Set::Picked, effect: Effect::Here(|seen| seen.http.0 == seen.http.1) },
    Row {
        key: "http_hosts",
        value: Set::List(&["rehearsal.example", "other.example"]),
        effect: Effect::Here(|seen| seen.other_host == 200),
    },
    Row { key: "data", value: Set::Picked, effect: Effect::Here(|seen| seen.has_key) },
    Row {
        key: "models",
        value: Set::List(&["spleeter-2stems", COPY]),
        effect: Effect::Here(|seen| seen.models == ["spleeter-2stems", COPY]),
    },
    Row {
        key: "default_model",
        value: Set::Word(COPY),
        effect: Effect::Here(|seen| seen.unnamed_model == COPY),
    },
    // A card that no machine has: whoever asks for a card gets it or an error.
    Row { key: "device", value: Set::Word("cuda:77"), effect: Effect::Refusal("device = cuda:77") },
    // Nothing of a card can be seen without one, but that they arrive where it is chosen: there they are said to be idle.
    Row {
        key: "cuda_memory_mb",
        value: Set::Bare("512"),
        effect: Effect::Here(|seen| {
            seen.log.contains("cuda_memory_mb (") && seen.log.contains("changes nothing")
        }),
    },
    Row {
        key: "cuda_tf32",
        value: Set::Bare("true"),
        effect: Effect::Here(|seen| seen.log.contains("cuda_tf32 (") && seen.log.contains("changes nothing")),
    },
    Row {
        key: "threads",
        value: Set::Bare("2"),
        effect: Effect::Here(|seen| {
            seen.measured.iter().any(|name| name.contains("-2-threads--1-at-a-time"))
        }),
    },
    Row {
        key: "workers",
        value: Set::Bare("3"),
        effect: Effect::Here(|seen| seen.metrics.lines().any(|line| line == "rehearsekit_workers 3")),
    },
    Row {
        key: "max_sessions",
        value: Set::Bare("1"),
        effect: Effect::Here(|seen| seen.second_client.contains("all 1 places of this server are taken")),
    },
    Row {
        key: "log",
        value: Set::Word("warn,rehearsekit_server=debug"),
        effect: Effect::Here(|seen| seen.log.contains("DEBUG") && seen.log.contains("hello")),
    },
    Row {
        key: "server_name",
        value: Set::Word("the attic"),
        effect: Effect::Here(|seen| seen.name == "the attic"),
    },
    Row { key: "announce", value: Set::Bare("false"), effect: Effect::OnTheLan },
    Row {
        key: "drain_seconds",
        value: Set::Bare("1"),
        effect: Effect::Here(|seen| seen.log.contains("1 open sessions may play on for 1 s")),
    },
];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Layer {
    File,
    Environment,
    Flag,
}

const LAYERS: [Layer; 3] = [Layer::File, Layer::Environment, Layer::Flag];

/// Sets `rows` of `(key, value)` in this layer of the command.
fn set(command: &mut Command, layer: Layer, rows: &[(&str, String)], folder: &Path) {
    let words = |value: &str| value.trim_matches(['[', ']']).replace(['"', ' '], "");
    let plain =
        |value: &str| if value.starts_with('[') { words(value) } else { value.trim_matches('"').to_owned() };
    match layer {
        Layer::File => {
            let lines: String = rows.iter().map(|(key, value)| format!("{key} = {value}\n")).collect();
            let file = folder.join("settings.toml");
            fs::write(&file, lines).unwrap();
            command.arg("--config").arg(file);
        }
        Layer::Environment => {
            command.envs(
                rows.iter()
                    .map(|(key, value)| (format!("REHEARSEKIT_{}", key.to_ascii_uppercase()), plain(value))),
            );
        }
        Layer::Flag => {
            for (key, value) in rows {
                match *key {
                    // Those that have a flag of their own.
                    "listen" | "http" | "data" => command.arg(format!("--{key}")).arg(plain(value)),
                    "models" => command.args(plain(value).split(',').flat_map(|name| ["--model", name])),
                    _ => command.arg("--set").arg(format!("{key}={}", plain(value))),
                };
            }
        }
    }
}

/// A data folder with the model and another of the same files.
fn data_folder(at: &Path) -> PathBuf {
    let folder = at.join("data");
    let models = folder.join("models");
    fs::create_dir_all(models.join(COPY)).unwrap();
    symlink(data().join("runtime"), folder.join("runtime")).unwrap();
    let original = data().join("models/spleeter-2stems");
    symlink(&original, models.join("spleeter-2stems")).unwrap();
    for file in fs::read_dir(&original).unwrap().map(Result::unwrap) {
        let to = models.join(COPY).join(file.file_name());
        if file.file_name() == "manifest.toml" {
            let manifest = fs::read_to_string(file.path()).unwrap();
            fs::write(to, manifest.replace("name = \"spleeter-2stems\"", &format!("name = \"{COPY}\"")))
                .unwrap();
        } else {
            symlink(file.path(), to).unwrap();
        }
    }
    folder
}

/// A program that ends with the test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The command without anything of this process's settings.
fn bare() -> Command {
    let mut command = rehearsekit();
    for (name, _) in
        std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("REHEARSEKIT_"))
    {
        command.env_remove(name);
    }
    command
}

/// Waits until `path` has these words, and gives all of it.
fn until_it_says(path: &Path, words: &str) -> String {
    let began = Instant::now();
    loop {
        let text = String::from_utf8_lossy(&fs::read(path).unwrap()).into_owned();
        if text.contains(words) {
            return text;
        }
        assert!(began.elapsed() < LIMIT, "never '{words}': {text}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn request(address: &str, path: &str, host: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(address).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    (answer.split(' ').nth(1).unwrap().parse().unwrap(), answer)
}

/// Starts a server, does with it what shows its settings, and ends it.
fn seen_of(mut command: Command, folder: &Path, named_data: &Path, told: [&str; 2]) -> Seen {
    let log = folder.join("log");
    command
        .arg("--json")
        .env("XDG_DATA_HOME", folder.join("xdg"))
        .env("XDG_CONFIG_HOME", folder.join("none"));
    command.stderr(File::create(&log).unwrap()).stdout(Stdio::piped());
    let mut server = Running(command.spawn().unwrap());
    let mut line = String::new();
    BufReader::new(server.0.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let ready: Value = serde_json::from_str(&line)
        .unwrap_or_else(|error| panic!("{error}: {line}{}", fs::read_to_string(&log).unwrap()));
    let text = |key: &str| ready[key].as_str().unwrap().to_owned();
    let (listen, http) = (text("listen"), text("http"));
    // Not only said: nobody else may listen there.
    assert!(UdpSocket::bind(&listen).is_err() && TcpListener::bind(&http).is_err());

    let is_default = folder.join("xdg/rehearsekit/identity/server.pem").exists();
    let used_data = if is_default { folder.join("xdg/rehearsekit") } else { named_data.to_owned() };
    let mut pair = bare();
    pair.args(["pair", "--json", "--data"]).arg(&used_data).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut pair = Running(pair.spawn().unwrap());
    let events = BufReader::new(pair.0.stdout.take().unwrap()).lines();
    let name = events
        .map(|line| serde_json::from_str::<Value>(&line.unwrap()).unwrap())
        .find_map(|event| Some(event["server"].as_str()?.to_owned()))
        .unwrap_or_default();

    let song = song(folder, "song.wav", 44_100, 2, 44_100);
    let stream = |more: &[&str], out: &str| {
        let mut command = bare();
        command.arg("stream").arg(&song).args(["--server", &listen, "--out"]).arg(folder.join(out));
        // A large budget, which any machine holds.
        command.args(["--json", "--budget", "2500ms"]).args(more);
        command
    };
    let unnamed = json(&stream(&["--pace", "fast"], "short").output().unwrap());
    let playing_log = folder.join("playing");
    let mut playing = stream(&["--loop", "--seconds", "600"], "long");
    playing.stdout(Stdio::null()).stderr(File::create(&playing_log).unwrap());
    let playing = Running(playing.spawn().unwrap());
    let began = Instant::now();
    let metrics = loop {
        let metrics = request(&http, "/metrics", "localhost").1;
        if metrics.lines().any(|line| line == "rehearsekit_sessions 1") {
            break metrics;
        }
        assert!(began.elapsed() < LIMIT, "{}", fs::read_to_string(&playing_log).unwrap());
        std::thread::sleep(Duration::from_millis(20));
    };
    let second = stream(&["--pace", "fast", "--connect-timeout", "1"], "second").output().unwrap();
    let other_host = request(&http, "/readyz", "rehearsal.example").0;
    rustix::process::kill_process(Pid::from_child(&server.0), Signal::TERM).unwrap();
    let began = Instant::now();
    while server.0.try_wait().unwrap().is_none() {
        assert!(began.elapsed() < LIMIT, "the server does not end");
        std::thread::sleep(Duration::from_millis(20));
    }
    drop(playing);
    let names = fs::read_dir(used_data.join("devices")).unwrap();
    let models = ready["models"].as_array().unwrap().iter().map(|name| name.as_str().unwrap().to_owned());
    Seen {
        listen: (listen, told[0].to_owned()),
        http: (http, told[1].to_owned()),
        other_host,
        has_key: named_data.join("identity/server.pem").exists(),
        models: models.collect(),
        unnamed_model: unnamed["model"].as_str().unwrap().to_owned(),
        second_client: stderr(&second),
        name,
        metrics,
        log: fs::read_to_string(&log).unwrap(),
        measured: names.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect(),
    }
}

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

    let work = tempfile::tempdir().unwrap();
    let named = data_folder(work.path());
    fs::create_dir(work.path().join("xdg")).unwrap();
    let usual = work.path().join("xdg/rehearsekit");
    fs::create_dir(&usual).unwrap();
    for part in ["models", "runtime"] {
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
        let named = data_folder(work.path());
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
    let measured = tempfile::tempdir().unwrap();
    let search = || lan.command(Side::Stage, env!("CARGO_BIN_EXE_rehearsekit"), &[]);
    let found = || {
        let output = search().args(["servers", "--seconds", "3", "--json"]).output().unwrap();
        let report: Value = serde_json::from_slice(&output.stdout).unwrap();
        report["servers"].as_array().unwrap().len()
    };
    for layer in [None, Some(Layer::File), Some(Layer::Environment), Some(Layer::Flag)] {
        let work = tempfile::tempdir().unwrap();
        let named = data_folder(work.path());
        symlink(measured.path(), named.join("devices")).unwrap();
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
