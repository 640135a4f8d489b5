//! Photographs the window for those who design it: `cargo run -p rehearsekit-gui --example photograph [FOLDER]` writes
//! pictures of every scene, below `target/photographs` unless told otherwise.
#![allow(missing_docs, unreachable_pub)]

#[path = "../tests/window/scenes.rs"]
mod scenes;
#[path = "../tests/window/servers.rs"]
mod servers;

use egui_kittest::kittest::Queryable as _;
use rehearsekit_gui::view::LinkState;
use scenes::*;
use servers::*;

fn main() -> Result<(), String> {
    let folder = std::env::args().nth(1).unwrap_or_else(|| "target/photographs".to_owned());
    std::fs::create_dir_all(&folder).map_err(|error| error.to_string())?;
    let take = |name: &str, size, density, view, press: &str| -> Result<(), String> {
        let mut stage = at_density(size, density, view);
        stage.run();
        for key in press.split('|').filter(|key| !key.is_empty()) {
            stage.get_by_label_contains(key).click();
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
    for (name, view) in [
        ("nobody", nobody()),
        ("nobody-trouble", nobody_in_trouble()),
        ("several", several()),
        ("home", at_home()),
        ("ten", ten()),
        ("ask", asked(None, None)),
        ("wrong", wrong_code()),
        ("pairing", busy_pairing()),
        ("paired", paired()),
        ("revoked", revoked()),
        ("trouble", in_trouble()),
        ("recommended", recommended()),
    ] {
        let page = if matches!(name, "home" | "paired") { SERVER_PAGE } else { "" };
        let press = format!("{SET_UP}|{page}");
        take(&format!("server-{name}-small"), SMALL, 1.0, view.clone(), &press)?;
        take(&format!("server-{name}-usual"), USUAL, 1.0, view.clone(), &press)?;
        let press = format!("{}. |{page}", view.link.badge);
        take(&format!("server-{name}-large"), SMALL, 1.0, large(view), &press)?;
    }
    take("recommended-small", SMALL, 1.0, recommended(), "")?;
    take("recommended-large", SMALL, 1.0, large(recommended()), "")?;
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
