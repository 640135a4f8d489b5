//! What goes wrong, when, and what `/readyz` has to say to it. The order is the point of this file.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use serde_json::{Value, json};

use super::readiness::Readiness;
use super::server::Server;
use crate::bench::metrics;

/// One thing that happens.
struct Fault<'a> {
    /// In twelfths of the whole.
    at: f64,
    what: &'static str,
    happens: Box<dyn Fn() -> Result<()> + 'a>,
    /// Of which server `/readyz` changes, and to what.
    expected: Option<(usize, Option<&'static str>)>,
}

/// All of them, in order.
pub(super) struct Faults<'a> {
    piped: &'a Server,
    terminal: &'a Server,
    began: Instant,
    twelfth: Duration,
    left: std::vec::IntoIter<Fault<'a>>,
    next: Option<Fault<'a>>,
}

impl<'a> Faults<'a> {
    pub(super) fn new(piped: &'a Server, terminal: &'a Server, began: Instant, length: Duration) -> Self {
        let fault = |at: f64, what, happens: Box<dyn Fn() -> Result<()> + 'a>| Fault {
            at,
            what,
            happens,
            expected: None,
        };
        let folder = |at: f64, what, writable, cause| Fault {
            expected: Some((0, cause)),
            ..fault(at, what, Box::new(move || piped.make_writable(writable)))
        };
        let clock = |at: f64, what, to: &'static str| fault(at, what, Box::new(move || piped.move_clock(to)));
        let killed = move || {
            piped.kill_reader();
            Ok(())
        };
        let all = vec![
            fault(1.0, "whoever reads the log is killed", Box::new(killed)),
            fault(2.0, "somebody reads the log again", Box::new(move || piped.read_again())),
            fault(2.5, "the terminal is closed", Box::new(move || terminal.close_terminal())),
            folder(3.0, "the data folder becomes read-only", false, Some("data_folder")),
            folder(5.0, "the data folder is writable again", true, None),
            clock(6.0, "the clock is moved a day ahead", "+1d"),
            clock(7.0, "the clock is moved two days back", "-1d"),
            clock(8.0, "the clock is right again", "+0"),
            fault(9.0, "whoever reads the log stops reading", Box::new(move || piped.stop_reading())),
            fault(10.0, "the log is read on", Box::new(move || piped.read_on())),
        ];
        let mut left = all.into_iter();
        let next = left.next();
        Self { piped, terminal, began, twelfth: length / 12, left, next }
    }

    /// Lets happen what is due.
    pub(super) fn go_on(&mut self, watching: &[Readiness; 2]) -> Result<()> {
        while let Some(fault) = self.next.take() {
            if self.began.elapsed() < self.twelfth.mul_f64(fault.at) {
                self.next = Some(fault);
                break;
            }
            println!("  {:>5.1} min: {}", self.began.elapsed().as_secs_f64() / 60.0, fault.what);
            (fault.happens)().with_context(|| format!("could not bring about: {}", fault.what))?;
            if let Some((server, cause)) = fault.expected {
                watching[server].expect(cause);
            }
            self.next = self.left.next();
        }
        Ok(())
    }

    /// Whether the faults were faults, by what the servers and their log say: breaches, and the lines that were lost.
    pub(super) fn end(self) -> (Vec<String>, Value) {
        let mut breaches = Vec::new();
        let lost = [self.piped, self.terminal].map(|server| {
            let lost = metrics(&server.http).ok().and_then(|text| {
                let line =
                    text.lines().find_map(|line| line.strip_prefix("rehearsekit_log_lines_lost_total "));
                line?.trim().parse::<f64>().ok()
            });
            if !lost.is_some_and(|lost| lost > 0.0) {
                breaches
                    .push(format!("the server {} says that it lost {lost:?} lines of its log", server.name));
            }
            lost
        });
        let log = std::fs::read(self.piped.log()).unwrap_or_default();
        let log = String::from_utf8_lossy(&log);
        for (line, why) in [
            ("missing here", "the log does not say that lines are missing, after somebody reads it again"),
            (
                "no longer ready: the data folder has become read-only",
                "the log does not say why it is not ready",
            ),
            ("well again", "the log does not say that all is well again"),
        ] {
            if !log.contains(line) {
                breaches.push(why.to_owned());
            }
        }
        let days = days(&log);
        if days < 3 {
            breaches.push(format!("the server's clock was moved twice, but its log knows {days} days only"));
        }
        (breaches, json!(lost))
    }
}

/// The different days that lines of the log begin with.
fn days(log: &str) -> usize {
    let day = |line: &str| {
        let day = line.get(..10)?;
        let is_day = line.get(10..11) == Some("T") && day.bytes().filter(|byte| *byte == b'-').count() == 2;
        is_day.then(|| day.to_owned())
    };
    log.lines().filter_map(day).collect::<std::collections::BTreeSet<_>>().len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_counted_by_the_lines_that_have_a_time() {
        let log = "2026-12-01T10:00:00.1Z INFO a\n2026-12-02T10:00:00Z INFO b\n2026-12-02T11:00:00Z c\n\
                   [3 lines are missing here]\nready\n\u{e4}\u{f6}\u{fc}\u{e4}\u{f6}T\n";
        assert_eq!(days(log), 2);
    }
}
