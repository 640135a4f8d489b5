//! What the models run on: what the settings ask for, or an honest no. Must not load a model.

use std::path::Path;

use rehearsekit_models::{
    Compute, Cuda,
    fetch::runtime::installed_runtime,
    gpu::{self, Gpu},
};

use super::EngineError;
use crate::config::{Config, Device};

/// What was chosen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chosen {
    /// What the models run on.
    pub compute: Compute,
    /// Why a card that may be there is not used, and what to do.
    pub unused: Option<String>,
}

/// The device for `config`. Whoever asks for a card gets it or an error; `auto` takes the processor where no card can be
/// used.
///
/// # Errors
/// What is missing for the card that was asked for, and what to do.
pub fn choose(config: &Config) -> Result<Chosen, EngineError> {
    let cuda = |card| Cuda {
        card,
        memory_bytes: config.cuda_memory_mb.map(|mb| mb.saturating_mul(1_000_000)),
        tf32: config.cuda_tf32,
    };
    let used = |cuda| Chosen { compute: Compute::Cuda(cuda), unused: None };
    let processor = |unused| Chosen { compute: Compute::Processor, unused };
    match config.device {
        Device::Processor => Ok(processor(None)),
        Device::Card(card) => try_card(config, &cuda(card)).map(|()| used(cuda(card))).map_err(|trouble| {
            let origin = config.origin("device").map(ToString::to_string).unwrap_or_default();
            EngineError(format!("device = cuda:{card} ({origin}) cannot be used: {trouble}"))
        }),
        Device::Auto if !Gpu::look(Path::new("/")).is_there() && !is_for_cards(config) => Ok(processor(None)),
        Device::Auto => {
            let wanted = cuda(0);
            Ok(try_card(config, &wanted).map_or_else(|trouble| processor(Some(trouble)), |()| used(wanted)))
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
