//! What the plugin has to say to a CLAP host: gestures, another latency, an unsaved project. Gestures are left here
//! by the editor and picked up by the next `process` or `flush`, as the format wants it.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use clap_sys::events::{
    CLAP_CORE_EVENT_SPACE_ID, CLAP_EVENT_IS_LIVE, CLAP_EVENT_PARAM_GESTURE_BEGIN,
    CLAP_EVENT_PARAM_GESTURE_END, CLAP_EVENT_PARAM_VALUE, clap_event_header, clap_event_param_gesture,
    clap_event_param_value, clap_output_events,
};
use clap_sys::ext::latency::{CLAP_EXT_LATENCY, clap_host_latency};
use clap_sys::ext::params::{CLAP_EXT_PARAMS, CLAP_PARAM_RESCAN_VALUES, clap_host_params};
use clap_sys::ext::state::{CLAP_EXT_STATE, clap_host_state};
use clap_sys::host::clap_host;

use crate::host_compat::events::{ParamTable, normalized};
use crate::params::PARAM_COUNT;
use crate::shared::{HostSide, News, Shared};

/// The host and its extensions, as they were after `init`.
pub(super) struct Host {
    host: *const clap_host,
    latency: *const clap_host_latency,
    params: *const clap_host_params,
    state: *const clap_host_state,
    pub(super) active: AtomicBool,
    /// Bits of parameters: taken hold of, moved, let go since they were last written.
    begun: AtomicU64,
    moved: AtomicU64,
    ended: AtomicU64,
    /// Bits of parameters whose gesture the host knows to be open.
    open: AtomicU64,
}

// SAFETY: the pointers are the host's, valid for the plugin's life, and only its thread-safe functions are called
// from threads other than the main thread.
unsafe impl Send for Host {}
// SAFETY: as above.
unsafe impl Sync for Host {}

/// # Safety
/// `T` is what extension `id` is.
unsafe fn extension<T>(host: *const clap_host, id: &std::ffi::CStr) -> *const T {
    // SAFETY: the host is valid.
    match unsafe { (*host).get_extension } {
        // SAFETY: the host is valid and `id` is a string.
        Some(get) => unsafe { get(host, id.as_ptr()) }.cast(),
        None => std::ptr::null(),
    }
}

impl Host {
    /// Asks for the extensions; from `init` on.
    ///
    /// # Safety
    /// `host` is valid for the life of the plugin.
    pub(super) unsafe fn new(host: *const clap_host) -> Self {
        // SAFETY: each extension is what its identifier says.
        unsafe {
            Self {
                host,
                latency: extension(host, CLAP_EXT_LATENCY),
                params: extension(host, CLAP_EXT_PARAMS),
                state: extension(host, CLAP_EXT_STATE),
                active: AtomicBool::new(false),
                begun: AtomicU64::new(0),
                moved: AtomicU64::new(0),
                ended: AtomicU64::new(0),
                open: AtomicU64::new(0),
            }
        }
    }

    /// `latency.changed()`. Only from inside `activate`.
    pub(super) fn latency_changed(&self) {
        // SAFETY: null or the host's extension.
        if let Some(changed) = unsafe { self.latency.as_ref() }.and_then(|latency| latency.changed) {
            // SAFETY: main thread, being activated.
            unsafe { changed(self.host) };
        }
    }

    /// `params.rescan()`: a project was loaded. On the main thread.
    pub(super) fn values_have_changed(&self) {
        // SAFETY: null or the host's extension.
        if let Some(rescan) = unsafe { self.params.as_ref() }.and_then(|params| params.rescan) {
            // SAFETY: main thread.
            unsafe { rescan(self.host, CLAP_PARAM_RESCAN_VALUES) };
        }
    }

    /// Asks to be activated anew, if we are active, so that another latency can come about.
    pub(super) fn latency_may_have_changed(&self, shared: &Shared) {
        if !self.active.load(Ordering::Acquire)
            || shared.running_latency_frames() == Some(shared.latency_frames())
        {
            return;
        }
        // SAFETY: the host is valid.
        if let Some(restart) = unsafe { (*self.host).request_restart } {
            // SAFETY: may be called on any thread.
            unsafe { restart(self.host) };
        }
    }

    /// Writes the gestures since the last call into the host's list.
    ///
    /// # Safety
    /// `out` is null or the host's list.
    pub(super) unsafe fn write_gestures(
        &self,
        out: *const clap_output_events,
        shared: &Shared,
        table: &ParamTable,
    ) {
        // SAFETY: null or the host's list.
        let Some(push) = unsafe { out.as_ref() }.and_then(|list| list.try_push) else { return };
        let ended = self.ended.swap(0, Ordering::AcqRel);
        let begun = self.begun.swap(0, Ordering::AcqRel);
        let moved = self.moved.swap(0, Ordering::AcqRel);
        if (begun | moved | ended) == 0 {
            return;
        }
        for index in 0..PARAM_COUNT {
            let bit = 1_u64 << index;
            let Some(id) = table.id(index).filter(|_| (begun | moved | ended) & bit != 0) else { continue };
            // SAFETY: the list copies the event.
            let push = |header: &clap_event_header| unsafe { push(out, header) };
            if begun & bit != 0 && self.open.load(Ordering::Relaxed) & bit == 0 {
                if !push(&gesture(id, CLAP_EVENT_PARAM_GESTURE_BEGIN).header) {
                    self.write_again(begun & bit, moved & bit, ended & bit);
                    continue;
                }
                self.open.fetch_or(bit, Ordering::Relaxed);
            }
            if moved & bit != 0 {
                let event = value(id, f64::from(normalized(shared, index) * table.steps(shared, id)));
                if !push(&event.header) {
                    self.write_again(0, bit, ended & bit);
                    continue;
                }
            }
            if ended & bit != 0 && self.open.load(Ordering::Relaxed) & bit != 0 {
                if push(&gesture(id, CLAP_EVENT_PARAM_GESTURE_END).header) {
                    self.open.fetch_and(!bit, Ordering::Relaxed);
                } else {
                    self.write_again(0, 0, bit);
                }
            }
        }
    }

    /// The host's list is full: these come with the next one.
    fn write_again(&self, begun: u64, moved: u64, ended: u64) {
        self.begun.fetch_or(begun, Ordering::AcqRel);
        self.moved.fetch_or(moved, Ordering::AcqRel);
        self.ended.fetch_or(ended, Ordering::AcqRel);
    }
}

impl HostSide for Host {
    fn tell(&self, shared: &Shared, news: News) {
        let note = |bits: &AtomicU64, index: usize| {
            if index < PARAM_COUNT {
                bits.fetch_or(1_u64 << index, Ordering::AcqRel);
            }
            // SAFETY: null or the host's extension.
            if let Some(flush) = unsafe { self.params.as_ref() }.and_then(|params| params.request_flush) {
                // SAFETY: may be called on any thread but the audio thread, where no news is told.
                unsafe { flush(self.host) };
            }
        };
        match news {
            News::Begin(index) => note(&self.begun, index),
            News::Value(index, _) => note(&self.moved, index),
            News::End(index) => note(&self.ended, index),
            News::Settings => {
                // SAFETY: null or the host's extension.
                if let Some(dirty) = unsafe { self.state.as_ref() }.and_then(|state| state.mark_dirty) {
                    // SAFETY: settings are told on the main thread.
                    unsafe { dirty(self.host) };
                }
                self.latency_may_have_changed(shared);
            }
        }
    }

    fn is_told_from_any_thread(&self, news: News) -> bool {
        news != News::Settings
    }
}

fn header(size: usize, kind: u16) -> clap_event_header {
    clap_event_header {
        size: size as u32,
        time: 0,
        space_id: CLAP_CORE_EVENT_SPACE_ID,
        type_: kind,
        flags: CLAP_EVENT_IS_LIVE,
    }
}

fn gesture(id: u32, kind: u16) -> clap_event_param_gesture {
    clap_event_param_gesture { header: header(size_of::<clap_event_param_gesture>(), kind), param_id: id }
}

fn value(id: u32, value: f64) -> clap_event_param_value {
    clap_event_param_value {
        header: header(size_of::<clap_event_param_value>(), CLAP_EVENT_PARAM_VALUE),
        param_id: id,
        cookie: std::ptr::null_mut(),
        note_id: -1,
        port_index: -1,
        channel: -1,
        key: -1,
        value,
    }
}
