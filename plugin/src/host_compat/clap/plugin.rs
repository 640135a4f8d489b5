//! The object that a CLAP host holds, and its life: init, activate, deactivate, destroy. What happens in a block is
//! in `process`, what is in the extensions in `extensions`.

use std::ffi::{c_char, c_void};
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, OnceLock};

use clap_sys::ext::audio_ports::{CLAP_EXT_AUDIO_PORTS, clap_audio_port_info, clap_plugin_audio_ports};
use clap_sys::ext::params::{CLAP_EXT_PARAMS, clap_param_info, clap_plugin_params};
use clap_sys::host::clap_host;
use clap_sys::plugin::clap_plugin;
use clap_sys::process::{CLAP_PROCESS_ERROR, clap_process, clap_process_status};
use nice_plug::wrapper::clap::{ClapPlugin, Wrapper};

use super::host::Host;
use super::process::AudioSide;
use crate::host_compat::buses::{Layout, LayoutCell, MAX_OUTPUTS};
use crate::host_compat::events::ParamTable;
use crate::params::PARAM_COUNT;
use crate::shared::Shared;

/// No latency was told yet.
const NOTHING_TOLD: i64 = -1;

/// Our object. The host holds a pointer to `plugin`, which is the same as one to the whole.
#[repr(C)]
pub(super) struct Object {
    plugin: clap_plugin,
    /// nice-plug's functions, to be called with our `plugin`: they only look at `plugin_data`.
    pub(super) inner: clap_plugin,
    pub(super) shared: Arc<Shared>,
    host: *const clap_host,
    /// From `init` on.
    pub(super) after_init: OnceLock<AfterInit>,
    pub(super) audio: Mutex<AudioSide>,
    pub(super) layout: LayoutCell,
    /// The latency in frames that the host knows.
    told_frames: AtomicI64,
}

/// What can only be had from `init` on.
pub(super) struct AfterInit {
    pub(super) host: Arc<Host>,
    pub(super) table: ParamTable,
    pub(super) params: *const clap_plugin_params,
}

/// Makes an object.
///
/// # Safety
/// `host` is valid for the life of the object.
pub(super) unsafe fn create<P: ClapPlugin>(host: *const clap_host) -> *const clap_plugin {
    // SAFETY: promised by the caller.
    let (wrapper, shared) = Shared::of_new(|| unsafe { Wrapper::<P>::new(host) });
    // SAFETY: nobody else has it yet. The share leaked here is taken back by nice-plug's `destroy`.
    let inner = unsafe { *(*Arc::into_raw(wrapper)).clap_plugin.as_ptr() };
    let plugin = clap_plugin {
        desc: inner.desc,
        plugin_data: inner.plugin_data,
        init: Some(init),
        destroy: Some(destroy),
        activate: Some(activate),
        deactivate: Some(deactivate),
        start_processing: Some(start_processing),
        stop_processing: Some(stop_processing),
        reset: Some(reset),
        process: Some(process),
        get_extension: Some(get_extension),
        on_main_thread: Some(on_main_thread),
    };
    let layout = Layout { input_channels: 2, main_channels: 2, outputs: 1 };
    let object = Box::new(Object {
        plugin,
        inner,
        shared,
        host,
        after_init: OnceLock::new(),
        audio: Mutex::default(),
        layout: LayoutCell::new(layout),
        told_frames: AtomicI64::new(NOTHING_TOLD),
    });
    Box::into_raw(object).cast()
}

impl Object {
    /// The object behind the host's pointer.
    ///
    /// # Safety
    /// `plugin` is null or came from [`create`] and was not destroyed.
    pub(super) unsafe fn of<'a>(plugin: *const clap_plugin) -> Option<&'a Self> {
        // SAFETY: `plugin` is the first field of an `Object`.
        unsafe { plugin.cast::<Self>().as_ref() }
    }

    /// An extension of nice-plug's.
    ///
    /// # Safety
    /// `T` is what extension `id` is; after `init`.
    pub(super) unsafe fn inner_extension<T>(&self, id: &std::ffi::CStr) -> Option<&T> {
        let get = self.inner.get_extension?;
        // SAFETY: our `plugin` has nice-plug's `plugin_data`.
        unsafe { get(&self.plugin, id.as_ptr()).cast::<T>().as_ref() }
    }

    /// The latency by the settings, noted as told.
    pub(super) fn tell_latency(&self) -> u32 {
        let frames = self.shared.running_latency_frames().unwrap_or_else(|| self.shared.latency_frames());
        self.told_frames.store(i64::from(frames), Ordering::Relaxed);
        frames
    }

    /// How many channels and buses the host and nice-plug agreed on.
    fn read_layout(&self) -> Layout {
        let mut layout = Layout { input_channels: 2, main_channels: 2, outputs: 1 };
        // SAFETY: after `init`, and this is that extension.
        let Some(ports) = (unsafe { self.inner_extension::<clap_plugin_audio_ports>(CLAP_EXT_AUDIO_PORTS) })
        else {
            return layout;
        };
        let channels = |is_input| {
            // SAFETY: the structure is plain numbers, characters and pointers, for which zero is a value.
            let mut info: clap_audio_port_info = unsafe { std::mem::zeroed() };
            // SAFETY: port 0 exists, and `info` is ours.
            let told = ports.get.is_some_and(|get| unsafe { get(&self.plugin, 0, is_input, &mut info) });
            if told { info.channel_count.clamp(1, 2) as usize } else { 2 }
        };
        layout.input_channels = channels(true);
        layout.main_channels = channels(false);
        if let Some(count) = ports.count {
            // SAFETY: our `plugin` has nice-plug's `plugin_data`.
            layout.outputs = unsafe { count(&self.plugin, false) as usize }.min(MAX_OUTPUTS);
        }
        layout
    }
}

unsafe extern "C" fn init(plugin: *const clap_plugin) -> bool {
    // SAFETY: the host's pointer to one of our objects.
    let Some(object) = (unsafe { Object::of(plugin) }) else { return false };
    // SAFETY: as the host called us.
    if !object.inner.init.is_some_and(|init| unsafe { init(plugin) }) {
        return false;
    }
    // SAFETY: after `init`, and this is that extension.
    let params = unsafe { object.inner_extension::<clap_plugin_params>(CLAP_EXT_PARAMS) };
    let id_of = |index| {
        // SAFETY: the structure is plain numbers, characters and pointers, for which zero is a value.
        let mut info: clap_param_info = unsafe { std::mem::zeroed() };
        let get = params.and_then(|params| params.get_info);
        // SAFETY: the index is below the count, and `info` is ours.
        if get.is_some_and(|get| unsafe { get(plugin, index, &mut info) }) { info.id } else { u32::MAX }
    };
    let table = ParamTable::new((0..PARAM_COUNT as u32).map(id_of).collect());
    // SAFETY: the host is valid for the life of the object.
    let host = Arc::new(unsafe { Host::new(object.host) });
    object.shared.set_host(Some(host.clone()));
    let params = params.map_or(std::ptr::null(), |params| params as *const _);
    object.after_init.set(AfterInit { host, table, params }).is_ok()
}

unsafe extern "C" fn destroy(plugin: *const clap_plugin) {
    // SAFETY: the host's pointer to one of our objects.
    let Some(object) = (unsafe { Object::of(plugin) }) else { return };
    object.shared.set_host(None);
    object.shared.deactivate();
    if let Some(destroy) = object.inner.destroy {
        // SAFETY: nice-plug takes back its share through `plugin_data`.
        unsafe { destroy(plugin) };
    }
    // SAFETY: it came from `Box::into_raw` in `create`, and the host does not use it any more.
    drop(unsafe { Box::from_raw(plugin.cast_mut().cast::<Object>()) });
}

unsafe extern "C" fn activate(
    plugin: *const clap_plugin,
    rate_hz: f64,
    min_frames: u32,
    max_frames: u32,
) -> bool {
    // SAFETY: the host's pointer to one of our objects.
    let Some(object) = (unsafe { Object::of(plugin) }) else { return false };
    let Some(after_init) = object.after_init.get() else { return false };
    let sound = rate_hz.is_finite() && (1.0..=f64::from(u32::MAX)).contains(&rate_hz) && max_frames > 0;
    let Some(inner) = object.inner.activate.filter(|_| sound) else { return false };
    object.layout.set(object.read_layout());
    object.hand_on_mode(plugin);
    // SAFETY: as the host called us.
    if !unsafe { inner(plugin, rate_hz, min_frames, max_frames) } {
        return false;
    }
    after_init.host.active.store(true, Ordering::Release);
    let knew = object.told_frames.load(Ordering::Relaxed);
    let now = object.tell_latency();
    if knew != NOTHING_TOLD && knew != i64::from(now) {
        // Here and nowhere else: we are being activated.
        after_init.host.latency_changed();
    }
    true
}

unsafe extern "C" fn deactivate(plugin: *const clap_plugin) {
    // SAFETY: the host's pointer to one of our objects.
    let Some(object) = (unsafe { Object::of(plugin) }) else { return };
    // `process()` may be waiting for the exact chunk and holds nice-plug's lock meanwhile. This is for good: not even a
    // reset that comes now begins another wait.
    object.shared.instance.deactivate();
    if let Some(after_init) = object.after_init.get() {
        after_init.host.active.store(false, Ordering::Release);
    }
    if let Some(inner) = object.inner.deactivate {
        // SAFETY: as the host called us.
        unsafe { inner(plugin) };
    }
}

unsafe extern "C" fn start_processing(plugin: *const clap_plugin) -> bool {
    // SAFETY: the host's pointer to one of our objects.
    let inner = unsafe { Object::of(plugin) }.and_then(|object| object.inner.start_processing);
    // SAFETY: as the host called us.
    inner.is_some_and(|inner| unsafe { inner(plugin) })
}

unsafe extern "C" fn stop_processing(plugin: *const clap_plugin) {
    // SAFETY: the host's pointer to one of our objects.
    if let Some(inner) = unsafe { Object::of(plugin) }.and_then(|object| object.inner.stop_processing) {
        // SAFETY: as the host called us.
        unsafe { inner(plugin) };
    }
}

unsafe extern "C" fn reset(plugin: *const clap_plugin) {
    // SAFETY: the host's pointer to one of our objects.
    if let Some(inner) = unsafe { Object::of(plugin) }.and_then(|object| object.inner.reset) {
        // SAFETY: as the host called us.
        unsafe { inner(plugin) };
    }
}

unsafe extern "C" fn process(plugin: *const clap_plugin, block: *const clap_process) -> clap_process_status {
    // SAFETY: the host's pointer to one of our objects, and null or its block.
    match unsafe { (Object::of(plugin), block.as_ref()) } {
        // SAFETY: as the host called us.
        (Some(object), Some(block)) => unsafe { object.process_block(plugin, block) },
        _ => CLAP_PROCESS_ERROR,
    }
}

unsafe extern "C" fn get_extension(plugin: *const clap_plugin, id: *const c_char) -> *const c_void {
    // SAFETY: the host's pointer to one of our objects.
    match unsafe { Object::of(plugin) } {
        // SAFETY: as the host called us.
        Some(object) if !id.is_null() => unsafe { object.extension(plugin, id) },
        _ => std::ptr::null(),
    }
}

unsafe extern "C" fn on_main_thread(plugin: *const clap_plugin) {
    // SAFETY: the host's pointer to one of our objects.
    if let Some(inner) = unsafe { Object::of(plugin) }.and_then(|object| object.inner.on_main_thread) {
        // SAFETY: as the host called us.
        unsafe { inner(plugin) };
    }
}
