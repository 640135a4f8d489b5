//! The real engine: installed models, measured on this device, planned into each session's budget.

use std::{
    collections::HashMap,
    hash::{DefaultHasher, Hash as _, Hasher as _},
    sync::{PoisonError, RwLock},
};

use rehearsekit_audio::{Budget, SampleRate};
use rehearsekit_models::{
    Compute, DeviceSpeed, LivePipeline, Model, ModelOptions, Plan, PlanRefusal, PlanRequest, StemChunk,
    device::DeviceCosts,
    manifest::Family,
    plan::{CostTable, Overrides},
    store::Store,
};

use rehearsekit_schedule::{Cost, Demand};

use super::{
    Chosen, Chunk, Engine, EngineError, OpenRefusal, OpenSpec, Pipeline, Promise, Way, choose_device,
};
use crate::config::Config;

/// The models of one server.
pub struct ModelEngine {
    config: Config,
    compute: Compute,
    loaded: RwLock<HashMap<String, Loaded>>,
}

#[derive(Clone)]
struct Loaded {
    model: Model,
    costs: CostTable,
}

/// A session rather takes a way this much worse than the best for its budget than to be refused.
const ACCEPTABLE_LOSS_DB: f64 = 1.5;

impl ModelEngine {
    /// Nothing is loaded yet; see [`Engine::warm`].
    ///
    /// # Errors
    /// When the device that the settings ask for cannot be used.
    pub fn new(config: &Config) -> Result<Self, EngineError> {
        let Chosen { compute, unused } = choose_device(config)?;
        if let Some(trouble) = unused {
            tracing::warn!("no graphics card is used, the processor does it all: {trouble}");
        }
        Ok(Self::on(config, compute))
    }

    /// The same on a device that was chosen before.
    pub fn on(config: &Config, compute: Compute) -> Self {
        Self { compute, config: config.clone(), loaded: RwLock::default() }
    }

    /// What the models run on.
    pub fn compute(&self) -> Compute {
        self.compute
    }

    fn loaded(&self, name: &str) -> Option<Loaded> {
        self.loaded.read().unwrap_or_else(PoisonError::into_inner).get(name).cloned()
    }

    fn load(&self, name: &str) -> Result<Loaded, EngineError> {
        let told = |error: &dyn std::fmt::Display| EngineError(error.to_string());
        let store = Store::open(&self.config.data).map_err(|error| told(&error))?;
        let options = |family: &Family| options(&self.config, self.compute, family);
        let model = Model::load(&store, name, options).map_err(|error| told(&error))?;
        let devices = DeviceCosts::of(&self.config.data, &model.options());
        let costs = model.costs(&devices, &mut |done, all| {
            tracing::info!(model = name, "measuring this device, once: {done} of {all}");
        });
        Ok(Loaded { costs: costs.map_err(|error| told(&error))?, model })
    }
}

/// How a model of this family is run with `config`: on the processor with as many networks as its lanes may run at a time.
pub(crate) fn options(config: &Config, compute: Compute, family: &Family) -> ModelOptions {
    let usual = ModelOptions::live(family, compute);
    if compute != Compute::Processor {
        return usual;
    }
    let options = ModelOptions { threads: config.threads.unwrap_or(usual.threads), ..usual };
    ModelOptions { workers: if options.is_wide() { 1 } else { config.workers }, ..options }
}

impl Engine for ModelEngine {
    fn lanes(&self, workers: usize) -> Vec<usize> {
        match self.compute {
            Compute::Processor => vec![workers],
            // It works on one inference at a time; more at once would only make each of them late.
            Compute::Cuda(_) => vec![1],
        }
    }

    fn warm(&self, name: &str) -> Result<(), EngineError> {
        let loaded = self.load(name)?;
        // What a new project asks for; other budgets load their networks with their first session.
        let usual = OpenSpec {
            model: name.to_owned(),
            rate: SampleRate::HZ_48000,
            budget_frames: Budget::DEFAULT.frames(SampleRate::HZ_48000),
            block_frames: 512,
            link_frames: 480,
        };
        // A model that cannot hold the usual budget is asked for the one that four stems take on a processor.
        let patient = OpenSpec { budget_frames: 6 * usual.budget_frames, ..usual.clone() };
        let plans = loaded.plans(&usual).or_else(|_| loaded.plans(&patient));
        if let Some(plan) = plans.ok().and_then(|plans| plans.into_iter().next()) {
            loaded.model.warm(&plan).map_err(|error| EngineError(error.to_string()))?;
        }
        let mut all = self.loaded.write().unwrap_or_else(PoisonError::into_inner);
        all.insert(name.to_owned(), loaded);
        Ok(())
    }

    fn ways(&self, spec: &OpenSpec) -> Result<Vec<Way>, OpenRefusal> {
        let loaded = self.loaded(&spec.model).ok_or_else(|| {
            OpenRefusal::Failed(EngineError(format!("the model {} is not loaded", spec.model)))
        })?;
        let plans = loaded.plans(spec).map_err(|refusal| {
            let smallest_budget_frames = match &refusal {
                PlanRefusal::BudgetTooSmall { smallest_budget_frames, .. } => Some(*smallest_budget_frames),
                PlanRefusal::DeviceTooSlow | PlanRefusal::Override(_) => None,
            };
            OpenRefusal::BudgetTooSmall { smallest_budget_frames, reason: refusal.to_string() }
        })?;
        Ok(plans.into_iter().map(|plan| loaded.way(spec, plan)).collect())
    }
}

impl Loaded {
    /// All plans that are not much worse than the best one could be.
    fn plans(&self, spec: &OpenSpec) -> Result<Vec<Plan>, PlanRefusal> {
        let mut plans = self.model.plans(&PlanRequest {
            rate: spec.rate,
            budget_frames: spec.budget_frames,
            block_frames: spec.block_frames,
            link_frames: spec.link_frames,
            speed: DeviceSpeed::Measured(&self.costs),
            overrides: Overrides::default(),
        })?;
        let best = plans.iter().map(|plan| plan.estimate_db).fold(f64::NEG_INFINITY, f64::max);
        plans.retain(|plan| plan.estimate_db >= best - ACCEPTABLE_LOSS_DB);
        Ok(plans)
    }

    fn way(&self, spec: &OpenSpec, plan: Plan) -> Way {
        let millis = |frames: u32| plan.rate.duration(frames.into()).as_secs_f64() * 1e3;
        let quality = self.model.quality(&plan.geometry);
        let about = if quality.is_some_and(|q| q.is_about) { "; quality is about that" } else { "" };
        let words = format!(
            "hop {:.0} ms, look-ahead {:.0} ms{about}",
            millis(plan.hop_frames),
            millis(plan.look_ahead_frames)
        );
        let cost = Cost {
            kind: kind_of(self.model.name(), &plan.geometry.cost_key()),
            typical: plan.inference,
            batches: Vec::new(),
            wide: self.model.options().is_wide(),
        };
        let demand = Demand {
            period: self.model.rate().duration(plan.geometry.shape().hop_frames as u64),
            deadline: plan.deadline,
            costs: vec![Some(cost)],
        };
        Way {
            promise: self.promise(&plan),
            demand,
            quality_db: quality.map(|q| q.relative_db),
            words,
            need_frames: plan.needed_frames.saturating_sub(spec.link_frames),
            open: {
                let model = self.model.clone();
                Box::new(move || match model.live(&plan) {
                    Ok(pipeline) => Ok(Box::new(pipeline)),
                    Err(error) => Err(EngineError(error.to_string())),
                })
            },
        }
    }

    fn promise(&self, plan: &Plan) -> Promise {
        let millis = |frames: u32| plan.rate.duration(frames.into()).as_secs_f64() * 1e3;
        let description = format!(
            "{}; needs {:.0} ms of the {:.0} ms, inference {:.0} ms",
            plan.geometry,
            millis(plan.needed_frames),
            millis(plan.latency_frames),
            plan.inference.as_secs_f64() * 1e3
        );
        Promise {
            model: self.model.name().to_owned(),
            stems: self.model.stems().clone(),
            packet_frames: plan.packet_frames,
            algorithmic_frames: plan.algorithmic_frames,
            hop_frames: plan.hop_frames,
            look_ahead_frames: plan.look_ahead_frames,
            description,
        }
    }
}

/// Inferences with the same network are of one kind.
fn kind_of(model: &str, cost_key: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    (model, cost_key).hash(&mut hasher);
    hasher.finish()
}

impl From<StemChunk> for Chunk {
    fn from(chunk: StemChunk) -> Self {
        Self { first_frame: chunk.first_frame, channels: chunk.channels, inference: chunk.inference }
    }
}

impl Pipeline for LivePipeline {
    fn start_epoch(&mut self, position: u64) {
        Self::start_epoch(self, position);
    }

    fn push(&mut self, mix: [&[f32]; 2]) -> Result<Vec<Chunk>, EngineError> {
        let chunk = Self::push(self, mix).map_err(|error| EngineError(error.to_string()))?;
        Ok(chunk.map(Chunk::from).into_iter().collect())
    }

    fn skip(&mut self, mix: [&[f32]; 2]) -> Result<(), EngineError> {
        Self::skip(self, mix);
        Ok(())
    }

    fn finish_epoch(&mut self) -> Result<Vec<Chunk>, EngineError> {
        let chunk = Self::finish_epoch(self).map_err(|error| EngineError(error.to_string()))?;
        Ok(chunk.map(Chunk::from).into_iter().collect())
    }

    fn finish_some(&mut self) -> Result<(Vec<Chunk>, bool), EngineError> {
        let (chunk, done) = Self::finish_some(self).map_err(|error| EngineError(error.to_string()))?;
        Ok((chunk.map(Chunk::from).into_iter().collect(), done))
    }

    fn frames_until_work(&self) -> usize {
        Self::frames_until_work(self)
    }
}

#[cfg(test)]
mod tests {
    use rehearsekit_models::{Cuda, manifest};

    use super::*;
    use crate::config::{Flag, Sources, Value};

    #[test]
    fn there_are_as_many_networks_as_inferences_at_a_time_whatever_threads_says() {
        let options = |model: &str, compute: Compute, settings: &[(&str, &str)]| {
            let flag = |(key, value): &(&str, &str)| Flag {
                name: format!("--set {key}"),
                key: (*key).to_owned(),
                value: Value::Text((*value).to_owned()),
            };
            let data = ("data", "/data");
            let flags = settings.iter().chain([&data]).map(flag).collect();
            let config = Config::load(&Sources { flags, ..Sources::default() }).unwrap();
            let family = manifest::built_in().into_iter().find(|known| known.name == model).unwrap().family;
            let ModelOptions { threads, workers, .. } = super::options(&config, compute, &family);
            (threads, workers)
        };
        let (small, on) = ("spleeter-2stems", Compute::Processor);
        assert_eq!(options(small, on, &[("workers", "77")]), (1, 77));
        assert_eq!(options(small, on, &[("workers", "77"), ("threads", "1")]), (1, 77));
        // What takes several threads takes all lanes, and runs alone.
        assert_eq!(options(small, on, &[("workers", "77"), ("threads", "3")]), (3, 1));
        assert_eq!(options("htdemucs", on, &[("workers", "77"), ("threads", "3")]), (3, 1));
        assert_eq!(options("htdemucs", on, &[("workers", "77"), ("threads", "1")]), (1, 77));
        let card = Compute::Cuda(Cuda { card: 0, memory_bytes: None, tf32: false });
        assert_eq!(options(small, card, &[("workers", "77"), ("threads", "3")]), (1, 1));
    }
}
