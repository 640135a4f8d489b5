//! The models: their files, one real inference of each as a session would run it, and what this machine can promise with
//! them. The planner, the costs and the promises are the server's own.

use std::time::Duration;

use indicatif::ProgressBar;
use rehearsekit_client::STANDARD_BUDGETS_MILLIS;
use rehearsekit_models::store::{Store, StoreError};
use rehearsekit_server::{
    capacity::{Capacity, capacity, usual_spec},
    config::Config,
    engine::{Chunk, Engine, EngineError, ModelEngine, OpenSpec},
};
use serde_json::{Value, json};

use super::finding::{Finding, Trouble};

/// The budgets that are worth a word, besides the smallest that holds.
const TOLD_MILLIS: [u32; 3] = [250, 500, 1_500];

/// Inferences that are waited for after the first, and hops that are pushed for them at most.
const INFERENCES: usize = 3;
const MOST_HOPS: usize = 32;

/// Every model that is wanted or there, and whether it works with `engine`, or the reason why it is not run.
pub(crate) fn examine(config: &Config, engine: Result<&ModelEngine, &&str>) -> Vec<Finding> {
    let store = match Store::open(&config.data) {
        Ok(store) => store,
        Err(error) => return vec![Finding::failed("models", Trouble::DataUnusable, error.to_string())],
    };
    let mut names = config.models.clone();
    let listed = store.list().unwrap_or_default().into_iter().map(|listed| listed.manifest.name);
    names
        .extend(listed.filter(|name| !matches!(store.installed(name), Err(StoreError::NotInstalled { .. }))));
    let mut seen = std::collections::BTreeSet::new();
    names.retain(|name| seen.insert(name.clone()));
    names.iter().map(|name| one(config, &store, engine, name)).collect()
}

fn one(config: &Config, store: &Store, engine: Result<&ModelEngine, &&str>, name: &str) -> Finding {
    let check = format!("model {name}");
    let installed = match store.verified(name) {
        Ok(installed) => installed,
        Err(error @ (StoreError::NotInstalled { .. } | StoreError::Unknown { .. })) => {
            let told = format!("the server is to keep it warm (key models), but {error}");
            return Finding::failed(&check, Trouble::ModelMissing, told);
        }
        Err(error @ StoreError::Damaged { .. }) => {
            return Finding::failed(&check, Trouble::ModelCorrupt, error.to_string());
        }
        Err(error) => return Finding::failed(&check, Trouble::DataUnusable, error.to_string()),
    };
    let engine = match engine {
        Ok(engine) => engine,
        Err(why) => {
            let told = format!("{} files as they should be; {why}", installed.files.len());
            return Finding::good(&check, told);
        }
    };
    let busy = ProgressBar::new_spinner();
    busy.set_message(format!("running {name}; the first time, what it costs on this machine is measured"));
    busy.enable_steady_tick(Duration::from_millis(200));
    let result = try_out(config, engine, name);
    busy.finish_and_clear();
    match result {
        Ok(Trial { capacities, inference: Some(inference) }) => {
            let told = format!(
                "works: {:.0} ms for one inference; {}",
                inference.as_secs_f64() * 1e3,
                sentence(&capacities)
            );
            Finding::good(&check, told).with(facts(Some(inference), &capacities))
        }
        Ok(Trial { capacities, inference: None }) => {
            let told = "its files are as they should be, but this machine is too slow to run it live: separate songs offline \
                        (rehearsekit separate), or choose a lighter model";
            Finding::warning(&check, Trouble::ModelTooSlow, told).with(facts(None, &capacities))
        }
        Err(error) => {
            let told = format!(
                "{error}; fetch it again: rehearsekit models remove {name}, then rehearsekit models pull {name}"
            );
            Finding::failed(&check, Trouble::ModelBroken, told)
        }
    }
}

/// What running a model has shown.
struct Trial {
    capacities: Vec<Capacity>,
    /// What one took; `None` where no budget holds at all.
    inference: Option<Duration>,
}

fn try_out(config: &Config, engine: &ModelEngine, name: &str) -> Result<Trial, EngineError> {
    engine.warm(name)?;
    let capacities = capacity(engine, config, name, &STANDARD_BUDGETS_MILLIS);
    let Some(smallest) = capacities.iter().find(|capacity| capacity.players > 0) else {
        return Ok(Trial { capacities, inference: None });
    };
    let inference = infer(engine, &usual_spec(name, smallest.budget_millis))?;
    Ok(Trial { capacities, inference: Some(inference) })
}

/// Separates tones as a session would, hop by hop, and looks at what comes out: what one inference usually takes.
fn infer(engine: &ModelEngine, spec: &OpenSpec) -> Result<Duration, EngineError> {
    let (mut pipeline, promise) = engine.open(spec).map_err(|refusal| EngineError(refusal.to_string()))?;
    let hop_frames = promise.hop_frames as usize;
    let [left, right] = [0.0, 3.0].map(|shift| tones(f64::from(spec.rate.hz()), hop_frames, shift));
    let (mut times, mut has_sound) = (Vec::new(), false);
    pipeline.start_epoch(0);
    // The first comes after a hop and the look-ahead, and is slower than the others.
    for _ in 0..MOST_HOPS {
        for Chunk { channels, inference, .. } in pipeline.push([&left, &right])? {
            let mut samples = channels.iter().flatten();
            if !samples.clone().all(|sample| sample.is_finite()) {
                return Err(EngineError("it computes nonsense".to_owned()));
            }
            has_sound |= samples.any(|sample| *sample != 0.0);
            times.push(inference);
        }
        if times.len() > INFERENCES {
            break;
        }
    }
    if !has_sound || times.len() < 2 {
        return Err(EngineError("it makes silence out of tones".to_owned()));
    }
    times.remove(0);
    times.sort();
    Ok(times[times.len() / 2])
}

/// Three tones.
fn tones(rate_hz: f64, frames: usize, shift_hz: f64) -> Vec<f32> {
    let tone = |hz: f64, frame: usize| (std::f64::consts::TAU * hz * frame as f64 / rate_hz).sin();
    let all = |f| 0.1 * (tone(110.0, f) + tone(440.0 + shift_hz, f) + tone(2_500.0, f));
    (0..frames).map(|f| all(f) as f32).collect()
}

fn sentence(capacities: &[Capacity]) -> String {
    let holding = || capacities.iter().filter(|capacity| capacity.players > 0);
    let smallest = holding().next().map(|capacity| capacity.budget_millis);
    let told =
        holding().filter(|c| Some(c.budget_millis) == smallest || TOLD_MILLIS.contains(&c.budget_millis));
    let each = told.map(|Capacity { budget_millis, players, .. }| {
        format!("{budget_millis} ms for {players} player{}", if *players == 1 { "" } else { "s" })
    });
    format!("it holds {}", each.collect::<Vec<_>>().join(", "))
}

fn facts(inference: Option<Duration>, capacities: &[Capacity]) -> Value {
    let each = capacities.iter().map(|Capacity { budget_millis, players, quality_db }| {
        json!({ "budget_millis": budget_millis, "players": players, "quality_db": quality_db.map(|db| (f64::from(db) * 10.0).round() / 10.0) })
    });
    json!({
        "inference_millis": inference.map(|time| (time.as_secs_f64() * 1e4).round() / 10.0),
        "budgets": each.collect::<Vec<_>>(),
    })
}
