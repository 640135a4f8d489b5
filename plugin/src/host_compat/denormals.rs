//! Numbers too small to be heard (denormals, below 1.2·10⁻³⁸) are taken for zero while audio is processed: a processor
//! takes many times as long for them, and a reverb that fades out in front of us is full of them. The host's own setting
//! is restored afterwards. nice-plug could set the half of it; see `host_compat`.

use std::marker::PhantomData;

/// As long as this lives, denormals are zero on this thread, as input and as result.
pub(crate) struct Flushed {
    before: Register,
    /// It belongs to its thread.
    here: PhantomData<*const ()>,
}

impl Flushed {
    /// From now on.
    pub(crate) fn new() -> Self {
        let before = read();
        write(before | BITS);
        Self { before, here: PhantomData }
    }
}

impl Drop for Flushed {
    fn drop(&mut self) {
        // Of the rest of the register (rounding, exceptions so far) nothing is touched.
        write((read() & !BITS) | (self.before & BITS));
    }
}

#[cfg(target_arch = "x86_64")]
type Register = u32;
/// Flush to zero (15) and denormals are zero (6) in MXCSR.
#[cfg(target_arch = "x86_64")]
const BITS: Register = 1 << 15 | 1 << 6;

#[cfg(target_arch = "x86_64")]
fn read() -> Register {
    let mut register: Register = 0;
    // SAFETY: stores this thread's MXCSR, which every x86-64 has, into memory of ours.
    unsafe { std::arch::asm!("stmxcsr [{}]", in(reg) &mut register, options(nostack, preserves_flags)) };
    register
}

#[cfg(target_arch = "x86_64")]
fn write(register: Register) {
    // SAFETY: what was read from there with none but these two bits changed, which every x86-64 has: no exception is
    // unmasked and no reserved bit set. Results differ by less than 1.2·10⁻³⁸, on which nothing relies.
    unsafe { std::arch::asm!("ldmxcsr [{}]", in(reg) &register, options(nostack, preserves_flags)) };
}

#[cfg(target_arch = "aarch64")]
type Register = u64;
/// Flush to zero (24) in FPCR, for inputs and results.
#[cfg(target_arch = "aarch64")]
const BITS: Register = 1 << 24;

#[cfg(target_arch = "aarch64")]
fn read() -> Register {
    let register: Register;
    // SAFETY: reads this thread's FPCR, which every AArch64 has and every program may read.
    unsafe { std::arch::asm!("mrs {}, fpcr", out(reg) register, options(nomem, nostack, preserves_flags)) };
    register
}

#[cfg(target_arch = "aarch64")]
fn write(register: Register) {
    // SAFETY: what was read from there with none but this bit changed. Results differ by less than 1.2·10⁻³⁸, on
    // which nothing relies.
    unsafe { std::arch::asm!("msr fpcr, {}", in(reg) register, options(nostack, preserves_flags)) };
}

/// Elsewhere nothing is known of it.
#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
mod elsewhere {
    pub(super) type Register = u32;
    pub(super) const BITS: Register = 0;
    pub(super) fn read() -> Register {
        0
    }
    pub(super) fn write(_register: Register) {}
}
#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
use elsewhere::{BITS, Register, read, write};

/// Whether denormals are zero on this thread now, as input and as result.
#[cfg(test)]
pub(crate) fn are_flushed() -> bool {
    let small = std::hint::black_box(f32::MIN_POSITIVE);
    let result = std::hint::black_box(small * std::hint::black_box(0.5));
    let input = std::hint::black_box(f32::from_bits(1)) * std::hint::black_box(1e30);
    result.to_bits() == 0 && input.to_bits() == 0
}

/// A class that looks at the flag where a block is played.
#[cfg(test)]
pub(crate) mod probe {
    use std::cell::Cell;

    use rehearsekit_plugin_engine::Transport;

    use crate::classes::Kind;
    use crate::shared::Shared;

    thread_local! {
        /// What it saw in the last block that was played on this thread.
        pub(crate) static SEEN: Cell<Option<bool>> = const { Cell::new(None) };
    }

    pub(crate) struct Probe;

    impl Kind for Probe {
        const NAME: &'static str = "Probe";
        const STEMS: bool = false;
        const VST3_ID: [u8; 16] = *b"RehearseKitProbe";
        const CLAP_ID: &'static str = "org.rehearsekit.probe";
        const DESCRIPTION: &'static str = "Looks whether denormals are zero";

        fn feed(_shared: &Shared, left: &mut [f32], _right: &mut [f32], _playhead: &mut Transport) -> usize {
            SEEN.set(Some(super::are_flushed()));
            left.len()
        }
    }
}

#[cfg(test)]
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
mod tests {
    use super::*;

    #[test]
    fn denormals_are_zero_inside_and_what_they_were_before_outside() {
        assert!(!are_flushed());
        let before = read();
        {
            let _outer = Flushed::new();
            assert!(are_flushed());
            drop(Flushed::new());
            assert!(are_flushed(), "as the host had it");
        }
        assert!(!are_flushed());
        assert_eq!(read() & BITS, before & BITS);
    }
}
