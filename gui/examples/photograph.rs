//! Photographs the window for those who design it: `cargo run -p rehearsekit-gui --example photograph [FOLDER]` writes
//! pictures of every scene, below `target/photographs` unless told otherwise.
#![allow(missing_docs, unreachable_pub)]

#[path = "../tests/window/scenes.rs"]
mod scenes;

use egui_kittest::kittest::Queryable as _;
use rehearsekit_gui::view::LinkState;
use scenes::*;

fn main() -> Result<(), String> {
    let folder = std::env::args().nth(1).unwrap_or_else(|| "target/photographs".to_owned());
    std::fs::create_dir_all(&folder).map_err(|error| error.to_string())?;
    let take = |name: &str, size, density, view, press: &str| -> Result<(), String> {
        let mut stage = at_density(size, density, view);
        stage.run();
        if !press.is_empty() {
            stage.get_by_label_contains(press).click();
            stage.run();
            stage.remove_cursor();
            stage.run();
        }
        let picture = stage.render()?;
        picture.save(format!("{folder}/{name}.png")).map_err(|error| error.to_string())
    };
    take("live-wide", WIDE, 1.0, live(), "")?;
    take("live-usual", USUAL, 1.0, live(), "")?;
    take("live-small", SMALL, 1.0, live(), "")?;
    take("busy-usual", USUAL, 1.0, busy(), "")?;
    take("busy-small", SMALL, 1.0, busy(), "")?;
    take("six-usual", USUAL, 1.0, six_stems(), "")?;
    take("six-small", SMALL, 1.0, six_stems(), "")?;
    take("two-wide", WIDE, 1.0, two_stems(), "")?;
    take("two-small", SMALL, 1.0, two_stems(), "")?;
    take("unknown-usual", USUAL, 1.0, unknown_tempo(), "")?;
    take("click-small", SMALL, 1.0, unknown_tempo(), "All of the click")?;
    take("link-usual", USUAL, 1.0, live(), "Server, latency")?;
    take("link-small", SMALL, 1.0, in_state(LinkState::HostRendersAhead), "Server, latency")?;
    take("large-wide", WIDE, 1.0, large(busy()), "")?;
    take("large-small", SMALL, 1.0, large(busy()), "")?;
    take("large-refused", USUAL, 1.0, large(in_state(LinkState::Refused)), "")?;
    take("dense", SMALL, 2.0, busy(), "")?;
    for state in [
        LinkState::Idle,
        LinkState::Looking,
        LinkState::Connecting,
        LinkState::Bridging,
        LinkState::Refused,
        LinkState::OfflineRender,
        LinkState::Failed,
        LinkState::HostRendersAhead,
    ] {
        take(&format!("state-{state:?}").to_lowercase(), [640.0, 400.0], 1.0, in_state(state), "")?;
    }
    Ok(())
}
