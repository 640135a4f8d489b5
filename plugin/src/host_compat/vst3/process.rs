//! One block of a VST3 host: buses completed, cut at parameter changes, played part by part through nice-plug.
//! Runs on the audio thread: nothing here allocates, locks, waits, logs or makes a system call. However it ends, every
//! sample of every output was written.

use std::sync::TryLockError;
use std::sync::atomic::Ordering;

use nice_plug::wrapper::vst3::Vst3Plugin;
use vst3::ComRef;
use vst3::Steinberg::Vst::{
    AudioBusBuffers, AudioBusBuffers__type0, IAudioProcessorTrait, IParamValueQueueTrait, IParameterChanges,
    IParameterChangesTrait, ProcessContext, ProcessContext_::StatesAndFlags_, ProcessData, ProcessModes_,
    SymbolicSampleSizes_,
};
use vst3::Steinberg::{kInvalidArgument, kResultFalse, kResultOk, tresult};

use super::class::Object;
use crate::host_compat::buses::{Buses, Channels, HostBus, Layout, MAX_OUTPUTS, silence};
use crate::host_compat::events::{Change, Events, Source};

/// What the audio thread keeps between blocks.
#[derive(Default)]
pub(super) struct AudioSide {
    buses: Buses,
    events: Events,
}

#[allow(clippy::unnecessary_cast)] // another type on another platform
const SAMPLE_32: i32 = SymbolicSampleSizes_::kSample32 as i32;
#[allow(clippy::unnecessary_cast)]
const SAMPLE_64: i32 = SymbolicSampleSizes_::kSample64 as i32;
#[allow(clippy::unnecessary_cast)]
const OFFLINE: i32 = ProcessModes_::kOffline as i32;
#[allow(clippy::unnecessary_cast)]
const TEMPO_VALID: u32 = StatesAndFlags_::kTempoValid as u32;
#[allow(clippy::unnecessary_cast)]
const PLAYING: u32 = StatesAndFlags_::kPlaying as u32;

impl<P: Vst3Plugin> Object<P> {
    /// # Safety
    /// `data` is what a host hands to `process()`.
    pub(super) unsafe fn process_block(&self, data: &ProcessData) -> tresult {
        // SAFETY: as the host called us.
        unsafe {
            self.play_block(data).unwrap_or_else(|refusal| {
                finish(data, |_| false);
                refusal
            })
        }
    }

    /// Plays the block, or says why nothing was written.
    ///
    /// # Safety
    /// As [`Self::process_block`].
    unsafe fn play_block(&self, data: &ProcessData) -> Result<tresult, tresult> {
        if !self.active.load(Ordering::Acquire) {
            return Err(kResultFalse);
        }
        if data.symbolicSampleSize != SAMPLE_32 {
            return Err(kInvalidArgument);
        }
        let mut audio = match self.audio.try_lock() {
            Ok(audio) => audio,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            // Two threads in one plugin at once: a host's mistake that must not become ours.
            Err(TryLockError::WouldBlock) => return Err(kResultFalse),
        };
        let AudioSide { buses, events } = &mut *audio;
        let frames = frames(data);
        // SAFETY: null or the host's list, valid for this call.
        let changes = unsafe { HostChanges::new(data.inputParameterChanges) };
        events.begin(&self.shared, &self.table, &changes, frames);
        if frames == 0 || data.numOutputs <= 0 || data.outputs.is_null() {
            // Parameters only.
            events.apply_until(&self.shared, &self.table, &changes, usize::MAX);
            return Ok(kResultOk);
        }
        let layout = self.layout.get();
        // SAFETY: the host's pointers are valid for this call, and as many buses are there as it says.
        unsafe {
            let input = bus(data.inputs, data.numInputs, 0);
            buses.take(&layout, input, |index| bus(data.outputs, data.numOutputs, index));
        }
        self.shared.follow(data.processMode == OFFLINE);
        // SAFETY: null or the host's, valid for this call.
        let context = unsafe { data.processContext.as_ref() };
        let rate_hz = context.map_or(0.0, |context| context.sampleRate);
        let mut result = kResultOk;
        let mut at = 0;
        while at < frames {
            let next = events.apply_until(&self.shared, &self.table, &changes, at).unwrap_or(frames);
            let end = next.min(frames).min(at.saturating_add(buses.longest()));
            let mut here = context.map(|context| moved(context, at, rate_hz));
            self.shared.set_carried(at > 0);
            // SAFETY: the pointers are complete and valid for `end - at` frames from `at` on.
            let part = unsafe { self.part(data, buses, &layout, at, end - at, here.as_mut()) };
            if part != kResultOk {
                result = part;
                // SAFETY: as above.
                unsafe { buses.silence_part(&layout, end - at) };
            }
            at = end;
        }
        // SAFETY: as the host called us.
        unsafe { finish(data, |channel| buses.is_played(&layout, channel)) };
        Ok(result)
    }

    /// # Safety
    /// `buses` are complete for `frames` frames from `at` on.
    unsafe fn part(
        &self,
        data: &ProcessData,
        buses: &mut Buses,
        layout: &Layout,
        at: usize,
        frames: usize,
        context: Option<&mut ProcessContext>,
    ) -> tresult {
        let (input, outputs) = buses.at(at);
        let mut inputs = [connected(input, layout.input_channels)];
        let mut buffers: [AudioBusBuffers; MAX_OUTPUTS] = std::array::from_fn(|index| {
            let count = layout.output_channels(index);
            connected(&mut outputs[index], count)
        });
        let mut part = ProcessData {
            processMode: data.processMode,
            symbolicSampleSize: SAMPLE_32,
            numSamples: frames as i32,
            numInputs: 1,
            numOutputs: layout.outputs as i32,
            inputs: inputs.as_mut_ptr(),
            outputs: buffers.as_mut_ptr(),
            // Applied already; nice-plug must not see them.
            inputParameterChanges: std::ptr::null_mut(),
            outputParameterChanges: data.outputParameterChanges,
            inputEvents: std::ptr::null_mut(),
            outputEvents: data.outputEvents,
            processContext: context.map_or(std::ptr::null_mut(), |context| context),
        };
        // SAFETY: everything in it is valid for this call.
        unsafe { self.inner.process(&mut part) }
    }
}

fn frames(data: &ProcessData) -> usize {
    usize::try_from(data.numSamples).unwrap_or(0)
}

/// Silences the host's outputs but those that were played, and declares none of them silent.
///
/// # Safety
/// `data` is what a host hands to `process()`.
unsafe fn finish(data: &ProcessData, is_played: impl Fn(*mut f32) -> bool) {
    if data.outputs.is_null() {
        return;
    }
    let frames = frames(data);
    for index in 0..usize::try_from(data.numOutputs).unwrap_or(0) {
        // SAFETY: below the host's own count.
        let output = unsafe { &mut *data.outputs.add(index) };
        output.silenceFlags = 0;
        let count = i64::from(output.numChannels);
        // SAFETY: which pointer counts is said by the size of a sample; of one that does not exist none does.
        unsafe {
            match data.symbolicSampleSize {
                SAMPLE_32 => silence(output.__field0.channelBuffers32, count, frames, &is_played),
                SAMPLE_64 => silence(output.__field0.channelBuffers64, count, frames, |_| false),
                _ => {}
            }
        }
    }
}

/// Bus `index` of a host's list.
///
/// # Safety
/// `buses` is null or has `count` buses behind it.
unsafe fn bus(buses: *mut AudioBusBuffers, count: i32, index: usize) -> HostBus {
    if buses.is_null() || usize::try_from(count).unwrap_or(0) <= index {
        return HostBus::ABSENT;
    }
    // SAFETY: below the host's own count; with 32 bit samples this is the pointer that counts.
    unsafe {
        let bus = &*buses.add(index);
        HostBus { channels: bus.__field0.channelBuffers32, count: i64::from(bus.numChannels) }
    }
}

fn connected(channels: &mut Channels, count: usize) -> AudioBusBuffers {
    AudioBusBuffers {
        numChannels: count as i32,
        silenceFlags: 0,
        __field0: AudioBusBuffers__type0 { channelBuffers32: channels.as_mut_ptr() },
    }
}

/// The host's context `frames` into the block.
fn moved(context: &ProcessContext, frames: usize, rate_hz: f64) -> ProcessContext {
    let mut moved = *context;
    if moved.state & PLAYING != 0 {
        moved.projectTimeSamples = moved.projectTimeSamples.saturating_add(frames as i64);
        if moved.state & TEMPO_VALID != 0 && rate_hz > 0.0 {
            moved.projectTimeMusic += frames as f64 / rate_hz / 60.0 * moved.tempo;
        }
    }
    moved.continousTimeSamples = moved.continousTimeSamples.saturating_add(frames as i64);
    moved
}

/// A host's parameter changes for one block.
struct HostChanges(*mut IParameterChanges);

impl HostChanges {
    /// # Safety
    /// `changes` is null or the host's object, valid as long as this is.
    unsafe fn new(changes: *mut IParameterChanges) -> Self {
        Self(changes)
    }
}

impl Source for HostChanges {
    fn each(&self, take: &mut dyn FnMut(u32, i64, Change)) {
        // SAFETY: null or the host's object, by the promise of `new`.
        let Some(changes) = (unsafe { ComRef::from_raw(self.0) }) else { return };
        // SAFETY: the host's object, its own counts, and places of ours to write to.
        unsafe {
            for queue in 0..changes.getParameterCount() {
                let Some(queue) = ComRef::from_raw(changes.getParameterData(queue)) else { continue };
                let id = queue.getParameterId();
                for point in 0..queue.getPointCount() {
                    let (mut frame, mut value) = (0, 0.0);
                    if queue.getPoint(point, &mut frame, &mut value) == kResultOk {
                        take(id, i64::from(frame), Change::Set((value as f32).clamp(0.0, 1.0)));
                    }
                }
            }
        }
    }
}
