//! Brings upstream packets, each on its own stream and in any order, back into runs of contiguous audio.
//!
//! The order is that of the packets' sequence numbers, which wrap: each is taken for the number nearest to the one that
//! comes next. A missing one is waited for until `gap_after` has
//! passed since the first packet behind it arrived; then it is lost, the epoch ends at the gap and a new
//! one starts behind it. Nothing is ever shifted or made up here: what is missing is missing.
//! Holds at most `max_packets` packets, whatever the client sends.
#![warn(clippy::arithmetic_side_effects, reason = "it reckons with what came over the wire")]

use std::{
    collections::{BTreeMap, VecDeque},
    time::Duration,
};

use crate::{Packet, PacketKind};

/// What a separation pipeline is to be told next.
#[derive(Debug, Clone, PartialEq)]
pub enum Run {
    /// A new epoch: forget what was before.
    Start {
        /// The client's number for it (two runs may share it around a loss).
        epoch: u32,
        /// Position of its first frame.
        position: u64,
    },
    /// The next frames of the epoch.
    Frames {
        /// Position of the first.
        first_frame: u64,
        /// `[channel][frame]`, two channels.
        channels: Vec<Vec<f32>>,
        /// The moment from which these frames and all before them were here.
        arrived: Duration,
    },
    /// The epoch ends here: everything up to this position has to come out.
    End {
        /// Position behind its last frame.
        position: u64,
    },
}

/// A packet that breaks the protocol.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ArrangeError {
    /// Stems do not travel upstream.
    #[error("the client sent a packet of stems")]
    Kind,
    /// Positions only ever count up.
    #[error("packet {sequence} starts at frame {first_frame}, but the audio before it reached {expected}")]
    Backwards {
        /// The packet's number.
        sequence: u32,
        /// Where it starts.
        first_frame: u64,
        /// Where it may start at the earliest.
        expected: u64,
    },
}

/// Packets in as they arrive, runs out in order.
#[derive(Debug)]
pub struct Arranger {
    gap_after: Duration,
    max_packets: usize,
    /// By how many packets were sent before each.
    pending: BTreeMap<u64, (Packet, Duration)>,
    next: u64,
    /// The open epoch and the position behind its last frame so far.
    open: Option<u32>,
    position: u64,
    arrived: Duration,
    ready: VecDeque<Run>,
    lost: u64,
    late: u64,
}

impl Arranger {
    /// An arranger at the start of a connection, whose first packet has sequence 0. `Duration::MAX` never
    /// gives a packet up for its time; more than `max_packets` waiting behind a gap always do.
    pub fn new(gap_after: Duration, max_packets: usize) -> Self {
        Self {
            gap_after,
            max_packets,
            pending: BTreeMap::new(),
            next: 0,
            open: None,
            position: 0,
            arrived: Duration::ZERO,
            ready: VecDeque::new(),
            lost: 0,
            late: 0,
        }
    }

    /// A packet that arrived whole. Take all runs out with [`Self::next_run`] before pushing more.
    pub fn push(&mut self, packet: Packet, now: Duration) -> Result<(), ArrangeError> {
        if packet.header.kind != PacketKind::Mix {
            return Err(ArrangeError::Kind);
        }
        match self.count_of(packet.header.sequence).filter(|count| *count >= self.next) {
            Some(count) => {
                self.pending.entry(count).or_insert((packet, now));
            }
            None => self.late = self.late.saturating_add(1),
        }
        Ok(())
    }

    /// The next run that is certain at `now`; call until `None`, after every push and at
    /// [`Self::next_deadline`].
    pub fn next_run(&mut self, now: Duration) -> Result<Option<Run>, ArrangeError> {
        loop {
            if let Some(run) = self.ready.pop_front() {
                return Ok(Some(run));
            }
            let Some((&first, _)) = self.pending.first_key_value() else { return Ok(None) };
            let given_up = self.pending.len() > self.max_packets
                || self.next_deadline().is_some_and(|deadline| deadline <= now);
            if first != self.next && !given_up {
                return Ok(None);
            }
            self.take_first()?;
        }
    }

    /// When a gap will be given up, if nothing fills it before.
    pub fn next_deadline(&self) -> Option<Duration> {
        let (&first, _) = self.pending.first_key_value()?;
        if first == self.next {
            return None;
        }
        let oldest = self.pending.values().map(|(_, arrived)| *arrived).min()?;
        oldest.checked_add(self.gap_after)
    }

    /// Nothing more will arrive: all that is here comes out, gaps given up, the epoch ended.
    pub fn finish(&mut self) -> Result<Vec<Run>, ArrangeError> {
        while !self.pending.is_empty() {
            self.take_first()?;
        }
        self.end();
        Ok(self.ready.drain(..).collect())
    }

    /// Packets given up so far.
    pub fn lost(&self) -> u64 {
        self.lost
    }

    /// Packets that came after they had been given up, or twice.
    pub fn late(&self) -> u64 {
        self.late
    }

    /// How many packets were sent before the one with this number; `None` if it counts from before the first.
    fn count_of(&self, sequence: u32) -> Option<u64> {
        // The low bits of `next`, and a distance of less than half of all numbers, forth or back.
        let ahead = sequence.wrapping_sub(self.next as u32).cast_signed();
        self.next.checked_add_signed(ahead.into())
    }

    fn take_first(&mut self) -> Result<(), ArrangeError> {
        let Some((count, (packet, arrived))) = self.pending.pop_first() else { return Ok(()) };
        let header = packet.header;
        self.lost = self.lost.saturating_add(count.saturating_sub(self.next));
        self.next = count.saturating_add(1);
        self.arrived = self.arrived.max(arrived);
        if header.first_frame < self.position {
            return Err(ArrangeError::Backwards {
                sequence: header.sequence,
                first_frame: header.first_frame,
                expected: self.position,
            });
        }
        if self.open != Some(header.epoch) || header.first_frame != self.position {
            self.end();
            self.position = header.first_frame;
            // A packet of no frames only ends an epoch; it does not start one to end it again.
            if header.frames > 0 {
                self.open = Some(header.epoch);
                self.ready.push_back(Run::Start { epoch: header.epoch, position: self.position });
            }
        }
        if header.frames > 0 {
            self.position = header.end();
            self.ready.push_back(Run::Frames {
                first_frame: header.first_frame,
                channels: packet.channels,
                arrived: self.arrived,
            });
        }
        if header.end_of_epoch {
            self.end();
        }
        Ok(())
    }

    fn end(&mut self) {
        if self.open.take().is_some() {
            self.ready.push_back(Run::End { position: self.position });
        }
    }
}
