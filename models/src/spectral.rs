//! The short-time Fourier transform of one column at a time, and the windows around it.
//!
//! A *column* is one spectrum of `n_fft / 2 + 1` bins. Everything is unnormalised here (forward plain sum,
//! inverse divided by `n_fft`); a family that wants another scale multiplies.

use std::{f32::consts::PI, sync::Arc};

use realfft::{ComplexToReal, RealFftPlanner, RealToComplex, num_complex::Complex};

/// One bin of a column.
pub type Bin = Complex<f32>;

/// Periodic Hann window of `n` frames: 0.5 − 0.5·cos(2πi/n).
pub fn hann(n: usize) -> Vec<f32> {
    (0..n).map(|i| 0.5 - 0.5 * (2.0 * PI * i as f32 / n as f32).cos()).collect()
}

/// Transforms windowed stretches of `n_fft` frames to columns and back.
pub struct Stft {
    n_fft: usize,
    window: Vec<f32>,
    forward: Arc<dyn RealToComplex<f32>>,
    inverse: Arc<dyn ComplexToReal<f32>>,
    frames: Vec<f32>,
    spectrum: Vec<Bin>,
    scratch: Vec<Bin>,
}

impl Stft {
    /// A transform of `n_fft` frames under a periodic Hann window.
    pub fn new(n_fft: usize) -> Self {
        let mut planner = RealFftPlanner::new();
        let (forward, inverse) = (planner.plan_fft_forward(n_fft), planner.plan_fft_inverse(n_fft));
        let scratch = vec![Bin::default(); forward.get_scratch_len().max(inverse.get_scratch_len())];
        Self {
            n_fft,
            window: hann(n_fft),
            frames: vec![0.0; n_fft],
            spectrum: vec![Bin::default(); n_fft / 2 + 1],
            forward,
            inverse,
            scratch,
        }
    }

    /// Bins of a column.
    pub fn bins(&self) -> usize {
        self.n_fft / 2 + 1
    }

    /// The analysis window, `n_fft` frames.
    pub fn window(&self) -> &[f32] {
        &self.window
    }

    /// The column of `frames` (`n_fft` of them), written to `column` (`bins()` of them).
    pub fn analyse(&mut self, frames: &[f32], column: &mut [Bin]) {
        for ((windowed, f), w) in self.frames.iter_mut().zip(frames).zip(&self.window) {
            *windowed = f * w;
        }
        let done = self.forward.process_with_scratch(&mut self.frames, column, &mut self.scratch);
        debug_assert!(done.is_ok(), "lengths are ours: {done:?}");
    }

    /// The `n_fft` frames of `column`, not windowed again.
    pub fn synthesise(&mut self, column: &[Bin]) -> &[f32] {
        self.spectrum.copy_from_slice(column);
        // A real signal has real ends; what a mask or a network left there is no sound.
        self.spectrum[0].im = 0.0;
        self.spectrum[self.n_fft / 2].im = 0.0;
        let done = self.inverse.process_with_scratch(&mut self.spectrum, &mut self.frames, &mut self.scratch);
        debug_assert!(done.is_ok(), "lengths are ours: {done:?}");
        let scale = 1.0 / self.n_fft as f32;
        self.frames.iter_mut().for_each(|f| *f *= scale);
        &self.frames
    }
}

/// The synthesis window that reaches back only `effective_frames` from the column's end.
///
/// It is proportional to the analysis window where it is not zero (the least-squares choice), fades in over
/// what a shorter window leaves of one step, and is normalised so that analysis × synthesis, summed over
/// columns `step` apart, is exactly one. `step < effective_frames <= window.len()`.
pub fn short_synthesis_window(window: &[f32], step: usize, effective_frames: usize) -> Vec<f32> {
    let n = window.len();
    let first = n - effective_frames;
    let fade = if first == 0 { 0 } else { (effective_frames - step).min(step) };
    let shaped: Vec<f32> = window
        .iter()
        .enumerate()
        .map(|(i, w)| {
            if i < first {
                0.0
            } else if i - first < fade {
                let x = (i - first) as f32 + 0.5;
                w * (0.5 - 0.5 * (PI * x / fade as f32).cos())
            } else {
                *w
            }
        })
        .collect();
    let mut sums = vec![0.0f32; step];
    for (i, (w, s)) in window.iter().zip(&shaped).enumerate() {
        sums[i % step] += w * s;
    }
    shaped.iter().enumerate().map(|(i, s)| s / sums[i % step]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_windows_reconstruct() {
        let mut stft = Stft::new(4096);
        let audio: Vec<f32> = (0..20_480).map(|i| ((i * i % 977) as f32 / 977.0 - 0.5) * 0.8).collect();
        for effective in [1536, 2028, 2048, 3072, 3333, 4096] {
            let window = short_synthesis_window(stft.window(), 1024, effective);
            let mut sum = vec![0.0f32; audio.len()];
            let mut column = vec![Bin::default(); stft.bins()];
            for start in (0..=audio.len() - 4096).step_by(1024) {
                stft.analyse(&audio[start..start + 4096], &mut column);
                let frames = stft.synthesise(&column);
                for (i, (f, w)) in frames.iter().zip(&window).enumerate() {
                    sum[start + i] += f * w;
                }
            }
            for i in 4096..audio.len() - 4096 {
                assert!((sum[i] - audio[i]).abs() < 2e-6, "P {effective}: frame {i}");
            }
        }
    }
}
