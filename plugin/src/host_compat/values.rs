//! The parameters' values: read, set, saved and restored, whoever does it. Every number that is meant for a parameter
//! comes through here and is one that the parameter may have afterwards; what is no number changes nothing. Must not
//! know who sets what.
//!
//! nice-plug 0.4.2 keeps a new value only if what is heard changes with it: under a modulation that holds the value at
//! its end it forgets what it was set to. So the modulation is taken off while a value is set.

use std::sync::atomic::{AtomicU32, Ordering};

use nice_plug::prelude::{Param, ParamPtr};
use rehearsekit_audio::typed;
use serde_json::{Value, json};

use crate::params::PARAM_COUNT;
use crate::shared::Shared;

/// By how much a host modulates each parameter.
pub struct Modulation([AtomicU32; PARAM_COUNT]);

impl Default for Modulation {
    fn default() -> Self {
        Self(std::array::from_fn(|_| AtomicU32::new(0.0_f32.to_bits())))
    }
}

/// What a VST3 host has told the edit controller and not yet the processor: it asks the controller for it at once.
pub struct Announced([AtomicU32; PARAM_COUNT]);

/// It is not a number, so no host can have said it.
const NOT_ANNOUNCED: u32 = f32::NAN.to_bits();

impl Default for Announced {
    fn default() -> Self {
        Self(std::array::from_fn(|_| AtomicU32::new(NOT_ANNOUNCED)))
    }
}

impl Announced {
    /// Parameter `index` will be this.
    pub(crate) fn announce(&self, index: usize, normalized: f32) {
        if let Some(value) = self.0.get(index) {
            value.store(normalized.to_bits(), Ordering::Release);
        }
    }

    /// The processor was told something newer. Any thread.
    pub(crate) fn arrived(&self, index: usize) {
        if let Some(value) = self.0.get(index) {
            value.store(NOT_ANNOUNCED, Ordering::Release);
        }
    }

    /// What parameter `index` will be, if that is known.
    pub(crate) fn get(&self, index: usize) -> Option<f32> {
        let value = f32::from_bits(self.0.get(index)?.load(Ordering::Acquire));
        value.is_finite().then_some(value)
    }

    /// All that has not arrived, which it takes: nobody will tell the processor any more.
    pub(crate) fn take(&self) -> impl Iterator<Item = (usize, f32)> + '_ {
        let taken = |value: &AtomicU32| f32::from_bits(value.swap(NOT_ANNOUNCED, Ordering::AcqRel));
        self.0.iter().map(taken).enumerate().filter(|(_, value)| value.is_finite())
    }
}

/// What became of a value that was saved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Restored {
    /// It is in force, or the nearest that the parameter can have.
    Understood,
    /// There was none; the default is in force.
    Nothing,
    /// It is of a kind that this version does not know; the default is in force.
    Unknown,
}

/// The nearest number in 0..=1; `None` for what is no number.
pub(crate) fn nearest(normalized: f32) -> Option<f32> {
    // Adding zero turns a −0 into a 0.
    normalized.is_finite().then(|| normalized.clamp(0.0, 1.0) + 0.0)
}

/// Sets parameter `index` to the nearest to `normalized` in 0..=1. Audio thread, or main thread.
pub(crate) fn set(shared: &Shared, index: usize, normalized: f32) {
    let Some(normalized) = nearest(normalized) else { return };
    without_modulation(shared, index, |pointer| {
        // SAFETY: it points into `shared.params`, which lives as long as `shared`; the values are atomics.
        unsafe { pointer._internal_set_normalized_value(normalized) };
    });
}

/// Offsets parameter `index` by this much in place of the offset before. Audio thread, or main thread.
pub(crate) fn modulate(shared: &Shared, index: usize, offset: f32) {
    let (Some(pointer), Some(kept)) = (shared.pointers().get(index), shared.modulation.0.get(index)) else {
        return;
    };
    if offset.is_finite() {
        let offset = offset.clamp(-1.0, 1.0);
        kept.store(offset.to_bits(), Ordering::Relaxed);
        // SAFETY: it points into `shared.params`, which lives as long as `shared`; the values are atomics.
        unsafe { pointer._internal_modulate_value(offset) };
    }
}

/// The value of parameter `index` in 0..=1, without modulation.
pub fn normalized(shared: &Shared, index: usize) -> f32 {
    let Some(pointer) = shared.pointers().get(index) else { return 0.0 };
    // SAFETY: it points into `shared.params`, which lives as long as `shared`; the values are atomics.
    unsafe { pointer.unmodulated_normalized_value() }
}

fn without_modulation(shared: &Shared, index: usize, set: impl FnOnce(ParamPtr)) {
    let (Some(pointer), Some(kept)) = (shared.pointers().get(index), shared.modulation.0.get(index)) else {
        return;
    };
    let offset = f32::from_bits(kept.load(Ordering::Relaxed));
    if offset == 0.0 {
        return set(*pointer);
    }
    // SAFETY: it points into `shared.params`, which lives as long as `shared`; the values are atomics.
    unsafe { pointer._internal_modulate_value(0.0) };
    set(*pointer);
    // SAFETY: as above.
    unsafe { pointer._internal_modulate_value(offset) };
}

/// The value of parameter `index` as a project keeps it, in nice-plug's form: `{"f32": -3.0}`, `{"string": "count_in"}`.
pub(crate) fn saved(shared: &Shared, index: usize) -> Value {
    let Some(pointer) = shared.pointers().get(index) else { return Value::Null };
    // SAFETY: it points into `shared.params`, which lives as long as `shared`; the values are atomics.
    unsafe {
        match *pointer {
            ParamPtr::FloatParam(param) => {
                // By way of the shortest text that is this number: 0.1, not 0.10000000149.
                let shortest: f64 = (*param).unmodulated_plain_value().to_string().parse().unwrap_or(0.0);
                json!({ "f32": shortest })
            }
            ParamPtr::IntParam(param) => json!({ "i32": (*param).unmodulated_plain_value() }),
            ParamPtr::BoolParam(param) => json!({ "bool": (*param).unmodulated_plain_value() }),
            ParamPtr::EnumParam(param) => match (*param).unmodulated_plain_id() {
                Some(id) => json!({ "string": id }),
                None => json!({ "i32": (*param).unmodulated_plain_value() }),
            },
        }
    }
}

/// Sets parameter `index` as [`saved`] told it. Main thread.
pub(crate) fn restore(shared: &Shared, index: usize, value: &Value) -> Restored {
    let one = value.as_object().filter(|object| object.len() == 1).and_then(|object| object.iter().next());
    let is_nothing = value.is_null() || one.is_some_and(|(_, value)| value.is_null());
    let number = match one {
        Some((kind, value)) if kind == "f32" || kind == "i32" => value.as_f64(),
        _ => None,
    };
    let mut understood = false;
    without_modulation(shared, index, |pointer| {
        // SAFETY: it points into `shared.params`, which lives as long as `shared`; the values are atomics.
        unsafe {
            use nice_plug::params::InternalParamMut as _;
            match pointer {
                ParamPtr::FloatParam(param) => {
                    let [least, most] = [0.0, 1.0].map(|end| (*param).preview_plain(end));
                    let plain = number.map(|number| (number as f32).clamp(least, most) + 0.0);
                    understood = plain.is_some();
                    (*param)._internal_set_plain_value(plain.unwrap_or((*param).default_plain_value()));
                }
                ParamPtr::IntParam(param) => {
                    let [least, most] = [0.0, 1.0].map(|end| (*param).preview_plain(end));
                    let plain = number.map(|number| (number.round() as i32).clamp(least, most));
                    understood = plain.is_some();
                    (*param)._internal_set_plain_value(plain.unwrap_or((*param).default_plain_value()));
                }
                ParamPtr::BoolParam(param) => {
                    let plain = value.get("bool").and_then(Value::as_bool).filter(|_| one.is_some());
                    understood = plain.is_some();
                    (*param)._internal_set_plain_value(plain.unwrap_or((*param).default_plain_value()));
                }
                ParamPtr::EnumParam(param) => {
                    let id = value.get("string").and_then(Value::as_str).filter(|_| one.is_some());
                    let choices = 0.0..(*param).len() as f64;
                    let place = number.filter(|place| place.fract() == 0.0 && choices.contains(place));
                    understood = match (id, place) {
                        (Some(id), _) => (*param).set_from_id(id),
                        (None, Some(place)) => {
                            (*param)._internal_set_plain_value(place as i32);
                            true
                        }
                        (None, None) => false,
                    };
                    if !understood {
                        (*param)._internal_set_plain_value((*param).default_plain_value());
                    }
                }
            }
        }
    });
    match (understood, is_nothing) {
        (true, _) => Restored::Understood,
        (false, true) => Restored::Nothing,
        (false, false) => Restored::Unknown,
    }
}

/// The value in 0..=1 that `text` means for parameter `index`, however it was typed; `None` if it means none.
pub(crate) fn typed(shared: &Shared, index: usize, text: &str) -> Option<f32> {
    let pointer = *shared.pointers().get(index)?;
    // SAFETY: it points into `shared.params`, which lives as long as `shared`.
    let as_is = unsafe { pointer.string_to_normalized_value(text) };
    let ParamPtr::EnumParam(param) = pointer else { return as_is.filter(|value| value.is_finite()) };
    // A choice is known by its name in small and capital letters.
    let text = typed::folded(text);
    // SAFETY: as above.
    let steps = unsafe { (*param).step_count() }?.max(1);
    let choices = (0..=steps).map(|step| step as f32 / steps as f32);
    // SAFETY: as above.
    let named = |choice: &f32| typed::folded(&unsafe { (*param).normalized_value_to_string(*choice, false) });
    as_is.or_else(|| choices.into_iter().find(|choice| named(choice) == text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_number_changes_nothing_and_what_is_too_much_is_the_most() {
        let shared = Shared::default();
        for index in 0..PARAM_COUNT {
            set(&shared, index, 7.0);
            assert_eq!(normalized(&shared, index), 1.0, "{index}");
            for nothing in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
                set(&shared, index, nothing);
                modulate(&shared, index, nothing);
                assert_eq!(normalized(&shared, index), 1.0, "{index}");
            }
            set(&shared, index, -7.0);
            assert_eq!(normalized(&shared, index).to_bits(), 0, "{index}");
        }
        set(&shared, PARAM_COUNT, 1.0);
        modulate(&shared, PARAM_COUNT, 1.0);
    }

    #[test]
    fn what_is_set_under_a_modulation_is_there_when_it_ends() {
        let shared = Shared::default();
        modulate(&shared, 1, 1.0);
        set(&shared, 1, 0.5);
        assert_eq!(shared.params.vocals.gain.value(), crate::params::GAIN_TOP_DB, "modulated to the top");
        modulate(&shared, 1, 0.0);
        assert_eq!(normalized(&shared, 1), 0.5);
        modulate(&shared, 1, 1.0);
        assert_eq!(restore(&shared, 1, &json!({"f32": -12.0})), Restored::Understood);
        assert_eq!(saved(&shared, 1), json!({"f32": -12.0}), "a modulation is not saved");
        modulate(&shared, 1, 0.0);
        assert_eq!(shared.params.vocals.gain.value(), -12.0);
    }

    #[test]
    fn every_value_is_restored_as_it_was_saved() {
        let (from, to) = (Shared::default(), Shared::default());
        for index in 0..PARAM_COUNT {
            for step in 0..=50 {
                set(&from, index, step as f32 / 50.0);
                let value = saved(&from, index);
                assert_eq!(restore(&to, index, &value), Restored::Understood, "{value}");
                assert_eq!(saved(&to, index), value);
                assert_eq!(normalized(&to, index).to_bits(), normalized(&from, index).to_bits(), "{value}");
            }
        }
    }

    #[test]
    fn a_choice_is_known_in_small_letters_and_nonsense_is_none() {
        let shared = Shared::default();
        let index = |id: &str| shared.params_by_id().iter().position(|known| known == id).unwrap();
        for (id, text, expected) in [
            ("part", "Without my part", Some(0.5)),
            ("part", " without my part ", Some(0.5)),
            ("my_part", "OTHER", Some(1.0)),
            ("my_part", "kazoo", None),
            ("vocals_mute", "On", Some(1.0)),
            ("vocals_mute", "yes", Some(1.0)),
            ("vocals_mute", "OFF", Some(0.0)),
            ("vocals_mute", "loud", None),
            ("vocals_gain", "0,0 DB", Some(0.875)),
            ("vocals_gain", "−∞ dB", Some(0.0)),
            ("vocals_gain", "nan", None),
            ("click_tempo", "210 bpm", Some(0.5)),
            ("click_tempo", "1e9", Some(1.0)),
            ("click_meter", "16", Some(1.0)),
            ("click_meter", "−4", Some(0.0)),
            ("dry_wet", "50 %", Some(0.5)),
            ("dry_wet", "50,0％", Some(0.5)),
            ("vocals_pan", "l 50", Some(0.25)),
            ("vocals_pan", "50 R", Some(0.75)),
            ("vocals_pan", "−50", Some(0.25)),
        ] {
            assert_eq!(typed(&shared, index(id), text), expected, "{id} {text:?}");
        }
    }
}
