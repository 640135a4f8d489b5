//! The arguments of `doctor`.

use std::{path::PathBuf, time::Duration};

use clap::Args;
use rehearsekit_audio::Budget;

use super::{SettingArgs, seconds};
use crate::failure::EXIT_CODES;

#[derive(Args)]
#[command(after_help = format!(
    "Examples:\n  rehearsekit doctor\n  rehearsekit doctor --server closet --budget 180ms\n  \
     rehearsekit doctor --report for-the-bug-report.json\n\n\
     On the server's machine it looks at everything a server needs. With --server, on a player's computer, it looks at the \
     way to that server and plays some seconds of noise through it. Each finding says what to do; what is not well has a \
     name that stays the same in all versions (such as port-taken), under which the troubleshooting guide explains it. \
     Models are not run while somebody plays. Something that failed ends the command with 1, a warning does not.\n\n{EXIT_CODES}"
))]
pub(crate) struct DoctorArgs {
    #[command(flatten)]
    pub(crate) settings: SettingArgs,
    /// Look at the way to this server instead, as HOST:PORT or by the name of one this computer is paired with
    #[arg(long, value_name = "SERVER")]
    pub(crate) server: Option<String>,
    /// The latency that the way to the server is to hold
    #[arg(long, default_value_t = Budget::DEFAULT, requires = "server")]
    pub(crate) budget: Budget,
    /// Listen to the way to the server for so long
    #[arg(long, value_name = "N", value_parser = seconds, default_value = "10", requires = "server")]
    pub(crate) seconds: Duration,
    /// Run no model, which is what takes time
    #[arg(long, conflicts_with = "server")]
    pub(crate) quick: bool,
    /// Write all that was found and what this machine is into a file for a bug report; keys, tokens, the names of clients
    /// and of folders are left out
    #[arg(long, value_name = "FILE")]
    pub(crate) report: Option<PathBuf>,
    /// Replace the report's file if it is there
    #[arg(long, requires = "report")]
    pub(crate) overwrite: bool,
    /// Print as JSON
    #[arg(long)]
    pub(crate) json: bool,
}
