//! Figures that say how good or how loud something is.

/// Root mean square over all channels; 0 for nothing.
pub fn rms<C: AsRef<[f32]>>(channels: &[C]) -> f64 {
    let samples: usize = channels.iter().map(|c| c.as_ref().len()).sum();
    if samples == 0 { 0.0 } else { (energy(channels) / samples as f64).sqrt() }
}

/// Σ x² over all channels.
pub fn energy<C: AsRef<[f32]>>(channels: &[C]) -> f64 {
    channels.iter().flat_map(|c| c.as_ref()).map(|&s| f64::from(s) * f64::from(s)).sum()
}

/// Level in dB relative to full scale: 20·log10(RMS); silence is −∞.
pub fn level_dbfs<C: AsRef<[f32]>>(channels: &[C]) -> f64 {
    20.0 * rms(channels).log10()
}

/// Signal-to-distortion ratio in dB over the whole excerpt and all channels:
/// 10·log10(Σ ref² / Σ (ref − est)²). `None` where the reference is silent or the shapes differ.
pub fn sdr_db<A: AsRef<[f32]>, B: AsRef<[f32]>>(reference: &[A], estimate: &[B]) -> Option<f64> {
    let signal = energy(reference);
    if reference.len() != estimate.len() || signal <= 0.0 {
        return None;
    }
    let mut noise = 0.0;
    for (r, e) in reference.iter().zip(estimate) {
        let (r, e) = (r.as_ref(), e.as_ref());
        if r.len() != e.len() {
            return None;
        }
        noise += r.iter().zip(e).map(|(&r, &e)| (f64::from(r) - f64::from(e)).powi(2)).sum::<f64>();
    }
    Some(10.0 * (signal / noise).log10())
}

/// Value below which a share `p` (0..=1) of `values` lies (nearest rank); `None` for no values.
pub fn percentile(values: &mut [f64], p: f64) -> Option<f64> {
    if values.is_empty() {
        return None;
    }
    values.sort_by(f64::total_cmp);
    let rank = (p * values.len() as f64).ceil().max(1.0) as usize;
    Some(values[rank.min(values.len()) - 1])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sdr_of_a_tenth_off_is_twenty_db() {
        let reference = [vec![1.0f32, -1.0, 0.5, 0.25]];
        let estimate = [reference[0].iter().map(|s| s * 0.9).collect::<Vec<_>>()];
        assert!((sdr_db(&reference, &estimate).unwrap() - 20.0).abs() < 1e-4);
        assert_eq!(sdr_db(&[vec![0.0f32; 4]], &reference), None);
        assert_eq!(sdr_db(&reference, &[vec![0.0f32; 3]]), None);
    }

    #[test]
    fn percentiles_are_nearest_rank() {
        let mut values: Vec<f64> = (1..=100).map(f64::from).collect();
        assert_eq!(percentile(&mut values, 0.5), Some(50.0));
        assert_eq!(percentile(&mut values, 0.99), Some(99.0));
        assert_eq!(percentile(&mut values, 1.0), Some(100.0));
        assert_eq!(percentile(&mut [], 0.5), None);
    }
}
