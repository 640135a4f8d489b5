//! The two images there are. Values only.

use std::path::PathBuf;

use crate::shell::target_dir;

/// For which devices an image is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Variant {
    /// Any processor.
    Cpu,
    /// NVIDIA cards too, with CUDA 12.
    Cuda,
}

impl Variant {
    /// As in file names and tags.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Cpu => "cpu",
            Self::Cuda => "cuda",
        }
    }

    /// Libraries that only the machine's own driver can bring.
    pub(super) fn drivers_own(self) -> &'static [&'static str] {
        match self {
            Self::Cpu => &[],
            Self::Cuda => &["libcuda.so.1"],
        }
    }

    /// Where everything of this variant is made.
    pub(super) fn folder(self) -> PathBuf {
        top().join(self.name())
    }

    /// What the image is called.
    pub(super) fn tag(self, version: &str) -> String {
        match self {
            Self::Cpu => format!("localhost/rehearsekit:{version}"),
            Self::Cuda => format!("localhost/rehearsekit:{version}-cuda"),
        }
    }
}

/// Where everything of all images is made.
pub(super) fn top() -> PathBuf {
    target_dir().join("image")
}
