//! `servers`: who announces themselves on this network. Must not connect to anybody.

use std::{
    fmt::Write as _,
    time::{Duration, Instant},
};

use rehearsekit_discovery::{Browser, SeenServer};
use serde_json::{Value, json};

use crate::{args::ServersArgs, failure::Failure, interrupt, output};

/// How often the list is looked at while the time runs, which keeps it lively.
const LOOK: Duration = Duration::from_millis(200);

/// A server with two networks has eight addresses; `--json` tells all.
const MAX_ADDRESSES_SHOWN: usize = 3;

/// `rehearsekit servers`.
pub(crate) fn run(args: &ServersArgs) -> Result<(), Failure> {
    let browser = Browser::start();
    let until = Instant::now() + args.seconds;
    let mut servers = browser.servers();
    while Instant::now() < until && !interrupt::requested() {
        std::thread::sleep(LOOK.min(until.saturating_duration_since(Instant::now())));
        servers = browser.servers();
    }
    let trouble = browser.trouble().map(|trouble| trouble.to_string());
    if args.json {
        let servers: Vec<_> = servers.iter().map(as_json).collect();
        output::json(&json!({ "servers": servers, "trouble": trouble }))?;
    } else {
        table(&servers).iter().for_each(|line| output::line(line));
    }
    if servers.is_empty() {
        let why = trouble
            .unwrap_or_else(|| "no server was found in this time: search longer (--seconds 5)".to_owned());
        return Err(Failure::server(why));
    }
    Ok(())
}

fn as_json(server: &SeenServer) -> Value {
    let said = &server.announcement;
    let addresses: Vec<String> = server.addresses.iter().map(ToString::to_string).collect();
    json!({
        "name": said.name,
        "fingerprint": digits(&said.fingerprint),
        "addresses": addresses,
        "version": said.version,
        "protocol": { "lowest": said.protocol.0, "highest": said.protocol.1 },
        "models": said.models,
        "sessions": { "open": said.load.open, "most": said.load.most },
        "http_port": said.http_port,
        "seen_seconds_ago": server.last_seen.elapsed().as_secs(),
    })
}

/// A line per server under a heading, with the most promising addresses.
fn table(servers: &[SeenServer]) -> Vec<String> {
    if servers.is_empty() {
        return Vec::new();
    }
    let mut rows =
        vec![["name", "fingerprint", "version", "sessions", "models", "addresses"].map(str::to_owned)];
    rows.extend(servers.iter().map(|server| {
        let said = &server.announcement;
        let addresses: Vec<String> = server.addresses.iter().map(ToString::to_string).collect();
        let (first, more) = addresses.split_at(addresses.len().min(MAX_ADDRESSES_SHOWN));
        let more = if more.is_empty() { String::new() } else { format!(" and {} more", more.len()) };
        [
            said.name.clone(),
            digits(&said.fingerprint).chars().take(8).collect(),
            said.version.clone(),
            format!("{} of {}", said.load.open, said.load.most),
            said.models.join(", "),
            first.join(", ") + &more,
        ]
    }));
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..6).map(width).collect();
    let line = |row: &[String; 6]| {
        let cells: Vec<String> =
            row.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}")).collect();
        cells.join("  ").trim_end().to_owned()
    };
    rows.iter().map(line).collect()
}

fn digits(fingerprint: &[u8; 32]) -> String {
    fingerprint.iter().fold(String::new(), |mut text, byte| {
        // Writing into a string cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}
