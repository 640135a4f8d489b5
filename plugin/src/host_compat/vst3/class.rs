//! The object that a VST3 host holds: nice-plug's wrapper, and around it what the host must not notice. This file
//! has the object and its component side (buses, activation, state).

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use nice_plug::wrapper::vst3::{Vst3Plugin, Wrapper};
use vst3::Steinberg::Vst::{
    BusDirection, BusInfo, ChannelContext::IInfoListener, IAudioProcessor, IComponent, IComponentTrait,
    IEditController, IEditControllerTrait, IHostApplication, IHostApplicationTrait, IPrefetchableSupport,
    IProcessContextRequirements, IUnitInfo, IoMode, MediaType, ParameterInfo, ProcessSetup, RoutingInfo,
    SpeakerArrangement, String128,
};
use vst3::Steinberg::{
    FUnknown, IBStream, IPluginBaseTrait, TBool, TUID, int32, kResultFalse, kResultOk, tresult,
};
use vst3::{Class, ComRef};

use super::handler::Handler;
use super::numbers::{INPUT, MONO, STEREO};
use super::process::AudioSide;
use super::stream;
use crate::host_compat::buses::{Layout, LayoutCell, MAX_OUTPUTS};
use crate::host_compat::events::ParamTable;
use crate::params::PARAM_COUNT;
use crate::project;
use crate::shared::Shared;

/// Hosts that run a plugin with the time, and with the automation, of what comes out of it: Ardour, and what is made
/// of it.
const TELL_OF_OUTPUT: [&str; 2] = ["Ardour", "Mixbus"];

/// The host's name.
///
/// # Safety
/// `context` is null or what a host hands to `initialize`.
unsafe fn name_of(context: *mut FUnknown) -> Option<String> {
    // SAFETY: null or the host's object.
    let host = unsafe { ComRef::from_raw(context) }?.cast::<IHostApplication>()?;
    let mut name: String128 = [0; 128];
    // SAFETY: a place of ours to write to.
    let told = unsafe { host.getName(&mut name) } == kResultOk;
    let units = || name.iter().take_while(|unit| **unit != 0).copied();
    told.then(|| char::decode_utf16(units()).map(|unit| unit.unwrap_or('\u{fffd}')).collect())
}

/// What was agreed about the buses.
#[derive(Debug, Clone, Copy)]
pub(super) struct Arrangement {
    pub(super) input: SpeakerArrangement,
    /// Main, then the others; those that are not there stay empty.
    pub(super) outputs: [SpeakerArrangement; MAX_OUTPUTS],
    pub(super) count: usize,
}

impl Arrangement {
    pub(super) fn layout(&self) -> Layout {
        let channels = |arrangement| if arrangement == MONO { 1 } else { 2 };
        Layout {
            input_channels: channels(self.input),
            main_channels: channels(self.outputs[0]),
            outputs: self.count,
        }
    }
}

/// See the module's words.
pub(super) struct Object<P: Vst3Plugin> {
    pub(super) inner: Wrapper<P>,
    pub(super) shared: Arc<Shared>,
    pub(super) table: ParamTable,
    pub(super) handler: Arc<Handler>,
    /// Not for the audio thread.
    pub(super) arrangement: Mutex<Arrangement>,
    /// What the audio thread may know of it.
    pub(super) layout: LayoutCell,
    /// The audio thread's; nobody else holds it while audio runs.
    pub(super) audio: Mutex<AudioSide>,
    pub(super) setup: Mutex<Option<ProcessSetup>>,
    pub(super) active: AtomicBool,
    /// Whether the host sends changes of parameters to the processor, too.
    pub(super) processing: AtomicBool,
}

impl<P: Vst3Plugin> Class for Object<P> {
    type Interfaces = (
        IComponent,
        IEditController,
        IAudioProcessor,
        IProcessContextRequirements,
        IUnitInfo,
        IInfoListener,
        IPrefetchableSupport,
    );
}

impl<P: Vst3Plugin> Object<P> {
    pub(super) fn new() -> Self {
        let (inner, shared) = Shared::of_new(Wrapper::<P>::new);
        let id_of = |index| {
            // SAFETY: the structure is plain numbers and characters, for which zero is a value.
            let mut info: ParameterInfo = unsafe { std::mem::zeroed() };
            // SAFETY: `info` is ours, and the index is below the count.
            let told = unsafe { inner.getParameterInfo(index, &mut info) };
            if told == kResultOk { info.id } else { u32::MAX }
        };
        let table = ParamTable::new((0..PARAM_COUNT as i32).map(id_of).collect());
        let aux = P::AUDIO_IO_LAYOUTS.first().map_or(0, |layout| layout.aux_output_ports.len());
        let count = (1 + aux).min(MAX_OUTPUTS);
        let mut outputs = [super::numbers::EMPTY; MAX_OUTPUTS];
        outputs[..count].fill(STEREO);
        let arrangement = Arrangement { input: STEREO, outputs, count };
        let ids = (0..PARAM_COUNT).filter_map(|index| table.id(index)).collect();
        let handler = Arc::new(Handler::new(ids));
        shared.set_host(Some(handler.clone()));
        shared.gestures.expect_echoes();
        Self {
            inner,
            shared,
            table,
            handler,
            layout: LayoutCell::new(arrangement.layout()),
            arrangement: Mutex::new(arrangement),
            audio: Mutex::default(),
            setup: Mutex::new(None),
            active: AtomicBool::new(false),
            processing: AtomicBool::new(false),
        }
    }
}

/// Each of our locks holds plain data that is never left half done.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<P: Vst3Plugin> Drop for Object<P> {
    fn drop(&mut self) {
        self.shared.set_host(None);
        // Ends an offline wait before anything else is taken apart.
        self.shared.deactivate();
    }
}

impl<P: Vst3Plugin> IPluginBaseTrait for Object<P> {
    unsafe fn initialize(&self, context: *mut FUnknown) -> tresult {
        // SAFETY: null or the host's object, valid for this call.
        let host = unsafe { name_of(context) }.unwrap_or_default();
        if TELL_OF_OUTPUT.iter().any(|name| host.starts_with(name)) {
            self.shared.set_tells_of_output();
        }
        // SAFETY: forwarded as the host called it.
        unsafe { self.inner.initialize(context) }
    }

    unsafe fn terminate(&self) -> tresult {
        self.handler.set(None);
        // SAFETY: forwarded as the host called it.
        unsafe { self.inner.terminate() }
    }
}

impl<P: Vst3Plugin> IComponentTrait for Object<P> {
    unsafe fn getControllerClassId(&self, id: *mut TUID) -> tresult {
        // SAFETY: forwarded as the host called it.
        unsafe { self.inner.getControllerClassId(id) }
    }

    unsafe fn setIoMode(&self, mode: IoMode) -> tresult {
        // SAFETY: forwarded as the host called it.
        unsafe { self.inner.setIoMode(mode) }
    }

    unsafe fn getBusCount(&self, media: MediaType, direction: BusDirection) -> int32 {
        // SAFETY: forwarded as the host called it.
        unsafe { self.inner.getBusCount(media, direction) }
    }

    unsafe fn getBusInfo(
        &self,
        media: MediaType,
        direction: BusDirection,
        index: int32,
        info: *mut BusInfo,
    ) -> tresult {
        if index < 0 {
            // nice-plug takes a negative index for the first auxiliary bus.
            return vst3::Steinberg::kInvalidArgument;
        }
        // SAFETY: forwarded as the host called it.
        unsafe { self.inner.getBusInfo(media, direction, index, info) }
    }

    unsafe fn getRoutingInfo(&self, input: *mut RoutingInfo, output: *mut RoutingInfo) -> tresult {
        // SAFETY: forwarded as the host called it.
        unsafe { self.inner.getRoutingInfo(input, output) }
    }

    unsafe fn activateBus(
        &self,
        media: MediaType,
        direction: BusDirection,
        index: int32,
        on: TBool,
    ) -> tresult {
        // SAFETY: forwarded as the host called it.
        unsafe { self.inner.activateBus(media, direction, index, on) }
    }

    unsafe fn setActive(&self, on: TBool) -> tresult {
        if on == 0 {
            // `process()` may be waiting for the exact chunk and holds nice-plug's lock meanwhile. This is for good:
            // not even a reset that comes now begins another wait.
            self.shared.instance.deactivate();
        }
        // SAFETY: forwarded as the host called it.
        let result = unsafe { self.inner.setActive(on) };
        self.active.store(on != 0 && result == kResultOk, Ordering::Release);
        result
    }

    unsafe fn setState(&self, state: *mut IBStream) -> tresult {
        // SAFETY: null or the host's stream, valid for this call.
        let Some(bytes) = (unsafe { stream::read(state) }) else { return kResultFalse };
        if project::load(&self.shared, &bytes).is_err() {
            return kResultFalse;
        }
        self.shared.announced.take().for_each(drop);
        self.handler.latency_may_have_changed(&self.shared);
        kResultOk
    }

    unsafe fn getState(&self, state: *mut IBStream) -> tresult {
        // SAFETY: null or the host's stream, valid for this call.
        let written = unsafe { stream::write(state, &project::save(&self.shared)) };
        if written { kResultOk } else { kResultFalse }
    }
}

impl<P: Vst3Plugin> Object<P> {
    /// Whether there is an input bus with this number in this direction.
    pub(super) fn bus_arrangement(
        &self,
        direction: BusDirection,
        index: int32,
    ) -> Option<SpeakerArrangement> {
        let arrangement = lock(&self.arrangement);
        let index = usize::try_from(index).ok()?;
        if direction == INPUT {
            (index == 0).then_some(arrangement.input)
        } else if direction == super::numbers::OUTPUT {
            arrangement.outputs[..arrangement.count].get(index).copied()
        } else {
            None
        }
    }
}
