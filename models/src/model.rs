//! A loaded model: what a server or a command line holds. Cheap to clone, shared by all sessions.

use std::{
    collections::{BTreeMap, HashMap},
    ops::{Range, RangeInclusive},
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use rehearsekit_audio::{Audio, SampleRate, StemSet};
use sha2::{Digest as _, Sha256};

use crate::{
    Compute, ModelError,
    convert::{
        htdemucs::{self, window_frames},
        unet::{Doubling, UnetWeights, unet_graph},
    },
    device::DeviceCosts,
    families::{
        Kernel, NetworkPool,
        hybrid::{HybridGeometry, HybridKernel},
        unet::{History, UnetGeometry, UnetKernel},
    },
    fetch::runtime::installed_runtime,
    live::Live,
    manifest::{Family, RightEdge, SpectralUnet},
    offline::{self, StemSink},
    pipeline::LivePipeline,
    plan::{self, CostTable, Geometry, Plan, PlanRefusal, PlanRequest},
    quality::{self, MeasuredQuality, Quality},
    runtime::{self, Graph, Network, On, Runtime, RuntimeError},
    store::{Content, Installed, Store},
};

/// Runs per geometry when the device is measured, the first one not counted: as many as fit into the time, but
/// enough to choose from.
const MEASURED_RUNS: RangeInclusive<usize> = 3..=7;
/// Runs to tell whether what is remembered still holds.
const CHECKING_RUNS: RangeInclusive<usize> = 3..=3;
/// A device that now takes less than this share of what is remembered was busy when it was measured.
const BUSY_THEN: f64 = 0.85;

/// What a model runs on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ModelOptions {
    /// The device.
    pub compute: Compute,
    /// Threads within one inference.
    pub threads: usize,
    /// Inferences that may run at the same time; each needs its own network in memory.
    pub workers: usize,
}

impl ModelOptions {
    /// One inference at a time on all cores: for separating files.
    pub fn offline() -> Self {
        Self { compute: Compute::Processor, threads: cores(), workers: 1 }
    }

    /// Whether one inference takes the device for itself, so that there is no use in a second one at a time.
    pub fn is_wide(&self) -> bool {
        self.compute == Compute::Processor && self.threads > 1
    }

    /// For live sessions. On the processor a small model runs on one thread, once per core; a large one on all cores,
    /// once. A card runs everything once: it is one device that works on one inference at a time.
    pub fn live(family: &Family, compute: Compute) -> Self {
        match (compute, family) {
            (Compute::Cuda(_), _) => Self { compute, threads: 1, workers: 1 },
            (Compute::Processor, Family::SpectralUnet(_)) => Self { compute, threads: 1, workers: cores() },
            (Compute::Processor, Family::HybridDemucs(_)) => Self { compute, threads: cores(), workers: 1 },
        }
    }
}

fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
}

/// Where a model's networks come from.
enum NetworkSource {
    /// U-Net weights, from which the graph of any window is written.
    Unet(UnetWeights),
    /// One graph file per window, in columns.
    Hybrid(BTreeMap<usize, PathBuf>),
}

/// A model ready to separate.
#[derive(Clone)]
pub struct Model {
    inner: Arc<Inner>,
}

struct Inner {
    name: String,
    stems: StemSet,
    rate: SampleRate,
    family: Family,
    quality: Vec<MeasuredQuality>,
    /// Tells models apart whose inferences may cost something else: their files, and how their family is run.
    digest: String,
    source: NetworkSource,
    runtime: Runtime,
    options: ModelOptions,
    pools: Mutex<HashMap<Variant, Arc<NetworkPool>>>,
}

fn digest_of(installed: &Installed) -> String {
    let mut digest = Sha256::new();
    digest.update(format!("{:?}", installed.manifest.family));
    for file in &installed.files {
        digest.update(format!("{} {}\n", file.name, file.sha256));
    }
    // Enough to tell some models apart.
    digest.finalize()[..8].iter().map(|byte| format!("{byte:02x}")).collect()
}

/// What distinguishes one network of a model from another.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Variant {
    Unet { columns: usize, kept: Range<usize> },
    Hybrid { columns: usize },
}

impl Model {
    /// The model `name` of `store`, its files checked by SHA-256, and ONNX Runtime loaded. Networks are built
    /// when they are first needed; see [`Self::warm`]. What it runs on may depend on the model's family.
    pub fn load(
        store: &Store,
        name: &str,
        options: impl FnOnce(&Family) -> ModelOptions,
    ) -> Result<Self, ModelError> {
        let installed = store.verified(name)?;
        let library = installed_runtime(store.data())?.ok_or(ModelError::NoRuntime)?;
        let runtime = Runtime::load(&library)?;
        let manifest = installed.manifest.clone();
        let source = match installed.content() {
            Content::Unet(weights) => NetworkSource::Unet(UnetWeights::load(&weights, &manifest.stems)?),
            Content::Hybrid(graphs) => NetworkSource::Hybrid(graphs),
        };
        let refused = |reason: String| ModelError::Manifest { name: name.to_owned(), reason };
        let inner = Inner {
            stems: StemSet::new(&manifest.stems).map_err(|e| refused(e.to_string()))?,
            rate: SampleRate::new(manifest.rate_hz).map_err(|e| refused(e.to_string()))?,
            options: options(&manifest.family),
            digest: digest_of(&installed),
            name: manifest.name,
            family: manifest.family,
            quality: manifest.quality,
            source,
            runtime,
            pools: Mutex::default(),
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// What it runs on.
    pub fn options(&self) -> ModelOptions {
        self.inner.options
    }

    /// The model's name.
    pub fn name(&self) -> &str {
        &self.inner.name
    }

    /// The model's stems.
    pub fn stems(&self) -> &StemSet {
        &self.inner.stems
    }

    /// The rate the model runs at.
    pub fn rate(&self) -> SampleRate {
        self.inner.rate
    }

    /// How the model's family is run.
    pub fn family(&self) -> &Family {
        &self.inner.family
    }

    /// The best plan for `request`.
    pub fn plan(&self, request: &PlanRequest<'_>) -> Result<Plan, PlanRefusal> {
        plan::plan(self.family(), self.rate(), request)
    }

    /// All plans for `request`, the best first.
    pub fn plans(&self, request: &PlanRequest<'_>) -> Result<Vec<Plan>, PlanRefusal> {
        plan::plans(self.family(), self.rate(), request)
    }

    /// How good `geometry` is beside the model offline, if that was measured.
    pub fn quality(&self, geometry: &Geometry) -> Option<Quality> {
        quality::look_up(&self.inner.quality, geometry)
    }

    /// A stream for one session as planned. Loads the networks of its geometry if nobody used them yet, which
    /// can take seconds.
    pub fn live(&self, plan: &Plan) -> Result<LivePipeline, ModelError> {
        self.pipeline(plan.geometry.clone(), plan.rate)
    }

    /// A stream of any geometry at `rate`.
    pub fn pipeline(&self, geometry: Geometry, rate: SampleRate) -> Result<LivePipeline, ModelError> {
        let wanted: Vec<usize> = self.stems().travelling().collect();
        let count = wanted.len();
        let live = Live::new(self.kernel(geometry, wanted)?, count);
        Ok(LivePipeline::new(live, count, rate, self.rate())?)
    }

    /// One stream's kernel for the stems `wanted`, at the model's own rate.
    pub fn kernel(&self, geometry: Geometry, wanted: Vec<usize>) -> Result<Box<dyn Kernel>, ModelError> {
        Ok(match geometry {
            Geometry::Unet(geometry) => {
                let pool = self.unet_pool(geometry.columns, geometry.kept())?;
                Box::new(UnetKernel::new(geometry, pool, wanted))
            }
            Geometry::Hybrid(geometry) => {
                let pool = self.pool(Variant::Hybrid { columns: geometry.columns })?;
                Box::new(HybridKernel::new(geometry, pool, self.stems().count(), wanted))
            }
        })
    }

    /// Loads the networks of `plan` and runs them once, so that the first hop of a session is not its slowest.
    pub fn warm(&self, plan: &Plan) -> Result<(), ModelError> {
        self.time_runs(plan.geometry.clone(), 1..=1)?;
        Ok(())
    }

    /// Separates a whole song. Blocks of all stems go to `sink` in order; they sum to the song. Returns the time
    /// spent in inference.
    pub fn separate(
        &self,
        song: &Audio,
        sink: &mut StemSink<'_>,
        progress: &mut dyn FnMut(u64, u64),
    ) -> Result<Duration, ModelError> {
        let pipeline = self.pipeline(self.offline_geometry(), song.rate())?;
        offline::run(song, pipeline, self.stems().closing(), sink, progress)
    }

    /// Separates a song as a live session with `plan` would hear it, as fast as it computes; otherwise as
    /// [`Self::separate`].
    pub fn separate_streamed(
        &self,
        song: &Audio,
        plan: &Plan,
        sink: &mut StemSink<'_>,
        progress: &mut dyn FnMut(u64, u64),
    ) -> Result<Duration, ModelError> {
        offline::run(song, self.live(plan)?, self.stems().closing(), sink, progress)
    }

    /// The geometry of offline separation: the longest window, most of it kept.
    pub fn offline_geometry(&self) -> Geometry {
        match self.family() {
            Family::SpectralUnet(settings) => {
                let look_ahead = settings.offline_columns / 8;
                let hop = settings.offline_columns - 2 * look_ahead;
                let settings = SpectralUnet { right_edge: RightEdge::None, ..settings.clone() };
                let columns = settings.offline_columns;
                Geometry::Unet(plan::unet_geometry(&settings, columns, hop, look_ahead, settings.n_fft))
            }
            Family::HybridDemucs(settings) => {
                let columns = settings.windows.last().copied().unwrap_or_default();
                let look_ahead_frames = window_frames(columns) / 8;
                Geometry::Hybrid(HybridGeometry {
                    columns,
                    hop_frames: window_frames(columns) * 3 / 4,
                    look_ahead_frames,
                    fade_frames: look_ahead_frames / 2,
                    share_residual: true,
                })
            }
        }
    }

    /// What this device costs: remembered, or measured now (seconds) and remembered. `progress` gets
    /// (geometries measured, geometries in all). What was remembered from a busy moment, as the first geometry
    /// tells, is measured again: or the device would be refused for good what it can do.
    pub fn costs(
        &self,
        devices: &DeviceCosts,
        progress: &mut dyn FnMut(usize, usize),
    ) -> Result<CostTable, ModelError> {
        let measured_with = self.measured_with();
        let mut costs = devices.recall(self.name(), &measured_with);
        let geometries = self.geometries_to_measure();
        if let Some((first, remembered)) =
            geometries.first().and_then(|g| Some((g, *costs.get(&g.cost_key())?)))
            && self.time_runs(first.clone(), CHECKING_RUNS)? < remembered.mul_f64(BUSY_THEN)
        {
            costs.clear();
        }
        let missing: Vec<_> = geometries.iter().filter(|g| !costs.contains_key(&g.cost_key())).collect();
        for (done, geometry) in missing.iter().enumerate() {
            progress(done, missing.len());
            let typical = self.time_runs((*geometry).clone(), MEASURED_RUNS)?;
            costs.insert(geometry.cost_key(), typical);
            // What was loaded to be measured may never be used, and all windows of a large model do not fit beside each
            // other into the memory that the largest of them needs.
            self.forget_networks();
            // At once, so that a start that is cut short goes on from here.
            if let Err(error) = devices.remember(self.name(), &measured_with, &costs) {
                tracing::warn!(%error, "the measured costs of this device could not be kept");
            }
        }
        self.forget_networks();
        if !missing.is_empty() {
            progress(missing.len(), missing.len());
        }
        Ok(costs)
    }

    /// What inferences cost depends on all of this, beside the device and how it is used.
    fn measured_with(&self) -> String {
        let Inner { digest, runtime, .. } = &*self.inner;
        // The transforms around a network are ours, and slower where they are checked.
        let checked = if cfg!(debug_assertions) { ", checked" } else { "" };
        let program = env!("CARGO_PKG_VERSION");
        format!(
            "model {digest}; rehearsekit {program}{checked}; {}; {}",
            runtime.about(),
            runtime::how_it_runs()
        )
    }

    /// Sessions keep those that they run.
    fn forget_networks(&self) {
        self.inner.pools.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    fn geometries_to_measure(&self) -> Vec<Geometry> {
        match self.family() {
            Family::SpectralUnet(s) => [1, 2, 4, 8, 16]
                .map(|hop| Geometry::Unet(plan::unet_geometry(s, s.live_columns, hop, 1, s.n_fft)))
                .to_vec(),
            Family::HybridDemucs(s) => s
                .windows
                .iter()
                .map(|&columns| {
                    Geometry::Hybrid(HybridGeometry {
                        columns,
                        hop_frames: window_frames(columns) / 4,
                        look_ahead_frames: 4096,
                        fade_frames: 1024,
                        share_residual: true,
                    })
                })
                .collect(),
        }
    }

    pub(crate) fn unet_pool(
        &self,
        columns: usize,
        kept: Range<usize>,
    ) -> Result<Arc<NetworkPool>, ModelError> {
        self.pool(Variant::Unet { columns, kept })
    }

    fn pool(&self, variant: Variant) -> Result<Arc<NetworkPool>, ModelError> {
        let mut pools = self.inner.pools.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(pool) = pools.get(&variant) {
            return Ok(pool.clone());
        }
        if matches!(variant, Variant::Hybrid { .. }) {
            // Gigabytes for each window: those that no session holds go before another comes.
            pools.retain(|_, pool| Arc::strong_count(pool) > 1);
        }
        let networks = (0..self.inner.options.workers.max(1))
            .map(|_| self.network(&variant))
            .collect::<Result<_, _>>()?;
        let pool = Arc::new(NetworkPool::new(networks));
        pools.insert(variant, pool.clone());
        Ok(pool)
    }

    fn network(&self, variant: &Variant) -> Result<Network, ModelError> {
        let Inner { name, stems, source, runtime, options, .. } = &*self.inner;
        let on = On { compute: options.compute, threads: options.threads };
        let missing = |reason: String| RuntimeError::Graph { name: name.clone(), reason };
        match (variant, source) {
            (Variant::Unet { columns, kept }, NetworkSource::Unet(weights)) => {
                let graph = unet_graph(weights, *columns, kept.clone(), Doubling::default())?;
                let tensors = weights.expected_tensors(*columns, kept.len());
                Ok(Network::load(runtime, name, Graph::Bytes(&graph), on, &tensors)?)
            }
            (Variant::Hybrid { columns }, NetworkSource::Hybrid(files)) => {
                let file = files
                    .get(columns)
                    .ok_or_else(|| missing(format!("it has no window of {columns} columns")))?;
                let tensors = htdemucs::expected_tensors(*columns, stems.count());
                Ok(Network::load(runtime, name, Graph::File(file), on, &tensors)?)
            }
            _ => Err(missing("its files are of another family than its manifest".to_owned()).into()),
        }
    }
}

/// The geometry that agrees with other people's pipelines frame by frame: no level, no reflection, nothing above
/// the network's bandwidth (see the comparison in the tests).
pub fn plain_unet_geometry(settings: &SpectralUnet) -> UnetGeometry {
    UnetGeometry {
        hop: settings.offline_columns,
        look_ahead: 0,
        right_reflection: 0,
        history: History::Silent,
        level_rms: None,
        high_band_bins: 0,
        ..plan::unet_geometry(settings, settings.offline_columns, 1, 0, settings.n_fft)
    }
}
