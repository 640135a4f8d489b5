//! What bad links do to live playing, and whether the budget that is recommended helps: the real server and real
//! clients on this machine, with a bad network between them (`udp_proxy`, or nftables in a network namespace).
//! It takes the time the music takes, and states what it saw.

use std::io::{BufRead, BufReader, Read as _};
use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

use super::{folder, keep, one_decimal, table};
use crate::kit::{Kit, SPLEETER, Server, Stream};
use crate::shell::{Background, cargo, on_path, run as run_program, target_dir};

/// Options of `bench link`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// How long each link is tried; a recommended budget is tried for a third of it afterwards
    #[arg(long, default_value_t = 5.0)]
    minutes: f64,
    /// Latency to ask for
    #[arg(long, default_value = "250ms")]
    budget: String,
    /// Only links whose name has this in it
    #[arg(long, value_name = "NAME")]
    only: Option<String>,
    /// Links tried side by side; at 250 ms each costs more than half a core
    #[arg(long, default_value_t = 2)]
    abreast: usize,
    /// Print the result as JSON instead of a table
    #[arg(long)]
    json: bool,
    /// Inside of a network namespace of its own: lose this many percent of all datagrams
    #[arg(long, hide = true)]
    inside: Option<u32>,
}

/// A link and what is wrong with it: in words of `udp_proxy`, or in percent that nftables drops.
struct Link {
    name: &'static str,
    proxy: &'static str,
    nft_percent: Option<u32>,
}

const fn proxied(name: &'static str, proxy: &'static str) -> Link {
    Link { name, proxy, nft_percent: None }
}

const LINKS: &[Link] = &[
    proxied("clean", ""),
    proxied("loss 1 %", "loss=1%"),
    proxied("loss 5 %", "loss=5%"),
    proxied("3 ± 2 ms", "delay=3ms,jitter=2ms"),
    proxied("20 ± 15 ms", "delay=20ms,jitter=15ms"),
    proxied("stalls of 200 ms", "stall-every=20s,stall=200ms"),
    proxied("outage of 3 s", "outage-at=10s,outage=3s"),
    proxied("new address", "rebind-every=10s"),
    Link { name: "nftables 1 %", proxy: "", nft_percent: Some(1) },
    Link { name: "nftables 5 %", proxy: "", nft_percent: Some(5) },
];

/// What was seen on a link.
struct Seen {
    name: String,
    budget: String,
    report: Value,
    /// What became of the datagrams; nothing without a proxy.
    traffic: Value,
}

pub(super) fn run(args: &Args) -> Result<()> {
    if let Some(percent) = args.inside {
        return inside(args, percent);
    }
    let wanted = |link: &&Link| args.only.as_ref().is_none_or(|only| link.name.contains(only.as_str()));
    let (inside, beside): (Vec<&Link>, Vec<&Link>) =
        LINKS.iter().filter(wanted).partition(|link| link.nft_percent.is_some());
    let mut all = Vec::new();
    if !beside.is_empty() {
        let stage = Stage::open("link-server.log")?;
        for links in beside.chunks(args.abreast.max(1)) {
            all.extend(stage.try_all(links, args)?);
        }
    }
    for link in inside {
        if on_path("nft") && on_path("unshare") && may_make_namespaces() {
            all.extend(in_a_namespace(link, args)?);
        } else {
            println!("  {}: left out; it takes root, nft and unshare", link.name);
        }
    }
    if all.is_empty() {
        bail!(
            "no link was tried; there are: {}",
            LINKS.iter().map(|l| l.name).collect::<Vec<_>>().join(", ")
        );
    }
    let result = json!({"minutes": args.minutes, "links": all.iter().map(Seen::json).collect::<Vec<_>>()});
    if args.json {
        println!("{}", serde_json::to_string_pretty(&result)?);
    } else {
        println!("\n{}", table(HEAD, &all.iter().map(Seen::row).collect::<Vec<_>>()));
    }
    keep("link", result)
}

const HEAD: &[&str] = &[
    "Link",
    "Budget",
    "Hops",
    "Misses per 10,000 hops",
    "Bridged s",
    "Turnaround p50/p99/max ms",
    "Round trip p50/p99 ms",
    "Needed ms",
    "by the link",
    "Recommended ms",
    "Sessions",
];

impl Seen {
    fn row(&self) -> Vec<String> {
        let report = &self.report;
        let number = |key: &str| report[key].as_f64().unwrap_or_default();
        let spread = |key: &str, parts: &[&str]| {
            parts.iter().map(|part| one_decimal(report[key][part].as_f64())).collect::<Vec<_>>().join(" / ")
        };
        let recommended = match (report["recommended_millis"].as_u64(), report["recommendation"].is_string())
        {
            (Some(millis), _) => millis.to_string(),
            (None, true) => "none helps".to_owned(),
            (None, false) => "–".to_owned(),
        };
        vec![
            self.name.clone(),
            self.budget.clone(),
            format!("{:.0}", number("hops_due")),
            one_decimal(report["misses_per_10000_hops"].as_f64()),
            format!("{:.2}", number("bridged_frames") / number("rate_hz").max(1.0)),
            spread("turnaround_millis", &["p50", "p99", "max"]),
            spread("round_trip_millis", &["p50", "p99"]),
            one_decimal(report["needed_millis"].as_f64()),
            one_decimal(report["needed_by_link_millis"].as_f64()),
            recommended,
            format!("{:.0}", 1.0 + number("reconnects")),
        ]
    }

    fn json(&self) -> Value {
        json!({"name": self.name, "budget": self.budget, "report": self.report, "traffic": self.traffic})
    }

    fn of(json: &Value) -> Self {
        let text = |key: &str| json[key].as_str().unwrap_or_default().to_owned();
        Self {
            name: text("name"),
            budget: text("budget"),
            report: json["report"].clone(),
            traffic: json["traffic"].clone(),
        }
    }

    /// The budget to try next.
    fn recommended(&self) -> Option<String> {
        self.report["recommended_millis"].as_u64().map(|millis| format!("{millis}ms"))
    }
}

/// A warm server with a song to play to it.
struct Stage {
    kit: Kit,
    server: Server,
    song: PathBuf,
    proxy: PathBuf,
}

impl Stage {
    fn open(log: &str) -> Result<Self> {
        let program = "udp_proxy";
        run_program(cargo().args([
            "build",
            "--release",
            "--package",
            "rehearsekit-badlink",
            "--bin",
            program,
        ]))?;
        let kit = Kit::release()?;
        anyhow::ensure!(
            kit.has(SPLEETER),
            "{SPLEETER} is not installed: `rehearsekit models pull {SPLEETER}`"
        );
        let song = kit.example_song()?;
        let server = kit.serve(&[SPLEETER], &folder()?.join(log))?;
        Ok(Self { kit, server, song, proxy: target_dir().join("release").join(program) })
    }

    /// These links side by side, and afterwards those with a recommendation at that budget.
    fn try_all(&self, links: &[&Link], args: &Args) -> Result<Vec<Seen>> {
        let seconds = args.minutes * 60.0;
        let first: Vec<_> = links.iter().map(|link| (*link, args.budget.clone())).collect();
        let mut all = self.side_by_side(&first, seconds)?;
        let again: Vec<_> =
            links.iter().zip(&all).filter_map(|(link, seen)| Some((*link, seen.recommended()?))).collect();
        all.extend(self.side_by_side(&again, seconds / 3.0)?);
        // Each below its first.
        all.sort_by_key(|seen| links.iter().position(|link| link.name == seen.name));
        Ok(all)
    }

    fn side_by_side(&self, runs: &[(&Link, String)], seconds: f64) -> Result<Vec<Seen>> {
        std::thread::scope(|scope| {
            let run = |(link, budget): &(&Link, String)| {
                let (name, proxy, budget) = (link.name, link.proxy, budget.clone());
                scope.spawn(move || self.play(name, proxy, &budget, seconds))
            };
            let running: Vec<_> = runs.iter().map(run).collect();
            running.into_iter().map(|run| run.join().unwrap_or_else(|_| bail!("a run ended badly"))).collect()
        })
    }

    /// Streams at real-time pace over a link.
    fn play(&self, name: &str, impairments: &str, budget: &str, seconds: f64) -> Result<Seen> {
        let proxy = (!impairments.is_empty()).then(|| Proxy::start(self, impairments)).transpose()?;
        let server = proxy.as_ref().map_or(&self.server.listen, |proxy| &proxy.address);
        let file_name: String = name.chars().map(|c| if c.is_alphanumeric() { c } else { '-' }).collect();
        let out = folder()?.join(format!("link-{file_name}"));
        let stream = Stream { server, song: &self.song, model: SPLEETER, budget, seconds, out: &out };
        let report = self.kit.stream(&stream).with_context(|| format!("over the link \"{name}\""))?;
        let traffic = proxy.map_or(Ok(Value::Null), Proxy::end)?;
        Ok(Seen { name: name.to_owned(), budget: budget.to_owned(), report, traffic })
    }
}

/// A bad network in front of the server; it runs until its input ends.
struct Proxy {
    address: String,
    said: BufReader<std::process::ChildStdout>,
    process: Background,
}

impl Proxy {
    fn start(stage: &Stage, impairments: &str) -> Result<Self> {
        let mut command = Command::new(&stage.proxy);
        command.arg(&stage.server.listen).arg(format!("seed=1,{impairments}"));
        let process = Background::start(command.stdin(Stdio::piped()).stdout(Stdio::piped()))?;
        let mut said = BufReader::new(process.take_stdout().context("the proxy has no standard output")?);
        let mut line = String::new();
        said.read_line(&mut line).context("the proxy says nothing")?;
        Ok(Self { address: line.trim().to_owned(), said, process })
    }

    /// What became of the datagrams.
    fn end(mut self) -> Result<Value> {
        drop(self.process.take_stdin());
        let mut rest = String::new();
        self.said.read_to_string(&mut rest).context("could not read what the proxy says")?;
        serde_json::from_str(&rest).with_context(|| format!("the proxy said {rest:?}"))
    }
}

/// Runs this program again in a namespace where nftables loses datagrams.
fn in_a_namespace(link: &Link, args: &Args) -> Result<Vec<Seen>> {
    let percent = link.nft_percent.unwrap_or_default().to_string();
    let own = std::env::current_exe().context("could not find this program")?;
    let mut command = Command::new("unshare");
    command.arg("--net").arg(own).args(["bench", "link", "--inside", &percent]);
    run_program(command.args(["--minutes", &args.minutes.to_string(), "--budget", &args.budget]))?;
    let path = folder()?.join(format!("{}.json", inside_name(&percent)));
    let text =
        std::fs::read_to_string(&path).with_context(|| format!("could not read {}", path.display()))?;
    let kept: Value = serde_json::from_str(&text)?;
    Ok(kept["result"].as_array().into_iter().flatten().map(Seen::of).collect())
}

fn inside_name(percent: &str) -> String {
    format!("link-nftables-{percent}")
}

/// In the namespace: loopback comes up, loses datagrams, and a session is played over it.
fn inside(args: &Args, percent: u32) -> Result<()> {
    run_program(Command::new("ip").args(["link", "set", "lo", "up"]))?;
    let rules = [
        "add table inet loss".to_owned(),
        "add chain inet loss input { type filter hook input priority 0; }".to_owned(),
        format!("add rule inet loss input meta l4proto udp numgen random mod 100 < {percent} drop"),
    ];
    for rule in rules {
        run_program(Command::new("nft").arg(rule))?;
    }
    let stage = Stage::open("link-server-inside.log")?;
    let name = format!("nftables {percent} %");
    let all = stage.try_all(&[&Link { name: "", proxy: "", nft_percent: Some(percent) }], args)?;
    let named = all.into_iter().map(|seen| Seen { name: name.clone(), ..seen });
    keep(&inside_name(&percent.to_string()), Value::Array(named.map(|seen| seen.json()).collect()))
}

fn may_make_namespaces() -> bool {
    Command::new("unshare").args(["--net", "true"]).status().is_ok_and(|status| status.success())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_has_a_cell_for_every_head() {
        let report = json!({"rate_hz": 44_100, "hops_due": 1_000, "misses_per_10000_hops": 50.0,
            "bridged_frames": 44_100, "reconnects": 1, "recommended_millis": 350});
        let seen = Seen { name: "bad".to_owned(), budget: "250ms".to_owned(), report, traffic: Value::Null };
        let row = seen.row();
        assert_eq!(row.len(), HEAD.len());
        assert_eq!(row[..5], ["bad", "250ms", "1000", "50.0", "1.00"]);
        assert_eq!((row[9].as_str(), row[10].as_str()), ("350", "2"));
        assert_eq!(Seen::of(&seen.json()).row(), row);
        assert_eq!(seen.recommended().as_deref(), Some("350ms"));
    }
}
