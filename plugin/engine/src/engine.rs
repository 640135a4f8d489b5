//! The audio thread's engine: one block of the mix in, one block of what was `latency_frames` ago out.
//!
//! In a live session nothing here allocates, locks, waits, logs or makes a system call. It knows no clock: how fast
//! the host calls is judged elsewhere.

use std::sync::Arc;

use rehearsekit_playout::{Playout, PlayoutConfig, StemGains};

use crate::{
    mixer::{Mixer, STRIPS, Touched},
    shared::Shared,
};

/// One call of the host.
#[derive(Debug)]
pub struct Block<'a> {
    /// The mix going in, left and right, and in its place the main mix coming out. Any length, the announced
    /// maximum and beyond, or nothing. All slices of a block have one length; of different ones the shortest
    /// counts.
    pub main: [&'a mut [f32]; 2],
    /// The stems before their faders, left and right, in the order of [`STRIP_NAMES`](crate::STRIP_NAMES): six,
    /// or fewer from the front, or none. For an output that is not connected give a scratch buffer.
    pub stems: &'a mut [[&'a mut [f32]; 2]],
    /// Where the host's playhead is.
    pub transport: Transport,
    /// The mixer as the host's parameters have it at the first frame of the block.
    pub mixer: &'a Mixer,
    /// Which of these values were moved in our own editor since the last block.
    pub touched: Touched,
}

/// The host's playhead at the first frame of a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Transport {
    /// Whether it moves.
    pub playing: bool,
    /// Where in the song it is, in frames at the host's rate; may be negative (a pre-roll), `None` if the host
    /// does not say. Rounding by up to two frames is no jump.
    pub song_position_frames: Option<i64>,
}

/// What became of a block. The output is written fully, whatever this says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub enum Status {
    /// All well: stems, or the mix in their place.
    Ok,
    /// An offline render cannot be exact any more: the output is silence, and stays so until
    /// [`AudioEngine::reset`]. Tell the host; [`View::error`](crate::View::error) has the reason.
    OfflineFailed,
}

/// The audio thread's side of an [`Instance`](crate::Instance). One thread at a time may use it; it may be
/// dropped anywhere but on an audio thread.
#[derive(Debug)]
pub struct AudioEngine {
    playout: Playout,
    scratch: [Vec<f32>; 2],
    latency_frames: u32,
    _shared: Arc<Shared>,
}

impl AudioEngine {
    pub(crate) fn new(latency_frames: u32, max_block_frames: u32, shared: Arc<Shared>) -> Self {
        let frames = max_block_frames.max(1) as usize;
        let config =
            PlayoutConfig { latency_frames, stem_count: STRIPS, closing: STRIPS - 1, max_block_frames };
        Self {
            playout: Playout::new(config),
            scratch: [vec![0.0; frames], vec![0.0; frames]],
            latency_frames,
            _shared: shared,
        }
    }

    /// The latency in frames; the same as [`Instance::latency_frames`](crate::Instance::latency_frames) at this
    /// engine's rate. Constant for its whole life.
    pub fn latency_frames(&self) -> u32 {
        self.latency_frames
    }

    /// Plays one block. Waits only in an offline render.
    pub fn process(&mut self, block: Block<'_>) -> Status {
        let Block { main: [left, right], stems, mixer, .. } = block;
        let lengths = stems.iter().flatten().map(|channel| channel.len());
        let frames = lengths.chain([left.len(), right.len()]).min().unwrap_or(0);
        let gains = mixer.strips.map(|strip| StemGains {
            linear: rehearsekit_audio::gain::db_to_linear(strip.gain_db),
            muted: strip.muted,
            soloed: strip.soloed,
        });
        let mut start = 0;
        while start < frames {
            let count = self.scratch[0].len().min(frames - start);
            let end = start + count;
            for (to, from) in self.scratch.iter_mut().zip([&left[start..end], &right[start..end]]) {
                to[..count].copy_from_slice(from);
            }
            let [scratch_left, scratch_right] = &self.scratch;
            let mut empty: [[&mut [f32]; 2]; STRIPS] = Default::default();
            let used = stems.len().min(STRIPS);
            for (part, whole) in empty.iter_mut().zip(stems.iter_mut()) {
                *part = whole.each_mut().map(|channel| &mut channel[start..end]);
            }
            self.playout.process(
                [&scratch_left[..count], &scratch_right[..count]],
                &gains,
                &mut empty[..used],
                [&mut left[start..end], &mut right[start..end]],
            );
            start = end;
        }
        Status::Ok
    }

    /// Discards all audio that is under way and ends the silence of a failed render. Real-time safe.
    pub fn reset(&mut self) {
        self.playout.reset();
    }
}
