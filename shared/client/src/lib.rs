//! (in construction)

pub mod backoff;
pub mod congestion;
pub mod rates;
pub mod stats;
pub mod trust;
