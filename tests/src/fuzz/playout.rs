//! The audio thread's side, in whatever order the network brings the stems.

use rehearsekit_playout::{Layout, MAX_TRAVELLING_CHANNELS, Playout, PlayoutConfig, SLOT_FRAMES, StemSlot};

use super::Script;

/// A playout under a script: at 0 dB the main output is the mix bit by bit, whatever arrives, in whatever
/// order, however often, and the stems sum to it.
pub(super) fn playout(data: &[u8]) {
    const MAX: usize = 256;
    let mut script = Script(data);
    let latency_frames = u32::from(script.word() % 1_500);
    let stem_count = 2 + usize::from(script.byte() % 5);
    let closing = usize::from(script.byte()) % stem_count;
    let config = PlayoutConfig { latency_frames, stem_count, closing, max_block_frames: MAX as u32 };
    let mut playout = Playout::new(config);
    let counters = playout.counters();
    let mix = |position: u64| ((position % 997) as f32 - 498.0) / 512.0;
    let stem = |channel: usize, position: u64| ((position * (channel as u64 + 3)) % 89 + 11) as f32 / 128.0;
    let mut origin = 0;
    while !script.is_over() {
        let start = playout.position();
        match script.byte() % 4 {
            0 | 1 => {
                let back = u64::from(script.word() % 2_048);
                let (mut position, mut frames) =
                    ((start + MAX as u64).wrapping_sub(back), script.byte() % 70);
                if frames % 2 == 0 {
                    // Half of them whole, as most are on the wire.
                    (position, frames) = (position & !(SLOT_FRAMES as u64 - 1), SLOT_FRAMES as u8);
                }
                let mut samples = [[0.0; SLOT_FRAMES]; MAX_TRAVELLING_CHANNELS];
                for (channel, row) in samples[..2 * (stem_count - 1)].iter_mut().enumerate() {
                    for (i, sample) in row.iter_mut().enumerate() {
                        *sample = stem(channel, position.wrapping_add(i as u64) % (1 << 32));
                    }
                }
                let frames = frames.into();
                let layout = Layout::in_order(stem_count, closing);
                playout.push_slot(&StemSlot { position, frames, layout, samples });
            }
            2 => {
                let frames = usize::from(script.byte()) + 1;
                let input: Vec<f32> = (start..start + frames as u64).map(mix).collect();
                let mut stems = vec![[[0.0f32; MAX]; 2]; stem_count];
                let mut main = [[0.0f32; MAX]; 2];
                {
                    let mut rows: Vec<[&mut [f32]; 2]> =
                        stems.iter_mut().map(|[l, r]| [&mut l[..frames], &mut r[..frames]]).collect();
                    let [l, r] = &mut main;
                    playout.process([&input, &input], &[], &mut rows, [&mut l[..frames], &mut r[..frames]]);
                }
                for i in 0..frames {
                    let played =
                        (start + i as u64).checked_sub(latency_frames.into()).filter(|&p| p >= origin);
                    let dry = played.map_or(0.0, mix);
                    for channel in 0..2 {
                        assert_eq!(main[channel][i].to_bits(), dry.to_bits());
                        let sum: f64 = stems.iter().map(|s| f64::from(s[channel][i])).sum();
                        assert!((sum - f64::from(dry)).abs() < 1e-5);
                    }
                    // Every travelling channel is its own audio of this position, all faded alike.
                    let Some(played) = played else { continue };
                    let travelling = stems.iter().enumerate().filter(|(stem, _)| *stem != closing);
                    let outputs = travelling.flat_map(|(_, channels)| channels.iter().map(|c| c[i]));
                    let faded: Vec<f32> =
                        outputs.enumerate().map(|(channel, out)| out / stem(channel, played)).collect();
                    assert!(
                        faded.iter().all(|w| (0.0..=1.0 + 1e-5).contains(w) && (w - faded[0]).abs() < 1e-5)
                    );
                }
            }
            _ => {
                playout.reset();
                origin = playout.position();
                assert!(origin >= start + MAX as u64);
            }
        }
        let counts = counters.read();
        assert!(counts.bridged_frames <= counts.frames && counts.holes <= counts.underruns);
        assert!(counts.missing_frames <= 64 * counts.underruns && counts.underruns <= counts.missing_frames);
    }
}
