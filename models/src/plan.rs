//! Fits the best quality into a latency budget (DESIGN §4).
//!
//! budget ≥ algorithmic (with both resamplings) + one host block + inference p99 + link allowance, and the
//! inference's p99 must stay below the hop's duration. Everything here is arithmetic on values: no clock, no
//! model, no device; what a device costs comes in as a [`CostTable`].

use std::{fmt, time::Duration};

use rehearsekit_audio::SampleRate;

use crate::{
    convert::htdemucs::window_frames,
    families::{
        hybrid::HybridGeometry,
        unet::{History, UnetGeometry},
    },
    live::LiveShape,
    manifest::{Family, HybridDemucs, RightEdge, SpectralUnet},
    pipeline::PipelineShape,
    resample::Blocks,
};

/// Share of a hop's duration that a typical inference may take.
const LOAD_LIMIT: f64 = 0.8;
/// The slowest inference of a hundred is taken for so much longer still: costs are measured with all workers at work.
const STALL: f64 = 0.5;
/// Inferences are taken for so much longer than they usually are.
const MARGIN: f64 = 1.1;
/// What a whole lane of the device is worth, in decibels of quality: a server is there for a band.
const LANE_WORTH_DB: f64 = 4.0;
/// Hops that are tried for a spectral model, in columns.
const UNET_HOPS: [usize; 5] = [1, 2, 4, 8, 16];
/// Look-aheads that are tried for a spectral model, in columns.
const UNET_LOOK_AHEADS: [usize; 8] = [0, 1, 2, 3, 4, 6, 8, 12];
/// Look-aheads that are tried for a hybrid model, in frames; 0.1 s is worth 0.5 dB at short hops.
const HYBRID_LOOK_AHEADS: [usize; 3] = [1024, 2048, 4096];
/// Columns: what the hop of a hybrid model is a multiple of, so that whole packets fill it.
const STEP_FRAMES: usize = 1024;

/// One way to run a model.
#[derive(Debug, Clone, PartialEq)]
pub enum Geometry {
    /// A spectral U-Net's.
    Unet(UnetGeometry),
    /// A hybrid model's.
    Hybrid(HybridGeometry),
}

impl Geometry {
    /// What comes out when, at the model's rate.
    pub fn shape(&self) -> LiveShape {
        match self {
            Self::Unet(g) => LiveShape { hop_frames: g.hop_frames(), delay_frames: g.delay_frames() },
            Self::Hybrid(g) => LiveShape { hop_frames: g.hop_frames, delay_frames: g.look_ahead_frames },
        }
    }

    /// The look-ahead in frames at the model's rate.
    pub fn look_ahead_frames(&self) -> usize {
        match self {
            Self::Unet(g) => g.look_ahead * g.step_frames,
            Self::Hybrid(g) => g.look_ahead_frames,
        }
    }

    /// What the cost of one inference depends on, as a stable name.
    pub fn cost_key(&self) -> String {
        match self {
            Self::Unet(g) => format!("columns-{}-hop-{}", g.columns, g.hop),
            Self::Hybrid(g) => format!("columns-{}", g.columns),
        }
    }
}

impl fmt::Display for Geometry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unet(g) => write!(
                f,
                "{} columns, hop {}, look-ahead {}, synthesis {} frames",
                g.columns, g.hop, g.look_ahead, g.effective_frames
            ),
            Self::Hybrid(g) => write!(
                f,
                "{} columns, hop {} frames, look-ahead {} frames",
                g.columns, g.hop_frames, g.look_ahead_frames
            ),
        }
    }
}

/// What one inference costs, by [`Geometry::cost_key`]: what it usually takes, undisturbed.
pub type CostTable = std::collections::BTreeMap<String, Duration>;

/// What the device is taken to cost.
#[derive(Debug, Clone, Copy)]
pub enum DeviceSpeed<'a> {
    /// Simulated time: inference and link take none.
    Ideal,
    /// As measured; what is not in the table is not offered.
    Measured(&'a CostTable),
}

/// Choices taken out of the planner's hands, in the family's own units (columns for a spectral model, frames
/// for a hybrid one; the window always in columns).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Overrides {
    /// Columns of the window.
    pub window: Option<usize>,
    /// New audio per inference.
    pub hop: Option<usize>,
    /// Look-ahead.
    pub look_ahead: Option<usize>,
}

/// What a session asks for. All frames are at the wire's rate.
#[derive(Debug, Clone, Copy)]
pub struct PlanRequest<'a> {
    /// The wire's rate.
    pub rate: SampleRate,
    /// The latency the player picked.
    pub budget_frames: u32,
    /// The host's largest block.
    pub block_frames: u32,
    /// Allowance for the link and its jitter, both ways together.
    pub link_frames: u32,
    /// What the device costs.
    pub speed: DeviceSpeed<'a>,
    /// Choices made already.
    pub overrides: Overrides,
}

/// A way to run a model inside a budget. All frames are at the wire's rate.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// How the model is run.
    pub geometry: Geometry,
    /// The wire's rate.
    pub rate: SampleRate,
    /// The latency to report: the budget itself.
    pub latency_frames: u32,
    /// The exact algorithmic part of it, resampling and packets included.
    pub algorithmic_frames: u32,
    /// Frames per packet that add nothing to the latency.
    pub packet_frames: u32,
    /// New frames per inference, rounded up.
    pub hop_frames: u32,
    /// Look-ahead, rounded up.
    pub look_ahead_frames: u32,
    /// Frames the session must be pushed beyond a frame before that is due, of the whole budget.
    pub needed_frames: u32,
    /// From the moment a hop's audio is there to the moment its stems must leave: what is left of the budget for
    /// waiting in line and for the inference.
    pub deadline: Duration,
    /// Median of one inference; zero on an ideal device.
    pub inference: Duration,
    /// Quality beside other plans of the same model by the formulas of this file, in dB.
    pub estimate_db: f64,
}

/// Why no plan fits.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PlanRefusal {
    /// The budget is too small here; `smallest_budget_frames` would do.
    #[error(
        "a budget of {budget_millis} ms is too small for this model on this server; the smallest that holds is {smallest_millis} ms"
    )]
    BudgetTooSmall {
        /// The budget asked for, ms.
        budget_millis: u32,
        /// The smallest, rounded up, ms.
        smallest_millis: u32,
        /// The smallest, frames at the wire's rate.
        smallest_budget_frames: u32,
    },
    /// This device cannot run the model live at all.
    #[error(
        "this server's device is too slow to run this model live; separate the song offline or choose a lighter model"
    )]
    DeviceTooSlow,
    /// An override that the model does not have.
    #[error("{0}")]
    Override(String),
}

/// The best plan of `family` at `model_rate` for `request`.
pub fn plan(family: &Family, model_rate: SampleRate, request: &PlanRequest<'_>) -> Result<Plan, PlanRefusal> {
    Ok(plans(family, model_rate, request)?.swap_remove(0))
}

/// All plans that fit into the budget, the best first; at least one.
pub fn plans(
    family: &Family,
    model_rate: SampleRate,
    request: &PlanRequest<'_>,
) -> Result<Vec<Plan>, PlanRefusal> {
    let candidates = match family {
        Family::SpectralUnet(settings) => unet_candidates(settings, model_rate, request),
        Family::HybridDemucs(settings) => hybrid_candidates(settings, model_rate, request)?,
    };
    let mut fitting: Vec<(f64, Plan)> = Vec::new();
    let mut smallest: Option<u32> = None;
    for (geometry, quality) in candidates {
        let Some(plan) = cost_out(geometry, model_rate, request) else { continue };
        let plan = Plan { estimate_db: quality, ..plan };
        smallest = Some(smallest.map_or(plan.needed_frames, |s| s.min(plan.needed_frames)));
        if plan.needed_frames <= request.budget_frames {
            // Somebody else plays on the same server.
            fitting.push((quality - LANE_WORTH_DB * lane_share(&plan, request.speed), plan));
        }
    }
    fitting.sort_by(|(a, _), (b, _)| b.total_cmp(a));
    match (fitting.is_empty(), smallest) {
        (false, _) => Ok(fitting.into_iter().map(|(_, plan)| plan).collect()),
        (true, None) => Err(PlanRefusal::DeviceTooSlow),
        (true, Some(smallest)) => {
            let millis = |frames: u32| (f64::from(frames) * 1e3 / f64::from(request.rate.hz())).ceil() as u32;
            Err(PlanRefusal::BudgetTooSmall {
                budget_millis: millis(request.budget_frames),
                smallest_millis: millis(smallest),
                smallest_budget_frames: smallest,
            })
        }
    }
}

/// What a session with this plan takes of one lane of the device: of its time, or of the time within which everybody
/// must have had their turn, whichever is more. Simulated time has a usual device in mind, on which a U-Net's inference
/// costs most of a column whatever the hop, so that it plans much as a real one does.
fn lane_share(plan: &Plan, speed: DeviceSpeed<'_>) -> f64 {
    match (speed, &plan.geometry) {
        (DeviceSpeed::Ideal, Geometry::Unet(g)) => 0.044 / g.hop as f64,
        (DeviceSpeed::Ideal, Geometry::Hybrid(_)) => 0.0,
        (DeviceSpeed::Measured(_), _) => {
            let inference = plan.inference.as_secs_f64();
            let time = plan.rate.duration(u64::from(plan.hop_frames));
            let turn = plan.deadline.saturating_sub(stalled(plan.inference).saturating_sub(plan.inference));
            let share = inference / time.min(turn).as_secs_f64().max(1e-6);
            // Whoever leaves no room for a second one takes all of it.
            1.0 / (1.0 / share).floor().max(1.0)
        }
    }
}

/// An inference that takes as long as the slowest of a hundred, and the margin that whoever shares out the device keeps.
fn stalled(inference: Duration) -> Duration {
    inference.mul_f64(MARGIN + STALL)
}

/// The plan of one geometry whatever the budget; `None` when the device cannot keep up with it.
fn cost_out(geometry: Geometry, model_rate: SampleRate, request: &PlanRequest<'_>) -> Option<Plan> {
    let shape = geometry.shape();
    let rate = request.rate;
    let inference = match request.speed {
        DeviceSpeed::Ideal => Duration::ZERO,
        DeviceSpeed::Measured(table) => *table.get(&geometry.cost_key())?,
    };
    let hop_time = model_rate.duration(shape.hop_frames as u64);
    if inference.as_secs_f64() > LOAD_LIMIT * hop_time.as_secs_f64() {
        return None;
    }
    let packet = packet_frames(rate, model_rate);
    let algorithmic = PipelineShape::new(shape, rate, model_rate).algorithmic_frames(packet as usize) as u32;
    let inference_frames = (stalled(inference).as_secs_f64() * f64::from(rate.hz())).ceil() as u32;
    let elsewhere = algorithmic + request.block_frames + request.link_frames;
    let needed = elsewhere + inference_frames;
    let at_wire =
        |frames: usize| (frames as u64 * u64::from(rate.hz())).div_ceil(u64::from(model_rate.hz())) as u32;
    Some(Plan {
        rate,
        latency_frames: request.budget_frames,
        algorithmic_frames: algorithmic,
        packet_frames: packet,
        hop_frames: at_wire(shape.hop_frames),
        look_ahead_frames: at_wire(geometry.look_ahead_frames()),
        needed_frames: needed,
        deadline: rate.duration(request.budget_frames.saturating_sub(elsewhere).into()),
        inference,
        estimate_db: 0.0,
        geometry,
    })
}

/// The packet size that never makes a hop wait for the rest of a packet.
fn packet_frames(rate: SampleRate, model_rate: SampleRate) -> u32 {
    if rate == model_rate {
        STEP_FRAMES as u32
    } else {
        Blocks::between(rate, model_rate, 256).input_frames as u32
    }
}

fn unet_candidates(
    settings: &SpectralUnet,
    model_rate: SampleRate,
    request: &PlanRequest<'_>,
) -> Vec<(Geometry, f64)> {
    let one = |choice: Option<usize>, all: &[usize]| choice.map_or_else(|| all.to_vec(), |c| vec![c]);
    let columns = request.overrides.window.unwrap_or(settings.live_columns);
    let mut found = Vec::new();
    for hop in one(request.overrides.hop, &UNET_HOPS) {
        for look_ahead in one(request.overrides.look_ahead, &UNET_LOOK_AHEADS) {
            if hop == 0 || hop + look_ahead + right_reflection(settings) > columns {
                continue;
            }
            let step = settings.step_frames;
            // What the budget leaves for the synthesis window when everything else is taken off.
            let others = {
                let full = unet_geometry(settings, columns, hop, look_ahead, settings.n_fft);
                cost_out(Geometry::Unet(full), model_rate, request).map(|p| p.needed_frames)
            };
            let Some(others) = others else { continue };
            let over = others.saturating_sub(request.budget_frames);
            let over_at_model = (u64::from(over) * u64::from(model_rate.hz()))
                .div_ceil(u64::from(request.rate.hz())) as usize;
            let left = settings.n_fft.saturating_sub(over_at_model) / 4 * 4;
            let shortest = step + step / 2;
            let mut lengths: Vec<usize> =
                [settings.n_fft, 3 * step, 2 * step].into_iter().filter(|p| *p <= left).collect();
            if lengths.is_empty() {
                lengths.push(left.max(shortest));
            }
            for effective in lengths.into_iter().chain([shortest]) {
                let geometry = unet_geometry(settings, columns, hop, look_ahead, effective);
                let quality = unet_quality_db(hop, look_ahead, effective as f64 / step as f64);
                found.push((Geometry::Unet(geometry), quality));
            }
        }
    }
    found
}

/// A live geometry of a spectral model.
pub fn unet_geometry(
    settings: &SpectralUnet,
    columns: usize,
    hop: usize,
    look_ahead: usize,
    effective_frames: usize,
) -> UnetGeometry {
    UnetGeometry {
        n_fft: settings.n_fft,
        step_frames: settings.step_frames,
        columns,
        hop,
        look_ahead,
        right_reflection: right_reflection(settings),
        effective_frames,
        history: History::Reflected,
        level_rms: (settings.level_rms > 0.0).then_some(settings.level_rms),
        high_band_bins: settings.high_band_bins,
    }
}

fn right_reflection(settings: &SpectralUnet) -> usize {
    match settings.right_edge {
        RightEdge::None => 0,
        RightEdge::Reflect { columns } => columns,
    }
}

/// Decibels against offline that the table of DESIGN §5 gives, as a smooth formula: the look-ahead's worth
/// decays with a constant of 4/3 columns (a hop's older columns see some of it too), and a synthesis window of
/// less than three steps costs 0.9 dB per step. A long hop is as good on the whole, but not where music starts.
fn unet_quality_db(hop: usize, look_ahead: usize, steps: f64) -> f64 {
    let seen = look_ahead as f64 + 0.3 * (hop - 1) as f64;
    let window = if steps < 3.0 { -0.9 * (3.0 - steps) } else { 0.1 * (steps - 3.0) };
    -0.95 * (-0.75 * seen).exp() + window - 0.03 * (hop - 1) as f64
}

fn hybrid_candidates(
    settings: &HybridDemucs,
    model_rate: SampleRate,
    request: &PlanRequest<'_>,
) -> Result<Vec<(Geometry, f64)>, PlanRefusal> {
    let windows = match request.overrides.window {
        None => settings.windows.clone(),
        Some(window) if settings.windows.contains(&window) => vec![window],
        Some(window) => {
            let have = settings.windows.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
            return Err(PlanRefusal::Override(format!(
                "no window of {window} columns: this model has {have}"
            )));
        }
    };
    let mut found = Vec::new();
    for columns in windows {
        let frames = window_frames(columns);
        let look_aheads = request.overrides.look_ahead.map_or(HYBRID_LOOK_AHEADS.to_vec(), |l| vec![l]);
        for look_ahead in look_aheads {
            // Keep at least a quarter of the window as context.
            let Some(most) = (frames * 3 / 4).checked_sub(look_ahead).filter(|m| *m >= STEP_FRAMES) else {
                continue;
            };
            let with_hop = |hop_frames| HybridGeometry {
                columns,
                hop_frames,
                look_ahead_frames: look_ahead,
                fade_frames: look_ahead.min(STEP_FRAMES),
                share_residual: true,
            };
            let steps: Vec<usize> = match request.overrides.hop {
                Some(hop) => vec![hop.clamp(1, most)],
                None => (1..=most / STEP_FRAMES).map(|s| s * STEP_FRAMES).collect(),
            };
            let costed = |&hop: &usize| cost_out(Geometry::Hybrid(with_hop(hop)), model_rate, request);
            // Longer hops are easier for the device and harder for the budget. The largest that fits costs
            // least; the smallest that the device can keep shows what budget would do.
            let first_possible = steps.partition_point(|hop| costed(hop).is_none());
            let possible = &steps[first_possible..];
            let fitting = possible
                .partition_point(|hop| costed(hop).is_some_and(|p| p.needed_frames <= request.budget_frames));
            let largest = fitting.checked_sub(1).map(|i| with_hop(possible[i]));
            let smallest = possible.first().map(|&hop| with_hop(hop));
            for geometry in largest.into_iter().chain(smallest) {
                let quality = hybrid_quality_db(columns, look_ahead);
                found.push((Geometry::Hybrid(geometry), quality));
            }
        }
    }
    Ok(found)
}

/// Decibels (mean of four stems, two songs) that the table of DESIGN §5 gives for a window and a look-ahead.
fn hybrid_quality_db(columns: usize, look_ahead_frames: usize) -> f64 {
    let window = -1.5 * 56.0 / columns as f64;
    window - 0.3 * (-(look_ahead_frames as f64) / 2048.0).exp()
}

#[cfg(test)]
#[path = "plan_tests.rs"]
mod tests;
