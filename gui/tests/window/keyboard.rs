//! The whole window by keyboard alone.

use egui::{Key, Modifiers};
use egui_kittest::Harness;
use egui_kittest::kittest::{NodeT as _, Queryable as _};
use rehearsekit_gui::view::*;
use rehearsekit_gui::{Action, FADER_FOOT_DB};

use crate::scenes::*;

/// What the keyboard is on.
pub fn focused(stage: &Harness<'_, Stage>) -> Option<String> {
    let node = stage.query_by(|node| node.is_focused())?;
    node.accesskit_node().label()
}

pub fn press(stage: &mut Harness<'_, Stage>, key: Key, modifiers: Modifiers) -> Vec<Action> {
    stage.state_mut().actions.clear();
    stage.key_press_modifiers(modifiers, key);
    stage.run();
    std::mem::take(&mut stage.state_mut().actions)
}

/// Goes on with Tab until the keyboard is on what begins with `label`.
pub fn tab_to(stage: &mut Harness<'_, Stage>, label: &str) {
    for _ in 0..90 {
        if focused(stage).is_some_and(|now| now.starts_with(label)) {
            return;
        }
        assert_eq!(press(stage, Key::Tab, Modifiers::NONE), [], "Tab alone does nothing");
    }
    panic!("Tab never comes to {label}");
}

/// All stops of the Tab key, in order, until it starts again.
fn stops(stage: &mut Harness<'_, Stage>) -> Vec<String> {
    let mut stops: Vec<String> = Vec::new();
    for _ in 0..90 {
        press(stage, Key::Tab, Modifiers::NONE);
        let Some(stop) = focused(stage) else { continue };
        if stops.first() == Some(&stop) {
            return stops;
        }
        stops.push(stop);
    }
    panic!("Tab goes nowhere or never comes back: {stops:?}");
}

#[test]
fn tab_goes_through_everything_from_top_to_bottom() {
    let mut stage = stage(USUAL, live());
    stage.run();
    let stops = stops(&mut stage);
    let mut at = 0;
    for label in [
        "Live · htdemucs",
        "Server, latency",
        "Large type",
        "Everybody plays",
        "Without my bass",
        "Only my bass",
        "Vocals: make it my part",
        "Vocals fader",
        "Vocals pan",
        "Vocals mute",
        "Vocals solo",
        "Drums: make it my part",
        "Other solo",
        "Main fader",
        "Dry to wet",
        "Bypass",
        "Click off",
        "Tempo of the host",
        "Tap the tempo",
        "The one",
        "My tempo",
        "Fewer beats",
        "Beats only",
        "Click sound: Wood",
        "A WAV",
        "Click level",
        "Click pan",
        "Accent",
        "Click in the main output",
    ] {
        let found = stops.iter().skip(at).position(|stop| stop.starts_with(label));
        at += found.unwrap_or_else(|| panic!("no {label} after stop {at} of {stops:#?}")) + 1;
    }
}

#[test]
fn every_stop_that_is_a_key_is_pressed_by_space_and_by_enter() {
    let mut stage = stage(SMALL, live());
    stage.run();
    for (label, action) in [
        ("Only my bass", Action::Part(PartMode::OnlyMine)),
        ("Drums: make it", Action::Mine(1)),
        ("Drums mute", Action::Mute(1, true)),
        ("Other solo", Action::Solo(5, true)),
        ("Bypass", Action::Bypass(true)),
        ("Click off", Action::ClickMode(ClickMode::Off)),
    ] {
        tab_to(&mut stage, label);
        for key in [Key::Space, Key::Enter] {
            assert_eq!(
                press(&mut stage, key, Modifiers::NONE),
                std::slice::from_ref(&action),
                "{label} by {key:?}"
            );
        }
    }
}

#[test]
fn arrows_move_faders_and_pans() {
    let mut stage = stage(SMALL, live());
    stage.run();
    for (label, control, key, modifiers, value) in [
        ("Drums fader", Control::Gain(1), Key::ArrowUp, Modifiers::NONE, 0.5),
        ("Drums fader", Control::Gain(1), Key::ArrowDown, Modifiers::SHIFT, -0.1),
        ("Drums fader", Control::Gain(1), Key::PageDown, Modifiers::NONE, -3.0),
        ("Drums fader", Control::Gain(1), Key::End, Modifiers::NONE, FADER_FOOT_DB),
        ("Bass fader", Control::Gain(2), Key::Home, Modifiers::NONE, 0.0),
        ("Bass pan", Control::Pan(2), Key::ArrowRight, Modifiers::NONE, -0.07),
        ("Bass pan", Control::Pan(2), Key::Delete, Modifiers::NONE, 0.0),
        ("Main fader", Control::MasterGain, Key::ArrowDown, Modifiers::NONE, -0.5),
        ("Dry to wet", Control::Wet, Key::ArrowLeft, Modifiers::NONE, 0.95),
    ] {
        tab_to(&mut stage, label);
        let whole = [Action::Begin(control), Action::Set(control, value), Action::End(control)];
        assert_eq!(press(&mut stage, key, modifiers), whole, "{label} {key:?}");
        assert!(focused(&stage).is_some_and(|now| now.starts_with(label)), "{key:?} left {label}");
    }
}

#[test]
fn letters_mean_the_strip_the_keyboard_is_on() {
    let mut stage = stage(SMALL, live());
    stage.run();
    assert_eq!(press(&mut stage, Key::M, Modifiers::NONE), [], "on no strip yet");
    for stop in ["Drums fader", "Drums pan", "Drums solo"] {
        tab_to(&mut stage, stop);
        assert_eq!(press(&mut stage, Key::M, Modifiers::NONE), [Action::Mute(1, true)], "{stop}");
        assert_eq!(press(&mut stage, Key::S, Modifiers::NONE), [Action::Solo(1, true)], "{stop}");
        assert_eq!(press(&mut stage, Key::S, Modifiers::ALT), [Action::SoloOnly(1)], "{stop}");
        assert_eq!(press(&mut stage, Key::P, Modifiers::NONE), [Action::Mine(1)], "{stop}");
    }
}

#[test]
fn a_value_is_typed_and_the_keyboard_comes_back() {
    let mut stage = stage(SMALL, live());
    stage.run();
    for (label, control, typed, value) in [
        ("Drums fader", Control::Gain(1), "-6,5", -6.5),
        ("Drums fader", Control::Gain(1), "-inf", FADER_FOOT_DB),
    ] {
        tab_to(&mut stage, label);
        assert_eq!(press(&mut stage, Key::Enter, Modifiers::NONE), []);
        stage.event(egui::Event::Text(typed.to_owned()));
        stage.run();
        let whole = [Action::Begin(control), Action::Set(control, value), Action::End(control)];
        assert_eq!(press(&mut stage, Key::Enter, Modifiers::NONE), whole);
        stage.run();
        assert!(focused(&stage).is_some_and(|now| now.starts_with(label)), "{:?}", focused(&stage));
    }
}

#[test]
fn escape_forgets_what_was_typed() {
    let mut stage = stage(USUAL, live());
    stage.run();
    tab_to(&mut stage, "Drums fader");
    press(&mut stage, Key::Enter, Modifiers::NONE);
    stage.event(egui::Event::Text("3".to_owned()));
    stage.run();
    assert_eq!(press(&mut stage, Key::Escape, Modifiers::NONE), []);
    stage.run();
    assert_eq!(press(&mut stage, Key::Enter, Modifiers::NONE), [], "nothing was kept");
    press(&mut stage, Key::Escape, Modifiers::NONE);

    tab_to(&mut stage, "My tempo");
    stage.event(egui::Event::Text("99".to_owned()));
    stage.run();
    assert_eq!(press(&mut stage, Key::Escape, Modifiers::NONE), []);
    assert_eq!(press(&mut stage, Key::Tab, Modifiers::NONE), []);
}

/// Types over all of a field and leaves it with `key`.
fn type_into(stage: &mut Harness<'_, Stage>, label: &str, text: &str, key: Key) -> Vec<Action> {
    tab_to(stage, label);
    stage.key_press_modifiers(Modifiers::COMMAND, Key::A);
    stage.event(egui::Event::Text(text.to_owned()));
    stage.run();
    press(stage, key, Modifiers::NONE)
}

#[test]
fn fields_are_done_with_enter_or_tab() {
    let mut stage = stage(USUAL, live());
    stage.run();
    assert_eq!(type_into(&mut stage, "My tempo", "97,5", Key::Enter), [Action::OwnTempo(97.5)]);
    assert_eq!(type_into(&mut stage, "My tempo", "fast", Key::Enter), [], "no tempo, no action");
    assert_eq!(type_into(&mut stage, "My tempo", "9999", Key::Enter), []);
    assert_eq!(
        type_into(&mut stage, "A WAV", "/songs/x.wav", Key::Tab),
        [Action::OwnWav("/songs/x.wav".to_owned())]
    );

    tab_to(&mut stage, "Server, latency");
    press(&mut stage, Key::Space, Modifiers::NONE);
    tab_to(&mut stage, SERVER_PAGE);
    press(&mut stage, Key::Space, Modifiers::NONE);
    let server = type_into(&mut stage, "Server address", " attic:4810 ", Key::Enter);
    assert_eq!(server, [Action::Server("attic:4810".to_owned())]);
    let model = type_into(&mut stage, "Model", "spleeter-2stems", Key::Tab);
    assert_eq!(model, [Action::Model("spleeter-2stems".to_owned())]);
    tab_to(&mut stage, LATENCY_PAGE);
    press(&mut stage, Key::Space, Modifiers::NONE);
    tab_to(&mut stage, "500 ms");
    assert_eq!(press(&mut stage, Key::Space, Modifiers::NONE), [Action::Budget(500)]);
}

#[test]
fn escape_leaves_the_page() {
    let mut stage = stage(SMALL, live());
    stage.run();
    tab_to(&mut stage, "Server, latency");
    press(&mut stage, Key::Space, Modifiers::NONE);
    assert!(stage.query_by_label("Vocals mute").is_none());
    press(&mut stage, Key::Escape, Modifiers::NONE);
    press(&mut stage, Key::Escape, Modifiers::NONE);
    stage.get_by_label("Vocals mute");
}

#[test]
fn the_tempo_is_tapped_with_a_letter_but_not_while_typing() {
    let mut stage = stage(USUAL, live());
    stage.run();
    let tap = |stage: &mut Harness<'_, Stage>| {
        for n in 0..4 {
            stage.input_mut().time = Some(50.0 + f64::from(n) * 0.4);
            stage.event(egui::Event::Key {
                key: Key::T,
                physical_key: None,
                pressed: true,
                repeat: false,
                modifiers: Modifiers::NONE,
            });
            stage.step();
            stage.key_up(Key::T);
            stage.step();
        }
        std::mem::take(&mut stage.state_mut().actions)
    };
    assert_eq!(tap(&mut stage), [Action::OwnTempo(150.0), Action::OwnTempo(150.0)]);
    assert_eq!(press(&mut stage, Key::O, Modifiers::NONE), [Action::One]);
    tab_to(&mut stage, "A WAV");
    assert_eq!(tap(&mut stage), []);
    assert_eq!(press(&mut stage, Key::O, Modifiers::NONE), []);
}
