//! The imagined host's audio thread: pushes blocks by the clock (or as fast as stems come) through a
//! [`Player`], and hands what it plays to the writer through a ring, the latency removed.
//!
//! In real time nothing here waits for anything but the clock: a link that fails costs bridged frames, never
//! time. At the fast pace it may wait for the exact chunk, as a bounce does.

use std::{
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
pub(super) struct Task {
    pub(super) feed: Feed,
    pub(super) player: Player,
    pub(super) stem_count: usize,
    pub(super) latency_frames: u64,
    pub(super) block_frames: usize,
    pub(super) pace: Pace,
    /// Interleaved frames to the writer: left and right of each stem, then of the main mix.
    pub(super) played: rtrb::Producer<f32>,
    pub(super) shared: Arc<Shared>,
}

/// What others may see and say while the thread runs.
#[derive(Default)]
pub(super) struct Shared {
    /// Set by the owner: end now.
    pub(super) stop: AtomicBool,
    /// Frames played, for progress.
    pub(super) played_frames: AtomicU64,
}

/// What the thread has to tell at its end.
#[derive(Debug, Default)]
pub(super) struct Ended {
    pub(super) why: End,
    /// The most that a block began after its time.
    pub(super) max_slip: Duration,
    /// Mix frames the network task did not take in time.
    pub(super) dropped_mix_frames: u64,
}

/// Why the thread ended.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) enum End {
    /// The song is over.
    #[default]
    Done,
    /// Somebody asked for it.
    Stopped,
    /// A bounce waited too long for stems before this position.
    Stalled(u64),
    /// The writer did not keep up (a disk that stands still).
    WriterTooSlow,
}

/// Runs until the song's last frame has been played, `latency_frames` after it was pushed.
pub(super) fn run(mut task: Task) -> Ended {
    let mut ended = Ended::default();
    let channels = 2 * task.stem_count + 2;
    let mut mix = [vec![0.0f32; task.block_frames], vec![0.0f32; task.block_frames]];
    let mut out = vec![vec![0.0f32; task.block_frames]; channels];
    let mut interleaved = vec![0.0f32; task.block_frames * channels];
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
        if !hand_over(&mut task, &out, skipped..frames, &mut interleaved) {
            ended.why = End::WriterTooSlow;
            break;
        }
        position += frames as u64;
        task.shared.played_frames.store(position.saturating_sub(task.latency_frames), Relaxed);
    }
    if ended.why != End::Done && (interrupt::requested() || task.shared.stop.load(Relaxed)) {
        ended.why = End::Stopped;
    }
    ended.dropped_mix_frames = task.player.dropped_frames();
    ended
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

/// Hands `range` of the block to the writer. In real time there must be room; a bounce waits for it.
fn hand_over(
    task: &mut Task,
    out: &[Vec<f32>],
    range: std::ops::Range<usize>,
    interleaved: &mut [f32],
) -> bool {
    let samples = range.len() * out.len();
    for (frame, target) in range.zip(interleaved.chunks_mut(out.len())) {
        target.iter_mut().zip(out).for_each(|(t, lane)| *t = lane[frame]);
    }
    if task.pace == Pace::Fast && !wait_for(&task.shared, || task.played.slots() >= samples) {
        return false;
    }
    task.played.push_entire_slice(&interleaved[..samples]).is_ok()
}
