//! `cargo xtask bench`: the figures of the README, each by one command, printed as a table and kept as JSON
//! below `target/bench/`. Nothing here passes or fails: a bench states what it saw on this machine.

mod denormals;
mod face;
mod histogram;
mod hop;
mod link;
mod live;
mod load;
mod plugin;
mod quality;
mod speed;
mod vitals;

pub(crate) use histogram::metrics;
pub(crate) use vitals::Vitals;

use std::path::PathBuf;

use anyhow::{Context, Result};
use serde_json::{Value, json};

use crate::shell::target_dir;

/// Options of `bench`.
#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(clap::Subcommand)]
enum What {
    /// SDR offline and streamed, on songs whose stems are known (../shared/songs)
    #[command(
        after_help = "Example:\n  cargo xtask bench quality\n  cargo xtask bench quality --model htdemucs"
    )]
    Quality(quality::Args),
    /// Underruns, turnaround and memory of a real server at real-time pace
    #[command(
        after_help = "Examples:\n  cargo xtask bench live --minutes 3\n  cargo xtask bench live --minutes 10\n  \
                            cargo xtask bench live --model htdemucs --budget 1500ms --minutes 1"
    )]
    Live(live::Args),
    /// The smallest budget that holds on this machine, and the server's own share of the turnaround
    #[command(after_help = "Example:\n  cargo xtask bench overhead")]
    Overhead(live::OverheadArgs),
    /// Misses over bad links, and whether the budget that is recommended helps
    #[command(
        after_help = "Examples:\n  cargo xtask bench link\n  cargo xtask bench link --minutes 0.5 --only loss"
    )]
    Link(link::Args),
    /// Many clients at once: misses, turnaround, and what the server costs; with --sweep, how many it holds
    #[command(after_help = "Examples:\n  cargo xtask bench load --clients 2 --minutes 5\n  \
                      cargo xtask bench load --sweep --budget 500ms")]
    Load(load::Args),
    /// What the plugin's window costs, idle and with a song (under JACK's dummy driver and Xvfb)
    #[command(after_help = "Example:\n  cargo xtask bench face --minutes 10")]
    Face(face::Args),
    /// What one hop through the live model costs, in both forms of its network and in batches
    #[command(after_help = "Example:\n  cargo xtask bench hop --seconds 30")]
    Hop(hop::Args),
    /// What the plugin's process() costs, at a host's pace
    #[command(after_help = "Example:\n  cargo xtask bench plugin --seconds 10")]
    Plugin(plugin::Args),
    /// What the plugin's process() costs for input too small to be heard, beside other input
    #[command(after_help = "Example:\n  cargo xtask bench denormals")]
    Denormals,
    /// Offline speed beside what people use in Python, in turns (installs PyTorch below target/bench: 6 GB)
    #[command(after_help = "Example:\n  cargo xtask bench speed\n  cargo xtask bench speed --rounds 5")]
    Speed(speed::Args),
}

/// Runs one bench.
///
/// # Errors
/// When something it needs cannot be had.
pub(crate) fn run(args: &Args) -> Result<()> {
    match &args.what {
        What::Quality(args) => quality::run(args),
        What::Live(args) => live::run(args),
        What::Overhead(args) => live::overhead(args),
        What::Link(args) => link::run(args),
        What::Load(args) => load::run(args),
        What::Face(args) => face::run(args),
        What::Hop(args) => hop::run(args),
        What::Plugin(args) => plugin::run(args),
        What::Denormals => denormals::run(),
        What::Speed(args) => speed::run(args),
    }
}

/// Where results go.
fn folder() -> Result<PathBuf> {
    let folder = target_dir().join("bench");
    std::fs::create_dir_all(&folder).with_context(|| format!("could not make {}", folder.display()))?;
    Ok(folder)
}

/// Keeps a result, with the machine it was measured on.
fn keep(name: &str, result: Value) -> Result<()> {
    let path = folder()?.join(format!("{name}.json"));
    let all = json!({"bench": name, "machine": machine(), "result": result});
    std::fs::write(&path, serde_json::to_string_pretty(&all)?)
        .with_context(|| format!("could not write {}", path.display()))?;
    println!("\n{}\nkept in {}", machine(), path.display());
    Ok(())
}

/// The machine in a few words.
fn machine() -> String {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let info = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = info.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or_default();
    format!("{cores} × {}", model.trim_start_matches([' ', '\t', ':']).trim())
}

/// A Markdown table, columns padded so that it reads in a terminal too.
fn table(head: &[&str], rows: &[Vec<String>]) -> String {
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count());
        cells.chain([head[column].chars().count()]).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..head.len()).map(width).collect();
    let line = |cells: &[String]| {
        let padded = cells.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}"));
        format!("| {} |\n", padded.collect::<Vec<_>>().join(" | "))
    };
    let mut text = line(&head.iter().map(|&cell| cell.to_owned()).collect::<Vec<_>>());
    text += &line(&widths.iter().map(|width| "-".repeat(*width)).collect::<Vec<_>>());
    rows.iter().for_each(|row| text += &line(row));
    text
}

/// One decimal, or a dash.
fn one_decimal(value: Option<f64>) -> String {
    value.map_or_else(|| "–".to_owned(), |value| format!("{value:.1}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_is_markdown_with_even_columns() {
        let text = table(&["a", "long"], &[vec!["wide cell".to_owned(), "1".to_owned()]]);
        assert_eq!(text, "| a         | long |\n| --------- | ---- |\n| wide cell | 1    |\n");
    }
}
