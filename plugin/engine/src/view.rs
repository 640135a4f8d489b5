//! What a display and the main thread may know of an instance: plain values, taken at once, never waited for.

use rehearsekit_client::{BudgetOffer, LinkState, Percentiles, Recommendation, RefusalCode};

use crate::{metronome::ClickNow, mixer::STRIPS};

/// An instance at one moment. See [`Instance::view`](crate::Instance::view).
#[derive(Debug, Clone, PartialEq, Default)]
pub struct View {
    /// What the link is doing.
    pub link: LinkView,
    /// The same as a sentence for the player, with the reason where something is wrong.
    pub sentence: String,
    /// The server's address as it is tried.
    pub server: String,
    /// The model that serves; `None` while none does.
    pub model: Option<String>,
    /// The server's plan in words.
    pub plan: Option<String>,
    /// The stems of the model, in its order; those it had last while there is no session.
    pub stems: Vec<String>,
    /// Which strips those stems lie on; the others are silent.
    pub strips: [bool; STRIPS],
    /// The rate and the latency of the running engine; before activation 0 Hz and 0 frames.
    pub rate_hz: u32,
    /// The latency in frames at `rate_hz`, as the host was told.
    pub latency_frames: u32,
    /// The budget in milliseconds.
    pub budget_millis: f64,
    /// The smallest budget that the server says it could hold, if it refused this one.
    pub smallest_budget_millis: Option<f64>,
    /// What the budgets of a picker buy on this server, and this session's own, smallest first; as it was last
    /// heard while there is no session. Empty before, and with a server that cannot tell.
    pub offers: Vec<BudgetOffer>,
    /// Whether the mix stands in for the stems right now.
    pub bridging: bool,
    /// Whether this is an offline render.
    pub offline: bool,
    /// Underruns, late slots and lost chunks since this session's stems began; before, there is nothing to miss.
    pub missed: [u64; 3],
    /// What went wrong and how much went right, since activation.
    pub counters: Counters,
    /// From the last frame of mix that a chunk needed until the chunk was here.
    pub turnaround_millis: Percentiles,
    /// A heartbeat there and back, over the last five minutes.
    pub round_trip_millis: Percentiles,
    /// The budget at which next to nothing would have been missed in the last five minutes, in ms; `None` while too
    /// little is known, and in an offline render.
    pub needs_millis: Option<f64>,
    /// Another budget that would do better, or why none would; `None` while the present one is right. Only the player
    /// follows it.
    pub recommendation: Option<Recommendation>,
    /// How often the host called far ahead of real time, and whether it did within the last ten seconds: the
    /// stems cannot be there yet then, whatever the budget.
    pub bursts: u64,
    /// See [`View::bursts`].
    pub bursting: bool,
    /// The click as it is heard.
    pub click: ClickNow,
    /// What is wrong with the player's own sound for it, in a sentence.
    pub click_file_problem: Option<String>,
    /// Why the offline render failed; stays until it is reset.
    pub error: Option<String>,
}

/// What a link is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LinkView {
    /// Not activated: nothing is tried.
    #[default]
    Idle,
    /// Asking the server for the first time.
    Connecting,
    /// Asking it again and again: it did not answer, or went away.
    Looking,
    /// Stems are coming.
    Live,
    /// The server said no; the view's sentence is its reason.
    Refused(RefusalCode),
    /// Nothing will change by itself; see the view's sentence.
    Failed,
}

/// Since activation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counters {
    /// Frames played.
    pub frames: u64,
    /// Frames over which the mix stood in for the stems.
    pub bridged_frames: u64,
    /// Slots of 64 frames that were not there when they were due.
    pub underruns: u64,
    /// Slots that came after that.
    pub late: u64,
    /// Chunks that never came.
    pub lost: u64,
    /// Sessions that were opened after the first.
    pub reconnects: u64,
    /// Frames of the mix that the network did not take in time.
    pub dropped_frames: u64,
}

/// A state in a player's words.
pub(crate) fn words(state: &LinkState, server: &str, paused: bool) -> (LinkView, String) {
    match state {
        LinkState::Live(_) if paused => (
            LinkView::Live,
            format!("{server} is too slow for everybody at present; who came last waits, and that is you."),
        ),
        LinkState::Connecting { last_error: None, .. } => {
            (LinkView::Connecting, format!("Looking for the server at {server}."))
        }
        LinkState::Connecting { last_error: Some(error), .. } => {
            (LinkView::Looking, format!("Not connected, trying again: {error}"))
        }
        LinkState::Live(opened) => {
            (LinkView::Live, format!("Connected to {server}, playing {}.", opened.model))
        }
        LinkState::Refused(refusal) => {
            (LinkView::Refused(refusal.code), format!("The server says no: {}.", sentence(&refusal.message)))
        }
        LinkState::Failed(error) => (LinkView::Failed, format!("Not connected: {error}.")),
        LinkState::Closed => (LinkView::Idle, "Not connected.".to_owned()),
    }
}

/// Without the full stop it may bring along.
fn sentence(text: &str) -> &str {
    text.trim().trim_end_matches('.')
}
