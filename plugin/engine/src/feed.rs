//! The mix on its way into the ring: blocks of any size become slots on the grid, so that a host with tiny blocks
//! costs no more than another. What a slot still lacks stays here; that is less than a slot.
//!
//! For the audio thread. Must not wait: a full ring loses the slot, and says so.

use rehearsekit_playout::{MixSlot, SLOT_FRAMES};

/// The audio thread's end of the mix ring.
#[derive(Debug)]
pub(crate) struct Feed {
    /// `None` without a connection.
    ring: Option<rtrb::Producer<MixSlot>>,
    slot: MixSlot,
    /// Counts up with every jump.
    epoch: u32,
}

impl Feed {
    pub(crate) fn new(ring: Option<rtrb::Producer<MixSlot>>) -> Self {
        let samples = [[0.0; SLOT_FRAMES]; 2];
        Self { ring, slot: MixSlot { position: 0, epoch: 0, frames: 0, song_position: 0, samples }, epoch: 0 }
    }

    /// Whether the ring takes all slots of `frames` more.
    pub(crate) fn has_room(&self, frames: usize) -> bool {
        self.ring.as_ref().is_none_or(|ring| ring.slots() >= frames / SLOT_FRAMES + 2)
    }

    /// Hands on `mix`, whose first frame has this position and this place in the song. Gives the frames that
    /// found no room.
    pub(crate) fn push(&mut self, position: u64, song_position: i64, mix: [&[f32]; 2]) -> u64 {
        let frames = mix[0].len().min(mix[1].len());
        let mut lost = 0;
        let mut at = 0;
        while at < frames {
            let position = position + at as u64;
            let offset = (position % SLOT_FRAMES as u64) as usize;
            let count = (SLOT_FRAMES - offset).min(frames - at);
            let held = usize::from(self.slot.frames);
            if held == 0 {
                self.slot.position = position;
                self.slot.epoch = self.epoch;
                self.slot.song_position = song_position.saturating_add(at as i64);
            }
            for (to, from) in self.slot.samples.iter_mut().zip(mix) {
                to[held..held + count].copy_from_slice(&from[at..at + count]);
            }
            self.slot.frames += count as u16;
            at += count;
            if offset + count == SLOT_FRAMES {
                lost += self.flush();
            }
        }
        lost
    }

    /// What comes next does not follow what was pushed so far.
    pub(crate) fn jump(&mut self) -> u64 {
        let lost = self.flush();
        self.epoch = self.epoch.wrapping_add(1);
        lost
    }

    /// Forgets what has not been handed on; for a reset, behind which positions leave a gap.
    pub(crate) fn discard(&mut self) {
        self.slot.frames = 0;
        self.epoch = self.epoch.wrapping_add(1);
    }

    fn flush(&mut self) -> u64 {
        let frames = std::mem::take(&mut self.slot.frames);
        let Some(ring) = self.ring.as_mut().filter(|_| frames > 0) else { return 0 };
        let slot = MixSlot { frames, ..self.slot };
        if ring.push(slot).is_ok() { 0 } else { frames.into() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn mix(position: u64, frames: usize) -> Vec<f32> {
        (position..position + frames as u64).map(|p| p as f32).collect()
    }

    proptest! {
        #[test]
        fn slots_keep_to_the_grid_and_every_frame_arrives(
            blocks in prop::collection::vec((1usize..300, any::<bool>()), 1..60),
        ) {
            let (producer, mut ring) = rtrb::RingBuffer::new(1_024);
            let mut feed = Feed::new(Some(producer));
            let (mut position, mut epoch) = (0, 0);
            let mut expected = Vec::new();
            for (frames, jumps) in blocks {
                if jumps {
                    prop_assert_eq!(feed.jump(), 0);
                    epoch += 1;
                }
                let block = mix(position, frames);
                prop_assert_eq!(feed.push(position, -7 + position as i64, [&block, &block]), 0);
                expected.extend((position..position + frames as u64).map(|p| (p, epoch)));
                position += frames as u64;
            }
            feed.jump();
            let mut arrived = Vec::new();
            while let Ok(slot) = ring.pop() {
                let end = slot.position + u64::from(slot.frames);
                prop_assert!(slot.frames > 0 && slot.position / 64 == (end - 1) / 64);
                prop_assert_eq!(slot.song_position, slot.position as i64 - 7);
                for (i, p) in (slot.position..end).enumerate() {
                    prop_assert_eq!(slot.samples[1][i], p as f32);
                    arrived.push((p, slot.epoch));
                }
            }
            prop_assert_eq!(arrived, expected);
        }
    }

    #[test]
    fn what_does_not_fit_is_counted() {
        let (producer, _ring) = rtrb::RingBuffer::new(2);
        let mut feed = Feed::new(Some(producer));
        let block = mix(0, 300);
        assert!(feed.has_room(0) && !feed.has_room(64));
        assert_eq!(feed.push(0, 0, [&block, &block]), 128);
        assert_eq!(feed.jump(), 44);
        feed.push(300, 0, [&block[..1], &block[..1]]);
        feed.discard();
        assert_eq!(feed.jump(), 0, "nothing is left to lose");
        assert_eq!(Feed::new(None).push(0, 0, [&block, &block]), 0, "nobody to lose it for");
    }
}
