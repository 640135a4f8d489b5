//! The commands of trust: who may use this server. Names here are a contract with scripts, as in the rest of `args`.

use clap::{Args, Subcommand};

use crate::failure::EXIT_CODES;

#[derive(Args)]
#[command(after_help = format!(
    "Examples:\n  rehearsekit pair\n  docker exec -it rehearsekit rehearsekit pair\n  \
     rehearsekit pair --with closet --code 1234-5678\n\n\
     Run it on the server's machine, with the server's data folder; the server need not be told. Shows a code of\n\
     eight digits for two minutes and five tries, waits until somebody has typed it, and says who is paired.\n\
     Ctrl-C takes the code back.\n\n\
     With --with it is the other half: this computer is paired with that server, by the code shown there.\n\n{EXIT_CODES}"
))]
pub(crate) struct PairArgs {
    /// Pair this computer with that server: HOST:PORT, or the name of one that announces itself
    #[arg(long, value_name = "SERVER")]
    pub(crate) with: Option<String>,
    /// The code that the server shows [default: asked for]
    #[arg(long, requires = "with")]
    pub(crate) code: Option<String>,
    /// What this computer is to be called in the server's list [default: its host name]
    #[arg(long, requires = "with")]
    pub(crate) name: Option<String>,
    /// Print one line of JSON per event: code, noted, try, then paired or ended
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Args)]
#[command(after_help = format!(
    "Examples:\n  rehearsekit clients list\n  rehearsekit clients revoke \"drummer's laptop\"\n\n\
     Run it on the server's machine, with the server's data folder. A running server notices within a second.\n\n\
     {EXIT_CODES}"
))]
pub(crate) struct ClientsArgs {
    #[command(subcommand)]
    pub(crate) command: ClientsCommand,
}

#[derive(Subcommand)]
pub(crate) enum ClientsCommand {
    /// Who is paired, and who was shut out lately
    #[command(after_help = "Example:\n  rehearsekit clients list --json")]
    List {
        /// Print as JSON
        #[arg(long)]
        json: bool,
    },
    /// Shut a client out; what it plays ends within a second or so
    #[command(
        after_help = "Examples:\n  rehearsekit clients revoke \"drummer's laptop\"\n  rehearsekit clients revoke 3f9a01c2"
    )]
    Revoke {
        /// Its name or its id, as `clients list` shows them
        #[arg(value_name = "NAME|ID")]
        client: String,
        /// Print as JSON
        #[arg(long)]
        json: bool,
    },
    /// Pair without a code: prints a new token, once, for scripts that read /metrics from another machine
    #[command(after_help = "Example:\n  rehearsekit clients add prometheus > token\n  \
                      curl --insecure --header \"Authorization: Bearer $(cat token)\" https://SERVER:7480/metrics")]
    Add {
        /// What it is to be called
        name: String,
        /// Print as JSON
        #[arg(long)]
        json: bool,
    },
}
