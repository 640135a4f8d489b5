//! What one hop of a spectral U-Net costs, by hop size, by form of the network and by batch: the program behind
//! `cargo xtask bench hop`. Whatever is compared is run in turns (A B A B …), so that a machine that is slow for a
//! while is slow for all. Prints one JSON object; it judges nothing.
//!
//! `hop_cost DATA MODEL SECONDS`: the data folder, a spectral model in it, seconds for each hop size.
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a tool for us, whose end by a closed pipe harms nobody"
)]

use std::{
    error::Error,
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use rehearsekit_audio::overlap_add::OverlapAdd;
use rehearsekit_models::{
    convert::unet::{Doubling, UnetWeights, unet_graph},
    families::{Kernel, NetworkPool, Prepared, infer, unet::UnetKernel},
    fetch::runtime::installed_runtime,
    manifest::Family,
    plan::unet_geometry,
    runtime::{Graph, Network, On, Runtime},
    store::{Content, Store},
};
use serde_json::{Value, json};

const HOPS: [usize; 5] = [1, 2, 4, 8, 16];
const BATCHES: [usize; 4] = [1, 2, 4, 8];
/// What a hop is split into.
const PARTS: [&str; 5] = ["transforms", "input", "network", "output", "inverse"];

fn main() -> Result<(), Box<dyn Error>> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [data, model, seconds] = words.as_slice() else { return Err("hop_cost DATA MODEL SECONDS".into()) };
    let time = Duration::from_secs_f64(seconds.parse()?);
    let bench = Bench::open(Path::new(data), model)?;
    let mut hops = Vec::new();
    for hop in HOPS {
        let (before, after) = (Doubling::Transposed, Doubling::Phases);
        let (mut before, mut after) = (bench.streams(hop, before, 1)?, bench.streams(hop, after, 1)?);
        hops.push(bench.compare(hop, (&mut before[0], &mut after[0]), time)?);
    }
    let mut batches = Vec::new();
    for hop in [1, 4, 16] {
        batches.push(bench.batches(hop, time)?);
    }
    println!("{}", json!({"model": model, "hops": hops, "batches": batches}));
    Ok(())
}

struct Bench {
    runtime: Runtime,
    weights: UnetWeights,
    family: Family,
    wanted: Vec<usize>,
}

struct Stream {
    kernel: UnetKernel,
    sum: OverlapAdd,
    hops: u64,
    noise: u32,
}

impl Bench {
    fn open(data: &Path, model: &str) -> Result<Self, Box<dyn Error>> {
        let installed = Store::open(data)?.verified(model)?;
        let Content::Unet(path) = installed.content() else { return Err("not a spectral model".into()) };
        let stems = &installed.manifest.stems;
        let library = installed_runtime(data)?.ok_or("ONNX Runtime is not installed")?;
        Ok(Self {
            runtime: Runtime::load(&library)?,
            weights: UnetWeights::load(&path, stems)?,
            // All stems but the one that closes the sum travel.
            wanted: (0..stems.len() - 1).collect(),
            family: installed.manifest.family.clone(),
        })
    }

    /// Streams on one network.
    fn streams(&self, hop: usize, doubling: Doubling, count: usize) -> Result<Vec<Stream>, Box<dyn Error>> {
        let Family::SpectralUnet(settings) = &self.family else { return Err("not a spectral model".into()) };
        let geometry = unet_geometry(settings, settings.live_columns, hop, 1, settings.n_fft);
        let graph = unet_graph(&self.weights, geometry.columns, geometry.kept(), doubling)?;
        let tensors = self.weights.expected_tensors(geometry.columns, hop);
        let network =
            Network::load(&self.runtime, "bench", Graph::Bytes(&graph), On::processor(1), &tensors)?;
        let pool = Arc::new(NetworkPool::new(vec![network]));
        let stream = |index: usize| Stream {
            kernel: UnetKernel::new(geometry.clone(), pool.clone(), self.wanted.clone()),
            sum: OverlapAdd::new(2 * self.wanted.len(), 0),
            hops: 0,
            noise: index as u32 + 1,
        };
        Ok((0..count).map(stream).collect())
    }

    fn compare(
        &self,
        hop: usize,
        (before, after): (&mut Stream, &mut Stream),
        time: Duration,
    ) -> Result<Value, Box<dyn Error>> {
        let (mut old, mut new, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
        let mut apart = 0.0f32;
        let began = Instant::now();
        while began.elapsed() < time || ratios.len() < 5 {
            let (a, b) = (before.hop()?, after.hop()?);
            apart = apart.max(difference(&before.take(), &after.take()));
            // The first ones warm up.
            if before.hops > 3 {
                ratios.push(b.iter().sum::<f64>() / a.iter().sum::<f64>());
                old.push(a);
                new.push(b);
            }
        }
        Ok(json!({"hop": hop, "rounds": ratios.len(), "before": split(&old), "after": split(&new),
            "ratio": quantile(&ratios, 0.5), "largest_difference": apart}))
    }

    fn batches(&self, hop: usize, time: Duration) -> Result<Value, Box<dyn Error>> {
        let most = BATCHES.iter().copied().max().unwrap_or(1);
        let mut streams = self.streams(hop, Doubling::default(), most)?;
        let mut rounds: Vec<[f64; BATCHES.len()]> = Vec::new();
        let began = Instant::now();
        while began.elapsed() < 2 * time || rounds.len() < 6 {
            let mut round = [0.0; BATCHES.len()];
            for (millis, &size) in round.iter_mut().zip(&BATCHES) {
                let mixes: Vec<_> = streams[..size].iter_mut().map(Stream::mix).collect();
                let started = Instant::now();
                let mut prepared: Vec<Prepared<'_>> = Vec::with_capacity(size);
                for (stream, mix) in streams[..size].iter_mut().zip(&mixes) {
                    stream.kernel.prepare([mix, mix]);
                    prepared.push((&mut stream.kernel, &mut stream.sum));
                }
                infer(&mut prepared)?;
                *millis = started.elapsed().as_secs_f64() * 1e3 / size as f64;
                streams[..size].iter_mut().for_each(|stream| drop(stream.take()));
            }
            rounds.push(round);
        }
        // The first one warms up.
        let rounds = &rounds[1..];
        let of_size = |at: usize| {
            let millis: Vec<f64> = rounds.iter().map(|round| round[at]).collect();
            let ratios: Vec<f64> = rounds.iter().map(|round| round[at] / round[0]).collect();
            json!({"size": BATCHES[at], "millis_per_hop": quantile(&millis, 0.5), "p99_per_hop": quantile(&millis, 0.99),
                "ratio": quantile(&ratios, 0.5)})
        };
        let sizes: Vec<Value> = (0..BATCHES.len()).map(of_size).collect();
        Ok(json!({"hop": hop, "rounds": rounds.len(), "sizes": sizes}))
    }
}

impl Stream {
    /// One hop of noise, the same for every stream of the same number.
    fn mix(&mut self) -> Vec<f32> {
        let next = |_| {
            self.noise = self.noise.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (self.noise >> 8) as f32 / 16_777_216.0 - 0.5
        };
        (0..self.kernel.hop_frames()).map(next).collect()
    }

    /// The milliseconds of each of [`PARTS`] in one hop.
    fn hop(&mut self) -> Result<[f64; PARTS.len()], Box<dyn Error>> {
        let mix = self.mix();
        let step = 1024;
        let mut at = [Instant::now(); PARTS.len() + 1];
        mix.chunks(step).for_each(|new| self.kernel.push_step([new, new]));
        at[1] = Instant::now();
        self.kernel.fill_input();
        at[2] = Instant::now();
        let pool = self.kernel.pool().clone();
        pool.with(|network| {
            let outputs = network.run(&self.kernel.inputs())?;
            at[3] = Instant::now();
            let outputs = outputs.slices()?;
            at[4] = Instant::now();
            self.kernel.complete(&outputs, &mut self.sum);
            Ok(())
        })?;
        at[5] = Instant::now();
        self.hops += 1;
        Ok(std::array::from_fn(|part| (at[part + 1] - at[part]).as_secs_f64() * 1e3))
    }

    fn take(&mut self) -> Vec<Vec<f32>> {
        let pushed = self.hops * self.kernel.hop_frames() as u64;
        self.sum.take_until(pushed.saturating_sub(self.kernel.delay_frames() as u64))
    }
}

/// Median and p99 of the whole, and the medians of its parts.
fn split(rounds: &[[f64; PARTS.len()]]) -> Value {
    let whole: Vec<f64> = rounds.iter().map(|round| round.iter().sum()).collect();
    let part = |part: usize| quantile(&rounds.iter().map(|round| round[part]).collect::<Vec<_>>(), 0.5);
    let parts: serde_json::Map<String, Value> =
        PARTS.iter().enumerate().map(|(at, name)| ((*name).to_owned(), json!(part(at)))).collect();
    json!({"millis": quantile(&whole, 0.5), "p99_millis": quantile(&whole, 0.99), "parts": parts})
}

fn quantile(values: &[f64], share: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let at = (sorted.len().saturating_sub(1) as f64 * share).round() as usize;
    sorted.get(at).copied().unwrap_or_default()
}

fn difference(one: &[Vec<f32>], other: &[Vec<f32>]) -> f32 {
    let pairs = one.iter().flatten().zip(other.iter().flatten());
    pairs.map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
}
