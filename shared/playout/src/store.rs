//! The jitter buffer: stems by position, in cells reused round and round. Decides nothing about time.

use crate::{Layout, SLOT_FRAMES, StemSlot};

/// A slot's number on the grid: position / [`SLOT_FRAMES`]; negative before the first position.
pub(crate) type SlotIndex = i64;

const COMPLETE: u64 = u64::MAX;

#[derive(Debug, Clone, Copy)]
struct Cell {
    slot: SlotIndex,
    /// One bit for every frame that is there.
    present: u64,
    /// What its channels are.
    layout: Layout,
}

/// Room for a fixed number of slots in a row.
#[derive(Debug)]
pub(crate) struct Store {
    cells: Vec<Cell>,
    /// `[cell][channel][frame]`.
    samples: Vec<f32>,
    channels: usize,
}

impl Store {
    /// Room for `slots` slots in a row, rounded up to a power of two.
    pub(crate) fn new(slots: usize, channels: usize, layout: Layout) -> Self {
        let count = slots.next_power_of_two();
        let cells = vec![Cell { slot: SlotIndex::MIN, present: 0, layout }; count];
        Self { cells, samples: vec![0.0; count * channels * SLOT_FRAMES], channels }
    }

    fn at(&self, slot: SlotIndex) -> usize {
        // A power of two, so the mask is a floor-modulo.
        slot as usize & (self.cells.len() - 1)
    }

    /// Frames of `slot` that are there, as bits.
    fn present(&self, slot: SlotIndex) -> u64 {
        let cell = self.cells[self.at(slot)];
        if cell.slot == slot { cell.present } else { 0 }
    }

    pub(crate) fn is_complete(&self, slot: SlotIndex) -> bool {
        self.present(slot) == COMPLETE
    }

    /// What the channels of `slot` are; of a slot that is there.
    pub(crate) fn layout(&self, slot: SlotIndex) -> Layout {
        self.cells[self.at(slot)].layout
    }

    /// How many frames of `slot` are not there.
    pub(crate) fn missing(&self, slot: SlotIndex) -> u64 {
        self.present(slot).count_zeros().into()
    }

    /// Marks the arrival's frames as there; gives those that were not before. The first of two is kept.
    fn mark(&mut self, arrival: &Arrival) -> u64 {
        let at = self.at(arrival.slot);
        let cell = &mut self.cells[at];
        if cell.slot != arrival.slot {
            *cell = Cell { slot: arrival.slot, present: 0, ..*cell };
        }
        let fresh = arrival.bits & !cell.present;
        cell.present |= arrival.bits;
        fresh
    }

    /// Marks frames of a slot that is decided about, without their samples; gives how many were not there
    /// before, `None` if a newer slot has the cell.
    pub(crate) fn mark_decided(&mut self, arrival: &Arrival) -> Option<u64> {
        let overtaken = self.cells[self.at(arrival.slot)].slot > arrival.slot;
        (!overtaken).then(|| self.mark(arrival).count_ones().into())
    }

    /// Lays the arrival's samples into its slot. What is there of another layout gives way.
    pub(crate) fn put(&mut self, arrival: &Arrival, stems: &StemSlot, layout: Layout) {
        let at = self.at(arrival.slot);
        if self.cells[at].layout != layout {
            self.cells[at] = Cell { slot: arrival.slot, present: 0, layout };
        }
        let fresh = self.mark(arrival);
        let cell = &mut self.samples[at * self.channels * SLOT_FRAMES..][..self.channels * SLOT_FRAMES];
        for (to, from) in cell.chunks_exact_mut(SLOT_FRAMES).zip(&stems.samples).take(layout.channels()) {
            let to = &mut to[arrival.offset..arrival.offset + arrival.frames];
            for (i, (to, &sample)) in to.iter_mut().zip(from).enumerate() {
                if fresh >> (arrival.offset + i) & 1 == 1 {
                    *to = audible(sample);
                }
            }
        }
    }

    /// The samples of a complete slot, `[channel][frame]` in one row.
    pub(crate) fn samples(&self, slot: SlotIndex) -> &[f32] {
        let size = self.channels * SLOT_FRAMES;
        &self.samples[self.at(slot) * size..][..size]
    }
}

/// Where on the grid a well-formed [`StemSlot`] belongs.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Arrival {
    pub(crate) slot: SlotIndex,
    pub(crate) offset: usize,
    pub(crate) frames: usize,
    pub(crate) bits: u64,
}

impl Arrival {
    /// `None` if the slot is empty, too long, crosses the grid or lies beyond all time.
    pub(crate) fn of(stems: &StemSlot) -> Option<Self> {
        let frames = usize::from(stems.frames);
        let offset = (stems.position % SLOT_FRAMES as u64) as usize;
        let slot = SlotIndex::try_from(stems.position / SLOT_FRAMES as u64).ok()?;
        if frames == 0 || offset + frames > SLOT_FRAMES {
            return None;
        }
        let bits = COMPLETE >> (SLOT_FRAMES - frames) << offset;
        Some(Self { slot, offset, frames, bits })
    }
}

/// A sample as it may be calculated with: what is not finite, or too small to be a normal number (and slow for
/// that), is 0.
pub(crate) fn audible(sample: f32) -> f32 {
    if sample.is_normal() { sample } else { 0.0 }
}
