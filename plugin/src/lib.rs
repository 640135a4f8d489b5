//! The plugin: one library with VST3 and CLAP, two classes each, and an editor. It dresses the engine
//! (`rehearsekit-plugin-engine`) as parameters, buses and windows, and knows neither network nor inference.
//!
//! - `classes`: the classes, as nice-plug's `Plugin`.
//! - `host_compat`: what hosts get to see, around nice-plug's wrappers; all `unsafe` is in there.
//! - `params`, `click_params`, `settings`, `look`: what a project keeps.
//! - `shared`: what the parties of one instance share; `automation`: who moved what.
//! - `editor`: the window.
//! - `unload`: leaving the host's process.

pub mod automation;
pub mod classes;
pub mod click_params;
pub mod editor;
pub mod host_compat;
pub mod look;
pub mod params;
pub mod player;
pub mod settings;
pub mod shared;
mod unload;
