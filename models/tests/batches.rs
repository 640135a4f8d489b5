//! Several streams through one run of the real network: each must hear what it would alone.
//!
//! The model must be in `$REHEARSEKIT_DATA` (`cargo xtask test` pulls it there first).
#![allow(clippy::unwrap_used)] // Helpers of tests are tests.

use std::path::PathBuf;

use rehearsekit_audio::SampleRate;
use rehearsekit_models::{
    Compute, LivePipeline, Model, ModelOptions, StemChunk, batch, manifest::Family, plan, plan::Geometry,
    runtime::RuntimeError, store::Store,
};

fn model() -> Model {
    let data = std::env::var_os("REHEARSEKIT_DATA").expect("REHEARSEKIT_DATA must name the models' folder");
    let store = Store::open(&PathBuf::from(data)).unwrap();
    Model::load(&store, "spleeter-2stems", |_| ModelOptions {
        compute: Compute::Processor,
        threads: 1,
        workers: 1,
    })
    .unwrap()
}

fn stream(model: &Model, hop: usize, rate_hz: u32) -> LivePipeline {
    let Family::SpectralUnet(settings) = model.family() else { panic!("spleeter-2stems is a U-Net") };
    let geometry = plan::unet_geometry(settings, settings.live_columns, hop, 1, settings.n_fft);
    let mut stream = model.pipeline(Geometry::Unet(geometry), SampleRate::new(rate_hz).unwrap()).unwrap();
    stream.start_epoch(0);
    stream
}

/// Tones of a pitch of its own over noise, with a pause in it.
fn song(seed: usize, frames: usize) -> Vec<f32> {
    let mut state = seed as u32 + 1;
    (0..frames)
        .map(|i| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let noise = (state >> 8) as f32 / 16_777_216.0 - 0.5;
            let tone = (i as f32 * (0.01 + 0.002 * seed as f32)).sin();
            if (10_000 * seed..10_000 * seed + 12_000).contains(&i) { 0.0 } else { 0.3 * tone + 0.1 * noise }
        })
        .collect()
}

fn append(all: &mut [Vec<f32>], chunk: Option<StemChunk>) {
    let channels = chunk.map(|chunk| chunk.channels).unwrap_or_default();
    all.iter_mut().zip(channels).for_each(|(all, new)| all.extend(new));
}

/// Runs every inference that `streams` need, as many as possible at once; gives the sizes of the runs.
fn run_all(streams: &mut [LivePipeline]) -> Vec<usize> {
    let mut sizes = Vec::new();
    loop {
        let mut waiting: Vec<_> = streams.iter_mut().filter_map(|s| s.prepare().then_some(s)).collect();
        if waiting.is_empty() {
            return sizes;
        }
        sizes.push(waiting.len());
        batch::run(&mut waiting).unwrap();
    }
}

#[test]
fn in_a_batch_every_stream_gets_the_stems_it_would_get_alone() {
    let (model, frames) = (model(), 40_000);
    for rate_hz in [44_100, 48_000] {
        let songs: Vec<_> = (0..3).map(|seed| song(seed, frames)).collect();
        let alone: Vec<_> = songs
            .iter()
            .map(|song| {
                let (mut stream, mut stems) = (stream(&model, 4, rate_hz), vec![Vec::new(); 2]);
                song.chunks(700).for_each(|mix| append(&mut stems, stream.push([mix, mix]).unwrap()));
                append(&mut stems, stream.finish_epoch().unwrap());
                stems
            })
            .collect();

        let mut streams: Vec<_> = (0..3).map(|_| stream(&model, 4, rate_hz)).collect();
        let key = streams[0].batch_key().expect("the network has a batch axis");
        assert!(streams.iter_mut().all(|stream| stream.batch_key() == Some(key)));
        let (mut stems, mut sizes) = (vec![vec![Vec::new(); 2]; 3], Vec::new());
        for first in (0..frames).step_by(900) {
            let piece = first..(first + 900).min(frames);
            for (stream, song) in streams.iter_mut().zip(&songs) {
                stream.feed([&song[piece.clone()], &song[piece.clone()]]);
            }
            sizes.extend(run_all(&mut streams));
            streams.iter_mut().zip(&mut stems).for_each(|(stream, stems)| append(stems, stream.take()));
        }
        let mut done = false;
        while !done {
            streams.iter_mut().for_each(LivePipeline::feed_end);
            sizes.extend(run_all(&mut streams));
            for (stream, stems) in streams.iter_mut().zip(&mut stems) {
                let (chunk, finished) = stream.take_end();
                append(stems, chunk);
                done = finished;
            }
        }
        assert!(sizes.iter().filter(|&&size| size == 3).count() > 3, "batches of {sizes:?}");
        for (index, (alone, together)) in alone.iter().zip(&stems).enumerate() {
            for (alone, together) in alone.iter().zip(together) {
                assert_eq!((alone.len(), together.len()), (frames, frames));
                let pairs = alone.iter().zip(together);
                let apart = pairs.map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
                let loudest = alone.iter().fold(0.0f32, |most, sample| most.max(sample.abs()));
                assert!(loudest > 0.0, "stream {index} is silent");
                // Of what is heard, whatever its level: a neighbour's stems would be as far off as they are loud.
                assert!(apart < 1e-3 * loudest && apart < 1e-5, "stream {index}: {apart} of {loudest}");
            }
        }
    }
}

#[test]
fn streams_of_different_networks_are_refused_and_go_on_alone() {
    let model = model();
    let (mut one, mut other) = (stream(&model, 4, 44_100), stream(&model, 2, 44_100));
    assert_ne!(one.batch_key(), other.batch_key());
    let mix = song(1, 8192);
    for stream in [&mut one, &mut other] {
        stream.feed([&mix, &mix]);
        assert!(stream.prepare());
    }
    assert!(matches!(batch::run(&mut [&mut one, &mut other]), Err(RuntimeError::Batch)));
    for another_hop in [true, false] {
        assert!(batch::run(&mut [&mut one]).unwrap() > std::time::Duration::ZERO);
        assert_eq!(one.prepare(), another_hop);
    }
    assert!(one.take().is_some());
}

#[test]
fn a_hop_without_its_inference_is_missing_with_all_that_it_leaves_incomplete() {
    let mut stream = stream(&model(), 4, 44_100);
    let mix = song(0, 8 * 4096);
    let (mut next, mut missing) = (0, 0);
    for (hop, mix) in mix.chunks(4096).enumerate() {
        stream.feed([mix, mix]);
        if stream.prepare() {
            if hop == 4 {
                stream.give_up();
            } else {
                batch::run(&mut [&mut stream]).unwrap();
            }
        }
        if let Some(chunk) = stream.take() {
            missing += chunk.first_frame - next;
            next = chunk.first_frame + chunk.frames() as u64;
        }
    }
    // Its own frames, and those after it that its columns reach into: a window less a step.
    assert_eq!(missing, 4096 + 3072);
}
