//! A CLAP host to the letter: it knows which thread is which, says so when asked, and writes down every call that the
//! specification does not allow. Plays nothing by itself; see `track`.

use std::{
    cell::Cell,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU32, Ordering::SeqCst},
    },
    thread::ThreadId,
};

use clack_extensions::{
    latency::{HostLatency, HostLatencyImpl},
    log::{HostLog, HostLogImpl, LogSeverity},
    params::{HostParams, HostParamsImplMainThread, HostParamsImplShared, ParamClearFlags, ParamRescanFlags},
    state::{HostState, HostStateImpl},
    thread_check::{HostThreadCheck, HostThreadCheckImpl},
};
use clack_host::prelude::*;

thread_local! {
    static IS_AUDIO: Cell<bool> = const { Cell::new(false) };
}

/// From now on this thread is an audio thread.
pub fn become_audio_thread() {
    IS_AUDIO.set(true);
}

/// What the plugin asked for, and what it should not have done.
#[derive(Default)]
pub struct Log {
    /// `request_restart`.
    pub restarts: AtomicU32,
    /// `request_callback` that was not followed yet.
    pub callback: AtomicBool,
    /// `params.request_flush` that was not followed yet.
    pub flush: AtomicBool,
    /// `latency.changed`.
    pub latency_changes: AtomicU32,
    /// `state.mark_dirty`.
    pub dirty: AtomicU32,
    /// Whether the host is inside of `activate`.
    pub(crate) activating: AtomicBool,
    wrong: Mutex<Vec<String>>,
}

impl Log {
    /// Everything that broke the specification.
    pub fn wrong(&self) -> Vec<String> {
        self.wrong.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn note(&self, what: &str) {
        self.wrong.lock().unwrap_or_else(PoisonError::into_inner).push(what.to_owned());
    }
}

/// What any thread of the plugin may call.
pub struct Shared {
    pub(crate) log: Arc<Log>,
    pub(crate) main: ThreadId,
}

impl Shared {
    fn must_be_main(&self, what: &str) {
        if std::thread::current().id() != self.main {
            self.log.note(&format!("{what} on another thread than the main thread"));
        }
    }
}

impl SharedHandler<'_> for Shared {
    fn request_restart(&self) {
        self.log.restarts.fetch_add(1, SeqCst);
    }

    fn request_process(&self) {}

    fn request_callback(&self) {
        self.log.callback.store(true, SeqCst);
    }
}

impl HostThreadCheckImpl for Shared {
    fn is_main_thread(&self) -> bool {
        std::thread::current().id() == self.main
    }

    fn is_audio_thread(&self) -> bool {
        IS_AUDIO.get()
    }
}

impl HostParamsImplShared for Shared {
    fn request_flush(&self) {
        if IS_AUDIO.get() {
            self.log.note("request_flush on the audio thread");
        }
        self.log.flush.store(true, SeqCst);
    }
}

impl HostLogImpl for Shared {
    fn log(&self, severity: LogSeverity, message: &str) {
        if severity >= LogSeverity::Error {
            self.log.note(&format!("logged {severity}: {message}"));
        }
    }
}

/// What only the main thread may call.
pub struct Main<'a> {
    pub(crate) shared: &'a Shared,
}

impl<'a> MainThreadHandler<'a> for Main<'a> {}

impl HostLatencyImpl for Main<'_> {
    fn changed(&self) {
        self.shared.must_be_main("latency.changed");
        let log = &self.shared.log;
        if !log.activating.load(SeqCst) {
            log.note("latency.changed outside of activate");
        }
        log.latency_changes.fetch_add(1, SeqCst);
    }
}

impl HostStateImpl for Main<'_> {
    fn mark_dirty(&self) {
        self.shared.must_be_main("state.mark_dirty");
        self.shared.log.dirty.fetch_add(1, SeqCst);
    }
}

impl HostParamsImplMainThread for Main<'_> {
    fn rescan(&self, _flags: ParamRescanFlags) {
        self.shared.must_be_main("params.rescan");
    }

    fn clear(&self, _id: ClapId, _flags: ParamClearFlags) {
        self.shared.must_be_main("params.clear");
    }
}

/// The host, for clack.
pub struct Host;

impl HostHandlers for Host {
    type Shared<'a> = Shared;
    type MainThread<'a> = Main<'a>;
    type AudioProcessor<'a> = ();

    fn declare_extensions(builder: &mut HostExtensions<'_, Self>, _shared: &Self::Shared<'_>) {
        builder
            .register::<HostThreadCheck>()
            .register::<HostLatency>()
            .register::<HostLog>()
            .register::<HostState>()
            .register::<HostParams>();
    }
}
