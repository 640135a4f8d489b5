//! The plugin as hosts load it: the bundles that `cargo xtask bundle` lays out, a CLAP host that holds them to the
//! specification, and the server as a process of its own. Nothing here links the plugin or the server: what is
//! tested is what is shipped.

pub mod bundle;
pub mod clap_host;
pub mod figures;
pub mod guard;
pub mod player;
pub mod server;
pub mod songs;
pub mod track;
#[cfg(target_os = "linux")]
pub mod vst3_host;

use std::time::Duration;

/// Reached only when something hangs.
pub const PATIENCE: Duration = Duration::from_secs(120);
