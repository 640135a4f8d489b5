//! `cargo xtask soak`: real servers for half an hour while everything beside them fails: whoever reads the log is killed,
//! the terminal is closed, the data folder becomes read-only, the clock is moved, nobody reads the log, and clients come
//! and go all the time. `/readyz` is asked twice a second and held against what is expected at that moment; memory and
//! descriptors must stay where they were. Outside of the CI; Linux, root. Must not judge how fast anything is.

mod clients;
mod faults;
mod readiness;
mod server;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Result, bail, ensure};
use serde_json::{Value, json};

use crate::kit::{Kit, SPLEETER};
use crate::setup;
use crate::shell::{empty, on_path, target_dir};
use clients::Clients;
use faults::Faults;
use readiness::Readiness;
use server::Server;

/// Whoever stays away may do so for this long, and `/readyz` may take so long to notice. A long stall of the machine
/// included.
const GRACE: Duration = Duration::from_secs(20);
/// Shorter, and the faults would be over before `/readyz` has to show them.
const LEAST_MINUTES: f64 = 4.0;
/// How often the state of things is told.
const TELL: Duration = Duration::from_secs(30);

/// Options of `soak`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// How long, at least 4
    #[arg(long, default_value_t = 30.0)]
    minutes: f64,
    /// Clients that come and go in that time
    #[arg(long, default_value_t = 200)]
    clients: u32,
    /// This program, instead of building one
    #[arg(long, value_name = "FILE")]
    program: Option<PathBuf>,
    /// Print what was seen as JSON; progress goes to standard error
    #[arg(long)]
    json: bool,
}

/// Runs the soak.
///
/// # Errors
/// When it cannot be set up, or something was not as it should be; all of that is told.
pub(crate) fn soak(args: &Args) -> Result<()> {
    ensure!(args.minutes >= LEAST_MINUTES, "a soak takes {LEAST_MINUTES} minutes at least");
    ensure!(cfg!(target_os = "linux"), "this needs Linux: it mounts, and moves a process's clock");
    for program in ["unshare", "nsenter", "mount", "script"] {
        ensure!(on_path(program), "this needs the program {program}: it comes with util-linux and bsdutils");
    }
    if args.json {
        crate::say::progress_to_stderr();
    }
    setup::prepare(setup::Purpose::Soak)?;
    ensure!(
        Path::new(server::CLOCK_LIBRARY).is_file(),
        "this moves a server's clock with {}, which Debian's package faketime has",
        server::CLOCK_LIBRARY
    );
    let kit = match &args.program {
        Some(program) => Kit::of(program),
        None => Kit::release()?,
    };
    kit.pull(SPLEETER, false)?;
    let folder = target_dir().join("soak");
    empty(&folder)?;
    let seen = run(args, &kit, &folder)?;
    let text = serde_json::to_string_pretty(&seen.json)?;
    std::fs::write(folder.join("soak.json"), &text)?;
    println!("  kept in {}", folder.display());
    if args.json {
        crate::say::result(&text);
    }
    if seen.breaches.is_empty() {
        println!("  nothing was amiss");
        return Ok(());
    }
    bail!("{} things were not as they should be:\n  {}", seen.breaches.len(), seen.breaches.join("\n  "))
}

/// What came of it.
struct Seen {
    breaches: Vec<String>,
    json: Value,
}

fn run(args: &Args, kit: &Kit, folder: &Path) -> Result<Seen> {
    let length = Duration::from_secs_f64(args.minutes * 60.0);
    let piped = Server::with_a_log_reader(kit, &folder.join("piped"))?;
    let on_terminal = Server::on_a_terminal(kit, &folder.join("terminal"))?;
    let over = Arc::new(AtomicBool::new(false));
    let began = Instant::now();
    let watching = [&piped, &on_terminal].map(|server| Readiness::watch(server, began, over.clone()));
    let clients = Clients::begin(kit, [&piped, &on_terminal], args.clients, length, folder, over.clone())?;
    let mut faults = Faults::new(&piped, &on_terminal, began, length);
    let mut told = Instant::now();
    let mut broken = Vec::new();
    println!("  {:.0} minutes of trouble begin", args.minutes);
    while began.elapsed() < length {
        faults.go_on(&watching)?;
        if told.elapsed() >= TELL {
            told = Instant::now();
            let now: Vec<String> = watching.iter().map(Readiness::line).collect();
            println!(
                "  {:>5.1} of {:.0} min, {} clients; {}",
                began.elapsed().as_secs_f64() / 60.0,
                args.minutes,
                clients.served(),
                now.join("; ")
            );
        }
        for server in [&piped, &on_terminal] {
            if !server.is_alive() {
                broken.push(format!(
                    "the server {} has ended after {:.0} s",
                    server.name,
                    began.elapsed().as_secs_f64()
                ));
            }
        }
        if !broken.is_empty() {
            break;
        }
        std::thread::sleep(Duration::from_millis(200));
    }
    over.store(true, Ordering::Release);
    let clients = clients.end();
    broken.extend(clients.breaches);
    let mut servers = Vec::new();
    for watching in watching {
        let (breaches, json) = watching.end(length);
        broken.extend(breaches);
        servers.push(json);
    }
    let (breaches, lost) = faults.end();
    if broken.is_empty() || began.elapsed() >= length {
        broken.extend(breaches);
    }
    for server in [piped, on_terminal] {
        let name = server.name;
        if let Err(error) = server.end() {
            broken.push(format!("the server {name} did not end in order: {error:#}"));
        }
    }
    let json = json!({"minutes": began.elapsed().as_secs_f64() / 60.0, "clients": clients.json, "log_lines_lost": lost,
        "servers": servers, "breaches": broken});
    Ok(Seen { breaches: broken, json })
}
