//! The 24-bit integer grid of fixed-point files, and the sum rule on it.
//!
//! Quantising every stem by itself would leave a sum that misses the mix by a few steps. So the mix and the
//! travelling stems are quantised and the closing stem is what remains, in integers: the files then add up to
//! the 24-bit mix exactly. Only where a stem exceeds full scale is that impossible; those samples are counted.

/// Bits of the fixed-point files.
pub const BITS: u32 = 24;
/// Largest sample on the grid.
pub const MAX: i32 = (1 << (BITS - 1)) - 1;
/// Smallest sample on the grid.
pub const MIN: i32 = -(1 << (BITS - 1));

/// `sample` (full scale ±1.0) on the grid, held at full scale; `clipped` counts the samples that had to be.
/// What came from a file of up to 24 bits is met exactly.
pub fn quantise(sample: f32, clipped: &mut u64) -> i32 {
    // Exact in double precision; a NaN cannot come this far and would become 0.
    hold((f64::from(sample) * f64::from(1 << (BITS - 1))).round() as i64, clipped)
}

/// Sets `stems[closing]` to `mix` − Σ of the other stems; all are one channel, equally long.
/// `clipped[stem]` counts samples held at full scale, where the sum no longer gives the mix.
pub fn close_sum(mix: &[i32], stems: &mut [Vec<i32>], closing: usize, clipped: &mut [u64]) {
    for (frame, &mix) in mix.iter().enumerate() {
        let others: i64 =
            stems.iter().enumerate().filter(|&(s, _)| s != closing).map(|(_, c)| i64::from(c[frame])).sum();
        stems[closing][frame] = hold(i64::from(mix) - others, &mut clipped[closing]);
    }
}

fn hold(value: i64, clipped: &mut u64) -> i32 {
    let held = value.clamp(i64::from(MIN), i64::from(MAX));
    *clipped += u64::from(held != value);
    held as i32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sixteen_bit_songs_are_met_exactly() {
        let mut clipped = 0;
        for value in [-32_768i32, -32_767, -1, 0, 1, 12_345, 32_767] {
            assert_eq!(quantise(value as f32 / 32_768.0, &mut clipped), value * 256);
        }
        assert_eq!(clipped, 0);
    }

    #[test]
    fn the_closing_stem_is_the_exact_rest_and_overflow_is_counted() {
        let mix = [100, -7, MAX];
        let mut stems = vec![vec![33, 5, 0], vec![0; 3], vec![-34, 1, MIN]];
        let mut clipped = [0; 3];
        close_sum(&mix, &mut stems, 1, &mut clipped);
        assert_eq!(stems[1], [101, -13, MAX]);
        assert_eq!(clipped, [0, 1, 0]);
    }
}
