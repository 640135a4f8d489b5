//! Photographs of every state in both sizes of type, held against those under `tests/snapshots`. To take new ones:
//! `UPDATE_SNAPSHOTS=1 cargo test -p rehearsekit-gui`. A machine without any renderer (a software one will do: Debian's
//! mesa-vulkan-drivers) fails here.

use egui_kittest::kittest::Queryable as _;
use egui_kittest::{SnapshotOptions, SnapshotResults};
use rehearsekit_gui::view::{LinkState, View};

use crate::scenes::*;
use crate::servers::*;

/// Renderers round the edges of letters differently; a missing word is some hundred pixels.
fn options() -> SnapshotOptions {
    SnapshotOptions::new().threshold(2.0).max_failed_pixels(40)
}

/// Photographs `view` for `album`, after pressing what `press` names, if anything. An album with a picture in it that
/// is not as it was fails its test.
fn photograph(
    album: &mut SnapshotResults,
    name: &str,
    size: [f32; 2],
    density: f32,
    view: View,
    press: &str,
) {
    let mut stage = at_density(size, density, view);
    stage.run();
    for key in press.split('|').filter(|key| !key.is_empty()) {
        stage.get_by_label(key).click();
        stage.run();
        stage.remove_cursor();
        stage.run();
    }
    album.add(stage.try_snapshot_options(name, &options()));
}

#[test]
fn every_state_in_both_types() {
    let mut album = SnapshotResults::new();
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
        photograph(&mut album, &name, SMALL, 1.0, in_state(state), "");
        photograph(&mut album, &format!("{name}_large"), SMALL, 1.0, large(in_state(state)), "");
    }
}

#[test]
fn every_size_of_window() {
    let mut album = SnapshotResults::new();
    photograph(&mut album, "usual", USUAL, 1.0, busy(), "");
    photograph(&mut album, "wide", WIDE, 1.0, live(), "");
    photograph(&mut album, "wide_large", WIDE, 1.0, large(busy()), "");
    photograph(&mut album, "dense", SMALL, 2.0, busy(), "");
    let mut view = busy();
    view.look.scale_percent = 150;
    photograph(&mut album, "scaled", [840.0, 570.0], 1.0, view, "");
}

#[test]
fn every_number_of_stems() {
    let mut album = SnapshotResults::new();
    photograph(&mut album, "two_stems", SMALL, 1.0, two_stems(), "");
    photograph(&mut album, "six_stems", SMALL, 1.0, six_stems(), "");
    photograph(&mut album, "six_stems_large", SMALL, 1.0, large(six_stems()), "");
    let mut view = in_state(LinkState::Looking);
    for strip in &mut view.strips {
        (strip.present, strip.peak) = (false, [0.0; 2]);
    }
    photograph(&mut album, "no_stems", SMALL, 1.0, view, "");
}

#[test]
fn every_page() {
    let mut album = SnapshotResults::new();
    photograph(&mut album, "set_up", USUAL, 1.0, live(), SET_UP);
    photograph(&mut album, "set_up_small", SMALL, 1.0, in_state(LinkState::HostRendersAhead), SET_UP);
    photograph(
        &mut album,
        "set_up_large",
        SMALL,
        1.0,
        large(live()),
        "Live · htdemucs · 250 ms · closet. Stems come from closet in time.",
    );
    photograph(&mut album, "click_small", SMALL, 1.0, unknown_tempo(), ALL_OF_THE_CLICK);
    photograph(&mut album, "click_usual", USUAL, 1.0, unknown_tempo(), "");
}

#[test]
fn every_state_of_finding_and_pairing() {
    let mut album = SnapshotResults::new();
    let scenes = [
        ("nobody", nobody()),
        ("several", several()),
        ("ten", ten()),
        ("asked", asked(None, None)),
        ("wrong_code", wrong_code()),
        ("pairing", busy_pairing()),
        ("paired", paired()),
        ("revoked", revoked()),
        ("in_trouble", in_trouble()),
        ("nobody_in_trouble", nobody_in_trouble()),
    ];
    for (name, view) in scenes {
        // A server one plays with is behind the other tab.
        let page = if view.link.state == LinkState::Live { SERVER_PAGE } else { "" };
        let press = format!("{SET_UP}|{page}");
        photograph(&mut album, &format!("server_{name}"), SMALL, 1.0, view.clone(), &press);
        let press = format!("{}. {}|{page}", view.link.badge, view.link.sentence);
        photograph(&mut album, &format!("server_{name}_large"), SMALL, 1.0, large(view), &press);
    }
    photograph(&mut album, "server_several_usual", USUAL, 1.0, several(), SET_UP);
    photograph(&mut album, "server_asked_usual", USUAL, 1.0, asked(None, None), SET_UP);
    let press = format!("{SET_UP}|{SERVER_PAGE}|Forget closet 3fa1b2c4");
    photograph(&mut album, "server_forget", SMALL, 1.0, at_home(), &press);
}

#[test]
fn a_recommendation() {
    let mut album = SnapshotResults::new();
    photograph(&mut album, "recommended", SMALL, 1.0, recommended(), "");
    photograph(&mut album, "recommended_large", SMALL, 1.0, large(recommended()), "");
    photograph(&mut album, "recommended_page", SMALL, 1.0, recommended(), SET_UP);
    photograph(&mut album, "recommended_page_usual", USUAL, 1.0, recommended(), SET_UP);
}

#[test]
fn a_check_of_the_set_up() {
    let mut album = SnapshotResults::new();
    photograph(&mut album, "checkup", USUAL, 1.0, checked(), &format!("{SET_UP}|{CHECKUP_PAGE}"));
}

#[test]
fn the_player() {
    let mut album = SnapshotResults::new();
    photograph(&mut album, "player", USUAL, 1.0, playing(), "");
    photograph(&mut album, "player_small", SMALL, 1.0, playing(), "");
    photograph(&mut album, "player_large", SMALL, 1.0, large(playing()), "");
    photograph(&mut album, "player_no_song", SMALL, 1.0, no_song(), "");
    photograph(&mut album, "player_songs", USUAL, 1.0, playing(), "Open a song");
    photograph(&mut album, "player_songs_small", SMALL, 1.0, broken_song(), "Open a song");
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
