//! The stream around a model, with a toy kernel whose answer is known: a quarter of the mix.

use std::sync::Arc;

use proptest::prelude::*;
use rehearsekit_audio::overlap_add::OverlapAdd;

use super::*;
use crate::{
    families::{Kernel, NetworkPool},
    runtime::Feed,
};

/// Gives 0.25 × the mix, `delay` frames behind, as late as the streaming contract allows.
struct Quarter {
    hop: usize,
    delay: usize,
    heard: [Vec<f32>; 2],
    given: usize,
    /// Empty: nothing is inferred.
    pool: Arc<NetworkPool>,
}

impl Kernel for Quarter {
    fn hop_frames(&self) -> usize {
        self.hop
    }

    fn tail_frames(&self) -> usize {
        0
    }

    fn delay_frames(&self) -> usize {
        self.delay
    }

    fn start(&mut self) {
        self.heard = Default::default();
        self.given = 0;
    }

    fn prepare(&mut self, mix: [&[f32]; 2]) -> bool {
        for (heard, new) in self.heard.iter_mut().zip(mix) {
            heard.extend_from_slice(new);
        }
        false
    }

    fn pool(&self) -> &Arc<NetworkPool> {
        &self.pool
    }

    fn inputs(&self) -> Vec<Feed<'_>> {
        Vec::new()
    }

    fn complete(&mut self, _outputs: &[&[f32]], stems: &mut OverlapAdd) {
        let end = self.heard[0].len().saturating_sub(self.delay);
        for (channel, heard) in self.heard.iter().enumerate() {
            let piece: Vec<f32> = heard[self.given..end].iter().map(|s| 0.25 * s).collect();
            stems.add(channel, self.given as i64, &piece);
        }
        self.given = end;
    }
}

fn pipeline(rate_hz: u32, hop: usize, delay: usize) -> LivePipeline {
    let pool = Arc::new(NetworkPool::new(Vec::new()));
    let kernel = Quarter { hop, delay, heard: Default::default(), given: 0, pool };
    let rate = SampleRate::new(rate_hz).unwrap();
    LivePipeline::new(Live::new(Box::new(kernel), 1), 1, rate, SampleRate::HZ_44100).unwrap()
}

fn tone(frames: usize, rate_hz: u32) -> Vec<f32> {
    (0..frames).map(|i| (i as f32 * 440.0 * std::f32::consts::TAU / rate_hz as f32).sin()).collect()
}

/// Pushes `mix` in pieces of the given sizes (over and over) and finishes; checks that chunks are contiguous.
fn run(pipeline: &mut LivePipeline, start: u64, mix: &[f32], sizes: &[usize]) -> Vec<f32> {
    pipeline.start_epoch(start);
    let (mut out, mut rest, mut sizes) = (Vec::new(), mix, sizes.iter().cycle());
    let mut next = start;
    let mut take = |chunk: Option<StemChunk>| {
        if let Some(chunk) = chunk {
            assert_eq!(chunk.first_frame, next);
            next += chunk.frames() as u64;
            out.extend_from_slice(&chunk.channels[0]);
        }
    };
    while !rest.is_empty() {
        let (now, later) = rest.split_at((*sizes.next().unwrap()).clamp(1, rest.len()));
        take(pipeline.push([now, now]).unwrap());
        rest = later;
    }
    take(pipeline.finish_epoch().unwrap());
    out
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Every frame comes back exactly once, in time, whatever the rate, the hop and the length; and however
    /// the input is cut, bit by bit the same.
    #[test]
    fn any_cut_gives_the_same_bits_and_every_frame_once(
        rate in prop::sample::select(vec![44_100u32, 48_000, 32_000, 96_000]),
        hop in 1usize..5_000, delay in 0usize..9_000, frames in 0usize..30_000,
        sizes in prop::collection::vec(1usize..3_000, 1..8),
    ) {
        let mix = tone(frames, rate);
        let whole = run(&mut pipeline(rate, hop, delay), 7, &mix, &[usize::MAX]);
        prop_assert_eq!(whole.len(), frames);
        let cut = run(&mut pipeline(rate, hop, delay), 7, &mix, &sizes);
        prop_assert_eq!(&whole, &cut);
        let edge = if rate == 44_100 { 0 } else { 700 };
        for i in edge..frames.saturating_sub(edge) {
            prop_assert!((whole[i] - 0.25 * mix[i]).abs() < 1e-4, "frame {}: {} {}", i, whole[i], mix[i]);
        }
    }

    /// The latency that is stated is reached and never exceeded.
    #[test]
    fn the_stated_latency_is_exact(
        rate in prop::sample::select(vec![44_100u32, 48_000, 32_000]),
        hop in prop::sample::select(vec![1_024usize, 4_096, 8_192]), delay in 0usize..9_000,
        packet in prop::sample::select(vec![64usize, 320, 512, 1_024]),
    ) {
        let mut pipeline = pipeline(rate, hop, delay);
        let stated = pipeline.shape.algorithmic_frames(packet);
        pipeline.start_epoch(0);
        let silence = vec![0.0; packet];
        let (mut pushed, mut given, mut worst) = (0u64, 0u64, 0u64);
        // 147 hops is the longest pattern of these rates.
        for _ in 0..2 * 150 * hop / packet {
            pushed += packet as u64;
            if let Some(chunk) = pipeline.push([&silence, &silence]).unwrap() {
                worst = worst.max(pushed - given);
                given = chunk.first_frame + chunk.frames() as u64;
            }
        }
        prop_assert_eq!(worst, stated);
    }

    /// A hop runs exactly when the pipeline says it would.
    #[test]
    fn work_comes_when_it_is_announced(
        rate in prop::sample::select(vec![44_100u32, 48_000]), hop in 500usize..5_000,
        sizes in prop::collection::vec(1usize..900, 1..40),
    ) {
        let mut pipeline = pipeline(rate, hop, 100);
        pipeline.start_epoch(0);
        for size in sizes {
            let until = pipeline.frames_until_work();
            let silence = vec![0.0; size];
            let before = pipeline.live.hops();
            pipeline.push([&silence, &silence]).unwrap();
            prop_assert_eq!(pipeline.live.hops() > before, size >= until, "size {}, until {}", size, until);
        }
    }
}

#[test]
fn a_new_epoch_owes_nothing_to_the_last() {
    let mix = tone(20_000, 48_000);
    let fresh = run(&mut pipeline(48_000, 4_096, 2_048), 0, &mix, &[480]);
    let mut used = pipeline(48_000, 4_096, 2_048);
    run(&mut used, 0, &tone(9_999, 48_000)[..9_000], &[333]);
    assert_eq!(run(&mut used, 0, &mix, &[512]), fresh);
}

#[test]
fn the_end_of_an_epoch_comes_in_parts_of_one_inference() {
    for rate in [44_100, 48_000] {
        let mix = tone(20_000, rate);
        let whole = run(&mut pipeline(rate, 2_048, 6_000), 0, &mix, &[480]);
        let mut parted = pipeline(rate, 2_048, 6_000);
        parted.start_epoch(0);
        let mut out = parted.push([&mix, &mix]).unwrap().unwrap().channels[0].clone();
        let (mut parts, mut hops) = (0, parted.live.hops());
        loop {
            let (chunk, done) = parted.finish_some().unwrap();
            if let Some(chunk) = chunk {
                assert_eq!(chunk.first_frame, out.len() as u64);
                out.extend(&chunk.channels[0]);
                parts += 1;
            }
            // 6000 frames of delay and what the last hop lacked are three or four hops; each has a part of its own.
            assert!(parted.live.hops() <= hops + 1, "{} hops after {hops}", parted.live.hops());
            hops = parted.live.hops();
            if done {
                break;
            }
        }
        assert_eq!(out, whole);
        assert!(parts >= 3, "{parts} parts");
    }
}
