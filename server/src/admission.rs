//! Who gets a session: the best way to run it for which the devices can still promise every deadline, or an honest no
//! with the smallest budget or the other model that would fit. Every call may block. Must not know the wire.

use std::time::Duration;

use rehearsekit_schedule::Cost;

use crate::{
    engine::{Engine, EngineError, OpenRefusal, OpenSpec, Pipeline, Promise, Way},
    session::SessionTask,
    workers::{Stream, Workers},
};

/// Budgets that are suggested, in milliseconds.
const BUDGETS_MILLIS: [u64; 18] =
    [100, 150, 200, 250, 300, 350, 400, 500, 600, 750, 1000, 1250, 1500, 2000, 2500, 3000, 4000, 5000];

/// Where a session's work goes.
pub(crate) enum Seat {
    /// Somebody is listening: its hops have deadlines.
    Live(Stream<SessionTask>),
    /// It waits for all who are live; so much is an inference of it.
    Patient(Cost),
}

/// A session that may begin.
pub(crate) struct Admitted {
    pub(crate) seat: Seat,
    pub(crate) pipeline: Box<dyn Pipeline>,
    pub(crate) promise: Promise,
    /// See [`Way::need_frames`].
    pub(crate) need_frames: u32,
}

/// What another budget would buy in the place of the one a client asked for.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Offer {
    /// The budget, in frames at the wire's rate.
    pub(crate) budget_frames: u32,
    /// Whether it could be held now.
    pub(crate) holds: bool,
    /// See [`Way::quality_db`].
    pub(crate) quality_db: Option<f32>,
    /// How the model would be run, or why it cannot be.
    pub(crate) words: String,
    /// See [`Way::need_frames`].
    pub(crate) need_frames: Option<u32>,
}

/// The engine and the lanes, as far as admission goes.
#[derive(Clone, Copy)]
pub(crate) struct Door<'a> {
    pub(crate) engine: &'a dyn Engine,
    pub(crate) workers: &'a Workers<SessionTask>,
    /// The models that a client may be pointed to.
    pub(crate) models: &'a [String],
}

impl Door<'_> {
    /// Opens a session for somebody who listens.
    pub(crate) fn open_live(&self, spec: &OpenSpec) -> Result<Admitted, OpenRefusal> {
        for way in self.engine.ways(spec)? {
            // What has room now may have none a moment later, when its networks are loaded; so the room is taken first.
            if let Some(stream) = self.workers.admit(&way.demand) {
                return open(way, Seat::Live(stream));
            }
        }
        Err(self.full(spec))
    }

    /// Opens a session for somebody who can wait.
    pub(crate) fn open_patient(&self, spec: &OpenSpec) -> Result<Admitted, OpenRefusal> {
        let nothing = || OpenRefusal::Failed(EngineError(format!("{} cannot be run here", spec.model)));
        let way = self.engine.ways(spec)?.into_iter().next().ok_or_else(nothing)?;
        let cost = way.demand.costs.iter().flatten().next().cloned().ok_or_else(nothing)?;
        open(way, Seat::Patient(cost))
    }

    /// What each of `budgets_frames` would buy. An offer holds exactly if a session would be opened now.
    pub(crate) fn offers(&self, spec: &OpenSpec, budgets_frames: &[u32]) -> Vec<Offer> {
        budgets_frames
            .iter()
            .map(|&frames| self.offer(&OpenSpec { budget_frames: frames, ..spec.clone() }))
            .collect()
    }

    fn offer(&self, spec: &OpenSpec) -> Offer {
        let budget_frames = spec.budget_frames;
        let no = |words: &str| {
            let words = words.to_owned();
            Offer { budget_frames, holds: false, quality_db: None, words, need_frames: None }
        };
        match self.engine.ways(spec) {
            Ok(ways) => match ways.into_iter().find(|way| self.workers.fits(&way.demand)) {
                Some(Way { quality_db, words, need_frames, .. }) => {
                    Offer { budget_frames, holds: true, quality_db, words, need_frames: Some(need_frames) }
                }
                None => no("others play: the server has no room for this budget now"),
            },
            Err(OpenRefusal::BudgetTooSmall { smallest_budget_frames: Some(_), .. }) => {
                no("too little for this model on this server")
            }
            Err(_) => no("this server is too slow for this model"),
        }
    }

    /// Whether `spec` may be suggested.
    fn fits(&self, spec: &OpenSpec) -> bool {
        self.engine
            .ways(spec)
            .is_ok_and(|ways| ways.iter().any(|way| self.workers.fits_for_a_while(&way.demand)))
    }

    fn full(&self, spec: &OpenSpec) -> OpenRefusal {
        let loads = self.workers.load();
        let streams: usize = loads.iter().map(|load| load.streams).sum();
        let promised = loads.iter().fold(0.0, |sum, load| sum + load.promised) / loads.len().max(1) as f64;
        let frames = |millis: u64| spec.rate.frames_in(Duration::from_millis(millis)) as u32;
        let larger = BUDGETS_MILLIS.iter().filter(|&&millis| frames(millis) > spec.budget_frames);
        let budget = larger
            .copied()
            .find(|&millis| self.fits(&OpenSpec { budget_frames: frames(millis), ..spec.clone() }));
        let mut others = self.models.iter().filter(|model| **model != spec.model);
        let model = others.find(|model| self.fits(&OpenSpec { model: (*model).clone(), ..spec.clone() }));
        let help = match (budget, model) {
            (Some(millis), Some(model)) => format!("a budget of {millis} ms would fit, or the model {model}"),
            (Some(millis), None) => format!("a budget of {millis} ms would fit"),
            (None, Some(model)) => format!("the model {model} would fit"),
            (None, None) => "no budget and no model fits until somebody leaves".to_owned(),
        };
        let asked = spec.rate.duration(spec.budget_frames.into()).as_millis();
        let playing = match streams {
            1 => "one session plays already, which is".to_owned(),
            _ => format!("{streams} sessions play already, which are"),
        };
        let reason = format!(
            "the server cannot hold {asked} ms for one more: {playing} promised {:.0} % of its time; {help}",
            100.0 * promised
        );
        OpenRefusal::Full { smallest_budget_frames: budget.map(frames), reason }
    }
}

fn open(way: Way, seat: Seat) -> Result<Admitted, OpenRefusal> {
    let pipeline = (way.open)().map_err(OpenRefusal::Failed)?;
    Ok(Admitted { seat, pipeline, promise: way.promise, need_frames: way.need_frames })
}
