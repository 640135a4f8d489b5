//! The narrow door between sessions and inference: what a session needs of a model, and the real thing
//! behind it over `rehearsekit_models`. Sessions know only the traits, so that the server's life cycle can
//! be tested apart from any weights. This module must not know sockets, sessions or the wire.

mod device;
mod models;

use std::time::Duration;

pub use device::{Chosen, choose as choose_device, without_effect};
pub use models::ModelEngine;
pub(crate) use models::options;
use rehearsekit_audio::{SampleRate, StemSet};
use rehearsekit_schedule::Demand;

/// What a client asked for, in the units of the wire.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenSpec {
    /// The model's name; never empty.
    pub model: String,
    /// The wire's rate.
    pub rate: SampleRate,
    /// The latency the player picked, in frames at the wire's rate.
    pub budget_frames: u32,
    /// The largest host block, in frames at the wire's rate.
    pub block_frames: u32,
    /// What of the budget the link takes both ways, in frames at the wire's rate.
    pub link_frames: u32,
}

/// What a session is promised, in frames at the wire's rate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Promise {
    /// The model's name.
    pub model: String,
    /// Its stems in its own order.
    pub stems: StemSet,
    /// How the client should cut the mix.
    pub packet_frames: u32,
    /// Exact latency of the algorithm, with resampling and packets.
    pub algorithmic_frames: u32,
    /// New audio per inference, rounded up.
    pub hop_frames: u32,
    /// Audio the model sees after the hop.
    pub look_ahead_frames: u32,
    /// For people: what was picked and why.
    pub description: String,
}

/// Why a session cannot be opened.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OpenRefusal {
    /// The budget cannot be held with this model on this device.
    #[error("{reason}")]
    BudgetTooSmall {
        /// The smallest that can, in frames at the wire's rate; `None` if none can.
        smallest_budget_frames: Option<u32>,
        /// A sentence for the player.
        reason: String,
    },
    /// The devices have promised too much to others already.
    #[error("{reason}")]
    Full {
        /// The smallest budget with room for this session, in frames at the wire's rate; `None` if none has.
        smallest_budget_frames: Option<u32>,
        /// A sentence for the player.
        reason: String,
    },
    /// The engine itself failed.
    #[error("{0}")]
    Failed(EngineError),
}

/// Inference failed; the sentence says where.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct EngineError(pub String);

/// Stems of a run of frames.
#[derive(Debug, Clone, PartialEq)]
pub struct Chunk {
    /// Position of the first frame, at the wire's rate.
    pub first_frame: u64,
    /// Planar samples, left and right of each travelling stem in order; all of equal length.
    pub channels: Vec<Vec<f32>>,
    /// Time spent inside the model for this chunk.
    pub inference: Duration,
}

/// One way to run a model for one session.
pub struct Way {
    /// What the session would be promised.
    pub promise: Promise,
    /// What it would ask of the devices.
    pub demand: Demand,
    /// How good it is beside the model offline, in dB; `None` where that is not known.
    pub quality_db: Option<f32>,
    /// For people who choose among budgets: how the model would be run.
    pub words: String,
    /// What of the budget it needs for everything but the link, in frames at the wire's rate.
    pub need_frames: u32,
    /// Makes the session's pipeline; may take seconds.
    pub open: Box<dyn FnOnce() -> Result<Box<dyn Pipeline>, EngineError> + Send>,
}

/// All models of one server. Every call may block and is made on a thread that may.
pub trait Engine: Send + Sync + 'static {
    /// How many inferences each of its devices runs at a time, where the settings want `workers`.
    fn lanes(&self, workers: usize) -> Vec<usize> {
        vec![workers]
    }
    /// Loads `model` and runs it once, so that the first session pays for nothing.
    fn warm(&self, model: &str) -> Result<(), EngineError>;
    /// The ways to run a session as `spec` wants it on devices that nobody else uses, the best first; at least one.
    fn ways(&self, spec: &OpenSpec) -> Result<Vec<Way>, OpenRefusal>;
    /// The best way, opened.
    fn open(&self, spec: &OpenSpec) -> Result<(Box<dyn Pipeline>, Promise), OpenRefusal> {
        let Way { open, promise, .. } = self.ways(spec)?.swap_remove(0);
        Ok((open().map_err(OpenRefusal::Failed)?, promise))
    }
}

/// The separation of one session. Owns all of its state; used by one thread at a time.
pub trait Pipeline: Send {
    /// Forgets the past; the next frame pushed has this position.
    fn start_epoch(&mut self, position: u64);
    /// Takes frames (left and right of equal length) and gives what became ready, in order, without gaps but for those
    /// that [`Self::skip`] leaves.
    fn push(&mut self, mix: [&[f32]; 2]) -> Result<Vec<Chunk>, EngineError>;
    /// Takes frames as [`Self::push`] does, as context for what follows, without any inference: what they would have
    /// made ready never comes.
    fn skip(&mut self, mix: [&[f32]; 2]) -> Result<(), EngineError>;
    /// Gives the rest of the epoch up to its last frame.
    fn finish_epoch(&mut self) -> Result<Vec<Chunk>, EngineError>;
    /// As [`Self::finish_epoch`] in parts of about one inference, so that the first of them need not wait for the
    /// last: what is ready, and whether that was all. Called until it is.
    fn finish_some(&mut self) -> Result<(Vec<Chunk>, bool), EngineError> {
        Ok((self.finish_epoch()?, true))
    }
    /// Frames that may still be pushed before an inference happens.
    fn frames_until_work(&self) -> usize;
}
