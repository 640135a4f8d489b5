//! Asks a server's `/readyz` again and again, holds the answer against what is expected at that moment, and looks at what
//! the process holds. Must not know what happens to it.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use serde_json::{Value, json};

use super::GRACE;
use super::server::Server;
use crate::bench::Vitals;

/// How often `/readyz` is asked.
const ASK: Duration = Duration::from_millis(500);
/// An answer takes no longer than this.
const ANSWER: Duration = Duration::from_secs(10);
/// The process is looked at every so many answers.
const LOOK: usize = 10;
/// So many breaches are told; more say nothing new.
const TELL: usize = 10;
/// Memory may be so much more at the end: an allocator's own doing.
const SLACK_BYTES: u64 = 16 * 1024 * 1024;
/// And descriptors so many more: connections that are just being closed.
const SLACK_DESCRIPTORS: u64 = 2;

/// What `/readyz` should say: red for this cause, or green.
#[derive(Debug, Clone, Copy)]
struct Expected {
    now: Option<&'static str>,
    before: Option<&'static str>,
    since: Instant,
}

impl Expected {
    /// Whether this is right, `after` a change: what was before is right for a while.
    fn allows(&self, causes: &[String], after: Duration) -> bool {
        let is = |cause: Option<&str>| causes.iter().map(String::as_str).eq(cause);
        is(self.now) || (after < GRACE && is(self.before))
    }
}

#[derive(Default)]
struct Book {
    answers: usize,
    red: usize,
    breaches: Vec<String>,
    more_breaches: usize,
    /// From each change until `/readyz` said so, in seconds.
    noticed_seconds: Vec<f64>,
    vitals: Vec<(Duration, Vitals)>,
    last: String,
}

/// A server's readiness under watch.
pub(super) struct Readiness {
    name: &'static str,
    began: Instant,
    expected: Arc<Mutex<Expected>>,
    book: Arc<Mutex<Book>>,
    asking: JoinHandle<()>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Readiness {
    /// Asks until it is `over`.
    pub(super) fn watch(server: &Server, began: Instant, over: Arc<AtomicBool>) -> Self {
        let expected = Arc::new(Mutex::new(Expected { now: None, before: None, since: began }));
        let book = Arc::new(Mutex::new(Book::default()));
        let (asked, written) = (expected.clone(), book.clone());
        let (http, process) = (server.http.clone(), server.id());
        let asking = std::thread::spawn(move || {
            let mut noticed = true;
            let mut since = began;
            while !over.load(Ordering::Acquire) {
                let answer = causes(&http);
                let expected = *lock(&asked);
                // What was asked before a change may have been answered for the time before it.
                let mut book = lock(&written);
                if expected.since != since {
                    (since, noticed) = (expected.since, false);
                }
                book.note(&answer, &expected, began);
                if !noticed && answer.as_ref().is_ok_and(|causes| expected.allows(causes, GRACE)) {
                    noticed = true;
                    book.noticed_seconds.push(since.elapsed().as_secs_f64());
                }
                if book.answers % LOOK == 1
                    && let Ok(vitals) = Vitals::of(process)
                {
                    book.vitals.push((began.elapsed(), vitals));
                }
                drop(book);
                std::thread::sleep(ASK);
            }
        });
        Self { name: server.name, began, expected, book, asking }
    }

    /// From now on red for this cause, or green.
    pub(super) fn expect(&self, cause: Option<&'static str>) {
        let mut expected = lock(&self.expected);
        *expected = Expected { now: cause, before: expected.now, since: Instant::now() };
    }

    /// How it is now, for people.
    pub(super) fn line(&self) -> String {
        let book = lock(&self.book);
        let (megabytes, descriptors) = book
            .vitals
            .last()
            .map_or((0, 0), |(_, vitals)| (vitals.resident_bytes / 1_000_000, vitals.descriptors));
        format!("{}: {}, {megabytes} MB, {descriptors} descriptors", self.name, book.last)
    }

    /// Ends the watch: breaches, and what was seen.
    pub(super) fn end(self, length: Duration) -> (Vec<String>, Value) {
        let panicked = self.asking.join().is_err();
        let book = std::mem::take(&mut *lock(&self.book));
        let mut breaches: Vec<String> =
            book.breaches.iter().map(|breach| format!("the server {}: {breach}", self.name)).collect();
        if book.more_breaches > 0 {
            breaches.push(format!("the server {}: {} more such answers", self.name, book.more_breaches));
        }
        if panicked {
            breaches.push(format!("the watch on the server {} ended early", self.name));
        }
        let least = |from: f64, to: f64, of: fn(&Vitals) -> u64| {
            let within = length.mul_f64(from)..length.mul_f64(to);
            book.vitals.iter().filter(|(at, _)| within.contains(at)).map(|(_, vitals)| of(vitals)).min()
        };
        let mut flat = |what: &str, slack: u64, of: fn(&Vitals) -> u64| {
            // At rest: the least of a stretch is between two clients.
            let (early, late) = (least(0.15, 0.45, of), least(0.75, 1.0, of));
            match (early, late) {
                (Some(early), Some(late)) if late <= early + slack => {}
                (Some(early), Some(late)) => breaches.push(format!(
                    "the server {}: {what} grew from {early} early on to {late} at the end",
                    self.name
                )),
                // One that ended early is told of by others.
                _ if self.began.elapsed() < length => {}
                _ => breaches.push(format!("the server {}: nobody saw its {what}", self.name)),
            }
            json!({"early": early, "late": late})
        };
        let memory = flat("memory in bytes", SLACK_BYTES, |vitals| vitals.resident_bytes);
        let descriptors = flat("open descriptors", SLACK_DESCRIPTORS, |vitals| vitals.descriptors);
        let json = json!({"name": self.name, "answers": book.answers, "red_answers": book.red,
            "noticed_seconds": book.noticed_seconds, "memory_bytes": memory, "descriptors": descriptors});
        (breaches, json)
    }
}

impl Book {
    fn note(&mut self, answer: &Result<Vec<String>>, expected: &Expected, began: Instant) {
        self.answers += 1;
        let (right, said) = match answer {
            Ok(causes) => {
                self.red += usize::from(!causes.is_empty());
                let said = if causes.is_empty() { "ready".to_owned() } else { causes.join(" and ") };
                (expected.allows(causes, expected.since.elapsed()), said)
            }
            Err(error) => (false, format!("{error:#}")),
        };
        if !right && self.breaches.len() < TELL {
            let wanted = expected.now.unwrap_or("ready");
            let at = began.elapsed().as_secs_f64();
            self.breaches.push(format!("after {at:.1} s /readyz says {said}, expected {wanted}"));
        } else if !right {
            self.more_breaches += 1;
        }
        self.last = said;
    }
}

/// Why the server is not ready, by its own names; empty when it is.
fn causes(http: &str) -> Result<Vec<String>> {
    let address = http.parse().context("an address")?;
    let mut stream = TcpStream::connect_timeout(&address, ANSWER).context("nobody answers")?;
    stream.set_read_timeout(Some(ANSWER))?;
    write!(stream, "GET /readyz HTTP/1.1\r\nHost: {http}\r\nConnection: close\r\n\r\n")?;
    let mut text = String::new();
    stream.read_to_string(&mut text).context("no whole answer")?;
    understand(&text).with_context(|| format!("no answer of ours: {text}"))
}

fn understand(text: &str) -> Option<Vec<String>> {
    let (head, body) = text.split_once("\r\n\r\n")?;
    let said: Value = serde_json::from_str(body).ok()?;
    match head.split(' ').nth(1)? {
        "200" if said["ready"] == json!(true) => Some(Vec::new()),
        "503" => said["causes"].as_array()?.iter().map(|cause| cause.as_str().map(str::to_owned)).collect(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_right_before_is_right_for_a_while_and_nothing_else_ever_is() {
        let expected = Expected { now: Some("data_folder"), before: None, since: Instant::now() };
        let (soon, later) = (Duration::from_secs(1), GRACE);
        let red = |cause: &str| vec![cause.to_owned()];
        assert!(expected.allows(&red("data_folder"), soon) && expected.allows(&red("data_folder"), later));
        assert!(expected.allows(&[], soon) && !expected.allows(&[], later));
        assert!(!expected.allows(&red("door"), soon));
        assert!(!expected.allows(&["data_folder".to_owned(), "door".to_owned()], soon));
    }

    #[test]
    fn answers_are_understood_and_nonsense_is_not() {
        let answer =
            |status: &str, body: &str| understand(&format!("HTTP/1.1 {status}\r\nx: y\r\n\r\n{body}"));
        assert_eq!(answer("200 OK", "{\"ready\":true}"), Some(Vec::new()));
        let body = "{\"ready\":false,\"reason\":\"x\",\"causes\":[\"door\"]}";
        assert_eq!(answer("503 No", body), Some(vec!["door".to_owned()]));
        for (status, body) in [("200 OK", "ok"), ("503 No", "{}"), ("404 No", "{\"ready\":true}")] {
            assert_eq!(answer(status, body), None);
        }
    }
}
