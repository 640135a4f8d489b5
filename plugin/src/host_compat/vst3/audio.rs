//! The audio processor side: bus arrangements, set-up, latency. What happens in a block is in `process`.

use std::sync::atomic::Ordering;

use nice_plug::wrapper::vst3::Vst3Plugin;
use vst3::Steinberg::Vst::{
    BusDirection, IAudioProcessorTrait, IPrefetchableSupportTrait, IProcessContextRequirementsTrait,
    PrefetchableSupport, ProcessData, ProcessSetup, SpeakerArrangement,
};
use vst3::Steinberg::{TBool, int32, kInvalidArgument, kResultFalse, kResultOk, tresult, uint32};

use super::class::{Arrangement, Object, lock};
use super::numbers::{EMPTY, MONO, STEREO};
use crate::host_compat::buses::MAX_OUTPUTS;
use crate::host_compat::values;

/// The arrangement a host asks for, if it is one of ours: mono or stereo in; as many channels out or stereo; every
/// further output stereo, or empty because the host does not want it (pedalboard, DawDreamer).
fn acceptable(
    inputs: &[SpeakerArrangement],
    outputs: &[SpeakerArrangement],
    count: usize,
) -> Option<Arrangement> {
    let [input] = *inputs else { return None };
    let (main, others) = outputs.split_first()?;
    let main_fits = matches!((input, *main), (STEREO, STEREO) | (MONO, STEREO | MONO));
    let others_fit = others.iter().all(|other| matches!(*other, STEREO | EMPTY));
    if outputs.len() != count || !main_fits || !others_fit {
        return None;
    }
    let mut all = [EMPTY; MAX_OUTPUTS];
    all[..count].copy_from_slice(outputs);
    Some(Arrangement { input, outputs: all, count })
}

impl<P: Vst3Plugin> IAudioProcessorTrait for Object<P> {
    unsafe fn setBusArrangements(
        &self,
        inputs: *mut SpeakerArrangement,
        num_ins: int32,
        outputs: *mut SpeakerArrangement,
        num_outs: int32,
    ) -> tresult {
        let counts = (usize::try_from(num_ins), usize::try_from(num_outs));
        let (Ok(ins), Ok(outs)) = counts else { return kInvalidArgument };
        if (ins > 0 && inputs.is_null()) || (outs > 0 && outputs.is_null()) {
            return kInvalidArgument;
        }
        let list = |pointer: *mut SpeakerArrangement, count| {
            if count == 0 {
                return &[][..];
            }
            // SAFETY: not null, and the host says that so many lie there.
            unsafe { std::slice::from_raw_parts(pointer, count) }
        };
        let asked = acceptable(list(inputs, ins), list(outputs, outs), lock(&self.arrangement).count);
        if self.active.load(Ordering::Acquire) {
            return kResultFalse;
        }
        let Some(asked) = asked else { return kResultFalse };
        // nice-plug always has all its buses; those the host does not want are scratch memory.
        let (mut input, mut all) = (asked.input, asked.outputs);
        all[1..asked.count].fill(STEREO);
        // SAFETY: both point to as many arrangements as is said.
        let result =
            unsafe { self.inner.setBusArrangements(&mut input, 1, all.as_mut_ptr(), asked.count as int32) };
        if result == kResultOk {
            *lock(&self.arrangement) = asked;
            self.layout.set(asked.layout());
        }
        result
    }

    unsafe fn getBusArrangement(
        &self,
        direction: BusDirection,
        index: int32,
        out: *mut SpeakerArrangement,
    ) -> tresult {
        match (self.bus_arrangement(direction, index), out.is_null()) {
            (Some(arrangement), false) => {
                // SAFETY: not null, and the host gave it to be written.
                unsafe { *out = arrangement };
                kResultOk
            }
            _ => kInvalidArgument,
        }
    }

    unsafe fn canProcessSampleSize(&self, size: int32) -> tresult {
        // SAFETY: forwarded as the host called it.
        unsafe { self.inner.canProcessSampleSize(size) }
    }

    unsafe fn getLatencySamples(&self) -> uint32 {
        self.handler.told(self.shared.latency_frames())
    }

    unsafe fn setupProcessing(&self, setup: *mut ProcessSetup) -> tresult {
        // SAFETY: null or the host's set-up.
        let Some(asked) = (unsafe { setup.as_ref() }).copied() else { return kInvalidArgument };
        let sound = asked.sampleRate.is_finite()
            && (1.0..=f64::from(u32::MAX)).contains(&asked.sampleRate)
            && asked.maxSamplesPerBlock > 0;
        // SAFETY: forwarded as the host called it.
        if !sound || unsafe { self.canProcessSampleSize(asked.symbolicSampleSize) } != kResultOk {
            return kInvalidArgument;
        }
        if self.active.load(Ordering::Acquire) {
            return kResultFalse;
        }
        self.shared.set_rate(asked.sampleRate.round() as u32);
        *lock(&self.setup) = Some(asked);
        let mut again = asked;
        // nice-plug hands on the process mode of the call before. The second time that is this one's.
        // SAFETY: the set-up is ours and outlives the calls.
        unsafe {
            self.inner.setupProcessing(&mut again);
            self.inner.setupProcessing(&mut again)
        }
    }

    unsafe fn setProcessing(&self, on: TBool) -> tresult {
        self.processing.store(on != 0, Ordering::Release);
        if on == 0 {
            // What the host has set and told no processor is what it will ask for.
            self.shared.announced.take().for_each(|(index, value)| values::set(&self.shared, index, value));
        }
        // SAFETY: forwarded as the host called it.
        unsafe { self.inner.setProcessing(on) }
    }

    unsafe fn process(&self, data: *mut ProcessData) -> tresult {
        // SAFETY: null or the host's block, which is ours for this call.
        match unsafe { data.as_ref() } {
            // SAFETY: as the host called us.
            Some(data) => unsafe { self.process_block(data) },
            None => kInvalidArgument,
        }
    }

    unsafe fn getTailSamples(&self) -> uint32 {
        self.shared.tail_frames()
    }
}

impl<P: Vst3Plugin> IProcessContextRequirementsTrait for Object<P> {
    unsafe fn getProcessContextRequirements(&self) -> uint32 {
        // SAFETY: forwarded as the host called it.
        unsafe { self.inner.getProcessContextRequirements() }
    }
}

impl<P: Vst3Plugin> IPrefetchableSupportTrait for Object<P> {
    /// Never: rendered ahead (Cubase's ASIO-Guard) the stems cannot be there in time, and a player's own
    /// instrument would be late.
    unsafe fn getPrefetchableSupport(&self, out: *mut PrefetchableSupport) -> tresult {
        if out.is_null() {
            return kInvalidArgument;
        }
        #[allow(clippy::unnecessary_cast)] // another type on another platform
        let never = vst3::Steinberg::Vst::ePrefetchableSupport_::kIsNeverPrefetchable as PrefetchableSupport;
        // SAFETY: not null, and the host gave it to be written.
        unsafe { *out = never };
        kResultOk
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_may_refuse_stem_outputs_but_not_reshape_them() {
        let stems = [STEREO; MAX_OUTPUTS];
        assert!(acceptable(&[STEREO], &stems, MAX_OUTPUTS).is_some());
        assert!(acceptable(&[MONO], &stems, MAX_OUTPUTS).is_some());
        let mut some = stems;
        some[3] = EMPTY;
        assert!(acceptable(&[STEREO], &some, MAX_OUTPUTS).is_some());
        some[3] = MONO;
        assert!(acceptable(&[STEREO], &some, MAX_OUTPUTS).is_none());
        assert!(acceptable(&[STEREO], &[EMPTY; MAX_OUTPUTS], MAX_OUTPUTS).is_none(), "no main output");
        assert!(acceptable(&[STEREO], &[STEREO], MAX_OUTPUTS).is_none(), "buses cannot go away");
        assert!(acceptable(&[MONO], &[MONO], 1).is_some());
        assert!(acceptable(&[STEREO], &[MONO], 1).is_none());
        assert!(acceptable(&[], &[STEREO], 1).is_none());
        assert!(acceptable(&[STEREO, STEREO], &[STEREO], 1).is_none());
    }
}
