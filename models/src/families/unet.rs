//! The spectral U-Net family (Spleeter): masks over the columns of a short-time spectrum.
//!
//! A column ends where a step of new frames ends: column `c` covers frames `c·step + step − n_fft` to
//! `(c + 1)·step`. The network sees T columns, the newest at the right (less what the right edge reflects),
//! and gives the masks of the columns that are kept. What matters for quality beside the look-ahead (measured,
//! see DESIGN §5): the level the network hears, and a history that is never silence.

use std::{collections::VecDeque, ops::Range, sync::Arc};

use rehearsekit_audio::overlap_add::OverlapAdd;

use super::{Kernel, NetworkPool, reflect};
use crate::{
    convert::unet::{BINS, INPUT},
    runtime::Feed,
    spectral::{Bin, Stft, short_synthesis_window},
};

/// A step this quiet on both channels, RMS, is a digital pause (−100 dBFS).
const PAUSE_RMS: f64 = 1e-5;
/// The quietest window that is brought up to the level the network wants; below, it is left quieter.
const FAINTEST_RMS: f64 = 2.5e-5;

/// How a U-Net is run; every field in columns but `effective_frames`.
#[derive(Debug, Clone, PartialEq)]
pub struct UnetGeometry {
    /// Frames of one column.
    pub n_fft: usize,
    /// Frames from one column to the next.
    pub step_frames: usize,
    /// Columns the network sees (T), a multiple of 64.
    pub columns: usize,
    /// New columns per inference.
    pub hop: usize,
    /// Columns after the hop that the network sees before the hop's masks are used.
    pub look_ahead: usize,
    /// Columns at the right edge that are a reflection of those before them.
    pub right_reflection: usize,
    /// Effective length of the synthesis window (P), in frames.
    pub effective_frames: usize,
    /// What stands before the first column.
    pub history: History,
    /// RMS to which each window is scaled for the network; `None` leaves it.
    pub level_rms: Option<f32>,
    /// Bins at the top of the mask whose mean is used above the network's bandwidth; 0 gives silence there.
    pub high_band_bins: usize,
}

/// What the network sees where there was nothing yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum History {
    /// What has arrived, reflected.
    Reflected,
    /// Silence.
    Silent,
}

impl UnetGeometry {
    /// Frames from the newest one pushed back to the newest one finished, after a hop.
    pub fn delay_frames(&self) -> usize {
        self.effective_frames - self.step_frames + self.look_ahead * self.step_frames
    }

    /// New frames per inference.
    pub fn hop_frames(&self) -> usize {
        self.hop * self.step_frames
    }

    /// The columns of the window whose masks are used.
    pub fn kept(&self) -> Range<usize> {
        let end = self.columns - self.right_reflection - self.look_ahead;
        end - self.hop..end
    }
}

struct Column {
    spectra: [Vec<Bin>; 2],
    /// Of the bins that the network sees: it sees them once a hop, for as many hops as the window is long.
    magnitudes: [Vec<f32>; 2],
    /// Energy of the newest step, both channels.
    energy: f64,
    /// Nothing but a pause in all of its frames.
    silent: bool,
}

/// One stream through a spectral U-Net.
pub struct UnetKernel {
    geometry: UnetGeometry,
    pool: Arc<NetworkPool>,
    wanted: Vec<usize>,
    stft: Stft,
    synthesis: Vec<f32>,
    /// The last `n_fft` frames per channel.
    recent: [Vec<f32>; 2],
    /// The newest columns, at most as many as the network sees.
    columns: VecDeque<Column>,
    /// Columns since the start.
    counted: i64,
    /// Silent steps in a row up to now.
    quiet_steps: usize,
    input: Vec<f32>,
    input_shape: [usize; 4],
    /// One column and its frames, while a hop is completed.
    masked: Vec<Bin>,
    frames: Vec<f32>,
}

impl UnetKernel {
    /// A stream that gives the stems `wanted` (indices in the network's order).
    pub fn new(geometry: UnetGeometry, pool: Arc<NetworkPool>, wanted: Vec<usize>) -> Self {
        let stft = Stft::new(geometry.n_fft);
        let synthesis =
            short_synthesis_window(stft.window(), geometry.step_frames, geometry.effective_frames);
        let input_shape = [1, 2, geometry.columns, BINS];
        let input = vec![0.0; input_shape.iter().product()];
        let mut kernel = Self {
            masked: vec![Bin::default(); stft.bins()],
            frames: vec![0.0; geometry.n_fft],
            recent: Default::default(),
            columns: VecDeque::new(),
            counted: 0,
            quiet_steps: 0,
            geometry,
            pool,
            wanted,
            stft,
            synthesis,
            input,
            input_shape,
        };
        kernel.start();
        kernel
    }

    /// Takes one column's new frames.
    pub fn push_step(&mut self, mix: [&[f32]; 2]) {
        let step = self.geometry.step_frames;
        let mut energy = 0.0;
        for (recent, new) in self.recent.iter_mut().zip(mix) {
            recent.drain(..step);
            recent.extend_from_slice(new);
            energy += new.iter().map(|&s| f64::from(s) * f64::from(s)).sum::<f64>();
        }
        let quiet = energy <= PAUSE_RMS * PAUSE_RMS * (2 * step) as f64;
        self.quiet_steps = if quiet { self.quiet_steps + 1 } else { 0 };
        let silent = self.quiet_steps * step >= self.geometry.n_fft;
        let real = self.geometry.columns - self.geometry.right_reflection;
        let recycled = if self.columns.len() >= real { self.columns.pop_front() } else { None };
        let mut column = recycled.unwrap_or_else(|| Column {
            spectra: std::array::from_fn(|_| vec![Bin::default(); self.stft.bins()]),
            magnitudes: std::array::from_fn(|_| vec![0.0; BINS]),
            energy,
            silent,
        });
        (column.energy, column.silent) = (energy, silent);
        for ((spectrum, magnitudes), recent) in
            column.spectra.iter_mut().zip(&mut column.magnitudes).zip(&self.recent)
        {
            self.stft.analyse(recent, spectrum);
            magnitudes.iter_mut().zip(&*spectrum).for_each(|(magnitude, bin)| *magnitude = bin.norm());
        }
        self.columns.push_back(column);
        self.counted += 1;
    }

    /// Fills the network's input; `false` when the kept columns hold nothing but a pause.
    ///
    /// The history starts where the run of sound around the kept columns started: what lay before a pause says
    /// nothing of what comes after it.
    pub fn fill_input(&mut self) -> bool {
        let g = &self.geometry;
        let newest = self.columns.len() as i64 - 1;
        let kept_end = newest - g.look_ahead as i64 + 1;
        let kept_start = (kept_end - g.hop as i64).max(0);
        let sounding = |i: &i64| self.columns.get(*i as usize).is_some_and(|c| !c.silent);
        let Some(first_sound) = (kept_start..kept_end).find(sounding) else { return false };
        let mut first = first_sound;
        while first > 0 && sounding(&(first - 1)) {
            first -= 1;
        }
        let scale = g.level_rms.map_or(1.0, |target| {
            let heard = self.columns.iter().skip(first as usize).filter(|c| c.energy > 0.0);
            let (energy, steps) = heard.fold((0.0, 0usize), |(e, n), c| (e + c.energy, n + 1));
            let rms = (energy / (steps.max(1) * 2 * g.step_frames) as f64).sqrt();
            f64::from(target) / rms.max(FAINTEST_RMS)
        }) as f32;
        // The first columns of a run are mostly what was before it: mirror behind them.
        let half_filled = (g.n_fft / g.step_frames / 2) as i64;
        let mirror = (first + half_filled).min(kept_end - 1).max(first);
        let rightmost = (g.columns - g.right_reflection) as i64 - 1;
        for place in 0..g.columns {
            let index = newest - rightmost + place as i64;
            let silent_history = g.history == History::Silent && index < first;
            let real = first..=newest;
            let shown = if real.contains(&index) { index } else { reflect(index, mirror, newest) };
            let column = &self.columns[shown as usize];
            for (channel, magnitudes) in column.magnitudes.iter().enumerate() {
                let at = (channel * g.columns + place) * BINS;
                for (x, magnitude) in self.input[at..at + BINS].iter_mut().zip(magnitudes) {
                    *x = if silent_history { 0.0 } else { magnitude * scale };
                }
            }
        }
        true
    }

    /// Takes the newest columns, from the `count`-th since the start on, for a pause.
    #[cfg(test)]
    pub(crate) fn silence_columns_from(&mut self, count: usize) {
        let first = self.counted as usize - self.columns.len();
        for column in self.columns.iter_mut().skip((count + 1).saturating_sub(first)) {
            column.spectra.iter_mut().for_each(|s| s.fill(Bin::default()));
            column.magnitudes.iter_mut().for_each(|m| m.fill(0.0));
            column.silent = true;
        }
    }
}

impl Kernel for UnetKernel {
    fn hop_frames(&self) -> usize {
        self.geometry.hop_frames()
    }

    fn delay_frames(&self) -> usize {
        self.geometry.delay_frames()
    }

    fn start(&mut self) {
        self.recent = [vec![0.0; self.geometry.n_fft], vec![0.0; self.geometry.n_fft]];
        self.columns.clear();
        self.counted = 0;
        self.quiet_steps = self.geometry.n_fft / self.geometry.step_frames - 1;
    }

    fn prepare(&mut self, mix: [&[f32]; 2]) -> bool {
        let step = self.geometry.step_frames;
        for at in (0..self.hop_frames()).step_by(step) {
            self.push_step([&mix[0][at..at + step], &mix[1][at..at + step]]);
        }
        self.fill_input()
    }

    fn tail_frames(&self) -> usize {
        self.geometry.effective_frames - self.geometry.step_frames
    }

    fn pool(&self) -> &Arc<NetworkPool> {
        &self.pool
    }

    fn inputs(&self) -> Vec<Feed<'_>> {
        vec![(INPUT, &self.input_shape, &self.input)]
    }

    fn complete(&mut self, outputs: &[&[f32]], stems: &mut OverlapAdd) {
        let [masks] = outputs else { return };
        let g = &self.geometry;
        let (newest, hop) = (self.columns.len() as i64 - 1, g.hop as i64);
        let first_kept = newest - g.look_ahead as i64 + 1 - hop;
        // The newest column's end is the newest frame pushed.
        let pushed = self.counted * g.step_frames as i64;
        for (out, &stem) in self.wanted.iter().enumerate() {
            for channel in 0..2 {
                for kept in 0..hop {
                    let index = first_kept + kept;
                    let Some(column) = usize::try_from(index).ok().and_then(|i| self.columns.get(i)) else {
                        continue;
                    };
                    if column.silent {
                        continue;
                    }
                    let at = ((stem * 2 + channel) * g.hop + kept as usize) * BINS;
                    let mask = &masks[at..at + BINS];
                    apply_mask(mask, g.high_band_bins, &column.spectra[channel], &mut self.masked);
                    let frames = self.stft.synthesise(&self.masked);
                    for ((out, frame), window) in self.frames.iter_mut().zip(frames).zip(&self.synthesis) {
                        *out = frame * window;
                    }
                    let end = pushed - (newest - index) * g.step_frames as i64;
                    stems.add(2 * out + channel, end - g.n_fft as i64, &self.frames);
                }
            }
        }
    }
}

/// Above the network's bandwidth the mask goes on as the mean of its top bins.
fn apply_mask(mask: &[f32], high_band_bins: usize, spectrum: &[Bin], masked: &mut [Bin]) {
    let top = &mask[mask.len() - high_band_bins.min(mask.len())..];
    let above = if top.is_empty() { 0.0 } else { top.iter().sum::<f32>() / top.len() as f32 };
    for (i, (out, bin)) in masked.iter_mut().zip(spectrum).enumerate() {
        *out = bin * mask.get(i).copied().unwrap_or(above);
    }
}
