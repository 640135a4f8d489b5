//! Which server a command plays to, in words that all of them share.

use std::time::Duration;

use clap::Args;

use super::seconds;

#[derive(Args)]
pub(crate) struct ReachArgs {
    /// The server, as HOST:PORT or by the name of one this computer is paired with [default: the one paired with or
    /// used last, else 127.0.0.1:7433]
    #[arg(long, value_name = "SERVER", default_value = "", hide_default_value = true)]
    pub(crate) server: String,
    /// SHA-256 of the server's certificate, as `serve` prints it: this one and no other
    #[arg(long, value_name = "SHA256")]
    pub(crate) fingerprint: Option<String>,
    /// Wait this long for the server before giving up
    #[arg(long, value_name = "SECONDS", value_parser = seconds, default_value = "10")]
    pub(crate) connect_timeout: Duration,
}
