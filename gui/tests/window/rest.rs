//! A window at rest costs nothing; one that moves says until when.

use std::time::Duration;

use egui_kittest::Harness;

use crate::scenes::*;

/// How soon egui was asked for another picture.
fn asked(stage: &Harness<'_, Stage>) -> Duration {
    stage.output().viewport_output[&egui::ViewportId::ROOT].repaint_delay
}

fn silent() -> rehearsekit_gui::view::View {
    let mut view = live();
    view.strips.iter_mut().for_each(|strip| strip.peak = [0.0; 2]);
    view.master.peak = [0.0; 2];
    view.click.peak = [0.0; 2];
    view
}

#[test]
fn at_rest_nothing_is_wanted() {
    for view in [silent(), large(silent())] {
        let mut stage = stage(USUAL, view);
        stage.run();
        stage.step();
        assert_eq!(asked(&stage), Duration::MAX);
        assert_eq!(stage.state().panel.next_picture(), None);
    }
}

#[test]
fn a_field_with_the_keyboard_in_it_does_not_blink() {
    let mut stage = stage(USUAL, silent());
    stage.run();
    for _ in 0..60 {
        stage.key_press(egui::Key::Tab);
        stage.run();
    }
    stage.step();
    assert_eq!(asked(&stage), Duration::MAX);
}

#[test]
fn a_meter_falls_by_itself_and_then_rests() {
    let mut stage = stage(USUAL, live());
    stage.input_mut().time = Some(10.0);
    stage.step();
    stage.state_mut().view = silent();
    let mut now = 10.0;
    let mut pictures = 0;
    loop {
        stage.input_mut().time = Some(now);
        stage.step();
        assert_eq!(asked(&stage), Duration::MAX, "it is the owner who decides about pictures");
        let Some(next) = stage.state().panel.next_picture() else { break };
        assert!(next >= Duration::from_millis(30), "{next:?} is faster than an eye");
        now += next.as_secs_f64();
        pictures += 1;
        assert!(pictures < 1000, "never rests");
    }
    assert!((12.0..20.0).contains(&now), "it took until {now}");
}

#[test]
fn music_that_does_not_change_needs_no_pictures_of_its_own() {
    let mut stage = stage(USUAL, live());
    for now in [10.0, 10.04, 13.0] {
        stage.input_mut().time = Some(now);
        stage.step();
    }
    assert_eq!(stage.state().panel.next_picture(), None);
}

#[test]
fn a_value_from_elsewhere_is_shown_and_not_set() {
    let mut view = unknown_tempo();
    view.click.count_in_bars = Some(0);
    view.click.beats_per_bar = 99;
    view.look.scale_percent = 30;
    let mut stage = stage(USUAL, view);
    stage.run();
    assert!(stage.state().actions.is_empty(), "{:?}", stage.state().actions);
}
