//! libFuzzer's entry to `fuzz`'s target of this name; what is checked stands there.
#![no_main]

#[path = "../../src/fuzz/mod.rs"]
#[allow(dead_code, unused_imports, reason = "each binary is one target")]
mod fuzz;

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz::run("messages", data));
