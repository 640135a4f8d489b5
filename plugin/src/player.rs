//! A song of one's own under the same window, where no host plays one: what the editor asks of the standalone's player.
//! The plugin in a host has none.

use rehearsekit_gui::{PlayerAction, PlayerView};

/// The player, as the editor knows it. It waits for neither audio nor files.
pub trait Player: Send + Sync {
    /// What there is to see. `heard_seconds` is the moment of the song that is heard now.
    fn view(&self, heard_seconds: f64) -> PlayerView;

    /// Does what was pressed, dragged or typed. `heard_seconds` as in [`Self::view`].
    fn act(&self, action: PlayerAction, heard_seconds: f64);
}
