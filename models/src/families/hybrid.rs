//! The hybrid family (HTDemucs): a window of audio and its spectrum in, waveforms and spectra of stems out.
//!
//! A stem is the inverse transform of its spectrum plus its waveform. Around the network (DESIGN §5): the window
//! is normalised by the mean and the standard deviation of its mono mix; its STFT has `n_fft` 4096, step 1024,
//! a periodic Hann window, is scaled by 1/√n_fft, has no last bin, and starts 1536 frames before the window,
//! both ends reflected. Fed at its right edge with every hop, this offline model becomes a live one.

use std::{f32::consts::PI, sync::Arc};

use rehearsekit_audio::overlap_add::OverlapAdd;

use super::{Kernel, NetworkPool, reflect};
use crate::{
    convert::htdemucs::{SPECTRUM_INPUT, WAVE_INPUT, window_frames},
    runtime::Feed,
    spectral::{Bin, Stft},
};

const N_FFT: usize = 4096;
const STEP: usize = 1024;
const BINS: usize = N_FFT / 2;
/// Frames before the window at which its first column starts.
const LEAD: i64 = 1536;
/// Σ hann² over columns a quarter of a window apart.
const WINDOW_SUM: f32 = 1.5;

/// How a hybrid network is run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HybridGeometry {
    /// Columns of the window (T).
    pub columns: usize,
    /// New frames per inference.
    pub hop_frames: usize,
    /// Frames after the hop that the network sees before the hop is used.
    pub look_ahead_frames: usize,
    /// Frames over which one inference fades into the next; at most the look-ahead.
    pub fade_frames: usize,
    /// Whether what the stems leave of the mix is shared among them; see [`share_residual`].
    pub share_residual: bool,
}

impl HybridGeometry {
    /// Frames of the window: 1024·T − 84 (the graph pads by 4 − length mod 4).
    pub fn window_frames(&self) -> usize {
        window_frames(self.columns)
    }
}

/// The transform around the network, for one window at a time.
pub struct HybridWindow {
    columns: usize,
    stft: Stft,
    normalised: Vec<f32>,
    spectrum: Vec<f32>,
    shapes: ([usize; 3], [usize; 4]),
    /// Of the window's mono mix: mean and standard deviation.
    level: (f32, f32),
    column: Vec<Bin>,
    frames: Vec<f32>,
}

impl HybridWindow {
    /// For windows of `columns` columns.
    pub fn new(columns: usize) -> Self {
        let stft = Stft::new(N_FFT);
        Self {
            columns,
            normalised: vec![0.0; 2 * window_frames(columns)],
            spectrum: vec![0.0; 4 * BINS * columns],
            shapes: ([1, 2, window_frames(columns)], [1, 4, BINS, columns]),
            level: (0.0, 1.0),
            column: vec![Bin::default(); stft.bins()],
            frames: vec![0.0; N_FFT],
            stft,
        }
    }

    /// Takes one window of exactly `window_frames` frames per channel.
    pub fn fill(&mut self, mix: [&[f32]; 2]) {
        let frames = window_frames(self.columns);
        let (mean, deviation) = mono_statistics(mix);
        for (channel, samples) in mix.iter().enumerate() {
            let normalised = &mut self.normalised[channel * frames..(channel + 1) * frames];
            for (n, s) in normalised.iter_mut().zip(*samples) {
                *n = (s - mean) / deviation;
            }
        }
        self.level = (mean, deviation);
        self.analyse(frames);
    }

    /// What the network is given for the window.
    pub fn inputs(&self) -> Vec<Feed<'_>> {
        let (wave, spectrum) = &self.shapes;
        vec![(WAVE_INPUT, wave, &self.normalised), (SPECTRUM_INPUT, spectrum, &self.spectrum)]
    }

    /// The frames from `keep.start` to `keep.end` of the stems `wanted` as the network has them (before the sum
    /// rule), channel 2·i and 2·i + 1 being the i-th wanted stem.
    pub fn stems(
        &mut self,
        outputs: &[&[f32]],
        wanted: &[usize],
        keep: std::ops::Range<usize>,
    ) -> Vec<Vec<f32>> {
        let frames = window_frames(self.columns);
        let Self { columns, stft, column, level: (mean, deviation), .. } = self;
        let mut stems = Vec::with_capacity(2 * wanted.len());
        for &stem in wanted {
            for channel in 0..2 {
                let wave = &outputs[1][(stem * 2 + channel) * frames..][keep.clone()];
                let mut out: Vec<f32> = wave.to_vec();
                let parts = &outputs[0][(stem * 4 + channel * 2) * BINS * *columns..];
                add_inverse(parts, *columns, stft, column, keep.start, &mut out);
                out.iter_mut().for_each(|s| *s = *s * *deviation + *mean);
                stems.push(out);
            }
        }
        stems
    }

    /// Shares what `stems` (channel 2·i and 2·i + 1 are stem i, all of the model's) leave of `mix` among them, by
    /// their energy in each bin: who is loud there is likely to own what is missing. The stems then sum to the
    /// mix. Columns overlap by half, where Hann windows sum to one.
    fn share_residual(&mut self, mix: [&[f32]; 2], stems: &mut [Vec<f32>]) {
        let (bins, half) = (self.stft.bins(), N_FFT / 2);
        let mut residual = vec![Bin::default(); bins];
        let mut spectra = vec![vec![Bin::default(); bins]; stems.len() / 2];
        for (channel, mix) in mix.iter().enumerate() {
            let rest: Vec<f32> = (0..mix.len())
                .map(|i| mix[i] - stems.iter().skip(channel).step_by(2).map(|s| s[i]).sum::<f32>())
                .collect();
            let before: Vec<Vec<f32>> = stems.iter().skip(channel).step_by(2).cloned().collect();
            for column in 0..mix.len().div_ceil(half) + 1 {
                let start = (column * half) as i64 - half as i64;
                self.analyse_at(&rest, start, &mut residual);
                for (stem, spectrum) in before.iter().zip(&mut spectra) {
                    self.analyse_at(stem, start, spectrum);
                }
                // What is left per unit of energy; where nobody has any, everybody gets the same.
                let energy = |bin: usize| spectra.iter().map(|s| s[bin].norm_sqr()).sum::<f32>();
                let (count, energies) = (spectra.len() as f32, (0..bins).map(energy).collect::<Vec<_>>());
                for (stem, spectrum) in spectra.iter().enumerate() {
                    for (bin, out) in self.column.iter_mut().enumerate() {
                        let all = energies[bin];
                        let share = if all > 0.0 { spectrum[bin].norm_sqr() / all } else { 1.0 / count };
                        *out = residual[bin] * share;
                    }
                    let frames = self.stft.synthesise(&self.column);
                    let sum = &mut stems[2 * stem + channel];
                    for (i, f) in frames.iter().enumerate() {
                        if let Some(s) = usize::try_from(start + i as i64).ok().and_then(|at| sum.get_mut(at))
                        {
                            *s += f;
                        }
                    }
                }
            }
        }
    }

    /// The column of `samples` whose first frame is `start`, silence around them.
    fn analyse_at(&mut self, samples: &[f32], start: i64, column: &mut [Bin]) {
        for (i, f) in self.frames.iter_mut().enumerate() {
            *f =
                usize::try_from(start + i as i64).ok().and_then(|at| samples.get(at)).copied().unwrap_or(0.0);
        }
        self.stft.analyse(&self.frames, column);
    }

    /// Fills `spectrum` (complex as channels: L.re, L.im, R.re, R.im) from the normalised window.
    fn analyse(&mut self, frames: usize) {
        let scale = 1.0 / (N_FFT as f32).sqrt();
        for channel in 0..2 {
            let samples = &self.normalised[channel * frames..(channel + 1) * frames];
            for t in 0..self.columns {
                let first = (t * STEP) as i64 - LEAD;
                for (i, f) in self.frames.iter_mut().enumerate() {
                    *f = samples[reflect(first + i as i64, 0, frames as i64 - 1) as usize];
                }
                self.stft.analyse(&self.frames, &mut self.column);
                let re = channel * 2 * BINS * self.columns;
                let im = re + BINS * self.columns;
                for (bin, value) in self.column[..BINS].iter().enumerate() {
                    self.spectrum[re + bin * self.columns + t] = value.re * scale;
                    self.spectrum[im + bin * self.columns + t] = value.im * scale;
                }
            }
        }
    }
}

/// Adds the inverse transform of one stem's channel (real part, then imaginary part, each `[BINS, columns]`) to
/// `out`, whose first frame is frame `first` of the window. Columns that do not touch it are not computed.
fn add_inverse(
    parts: &[f32],
    columns: usize,
    stft: &mut Stft,
    column: &mut [Bin],
    first: usize,
    out: &mut [f32],
) {
    let scale = (N_FFT as f32).sqrt() / WINDOW_SUM;
    let (re, im) = (&parts[..BINS * columns], &parts[BINS * columns..2 * BINS * columns]);
    let window = stft.window().to_vec();
    for t in 0..columns {
        let start = (t * STEP) as i64 - LEAD - first as i64;
        if start + N_FFT as i64 <= 0 || start >= out.len() as i64 {
            continue;
        }
        for (bin, value) in column[..BINS].iter_mut().enumerate() {
            *value = Bin::new(re[bin * columns + t], im[bin * columns + t]);
        }
        column[BINS] = Bin::default();
        for (i, (f, w)) in stft.synthesise(column).iter().zip(&window).enumerate() {
            if let Some(o) = usize::try_from(start + i as i64).ok().and_then(|at| out.get_mut(at)) {
                *o += f * w * scale;
            }
        }
    }
}

/// Mean and standard deviation of the mono mix; the deviation is never zero.
fn mono_statistics(mix: [&[f32]; 2]) -> (f32, f32) {
    let count = mix[0].len().max(2) as f64;
    let mono = || mix[0].iter().zip(mix[1]).map(|(l, r)| (f64::from(*l) + f64::from(*r)) / 2.0);
    let mean = mono().sum::<f64>() / count;
    let variance = mono().map(|m| (m - mean).powi(2)).sum::<f64>() / (count - 1.0);
    (mean as f32, (variance.sqrt() + 1e-8) as f32)
}

/// One stream through a hybrid network.
pub struct HybridKernel {
    geometry: HybridGeometry,
    pool: Arc<NetworkPool>,
    stems: usize,
    wanted: Vec<usize>,
    window: HybridWindow,
    /// The last window of the mix per channel, and how much of it has really arrived.
    recent: [Vec<f32>; 2],
    arrived: u64,
    /// What the last inference said of the frames now to be faded over, one piece per channel.
    before: Vec<Vec<f32>>,
}

impl HybridKernel {
    /// A stream through a network of `stems` stems that gives those of `wanted` (indices in its order).
    pub fn new(geometry: HybridGeometry, pool: Arc<NetworkPool>, stems: usize, wanted: Vec<usize>) -> Self {
        let window = HybridWindow::new(geometry.columns);
        let mut kernel = Self {
            geometry,
            pool,
            stems,
            wanted,
            window,
            recent: Default::default(),
            arrived: 0,
            before: Vec::new(),
        };
        kernel.start();
        kernel
    }
}

impl Kernel for HybridKernel {
    fn hop_frames(&self) -> usize {
        self.geometry.hop_frames
    }

    fn delay_frames(&self) -> usize {
        self.geometry.look_ahead_frames
    }

    fn start(&mut self) {
        let frames = self.geometry.window_frames();
        self.recent = [vec![0.0; frames], vec![0.0; frames]];
        self.arrived = 0;
        self.before.clear();
    }

    fn tail_frames(&self) -> usize {
        // After a hop without stems there is nothing to fade over, so the next is whole by itself.
        0
    }

    fn prepare(&mut self, mix: [&[f32]; 2]) -> bool {
        let (hop, frames) = (self.geometry.hop_frames, self.geometry.window_frames());
        for (recent, new) in self.recent.iter_mut().zip(mix) {
            recent.drain(..hop.min(frames));
            recent.extend_from_slice(&new[new.len().saturating_sub(frames)..]);
        }
        self.arrived += hop as u64;
        if self.recent.iter().flatten().all(|&s| s == 0.0) {
            return false;
        }
        self.window.fill([&self.recent[0], &self.recent[1]]);
        true
    }

    fn pool(&self) -> &Arc<NetworkPool> {
        &self.pool
    }

    fn inputs(&self) -> Vec<Feed<'_>> {
        self.window.inputs()
    }

    fn complete(&mut self, outputs: &[&[f32]], stems: &mut OverlapAdd) {
        if outputs.is_empty() {
            self.before.clear();
            return;
        }
        let g = &self.geometry;
        let (hop, frames) = (g.hop_frames, g.window_frames());
        let end = frames - g.look_ahead_frames;
        let keep = end - hop..(end + g.fade_frames).min(frames);
        let mut pieces = if g.share_residual {
            let all: Vec<usize> = (0..self.stems).collect();
            let mut pieces = self.window.stems(outputs, &all, keep.clone());
            let kept_mix = [&self.recent[0][keep.clone()], &self.recent[1][keep]];
            self.window.share_residual(kept_mix, &mut pieces);
            let pick = |stem: &usize| [2 * stem, 2 * stem + 1];
            self.wanted.iter().flat_map(pick).map(|c| std::mem::take(&mut pieces[c])).collect()
        } else {
            self.window.stems(outputs, &self.wanted, keep)
        };
        let first = self.arrived as i64 - (g.look_ahead_frames + hop) as i64;
        for (channel, piece) in pieces.iter_mut().enumerate() {
            let next = piece.split_off(hop);
            if let Some(before) = self.before.get(channel) {
                fade(before, piece);
            }
            stems.add(channel, first, piece);
            *piece = next;
        }
        self.before = pieces;
    }
}

/// Fades the beginning of `piece` in over `before`, which said the same frames earlier.
fn fade(before: &[f32], piece: &mut [f32]) {
    for (i, (b, p)) in before.iter().zip(piece).enumerate() {
        let x = (i as f32 + 0.5) / before.len() as f32;
        let weight = 0.5 - 0.5 * (PI * x).cos();
        *p = b + (*p - b) * weight;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shared_residual_closes_the_sum_and_goes_to_the_loud() {
        let tone = |hz: f32, level: f32| -> Vec<f32> {
            (0..20_000).map(|i| level * (i as f32 * hz * 2.0 * PI / 44_100.0).sin()).collect()
        };
        let (low, high) = (tone(200.0, 0.5), tone(5_000.0, 0.25));
        let mix: Vec<f32> = low.iter().zip(&high).map(|(l, h)| l + h).collect();
        let less = |x: &[f32]| x.iter().map(|s| 0.9 * s).collect::<Vec<f32>>();
        let mut stems = vec![less(&low), less(&low), less(&high), less(&high)];
        HybridWindow::new(56).share_residual([&mix, &mix], &mut stems);
        for i in 0..mix.len() {
            assert!((stems[0][i] + stems[2][i] - mix[i]).abs() < 1e-5, "frame {i}");
            if (4096..16_000).contains(&i) {
                assert!((stems[0][i] - low[i]).abs() < 2e-3, "frame {i}: {} {}", stems[0][i], low[i]);
            }
        }
    }
}
