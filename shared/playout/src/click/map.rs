//! What the host said about beats, by position: the tempo map of what is under way. Must not know what is clicked.
//!
//! An *anchor* is a moment that does not follow from the one before; while a host goes on as expected none is made, so
//! an hour at one tempo is one anchor, and nothing drifts. Anchors of one *run* join without a jump. Between two of
//! them the tempo is a [`Curve`]; behind the last it stays as it is.

use std::collections::VecDeque;

use rehearsekit_audio::click::{Bars, BeatTransport, Curve, Ends, Meter, tempo_per_frame};

/// Rounding of a song position that is no jump: CLAP gives seconds.
const SONG_ROUNDING_FRAMES: i64 = 2;
/// A host whose beats are off by less than this goes on as expected.
const FINE_FRAMES: f64 = 1e-3;
/// A host that contradicts itself by less than this does not jump.
const JUMP_FRAMES: f64 = 2.0;
/// Some hosts (Ardour) count in ticks, many frames each: what they say of a moment is right to a half.
const TICKS_PER_BEAT: f64 = 1_920.0;
/// The longest block: so far before a report a tempo may have changed, if not more lies between two reports.
const LONGEST_BLOCK_FRAMES: f64 = 8_192.0;

/// Beats at an anchor.
#[derive(Debug, Clone, Copy)]
struct Beats {
    beats: f64,
    /// Quarter notes per frame.
    tempo: f64,
    bars: Bars,
    /// From here on these bars count: where they are other than before, the anchor's bar may have begun before it, since
    /// the last report.
    bars_from: f64,
    /// Whether the tempo stood still right before the change that led here, whether it did here, and whether it does
    /// behind; the last is `None` as long as nobody has told.
    steady: (bool, bool, Option<bool>),
}

#[derive(Debug, Clone, Copy)]
struct Anchor {
    at: i64,
    playing: bool,
    pre_roll: bool,
    song: Option<i64>,
    song_run: u32,
    beats: Option<Beats>,
    beats_run: u32,
}

/// What a report says beside what was expected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum News {
    None,
    Some,
    /// Something that no change of tempo explains, but too little for a jump.
    Contradicts,
}

/// A stretch of audio over which one thing holds.
#[derive(Debug, Clone, Copy)]
pub(super) struct Stretch {
    /// Its first and the one behind its last frame; the first may lie before what was asked for.
    pub(super) from: i64,
    pub(super) end: i64,
    /// Whether anything was told of it.
    pub(super) is_known: bool,
    pub(super) playing: bool,
    pub(super) pre_roll: bool,
    /// Song position of the first frame.
    pub(super) song: Option<i64>,
    /// Numbers that change where the song, or the beats, jump.
    pub(super) song_run: u32,
    pub(super) beats_run: u32,
    pub(super) beats: Option<Span>,
}

/// The host's beats over a stretch.
#[derive(Debug, Clone, Copy)]
pub(super) struct Span {
    /// From the stretch's first frame.
    pub(super) curve: Curve,
    pub(super) bars: Bars,
    /// Before these beats there were other bars.
    pub(super) bars_from: f64,
    /// Other bars, and the beats from which they count.
    pub(super) then: Option<(f64, Bars)>,
}

/// Everything the host said that has not been heard yet.
#[derive(Debug)]
pub(super) struct TempoMap {
    rate_hz: u32,
    anchors: VecDeque<Anchor>,
    /// Position and tempo of the last report.
    reported: (i64, f64),
    /// Beats were told that no host has that counts in ticks.
    counts_fine: bool,
    runs: u32,
}

impl TempoMap {
    pub(super) fn new(rate_hz: u32, capacity: usize) -> Self {
        Self {
            rate_hz,
            anchors: VecDeque::with_capacity(capacity.max(2)),
            reported: (0, 0.0),
            counts_fine: false,
            runs: 0,
        }
    }

    /// Forgets everything.
    pub(super) fn clear(&mut self) {
        self.anchors.clear();
        self.counts_fine = false;
    }

    /// The host's words for the frame that goes in at `at`. What is only carried on is no news, and must not look like a
    /// tempo that stands still: the host's may be moving meanwhile.
    pub(super) fn receive(&mut self, at: i64, told: &BeatTransport) {
        if told.is_carried && !self.anchors.is_empty() {
            return;
        }
        // A block of nothing is told twice, and the second time counts.
        while self.anchors.back().is_some_and(|last| last.at >= at) {
            self.anchors.pop_back();
        }
        let mut before = self.anchors.back().copied();
        let (mut anchor, mut news) = self.anchor(before.as_ref(), at, told);
        let reported = self.reported.0;
        if let Some(corner) = before.filter(|before| news == News::Contradicts && before.at < reported) {
            // Up to the last report everything was as expected, and stays so.
            self.push(corner.carried(reported));
            before = self.anchors.back().copied();
            (anchor, news) = self.anchor(before.as_ref(), at, told);
        }
        if let Some(last) = self.anchors.back_mut().filter(|last| last.beats_run == anchor.beats_run)
            && let (Some(last), Some(now)) = (&mut last.beats, &anchor.beats)
        {
            last.steady.2.get_or_insert(now.tempo == last.tempo);
        }
        self.reported = (at, anchor.beats.map_or(0.0, |beats| beats.tempo));
        if news != News::None {
            self.push(anchor);
        }
    }

    /// Where there is no room the last anchor goes: what is being heard stays right, and what comes is a little
    /// coarser.
    fn push(&mut self, anchor: Anchor) {
        if self.anchors.len() == self.anchors.capacity() {
            self.anchors.pop_back();
        }
        self.anchors.push_back(anchor);
    }

    /// The anchor at `at`, and whether it says anything new.
    fn anchor(&mut self, before: Option<&Anchor>, at: i64, told: &BeatTransport) -> (Anchor, News) {
        let mut anchor = Anchor {
            at,
            playing: told.playing,
            pre_roll: told.pre_roll,
            song: told.song_position_frames,
            song_run: self.runs,
            beats: None,
            beats_run: self.runs,
        };
        let tempo = told.tempo_bpm.and_then(|bpm| tempo_per_frame(bpm, self.rate_hz));
        let beats = told.beats.filter(|beats| beats.is_finite()).zip(tempo);
        let meter =
            told.time_signature.and_then(|(numerator, denominator)| Meter::new(numerator, denominator));
        let Some(before) = before else {
            anchor.beats = beats.map(|beats| first(beats, meter, told.bar_start_beats));
            return (anchor, News::Some);
        };
        let moves = before.playing && told.playing;
        let mut contradicts = false;
        let mut is_new = before.playing != told.playing || before.pre_roll != told.pre_roll;
        // The song: it goes on, or jumps.
        let expected = before.song.map(|song| song.saturating_add(if moves { at - before.at } else { 0 }));
        let rounding = if moves { SONG_ROUNDING_FRAMES as u64 } else { 0 };
        let song_follows = match (expected, told.song_position_frames) {
            (Some(expected), Some(song)) => {
                before.playing == told.playing && expected.abs_diff(song) <= rounding
            }
            (None, None) => true,
            _ => false,
        };
        if song_follows {
            anchor.song = expected;
            anchor.song_run = before.song_run;
        } else {
            is_new = true;
            anchor.song_run = self.next_run();
        }
        // The beats follow only if the song does, where both are told.
        let joined = match (&before.beats, beats) {
            (Some(earlier), Some(now)) if moves && song_follows => self.follow(before.at, earlier, at, now),
            _ => None,
        };
        match joined {
            Some((mut joined, news)) => {
                anchor.beats_run = before.beats_run;
                let bars = Bars::follow(Some(&joined.bars), meter, told.bar_start_beats, joined.beats);
                if !bars.agrees_with(&joined.bars) {
                    joined.bars_from = joined.bars_from.max(bars.bar_line_at(joined.beats));
                    joined.bars = bars;
                    is_new = true;
                } else {
                    joined.bars_from = f64::NEG_INFINITY;
                }
                is_new |= news != News::None;
                contradicts = news == News::Contradicts;
                anchor.beats = Some(joined);
            }
            None => {
                anchor.beats = beats.map(|beats| first(beats, meter, told.bar_start_beats));
                // While nothing moves only the tempo counts.
                let same = !is_new
                    && !moves
                    && anchor.beats.map(|beats| beats.tempo) == before.beats.map(|beats| beats.tempo);
                if same {
                    anchor.beats_run = before.beats_run;
                } else {
                    is_new |= before.beats.is_some() || anchor.beats.is_some();
                    anchor.beats_run = self.next_run();
                }
            }
        }
        let news = if is_new { News::Some } else { News::None };
        (anchor, if contradicts { News::Contradicts } else { news })
    }

    /// The beats at `at` if they go on from `earlier` without a jump, and whether they say anything new. Where the host
    /// is off by no more than it rounds, they are what they were expected to be.
    fn follow(
        &mut self,
        from: i64,
        earlier: &Beats,
        at: i64,
        (told, tempo): (f64, f64),
    ) -> Option<(Beats, News)> {
        let frames = (at - from) as f64;
        let since_report = (at - self.reported.0.clamp(from, at)) as f64;
        let at_report = earlier.beats + earlier.tempo * (frames - since_report);
        let expected = at_report + 0.5 * (earlier.tempo + tempo) * since_report;
        let ticks = told * TICKS_PER_BEAT;
        self.counts_fine |= (ticks - ticks.round()).abs() > 1e-4;
        let rounding = if self.counts_fine { FINE_FRAMES * tempo } else { 0.5 / TICKS_PER_BEAT };
        let changes = tempo != earlier.tempo;
        let beats =
            if changes && self.counts_fine { told } else { expected.clamp(told - rounding, told + rounding) };

        let was_steady = earlier.steady.1 || (frames > since_report && self.reported.1 == earlier.tempo);
        let next = Beats {
            beats,
            tempo,
            bars: earlier.bars,
            bars_from: at_report,
            steady: (was_steady, !changes, None),
        };
        if changes {
            let ends = Ends {
                frames,
                beats: [earlier.beats, beats],
                tempo: [earlier.tempo, tempo],
                steady: [was_steady, true],
            };
            let earliest = frames - LONGEST_BLOCK_FRAMES.max(since_report);
            if ends.middle().is_some_and(|middle| middle >= earliest) {
                return Some((next, News::Some));
            }
        } else if beats == expected {
            return Some((next, News::None));
        }
        let is_jump = (beats - expected).abs() > JUMP_FRAMES * tempo + rounding;
        (!is_jump).then_some((next, News::Contradicts))
    }

    fn next_run(&mut self) -> u32 {
        self.runs = self.runs.wrapping_add(1);
        self.runs
    }

    /// The stretch that `at` lies in. Positions may only grow: what lies before is forgotten.
    pub(super) fn stretch(&mut self, at: i64) -> Stretch {
        while self.anchors.get(1).is_some_and(|second| second.at <= at) {
            self.anchors.pop_front();
        }
        let Some(first) = self.anchors.front().filter(|first| first.at <= at) else {
            return Stretch {
                from: at,
                end: self.anchors.front().map_or(i64::MAX, |first| first.at),
                is_known: false,
                playing: false,
                pre_roll: false,
                song: None,
                song_run: self.runs.wrapping_add(1),
                beats_run: self.runs.wrapping_add(1),
                beats: None,
            };
        };
        let next = self.anchors.get(1);
        let joined =
            next.filter(|next| next.beats_run == first.beats_run).and_then(|next| Some((next, next.beats?)));
        Stretch {
            from: first.at,
            end: next.map_or(i64::MAX, |next| next.at),
            is_known: true,
            playing: first.playing,
            pre_roll: first.pre_roll,
            song: first.song,
            song_run: first.song_run,
            beats_run: first.beats_run,
            beats: first.beats.map(|beats| match joined {
                Some((next, then)) => beats.until(&then, (next.at - first.at) as f64),
                None => Span {
                    curve: Curve::constant(beats.beats, beats.tempo),
                    bars: beats.bars,
                    bars_from: beats.bars_from,
                    then: None,
                },
            }),
        }
    }
}

impl Anchor {
    /// The same run further on, up to where nothing new was said.
    fn carried(self, at: i64) -> Self {
        let frames = at - self.at;
        let beats = self.beats.map(|beats| {
            let now = beats.beats + beats.tempo * frames as f64;
            Beats { beats: now, bars_from: f64::NEG_INFINITY, steady: (true, true, None), ..beats }
        });
        Self { at, song: self.song.map(|song| song.saturating_add(frames)), beats, ..self }
    }
}

/// Beats that follow nothing.
fn first((beats, tempo): (f64, f64), meter: Option<Meter>, bar_start: Option<f64>) -> Beats {
    let bars = Bars::follow(None, meter, bar_start, beats);
    Beats { beats, tempo, bars, bars_from: f64::NEG_INFINITY, steady: (false, false, None) }
}

impl Beats {
    /// From here to the next anchor, `frames` later.
    fn until(&self, next: &Self, frames: f64) -> Span {
        // As long as nobody has told how it goes on: a tempo that stood still has stepped, one that moved moves on.
        let steady = [next.steady.0, next.steady.2.unwrap_or(next.steady.0)];
        let curve = Curve::between(&Ends {
            frames,
            beats: [self.beats, next.beats],
            tempo: [self.tempo, next.tempo],
            steady,
        });
        let then = (!next.bars.agrees_with(&self.bars)).then_some((next.bars_from, next.bars));
        Span { curve, bars: self.bars, bars_from: self.bars_from, then }
    }
}
