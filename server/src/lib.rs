//! (in construction)
pub mod media;
