//! One turn of a session's pipeline on a worker thread. Must not wait, and must not know streams.

use std::{collections::VecDeque, time::Duration};

use super::intake::Step;
use crate::engine::{Chunk, EngineError, Pipeline};

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
    /// What is left to do: the end of an epoch is made in several turns, so that its chunks leave one by one.
    pub(super) rest: VecDeque<Step>,
}

/// Runs `steps` in order, up to the first part of an epoch's end. `epoch` and `needed` are those of the last turn.
pub(super) fn run(
    mut pipeline: Box<dyn Pipeline>,
    mut steps: VecDeque<Step>,
    mut epoch: u32,
    mut needed: Needed,
) -> Result<Turn, EngineError> {
    let mut made = Vec::new();
    let mut started = 0;
    let mut paused = false;
    while !paused {
        let Some(step) = steps.pop_front() else { break };
        let (chunks, last) = match step {
            Step::Start { epoch: new, position } => {
                pipeline.start_epoch(position);
                epoch = new;
                started += 1;
                continue;
            }
            Step::Push { first_frame, channels, ready } => {
                let [left, right] = channels.as_slice() else {
                    return Err(EngineError("the mix has no two channels".to_owned()));
                };
                let through = (first_frame + left.len() as u64).saturating_sub(1);
                needed = Needed { through, ready: ready.max(needed.ready) };
                (pipeline.push([left, right])?, false)
            }
            Step::Finish => {
                let (chunks, done) = pipeline.finish_some()?;
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
            end_of_epoch: last && index + 1 == count,
            needed,
        }));
    }
    let until_work = pipeline.frames_until_work();
    Ok(Turn { pipeline, made, until_work, epoch, needed, started, rest: steps })
}
