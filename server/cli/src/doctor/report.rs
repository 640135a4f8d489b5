//! The file for a bug report: what was found, what this machine is, how the server is set, what lies in its data folder and
//! what it counts, as far as it runs; without what is nobody else's business.

use std::{
    fs,
    path::{Path, PathBuf},
};

use rehearsekit_client::Scrub;
use rehearsekit_media::{Inputs, WholeFile, WriteError, place::shown};
use rehearsekit_server::{clients::ClientBook, config::Config};
use serde_json::{Value, json};

use super::{finding::Finding, ports};
use crate::{failure::Failure, output};

/// Of the data folder, so that no folder makes the file endless.
const MOST_FILES: usize = 500;
const DEEPEST: usize = 3;

/// Writes it into `file`.
pub(crate) fn write(
    file: &WholeFile<'_>,
    config: Option<&Config>,
    findings: &[Finding],
) -> Result<(), Failure> {
    let all = json!({
        "rehearsekit": env!("CARGO_PKG_VERSION"),
        "machine": machine(),
        "findings": findings.iter().map(Finding::json).collect::<Vec<_>>(),
        "settings": config.map(settings),
        "data": config.map(|config| files(&config.data)),
        "metrics": config.and_then(|config| ports::asked(config.http, "/metrics")).map(|answer| {
            answer.body.lines().filter(|line| !line.starts_with('#')).map(str::to_owned).collect::<Vec<_>>()
        }),
    });
    let text = serde_json::to_string_pretty(&scrub(config).value(&all)).map_err(Failure::run)?;
    file.write(|out| writeln!(out, "{text}").map_err(WriteError::at(file.path)))?;
    output::note(&format!(
        "{} is for a bug report; keys, tokens, names and folders are left out, but look through it before you send it",
        shown(file.path)
    ));
    Ok(())
}

/// What of the server's may never be replaced by it.
pub(crate) fn inputs(config: Option<&Config>) -> Inputs {
    let names = ["state.json", "server.toml", "identity/server.pem", "identity/clients.json"];
    let of_data = |config: &Config| names.map(|name| config.data.join(name));
    Inputs::new(config.map(of_data).into_iter().flatten())
}

/// What must not go along.
fn scrub(config: Option<&Config>) -> Scrub {
    let mut scrub = Scrub::of_this_computer();
    if let Some(config) = config {
        scrub.hide(&config.data.to_string_lossy(), "DATA");
        scrub.hide(&config.server_name, "SERVER");
        let clients = ClientBook::of(&config.data).read().unwrap_or_default();
        for (number, client) in clients.iter().enumerate() {
            scrub.hide(&client.name, &format!("client-{}", number + 1));
        }
    }
    scrub
}

fn machine() -> Value {
    let first_line = |path: &str, key: &str| {
        let text = fs::read_to_string(path).ok()?;
        let line = text.lines().find(|line| line.starts_with(key))?;
        Some(
            line[key.len()..]
                .trim_matches(|c: char| c == ':' || c == '=' || c == '"' || c.is_whitespace())
                .to_owned(),
        )
    };
    let exists = |path: &str| Path::new(path).exists();
    json!({
        "os": std::env::consts::OS,
        "arch": std::env::consts::ARCH,
        "system": first_line("/etc/os-release", "PRETTY_NAME"),
        "kernel": first_line("/proc/sys/kernel/osrelease", ""),
        "processor": first_line("/proc/cpuinfo", "model name"),
        "cores": std::thread::available_parallelism().map_or(0, std::num::NonZero::get),
        "memory": first_line("/proc/meminfo", "MemTotal"),
        "in_container": exists("/.dockerenv") || exists("/run/.containerenv"),
    })
}

fn settings(config: &Config) -> Value {
    let row = |row: rehearsekit_server::config::Row| json!({ "key": row.key, "value": row.value, "origin": row.origin.to_string() });
    config.show().into_iter().map(row).collect()
}

/// Names, sizes and owners below `data`; no contents.
fn files(data: &Path) -> Value {
    let mut found = Vec::new();
    let mut open: Vec<(PathBuf, usize)> = vec![(data.to_owned(), 0)];
    while let Some((path, depth)) = open.pop() {
        let Ok(metadata) = fs::symlink_metadata(&path) else { continue };
        if found.len() >= MOST_FILES {
            break;
        }
        found.push(json!({
            "path": path.to_string_lossy(),
            "bytes": metadata.is_file().then_some(metadata.len()),
            "owner": owner(&metadata),
        }));
        if metadata.is_dir() && depth < DEEPEST {
            let mut below: Vec<_> =
                fs::read_dir(&path).into_iter().flatten().flatten().map(|e| e.path()).collect();
            below.sort();
            open.extend(below.into_iter().rev().map(|path| (path, depth + 1)));
        }
    }
    Value::Array(found)
}

#[cfg(unix)]
fn owner(metadata: &fs::Metadata) -> Value {
    use std::os::unix::fs::MetadataExt as _;
    json!(format!("{}:{} {:04o}", metadata.uid(), metadata.gid(), metadata.mode() & 0o7777))
}

#[cfg(not(unix))]
fn owner(_metadata: &fs::Metadata) -> Value {
    Value::Null
}
