//! What the audio thread, the network and the main thread share of one activation: atomics, and behind locks only
//! what the audio thread never touches.

use std::sync::{
    Arc, Mutex, MutexGuard, PoisonError,
    atomic::{AtomicBool, AtomicU64},
};
use std::time::Duration;

use rehearsekit_client::{LinkState, LinkStats, Recommendation};
use rehearsekit_playout::PlayoutCounters;

use crate::lately::Happened;
use crate::meters::Meters;
use crate::metronome::Heard;
use crate::offline::{Desk, Order};

/// One activation, from [`Instance::activate`](crate::Instance::activate) to the next or the end.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) meters: Arc<Meters>,
    pub(crate) counters: Arc<PlayoutCounters>,
    /// Frames the host has played, whatever became of them.
    pub(crate) frames: AtomicU64,
    /// Frames of the mix for which the ring had no room.
    pub(crate) dropped_frames: AtomicU64,
    pub(crate) bridging: AtomicBool,
    pub(crate) heard: Heard,
    /// The main thread wants a blocked offline render to return; a reset takes that back.
    pub(crate) cancelled: AtomicBool,
    /// The activation is over; nothing takes that back.
    pub(crate) over: AtomicBool,
    /// What audio thread and network tell each other about offline renders.
    pub(crate) desk: Desk,
    /// See [`Run::error`].
    error: Mutex<Option<(Order, String)>>,
    /// Why there can be no connection with these settings at all.
    pub(crate) problem: Mutex<Option<String>>,
    pub(crate) figures: Mutex<Figures>,
}

/// What the network's side writes down now and then.
#[derive(Debug, Clone, Default)]
pub(crate) struct Figures {
    pub(crate) link: LinkStats,
    pub(crate) bursts: u64,
    pub(crate) bursting: bool,
    /// What had been missed when the stems of this session began: until then there was nothing to miss.
    pub(crate) before: Option<Missed>,
    /// Whether another budget would do better.
    pub(crate) recommendation: Option<Recommendation>,
    pub(crate) lately: Happened,
}

/// Underruns, late slots and lost chunks.
pub(crate) type Missed = [u64; 3];

impl Run {
    pub(crate) fn new(meters: Arc<Meters>, counters: Arc<PlayoutCounters>, offline: bool) -> Self {
        Self {
            meters,
            counters,
            frames: AtomicU64::new(0),
            dropped_frames: AtomicU64::new(0),
            bridging: AtomicBool::new(false),
            heard: Heard::default(),
            cancelled: AtomicBool::new(false),
            over: AtomicBool::new(false),
            desk: Desk::new(offline),
            error: Mutex::new(None),
            problem: Mutex::new(None),
            figures: Mutex::default(),
        }
    }
}

impl Run {
    /// What was missed since activation.
    pub(crate) fn missed(&self, link: &LinkStats) -> Missed {
        let playout = self.counters.read();
        [playout.underruns, playout.late, link.lost]
    }

    /// Why an offline render failed, in words: those that were right when this was asked first, since the link goes on.
    /// Not for the audio thread.
    pub(crate) fn error(&self, link: Option<&LinkState>, patience: Duration) -> Option<String> {
        let mut kept = lock(&self.error);
        match (self.desk.failure(), &*kept) {
            (None, _) => *kept = None,
            (Some((order, _)), Some((known, _))) if order == *known => {}
            (Some((order, failure)), _) => *kept = Some((order, failure.words(link, patience))),
        }
        kept.as_ref().map(|(_, words)| words.clone())
    }

    /// What was missed since then; nothing if there is no then.
    pub(crate) fn missed_since(&self, before: Option<Missed>, link: &LinkStats) -> Missed {
        let Some(before) = before else { return [0; 3] };
        let now = self.missed(link);
        std::array::from_fn(|kind| now[kind].saturating_sub(before[kind]))
    }
}

/// Locks plain data, which a panic elsewhere cannot leave half done.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
