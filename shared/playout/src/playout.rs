//! The playout itself: positions, arrivals, decisions one slot ahead. What a decision sounds like is `render`.

use std::sync::Arc;

use rehearsekit_audio::StemSet;

use crate::{
    Layout, Peaks, PlayoutCounters, SLOT_FRAMES, StemGains, StemSlot,
    gains::{Level, Part, Smoothed},
    layout::LANES,
    render::Stretch,
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
    pub(crate) config: PlayoutConfig,
    pub(crate) store: Store,
    /// Whether slots say themselves what they are.
    any_model: bool,
    /// What the stems are that are played, or were last.
    pub(crate) layout: Layout,
    /// Whether any stem has been played since the last reset.
    started: bool,
    /// The mix of the last `latency_frames`, `[channel][position mod length]`.
    pub(crate) mix: [Vec<f32>; 2],
    pub(crate) gains: Smoothed,
    /// 0 is off, 1 the mix alone.
    pub(crate) bypass: Level,
    /// The stems' share of the main output against the mix's.
    pub(crate) wetness: Level,
    pub(crate) master: Level,
    /// Position of the next frame that goes in.
    pub(crate) position: u64,
    /// First position since the last reset; silence comes out before it.
    pub(crate) origin: u64,
    /// The last slot that was decided about, and whether it and the two before it are there.
    decided: SlotIndex,
    pub(crate) there: [bool; 3],
    pub(crate) peaks: Peaks,
    pub(crate) counters: Arc<PlayoutCounters>,
}

impl Playout {
    /// A playout at position 0. Allocates everything it will ever need. A `stem_count` or `closing` outside
    /// its range is taken to the nearest that is allowed.
    pub fn new(config: PlayoutConfig) -> Self {
        Self::with(config, Layout::in_order(config.stem_count, config.closing), false)
    }

    /// A playout whose lanes are named ([`LANE_NAMES`](crate::layout::LANE_NAMES)) and which every slot tells
    /// what it carries. `layout` is what is assumed before the first. Going from one layout to another is
    /// audible as a hole of one slot; all layouts must have the same closing lane, as [`Layout::by_name`]
    /// gives them.
    pub fn for_any_model(latency_frames: u32, max_block_frames: u32, layout: Layout) -> Self {
        let closing = layout.closing();
        let config = PlayoutConfig { latency_frames, stem_count: LANES, closing, max_block_frames };
        Self::with(config, layout, true)
    }

    fn with(config: PlayoutConfig, layout: Layout, any_model: bool) -> Self {
        let stem_count = config.stem_count.clamp(2, StemSet::MAX);
        let config = PlayoutConfig { stem_count, closing: config.closing.min(stem_count - 1), ..config };
        let held_frames = u64::from(config.latency_frames) + u64::from(config.max_block_frames);
        // Two more for the slots that are begun at either end, one for the decision ahead.
        let slots = held_frames as usize / SLOT_FRAMES + 3;
        let mix_frames = (config.latency_frames as usize + 1).next_power_of_two();
        let mut playout = Self {
            config,
            store: Store::new(slots, 2 * (stem_count - 1), layout),
            any_model,
            layout,
            started: false,
            mix: [vec![0.0; mix_frames], vec![0.0; mix_frames]],
            gains: Smoothed::new(&layout),
            bypass: Level::at(0.0),
            wetness: Level::at(1.0),
            master: Level::at(1.0),
            position: 0,
            origin: 0,
            decided: 0,
            there: [true; 3],
            peaks: Peaks::default(),
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
        self.levels().into_iter().for_each(Level::jump);
        self.started = false;
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

    /// Bypassed, the main output is the aligned mix and nothing else, and so is the closing stem; the others are
    /// silent. Cross-faded over 256 frames; at once right after [`Self::new`] and [`Self::reset`].
    pub fn set_bypassed(&mut self, bypassed: bool) {
        self.bypass.aim(f32::from(u8::from(bypassed)));
        self.jump_at_the_start();
    }

    /// What becomes of the stems on the main output, and there alone: `wetness` of them, 0 to 1, and of the aligned
    /// mix the rest; all that times `master`, linear. In ramps as the bypass.
    pub fn set_output(&mut self, master: f32, wetness: f32) {
        self.master.aim(if master.is_finite() { master.max(0.0) } else { 0.0 });
        self.wetness.aim(if wetness.is_finite() { wetness.clamp(0.0, 1.0) } else { 1.0 });
        self.jump_at_the_start();
    }

    /// What is heard of the lane that the player calls theirs.
    pub fn set_part(&mut self, part: Part) {
        self.gains.set_part(part);
    }

    fn jump_at_the_start(&mut self) {
        if self.position == self.origin {
            self.levels().into_iter().for_each(Level::jump);
        }
    }

    fn levels(&mut self) -> [&mut Level; 3] {
        [&mut self.bypass, &mut self.wetness, &mut self.master]
    }

    /// The layout that is played, or was last.
    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    /// Whether the mix stands in for the stems in what came out last.
    pub fn is_bridging(&self) -> bool {
        !(self.there[0] && self.there[1])
    }

    /// The peaks since this was last called.
    pub fn take_peaks(&mut self) -> Peaks {
        std::mem::take(&mut self.peaks)
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
            let layout = if self.any_model { stems.layout } else { self.layout };
            self.store.put(&arrival, stems, layout);
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
        self.take_some_from(ring, usize::MAX);
    }

    /// Lays what waits in `ring` into its slots, the first `most` of it: after a stall of the network, a block
    /// need not pay for everything at once.
    pub fn take_some_from(&mut self, ring: &mut rtrb::Consumer<StemSlot>, most: usize) {
        let waiting = ring.slots().min(most);
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

    /// Takes a block of the mix in and gives the audio of `latency_frames` earlier out: the stems behind
    /// their faders (`stems_out[stem][channel]`, all of them or an empty slice), which sum to what they are on the
    /// main output, and that output itself. All slices have one length, any length; of different ones the shortest counts. A sample of
    /// the mix that is not finite counts as 0, and so does one too small to be a normal number. Lanes that
    /// no stem lies on are silent.
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
            let there = slot < self.origin_slot() || (self.store.is_complete(slot) && self.admits(slot));
            if !there {
                let count = PlayoutCounters::add;
                count(&self.counters.underruns, 1);
                count(&self.counters.missing_frames, self.store.missing(slot));
                count(&self.counters.holes, u64::from(self.there[2]));
            }
            self.there = [self.there[1], self.there[2], there];
        }
    }

    /// Whether a complete slot can be played behind the one before it. Another model's stems cannot follow at
    /// once: the slot between is a hole, so that both can fade.
    fn admits(&mut self, slot: SlotIndex) -> bool {
        let layout = self.store.layout(slot);
        if layout != self.layout {
            if self.started && self.there[2] {
                return false;
            }
            self.layout = layout;
            self.gains.lay_out(&layout);
        }
        self.started = true;
        true
    }
}
