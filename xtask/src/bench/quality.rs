//! What the separation is worth at each latency, by `rehearsekit eval` on songs whose stems are known.

use std::path::PathBuf;

use anyhow::{Context, Result};
use serde_json::{Value, json};

use super::{keep, one_decimal, table};
use crate::kit::{HTDEMUCS, Kit, SPLEETER, shared_dir};

/// Options of `bench quality`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Which model
    #[arg(long, default_value = SPLEETER)]
    model: String,
    /// Song folders with one file per stem [default: all of ../shared/songs]
    #[arg(value_name = "DIR")]
    songs: Vec<PathBuf>,
}

/// One operating point of the streaming wrapper.
struct Point {
    name: &'static str,
    words: &'static [&'static str],
    /// Also from a low input level, at the start and after a pause.
    closely: bool,
}

/// In simulated time the budget is all algorithmic, so the name says what is measured.
const SPLEETER_POINTS: &[Point] = &[
    Point { name: "46 ms", words: &["--budget", "46ms"], closely: false },
    Point { name: "93 ms", words: &["--budget", "93ms"], closely: true },
    Point { name: "250 ms", words: &["--budget", "250ms"], closely: true },
    Point { name: "350 ms", words: &["--budget", "350ms"], closely: false },
];

/// A hybrid model counts its hop and look-ahead in frames, its window in columns.
const HTDEMUCS_POINTS: &[Point] = &[
    Point {
        name: "7.8 s window, 0.5 s hop, 0.1 s look-ahead",
        words: &["--budget", "8s", "--window", "336", "--hop", "22528", "--look-ahead", "4096"],
        closely: false,
    },
    Point {
        name: "7.8 s window, 0.5 s hop, no look-ahead",
        words: &["--budget", "8s", "--window", "336", "--hop", "22528", "--look-ahead", "0"],
        closely: false,
    },
    Point {
        name: "1.95 s window, 0.65 s hop, 0.1 s look-ahead",
        words: &["--budget", "3s", "--window", "84", "--hop", "28672", "--look-ahead", "4096"],
        closely: false,
    },
];

/// Where the pause is inserted and how the parts beside it are scored, in seconds.
const CLOSELY: &[(&str, &[&str])] = &[
    ("first second", &["--segment", "0:1"]),
    ("after a pause", &["--insert-pause", "10:2", "--segment", "12:1"]),
    ("at −20 dB", &["--gain-db", "-20"]),
];

/// A start in the middle of the music, every two seconds of a song, is another start: one says little.
const STARTS: std::ops::Range<usize> = 0..8;
const STARTS_APART_SECONDS: usize = 2;
/// Heard at each start, of which the first second is scored.
const HEARD_SECONDS: &str = "8";
/// Below this much of a stem in the mix there is nothing to separate.
const LEAST_MIX_SDR_DB: f64 = -15.0;

pub(super) fn run(args: &Args) -> Result<()> {
    let kit = Kit::release()?;
    let songs = songs(args)?;
    let (points, excerpt): (_, &[&str]) = match args.model.as_str() {
        HTDEMUCS => (HTDEMUCS_POINTS, &["--from", "7", "--seconds", "10"]),
        _ => (SPLEETER_POINTS, &[]),
    };
    anyhow::ensure!(kit.has(&args.model), "{0} is not installed: `rehearsekit models pull {0}`", args.model);
    let mut results = Vec::new();
    let mut rows = Vec::new();
    for point in points {
        let extra: &[(&str, &[&str])] = if point.closely { CLOSELY } else { &[] };
        for (how, words) in std::iter::once(&("whole", &[][..])).chain(extra) {
            let mut command = vec!["eval"];
            command.extend(songs.iter().map(String::as_str));
            command.extend(["--model", &args.model, "--json"]);
            command.extend(excerpt.iter().chain(point.words).chain(words.iter()));
            let scores = kit.json(&command)?;
            rows.extend(rows_of(point.name, how, &scores));
            results.push(json!({"point": point.name, "how": how, "command": command[1..], "scores": scores}));
        }
        if point.closely {
            let differences = starts(&kit, &args.model, &songs, point)?;
            println!(
                "  {}: first second of {} starts, streamed − offline: {}",
                point.name,
                differences.len(),
                spread(&differences)
            );
            results.push(json!({"point": point.name, "how": "starts", "differences_db": differences}));
        }
    }
    let head = ["Latency", "Part", "Song", "Stem", "Mix", "Offline", "Streamed", "Difference"];
    println!("\nSDR in dB\n\n{}", table(&head, &rows));
    keep(&format!("quality-{}", args.model), Value::Array(results))
}

/// Streamed − offline in dB, of the vocals' first second, at every start.
fn starts(kit: &Kit, model: &str, songs: &[String], point: &Point) -> Result<Vec<f64>> {
    let mut differences = Vec::new();
    for start in STARTS {
        let from = (start * STARTS_APART_SECONDS).to_string();
        let mut command = vec!["eval"];
        command.extend(songs.iter().map(String::as_str));
        command.extend(["--model", model, "--json", "--from", &from, "--seconds", HEARD_SECONDS]);
        command.extend(point.words.iter().chain(&["--segment", "0:1"]));
        let scores = kit.json(&command)?;
        for song in scores["songs"].as_array().into_iter().flatten() {
            let part = &song["segments"][0];
            let way = |name: &str| part[name]["vocals"]["sdr_db"].as_f64();
            if way("mix").is_some_and(|mix| mix > LEAST_MIX_SDR_DB) {
                differences.extend(way("streamed").zip(way("offline")).map(|(live, offline)| live - offline));
            }
        }
    }
    Ok(differences)
}

fn spread(differences: &[f64]) -> String {
    let mut sorted = differences.to_vec();
    sorted.sort_by(f64::total_cmp);
    let (Some(worst), Some(middle)) = (sorted.first(), sorted.get(sorted.len() / 2)) else {
        return "no vocals there".to_owned();
    };
    let mean = sorted.iter().sum::<f64>() / sorted.len() as f64;
    format!("mean {mean:+.2} dB, median {middle:+.2} dB, worst {worst:+.2} dB")
}

fn songs(args: &Args) -> Result<Vec<String>> {
    let mut folders = args.songs.clone();
    if folders.is_empty() {
        let shared = shared_dir().context("no songs: name folders with one file per stem each")?;
        for entry in std::fs::read_dir(shared.join("songs"))? {
            let path = entry?.path();
            if path.is_dir() {
                folders.push(path);
            }
        }
        folders.sort();
    }
    Ok(folders.iter().map(|folder| folder.to_string_lossy().into_owned()).collect())
}

/// A row per song and stem; where `eval` scored a segment, that is what counts.
fn rows_of(point: &str, how: &str, scores: &Value) -> Vec<Vec<String>> {
    let mut rows = Vec::new();
    for song in scores["songs"].as_array().into_iter().flatten() {
        let part = song["segments"].as_array().and_then(|segments| segments.first()).unwrap_or(song);
        let way = |name: &str, stem: &str| part[name][stem]["sdr_db"].as_f64();
        let mut sums = (0.0, 0.0, 0);
        for (stem, _) in part["mix"].as_object().into_iter().flatten() {
            let (mix, offline, streamed) = (way("mix", stem), way("offline", stem), way("streamed", stem));
            let difference = offline.zip(streamed).map(|(offline, streamed)| streamed - offline);
            if let Some((offline, streamed)) = offline.zip(streamed) {
                sums = (sums.0 + offline, sums.1 + streamed, sums.2 + 1);
            }
            rows.push(row([point, how, name(song), stem], [mix, offline, streamed, difference]));
        }
        if sums.2 > 1 {
            let (offline, streamed) = (sums.0 / f64::from(sums.2), sums.1 / f64::from(sums.2));
            let values = [None, Some(offline), Some(streamed), Some(streamed - offline)];
            rows.push(row([point, how, name(song), "mean"], values));
        }
    }
    rows
}

fn name(song: &Value) -> &str {
    song["name"].as_str().unwrap_or("–")
}

fn row(words: [&str; 4], values: [Option<f64>; 4]) -> Vec<String> {
    words.iter().map(|&word| word.to_owned()).chain(values.map(one_decimal)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_carry_the_difference_and_the_mean_leaves_silent_stems_out() {
        let scores = json!({"songs": [{"name": "s",
            "mix": {"bass": {"leakage_dbfs": -9.0}, "drums": {"sdr_db": 0.0}, "vocals": {"sdr_db": 1.0}},
            "offline": {"bass": {"leakage_dbfs": -40.0}, "drums": {"sdr_db": 8.0}, "vocals": {"sdr_db": 10.0}},
            "streamed": {"bass": {"leakage_dbfs": -38.0}, "drums": {"sdr_db": 7.0}, "vocals": {"sdr_db": 9.5}}}]});
        let rows = rows_of("p", "whole", &scores);
        assert_eq!(rows.len(), 4);
        assert_eq!(rows[2][4..], ["1.0", "10.0", "9.5", "-0.5"].map(str::to_owned));
        assert_eq!(rows[3][3..], ["mean", "–", "9.0", "8.2", "-0.8"].map(str::to_owned));
    }
}
