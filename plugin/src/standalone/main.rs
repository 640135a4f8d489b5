//! The standalone.
fn main() {}
