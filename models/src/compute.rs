//! Where networks run: on the processor, or on a graphics card through CUDA. Must not look at the machine.

use std::fmt;

/// Where a model's networks run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compute {
    /// On the processor.
    Processor,
    /// On one of NVIDIA's cards.
    Cuda(Cuda),
}

/// A card, and how it is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cuda {
    /// Its number, as CUDA counts them.
    pub card: u32,
    /// The most that each network's tensors may take of its memory; `None` for as much as there is.
    pub memory_bytes: Option<usize>,
    /// Whether matrices may be multiplied with TensorFloat-32: quicker on cards since 2020, with 10 bits of fraction.
    pub tf32: bool,
}

impl fmt::Display for Compute {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Processor => f.write_str("cpu"),
            Self::Cuda(cuda) => write!(f, "cuda:{}", cuda.card),
        }
    }
}
