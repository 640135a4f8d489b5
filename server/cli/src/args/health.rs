//! The command that a container's health check runs. Names here are a contract with scripts, as in the rest of `args`.

use std::time::Duration;

use clap::Args;

use super::SettingArgs;
use crate::failure::EXIT_CODES;

#[derive(Args)]
#[command(after_help = format!(
    "Examples:\n  rehearsekit health\n  docker exec rehearsekit rehearsekit health --json\n\n\
     Asks /readyz at the configured http address; 0 is yes, 4 is no or no answer. A server is ready when its models are\n\
     loaded, a connection gets in, its data folder can be written in and its scheduler answers: it tries that every\n\
     three seconds. What it says is printed, with --json also its names: loading, draining, door, data_folder, scheduler.\n\n{EXIT_CODES}"
))]
pub(crate) struct HealthArgs {
    #[command(flatten)]
    pub(crate) settings: SettingArgs,
    /// Ask only whether it lives (/healthz), not whether newcomers get in
    #[arg(long)]
    pub(crate) live: bool,
    /// Wait this long for the answer
    #[arg(long, value_name = "SECONDS", value_parser = super::seconds, default_value = "3")]
    pub(crate) timeout: Duration,
    /// Print as JSON
    #[arg(long)]
    pub(crate) json: bool,
}
