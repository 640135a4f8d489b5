//! The factory: which classes there are, and how one is made. nice-plug's own would make its bare wrapper.

use std::ffi::c_void;

use nice_plug::wrapper::vst3::{PluginInfo, Vst3Plugin};
use vst3::Steinberg::{
    FIDString, FUnknown, IPluginFactory, IPluginFactory2, IPluginFactory2Trait, IPluginFactory3,
    IPluginFactory3Trait, IPluginFactoryTrait, PClassInfo, PClassInfo2, PClassInfoW, PFactoryInfo, TUID,
    int32, kInvalidArgument, kResultFalse, kResultOk, tresult,
};
use vst3::{Class, ComWrapper};

use super::class::Object;
use crate::classes::{Main, RehearseKit, Stems};

struct Factory {
    classes: [(PluginInfo, Make); 2],
}

/// Makes an object and gives out its interface `iid`.
type Make = unsafe fn(iid: FIDString, object: *mut *mut c_void) -> tresult;

/// # Safety
/// `iid` points to an identifier, `object` to a place for a pointer.
unsafe fn make<P: Vst3Plugin>(iid: FIDString, object: *mut *mut c_void) -> tresult {
    let made = ComWrapper::new(Object::<P>::new());
    let Some(unknown) = made.as_com_ref::<FUnknown>() else { return kResultFalse };
    let pointer = unknown.as_ptr();
    // SAFETY: the object is alive; `queryInterface` takes a share of it for the host before ours goes.
    unsafe { ((*(*pointer).vtbl).queryInterface)(pointer, iid.cast::<TUID>(), object) }
}

impl Factory {
    fn new() -> Self {
        Self {
            // Hosts that take the first class they find (DawDreamer) get the one that can do everything.
            classes: [
                (PluginInfo::for_plugin::<RehearseKit<Stems>>(), make::<RehearseKit<Stems>>),
                (PluginInfo::for_plugin::<RehearseKit<Main>>(), make::<RehearseKit<Main>>),
            ],
        }
    }

    fn info(&self, index: int32) -> Option<&PluginInfo> {
        usize::try_from(index).ok().and_then(|index| self.classes.get(index)).map(|(info, _)| info)
    }

    /// Writes what `describe` says of class `index`.
    ///
    /// # Safety
    /// `place` is null or can be written.
    unsafe fn write<T>(&self, index: int32, place: *mut T, describe: impl Fn(&PluginInfo) -> T) -> tresult {
        match self.info(index) {
            Some(info) if !place.is_null() => {
                // SAFETY: not null, promised to be writable.
                unsafe { place.write(describe(info)) };
                kResultOk
            }
            _ => kInvalidArgument,
        }
    }
}

impl Class for Factory {
    type Interfaces = (IPluginFactory, IPluginFactory2, IPluginFactory3);
}

impl IPluginFactoryTrait for Factory {
    unsafe fn getFactoryInfo(&self, info: *mut PFactoryInfo) -> tresult {
        // SAFETY: as the host called us.
        unsafe { self.write(0, info, PluginInfo::create_factory_info) }
    }

    unsafe fn countClasses(&self) -> int32 {
        self.classes.len() as int32
    }

    unsafe fn getClassInfo(&self, index: int32, info: *mut PClassInfo) -> tresult {
        // SAFETY: as the host called us.
        unsafe { self.write(index, info, PluginInfo::create_class_info) }
    }

    unsafe fn createInstance(&self, cid: FIDString, iid: FIDString, object: *mut *mut c_void) -> tresult {
        if cid.is_null() || iid.is_null() || object.is_null() {
            return kInvalidArgument;
        }
        // SAFETY: not null, and an identifier is 16 bytes.
        let cid = unsafe { &*cid.cast::<[u8; 16]>() };
        match self.classes.iter().find(|(info, _)| info.cid == cid) {
            // SAFETY: neither is null.
            Some((_, make)) => unsafe { make(iid, object) },
            None => kInvalidArgument,
        }
    }
}

impl IPluginFactory2Trait for Factory {
    unsafe fn getClassInfo2(&self, index: int32, info: *mut PClassInfo2) -> tresult {
        // SAFETY: as the host called us.
        unsafe { self.write(index, info, PluginInfo::create_class_info_2) }
    }
}

impl IPluginFactory3Trait for Factory {
    unsafe fn getClassInfoUnicode(&self, index: int32, info: *mut PClassInfoW) -> tresult {
        // SAFETY: as the host called us.
        unsafe { self.write(index, info, PluginInfo::create_class_info_unicode) }
    }

    unsafe fn setHostContext(&self, _context: *mut FUnknown) -> tresult {
        kResultOk
    }
}

/// A new factory, owned by the caller; null never happens.
pub fn get_plugin_factory() -> *mut c_void {
    let factory = ComWrapper::new(Factory::new()).to_com_ptr::<IPluginFactory>();
    factory.map_or(std::ptr::null_mut(), |factory| factory.into_raw().cast())
}
