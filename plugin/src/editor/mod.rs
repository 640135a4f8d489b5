//! The editor: `window` opens and closes it as the host asks, `view` turns what the engine says into the panel's words,
//! `act` turns what the player does into parameters and settings, `watch` wakes it when there is something new to
//! show. Runs on whatever thread the window has; never waits for audio or network.

mod act;
mod checkup;
mod view;
mod watch;
mod window;

pub use window::Editor;

use crate::shared::News;

/// Hands news to the host's main thread.
pub type ToMainThread = Box<dyn Fn(News) + Send + Sync>;
