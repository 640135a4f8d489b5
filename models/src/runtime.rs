//! ONNX Runtime: the one file that knows it. Loads the shared library once per process, builds networks from
//! graphs, runs them on planar `f32`.
//!
//! Nothing of ONNX Runtime leaves this file: outside, a network is names, shapes and slices.

use std::{
    path::{Path, PathBuf},
    sync::Mutex,
};

use ort::{
    environment::Environment,
    ep::{self, ArenaExtendStrategy, cuda::ConvAlgorithmSearch},
    logging::LogLevel,
    session::{Session, SessionOutputs, builder::GraphOptimizationLevel},
    value::{TensorRef, ValueType},
};
use prost::Message as _;

use crate::{
    compute::{Compute, Cuda},
    convert::{
        ExpectedTensor, TensorSide,
        onnx::{GraphProto, ModelProto, NodeProto, ValueInfoProto},
    },
};

/// Why the runtime or a network could not be used.
#[derive(Debug, thiserror::Error)]
pub enum RuntimeError {
    /// The shared library does not load.
    #[error("ONNX Runtime at {path} does not load ({reason}); fetch it again with 'rehearsekit models pull'")]
    Library {
        /// The library's path.
        path: PathBuf,
        /// What the loader said.
        reason: String,
    },
    /// It loads, but it is older than what this program was made for.
    #[error(
        "ONNX Runtime at {path} is version {found}, but {needed} or later is needed; 'rehearsekit models pull' of any \
         model brings the right one, and ONNXRUNTIME_LIBRARY may name another"
    )]
    Version {
        /// The library's path.
        path: PathBuf,
        /// What it says it is.
        found: String,
        /// The oldest that would do.
        needed: String,
    },
    /// Another copy was loaded earlier in this process.
    #[error("ONNX Runtime is already loaded from {0}; a process can hold only one")]
    SecondLibrary(PathBuf),
    /// A graph's file that was there when the model was loaded.
    #[error("{path} cannot be read any more ({reason}); put it back with 'rehearsekit models pull {name}'")]
    Gone {
        /// The model.
        name: String,
        /// The file.
        path: PathBuf,
        /// What the system says.
        reason: String,
    },
    /// A graph that ONNX Runtime does not take.
    #[error("the graph of {name} is refused by ONNX Runtime: {reason}")]
    Graph {
        /// The model.
        name: String,
        /// ONNX Runtime's words.
        reason: String,
    },
    /// A tensor is missing or has another shape than the model's family says.
    #[error("{name}: tensor '{tensor}' is {found}, the manifest's family needs {expected}")]
    Tensor {
        /// The model.
        name: String,
        /// The tensor's name.
        tensor: String,
        /// Its shape in the file, or "missing".
        found: String,
        /// The shape that is needed.
        expected: String,
    },
    /// Streams of different networks, or of one without a batch axis, in one run.
    #[error("streams that cannot be run together were given to one run")]
    Batch,
    /// A run failed.
    #[error("inference of {name} failed: {reason}")]
    Run {
        /// The model.
        name: String,
        /// ONNX Runtime's words.
        reason: String,
    },
}

static LOADED: Mutex<Option<(PathBuf, Environment)>> = Mutex::new(None);

/// The loaded ONNX Runtime; cheap to clone.
#[derive(Clone)]
pub struct Runtime {
    environment: Environment,
}

impl Runtime {
    /// Loads the shared library at `library`, or gives the one that this process already loaded from there.
    pub fn load(library: &Path) -> Result<Self, RuntimeError> {
        let mut loaded = LOADED.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if let Some((path, environment)) = loaded.as_ref() {
            if path != library {
                return Err(RuntimeError::SecondLibrary(path.clone()));
            }
            return Ok(Self { environment: environment.clone() });
        }
        let refuse = |reason: String| RuntimeError::Library { path: library.to_owned(), reason };
        let environment = ort::init_from(library)
            .map_err(|error| match error {
                ort::LoadDynamicError::BadVersion { version_str: found, path } => {
                    RuntimeError::Version { path, found, needed: format!("1.{}", ort::MINOR_VERSION) }
                }
                error => refuse(error.to_string()),
            })?
            .with_name("rehearsekit")
            .with_telemetry(false)
            // By itself it would write to stderr and wait for whoever should read that.
            .with_logger(std::sync::Arc::new(|level, _, _, place, message| match level {
                LogLevel::Fatal | LogLevel::Error => tracing::error!(place, "ONNX Runtime: {message}"),
                LogLevel::Warning => tracing::warn!(place, "ONNX Runtime: {message}"),
                _ => tracing::debug!(place, "ONNX Runtime: {message}"),
            }))
            .build()
            .map_err(|e| refuse(e.to_string()))?;
        environment.set_log_level(LogLevel::Error);
        *loaded = Some((library.to_owned(), environment.clone()));
        Ok(Self { environment })
    }

    /// Runs a network of nothing on the card, which needs the card, its driver and all libraries of CUDA.
    pub(crate) fn try_card(&self, cuda: &Cuda) -> Result<(), RuntimeError> {
        let name = "the trial";
        let graph = trial();
        let on = On { compute: Compute::Cuda(*cuda), threads: 1 };
        let tensors = [ExpectedTensor::input("x", &[1]), ExpectedTensor::output("y", &[1])];
        let mut network = Network::load(self, name, Graph::Bytes(&graph), on, &tensors)?;
        let sum = network.run(&[("x", &[1], &[1.0])])?.slices()?.concat();
        let wrong = || RuntimeError::Run { name: name.to_owned(), reason: format!("1 + 1 is {sum:?} on it") };
        if sum == [2.0] { Ok(()) } else { Err(wrong()) }
    }

    /// What the library says of itself: version, commit and how it was built.
    pub fn about(&self) -> &'static str {
        ort::info()
    }
}

/// Where a graph comes from.
pub enum Graph<'a> {
    /// A file, beside which external weights are looked for.
    File(&'a Path),
    /// A whole model in memory.
    Bytes(&'a [u8]),
}

/// What a network runs on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct On {
    /// The device.
    pub compute: Compute,
    /// Threads of the processor, which does what the device cannot.
    pub threads: usize,
}

impl On {
    /// The processor, with so many threads.
    pub fn processor(threads: usize) -> Self {
        Self { compute: Compute::Processor, threads }
    }
}

/// One loaded graph, run by one caller at a time.
pub struct Network {
    name: String,
    session: Session,
    outputs: Vec<String>,
}

impl Network {
    /// Loads `graph` to run `on` a device, after checking that it has the tensors that are needed.
    ///
    /// Spinning is off: a thread that spins for the next hop steals time from everybody else's (DESIGN §5).
    pub fn load(
        runtime: &Runtime,
        name: &str,
        graph: Graph<'_>,
        on: On,
        tensors: &[ExpectedTensor],
    ) -> Result<Self, RuntimeError> {
        if let Graph::File(path) = graph
            && let Err(error) = std::fs::File::open(path)
        {
            let reason = error.to_string();
            return Err(RuntimeError::Gone { name: name.to_owned(), path: path.to_owned(), reason });
        }
        let session = build(runtime, graph, on)
            .map_err(|reason| RuntimeError::Graph { name: name.to_owned(), reason })?;
        for tensor in tensors {
            let found = match tensor.side {
                TensorSide::Input => session.inputs(),
                TensorSide::Output => session.outputs(),
            };
            check(name, found, tensor)?;
        }
        let outputs =
            tensors.iter().filter(|t| t.side == TensorSide::Output).map(|t| t.name.clone()).collect();
        Ok(Self { name: name.to_owned(), session, outputs })
    }

    /// Whether one run may take several streams: the first side of all tensors is open.
    pub fn has_batch_axis(&self) -> bool {
        let open = |o: &ort::value::Outlet| matches!(o.dtype(), ValueType::Tensor { shape, .. } if shape.first().is_some_and(|&size| size < 0));
        self.session.inputs().iter().chain(self.session.outputs()).all(open)
    }

    /// Runs once.
    pub fn run(&mut self, inputs: &[Feed<'_>]) -> Result<Outputs<'_>, RuntimeError> {
        let fail = |e: ort::Error| RuntimeError::Run { name: self.name.clone(), reason: e.to_string() };
        let mut feeds: Vec<(&str, ort::session::SessionInputValue<'_>)> = Vec::with_capacity(inputs.len());
        for &(tensor, shape, data) in inputs {
            feeds.push((tensor, TensorRef::from_array_view((shape, data)).map_err(fail)?.into()));
        }
        let results = self.session.run(feeds).map_err(fail)?;
        Ok(Outputs { name: &self.name, order: &self.outputs, results })
    }
}

/// An input of a network: the tensor's name, its shape, its data in C order.
pub type Feed<'a> = (&'a str, &'a [usize], &'a [f32]);

/// What a run gave; the network is not free again before this is dropped.
pub struct Outputs<'a> {
    name: &'a str,
    order: &'a [String],
    results: SessionOutputs<'a>,
}

impl Outputs<'_> {
    /// The outputs in the order of the tensors given to [`Network::load`], each as its flat data.
    pub fn slices(&self) -> Result<Vec<&[f32]>, RuntimeError> {
        let slice = |output: &String| self.results[output.as_str()].try_extract_tensor::<f32>();
        let slices = self.order.iter().map(|output| slice(output).map(|(_, data)| data));
        let fail = |e: ort::Error| RuntimeError::Run { name: self.name.to_owned(), reason: e.to_string() };
        slices.collect::<Result<_, _>>().map_err(fail)
    }
}

fn build(runtime: &Runtime, graph: Graph<'_>, on: On) -> Result<Session, String> {
    let text = |e: ort::Error<ort::session::builder::SessionBuilder>| e.to_string();
    let mut builder = Session::builder(&runtime.environment)
        .map_err(|e| e.to_string())?
        .with_optimization_level(GraphOptimizationLevel::Level3)
        .map_err(text)?
        .with_intra_threads(on.threads)
        .map_err(text)?
        .with_inter_threads(1)
        .map_err(text)?
        .with_intra_op_spinning(false)
        .map_err(text)?
        // It would keep one block for a whole run's tensors beside those of the first run: a third more memory, and no
        // quicker (README, "Memory").
        .with_memory_pattern(false)
        .map_err(text)?;
    if let Compute::Cuda(cuda) = on.compute {
        builder = builder.with_execution_providers([provider(cuda)]).map_err(text)?;
    }
    match graph {
        Graph::File(path) => builder.commit_from_file(path),
        Graph::Bytes(bytes) => builder.commit_from_memory(bytes),
    }
    .map_err(|e| e.to_string())
}

/// CUDA as we use it; an error if it cannot be, never the processor in silence.
fn provider(cuda: Cuda) -> ep::ExecutionProviderDispatch {
    let provider = ep::CUDA::default()
        .with_device_id(i32::try_from(cuda.card).unwrap_or(i32::MAX))
        .with_tf32(cuda.tf32)
        // Others share the card: no more memory than is needed, and no search for the quickest convolution, which takes
        // seconds and gigabytes at every start.
        .with_arena_extend_strategy(ArenaExtendStrategy::SameAsRequested)
        .with_conv_algorithm_search(ConvAlgorithmSearch::Heuristic);
    let provider = match cuda.memory_bytes {
        Some(bytes) => provider.with_memory_limit(bytes),
        None => provider,
    };
    provider.build().error_on_failure()
}

/// y = x + x, for one number.
fn trial() -> Vec<u8> {
    let model = ModelProto::of(GraphProto {
        name: Some("trial".to_owned()),
        node: vec![NodeProto::new("Add", &["x", "x"], "y")],
        input: vec![ValueInfoProto::floats("x", &[1])],
        output: vec![ValueInfoProto::floats("y", &[1])],
        ..GraphProto::default()
    });
    model.encode_to_vec()
}

fn check(name: &str, found: &[ort::value::Outlet], expected: &ExpectedTensor) -> Result<(), RuntimeError> {
    let outlet = found.iter().find(|o| o.name() == expected.name);
    let shape: Option<Vec<i64>> = outlet.and_then(|o| match o.dtype() {
        ValueType::Tensor { shape, .. } => Some(shape.to_vec()),
        _ => None,
    });
    // A size that either side leaves open fits.
    let size_fits = |(found, wanted): (&i64, &Option<usize>)| {
        *found < 0 || wanted.is_none_or(|w| usize::try_from(*found) == Ok(w))
    };
    let fits = shape.as_ref().is_some_and(|shape| {
        shape.len() == expected.shape.len() && shape.iter().zip(&expected.shape).all(size_fits)
    });
    if fits {
        return Ok(());
    }
    Err(RuntimeError::Tensor {
        name: name.to_owned(),
        tensor: expected.name.clone(),
        found: shape.map_or_else(|| "missing".to_owned(), |s| format!("{s:?}")),
        expected: format!(
            "{:?}",
            expected.shape.iter().map(|d| d.map_or(-1, |d| d as i64)).collect::<Vec<_>>()
        ),
    })
}
