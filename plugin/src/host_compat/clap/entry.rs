//! What a CLAP host finds in the library by name, and the factory behind it.

use std::ffi::{CStr, c_char, c_void};
use std::sync::OnceLock;

use clap_sys::entry::clap_plugin_entry;
use clap_sys::factory::plugin_factory::{CLAP_PLUGIN_FACTORY_ID, clap_plugin_factory};
use clap_sys::host::clap_host;
use clap_sys::plugin::{clap_plugin, clap_plugin_descriptor};
use clap_sys::version::{CLAP_VERSION, clap_version_is_compatible};
use nice_plug::wrapper::clap::{ClapPlugin, PluginDescriptor};

use super::plugin::create;
use crate::classes::{Main, RehearseKit, Stems};

/// A class: how it is described and how one is made.
type Class = (PluginDescriptor, unsafe fn(*const clap_host) -> *const clap_plugin);

fn class<P: ClapPlugin>() -> Class {
    (PluginDescriptor::for_plugin::<P>(), create::<P>)
}

fn classes() -> &'static [Class; 2] {
    static CLASSES: OnceLock<[Class; 2]> = OnceLock::new();
    CLASSES.get_or_init(|| [class::<RehearseKit<Main>>(), class::<RehearseKit<Stems>>()])
}

unsafe extern "C" fn count(_factory: *const clap_plugin_factory) -> u32 {
    classes().len() as u32
}

unsafe extern "C" fn descriptor(
    _factory: *const clap_plugin_factory,
    index: u32,
) -> *const clap_plugin_descriptor {
    let class = classes().get(index as usize);
    class.map_or(std::ptr::null(), |(descriptor, _)| descriptor.clap_plugin_descriptor())
}

unsafe extern "C" fn make(
    _factory: *const clap_plugin_factory,
    host: *const clap_host,
    id: *const c_char,
) -> *const clap_plugin {
    // SAFETY: null or the host's.
    let Some(version) = (unsafe { host.as_ref() }).map(|host| host.clap_version) else {
        return std::ptr::null();
    };
    if id.is_null() || !clap_version_is_compatible(version) {
        return std::ptr::null();
    }
    // SAFETY: not null, and the host passes a string.
    let id = unsafe { CStr::from_ptr(id) };
    match classes().iter().find(|(descriptor, _)| descriptor.clap_id() == id) {
        // SAFETY: the host outlives its plugins.
        Some((_, make)) => unsafe { make(host) },
        None => std::ptr::null(),
    }
}

static FACTORY: clap_plugin_factory = clap_plugin_factory {
    get_plugin_count: Some(count),
    get_plugin_descriptor: Some(descriptor),
    create_plugin: Some(make),
};

unsafe extern "C" fn init(_path: *const c_char) -> bool {
    true
}

unsafe extern "C" fn deinit() {
    crate::unload::leave();
}

unsafe extern "C" fn factory(id: *const c_char) -> *const c_void {
    // SAFETY: not null, and the host passes a string.
    if !id.is_null() && unsafe { CStr::from_ptr(id) } == CLAP_PLUGIN_FACTORY_ID {
        (&raw const FACTORY).cast()
    } else {
        std::ptr::null()
    }
}

/// The door to everything else.
#[unsafe(no_mangle)]
#[allow(non_upper_case_globals)] // the name is the interface
pub static clap_entry: clap_plugin_entry = clap_plugin_entry {
    clap_version: CLAP_VERSION,
    init: Some(init),
    deinit: Some(deinit),
    get_factory: Some(factory),
};
