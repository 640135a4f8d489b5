//! (in construction)
pub mod config;
pub mod data_dir;
pub mod engine;
pub mod http;
pub mod identity;
pub mod media;
pub mod metrics;
mod session;
mod state;
pub mod workers;
