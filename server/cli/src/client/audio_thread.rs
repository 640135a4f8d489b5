//! The imagined host's audio thread: pushes blocks by the clock (or as fast as stems come) through a
//! [`Player`], and hands what it plays to a [`Sink`], the latency removed.
//!
//! In real time nothing here waits for anything but the clock: a link that fails costs bridged frames, never
//! time. At the fast pace it may wait for the exact chunk, as a bounce does.

use std::{
    ops::Range,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    thread,
    time::{Duration, Instant},
};

use super::{
    feed::Feed,
    player::{Outputs, Player},
};
use crate::{args::Pace, interrupt};

/// How long a bounce waits between two looks at the ring.
const POLL: Duration = Duration::from_micros(500);
/// How long a bounce stands still for one chunk before it gives up.
const STALL_TIMEOUT: Duration = Duration::from_secs(60);

/// What the thread needs.
pub(crate) struct Task<S> {
    pub(crate) feed: Feed,
    pub(crate) player: Player,
    pub(crate) stem_count: usize,
    pub(crate) latency_frames: u64,
    pub(crate) block_frames: usize,
    pub(crate) pace: Pace,
    pub(crate) sink: S,
    pub(crate) shared: Arc<Shared>,
}

/// Where the audio goes that was played. Runs on the audio thread.
pub(crate) trait Sink {
    /// Whether it takes `frames` now; only a bounce waits for it.
    fn has_room(&self, frames: usize) -> bool;

    /// Takes what was played. False where it cannot, which ends the thread.
    fn take(&mut self, played: Played<'_>) -> bool;
}

/// A part of a block.
pub(crate) struct Played<'a> {
    /// Position of its first frame in the song.
    pub(crate) first_frame: u64,
    /// Left and right of each stem, then of the main mix; only `range` counts.
    pub(crate) lanes: &'a [Vec<f32>],
    pub(crate) range: Range<usize>,
}

/// What others may see and say while the thread runs.
#[derive(Default)]
pub(crate) struct Shared {
    /// Set by the owner: end now.
    pub(crate) stop: AtomicBool,
    /// Frames played, for progress.
    pub(crate) played_frames: AtomicU64,
}

/// What the thread has to tell at its end.
#[derive(Debug, Default)]
pub(crate) struct Ended {
    pub(crate) why: End,
    /// The most that a block began after its time.
    pub(crate) max_slip: Duration,
    /// Mix frames the network task did not take in time.
    pub(crate) dropped_mix_frames: u64,
}

/// Why the thread ended.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) enum End {
    /// The song is over.
    #[default]
    Done,
    /// Somebody asked for it.
    Stopped,
    /// A bounce waited too long for stems before this position.
    Stalled(u64),
    /// The sink did not keep up (a disk that stands still).
    SinkTooSlow,
}

/// Runs until the song's last frame has been played, `latency_frames` after it was pushed; gives the sink back.
pub(crate) fn run<S: Sink>(mut task: Task<S>) -> (Ended, S) {
    let mut ended = Ended::default();
    let channels = 2 * task.stem_count + 2;
    let mut mix = [vec![0.0f32; task.block_frames], vec![0.0f32; task.block_frames]];
    let mut out = vec![vec![0.0f32; task.block_frames]; channels];
    let total = task.feed.frames() + task.latency_frames;
    let began = Instant::now();
    let mut position = 0u64;
    while position < total {
        if task.pace == Pace::Realtime {
            let slip = wait_until(began + task.feed.rate().duration(position));
            ended.max_slip = ended.max_slip.max(slip);
        }
        if interrupt::requested() || task.shared.stop.load(Relaxed) {
            ended.why = End::Stopped;
            break;
        }
        let frames = task.block_frames.min((total - position) as usize);
        let [left, right] = &mut mix;
        task.feed.fill(position, &mut left[..frames], &mut right[..frames]);
        let block = [&left[..frames], &right[..frames]];
        if task.pace == Pace::Fast && !wait_for(&task.shared, || task.player.has_room(frames)) {
            ended.why = End::Stalled(position);
            break;
        }
        task.player.push(block);
        task.player.receive();
        if task.pace == Pace::Fast {
            let ready = wait_for(&task.shared, || {
                task.player.receive();
                task.player.is_ready(frames)
            });
            if !ready {
                ended.why = End::Stalled(position);
                break;
            }
        }
        play(&mut task.player, block, &mut out);
        let skipped = (task.latency_frames.saturating_sub(position) as usize).min(frames);
        if !hand_over(&mut task, &out, position, skipped..frames) {
            ended.why = End::SinkTooSlow;
            break;
        }
        position += frames as u64;
        task.shared.played_frames.store(position.saturating_sub(task.latency_frames), Relaxed);
    }
    if ended.why != End::Done && (interrupt::requested() || task.shared.stop.load(Relaxed)) {
        ended.why = End::Stopped;
    }
    ended.dropped_mix_frames = task.player.dropped_frames();
    (ended, task.sink)
}

/// Sleeps until `deadline`; how late it is then. Deadlines are absolute: slips do not add up.
fn wait_until(deadline: Instant) -> Duration {
    if let Some(left) = deadline.checked_duration_since(Instant::now()) {
        thread::sleep(left);
    }
    Instant::now().saturating_duration_since(deadline)
}

/// Waits for `ready`; false if it takes too long or somebody wants to stop.
fn wait_for(shared: &Shared, mut ready: impl FnMut() -> bool) -> bool {
    let began = Instant::now();
    while !ready() {
        if began.elapsed() > STALL_TIMEOUT || interrupt::requested() || shared.stop.load(Relaxed) {
            return false;
        }
        thread::sleep(POLL);
    }
    true
}

fn play(player: &mut Player, mix: [&[f32]; 2], out: &mut [Vec<f32>]) {
    let frames = mix[0].len();
    let mut lanes = out.iter_mut().map(|lane| &mut lane[..frames]);
    let mut pair = || lanes.next().zip(lanes.next()).map(|(left, right)| [left, right]);
    // A plugin gets these slices from its host; here they are cut from the buffers of this thread.
    let mut pairs: Vec<[&mut [f32]; 2]> = std::iter::from_fn(&mut pair).collect();
    if let Some(main) = pairs.pop() {
        player.play(mix, Outputs { stems: &mut pairs, main });
    }
}

/// Hands `range` of the block at `position` to the sink. In real time there must be room; a bounce waits for it.
fn hand_over<S: Sink>(task: &mut Task<S>, lanes: &[Vec<f32>], position: u64, range: Range<usize>) -> bool {
    let frames = range.len();
    if task.pace == Pace::Fast && !wait_for(&task.shared, || task.sink.has_room(frames)) {
        return false;
    }
    let first_frame = (position + range.start as u64).saturating_sub(task.latency_frames);
    task.sink.take(Played { first_frame, lanes, range })
}
