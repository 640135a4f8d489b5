//! What a command prints: results on stdout, complaints on stderr. A reader that went away is no error; a result that
//! cannot be written (a full disk) is one. A server's lines never wait for their reader. Nothing else in this crate writes
//! to either.
//!
//! Texts from outside (names of files, of servers) may hold anything: what would move a terminal's cursor or turn its
//! direction is written out here, for every command.

use std::{
    io::{self, Write},
    path::Path,
    sync::OnceLock,
};

use rehearsekit_media::place::{printable, turns_direction};
use serde::Serialize;
use serde_json::Value;

use crate::{failure::Failure, logging};

/// Why the first result that could not be written could not.
static UNWRITTEN: OnceLock<String> = OnceLock::new();

/// One JSON document and a newline on stdout.
pub(crate) fn json(value: &impl Serialize) -> Result<(), Failure> {
    let text = serde_json::to_string_pretty(value)
        .map_err(|error| Failure::run(format!("cannot write the result as JSON: {error}")))?;
    print(&in_json(&text));
    Ok(())
}

/// One JSON document on a line of its own, at once (for what others wait for).
pub(crate) fn json_line(value: &impl Serialize) -> Result<(), Failure> {
    let text = serde_json::to_string(value)
        .map_err(|error| Failure::run(format!("cannot write the result as JSON: {error}")))?;
    print(&in_json(&text));
    Ok(())
}

/// A line of a result for human readers.
pub(crate) fn line(text: &str) {
    print(&on_terminal(text));
}

fn print(text: &str) {
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
    let text = on_terminal(text);
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

/// Lines of ours keep their ends.
fn on_terminal(text: &str) -> String {
    printable(text, |c| c.is_control() && c != '\n' && c != '\t')
}

/// JSON leaves some characters as they are that a terminal does not; they can stand in its strings only.
fn in_json(text: &str) -> String {
    let is_bad = |c: char| turns_direction(c) || ('\u{7f}'..='\u{9f}').contains(&c);
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        if is_bad(c) {
            escaped += &format!("\\u{:04x}", u32::from(c));
        } else {
            escaped.push(c);
        }
    }
    escaped
}

/// Sets `key` of a JSON object to a path. JSON holds text only: what of the path is none is replaced, and then
/// `KEY_url` beside it is a file URL that keeps every byte.
pub(crate) fn put_path(object: &mut Value, key: &str, path: &Path) {
    object[key] = path.to_string_lossy().into();
    if path.to_str().is_none() {
        object[format!("{key}_url")] = file_url(path).into();
    }
}

#[cfg(unix)]
fn file_url(path: &Path) -> String {
    use std::os::unix::ffi::OsStrExt as _;
    let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/-._~".contains(&byte);
    let mut url = "file://".to_owned();
    for &byte in path.as_os_str().as_bytes() {
        if is_plain(byte) {
            url.push(byte.into());
        } else {
            url += &format!("%{byte:02X}");
        }
    }
    url
}

#[cfg(not(unix))]
fn file_url(path: &Path) -> String {
    format!("file:///{}", path.to_string_lossy().replace('\\', "/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_text_from_outside_moves_the_cursor() {
        let name = "a\x1b[2J\u{9b}31m\u{202e}b\u{7f}é";
        assert_eq!(on_terminal(&format!("{name}\n")), "a\\u{1b}[2J\\u{9b}31m\\u{202e}b\\u{7f}é\n");
        let written = in_json(&serde_json::to_string(name).unwrap());
        assert!(!written.chars().any(|c| c.is_control() || turns_direction(c)), "{written}");
        assert_eq!(serde_json::from_str::<String>(&written).unwrap(), name);
    }

    #[cfg(unix)]
    #[test]
    fn a_path_that_is_no_text_can_be_found_again() {
        use std::{ffi::OsStr, os::unix::ffi::OsStrExt as _};
        let mut object = serde_json::json!({});
        put_path(&mut object, "song", Path::new(OsStr::from_bytes(b"/music/Beyonc\xe9 %1.wav")));
        put_path(&mut object, "folder", Path::new("/music/Beyoncé"));
        let right = serde_json::json!({
            "song": "/music/Beyonc\u{fffd} %1.wav",
            "song_url": "file:///music/Beyonc%E9%20%251.wav",
            "folder": "/music/Beyoncé",
        });
        assert_eq!(object, right);
    }
}
