//! What every program of ours owes its surroundings: a log that neither ends nor holds up the work, and signals that stay
//! as they were inherited. For programs only: a library, and so the plugin in a host, leaves a process as it is.

pub mod inherited;
pub mod log;
mod outlet;

pub use outlet::Outlet;
