//! What nice-plug 0.4.2 does wrong towards hosts, gone around by composing with its public wrappers. Nothing of it
//! is copied, nothing is patched; when a defect is fixed there, its part here can go. What a host gets to see is
//! decided here and nowhere else; what the plugin does is not.
//!
//! | defect | seen in | way around |
//! |---|---|---|
//! | VST3: a bus that is not connected silences all of `process()` | pedalboard (dry sound), DawDreamer after `disable_nonmain_buses()` (crash) | `buses` completes every call from scratch memory |
//! | fewer buses than declared are read past the end | DawDreamer | the same |
//! | VST3: `setupProcessing` hands on the process mode of the call before | every bounce | `vst3::audio` calls it twice |
//! | none of nice-plug's: a host that bounces says so in `process()` alone | Ardour's export, which was the bridged mix | `vst3::process` follows it |
//! | CLAP: `render.set` while active waits for a restart, and meanwhile the bounce is live | hosts that bounce at once | `clap::extensions` sets it, the next block follows |
//! | the tail is kept behind a lock that the audio thread takes with each block | a host that asks for it while it plays | `Shared::tail_frames` |
//! | outputs are left unwritten where a block is refused, or beyond what was agreed | a loop of old sound | `vst3::process`, `clap::process` write silence |
//! | none of nice-plug's: transport and automation are told for what comes out, not for what goes in | Ardour: click and automation were late by the latency | `vst3::class` knows it by its name, the engine waits no longer |
//! | VST3: `setBusArrangements` compares auxiliary buses with an offset of one | a mono track in any host | `vst3::audio` decides by itself |
//! | VST3: `getParameterInfo` at index = count panics | a host that counts too far | `vst3::controller` checks first |
//! | CLAP: the same | the same | `clap::extensions` |
//! | CLAP: `latency.changed()` outside `activate` | clap-validator | `clap::plugin` calls it itself, inside |
//! | host automation is passed on to a worker thread from the audio thread, with a system call | every VST3 host on Linux | `events` applies parameters itself; nice-plug sees none |
//! | CLAP: an event behind the block's end cuts buffers behind their end | a careless host | `events` clamps |
//! | `main_output_name()` gives the main input's name | JACK in the standalone | `classes` names neither |
//! | one value of an unknown kind loses all settings of a project, or refuses it; faders are set beyond their ends | a project of a later version, or a damaged one | `project` reads and writes all of it, `values` sets |
//! | a parameter that is held at its end by a modulation forgets what it is set to | a CLAP host that modulates | `values` takes the modulation off meanwhile |
//! | VST3: the controller forgets what it is told while audio runs | the validator of the VST3 SDK (*Parameter Bypass persistence*) | `vst3::controller` answers with the host's word until the processor has it |
//! | denormals are flushed by a feature of its own only, as results but not as input | clap-validator | `denormals`, around all that is played |
//! | a choice is only known in capital and small letters as we write it | a host's text field | `values::typed` |
//! | loading a state tells nobody that the latency changed | every host with two budgets | `vst3::class`, `clap::extensions` |
//! | calls from the editor's own thread | every VST3 host on Linux | `vst3::handler`, through the host's run loop |
#![allow(unsafe_code)] // COM and C interfaces; every block says why it is sound.

pub(crate) mod buses;
pub mod clap;
pub(crate) mod denormals;
pub(crate) mod events;
pub use events::{normalized, set_by_hand};
pub mod values;
pub mod vst3;

/// Pins this library in the host's memory, because a thread of ours could not be ended in time: a little memory
/// is lost instead of the host. Does nothing where it was never tried (anything but Linux).
pub(crate) fn stay_in_memory() {
    #[cfg(target_os = "linux")]
    {
        // SAFETY: zero is a value of this structure of pointers.
        let mut info: libc::Dl_info = unsafe { std::mem::zeroed() };
        let here = (stay_in_memory as *const ()).cast::<libc::c_void>();
        // SAFETY: `here` is an address in this library, `info` is ours; the name in it is a string.
        unsafe {
            if libc::dladdr(here, &mut info) != 0 && !info.dli_fname.is_null() {
                libc::dlopen(info.dli_fname, libc::RTLD_LAZY | libc::RTLD_NOLOAD | libc::RTLD_NODELETE);
            }
        }
    }
}
