//! What this machine could promise: how many players with a model and a budget, if nobody else played. The same planner,
//! costs and promises as for real sessions, without any session. Must not start threads or measure.

use std::time::Duration;

use rehearsekit_audio::SampleRate;
use rehearsekit_schedule::Scheduler;

use crate::{
    config::Config,
    engine::{Engine, OpenSpec},
};

/// What one budget buys for all players together.
#[derive(Debug, Clone, PartialEq)]
pub struct Capacity {
    /// The budget.
    pub budget_millis: u32,
    /// Players that could be admitted, one after the other; 0 where the budget cannot be held at all.
    pub players: usize,
    /// How good it is for the first of them beside the model offline, in dB, if that is known.
    pub quality_db: Option<f32>,
}

/// A session as a DAW at 48 kHz on the LAN asks for it.
pub fn usual_spec(model: &str, budget_millis: u32) -> OpenSpec {
    let rate = SampleRate::HZ_48000;
    let frames = |millis: u64| rate.frames_in(Duration::from_millis(millis)) as u32;
    OpenSpec {
        model: model.to_owned(),
        rate,
        budget_frames: frames(budget_millis.into()),
        block_frames: 512,
        link_frames: frames(10),
    }
}

/// What each of `budgets_millis` buys with `model`, which is loaded in `engine`, on the lanes of `config`.
pub fn capacity(engine: &dyn Engine, config: &Config, model: &str, budgets_millis: &[u32]) -> Vec<Capacity> {
    let of = |&budget_millis: &u32| {
        let spec = usual_spec(model, budget_millis);
        let mut scheduler = Scheduler::<()>::new(&engine.lanes(config.workers));
        let mut capacity = Capacity { budget_millis, players: 0, quality_db: None };
        while capacity.players < config.max_sessions {
            let ways = engine.ways(&spec).unwrap_or_default();
            let Some(way) = ways.into_iter().find(|way| scheduler.admit(&way.demand).is_some()) else {
                break;
            };
            if capacity.players == 0 {
                capacity.quality_db = way.quality_db;
            }
            capacity.players += 1;
        }
        capacity
    };
    budgets_millis.iter().map(of).collect()
}
