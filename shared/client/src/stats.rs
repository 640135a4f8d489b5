//! What the link counts: atomics for events, bounded sets of samples for times.
//!
//! Written by the network task, read by anyone at any time through [`LinkStats`]. The audio thread's own
//! counters (underruns, late) live in the playout; those here are the network's view. This module must not grow
//! with the length of the session.

use std::{
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use rehearsekit_protocol::{HEARTBEAT_INTERVAL, Health, Mode, OpenRequest, Opened};

use crate::{
    Decimation,
    shadow::{Shadow, ShadowFigures},
};

/// How many of the newest samples the percentiles look at. At ten chunks per second this is more than an hour.
const KEPT_SAMPLES: usize = 65_536;
/// The same for round trips: five minutes of heartbeats.
const ROUND_TRIPS: usize = 300 * 1_000 / HEARTBEAT_INTERVAL.as_millis() as usize;

/// Percentiles of a time in milliseconds over the newest samples; `max` is over the whole session.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Percentiles {
    /// Samples ever taken.
    pub count: u64,
    /// Half of the samples are at most this.
    pub p50: f64,
    /// 99 % of the samples are at most this.
    pub p99: f64,
    /// The longest ever.
    pub max: f64,
}

impl Percentiles {
    /// Over `micros` alone, in any order.
    pub fn of_micros(mut micros: Vec<u32>) -> Self {
        micros.sort_unstable();
        let Some(max) = micros.last() else { return Self::default() };
        let millis = |micros: u32| f64::from(micros) / 1e3;
        // Nearest rank: the smallest sample that at least q of all samples do not exceed.
        let rank =
            |q: f64| millis(micros[((q * micros.len() as f64).ceil() as usize).clamp(1, micros.len()) - 1]);
        Self { count: micros.len() as u64, p50: rank(0.5), p99: rank(0.99), max: millis(*max) }
    }
}

/// The newest times behind some of [`LinkStats`], in microseconds, for percentiles over several links.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LinkTimes {
    /// Behind [`LinkStats::turnaround_millis`].
    pub turnaround_micros: Vec<u32>,
    /// Behind [`LinkStats::inference_millis`].
    pub inference_micros: Vec<u32>,
    /// Behind [`LinkStats::server_overhead_millis`].
    pub server_overhead_micros: Vec<u32>,
}

/// A snapshot of everything counted since [`connect`](crate::connect), over all reconnects.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct LinkStats {
    /// Stem chunks that arrived and were well formed.
    pub hops: u64,
    /// Chunks that arrived after their slot: when the newest mix frame was already a latency further.
    /// Always 0 in reliable mode, where the listener waits.
    pub late: u64,
    /// Chunks (counted in whole hops) whose slot passed and that never came.
    pub lost: u64,
    /// The same in frames at the wire rate.
    pub lost_frames: u64,
    /// Connections that were opened after the first one.
    pub reconnects: u64,
    /// Upstream packets handed to QUIC.
    pub sent_packets: u64,
    /// Upstream packets given up: their deadline passed, or the queue was full.
    pub dropped_packets: u64,
    /// Mix frames (host rate) drained while there was no session to send them to.
    pub unsent_frames: u64,
    /// Stem slots dropped because nobody made room for them in the ring.
    pub dropped_slots: u64,
    /// Streams that were no chunk at all, or one this session cannot use.
    pub malformed: u64,
    /// The server is too slow for all of its sessions at present, and this one waits.
    pub paused: bool,
    /// From the arrival of the last mix frame a chunk needed at the network task until the chunk was here.
    pub turnaround_millis: Percentiles,
    /// Time the model ran for a chunk, as the server says.
    pub inference_millis: Percentiles,
    /// Turnaround minus inference: packets, network, queues, resampling.
    pub overhead_millis: Percentiles,
    /// The part of the overhead that is the server's own: its time for the chunk minus the inference.
    pub server_overhead_millis: Percentiles,
    /// A heartbeat there and back, over the last five minutes.
    pub round_trip_millis: Percentiles,
    /// What depth the link really needs, all in ms of the host's time; nothing in reliable mode.
    pub shadow: ShadowFigures,
}

/// The live counters behind [`LinkStats`].
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) hops: AtomicU64,
    pub(crate) late: AtomicU64,
    pub(crate) lost: AtomicU64,
    pub(crate) lost_frames: AtomicU64,
    pub(crate) reconnects: AtomicU64,
    pub(crate) sent_packets: AtomicU64,
    pub(crate) dropped_packets: AtomicU64,
    pub(crate) unsent_frames: AtomicU64,
    pub(crate) dropped_slots: AtomicU64,
    pub(crate) malformed: AtomicU64,
    pub(crate) paused: AtomicBool,
    pub(crate) turnaround: Samples,
    pub(crate) inference: Samples,
    pub(crate) overhead: Samples,
    pub(crate) server_overhead: Samples,
    /// As the playout counts them, when it was heard of last; only handed on.
    pub(crate) underruns: AtomicU64,
    pub(crate) round_trip: Samples<ROUND_TRIPS>,
    /// With what makes milliseconds of its wire frames: those of a frame, and those beside all frames.
    pub(crate) shadow: Mutex<Option<(Shadow, [f64; 2])>>,
    /// Whether the times above are those of a bounce.
    reliable: AtomicBool,
}

impl Counters {
    pub(crate) fn snapshot(&self) -> LinkStats {
        LinkStats {
            hops: self.hops.load(Relaxed),
            late: self.late.load(Relaxed),
            lost: self.lost.load(Relaxed),
            lost_frames: self.lost_frames.load(Relaxed),
            reconnects: self.reconnects.load(Relaxed),
            sent_packets: self.sent_packets.load(Relaxed),
            dropped_packets: self.dropped_packets.load(Relaxed),
            unsent_frames: self.unsent_frames.load(Relaxed),
            dropped_slots: self.dropped_slots.load(Relaxed),
            malformed: self.malformed.load(Relaxed),
            paused: self.paused.load(Relaxed),
            turnaround_millis: self.turnaround.percentiles(),
            inference_millis: self.inference.percentiles(),
            overhead_millis: self.overhead.percentiles(),
            server_overhead_millis: self.server_overhead.percentiles(),
            round_trip_millis: self.round_trip.percentiles(),
            shadow: self.shadow_figures(),
        }
    }

    /// The server takes no hops at present, or takes them again.
    pub(crate) fn pause(&self, paused: bool) {
        self.paused.store(paused, Relaxed);
    }

    pub(crate) fn times(&self) -> LinkTimes {
        LinkTimes {
            turnaround_micros: self.turnaround.micros(),
            inference_micros: self.inference.micros(),
            server_overhead_micros: self.server_overhead.micros(),
        }
    }

    fn shadow_figures(&self) -> ShadowFigures {
        let shadow = self.shadow.lock().unwrap_or_else(PoisonError::into_inner);
        let told = |(shadow, [frame, own]): &(Shadow, [f64; 2])| shadow.figures().in_millis(*frame, *own);
        shadow.as_ref().map(told).unwrap_or_default()
    }

    /// Underruns, late and lost chunks so far.
    pub(crate) fn missed(&self) -> [u64; 3] {
        [&self.underruns, &self.late, &self.lost].map(|counter| counter.load(Relaxed))
    }

    /// What is missed since `before`, for the server's metrics.
    pub(crate) fn health_since(&self, before: [u64; 3]) -> Health {
        let now = self.missed();
        let since = |kind: usize| u32::try_from(now[kind].saturating_sub(before[kind])).unwrap_or(u32::MAX);
        let shadow = self.shadow.lock().unwrap_or_else(PoisonError::into_inner);
        let needed = shadow.as_ref().and_then(|(shadow, _)| shadow.figures().needed);
        // Never negative, and too large for the type only if the largest is as good.
        let needed_frames = needed.unwrap_or_default() as u32;
        Health { underruns: since(0), late: since(1), lost: since(2), needed_frames }
    }

    /// A session begins: its shadow buffers are those of the one before if it has the same plan. None for a bounce,
    /// which waits for everything, and whose times are not to be taken for those of live playing.
    pub(crate) fn begin_session(&self, open: &OpenRequest, opened: &Opened, decimation: Decimation) {
        let reliable = open.mode == Mode::Reliable;
        if self.reliable.swap(reliable, Relaxed) != reliable {
            let times = [&self.turnaround, &self.inference, &self.overhead, &self.server_overhead];
            times.into_iter().for_each(Samples::forget);
        }
        let mut shadow = self.shadow.lock().unwrap_or_else(PoisonError::into_inner);
        if reliable {
            *shadow = None;
        } else if shadow.as_ref().is_none_or(|(shadow, _)| !shadow.goes_on(open, opened)) {
            let frame_millis = 1e3 / f64::from(open.rate_hz.max(1));
            let own_frames = f64::from(decimation.latency_frames()) / f64::from(decimation.factor());
            *shadow = Some((Shadow::new(open, opened), [frame_millis, own_frames * frame_millis]));
        }
    }

    /// Tells the shadow buffers something, if there are any.
    pub(crate) fn to_shadow(&self, tell: impl FnOnce(&mut Shadow)) {
        let mut shadow = self.shadow.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((shadow, _)) = shadow.as_mut() {
            tell(shadow);
        }
    }
}

/// Adds to a counter; the value is only ever looked at, never acted on, so no ordering is needed.
pub(crate) fn add(counter: &AtomicU64, n: u64) {
    counter.fetch_add(n, Relaxed);
}

/// The newest `KEPT` of a duration, in microseconds.
#[derive(Debug, Default)]
pub(crate) struct Samples<const KEPT: usize = KEPT_SAMPLES>(Mutex<Kept>);

#[derive(Debug, Default)]
struct Kept {
    micros: Vec<u32>,
    count: u64,
    max: u32,
}

impl<const KEPT: usize> Samples<KEPT> {
    pub(crate) fn add(&self, time: Duration) {
        let micros = u32::try_from(time.as_micros()).unwrap_or(u32::MAX);
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let at = (kept.count % KEPT as u64) as usize;
        match kept.micros.get_mut(at) {
            Some(oldest) => *oldest = micros,
            None => kept.micros.push(micros),
        }
        kept.count += 1;
        kept.max = kept.max.max(micros);
    }

    pub(crate) fn percentiles(&self) -> Percentiles {
        let (micros, count, max) = {
            let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            (kept.micros.clone(), kept.count, kept.max)
        };
        Percentiles { count, max: f64::from(max) / 1e3, ..Percentiles::of_micros(micros) }
    }

    fn forget(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Kept::default();
    }

    fn micros(&self) -> Vec<u32> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).micros.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_by_nearest_rank() {
        let samples: Samples = Samples::default();
        assert_eq!(samples.percentiles(), Percentiles::default());
        for millis in (1..=100).rev() {
            samples.add(Duration::from_millis(millis));
        }
        assert_eq!(samples.percentiles(), Percentiles { count: 100, p50: 50.0, p99: 99.0, max: 100.0 });
    }

    #[test]
    fn memory_is_bounded_and_the_maximum_is_remembered() {
        let samples: Samples = Samples::default();
        samples.add(Duration::from_secs(9));
        for _ in 0..3 * KEPT_SAMPLES {
            samples.add(Duration::from_millis(2));
        }
        let seen = samples.percentiles();
        assert_eq!((seen.p50, seen.p99, seen.max), (2.0, 2.0, 9_000.0));
        assert_eq!(seen.count, 3 * KEPT_SAMPLES as u64 + 1);
        assert_eq!(samples.0.lock().unwrap().micros.len(), KEPT_SAMPLES);
        samples.add(Duration::MAX);
        assert_eq!(samples.percentiles().max, f64::from(u32::MAX) / 1e3);
    }
}
