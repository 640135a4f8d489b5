//! What the models run on: what the settings ask for, or an honest no. Must not load a model.

use std::path::Path;

use rehearsekit_models::{
    Compute, Cuda,
    fetch::runtime::installed_runtime,
    gpu::{self, Gpu},
};

use super::EngineError;
use crate::config::{Config, Device, Origin};

/// What was chosen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chosen {
    /// What the models run on.
    pub compute: Compute,
    /// Why a card that may be there is not used, and what to do.
    pub unused: Option<String>,
}

/// The settings that were given and change nothing on this device, as a sentence for the log.
pub fn without_effect(config: &Config, compute: Compute) -> Option<String> {
    let (keys, device): (_, &str) = match compute {
        Compute::Processor => (["cuda_memory_mb", "cuda_tf32"], "the processor"),
        Compute::Cuda(_) => (["threads", "workers"], "a graphics card"),
    };
    let given = keys.iter().filter_map(|key| Some((key, config.origin(key)?)));
    let given: Vec<String> = given
        .filter(|(_, origin)| **origin != Origin::Default)
        .map(|(key, origin)| format!("{key} ({origin})"))
        .collect();
    (!given.is_empty())
        .then(|| format!("of no effect where the models run on {device}: {}", given.join(", ")))
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
    if config.device == Device::Processor {
        return Ok(processor(None));
    }
    let root = Path::new("/");
    // Its checksum is taken, so it is looked for once.
    let library = match installed_runtime(&config.data) {
        Ok(Some(library)) => Ok(library),
        Ok(None) => Err("there is no ONNX Runtime yet; `rehearsekit models pull` brings one".to_owned()),
        Err(error) => Err(error.to_string()),
    };
    let is_for_cards = library.as_ref().is_ok_and(|library| gpu::has_provider(library));
    let tried = |cuda: &Cuda| gpu::try_card(library.as_ref().map_err(Clone::clone)?, cuda, root);
    match config.device {
        Device::Card(card) => tried(&cuda(card)).map(|()| used(cuda(card))).map_err(|trouble| {
            let origin = config.origin("device").map(ToString::to_string).unwrap_or_default();
            EngineError(format!("device = cuda:{card} ({origin}) cannot be used: {trouble}"))
        }),
        Device::Auto if is_for_cards || Gpu::look(root).is_there() => {
            Ok(tried(&cuda(0)).map_or_else(|trouble| processor(Some(trouble)), |()| used(cuda(0))))
        }
        Device::Auto | Device::Processor => Ok(processor(None)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Flag, Sources, Value};

    #[test]
    fn what_changes_nothing_on_this_device_is_said_with_where_it_was_set() {
        let config = |settings: &[(&str, &str)]| {
            let flag = |(key, value): &(&str, &str)| Flag {
                name: format!("--set {key}"),
                key: (*key).to_owned(),
                value: Value::Text((*value).to_owned()),
            };
            let flags = settings.iter().chain([&("data", "/data")]).map(flag).collect();
            Config::load(&Sources { flags, ..Sources::default() }).unwrap()
        };
        let all = [("threads", "2"), ("workers", "2"), ("cuda_memory_mb", "512"), ("cuda_tf32", "true")];
        let card = Compute::Cuda(Cuda { card: 0, memory_bytes: None, tf32: false });
        assert_eq!(without_effect(&config(&[]), Compute::Processor), None);
        assert_eq!(without_effect(&config(&all[2..]), card), None);
        assert_eq!(
            without_effect(&config(&all), Compute::Processor).unwrap(),
            "of no effect where the models run on the processor: cuda_memory_mb (flag --set cuda_memory_mb), cuda_tf32 \
             (flag --set cuda_tf32)"
        );
        let told = without_effect(&config(&all), card).unwrap();
        assert!(told.contains("a graphics card: threads (flag --set threads), workers ("), "{told}");
    }
}
