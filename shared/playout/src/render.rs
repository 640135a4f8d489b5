//! What a decision sounds like: cross-fades, the closed sum, the main mix. Decides nothing itself.
//!
//! With `w` the part the stems have (1 normally, 0 over a hole, a straight line over one slot between):
//! a travelling stem is `w·s`, the closing stem is `mix − Σ w·s`, and
//! `main = w·Σ g·s + (1 − w)·g_max·mix`, which is computed as
//! `(g_max + w·(g_closing − g_max))·mix + w·Σ (g − g_closing)·s` over the travelling stems: with all
//! gains equal the stems cancel by arithmetic, not by luck, and 0 dB on all faders is the mix bit by bit.
//! A bypass that is `b` far gone takes `1 − b` of all that and `b` of the mix.

use crate::{
    MAX_TRAVELLING_CHANNELS, Peaks, Playout, PlayoutCounters, SLOT_FRAMES,
    gains::slide,
    layout::LANES,
    store::{SlotIndex, audible},
};

/// A part of a block that lies within one slot of what comes out.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Stretch {
    /// First frame of it in the block.
    pub(crate) start: usize,
    /// First frame of it in the slot.
    pub(crate) offset: usize,
    pub(crate) count: usize,
    /// Position of what comes out; negative before the first.
    pub(crate) out: i64,
}

impl Playout {
    pub(crate) fn render(
        &mut self,
        at: Stretch,
        mix_in: [&[f32]; 2],
        stems_out: &mut [[&mut [f32]; 2]],
        main_out: &mut [&mut [f32]; 2],
    ) {
        self.silence_unused(at, stems_out);
        let mask = self.mix[0].len() - 1;
        let slot: SlotIndex = at.out.div_euclid(SLOT_FRAMES as i64);
        let [before, here, behind] = self.there;
        let begin = f32::from(u8::from(before && here));
        let end = f32::from(u8::from(here && behind));
        let samples = self.store.samples(slot);
        let closing = self.layout.closing();
        let mut lanes = [0usize; MAX_TRAVELLING_CHANNELS / 2];
        let travelling = self.layout.lanes().zip(&mut lanes).map(|(lane, to)| *to = lane).count();
        let lanes = &lanes[..travelling];
        let mut bridged = 0;
        let mut played = 0;
        for i in 0..at.count {
            let put = (self.position as usize).wrapping_add(i) & mask;
            for (channel, (ring, input)) in self.mix.iter_mut().zip(mix_in).enumerate() {
                let sample = audible(input[at.start + i]);
                ring[put] = sample;
                Peaks::raise(&mut self.peaks.input[channel], sample);
            }
            let (&gains, largest): (&[f32; LANES], f32) = self.gains.step();
            let to = at.start + i;
            if at.out + (i as i64) < self.origin as i64 {
                stems_out.iter_mut().flatten().for_each(|out| out[to] = 0.0);
                main_out.iter_mut().for_each(|out| out[to] = 0.0);
                continue;
            }
            if self.bypass[0] != self.bypass[1] {
                self.bypass[1] = slide(self.bypass[1], self.bypass[0]);
            }
            let b = self.bypass[1];
            let w = begin + (end - begin) * (at.offset + i) as f32 / SLOT_FRAMES as f32;
            let dry = f64::from((1.0 - b) * (largest + w * (gains[closing] - largest)) + b);
            let wet = w * (1.0 - b);
            let take = put.wrapping_sub(self.config.latency_frames as usize) & mask;
            for (channel, ring) in self.mix.iter().enumerate() {
                let mix = f64::from(ring[take]);
                let (mut main, mut sum, mut shown) = (dry * mix, 0.0, 0.0);
                for (row, &lane) in lanes.iter().enumerate() {
                    // Over a hole the cell holds something older.
                    let s = if wet > 0.0 {
                        wet * samples[(2 * row + channel) * SLOT_FRAMES + at.offset + i]
                    } else {
                        0.0
                    };
                    main += f64::from(gains[lane] - gains[closing]) * f64::from(s);
                    sum += f64::from(s);
                    let heard = gains[lane] * s;
                    shown += heard;
                    Peaks::raise(&mut self.peaks.lanes[lane][channel], heard);
                    if let Some(out) = stems_out.get_mut(lane) {
                        out[channel][to] = audible(s);
                    }
                }
                if let Some(out) = stems_out.get_mut(closing) {
                    out[channel][to] = audible((mix - sum) as f32);
                }
                let main = audible(main as f32);
                main_out[channel][to] = main;
                Peaks::raise(&mut self.peaks.main[channel], main);
                Peaks::raise(&mut self.peaks.lanes[closing][channel], main - shown);
            }
            played += 1;
            bridged += u64::from(w < 1.0);
        }
        PlayoutCounters::add(&self.counters.frames, played);
        PlayoutCounters::add(&self.counters.bridged_frames, bridged);
    }

    /// Lanes that no stem lies on are silent.
    fn silence_unused(&self, at: Stretch, stems_out: &mut [[&mut [f32]; 2]]) {
        for (_, out) in stems_out.iter_mut().enumerate().filter(|(lane, _)| !self.layout.has(*lane)) {
            out.iter_mut().for_each(|channel| channel[at.start..at.start + at.count].fill(0.0));
        }
    }
}
