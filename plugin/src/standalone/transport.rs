//! Where in the song it is played, and what comes next: play, pause, seek, loop, count-in, over frames. Pure: it knows
//! no clock, no sound and no thread, and never answers with more than one run of frames without a jump.

/// What the player's hand wants. Frames are of the song at the rate it is played at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Command {
    /// On from where it stands, after the count-in.
    Play,
    /// Stand, at what was heard last.
    Pause { heard: i64 },
    /// On from here.
    Seek(i64),
    /// Another loop.
    Loop(Loop),
}

/// From where to where it is played again and again. Only [`Loop::from`] and [`Loop::to`] move its ends, so that the
/// second never comes before the first.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Loop {
    from: Option<i64>,
    to: Option<i64>,
    on: bool,
}

/// What there is of the song.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Extent {
    /// Frames that can be played already, from its beginning.
    pub(super) ready: i64,
    /// All of them, once that is known.
    pub(super) length: Option<i64>,
}

/// Frames that follow from each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Run {
    /// How many.
    pub(super) frames: usize,
    /// The position of the first one; it stays where it is while it stands.
    pub(super) at: i64,
    pub(super) what: What,
}

/// What a run is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum What {
    /// It stands.
    Still,
    /// It would go on, but that much of the song is not read yet.
    Waiting,
    /// The bars before it: no sound yet.
    CountIn,
    /// The song.
    Song,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Standing,
    /// Play was pressed; how long is counted in is asked with the next run.
    Starting,
    /// Until this position.
    CountingIn(i64),
    Playing,
}

/// See the module's words.
#[derive(Debug)]
pub(super) struct Transport {
    at: i64,
    state: State,
    looped: Loop,
    /// Where the count-in ended that may still be under way to the ear.
    counted_to: i64,
    least_loop: i64,
}

impl Loop {
    /// Its ends.
    pub(super) fn ends(&self) -> [Option<i64>; 2] {
        [self.from, self.to]
    }

    /// Whether it is played again and again.
    pub(super) fn is_on(&self) -> bool {
        self.on
    }

    /// The same, played again and again or not.
    pub(super) fn switched(self, on: bool) -> Self {
        Self { on, ..self }
    }

    /// It begins here. An end that is not behind it is forgotten.
    pub(super) fn from(self, from: Option<i64>) -> Self {
        let from = from.map(|from| from.max(0));
        let to = self.to.filter(|to| from.is_none_or(|from| *to > from));
        Self { from, to, ..self }
    }

    /// It ends here. A beginning that is not before it is forgotten.
    pub(super) fn to(self, to: Option<i64>) -> Self {
        let to = to.filter(|to| *to > 0);
        let from = self.from.filter(|from| to.is_none_or(|to| *from < to));
        Self { from, to, ..self }
    }
}

impl Transport {
    /// At the song's beginning. A loop shorter than `least_loop` frames is none.
    pub(super) fn new(looped: Loop, least_loop: i64) -> Self {
        Self { at: 0, state: State::Standing, looped, counted_to: i64::MIN, least_loop: least_loop.max(1) }
    }

    /// Where it is.
    #[cfg(test)]
    pub(super) fn at(&self) -> i64 {
        self.at
    }

    /// Does what was asked for.
    pub(super) fn act(&mut self, command: Command, extent: Extent) {
        match command {
            Command::Play if self.state == State::Standing => {
                if extent.length.is_some_and(|length| self.at >= length) {
                    self.at = self.range(extent).map_or(0, |[from, _]| from);
                }
                self.state = State::Starting;
            }
            Command::Play => {}
            Command::Pause { heard } => {
                self.at = match self.state {
                    State::Standing => return,
                    State::Starting => self.at,
                    State::CountingIn(until) => until,
                    // The count-in itself is heard: it stands where the song begins.
                    State::Playing => heard.max(self.counted_to),
                };
                self.seek(self.at, extent);
                self.state = State::Standing;
            }
            Command::Seek(to) => {
                self.seek(to, extent);
                if matches!(self.state, State::CountingIn(_)) {
                    self.state = State::Starting;
                }
            }
            Command::Loop(looped) => self.looped = looped,
        }
    }

    fn seek(&mut self, to: i64, extent: Extent) {
        self.at = to.clamp(0, extent.length.unwrap_or(i64::MAX).max(0));
        self.counted_to = i64::MIN;
    }

    /// The next run, of `wanted` frames at most and, if any are wanted, of one at least. `count_in` is asked when a song
    /// starts: how many frames are counted before it.
    pub(super) fn advance(&mut self, wanted: usize, extent: Extent, count_in: impl FnOnce() -> i64) -> Run {
        if self.state == State::Starting {
            let counted = count_in().max(0);
            self.counted_to = if counted > 0 { self.at } else { i64::MIN };
            self.state = if counted > 0 { State::CountingIn(self.at) } else { State::Playing };
            self.at -= counted;
        }
        if let State::CountingIn(until) = self.state {
            let run = self.run(until, wanted, What::CountIn);
            if self.at >= until {
                self.state = State::Playing;
            }
            return run;
        }
        let still = |what| Run { frames: wanted, at: self.at, what };
        if self.state != State::Playing {
            return still(What::Still);
        }
        let range = self.range(extent);
        if let Some(length) = extent.length
            && self.at >= length
        {
            // Here after it was sought behind the loop, or after the loop was switched off at the end.
            let Some([from, _]) = range else {
                self.state = State::Standing;
                return still(What::Still);
            };
            self.jump(from);
        }
        let end = range.map(|[_, to]| to).filter(|to| self.at < *to);
        let ready = extent.length.unwrap_or(extent.ready);
        if self.at >= ready.min(extent.ready) {
            return Run { frames: wanted, at: self.at, what: What::Waiting };
        }
        let edge = end.unwrap_or(i64::MAX).min(extent.ready);
        let run = self.run(edge, wanted, What::Song);
        if let Some([from, to]) = range
            && end.is_some()
            && self.at == to
        {
            self.jump(from);
        }
        run
    }

    /// As many frames as there are before `edge`.
    fn run(&mut self, edge: i64, wanted: usize, what: What) -> Run {
        let frames = usize::try_from(edge - self.at).unwrap_or(0).min(wanted);
        let run = Run { frames, at: self.at, what };
        self.at += frames as i64;
        run
    }

    fn jump(&mut self, to: i64) {
        (self.at, self.counted_to) = (to, i64::MIN);
    }

    /// The loop, if it is on and long enough. Without an end of its own it ends with the song.
    fn range(&self, extent: Extent) -> Option<[i64; 2]> {
        let last = extent.length.unwrap_or(i64::MAX);
        let from = self.looped.from.unwrap_or(0);
        let to = self.looped.to.unwrap_or(last).min(last);
        let is_long_enough = to.checked_sub(from).is_some_and(|frames| frames >= self.least_loop);
        (self.looped.on && is_long_enough).then_some([from, to])
    }
}

#[cfg(test)]
#[path = "transport_tests.rs"]
mod tests;
