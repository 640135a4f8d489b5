//! `bench face`: what the window costs. The standalone under JACK's dummy driver and Xvfb, whose OpenGL is software:
//! with a graphics card the painting's part is next to nothing. First with nothing moving, then with a song.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use serde_json::{Value, json};

use super::vitals::{TICKS, name_and_ticks};
use crate::bundle;
use crate::daw_check::{Screen, jack, song};
use crate::kit::{Kit, SPLEETER};
use crate::setup;
use crate::shell::{Background, target_dir};
use crate::wav::Sound;

/// Until a window stands and a session runs.
const WARM_UP: Duration = Duration::from_secs(10);

/// Options of `bench face`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// How long the song plays with the window open
    #[arg(long, default_value_t = 10.0)]
    minutes: f64,
}

/// Measures and prints.
///
/// # Errors
/// When something it needs cannot be had.
pub(crate) fn run(args: &Args) -> Result<()> {
    setup::prepare(setup::Purpose::Daw)?;
    bundle::bundle(&bundle::Args::release())?;
    let kit = Kit::release()?;
    kit.pull(SPLEETER, false)?;
    let folder = super::folder()?;
    let server = kit.serve(&[SPLEETER], &folder.join("face-server.log"))?;
    let screen = Screen::start(76)?;
    let _jack = jack(&folder)?;
    let (song, _) = song(&kit, &folder)?;
    let silent = folder.join("silent.wav");
    Sound { rate_hz: 44_100, channels: vec![vec![0.0; 44_100]; 2] }.write(&silent)?;
    let alone = |song: &Path, looped: &[&str], time: Duration| {
        let mut program = Command::new(target_dir().join("bundled").join("rehearsekit-standalone"));
        program.arg("--file").arg(song).args(["--backend", "jack", "--server", &server.listen]).args(looped);
        program.env("XDG_CONFIG_HOME", &folder);
        let log = std::fs::File::create(folder.join("face-standalone.log"))?;
        let program = screen.on(&mut program).stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        let program = Background::start(program)?;
        screen.wait_for("^RehearseKit$", &program)?;
        std::thread::sleep(WARM_UP);
        let before = xruns(&folder)?;
        let mut shares = shares(program.id(), time)?;
        let a_minute = (xruns(&folder)? - before) as f64 / time.as_secs_f64() * 60.0;
        shares.insert("xruns a minute".to_owned(), a_minute);
        anyhow::Ok(shares)
    };
    let idle = alone(&silent, &[], Duration::from_secs(60))?;
    let playing = alone(&song, &["--loop"], Duration::from_secs_f64(args.minutes * 60.0))?;
    println!("\n| share of a core in %, and JACK's xruns | nothing moves | a song plays |\n|---|---|---|");
    for name in idle.keys().chain(playing.keys()).collect::<std::collections::BTreeSet<_>>() {
        let of = |shares: &BTreeMap<String, f64>| shares.get(name).copied().unwrap_or_default();
        println!("| {name} | {:.2} | {:.2} |", of(&idle), of(&playing));
    }
    let result: Value = json!({"idle": idle, "playing": playing, "minutes": args.minutes});
    super::keep("face", result)
}

/// How often JACK was late so far; on a machine without real-time priorities it often is.
fn xruns(folder: &Path) -> Result<usize> {
    let log = std::fs::read_to_string(folder.join("jackd.log")).context("JACK kept no log")?;
    Ok(log.lines().filter(|line| line.to_lowercase().contains("xrun")).count())
}

/// What each kind of thread of a process takes of a core over some time, in per cent, by its part.
fn shares(process: u32, time: Duration) -> Result<BTreeMap<String, f64>> {
    let began = Instant::now();
    let before = ticks(process)?;
    std::thread::sleep(time);
    let after = ticks(process)?;
    let seconds = began.elapsed().as_secs_f64();
    let mut shares = BTreeMap::new();
    for (thread, (name, ticks)) in after {
        let spent = ticks - before.get(&thread).map_or(0.0, |(_, before)| *before);
        let part = match name.as_str() {
            "rehearsekit-fac" | "rehearsekit-wat" => "window",
            "rehearsekit-net" => "network",
            name if name.starts_with("llvmpipe") => "window, painted in software",
            _ => "audio and the rest",
        };
        *shares.entry(part.to_owned()).or_insert(0.0) += spent / TICKS / seconds * 100.0;
    }
    Ok(shares)
}

/// Name and processor time of each thread.
fn ticks(process: u32) -> Result<BTreeMap<String, (String, f64)>> {
    let mut all = BTreeMap::new();
    let threads = std::fs::read_dir(format!("/proc/{process}/task")).context("the standalone has ended")?;
    for thread in threads {
        let thread = thread?;
        // One that has just ended counts for nothing.
        let Ok(told) = name_and_ticks(&thread.path().join("stat")) else { continue };
        all.insert(thread.file_name().to_string_lossy().into_owned(), told);
    }
    Ok(all)
}
