//! What the integration tests share. This package is the only one that may see plugin and server together;
//! nothing here is ever shipped, and what stands in for a part of the system says so in its name.

#[cfg(not(test))]
pub mod fuzz;
pub mod house;
#[cfg(target_os = "linux")]
pub mod netns;
pub mod netsim;
pub mod plugin_host;
