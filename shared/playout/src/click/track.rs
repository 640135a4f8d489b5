//! Clicks on the beats of what is heard. Must not know how a host rounds.

use rehearsekit_audio::{
    SampleRate,
    click::{
        Bars, BeatTransport, ClickMode, ClickSource, ClickValues, Curve, Meter, Tick, TickKind,
        tempo_per_frame,
    },
    gain::db_to_linear,
};

pub use super::voices::OwnSounds;
use super::{
    map::{Span, Stretch, TempoMap},
    voices::Voices,
};
use crate::gains::balance;

/// Anchors that fit into a latency: more than a host makes, unless its tempo moves and its blocks are tiny.
const FEWEST_ANCHORS: usize = 1_024;
const MOST_ANCHORS: usize = 16_384;
/// Two clicks this near are one: the beat at the end of a loop and the one at its beginning.
const ONE_CLICK_SECONDS: f64 = 0.002;
/// A beat half a frame before a run's first is still its own, however it was rounded.
const FIRST_FRAMES: f64 = 0.51;
/// A beat right between two frames is on the earlier one, however it was rounded.
const TIE_FRAMES: f64 = 1e-4;
/// How far behind a click the next can be, in quarter notes; far less than a 64th and far more than rounding.
const APART_BEATS: f64 = 1e-4;

/// Beyond this, beats cannot be told from each other; no song has as many.
const MOST_BEATS: f64 = 1e9;

/// A beat that is heard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HeardBeat {
    /// Which one of the bar, from 1.
    pub beat: u32,
    /// Beats of the bar.
    pub of: u32,
}

/// Beats that follow each other without a jump.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Run {
    source: Source,
    /// Every click before this is done with, in quarter notes.
    done: f64,
}

/// What must change for beats not to follow.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Source {
    Host(u32),
    Own { song_run: u32, tempo_bpm: f64, one_seconds: f64 },
}

/// The click, for the audio thread.
///
/// For each block of the host call [`Self::receive`] once and then [`Self::render`] for its pieces, in order.
#[derive(Debug)]
pub struct ClickTrack {
    rate_hz: u32,
    latency_frames: i64,
    map: TempoMap,
    run: Option<Run>,
    voices: Voices,
    last: Option<(i64, TickKind)>,
    beat: Option<HeardBeat>,
    tempo_bpm: Option<f64>,
    own_seconds: f64,
}

impl ClickTrack {
    /// A click for audio that is heard `latency_frames` after it went in, and the way in for a player's own sound.
    /// Neither may be dropped on an audio thread.
    pub fn new(rate: SampleRate, latency_frames: u32) -> (Self, OwnSounds) {
        let (voices, own_sounds) = Voices::new(rate);
        let anchors = (latency_frames as usize / 32).clamp(FEWEST_ANCHORS, MOST_ANCHORS);
        let track = Self {
            rate_hz: rate.hz(),
            latency_frames: latency_frames.into(),
            map: TempoMap::new(rate.hz(), anchors),
            run: None,
            voices,
            last: None,
            beat: None,
            tempo_bpm: None,
            own_seconds: 0.0,
        };
        (track, own_sounds)
    }

    /// The host's transport for the frame that goes in at `position`. Positions grow, except behind a
    /// [`Self::reset`].
    pub fn receive(&mut self, position: u64, transport: &BeatTransport) {
        self.map.receive(position as i64, transport);
    }

    /// Writes the click that is heard while the frames from `position` on go in. Both slices have one length; of
    /// different ones the shorter counts, and the rest of the other stays as it is.
    pub fn render(&mut self, position: u64, values: &ClickValues, out: [&mut [f32]; 2]) {
        let frames = out[0].len().min(out[1].len());
        let [left, right] = out.map(|channel| &mut channel[..frames]);
        left.fill(0.0);
        right.fill(0.0);
        self.voices.take_sounds();
        let first = position as i64 - self.latency_frames;
        let mut start = 0;
        while start < frames {
            let here = first + start as i64;
            let stretch = self.map.stretch(here);
            let count = usize::try_from(stretch.end - here).unwrap_or(usize::MAX).min(frames - start);
            let end = start + count;
            self.play(&stretch, here, values, [&mut left[start..end], &mut right[start..end]]);
            start = end;
        }
    }

    /// Forgets what was told and is silent at once. Real-time safe.
    pub fn reset(&mut self) {
        self.map.clear();
        self.voices.clear();
        self.run = None;
        self.last = None;
        self.beat = None;
        self.tempo_bpm = None;
    }

    /// The beat at the last frame that was rendered, whether it was clicked or not; `None` while nothing plays, and
    /// where the meter is unknown.
    pub fn beat(&self) -> Option<HeardBeat> {
        self.beat
    }

    /// The tempo in force at the last frame that was rendered, in quarter notes per minute; `None` is unknown.
    pub fn tempo_bpm(&self) -> Option<f64> {
        self.tempo_bpm
    }

    /// What [`ClickSource::Own`] takes for the time behind the last frame that was rendered: seconds of the song where
    /// the host has one, else of what was played. A "one" that is tapped now lies here.
    pub fn own_seconds(&self) -> f64 {
        self.own_seconds
    }

    /// Clicks within one stretch, from `here` on.
    fn play(&mut self, stretch: &Stretch, here: i64, values: &ClickValues, out: [&mut [f32]; 2]) {
        let end = here + out[0].len() as i64;
        let seconds = |at: i64| match stretch.song {
            Some(song) if stretch.playing => song.saturating_add(at - stretch.from),
            Some(song) => song,
            None => at,
        } as f64
            / f64::from(self.rate_hz);
        self.own_seconds = seconds(end);
        let (source, span) = match values.source {
            ClickSource::Host => (Source::Host(stretch.beats_run), stretch.beats),
            ClickSource::Own => self.own(stretch, seconds(stretch.from), values),
        };
        // Without a song's position nothing stands still.
        let is_free = values.source == ClickSource::Own && stretch.song.is_none() && stretch.is_known;
        let plays = stretch.playing || is_free;
        let last = (end - 1 - stretch.from) as f64;
        self.tempo_bpm = span.map(|span| span.curve.tempo_at(last) * 60.0 * f64::from(self.rate_hz));
        self.beat = None;
        let [left, right] = out;
        let countable = |span: &Span| span.curve.beats_at(last).abs() < MOST_BEATS;
        let Some(span) = span.filter(|span| plays && countable(span)) else {
            self.run = None;
            return self.voices.mix([left, right]);
        };
        let heard = span.curve.beats_at(last + 0.5);
        self.beat = span.bars_at(heard).beat_at(heard).map(|(beat, of)| HeardBeat { beat, of });

        let offset = (here - stretch.from) as f64;
        let mut run = self
            .run
            .filter(|run| run.source == source)
            .unwrap_or_else(|| Run { source, done: span.curve.beats_at(offset - FIRST_FRAMES) });
        let mut at = here;
        loop {
            let tick = span.next_tick(run.done, values);
            let frames = (span.curve.frames_at(tick.beats) + 0.5 - TIE_FRAMES).floor();
            // A beat that has passed unheard, since the host spoke of it too late, sounds late.
            let frame = stretch.from.saturating_add(frames as i64).max(at);
            if frame >= end {
                break;
            }
            run.done = tick.beats + APART_BEATS;
            let counts_in = stretch.pre_roll || stretch.is_before_the_song(frame);
            if values.mode == ClickMode::On || (values.mode == ClickMode::CountIn && counts_in) {
                let part = (at - here) as usize..(frame - here) as usize;
                self.voices.mix([&mut left[part.clone()], &mut right[part]]);
                at = frame;
                self.strike(frame, tick.kind, values);
            }
        }
        self.run = Some(run);
        let rest = (at - here) as usize;
        self.voices.mix([&mut left[rest..], &mut right[rest..]]);
    }

    /// The player's own tempo over a stretch that begins at `seconds`.
    fn own(&self, stretch: &Stretch, seconds: f64, values: &ClickValues) -> (Source, Option<Span>) {
        let ClickValues { own_tempo_bpm: tempo_bpm, own_one_seconds: one_seconds, .. } = *values;
        let source = Source::Own { song_run: stretch.song_run, tempo_bpm, one_seconds };
        let tempo = tempo_per_frame(tempo_bpm, self.rate_hz).filter(|_| one_seconds.is_finite());
        let span = tempo.map(|tempo| Span {
            curve: Curve::constant((seconds - one_seconds) * tempo_bpm / 60.0, tempo),
            bars: Bars::new(Meter::new(values.own_beats_per_bar, 4), 0.0),
            bars_from: f64::NEG_INFINITY,
            then: None,
        });
        (source, span)
    }

    fn strike(&mut self, frame: i64, kind: TickKind, values: &ClickValues) {
        let near = (ONE_CLICK_SECONDS * f64::from(self.rate_hz)) as i64;
        if let Some((before, louder)) = self.last.filter(|(before, _)| frame - before < near) {
            if louder >= kind {
                return;
            }
            self.voices.take_back((frame - before) as u64 + 1);
        }
        self.last = Some((frame, kind));
        if values.level_db > ClickValues::SILENT_DB {
            let gain = db_to_linear(values.level_db);
            self.voices.strike(values.sound, kind, balance(values.pan).map(|side| gain * side));
        }
    }
}

impl Stretch {
    fn is_before_the_song(&self, frame: i64) -> bool {
        // The first beat of all is no count, if the host rounds its position.
        self.song.is_some_and(|song| song.saturating_add(frame - self.from) < -2)
    }
}

impl Span {
    fn bars_at(&self, beats: f64) -> &Bars {
        match &self.then {
            Some((from, bars)) if beats >= *from => bars,
            _ => &self.bars,
        }
    }

    /// The first click at `from` quarter notes or later.
    fn next_tick(&self, from: f64, values: &ClickValues) -> Tick {
        let tick = |bars: &Bars, from| bars.next_tick(from, values.subdivision, values.accent);
        let now = tick(&self.bars, from.max(self.bars_from - APART_BEATS));
        match &self.then {
            // The bar line that they begin with is theirs.
            Some((start, bars)) if now.beats > start - APART_BEATS => {
                tick(bars, from.max(start - APART_BEATS))
            }
            _ => now,
        }
    }
}
