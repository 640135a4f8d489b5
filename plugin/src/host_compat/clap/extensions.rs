//! Extensions in front of nice-plug's: parameters (it panics at index = count, takes events for the audio thread's, and
//! reads choices in one spelling only), latency (what the settings say), state (`project`; another latency wants a
//! restart), render (it waits for a restart where it should follow), tail (it locks). All others are its own.

use std::ffi::{CStr, c_char, c_void};

use clap_sys::events::{clap_input_events, clap_output_events};
use clap_sys::ext::latency::{CLAP_EXT_LATENCY, clap_plugin_latency};
use clap_sys::ext::params::{CLAP_EXT_PARAMS, clap_param_info, clap_plugin_params};
use clap_sys::ext::render::{
    CLAP_EXT_RENDER, CLAP_RENDER_OFFLINE, CLAP_RENDER_REALTIME, clap_plugin_render, clap_plugin_render_mode,
};
use clap_sys::ext::state::{CLAP_EXT_STATE, clap_plugin_state};
use clap_sys::ext::tail::{CLAP_EXT_TAIL, clap_plugin_tail};
use clap_sys::id::clap_id;
use clap_sys::plugin::clap_plugin;
use clap_sys::stream::{clap_istream, clap_ostream};

use super::plugin::{AfterInit, Object};
use super::stream;
use crate::host_compat::values;
use crate::project;

impl Object {
    /// # Safety
    /// As the host calls `get_extension`; `id` is not null.
    pub(super) unsafe fn extension(&self, plugin: *const clap_plugin, id: *const c_char) -> *const c_void {
        // SAFETY: not null, and the host passes a string.
        let name = unsafe { CStr::from_ptr(id) };
        if self.after_init.get().is_none() {
            return std::ptr::null();
        }
        if name == CLAP_EXT_PARAMS {
            (&raw const PARAMS).cast()
        } else if name == CLAP_EXT_LATENCY {
            (&raw const LATENCY).cast()
        } else if name == CLAP_EXT_STATE {
            (&raw const STATE).cast()
        } else if name == CLAP_EXT_RENDER {
            (&raw const RENDER).cast()
        } else if name == CLAP_EXT_TAIL {
            (&raw const TAIL).cast()
        } else {
            // SAFETY: as the host called us.
            self.inner.get_extension.map_or(std::ptr::null(), |get| unsafe { get(plugin, id) })
        }
    }
}

impl Object {
    /// Tells nice-plug what is rendered, so that it activates for that. Not while active: it would ask for a restart.
    pub(super) fn hand_on_mode(&self, plugin: *const clap_plugin) {
        let offline = self.shared.mode().is_offline();
        let mode = if offline { CLAP_RENDER_OFFLINE } else { CLAP_RENDER_REALTIME };
        // SAFETY: after `init`, and this is that extension.
        let render = unsafe { self.inner_extension::<clap_plugin_render>(CLAP_EXT_RENDER) };
        if let Some(set) = render.and_then(|render| render.set) {
            // SAFETY: our `plugin` has nice-plug's `plugin_data`.
            unsafe { set(plugin, mode) };
        }
    }
}

static TAIL: clap_plugin_tail = clap_plugin_tail { get: Some(tail_get) };

unsafe extern "C" fn tail_get(plugin: *const clap_plugin) -> u32 {
    // SAFETY: as the host called us.
    unsafe { Object::of(plugin) }.map_or(0, |object| object.shared.tail_frames())
}

static RENDER: clap_plugin_render = clap_plugin_render {
    has_hard_realtime_requirement: Some(render_has_hard_realtime_requirement),
    set: Some(render_set),
};

unsafe extern "C" fn render_has_hard_realtime_requirement(_plugin: *const clap_plugin) -> bool {
    false
}

/// Followed from the next block on, active or not.
unsafe extern "C" fn render_set(plugin: *const clap_plugin, mode: clap_plugin_render_mode) -> bool {
    // SAFETY: as the host called us.
    let Some(object) = (unsafe { Object::of(plugin) }) else { return false };
    match mode {
        CLAP_RENDER_OFFLINE => object.shared.set_offline(true),
        CLAP_RENDER_REALTIME => {
            object.shared.set_offline(false);
            // Whatever a bounce waits for, nobody wants it any more.
            object.shared.instance.cancel_offline();
        }
        _ => return false,
    }
    true
}

/// nice-plug's parameter extension, and what belongs to it.
///
/// # Safety
/// The host's pointer to one of our objects.
unsafe fn params<'a>(
    plugin: *const clap_plugin,
) -> Option<(&'a Object, &'a AfterInit, &'a clap_plugin_params)> {
    // SAFETY: promised by the caller; nice-plug's extension lives as long as its object.
    unsafe {
        let object = Object::of(plugin)?;
        let after_init = object.after_init.get()?;
        Some((object, after_init, after_init.params.as_ref()?))
    }
}

static PARAMS: clap_plugin_params = clap_plugin_params {
    count: Some(params_count),
    get_info: Some(params_get_info),
    get_value: Some(params_get_value),
    value_to_text: Some(params_value_to_text),
    text_to_value: Some(params_text_to_value),
    flush: Some(params_flush),
};

unsafe extern "C" fn params_count(plugin: *const clap_plugin) -> u32 {
    // SAFETY: as the host called us.
    unsafe { params(plugin).and_then(|(.., inner)| inner.count).map_or(0, |count| count(plugin)) }
}

unsafe extern "C" fn params_get_info(
    plugin: *const clap_plugin,
    index: u32,
    info: *mut clap_param_info,
) -> bool {
    // SAFETY: as the host called us; nice-plug is not asked beyond its count.
    unsafe {
        let get = params(plugin).and_then(|(.., inner)| inner.get_info);
        index < params_count(plugin) && get.is_some_and(|get| get(plugin, index, info))
    }
}

unsafe extern "C" fn params_get_value(plugin: *const clap_plugin, id: clap_id, value: *mut f64) -> bool {
    // SAFETY: as the host called us.
    unsafe {
        params(plugin).and_then(|(.., inner)| inner.get_value).is_some_and(|get| get(plugin, id, value))
    }
}

unsafe extern "C" fn params_value_to_text(
    plugin: *const clap_plugin,
    id: clap_id,
    value: f64,
    text: *mut c_char,
    size: u32,
) -> bool {
    // SAFETY: as the host called us.
    unsafe {
        let convert = params(plugin).and_then(|(.., inner)| inner.value_to_text);
        let sound = !text.is_null() && size > 0 && value.is_finite();
        sound && convert.is_some_and(|convert| convert(plugin, id, value, text, size))
    }
}

unsafe extern "C" fn params_text_to_value(
    plugin: *const clap_plugin,
    id: clap_id,
    text: *const c_char,
    value: *mut f64,
) -> bool {
    // SAFETY: as the host called us; a text is a string.
    unsafe {
        let Some((object, after_init, _)) = params(plugin).filter(|_| !text.is_null() && !value.is_null())
        else {
            return false;
        };
        let (shared, table) = (&object.shared, &after_init.table);
        let typed = || values::typed(shared, table.index(id)?, CStr::from_ptr(text).to_str().ok()?);
        let Some(normalized) = typed() else { return false };
        *value = f64::from(normalized * table.steps(shared, id));
        true
    }
}

unsafe extern "C" fn params_flush(
    plugin: *const clap_plugin,
    events: *const clap_input_events,
    out: *const clap_output_events,
) {
    // SAFETY: as the host called us: on the audio thread while active, else on the main thread.
    unsafe {
        let Some((object, after_init, _)) = params(plugin) else { return };
        object.flush(events);
        after_init.host.write_gestures(out, &object.shared, &after_init.table);
    }
}

static LATENCY: clap_plugin_latency = clap_plugin_latency { get: Some(latency_get) };

unsafe extern "C" fn latency_get(plugin: *const clap_plugin) -> u32 {
    // SAFETY: as the host called us.
    unsafe { Object::of(plugin) }.map_or(0, Object::tell_latency)
}

static STATE: clap_plugin_state = clap_plugin_state { save: Some(state_save), load: Some(state_load) };

unsafe extern "C" fn state_save(plugin: *const clap_plugin, stream: *const clap_ostream) -> bool {
    // SAFETY: as the host called us.
    let (object, stream) = unsafe { (Object::of(plugin), stream.as_ref()) };
    let (Some(object), Some(stream)) = (object, stream) else { return false };
    // SAFETY: the host's stream, valid for this call.
    unsafe { stream::write(stream, &project::save(&object.shared)) }
}

unsafe extern "C" fn state_load(plugin: *const clap_plugin, stream: *const clap_istream) -> bool {
    // SAFETY: as the host called us.
    let (object, stream) = unsafe { (Object::of(plugin), stream.as_ref()) };
    let (Some(object), Some(stream)) = (object, stream) else { return false };
    // SAFETY: the host's stream, valid for this call.
    let Some(bytes) = (unsafe { stream::read(stream) }) else { return false };
    if project::load(&object.shared, &bytes).is_err() {
        return false;
    }
    if let Some(after_init) = object.after_init.get() {
        after_init.host.values_have_changed();
        after_init.host.latency_may_have_changed(&object.shared);
    }
    true
}
