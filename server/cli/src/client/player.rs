//! What the plugin does in `process()`, without a plugin.
//!
//! Three steps per block: the mix goes into one ring (to the network), whatever stems have arrived come out of
//! another, and the playout makes the block that is due. Each is free of allocation, locks and waiting, so all
//! three may run on an audio thread; a bounce may stand still between the second and the third until
//! [`Player::is_ready`] says that the exact chunk is there.

use rehearsekit_playout::{MixSlot, Playout, SLOT_FRAMES, StemGains, StemSlot};

/// The audio side of one session.
pub(crate) struct Player {
    playout: Playout,
    mix: rtrb::Producer<MixSlot>,
    stems: rtrb::Consumer<StemSlot>,
    gains: Vec<StemGains>,
    /// Counts up with every jump of the song position. A command never jumps.
    epoch: u32,
    /// Mix frames for which the ring had no room.
    dropped_frames: u64,
}

/// Output of one block: `stems[stem]` and the main mix, left and right.
pub(crate) struct Outputs<'b> {
    pub(crate) stems: &'b mut [[&'b mut [f32]; 2]],
    pub(crate) main: [&'b mut [f32]; 2],
}

impl Player {
    /// A player at position 0, all faders at 0 dB.
    pub(crate) fn new(
        playout: Playout,
        stem_count: usize,
        mix: rtrb::Producer<MixSlot>,
        stems: rtrb::Consumer<StemSlot>,
    ) -> Self {
        let gains = vec![StemGains::default(); stem_count];
        Self { playout, mix, stems, gains, epoch: 0, dropped_frames: 0 }
    }

    /// Whether the ring to the network takes a block of `frames` now. Only a bounce may care.
    pub(crate) fn has_room(&self, frames: usize) -> bool {
        self.mix.slots() >= frames.div_ceil(SLOT_FRAMES)
    }

    /// Step 1: hands a block of the mix to the network. What does not fit is lost to it, and counted.
    pub(crate) fn push(&mut self, mix: [&[f32]; 2]) {
        let position = self.playout.position();
        for slot in MixSlot::cut(position, self.epoch, position as i64, mix) {
            if self.mix.push(slot).is_err() {
                self.dropped_frames += u64::from(slot.frames);
            }
        }
    }

    /// Step 2: lays every stem slot that has arrived into its place.
    pub(crate) fn receive(&mut self) {
        self.playout.take_from(&mut self.stems);
    }

    /// Whether a block of `frames` can be played without an underrun. Only a bounce may wait for it.
    pub(crate) fn is_ready(&self, frames: usize) -> bool {
        self.playout.is_ready(frames)
    }

    /// Step 3: makes the block that is due, for the mix block of step 1, and moves on.
    pub(crate) fn play(&mut self, mix: [&[f32]; 2], outputs: Outputs<'_>) {
        self.playout.process(mix, &self.gains, outputs.stems, outputs.main);
    }

    /// Mix frames that were lost because the network task did not keep up.
    pub(crate) fn dropped_frames(&self) -> u64 {
        self.dropped_frames
    }
}
