//! A playout with its input and output as plain vectors. Its stems are made up from the position alone,
//! so that any part of them can be checked without remembering it. No clock, no threads.
#![allow(dead_code, reason = "each test binary uses its own part of this")]

use rehearsekit_playout::{
    Layout, MAX_TRAVELLING_CHANNELS, Playout, PlayoutConfig, SLOT_FRAMES, StemGains, StemSlot,
};

/// A number that looks random and depends on nothing but its arguments (splitmix64), in −1..1.
pub(crate) fn noise(seed: u64, position: u64) -> f32 {
    let mut z = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ position.wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    ((z ^ (z >> 31)) >> 40) as f32 / (1u32 << 23) as f32 - 1.0
}

/// The travelling stems at one position.
pub(crate) fn stem(channel: usize, position: u64) -> f32 {
    noise(100 + channel as u64, position)
}

/// `frames` frames of the made-up stems from `position`; must keep to the grid.
pub(crate) fn slot(position: u64, frames: usize) -> StemSlot {
    let mut samples = [[0.0; SLOT_FRAMES]; MAX_TRAVELLING_CHANNELS];
    for (channel, row) in samples.iter_mut().enumerate() {
        for (i, sample) in row[..frames].iter_mut().enumerate() {
            *sample = stem(channel, position + i as u64);
        }
    }
    StemSlot { position, frames: frames as u16, layout: Layout::in_order(6, 5), samples }
}

/// All slots of `frames` frames of audio from position 0.
pub(crate) fn slots(frames: usize) -> Vec<StemSlot> {
    (0..frames).step_by(SLOT_FRAMES).map(|p| slot(p as u64, SLOT_FRAMES)).collect()
}

pub(crate) fn config(latency_frames: u32, stem_count: usize, closing: usize) -> PlayoutConfig {
    PlayoutConfig { latency_frames, stem_count, closing, max_block_frames: 8_192 }
}

/// What came out: `stems[stem][channel]` and `main[channel]`.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Output {
    pub(crate) stems: Vec<[Vec<f32>; 2]>,
    pub(crate) main: [Vec<f32>; 2],
}

impl Output {
    pub(crate) fn new(stem_count: usize) -> Self {
        Self { stems: vec![Default::default(); stem_count], main: Default::default() }
    }

    /// Every sample as its bits, so that "the same" means the same.
    pub(crate) fn bits(&self) -> Vec<u32> {
        self.stems.iter().flatten().chain(&self.main).flatten().map(|s| s.to_bits()).collect()
    }
}

/// Processes `mix` (both channels) as one block and appends what comes out.
pub(crate) fn process(playout: &mut Playout, mix: [&[f32]; 2], gains: &[StemGains], output: &mut Output) {
    let frames = mix[0].len();
    let mut stems: Vec<[Vec<f32>; 2]> = vec![[vec![9.0; frames], vec![9.0; frames]]; output.stems.len()];
    let mut main = [vec![9.0; frames], vec![9.0; frames]];
    {
        let mut stem_slices: Vec<[&mut [f32]; 2]> =
            stems.iter_mut().map(|[l, r]| [l.as_mut_slice(), r.as_mut_slice()]).collect();
        let [l, r] = &mut main;
        playout.process(mix, gains, &mut stem_slices, [l, r]);
    }
    for (to, from) in
        output.stems.iter_mut().flatten().chain(&mut output.main).zip(stems.iter().flatten().chain(&main))
    {
        to.extend_from_slice(from);
    }
}

/// A mix of noise, different in the two channels.
pub(crate) fn noise_mix(frames: usize) -> [Vec<f32>; 2] {
    [1, 2].map(|seed| (0..frames as u64).map(|p| noise(seed, p)).collect())
}

/// `samples[from..to]` of both channels.
pub(crate) fn part(mix: &[Vec<f32>; 2], from: usize, to: usize) -> [&[f32]; 2] {
    [&mix[0][from..to], &mix[1][from..to]]
}
