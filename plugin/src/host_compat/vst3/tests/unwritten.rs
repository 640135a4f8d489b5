//! However `process()` ends, no output keeps what lay in it before: neither where it plays nor where it refuses, nor in
//! channels and buses that nobody agreed on.

use vst3::Steinberg::Vst::{
    AudioBusBuffers, AudioBusBuffers__type0, IAudioProcessorTrait, IComponentTrait, ProcessData,
};
use vst3::Steinberg::{kInvalidArgument, kResultFalse, kResultOk, tresult};

use super::{RATE_HZ, set_up, start, stems};
use crate::classes::{RehearseKit, Stems};
use crate::host_compat::buses::MAX_OUTPUTS;
use crate::host_compat::vst3::class::{Object, lock};

type Plugin = Object<RehearseKit<Stems>>;

const FRAMES: usize = 96;
/// What lies in every output before.
const LEFT_OVER: f64 = 0.5;

/// One block of noise into outputs of these numbers of channels; what is in them afterwards, as 64 bits.
fn play(object: &Plugin, outputs: &[usize], bits: usize, offline: bool) -> (tresult, Vec<f64>) {
    let mut input = vec![0.25_f32; FRAMES];
    let mut inputs = [input.as_mut_ptr(); 2];
    let count: usize = outputs.iter().sum();
    let mut narrow = vec![[LEFT_OVER as f32; FRAMES]; count];
    let mut wide = vec![[LEFT_OVER; FRAMES]; count];
    let mut narrow_pointers: Vec<*mut f32> = narrow.iter_mut().map(|channel| channel.as_mut_ptr()).collect();
    let mut wide_pointers: Vec<*mut f64> = wide.iter_mut().map(|channel| channel.as_mut_ptr()).collect();
    let mut at = 0;
    let mut buses: Vec<AudioBusBuffers> = outputs
        .iter()
        .map(|&channels| {
            let pointers = if bits == 64 {
                AudioBusBuffers__type0 { channelBuffers64: wide_pointers[at..].as_mut_ptr() }
            } else {
                AudioBusBuffers__type0 { channelBuffers32: narrow_pointers[at..].as_mut_ptr() }
            };
            at += channels;
            AudioBusBuffers { numChannels: channels as i32, silenceFlags: 3, __field0: pointers }
        })
        .collect();
    let mut input_bus = AudioBusBuffers {
        numChannels: 2,
        silenceFlags: 0,
        __field0: AudioBusBuffers__type0 { channelBuffers32: inputs.as_mut_ptr() },
    };
    let mut data = ProcessData {
        processMode: if offline { 2 } else { 0 },
        symbolicSampleSize: i32::from(bits == 64),
        numSamples: FRAMES as i32,
        numInputs: 1,
        numOutputs: buses.len() as i32,
        inputs: &mut input_bus,
        outputs: buses.as_mut_ptr(),
        inputParameterChanges: std::ptr::null_mut(),
        outputParameterChanges: std::ptr::null_mut(),
        inputEvents: std::ptr::null_mut(),
        outputEvents: std::ptr::null_mut(),
        processContext: std::ptr::null_mut(),
    };
    // SAFETY: everything in it lives until the call is over.
    let result = unsafe { object.process(&mut data) };
    assert!(buses.iter().all(|bus| bus.silenceFlags == 0), "declared silent");
    let narrow = narrow.iter().flatten().map(|sample| f64::from(*sample));
    (result, if bits == 64 { wide.concat() } else { narrow.collect() })
}

fn assert_silent((result, samples): (tresult, Vec<f64>), expected: tresult) {
    assert_eq!(result, expected);
    assert!(samples.iter().all(|sample| *sample == 0.0), "an output was not written");
}

#[test]
fn a_refused_block_is_silent() {
    let object = stems();
    let all = [2; MAX_OUTPUTS];
    assert_silent(play(&object, &all, 32, false), kResultFalse);
    start(&*object);
    assert_silent(play(&object, &all, 64, false), kInvalidArgument);
    {
        // Another thread of the host is in there.
        let _busy = lock(&object.audio);
        assert_silent(play(&object, &all, 32, false), kResultFalse);
    }
    assert_eq!(play(&object, &all, 32, false).0, kResultOk);
    // SAFETY: as a host calls it.
    assert_eq!(unsafe { object.setActive(0) }, kResultOk);
    assert_silent(play(&object, &all, 32, false), kResultFalse);
}

#[test]
fn the_main_thread_does_not_silence_the_audio_thread() {
    let object = stems();
    start(&*object);
    let _asking = lock(&object.arrangement);
    assert_silent(play(&object, &[2; MAX_OUTPUTS], 32, false), kResultOk);
    // Behind the latency there must be music.
    let blocks = (RATE_HZ / 4.0) as usize / FRAMES + 2;
    let heard = (0..blocks).any(|_| {
        let (result, samples) = play(&object, &[2; MAX_OUTPUTS], 32, false);
        assert_eq!(result, kResultOk);
        samples.contains(&0.25)
    });
    assert!(heard);
}

#[test]
fn what_a_host_brings_beyond_the_agreed_is_silent() {
    let object = stems();
    start(&*object);
    // More channels than stereo, and more buses than there are.
    assert_silent(play(&object, &[4, 2, 3, 2, 2, 2, 2, 2, 2, 6], 32, false), kResultOk);
}

/// A bounce without a server cannot be exact, says so, and is silent.
#[test]
fn a_failed_bounce_is_silent_to_its_last_block() {
    for announced in [false, true] {
        let object = stems();
        // Nobody is asked there: it is not trusted.
        object.shared.change_settings(|settings| settings.server = Some("192.0.2.1:7433".to_owned()));
        if announced {
            set_up(&*object, 2);
            // SAFETY: as a host calls it.
            assert_eq!(unsafe { object.setActive(1) }, kResultOk);
        } else {
            start(&*object);
        }
        let failed = (0..1_000).position(|_| {
            let (result, samples) = play(&object, &[2; MAX_OUTPUTS], 32, true);
            // The first latency of a bounce is silence as well.
            assert!(samples.iter().all(|sample| *sample == 0.0));
            result == kResultFalse
        });
        assert!(failed.is_some(), "it went on without a server");
        assert_silent(play(&object, &[2; MAX_OUTPUTS], 32, true), kResultFalse);
    }
}
