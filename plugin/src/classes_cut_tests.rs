//! A class whose song jumps: its blocks are cut there, no frame is lost, and nothing is left unwritten.

use super::*;

/// No count is this.
const UNWRITTEN: f32 = 0.25;

/// Plays a count of frames that goes on for no more than a few at once.
struct Counts;

impl Kind for Counts {
    const NAME: &'static str = "Counts";
    const STEMS: bool = true;
    const VST3_ID: [u8; 16] = *b"RehearseKit.Test";
    const CLAP_ID: &'static str = "org.rehearsekit.test";
    const DESCRIPTION: &'static str = "A test";

    fn feed(shared: &Shared, left: &mut [f32], right: &mut [f32], playhead: &mut Playhead) -> usize {
        let first = shared.rate_hz();
        // Of odd lengths, and sometimes of none, which is the rest.
        let run = left.len().min(first as usize % 101);
        let frames = if run == 0 { left.len() } else { run };
        for (n, (left, right)) in left.iter_mut().zip(right).take(frames).enumerate() {
            (*left, *right) = (1.0 + first as f32 + n as f32, -1.0);
        }
        // There is nowhere else to count in a class without itself.
        shared.set_rate(first + frames as u32);
        *playhead = Playhead { playing: true, song_position_frames: Some(first.into()), ..*playhead };
        run
    }

    fn hear(left: &mut [f32], right: &mut [f32]) {
        left.iter_mut().chain(right).for_each(|sample| *sample *= 2.0);
    }
}

#[test]
fn a_block_is_cut_where_what_is_fed_ends_and_no_frame_is_lost_or_left() {
    let mut plugin = RehearseKit::<Counts>::default();
    plugin.engine.put(plugin.shared.activate(AudioSetup::new(48_000, 512, false)));
    plugin.shared.set_rate(0);
    let latency = plugin.shared.running_latency_frames().unwrap() as usize;
    let mut heard = Vec::new();
    for block in [512, 0, 1, 64, 511].into_iter().cycle().take(200) {
        let (mut left, mut right) = (vec![UNWRITTEN; block], vec![UNWRITTEN; block]);
        let mut stems = vec![vec![UNWRITTEN; block]; 2 * OUTPUTS];
        let mut pairs = stems.chunks_exact_mut(2).map(|pair| {
            let [left, right] = pair else { unreachable!("pairs") };
            [left.as_mut_slice(), right.as_mut_slice()]
        });
        let mut lent: [[&mut [f32]; 2]; OUTPUTS] = std::array::from_fn(|_| pairs.next().unwrap());
        let status = plugin.play([&mut left, &mut right], &mut lent, Playhead::default());
        assert_eq!(status, Status::Ok);
        assert!(stems.iter().flatten().all(|sample| *sample != UNWRITTEN), "an output is left unwritten");
        heard.extend(left);
    }
    let expected = (0..heard.len() - latency).map(|at| 2.0 * (1.0 + at as f32));
    assert!(heard[..latency].iter().all(|sample| *sample == 0.0));
    assert_eq!(heard[latency..], expected.collect::<Vec<_>>());
}
