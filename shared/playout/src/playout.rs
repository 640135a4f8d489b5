//! The playout itself: aligned mix, decisions one slot ahead, cross-fades, the closed sum and the main mix.
//!
//! With `w` the part the stems have (1 normally, 0 over a hole, a straight line over one slot between):
//! a travelling stem is `w·s`, the closing stem is `mix − Σ w·s`, and
//! `main = w·Σ g·s + (1 − w)·g_max·mix`, which is computed as
//! `(g_max + w·(g_closing − g_max))·mix + w·Σ (g − g_closing)·s` over the travelling stems: with all
//! gains equal the stems cancel by arithmetic, not by luck, and 0 dB on all faders is the mix bit by bit.

use std::sync::Arc;

use rehearsekit_audio::StemSet;

use crate::{
    PlayoutCounters, SLOT_FRAMES, StemGains, StemSlot,
    gains::Smoothed,
    store::{Arrival, SlotIndex, Store},
};

/// What does not change while a playout lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PlayoutConfig {
    /// The latency: what went in at position p comes out this many frames later.
    pub latency_frames: u32,
    /// How many stems the model has, 2 to [`StemSet::MAX`].
    pub stem_count: usize,
    /// Which of them closes the sum.
    pub closing: usize,
    /// How far the network may be ahead of [`Playout::process`]: the largest block, usually.
    pub max_block_frames: u32,
}

/// What became of an arrival.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Placed {
    /// In its slot (or it was there already).
    Stored,
    /// Playout had decided without it; dropped.
    Late,
    /// Belongs nowhere: malformed, or of audio that was never pushed; dropped.
    Refused,
}

/// Stems and mix at a constant latency. One owner, the audio thread.
#[derive(Debug)]
pub struct Playout {
    config: PlayoutConfig,
    store: Store,
    /// The mix of the last `latency_frames`, `[channel][position mod length]`.
    mix: [Vec<f32>; 2],
    gains: Smoothed,
    /// Position of the next frame that goes in.
    position: u64,
    /// First position since the last reset; silence comes out before it.
    origin: u64,
    /// The last slot that was decided about, and whether it and the two before it are there.
    decided: SlotIndex,
    there: [bool; 3],
    counters: Arc<PlayoutCounters>,
}

impl Playout {
    /// A playout at position 0. Allocates everything it will ever need. A `stem_count` or `closing` outside
    /// its range is taken to the nearest that is allowed.
    pub fn new(config: PlayoutConfig) -> Self {
        let stem_count = config.stem_count.clamp(2, StemSet::MAX);
        let config = PlayoutConfig { stem_count, closing: config.closing.min(stem_count - 1), ..config };
        let held_frames = u64::from(config.latency_frames) + u64::from(config.max_block_frames);
        // Two more for the slots that are begun at either end, one for the decision ahead.
        let slots = held_frames as usize / SLOT_FRAMES + 3;
        let mix_frames = (config.latency_frames as usize + 1).next_power_of_two();
        let mut playout = Self {
            config,
            store: Store::new(slots, 2 * (stem_count - 1)),
            mix: [vec![0.0; mix_frames], vec![0.0; mix_frames]],
            gains: Smoothed::new(stem_count),
            position: 0,
            origin: 0,
            decided: 0,
            there: [true; 3],
            counters: Arc::default(),
        };
        playout.begin(0);
        playout
    }

    fn begin(&mut self, origin: u64) {
        self.position = origin;
        self.origin = origin;
        // Nothing is missing before the beginning, so no fade comes out of it.
        self.there = [true; 3];
        self.decided = self.playing() - 1;
        self.gains.restart();
    }

    /// Discards all audio. What was pushed before will never be heard: the next position lies beyond
    /// everything that may still be on its way, so take it from [`Self::position`] and start a new epoch.
    pub fn reset(&mut self) {
        let beyond = self.position + u64::from(self.config.max_block_frames);
        // On the grid, or the first slot could never be complete.
        self.begin(beyond.next_multiple_of(SLOT_FRAMES as u64));
    }

    /// The position of the next frame given to [`Self::process`].
    pub fn position(&self) -> u64 {
        self.position
    }

    /// What was configured.
    pub fn config(&self) -> &PlayoutConfig {
        &self.config
    }

    /// The counters, to be shown elsewhere. Call it before playing: it counts references.
    pub fn counters(&self) -> Arc<PlayoutCounters> {
        Arc::clone(&self.counters)
    }

    /// The slot of the next frame that comes out.
    fn playing(&self) -> SlotIndex {
        (self.position as i64 - i64::from(self.config.latency_frames)).div_euclid(SLOT_FRAMES as i64)
    }

    fn origin_slot(&self) -> SlotIndex {
        (self.origin / SLOT_FRAMES as u64) as SlotIndex
    }

    /// Lays an arrival into its slot. Any order, twice is harmless. Must not be ahead of
    /// [`Self::position`] by more than `max_block_frames`.
    pub fn push_slot(&mut self, stems: &StemSlot) -> Placed {
        let count = PlayoutCounters::add;
        let ahead = self.position + u64::from(self.config.max_block_frames);
        let Some(arrival) =
            Arrival::of(stems).filter(|a| stems.position.saturating_add(a.frames as u64) <= ahead)
        else {
            count(&self.counters.refused, 1);
            return Placed::Refused;
        };
        if arrival.slot < self.origin_slot() {
            // Of before the reset: nobody waits for it, so it is no fault to be counted.
            return Placed::Late;
        }
        if arrival.slot > self.decided {
            self.store.put(&arrival, stems);
            return Placed::Stored;
        }
        // Samples are not touched: what is decided stays. The marks tell late from lost, and both from
        // what merely came twice; where a newer slot has taken the cell it was late for certain.
        let fresh = self.store.mark_decided(&arrival).unwrap_or(arrival.frames as u64);
        if fresh == 0 {
            return Placed::Stored;
        }
        count(&self.counters.late, 1);
        count(&self.counters.late_frames, fresh);
        Placed::Late
    }

    /// Lays everything that waits in `ring` into its slots.
    pub fn take_from(&mut self, ring: &mut rtrb::Consumer<StemSlot>) {
        let waiting = ring.slots();
        if let Ok(chunk) = ring.read_chunk(waiting) {
            let (first, second) = chunk.as_slices();
            for stems in first.iter().chain(second) {
                self.push_slot(stems);
            }
            chunk.commit_all();
        }
    }

    /// Whether the next `frames` can be processed without an underrun: for a caller that may wait.
    pub fn is_ready(&self, frames: usize) -> bool {
        let last = self.position as i64 + frames as i64 - i64::from(self.config.latency_frames) - 1;
        let last = last.div_euclid(SLOT_FRAMES as i64) + 1;
        let first = (self.decided + 1).max(self.origin_slot());
        frames == 0 || (first..=last).all(|slot| self.store.is_complete(slot))
    }

    /// Takes a block of the mix in and gives the audio of `latency_frames` earlier out: the stems before
    /// their faders (`stems_out[stem][channel]`, all of them or an empty slice) and the main mix behind
    /// them. All slices have one length, any length; of different ones the shortest counts. A sample of
    /// the mix that is not finite counts as 0.
    pub fn process(
        &mut self,
        mix_in: [&[f32]; 2],
        gains: &[StemGains],
        stems_out: &mut [[&mut [f32]; 2]],
        main_out: [&mut [f32]; 2],
    ) {
        let lengths = mix_in.iter().map(|c| c.len()).chain(main_out.iter().map(|c| c.len()));
        let stem_lengths = stems_out.iter().flatten().map(|c| c.len());
        let frames = lengths.chain(stem_lengths).min().unwrap_or(0);
        self.gains.aim(gains);
        let mut start = 0;
        let mut main_out = main_out;
        while start < frames {
            let out = self.position as i64 - i64::from(self.config.latency_frames);
            let offset = out.rem_euclid(SLOT_FRAMES as i64) as usize;
            let count = (SLOT_FRAMES - offset).min(frames - start);
            self.decide(out.div_euclid(SLOT_FRAMES as i64));
            self.render(Stretch { start, offset, count, out }, mix_in, stems_out, &mut main_out);
            self.position += count as u64;
            start += count;
        }
    }

    /// Decides about all slots up to the one behind `playing`.
    fn decide(&mut self, playing: SlotIndex) {
        while self.decided <= playing {
            self.decided += 1;
            let slot = self.decided;
            let there = slot < self.origin_slot() || self.store.is_complete(slot);
            if !there {
                let count = PlayoutCounters::add;
                count(&self.counters.underruns, 1);
                count(&self.counters.missing_frames, self.store.missing(slot));
                count(&self.counters.holes, u64::from(self.there[2]));
            }
            self.there = [self.there[1], self.there[2], there];
        }
    }

    fn render(
        &mut self,
        at: Stretch,
        mix_in: [&[f32]; 2],
        stems_out: &mut [[&mut [f32]; 2]],
        main_out: &mut [&mut [f32]; 2],
    ) {
        let mask = self.mix[0].len() - 1;
        let slot = at.out.div_euclid(SLOT_FRAMES as i64);
        let [before, here, behind] = self.there;
        let begin = f32::from(u8::from(before && here));
        let end = f32::from(u8::from(here && behind));
        let samples = self.store.samples(slot);
        let closing = self.config.closing;
        let mut bridged = 0;
        let mut played = 0;
        for i in 0..at.count {
            let put = (self.position as usize).wrapping_add(i) & mask;
            for (ring, input) in self.mix.iter_mut().zip(mix_in) {
                let sample = input[at.start + i];
                ring[put] = if sample.is_finite() { sample } else { 0.0 };
            }
            let gains = self.gains.step();
            let to = at.start + i;
            if at.out + (i as i64) < self.origin as i64 {
                stems_out.iter_mut().flatten().for_each(|out| out[to] = 0.0);
                main_out.iter_mut().for_each(|out| out[to] = 0.0);
                continue;
            }
            let w = begin + (end - begin) * (at.offset + i) as f32 / SLOT_FRAMES as f32;
            let largest = gains.iter().fold(0.0, |a: f32, &b| a.max(b));
            let dry = f64::from(largest + w * (gains[closing] - largest));
            let take = put.wrapping_sub(self.config.latency_frames as usize) & mask;
            for (channel, ring) in self.mix.iter().enumerate() {
                let mix = f64::from(ring[take]);
                let (mut main, mut sum) = (dry * mix, 0.0);
                let mut row = channel;
                for (stem, gain) in gains.iter().enumerate() {
                    if stem == closing {
                        continue;
                    }
                    // Over a hole the cell holds something older.
                    let s = if w > 0.0 { w * samples[row * SLOT_FRAMES + at.offset + i] } else { 0.0 };
                    main += f64::from(gain - gains[closing]) * f64::from(s);
                    sum += f64::from(s);
                    row += 2;
                    if let Some(out) = stems_out.get_mut(stem) {
                        out[channel][to] = s;
                    }
                }
                if let Some(out) = stems_out.get_mut(closing) {
                    out[channel][to] = (mix - sum) as f32;
                }
                main_out[channel][to] = main as f32;
            }
            played += 1;
            bridged += u64::from(w < 1.0);
        }
        PlayoutCounters::add(&self.counters.frames, played);
        PlayoutCounters::add(&self.counters.bridged_frames, bridged);
    }
}

/// A part of a block that lies within one slot of what comes out.
#[derive(Clone, Copy)]
struct Stretch {
    /// First frame of it in the block.
    start: usize,
    /// First frame of it in the slot.
    offset: usize,
    count: usize,
    /// Position of what comes out; negative before the first.
    out: i64,
}
