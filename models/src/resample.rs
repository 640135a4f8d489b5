//! Continuous resampling with a delay that is known to the frame.
//!
//! The work is rubato's synchronous FFT resampler: the ratio is exact, so positions never drift. It is fed in
//! its own fixed blocks whatever the caller pushes, so the output does not depend on how the input was cut.

use rubato::audioadapter_buffers::direct::SequentialSliceOfVecs;
use rubato::{Fft, FixedSync, Resampler as _};

use rehearsekit_audio::SampleRate;

/// Why two rates cannot be joined.
#[derive(Debug, thiserror::Error)]
#[error("cannot resample {from} to {to}: {reason}")]
pub struct ResampleError {
    from: SampleRate,
    to: SampleRate,
    reason: String,
}

/// The block sizes of a resampling step: what comes out when, without any audio.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Blocks {
    /// Frames taken at a time.
    pub input_frames: usize,
    /// Frames given for them.
    pub output_frames: usize,
}

impl Blocks {
    /// Blocks of at least `at_least` input frames from one rate to another.
    ///
    /// Both are even, so that the filter's centre (half a block) falls on a frame and the delay is exact.
    pub fn between(from: SampleRate, to: SampleRate, at_least: usize) -> Self {
        let divisor = gcd(from.hz(), to.hz());
        let (unit_in, unit_out) = ((from.hz() / divisor) as usize, (to.hz() / divisor) as usize);
        let times = at_least.div_ceil(unit_in).next_multiple_of(2);
        Self { input_frames: unit_in * times, output_frames: unit_out * times }
    }

    /// Output frames that belong to nothing: the filter's delay.
    pub fn delay_frames(&self) -> usize {
        self.output_frames / 2
    }

    /// Frames given out, the delay removed, once `pushed` frames have come in.
    pub fn given(&self, pushed: u64) -> u64 {
        let blocks = pushed / self.input_frames as u64;
        (blocks * self.output_frames as u64).saturating_sub(self.delay_frames() as u64)
    }
}

/// Resamples a stream of planar audio; output frame 0 is the time of input frame 0.
pub struct Resampler {
    blocks: Blocks,
    fft: Fft<f32>,
    pending: Vec<Vec<f32>>,
    to_drop: usize,
}

impl Resampler {
    /// A stream of `channels` channels, cut into blocks of at least `at_least` input frames.
    pub fn new(
        from: SampleRate,
        to: SampleRate,
        channels: usize,
        at_least: usize,
    ) -> Result<Self, ResampleError> {
        let blocks = Blocks::between(from, to, at_least);
        let fft =
            Fft::new(from.hz() as usize, to.hz() as usize, blocks.input_frames, channels, FixedSync::Both)
                .map_err(|e| ResampleError { from, to, reason: e.to_string() })?;
        if fft.fft_size_in() != blocks.input_frames || fft.fft_size_out() != blocks.output_frames {
            let reason = format!("blocks {}/{}, expected {blocks:?}", fft.fft_size_in(), fft.fft_size_out());
            return Err(ResampleError { from, to, reason });
        }
        Ok(Self { blocks, fft, pending: vec![Vec::new(); channels], to_drop: blocks.delay_frames() })
    }

    /// The block sizes.
    pub fn blocks(&self) -> Blocks {
        self.blocks
    }

    /// Forgets everything: the next frame is frame 0.
    pub fn reset(&mut self) {
        self.fft.reset();
        self.pending.iter_mut().for_each(Vec::clear);
        self.to_drop = self.blocks.delay_frames();
    }

    /// Takes any number of frames per channel, gives what is ready (maybe nothing).
    pub fn push<C: AsRef<[f32]>>(&mut self, channels: &[C]) -> Vec<Vec<f32>> {
        for (pending, new) in self.pending.iter_mut().zip(channels) {
            pending.extend_from_slice(new.as_ref());
        }
        let mut out = vec![Vec::new(); self.pending.len()];
        let (take, give) = (self.blocks.input_frames, self.blocks.output_frames);
        let mut block = vec![vec![0.0f32; give]; self.pending.len()];
        let mut taken = 0;
        while self.pending[0].len() - taken >= take {
            let input: Vec<Vec<f32>> = self.pending.iter().map(|p| p[taken..taken + take].to_vec()).collect();
            self.run_block(&input, &mut block);
            taken += take;
            let drop = self.to_drop.min(give);
            self.to_drop -= drop;
            for (out, block) in out.iter_mut().zip(&block) {
                out.extend_from_slice(&block[drop..]);
            }
        }
        self.pending.iter_mut().for_each(|p| drop(p.drain(..taken)));
        out
    }

    fn run_block(&mut self, input: &[Vec<f32>], output: &mut [Vec<f32>]) {
        let (channels, take, give) = (input.len(), self.blocks.input_frames, self.blocks.output_frames);
        // The adapters only fail on sizes, which are ours; silence is the safe answer in a release build.
        let done = SequentialSliceOfVecs::new(input, channels, take).ok().and_then(|adapter_in| {
            let mut adapter_out = SequentialSliceOfVecs::new_mut(output, channels, give).ok()?;
            self.fft.process_into_buffer(&adapter_in, &mut adapter_out, None).ok()
        });
        debug_assert!(done.is_some(), "block sizes are ours");
    }
}

fn gcd(a: u32, b: u32) -> u32 {
    if b == 0 { a } else { gcd(b, a % b) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rate(hz: u32) -> SampleRate {
        SampleRate::new(hz).unwrap()
    }

    fn sine(hz: f64, rate_hz: u32, frames: usize) -> Vec<f32> {
        (0..frames)
            .map(|i| (2.0 * std::f64::consts::PI * hz * i as f64 / f64::from(rate_hz)).sin() as f32)
            .collect()
    }

    #[test]
    fn time_is_kept_to_the_frame_both_ways() {
        for (from, to) in
            [(48_000, 44_100), (44_100, 48_000), (96_000, 44_100), (8_000, 44_100), (44_100, 192_000)]
        {
            let mut resampler = Resampler::new(rate(from), rate(to), 1, 256).unwrap();
            let out = resampler.push(&[sine(997.0, from, from as usize)]);
            assert_eq!(out[0].len() as u64, resampler.blocks().given(u64::from(from)));
            let want = sine(997.0, to, out[0].len());
            let skip = to as usize / 20;
            for i in skip..out[0].len() {
                assert!(
                    (out[0][i] - want[i]).abs() < 1e-4,
                    "{from} to {to}, frame {i}: {} {}",
                    out[0][i],
                    want[i]
                );
            }
        }
    }

    #[test]
    fn any_cut_of_the_input_gives_the_same_bits() {
        let input = sine(440.0, 48_000, 20_000);
        let whole = Resampler::new(rate(48_000), rate(44_100), 1, 256).unwrap().push(&[&input]);
        let mut resampler = Resampler::new(rate(48_000), rate(44_100), 1, 256).unwrap();
        let mut pieces = Vec::new();
        let mut rest = input.as_slice();
        let mut size = 1;
        while !rest.is_empty() {
            let (now, later) = rest.split_at(size.min(rest.len()));
            pieces.extend(resampler.push(&[now]).remove(0));
            rest = later;
            size = (size * 7 + 3) % 1_999 + 1;
        }
        assert_eq!(pieces, whole[0]);
    }
}
