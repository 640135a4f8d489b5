//! The edit controller side: forwarded, with its traps closed. nice-plug's controller knows what its processor knows
//! and nothing else: what a host sets while audio runs would be forgotten until the processor is told too. A host that
//! asks at once is answered with its own word here.

use std::sync::atomic::Ordering;

use nice_plug::wrapper::vst3::Vst3Plugin;
use vst3::ComRef;
use vst3::Steinberg::Vst::{
    IComponentHandler, IEditControllerTrait, ParamID, ParamValue, ParameterInfo, String128, TChar,
};
use vst3::Steinberg::{FIDString, IBStream, IPlugView, int32, kInvalidArgument, kResultOk, tresult};

use super::class::Object;
use crate::host_compat::values;

/// What a host may have typed: as long as its own texts are, 128 units.
const MOST_UNITS: usize = 128;

/// A number that nice-plug can calculate with; it subtracts from what are no parameter's values, too.
fn sound(value: ParamValue) -> ParamValue {
    if value.is_nan() { 0.0 } else { value.clamp(-1e6, 1e6) }
}

/// A host's text; `None` where there is none.
///
/// # Safety
/// `string` is null or ends with a zero.
unsafe fn text(string: *const TChar) -> Option<String> {
    if string.is_null() {
        return None;
    }
    // SAFETY: nothing behind the zero is read.
    let units = (0..MOST_UNITS).map(|index| unsafe { *string.add(index) }).take_while(|unit| *unit != 0);
    let text = char::decode_utf16(units).map(|unit| unit.unwrap_or(char::REPLACEMENT_CHARACTER));
    Some(text.collect())
}

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
        if string.is_null() || !value.is_finite() {
            return kInvalidArgument;
        }
        // SAFETY: forwarded as the host called it.
        unsafe { self.inner.getParamStringByValue(id, value, string) }
    }

    unsafe fn getParamValueByString(
        &self,
        id: ParamID,
        string: *mut TChar,
        value: *mut ParamValue,
    ) -> tresult {
        // SAFETY: null or the host's text, which ends with a zero.
        let text = unsafe { text(string) };
        let typed = || values::typed(&self.shared, self.table.index(id)?, &text?);
        // SAFETY: null or a place of the host's.
        match (typed(), unsafe { value.as_mut() }) {
            (Some(typed), Some(value)) => {
                *value = f64::from(typed);
                kResultOk
            }
            _ => kInvalidArgument,
        }
    }

    unsafe fn normalizedParamToPlain(&self, id: ParamID, value: ParamValue) -> ParamValue {
        let value = sound(value).clamp(0.0, 1.0);
        // SAFETY: forwarded as the host called it.
        unsafe { self.inner.normalizedParamToPlain(id, value) }
    }

    unsafe fn plainParamToNormalized(&self, id: ParamID, value: ParamValue) -> ParamValue {
        let value = sound(value);
        // SAFETY: forwarded as the host called it.
        unsafe { self.inner.plainParamToNormalized(id, value) }.clamp(0.0, 1.0)
    }

    unsafe fn getParamNormalized(&self, id: ParamID) -> ParamValue {
        let Some(index) = self.table.index(id) else {
            // SAFETY: forwarded as the host called it.
            return unsafe { self.inner.getParamNormalized(id) };
        };
        let announced = self.shared.announced.get(index);
        f64::from(announced.unwrap_or_else(|| values::normalized(&self.shared, index)))
    }

    unsafe fn setParamNormalized(&self, id: ParamID, value: ParamValue) -> tresult {
        let (Some(index), Some(value)) = (self.table.index(id), values::nearest(value as f32)) else {
            return kInvalidArgument;
        };
        if self.processing.load(Ordering::Acquire) {
            // The host tells the processor when it is time.
            self.shared.announced.announce(index, value);
        } else {
            values::set(&self.shared, index, value);
        }
        kResultOk
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
