//! The pages behind the badge: finding a server, pairing with it by keyboard alone and by pointer alone, and what the
//! link's quality recommends.

use std::time::Duration;

use egui::{Event, Key, Modifiers};
use egui_kittest::Harness;
use egui_kittest::kittest::{NodeT as _, Queryable as _};
use rehearsekit_gui::Action;
use rehearsekit_gui::view::*;

use crate::keyboard::{focused, press, tab_to};
use crate::labels::nothing_overlaps;
use crate::pointer::click;
use crate::scenes::*;
use crate::servers::*;

/// The window with one of the pages open.
fn opened(size: [f32; 2], view: View, page: &str) -> Harness<'static, Stage> {
    let badge = format!("{}. ", view.link.badge);
    let mut stage = stage(size, view);
    stage.run();
    click(&mut stage, &badge);
    click(&mut stage, page);
    stage
}

#[test]
fn the_code_has_the_keyboard_at_once() {
    let mut stage = stage(SMALL, asked(None, None));
    stage.run();
    click(&mut stage, SET_UP);
    is_on(&stage, "Code of closet");
    assert_eq!(stage.state().panel.next_picture(), None, "and then it rests");
}

fn shows(stage: &mut Harness<'_, Stage>, view: View) {
    stage.state_mut().view = view;
    stage.run();
}

fn types(stage: &mut Harness<'_, Stage>, event: Event) {
    stage.event(event);
    stage.run();
}

fn text(text: &str) -> Event {
    Event::Text(text.to_owned())
}

fn pair() -> [Action; 1] {
    [Action::Pair { code: "12345678".to_owned() }]
}

fn is_on(stage: &Harness<'_, Stage>, label: &str) {
    assert!(focused(stage).is_some_and(|now| now.starts_with(label)), "not on {label}: {:?}", focused(stage));
}

#[test]
fn pairing_by_keyboard_alone() {
    const NONE: Modifiers = Modifiers::NONE;
    for size in [SMALL, USUAL] {
        let mut stage = stage(size, several());
        stage.run();
        tab_to(&mut stage, SET_UP);
        press(&mut stage, Key::Space, NONE);
        tab_to(&mut stage, "closet 77ec02d1, new");
        assert_eq!(press(&mut stage, Key::Enter, NONE), [Action::PickServer(TWIN.to_owned())]);

        shows(&mut stage, asked(None, None));
        is_on(&stage, "Code of closet");
        types(&mut stage, text("1234-567"));
        stage.get_by_label("7 of 8 digits.");
        assert_eq!(press(&mut stage, Key::Enter, NONE), [], "a try is not wasted");
        stage.run();
        is_on(&stage, "Code of closet");
        types(&mut stage, text("8"));
        assert_eq!(press(&mut stage, Key::Enter, NONE), pair());
        for key in [Key::Enter, Key::Enter, Key::Space] {
            assert_eq!(press(&mut stage, key, NONE), [], "sent twice, before the owner says that it is busy");
        }
        shows(&mut stage, busy_pairing());
        stage.get_by_label("Asking closet…");
        types(&mut stage, text("12345678"));
        assert_eq!(press(&mut stage, Key::Enter, NONE), [], "sent twice");

        shows(&mut stage, wrong_code());
        stage.get_by_label("3 tries left.");
        stage.get_by_label_contains("That is not the code");
        is_on(&stage, "Code of closet");
        types(&mut stage, Event::Paste("code: 1234 – 5678\n".to_owned()));
        assert_eq!(press(&mut stage, Key::Tab, NONE), [], "leaving sends nothing");
        tab_to(&mut stage, "Pair with");
        assert_eq!(press(&mut stage, Key::Space, NONE), pair());

        shows(&mut stage, busy_pairing());
        shows(&mut stage, paired());
        stage.get_by_label("Paired with closet. It knows you from now on.");
        is_on(&stage, "closet 3fa1b2c4, paired");
        press(&mut stage, Key::Escape, NONE);
        press(&mut stage, Key::Escape, NONE);
        stage.get_by_label("Vocals mute");
    }
}

#[test]
fn escape_cancels_pairing_and_stays_on_the_page() {
    for view in [asked(None, None), wrong_code(), busy_pairing()] {
        let mut stage = opened(SMALL, view, SERVER_PAGE);
        types(&mut stage, text("12"));
        assert_eq!(press(&mut stage, Key::Escape, Modifiers::NONE), [Action::CancelPairing]);
        stage.get_by_label(SERVER_PAGE);
    }
    // But of a field that is typed into it only forgets what was typed.
    let mut stage = opened(SMALL, asked(None, None), SERVER_PAGE);
    tab_to(&mut stage, "Server address");
    types(&mut stage, text("attic"));
    assert_eq!(press(&mut stage, Key::Escape, Modifiers::NONE), []);
    assert_eq!(press(&mut stage, Key::Escape, Modifiers::NONE), [Action::CancelPairing]);
}

#[test]
fn pairing_by_pointer_alone() {
    for size in [SMALL, USUAL] {
        let mut stage = opened(size, several(), SERVER_PAGE);
        assert_eq!(click(&mut stage, "closet 77ec02d1, new"), [Action::PickServer(TWIN.to_owned())]);
        shows(&mut stage, asked(None, None));
        assert_eq!(click(&mut stage, "Pair with"), [], "nothing to send yet");
        for digit in "1234567".chars() {
            assert_eq!(click(&mut stage, &format!("Digit {digit}")), []);
        }
        assert_eq!(click(&mut stage, "Pair with"), [], "one digit is missing");
        for key in ["Digit 9", "Last digit away", "Digit 8"] {
            assert_eq!(click(&mut stage, key), []);
        }
        let field = stage.get_by_label_contains("Code of closet");
        assert_eq!(field.value().as_deref(), Some("1234 5678"));
        is_on(&stage, "Code of closet");
        assert_eq!(click(&mut stage, "Pair with"), pair());
        assert_eq!(click(&mut stage, "Pair with"), [], "sent twice");
        shows(&mut stage, busy_pairing());
        assert_eq!(click(&mut stage, "The code is being tried"), []);
        assert_eq!(click(&mut stage, "Digit 1"), []);
        assert_eq!(click(&mut stage, "Cancel pairing"), [Action::CancelPairing]);
        shows(&mut stage, wrong_code());
        click(&mut stage, "Digit 1");
        click(&mut stage, "All digits away");
        assert_eq!(stage.get_by_label_contains("Code of closet").value().unwrap_or_default(), "");
        assert_eq!(click(&mut stage, "Cancel pairing"), [Action::CancelPairing]);
    }
}

#[test]
fn digits_of_pad_and_keyboard_go_together() {
    let mut stage = opened(SMALL, asked(None, None), SERVER_PAGE);
    for digit in "12345".chars() {
        click(&mut stage, &format!("Digit {digit}"));
    }
    types(&mut stage, text("678"));
    assert_eq!(press(&mut stage, Key::Enter, Modifiers::NONE), pair());
}

#[test]
fn picking() {
    let mut stage = opened(SMALL, at_home(), SERVER_PAGE);
    assert_eq!(click(&mut stage, "closet 3fa1b2c4, paired"), [], "it is picked already");
    assert_eq!(click(&mut stage, "attic, paired, not here now"), [Action::PickServer(ATTIC.to_owned())]);
    assert_eq!(click(&mut stage, "This computer, not running"), [Action::PickServer(String::new())]);
    // Whoever cancelled may want to type the code after all.
    shows(&mut stage, revoked());
    let again = [Action::PickServer(CLOSET.to_owned())];
    assert_eq!(click(&mut stage, "closet 3fa1b2c4, wants a new code"), again);
}

#[test]
fn forgetting_takes_two() {
    let mut stage = opened(SMALL, at_home(), SERVER_PAGE);
    assert_eq!(click(&mut stage, "Forget closet"), []);
    assert_eq!(click(&mut stage, "Keep closet"), []);
    assert_eq!(click(&mut stage, "Forget closet"), []);
    assert_eq!(click(&mut stage, "Forget closet"), [Action::Forget(CLOSET.to_owned())]);
    assert!(stage.query_by_label_contains("really").is_none());

    tab_to(&mut stage, "Forget attic");
    assert_eq!(press(&mut stage, Key::Enter, Modifiers::NONE), []);
    stage.run();
    is_on(&stage, "Keep attic");
    assert_eq!(press(&mut stage, Key::Escape, Modifiers::NONE), []);
    stage.get_by_label("Forget attic");
}

#[test]
fn many_servers_are_turned_over() {
    for view in [ten(), large(ten())] {
        let mut stage = opened(SMALL, view, SERVER_PAGE);
        let shown = |stage: &Harness<'_, Stage>| -> Vec<String> {
            let rows = stage.query_all_by(|node| node.label().is_some_and(|label| label.starts_with("room")));
            rows.filter_map(|row| row.accesskit_node().label()).map(|label| label[..6].to_owned()).collect()
        };
        assert!(shown(&stage).contains(&"room 7".to_owned()), "the picked one is there at first");
        while !shown(&stage).contains(&"room 0".to_owned()) {
            let before = shown(&stage);
            click(&mut stage, "Servers before these");
            assert_ne!(before, shown(&stage), "no way back to the first");
        }
        let mut seen = shown(&stage);
        while !seen.contains(&"room 9".to_owned()) {
            tab_to(&mut stage, "More servers");
            press(&mut stage, Key::Enter, Modifiers::NONE);
            seen.extend(shown(&stage));
        }
        let all: Vec<String> = (0..10).map(|n| format!("room {n}")).collect();
        assert_eq!(seen, all, "each once");
        let mut fewer = stage.state().view.clone();
        fewer.servers.truncate(1);
        shows(&mut stage, fewer);
        assert_eq!(shown(&stage), ["room 0"], "a page that is no more is not stayed on");
    }
}

#[test]
fn an_address_can_always_be_typed() {
    for view in [nobody_in_trouble(), several(), ten(), wrong_code(), busy_pairing(), revoked()] {
        for address in ["closet.lan:7433", "192.168.1.20:7433", "[fe80::1%eth0]:7433"] {
            let mut stage = opened(SMALL, view.clone(), SERVER_PAGE);
            tab_to(&mut stage, "Server address");
            stage.key_press_modifiers(Modifiers::COMMAND, Key::A);
            types(&mut stage, text(address));
            let typed = press(&mut stage, Key::Enter, Modifiers::NONE);
            assert_eq!(typed, [Action::Server(address.to_owned())]);
        }
    }
}

#[test]
fn a_recommendation_is_marked_and_moves_nothing_by_itself() {
    let mut stage = stage(SMALL, recommended());
    stage.run();
    stage.get_by_label_contains("Stems come from closet in time. 12 chunks came late in the last 5 min;");
    assert_eq!(click(&mut stage, "Live · htdemucs"), []);
    stage.get_by_label("350 ms: 0.6 dB below offline, holds on this link, recommended");
    stage.get_by_label("12 chunks came late in the last 5 min; 350 ms would have caught them all.");
    stage.get_by_label("Round trip 1.2 ms (99 %: 4.8). This link needs 310 ms.");
    assert_eq!(click(&mut stage, "Use the recommended 350 ms"), [Action::Budget(350)]);
    tab_to(&mut stage, "Use the recommended");
    assert_eq!(press(&mut stage, Key::Enter, Modifiers::NONE), [Action::Budget(350)]);
    shows(&mut stage, at_home());
    assert!(stage.query_by_label_contains("recommended").is_none());
    stage.get_by_label("Round trip not measured yet.");
}

#[test]
fn every_sentence_is_there_to_its_last_word() {
    let mut worst = revoked();
    worst.link.warning = Some("The last bounce failed: ".to_owned() + REVOKED);
    for size in [SMALL, USUAL] {
        for view in [revoked(), worst.clone(), large(revoked()), large(worst.clone())] {
            let (sentence, warning) = (view.link.sentence.clone(), view.link.warning.clone());
            let stage = opened(size, view, SERVER_PAGE);
            for text in warning.iter().chain([&sentence]) {
                let bottom = stage.get_by_label(text).rect().bottom();
                // What is cut ends where the card does.
                let low = size == SMALL && !stage.state().view.look.large_type;
                assert!(
                    bottom < size[1] - if low { 14.1 } else { 16.1 },
                    "cut at {bottom} of {size:?}: {text}"
                );
            }
        }
    }
}

#[test]
fn what_went_wrong_with_a_code_is_there_to_its_last_word() {
    for view in [asked(Some(1), Some(REVOKED)), large(asked(Some(1), Some(REVOKED)))] {
        let mut stage = opened(SMALL, view, SERVER_PAGE);
        tab_to(&mut stage, "Code of closet");
        types(&mut stage, text("1234"));
        stage.get_by_label(REVOKED);
        let bottom = stage.get_by_label("One try left. 4 of 8 digits.").rect().bottom();
        let pad = stage.get_by_label("Digit 1").rect().top();
        assert!(bottom < pad - 6.1, "cut at {bottom}, above the digits at {pad}");
    }
}

/// Everything that can be pressed, and where.
fn places(stage: &Harness<'_, Stage>) -> Vec<(String, egui::Rect)> {
    use egui::accesskit::Role;
    stage
        .query_all_by(|node| matches!(node.role(), Role::Button | Role::RadioButton | Role::TextInput))
        .map(|node| (node.accesskit_node().label().unwrap_or_default(), node.rect()))
        // But for the badge, which says the sentence.
        .filter(|(_, rect)| rect.top() > 65.0)
        .collect()
}

#[test]
fn nothing_slips_away_when_a_sentence_comes() {
    for size in [SMALL, USUAL] {
        let mut said = several();
        said.servers.truncate(2);
        let mut stage = opened(size, said.clone(), SERVER_PAGE);
        let before = places(&stage);
        said.link = revoked().link;
        shows(&mut stage, said.clone());
        assert_eq!(before, places(&stage), "a refusal");
        said.pairing = paired().pairing;
        shows(&mut stage, said);
        assert_eq!(before, places(&stage), "paired");

        let mut stage = opened(size, asked(None, None), SERVER_PAGE);
        let before = places(&stage);
        shows(&mut stage, wrong_code());
        assert_eq!(before, places(&stage), "a wrong code");
    }
}

#[test]
fn nothing_overlaps_on_these_pages() {
    let mut named = several();
    named.servers[1].name =
        "a name as long as somebody with too much time can make it, and then more".repeat(4);
    named.servers[2].note = "and models, ".repeat(40);
    named.servers[2].name = "зал\nüber".to_owned();
    let long = asked(Some(1), Some(REVOKED));
    let views = [
        nobody_in_trouble(),
        several(),
        ten(),
        long,
        busy_pairing(),
        paired(),
        in_trouble(),
        recommended(),
        named,
    ];
    for size in [SMALL, [640.0, 400.0], USUAL, WIDE, [560.0, 1000.0]] {
        for view in views.iter().cloned().chain(views.iter().cloned().map(large)) {
            for page in [SERVER_PAGE, LATENCY_PAGE] {
                let about = format!("{} at {size:?}, {page}, {:?}", view.link.badge, view.pairing);
                let stage = opened(size, view.clone(), page);
                nothing_overlaps(&stage, size, &about);
            }
        }
    }
}

#[test]
fn these_pages_at_rest_want_no_picture() {
    for view in [nobody_in_trouble(), several(), ten(), asked(None, None), busy_pairing(), recommended()] {
        for page in [SERVER_PAGE, LATENCY_PAGE] {
            let mut stage = opened(SMALL, view.clone(), page);
            stage.remove_cursor();
            stage.run();
            stage.step();
            let asked = stage.output().viewport_output[&egui::ViewportId::ROOT].repaint_delay;
            assert_eq!(asked, Duration::MAX, "{page}, {:?}", view.pairing);
        }
    }
}
