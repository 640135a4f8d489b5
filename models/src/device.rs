//! What inference costs on this device: measured once, remembered in the data directory.
//!
//! The table is keyed by the device (processor and threads, or card), the model and the geometry's cost key. A cost is
//! the lower quartile of a few runs while all workers run; how much a stall may add is the planner's business.

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
    time::Duration,
};

use serde::{Deserialize, Serialize};

use crate::{Compute, ModelOptions, gpu, plan::CostTable};

/// The remembered costs of one device.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct DeviceFile {
    /// What the device is, for a reader.
    device: String,
    /// Usual run in microseconds while all workers run, by model and cost key.
    loaded_micros: BTreeMap<String, BTreeMap<String, u64>>,
}

/// Where the costs of one of this machine's devices are kept.
#[derive(Debug, Clone)]
pub struct DeviceCosts {
    path: PathBuf,
    device: String,
}

impl DeviceCosts {
    /// The costs of what a model runs on, below the data directory.
    pub fn of(data: &Path, options: &ModelOptions) -> Self {
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let device = match options.compute {
            Compute::Processor => format!("{}, {cores} cores, {} threads", processor_name(), options.threads),
            Compute::Cuda(cuda) => {
                format!(
                    "{}{}",
                    gpu::card_name(Path::new("/"), cuda.card),
                    if cuda.tf32 { ", tf32" } else { "" }
                )
            }
        };
        let file: String = device
            .chars()
            .map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' })
            .collect();
        Self { path: data.join("devices").join(format!("{file}.toml")), device }
    }

    /// What is remembered of `model`. A file that cannot be read is as good as none: it is measured again.
    pub fn recall(&self, model: &str) -> CostTable {
        let table = self.read().loaded_micros.remove(model).unwrap_or_default();
        table.into_iter().map(|(key, micros)| (key, Duration::from_micros(micros))).collect()
    }

    /// Remembers the costs of `model`, atomically.
    pub fn remember(&self, model: &str, costs: &CostTable) -> io::Result<()> {
        let mut file = self.read();
        file.device.clone_from(&self.device);
        let micros = |d: &Duration| u64::try_from(d.as_micros()).unwrap_or(u64::MAX);
        file.loaded_micros
            .insert(model.to_owned(), costs.iter().map(|(key, cost)| (key.clone(), micros(cost))).collect());
        let folder = self.path.parent().unwrap_or(Path::new("."));
        fs::create_dir_all(folder)?;
        let staged = tempfile::NamedTempFile::new_in(folder)?;
        fs::write(staged.path(), toml::to_string(&file).map_err(io::Error::other)?)?;
        staged.persist(&self.path).map_err(|e| e.error)?;
        Ok(())
    }

    fn read(&self) -> DeviceFile {
        fs::read_to_string(&self.path).ok().and_then(|text| toml::from_str(&text).ok()).unwrap_or_default()
    }
}

/// The processor's own name, where the system tells.
fn processor_name() -> String {
    let info = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let name = info.lines().find_map(|line| line.strip_prefix("model name")?.split_once(':'));
    let name = name.map(|(_, name)| name.trim().to_owned()).or_else(brand);
    name.unwrap_or_else(|| std::env::consts::ARCH.to_owned())
}

/// The same name by the processor itself, for a service that is shown no more of /proc than its own processes.
#[cfg(target_arch = "x86_64")]
fn brand() -> Option<String> {
    let brand = raw_cpuid::CpuId::new().get_processor_brand_string()?.as_str().trim().to_owned();
    Some(brand).filter(|brand| !brand.is_empty())
}

#[cfg(not(target_arch = "x86_64"))]
fn brand() -> Option<String> {
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(all(target_os = "linux", target_arch = "x86_64"))]
    #[test]
    fn the_processor_has_one_name_whoever_tells_it() {
        assert_eq!(brand(), Some(processor_name()));
    }

    #[test]
    fn costs_are_remembered_and_garbage_is_measured_again() {
        let data = tempfile::tempdir().unwrap();
        let costs = DeviceCosts::of(data.path(), &ModelOptions::offline());
        assert!(costs.recall("m").is_empty());
        let table = CostTable::from([("hop-1".to_owned(), Duration::from_micros(16_000))]);
        costs.remember("m", &table).unwrap();
        costs.remember("n", &CostTable::new()).unwrap();
        assert_eq!(costs.recall("m"), table);
        fs::write(&costs.path, "not toml [").unwrap();
        assert!(costs.recall("m").is_empty());
    }
}
