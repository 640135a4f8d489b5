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
mod logging;
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

use args::{Cli, Command};
use clap::Parser;
use failure::Failure;

fn main() -> ExitCode {
    let cli = Cli::parse();
    let data = cli.data.as_deref();
    if !matches!(cli.command, Command::Serve(_)) {
        interrupt::insist();
    }
    let result =
        start_log(&cli.command).and_then(|()| interrupt::install()).and_then(|()| match &cli.command {
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
    let result = result.and_then(|()| output::all_written());
    // Before the complaint, which is the last word.
    let is_read = logging::flush();
    let Err(failure) = result else { return ExitCode::SUCCESS };
    output::complain(&failure.to_string());
    if is_read {
        logging::flush();
    }
    failure.exit_code()
}

/// Of a command that ends by itself, `REHEARSEKIT_LOG` says what it logs; a server's settings do, of which that is one.
fn start_log(command: &Command) -> Result<(), Failure> {
    if !matches!(command, Command::Serve(_)) {
        logging::start(&config::log_of_environment()?.unwrap_or_else(|| "warn".to_owned()));
    }
    Ok(())
}
