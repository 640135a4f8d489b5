//! The audio thread's engine: one block of the mix in, one block of what was `latency_frames` ago out.
//!
//! Nothing here allocates, locks or logs; in a live session nothing waits or makes a system call either. It knows no
//! clock: how fast the host calls is judged elsewhere.

use std::sync::{Arc, atomic::Ordering::Relaxed};

use rehearsekit_audio::click::{BeatTransport, ClickValues};
use rehearsekit_playout::{Playout, SLOT_FRAMES, StemGains, StemSlot};

use crate::{
    automation::Automation,
    control::Touched,
    feed::Feed,
    meters::Levels,
    metronome::{self, Metronome},
    mixer::{Mixer, STRIPS, StripValues, linear},
    offline::Offline,
    shared::Run,
    song::Song,
};

/// Longer blocks are played in pieces of this; a host may announce less.
pub(crate) const MOST_BLOCK_FRAMES: u32 = 8_192;
/// Beside the main one: each strip's, and the click's.
pub const OUTPUTS: usize = STRIPS + 1;
/// Slots taken from the ring for each one played, and some more: what came in one piece is laid out over a few
/// blocks instead of in one.
const TAKEN_PER_SLOT: usize = 4;
const TAKEN_AT_LEAST: usize = 24;

/// One call of the host.
#[derive(Debug)]
pub struct Block<'a> {
    /// The mix going in, left and right, and in its place the main mix coming out. Any length, the announced
    /// maximum and beyond, or nothing. All slices of a block have one length; of different ones the shortest
    /// counts.
    pub main: [&'a mut [f32]; 2],
    /// The stems behind their faders, left and right, in the order of [`STRIP_NAMES`](crate::STRIP_NAMES), and
    /// behind them the click: seven, or fewer from the front, or none. For an output that is not connected give a
    /// scratch buffer.
    pub stems: &'a mut [[&'a mut [f32]; 2]],
    /// Where the host's playhead is. Rounding by up to two frames is no jump.
    pub transport: BeatTransport,
    /// The mixer as the host's parameters have it at the first frame of the block.
    pub mixer: &'a Mixer,
    /// Which of these values were moved in our own editor since the last block.
    pub touched: Touched,
}

/// What became of a block. The output is written fully, whatever this says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub enum Status {
    /// All well: stems, or the mix in their place.
    Ok,
    /// An offline render cannot be exact any more: the output is silence, and stays so until
    /// [`AudioEngine::reset`]. Tell the host; [`View::error`](crate::View::error) has the reason.
    OfflineFailed,
}

/// The audio thread's side of an [`Instance`](crate::Instance). One thread at a time may use it; it may be
/// dropped anywhere but on an audio thread.
#[derive(Debug)]
pub struct AudioEngine {
    playout: Playout,
    feed: Feed,
    stems: Option<rtrb::Consumer<StemSlot>>,
    automation: Automation,
    song: Song,
    metronome: Metronome,
    /// What goes in is this much further in the song than the host says.
    told_late_frames: i64,
    click: ClickValues,
    click_in_main: bool,
    gains: [StemGains; STRIPS],
    /// The piece of the mix that is played, since its output takes its place.
    piece: [Vec<f32>; 2],
    played_frames: u64,
    offline: Offline,
    run: Arc<Run>,
}

/// What an engine is made of.
pub(crate) struct Parts {
    pub(crate) playout: Playout,
    pub(crate) feed: Feed,
    pub(crate) stems: Option<rtrb::Consumer<StemSlot>>,
    pub(crate) offline: Offline,
    pub(crate) metronome: Metronome,
    /// The latency, or nothing where the host tells of what comes out.
    pub(crate) told_ahead_frames: u32,
    pub(crate) run: Arc<Run>,
}

impl AudioEngine {
    pub(crate) fn new(parts: Parts) -> Self {
        let Parts { playout, feed, stems, offline, metronome, told_ahead_frames, run } = parts;
        let config = *playout.config();
        let frames = config.max_block_frames as usize;
        Self {
            playout,
            feed,
            stems,
            automation: Automation::new(told_ahead_frames),
            song: Song::default(),
            metronome,
            told_late_frames: (config.latency_frames - told_ahead_frames).into(),
            click: ClickValues::default(),
            click_in_main: true,
            gains: [StemGains::default(); STRIPS],
            piece: [vec![0.0; frames], vec![0.0; frames]],
            played_frames: 0,
            offline,
            run,
        }
    }

    /// The latency in frames; the same as [`Instance::latency_frames`](crate::Instance::latency_frames) at this
    /// engine's rate. Constant for its whole life.
    pub fn latency_frames(&self) -> u32 {
        self.playout.config().latency_frames
    }

    /// Plays one block. Waits only in an offline render.
    pub fn process(&mut self, block: Block<'_>) -> Status {
        let Block { main: [left, right], stems, transport, mixer, touched } = block;
        let lengths = stems.iter().flatten().map(|channel| channel.len());
        let frames = lengths.chain([left.len(), right.len()]).min().unwrap_or(0);
        // What is not played is silent: longer slices, and everything behind a failure.
        let mut played = 0;
        if !self.has_failed() {
            if self.song.advance(transport, frames) {
                let lost = self.feed.jump();
                self.count_lost(lost);
            }
            self.metronome.receive(self.playout.position(), &transport);
            if self.automation.receive(self.playout.position(), mixer, touched) {
                self.adopt_mixer();
            }
            let song_position = transport.song_position_frames.unwrap_or_default();
            let song_position = song_position.saturating_add(self.told_late_frames);
            while played < frames {
                let count = self.piece[0].len().min(frames - played);
                let end = played + count;
                let mut main = [&mut left[played..end], &mut right[played..end]];
                if !self.take_in(song_position.saturating_add(played as i64), &main) {
                    break;
                }
                let mut unused: [[&mut [f32]; 2]; OUTPUTS] = Default::default();
                let strips = unused.iter_mut().zip(stems.iter_mut());
                let used = strips
                    .map(|(part, whole)| *part = whole.each_mut().map(|channel| &mut channel[played..end]))
                    .count();
                self.play(count, &mut main, &mut unused[..used]);
                played = end;
            }
        }
        [left, right].into_iter().for_each(|channel| channel[played..].fill(0.0));
        stems.iter_mut().flatten().for_each(|channel| channel[played..].fill(0.0));
        stems.iter_mut().skip(OUTPUTS).flatten().for_each(|channel| channel.fill(0.0));
        self.publish(frames);
        if self.has_failed() { Status::OfflineFailed } else { Status::Ok }
    }

    /// Discards all audio that is under way and ends the silence of a failed render. What the mixer is set to at
    /// the next block acts at once. Real-time safe.
    pub fn reset(&mut self) {
        self.enter(self.offline.is_on());
    }

    /// The same, and what comes next is an offline render, or live. The connection follows in the background; a render
    /// waits for it, as for everything else. Real-time safe.
    pub fn enter(&mut self, offline: bool) {
        self.playout.reset();
        self.feed.discard();
        self.automation.restart();
        self.song.forget();
        self.metronome.reset();
        self.offline.begin(offline, &self.run);
    }

    fn has_failed(&self) -> bool {
        self.offline.has_failed()
    }

    /// Takes a piece of the mix in, hands it to the network, and lays out what has come back; offline it waits
    /// until everything is there. Whether the piece can be played.
    fn take_in(&mut self, song_position: i64, mix: &[&mut [f32]; 2]) -> bool {
        let frames = mix[0].len();
        for (to, from) in self.piece.iter_mut().zip(mix) {
            for (to, &sample) in to.iter_mut().zip(from.iter()) {
                // Neither NaN nor infinity nor what is too small to be a normal number goes any further.
                *to = if sample.is_normal() { sample } else { 0.0 };
            }
        }
        let Self { playout, feed, stems, offline, run, piece, .. } = self;
        if offline.is_on() {
            // Stems are taken meanwhile, or neither side would move.
            let room = offline.wait(run, || {
                stems.iter_mut().for_each(|stems| playout.take_from(stems));
                feed.has_room(frames)
            });
            if !room {
                return false;
            }
        }
        let piece = [&piece[0][..frames], &piece[1][..frames]];
        let lost = feed.push(playout.position(), song_position, piece);
        if offline.is_on() {
            let ready = offline.wait(run, || {
                stems.iter_mut().for_each(|stems| playout.take_from(stems));
                playout.is_ready(frames)
            });
            if !ready {
                return false;
            }
        } else if let Some(stems) = stems {
            playout.take_some_from(stems, TAKEN_PER_SLOT * frames.div_ceil(SLOT_FRAMES) + TAKEN_AT_LEAST);
        }
        self.count_lost(lost);
        true
    }

    /// Plays the piece that was taken in, cut where a value of the mixer comes into force.
    fn play(&mut self, frames: usize, main: &mut [&mut [f32]; 2], stems: &mut [[&mut [f32]; 2]]) {
        let mut start = 0;
        while start < frames {
            let position = self.playout.position();
            if self.automation.apply(position) {
                self.adopt_mixer();
            }
            let ahead = self.automation.next().map_or(u64::MAX, |at| at - position);
            let count = usize::try_from(ahead).unwrap_or(usize::MAX).min(frames - start);
            let end = start + count;
            let mut parts: [[&mut [f32]; 2]; OUTPUTS] = Default::default();
            let used = parts
                .iter_mut()
                .zip(stems.iter_mut())
                .map(|(part, whole)| *part = whole.each_mut().map(|channel| &mut channel[start..end]))
                .count();
            let mix = [&self.piece[0][start..end], &self.piece[1][start..end]];
            let mut main = main.each_mut().map(|channel| &mut channel[start..end]);
            let (stems, click) = parts[..used].split_at_mut(used.min(STRIPS));
            let [left, right] = &mut main;
            self.playout.process(mix, &self.gains, stems, [left, right]);
            let main = self.click_in_main.then_some(&mut main);
            self.metronome.play(position, &self.click, main, click.first_mut(), count);
            start = end;
        }
    }

    fn adopt_mixer(&mut self) {
        let mixer = self.automation.mixer();
        self.gains = mixer.strips.each_ref().map(StripValues::gains);
        self.playout.set_part(mixer.part());
        self.playout.set_output(linear(mixer.master_db), mixer.wetness);
        self.playout.set_bypassed(mixer.bypassed);
        self.click = if mixer.bypassed { metronome::bypassed(mixer.click) } else { mixer.click };
        self.click_in_main = mixer.click_in_main;
    }

    fn count_lost(&self, frames: u64) {
        if frames > 0 {
            self.run.dropped_frames.fetch_add(frames, Relaxed);
        }
    }

    /// Tells the others what happened in a block.
    fn publish(&mut self, frames: usize) {
        self.played_frames += frames as u64;
        self.run.frames.store(self.played_frames, Relaxed);
        self.run.bridging.store(self.playout.is_bridging(), Relaxed);
        let peaks = self.playout.take_peaks();
        let click = self.metronome.take_peak();
        self.run.meters.raise(&Levels { input: peaks.input, main: peaks.main, strips: peaks.lanes, click });
        self.metronome.show(&self.run.heard);
    }
}
