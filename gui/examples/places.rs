//! Where things are in a window of a size, for those who press them from outside (`cargo xtask daw-check`):
//! `cargo run -p rehearsekit-gui --example places WIDTH HEIGHT` prints `{"Vocals: mute": [x, y, width, height], …}`
//! of the plugin with a model of two stems, everything at rest. With `servers N` behind that it is the page of
//! servers, with N that nobody is paired with, called by their number, and this computer; with `player` it is the
//! standalone with a song, and with `songs` its page of songs, of which one was open before.
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a tool for us, whose end by a closed pipe harms nobody"
)]
#![allow(missing_docs)]

use std::collections::BTreeMap;

use egui_kittest::Harness;
use egui_kittest::kittest::{NodeT as _, Queryable as _};
use rehearsekit_gui::{
    ClickView, Panel, PlayerView, ServerView, SongView, Standing, StripView, TempoSource, View, panel_ui,
};

/// What the badge says, so that it can be found.
const BADGE: &str = "Connection";

fn main() -> Result<(), String> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let (view, pressed) = match words[2.min(words.len())..] {
        [] => (at_rest(), None),
        ["servers", count] => {
            let count = count.parse().map_err(|_| USAGE.to_owned())?;
            (View { servers: strangers(count), ..at_rest() }, Some(BADGE))
        }
        ["player"] => (with_a_song(), None),
        ["songs"] => (with_a_song(), Some("Open a song")),
        _ => return Err(USAGE.to_owned()),
    };
    let side = |n: usize| words.get(n).and_then(|word| word.parse().ok());
    let (Some(width), Some(height)) = (side(0), side(1)) else { return Err(USAGE.to_owned()) };
    let mut stage = Harness::builder().with_size([width, height]).build_ui_state(
        |ui, panel: &mut Panel| {
            let all = ui.ctx().content_rect();
            let mut ui = ui.new_child(egui::UiBuilder::new().max_rect(all));
            panel_ui(&mut ui, panel, &view);
        },
        Panel::default(),
    );
    stage.run();
    if let Some(pressed) = pressed {
        stage.get_by(|node| node.label().is_some_and(|label| label.starts_with(pressed))).click();
        stage.run();
    }
    let mut places = BTreeMap::new();
    for node in stage.query_all_by(|_| true) {
        if let Some(label) = node.accesskit_node().label() {
            let rect = node.rect();
            places.insert(label, [rect.min.x, rect.min.y, rect.width(), rect.height()]);
        }
    }
    let text: Vec<String> = places.iter().map(|(label, rect)| format!("{label:?}: {rect:?}")).collect();
    println!("{{{}}}", text.join(",\n "));
    Ok(())
}

const USAGE: &str = "places takes a width and a height, in points, and maybe a page: places 900 540 servers 2 (or player, or songs)";

/// The standalone's: where no chooser is, as on a bare screen.
fn with_a_song() -> View {
    let song = SongView { name: "Song".to_owned(), place: "1".to_owned() };
    let player = PlayerView {
        song: Some(song.clone()),
        ready_seconds: 10.0,
        length_seconds: Some(10.0),
        recent: vec![song],
        ..PlayerView::default()
    };
    View { player: Some(player), ..at_rest() }
}

fn strangers(count: usize) -> Vec<ServerView> {
    let stranger = |number: usize| ServerView {
        id: number.to_string(),
        name: number.to_string(),
        there: true,
        ..ServerView::default()
    };
    let here = ServerView { standing: Standing::ThisMachine, there: true, ..ServerView::default() };
    (1..=count).map(stranger).chain([here]).collect()
}

fn at_rest() -> View {
    let names = ["Vocals", "Drums", "Bass", "Guitar", "Piano", "Band"];
    let strip = |(index, name): (usize, &str)| StripView {
        name: name.to_owned(),
        present: index == 0 || index == 5,
        ..StripView::default()
    };
    let mut view = View { strips: names.into_iter().enumerate().map(strip).collect(), ..View::default() };
    view.link.badge = BADGE.to_owned();
    view.part.possible = true;
    view.master.wet = 1.0;
    view.click = ClickView {
        sounds: ["Wood block", "Beep", "Tock"].map(str::to_owned).into(),
        source: TempoSource::Own,
        own_tempo_bpm: 120.0,
        beats_per_bar: 4,
        count_in_bars: Some(0),
        ..ClickView::default()
    };
    view
}
