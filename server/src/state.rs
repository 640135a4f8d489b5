//! What all parts of one running server share: its counters and how far its life has come.
//! Must not do anything by itself.

use std::sync::{
    Arc, Mutex, PoisonError,
    atomic::{AtomicU64, AtomicUsize, Ordering},
};

use crate::{
    config::Config,
    engine::Engine,
    metrics::{Counted, Metrics},
    session::SessionTask,
    trust::Trust,
    watchdog::Watch,
    workers::Workers,
};

/// How far the life of the server has come.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Phase {
    /// This model is being loaded.
    Warming(String),
    /// Sessions are admitted.
    Ready,
    /// No new sessions; the open ones may still play.
    Draining,
}

/// Shared by all sessions, the endpoint and HTTP.
pub(crate) struct Shared {
    pub(crate) config: Config,
    pub(crate) engine: Arc<dyn Engine>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) workers: Workers<SessionTask>,
    pub(crate) trust: Trust,
    pub(crate) watch: Arc<Watch>,
    phase: Mutex<Phase>,
    open_sessions: AtomicUsize,
    next_session: AtomicU64,
}

/// Why no session is admitted now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum NotAdmitted {
    NotReady(String),
    ShuttingDown,
    Full(usize),
}

/// The place of one session; dropping it frees the place.
pub(crate) struct Place {
    shared: Arc<Shared>,
    pub(crate) session: u64,
    _counted: Counted,
}

impl Shared {
    pub(crate) fn new(
        config: Config,
        engine: Arc<dyn Engine>,
        metrics: Arc<Metrics>,
        workers: Workers<SessionTask>,
        trust: Trust,
        watch: Arc<Watch>,
    ) -> Self {
        let first = config.models.first().cloned().unwrap_or_default();
        Self {
            config,
            engine,
            metrics,
            workers,
            trust,
            watch,
            phase: Mutex::new(Phase::Warming(first)),
            open_sessions: AtomicUsize::new(0),
            next_session: AtomicU64::new(1),
        }
    }

    fn phase(&self) -> std::sync::MutexGuard<'_, Phase> {
        self.phase.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// `model` is being loaded now.
    pub(crate) fn warming(&self, model: &str) {
        let mut phase = self.phase();
        // Loading a model goes on a little after a shutdown was asked for.
        if *phase != Phase::Draining {
            *phase = Phase::Warming(model.to_owned());
        }
    }

    /// All models are warm.
    pub(crate) fn ready(&self) {
        let mut phase = self.phase();
        if *phase != Phase::Draining {
            *phase = Phase::Ready;
        }
    }

    /// From now on nobody is admitted.
    pub(crate) fn drain(&self) {
        *self.phase() = Phase::Draining;
    }

    /// Why the server admits nobody, as a sentence; `None` when it does.
    fn closed(&self) -> Option<(&'static str, String)> {
        match &*self.phase() {
            Phase::Warming(model) => {
                Some(("loading", format!("the model {model} is being loaded; this takes some seconds")))
            }
            Phase::Ready => None,
            Phase::Draining => Some(("draining", "the server is shutting down".to_owned())),
        }
    }

    /// Why a newcomer would not get in: a name for scripts and a sentence for each cause, without anything that a
    /// stranger may not read. Empty when the server is ready.
    pub(crate) fn unready(&self) -> Vec<(&'static str, String)> {
        match self.closed() {
            Some(cause) => vec![cause],
            None => self.watch.troubles().into_iter().map(|(part, why)| (part.name(), why)).collect(),
        }
    }

    /// A place for one more session.
    pub(crate) fn admit(self: &Arc<Self>) -> Result<Place, NotAdmitted> {
        match &*self.phase() {
            Phase::Draining => return Err(NotAdmitted::ShuttingDown),
            Phase::Warming(_) => {}
            Phase::Ready => {
                let most = self.config.max_sessions;
                let count = |open: usize| (open < most).then_some(open + 1);
                let admitted = self.open_sessions.fetch_update(Ordering::AcqRel, Ordering::Acquire, count);
                admitted.map_err(|_| NotAdmitted::Full(most))?;
                let session = self.next_session.fetch_add(1, Ordering::Relaxed);
                let counted = self.metrics.sessions.count();
                return Ok(Place { shared: self.clone(), session, _counted: counted });
            }
        }
        Err(NotAdmitted::NotReady(self.closed().map(|(_, why)| why).unwrap_or_default()))
    }

    /// Sessions open now.
    pub(crate) fn open_sessions(&self) -> usize {
        self.open_sessions.load(Ordering::Acquire)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.shared.open_sessions.fetch_sub(1, Ordering::AcqRel);
    }
}
