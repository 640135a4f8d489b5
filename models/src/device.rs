//! What inference costs on this device: measured once, remembered in the data directory.
//!
//! The table is keyed by the device and how it is used (processor, threads, inferences at a time; or card and its
//! settings), the model and the geometry's cost key. With each model stands what else its costs depend on: its files, the
//! program, ONNX Runtime; where one of these is another, it is measured again. A cost is the lower quartile of a few runs
//! while all workers run; how much a stall may add is the planner's business.

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
    models: BTreeMap<String, ModelCosts>,
}

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ModelCosts {
    /// What these costs depend on beside the device; see [`DeviceCosts::recall`].
    measured_with: String,
    /// Usual run in microseconds while all workers run, by cost key.
    loaded_micros: BTreeMap<String, u64>,
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
            Compute::Processor => {
                let ModelOptions { threads, workers, .. } = options;
                format!("{}, {cores} cores, {threads} threads, {workers} at a time", processor_name())
            }
            Compute::Cuda(cuda) => {
                let card = gpu::card_name(Path::new("/"), cuda.card);
                let tf32 = if cuda.tf32 { ", tf32" } else { "" };
                let memory = cuda.memory_bytes.map(|bytes| format!(", {bytes} bytes per network"));
                format!("{card}{tf32}{}", memory.unwrap_or_default())
            }
        };
        let file: String = device
            .chars()
            .map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' })
            .collect();
        Self { path: data.join("devices").join(format!("{file}.toml")), device }
    }

    /// What is remembered of `model`, if it was measured with the same in all that its costs depend on beside the device,
    /// which `measured_with` names. A file that cannot be read is as good as none: it is measured again.
    pub fn recall(&self, model: &str, measured_with: &str) -> CostTable {
        let costs = self.read().models.remove(model).filter(|costs| costs.measured_with == measured_with);
        let micros = costs.unwrap_or_default().loaded_micros;
        micros.into_iter().map(|(key, micros)| (key, Duration::from_micros(micros))).collect()
    }

    /// Remembers the costs of `model`, atomically; `measured_with` as in [`Self::recall`].
    pub fn remember(&self, model: &str, measured_with: &str, costs: &CostTable) -> io::Result<()> {
        let mut file = self.read();
        file.device.clone_from(&self.device);
        let micros = |d: &Duration| u64::try_from(d.as_micros()).unwrap_or(u64::MAX);
        let loaded_micros = costs.iter().map(|(key, cost)| (key.clone(), micros(cost))).collect();
        let costs = ModelCosts { measured_with: measured_with.to_owned(), loaded_micros };
        file.models.insert(model.to_owned(), costs);
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
    name.map_or_else(|| std::env::consts::ARCH.to_owned(), |(_, name)| name.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::Cuda;

    #[test]
    fn costs_are_remembered_and_garbage_is_measured_again() {
        let data = tempfile::tempdir().unwrap();
        let costs = DeviceCosts::of(data.path(), &ModelOptions::offline());
        assert!(costs.recall("m", "v1").is_empty());
        let table = CostTable::from([("hop-1".to_owned(), Duration::from_micros(16_000))]);
        costs.remember("m", "v1", &table).unwrap();
        costs.remember("n", "v1", &CostTable::new()).unwrap();
        assert_eq!(costs.recall("m", "v1"), table);
        assert!(costs.recall("m", "v2").is_empty(), "of another program, runtime or model");
        costs.remember("m", "v2", &table).unwrap();
        assert!(costs.recall("m", "v1").is_empty(), "replaced");
        fs::write(&costs.path, "not toml [").unwrap();
        assert!(costs.recall("m", "v2").is_empty());
    }

    /// Every option on which a cost depends has costs of its own. The patterns name all fields there are, so that a new
    /// one does not compile before somebody has thought about it here.
    #[test]
    fn nothing_that_costs_depend_on_is_missing_in_their_key() {
        let ModelOptions { compute: _, threads: _, workers: _ } = ModelOptions::offline();
        let cuda = Cuda { card: 0, memory_bytes: None, tf32: false };
        let Cuda { card: _, memory_bytes: _, tf32: _ } = cuda;
        let processor = ModelOptions { compute: Compute::Processor, threads: 1, workers: 1 };
        let on = |cuda: Cuda| ModelOptions { compute: Compute::Cuda(cuda), ..processor };
        let all = [
            processor,
            ModelOptions { threads: 2, ..processor },
            ModelOptions { workers: 2, ..processor },
            on(cuda),
            on(Cuda { card: 1, ..cuda }),
            on(Cuda { memory_bytes: Some(512_000_000), ..cuda }),
            on(Cuda { tf32: true, ..cuda }),
        ];
        let keys = all.map(|options| DeviceCosts::of(Path::new("data"), &options).path);
        assert_eq!(BTreeSet::from(keys.clone()).len(), keys.len(), "{keys:#?}");
    }
}
