//! CLAP: our own entry and plugin object around nice-plug's `Wrapper`. Its extensions find their wrapper through
//! `plugin_data`, which stays as it is; the host sees our `clap_plugin` in front of it. See the table in
//! `host_compat`.

pub mod entry;
mod extensions;
mod host;
mod plugin;
mod process;
mod stream;

#[cfg(test)]
mod tests;
