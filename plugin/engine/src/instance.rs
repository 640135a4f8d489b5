//! The main thread's handle of one plugin instance. Nothing here waits for the network or for the audio thread.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use rehearsekit_client::Percentiles;

use crate::{
    engine::AudioEngine,
    meters::Meters,
    settings::Settings,
    shared::Shared,
    view::{Counters, LinkView, View},
};

/// How long an offline render stands still for one chunk before it gives up.
const OFFLINE_PATIENCE: Duration = Duration::from_secs(60);

/// What the host said before it activates.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AudioSetup {
    /// The host's rate, rounded to whole hertz.
    pub rate_hz: u32,
    /// The largest block it announced. Larger ones are survived.
    pub max_block_frames: u32,
    /// Whether this is an offline render (a bounce), which may wait and must be exact.
    pub offline: bool,
    /// How long an offline render stands still for one chunk before it gives up.
    pub offline_patience: Duration,
}

impl AudioSetup {
    /// A set-up with the usual patience of 60 s.
    pub fn new(rate_hz: u32, max_block_frames: u32, offline: bool) -> Self {
        Self { rate_hz, max_block_frames, offline, offline_patience: OFFLINE_PATIENCE }
    }
}

/// What [`Instance::configure`] led to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// Nothing that matters to a running engine.
    Nothing,
    /// Another server, model or trust: the link looks for a new session in the background, the audio plays on.
    Link,
    /// Another latency: [`Instance::latency_frames`] gives the new one at once, a running engine keeps its own
    /// until the host has activated anew. Ask the host for that.
    Latency,
}

/// One plugin instance. Share it between editor and plugin with an `Arc`.
///
/// Dropping it is [`Instance::deactivate`] and never waits.
#[derive(Debug)]
pub struct Instance {
    settings: Mutex<Settings>,
    shared: Arc<Shared>,
}

impl Instance {
    /// An instance that does nothing yet: no thread, no socket, no file.
    pub fn new(settings: Settings) -> Self {
        Self { settings: Mutex::new(settings), shared: Arc::default() }
    }

    /// The settings as the project should save them.
    pub fn settings(&self) -> Settings {
        self.lock().clone()
    }

    /// Takes over other settings: from a project that is loaded, or from the editor.
    pub fn configure(&self, settings: Settings) -> Change {
        let mut current = self.lock();
        let change = if current.budget() != settings.budget() {
            Change::Latency
        } else if (current.server(), &current.model, &current.trust)
            != (settings.server(), &settings.model, &settings.trust)
        {
            Change::Link
        } else {
            Change::Nothing
        };
        *current = settings;
        change
    }

    /// The latency to report at `rate_hz`, in frames. Known before activation; depends on the budget alone.
    pub fn latency_frames(&self, rate_hz: u32) -> u32 {
        self.lock().latency_frames(rate_hz)
    }

    /// Builds everything the audio thread needs and orders a connection in the background. An engine that was
    /// active before loses its connection; it plays the mix from then on.
    pub fn activate(&self, setup: AudioSetup) -> AudioEngine {
        let latency_frames = self.latency_frames(setup.rate_hz);
        AudioEngine::new(latency_frames, setup.max_block_frames, Arc::clone(&self.shared))
    }

    /// Ends the connection in the background. Before anything else it ends an offline wait, so call it (or
    /// [`Instance::cancel_offline`]) before taking a lock that `process()` may hold.
    pub fn deactivate(&self) {
        self.cancel_offline();
    }

    /// Ends an offline wait: the blocked [`AudioEngine::process`] returns within milliseconds with silence.
    pub fn cancel_offline(&self) {}

    /// Looks for the server at once instead of at the next turn: the player clicked.
    pub fn retry(&self) {}

    /// How things are.
    pub fn view(&self) -> View {
        let settings = self.lock();
        View {
            link: LinkView::Idle,
            sentence: "Not connected.".to_owned(),
            server: settings.server().to_owned(),
            model: None,
            plan: None,
            stems: settings.stems.clone(),
            strips: [true; crate::STRIPS],
            rate_hz: 0,
            latency_frames: 0,
            budget_millis: settings.budget().duration().as_secs_f64() * 1e3,
            smallest_budget_millis: None,
            bridging: true,
            offline: false,
            counters: Counters::default(),
            turnaround_millis: Percentiles::default(),
            bursts: 0,
            bursting: false,
            error: None,
        }
    }

    /// The levels, for the display that asks often.
    pub fn meters(&self) -> &Meters {
        &self.shared.meters
    }

    fn lock(&self) -> MutexGuard<'_, Settings> {
        // Plain data: a panic elsewhere leaves nothing half done.
        self.settings.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
