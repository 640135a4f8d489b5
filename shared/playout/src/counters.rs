//! What went wrong and how much went right, counted by the audio thread, read by anybody. Relaxed atomics:
//! each number is right by itself, no order between them is promised, nobody ever waits.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Shared between the audio thread, which counts, and whoever shows it.
#[derive(Debug, Default)]
pub struct PlayoutCounters {
    pub(crate) frames: AtomicU64,
    pub(crate) bridged_frames: AtomicU64,
    pub(crate) underruns: AtomicU64,
    pub(crate) holes: AtomicU64,
    pub(crate) missing_frames: AtomicU64,
    pub(crate) late: AtomicU64,
    pub(crate) late_frames: AtomicU64,
    pub(crate) refused: AtomicU64,
}

/// The counters at one moment. All count from the making of the playout; a reset does not clear them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PlayoutCounts {
    /// Frames played, without the silence before the first position.
    pub frames: u64,
    /// Frames of slots in which the mix stood in for the stems, cross-fades included.
    pub bridged_frames: u64,
    /// Slots that were not complete when playout decided.
    pub underruns: u64,
    /// Underruns in a row count as one hole.
    pub holes: u64,
    /// Frames that were not there when playout decided.
    pub missing_frames: u64,
    /// Arrivals that came after playout had decided about their slot.
    pub late: u64,
    /// Missing frames that came then.
    pub late_frames: u64,
    /// Arrivals that can belong to no slot: malformed, or of audio that was never pushed.
    pub refused: u64,
}

impl PlayoutCounts {
    /// Missing frames that have not come since.
    pub fn lost_frames(&self) -> u64 {
        self.missing_frames.saturating_sub(self.late_frames)
    }
}

impl PlayoutCounters {
    /// The numbers now.
    pub fn read(&self) -> PlayoutCounts {
        PlayoutCounts {
            frames: self.frames.load(Relaxed),
            bridged_frames: self.bridged_frames.load(Relaxed),
            underruns: self.underruns.load(Relaxed),
            holes: self.holes.load(Relaxed),
            missing_frames: self.missing_frames.load(Relaxed),
            late: self.late.load(Relaxed),
            late_frames: self.late_frames.load(Relaxed),
            refused: self.refused.load(Relaxed),
        }
    }

    /// Adds; only the audio thread does.
    pub(crate) fn add(counter: &AtomicU64, count: u64) {
        counter.fetch_add(count, Relaxed);
    }
}
