//! NVIDIA's cards as the kernel shows them, and whether ONNX Runtime can really use one: with a sentence of what is
//! missing and what to do, for the start of the server and the doctor alike.

use std::{
    fs,
    path::{Path, PathBuf},
};

use crate::{
    compute::Cuda,
    runtime::{Runtime, RuntimeError},
};

/// The oldest driver for the CUDA 12 that the GPU's ONNX Runtime is built for.
const OLDEST_DRIVER: u32 = 525;
/// The library that speaks to the driver. It belongs to the driver, not to any package of ours.
const DRIVER_LIBRARY: &str = "libcuda.so.1";
/// The part of ONNX Runtime that computes on cards; beside its main library where there is one.
const PROVIDER: &str = "libonnxruntime_providers_cuda.so";
const FOLDERS: [&str; 8] = [
    "usr/lib/x86_64-linux-gnu",
    "usr/lib/aarch64-linux-gnu",
    "usr/lib64",
    "usr/lib",
    "usr/lib/wsl/lib",
    "usr/local/nvidia/lib64",
    "usr/local/cuda/compat",
    "lib64",
];

/// What there is of cards and driver.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Gpu {
    /// Cards that this process may open.
    pub cards: usize,
    /// Version of the driver in the kernel.
    pub driver: Option<String>,
    /// Where the driver's own library is.
    pub library: Option<PathBuf>,
}

impl Gpu {
    /// Looks below `root`, which is `/` but for tests. Reads only, loads nothing.
    pub fn look(root: &Path) -> Self {
        Self { cards: cards(root), driver: driver(root), library: library(root) }
    }

    /// Whether there is anything of NVIDIA's at all.
    pub fn is_there(&self) -> bool {
        self.cards > 0 || self.driver.is_some()
    }

    /// What is missing for a card to be used, and what to do.
    pub fn trouble(&self) -> Option<String> {
        match (self.cards, &self.driver) {
            (0, None) => Some(
                "there is no NVIDIA card and no driver here; where device is cpu or auto, the processor is used".to_owned(),
            ),
            (0, Some(driver)) => Some(format!(
                "NVIDIA's driver {driver} is loaded, but no card is handed in here: give the app the GPU (TrueNAS: the \
                 app's GPU settings; Docker: --gpus all)"
            )),
            (cards, None) => Some(format!(
                "{cards} NVIDIA card(s), but no driver: install NVIDIA's driver (TrueNAS: Apps, Settings, Install NVIDIA \
                 Drivers)"
            )),
            (_, Some(driver)) if major(driver).is_some_and(|major| major < OLDEST_DRIVER) => Some(format!(
                "NVIDIA's driver {driver} is too old: update it to {OLDEST_DRIVER} or later"
            )),
            (_, Some(driver)) if self.library.is_none() => Some(format!(
                "an NVIDIA card and its driver {driver}, but {DRIVER_LIBRARY} is not here: it belongs to the driver and is \
                 handed into a container together with the GPU (TrueNAS: the app's GPU settings; Docker: --gpus all)"
            )),
            (..) => None,
        }
    }
}

/// Whether the ONNX Runtime at `library` is one for cards.
pub fn has_provider(library: &Path) -> bool {
    library.with_file_name(PROVIDER).is_file()
}

/// Runs a network of one addition on the card, so that whatever is missing for it is missed now.
///
/// # Errors
/// A sentence: what is missing, by ONNX Runtime's own words where it is a library, and what to do.
pub fn try_card(library: &Path, cuda: &Cuda, root: &Path) -> Result<(), String> {
    if !has_provider(library) {
        return Err(format!(
            "the ONNX Runtime at {} is the one for processors: {PROVIDER} is not beside it. Use the image with CUDA \
             (`cargo xtask image --cuda`), or set ONNXRUNTIME_LIBRARY to the library of PyPI's onnxruntime-gpu 1.26.0",
            library.display()
        ));
    }
    if let Some(trouble) = Gpu::look(root).trouble() {
        return Err(trouble);
    }
    let tried = Runtime::load(library).and_then(|runtime| runtime.try_card(cuda));
    tried.map_err(|error| match error {
        RuntimeError::Graph { reason, .. } | RuntimeError::Run { reason, .. } => {
            format!("ONNX Runtime cannot use the card: {reason}")
        }
        other => other.to_string(),
    })
}

/// What the driver calls a card, with its version; both tell how fast it is.
pub(crate) fn card_name(root: &Path, card: u32) -> String {
    let driver = driver(root).unwrap_or_else(|| "unknown".to_owned());
    let cards = fs::read_dir(root.join("proc/driver/nvidia/gpus")).into_iter().flatten().flatten();
    // CUDA counts cards in the order of their bus addresses unless it is told otherwise.
    let mut folders: Vec<PathBuf> = cards.map(|entry| entry.path()).collect();
    folders.sort();
    let told =
        folders.get(card as usize).and_then(|folder| fs::read_to_string(folder.join("information")).ok());
    let model = told.as_deref().and_then(|text| text.lines().find_map(|line| line.strip_prefix("Model:")));
    let model = model.map_or_else(|| format!("card {card}"), |name| name.trim().to_owned());
    format!("{model}, driver {driver}")
}

fn cards(root: &Path) -> usize {
    let nodes = fs::read_dir(root.join("dev")).into_iter().flatten().flatten();
    let is_card = |name: &str| {
        name.strip_prefix("nvidia").is_some_and(|n| !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit()))
    };
    nodes.filter(|node| node.file_name().to_str().is_some_and(is_card)).count()
}

/// The version in a line like `NVRM version: NVIDIA UNIX x86_64 Kernel Module  570.86.15  Thu …`.
fn driver(root: &Path) -> Option<String> {
    let text = fs::read_to_string(root.join("proc/driver/nvidia/version")).ok()?;
    let line = text.lines().find(|line| line.starts_with("NVRM version"))?;
    line.split_whitespace().find(|word| word.contains('.') && major(word).is_some()).map(str::to_owned)
}

fn major(version: &str) -> Option<u32> {
    version.split('.').next()?.parse().ok()
}

fn library(root: &Path) -> Option<PathBuf> {
    let named = std::env::var_os("LD_LIBRARY_PATH").unwrap_or_default();
    let named: Vec<PathBuf> = std::env::split_paths(&named).filter(|folder| folder.is_absolute()).collect();
    let usual = FOLDERS.into_iter().map(|folder| root.join(folder));
    named.into_iter().chain(usual).map(|folder| folder.join(DRIVER_LIBRARY)).find(|path| path.exists())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_part_that_is_missing_is_named() {
        let root = tempfile::tempdir().unwrap();
        let (dev, proc) = (root.path().join("dev"), root.path().join("proc/driver/nvidia"));
        let library = root.path().join(FOLDERS[0]);
        for folder in [&dev, &proc, &library] {
            fs::create_dir_all(folder).unwrap();
        }
        let told = |words: &str| {
            let trouble = Gpu::look(root.path()).trouble().unwrap_or_default();
            assert!(trouble.contains(words), "{words}: {trouble}");
        };
        fs::write(dev.join("nvidiactl"), "").unwrap();
        told("no NVIDIA card and no driver");
        assert!(!Gpu::look(root.path()).is_there());
        fs::write(dev.join("nvidia0"), "").unwrap();
        told("but no driver");
        let version = |number: &str| {
            let text = format!(
                "NVRM version: NVIDIA UNIX x86_64 Kernel Module  {number}  Thu Jan 1\nGCC version:  gcc 12.2.0\n"
            );
            fs::write(proc.join("version"), text).unwrap();
        };
        version("470.57.02");
        told("470.57.02 is too old");
        version("570.86.15");
        told("libcuda.so.1 is not here");
        fs::write(library.join(DRIVER_LIBRARY), "").unwrap();
        assert_eq!(Gpu::look(root.path()).trouble(), None);
        assert_eq!(card_name(root.path(), 0), "card 0, driver 570.86.15");
        let card = proc.join("gpus/0000:01:00.0");
        fs::create_dir_all(&card).unwrap();
        fs::write(card.join("information"), "Model: \t NVIDIA GeForce RTX 3060\nIRQ:   \t 55\n").unwrap();
        assert_eq!(card_name(root.path(), 0), "NVIDIA GeForce RTX 3060, driver 570.86.15");
        fs::remove_file(dev.join("nvidia0")).unwrap();
        told("no card is handed in here");
    }

    #[test]
    fn a_library_for_processors_is_told_from_one_for_cards() {
        let folder = tempfile::tempdir().unwrap();
        let library = folder.path().join("libonnxruntime.so");
        let cuda = Cuda { card: 0, memory_bytes: None, tf32: true };
        let told = try_card(&library, &cuda, folder.path()).unwrap_err();
        assert!(told.contains("the one for processors") && told.contains("onnxruntime-gpu"), "{told}");
        fs::write(folder.path().join(PROVIDER), "").unwrap();
        let told = try_card(&library, &cuda, folder.path()).unwrap_err();
        assert!(told.contains("no NVIDIA card and no driver"), "{told}");
    }
}
