//! Interfaces that are forwarded as they are: parameter groups, and what the host tells about its track.

use nice_plug::wrapper::vst3::Vst3Plugin;
use vst3::Steinberg::Vst::{
    BusDirection, CString, ChannelContext::IInfoListenerTrait, IAttributeList, IUnitInfoTrait, MediaType,
    ProgramListID, ProgramListInfo, String128, UnitID, UnitInfo,
};
use vst3::Steinberg::{IBStream, int32, kInvalidArgument, tresult};

use super::class::Object;

impl<P: Vst3Plugin> IUnitInfoTrait for Object<P> {
    unsafe fn getUnitCount(&self) -> int32 {
        // SAFETY: forwarded as the host called it.
        unsafe { self.inner.getUnitCount() }
    }

    unsafe fn getUnitInfo(&self, index: int32, info: *mut UnitInfo) -> tresult {
        // SAFETY: forwarded as the host called it.
        unsafe { self.inner.getUnitInfo(index, info) }
    }

    unsafe fn getProgramListCount(&self) -> int32 {
        0
    }

    unsafe fn getProgramListInfo(&self, _index: int32, _info: *mut ProgramListInfo) -> tresult {
        kInvalidArgument
    }

    unsafe fn getProgramName(&self, _list: ProgramListID, _index: int32, _name: *mut String128) -> tresult {
        kInvalidArgument
    }

    unsafe fn getProgramInfo(
        &self,
        _list: ProgramListID,
        _index: int32,
        _attribute: CString,
        _value: *mut String128,
    ) -> tresult {
        kInvalidArgument
    }

    unsafe fn hasProgramPitchNames(&self, _list: ProgramListID, _index: int32) -> tresult {
        kInvalidArgument
    }

    unsafe fn getProgramPitchName(
        &self,
        _list: ProgramListID,
        _index: int32,
        _pitch: i16,
        _name: *mut String128,
    ) -> tresult {
        kInvalidArgument
    }

    unsafe fn getSelectedUnit(&self) -> UnitID {
        // SAFETY: forwarded as the host called it.
        unsafe { self.inner.getSelectedUnit() }
    }

    unsafe fn selectUnit(&self, unit: UnitID) -> tresult {
        // SAFETY: forwarded as the host called it.
        unsafe { self.inner.selectUnit(unit) }
    }

    unsafe fn getUnitByBus(
        &self,
        media: MediaType,
        direction: BusDirection,
        bus: int32,
        channel: int32,
        unit: *mut UnitID,
    ) -> tresult {
        // SAFETY: forwarded as the host called it.
        unsafe { self.inner.getUnitByBus(media, direction, bus, channel, unit) }
    }

    unsafe fn setUnitProgramData(
        &self,
        _list_or_unit: int32,
        _index: int32,
        _data: *mut IBStream,
    ) -> tresult {
        kInvalidArgument
    }
}

impl<P: Vst3Plugin> IInfoListenerTrait for Object<P> {
    unsafe fn setChannelContextInfos(&self, list: *mut IAttributeList) -> tresult {
        // SAFETY: forwarded as the host called it.
        unsafe { self.inner.setChannelContextInfos(list) }
    }
}
