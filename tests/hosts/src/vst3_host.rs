//! A VST3 host, enough of one to play: the bundle's library, one instance, blocks with parameters, transport and any
//! buses, watched by the guard. What no good host would do, it does when it is asked.
#![allow(clippy::unwrap_used, reason = "what stands in for a host may fall down")]
#![allow(unsafe_code)] // COM is C's.

use std::{
    ffi::{CStr, CString, c_char, c_void},
    sync::Mutex,
};

use serde_json::Value;
use vst3::{
    Class, ComPtr, ComWrapper,
    Steinberg::{
        IBStream, IBStreamTrait, IPluginBaseTrait, IPluginFactory, IPluginFactoryTrait, PClassInfo,
        Vst::{
            AudioBusBuffers, AudioBusBuffers__type0, IAudioProcessor, IAudioProcessorTrait, IComponent,
            IComponentTrait, IEditController, IEditControllerTrait, IParamValueQueue, IParamValueQueueTrait,
            IParameterChanges, IParameterChangesTrait, ParamID, ParamValue, ParameterInfo, ProcessContext,
            ProcessData, ProcessSetup,
        },
        int32, int64, kResultFalse, kResultOk, tresult,
    },
};

use crate::{
    bundle,
    guard::{self, Offences},
    songs::Stereo,
};

/// The class with one output, and the one with an output per stem.
pub const CLASSES: [&str; 2] = ["RehearseKit", "RehearseKit Stems"];
/// What an output holds before it is written.
pub const UNWRITTEN: f32 = 9.0;

/// `ProcessContext::state`: it plays, and tempo, meter and the song's beats are valid.
const STATE: u32 = 1 << 1 | 1 << 9 | 1 << 10 | 1 << 13;

/// A loaded library; it stays loaded.
fn factory() -> ComPtr<IPluginFactory> {
    let library = bundle::vst3().join("Contents").join(format!("{}-linux", std::env::consts::ARCH));
    let path = CString::new(library.join("RehearseKit.so").to_str().unwrap()).unwrap();
    // SAFETY: our own library, and functions of the types that VST3 gives them.
    unsafe {
        let library = libc::dlopen(path.as_ptr(), libc::RTLD_NOW | libc::RTLD_LOCAL);
        assert!(!library.is_null(), "{path:?} cannot be loaded");
        let find = |name: &CStr| {
            let found = libc::dlsym(library, name.as_ptr());
            assert!(!found.is_null(), "there is no {name:?}");
            found
        };
        let enter: extern "C" fn(*mut c_void) -> bool = std::mem::transmute(find(c"ModuleEntry"));
        assert!(enter(library));
        let get: extern "system" fn() -> *mut IPluginFactory = std::mem::transmute(find(c"GetPluginFactory"));
        ComPtr::from_raw(get()).unwrap()
    }
}

fn text(bytes: &[c_char]) -> String {
    bytes.iter().take_while(|byte| **byte != 0).map(|byte| *byte as u8 as char).collect()
}

/// One block of a host.
#[derive(Debug, Clone, Copy)]
pub struct Block<'a> {
    /// Whether it says that it bounces.
    pub offline: bool,
    /// How many output buses it brings.
    pub outputs: usize,
    /// Parameter changes: identifier, frame, value in 0..=1.
    pub changes: &'a [(ParamID, i32, f64)],
    /// Where the playhead is, if the host has one.
    pub position: Option<i64>,
}

/// What became of it.
pub struct Played {
    /// What the plugin said.
    pub result: tresult,
    /// What its audio thread did that it must not.
    pub offences: Offences,
    /// By bus.
    pub out: Vec<Stereo>,
}

/// An instance.
pub struct Vst3 {
    component: ComPtr<IComponent>,
    processor: ComPtr<IAudioProcessor>,
    controller: ComPtr<IEditController>,
    rate_hz: u32,
    /// Output buses that were declared.
    pub outputs: usize,
}

impl Vst3 {
    /// An instance of this class of the bundle.
    pub fn new(class: &str) -> Self {
        let factory = factory();
        // SAFETY: as a host calls it.
        unsafe {
            let infos = (0..factory.countClasses()).map(|index| {
                let mut info: PClassInfo = std::mem::zeroed();
                assert_eq!(factory.getClassInfo(index, &mut info), kResultOk);
                info
            });
            let info = infos.into_iter().find(|info| text(&info.name) == class).unwrap();
            let mut object = std::ptr::null_mut();
            let iid = <IComponent as vst3::Interface>::IID;
            let made = factory.createInstance(info.cid.as_ptr(), iid.as_ptr().cast(), &mut object);
            assert_eq!(made, kResultOk);
            let component = ComPtr::from_raw(object.cast::<IComponent>()).unwrap();
            assert_eq!(component.initialize(std::ptr::null_mut()), kResultOk);
            let outputs = component.getBusCount(0, 1) as usize;
            let (processor, controller) = (component.cast().unwrap(), component.cast().unwrap());
            Self { component, processor, controller, rate_hz: 0, outputs }
        }
    }

    /// A parameter's identifier by its name.
    pub fn param(&self, name: &str) -> ParamID {
        // SAFETY: as a host calls it.
        unsafe {
            for index in 0..self.controller.getParameterCount() {
                let mut info: ParameterInfo = std::mem::zeroed();
                assert_eq!(self.controller.getParameterInfo(index, &mut info), kResultOk);
                let title = info.title.iter().copied().take_while(|unit| *unit != 0);
                if char::decode_utf16(title).map(Result::unwrap).eq(name.chars()) {
                    return info.id;
                }
            }
        }
        panic!("there is no parameter {name}");
    }

    /// Opens the project that it has with other settings.
    pub fn configure(&self, settings: &[(&str, Value)]) {
        let file = ComWrapper::new(File::default());
        let stream = file.to_com_ptr::<IBStream>().unwrap();
        // SAFETY: as a host calls it.
        assert_eq!(unsafe { self.component.getState(stream.as_ptr()) }, kResultOk);
        let mut state: Value = serde_json::from_slice(&file.0.lock().unwrap().0).unwrap();
        let mut all: Value = serde_json::from_str(state["fields"]["settings"].as_str().unwrap()).unwrap();
        settings.iter().for_each(|(key, value)| all[*key] = value.clone());
        state["fields"]["settings"] = Value::String(all.to_string());
        *file.0.lock().unwrap() = (state.to_string().into_bytes(), 0);
        // SAFETY: as a host calls it.
        assert_eq!(unsafe { self.component.setState(stream.as_ptr()) }, kResultOk);
    }

    /// Sets up and activates.
    pub fn activate(&mut self, rate_hz: u32, max_block_frames: u32, offline: bool) {
        let mut setup = ProcessSetup {
            processMode: if offline { 2 } else { 0 },
            symbolicSampleSize: 0,
            maxSamplesPerBlock: max_block_frames as i32,
            sampleRate: f64::from(rate_hz),
        };
        self.rate_hz = rate_hz;
        // SAFETY: as a host calls it.
        unsafe {
            assert_eq!(self.processor.setupProcessing(&mut setup), kResultOk);
            assert_eq!(self.component.setActive(1), kResultOk);
            assert_eq!(self.processor.setProcessing(1), kResultOk);
        }
    }

    /// Deactivates.
    pub fn deactivate(&mut self) {
        // SAFETY: as a host calls it.
        unsafe {
            self.processor.setProcessing(0);
            assert_eq!(self.component.setActive(0), kResultOk);
        }
    }

    /// The latency.
    pub fn latency(&self) -> usize {
        // SAFETY: as a host calls it.
        unsafe { self.processor.getLatencySamples() as usize }
    }

    /// What a main thread asks while audio runs.
    pub fn asker(&self) -> Asker {
        Asker { processor: self.processor.clone(), controller: self.controller.clone() }
    }

    /// Plays one block, on a thread that was enrolled with the guard.
    pub fn block(&self, mix: [&[f32]; 2], block: Block<'_>) -> Played {
        let frames = mix[0].len();
        let mut sources = mix.map(<[f32]>::to_vec);
        let mut out: Vec<Stereo> = vec![[(); 2].map(|()| vec![UNWRITTEN; frames]); block.outputs];
        let mut input = sources.each_mut().map(Vec::as_mut_ptr);
        let mut pointers: Vec<_> = out.iter_mut().map(|bus| bus.each_mut().map(Vec::as_mut_ptr)).collect();
        let mut inputs = [bus(&mut input)];
        let mut outputs: Vec<AudioBusBuffers> = pointers.iter_mut().map(bus).collect();
        let changes = changes(block.changes);
        let mut context = block.position.map(|position| self.context(position));
        let mut data = ProcessData {
            processMode: if block.offline { 2 } else { 0 },
            symbolicSampleSize: 0,
            numSamples: frames as i32,
            numInputs: 1,
            numOutputs: outputs.len() as i32,
            inputs: inputs.as_mut_ptr(),
            outputs: outputs.as_mut_ptr(),
            inputParameterChanges: changes.as_ptr(),
            outputParameterChanges: std::ptr::null_mut(),
            inputEvents: std::ptr::null_mut(),
            outputEvents: std::ptr::null_mut(),
            processContext: context.as_mut().map_or(std::ptr::null_mut(), |context| context),
        };
        // SAFETY: everything in it lives until the call is over.
        let (result, offences) = guard::watch(|| unsafe { self.processor.process(&mut data) });
        Played { result, offences, out }
    }

    fn context(&self, position: i64) -> ProcessContext {
        // SAFETY: the structure is plain numbers, for which zero is a value.
        let mut context: ProcessContext = unsafe { std::mem::zeroed() };
        context.state = STATE;
        context.sampleRate = f64::from(self.rate_hz);
        context.projectTimeSamples = position;
        context.tempo = 120.0;
        context.projectTimeMusic = position as f64 / context.sampleRate * 2.0;
        (context.timeSigNumerator, context.timeSigDenominator) = (4, 4);
        context
    }
}

/// Asks an instance what any host asks while it plays.
pub struct Asker {
    processor: ComPtr<IAudioProcessor>,
    controller: ComPtr<IEditController>,
}

// SAFETY: what it calls, VST3 lets a main thread call while audio runs.
unsafe impl Send for Asker {}

impl Asker {
    /// All of it, once.
    pub fn ask(&self) {
        // SAFETY: as a host calls it.
        unsafe {
            // More often than the rest: it takes a lock.
            for _ in 0..1_000 {
                let mut arrangement = 0;
                assert_eq!(self.processor.getBusArrangement(1, 0, &mut arrangement), kResultOk);
            }
            self.processor.getLatencySamples();
            self.processor.getTailSamples();
            for index in 0..self.controller.getParameterCount() {
                let mut info: ParameterInfo = std::mem::zeroed();
                assert_eq!(self.controller.getParameterInfo(index, &mut info), kResultOk);
                self.controller.getParamNormalized(info.id);
            }
        }
    }
}

impl Drop for Vst3 {
    fn drop(&mut self) {
        // SAFETY: as a host calls it, also after `deactivate`.
        unsafe {
            self.component.setActive(0);
            self.component.terminate();
        }
    }
}

fn bus(channels: &mut [*mut f32; 2]) -> AudioBusBuffers {
    AudioBusBuffers {
        numChannels: 2,
        silenceFlags: 3,
        __field0: AudioBusBuffers__type0 { channelBuffers32: channels.as_mut_ptr() },
    }
}

fn changes(list: &[(ParamID, i32, f64)]) -> ComPtr<IParameterChanges> {
    let queue = |change: &(ParamID, i32, f64)| ComWrapper::new(Queue(*change)).to_com_ptr().unwrap();
    ComWrapper::new(Queues(list.iter().map(queue).collect())).to_com_ptr().unwrap()
}

struct Queue((ParamID, i32, f64));

impl Class for Queue {
    type Interfaces = (IParamValueQueue,);
}

impl IParamValueQueueTrait for Queue {
    unsafe fn getParameterId(&self) -> ParamID {
        self.0.0
    }

    unsafe fn getPointCount(&self) -> int32 {
        1
    }

    unsafe fn getPoint(&self, _index: int32, frame: *mut int32, value: *mut ParamValue) -> tresult {
        // SAFETY: the plugin gives places to write to.
        unsafe { (*frame, *value) = (self.0.1, self.0.2) };
        kResultOk
    }

    unsafe fn addPoint(&self, _frame: int32, _value: ParamValue, _index: *mut int32) -> tresult {
        kResultFalse
    }
}

struct Queues(Vec<ComPtr<IParamValueQueue>>);

impl Class for Queues {
    type Interfaces = (IParameterChanges,);
}

impl IParameterChangesTrait for Queues {
    unsafe fn getParameterCount(&self) -> int32 {
        self.0.len() as int32
    }

    unsafe fn getParameterData(&self, index: int32) -> *mut IParamValueQueue {
        self.0[index as usize].as_ptr()
    }

    unsafe fn addParameterData(&self, _id: *const ParamID, _index: *mut int32) -> *mut IParamValueQueue {
        std::ptr::null_mut()
    }
}

/// A project file in memory, and the place in it.
#[derive(Default)]
struct File(Mutex<(Vec<u8>, usize)>);

impl Class for File {
    type Interfaces = (IBStream,);
}

impl IBStreamTrait for File {
    unsafe fn read(&self, buffer: *mut c_void, count: int32, done: *mut int32) -> tresult {
        let mut file = self.0.lock().unwrap();
        let (at, count) = (file.1, (count as usize).min(file.0.len() - file.1));
        // SAFETY: the plugin's buffer has room for what it asked for, and `done` is null or its place.
        unsafe {
            std::ptr::copy_nonoverlapping(file.0[at..].as_ptr(), buffer.cast(), count);
            if let Some(done) = done.as_mut() {
                *done = count as int32;
            }
        }
        file.1 += count;
        kResultOk
    }

    unsafe fn write(&self, buffer: *mut c_void, count: int32, done: *mut int32) -> tresult {
        // SAFETY: the plugin's buffer has as much in it as it says, and `done` is null or its place.
        unsafe {
            let bytes = std::slice::from_raw_parts(buffer.cast::<u8>(), count as usize);
            self.0.lock().unwrap().0.extend_from_slice(bytes);
            if let Some(done) = done.as_mut() {
                *done = count;
            }
        }
        kResultOk
    }

    unsafe fn seek(&self, to: int64, mode: int32, now: *mut int64) -> tresult {
        let mut file = self.0.lock().unwrap();
        file.1 = if mode == 2 { file.0.len() } else { to as usize };
        // SAFETY: null or a place of the plugin's.
        if let Some(now) = unsafe { now.as_mut() } {
            *now = file.1 as int64;
        }
        kResultOk
    }

    unsafe fn tell(&self, now: *mut int64) -> tresult {
        // SAFETY: the plugin gives a place to write to.
        unsafe { *now = self.0.lock().unwrap().1 as int64 };
        kResultOk
    }
}
