//! A song's true tempo map: beats as a function of frames, integrated; and frames of beats by bisection. Knows nothing
//! of the code it judges.

/// A part of a song.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Part {
    /// Length in frames, not necessarily whole.
    pub(crate) frames: f64,
    /// Beats per minute at its beginning and end; in between they move evenly in time.
    pub(crate) bpm: [f64; 2],
}

/// A song. Beat 0 is at frame 0; before it goes on as its first part begins, and behind its last as that ends.
#[derive(Debug, Clone)]
pub(crate) struct Song {
    pub(crate) rate_hz: u32,
    pub(crate) parts: Vec<Part>,
    /// Meters with the beat from which on they count; each begins a bar. The first counts before 0 too.
    pub(crate) meters: Vec<(f64, (u32, u32))>,
}

impl Song {
    pub(crate) fn steady(rate_hz: u32, bpm: f64, meter: (u32, u32)) -> Self {
        Self { rate_hz, parts: vec![Part { frames: 1.0, bpm: [bpm; 2] }], meters: vec![(0.0, meter)] }
    }

    fn per_frame(&self, bpm: f64) -> f64 {
        bpm / 60.0 / f64::from(self.rate_hz)
    }

    /// Quarter notes at a frame.
    pub(crate) fn beats_at(&self, frame: f64) -> f64 {
        let mut beats = 0.0;
        let mut from = 0.0;
        if frame < 0.0 {
            return frame * self.per_frame(self.parts[0].bpm[0]);
        }
        for (n, part) in self.parts.iter().enumerate() {
            let into = frame - from;
            if into <= part.frames || n + 1 == self.parts.len() {
                let within = into.min(part.frames);
                let slope = (part.bpm[1] - part.bpm[0]) / part.frames;
                let mean = part.bpm[0] + 0.5 * slope * within;
                return beats + within * self.per_frame(mean) + (into - within) * self.per_frame(part.bpm[1]);
            }
            beats += part.frames * self.per_frame(0.5 * (part.bpm[0] + part.bpm[1]));
            from += part.frames;
        }
        beats
    }

    /// Beats per minute right behind a frame.
    pub(crate) fn bpm_at(&self, frame: f64) -> f64 {
        let mut from = 0.0;
        for part in &self.parts {
            if frame < from + part.frames {
                let into = (frame - from).max(0.0) / part.frames;
                return part.bpm[0] + into * (part.bpm[1] - part.bpm[0]);
            }
            from += part.frames;
        }
        self.parts[self.parts.len() - 1].bpm[1]
    }

    /// The frame of a beat.
    pub(crate) fn frame_of(&self, beats: f64) -> f64 {
        let (mut low, mut high) = (-1e7, 1e10);
        while high - low > 1e-6 {
            let middle = 0.5 * (low + high);
            if self.beats_at(middle) < beats { low = middle } else { high = middle }
        }
        0.5 * (low + high)
    }

    fn meter_at(&self, beats: f64) -> (f64, (u32, u32)) {
        // A host counts in finer steps than this, but rounds.
        *self.meters.iter().rev().find(|(from, _)| *from <= beats + 1e-6).unwrap_or(&self.meters[0])
    }

    /// The meter at a beat, and where its bar began.
    pub(crate) fn bar_at(&self, beats: f64) -> (f64, (u32, u32)) {
        let (from, meter) = self.meter_at(beats);
        let bar = f64::from(meter.0) * 4.0 / f64::from(meter.1);
        (from + ((beats + 1e-6 - from) / bar).floor() * bar, meter)
    }

    /// Every click of `[from, to)` frames: its true frame, and 2 for a bar's first beat, 1 for a beat, 0 for what is
    /// between. `parts_of_beat` clicks to each beat.
    pub(crate) fn ticks(&self, from: f64, to: f64, parts_of_beat: impl Fn(u32) -> u32) -> Vec<(f64, usize)> {
        let mut ticks = Vec::new();
        let mut bar = self.bar_at(self.beats_at(from) - 8.0);
        loop {
            let (start, meter) = bar;
            let beat = 4.0 / f64::from(meter.1);
            let full = start + f64::from(meter.0) * beat;
            let breaks = self.meters.iter().map(|(from, _)| *from).filter(|from| *from > start + 1e-6);
            let end = breaks.fold(full, f64::min);
            let next = self.bar_at(end);
            let parts = parts_of_beat(meter.1);
            for n in 0..meter.0 * parts {
                let beats = start + f64::from(n) * beat / f64::from(parts);
                if beats > end - 1e-6 {
                    break;
                }
                let at = self.frame_of(beats);
                let kind = if n == 0 { 2 } else { usize::from(n % parts == 0) };
                if at >= to {
                    return ticks;
                }
                if at >= from {
                    ticks.push((at, kind));
                }
            }
            bar = next;
        }
    }
}
