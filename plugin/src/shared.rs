//! What the parties of one plugin instance share: nice-plug's wrapper with our `Plugin` inside, the object around it
//! that the host sees, and the editor. Main and editor threads may wait here for each other; what the audio thread
//! uses of it is atomics. The engine itself is the `Plugin`'s; another one comes to it by `handoff`.

use std::cell::RefCell;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use nice_plug::params::internals::ParamPtr;
use nice_plug::prelude::Params;
use rehearsekit_plugin_engine::{AudioEngine, AudioSetup, Instance, Settings};

use crate::automation::Gestures;
use crate::handoff::{Holder, Sender, handoff};
use crate::host_compat::values::{Announced, Modulation};
use crate::params::RehearseParams;
use crate::player::Player;
use crate::project::NotUnderstood;

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
    /// By how much a host modulates what.
    pub modulation: Modulation,
    /// What the host will have set, but has told nobody who plays.
    pub announced: Announced,
    pointers: Vec<ParamPtr>,
    ids: Vec<String>,
    not_understood: Mutex<NotUnderstood>,
    /// The way to the audio thread for an engine that replaces the one that plays.
    to_audio: Mutex<Sender<AudioEngine>>,
    setup: Mutex<Option<AudioSetup>>,
    /// The latency of the newest engine, for those who must not wait.
    running_frames: AtomicU32,
    rate_hz: AtomicU32,
    /// See [`Mode`].
    mode: AtomicU32,
    /// Whether the host set us up for an offline render.
    set_up_offline: AtomicBool,
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

/// What the host renders: live or offline, and how often it has changed its mind. Two of the same kind with a change
/// between them are two renders.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mode(u32);

impl Mode {
    /// Whether it is a bounce.
    pub fn is_offline(self) -> bool {
        self.0 & 1 == 1
    }
}

thread_local! {
    /// What the last `Plugin` made on this thread shares. The wrappers make theirs inside `new()` and keep it to
    /// themselves; this is how the object around a wrapper gets hold of it.
    static MADE: RefCell<Option<Arc<Shared>>> = const { RefCell::new(None) };
}

impl Default for Shared {
    fn default() -> Self {
        Self::new().0
    }
}

impl Shared {
    /// The shared part, and the audio thread's end of the way for engines.
    pub fn new() -> (Self, Holder<AudioEngine>) {
        let params = Arc::new(RehearseParams::default());
        let (ids, pointers) = params.param_map().into_iter().map(|(id, pointer, _)| (id, pointer)).unzip();
        let (to_audio, holder) = handoff();
        let shared = Self {
            params,
            instance: Arc::new(Instance::new(Settings::default())),
            gestures: Gestures::default(),
            modulation: Modulation::default(),
            announced: Announced::default(),
            pointers,
            ids,
            not_understood: Mutex::default(),
            to_audio: Mutex::new(to_audio),
            setup: Mutex::new(None),
            running_frames: AtomicU32::new(NO_ENGINE),
            rate_hz: AtomicU32::new(0),
            mode: AtomicU32::new(0),
            set_up_offline: AtomicBool::new(false),
            is_carried: AtomicBool::new(false),
            tells_of_output: AtomicBool::new(false),
            counts_in: AtomicBool::new(false),
            player: OnceLock::new(),
            host: Mutex::new(None),
        };
        (shared, holder)
    }

    /// For `Plugin::default()`: new, and left for [`Self::of_new`].
    pub fn announce() -> (Arc<Self>, Holder<AudioEngine>) {
        let (shared, holder) = Self::new();
        let shared = Arc::new(shared);
        MADE.with(|made| *made.borrow_mut() = Some(Arc::clone(&shared)));
        (shared, holder)
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

    /// Their identifiers, in the same order.
    pub fn params_by_id(&self) -> &[String] {
        &self.ids
    }

    /// What the last project had in it that this version does not understand. Main thread.
    pub fn not_understood(&self) -> NotUnderstood {
        lock(&self.not_understood).clone()
    }

    /// See [`Self::not_understood`].
    pub fn set_not_understood(&self, not_understood: NotUnderstood) {
        *lock(&self.not_understood) = not_understood;
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

    /// For how many frames there is sound after the input has ended: what is under way must come out. Any thread.
    /// (nice-plug would look at what the last block said, behind a lock that the audio thread takes with each.)
    pub fn tail_frames(&self) -> u32 {
        self.running_latency_frames().unwrap_or(0)
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
    pub fn activate(&self, setup: AudioSetup) -> AudioEngine {
        let setup = AudioSetup { tells_of_output: self.tells_of_output(), ..setup };
        self.set_rate(setup.rate_hz);
        self.set_up_offline.store(setup.offline, Ordering::Relaxed);
        self.set_offline(setup.offline);
        *lock(&self.setup) = Some(setup);
        self.build(setup)
    }

    fn build(&self, setup: AudioSetup) -> AudioEngine {
        let engine = self.instance.activate(setup);
        self.running_frames.store(engine.latency_frames(), Ordering::Relaxed);
        engine
    }

    /// What the host renders.
    pub fn mode(&self) -> Mode {
        Mode(self.mode.load(Ordering::Acquire))
    }

    /// The host says what it renders from the next block on, be it while it plays. Any thread; real-time safe.
    pub fn set_offline(&self, offline: bool) {
        let change = |mode: u32| (Mode(mode).is_offline() != offline).then(|| mode.wrapping_add(1));
        // An error means that there was nothing to change.
        let _ = self.mode.fetch_update(Ordering::AcqRel, Ordering::Acquire, change);
    }

    /// The same for hosts that say it with each block, and may forget it: set up for a bounce, it is one. (Ardour says
    /// it nowhere else while it exports.)
    pub fn follow(&self, offline: bool) {
        self.set_offline(offline || self.set_up_offline.load(Ordering::Relaxed));
    }

    /// Nothing is rendered any more, after ending whatever the engine waits for. Main thread.
    pub fn deactivate(&self) {
        self.instance.deactivate();
        *lock(&self.setup) = None;
        self.running_frames.store(NO_ENGINE, Ordering::Relaxed);
        lock(&self.to_audio).collect();
    }

    /// For hosts that take note of another latency without activating anew (everything built on JUCE): the
    /// engine that runs is replaced. Main thread.
    pub fn adopt_latency(&self) {
        let Some(setup) = *lock(&self.setup) else { return };
        if self.running_latency_frames() != Some(self.latency_frames()) {
            let engine = self.build(setup);
            lock(&self.to_audio).send(engine);
        }
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
        let (shared, mut audio) = Shared::new();
        audio.put(shared.activate(AudioSetup::new(44_100, 512, false)));
        shared.change_settings(|settings| settings.budget_millis = 100.0);
        assert_eq!(shared.running_latency_frames(), Some(11_025));
        shared.adopt_latency();
        assert_eq!(shared.running_latency_frames(), Some(4_410));
        assert!(audio.receive());
        assert_eq!(audio.current().map(|engine| engine.latency_frames()), Some(4_410));
        shared.deactivate();
        shared.adopt_latency();
        assert_eq!(shared.running_latency_frames(), None);
        assert!(!audio.receive());
    }

    #[test]
    fn a_mode_is_another_one_after_every_change() {
        let shared = Shared::default();
        let first = shared.mode();
        assert!(!first.is_offline());
        shared.follow(false);
        assert_eq!(shared.mode(), first);
        shared.follow(true);
        let bounce = shared.mode();
        assert!(bounce.is_offline());
        shared.set_offline(false);
        shared.set_offline(true);
        assert!(shared.mode().is_offline() && shared.mode() != bounce, "another bounce");
        // Set up for a bounce, it is one, whatever a careless host says in its calls.
        shared.activate(AudioSetup::new(44_100, 512, true));
        shared.follow(false);
        assert!(shared.mode().is_offline());
        // A host that says so outside of its calls means it.
        shared.set_offline(false);
        assert!(!shared.mode().is_offline());
        shared.activate(AudioSetup::new(44_100, 512, false));
        shared.follow(true);
        shared.change_settings(|settings| settings.budget_millis = 100.0);
        shared.adopt_latency();
        assert!(shared.mode().is_offline(), "another latency is no end of a bounce");
    }

    #[test]
    fn the_object_around_a_wrapper_gets_the_part_of_its_own_plugin() {
        let ((inside, _), outside) = Shared::of_new(Shared::announce);
        assert!(Arc::ptr_eq(&inside, &outside));
    }
}
