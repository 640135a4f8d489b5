//! From what a package holds to what an engine loads: checkpoints into weights, weights into graphs, one
//! graph into shorter ones.
//!
//! Everything here is a function of bytes and files. It must never download, decide where things are kept,
//! or run a model; and as it reads what strangers made, it must never panic on it.

pub mod htdemucs;
pub mod onnx;
pub mod pickle;
pub mod tensors;
pub mod unet;
pub mod weights;

use std::path::{Path, PathBuf};

pub use tensors::{ExpectedTensor, TensorSide, check_tensors};
pub use weights::Tensor;

/// What can be wrong with a model file.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConvertError {
    /// The file cannot be read or written.
    #[error("{path}: {source}", path = path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The checkpoint is not a zip archive with a `data.pkl`.
    #[error("{path} is not a PyTorch checkpoint: {reason}", path = path.display())]
    NotACheckpoint {
        /// The file.
        path: PathBuf,
        /// What is missing.
        reason: String,
    },
    /// The pickle inside a checkpoint cannot be understood.
    #[error("the checkpoint's pickle is damaged or of an unknown kind at byte {offset}: {reason}")]
    Pickle {
        /// Byte offset into `data.pkl`.
        offset: usize,
        /// What was met there.
        reason: String,
    },
    /// A tensor that the network needs is not among the weights.
    #[error("the weights of {net} lack the tensor {tensor}")]
    MissingTensor {
        /// Which of the networks.
        net: String,
        /// The tensor's name.
        tensor: String,
    },
    /// A tensor has another shape than the network needs.
    #[error("tensor {tensor} has the shape {}, but {} is needed", shape(found), shape(expected))]
    WrongShape {
        /// The tensor's name.
        tensor: String,
        /// The shape that is needed; −1 stands for any size.
        expected: Vec<i64>,
        /// The shape that is there; −1 stands for a size left open.
        found: Vec<i64>,
    },
    /// A tensor has another element type than the engine feeds it.
    #[error("tensor {tensor} has element type {found}, but {expected} is needed")]
    WrongType {
        /// The tensor's name.
        tensor: String,
        /// The type that is needed.
        expected: String,
        /// The type that is there.
        found: String,
    },
    /// The graph has no input or output of a name.
    #[error("the model has no {side} named {tensor}; it has {}", list(found))]
    NoSuchTensor {
        /// Input or output.
        side: TensorSide,
        /// The name looked for.
        tensor: String,
        /// The names there are.
        found: Vec<String>,
    },
    /// The file is not an ONNX model, or cut short.
    #[error("{path} is not a whole ONNX model: {reason}", path = path.display())]
    NotOnnx {
        /// The file.
        path: PathBuf,
        /// What the protobuf reader said.
        reason: String,
    },
    /// The graph is not the one that the shortening knows.
    #[error(
        "this is not the HTDemucs graph that can be shortened: expected {expected} {what}, found {found}"
    )]
    NotThisGraph {
        /// What was counted.
        what: &'static str,
        /// How many there should be.
        expected: usize,
        /// How many there are.
        found: usize,
    },
    /// The stored weights file is damaged.
    #[error("the weights file is damaged: {reason}; remove the model and pull it again")]
    Weights {
        /// What is wrong.
        reason: String,
    },
    /// A window that cannot be made.
    #[error("a window of {columns} columns cannot be made: {reason}")]
    Window {
        /// The size asked for.
        columns: usize,
        /// Why not.
        reason: String,
    },
}

impl ConvertError {
    pub(crate) fn io(path: &Path) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { path, source }
    }
}

fn shape(dims: &[i64]) -> String {
    let dims: Vec<String> =
        dims.iter().map(|&d| if d < 0 { "?".to_owned() } else { d.to_string() }).collect();
    format!("[{}]", dims.join(", "))
}

fn list(names: &[String]) -> String {
    if names.is_empty() { "none".to_owned() } else { names.join(", ") }
}
