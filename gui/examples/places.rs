//! Where things are in a window of a size, for those who press them from outside (`cargo xtask daw-check`):
//! `cargo run -p rehearsekit-gui --example places WIDTH HEIGHT` prints `{"Vocals: mute": [x, y, width, height], …}`
//! of the standalone with a model of two stems, everything at rest.
#![allow(missing_docs)]

use std::collections::BTreeMap;

use egui_kittest::Harness;
use egui_kittest::kittest::{NodeT as _, Queryable as _};
use rehearsekit_gui::{ClickView, Panel, StripView, TempoSource, View, panel_ui};

fn main() -> Result<(), String> {
    let mut words = std::env::args().skip(1).map(|word| word.parse::<f32>());
    let (Some(Ok(width)), Some(Ok(height)), None) = (words.next(), words.next(), words.next()) else {
        return Err("places takes a width and a height, in points: places 900 540".to_owned());
    };
    let mut stage = Harness::builder().with_size([width, height]).build_ui_state(
        |ui, panel: &mut Panel| {
            let all = ui.ctx().content_rect();
            let mut ui = ui.new_child(egui::UiBuilder::new().max_rect(all));
            panel_ui(&mut ui, panel, &at_rest());
        },
        Panel::default(),
    );
    stage.run();
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

fn at_rest() -> View {
    let names = ["Vocals", "Drums", "Bass", "Guitar", "Piano", "Band"];
    let strip = |(index, name): (usize, &str)| StripView {
        name: name.to_owned(),
        present: index == 0 || index == 5,
        ..StripView::default()
    };
    let mut view = View { strips: names.into_iter().enumerate().map(strip).collect(), ..View::default() };
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
