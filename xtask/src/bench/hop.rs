//! What one hop through the live model costs, where the time goes, what another form of its network and batches
//! of several sessions change: by the program `hop_cost` of the models, which takes turns.

use std::process::Command;

use anyhow::{Result, bail};
use serde_json::Value;

use super::{keep, table};
use crate::kit::{SPLEETER, data_dir};
use crate::shell::{capture_json, cargo, run as run_program, target_dir};

/// Options of `bench hop`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Seconds for each size of hop
    #[arg(long, default_value_t = 20.0)]
    seconds: f64,
    /// Print the result as JSON too
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &Args) -> Result<()> {
    let data = data_dir();
    if !data.join("models").join(SPLEETER).join("installed.toml").is_file() {
        bail!("{SPLEETER} is not in {}; `cargo xtask demo` or `cargo xtask test` fetch it", data.display());
    }
    let program = "hop_cost";
    let build = ["build", "--release", "--package", "rehearsekit-models", "--example", program];
    run_program(cargo().args(build))?;
    let program = target_dir().join("release").join("examples").join(program);
    let result = capture_json(Command::new(program).arg(&data).arg(SPLEETER).arg(args.seconds.to_string()))?;
    let of = |key: &str| result[key].as_array().cloned().unwrap_or_default();
    let head = ["Hop", "Transposed", "Phases", "Ratio", "p99", "STFT", "Input", "Network", "Inverse"];
    let rows: Vec<_> = of("hops").iter().map(row).collect();
    println!(
        "\nOne hop of {SPLEETER} on one thread, its doubling layers as transposed convolutions and by phases (in turns; \
         medians; Ratio: of each turn; the right half: the latter's p99 and parts)\n\n{}",
        table(&head, &rows)
    );
    let rows: Vec<_> = of("batches").iter().map(batch_row).collect();
    println!(
        "\nOne run for several sessions: a hop's cost, and beside that of one at a time\n\n{}",
        table(&["Hop", "1", "2", "4", "8"], &rows)
    );
    if args.json {
        println!("{}", serde_json::to_string_pretty(&result)?);
    }
    keep("hop", result)
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or_default()
}

fn row(hop: &Value) -> Vec<String> {
    let after = &hop["after"];
    let part = |name: &str| format!("{:.2} ms", number(&after["parts"][name]));
    vec![
        format!("{}", hop["hop"]),
        format!("{:.1} ms", number(&hop["before"]["millis"])),
        format!("{:.1} ms", number(&after["millis"])),
        format!("{:.2}", number(&hop["ratio"])),
        format!("{:.1} ms", number(&after["p99_millis"])),
        part("transforms"),
        part("input"),
        part("network"),
        part("inverse"),
    ]
}

fn batch_row(hop: &Value) -> Vec<String> {
    let sizes = hop["sizes"].as_array().cloned().unwrap_or_default();
    let cell = |size: &Value| {
        let millis = format!("{:.1} ms", number(&size["millis_per_hop"]));
        if size["size"] == 1 { millis } else { format!("{millis}, {:.2}", number(&size["ratio"])) }
    };
    std::iter::once(format!("{}", hop["hop"])).chain(sizes.iter().map(cell)).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn rows_have_a_cell_for_every_head() {
        let parts =
            json!({"transforms": 0.11, "input": 0.222, "network": 20.0, "output": 0.0, "inverse": 0.3});
        let side = |millis: f64| json!({"millis": millis, "p99_millis": 30.0, "parts": parts});
        let hop = json!({"hop": 4, "before": side(25.0), "after": side(20.6), "ratio": 0.824});
        let cells =
            ["4", "25.0 ms", "20.6 ms", "0.82", "30.0 ms", "0.11 ms", "0.22 ms", "20.00 ms", "0.30 ms"];
        assert_eq!(row(&hop), cells);
        let size = |size: u32, ratio: f64| json!({"size": size, "millis_per_hop": 20.0, "ratio": ratio});
        let batch = json!({"hop": 4, "sizes": [size(1, 1.0), size(2, 0.97)]});
        assert_eq!(batch_row(&batch), ["4", "20.0 ms", "20.0 ms, 0.97"]);
    }
}
