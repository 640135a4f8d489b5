//! The arguments of `backup` and `restore`.

use std::path::PathBuf;

use clap::Args;

use super::SettingArgs;
use crate::failure::EXIT_CODES;

#[derive(Args)]
#[command(after_help = format!(
    "Examples:\n  rehearsekit backup nas-2026-05.tar\n  rehearsekit backup small.tar --without-models\n  \
     docker exec rehearsekit rehearsekit backup - > nas-2026-05.tar\n\n\
     The server may run and sessions may play meanwhile. The file holds the server's key: whoever has it can pose as \
     this server, so keep it as you keep a key. Settings go along, whether they come from a file, the environment or \
     the command line; give here what `serve` is given there. A file that is there stays, unless --overwrite is given: a \
     nightly backup has the date in its name, or says so.\n\n{EXIT_CODES}"
))]
pub(crate) struct BackupArgs {
    /// The file to write, or - for stdout
    pub(crate) file: PathBuf,
    /// Leave models and ONNX Runtime out, which makes the file small; they can be fetched again
    #[arg(long)]
    pub(crate) without_models: bool,
    /// Replace the file if it is there
    #[arg(long)]
    pub(crate) overwrite: bool,
    #[command(flatten)]
    pub(crate) settings: SettingArgs,
    /// Print the result as JSON (not where the backup goes to stdout)
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Args)]
#[command(after_help = format!(
    "Examples:\n  rehearsekit restore nas-2026-05.tar --data /mnt/tank/rehearsekit\n  \
     docker run --rm --interactive --volume rehearsekit:/data rehearsekit restore - < nas-2026-05.tar\n\n\
     No server may run in the folder. All of the file is checked before anything is put in place: identity, clients, \
     settings (as server.toml in the data folder, which any other way of setting beats) and models.\n\n{EXIT_CODES}"
))]
pub(crate) struct RestoreArgs {
    /// A file made by `backup`, or - for stdin
    pub(crate) file: PathBuf,
    /// Also where the data folder is not empty: what is replaced is kept in a folder beside
    #[arg(long)]
    pub(crate) replace: bool,
    /// Print the result as JSON
    #[arg(long)]
    pub(crate) json: bool,
}
