//! Where a setting came from and what is wrong with it, as sentences. Must not read anything.

use std::{fmt, io, path::PathBuf};

/// Where a setting came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// Built in, or derived from the machine.
    Default,
    /// A line (from 1) of the configuration file.
    File {
        /// The file.
        path: PathBuf,
        /// The line, counted from 1.
        line: usize,
    },
    /// An environment variable.
    Environment(String),
    /// A flag of the command line, with its dashes.
    Flag(String),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File { path, line } => write!(f, "{}:{line}", path.display()),
            Self::Environment(variable) => write!(f, "environment variable {variable}"),
            Self::Flag(name) => write!(f, "flag {name}"),
        }
    }
}

/// Why the configuration is refused. Each sentence names the key, its origin and what would be right.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// There is no such key.
    #[error("unknown key '{key}' ({origin}); {hint}")]
    UnknownKey {
        /// The key as written.
        key: String,
        /// Where it was written.
        origin: Origin,
        /// The nearest key, or all of them.
        hint: String,
    },
    /// The key is known, the value does not fit.
    #[error("{key} = {value} ({origin}) does not fit; {right}")]
    BadValue {
        /// The key.
        key: &'static str,
        /// The value as written.
        value: String,
        /// Where it was written.
        origin: Origin,
        /// What would be right.
        right: String,
    },
    /// The file is not TOML.
    #[error("the configuration file is not TOML at {origin}: {message}")]
    Syntax {
        /// File and line.
        origin: Origin,
        /// What the parser says.
        message: String,
    },
    /// The file that was asked for cannot be read.
    #[error("cannot read the configuration file {} (named by {origin}): {source}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Who named it.
        origin: Origin,
        /// What the system says.
        source: io::Error,
    },
    /// There is no place to keep data.
    #[error(
        "data has no default because neither XDG_DATA_HOME nor HOME is set; name a folder with --data, \
         REHEARSEKIT_DATA or data = \"/path\" in the configuration file"
    )]
    NoDataFolder,
}
