//! Histograms of a server's `/metrics`. Must not know what they are of.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use anyhow::{Context, Result};

/// Counts of durations up to each bound.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Histogram {
    /// Upper bounds in seconds and how many were not longer, in order; the last bound is infinite.
    buckets: Vec<(f64, u64)>,
}

/// What a server on this machine says of itself.
///
/// # Errors
/// When nobody answers at `http`.
pub(crate) fn metrics(http: &str) -> Result<String> {
    let mut stream = TcpStream::connect(http).with_context(|| format!("nobody answers at {http}"))?;
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    write!(stream, "GET /metrics HTTP/1.1\r\nHost: {http}\r\nConnection: close\r\n\r\n")?;
    let mut text = String::new();
    stream.read_to_string(&mut text).context("the server's metrics")?;
    Ok(text)
}

impl Histogram {
    /// The histogram of this name in the text of [`metrics`].
    ///
    /// # Errors
    /// When there is none.
    pub(super) fn of(text: &str, name: &str) -> Result<Self> {
        let head = format!("rehearsekit_{name}_bucket{{le=\"");
        let bucket = |line: &str| {
            let (bound, count) = line.strip_prefix(&head)?.split_once("\"} ")?;
            let bound = if bound == "+Inf" { f64::INFINITY } else { bound.parse().ok()? };
            Some((bound, count.trim().parse::<f64>().ok()? as u64))
        };
        let buckets: Vec<(f64, u64)> = text.lines().filter_map(bucket).collect();
        anyhow::ensure!(!buckets.is_empty(), "the server's metrics have no {name}");
        Ok(Self { buckets })
    }

    /// What was counted since `before`.
    pub(super) fn since(&self, before: &Self) -> Self {
        let counts = self.buckets.iter().zip(&before.buckets);
        Self {
            buckets: counts.map(|((bound, now), (_, then))| (*bound, now.saturating_sub(*then))).collect(),
        }
    }

    /// A bound that this share was not above, in milliseconds; `None` if nothing was counted.
    pub(super) fn at_most_millis(&self, share: f64) -> Option<f64> {
        let total = self.buckets.last()?.1;
        let enough = |(_, count): &&(f64, u64)| total > 0 && *count as f64 >= share * total as f64;
        self.buckets.iter().find(enough).map(|(bound, _)| bound * 1e3)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_counted_since_then() {
        let text = |counts: [u64; 3]| {
            let bounds = ["0.001", "0.003", "+Inf"];
            let lines = bounds.iter().zip(counts);
            lines
                .map(|(b, c)| format!("rehearsekit_wait_seconds_bucket{{le=\"{b}\"}} {c}\n"))
                .collect::<String>()
        };
        let read = |counts| Histogram::of(&text(counts), "wait_seconds").unwrap();
        let seen = read([110, 199, 202]).since(&read([10, 100, 102]));
        assert_eq!(seen, Histogram { buckets: vec![(0.001, 100), (0.003, 99), (f64::INFINITY, 100)] });
        let seen = read([110, 209, 210]).since(&read([10, 10, 10]));
        assert_eq!(seen.at_most_millis(0.5), Some(1.0));
        assert_eq!(seen.at_most_millis(0.99), Some(3.0));
        assert_eq!(read([0, 0, 0]).at_most_millis(0.5), None);
        assert!(Histogram::of(&text([1, 2, 3]), "other_seconds").is_err());
    }
}
