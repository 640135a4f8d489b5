//! Who computes when: which streams of hops may be promised their deadlines, and which hop a free lane takes next.
//!
//! Plain code: time is an argument, jobs are opaque, nothing waits, nothing measures by itself. The server drives it
//! with threads and a clock, the tests with simulated devices. It must not know sessions, models or the wire.
//!
//! # How promises are kept
//! A *device* has *lanes*; each runs one inference at a time to its end. An admitted *stream* belongs to one lane,
//! on which all deadlines together hold even when all hops come at once ([`fit`]): earliest deadline first, every
//! inference with a margin, one of them as slow as the slowest in a hundred. What the lane has beyond that is its
//! *laxity*. Everything that was not promised to the lane (hops of other lanes, hops that come early, batches,
//! background work) may hold it up by no more than that.
//!
//! # What breaks first
//! A device that becomes slower is noticed by its last inferences. Then the streams that no longer fit beside all
//! older ones are paused; they come back when they fit again. A hop that cannot make its time any more is dropped
//! before it costs anything.

pub mod fit;
mod observe;
mod place;
mod scheduler;

use std::time::Duration;

pub use observe::Observed;
pub use scheduler::Scheduler;

/// Time since any fixed moment.
pub type Time = Duration;

/// What an inference costs on a device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cost {
    /// Inferences of the same kind share a network, so they may be batched, and one tells of the others' time.
    pub kind: u64,
    /// What one usually takes while all lanes are at work.
    pub typical: Duration,
    /// What two, three, ... at once usually take; only as many as pay.
    pub batches: Vec<Duration>,
    /// It uses all lanes of its device at once.
    pub wide: bool,
}

impl Cost {
    /// What `count` at once usually take; one after another beyond what is known.
    pub fn of(&self, count: usize) -> Duration {
        match count {
            0 | 1 => self.typical,
            _ => self.batches.get(count - 2).copied().unwrap_or(self.typical * count as u32),
        }
    }

    /// The most that may go at once.
    pub fn most_at_once(&self) -> usize {
        self.batches.len() + 1
    }
}

/// What a stream of hops asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Demand {
    /// From one hop to the next.
    pub period: Duration,
    /// From the moment a hop's audio is there to the moment its stems must leave.
    pub deadline: Duration,
    /// The cost of one hop on each device; `None` where it cannot run.
    pub costs: Vec<Option<Cost>>,
}

/// A stream, numbered by age: the smaller, the older.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StreamId(pub(crate) u64);

/// A lane of a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LaneId {
    /// Index of the device.
    pub device: usize,
    /// Index of the lane.
    pub lane: usize,
}

/// A hop that wants an inference.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hop {
    /// Since when its audio is there.
    pub ready: Time,
    /// When its stems must have left to be of use.
    pub due: Time,
}

/// What a lane shall do now.
#[derive(Debug, PartialEq, Eq)]
pub struct Turn<J> {
    /// To be run at once, as one batch; nothing to do if empty.
    pub run: Vec<J>,
    /// Dropped: their time is over, or their stream is paused. To be told to their owners.
    pub dropped: Vec<J>,
    /// When to ask again although nothing else has happened.
    pub wake: Option<Time>,
}

/// How a device fares.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct DeviceLoad {
    /// Streams admitted to it.
    pub streams: usize,
    /// Those of them that are paused, because it is too slow at present.
    pub paused: usize,
    /// Share of all its lanes' time that is promised.
    pub promised: f64,
    /// How many times longer than usual its inferences take.
    pub slowness: f64,
}
