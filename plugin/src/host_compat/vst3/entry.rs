//! What a VST3 host finds in the library by name, per platform. Only Linux's could be tried.

use std::ffi::c_void;

/// The door to everything else.
#[unsafe(no_mangle)]
pub extern "system" fn GetPluginFactory() -> *mut c_void {
    super::get_plugin_factory()
}

/// Linux: the library was loaded.
#[cfg(all(target_family = "unix", not(target_os = "macos")))]
#[unsafe(no_mangle)]
pub extern "C" fn ModuleEntry(_library: *mut c_void) -> bool {
    true
}

/// Linux: the library will be unloaded.
#[cfg(all(target_family = "unix", not(target_os = "macos")))]
#[unsafe(no_mangle)]
pub extern "C" fn ModuleExit() -> bool {
    crate::unload::leave();
    true
}

/// macOS: the library was loaded.
#[cfg(target_os = "macos")]
#[unsafe(no_mangle)]
#[allow(non_snake_case)]
pub extern "C" fn bundleEntry(_bundle: *mut c_void) -> bool {
    true
}

/// macOS: the library will be unloaded.
#[cfg(target_os = "macos")]
#[unsafe(no_mangle)]
#[allow(non_snake_case)]
pub extern "C" fn bundleExit() -> bool {
    crate::unload::leave();
    true
}

/// Windows: the library was loaded.
#[cfg(target_os = "windows")]
#[unsafe(no_mangle)]
pub extern "system" fn InitDll() -> bool {
    true
}

/// Windows: the library will be unloaded.
#[cfg(target_os = "windows")]
#[unsafe(no_mangle)]
pub extern "system" fn ExitDll() -> bool {
    crate::unload::leave();
    true
}
