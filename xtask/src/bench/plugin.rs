//! What the plugin's `process()` costs at a host's pace, by the program `process_cost` of the tests.

use std::process::Command;

use anyhow::Result;
use serde_json::Value;

use super::{keep, table};
use crate::shell::{capture_json, cargo, run as run_program, target_dir};

/// Options of `bench plugin`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Seconds of music for each rate and block
    #[arg(long, default_value_t = 20)]
    seconds: u32,
}

/// Rate in hertz and frames of a block.
const HOSTS: &[(u32, u32)] = &[(48_000, 128), (48_000, 64), (192_000, 128)];

pub(super) fn run(args: &Args) -> Result<()> {
    let program = "process_cost";
    run_program(cargo().args(["build", "--release", "--package", "rehearsekit-tests", "--bin", program]))?;
    let program = target_dir().join("release").join(program);
    let (mut rows, mut results) = (Vec::new(), Vec::new());
    for (rate_hz, block_frames) in HOSTS {
        let words = [args.seconds, *rate_hz, *block_frames].map(|number| number.to_string());
        let result = capture_json(Command::new(&program).args(words))?;
        rows.push(row(&result));
        results.push(result);
    }
    let head = ["Rate", "Block", "Median", "of the block", "p99", "of the block", "Longest"];
    println!("\nFour stems, all outputs and meters, one fader always moving\n\n{}", table(&head, &rows));
    keep("plugin", Value::Array(results))
}

fn row(result: &Value) -> Vec<String> {
    let number = |key: &str| result[key].as_f64().unwrap_or_default();
    vec![
        format!("{} Hz", number("rate_hz")),
        format!("{}", number("block_frames")),
        format!("{:.1} µs", number("median_micros")),
        format!("{:.2} %", number("median_percent")),
        format!("{:.1} µs", number("p99_micros")),
        format!("{:.2} %", number("p99_percent")),
        format!("{:.0} µs", number("max_micros")),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_has_a_cell_for_every_head() {
        let result = serde_json::json!({"rate_hz": 48_000, "block_frames": 128, "median_micros": 7.66,
            "median_percent": 0.287, "p99_micros": 21.0, "p99_percent": 0.79, "max_micros": 50.4});
        assert_eq!(row(&result), ["48000 Hz", "128", "7.7 µs", "0.29 %", "21.0 µs", "0.79 %", "50 µs"]);
    }
}
