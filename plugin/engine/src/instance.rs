//! The main thread's handle of one plugin instance. Nothing here waits for the network or for the audio thread.

mod checkup;
mod meeting;
mod picture;

use std::{
    path::Path,
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{
            AtomicU32, AtomicU64,
            Ordering::{Relaxed, Release},
        },
    },
    time::Duration,
};

use rehearsekit_audio::SampleRate;
use rehearsekit_client::{BudgetOffer, KnownServers, Link, LinkState, Target};
use rehearsekit_playout::{OwnSounds, Playout};
use rehearsekit_protocol::Mode;

use self::meeting::{Attempt, is_looked_for};
use crate::{
    click_file::read_click_file,
    engine::{AudioEngine, MOST_BLOCK_FRAMES, Parts},
    feed::Feed,
    lately::Lately,
    meters::Meters,
    metronome::Metronome,
    network,
    offline::Offline,
    pace::Pace,
    servers::{self, Keyring},
    session::{self, Ends, Lessons},
    settings::{Settings, Trust},
    shared::{Run, lock},
    switch::Switch,
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
    /// Whether this begins as an offline render (a bounce), which may wait and must be exact; see
    /// [`AudioEngine::enter`].
    pub offline: bool,
    /// How long an offline render stands still for one chunk before it gives up.
    pub offline_patience: Duration,
    /// Whether the host's transport and automation are meant for what comes out meanwhile, and not for what goes in
    /// (Ardour).
    pub tells_of_output: bool,
}

impl AudioSetup {
    /// A set-up with the usual patience of 60 s.
    pub fn new(rate_hz: u32, max_block_frames: u32, offline: bool) -> Self {
        let offline_patience = OFFLINE_PATIENCE;
        Self { rate_hz, max_block_frames, offline, offline_patience, tells_of_output: false }
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
    settings: Arc<Mutex<Settings>>,
    /// What budgets buy, as a server of these settings said last.
    offers: Arc<Mutex<Vec<BudgetOffer>>>,
    meters: Arc<Meters>,
    active: Mutex<Option<Active>>,
    /// Whom this computer is paired with.
    keyring: Keyring,
    attempt: Mutex<Attempt>,
    attempts: AtomicU64,
    /// The order of the servers in the picker.
    shown: Mutex<Vec<String>>,
    click_file_problem: Mutex<Option<String>>,
    /// For the audio thread: [`Settings::own_one_seconds`] as bits.
    own_one_seconds: AtomicU64,
    /// For the audio thread: [`Settings::count_in_bars`].
    count_in_bars: AtomicU32,
    /// Dropped last of all.
    network: Mutex<Option<network::Use>>,
}

/// What belongs to one activation.
#[derive(Debug)]
struct Active {
    setup: AudioSetup,
    latency_frames: u32,
    run: Arc<Run>,
    /// With the rate it was opened for; `None` where there can be no connection.
    link: Option<(Link, SampleRate)>,
    /// The way to the audio thread for the player's own click.
    own_sounds: Option<Mutex<OwnSounds>>,
}

impl Instance {
    /// An instance that does nothing yet: no thread, no socket, no file.
    pub fn new(settings: Settings) -> Self {
        Self::with_keyring(settings, Keyring::new(KnownServers::of_user()))
    }

    /// As [`Self::new`], with a list of paired servers of its own at `path`.
    pub fn with_known_servers(settings: Settings, path: &Path) -> Self {
        Self::with_keyring(settings, Keyring::new(Ok(KnownServers::at(path))))
    }

    fn with_keyring(settings: Settings, keyring: Keyring) -> Self {
        let settings = settings.sane();
        Self {
            keyring,
            attempt: Mutex::default(),
            attempts: AtomicU64::new(0),
            shown: Mutex::default(),
            click_file_problem: Mutex::default(),
            own_one_seconds: AtomicU64::new(settings.own_one_seconds.to_bits()),
            count_in_bars: AtomicU32::new(settings.count_in_bars),
            settings: Arc::new(Mutex::new(settings)),
            offers: Arc::default(),
            meters: Arc::default(),
            active: Mutex::default(),
            network: Mutex::default(),
        }
    }

    /// The settings as the project should save them.
    pub fn settings(&self) -> Settings {
        lock(&self.settings).clone()
    }

    /// Takes over other settings, or the nearest that make sense: from a project that is loaded, or from the editor.
    pub fn configure(&self, new: Settings) -> Change {
        let mut new = new.sane();
        let active = lock(&self.active);
        let mut settings = lock(&self.settings);
        let link = |s: &Settings| (s.server.clone(), s.model.clone(), s.trust.clone());
        let latency = settings.budget() != new.budget();
        let relink = link(&settings) != link(&new);
        if relink {
            // Another server or model offers something else.
            lock(&self.offers).clear();
        }
        if settings.model != new.model && settings.stems == new.stems {
            // Those are another model's.
            new.stems.clear();
        }
        if let Some(active @ Active { link: Some((link, _)), .. }) = &*active {
            if relink {
                self.relink(active, &new);
            } else if let LinkState::Live(opened) = link.state() {
                // The session goes on, so what it has taught goes on too.
                new.stems = session::names(&opened.stems);
            }
        }
        if settings.click_file != new.click_file {
            self.bring_click_sound(new.click_file.as_deref(), active.as_ref());
        }
        self.own_one_seconds.store(new.own_one_seconds.to_bits(), Relaxed);
        self.count_in_bars.store(new.count_in_bars, Relaxed);
        *settings = new;
        match (latency, relink) {
            (true, _) => Change::Latency,
            (false, true) => Change::Link,
            (false, false) => Change::Nothing,
        }
    }

    /// The latency to report at `rate_hz`, in frames. Known before activation; depends on the budget alone.
    pub fn latency_frames(&self, rate_hz: u32) -> u32 {
        lock(&self.settings).latency_frames(rate_hz)
    }

    /// Builds everything the audio thread needs and orders a connection in the background. An engine that was
    /// active before loses its connection; it plays the mix from then on.
    pub fn activate(&self, setup: AudioSetup) -> AudioEngine {
        self.deactivate();
        let settings = self.settings();
        let latency_frames = settings.latency_frames(setup.rate_hz);
        let most_frames = setup.max_block_frames.clamp(1, MOST_BLOCK_FRAMES);
        let setup = AudioSetup { max_block_frames: most_frames, ..setup };
        let playout = Playout::for_any_model(latency_frames, most_frames, session::assumed_layout(&settings));
        let run = Arc::new(Run::new(Arc::clone(&self.meters), playout.counters(), setup.offline));
        let (link, ends) = match self.connect(&settings, &setup, latency_frames, &run) {
            Ok((link, rate, ends)) => (Some((link, rate)), Some(ends)),
            Err(problem) => {
                *lock(&run.problem) = Some(problem);
                (None, None)
            }
        };
        let (mix, stems) = ends.map(|Ends { mix, stems }| (mix, stems)).unzip();
        let rate = SampleRate::new(setup.rate_hz).ok();
        // How much later than it is told something is heard.
        let told_ahead_frames = if setup.tells_of_output { 0 } else { latency_frames };
        let (metronome, own_sounds) = Metronome::new(rate, told_ahead_frames, most_frames as usize);
        let engine = AudioEngine::new(Parts {
            playout,
            feed: Feed::new(mix),
            stems,
            offline: Offline::new(setup.offline, link.is_some(), setup.offline_patience),
            metronome,
            told_ahead_frames,
            run: Arc::clone(&run),
        });
        let active = Active { setup, latency_frames, run, link, own_sounds };
        if settings.click_file.is_some() {
            self.bring_click_sound(settings.click_file.as_deref(), Some(&active));
        }
        *lock(&self.active) = Some(active);
        engine
    }

    /// Reads the player's own sound for the click and hands it to the audio thread. Two seconds of a file at most, so
    /// the main thread can wait for it.
    fn bring_click_sound(&self, file: Option<&Path>, active: Option<&Active>) {
        let rate = active.and_then(|active| SampleRate::new(active.setup.rate_hz).ok());
        let read = file.map(|file| read_click_file(file, rate.unwrap_or(SampleRate::HZ_48000))).transpose();
        let (sound, problem) = match read {
            Ok(sound) => (sound, None),
            Err(error) => (None, Some(error.to_string())),
        };
        let full = active.and_then(|active| active.own_sounds.as_ref()).map(|own| lock(own).set(sound));
        let busy = || "the audio thread has not taken the sound before this one; try again".to_owned();
        *lock(&self.click_file_problem) = problem.or_else(|| matches!(full, Some(Err(_))).then(busy));
    }

    /// A link, and somebody who watches it.
    fn connect(
        &self,
        settings: &Settings,
        setup: &AudioSetup,
        latency_frames: u32,
        run: &Arc<Run>,
    ) -> Result<(Link, SampleRate, Ends), String> {
        let rate = SampleRate::new(setup.rate_hz).map_err(|error| error.to_string())?;
        let network = self.network();
        let network = network.as_ref().ok_or("the network cannot be started")?;
        let target = self.target(settings);
        if let Ok(target) = &target {
            look_for(network, target);
        }
        let (config, problem) = session::link_config(settings, &target, setup, latency_frames, rate);
        *lock(&run.problem) = problem;
        let (link, ends) = session::open(network.handle(), config, rate);
        let pace = Pace::new(setup.rate_hz, setup.max_block_frames);
        let lately = Lately::new(session::LOOK, setup.rate_hz, setup.max_block_frames);
        let (settings, offers) = (Arc::clone(&self.settings), Arc::clone(&self.offers));
        let lessons = Lessons { settings, offers, rate, latency_frames };
        let switch = Switch::new(*setup, rate, latency_frames, run);
        let watching = session::watch(link.remote(), Arc::clone(run), lessons, switch, pace, lately);
        network.handle().spawn(watching);
        Ok((link, rate, ends))
    }

    /// Ends the connection in the background. Before anything else it ends an offline wait, so call it (or
    /// [`Instance::cancel_offline`]) before taking a lock that `process()` may hold.
    pub fn deactivate(&self) {
        let Some(active) = lock(&self.active).take() else { return };
        active.run.over.store(true, Release);
        if let (Some((link, _)), Some(network)) = (active.link, &*lock(&self.network)) {
            network.closing(link.close());
        }
    }

    /// Ends an offline wait: the blocked [`AudioEngine::process`] returns within milliseconds with silence, which
    /// lasts until it is reset.
    pub fn cancel_offline(&self) {
        if let Some(active) = &*lock(&self.active) {
            active.run.cancelled.store(true, Release);
        }
    }

    /// The link looks for a session with `settings`, at once.
    fn relink(&self, active: &Active, settings: &Settings) {
        let Active { setup, latency_frames, run, link: Some((link, rate)), .. } = active else { return };
        let target = self.target(settings);
        if let (Ok(target), Some(network)) = (&target, &*self.network()) {
            look_for(network, target);
        }
        link.remote().change(|present| {
            // Which mode it is in is the audio thread's business.
            let setup = AudioSetup { offline: present.open.mode == Mode::Reliable, ..*setup };
            let (config, problem) = session::link_config(settings, &target, &setup, *latency_frames, *rate);
            *lock(&run.problem) = problem;
            *present = config;
        });
    }

    /// Who is known has changed: what the settings mean may be another server, or one that can be spoken to now.
    fn look_again(&self) {
        let settings = self.settings();
        if let Some(active) = &*lock(&self.active) {
            self.relink(active, &settings);
        }
    }

    /// Whom `settings` mean.
    fn target(&self, settings: &Settings) -> Result<Target, String> {
        match (self.keyring.list(), &settings.trust) {
            (Ok(known), _) => servers::target(settings, &known),
            // Without the list only a server on this computer can be had.
            (Err(_), Trust::Loopback) => servers::target(settings, &[]),
            (Err(error), Trust::Fingerprint(_)) => Err(error.to_string()),
        }
    }

    fn link_state(&self) -> Option<LinkState> {
        lock(&self.active).as_ref().and_then(|active| active.link.as_ref()).map(|(link, _)| link.state())
    }

    fn next_attempt(&self) -> u64 {
        self.attempts.fetch_add(1, Relaxed)
    }

    /// The process's network, which this starts; `None` inside if that fails.
    fn network(&self) -> MutexGuard<'_, Option<network::Use>> {
        let mut network = lock(&self.network);
        if network.is_none() {
            match network::acquire() {
                Ok(acquired) => *network = Some(acquired),
                Err(error) => tracing::warn!("the network cannot be started: {error}"),
            }
        }
        network
    }

    /// Looks for the server at once instead of at the next turn: the player clicked.
    pub fn retry(&self) {
        if let Some(Active { link: Some((link, _)), .. }) = &*lock(&self.active) {
            link.retry_now();
        }
    }

    /// [`Settings::own_one_seconds`], for the audio thread.
    pub fn own_one_seconds(&self) -> f64 {
        f64::from_bits(self.own_one_seconds.load(Relaxed))
    }

    /// [`Settings::count_in_bars`], for the audio thread.
    pub fn count_in_bars(&self) -> u32 {
        self.count_in_bars.load(Relaxed)
    }

    /// The levels, for the display that asks often.
    pub fn meters(&self) -> &Meters {
        &self.meters
    }
}

impl Drop for Instance {
    fn drop(&mut self) {
        self.deactivate();
    }
}

/// Begins the search for servers where this one may be anywhere.
fn look_for(network: &network::Use, target: &Target) {
    if is_looked_for(target.fingerprint(), target.address()) {
        network.browse();
    }
}
