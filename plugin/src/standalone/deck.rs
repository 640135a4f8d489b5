//! The audio thread's side of the player: takes commands, plays the tape by the transport, and silences what is under
//! way when it is paused. Allocates, frees, locks and waits for nothing; what it is done with goes back by a ring.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU8, Ordering::Relaxed};

use rehearsekit_plugin_engine::Transport as Playhead;
use rtrb::{Consumer, Producer, RingBuffer};

use super::tape::Tape;
use super::transport::{Command, Extent, Loop, Run, Transport, What};

/// Commands that may wait; a hand makes a few in a second.
const COMMANDS: usize = 256;
/// Tapes that may wait to be freed.
const RETIRED: usize = 16;
/// A loop shorter than a fiftieth of a second is a buzz, and each pass is an epoch of its own for the server.
const LEAST_LOOPS_PER_SECOND: i64 = 50;
/// What is cut off when it is paused fades over so many frames, so that it does not crack.
const FADE_FRAMES: u64 = 128;

/// For the audio thread.
#[derive(Debug)]
pub(super) enum Order {
    /// Another song, or none: the input is heard again.
    Load(Option<Arc<Tape>>, Loop),
    /// What the hand wants.
    Do(Command),
}

/// What the audio thread shows to everybody.
#[derive(Debug, Default)]
pub(super) struct Shown {
    at: AtomicI64,
    what: AtomicU8,
}

/// The other threads' end.
#[derive(Debug)]
pub(super) struct Remote {
    orders: Producer<Order>,
    retired: Consumer<Arc<Tape>>,
}

/// See the module's words.
#[derive(Debug)]
pub(super) struct Deck {
    orders: Consumer<Order>,
    retired: Producer<Arc<Tape>>,
    shown: Arc<Shown>,
    tape: Option<Arc<Tape>>,
    transport: Transport,
    /// Frames that went out so far; of those from and until these, nothing is heard.
    played: u64,
    silent: [u64; 2],
    latency_frames: u64,
}

impl Shown {
    /// Where it is, in frames, and what it is doing.
    pub(super) fn now(&self) -> (i64, What) {
        let what = [What::Still, What::Waiting, What::CountIn, What::Song];
        (self.at.load(Relaxed), what[usize::from(self.what.load(Relaxed)) % what.len()])
    }

    fn show(&self, at: i64, what: What) {
        self.at.store(at, Relaxed);
        self.what.store(what as u8, Relaxed);
    }
}

impl Remote {
    /// Whether the audio thread will hear of it: it does not while it has not kept up with hundreds of orders.
    pub(super) fn send(&mut self, order: Order) -> bool {
        self.free();
        self.orders.push(order).is_ok()
    }

    /// Frees what the audio thread is done with.
    pub(super) fn free(&mut self) {
        while let Ok(tape) = self.retired.pop() {
            drop(tape);
        }
    }
}

impl Deck {
    /// A deck without a song, and the hand's end of it.
    pub(super) fn new() -> (Self, Remote, Arc<Shown>) {
        let (orders, to_do) = RingBuffer::new(COMMANDS);
        let (done_with, retired) = RingBuffer::new(RETIRED);
        let shown = Arc::new(Shown::default());
        let deck = Self {
            orders: to_do,
            retired: done_with,
            shown: Arc::clone(&shown),
            tape: None,
            transport: Transport::new(Loop::default(), 1),
            played: 0,
            silent: [0; 2],
            latency_frames: 0,
        };
        (deck, Remote { orders, retired }, shown)
    }

    /// Audio thread: puts the next frames in place of the input, and says where in the song they are. Gives how many
    /// follow from each other; the caller plays them and asks again. `latency_frames` is how much later they are heard,
    /// `count_in` how many are counted before a song that starts.
    pub(super) fn play(
        &mut self,
        [left, right]: [&mut [f32]; 2],
        playhead: &mut Playhead,
        latency_frames: u32,
        count_in: impl FnOnce() -> i64,
    ) -> usize {
        self.latency_frames = latency_frames.into();
        self.obey();
        let Some(tape) = &self.tape else {
            // What the back end gives as a tempo is nobody's.
            (playhead.tempo_bpm, playhead.beats) = (None, None);
            return left.len();
        };
        let Run { frames, at, what } = self.transport.advance(left.len(), extent(tape), count_in);
        let (left, right) = (&mut left[..frames], &mut right[..frames]);
        match what {
            What::Song => tape.play(at, left, right),
            What::Still | What::Waiting | What::CountIn => {
                left.fill(0.0);
                right.fill(0.0);
            }
        }
        *playhead = Playhead {
            playing: matches!(what, What::Song | What::CountIn),
            song_position_frames: Some(at),
            pre_roll: what == What::CountIn,
            ..Playhead::default()
        };
        self.shown.show(at + if what == What::Song { frames as i64 } else { 0 }, what);
        frames
    }

    /// Audio thread: what comes out of the engine for as many frames as were just played, on its way to the ear.
    pub(super) fn hear(&mut self, channels: [&mut [f32]; 2]) {
        let [from, until] = self.silent;
        let first = self.played;
        self.played += channels[0].len() as u64;
        if first >= until {
            return;
        }
        for channel in channels {
            for (at, sample) in (first..).zip(channel) {
                if at < until {
                    let faded = at.saturating_sub(from).min(FADE_FRAMES);
                    *sample *= 1.0 - faded as f32 / FADE_FRAMES as f32;
                }
            }
        }
    }

    fn obey(&mut self) {
        // Each order may retire a tape, and nothing may be freed here.
        while self.retired.slots() > 0
            && let Ok(order) = self.orders.pop()
        {
            match order {
                Order::Load(tape, looped) => {
                    let rate_hz = tape.as_ref().map_or(1, |tape| tape.rate_hz());
                    self.transport = Transport::new(looped, i64::from(rate_hz) / LEAST_LOOPS_PER_SECOND);
                    if let Some(old) = std::mem::replace(&mut self.tape, tape) {
                        // There is a slot, so it goes.
                        let _ = self.retired.push(old);
                        self.silence();
                    }
                    self.shown.show(0, What::Still);
                }
                Order::Do(command) => {
                    if let Some(tape) = &self.tape {
                        self.transport.act(command, extent(tape));
                        if matches!(command, Command::Pause { .. }) {
                            self.silence();
                        }
                    }
                }
            }
        }
    }

    /// All that is under way to the ear is not wanted any more.
    fn silence(&mut self) {
        self.silent = [self.played, self.played + self.latency_frames];
    }
}

fn extent(tape: &Tape) -> Extent {
    Extent { ready: tape.ready(), length: tape.length() }
}

#[cfg(test)]
mod tests {
    use super::super::tape::Recorder;
    use super::*;

    const LATENCY: u32 = 500;

    fn tape(frames: usize) -> Arc<Tape> {
        let tape = Arc::new(Tape::new(8_000));
        let samples: Vec<f32> = (0..frames).map(|at| at as f32 + 1.0).collect();
        let mut recorder = Recorder::new(&tape);
        recorder.write([&samples, &samples]).unwrap();
        recorder.finish().unwrap();
        tape
    }

    /// Plays `frames` in blocks of 64 through a pipe of [`LATENCY`] frames; what comes out, and the playheads of all runs.
    struct Room {
        deck: Deck,
        pipe: std::collections::VecDeque<f32>,
        runs: Vec<(usize, Playhead)>,
    }

    impl Room {
        fn play(&mut self, frames: usize) -> Vec<f32> {
            let mut out = Vec::new();
            while out.len() < frames {
                let mut block = [[9.0_f32; 64]; 2];
                let mut start = 0;
                while start < 64 {
                    let [left, right] = &mut block;
                    let channels = [&mut left[start..], &mut right[start..]];
                    let mut playhead = Playhead { tempo_bpm: Some(1.0), ..Playhead::default() };
                    let count = self.deck.play(channels, &mut playhead, LATENCY, || 0);
                    assert!(count > 0, "nothing goes on");
                    self.runs.push((count, playhead));
                    let run = start..start + count;
                    self.pipe.extend(&left[run.clone()]);
                    left[run.clone()].iter_mut().for_each(|sample| *sample = self.pipe.pop_front().unwrap());
                    right[run.clone()].copy_from_slice(&left[run.clone()]);
                    self.deck.hear([&mut left[run.clone()], &mut right[run]]);
                    start += count;
                }
                assert_eq!(block[0], block[1]);
                out.extend(block[0]);
            }
            out
        }
    }

    fn room() -> (Room, Remote, Arc<Shown>) {
        let (deck, remote, shown) = Deck::new();
        let pipe = std::iter::repeat_n(0.0, LATENCY as usize).collect();
        (Room { deck, pipe, runs: Vec::new() }, remote, shown)
    }

    #[test]
    fn without_a_song_the_input_is_heard() {
        let (mut room, ..) = room();
        let heard = room.play(640);
        assert!(heard[LATENCY as usize..].iter().all(|sample| *sample == 9.0));
        assert_eq!(room.runs[0].1.tempo_bpm, None, "what the back end gives as a tempo is nobody's");
    }

    #[test]
    fn a_loop_is_heard_to_the_frame_and_its_jump_begins_a_run_of_its_own() {
        let (mut room, mut remote, _) = room();
        let looped = Loop::default().switched(true).from(Some(1_001)).to(Some(1_777));
        assert!(remote.send(Order::Load(Some(tape(5_000)), looped)));
        assert!(remote.send(Order::Do(Command::Play)));
        let heard = room.play(6_400);
        let expected: Vec<f32> = (0..1_777)
            .chain((0..).flat_map(|_| 1_001..1_777).take(5_000))
            .map(|at| at as f32 + 1.0)
            .collect();
        let latency = LATENCY as usize;
        assert_eq!(heard[latency..], expected[..heard.len() - latency]);
        // The engine sees a jump only between two runs: each goes on from the one before, or begins the loop.
        let mut next = 0;
        for (frames, playhead) in &room.runs {
            let at = playhead.song_position_frames.unwrap();
            assert!(at == next || (next == 1_777 && at == 1_001), "{at} after {next}");
            assert!(playhead.playing);
            next = at + *frames as i64;
        }
    }

    #[test]
    fn a_pause_is_heard_at_once_and_play_goes_on_where_it_was_heard() {
        let (mut room, mut remote, shown) = room();
        remote.send(Order::Load(Some(tape(60_000)), Loop::default()));
        remote.send(Order::Do(Command::Play));
        let heard = room.play(6_400);
        let last = *heard.last().unwrap();
        let at = last as i64;
        remote.send(Order::Do(Command::Pause { heard: at }));
        let paused = room.play(320);
        assert_eq!(paused[0], last + 1.0, "it fades and does not crack");
        assert!(paused[FADE_FRAMES as usize..].iter().all(|sample| *sample == 0.0), "not a latency later");
        assert_eq!(shown.now(), (at, What::Still));
        // Before what was under way has passed: nothing of it is heard.
        remote.send(Order::Do(Command::Play));
        let again = room.play(1_280);
        let first = again.iter().position(|sample| *sample != 0.0).unwrap();
        assert_eq!(first, LATENCY as usize, "a latency after play");
        assert_eq!(again[first], last + 1.0);
        assert!(again[first..].windows(2).all(|pair| pair[1] == pair[0] + 1.0));
    }

    #[test]
    fn a_seek_jumps_and_what_is_under_way_is_played_out() {
        let (mut room, mut remote, _) = room();
        remote.send(Order::Load(Some(tape(60_000)), Loop::default()));
        remote.send(Order::Do(Command::Play));
        room.play(6_400);
        remote.send(Order::Do(Command::Seek(30_000)));
        let heard = room.play(1_280);
        let latency = LATENCY as usize;
        assert!(heard[..latency].windows(2).all(|pair| pair[1] == pair[0] + 1.0));
        assert_eq!(heard[latency], 30_001.0);
    }

    #[test]
    fn another_song_silences_the_one_before_and_the_old_one_is_freed_elsewhere() {
        let (mut room, mut remote, shown) = room();
        let first = tape(60_000);
        remote.send(Order::Load(Some(Arc::clone(&first)), Loop::default()));
        remote.send(Order::Do(Command::Play));
        room.play(6_400);
        remote.send(Order::Load(Some(tape(100)), Loop::default()));
        let heard = room.play(1_280);
        assert!(heard[FADE_FRAMES as usize..].iter().all(|sample| *sample == 0.0));
        assert_eq!(shown.now(), (0, What::Still), "it stands at its beginning");
        assert_eq!(Arc::strong_count(&first), 2, "it lies in the ring");
        remote.send(Order::Load(None, Loop::default()));
        assert_eq!(Arc::strong_count(&first), 1);
        let heard = room.play(1_280);
        assert_eq!(*heard.last().unwrap(), 9.0, "the input is heard again");
    }

    #[test]
    fn nothing_is_freed_on_the_audio_thread_even_if_nobody_comes_for_it() {
        let (mut room, mut remote, _) = room();
        let tapes: Vec<Arc<Tape>> = (0..2 * RETIRED).map(|_| tape(10)).collect();
        for tape in &tapes {
            // Not by `send`, which frees.
            remote.orders.push(Order::Load(Some(Arc::clone(tape)), Loop::default())).unwrap();
        }
        room.play(64);
        assert!(tapes.iter().all(|tape| Arc::strong_count(tape) == 2), "held by a ring or by the deck");
        remote.free();
        room.play(64);
        remote.free();
        assert_eq!(tapes.iter().filter(|tape| Arc::strong_count(tape) == 2).count(), 1, "all but the last");
    }
}
