//! What the bundled plugin's `process()` costs for numbers too small to be heard, beside what it costs for others, by the
//! program `denormal_cost` of the host tests.

use std::process::Command;

use anyhow::Result;
use serde_json::Value;

use super::{keep, table};
use crate::shell::{capture_json, cargo, run as run_program, target_dir};

pub(super) fn run() -> Result<()> {
    let program = "denormal_cost";
    run_program(cargo().args(["xtask", "bundle"]))?;
    run_program(cargo().args(["build", "--package", "rehearsekit-host-tests", "--bin", program]))?;
    let result = capture_json(&mut Command::new(target_dir().join("debug").join(program)))?;
    let rows: Vec<_> = result.as_array().into_iter().flatten().map(row).collect();
    println!("\nA block of 512 frames\n\n{}", table(&["Class", "Noise", "Denormals", "Ratio"], &rows));
    keep("denormals", result)
}

fn row(result: &Value) -> Vec<String> {
    let number = |key: &str| result[key].as_f64().unwrap_or_default();
    vec![
        result["class"].as_str().unwrap_or_default().to_owned(),
        format!("{:.1} µs", number("normal_micros")),
        format!("{:.1} µs", number("denormal_micros")),
        format!("{:.2}", number("ratio")),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_has_a_cell_for_every_head() {
        let result = serde_json::json!({"class": "RehearseKit", "normal_micros": 20.04, "denormal_micros": 110.0,
            "ratio": 5.489});
        assert_eq!(row(&result), ["RehearseKit", "20.0 µs", "110.0 µs", "5.49"]);
    }
}
