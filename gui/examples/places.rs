//! Where things are in a window of a size, for those who press them from outside (`cargo xtask daw-check`):
//! `cargo run -p rehearsekit-gui --example places WIDTH HEIGHT` prints `{"Vocals: mute": [x, y, width, height], …}`
//! of the standalone with a model of two stems, everything at rest. With `servers N` behind that it is the page of
//! servers, with N that nobody is paired with, called by their number, and this computer.
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a tool for us, whose end by a closed pipe harms nobody"
)]
#![allow(missing_docs)]

use std::collections::BTreeMap;

use egui_kittest::Harness;
use egui_kittest::kittest::{NodeT as _, Queryable as _};
use rehearsekit_gui::{ClickView, Panel, ServerView, Standing, StripView, TempoSource, View, panel_ui};

/// What the badge says, so that it can be found.
const BADGE: &str = "Connection";

fn main() -> Result<(), String> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let (size, servers) = match words.as_slice() {
        [width, height] => ([width.parse(), height.parse()], None),
        [width, height, page, count] if page == "servers" => {
            ([width.parse(), height.parse()], count.parse().ok())
        }
        _ => return Err(USAGE.to_owned()),
    };
    let [Ok(width), Ok(height)] = size else { return Err(USAGE.to_owned()) };
    let view = View { servers: servers.map(strangers).unwrap_or_default(), ..at_rest() };
    let mut stage = Harness::builder().with_size([width, height]).build_ui_state(
        |ui, panel: &mut Panel| {
            let all = ui.ctx().content_rect();
            let mut ui = ui.new_child(egui::UiBuilder::new().max_rect(all));
            panel_ui(&mut ui, panel, &view);
        },
        Panel::default(),
    );
    stage.run();
    if servers.is_some() {
        stage.get_by(|node| node.label().is_some_and(|label| label.starts_with(BADGE))).click();
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

const USAGE: &str =
    "places takes a width and a height, in points, and maybe a number of servers: places 900 540 servers 2";

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
