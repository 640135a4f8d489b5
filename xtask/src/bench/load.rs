//! `bench load`: as many clients as a band has, on one server of this machine: `rehearsekit load` plays and checks, this
//! looks at the server meanwhile. Clients and server share the machine, so they share its processors. It takes the time
//! the music takes.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Result, ensure};
use serde_json::{Value, json};

use super::histogram::{Histogram, metrics};
use super::vitals::{self, Vitals};
use super::{folder, keep, one_decimal, table};
use crate::kit::{Kit, SPLEETER, Server, shared_dir};
use crate::shell::{Background, capture_json_of_any_end};

/// How often the server is looked at.
const LOOK: Duration = Duration::from_secs(1);

/// Options of `bench load`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// How many clients; with --sweep, the first number that is tried
    #[arg(long, default_value_t = 1)]
    clients: u32,
    /// How long they play [default: 5; with --sweep a third, for each number of clients]
    #[arg(long)]
    minutes: Option<f64>,
    /// Latency to ask for
    #[arg(long, default_value = "250ms")]
    budget: String,
    /// Which models, as for `rehearsekit load`
    #[arg(long, default_value = SPLEETER)]
    mix: String,
    /// A bad link for each client, as for `rehearsekit load`
    #[arg(long, value_name = "NAME=VALUE,...")]
    impair: Option<String>,
    /// What they play [default: the songs beside the repository, else the example song of Spleeter's package]
    #[arg(long, value_name = "DIR")]
    songs: Option<PathBuf>,
    /// One client more each time, until the server refuses one or something is missed
    #[arg(long)]
    sweep: bool,
    /// So many songs are separated as fast as the server can meanwhile, as bounces are: what nobody waits for
    #[arg(long, default_value_t = 0, value_name = "N")]
    background: u32,
    /// With --sweep: go on however many were missed, until the server refuses
    #[arg(long, requires = "sweep")]
    to_the_end: bool,
}

/// What one run has shown.
struct Seen {
    load: Value,
    server: Vec<Vitals>,
    /// Of the live hops in the server: waiting for their turn, and all that is neither that nor inference.
    queueing: Histogram,
    overhead: Histogram,
}

pub(super) fn run(args: &Args) -> Result<()> {
    let stage = Stage::open(args)?;
    let minutes = args.minutes.unwrap_or(if args.sweep { 1.0 / 3.0 } else { 5.0 });
    let mut all = Vec::new();
    for clients in args.clients.. {
        let seen = stage.play(args, clients, minutes)?;
        let (refused, missed) = (seen.refused() > 0, seen.missed());
        all.push(seen);
        if !args.sweep || refused || (missed && !args.to_the_end) {
            break;
        }
    }
    println!("\n{}", table(HEAD, &all.iter().map(Seen::row).collect::<Vec<_>>()));
    for refused in all.iter().flat_map(|seen| seen.load["refused"].as_array()).flatten() {
        println!(
            "refused ({}): {}",
            refused["code"].as_str().unwrap_or_default(),
            refused["sentence"].as_str().unwrap_or_default()
        );
    }
    if args.sweep {
        let holds = all.iter().filter(|seen| seen.refused() == 0 && !seen.missed());
        let most = holds.map(|seen| seen.number("admitted")).fold(0.0, f64::max);
        println!("the most that were served for {:.0} s without a miss: {most}", minutes * 60.0);
    }
    let name = if args.sweep { "load-sweep".to_owned() } else { format!("load-{}", args.clients) };
    let runs: Vec<Value> = all.iter().map(Seen::json).collect();
    let result = json!({"minutes": minutes, "budget": args.budget, "mix": args.mix, "impair": args.impair,
        "background": args.background, "runs": runs});
    let beside = if args.background > 0 { "-beside-bounces" } else { "" };
    keep(&format!("{name}-{}{beside}", args.budget), result)
}

const HEAD: &[&str] = &[
    "Clients",
    "Admitted",
    "Hops",
    "Misses per 10,000 hops",
    "Underruns",
    "Stems",
    "Turnaround p50/p99/max ms",
    "Inference p50/p99 ms",
    "Queueing p50/p99 ms, at most",
    "Overhead p50/p99 ms, at most",
    "Server's cores",
    "MB",
    "Threads",
    "Files",
];

impl Seen {
    fn number(&self, key: &str) -> f64 {
        self.load["total"][key].as_f64().unwrap_or_default()
    }

    fn refused(&self) -> usize {
        self.load["refused"].as_array().map_or(0, Vec::len)
    }

    fn missed(&self) -> bool {
        self.number("misses") + self.number("underruns") > 0.0
    }

    fn row(&self) -> Vec<String> {
        let total = &self.load["total"];
        let count = |key: &str| format!("{:.0}", self.number(key));
        let spread = |key: &str, parts: &[&str]| {
            parts.iter().map(|part| one_decimal(total[key][part].as_f64())).collect::<Vec<_>>().join(" / ")
        };
        let at_most =
            |seen: &Histogram| [0.5, 0.99].map(|share| one_decimal(seen.at_most_millis(share))).join(" / ");
        let range = |of: fn(&Vitals) -> u64| {
            let all = self.server.iter().map(of);
            match (all.clone().min(), all.max()) {
                (Some(least), Some(most)) if least != most => format!("{least} to {most}"),
                (Some(all), _) => all.to_string(),
                _ => "–".to_owned(),
            }
        };
        vec![
            count("offered"),
            count("admitted"),
            count("hops"),
            one_decimal(total["misses_per_10000_hops"].as_f64()),
            count("underruns"),
            if total["stems_right"] == json!(true) { "right" } else { "WRONG" }.to_owned(),
            spread("turnaround_millis", &["p50", "p99", "max"]),
            spread("inference_millis", &["p50", "p99"]),
            at_most(&self.queueing),
            at_most(&self.overhead),
            vitals::cores(&self.server).map_or_else(|| "–".to_owned(), |cores| format!("{cores:.2}")),
            range(|vitals| vitals.resident_bytes / 1_000_000),
            range(|vitals| vitals.threads),
            range(|vitals| vitals.descriptors),
        ]
    }

    fn json(&self) -> Value {
        let server: Vec<Value> = self.server.iter().map(Vitals::json).collect();
        let at_most =
            |seen: &Histogram| json!({"p50": seen.at_most_millis(0.5), "p99": seen.at_most_millis(0.99)});
        json!({"load": self.load, "server": server, "server_cores": vitals::cores(&self.server),
            "queueing_millis": at_most(&self.queueing), "overhead_millis": at_most(&self.overhead)})
    }
}

/// A warm server with songs to play to it.
struct Stage {
    kit: Kit,
    server: Server,
    songs: PathBuf,
}

impl Stage {
    fn open(args: &Args) -> Result<Self> {
        let kit = Kit::release()?;
        let mut models: Vec<&str> =
            args.mix.split(',').map(|part| part.split(':').next().unwrap_or_default().trim()).collect();
        models.sort_unstable();
        models.dedup();
        for model in &models {
            ensure!(kit.has(model), "{model} is not installed: `rehearsekit models pull {model}`");
        }
        let songs = match (&args.songs, shared_dir()) {
            (Some(songs), _) => songs.clone(),
            (None, Some(shared)) => shared.join("songs"),
            (None, None) => kit.example_song()?,
        };
        let server = kit.serve(&models, &folder()?.join("load-server.log"))?;
        println!("  metrics at http://{}/metrics", server.http);
        Ok(Self { kit, server, songs })
    }

    fn play(&self, args: &Args, clients: u32, minutes: f64) -> Result<Seen> {
        let path: &Path = &self.songs;
        let mut command = self.kit.command(&["load", "--json", "--server", &self.server.listen]);
        command.args(["--clients", &clients.to_string(), "--minutes", &minutes.to_string()]);
        command.args(["--budget", &args.budget, "--mix", &args.mix]).arg("--songs").arg(path);
        command.args(args.impair.iter().flat_map(|impair| ["--impair", impair]));
        // What is missed or refused ends the command with a failure; here it is what was asked for.
        let before = metrics(&self.server.http)?;
        let background = self.bounce(args, minutes)?;
        let (load, server) = vitals::watch(self.server.id(), LOOK, || capture_json_of_any_end(&mut command));
        drop(background);
        let after = metrics(&self.server.http)?;
        let seen =
            |name: &str| anyhow::Ok(Histogram::of(&after, name)?.since(&Histogram::of(&before, name)?));
        let (queueing, overhead) = (seen("queueing_seconds")?, seen("overhead_seconds")?);
        Ok(Seen { load: load?, server, queueing, overhead })
    }

    /// Starts as much work in the background as was asked for; it ends when the result is dropped. The clients' own
    /// work has the lowest priority, since elsewhere they have machines of their own.
    fn bounce(&self, args: &Args, minutes: f64) -> Result<Vec<Background>> {
        let song = self.kit.example_song()?;
        let one = |n: u32| {
            // More music than could ever be done in the time.
            let seconds = (minutes * 60.0 * 10.0).to_string();
            let mut command = Command::new("nice");
            command.args(["-n", "19"]).arg(self.kit.program()).env("REHEARSEKIT_DATA", self.kit.data());
            command.args([
                "stream",
                "--pace",
                "fast",
                "--loop",
                "--seconds",
                &seconds,
                "--overwrite",
                "--json",
            ]);
            command.args(["--server", &self.server.listen, "--model", SPLEETER, "--budget", &args.budget]);
            command.arg("--out").arg(folder()?.join(format!("bounce-{n}"))).arg(&song);
            command.stdout(Stdio::null()).stderr(Stdio::null());
            Background::start(&mut command)
        };
        (0..args.background).map(one).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_has_a_cell_for_every_head() {
        let load = json!({"total": {"offered": 3, "admitted": 2, "hops": 100, "misses": 1, "underruns": 0,
            "misses_per_10000_hops": 100.0, "stems_right": true, "turnaround_millis": {"p50": 1.0, "p99": 2.0,
            "max": 3.04}}, "refused": [{"code": "full", "sentence": "no"}], "clients": []});
        let at = |seconds: f64, threads| Vitals {
            at_seconds: seconds,
            cpu_seconds: 2.0 * seconds,
            threads,
            ..Vitals::default()
        };
        let queueing =
            Histogram::of("rehearsekit_x_bucket{le=\"0.003\"} 7\nrehearsekit_x_bucket{le=\"+Inf\"} 7", "x")
                .unwrap();
        let seen = Seen { load, server: vec![at(1.0, 5), at(2.0, 7)], overhead: queueing.clone(), queueing };
        let row = seen.row();
        assert_eq!(row.len(), HEAD.len());
        assert_eq!(row[..6], ["3", "2", "100", "100.0", "0", "right"]);
        assert_eq!((row[6].as_str(), row[7].as_str()), ("1.0 / 2.0 / 3.0", "– / –"));
        assert_eq!((row[8].as_str(), row[9].as_str()), ("3.0 / 3.0", "3.0 / 3.0"));
        assert_eq!((row[10].as_str(), row[12].as_str(), row[13].as_str()), ("2.00", "5 to 7", "0"));
        assert!(seen.missed() && seen.refused() == 1);
    }
}
