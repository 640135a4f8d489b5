//! What the plugin's window shows. A plain [`View`] goes in, a list of [`Action`]s comes out, and whoever owns the
//! window turns one into parameters and settings. Knows neither plugin framework nor network nor clock.

mod panel;
mod view;

pub use panel::{Panel, panel_ui};
pub use view::{Action, LinkView, StripView, View};
