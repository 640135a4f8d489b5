//! What the parties of one plugin instance share: nice-plug's wrapper with our `Plugin` inside, the object around it
//! that the host sees, and the editor. Main and editor threads may wait here for each other, the audio thread
//! never does: where it finds a lock taken, it plays silence for that block.

use std::cell::RefCell;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, TryLockError};

use nice_plug::params::internals::ParamPtr;
use nice_plug::prelude::Params;
use rehearsekit_plugin_engine::{AudioEngine, AudioSetup, Instance, Settings};

use crate::automation::Gestures;
use crate::params::RehearseParams;
use crate::player::Player;
use crate::settings::SettingsCell;

/// The rate that a latency is told for while the host has set none.
const RATE_UNTIL_TOLD_HZ: u32 = 48_000;

/// No latency of a running engine.
const NO_ENGINE: u32 = u32::MAX;

/// Something the host must hear of.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum News {
    /// The player takes hold of parameter number …
    Begin(usize),
    /// … moves it to this value in 0..=1, …
    Value(usize, f32),
    /// … and lets go.
    End(usize),
    /// Settings were changed in the editor, maybe the latency.
    Settings,
}

/// The host as one format shows it.
pub trait HostSide: Send + Sync {
    /// Tells the host. On the main thread, unless [`HostSide::is_told_from_any_thread`].
    fn tell(&self, shared: &Shared, news: News);

    /// Whether news of this kind may be told from any thread but the audio thread.
    fn is_told_from_any_thread(&self, news: News) -> bool;
}

/// See the module's words.
pub struct Shared {
    /// The parameters.
    pub params: Arc<RehearseParams>,
    /// The engine's side of this instance.
    pub instance: Arc<Instance>,
    /// Who moved what.
    pub gestures: Gestures,
    pointers: Vec<ParamPtr>,
    engine: Mutex<Option<AudioEngine>>,
    setup: Mutex<Option<AudioSetup>>,
    /// The latency of `engine`, for those who must not wait for it.
    running_frames: AtomicU32,
    rate_hz: AtomicU32,
    /// Whether the engine that runs renders offline although the host set us up for live.
    bouncing: AtomicBool,
    /// Whether the part of a block that is played is not its first, and the host said nothing of it.
    is_carried: AtomicBool,
    /// See [`AudioSetup::tells_of_output`].
    tells_of_output: AtomicBool,
    /// Whether the player can ask for a count-in: in the standalone, where no host has a pre-roll.
    counts_in: AtomicBool,
    /// The song of one's own: the standalone's.
    player: OnceLock<Arc<dyn Player>>,
    host: Mutex<Option<Arc<dyn HostSide>>>,
}

thread_local! {
    /// What the last `Plugin` made on this thread shares. The wrappers make theirs inside `new()` and keep it to
    /// themselves; this is how the object around a wrapper gets hold of it.
    static MADE: RefCell<Option<Arc<Shared>>> = const { RefCell::new(None) };
}

impl Default for Shared {
    fn default() -> Self {
        let params = RehearseParams::default();
        let SettingsCell(instance) = params.settings.clone();
        let params = Arc::new(params);
        let pointers = params.param_map().into_iter().map(|(_, pointer, _)| pointer).collect();
        Self {
            params,
            instance,
            gestures: Gestures::default(),
            pointers,
            engine: Mutex::new(None),
            setup: Mutex::new(None),
            running_frames: AtomicU32::new(NO_ENGINE),
            rate_hz: AtomicU32::new(0),
            bouncing: AtomicBool::new(false),
            is_carried: AtomicBool::new(false),
            tells_of_output: AtomicBool::new(false),
            counts_in: AtomicBool::new(false),
            player: OnceLock::new(),
            host: Mutex::new(None),
        }
    }
}

impl Shared {
    /// For `Plugin::default()`: new, and left for [`Self::of_new`].
    pub fn announce() -> Arc<Self> {
        let shared = Arc::new(Self::default());
        MADE.with(|made| *made.borrow_mut() = Some(Arc::clone(&shared)));
        shared
    }

    /// Runs `make`, which makes one `Plugin` on this thread, and gives its part too.
    ///
    /// # Panics
    /// When `make` makes none.
    pub fn of_new<T>(make: impl FnOnce() -> T) -> (T, Arc<Self>) {
        let made = make();
        let shared = MADE.with(|made| made.borrow_mut().take());
        (made, shared.expect("a wrapper makes its plugin while it is made"))
    }

    /// The parameters in the order of their announcement.
    pub fn pointers(&self) -> &[ParamPtr] {
        &self.pointers
    }

    /// The host said at which rate it will run.
    pub fn set_rate(&self, rate_hz: u32) {
        self.rate_hz.store(rate_hz, Ordering::Relaxed);
    }

    /// The rate that the host said, 0 before it did.
    pub fn rate_hz(&self) -> u32 {
        self.rate_hz.load(Ordering::Relaxed)
    }

    /// The latency by the settings, in frames at the host's rate: what the next activation will have. Waits for
    /// whoever changes settings, so not for the audio thread.
    pub fn latency_frames(&self) -> u32 {
        let told = self.rate_hz.load(Ordering::Relaxed);
        self.instance.latency_frames(if told == 0 { RATE_UNTIL_TOLD_HZ } else { told })
    }

    /// The latency of the engine that runs now. Any thread.
    pub fn running_latency_frames(&self) -> Option<u32> {
        let frames = self.running_frames.load(Ordering::Relaxed);
        (frames != NO_ENGINE).then_some(frames)
    }

    /// What the host activated us with; `None` while it has not.
    pub fn setup(&self) -> Option<AudioSetup> {
        *lock(&self.setup)
    }

    /// There is no host that counts in.
    pub fn set_counts_in(&self) {
        self.counts_in.store(true, Ordering::Relaxed);
    }

    /// Whether the player can ask for a count-in.
    pub fn counts_in(&self) -> bool {
        self.counts_in.load(Ordering::Relaxed)
    }

    /// There is a song of one's own. Once only.
    pub fn set_player(&self, player: Arc<dyn Player>) {
        let _ = self.player.set(player);
    }

    /// The song of one's own, where no host plays one.
    pub fn player(&self) -> Option<&Arc<dyn Player>> {
        self.player.get()
    }

    /// Tells whether the transport of the part that is played next is only carried on from the host's. Audio thread.
    pub fn set_carried(&self, is_carried: bool) {
        self.is_carried.store(is_carried, Ordering::Relaxed);
    }

    /// See [`Self::set_carried`].
    pub fn is_carried(&self) -> bool {
        self.is_carried.load(Ordering::Relaxed)
    }

    /// The host is one of those, from the next activation on; see [`AudioSetup::tells_of_output`]. Main thread.
    pub fn set_tells_of_output(&self) {
        self.tells_of_output.store(true, Ordering::Relaxed);
    }

    /// See [`AudioSetup::tells_of_output`].
    pub fn tells_of_output(&self) -> bool {
        self.tells_of_output.load(Ordering::Relaxed)
    }

    /// Builds the engine. Main thread.
    pub fn activate(&self, setup: AudioSetup) {
        let setup = AudioSetup { tells_of_output: self.tells_of_output(), ..setup };
        self.set_rate(setup.rate_hz);
        *lock(&self.setup) = Some(setup);
        self.bouncing.store(false, Ordering::Relaxed);
        self.replace_engine(setup);
    }

    fn replace_engine(&self, setup: AudioSetup) {
        let engine = self.instance.activate(setup);
        self.running_frames.store(engine.latency_frames(), Ordering::Relaxed);
        // Only for the moment of the exchange: the audio thread does not wait for it.
        let old = lock(&self.engine).replace(engine);
        drop(old);
    }

    /// Audio thread: the host calls as for an offline render, or does no longer, without having set us up anew
    /// (Ardour while it exports). A live engine would be far too slow for it and the bounce a dry one, so another
    /// takes over. That builds an engine, which takes a fraction of a millisecond: at the start of an export
    /// nobody hears it, and at its end it is one callback.
    pub fn follow(&self, offline: bool) {
        if self.bouncing.load(Ordering::Relaxed) == offline {
            return;
        }
        let Some(setup) = self.setup().filter(|setup| !setup.offline) else { return };
        // With another latency on its way the host must set us up anew first.
        if self.running_latency_frames() == Some(self.latency_frames()) {
            self.bouncing.store(offline, Ordering::Relaxed);
            self.replace_engine(AudioSetup { offline, ..setup });
        }
    }

    /// Ends the engine, after ending whatever it waits for. Main thread.
    pub fn deactivate(&self) {
        self.instance.deactivate();
        *lock(&self.setup) = None;
        self.running_frames.store(NO_ENGINE, Ordering::Relaxed);
        let old = lock(&self.engine).take();
        drop(old);
    }

    /// For hosts that take note of another latency without activating anew (everything built on JUCE): the
    /// engine that runs is replaced. Main thread.
    pub fn adopt_latency(&self) {
        let Some(setup) = *lock(&self.setup) else { return };
        if self.running_latency_frames() != Some(self.latency_frames()) {
            self.instance.cancel_offline();
            self.activate(setup);
        }
    }

    /// Audio thread: the engine, unless it is being replaced or there is none.
    pub fn with_engine<R>(&self, work: impl FnOnce(&mut AudioEngine) -> R) -> Option<R> {
        let mut engine = match self.engine.try_lock() {
            Ok(engine) => engine,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => return None,
        };
        engine.as_mut().map(work)
    }

    /// Names the host that is to be told the news.
    pub fn set_host(&self, host: Option<Arc<dyn HostSide>>) {
        *lock(&self.host) = host;
    }

    /// The host, for telling it something.
    pub fn host(&self) -> Option<Arc<dyn HostSide>> {
        lock(&self.host).clone()
    }

    /// Tells the host. On the main thread, see [`HostSide`].
    pub fn tell(&self, news: News) {
        if let Some(host) = self.host() {
            host.tell(self, news);
        }
    }

    /// The player changed a setting. The host must be told [`News::Settings`] after it.
    pub fn change_settings(&self, change: impl FnOnce(&mut Settings)) {
        let mut settings = self.instance.settings();
        change(&mut settings);
        self.instance.configure(settings);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Each holds one value that is replaced as a whole: a panic elsewhere leaves nothing half done.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_latency_is_known_before_anything_runs_and_follows_the_settings() {
        let shared = Shared::default();
        assert_eq!(shared.latency_frames(), 12_000, "250 ms at the rate that is assumed");
        shared.set_rate(44_100);
        assert_eq!(shared.latency_frames(), 11_025);
        shared.change_settings(|settings| settings.budget_millis = 100.0);
        assert_eq!((shared.latency_frames(), shared.running_latency_frames()), (4_410, None));
    }

    #[test]
    fn a_running_engine_keeps_its_latency_until_it_is_replaced() {
        let shared = Shared::default();
        shared.activate(AudioSetup::new(44_100, 512, false));
        shared.change_settings(|settings| settings.budget_millis = 100.0);
        assert_eq!(shared.running_latency_frames(), Some(11_025));
        shared.adopt_latency();
        assert_eq!(shared.running_latency_frames(), Some(4_410));
        shared.deactivate();
        shared.adopt_latency();
        assert_eq!(shared.running_latency_frames(), None);
    }

    #[test]
    fn a_host_that_bounces_without_a_new_set_up_gets_an_engine_for_that() {
        let shared = Shared::default();
        shared.follow(true);
        assert_eq!(shared.running_latency_frames(), None, "nothing runs");
        let offline = || shared.instance.view().offline;
        shared.activate(AudioSetup::new(44_100, 512, false));
        for bounces in [false, true, true, false, false] {
            shared.follow(bounces);
            assert_eq!(offline(), bounces);
            assert_eq!(shared.running_latency_frames(), Some(11_025));
        }
        shared.follow(true);
        shared.activate(AudioSetup::new(44_100, 512, false));
        assert!(!offline(), "what the host set up counts");
        // Set up for a bounce, it is one, whatever a careless host says in its calls.
        shared.activate(AudioSetup::new(44_100, 512, true));
        shared.follow(false);
        assert!(offline());
        // Another latency waits for the host.
        shared.activate(AudioSetup::new(44_100, 512, false));
        shared.change_settings(|settings| settings.budget_millis = 100.0);
        shared.follow(true);
        assert_eq!(shared.running_latency_frames(), Some(11_025));
    }

    #[test]
    fn the_object_around_a_wrapper_gets_the_part_of_its_own_plugin() {
        let (inside, outside) = Shared::of_new(Shared::announce);
        assert!(Arc::ptr_eq(&inside, &outside));
    }
}
