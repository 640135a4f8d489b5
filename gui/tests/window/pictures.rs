//! Photographs of every state in both sizes of type, held against those under `tests/snapshots`. To take new ones:
//! `UPDATE_SNAPSHOTS=1 cargo test -p rehearsekit-gui`. A machine without any renderer (a software one will do: Debian's
//! mesa-vulkan-drivers) fails here.

use egui_kittest::SnapshotOptions;
use egui_kittest::kittest::Queryable as _;
use rehearsekit_gui::view::{LinkState, View};

use crate::scenes::*;

/// Renderers round the edges of letters differently; a missing word is some hundred pixels.
fn options() -> SnapshotOptions {
    SnapshotOptions::new().threshold(2.0).max_failed_pixels(40)
}

/// Photographs `view`, after pressing what `press` names, if anything.
fn photograph(name: &str, size: [f32; 2], density: f32, view: View, press: &str) {
    let mut stage = at_density(size, density, view);
    stage.run();
    if !press.is_empty() {
        stage.get_by_label(press).click();
        stage.run();
        stage.remove_cursor();
        stage.run();
    }
    stage.snapshot_options(name, &options());
}

#[test]
fn every_state_in_both_types() {
    for state in [
        LinkState::Idle,
        LinkState::Looking,
        LinkState::Connecting,
        LinkState::Live,
        LinkState::Bridging,
        LinkState::Refused,
        LinkState::OfflineRender,
        LinkState::Failed,
        LinkState::HostRendersAhead,
    ] {
        let name = format!("{state:?}").to_lowercase();
        photograph(&name, SMALL, 1.0, in_state(state), "");
        photograph(&format!("{name}_large"), SMALL, 1.0, large(in_state(state)), "");
    }
}

#[test]
fn every_size_of_window() {
    photograph("usual", USUAL, 1.0, busy(), "");
    photograph("wide", WIDE, 1.0, live(), "");
    photograph("wide_large", WIDE, 1.0, large(busy()), "");
    photograph("dense", SMALL, 2.0, busy(), "");
    let mut view = busy();
    view.look.scale_percent = 150;
    photograph("scaled", [840.0, 570.0], 1.0, view, "");
}

#[test]
fn every_number_of_stems() {
    photograph("two_stems", SMALL, 1.0, two_stems(), "");
    photograph("six_stems", SMALL, 1.0, six_stems(), "");
    photograph("six_stems_large", SMALL, 1.0, large(six_stems()), "");
    let mut view = live();
    view.strips.iter_mut().for_each(|strip| strip.present = false);
    photograph("no_stems", SMALL, 1.0, view, "");
}

#[test]
fn every_page() {
    photograph("set_up", USUAL, 1.0, live(), SET_UP);
    photograph("set_up_small", SMALL, 1.0, in_state(LinkState::HostRendersAhead), SET_UP);
    photograph("click_small", SMALL, 1.0, unknown_tempo(), ALL_OF_THE_CLICK);
    photograph("click_usual", USUAL, 1.0, unknown_tempo(), "");
}

#[test]
fn where_the_keyboard_is() {
    let mut stage = stage(SMALL, live());
    stage.run();
    for _ in 0..8 {
        stage.key_press(egui::Key::Tab);
        stage.run();
    }
    stage.snapshot_options("focus", &options());
}

#[test]
fn two_states_do_not_look_alike() {
    let picture = |view| {
        let mut stage = stage(SMALL, view);
        stage.run();
        stage.render().unwrap()
    };
    let one = picture(in_state(LinkState::Looking));
    let other = picture(in_state(LinkState::Connecting));
    let differing = one.pixels().zip(other.pixels()).filter(|(one, other)| one != other).count();
    assert!(differing > 40, "only {differing} pixels differ: a snapshot would not see it");
}
