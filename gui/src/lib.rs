//! What the plugin's window shows. A plain [`View`] goes in, a list of [`Action`]s comes out, and whoever owns the
//! window turns one into parameters and settings. Knows neither plugin framework nor network nor clock.

mod badge;
mod ballistics;
mod checkup;
mod click;
mod fader;
mod grip;
mod health;
mod kit;
mod law;
mod link_page;
mod marks;
mod moment;
mod pairing;
mod panel;
mod part;
mod player;
mod rows;
mod servers;
mod songs;
mod strip;
mod taps;
mod theme;
pub mod view;

pub use panel::{Panel, panel_ui};
pub use view::{
    Action, BudgetView, ClickMode, ClickView, Control, FindingView, LinkState, LinkView, Look, MasterView,
    PairingView, PartMode, PartView, PlayState, PlayerAction, PlayerView, ServerView, SongView, Standing,
    StripView, Subdivision, TempoSource, Verdict, View,
};

/// The foot of every fader in dB: at or below it there is silence.
pub const FADER_FOOT_DB: f32 = -84.0;

/// The head of every fader in dB.
pub const FADER_HEAD_DB: f32 = 12.0;
