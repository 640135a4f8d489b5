//! The finished image at work, run by podman as a NAS would run it: read only, as a user without rights. It separates a
//! song, becomes healthy, is found, paired with and played through from another machine (a network namespace), and ends
//! when it is told to. Everything podman keeps is below `target/`; what is judged is that it works, figures are only told.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};

use super::libraries::{Closure, loader_in, read_ldd};
use super::pack::Packed;
use super::root::LIBRARIES;
use super::variant::{Variant, top};
use crate::kit::SPLEETER;
use crate::lan_check::netns::{Lan, Side};
use crate::shell::{Background, capture, capture_json, describe, empty, run};

/// The song inside the image.
const SONG: &str = "/usr/share/rehearsekit/models/spleeter-2stems/audio_example.mp3";
/// A first start on a slow machine.
const PATIENCE: Duration = Duration::from_secs(600);
/// What a stop may take at most.
const STOPS_WITHIN: Duration = Duration::from_secs(5);

/// Runs all of it and gives the figures.
///
/// # Errors
/// When podman cannot run it, or what it does is wrong.
pub(super) fn check(variant: Variant, packed: &Packed, program: &Path) -> Result<Value> {
    let folder = top().join("check");
    empty(&folder)?;
    let data = folder.join("data");
    fs::create_dir_all(&data)?;
    run(Command::new("chown").arg("568:568").arg(&data))?;
    let podman = Podman { tag: packed.tag.clone(), data };
    run(podman.command(&["load", "--quiet", "--input"]).arg(&packed.archive))?;
    let loaded = capture(&mut podman.command(&["image", "inspect", "--format", "{{.Id}}", &packed.tag]))?;
    ensure!(loaded.trim() == packed.id, "podman loaded {} and not {}", loaded.trim(), packed.id);

    let resolved = podman.resolved(variant)?;
    let began = Instant::now();
    let song = ["separate", SONG, "--model", SPLEETER, "--out", "/data/stems", "--overwrite", "--json"];
    let stems = capture_json(&mut podman.once(&song))?;
    println!("  the example song, separated: {}", stems["files"]);
    let separate_seconds = began.elapsed().as_secs_f64();
    podman.has_no_shell()?;
    podman.tells_that_memory_is_short()?;

    let lan = Lan::new();
    let first = podman.start(&lan, "first")?;
    let first_ready = first.wait_until_healthy()?;
    let first_stop = first.stop()?;
    let server = podman.start(&lan, "second")?;
    let ready = server.wait_until_healthy()?;
    let player = Player { lan: &lan, program, folder: &folder, song: podman.data.join("song.mp3") };
    fs::copy(top().join(variant.name()).join("root").join(SONG.trim_start_matches('/')), &player.song)?;
    let found = player.json(&["servers", "--seconds", "4", "--json"])?;
    let seen = found["servers"].as_array().is_some_and(|all| all.iter().any(|one| one["name"] == "closet"));
    ensure!(seen, "it was not found by multicast DNS: {found}");
    let address = "10.77.0.1:7433";
    ensure!(player.json(&player.stream(address, "1")).is_err(), "a stranger could play");
    let (code, showing) = server.show_code()?;
    player.json(&["pair", "--with", "closet", "--code", &code, "--name", "stage", "--json"])?;
    ensure!(showing.wait()?.success(), "who showed the code was not told that somebody is paired");
    let live = player.json(&player.stream("closet", "20"))?;
    let count = |key: &str| live[key].as_u64().unwrap_or(0);
    ensure!(count("hops") > 0 && count("frames") > 0, "nothing came back: {live}");
    println!(
        "  live: {} hops, {} underruns, {} late, {} lost, turnaround p99 {} ms",
        live["hops"], live["underruns"], live["late"], live["lost"], live["turnaround_millis"]["p99"]
    );
    // Told to end while somebody plays.
    let playing = player.play_on("closet")?;
    std::thread::sleep(Duration::from_secs(4));
    ensure!(playing.ended()?.is_none(), "the session to be ended did not play");
    let stop_while_playing = server.stop()?;
    drop(playing);
    run(&mut podman.command(&["rmi", "--force", &packed.tag]))?;
    let figures = json!({
        "libraries": resolved.libraries,
        "from_the_driver": resolved.missing,
        "separate_seconds": separate_seconds,
        "first_start_to_healthy_seconds": first_ready,
        "start_to_healthy_seconds": ready,
        "stop_seconds": first_stop,
        "stop_while_playing_seconds": stop_while_playing,
        "found_by_mdns": seen,
        "live": {
            "hops": live["hops"], "underruns": live["underruns"], "late": live["late"], "lost": live["lost"],
            "turnaround_millis": live["turnaround_millis"],
        },
    });
    println!(
        "  healthy after {first_ready:.1} s at the first start, {ready:.1} s later; stopped in {first_stop:.1} s, \
         {stop_while_playing:.1} s while a session played; the song took {separate_seconds:.1} s"
    );
    Ok(figures)
}

/// Podman with this one image.
struct Podman {
    tag: String,
    /// The container's only writable place.
    data: PathBuf,
}

impl Podman {
    /// Podman with a store of its own, and managed so that it works without systemd too.
    fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new("podman");
        for (option, name) in [("--root", "podman"), ("--runroot", "podman-run"), ("--tmpdir", "podman-tmp")]
        {
            command.arg(option).arg(top().join(name));
        }
        command.args(["--runtime", "runc", "--cgroup-manager", "cgroupfs", "--events-backend", "file"]);
        // Without systemd it complains at each start that nobody will ask for health; real errors are told all the same.
        command.args(["--log-level", "fatal"]);
        command.args(words);
        command
    }

    /// `podman run` as the guide says it.
    fn run(&self, options: &[&str], words: &[&str]) -> Command {
        let mut command = self.command(&["run", "--read-only", "--user", "568:568", "--cap-drop", "ALL"]);
        command.args(["--security-opt", "no-new-privileges"]);
        command.args(["--ulimit", "nofile=1024:1024", "--ulimit", "nproc=4096:4096"]);
        command.arg("--volume").arg(format!("{}:/data", self.data.display()));
        command.args(options).arg(&self.tag).args(words);
        command
    }

    /// A command in a container of its own, without any network.
    fn once(&self, words: &[&str]) -> Command {
        self.run(&["--rm", "--network", "none"], words)
    }

    /// What the program and each library there load, by the loader in the image.
    fn resolved(&self, variant: Variant) -> Result<Closure> {
        let folder = variant.folder().join("root");
        let mut files = vec!["/usr/bin/rehearsekit".to_owned()];
        for entry in fs::read_dir(folder.join(LIBRARIES))? {
            files.push(format!("/{LIBRARIES}/{}", entry?.file_name().to_string_lossy()));
        }
        files.sort();
        let loader = loader_in(&folder)?;
        let loader = format!("/{}", loader.strip_prefix(&folder)?.display());
        let mut all = Closure::default();
        for file in &files {
            let options = ["--rm", "--network", "none", "--entrypoint", &loader];
            read_ldd(&capture(&mut self.run(&options, &["--list", file]))?, &mut all);
        }
        all.missing.sort();
        all.missing.dedup();
        let drivers = variant.drivers_own();
        ensure!(
            all.missing.iter().all(|name| drivers.contains(&name.as_str())),
            "missing: {:?}",
            all.missing
        );
        println!(
            "  {} libraries load inside the image, all but {:?}, which the driver brings",
            all.libraries.len(),
            all.missing
        );
        Ok(all)
    }

    fn has_no_shell(&self) -> Result<()> {
        for program in ["/bin/sh", "/usr/bin/sh", "/usr/bin/python3", "/usr/bin/env"] {
            let options = ["--rm", "--network", "none", "--entrypoint", program];
            let tried = self.run(&options, &["-c", "true"]).stderr(Stdio::null()).status()?;
            ensure!(!tried.success(), "{program} is in the image");
        }
        Ok(())
    }

    /// Less than its model may need is told, and nobody has to be killed for it.
    fn tells_that_memory_is_short(&self) -> Result<()> {
        let ended = self.run(&["--rm", "--network", "none", "--memory", "512m"], &["serve"]).output()?;
        let said = String::from_utf8_lossy(&ended.stderr);
        let is_told =
            ended.status.code() == Some(2) && said.contains("this container or service may take 0.5 GB");
        ensure!(is_told, "with 512 MB it ended with {}: {said}", ended.status);
        Ok(())
    }

    /// The server, on the closet's network as on a NAS's own.
    fn start(&self, lan: &Lan, name: &str) -> Result<Container<'_>> {
        let name = format!("rk-{}-{name}", std::process::id());
        let network = format!("ns:/run/netns/{}", lan.name(Side::Closet));
        let options =
            ["--detach", "--name", &name, "--network", &network, "--env", "REHEARSEKIT_SERVER_NAME=closet"];
        let container = Container { podman: self, name: name.clone(), began: Instant::now() };
        let mut command = self.run(&options, &[]);
        println!("  $ {}", describe(&command));
        capture(&mut command)?;
        Ok(container)
    }
}

/// A server in a container; removed when dropped.
struct Container<'a> {
    podman: &'a Podman,
    name: String,
    began: Instant,
}

impl Container<'_> {
    /// Asks by the image's own health check; for how long it took, in seconds.
    fn wait_until_healthy(&self) -> Result<f64> {
        loop {
            // Where there is no systemd to ask every ten seconds, podman asks when it is told to.
            let mut ask = self.podman.command(&["healthcheck", "run", &self.name]);
            if ask.stdout(Stdio::null()).stderr(Stdio::null()).status()?.success() {
                break;
            }
            let state = ["inspect", "--format", "{{.State.Running}}", &self.name];
            let runs = capture(&mut self.podman.command(&state))?;
            if runs.trim() != "true" || self.began.elapsed() > PATIENCE {
                run(&mut self.podman.command(&["logs", &self.name]))?;
                bail!("the server in the container is not ready");
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        let took = self.began.elapsed().as_secs_f64();
        let state = ["inspect", "--format", "{{.State.Healthcheck.Status}}", &self.name];
        let status = capture(&mut self.podman.command(&state))?;
        ensure!(status.trim() == "healthy", "podman calls it {status}");
        println!("  healthy after {took:.1} s");
        Ok(took)
    }

    /// SIGTERM, as the image says; for how long it took, in seconds.
    fn stop(&self) -> Result<f64> {
        let began = Instant::now();
        run(&mut self.podman.command(&["stop", "--time", "30", &self.name]))?;
        let took = began.elapsed();
        let state = ["inspect", "--format", "{{.State.ExitCode}}", &self.name];
        let code = capture(&mut self.podman.command(&state))?;
        ensure!(code.trim() == "0", "it ended with {}", code.trim());
        ensure!(took < STOPS_WITHIN, "it took {:.1} s to stop", took.as_secs_f64());
        Ok(took.as_secs_f64())
    }

    /// A code for pairing, and the command that shows it.
    fn show_code(&self) -> Result<(String, Background)> {
        use std::io::BufRead as _;
        let mut command =
            self.podman.command(&["exec", &self.name, "/usr/bin/rehearsekit", "pair", "--json"]);
        let showing = Background::start(command.stdin(Stdio::null()).stdout(Stdio::piped()))?;
        let mut line = String::new();
        let mut out = std::io::BufReader::new(showing.take_stdout().context("no output")?);
        out.read_line(&mut line)?;
        // Read on, so that the command can tell what becomes of its code.
        std::thread::spawn(move || out.lines().map_while(std::result::Result::ok).for_each(drop));
        let said: Value = serde_json::from_str(&line).with_context(|| format!("pair said {line:?}"))?;
        Ok((said["code"].as_str().context("pair showed no code")?.to_owned(), showing))
    }
}

impl Drop for Container<'_> {
    fn drop(&mut self) {
        let mut command = self.podman.command(&["rm", "--force", "--time", "2", &self.name]);
        let _ = command.stdout(Stdio::null()).stderr(Stdio::null()).status();
    }
}

/// Somebody on the stage, with the program outside of any container.
struct Player<'a> {
    lan: &'a Lan,
    program: &'a Path,
    folder: &'a Path,
    song: PathBuf,
}

impl Player<'_> {
    fn command(&self, words: &[&str]) -> Command {
        let config = self.folder.join("config");
        let variables =
            [("XDG_CONFIG_HOME", config.as_os_str()), ("REHEARSEKIT_DATA", self.folder.as_os_str())];
        let mut command = self.lan.command(Side::Stage, self.program, &variables);
        command.args(words);
        command
    }

    fn json(&self, words: &[&str]) -> Result<Value> {
        capture_json(&mut self.command(words))
    }

    fn stream<'b>(&'b self, server: &'b str, seconds: &'b str) -> [&'b str; 12] {
        let song = self.song.to_str().unwrap_or_default();
        let out = self.folder.to_str().unwrap_or_default();
        [
            "stream",
            song,
            "--server",
            server,
            "--loop",
            "--seconds",
            seconds,
            "--out",
            out,
            "--overwrite",
            "--json",
            "--budget=500ms",
        ]
    }

    /// Plays until it is ended.
    fn play_on(&self, server: &str) -> Result<Background> {
        let mut command = self.command(&self.stream(server, "600"));
        Background::start(command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()))
    }
}
