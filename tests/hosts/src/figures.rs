//! Figures that tests come by: said, and kept as JSON below `target/hosts/`, judged by nobody.
#![allow(clippy::print_stdout, reason = "a test tells what it saw")]
#![allow(clippy::unwrap_used, reason = "all of it is test code")]

use rehearsekit_audio::measure::percentile;
use serde_json::{Value, json};

/// Keeps a figure.
pub fn keep(name: &str, value: &Value) {
    let folder = crate::bundle::bundled().parent().unwrap().join("hosts");
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join(format!("{name}.json")), serde_json::to_string_pretty(value).unwrap())
        .unwrap();
    println!("{name}: {value}");
}

/// Median, 99th percentile and maximum of CPU times, in µs and in percent of a block's duration.
pub fn of_cpu(nanos: &[u64], block_seconds: f64) -> Value {
    let mut micros: Vec<f64> = nanos.iter().map(|&nanos| nanos as f64 / 1e3).collect();
    let mut at = |p: f64| percentile(&mut micros, p).unwrap_or_default();
    let [median, p99, max] = [0.5, 0.99, 1.0].map(&mut at);
    let percent = |micros: f64| 100.0 * micros / 1e6 / block_seconds;
    json!({
        "blocks": nanos.len(),
        "micros": {"p50": median, "p99": p99, "max": max},
        "percent_of_block": {"p50": percent(median), "p99": percent(p99)},
    })
}
