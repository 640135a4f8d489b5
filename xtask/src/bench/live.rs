//! A real server and a real client at real-time pace on this machine: misses, turnaround, memory, and the
//! smallest budget that holds. It takes the time the music takes.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Result;
use serde_json::{Value, json};

use super::{folder, keep, one_decimal, table, vitals};
use crate::kit::{Kit, SPLEETER, Server, Stream};

/// Options of `bench live`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Which model
    #[arg(long, default_value = SPLEETER)]
    model: String,
    /// Latency to ask for
    #[arg(long, default_value = "250ms")]
    budget: String,
    /// How long
    #[arg(long, default_value_t = 3.0)]
    minutes: f64,
    /// What to play, over and over [default: the example song of Spleeter's package]
    #[arg(long, value_name = "FILE")]
    song: Option<PathBuf>,
}

/// Options of `bench overhead`.
#[derive(clap::Args)]
pub(crate) struct OverheadArgs {
    /// Which model
    #[arg(long, default_value = SPLEETER)]
    model: String,
    /// Budgets to try, largest first; it stops below the first that does not hold
    #[arg(long, value_delimiter = ',', default_value = "250,200,175,150,125,110,100,90,80,70,60")]
    budgets_millis: Vec<u32>,
    /// Seconds of music for each
    #[arg(long, default_value_t = 60.0)]
    seconds: f64,
}

pub(super) fn run(args: &Args) -> Result<()> {
    let stage = Stage::open(&args.model, args.song.as_deref())?;
    let (report, memory) = stage.play(&args.budget, args.minutes * 60.0)?;
    println!("\n{}", table(HEAD, &[row(&args.budget, &report)]));
    if let (Some(first), Some(last)) = (memory.get(memory.len() / 5), memory.last()) {
        let megabytes = |bytes: &u64| *bytes as f64 / 1e6;
        println!(
            "server memory: {:.1} MB after a fifth of the time, {:.1} MB at the end, {:.1} MB at most",
            megabytes(first),
            megabytes(last),
            memory.iter().map(megabytes).fold(0.0, f64::max)
        );
    }
    let result = json!({"minutes": args.minutes, "report": report, "resident_bytes_each_5_s": memory});
    keep(&format!("live-{}-{}", args.model, args.budget), result)
}

pub(super) fn overhead(args: &OverheadArgs) -> Result<()> {
    let stage = Stage::open(&args.model, None)?;
    let (mut rows, mut reports, mut smallest) = (Vec::new(), Vec::new(), None);
    for millis in &args.budgets_millis {
        let budget = format!("{millis}ms");
        match stage.play(&budget, args.seconds) {
            Ok((report, _)) => {
                rows.push(row(&budget, &report));
                let holds = ["underruns", "late", "lost"].iter().all(|miss| report[miss].as_u64() == Some(0));
                reports.push(json!({"budget_millis": millis, "holds": holds, "report": report}));
                if !holds {
                    break;
                }
                smallest = Some(*millis);
            }
            Err(error) => {
                // The server's own "no" is a result here: it says which budget would do.
                println!("  {budget}: {error:#}");
                reports.push(json!({"budget_millis": millis, "refused": format!("{error:#}")}));
                break;
            }
        }
    }
    println!("\n{}", table(HEAD, &rows));
    match smallest {
        Some(millis) => {
            println!("smallest of these that held for {} s without a miss: {millis} ms", args.seconds)
        }
        None => println!("none of these held"),
    }
    keep(&format!("overhead-{}", args.model), json!({"smallest_millis": smallest, "runs": reports}))
}

const HEAD: &[&str] = &[
    "Budget",
    "Hops",
    "Underruns",
    "Late",
    "Lost",
    "Turnaround p50/p99/max ms",
    "Inference p50/p99 ms",
    "Server overhead p50/p99 ms",
];

fn row(budget: &str, report: &Value) -> Vec<String> {
    let count = |key: &str| report[key].as_u64().map_or_else(|| "–".to_owned(), |count| count.to_string());
    let spread = |key: &str, parts: &[&str]| {
        parts.iter().map(|part| one_decimal(report[key][part].as_f64())).collect::<Vec<_>>().join(" / ")
    };
    vec![
        budget.to_owned(),
        count("hops"),
        count("underruns"),
        count("late"),
        count("lost"),
        spread("turnaround_millis", &["p50", "p99", "max"]),
        spread("inference_millis", &["p50", "p99"]),
        spread("server_overhead_millis", &["p50", "p99"]),
    ]
}

/// A warm server with a song to play to it.
struct Stage {
    kit: Kit,
    server: Server,
    model: String,
    song: PathBuf,
    out: PathBuf,
}

impl Stage {
    fn open(model: &str, song: Option<&Path>) -> Result<Self> {
        let kit = Kit::release()?;
        anyhow::ensure!(kit.has(model), "{model} is not installed: `rehearsekit models pull {model}`");
        let song = song.map_or_else(|| kit.example_song(), |song| Ok(song.to_path_buf()))?;
        let server = kit.serve(&[model], &folder()?.join("server.log"))?;
        println!("  metrics at http://{}/metrics", server.http);
        let out = folder()?.join("stems");
        Ok(Self { kit, server, model: model.to_owned(), song, out })
    }

    /// Streams at real-time pace; gives back the client's report and the server's memory each 5 s.
    fn play(&self, budget: &str, seconds: f64) -> Result<(Value, Vec<u64>)> {
        let stream = Stream {
            server: &self.server.listen,
            song: &self.song,
            model: &self.model,
            budget,
            seconds,
            out: &self.out,
        };
        let (report, seen) =
            vitals::watch(self.server.id(), Duration::from_secs(5), || self.kit.stream(&stream));
        Ok((report?, seen.iter().map(|vitals| vitals.resident_bytes).collect()))
    }
}
