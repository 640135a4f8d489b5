//! What a decision sounds like: cross-fades, the closed sum, the main mix. Decides nothing itself.
//!
//! With `w` the part the stems have (1 normally, 0 over a hole, a straight line over one slot between) and `g` the
//! gains of one side, a travelling stem's output is `w·g·s`, the stems together are
//! `w·Σ g·s + (1 − w)·g_max·mix`, which is computed as
//! `(g_max + w·(g_closing − g_max))·mix + w·Σ (g − g_closing)·s` over the travelling stems: with all
//! gains equal the stems cancel by arithmetic, not by luck, and 0 dB on all faders is the mix bit by bit.
//! The closing stem's output is what is missing from the others to that. The main output is that at the dry/wet
//! level, with the mix for the rest, times the master gain. A bypass that is `b` far gone takes `1 − b` of all
//! that and `b` of the mix.

use crate::{
    MAX_TRAVELLING_CHANNELS, Peaks, Playout, PlayoutCounters, SLOT_FRAMES,
    gains::Sides,
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
            let (&gains, largest): (&Sides, [f32; 2]) = self.gains.step();
            let to = at.start + i;
            if at.out + (i as i64) < self.origin as i64 {
                stems_out.iter_mut().flatten().for_each(|out| out[to] = 0.0);
                main_out.iter_mut().for_each(|out| out[to] = 0.0);
                continue;
            }
            let b = self.bypass.step();
            let wetness = 1.0 - (1.0 - b) * (1.0 - self.wetness.step());
            let master = 1.0 + (1.0 - b) * (self.master.step() - 1.0);
            let w = begin + (end - begin) * (at.offset + i) as f32 / SLOT_FRAMES as f32;
            let wet = w * (1.0 - b);
            let take = put.wrapping_sub(self.config.latency_frames as usize) & mask;
            for (channel, ring) in self.mix.iter().enumerate() {
                let g_closing = gains[closing][channel];
                let g_max = largest[channel];
                let dry = f64::from((1.0 - b) * (g_max + w * (g_closing - g_max)) + b);
                let mix = f64::from(ring[take]);
                let (mut together, mut shown) = (dry * mix, 0.0);
                for (row, &lane) in lanes.iter().enumerate() {
                    // Over a hole the cell holds something older.
                    let s = if wet > 0.0 {
                        wet * samples[(2 * row + channel) * SLOT_FRAMES + at.offset + i]
                    } else {
                        0.0
                    };
                    let gain = gains[lane][channel];
                    together += f64::from(gain - g_closing) * f64::from(s);
                    let heard = audible(gain * s);
                    shown += f64::from(heard);
                    Peaks::raise(&mut self.peaks.lanes[lane][channel], heard);
                    if let Some(out) = stems_out.get_mut(lane) {
                        out[channel][to] = heard;
                    }
                }
                let rest = audible((together - shown) as f32);
                Peaks::raise(&mut self.peaks.lanes[closing][channel], rest);
                if let Some(out) = stems_out.get_mut(closing) {
                    out[channel][to] = rest;
                }
                let blend = mix + f64::from(wetness) * (together - mix);
                // At the right end exactly, or the sum would be the mix only nearly.
                let main = f64::from(master) * if wetness == 1.0 { together } else { blend };
                let main = audible(main as f32);
                main_out[channel][to] = main;
                Peaks::raise(&mut self.peaks.main[channel], main);
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
