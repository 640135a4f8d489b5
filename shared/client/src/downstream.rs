//! From stem chunks to slots: interpolation, splitting, and a queue for what the ring does not take yet.
//!
//! Late chunks go the same way as all others: the playout alone knows what is too late. This module must not
//! know about streams or clocks.

use std::collections::VecDeque;

use rehearsekit_playout::{Layout, MAX_TRAVELLING_CHANNELS, SLOT_FRAMES, StemSlot};
use rehearsekit_protocol::Packet;

use crate::rates::{Decimation, Interpolator};

/// Planar host frames on their way into the ring.
#[derive(Debug)]
struct Stretch {
    position: u64,
    channels: Vec<Vec<f32>>,
    taken: usize,
}

impl Stretch {
    fn left(&self) -> usize {
        self.channels.first().map_or(0, Vec::len) - self.taken
    }

    /// Frames of the next slot: up to the next multiple of a slot's length.
    fn next_frames(&self) -> usize {
        let into_slot = ((self.position + self.taken as u64) % SLOT_FRAMES as u64) as usize;
        (SLOT_FRAMES - into_slot).min(self.left())
    }

    fn slots_left(&self) -> u64 {
        let first = self.position + self.taken as u64;
        let end = first + self.left() as u64;
        if end == first { 0 } else { end.div_ceil(SLOT_FRAMES as u64) - first / SLOT_FRAMES as u64 }
    }
}

/// One connection's way from the network to the audio thread.
#[derive(Debug)]
pub(crate) struct Downstream {
    decimation: Decimation,
    layout: Layout,
    interpolator: Interpolator,
    queue: VecDeque<Stretch>,
    queued_frames: usize,
}

impl Downstream {
    /// `layout`: what the chunks of this connection carry.
    pub(crate) fn new(decimation: Decimation, layout: Layout) -> Self {
        Self {
            decimation,
            layout,
            interpolator: Interpolator::new(decimation),
            queue: VecDeque::new(),
            queued_frames: 0,
        }
    }

    /// A run of the mix begins at this wire position: nothing that comes for it has anything before it.
    pub(crate) fn begin(&mut self, first_wire_frame: u64) {
        if self.decimation != Decimation::None {
            self.interpolator.begin(first_wire_frame, self.layout.channels());
        }
    }

    /// Takes a chunk whose shape has been checked.
    pub(crate) fn chunk(&mut self, packet: Packet) {
        let Packet { header, channels } = packet;
        let (position, channels) = match self.decimation {
            Decimation::None => (header.first_frame, channels),
            _ => self.interpolator.push(header.first_frame, channels),
        };
        let stretch = Stretch { position, channels, taken: 0 };
        if stretch.left() > 0 {
            self.queued_frames += stretch.left();
            self.queue.push_back(stretch);
        }
    }

    /// Moves as much into the ring as it takes.
    pub(crate) fn pump(&mut self, ring: &mut rtrb::Producer<StemSlot>) {
        while let Some(stretch) = self.queue.front_mut() {
            if ring.is_full() {
                return;
            }
            let frames = stretch.next_frames();
            let mut slot = StemSlot {
                position: stretch.position + stretch.taken as u64,
                frames: frames as u16,
                layout: self.layout,
                samples: [[0.0; SLOT_FRAMES]; MAX_TRAVELLING_CHANNELS],
            };
            for (samples, channel) in slot.samples.iter_mut().zip(&stretch.channels) {
                samples[..frames].copy_from_slice(&channel[stretch.taken..stretch.taken + frames]);
            }
            // There is room: this is the only producer.
            let _ = ring.push(slot);
            stretch.taken += frames;
            self.queued_frames -= frames;
            if stretch.left() == 0 {
                self.queue.pop_front();
            }
        }
    }

    /// Whether everything is in the ring.
    pub(crate) fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    /// Gives up the oldest stretches beyond `most_frames`; how many slots that were.
    pub(crate) fn shed(&mut self, most_frames: usize) -> u64 {
        let mut slots = 0;
        while self.queued_frames > most_frames {
            let Some(oldest) = self.queue.pop_front() else { break };
            self.queued_frames -= oldest.left();
            slots += oldest.slots_left();
        }
        slots
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rehearsekit_protocol::{PacketHeader, PacketKind};

    fn packet(first_frame: u64, frames: u32) -> Packet {
        let header = PacketHeader { kind: PacketKind::Stems, ..PacketHeader::mix(0, 0, first_frame, frames) };
        let channel = |sign: f32| (0..frames).map(|i| sign * (first_frame as f32 + i as f32)).collect();
        Packet { header, channels: vec![channel(1.0), channel(-1.0)] }
    }

    fn drain(ring: &mut rtrb::Consumer<StemSlot>) -> Vec<StemSlot> {
        std::iter::from_fn(|| ring.pop().ok()).collect()
    }

    #[test]
    fn slots_never_cross_a_multiple_of_their_length() {
        let (mut producer, mut consumer) = rtrb::RingBuffer::new(64);
        let mut downstream = Downstream::new(Decimation::None, Layout::in_order(2, 1));
        downstream.chunk(packet(100, 200));
        downstream.chunk(packet(300, 3));
        downstream.chunk(packet(303, 0));
        downstream.pump(&mut producer);
        assert!(downstream.is_empty());
        let slots = drain(&mut consumer);
        let shape: Vec<_> = slots.iter().map(|s| (s.position, s.frames)).collect();
        assert_eq!(shape, [(100, 28), (128, 64), (192, 64), (256, 44), (300, 3)]);
        for slot in slots {
            for i in 0..usize::from(slot.frames) {
                let value = (slot.position + i as u64) as f32;
                assert_eq!(
                    (slot.samples[0][i], slot.samples[1][i], slot.samples[2][i]),
                    (value, -value, 0.0)
                );
            }
        }
    }

    #[test]
    fn a_full_ring_holds_the_rest_back_in_order() {
        let (mut producer, mut consumer) = rtrb::RingBuffer::new(2);
        let mut downstream = Downstream::new(Decimation::None, Layout::in_order(2, 1));
        downstream.chunk(packet(0, 320));
        downstream.chunk(packet(320, 64));
        let mut positions = Vec::new();
        while !downstream.is_empty() {
            downstream.pump(&mut producer);
            positions.extend(drain(&mut consumer).iter().map(|s| s.position));
        }
        assert_eq!(positions, [0, 64, 128, 192, 256, 320]);
        downstream.chunk(packet(384, 320));
        downstream.chunk(packet(704, 64));
        downstream.pump(&mut producer);
        assert_eq!(downstream.shed(1_000), 0);
        assert_eq!(downstream.shed(64), 3);
        drain(&mut consumer);
        downstream.pump(&mut producer);
        assert_eq!(drain(&mut consumer)[0].position, 704);
    }

    #[test]
    fn decimated_chunks_come_back_at_host_positions() {
        let (mut producer, mut consumer) = rtrb::RingBuffer::new(64);
        let mut downstream = Downstream::new(Decimation::By2, Layout::in_order(2, 1));
        downstream.chunk(packet(0, 100));
        downstream.chunk(packet(100, 100));
        downstream.pump(&mut producer);
        let slots = drain(&mut consumer);
        let mut expected = 0;
        for slot in &slots {
            assert_eq!(slot.position, expected);
            expected += u64::from(slot.frames);
        }
        // The last frames wait for the wire frames behind them.
        assert_eq!(expected, 2 * (200 - 26));
    }

    #[test]
    fn a_run_that_begins_elsewhere_comes_back_from_its_first_frame_on() {
        for decimation in [Decimation::By2, Decimation::By4] {
            let (mut producer, mut consumer) = rtrb::RingBuffer::new(64);
            let mut downstream = Downstream::new(decimation, Layout::in_order(2, 1));
            // The second run begins one slot behind the first: a gap shorter than the filter.
            let factor = u64::from(decimation.factor());
            let starts = [1_280, 1_280 + 96 + SLOT_FRAMES as u64 / factor];
            for start in starts {
                downstream.begin(start);
                downstream.chunk(packet(start, 96));
            }
            downstream.pump(&mut producer);
            let slots = drain(&mut consumer);
            for start in starts {
                let whole = slots.iter().any(|s| s.position == start * factor && s.frames == 64);
                assert!(whole, "{decimation:?}: {start}");
            }
        }
    }
}
