//! libFuzzer's entry to `fuzz::arranger`; what is checked stands there.
#![no_main]

#[path = "../../src/fuzz.rs"]
#[allow(dead_code, reason = "each binary is one target")]
mod fuzz;

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz::arranger(data));
