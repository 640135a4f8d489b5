//! Inference: from a model's manifest to separated stems.
//!
//! The way through this crate: [`manifest`] says what a model is, [`store`] keeps it on disk, [`fetch`] and
//! [`convert`] bring it there; [`runtime`] is the only file that knows ONNX Runtime, which runs
//! them on a [`compute`] device ([`gpu`] says whether a card can be one); [`families`] turn windows
//! of audio into stems; [`live`] makes a stream of any of them; [`pipeline`] adds the host's rate; [`batch`] runs
//! several streams' hops as one; [`offline`]
//! runs the same over a whole song and closes the sum; [`plan`] fits quality into a latency budget; [`model`]
//! holds it all together.
//!
//! This crate must never open a socket, know about sessions or the wire, or print.

pub mod batch;
pub mod compute;
pub mod convert;
pub mod device;
pub mod families;
pub mod fetch;
pub mod gpu;
pub mod live;
pub mod manifest;
mod measure;
pub mod memory;
pub mod model;
pub mod offline;
pub mod pipeline;
pub mod plan;
pub mod quality;
pub mod resample;
pub mod runtime;
pub mod spectral;
pub mod store;

pub use compute::{Compute, Cuda};
pub use model::{Model, ModelOptions};
pub use offline::{Separation, StemBlock};
pub use pipeline::{LivePipeline, StemChunk};
pub use plan::{DeviceSpeed, Plan, PlanRefusal, PlanRequest};
pub use quality::Quality;

#[cfg(test)]
mod reference_tests;

/// Why a model could not be loaded or run.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ModelError {
    /// ONNX Runtime or a network.
    #[error(transparent)]
    Runtime(#[from] runtime::RuntimeError),
    /// The model's files.
    #[error(transparent)]
    Convert(#[from] convert::ConvertError),
    /// The model is not installed, or damaged.
    #[error(transparent)]
    Store(#[from] store::StoreError),
    /// ONNX Runtime's library is damaged.
    #[error(transparent)]
    Fetch(#[from] fetch::FetchError),
    /// ONNX Runtime was never fetched.
    #[error("ONNX Runtime is not installed; 'rehearsekit models pull' of any model brings it")]
    NoRuntime,
    /// A manifest that contradicts itself.
    #[error("the manifest of {name} cannot be used: {reason}")]
    Manifest {
        /// The model.
        name: String,
        /// What is wrong.
        reason: String,
    },
    /// Resampling.
    #[error(transparent)]
    Resample(#[from] resample::ResampleError),
    /// What the caller's sink said: writing a file failed, or the user cancelled.
    #[error("{0}")]
    Sink(String),
}

impl From<pipeline::PipelineError> for ModelError {
    fn from(error: pipeline::PipelineError) -> Self {
        match error {
            pipeline::PipelineError::Inference(e) => Self::Runtime(e),
            pipeline::PipelineError::Resample(e) => Self::Resample(e),
        }
    }
}
