//! The edit controller side: forwarded, with its traps closed.

use nice_plug::wrapper::vst3::Vst3Plugin;
use vst3::ComRef;
use vst3::Steinberg::Vst::{
    IComponentHandler, IEditControllerTrait, ParamID, ParamValue, ParameterInfo, String128, TChar,
};
use vst3::Steinberg::{FIDString, IBStream, IPlugView, int32, kInvalidArgument, tresult};

use super::class::Object;

impl<P: Vst3Plugin> IEditControllerTrait for Object<P> {
    unsafe fn setComponentState(&self, state: *mut IBStream) -> tresult {
        // SAFETY: forwarded as the host called it.
        unsafe { self.inner.setComponentState(state) }
    }

    unsafe fn setState(&self, state: *mut IBStream) -> tresult {
        // SAFETY: forwarded as the host called it.
        unsafe { IEditControllerTrait::setState(&self.inner, state) }
    }

    unsafe fn getState(&self, state: *mut IBStream) -> tresult {
        // SAFETY: forwarded as the host called it.
        unsafe { IEditControllerTrait::getState(&self.inner, state) }
    }

    unsafe fn getParameterCount(&self) -> int32 {
        // SAFETY: forwarded as the host called it.
        unsafe { self.inner.getParameterCount() }
    }

    unsafe fn getParameterInfo(&self, index: int32, info: *mut ParameterInfo) -> tresult {
        // nice-plug panics at index = count.
        // SAFETY: no argument.
        if index < 0 || index >= unsafe { self.inner.getParameterCount() } {
            return kInvalidArgument;
        }
        // SAFETY: forwarded as the host called it.
        unsafe { self.inner.getParameterInfo(index, info) }
    }

    unsafe fn getParamStringByValue(
        &self,
        id: ParamID,
        value: ParamValue,
        string: *mut String128,
    ) -> tresult {
        // SAFETY: forwarded as the host called it.
        unsafe { self.inner.getParamStringByValue(id, value, string) }
    }

    unsafe fn getParamValueByString(
        &self,
        id: ParamID,
        string: *mut TChar,
        value: *mut ParamValue,
    ) -> tresult {
        // SAFETY: forwarded as the host called it.
        unsafe { self.inner.getParamValueByString(id, string, value) }
    }

    unsafe fn normalizedParamToPlain(&self, id: ParamID, value: ParamValue) -> ParamValue {
        // SAFETY: forwarded as the host called it.
        unsafe { self.inner.normalizedParamToPlain(id, value) }
    }

    unsafe fn plainParamToNormalized(&self, id: ParamID, value: ParamValue) -> ParamValue {
        // SAFETY: forwarded as the host called it.
        unsafe { self.inner.plainParamToNormalized(id, value) }
    }

    unsafe fn getParamNormalized(&self, id: ParamID) -> ParamValue {
        // SAFETY: forwarded as the host called it.
        unsafe { self.inner.getParamNormalized(id) }
    }

    unsafe fn setParamNormalized(&self, id: ParamID, value: ParamValue) -> tresult {
        // SAFETY: forwarded as the host called it.
        unsafe { self.inner.setParamNormalized(id, value) }
    }

    unsafe fn setComponentHandler(&self, handler: *mut IComponentHandler) -> tresult {
        // SAFETY: null or the host's object; we take our own share of it.
        self.handler.set(unsafe { ComRef::from_raw(handler) }.map(|handler| handler.to_com_ptr()));
        // SAFETY: forwarded as the host called it.
        unsafe { self.inner.setComponentHandler(handler) }
    }

    unsafe fn createView(&self, name: FIDString) -> *mut IPlugView {
        // SAFETY: forwarded as the host called it.
        unsafe { self.inner.createView(name) }
    }
}
