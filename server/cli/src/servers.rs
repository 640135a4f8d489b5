//! `servers`: who announces themselves on this network, and whom this computer is paired with. Must not connect to
//! anybody.

use std::time::{Duration, Instant};

use rehearsekit_client::{Fingerprint, KnownServer, KnownServers};
use rehearsekit_discovery::{Browser, SeenServer};
use serde_json::{Value, json};

use crate::{
    args::{ServersArgs, ServersCommand},
    failure::Failure,
    interrupt, output,
};

/// How often the list is looked at while the time runs, which keeps it lively.
const LOOK: Duration = Duration::from_millis(200);

/// A server with two networks has eight addresses; `--json` tells all.
const MAX_ADDRESSES_SHOWN: usize = 3;

/// `rehearsekit servers`.
pub(crate) fn run(args: &ServersArgs) -> Result<(), Failure> {
    let file = KnownServers::of_user();
    if let Some(ServersCommand::Forget { server }) = &args.command {
        let file = file.map_err(Failure::usage)?;
        let known = file.list().map_err(Failure::usage)?;
        return forget(&file, &known, server);
    }
    // Who announces themselves is seen without it.
    let known = file.and_then(|file| file.list()).unwrap_or_else(|error| {
        output::note(&format!("{error}; which servers this computer is paired with is not known"));
        Vec::new()
    });
    let browser = Browser::start();
    let until = Instant::now() + args.seconds;
    let mut servers = browser.servers();
    while Instant::now() < until && !interrupt::requested() {
        std::thread::sleep(LOOK.min(until.saturating_duration_since(Instant::now())));
        servers = browser.servers();
    }
    let away: Vec<&KnownServer> = known.iter().filter(|known| !is_there(known, &servers)).collect();
    let trouble = browser.trouble().map(|trouble| trouble.to_string());
    if args.json {
        let servers: Vec<_> =
            servers.iter().map(|server| as_json(server, is_known(server, &known))).collect();
        let away: Vec<_> = away.iter().map(|server| away_as_json(server)).collect();
        output::json(&json!({ "servers": servers, "away": away, "trouble": trouble }))?;
    } else {
        table(&servers, &known).iter().for_each(|line| output::line(line));
        for server in &away {
            let KnownServer { name, address, .. } = server;
            output::line(&format!("paired with, but not announced: {name} (last at {address})"));
        }
    }
    if servers.is_empty() {
        let why = trouble
            .unwrap_or_else(|| "no server was found in this time: search longer (--seconds 5)".to_owned());
        return Err(Failure::server(why));
    }
    Ok(())
}

fn is_known(seen: &SeenServer, known: &[KnownServer]) -> bool {
    known.iter().any(|server| server.fingerprint.0 == seen.announcement.fingerprint)
}

fn is_there(known: &KnownServer, servers: &[SeenServer]) -> bool {
    servers.iter().any(|seen| seen.announcement.fingerprint == known.fingerprint.0)
}

fn forget(file: &KnownServers, known: &[KnownServer], which: &str) -> Result<(), Failure> {
    let is_meant = |server: &&KnownServer| {
        server.name == which || (which.len() >= 4 && server.fingerprint.to_string().starts_with(which))
    };
    match known.iter().filter(is_meant).collect::<Vec<_>>()[..] {
        [server] => {
            file.forget(server.fingerprint).map_err(Failure::run)?;
            output::line(&format!("{} is forgotten", server.name));
            Ok(())
        }
        [] => {
            let names: Vec<&str> = known.iter().map(|server| server.name.as_str()).collect();
            let there = if names.is_empty() { "nobody".to_owned() } else { names.join(", ") };
            Err(Failure::usage(format!("this computer is not paired with {which:?}, but with {there}")))
        }
        ref several => {
            let which: Vec<String> = several.iter().map(|server| short(server.fingerprint)).collect();
            Err(Failure::usage(format!(
                "several are called that: give the beginning of a fingerprint instead ({})",
                which.join(", ")
            )))
        }
    }
}

fn short(fingerprint: Fingerprint) -> String {
    fingerprint.to_string().chars().take(8).collect()
}

fn away_as_json(server: &KnownServer) -> Value {
    json!({ "name": server.name, "fingerprint": server.fingerprint.to_string(), "last_address": server.address })
}

fn as_json(server: &SeenServer, is_known: bool) -> Value {
    let said = &server.announcement;
    let addresses: Vec<String> = server.addresses.iter().map(ToString::to_string).collect();
    json!({
        "name": said.name,
        "fingerprint": Fingerprint(said.fingerprint).to_string(),
        "paired": is_known,
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
fn table(servers: &[SeenServer], known: &[KnownServer]) -> Vec<String> {
    if servers.is_empty() {
        return Vec::new();
    }
    let mut rows = vec![
        ["name", "fingerprint", "paired", "version", "sessions", "models", "addresses"].map(str::to_owned),
    ];
    rows.extend(servers.iter().map(|server| {
        let said = &server.announcement;
        let addresses: Vec<String> = server.addresses.iter().map(ToString::to_string).collect();
        let (first, more) = addresses.split_at(addresses.len().min(MAX_ADDRESSES_SHOWN));
        let more = if more.is_empty() { String::new() } else { format!(" and {} more", more.len()) };
        [
            said.name.clone(),
            short(Fingerprint(said.fingerprint)),
            if is_known(server, known) { "yes" } else { "no" }.to_owned(),
            said.version.clone(),
            format!("{} of {}", said.load.open, said.load.most),
            said.models.join(", "),
            first.join(", ") + &more,
        ]
    }));
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..7).map(width).collect();
    let line = |row: &[String; 7]| {
        let cells: Vec<String> =
            row.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}")).collect();
        cells.join("  ").trim_end().to_owned()
    };
    rows.iter().map(line).collect()
}
