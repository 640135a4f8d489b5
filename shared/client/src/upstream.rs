//! From mix slots to packets: decimation, cutting, epochs.
//!
//! Slots come in the order of their positions. A jump of the song (the slot's own epoch changes), a gap, and the
//! end each close the epoch with a mark, so that the server can give its last frames without waiting for more.
//! This module must not know about streams, deadlines or clocks.

use std::collections::VecDeque;

use rehearsekit_playout::{MixSlot, SLOT_FRAMES};
use rehearsekit_protocol::{Packet, PacketHeader};

use crate::rates::{Decimation, Decimator};

/// The audio side's count went backwards; the wire's may not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Rewound {
    pub(crate) expected: u64,
    pub(crate) got: u64,
}

/// Cuts one connection's upstream.
#[derive(Debug)]
pub(crate) struct Cutter {
    packet_frames: usize,
    factor: u64,
    decimator: Decimator,
    /// The host position and the slots' epoch that continue what was there; `None` before the first slot.
    expected: Option<(u64, u32)>,
    /// Wire frames that do not fill a packet yet, and the position behind them.
    pending: [Vec<f32>; 2],
    end: u64,
    /// Wire positions at which the song jumps, still ahead of `end`.
    jumps: VecDeque<u64>,
    epoch: u32,
    sequence: u32,
    /// Whether anything of the current epoch has been sent or is pending.
    begun: bool,
}

impl Cutter {
    /// A cutter for packets of `packet_frames` wire frames whose first epoch is `epoch`.
    pub(crate) fn new(packet_frames: u32, decimation: Decimation, epoch: u32) -> Self {
        Self {
            packet_frames: packet_frames.max(1) as usize,
            factor: decimation.factor().into(),
            decimator: Decimator::new(decimation),
            expected: None,
            pending: [Vec::new(), Vec::new()],
            end: 0,
            jumps: VecDeque::new(),
            epoch,
            sequence: 0,
            begun: false,
        }
    }

    /// The number for the first epoch of the next connection.
    pub(crate) fn next_epoch(&self) -> u32 {
        self.epoch.wrapping_add(1)
    }

    /// Wire position behind everything that has become certain.
    pub(crate) fn end(&self) -> u64 {
        self.end
    }

    /// Takes the next slot; appends the packets that are full or closed now. Gives the wire position at which a
    /// run begins with it, at the start and behind a gap.
    pub(crate) fn push(&mut self, slot: &MixSlot, out: &mut Vec<Packet>) -> Result<Option<u64>, Rewound> {
        let frames = usize::from(slot.frames).min(SLOT_FRAMES);
        if frames == 0 {
            return Ok(None);
        }
        let mut begins = None;
        match self.expected {
            Some((expected, _)) if slot.position < expected => {
                return Err(Rewound { expected, got: slot.position });
            }
            Some((expected, epoch)) if slot.position == expected => {
                if slot.epoch != epoch {
                    self.jumps.push_back(slot.position.div_ceil(self.factor));
                }
            }
            _ => {
                self.finish(out);
                self.end = self.decimator.restart(slot.position);
                begins = Some(self.end);
            }
        }
        self.expected = Some((slot.position + frames as u64, slot.epoch));
        let mut wire = [Vec::new(), Vec::new()];
        self.decimator.push([&slot.samples[0][..frames], &slot.samples[1][..frames]], &mut wire);
        self.emit(&wire, out);
        Ok(begins)
    }

    /// No more of this epoch will come: sends what is left of it, with the mark of its end.
    pub(crate) fn finish(&mut self, out: &mut Vec<Packet>) {
        if self.expected.take().is_some() {
            let mut tail = [Vec::new(), Vec::new()];
            self.decimator.flush(&mut tail);
            self.emit(&tail, out);
            self.jumps.clear();
            self.end_epoch(out);
        }
    }

    fn emit(&mut self, wire: &[Vec<f32>; 2], out: &mut Vec<Packet>) {
        let mut at = 0;
        loop {
            if self.jumps.front().is_some_and(|&jump| jump <= self.end) {
                self.jumps.pop_front();
                self.end_epoch(out);
            }
            let left = wire[0].len() - at;
            if left == 0 {
                return;
            }
            let to_jump = self.jumps.front().map_or(u64::MAX, |&jump| jump - self.end);
            let room = self.packet_frames - self.pending[0].len();
            let take = left.min(room).min(usize::try_from(to_jump).unwrap_or(usize::MAX));
            for (pending, wire) in self.pending.iter_mut().zip(wire) {
                pending.extend_from_slice(&wire[at..at + take]);
            }
            at += take;
            self.end += take as u64;
            self.begun = true;
            if self.pending[0].len() == self.packet_frames {
                self.cut(false, out);
            }
        }
    }

    fn end_epoch(&mut self, out: &mut Vec<Packet>) {
        if self.begun {
            self.cut(true, out);
            self.begun = false;
            self.epoch = self.epoch.wrapping_add(1);
        }
    }

    fn cut(&mut self, end_of_epoch: bool, out: &mut Vec<Packet>) {
        let channels: Vec<Vec<f32>> = self.pending.iter_mut().map(std::mem::take).collect();
        let frames = channels[0].len();
        let first_frame = self.end - frames as u64;
        let header = PacketHeader::mix(self.epoch, self.sequence, first_frame, frames as u32);
        self.sequence = self.sequence.wrapping_add(1);
        out.push(Packet { header: PacketHeader { end_of_epoch, ..header }, channels });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn slot(position: u64, epoch: u32, frames: u16) -> MixSlot {
        let samples = [[0.0; SLOT_FRAMES]; 2];
        let mut slot = MixSlot { position, epoch, frames, song_position: 0, samples };
        for i in 0..usize::from(frames) {
            slot.samples[0][i] = (position + i as u64) as f32;
            slot.samples[1][i] = -slot.samples[0][i];
        }
        slot
    }

    fn shape(packets: &[Packet]) -> Vec<(u32, u32, u64, u32, bool)> {
        let of = |h: &PacketHeader| (h.epoch, h.sequence, h.first_frame, h.frames, h.end_of_epoch);
        packets.iter().map(|p| of(&p.header)).collect()
    }

    #[test]
    fn slots_of_any_size_become_packets_with_every_sample_in_place() {
        let mut cutter = Cutter::new(100, Decimation::None, 7);
        let (mut out, mut position) = (Vec::new(), 1_000);
        for frames in [64, 1, 63, 64, 8, 50] {
            cutter.push(&slot(position, 0, frames), &mut out).unwrap();
            position += u64::from(frames);
        }
        assert_eq!(shape(&out), [(7, 0, 1_000, 100, false), (7, 1, 1_100, 100, false)]);
        cutter.finish(&mut out);
        cutter.finish(&mut out);
        assert_eq!(shape(&out)[2..], [(7, 2, 1_200, 50, true)]);
        let samples: Vec<f32> = out.iter().flat_map(|p| p.channels[0].clone()).collect();
        assert_eq!(samples, (1_000..1_250).map(|p| p as f32).collect::<Vec<_>>());
        assert_eq!(cutter.next_epoch(), 9);
    }

    #[test]
    fn jumps_gaps_and_full_packets_close_epochs() {
        let mut cutter = Cutter::new(64, Decimation::None, 0);
        let mut out = Vec::new();
        cutter.push(&slot(0, 3, 64), &mut out).unwrap();
        // A jump of the song: contiguous positions, another epoch; the mark comes with the first slot behind it.
        cutter.push(&slot(64, 4, 10), &mut out).unwrap();
        assert_eq!(shape(&out), [(0, 0, 0, 64, false), (0, 1, 64, 0, true)]);
        // A gap: the ring was full.
        cutter.push(&slot(500, 4, 64), &mut out).unwrap();
        assert_eq!(shape(&out)[2..], [(1, 2, 64, 10, true), (2, 3, 500, 64, false)]);
        assert_eq!(cutter.push(&slot(400, 4, 64), &mut out), Err(Rewound { expected: 564, got: 400 }));
    }

    #[test]
    fn a_jump_under_the_decimator_lands_on_the_wires_grid() {
        let mut cutter = Cutter::new(1_000, Decimation::By2, 0);
        let mut out = Vec::new();
        let mut position = 10;
        for (epoch, frames) in [(0, 64), (0, 35), (1, 64), (1, 64)] {
            cutter.push(&slot(position, epoch, frames), &mut out).unwrap();
            position += u64::from(frames);
        }
        cutter.finish(&mut out);
        // Host 10..109 is wire 5..55 (54.5 rounded up), host 109..237 is wire 55..119.
        assert_eq!(shape(&out), [(0, 0, 5, 50, true), (1, 1, 55, 64, true)]);
    }
}
