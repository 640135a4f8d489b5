//! The player's strip and its page of songs: by pointer, by keys, by screen reader.

use egui::{Key, Modifiers};
use egui_kittest::Harness;
use egui_kittest::kittest::{NodeT as _, Queryable as _};
use rehearsekit_gui::Action;
use rehearsekit_gui::view::*;

use crate::labels::nothing_overlaps;
use crate::pointer::Dropped;
use crate::scenes::*;

fn acted(stage: &mut Harness<'_, Stage>) -> Vec<PlayerAction> {
    let of_player = |action| match action {
        Action::Player(action) => action,
        other => panic!("{other:?} is not the player's"),
    };
    std::mem::take(&mut stage.state_mut().actions).into_iter().map(of_player).collect()
}

fn press(stage: &mut Harness<'_, Stage>, key: Key, modifiers: Modifiers) -> Vec<PlayerAction> {
    stage.key_press_modifiers(modifiers, key);
    stage.run();
    acted(stage)
}

fn type_into(stage: &mut Harness<'_, Stage>, label: &str, text: &str) -> Vec<PlayerAction> {
    stage.get_by_label(label).focus();
    stage.run();
    stage.key_press_modifiers(Modifiers::COMMAND, Key::A);
    stage.run();
    if text.is_empty() {
        stage.key_press(Key::Delete);
    } else {
        stage.event(egui::Event::Text(text.to_owned()));
    }
    stage.run();
    press(stage, Key::Enter, Modifiers::NONE)
}

fn bar(stage: &Harness<'_, Stage>) -> egui::Rect {
    stage.get_by_label_contains("Position, ").rect()
}

#[test]
fn without_a_player_there_is_none() {
    let mut stage = stage(USUAL, live());
    stage.run();
    assert!(stage.query_by_label("Play").is_none() && stage.query_by_label("Open a song").is_none());
    for key in [Key::Space, Key::A, Key::B, Key::L, Key::ArrowRight, Key::Home] {
        stage.key_press(key);
        stage.run();
    }
    assert_eq!(stage.state().actions, []);
}

#[test]
fn the_pointer_plays_seeks_and_loops() {
    let mut stage = stage(USUAL, playing());
    stage.run();
    for (label, action) in [
        ("Pause", PlayerAction::Play(false)),
        ("Loop from here", PlayerAction::LoopFromHere),
        ("Loop to here", PlayerAction::LoopToHere),
        ("Loop", PlayerAction::Looping(false)),
    ] {
        stage.get_by_label(label).click();
        stage.run();
        assert_eq!(acted(&mut stage), [action], "{label}");
    }
    let bar = bar(&stage);
    let at = |share: f32| egui::pos2(bar.left() + bar.width() * share, bar.center().y);
    let point = |stage: &mut Harness<'_, Stage>, from: egui::Pos2, to: egui::Pos2, modifiers| {
        stage.event(egui::Event::ModifiersChanged(modifiers));
        stage.drag_at(from);
        stage.run();
        stage.hover_at(to);
        stage.run();
        stage.drop_at(to);
        stage.run();
        stage.event(egui::Event::ModifiersChanged(Modifiers::NONE));
        acted(stage)
    };
    // 200 s from end to end.
    let sought = point(&mut stage, at(0.5), at(0.5), Modifiers::NONE);
    assert!(matches!(sought[..], [PlayerAction::Seek(s)] if (s - 100.0).abs() < 0.5), "{sought:?}");
    let sought = point(&mut stage, at(0.5), at(0.25), Modifiers::NONE);
    assert!(matches!(sought[..], [PlayerAction::Seek(s)] if (s - 50.0).abs() < 0.5), "{sought:?}");
    let looped = point(&mut stage, at(0.75), at(0.25), Modifiers::SHIFT);
    let [PlayerAction::LoopFrom(Some(from)), PlayerAction::LoopTo(Some(to)), PlayerAction::Looping(true)] =
        looped[..]
    else {
        panic!("{looped:?}")
    };
    assert!((from - 50.0).abs() < 0.5 && (to - 150.0).abs() < 0.5, "{from} {to}");
    assert_eq!((from * 1e3).fract(), 0.0, "to the millisecond");
}

#[test]
fn keys_play_skip_and_loop_but_not_while_typing() {
    let mut stage = stage(USUAL, playing());
    stage.run();
    for (key, modifiers, action) in [
        (Key::Space, Modifiers::NONE, PlayerAction::Play(false)),
        (Key::A, Modifiers::NONE, PlayerAction::LoopFromHere),
        (Key::B, Modifiers::NONE, PlayerAction::LoopToHere),
        (Key::L, Modifiers::NONE, PlayerAction::Looping(false)),
        (Key::ArrowRight, Modifiers::NONE, PlayerAction::Skip(5.0)),
        (Key::ArrowLeft, Modifiers::SHIFT, PlayerAction::Skip(-1.0)),
        (Key::PageUp, Modifiers::NONE, PlayerAction::Skip(30.0)),
        (Key::Home, Modifiers::NONE, PlayerAction::Seek(0.0)),
    ] {
        assert_eq!(press(&mut stage, key, modifiers), [action], "{key:?}");
    }
    stage.get_by_label("Loop from").focus();
    stage.run();
    for key in [Key::Space, Key::A, Key::B, Key::L, Key::ArrowLeft, Key::Home] {
        assert_eq!(press(&mut stage, key, Modifiers::NONE), [], "{key:?} goes into the field");
    }
}

#[test]
fn space_presses_what_tab_has_walked_to_and_plays_after_the_mouse() {
    let mut stage = stage(USUAL, playing());
    stage.run();
    let fader = |stage: &Harness<'_, Stage>| stage.get_by_label_contains("Vocals fader").rect().center();
    let place = fader(&stage);
    stage.drag_at(place);
    stage.drop_at(place);
    stage.run();
    stage.state_mut().actions.clear();
    assert_eq!(press(&mut stage, Key::Space, Modifiers::NONE), [PlayerAction::Play(false)]);
    stage.key_press(Key::Escape);
    stage.run();
    stage.key_press(Key::Tab);
    stage.run();
    while !stage.get_by_label("Loop").is_focused() {
        stage.key_press(Key::Tab);
        stage.run();
    }
    assert_eq!(press(&mut stage, Key::Space, Modifiers::NONE), [PlayerAction::Looping(false)]);
}

#[test]
fn the_loop_is_typed_to_the_millisecond() {
    let mut stage = stage(USUAL, playing());
    stage.run();
    assert_eq!(type_into(&mut stage, "Loop from", "1:02,345"), [PlayerAction::LoopFrom(Some(62.345))]);
    assert_eq!(type_into(&mut stage, "Loop to", "80"), [PlayerAction::LoopTo(Some(80.0))]);
    assert_eq!(type_into(&mut stage, "Loop to", ""), [PlayerAction::LoopTo(None)]);
    assert_eq!(type_into(&mut stage, "Loop to", "soon"), [], "no moment, no action");
}

#[test]
fn a_screen_reader_hears_the_position_and_seeks() {
    let mut stage = stage(USUAL, playing());
    stage.run();
    stage.get_by_label("Position, 0:42.5 of 3:20.0").increment_accesskit();
    stage.run();
    assert_eq!(acted(&mut stage), [PlayerAction::Seek(47.5)]);
    stage.get_by_label_contains("Position, ").set_value_accesskit(12.25);
    stage.run();
    assert_eq!(acted(&mut stage), [PlayerAction::Seek(12.25)]);
    stage.state_mut().view.player.as_mut().unwrap().state = PlayState::CountingIn;
    stage.state_mut().view.player.as_mut().unwrap().position_seconds = -1.5;
    stage.run();
    stage.get_by_label("Position, count-in −0:01.5 of 3:20.0");
}

#[test]
fn songs_are_chosen_typed_and_found_again() {
    let mut stage = stage(USUAL, playing());
    stage.run();
    stage.get_by_label("Open a song").click();
    stage.run();
    stage.get_by_label("Choose a file").click();
    stage.run();
    assert_eq!(acted(&mut stage), [PlayerAction::Choose]);
    let typed = type_into(&mut stage, "Path of a song", "/songs/a b.opus");
    assert_eq!(typed, [PlayerAction::Open("/songs/a b.opus".to_owned())]);
    stage.get_by_label("Open Old one, /songs/old/one.mp3").click();
    stage.run();
    assert_eq!(acted(&mut stage), [PlayerAction::Open("/songs/old/one.mp3".to_owned())]);
    stage.get_by_label("Close the song").click();
    stage.run();
    assert_eq!(acted(&mut stage), [PlayerAction::Close]);
    stage.key_press(Key::Escape);
    stage.run();
    stage.get_by_label_contains("Vocals fader");
}

#[test]
fn without_a_chooser_the_page_says_so_and_a_path_is_typed() {
    let mut view = no_song();
    view.player.as_mut().unwrap().can_choose = false;
    let mut stage = stage(USUAL, view);
    stage.run();
    stage.get_by_label("Open a song").click();
    stage.run();
    assert!(stage.query_by_label("Choose a file").is_none());
    stage.get_by_label_contains("no desktop portal");
    stage.get_by_label_contains("cannot be dropped");
    assert!(stage.query_by_label("Close the song").is_none(), "there is none to close");
}

#[test]
fn without_a_song_nothing_plays() {
    let mut stage = stage(USUAL, no_song());
    stage.run();
    stage.get_by_label("Play").click();
    stage.run();
    for key in [Key::Space, Key::A, Key::L, Key::ArrowRight] {
        assert_eq!(press(&mut stage, key, Modifiers::NONE), []);
    }
}

#[test]
fn a_dropped_file_is_a_song_where_there_is_a_player() {
    for (view, action) in [
        (playing(), Action::Player(PlayerAction::Open("/songs/x.mp3".to_owned()))),
        (live(), Action::OwnWav("/songs/x.mp3".to_owned())),
    ] {
        let mut stage = stage(USUAL, view);
        stage.run();
        stage.input_mut().dropped_files.push(std::sync::Arc::new(Dropped("/songs/x.mp3".into())));
        stage.run();
        assert_eq!(stage.state().actions, [action]);
    }
}

#[test]
fn a_wav_for_the_click_is_chosen_where_files_can_be() {
    let mut stage = stage(USUAL, playing());
    stage.run();
    stage.get_by_label("Choose a WAV file of my own").click();
    stage.run();
    assert_eq!(acted(&mut stage), [PlayerAction::ChooseClick]);
}

#[test]
fn nothing_overlaps_with_the_player() {
    for size in [SMALL, [640.0, 400.0], [760.0, 470.0], USUAL, WIDE, [1600.0, 500.0], [560.0, 1000.0]] {
        for view in [playing(), large(playing()), no_song(), broken_song()] {
            for page in ["", "Open a song"] {
                let about = format!("{size:?}, large type {}, {page}", view.look.large_type);
                let mut stage = stage(size, view.clone());
                stage.run();
                if !page.is_empty() {
                    stage.get_by_label(page).click();
                    stage.run();
                }
                nothing_overlaps(&stage, size, &about);
            }
        }
    }
}

#[test]
fn all_of_it_has_names() {
    let mut stage = stage(USUAL, playing());
    stage.run();
    for name in ["Pause", "Loop", "Loop from", "Loop to", "Loop from here", "Loop to here", "Open a song"] {
        assert!(!stage.get_by_label(name).accesskit_node().is_disabled(), "{name}");
    }
}
