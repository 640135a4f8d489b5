//! What the plugin does, without any plugin framework: the audio thread's engine, the connection behind it, and
//! what a display may know about both.
//!
//! Three parties, three types:
//!
//! - [`Instance`], the main thread's handle, one per plugin instance. Making one is cheap and starts nothing; no
//!   function of it waits for the network. [`Instance::activate`] builds an [`AudioEngine`] and orders a
//!   connection in the background.
//! - [`AudioEngine`], the audio thread's. [`AudioEngine::process`] allocates nothing, locks nothing and logs nothing. In a
//!   live session it waits for nothing and makes no system call. In an offline render, and only there, it waits for the
//!   exact chunk; [`Instance::cancel_offline`] ends the wait. [`AudioEngine::enter`] goes from one to the other.
//! - [`network`], the one runtime of the process on which all links live. It starts with the first activation
//!   and goes with the last instance; [`network::unload`] is for the library's exit.
//!
//! This crate must never see a plugin framework, a GUI, a model or the server.

mod automation;
pub mod checkup;
pub mod click_file;
mod control;
mod engine;
mod feed;
mod instance;
mod lately;
mod meters;
mod metronome;
pub mod mixer;
pub mod network;
mod offline;
mod pace;
pub mod servers;
mod session;
pub mod settings;
mod shared;
mod song;
mod switch;
pub mod view;

pub use checkup::{Check, Finding, Verdict};
pub use control::{CONTROLS, Control, Touched};
pub use engine::{AudioEngine, Block, OUTPUTS, Status};
pub use instance::{AudioSetup, Change, Instance};
pub use meters::{Levels, Meters};
pub use metronome::ClickNow;
pub use mixer::{
    MOST_BEATS_PER_BAR, Mixer, OWN_TEMPO_BPM, PartMode, STRIP_NAMES, STRIPS, StripValues, TOP_DB,
};
pub use rehearsekit_audio::click::{self, BeatTransport as Transport};
pub use rehearsekit_client::known::config_dir;
pub use rehearsekit_client::{BudgetOffer, DEFAULT_SERVER, Percentiles, STANDARD_BUDGETS_MILLIS};
pub use servers::{Pairing, ServerSeen, Standing};
pub use settings::{InstanceId, MOST_COUNT_IN_BARS, Settings, Trust};
pub use view::{Counters, LinkView, View};
