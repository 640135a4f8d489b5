//! The `rehearsekit` command: separate, stream, load, eval, serve, servers, pair, clients, models, config, doctor, health,
//! backup, restore.
//!
//! Results go to stdout (one JSON document with `--json`), everything else to stderr. This crate must never
//! hold logic that the plugin or the server would need too: it parses, calls the libraries and reports.

mod args;
mod backup;
mod client;
mod clients;
mod config;
mod doctor;
mod engine;
mod eval;
mod failure;
mod health;
mod http;
mod interrupt;
mod load;
mod models;
mod names;
mod output;
mod pair;
mod pair_with;
mod progress;
mod separate;
mod serve;
mod servers;
mod song;
mod stream;
mod whom;

use std::process::ExitCode;

use clap::Parser;
use tracing_subscriber::EnvFilter;

use args::{Cli, Command};

fn main() -> ExitCode {
    let cli = Cli::parse();
    start_logging(matches!(cli.command, Command::Serve(_)));
    let data = cli.data.as_deref();
    if !matches!(cli.command, Command::Serve(_)) {
        interrupt::insist();
    }
    let result = interrupt::install().and_then(|()| match &cli.command {
        Command::Separate(args) => separate::run(args, data),
        Command::Stream(args) => stream::run(args),
        Command::Load(args) => load::run(args),
        Command::Eval(args) => eval::run(args, data),
        Command::Serve(args) => serve::run(args, data),
        Command::Servers(args) => servers::run(args),
        Command::Pair(args) => match &args.with {
            Some(server) => pair_with::run(server, args),
            None => pair::run(args, data),
        },
        Command::Clients(args) => clients::run(args, data),
        Command::Models(args) => models::run(args, data),
        Command::Config(args) => config::run(args, data),
        Command::Doctor(args) => doctor::run(args, data),
        Command::Health(args) => health::run(args, data),
        Command::Backup(args) => backup::back_up(args, data),
        Command::Restore(args) => backup::restore(args, data),
    });
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            output::complain(&failure.to_string());
            failure.exit_code()
        }
    }
}

/// Logs to stderr: warnings for a command that ends, progress too for a server. `REHEARSEKIT_LOG` overrides
/// (`REHEARSEKIT_LOG=debug`, `REHEARSEKIT_LOG=rehearsekit_client=trace`).
fn start_logging(is_server: bool) {
    let usual = if is_server { "info" } else { "warn" };
    let filter = EnvFilter::try_from_env("REHEARSEKIT_LOG").unwrap_or_else(|_| EnvFilter::new(usual));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr()))
        .init();
}
