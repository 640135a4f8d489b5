//! What `process()` of the bundled CLAP costs for input of denormals, beside what it costs for noise: one line of JSON.
//! For `cargo xtask bench denormals`; judges nothing.
#![allow(clippy::print_stdout, reason = "a tool for us, whose end by a closed pipe harms nobody")]
#![allow(clippy::unwrap_used, reason = "what stands in for a host may fall down")]

use rehearsekit_host_tests::{
    songs::noise,
    track::{MAIN, STEMS, Track},
};
use serde_json::json;

const BLOCK_FRAMES: usize = 512;
/// Blocks of each kind in one turn.
const BLOCKS: usize = 200;
const TURNS: usize = 25;

/// The middle one of a block's CPU times, in microseconds.
fn median_micros(mut nanos: Vec<u64>) -> f64 {
    nanos.sort_unstable();
    nanos[nanos.len() / 2] as f64 / 1e3
}

fn main() {
    let loud = noise(BLOCK_FRAMES, 1);
    // The same pattern of bits, all of it below the smallest normal number.
    let small = loud.each_ref().map(|channel| {
        channel.iter().map(|sample| f32::from_bits(sample.to_bits() & 0x807f_ffff | 1)).collect::<Vec<f32>>()
    });
    let classes = [("RehearseKit", MAIN), ("RehearseKit Stems", STEMS)].map(|(name, class)| {
        let mut track = Track::new(class);
        // Faders that multiply, and nobody at the other end.
        track.point_at("127.0.0.1:9", 20.0);
        track.set(&[("Master Gain", 0.6), ("Vocals Gain", 0.7), ("Dry/Wet", 0.5)]);
        track.activate(48_000, BLOCK_FRAMES as u32);
        let mut times = [Vec::new(), Vec::new()];
        track.play(|player| {
            for _ in 0..TURNS {
                for (input, times) in [&loud, &small].into_iter().zip(&mut times) {
                    // What is still under way is the other kind's.
                    for block in 0..BLOCKS + 10 {
                        player.block([&input[0], &input[1]]).unwrap();
                        let nanos = player.cpu_nanos.pop().unwrap();
                        if block >= 10 {
                            times.push(nanos);
                        }
                    }
                    player.out.iter_mut().flatten().for_each(Vec::clear);
                }
            }
        });
        let [normal, denormal] = times.map(median_micros);
        json!({"class": name, "normal_micros": normal, "denormal_micros": denormal, "ratio": denormal / normal})
    });
    println!("{}", json!(classes));
}
