//! Hosts above 48 kHz: the mix is decimated by 2 or 4 for the wire, stems are interpolated back.
//!
//! One linear-phase low-pass serves both ways. It is an M-th band filter (Kaiser-windowed sinc), so wire frame
//! `w` lies exactly on host frame `w · factor`, and the frames on that grid come back untouched. Both ways are
//! *aligned*: what they cost is that the filter must have seen [`Decimation::reach_frames`] host frames beyond
//! the frame it makes, once on the way out and once on the way back ([`Decimation::latency_frames`]).
//!
//! Positions are host frames on this side and wire frames (host ÷ factor) on the other. This module must not
//! know about packets, rings or clocks.

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

/// Wire rate → host rate for any number of channels, one contiguous run of chunks at a time.
#[derive(Debug)]
pub struct Interpolator {
    factor: u64,
    /// `phases[r][k]` weighs wire frame `k` of the `2·reach + 1` around a host frame `r` behind the grid.
    phases: Vec<Vec<f32>>,
    history: Vec<Vec<f32>>,
    /// Wire position of `history[..][0]`; the run's end is that plus the history's length.
    from: u64,
    /// Next host frame to make.
    next_host: u64,
    running: bool,
}

impl Interpolator {
    /// An interpolator that has not seen anything.
    pub fn new(decimation: Decimation) -> Self {
        let factor = decimation.factor() as usize;
        let taps = taps(decimation);
        let reach = taps.len() / 2 / factor;
        let phases = (0..factor)
            .map(|r| {
                let weigh = |k: usize| {
                    // Host frame h = w·factor + r sees wire frame w + k − reach at a distance of
                    // r + (reach − k)·factor host frames.
                    let index = (r + (2 * reach - k) * factor) as i64;
                    usize::try_from(index)
                        .ok()
                        .and_then(|i| taps.get(i))
                        .map_or(0.0, |tap| tap * factor as f32)
                };
                (0..=2 * reach).map(weigh).collect()
            })
            .collect();
        Self { factor: factor as u64, phases, history: Vec::new(), from: 0, next_host: 0, running: false }
    }

    /// Takes a chunk of planar wire frames that starts at wire `first_frame`. Gives the host position and the
    /// planar host frames that are certain now: possibly none.
    ///
    /// A chunk that does not continue the previous one starts a fresh run, and the few host frames at the
    /// run's edges are not made: they would need frames that are not there. Only position 0 has silence before
    /// it, so a run from there is whole at its start.
    pub fn push(&mut self, first_frame: u64, channels: &[Vec<f32>]) -> (u64, Vec<Vec<f32>>) {
        let reach = (self.phases[0].len() / 2) as u64;
        let end = self.from + self.history.first().map_or(0, |c| c.len() as u64);
        if !self.running || first_frame != end || self.history.len() != channels.len() {
            self.running = true;
            self.from = first_frame;
            self.next_host = (first_frame + reach) * self.factor;
            self.history = vec![Vec::new(); channels.len()];
            if first_frame == 0 {
                self.next_host = 0;
            }
        }
        for (history, new) in self.history.iter_mut().zip(channels) {
            history.extend_from_slice(new);
        }
        let end = self.from + self.history.first().map_or(0, |c| c.len() as u64);
        // Host frame h needs the wire frames h/factor − reach ..= h/factor + reach (rounded down).
        let host_end = (end.saturating_sub(reach) * self.factor).max(self.next_host);
        let first_host = self.next_host;
        let made = self.history.iter().map(|c| self.interpolate(c, first_host..host_end)).collect();
        self.next_host = host_end;
        let keep_from = (host_end / self.factor).saturating_sub(reach).max(self.from);
        let drop = (keep_from - self.from) as usize;
        for channel in &mut self.history {
            channel.drain(..drop.min(channel.len()));
        }
        self.from = keep_from;
        (first_host, made)
    }

    fn interpolate(&self, channel: &[f32], host: std::ops::Range<u64>) -> Vec<f32> {
        let reach = (self.phases[0].len() / 2) as u64;
        host.map(|h| {
            let (wire, phase) = (h / self.factor, &self.phases[(h % self.factor) as usize]);
            // Before wire frame 0 there is silence, so its part of the filter is left out.
            let skipped = (reach + self.from).saturating_sub(wire) as usize;
            let start = (wire + skipped as u64 - reach - self.from) as usize;
            let length = phase.len() - skipped;
            dot(&phase[skipped..], &channel[start..start + length])
        })
        .collect()
    }
}

fn dot(a: &[f32], b: &[f32]) -> f32 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A sine well inside the pass band, by absolute host position so that alignment shows.
    fn tone(position: u64, hz: f64, host_hz: f64) -> f32 {
        (position as f64 * hz / host_hz * std::f64::consts::TAU).sin() as f32 * 0.5
    }

    /// Decimates host frames `start..end` in blocks of `block`, interpolates in chunks of `chunk` wire frames.
    fn round_trip(
        decimation: Decimation,
        start: u64,
        end: u64,
        block: usize,
        chunk: usize,
        hz: f64,
    ) -> (u64, Vec<f32>) {
        let host_hz = 48_000.0 * f64::from(decimation.factor());
        let signal: Vec<f32> = (start..end).map(|p| tone(p, hz, host_hz)).collect();
        let mut down = Decimator::new(decimation);
        let first_wire = down.restart(start);
        let mut wire = [Vec::new(), Vec::new()];
        for part in signal.chunks(block) {
            down.push([part, part], &mut wire);
        }
        down.flush(&mut wire);
        assert_eq!(wire[0], wire[1]);
        assert_eq!(wire[0].len() as u64, end.div_ceil(u64::from(decimation.factor())) - first_wire);
        let mut up = Interpolator::new(decimation);
        let (mut at, mut first_host, mut host) = (first_wire, None, Vec::new());
        for part in wire[0].chunks(chunk) {
            let (position, made) = up.push(at, &[part.to_vec()]);
            at += part.len() as u64;
            if !made[0].is_empty() {
                assert_eq!(position, *first_host.get_or_insert(position) + host.len() as u64);
                host.extend_from_slice(&made[0]);
            }
        }
        (first_host.unwrap(), host)
    }

    #[test]
    fn a_tone_comes_back_aligned_to_the_frame() {
        for decimation in [Decimation::None, Decimation::By2, Decimation::By4] {
            let factor = f64::from(decimation.factor());
            let (first, host) = round_trip(decimation, 0, 20_000, 64, 480, 1_000.0);
            assert_eq!(first, 0);
            // The ends of the run see the silence around it; the middle must be the tone itself.
            let edge = 2 * decimation.latency_frames() as usize;
            let worst = (edge..host.len() - edge)
                .map(|i| (host[i] - tone(i as u64, 1_000.0, 48_000.0 * factor)).abs())
                .fold(0.0, f32::max);
            assert!(worst < 1e-5, "{decimation:?}: off by {worst}");
        }
    }

    #[test]
    fn what_the_wire_cannot_carry_is_gone_not_folded() {
        for decimation in [Decimation::By2, Decimation::By4] {
            let (_, host) = round_trip(decimation, 0, 20_000, 512, 480, 30_000.0);
            let edge = 2 * decimation.latency_frames() as usize;
            let worst = host[edge..host.len() - edge].iter().fold(0.0_f32, |m, s| m.max(s.abs()));
            assert!(worst < 0.5e-4, "{decimation:?}: 30 kHz left {worst}");
        }
    }

    #[test]
    fn chunking_changes_nothing() {
        for decimation in [Decimation::None, Decimation::By2, Decimation::By4] {
            let whole = round_trip(decimation, 1_003, 6_007, 5_004, 5_004, 440.0);
            for (block, chunk) in [(1, 1), (64, 7), (333, 1_024)] {
                assert_eq!(round_trip(decimation, 1_003, 6_007, block, chunk, 440.0), whole);
            }
        }
    }

    #[test]
    fn a_jump_starts_a_fresh_run_without_its_edges() {
        let mut up = Interpolator::new(Decimation::By2);
        let chunk = vec![vec![0.25; 200]];
        let (first, made) = up.push(1_000, &chunk);
        assert_eq!((first, made[0].len()), (2 * (1_000 + 26), 2 * (200 - 52)));
        let (first, made) = up.push(5_000, &chunk);
        assert_eq!((first, made[0].len()), (2 * (5_000 + 26), 2 * (200 - 52)));
        assert!(
            made[0].iter().all(|s| (s - 0.25).abs() < 1e-4),
            "an edge was made from frames of another run"
        );
        // Its continuation joins without a hole.
        let (next, made) = up.push(5_200, &chunk);
        assert_eq!((next, made[0].len()), (first + 2 * (200 - 52), 400));
    }

    #[test]
    fn runs_shorter_than_the_filter_give_nothing_and_do_no_harm() {
        let mut up = Interpolator::new(Decimation::By4);
        let mut total = 0;
        for w in 0..40_u64 {
            total += up.push(700 + w, &[vec![1.0]]).1[0].len();
        }
        assert_eq!(total, 0);
        assert_eq!(up.push(900, &[Vec::new()]).1[0].len(), 0);
        assert_eq!(up.push(900, &[Vec::new(), Vec::new()]).1.len(), 2);
    }

    #[test]
    fn rates_and_latencies_are_known() {
        for (host, decimation, wire) in [
            (44_100, Decimation::None, 44_100),
            (96_000, Decimation::By2, 48_000),
            (176_400, Decimation::By4, 44_100),
        ] {
            let host = SampleRate::new(host).unwrap();
            assert_eq!(Decimation::for_host(host), decimation);
            assert_eq!(decimation.wire_hz(host), wire);
        }
        assert_eq!(Decimation::By2.latency_frames(), 104);
        assert_eq!(Decimation::By2.wire_budget_frames(24_000), 11_948);
        assert_eq!(Decimation::None.wire_budget_frames(12_000), 12_000);
    }
}
