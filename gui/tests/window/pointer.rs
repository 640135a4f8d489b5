//! Everything by pointer: each action there is can be reached, and a gesture is whole.

use egui::{Event, Modifiers, MouseWheelUnit, Pos2, vec2};
use egui_kittest::Harness;
use egui_kittest::kittest::Queryable as _;
use rehearsekit_gui::view::*;
use rehearsekit_gui::{Action, FADER_FOOT_DB};

use crate::scenes::*;

/// What came of clicking `label` (its beginning is enough), which has to be there once.
pub fn click(stage: &mut Harness<'_, Stage>, label: &str) -> Vec<Action> {
    stage.state_mut().actions.clear();
    stage.get_by(|node| node.label().is_some_and(|l| l.starts_with(label))).click();
    stage.run();
    std::mem::take(&mut stage.state_mut().actions)
}

fn middle(stage: &Harness<'_, Stage>, label: &str) -> Pos2 {
    stage.get_by(|node| node.label().is_some_and(|l| l.starts_with(label))).rect().center()
}

/// Drags by `way`, in two steps.
fn drag(stage: &mut Harness<'_, Stage>, label: &str, way: egui::Vec2, modifiers: Modifiers) -> Vec<Action> {
    let from = middle(stage, label);
    stage.state_mut().actions.clear();
    stage.event(Event::ModifiersChanged(modifiers));
    stage.hover_at(from);
    stage.drag_at(from);
    stage.run();
    for share in [0.5, 1.0] {
        stage.hover_at(from + way * share);
        stage.run();
    }
    stage.drop_at(from + way);
    stage.run();
    stage.event(Event::ModifiersChanged(Modifiers::NONE));
    stage.run();
    std::mem::take(&mut stage.state_mut().actions)
}

/// The last value set, after seeing that the gesture is whole: one begin, then sets, then one end.
fn last_of_gesture(actions: &[Action], control: Control) -> f32 {
    let [Action::Begin(first), sets @ .., Action::End(last)] = actions else {
        panic!("no gesture: {actions:?}")
    };
    assert_eq!([*first, *last], [control; 2]);
    let values: Vec<f32> = sets
        .iter()
        .map(|set| match set {
            Action::Set(of, value) if *of == control => *value,
            other => panic!("{other:?} within a gesture of {control:?}"),
        })
        .collect();
    *values.last().expect("a gesture that moves nothing")
}

#[test]
fn every_key_does_what_it_says() {
    let do_as_they_say = |size, view, wanted: &[(&str, Action)]| {
        let mut stage = stage(size, view);
        stage.run();
        for (label, action) in wanted {
            assert_eq!(click(&mut stage, label), std::slice::from_ref(action), "{label}");
        }
    };
    do_as_they_say(
        SMALL,
        busy(),
        &[
            ("Vocals mute", Action::Mute(0, false)),
            ("Drums mute", Action::Mute(1, true)),
            ("Drums solo", Action::Solo(1, false)),
            ("Bass solo", Action::Solo(2, true)),
            ("Other: make it my part", Action::Mine(5)),
            ("Everybody plays", Action::Part(PartMode::All)),
            ("Only my bass", Action::Part(PartMode::OnlyMine)),
            ("Bypass", Action::Bypass(true)),
            ("Click off", Action::ClickMode(ClickMode::Off)),
            ("Click as count-in", Action::ClickMode(ClickMode::CountIn)),
            ("Large type", Action::LargeType(true)),
        ],
    );
    do_as_they_say(
        USUAL,
        unknown_tempo(),
        &[
            ("Without my bass", Action::Part(PartMode::WithoutMine)),
            ("Click on", Action::ClickMode(ClickMode::On)),
            ("Tempo of my own", Action::TempoSource(TempoSource::Own)),
            ("The one is now", Action::One),
            ("Eighths", Action::ClickSubdivision(Subdivision::Eighths)),
            ("Triplets", Action::ClickSubdivision(Subdivision::Triplets)),
            ("Sixteenths", Action::ClickSubdivision(Subdivision::Sixteenths)),
            ("Click sound: Beep", Action::ClickSound(1)),
            ("Accent", Action::ClickAccent(false)),
            ("Click in the main output", Action::ClickInMain(false)),
            ("More beats to the bar", Action::BeatsPerBar(5)),
            ("Fewer beats to the bar", Action::BeatsPerBar(3)),
            ("More bars to count in", Action::CountInBars(3)),
            ("Fewer bars to count in", Action::CountInBars(1)),
        ],
    );
    do_as_they_say(SMALL, in_state(LinkState::Refused), &[("Use 350 ms", Action::Budget(350))]);
}

#[test]
fn the_page_behind_the_badge() {
    for way in [SET_UP, "Live · htdemucs"] {
        let mut stage = stage(SMALL, live());
        stage.run();
        assert_eq!(click(&mut stage, way), []);
        assert_eq!(click(&mut stage, "350 ms"), [Action::Budget(350)]);
        assert_eq!(click(&mut stage, "250 ms"), [], "it is picked already");
        assert_eq!(click(&mut stage, "More percent"), [Action::Scale(110)]);
        assert_eq!(click(&mut stage, "Fewer percent"), [Action::Scale(90)]);
        click(&mut stage, "Back to the mixer");
        stage.get_by_label("Vocals mute");
    }
}

#[test]
fn alt_click_solos_alone() {
    let mut stage = stage(SMALL, busy());
    stage.run();
    stage.get_by_label("Bass solo").click_modifiers(Modifiers::ALT);
    stage.run();
    assert_eq!(stage.state().actions, [Action::SoloOnly(2)]);
}

#[test]
fn faders_and_slots_follow_the_hand() {
    let mut stage = stage(USUAL, live());
    stage.run();
    let up = vec2(0.0, -40.0);
    let value = last_of_gesture(&drag(&mut stage, "Vocals fader", up, Modifiers::NONE), Control::Gain(0));
    assert!(value > -3.2, "{value}");
    let fine = last_of_gesture(&drag(&mut stage, "Vocals fader", up, Modifiers::SHIFT), Control::Gain(0));
    assert!(fine > -3.2 && fine < value - 1.0, "{fine} is not finer than {value}");
    let down = last_of_gesture(
        &drag(&mut stage, "Main fader", vec2(0.0, 2000.0), Modifiers::NONE),
        Control::MasterGain,
    );
    assert_eq!(down, FADER_FOOT_DB);
    for (label, control, wanted) in [
        ("Drums pan", Control::Pan(1), 1.0),
        ("Click level", Control::ClickLevel, 12.0),
        ("Click pan", Control::ClickPan, 1.0),
    ] {
        let actions = drag(&mut stage, label, vec2(900.0, 0.0), Modifiers::NONE);
        assert_eq!(last_of_gesture(&actions, control), wanted, "{label}");
    }
    let dry = drag(&mut stage, "Dry to wet", vec2(-900.0, 0.0), Modifiers::NONE);
    assert_eq!(last_of_gesture(&dry, Control::Wet), 0.0);
}

/// A slow machine shows no picture between pressing and the first move.
#[test]
fn what_is_moved_in_the_picture_in_which_it_is_pressed_counts() {
    let mut stage = stage(USUAL, live());
    stage.run();
    let from = middle(&stage, "Main fader");
    stage.hover_at(from);
    stage.run();
    stage.drag_at(from);
    stage.event(Event::PointerMoved(from + vec2(0.0, 900.0)));
    stage.run();
    stage.drop_at(from + vec2(0.0, 900.0));
    stage.run();
    let actions = std::mem::take(&mut stage.state_mut().actions);
    assert_eq!(last_of_gesture(&actions, Control::MasterGain), FADER_FOOT_DB);
}

/// A slow machine shows no picture between the last move and letting go.
#[test]
fn what_is_moved_in_the_picture_in_which_it_is_let_go_counts() {
    let mut stage = stage(USUAL, live());
    stage.run();
    let from = middle(&stage, "Main fader");
    stage.drag_at(from);
    stage.run();
    stage.hover_at(from + vec2(0.0, 20.0));
    stage.run();
    for event in [
        egui::Event::PointerMoved(from + vec2(0.0, 900.0)),
        egui::Event::PointerButton {
            pos: from + vec2(0.0, 900.0),
            button: egui::PointerButton::Primary,
            pressed: false,
            modifiers: Modifiers::NONE,
        },
    ] {
        stage.input_mut().events.push(event);
    }
    stage.run();
    let actions = std::mem::take(&mut stage.state_mut().actions);
    assert_eq!(last_of_gesture(&actions, Control::MasterGain), FADER_FOOT_DB);
}

#[test]
fn a_click_beside_the_cap_moves_nothing() {
    let mut stage = stage(USUAL, live());
    stage.run();
    assert_eq!(click(&mut stage, "Vocals fader"), []);
}

#[test]
fn a_double_click_is_the_default_to_the_bit() {
    let mut stage = stage(USUAL, live());
    stage.run();
    for (label, control, value) in [("Bass fader", Control::Gain(2), 0.0), ("Bass pan", Control::Pan(2), 0.0)]
    {
        // Two clicks at one time are quick enough.
        stage.input_mut().time = Some(stage.ctx.input(|i| i.time) + 5.0);
        click(&mut stage, label);
        let actions = click(&mut stage, label);
        assert_eq!(last_of_gesture(&actions, control), value);
    }
}

#[test]
fn the_wheel_turns_what_is_below_it() {
    let mut stage = stage(USUAL, live());
    stage.run();
    let wheel = |stage: &mut Harness<'_, Stage>, label: &str, y: f32| {
        let at = middle(stage, label);
        stage.state_mut().actions.clear();
        stage.hover_at(at);
        stage.run();
        stage.event(Event::MouseWheel {
            unit: MouseWheelUnit::Line,
            delta: vec2(0.0, y),
            phase: egui::TouchPhase::Move,
            source: egui::MouseWheelSource::Wheel,
            modifiers: Modifiers::NONE,
        });
        stage.run_steps(3);
        std::mem::take(&mut stage.state_mut().actions)
    };
    assert_eq!(last_of_gesture(&wheel(&mut stage, "Drums fader", 1.0), Control::Gain(1)), 0.5);
    assert_eq!(last_of_gesture(&wheel(&mut stage, "Drums fader", -2.0), Control::Gain(1)), -1.0);
    assert_eq!(last_of_gesture(&wheel(&mut stage, "Drums pan", -1.0), Control::Pan(1)), -0.05);
}

#[test]
fn what_goes_away_while_it_is_held_is_let_go() {
    let mut stage = stage(SMALL, live());
    stage.run();
    let from = middle(&stage, "Drums fader");
    stage.hover_at(from);
    stage.drag_at(from);
    stage.run();
    stage.hover_at(from + vec2(0.0, -20.0));
    stage.run();
    stage.state_mut().view = two_stems();
    stage.run();
    last_of_gesture(&stage.state().actions, Control::Gain(1));
}

#[test]
fn closing_the_window_lets_go() {
    let mut stage = stage(SMALL, live());
    stage.run();
    let from = middle(&stage, "Drums fader");
    stage.hover_at(from);
    stage.drag_at(from);
    stage.run();
    stage.hover_at(from + vec2(0.0, -20.0));
    stage.run();
    assert_eq!(stage.state_mut().panel.close(), [Action::End(Control::Gain(1))]);
    assert_eq!(stage.state_mut().panel.close(), []);
}

#[test]
fn taps_make_a_tempo_when_the_button_goes_down() {
    let mut stage = stage(SMALL, live());
    stage.run();
    let at = middle(&stage, "Tap the tempo");
    stage.hover_at(at);
    stage.run();
    for n in 0..4 {
        stage.input_mut().time = Some(100.0 + f64::from(n) * 0.5);
        stage.drag_at(at);
        stage.step();
        let wanted = n.max(1) as usize - 1;
        assert_eq!(stage.state().actions, vec![Action::OwnTempo(120.0); wanted], "after tap {n}");
        stage.event(Event::PointerButton {
            pos: at,
            button: egui::PointerButton::Primary,
            pressed: false,
            modifiers: Modifiers::NONE,
        });
        stage.step();
    }
    assert_eq!(stage.state().actions.len(), 2, "going up again is no tap");
}

/// A file as the system hands it over.
#[derive(Debug)]
pub struct Dropped(pub std::path::PathBuf);

impl egui::DroppedFile for Dropped {
    fn path(&self) -> &std::path::Path {
        &self.0
    }

    fn bytes(&self) -> Result<Vec<u8>, String> {
        Err("the panel has no business in here".to_owned())
    }
}

#[test]
fn a_dropped_file_is_the_click_s_own_sound() {
    let mut stage = stage(SMALL, live());
    stage.run();
    stage.input_mut().dropped_files.push(std::sync::Arc::new(Dropped("/songs/rim shot.wav".into())));
    stage.run();
    assert_eq!(stage.state().actions, [Action::OwnWav("/songs/rim shot.wav".to_owned())]);
}

#[test]
fn what_is_not_possible_cannot_be_pressed() {
    let mut stage = stage(SMALL, two_stems());
    stage.run();
    assert_eq!(click(&mut stage, "Without my bass"), []);
    stage.state_mut().view.part.possible = true;
    stage.run();
    assert_eq!(click(&mut stage, "Without my bass"), [Action::Part(PartMode::WithoutMine)]);
}
