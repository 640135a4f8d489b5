//! What the plugin has to say to a VST3 host: gestures, and that the latency changed. Always on the main thread: on
//! Linux the editor's window has a thread of its own, so its news come here through the host's run loop.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};

use vst3::ComPtr;
use vst3::Steinberg::Vst::{
    IComponentHandler, IComponentHandler2, IComponentHandler2Trait, IComponentHandlerTrait, RestartFlags_,
};

use super::class::lock;
use crate::shared::{HostSide, News, Shared};

/// The host's ear, once it has given us one.
pub(super) struct Handler {
    host: Mutex<Option<ComPtr<IComponentHandler>>>,
    ids: Vec<u32>,
    /// The latency that the host asked for last.
    told_frames: AtomicU32,
}

/// The host has not asked yet.
const NOTHING_TOLD: u32 = u32::MAX;

impl Handler {
    /// `ids` are the host's numbers of the parameters.
    pub(super) fn new(ids: Vec<u32>) -> Self {
        Self { host: Mutex::new(None), ids, told_frames: AtomicU32::new(NOTHING_TOLD) }
    }

    pub(super) fn set(&self, host: Option<ComPtr<IComponentHandler>>) {
        // The old one is released outside of the lock: it may call back.
        let old = std::mem::replace(&mut *lock(&self.host), host);
        drop(old);
    }

    fn get(&self) -> Option<ComPtr<IComponentHandler>> {
        lock(&self.host).clone()
    }

    /// The host asks for the latency and gets this.
    pub(super) fn told(&self, frames: u32) -> u32 {
        self.told_frames.store(frames, Ordering::Relaxed);
        frames
    }

    /// Sends `kLatencyChanged` if the host believes something else. Hosts that only take note (all that are made
    /// with JUCE) do not activate anew; for those the running engine is replaced on the spot.
    pub(super) fn latency_may_have_changed(&self, shared: &Shared) {
        let told = self.told_frames.load(Ordering::Relaxed);
        if told != NOTHING_TOLD
            && told != shared.latency_frames()
            && let Some(host) = self.get()
        {
            #[allow(clippy::unnecessary_cast)] // another type on another platform
            let flags = RestartFlags_::kLatencyChanged as i32;
            // SAFETY: the host gave us this object and we are on its main thread.
            unsafe { host.restartComponent(flags) };
        }
        shared.adopt_latency();
    }
}

impl HostSide for Handler {
    fn tell(&self, shared: &Shared, news: News) {
        let id = |index: usize| self.ids.get(index).copied().unwrap_or(u32::MAX);
        if let (News::Settings, host) = (news, self.get()) {
            if let Some(host) = host.and_then(|host| host.cast::<IComponentHandler2>()) {
                // SAFETY: the host gave us this object and we are on its main thread.
                unsafe { host.setDirty(1) };
            }
            self.latency_may_have_changed(shared);
            return;
        }
        let Some(host) = self.get() else { return };
        // SAFETY: the host gave us this object and we are on its main thread.
        unsafe {
            match news {
                News::Begin(index) => host.beginEdit(id(index)),
                News::Value(index, value) => host.performEdit(id(index), f64::from(value)),
                News::End(index) => host.endEdit(id(index)),
                News::Settings => return,
            }
        };
    }

    fn is_told_from_any_thread(&self, _news: News) -> bool {
        false
    }
}
