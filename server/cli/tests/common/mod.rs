//! What the tests of the command share: running the real binary, and songs made on the spot.
#![allow(dead_code, clippy::unwrap_used)]

use std::{
    ffi::OsStr,
    fs,
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
};

/// The command under test.
pub(crate) fn rehearsekit() -> Command {
    Command::new(env!("CARGO_BIN_EXE_rehearsekit"))
}

/// A server with the real model in a process of its own; ended with the test.
pub(crate) struct Server {
    pub(crate) child: Child,
    pub(crate) address: String,
    pub(crate) http: String,
    pub(crate) fingerprint: String,
}

impl Server {
    pub(crate) fn start() -> Self {
        Self::start_at("127.0.0.1:0", &[])
    }

    /// At `address`, with `more` words.
    pub(crate) fn start_at(address: &str, more: &[&str]) -> Self {
        data();
        let mut command = rehearsekit();
        command.args(["serve", "--json", "--listen", address, "--http", "127.0.0.1:0"]);
        command.args(["--model", "spleeter-2stems"]).args(more);
        Self::start_with(command)
    }

    /// By a command that is `serve --json` in some way.
    pub(crate) fn start_with(mut command: Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let ready: serde_json::Value =
            serde_json::from_str(&line).unwrap_or_else(|e| panic!("'{line}': {e}"));
        let text = |key: &str| ready[key].as_str().unwrap().to_owned();
        Self { child, address: text("listen"), http: text("http"), fingerprint: text("fingerprint") }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Runs the command to its end.
pub(crate) fn run<S: AsRef<OsStr>>(args: impl IntoIterator<Item = S>) -> Output {
    rehearsekit().args(args).output().unwrap()
}

/// What a run said on stderr.
pub(crate) fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// The JSON document on stdout of a run that must have succeeded.
pub(crate) fn json(output: &Output) -> serde_json::Value {
    assert!(output.status.success(), "{}", stderr(output));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// Asserts that a run failed with `code` and one clear sentence holding `words`, and nothing on stdout.
pub(crate) fn assert_refused(output: &Output, code: i32, words: &[&str]) {
    let said = stderr(output);
    assert_eq!(output.status.code(), Some(code), "{said}");
    assert!(said.lines().any(|line| line.starts_with("error: ")), "{said}");
    for word in words {
        assert!(said.contains(word), "'{word}' is missing in: {said}");
    }
    assert!(!said.contains("panicked"), "{said}");
    assert!(output.stdout.is_empty(), "{}", String::from_utf8_lossy(&output.stdout));
}

/// Names of everything in `folder`, hidden files included.
pub(crate) fn entries(folder: &Path) -> Vec<String> {
    let Ok(found) = fs::read_dir(folder) else { return Vec::new() };
    let mut names: Vec<String> = found.map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// Something like music: a few tones with a beat, `frames` long, a little different per channel.
pub(crate) fn music(frames: usize, rate_hz: u32, channel: usize) -> Vec<f32> {
    let rate = f64::from(rate_hz);
    (0..frames)
        .map(|f| {
            let t = f as f64 / rate;
            let tone = |hz: f64| (std::f64::consts::TAU * hz * t).sin();
            let beat = (-12.0 * (t * 2.0).fract()).exp();
            let voice = tone(330.0 + 10.0 * channel as f64) + 0.5 * tone(660.0) + 0.3 * tone(990.0);
            (0.1 * voice + 0.3 * beat * tone(80.0) + 0.05 * tone(3_000.0) * beat) as f32
        })
        .collect()
}

/// Writes planar samples as a 32-bit float WAV file.
pub(crate) fn write_wav(path: &Path, rate_hz: u32, channels: &[Vec<f32>]) -> PathBuf {
    let spec = hound::WavSpec {
        channels: channels.len() as u16,
        sample_rate: rate_hz,
        bits_per_sample: 32,
        sample_format: hound::SampleFormat::Float,
    };
    let mut writer = hound::WavWriter::create(path, spec).unwrap();
    for frame in 0..channels[0].len() {
        for channel in channels {
            writer.write_sample(channel[frame]).unwrap();
        }
    }
    writer.finalize().unwrap();
    path.to_owned()
}

/// A song of `channels` channels in `folder`.
pub(crate) fn song(folder: &Path, name: &str, rate_hz: u32, channels: usize, frames: usize) -> PathBuf {
    let planar: Vec<Vec<f32>> = (0..channels).map(|c| music(frames, rate_hz, c)).collect();
    write_wav(&folder.join(name), rate_hz, &planar)
}

/// A WAV file's planar samples and rate.
pub(crate) fn read_wav(path: &Path) -> (u32, Vec<Vec<f32>>) {
    let mut reader = hound::WavReader::open(path).unwrap();
    let spec = reader.spec();
    let mut planar = vec![Vec::new(); spec.channels as usize];
    for (index, sample) in reader.samples::<f32>().enumerate() {
        planar[index % spec.channels as usize].push(sample.unwrap());
    }
    (spec.sample_rate, planar)
}

/// The data folder with `spleeter-2stems` installed, which `cargo xtask test` prepares.
pub(crate) fn data() -> PathBuf {
    let data = std::env::var_os("REHEARSEKIT_DATA").map(PathBuf::from).unwrap_or_default();
    let model = data.join("models/spleeter-2stems");
    assert!(
        model.is_dir(),
        "this test runs the real model: set REHEARSEKIT_DATA to a folder with spleeter-2stems installed, or run `cargo xtask test`"
    );
    data
}

/// A copy of the data folder with the runtime and `spleeter-2stems` alone, to be damaged at will.
pub(crate) fn copied_data(to: &Path) -> PathBuf {
    let copy = to.join("data");
    for part in ["runtime", "models/spleeter-2stems"] {
        copy_tree(&data().join(part), &copy.join(part));
    }
    copy
}

/// A data folder of its own, hence a key of its own; models, runtime and measurements are the tests'.
#[cfg(unix)]
pub(crate) fn linked_data(to: &Path) -> PathBuf {
    let linked = to.join("data");
    fs::create_dir(&linked).unwrap();
    for part in ["models", "runtime", "devices"].iter().filter(|part| data().join(part).exists()) {
        std::os::unix::fs::symlink(data().join(part), linked.join(part)).unwrap();
    }
    linked
}

/// A program as root: directly, or by sudo, which must not ask. Variables do not come through, so none may be needed.
#[cfg(unix)]
pub(crate) fn as_root(program: &str) -> Command {
    if rustix::process::geteuid().is_root() {
        return Command::new(program);
    }
    let mut command = Command::new("sudo");
    command.args(["-n", program]);
    command
}

fn copy_tree(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let (path, target) = (entry.path(), to.join(entry.file_name()));
        if path.is_dir() {
            copy_tree(&path, &target);
        } else {
            fs::copy(&path, &target).unwrap();
        }
    }
}
