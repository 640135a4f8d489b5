//! The plugin: one library with VST3 and CLAP, two classes each, and an editor. It dresses the engine
//! (`rehearsekit-plugin-engine`) as parameters, buses and windows, and knows neither network nor inference.
//!
//! - `classes`: the classes, as nice-plug's `Plugin`.
//! - `host_compat`: what hosts get to see, around nice-plug's wrappers; all `unsafe` is in there.
//! - `params`, `click_params`, `look`: what a project keeps, beside the engine's settings; `project`: how; `kept`: what
//!   other versions put there.
//! - `shared`: what the parties of one instance share; `automation`: who moved what; `handoff`: another engine for the
//!   audio thread.
//! - `editor`: the window.
//! - `unload`: leaving the host's process.

pub mod automation;
pub mod classes;
pub mod click_params;
pub mod editor;
pub mod handoff;
pub mod host_compat;
pub mod kept;
pub mod look;
pub mod params;
pub mod player;
pub mod project;
pub mod shared;
mod unload;
