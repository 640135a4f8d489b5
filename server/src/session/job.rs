//! One turn of a session's pipeline on a lane. Must not wait, and must not know streams.
#![warn(clippy::arithmetic_side_effects, reason = "it reckons with what came over the wire")]

use std::{
    collections::VecDeque,
    panic::{AssertUnwindSafe, catch_unwind},
    time::{Duration, Instant},
};

use tokio::sync::oneshot;

use super::intake::Step;
use crate::{
    engine::{Chunk, EngineError, Pipeline},
    workers::{NotRun, Task, message_of},
};

/// A chunk and what the client is told about it.
#[derive(Debug)]
pub(super) struct Made {
    pub(super) chunk: Chunk,
    pub(super) epoch: u32,
    /// The last chunk of its epoch.
    pub(super) end_of_epoch: bool,
    pub(super) needed: Needed,
}

/// The last packet of the mix that a chunk needed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Needed {
    /// Position of its last frame.
    pub(super) through: u64,
    /// When it could be used.
    pub(super) ready: Duration,
}

/// What a turn gives back.
pub(super) struct Turn {
    pub(super) pipeline: Box<dyn Pipeline>,
    pub(super) made: Vec<Made>,
    pub(super) until_work: usize,
    pub(super) epoch: u32,
    pub(super) needed: Needed,
    pub(super) started: u64,
    /// Since when the lane that ran it had nothing else to do; `None` if it needed no lane.
    pub(super) lane_free: Option<Instant>,
    /// What is left to do: the end of an epoch is made in several turns, so that its chunks leave one by one.
    pub(super) rest: VecDeque<Step>,
}

/// What a turn needs: the session's pipeline, its steps, and where the last turn ended.
pub(crate) struct Work {
    pub(super) pipeline: Box<dyn Pipeline>,
    pub(super) steps: VecDeque<Step>,
    pub(super) epoch: u32,
    pub(super) needed: Needed,
}

/// What became of a turn.
pub(super) enum Outcome {
    Done(Result<Turn, EngineError>),
    /// Its audio was heard without any inference.
    Skipped(Result<Turn, EngineError>),
    /// It panicked with this message.
    Panicked(String),
    /// It was not run. Its audio is still to be heard, as context for what follows.
    NotRun(Work, NotRun),
}

/// A turn on its way through the lanes.
pub(crate) struct SessionTask {
    work: Work,
    reply: oneshot::Sender<Outcome>,
}

impl SessionTask {
    pub(super) fn new(work: Work) -> (Self, oneshot::Receiver<Outcome>) {
        let (reply, outcome) = oneshot::channel();
        (Self { work, reply }, outcome)
    }
}

impl Task for SessionTask {
    fn run(batch: Vec<Self>, mut free: Instant) {
        for Self { work, reply } in batch {
            let turn = catch_unwind(AssertUnwindSafe(|| work.run()));
            let turn = turn.map(|turn| turn.map(|turn| Turn { lane_free: Some(free), ..turn }));
            let outcome = turn.map_or_else(|panic| Outcome::Panicked(message_of(&*panic)), Outcome::Done);
            free = Instant::now();
            // An error means that the session is gone, which is its right.
            let _ = reply.send(outcome);
        }
    }

    fn refuse(self, why: NotRun) {
        let _ = self.reply.send(Outcome::NotRun(self.work, why));
    }
}

impl Work {
    /// The packet after which the first costly step can be done; that of the last turn if there is no new one.
    pub(super) fn needs(&self) -> Needed {
        self.steps.iter().fold(self.needed, |needed, step| needed.and(step))
    }

    /// Runs the steps in order, up to the first part of an epoch's end.
    fn run(self) -> Result<Turn, EngineError> {
        self.go(|pipeline, mix| pipeline.push(mix), |pipeline| pipeline.finish_some())
    }

    /// Goes through the steps without any inference.
    pub(super) fn skip(self) -> Result<Turn, EngineError> {
        self.go(|pipeline, mix| pipeline.skip(mix).map(|()| Vec::new()), |_| Ok((Vec::new(), true)))
    }

    fn go(
        self,
        push: impl Fn(&mut dyn Pipeline, [&[f32]; 2]) -> Result<Vec<Chunk>, EngineError>,
        finish: impl Fn(&mut dyn Pipeline) -> Result<(Vec<Chunk>, bool), EngineError>,
    ) -> Result<Turn, EngineError> {
        let Self { mut pipeline, mut steps, mut epoch, mut needed } = self;
        let mut made = Vec::new();
        let mut started: u64 = 0;
        let mut paused = false;
        while !paused {
            let Some(step) = steps.pop_front() else { break };
            needed = needed.and(&step);
            let (chunks, last) = match step {
                Step::Start { epoch: new, position } => {
                    pipeline.start_epoch(position);
                    epoch = new;
                    started = started.saturating_add(1);
                    continue;
                }
                Step::Push { channels, .. } => {
                    let [left, right] = channels.as_slice() else {
                        return Err(EngineError("the mix has no two channels".to_owned()));
                    };
                    (push(&mut *pipeline, [left, right])?, false)
                }
                Step::Finish => {
                    let (chunks, done) = finish(&mut *pipeline)?;
                    if !done {
                        steps.push_front(Step::Finish);
                        paused = true;
                    }
                    (chunks, done)
                }
            };
            let count = chunks.len();
            made.extend(chunks.into_iter().enumerate().map(|(index, chunk)| Made {
                chunk,
                epoch,
                end_of_epoch: last && index.saturating_add(1) == count,
                needed,
            }));
        }
        let until_work = pipeline.frames_until_work();
        Ok(Turn { pipeline, made, until_work, epoch, needed, started, lane_free: None, rest: steps })
    }
}

impl Needed {
    fn and(self, step: &Step) -> Self {
        match step {
            Step::Push { first_frame, channels, ready } => {
                let frames = channels.first().map_or(0, Vec::len) as u64;
                Self {
                    through: first_frame.saturating_add(frames).saturating_sub(1),
                    ready: self.ready.max(*ready),
                }
            }
            Step::Start { .. } | Step::Finish => self,
        }
    }
}
