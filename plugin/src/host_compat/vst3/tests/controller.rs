//! What a host sets by way of the edit controller, asks back, saves and loads.

use vst3::ComWrapper;
use vst3::Steinberg::Vst::{IAudioProcessorTrait, IComponentTrait, IEditControllerTrait, String128};
use vst3::Steinberg::{kInvalidArgument, kResultFalse, kResultOk};

use super::host::{Changes, Memory, block, flush};
use super::{main_class, ramp, start};
use crate::classes::RehearseKit;
use crate::host_compat::denormals::probe::{Probe, SEEN};
use crate::host_compat::denormals::{Flushed, are_flushed};
use crate::host_compat::vst3::class::Object;
use crate::params::PARAM_COUNT;

/// What the validator of the VST3 SDK does for "Parameter Bypass persistence", call by call: while the plugin is active
/// and processing it sets the bypass by way of the controller and asks for it at once, tells the processor by a flush
/// (a block of no frames and no buses), saves, does the same for off, and loads.
#[test]
fn the_bypass_is_what_the_host_has_set_at_once_and_after_a_load() {
    let object = main_class();
    start(&*object);
    let id = object.table.id(0).unwrap();
    let saved = Memory::new();
    // SAFETY: as a host calls it.
    let value = || unsafe { object.getParamNormalized(id) };
    // SAFETY: as a host calls it.
    unsafe {
        object.setProcessing(1);
        assert_eq!(object.setParamNormalized(id, 1.0), kResultOk);
        assert_eq!(value(), 1.0, "the bypass parameter was not correctly set");
        assert_eq!(flush(&*object, Some(&Changes::new(id, &[(0, 1.0)]))), kResultOk);
        assert_eq!(value(), 1.0);
        object.setProcessing(0);
        assert_eq!(IComponentTrait::getState(&*object, saved.as_ptr()), kResultOk);

        object.setProcessing(1);
        assert_eq!(object.setParamNormalized(id, 0.0), kResultOk);
        assert_eq!(value(), 0.0, "the bypass parameter was not correctly set");
        assert_eq!(flush(&*object, Some(&Changes::new(id, &[(0, 0.0)]))), kResultOk);
        object.setProcessing(0);

        saved.rewind();
        assert_eq!(IComponentTrait::setState(&*object, saved.as_ptr()), kResultOk);
        saved.rewind();
        assert_eq!(object.setComponentState(saved.as_ptr()), kResultOk);
        assert_eq!(value(), 1.0, "controller and processor do not agree");
    }
    assert!(object.shared.params.bypass.value());
}

/// The processor alone decides when a value acts: at its frame, however early the controller has heard of it.
#[test]
fn what_the_controller_hears_while_audio_runs_acts_when_the_processor_is_told() {
    let object = main_class();
    start(&*object);
    let id = object.table.id(1).unwrap();
    let gain = &object.shared.params.vocals.gain;
    // SAFETY: as a host calls it.
    unsafe {
        assert_eq!(object.setParamNormalized(id, 0.5), kResultOk);
        block(&*object, &ramp(64), None, None);
        assert_eq!((gain.value(), object.getParamNormalized(id)), (0.0, 0.5));
        block(&*object, &ramp(64), Some(&Changes::new(id, &[(3, 0.5)])), None);
        assert_eq!((gain.value(), object.getParamNormalized(id)), (-36.0, 0.5));
        // The player's hand is newer than what the host said.
        object.setParamNormalized(id, 0.25);
        crate::host_compat::set_by_hand(&object.shared, 1, 1.0);
        assert_eq!(object.getParamNormalized(id), 1.0);
        // What no processor was ever told is in force when it stops.
        object.setParamNormalized(id, 0.875);
        object.setProcessing(0);
        assert_eq!((gain.value(), object.getParamNormalized(id)), (0.0, 0.875));
    }
}

#[test]
fn a_number_that_is_none_is_refused_and_one_out_of_range_is_the_nearest() {
    let object = main_class();
    // SAFETY: as a careless host calls it.
    unsafe {
        for processing in [0, 1] {
            if processing == 1 {
                start(&*object);
            }
            for index in 0..PARAM_COUNT {
                let id = object.table.id(index).unwrap();
                for odd in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 1e300] {
                    assert_eq!(object.setParamNormalized(id, odd), kInvalidArgument, "{odd}");
                    assert!((0.0..=1.0).contains(&object.getParamNormalized(id)));
                    assert!(!object.normalizedParamToPlain(id, odd).is_nan());
                    assert!((0.0..=1.0).contains(&object.plainParamToNormalized(id, odd)), "{odd}");
                    let mut text: String128 = [0; 128];
                    object.getParamStringByValue(id, odd, &mut text);
                }
                assert_eq!(object.setParamNormalized(id, 7.0), kResultOk);
                assert_eq!(object.getParamNormalized(id), 1.0);
            }
        }
        assert_eq!(object.setParamNormalized(0xdead, 0.5), kInvalidArgument);
    }
}

#[test]
fn texts_are_read_as_people_type_them() {
    let object = main_class();
    let read = |index: usize, text: &str| {
        let mut units: Vec<u16> = text.encode_utf16().chain([0]).collect();
        let mut value = f64::NAN;
        let id = object.table.id(index).unwrap();
        // SAFETY: as a host calls it.
        let told = unsafe { object.getParamValueByString(id, units.as_mut_ptr().cast(), &mut value) };
        (told == kResultOk).then_some(value)
    };
    assert_eq!(read(1, "−36,0 DB"), Some(0.5));
    assert_eq!((read(0, "ON"), read(0, "perhaps")), (Some(1.0), None));
    assert_eq!((read(1, ""), read(1, &"9".repeat(10_000))), (None, Some(1.0)));
    // SAFETY: as a careless host calls it.
    unsafe {
        let (id, mut value) = (object.table.id(0).unwrap(), 0.0);
        assert_eq!(object.getParamValueByString(id, std::ptr::null_mut(), &mut value), kInvalidArgument);
        let mut on = [u16::from(b'1'), 0];
        let refused = object.getParamValueByString(id, on.as_mut_ptr().cast(), std::ptr::null_mut());
        assert_eq!(refused, kInvalidArgument);
    }
}

#[test]
fn streams_that_give_and_take_little_are_read_and_written_whole() {
    let object = main_class();
    object.shared.change_settings(|settings| settings.budget_millis = 100.0);
    let saved = Memory::in_parts_of(7);
    // SAFETY: as a host calls it.
    unsafe {
        assert_eq!(IComponentTrait::getState(&*object, saved.as_ptr()), kResultOk);
        saved.rewind();
        let again = main_class();
        assert_eq!(IComponentTrait::setState(&*again, saved.as_ptr()), kResultOk);
        assert_eq!(again.shared.instance.settings(), object.shared.instance.settings());
        assert_eq!(IComponentTrait::setState(&*again, std::ptr::null_mut()), kResultFalse);
        assert_eq!(IComponentTrait::getState(&*again, std::ptr::null_mut()), kResultFalse);
    }
}

#[test]
fn denormals_are_zero_while_a_block_is_played_and_the_host_has_its_own_again() {
    let object = ComWrapper::new(Object::<RehearseKit<Probe>>::new());
    start(&*object);
    assert!(!are_flushed());
    block(&*object, &ramp(512), None, None);
    assert_eq!(SEEN.take(), Some(true));
    assert!(!are_flushed());
    // A host that has it so keeps it so.
    let _of_host = Flushed::new();
    block(&*object, &ramp(512), None, None);
    assert!(SEEN.take() == Some(true) && are_flushed());
}
