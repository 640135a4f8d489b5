//! What the models run on: what the settings ask for, or an honest no. Must not load a model.

use std::path::Path;

use rehearsekit_models::{
    Compute, Cuda,
    fetch::runtime::installed_runtime,
    gpu::{self, Gpu},
};

use super::EngineError;
use crate::config::{Config, Device};

/// The device for `config`. Whoever asks for a card gets it or an error; `auto` says when there is a card that it cannot
/// use, and takes the processor.
///
/// # Errors
/// What is missing for the card that was asked for, and what to do.
pub fn choose(config: &Config) -> Result<Compute, EngineError> {
    let cuda = |card| Cuda {
        card,
        memory_bytes: config.cuda_memory_mb.map(|mb| mb.saturating_mul(1_000_000)),
        tf32: config.cuda_tf32,
    };
    match config.device {
        Device::Processor => Ok(Compute::Processor),
        Device::Card(card) => match try_card(config, &cuda(card)) {
            Ok(()) => Ok(Compute::Cuda(cuda(card))),
            Err(trouble) => {
                let origin = config.origin("device").map(ToString::to_string).unwrap_or_default();
                Err(EngineError(format!("device = cuda:{card} ({origin}) cannot be used: {trouble}")))
            }
        },
        Device::Auto => {
            let wanted = cuda(0);
            if !Gpu::look(Path::new("/")).is_there() && !is_for_cards(config) {
                return Ok(Compute::Processor);
            }
            match try_card(config, &wanted) {
                Ok(()) => Ok(Compute::Cuda(wanted)),
                Err(trouble) => {
                    tracing::warn!("no graphics card is used, the processor does it all: {trouble}");
                    Ok(Compute::Processor)
                }
            }
        }
    }
}

fn is_for_cards(config: &Config) -> bool {
    matches!(installed_runtime(&config.data), Ok(Some(library)) if gpu::has_provider(&library))
}

fn try_card(config: &Config, cuda: &Cuda) -> Result<(), String> {
    let library = installed_runtime(&config.data).map_err(|error| error.to_string())?;
    let none = || "there is no ONNX Runtime yet; `rehearsekit models pull` brings one".to_owned();
    gpu::try_card(&library.ok_or_else(none)?, cuda, Path::new("/"))
}
