//! What `process()` costs: the plugin's engine at a host's pace, four stems live and all meters on, timed block by
//! block. States figures, judges nothing.
//!
//! `process_cost [SECONDS] [RATE_HZ] [BLOCK_FRAMES]`, 20 s of 48 kHz in blocks of 128 if nothing is said. One JSON
//! object goes to standard output.
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a tool for us, whose end by a closed pipe harms nobody"
)]

use std::{
    thread,
    time::{Duration, Instant},
};

use rehearsekit_audio::measure::percentile;
use rehearsekit_plugin_engine::{
    AudioSetup, Block, Instance, LinkView, Mixer, STRIPS, Settings, Touched, Transport,
};
use rehearsekit_tests::house::{House, any_port};

fn main() {
    let mut arguments = std::env::args().skip(1).map(|text| text.parse::<u32>().unwrap_or_default());
    let mut argument = |usual: u32| arguments.next().filter(|&n| n > 0).unwrap_or(usual);
    let (seconds, rate_hz, block_frames) = (argument(20), argument(48_000), argument(128));

    let house = House::known(any_port());
    let settings = Settings {
        server: Some(house.address.to_string()),
        model: Some("four".to_owned()),
        ..Settings::default()
    };
    let instance = Instance::new(settings);
    let mut engine = instance.activate(AudioSetup::new(rate_hz, block_frames, false));
    let began = Instant::now();
    while instance.view().link != LinkView::Live {
        assert!(began.elapsed() < Duration::from_secs(30), "never live: {:?}", instance.view());
        thread::sleep(Duration::from_millis(5));
    }

    let frames = block_frames as usize;
    let mut channels = vec![vec![0.0f32; frames]; 2 * (STRIPS + 1)];
    let mut mixer = Mixer::default();
    let block_time = Duration::from_secs_f64(f64::from(block_frames) / f64::from(rate_hz));
    let blocks = (f64::from(seconds) / block_time.as_secs_f64()) as u64;
    let warm_up = blocks / 10;
    let mut micros = Vec::with_capacity(blocks as usize);
    let mut bridged_before = 0;
    let began = Instant::now();
    for block in 0..blocks + warm_up {
        if block == warm_up {
            bridged_before = instance.view().counters.bridged_frames;
        }
        let position = block * u64::from(block_frames);
        for (channel, samples) in channels[..2].iter_mut().enumerate() {
            for (i, sample) in samples.iter_mut().enumerate() {
                let time = (position + i as u64) as f64 / f64::from(rate_hz);
                *sample = (0.5 * (time * 1_000.0 * (channel + 1) as f64).sin()) as f32;
            }
        }
        // A fader moves all the time, as automation has it.
        mixer.strips[0].gain_db = -6.0 + 6.0 * (block as f32 * 0.01).sin();
        let mut pairs = channels.chunks_exact_mut(2).map(|pair| match pair {
            [left, right] => [left.as_mut_slice(), right.as_mut_slice()],
            _ => Default::default(),
        });
        let main = pairs.next().unwrap_or_default();
        let mut stems: Vec<[&mut [f32]; 2]> = pairs.collect();
        let before = Instant::now();
        let status = engine.process(Block {
            main,
            stems: &mut stems,
            transport: Transport {
                playing: true,
                song_position_frames: Some(position as i64),
                ..Transport::default()
            },
            mixer: &mixer,
            touched: Touched::NONE,
        });
        let taken = before.elapsed();
        assert_eq!(status, rehearsekit_plugin_engine::Status::Ok);
        if block >= warm_up {
            micros.push(taken.as_secs_f64() * 1e6);
        }
        if block % 16 == 0 {
            instance.meters().take();
        }
        let due = block_time.mul_f64((block + 1) as f64);
        thread::sleep(due.saturating_sub(began.elapsed()));
    }
    let counters = instance.view().counters;
    let bridged = counters.bridged_frames - bridged_before;
    let percent = |micros: f64| 100.0 * micros / (block_time.as_secs_f64() * 1e6);
    let at = |p: f64, micros: &mut Vec<f64>| percentile(micros, p).unwrap_or_default();
    let (median, p99, max) = (at(0.5, &mut micros), at(0.99, &mut micros), at(1.0, &mut micros));
    println!(
        "{{\"rate_hz\": {rate_hz}, \"block_frames\": {block_frames}, \"blocks\": {blocks}, \"stems\": 4, \
         \"median_micros\": {median:.2}, \"p99_micros\": {p99:.2}, \"max_micros\": {max:.1}, \
         \"median_percent\": {:.3}, \"p99_percent\": {:.3}, \"bridged_frames\": {bridged}}}",
        percent(median),
        percent(p99)
    );
}
