//! The VST3 object driven as hosts drive it, through its interfaces. Each test fails without the work-around it
//! names. The engine plays the mix at its latency, since there is no server here.

mod click;
mod controller;
mod host;
mod unwritten;

use std::sync::Arc;

use vst3::Steinberg::Vst::{
    IAudioProcessor, IAudioProcessorTrait, IComponent, IComponentTrait, IEditController,
    IEditControllerTrait, IPrefetchableSupport, IPrefetchableSupportTrait, IUnitInfoTrait, ProcessModes_,
    ProcessSetup, RestartFlags_, UnitInfo,
};
use vst3::Steinberg::{
    IPluginFactory, IPluginFactoryTrait, PClassInfo, kInvalidArgument, kResultFalse, kResultOk,
};
use vst3::{ComPtr, ComWrapper};

use self::host::{Changes, Ear, Memory, Outs, cut};
use super::class::Object;
use super::numbers::{EMPTY, INPUT, MONO, OUTPUT, STEREO};
use crate::classes::{Main, RehearseKit, Stems};
use crate::host_compat::buses::MAX_OUTPUTS;
use crate::shared::News;

const RATE_HZ: f64 = 44_100.0;
/// 250 ms at that rate.
const LATENCY: usize = 11_025;

fn stems() -> ComWrapper<Object<RehearseKit<Stems>>> {
    ComWrapper::new(Object::new())
}

fn main_class() -> ComWrapper<Object<RehearseKit<Main>>> {
    ComWrapper::new(Object::new())
}

fn set_up<P: nice_plug::prelude::Vst3Plugin>(object: &Object<P>, mode: i32) {
    let mut setup = ProcessSetup {
        processMode: mode,
        symbolicSampleSize: 0,
        maxSamplesPerBlock: 512,
        sampleRate: RATE_HZ,
    };
    // SAFETY: as a host calls it.
    assert_eq!(unsafe { object.setupProcessing(&mut setup) }, kResultOk);
}

fn start<P: nice_plug::prelude::Vst3Plugin>(object: &Object<P>) {
    set_up(object, 0);
    // SAFETY: as a host calls it.
    unsafe {
        assert_eq!(object.setActive(1), kResultOk);
        assert_eq!(object.setProcessing(1), kResultOk);
    }
}

/// A signal whose every frame is different.
fn ramp(frames: usize) -> [Vec<f32>; 2] {
    let channel = |sign: f32| (1..=frames).map(|frame| sign * frame as f32 / 65_536.0).collect();
    [channel(1.0), channel(-1.0)]
}

fn assert_delayed(input: &[Vec<f32>; 2], output: &[Vec<f32>]) {
    for (input, output) in input.iter().zip(output) {
        assert!(output[..LATENCY].iter().all(|x| *x == 0.0), "something came too early");
        assert_eq!(output[LATENCY..], input[..input.len() - LATENCY], "not the mix at the latency");
    }
}

#[test]
fn the_factory_makes_both_classes() {
    let factory = super::get_plugin_factory().cast::<IPluginFactory>();
    // SAFETY: a new factory, owned by us.
    let factory = unsafe { ComPtr::from_raw(factory) }.unwrap();
    // SAFETY: as a host calls it.
    unsafe {
        assert_eq!(factory.countClasses(), 2);
        for index in 0..2 {
            let mut info: PClassInfo = std::mem::zeroed();
            assert_eq!(factory.getClassInfo(index, &mut info), kResultOk);
            let mut object = std::ptr::null_mut();
            let iid = <IComponent as vst3::Interface>::IID;
            let made = factory.createInstance(info.cid.as_ptr(), iid.as_ptr().cast(), &mut object);
            assert_eq!(made, kResultOk);
            let component = ComPtr::from_raw(object.cast::<IComponent>()).unwrap();
            let buses = component.getBusCount(0, OUTPUT);
            assert!(buses == 1 || buses == MAX_OUTPUTS as i32);
            assert!(component.cast::<IAudioProcessor>().is_some());
            assert!(component.cast::<IEditController>().is_some());
            let prefetch = component.cast::<IPrefetchableSupport>().unwrap();
            let mut answer = 99;
            assert_eq!(prefetch.getPrefetchableSupport(&mut answer), kResultOk);
            assert_eq!(answer, 0, "never");
        }
        let mut info: PClassInfo = std::mem::zeroed();
        assert_eq!(factory.getClassInfo(2, &mut info), kInvalidArgument);
        assert_eq!(factory.getClassInfo(-1, &mut info), kInvalidArgument);
    }
}

#[test]
fn stem_outputs_that_are_not_connected_do_not_silence_the_main_output() {
    let object = stems();
    start(&*object);
    let input = ramp(2 * LATENCY);
    for outs in [Outs::MainOnly, Outs::NullPointers, Outs::All] {
        // SAFETY: as a host calls it.
        unsafe { object.setProcessing(1) };
        let output = cut(&*object, &input, outs, 512, None);
        assert_delayed(&input, &output[..2]);
    }
}

#[test]
fn blocks_may_have_any_length() {
    let object = stems();
    start(&*object);
    let input = ramp(2 * LATENCY);
    for frames in [1, 7, 64, 1000, 8192, 20_000] {
        // SAFETY: as a host calls it.
        unsafe { object.setProcessing(1) };
        assert_delayed(&input, &cut(&*object, &input, Outs::MainOnly, frames, None)[..2]);
    }
}

#[test]
fn an_input_that_is_not_connected_is_silence_and_not_what_lies_in_the_output() {
    let object = main_class();
    start(&*object);
    let output = cut(&*object, &[vec![], vec![]], Outs::Garbage(2 * LATENCY), 512, None);
    assert!(output[..2].iter().flatten().all(|x| *x == 0.0));
}

#[test]
fn one_call_of_setup_processing_is_enough_for_offline() {
    let object = main_class();
    #[allow(clippy::unnecessary_cast)] // another type on another platform
    for (mode, offline) in [(ProcessModes_::kOffline as i32, true), (ProcessModes_::kRealtime as i32, false)]
    {
        set_up(&*object, mode);
        // SAFETY: as a host calls it.
        unsafe {
            assert_eq!(object.setActive(1), kResultOk);
            assert_eq!(object.shared.setup().unwrap().offline, offline);
            assert_eq!(object.setActive(0), kResultOk);
        }
    }
}

#[test]
fn nothing_is_played_before_a_host_has_set_up_and_activated() {
    let object = main_class();
    // SAFETY: as a careless host calls it.
    unsafe {
        assert_eq!(object.process(std::ptr::null_mut()), kInvalidArgument);
        assert_eq!(object.setActive(1), kResultFalse);
        let mut setup = ProcessSetup {
            processMode: 0,
            symbolicSampleSize: 0,
            maxSamplesPerBlock: 0,
            sampleRate: f64::NAN,
        };
        assert_eq!(object.setupProcessing(&mut setup), kInvalidArgument);
    }
    let output = cut(&*object, &ramp(64), Outs::MainOnly, 64, Some(kResultFalse));
    assert_eq!(output[0].len(), 64);
}

#[test]
fn bus_arrangements_are_what_was_agreed() {
    let object = stems();
    let mut outputs = [STEREO; MAX_OUTPUTS];
    outputs[2] = EMPTY;
    let mut input = [MONO];
    let (count, mut told) = (MAX_OUTPUTS as i32, 99);
    // SAFETY: as a host calls it.
    unsafe {
        let agreed = object.setBusArrangements(input.as_mut_ptr(), 1, outputs.as_mut_ptr(), count);
        assert_eq!(agreed, kResultOk);
        assert_eq!(object.getBusArrangement(INPUT, 0, &mut told), kResultOk);
        assert_eq!(told, MONO);
        assert_eq!(object.getBusArrangement(OUTPUT, 2, &mut told), kResultOk);
        assert_eq!(told, EMPTY);
        assert_eq!(object.getBusArrangement(OUTPUT, count, &mut told), kInvalidArgument);
        outputs[1] = MONO;
        let refused = object.setBusArrangements(input.as_mut_ptr(), 1, outputs.as_mut_ptr(), count);
        assert_eq!(refused, kResultFalse);
    }
    start(&*object);
    let [left, _] = ramp(2 * LATENCY);
    let output = cut(&*object, &[left.clone(), vec![]], Outs::All, 512, None);
    assert_delayed(&[left.clone(), left], &output[..2]);
}

#[test]
fn a_mono_track_gets_mono_back() {
    let object = main_class();
    let (mut input, mut output) = ([MONO], [MONO]);
    // SAFETY: as a host calls it.
    let agreed = unsafe { object.setBusArrangements(input.as_mut_ptr(), 1, output.as_mut_ptr(), 1) };
    assert_eq!(agreed, kResultOk);
    start(&*object);
    let [left, _] = ramp(2 * LATENCY);
    let output = cut(&*object, &[left.clone(), vec![]], Outs::Mono, 3000, None);
    assert_delayed(&[left.clone(), left], &output[..1]);
}

#[test]
fn a_parameter_beyond_the_last_is_refused() {
    let object = main_class();
    // SAFETY: as a host that counts too far calls it.
    unsafe {
        let mut info = std::mem::zeroed();
        let count = object.getParameterCount();
        assert_eq!(object.getParameterInfo(count - 1, &mut info), kResultOk);
        assert_eq!(object.getParameterInfo(count, &mut info), kInvalidArgument);
        assert_eq!(object.getParameterInfo(-1, &mut info), kInvalidArgument);
    }
}

#[test]
fn a_loaded_project_with_another_budget_tells_the_host_and_takes_effect() {
    let saved = Memory::new();
    {
        let object = main_class();
        object.shared.change_settings(|settings| settings.budget_millis = 100.0);
        // SAFETY: as a host calls it.
        assert_eq!(unsafe { IComponentTrait::getState(&*object, saved.as_ptr()) }, kResultOk);
    }
    let object = main_class();
    let ear = Ear::new();
    // SAFETY: as a host calls it.
    unsafe {
        assert_eq!(object.setComponentHandler(ear.as_ptr()), kResultOk);
        start(&*object);
        assert_eq!(object.getLatencySamples(), LATENCY as u32);
        saved.rewind();
        assert_eq!(IComponentTrait::setState(&*object, saved.as_ptr()), kResultOk);
        assert_eq!(object.getLatencySamples(), 4_410);
    }
    #[allow(clippy::unnecessary_cast)] // another type on another platform
    let flags = RestartFlags_::kLatencyChanged as i32;
    assert_eq!(ear.restarts(), [flags]);
    // This host did not activate anew.
    assert_eq!(object.shared.running_latency_frames(), Some(4_410));
    // SAFETY: as a host calls it.
    assert_eq!(unsafe { object.getTailSamples() }, 4_410, "what is under way comes out");
    saved.rewind();
    // SAFETY: as a host calls it.
    unsafe { IComponentTrait::setState(&*object, saved.as_ptr()) };
    assert_eq!(ear.restarts().len(), 1, "nothing changed the second time");
}

#[test]
fn nonsense_instead_of_a_project_is_refused() {
    let object = main_class();
    for bytes in
        [&b""[..], b"{", b"\xff\xfe", b"{\"version\":\"0\",\"params\":{},\"fields\":{\"settings\":\"[]\"}}"]
    {
        let memory = Memory::holding(bytes);
        // SAFETY: as a host calls it.
        unsafe { IComponentTrait::setState(&*object, memory.as_ptr()) };
        assert_eq!(object.shared.latency_frames(), 12_000);
    }
}

#[test]
fn automation_is_applied_by_us_and_gestures_are_told_to_the_host() {
    let object = main_class();
    let ear = Ear::new();
    start(&*object);
    let id = object.table.id(1).unwrap();
    let changes = Changes::new(id, &[(0, 1.0), (100, 0.5), (400, 0.875)]);
    host::block(&*object, &ramp(512), Some(&changes), None);
    assert_eq!(object.shared.params.vocals.gain.value(), 0.0);
    // SAFETY: as a host calls it.
    unsafe { object.setComponentHandler(ear.as_ptr()) };
    for news in [News::Begin(1), News::Value(1, 0.25), News::End(1)] {
        object.shared.tell(news);
    }
    assert_eq!(ear.gestures(), [format!("begin {id}"), format!("{id} to 0.25"), format!("end {id}")]);
    // SAFETY: as a host calls it.
    unsafe { vst3::Steinberg::IPluginBaseTrait::terminate(&*object) };
    object.shared.tell(News::Begin(1));
    assert_eq!(ear.gestures().len(), 3, "the host is not called after terminate");
}

/// Hosts show parameters in groups: VST3 calls them units.
#[test]
fn every_parameter_lies_in_a_group_that_has_a_name() {
    let text = |name: &[u16]| -> String {
        char::decode_utf16(name.iter().copied().take_while(|unit| *unit != 0)).map(Result::unwrap).collect()
    };
    let object = stems();
    // The root goes without saying.
    let mut groups = std::collections::BTreeMap::from([(0, (String::new(), Vec::new()))]);
    // SAFETY: as a host calls it.
    unsafe {
        for index in 0..object.getUnitCount() {
            let mut unit: UnitInfo = std::mem::zeroed();
            assert_eq!(object.getUnitInfo(index, &mut unit), kResultOk);
            groups.insert(unit.id, (text(&unit.name), Vec::new()));
        }
        for index in 0..object.getParameterCount() {
            let mut info = std::mem::zeroed();
            assert_eq!(object.getParameterInfo(index, &mut info), kResultOk);
            groups.get_mut(&info.unitId).unwrap().1.push(text(&info.title));
        }
    }
    let (_, outside) = groups.remove(&0).unwrap();
    assert_eq!(outside, ["Bypass"], "in no group but the root");
    let mut names: Vec<&str> = groups.values().map(|(name, _)| name.as_str()).collect();
    names.sort_unstable();
    assert_eq!(names, ["Bass", "Click", "Drums", "Guitar", "Other", "Output", "Piano", "Vocals"]);
    for (name, params) in groups.values() {
        let expected = match name.as_str() {
            "Output" => vec!["Master Gain", "Dry/Wet", "Part", "My Part"],
            "Click" => continue,
            _ => ["Gain", "Mute", "Solo", "Pan"].to_vec(),
        };
        let bare: Vec<&str> = params.iter().map(|p| p.trim_start_matches(&format!("{name} "))).collect();
        assert_eq!(bare, expected, "{name}");
    }
}

#[test]
fn gone_is_gone() {
    let object = main_class();
    start(&*object);
    let shared = Arc::downgrade(&object.shared);
    drop(object);
    assert!(shared.upgrade().is_none(), "something still holds the instance");
}
