//! A VST3 host for tests: blocks, a project file in memory, an ear for what the plugin says. It does what the tests
//! ask, also what no good host would.

use std::ffi::c_void;
use std::sync::Mutex;

use nice_plug::prelude::Vst3Plugin;
use vst3::Steinberg::Vst::{
    AudioBusBuffers, AudioBusBuffers__type0, IAudioProcessorTrait, IComponentHandler, IComponentHandlerTrait,
    IParamValueQueue, IParamValueQueueTrait, IParameterChanges, IParameterChangesTrait, ParamID, ParamValue,
    ProcessContext, ProcessData,
};
use vst3::Steinberg::{IBStream, IBStreamTrait, int32, int64, kResultFalse, kResultOk, tresult};
use vst3::{Class, ComPtr, ComWrapper};

use crate::host_compat::buses::MAX_OUTPUTS;
use crate::host_compat::vst3::class::Object;

/// Which outputs the host brings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outs {
    /// One bus, whatever was declared.
    MainOnly,
    /// One bus with one channel.
    Mono,
    /// All buses, all but the first without memory.
    NullPointers,
    /// All buses.
    All,
    /// One bus with old sound in it, for so many frames, and no input.
    Garbage(usize),
}

fn bus(channels: &mut [*mut f32]) -> AudioBusBuffers {
    AudioBusBuffers {
        numChannels: channels.len() as i32,
        silenceFlags: 3,
        __field0: AudioBusBuffers__type0 { channelBuffers32: channels.as_mut_ptr() },
    }
}

fn data(inputs: &mut [AudioBusBuffers], outputs: &mut [AudioBusBuffers], frames: usize) -> ProcessData {
    ProcessData {
        processMode: 0,
        symbolicSampleSize: 0,
        numSamples: frames as i32,
        numInputs: inputs.len() as i32,
        numOutputs: outputs.len() as i32,
        inputs: inputs.as_mut_ptr(),
        outputs: outputs.as_mut_ptr(),
        inputParameterChanges: std::ptr::null_mut(),
        outputParameterChanges: std::ptr::null_mut(),
        inputEvents: std::ptr::null_mut(),
        outputEvents: std::ptr::null_mut(),
        processContext: std::ptr::null_mut(),
    }
}

/// Plays `input` (an empty channel is not connected) in blocks of `frames` and gives what came out, channel by
/// channel. Every block must end with `expected`, all well if there is none.
pub(super) fn cut<P: Vst3Plugin>(
    object: &Object<P>,
    input: &[Vec<f32>; 2],
    outs: Outs,
    frames: usize,
    expected: Option<tresult>,
) -> Vec<Vec<f32>> {
    let length = if let Outs::Garbage(length) = outs { length } else { input[0].len() };
    let channels = if outs == Outs::Mono { 1 } else { 2 };
    let mut memory = vec![vec![0.5_f32; length]; channels * MAX_OUTPUTS];
    let mut sources = input.clone();
    let mut start = 0;
    while start < length {
        let count = frames.min(length - start);
        let at = |channel: &mut Vec<f32>| channel.as_mut_ptr().wrapping_add(start);
        let mut inputs: Vec<*mut f32> = sources.iter_mut().filter(|c| !c.is_empty()).map(at).collect();
        let mut outputs: Vec<Vec<*mut f32>> =
            memory.chunks_mut(channels).map(|bus| bus.iter_mut().map(at).collect()).collect();
        let mut input_buses = if inputs.is_empty() { vec![] } else { vec![bus(&mut inputs)] };
        let mut output_buses: Vec<AudioBusBuffers> = outputs.iter_mut().map(|o| bus(o)).collect();
        match outs {
            Outs::All => {}
            Outs::NullPointers => output_buses[1..]
                .iter_mut()
                .for_each(|bus| bus.__field0.channelBuffers32 = std::ptr::null_mut()),
            _ => output_buses.truncate(1),
        }
        let mut data = data(&mut input_buses, &mut output_buses, count);
        // SAFETY: everything in it lives until the call is over.
        let result = unsafe { object.process(&mut data) };
        assert_eq!(result, expected.unwrap_or(kResultOk));
        assert!(expected.is_some() || output_buses[0].silenceFlags == 0, "declared silent");
        start += count;
    }
    memory
}

/// One block with parameter changes and a transport: what comes out of the main output.
pub(super) fn block<P: Vst3Plugin>(
    object: &Object<P>,
    input: &[Vec<f32>; 2],
    changes: Option<&Changes>,
    context: Option<&mut ProcessContext>,
) -> [Vec<f32>; 2] {
    let frames = input[0].len();
    let mut sources = input.clone();
    let mut memory = [vec![0.0_f32; frames], vec![0.0_f32; frames]];
    let mut inputs = sources.each_mut().map(Vec::as_mut_ptr);
    let mut outputs = memory.each_mut().map(Vec::as_mut_ptr);
    let (mut inputs, mut outputs) = ([bus(&mut inputs)], [bus(&mut outputs)]);
    let mut data = data(&mut inputs, &mut outputs, frames);
    let changes = changes.map(|changes| changes.0.as_ptr());
    data.inputParameterChanges = changes.unwrap_or(std::ptr::null_mut());
    data.processContext = context.map_or(std::ptr::null_mut(), |context| context);
    // SAFETY: everything in it lives until the call is over.
    assert_eq!(unsafe { object.process(&mut data) }, kResultOk);
    memory
}

/// A block of no frames and no buses, which only carries parameter changes.
pub(super) fn flush<P: Vst3Plugin>(object: &Object<P>, changes: Option<&Changes>) -> tresult {
    let mut data = data(&mut [], &mut [], 0);
    (data.inputs, data.outputs) = (std::ptr::null_mut(), std::ptr::null_mut());
    data.inputParameterChanges = changes.map_or(std::ptr::null_mut(), |changes| changes.0.as_ptr());
    // SAFETY: everything in it lives until the call is over.
    unsafe { object.process(&mut data) }
}

struct Queue(ParamID, Vec<(int32, f64)>);

impl Class for Queue {
    type Interfaces = (IParamValueQueue,);
}

impl IParamValueQueueTrait for Queue {
    unsafe fn getParameterId(&self) -> ParamID {
        self.0
    }

    unsafe fn getPointCount(&self) -> int32 {
        self.1.len() as int32
    }

    unsafe fn getPoint(&self, index: int32, frame: *mut int32, value: *mut ParamValue) -> tresult {
        let (at, is) = self.1[index as usize];
        // SAFETY: the plugin gives places to write to.
        unsafe { (*frame, *value) = (at, is) };
        kResultOk
    }

    unsafe fn addPoint(&self, _frame: int32, _value: ParamValue, _index: *mut int32) -> tresult {
        kResultFalse
    }
}

struct Queues(ComPtr<IParamValueQueue>);

impl Class for Queues {
    type Interfaces = (IParameterChanges,);
}

impl IParameterChangesTrait for Queues {
    unsafe fn getParameterCount(&self) -> int32 {
        1
    }

    unsafe fn getParameterData(&self, _index: int32) -> *mut IParamValueQueue {
        self.0.as_ptr()
    }

    unsafe fn addParameterData(&self, _id: *const ParamID, _index: *mut int32) -> *mut IParamValueQueue {
        std::ptr::null_mut()
    }
}

/// Changes of one parameter in one block, as `(frame, value)`.
pub(super) struct Changes(ComPtr<IParameterChanges>);

impl Changes {
    pub(super) fn new(id: ParamID, points: &[(int32, f64)]) -> Self {
        let queue = ComWrapper::new(Queue(id, points.to_vec())).to_com_ptr().unwrap();
        Self(ComWrapper::new(Queues(queue)).to_com_ptr().unwrap())
    }
}

/// Its bytes, where it stands, and how much it gives and takes at once.
struct File(Mutex<(Vec<u8>, usize)>, usize);

impl Class for File {
    type Interfaces = (IBStream,);
}

impl IBStreamTrait for File {
    unsafe fn read(&self, buffer: *mut c_void, count: int32, done: *mut int32) -> tresult {
        let mut file = self.0.lock().unwrap();
        let (at, count) = (file.1, (count as usize).min(file.0.len() - file.1).min(self.1));
        // SAFETY: the plugin's buffer has room for what it asked for.
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
        let count = count.min(int32::try_from(self.1).unwrap_or(count));
        // SAFETY: the plugin's buffer has as much in it as it says.
        let bytes = unsafe { std::slice::from_raw_parts(buffer.cast::<u8>(), count as usize) };
        self.0.lock().unwrap().0.extend_from_slice(bytes);
        // SAFETY: null or a place of the plugin's.
        if let Some(done) = unsafe { done.as_mut() } {
            *done = count;
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

/// A project file in memory.
pub(super) struct Memory(ComWrapper<File>, ComPtr<IBStream>);

impl Memory {
    pub(super) fn new() -> Self {
        Self::holding(&[])
    }

    pub(super) fn holding(bytes: &[u8]) -> Self {
        Self::of(bytes, usize::MAX)
    }

    /// One that gives and takes so little at once.
    pub(super) fn in_parts_of(bytes: usize) -> Self {
        Self::of(&[], bytes)
    }

    fn of(bytes: &[u8], most: usize) -> Self {
        let file = ComWrapper::new(File(Mutex::new((bytes.to_vec(), 0)), most));
        let stream = file.to_com_ptr().unwrap();
        Self(file, stream)
    }

    pub(super) fn as_ptr(&self) -> *mut IBStream {
        self.1.as_ptr()
    }

    pub(super) fn rewind(&self) {
        self.0.0.lock().unwrap().1 = 0;
    }
}

#[derive(Default)]
struct Heard {
    restarts: Vec<int32>,
    gestures: Vec<String>,
}

#[derive(Default)]
struct Listener(Mutex<Heard>);

impl Class for Listener {
    type Interfaces = (IComponentHandler,);
}

impl Listener {
    fn note(&self, gesture: String) -> tresult {
        self.0.lock().unwrap().gestures.push(gesture);
        kResultOk
    }
}

impl IComponentHandlerTrait for Listener {
    unsafe fn beginEdit(&self, id: ParamID) -> tresult {
        self.note(format!("begin {id}"))
    }

    unsafe fn performEdit(&self, id: ParamID, value: ParamValue) -> tresult {
        self.note(format!("{id} to {value}"))
    }

    unsafe fn endEdit(&self, id: ParamID) -> tresult {
        self.note(format!("end {id}"))
    }

    unsafe fn restartComponent(&self, flags: int32) -> tresult {
        self.0.lock().unwrap().restarts.push(flags);
        kResultOk
    }
}

/// Hears what the plugin tells its host.
pub(super) struct Ear(ComWrapper<Listener>, ComPtr<IComponentHandler>);

impl Ear {
    pub(super) fn new() -> Self {
        let listener = ComWrapper::new(Listener::default());
        let handler = listener.to_com_ptr().unwrap();
        Self(listener, handler)
    }

    pub(super) fn as_ptr(&self) -> *mut IComponentHandler {
        self.1.as_ptr()
    }

    pub(super) fn restarts(&self) -> Vec<int32> {
        self.0.0.lock().unwrap().restarts.clone()
    }

    pub(super) fn gestures(&self) -> Vec<String> {
        self.0.0.lock().unwrap().gestures.clone()
    }
}
