//! Shadow jitter buffers: how deep a buffer would have had to be for everything that came, measured and never acted
//! upon.
//!
//! Time is the host's: frames of the mix it has pushed. A chunk that arrives when the host has pushed up to position
//! *p* is in time at a latency of *p* − its first frame and more. A ladder of sixteen imagined buffers counts what each
//! would have missed in the last five minutes; the depths that matter are kept exactly. No clock is read here, no
//! memory grows, and nothing that is found out moves anything by itself.

use std::{collections::VecDeque, ops::Range, time::Duration};

use rehearsekit_protocol::{OpenRequest, Opened};

/// The window is this many stretches of this length.
const STRETCHES: u64 = 30;
const STRETCH: Duration = Duration::from_secs(10);
/// The worst stretches that say nothing about the link yet: a hiccup is weather (and may lie across the border of two),
/// hiccups on three occasions in five minutes are climate. Counted in stretches and not in chunks, because what bothers
/// is the occasion, whether it swallows one chunk of a second and a half or thirty of 23 ms.
const FORGIVEN: usize = 2;
/// Depths of the ladder behind the algorithmic part of the latency: 5 ms, each half as much again, up to 2.2 s.
const BUFFERS: usize = 16;
const SHALLOWEST: Duration = Duration::from_millis(5);
const STEP: f64 = 1.5;
/// A host may be this far from real time over one chunk's way, and two blocks, and is still an honest clock.
const HONEST: Duration = Duration::from_millis(60);
/// Arrivals, and echoes, that are remembered to tell what a chunk that never came would have needed.
const REMEMBERED: usize = 512;

/// A chunk that is here. All positions are wire frames.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Arrival {
    pub(crate) first_frame: u64,
    /// What the host has pushed by now.
    pub(crate) position: u64,
    /// The last frame the server needed for it.
    pub(crate) needed_through: u64,
    /// Since that frame was taken from the audio thread.
    pub(crate) turnaround: Duration,
    /// The part of it that the server says was its own.
    pub(crate) server: Duration,
}

/// What the shadow buffers have found out, in wire frames or, as [`LinkStats`](crate::LinkStats) has it, in
/// milliseconds of the host.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct ShadowFigures {
    /// Chunks measured in the last five minutes, and those that never came and were estimated.
    pub chunks: u64,
    /// Chunks that went down with a connection: no depth would have saved them.
    pub lost: u64,
    /// How often a connection broke in that time.
    pub breaks: u64,
    /// Stretches of 10 s of which something is known; at most 30.
    pub stretches: u64,
    /// The latency at which nothing would have been missed.
    pub worst: f64,
    /// The link's own part, there and back, at its worst and at its least.
    pub worst_link: f64,
    /// See [`Self::worst_link`].
    pub least_link: f64,
    /// The latency at which something would have been missed in two of the stretches at most: what the link, the
    /// server and the host together need. Nothing while three stretches are not known.
    pub needed: Option<f64>,
    /// The link's own part of that: there and back, without the server's time and without the host's blocks.
    pub link: Option<f64>,
    /// How much that part varies: from its least to what it needs.
    pub jitter: Option<f64>,
    /// The ladder: a latency each, and what would have been missed at it.
    pub buffers: [ShadowBuffer; BUFFERS],
}

/// One rung.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct ShadowBuffer {
    /// The latency.
    pub depth: f64,
    /// Chunks of [`ShadowFigures::chunks`] and [`ShadowFigures::lost`] that would have been missed.
    pub missed: u64,
}

/// Ten seconds.
#[derive(Debug, Clone, Copy, Default)]
struct Stretch {
    number: u64,
    chunks: u64,
    lost: u64,
    breaks: u64,
    missed: [u32; BUFFERS],
    worst: u64,
    worst_link: u64,
    least_link: Option<u64>,
    /// What the server took at the least.
    least_server: Option<u64>,
}

/// The shadow buffers of one live session, or of several in a row with the same plan.
#[derive(Debug)]
pub(crate) struct Shadow {
    plan: Plan,
    depths: [u64; BUFFERS],
    stretches: VecDeque<Stretch>,
    /// In the order of arrival.
    arrivals: VecDeque<Measured>,
    /// The host's position when a heartbeat came back, and how many frames it had been away.
    echoes: VecDeque<(u64, u64)>,
    /// Frames that never came, to be counted in whole chunks.
    missing_frames: u64,
}

/// What an arrival has shown.
#[derive(Debug, Clone, Copy)]
struct Measured {
    first_frame: u64,
    needed: u64,
    link: u64,
    server: u64,
}

/// What the figures depend on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Plan {
    rate_hz: u32,
    latency_frames: u64,
    algorithmic_frames: u64,
    hop_frames: u64,
    block_frames: u64,
}

impl Plan {
    fn of(request: &OpenRequest, opened: &Opened) -> Self {
        Self {
            rate_hz: request.rate_hz.max(1),
            latency_frames: opened.latency_frames.into(),
            algorithmic_frames: opened.algorithmic_frames.into(),
            hop_frames: opened.hop_frames.max(1).into(),
            block_frames: request.block_frames.into(),
        }
    }

    fn frames(&self, time: Duration) -> u64 {
        (time.as_secs_f64() * f64::from(self.rate_hz)) as u64
    }
}

impl Shadow {
    /// Nothing is known yet about this session.
    pub(crate) fn new(request: &OpenRequest, opened: &Opened) -> Self {
        let plan = Plan::of(request, opened);
        let shallowest = plan.frames(SHALLOWEST) as f64;
        let depth = |rung: usize| plan.algorithmic_frames + (shallowest * STEP.powi(rung as i32)) as u64;
        Self {
            plan,
            depths: std::array::from_fn(depth),
            stretches: VecDeque::new(),
            arrivals: VecDeque::new(),
            echoes: VecDeque::new(),
            missing_frames: 0,
        }
    }

    /// Whether another session would be measured by the same measure.
    pub(crate) fn goes_on(&self, request: &OpenRequest, opened: &Opened) -> bool {
        self.plan == Plan::of(request, opened)
    }

    /// A chunk has arrived. Not measured where the host is no clock: it has stood still meanwhile, or run ahead of real
    /// time, so that what was missed is not the link's doing.
    pub(crate) fn arrived(&mut self, arrival: Arrival) {
        let Arrival { first_frame, position, needed_through, turnaround, server } = arrival;
        let pushed = position.saturating_sub(needed_through.saturating_add(1));
        let passed = self.plan.frames(turnaround);
        if pushed.abs_diff(passed) > self.plan.frames(HONEST) + 2 * self.plan.block_frames {
            return;
        }
        let needed = position.saturating_sub(first_frame);
        let link = self.plan.frames(turnaround.saturating_sub(server));
        let server = self.plan.frames(server);
        if self.arrivals.len() == REMEMBERED {
            self.arrivals.pop_front();
        }
        self.arrivals.push_back(Measured { first_frame, needed, link, server });
        let stretch = self.stretch(position);
        stretch.least_link = Some(stretch.least_link.map_or(link, |least| least.min(link)));
        stretch.least_server = Some(stretch.least_server.map_or(server, |least| least.min(server)));
        self.count(position, needed, link, 1);
    }

    /// A heartbeat has come back.
    pub(crate) fn echo(&mut self, round_trip: Duration, position: u64) {
        if self.echoes.len() == REMEMBERED {
            self.echoes.pop_front();
        }
        self.echoes.push_back((position, self.plan.frames(round_trip)));
    }

    /// These frames never came, though the connection lives: given up on one side or the other, because at this
    /// latency they would have been late. The next chunk that did come tells how deep a buffer they needed. If it was the
    /// link that kept things waiting, a heartbeat among them, they would have come with that one. If it was the server
    /// alone, which drops what it cannot do in time, all that is known is that this latency was too little. `position` as
    /// in [`Arrival`].
    pub(crate) fn gave_up(&mut self, frames: &Range<u64>, position: u64) {
        let hop_frames = self.plan.hop_frames;
        let chunks = |frames: u64| frames.div_ceil(hop_frames);
        let before = chunks(self.missing_frames);
        self.missing_frames += frames.end.saturating_sub(frames.start);
        let more = chunks(self.missing_frames) - before;
        let next = self.arrivals.iter().find(|next| next.first_frame > frames.start).copied();
        let Some(Measured { first_frame, needed, link, server }) = next else {
            self.stretch(position).lost += more;
            return;
        };
        // In the time between these frames and the next chunk's arrival: after a stall of the link the server has to
        // catch up, so that its own time says nothing.
        let meanwhile = frames.start..=first_frame + needed;
        let echoes = self.echoes.iter().filter(|(position, _)| meanwhile.contains(position));
        let link_waited = echoes.map(|(_, away)| *away).max().unwrap_or_default().max(link);
        // A server that has become slower for good has no queue for it.
        let least_server = self.stretches.iter().filter_map(|stretch| stretch.least_server).min();
        let queued = server.saturating_sub(least_server.unwrap_or(server));
        let ahead = first_frame - frames.start;
        let (ahead, needed) = match queued > link_waited {
            true => (0, needed),
            // Ahead of the next one on the link, and so in the server's queue as well.
            false => (ahead, (needed + ahead).saturating_sub(queued)),
        };
        let needed = needed.max(self.plan.latency_frames + 1);
        self.count(position, needed, link + ahead, more);
    }

    /// The connection broke, and these frames went with it.
    pub(crate) fn broke(&mut self, frames: u64, position: u64) {
        let chunks = frames.div_ceil(self.plan.hop_frames);
        self.arrivals.clear();
        let stretch = self.stretch(position);
        stretch.lost += chunks;
        stretch.breaks += 1;
    }

    fn count(&mut self, position: u64, needed: u64, link: u64, chunks: u64) {
        let depths = self.depths;
        let stretch = self.stretch(position);
        stretch.chunks += chunks;
        stretch.worst = stretch.worst.max(needed);
        stretch.worst_link = stretch.worst_link.max(link);
        for (missed, depth) in stretch.missed.iter_mut().zip(depths) {
            *missed += if needed > depth { chunks as u32 } else { 0 };
        }
    }

    /// The stretch of a position; what is too old goes.
    fn stretch(&mut self, position: u64) -> &mut Stretch {
        let number = position / self.plan.frames(STRETCH).max(1);
        let newest = self.stretches.back().map(|stretch| stretch.number);
        if newest.is_none_or(|newest| newest < number) {
            self.stretches.push_back(Stretch { number, ..Stretch::default() });
            self.stretches.retain(|stretch| stretch.number + STRETCHES > number);
        }
        // There is one, and positions never go back.
        let last = self.stretches.len() - 1;
        &mut self.stretches[last]
    }

    /// What is known now, in wire frames.
    pub(crate) fn figures(&self) -> ShadowFigures {
        let sum = |of: fn(&Stretch) -> u64| self.stretches.iter().map(of).sum::<u64>();
        let known = || self.stretches.iter().filter(|stretch| stretch.chunks > 0);
        let needs = |of: fn(&Stretch) -> u64| {
            let mut worst: Vec<u64> = known().map(of).collect();
            worst.sort_unstable_by(|a, b| b.cmp(a));
            worst.get(FORGIVEN).map(|frames| *frames as f64)
        };
        let lost = sum(|s| s.lost);
        let link = needs(|s| s.worst_link);
        let least = known().filter_map(|s| s.least_link).min();
        let buffer = |rung: usize| ShadowBuffer {
            depth: self.depths[rung] as f64,
            missed: lost + self.stretches.iter().map(|s| u64::from(s.missed[rung])).sum::<u64>(),
        };
        ShadowFigures {
            chunks: sum(|s| s.chunks),
            lost,
            breaks: sum(|s| s.breaks),
            stretches: known().count() as u64,
            worst: known().map(|s| s.worst).max().unwrap_or_default() as f64,
            worst_link: known().map(|s| s.worst_link).max().unwrap_or_default() as f64,
            least_link: least.unwrap_or_default() as f64,
            needed: needs(|s| s.worst),
            link,
            jitter: link.zip(least).map(|(link, least)| (link - least as f64).max(0.0)),
            buffers: std::array::from_fn(buffer),
        }
    }
}

impl ShadowFigures {
    /// The same in milliseconds: `frame_millis` for each wire frame, and `own_millis` for what a latency has beside the
    /// wire's.
    pub(crate) fn in_millis(self, frame_millis: f64, own_millis: f64) -> Self {
        let latency = |frames: f64| frames * frame_millis + own_millis;
        Self {
            worst: if self.chunks > 0 { latency(self.worst) } else { 0.0 },
            worst_link: self.worst_link * frame_millis,
            least_link: self.least_link * frame_millis,
            needed: self.needed.map(latency),
            link: self.link.map(|frames| frames * frame_millis),
            jitter: self.jitter.map(|frames| frames * frame_millis),
            buffers: self.buffers.map(|buffer| ShadowBuffer { depth: latency(buffer.depth), ..buffer }),
            ..self
        }
    }
}

#[cfg(test)]
#[path = "shadow/tests.rs"]
mod tests;
