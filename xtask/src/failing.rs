//! `cargo xtask failing FOLDER`: inputs that once failed, tried on today's build. `FOLDER/files` are songs for
//! `separate`; `FOLDER/live` are scripts that end with 1 while their fault is there. It judges by what stands in the
//! table below and by the scripts' own word; a file that the table lacks is told and not judged.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};

use crate::kit::{Kit, SPLEETER, shared_dir};
use crate::shell::{empty, target_dir};
use crate::{bundle, python_hosts, setup};

/// Options of `failing`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// The folder with `files` and `live`; without it the one beside the repository
    folder: Option<PathBuf>,
    /// Only those whose name has this in it
    #[arg(long, value_name = "WORD")]
    only: Option<String>,
    /// Print the results as JSON
    #[arg(long)]
    json: bool,
}

/// What is right for a file.
enum Right {
    /// So many frames at this rate in Hz.
    Frames(u64, u64),
    /// The same, or a refusal with this word in it.
    FramesOr(u64, u64, &'static str),
}

/// By the file's name, from what reference decoders give (`mpg123`, `ffmpeg`, `flac`).
const RIGHT: &[(&str, Right)] = &[
    ("01-vbr-no-xing.mp3", Right::Frames(398_592, 44_100)),
    ("03-cbr-no-xing.mp3", Right::Frames(176_256, 44_100)),
    ("04-apev2-cover.mp3", Right::Frames(132_300, 44_100)),
    ("05-pipe.wav", Right::Frames(22_050, 44_100)),
    ("06-id3v1.flac", Right::Frames(44_100, 44_100)),
    ("07-phone.mp4", Right::Frames(134_144, 44_100)),
    ("09-noise.wv", Right::FramesOr(44_100, 44_100, "WavPack")),
    ("10-he-aac.m4a", Right::FramesOr(133_120, 44_100, "HE-AAC")),
];

/// One input and what came of it. `right` is absent where nobody has said what is right.
struct Outcome {
    name: String,
    right: Option<bool>,
    seen: String,
}

/// Tries them all.
///
/// # Errors
/// When one still fails, or when the machine cannot be prepared.
pub(crate) fn run(args: &Args) -> Result<()> {
    let folder = match &args.folder {
        Some(folder) => folder.clone(),
        None => shared_dir()
            .context("there are no recordings beside the repository; name a folder")?
            .join("failing"),
    };
    ensure!(folder.is_dir(), "{} is not a folder", folder.display());
    setup::prepare(setup::Purpose::Everything)?;
    let kit = Kit::for_tests()?;
    kit.pull(SPLEETER, false)?;
    bundle::bundle_for_tests()?;
    python_hosts::prepare()?;
    try_all(&kit, &folder, args)
}

/// The same on a machine that is prepared, with a program that is built.
///
/// # Errors
/// When one still fails.
pub(crate) fn check(kit: &Kit, folder: &Path) -> Result<()> {
    try_all(kit, folder, &Args { folder: None, only: None, json: false })
}

fn try_all(kit: &Kit, folder: &Path, args: &Args) -> Result<()> {
    let wanted = |path: &PathBuf| {
        let name = name_of(path);
        args.only.as_ref().is_none_or(|word| name.contains(word.as_str()))
    };
    let mut outcomes = Vec::new();
    for path in listed(&folder.join("files"))?.into_iter().filter(wanted) {
        outcomes.push(tell(try_file(kit, &path)?));
    }
    for path in listed(&folder.join("live"))?.into_iter().filter(wanted) {
        if let Some(outcome) = try_script(kit, &path)? {
            outcomes.push(tell(outcome));
        }
    }
    ensure!(!outcomes.is_empty(), "there is nothing to try in {}", folder.display());
    let wrong = outcomes.iter().filter(|o| o.right == Some(false)).count();
    if args.json {
        let all: Vec<Value> =
            outcomes.iter().map(|o| json!({ "name": o.name, "right": o.right, "seen": o.seen })).collect();
        println!("{}", serde_json::to_string_pretty(&all)?);
    }
    println!("  {} tried, {wrong} wrong", outcomes.len());
    if wrong > 0 {
        bail!("{wrong} of {} inputs still fail: see the lines with WRONG", outcomes.len());
    }
    Ok(())
}

fn name_of(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// The plain files of a folder in the order of their names; none where there is no such folder.
fn listed(folder: &Path) -> Result<Vec<PathBuf>> {
    if !folder.is_dir() {
        return Ok(Vec::new());
    }
    let entries =
        std::fs::read_dir(folder).with_context(|| format!("could not read {}", folder.display()))?;
    let mut paths = Vec::new();
    for entry in entries {
        let path = entry?.path();
        if path.is_file() {
            paths.push(path);
        }
    }
    paths.sort();
    Ok(paths)
}

fn tell(outcome: Outcome) -> Outcome {
    let mark = match outcome.right {
        Some(true) => "ok   ",
        Some(false) => "WRONG",
        None => "     ",
    };
    println!("  {mark} {}: {}", outcome.name, outcome.seen);
    outcome
}

fn try_file(kit: &Kit, path: &Path) -> Result<Outcome> {
    let out = target_dir().join("failing");
    empty(&out)?;
    let mut command = kit.command(&["separate", "--model", SPLEETER, "--json", "--out"]);
    let output = command.arg(&out).arg(path).stdin(Stdio::null()).output()?;
    let name = name_of(path);
    let right = RIGHT.iter().find(|(known, _)| *known == name).map(|(_, right)| right);
    let said = String::from_utf8_lossy(&output.stderr);
    let sentence = said.trim().lines().last().unwrap_or("nothing was said").to_owned();
    Ok(if output.status.success() {
        let report: Value = serde_json::from_slice(&output.stdout)
            .with_context(|| format!("`separate` of {name} did not print JSON"))?;
        let (frames, rate) = (report["frames"].as_u64(), report["rate_hz"].as_u64());
        Outcome {
            right: right.map(|r| r.is(frames, rate)),
            seen: format!("{frames:?} frames at {rate:?} Hz"),
            name,
        }
    } else {
        Outcome { right: right.map(|r| r.is_refused(&sentence)), seen: sentence, name }
    })
}

impl Right {
    fn is(&self, frames: Option<u64>, rate_hz: Option<u64>) -> bool {
        let (Self::Frames(right, hz) | Self::FramesOr(right, hz, _)) = self;
        frames == Some(*right) && rate_hz == Some(*hz)
    }

    fn is_refused(&self, sentence: &str) -> bool {
        matches!(self, Self::FramesOr(.., word) if sentence.contains(word))
    }
}

/// `None` for what the scripts share.
fn try_script(kit: &Kit, path: &Path) -> Result<Option<Outcome>> {
    let name = name_of(path);
    let shell = match path.extension().and_then(|e| e.to_str()) {
        Some("sh") => "bash",
        Some("py") => "python3",
        _ => return Ok(None),
    };
    if ["common.sh", "claphost.py"].contains(&name.as_str()) {
        return Ok(None);
    }
    let output = Command::new(shell)
        .arg(path)
        .env("RK", kit.program())
        .env("DATA", kit.data())
        .env("CLAP", target_dir().join("bundled").join("RehearseKit.clap"))
        .env("PYTHONPATH", target_dir().join("python-hosts"))
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("could not start {shell} for {name}"))?;
    let said =
        String::from_utf8_lossy(if output.stdout.is_empty() { &output.stderr } else { &output.stdout });
    let seen = said.trim().lines().last().unwrap_or("nothing was said").to_owned();
    Ok(Some(Outcome { name, right: Some(output.status.success()), seen }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_judged_by_its_frames_its_rate_or_its_name() {
        let frames = Right::Frames(10, 44_100);
        assert!(frames.is(Some(10), Some(44_100)));
        assert!(
            !frames.is(Some(10), Some(22_050)) && !frames.is(Some(9), Some(44_100)) && !frames.is(None, None)
        );
        assert!(!frames.is_refused("this is WavPack"));
        let either = Right::FramesOr(10, 44_100, "WavPack");
        assert!(either.is(Some(10), Some(44_100)) && either.is_refused("this is WavPack"));
        assert!(!either.is_refused("it is cut off"));
    }
}
