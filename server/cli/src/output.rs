//! What a command prints: results on stdout, complaints on stderr. A reader that went away is no error; a result that
//! cannot be written (a full disk) is one. A server's lines never wait for their reader. Nothing else in this crate writes
//! to either.

use std::{
    io::{self, Write},
    sync::OnceLock,
};

use serde::Serialize;

use crate::{failure::Failure, logging};

/// Why the first result that could not be written could not.
static UNWRITTEN: OnceLock<String> = OnceLock::new();

/// One JSON document and a newline on stdout.
pub(crate) fn json(value: &impl Serialize) -> Result<(), Failure> {
    let text = serde_json::to_string_pretty(value)
        .map_err(|error| Failure::run(format!("cannot write the result as JSON: {error}")))?;
    line(&text);
    Ok(())
}

/// One JSON document on a line of its own, at once (for what others wait for).
pub(crate) fn json_line(value: &impl Serialize) -> Result<(), Failure> {
    let text = serde_json::to_string(value)
        .map_err(|error| Failure::run(format!("cannot write the result as JSON: {error}")))?;
    line(&text);
    Ok(())
}

/// A line of a result for human readers.
pub(crate) fn line(text: &str) {
    if let Some((results, _)) = logging::detached() {
        return results.write(format!("{text}\n").as_bytes());
    }
    let mut stdout = io::stdout().lock();
    let written = writeln!(stdout, "{text}").and_then(|()| stdout.flush());
    match written {
        // A closed pipe (`| head`) is the reader's wish.
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => drop(UNWRITTEN.set(error.to_string())),
        _ => {}
    }
}

/// An error if a result was lost.
pub(crate) fn all_written() -> Result<(), Failure> {
    match UNWRITTEN.get() {
        None => Ok(()),
        Some(reason) => Err(Failure::run(format!("cannot write the result to standard output: {reason}"))),
    }
}

/// A remark beside the result.
pub(crate) fn note(text: &str) {
    match logging::detached() {
        Some((_, log)) => log.write(format!("{text}\n").as_bytes()),
        None => drop(writeln!(io::stderr().lock(), "{text}")),
    }
}

/// Why the command failed.
pub(crate) fn complain(text: &str) {
    note(&format!("error: {text}"));
}

/// Decibels for a table: `-inf` for silence, one decimal otherwise.
pub(crate) fn decibels(value: f64) -> String {
    if value == f64::NEG_INFINITY { "-inf".to_owned() } else { format!("{value:.1}") }
}

/// A number JSON can hold, or nothing (JSON has no infinities).
pub(crate) fn finite(value: f64) -> Option<f64> {
    value.is_finite().then_some(value)
}
