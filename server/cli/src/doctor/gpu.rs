//! NVIDIA's card, its driver and the library that speaks to it: what the kernel shows, read and never loaded.

use std::{
    fs,
    path::{Path, PathBuf},
};

use serde_json::json;

use super::finding::{Finding, Trouble};

/// The oldest driver for the CUDA 12 that the GPU's ONNX Runtime is built for.
const OLDEST_DRIVER: u32 = 525;
const LIBRARY: &str = "libcuda.so.1";
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

/// `root` is `/`, but for tests.
pub(crate) fn examine(root: &Path) -> Finding {
    let check = "gpu";
    let cards = cards(root);
    let driver = driver(root);
    let library = library(root);
    let facts = json!({ "cards": cards, "driver": driver, "libcuda": library });
    let bad = |told: String| Finding::warning(check, Trouble::GpuUnusable, told).with(facts.clone());
    match (cards, driver) {
        (0, None) => Finding::good(check, "no GPU, the processor is used").with(facts),
        (0, Some(driver)) => bad(format!(
            "NVIDIA's driver {driver} is loaded, but no card is handed in here, so the processor is used: give the app the \
             GPU (TrueNAS: the app's GPU settings; Docker: --gpus all)"
        )),
        (cards, None) => bad(format!(
            "{cards} NVIDIA card(s), but no driver, so the processor is used: install NVIDIA's driver (TrueNAS: Apps, \
             Settings, Install NVIDIA Drivers)"
        )),
        (_, Some(driver)) if major(&driver).is_some_and(|major| major < OLDEST_DRIVER) => bad(format!(
            "NVIDIA's driver {driver} is too old, so the processor is used: update it to {OLDEST_DRIVER} or later"
        )),
        (_, Some(driver)) if library.is_none() => bad(format!(
            "an NVIDIA card and its driver {driver}, but {LIBRARY} is not here, so the processor is used: it belongs to the \
             driver and is handed into a container together with the GPU (TrueNAS: the app's GPU settings; Docker: --gpus \
             all)"
        )),
        (cards, Some(driver)) => {
            Finding::good(check, format!("{cards} NVIDIA card(s), driver {driver}, {LIBRARY} is there"))
                .with(facts)
        }
    }
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
    named.into_iter().chain(usual).map(|folder| folder.join(LIBRARY)).find(|path| path.exists())
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
        fs::write(dev.join("nvidiactl"), "").unwrap();
        let told = |words: &str, is_good: bool| {
            let finding = examine(root.path());
            assert!(finding.detail.contains(words), "{words}: {finding:?}");
            assert_eq!(finding.verdict.trouble().is_none(), is_good, "{finding:?}");
        };
        told("no GPU, the processor is used", true);
        fs::write(dev.join("nvidia0"), "").unwrap();
        told("but no driver", false);
        let version = |number: &str| {
            let text = format!(
                "NVRM version: NVIDIA UNIX x86_64 Kernel Module  {number}  Thu Jan 1\nGCC version:  gcc 12.2.0\n"
            );
            fs::write(proc.join("version"), text).unwrap();
        };
        version("470.57.02");
        told("470.57.02 is too old", false);
        version("570.86.15");
        told("libcuda.so.1 is not here", false);
        fs::write(library.join(LIBRARY), "").unwrap();
        told("1 NVIDIA card(s), driver 570.86.15", true);
        fs::remove_file(dev.join("nvidia0")).unwrap();
        told("no card is handed in here", false);
    }
}
