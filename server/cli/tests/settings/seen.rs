//! A real server, and what is seen of it from outside. Must not judge what that should be.

use std::{
    fs::{self, File},
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{TcpListener, TcpStream, UdpSocket},
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal};
use serde_json::Value;

use crate::{
    common::{data, json, rehearsekit, song},
    table::COPY,
};

/// Only there so that a broken test ends.
const LIMIT: Duration = Duration::from_secs(240);

/// What was seen of a server, from outside.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    /// Where it listens, and where it was told to.
    pub(crate) listen: (String, String),
    pub(crate) http: (String, String),
    /// The status of a request that names a host by another name.
    pub(crate) other_host: u16,
    /// The folder that was named, or one that was not, has the server's key.
    pub(crate) has_key: bool,
    pub(crate) models: Vec<String>,
    /// The model of a client that names none.
    pub(crate) unnamed_model: String,
    /// What a second client at the same time was told.
    pub(crate) second_client: String,
    /// The server's name, as it tells it.
    pub(crate) name: String,
    pub(crate) metrics: String,
    pub(crate) log: String,
    /// How the model of [`Self::unnamed_model`] is run, and what an inference is taken to cost.
    pub(crate) plan: String,
}

/// A data folder with the model and another of the same files, beside what was measured before.
pub(crate) fn data_folder(at: &Path, devices: &Path) -> PathBuf {
    let folder = at.join("data");
    let models = folder.join("models");
    fs::create_dir_all(models.join(COPY)).unwrap();
    symlink(data().join("runtime"), folder.join("runtime")).unwrap();
    symlink(devices, folder.join("devices")).unwrap();
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
pub(crate) fn bare() -> Command {
    let mut command = rehearsekit();
    for (name, _) in
        std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("REHEARSEKIT_"))
    {
        command.env_remove(name);
    }
    command
}

/// Has a server measure this device with the settings of `command`, and takes every inference for so long from then on:
/// what this test shows must not depend on how busy the machine is.
pub(crate) fn pin_costs(mut command: Command, devices: &Path, millis: u64) {
    let files = || fs::read_dir(devices).unwrap().map(|entry| entry.unwrap().path());
    let before: Vec<PathBuf> = files().collect();
    command.arg("--json").stdout(Stdio::piped());
    let mut server = Running(command.spawn().unwrap());
    let mut line = String::new();
    BufReader::new(server.0.stdout.take().unwrap()).read_line(&mut line).unwrap();
    assert!(line.contains("ready"), "{line}");
    drop(server);
    let new: Vec<PathBuf> = files().filter(|path| !before.contains(path)).collect();
    assert_eq!(new.len(), 1, "other settings are measured apart: {new:?}");
    let pinned = |line: &str| match line.split_once(" = ") {
        Some((key, cost)) if cost.parse::<u64>().is_ok() => format!("{key} = {}\n", millis * 1_000),
        _ => format!("{line}\n"),
    };
    let text: String = fs::read_to_string(&new[0]).unwrap().lines().map(pinned).collect();
    fs::write(&new[0], text).unwrap();
}

fn request(address: &str, path: &str, host: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(address).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    (answer.split(' ').nth(1).unwrap().parse().unwrap(), answer)
}

/// Starts a server, does with it what shows its settings, and ends it.
pub(crate) fn seen_of(mut command: Command, folder: &Path, named_data: &Path, told: [&str; 2]) -> Seen {
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
    // One that takes a no for an answer.
    let mut second = bare();
    second.args(["load", "--json", "--server", &listen, "--clients", "1", "--seconds", "1"]);
    let second = second.args(["--budget", "2500ms", "--songs"]).arg(&song).output().unwrap();
    let other_host = request(&http, "/readyz", "rehearsal.example").0;
    rustix::process::kill_process(Pid::from_child(&server.0), Signal::TERM).unwrap();
    let began = Instant::now();
    while server.0.try_wait().unwrap().is_none() {
        assert!(began.elapsed() < LIMIT, "the server does not end");
        std::thread::sleep(Duration::from_millis(20));
    }
    drop(playing);
    let models = ready["models"].as_array().unwrap().iter().map(|name| name.as_str().unwrap().to_owned());
    Seen {
        listen: (listen, told[0].to_owned()),
        http: (http, told[1].to_owned()),
        other_host,
        has_key: named_data.join("identity/server.pem").exists(),
        models: models.collect(),
        unnamed_model: unnamed["model"].as_str().unwrap().to_owned(),
        second_client: String::from_utf8(second.stdout).unwrap(),
        name,
        metrics,
        log: fs::read_to_string(&log).unwrap(),
        plan: unnamed["plan"].as_str().unwrap().to_owned(),
    }
}
