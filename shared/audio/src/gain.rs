//! Decibels and linear gains.

/// Linear gain of `db` decibels; −∞ dB is exactly 0.
pub fn db_to_linear(db: f32) -> f32 {
    10f32.powf(db / 20.0)
}

/// Decibels of a linear gain; 0 (or less) is −∞.
pub fn linear_to_db(linear: f32) -> f32 {
    if linear <= 0.0 { f32::NEG_INFINITY } else { 20.0 * linear.log10() }
}
