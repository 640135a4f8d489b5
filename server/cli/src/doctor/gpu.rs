//! What the models run on, and why not on a graphics card. The choice is the server's own.

use std::path::Path;

use rehearsekit_models::{Compute, gpu::Gpu};
use rehearsekit_server::{
    config::{Config, Device},
    engine::{Chosen, EngineError},
};
use serde_json::json;

use super::finding::{Finding, Trouble};

/// What came of what the settings ask for.
pub(crate) fn examine(config: &Config, chosen: &Result<Chosen, EngineError>) -> Finding {
    let check = "device";
    let Gpu { cards, driver, library } = Gpu::look(Path::new("/"));
    let facts =
        json!({ "device": config.device.to_string(), "cards": cards, "driver": driver, "libcuda": library });
    let finding = match chosen {
        Err(error) => Finding::failed(check, Trouble::GpuUnusable, error.to_string()),
        Ok(Chosen { unused: Some(trouble), .. }) => {
            Finding::warning(check, Trouble::GpuUnusable, format!("the processor is used: {trouble}"))
        }
        Ok(Chosen { compute: Compute::Processor, .. }) if config.device == Device::Processor => {
            Finding::good(check, "the processor, as the settings say".to_owned())
        }
        Ok(Chosen { compute: Compute::Processor, .. }) => {
            Finding::good(check, "no GPU, the processor is used".to_owned())
        }
        Ok(Chosen { compute, .. }) => {
            let driver = driver.unwrap_or_else(|| "unknown".to_owned());
            Finding::good(check, format!("{compute} works, with NVIDIA's driver {driver}"))
        }
    };
    finding.with(facts)
}
