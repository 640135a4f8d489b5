//! What a screen reader is told, and that it can act.

use egui_kittest::kittest::{NodeT as _, Queryable as _};
use rehearsekit_gui::view::*;
use rehearsekit_gui::{Action, FADER_FOOT_DB};

use crate::scenes::*;

/// What one can do something with.
const USED: [egui::accesskit::Role; 4] = {
    use egui::accesskit::Role;
    [Role::Button, Role::RadioButton, Role::Slider, Role::TextInput]
};

#[test]
fn everything_that_can_be_used_has_a_name_of_its_own() {
    for (size, view) in
        [(USUAL, unknown_tempo()), (SMALL, six_stems()), (SMALL, large(busy())), (WIDE, two_stems())]
    {
        let mut stage = stage(size, view);
        stage.run();
        let mut names = Vec::new();
        for node in stage.query_all_by(|node| USED.contains(&node.role())) {
            let name = node.accesskit_node().label().unwrap_or_default();
            assert!(!name.is_empty(), "something without a name: {node:?}");
            assert!(!names.contains(&name), "two are called {name}");
            names.push(name);
        }
        assert!(names.len() > 10, "{names:?}");
    }
}

#[test]
fn values_are_said_in_words() {
    let mut stage = stage(USUAL, busy());
    stage.run();
    for label in [
        "Vocals fader, −3.2 dB",
        "Drums fader, +8.0 dB",
        "Other fader, −∞ dB",
        "Bass pan, 12 L",
        "Main fader, 0.0 dB",
        "Dry to wet, 100 %",
        "Click level, −8.0 dB",
        "Click pan, centre",
        "Bass: my part",
        "Drums: make it my part",
        "Beat 3 of 4",
        "Tempo: 118.0 BPM",
        "Guitar · not in this model",
    ] {
        stage.get_by_label(label);
    }
}

#[test]
fn the_state_and_its_reason_are_said() {
    for state in [LinkState::Refused, LinkState::HostRendersAhead, LinkState::Failed, LinkState::Idle] {
        let view = in_state(state);
        let mut stage = stage(SMALL, view.clone());
        stage.run();
        let badge =
            stage.get_by(|node| node.label().is_some_and(|label| label.starts_with(&view.link.badge)));
        let said = badge.accesskit_node().label().unwrap_or_default();
        assert!(said.contains(&view.link.sentence), "{said}");
        if let Some(warning) = &view.link.warning {
            assert!(said.contains(warning), "{said}");
        }
    }
}

#[test]
fn what_is_unknown_is_said_to_be_unknown() {
    let mut view = unknown_tempo();
    view.link.turnaround_millis = None;
    view.latency = None;
    let mut stage = stage(USUAL, view);
    stage.run();
    stage.get_by_label("Tempo: ? tempo unknown");
    stage.get_by_label_contains("Turnaround not measured yet");
    stage.get_by_label_contains("Latency not known yet");
    stage.get_by_label(SET_UP).click();
    stage.run();
    stage.get_by_label("1500 ms: quality unknown, not tried on this link");
    stage.get_by_label("132 ms: 2.1 dB below offline, too tight on this link, the link alone takes 40 ms");
}

#[test]
fn a_screen_reader_moves_a_fader() {
    let mut stage = stage(SMALL, live());
    stage.run();
    let mut moved = |act: &dyn Fn(&egui_kittest::Node<'_>), value: f32| {
        act(&stage.get_by_label("Drums fader, 0.0 dB"));
        stage.run();
        let control = Control::Gain(1);
        let whole = [Action::Begin(control), Action::Set(control, value), Action::End(control)];
        assert_eq!(std::mem::take(&mut stage.state_mut().actions), whole);
    };
    moved(&|fader| fader.increment_accesskit(), 0.5);
    moved(&|fader| fader.decrement_accesskit(), -0.5);
    moved(&|fader| fader.set_value_accesskit(-12.0), -12.0);
    moved(&|fader| fader.set_value_accesskit(-900.0), FADER_FOOT_DB);
    stage.get_by_label("Drums mute").click_accesskit();
    stage.run();
    assert_eq!(stage.state().actions, [Action::Mute(1, true)]);
}

#[test]
fn a_changed_view_moves_what_it_should_and_nothing_else() {
    let mut stage = stage(USUAL, live());
    stage.run();
    let places = |stage: &egui_kittest::Harness<'_, Stage>| -> Vec<(String, egui::Rect)> {
        stage
            .query_all_by(|node| node.label().is_some())
            .map(|node| (node.accesskit_node().label().unwrap_or_default(), node.rect()))
            .collect()
    };
    let before = places(&stage);
    let view = &mut stage.state_mut().view;
    view.strips[1].gain_db = -20.0;
    view.link = in_state(LinkState::Bridging).link;
    view.link.warning = Some("The last bounce failed: the server went away. Bounce again.".to_owned());
    stage.run();
    stage.get_by_label("Drums fader, −20.0 dB");
    let after = places(&stage);
    // A fader that is being dragged must not slip away because the link has something to say.
    let rects = |places: &[(String, egui::Rect)]| places.iter().map(|(_, rect)| *rect).collect::<Vec<_>>();
    assert_eq!(rects(&before), rects(&after));
}

/// Everything that can be used has a name of its own, is large enough to hit, and lies beside all others.
pub fn nothing_overlaps(stage: &egui_kittest::Harness<'_, Stage>, size: [f32; 2], about: &str) {
    let all = egui::Rect::from_min_size(egui::Pos2::ZERO, size.into());
    let mut taken: Vec<(String, egui::Rect)> = Vec::new();
    for node in stage.query_all_by(|node| USED.contains(&node.role())) {
        let (name, rect) = (node.accesskit_node().label().unwrap_or_default(), node.rect());
        assert!(all.contains_rect(rect), "{name} leaves the window: {about}");
        assert!(rect.width() > 12.0 && rect.height() > 11.0, "{name} is too small to hit, {rect:?}: {about}");
        assert!(!name.is_empty(), "something without a name: {about}");
        for (other, its) in &taken {
            assert_ne!(*other, name, "two of the same name: {about}");
            assert!(!rect.shrink(1.0).intersects(its.shrink(1.0)), "{name} lies on {other}: {about}");
        }
        taken.push((name, rect));
    }
}

#[test]
fn nothing_overlaps_and_nothing_leaves_the_window() {
    let scenes = || [live(), busy(), six_stems(), two_stems(), unknown_tempo(), in_state(LinkState::Refused)];
    for size in [SMALL, [640.0, 400.0], [760.0, 470.0], USUAL, WIDE, [1600.0, 500.0], [560.0, 1000.0]] {
        for view in scenes().into_iter().chain(scenes().map(large)) {
            let about = format!("{} at {size:?}, large type {}", view.link.badge, view.look.large_type);
            let mut stage = stage(size, view);
            stage.run();
            nothing_overlaps(&stage, size, &about);
        }
    }
}

#[test]
fn a_window_too_small_for_anything_is_still_drawn() {
    for size in [[1.0, 1.0], [90.0, 60.0], [300.0, 200.0], [2000.0, 40.0]] {
        for view in [busy(), large(busy()), View::default()] {
            stage(size, view).run();
        }
    }
}
