//! Hosts above 48 kHz: the mix is decimated by 2 or 4 for the wire, stems are interpolated back.
//!
//! One linear-phase low-pass serves both ways. It is an M-th band filter (Kaiser-windowed sinc), so wire frame
//! `w` lies exactly on host frame `w · factor`, and the frames on that grid come back untouched. Both ways are
//! *aligned*: what they cost is that the filter must have seen [`Decimation::reach_frames`] host frames beyond
//! the frame it makes, once on the way out and once on the way back ([`Decimation::latency_frames`]).
//!
//! Positions are host frames on this side and wire frames (host ÷ factor) on the other. This module must not
//! know about packets, rings or clocks.

use std::{collections::BTreeMap, ops::Range};

use rehearsekit_audio::SampleRate;

/// Half the length of the filter, in wire frames: enough for 100 dB with a pass band up to 0.43 of the wire rate.
const REACH_WIRE_FRAMES: u64 = 26;
/// Kaiser's beta for a stop band of 100 dB: 0.1102 · (100 − 8.7).
const KAISER_BETA: f64 = 10.06;

/// By how much the host's rate is divided for the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Decimation {
    /// The wire runs at the host's rate.
    #[default]
    None,
    /// 88.2 and 96 kHz.
    By2,
    /// 176.4 and 192 kHz.
    By4,
}

impl Decimation {
    /// The smallest division that brings `host` to at most 48 kHz.
    pub fn for_host(host: SampleRate) -> Self {
        match host.hz() {
            0..=48_000 => Self::None,
            48_001..=96_000 => Self::By2,
            _ => Self::By4,
        }
    }

    /// Host frames per wire frame: 1, 2 or 4.
    pub fn factor(self) -> u32 {
        match self {
            Self::None => 1,
            Self::By2 => 2,
            Self::By4 => 4,
        }
    }

    /// The rate of the wire for a host at `host`, rounded to whole hertz.
    pub fn wire_hz(self, host: SampleRate) -> u32 {
        host.hz() / self.factor()
    }

    /// Host frames the filter looks past the frame it makes, each way.
    pub fn reach_frames(self) -> u32 {
        match self {
            Self::None => 0,
            _ => REACH_WIRE_FRAMES as u32 * self.factor(),
        }
    }

    /// Host frames that decimating and interpolating add to the latency together. A host latency of `L` frames
    /// leaves a wire budget of `(L − latency_frames) / factor`.
    pub fn latency_frames(self) -> u32 {
        2 * self.reach_frames()
    }

    /// The wire budget that fits into `host_latency_frames` (rounded down); 0 if nothing is left.
    pub fn wire_budget_frames(self, host_latency_frames: u32) -> u32 {
        host_latency_frames.saturating_sub(self.latency_frames()) / self.factor()
    }
}

/// The taps `h[0..=2c]` of the M-th band low-pass at the host's rate, unity gain at 0 Hz.
fn taps(decimation: Decimation) -> Vec<f32> {
    let factor = f64::from(decimation.factor());
    let reach = i64::from(decimation.reach_frames());
    let ideal = |n: i64| {
        let x = std::f64::consts::PI * n as f64 / factor;
        // Exact zeros on the wire's grid: what came over the wire goes through unchanged.
        let sinc = match n {
            0 => 1.0,
            _ if n % i64::from(decimation.factor()) == 0 => 0.0,
            _ => x.sin() / x,
        };
        let edge = n as f64 / (reach + 1) as f64;
        sinc * bessel_i0(KAISER_BETA * (1.0 - edge * edge).max(0.0).sqrt()) / bessel_i0(KAISER_BETA)
    };
    (-reach..=reach).map(|n| (ideal(n) / factor) as f32).collect()
}

/// Modified Bessel function of the first kind, order 0, by its series.
fn bessel_i0(x: f64) -> f64 {
    let quarter = x * x / 4.0;
    let (mut term, mut sum) = (1.0, 1.0);
    for k in 1..64 {
        term *= quarter / f64::from(k * k);
        sum += term;
    }
    sum
}

/// Host rate → wire rate, two channels, one contiguous run of positions at a time.
#[derive(Debug)]
pub struct Decimator {
    factor: u64,
    taps: Vec<f32>,
    /// Host frames not yet out of the filter's sight; `history[c][0]` is host position `from`.
    history: [Vec<f32>; 2],
    /// Host position of `history[..][0]`; negative only before the first frames of a song.
    from: i64,
    /// Next wire frame to make.
    next_wire: u64,
}

impl Decimator {
    /// A decimator for a run that starts at host position 0; call [`Self::restart`] for any other.
    pub fn new(decimation: Decimation) -> Self {
        let mut new = Self {
            factor: u64::from(decimation.factor()),
            taps: taps(decimation),
            history: [Vec::new(), Vec::new()],
            from: 0,
            next_wire: 0,
        };
        new.restart(0);
        new
    }

    /// Begins a new run at host `position`: what was before counts as silence. Its first wire frame is the
    /// first one at or behind `position`, which is returned.
    pub fn restart(&mut self, position: u64) -> u64 {
        let reach = self.taps.len() / 2;
        self.next_wire = position.div_ceil(self.factor);
        self.from = position as i64 - reach as i64;
        for channel in &mut self.history {
            channel.clear();
            channel.resize(reach, 0.0);
        }
        self.next_wire
    }

    /// Takes the next host frames of both channels and appends every wire frame that is now certain to `out`.
    pub fn push(&mut self, mix: [&[f32]; 2], out: &mut [Vec<f32>; 2]) {
        for (channel, new) in self.history.iter_mut().zip(mix) {
            channel.extend_from_slice(new);
        }
        self.advance(u64::MAX, out);
    }

    /// Ends the run: makes every wire frame that lies on the frames pushed so far, with silence after them.
    pub fn flush(&mut self, out: &mut [Vec<f32>; 2]) {
        let end = (self.from + self.history[0].len() as i64).max(0) as u64;
        let silence = vec![0.0; self.taps.len() / 2];
        for channel in &mut self.history {
            channel.extend_from_slice(&silence);
        }
        self.advance(end.div_ceil(self.factor), out);
    }

    /// Makes wire frames below `limit` as far as the history reaches, then forgets what is no longer needed.
    fn advance(&mut self, limit: u64, out: &mut [Vec<f32>; 2]) {
        let reach = (self.taps.len() / 2) as i64;
        while self.next_wire < limit {
            // First host frame under the filter, as an index into the history. It is never before the history's
            // start: a run starts with `reach` frames of silence before its first position.
            let start = (self.next_wire * self.factor) as i64 - reach - self.from;
            let (start, end) = (start as usize, start as usize + self.taps.len());
            if end > self.history[0].len() {
                break;
            }
            for (channel, out) in self.history.iter().zip(out.iter_mut()) {
                out.push(dot(&self.taps, &channel[start..end]));
            }
            self.next_wire += 1;
        }
        let needed_from = (self.next_wire * self.factor) as i64 - reach;
        let drop = (needed_from - self.from).clamp(0, self.history[0].len() as i64);
        for channel in &mut self.history {
            channel.drain(..drop as usize);
        }
        self.from += drop;
    }
}

/// Wire frames that are kept so that a neighbour still finds them: two seconds at 48 kHz.
const KEPT_WIRE_FRAMES: usize = 96_000;

/// Wire rate → host rate for any number of channels. Chunks may come in any order: every host frame is made
/// exactly once, as soon as all wire frames under its filter are there, and its value does not depend on the
/// order either.
#[derive(Debug)]
pub struct Interpolator {
    factor: u64,
    reach: u64,
    /// `phases[r][k]` weighs wire frame `k` of the `2·reach + 1` around a host frame `r` behind the grid.
    phases: Vec<Vec<f32>>,
    /// What came lately, by wire position; no two overlap.
    chunks: BTreeMap<u64, Vec<Vec<f32>>>,
    kept_frames: usize,
}

impl Interpolator {
    /// An interpolator that has not seen anything.
    pub fn new(decimation: Decimation) -> Self {
        let factor = decimation.factor() as usize;
        let taps = taps(decimation);
        let reach = taps.len() / 2 / factor;
        let phases = (0..factor)
            .map(|r| {
                // Host frame w·factor + r sees wire frame w + k − reach at a distance of r + (reach − k)·factor.
                let weigh =
                    |k: usize| taps.get(r + (2 * reach - k) * factor).map_or(0.0, |tap| tap * factor as f32);
                (0..=2 * reach).map(weigh).collect()
            })
            .collect();
        Self { factor: factor as u64, reach: reach as u64, phases, chunks: BTreeMap::new(), kept_frames: 0 }
    }

    /// A run begins at wire frame `start`, of which no chunk has come yet: what is before it counts as silence, so
    /// that its first frames can be made. (Those at its end wait for what never comes; nobody hears them out.)
    pub fn begin(&mut self, start: u64, channel_count: usize) {
        let before = self.chunks.range(..start).next_back();
        let taken = before.map_or(0, |(first, kept)| first + kept[0].len() as u64);
        let from = start.saturating_sub(self.reach).max(taken);
        if from < start {
            let silence = vec![0.0; (start - from) as usize];
            self.kept_frames += silence.len();
            self.chunks.insert(from, vec![silence; channel_count]);
        }
    }

    /// Takes a chunk of planar wire frames that starts at wire `first_frame`. Gives the host position and the
    /// planar host frames that are certain now: possibly none.
    ///
    /// At the edges of a contiguous run of chunks a few host frames are not made: they would need frames that
    /// are not there. Only before position 0 and where [`Self::begin`] says so there is silence. A chunk that overlaps an earlier one is ignored.
    pub fn push(&mut self, first_frame: u64, channels: Vec<Vec<f32>>) -> (u64, Vec<Vec<f32>>) {
        let length = channels.first().map_or(0, Vec::len);
        let nothing = (first_frame * self.factor, vec![Vec::new(); channels.len()]);
        let end = first_frame + length as u64;
        if self.chunks.first_key_value().is_some_and(|(_, kept)| kept.len() != channels.len()) {
            self.chunks.clear();
            self.kept_frames = 0;
        }
        let before = self.chunks.range(..end).next_back();
        if length == 0 || before.is_some_and(|(start, kept)| start + kept[0].len() as u64 > first_frame) {
            return nothing;
        }
        let channel_count = channels.len();
        self.chunks.insert(first_frame, channels);
        self.kept_frames += length;
        let (low, high) = (self.reach_back(first_frame), self.reach_forth(end));
        // Every frame from here on has the new chunk under its filter, so none of them was made before.
        let from = if low == 0 { first_frame.saturating_sub(self.reach) } else { low + self.reach };
        let to = high.saturating_sub(self.reach);
        let made = if from < to {
            (0..channel_count).map(|c| self.interpolate(&self.stretch(c, low..high), low, from..to)).collect()
        } else {
            nothing.1
        };
        self.forget();
        (from * self.factor, made)
    }

    /// The first wire frame that is there without a hole before `start`, looking back two reaches at most.
    fn reach_back(&self, start: u64) -> u64 {
        let limit = start.saturating_sub(2 * self.reach);
        let mut low = start;
        for (&first, kept) in self.chunks.range(..start).rev() {
            if low <= limit || first + kept[0].len() as u64 != low {
                break;
            }
            low = first;
        }
        low.max(limit)
    }

    /// The position behind the last wire frame that is there without a hole after `end`.
    fn reach_forth(&self, end: u64) -> u64 {
        let limit = end + 2 * self.reach;
        let mut high = end;
        for (&first, kept) in self.chunks.range(end..) {
            if high >= limit || first != high {
                break;
            }
            high = first + kept[0].len() as u64;
        }
        high.min(limit)
    }

    /// One channel of the wire frames in `range`, which are all there.
    fn stretch(&self, channel: usize, range: Range<u64>) -> Vec<f32> {
        let first = self.chunks.range(..=range.start).next_back().map_or(range.start, |(first, _)| *first);
        let mut samples = Vec::with_capacity((range.end - range.start) as usize);
        for (&first, kept) in self.chunks.range(first..range.end) {
            let kept = &kept[channel];
            let from = range.start.saturating_sub(first).min(kept.len() as u64) as usize;
            let to = (range.end - first).min(kept.len() as u64) as usize;
            samples.extend_from_slice(&kept[from..to]);
        }
        samples
    }

    /// The host frames on and behind the wire frames `wire`, from `samples` that start at wire frame `low`.
    fn interpolate(&self, samples: &[f32], low: u64, wire: Range<u64>) -> Vec<f32> {
        let mut made = Vec::with_capacity(((wire.end - wire.start) * self.factor) as usize);
        for w in wire {
            // Before wire frame 0 there is silence, so its part of the filter is left out.
            let skipped = self.reach.saturating_sub(w) as usize;
            let start = (w + skipped as u64 - self.reach - low) as usize;
            for phase in &self.phases {
                let weights = &phase[skipped..];
                made.push(dot(weights, &samples[start..start + weights.len()]));
            }
        }
        made
    }

    /// Drops the oldest chunks beyond what a neighbour may still need, never the newest two.
    fn forget(&mut self) {
        while self.kept_frames > KEPT_WIRE_FRAMES && self.chunks.len() > 2 {
            if let Some((_, oldest)) = self.chunks.pop_first() {
                self.kept_frames -= oldest[0].len();
            }
        }
    }
}

fn dot(a: &[f32], b: &[f32]) -> f32 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

#[cfg(test)]
#[path = "rates/tests.rs"]
mod tests;
