//! What the server is told: defaults < TOML file < environment < flags, and where each key came from.
//!
//! Nothing is ignored in silence: an unknown key or a bad value in any layer, even one that a higher layer
//! covers, is an error that names the key, its origin and what would be right. This module must not start
//! anything and must not touch the data folder (see `data_dir`).

mod error;
mod keys;
mod layers;
#[cfg(test)]
mod tests;

use std::{net::SocketAddr, path::PathBuf, time::Duration};

pub use error::{ConfigError, Origin};
pub(crate) use layers::SETTINGS;
pub use layers::{Flag, Sources, Value};

/// Everything the server can be told, checked. Make one with [`Config::load`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// UDP address of the link (QUIC).
    pub listen: SocketAddr,
    /// TCP address of health, readiness and metrics.
    pub http: SocketAddr,
    /// Further host names that HTTP requests may name, besides loopback and the address itself.
    pub http_hosts: Vec<String>,
    /// Where models, the server's key and measurements are kept; absolute.
    pub data: PathBuf,
    /// Models to load at start; at least one.
    pub models: Vec<String>,
    /// The model of a client that names none; one of `models`.
    pub default_model: String,
    /// What the models run on.
    pub device: Device,
    /// The most of a card's memory that one network may take, in MB; `None` for as much as it needs.
    pub cuda_memory_mb: Option<usize>,
    /// Whether a card may multiply with TensorFloat-32.
    pub cuda_tf32: bool,
    /// Threads inside one inference; `None` leaves it to the model's family.
    pub threads: Option<usize>,
    /// Sessions that are worked on at a time: inference threads.
    pub workers: usize,
    /// Sessions at a time.
    pub max_sessions: usize,
    /// Log filter, as `info` or `warn,rehearsekit_server=debug`.
    pub log: String,
    /// What clients show as this server's name; at most 64 bytes.
    pub server_name: String,
    /// Whether a server that listens on the network announces itself there.
    pub announce: bool,
    /// How long sessions may still play after a shutdown was asked for.
    pub drain: Duration,
    /// Origin of each key, in the order of [`Config::show`].
    origins: Vec<Origin>,
}

/// What the models run on, by the settings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Device {
    /// A card that can be used, else the processor.
    Auto,
    /// The processor.
    Processor,
    /// This card of NVIDIA's and nothing else.
    Card(u32),
}

impl std::fmt::Display for Device {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Auto => f.write_str("auto"),
            Self::Processor => f.write_str("cpu"),
            Self::Card(card) => write!(f, "cuda:{card}"),
        }
    }
}

/// One key of a loaded configuration as `rehearsekit config show` prints it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// The key as it is written in the file.
    pub key: &'static str,
    /// Its value as it would be written in the file.
    pub value: String,
    /// Where the value came from.
    pub origin: Origin,
    /// What the key is for.
    pub about: &'static str,
}

impl Config {
    /// Reads all layers and checks all of them.
    pub fn load(sources: &Sources) -> Result<Self, ConfigError> {
        layers::load(sources)
    }

    /// The log filter that the environment names, for a command that is no server; `None` if it names none.
    pub fn log_of_environment(sources: &Sources) -> Result<Option<String>, ConfigError> {
        layers::log_of_environment(sources)
    }

    /// Every key with its value and origin, in a fixed order.
    pub fn show(&self) -> Vec<Row> {
        let rows = keys::KEYS.iter().zip(&self.origins);
        rows.map(|(key, origin)| Row {
            key: key.name,
            value: (key.show)(self),
            origin: origin.clone(),
            about: key.about,
        })
        .collect()
    }

    /// Where `key` came from; `None` if there is no such key.
    pub fn origin(&self, key: &str) -> Option<&Origin> {
        let index = keys::KEYS.iter().position(|k| k.name == key)?;
        self.origins.get(index)
    }
}
