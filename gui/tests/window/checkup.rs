//! The page "Check my set-up": each finding can be read and is said, whatever the window's size, and all of it copied.

use std::time::Duration;

use egui::{Key, Modifiers};
use egui_kittest::Harness;
use egui_kittest::kittest::Queryable as _;
use rehearsekit_gui::Action;

use crate::keyboard::{press, tab_to};
use crate::labels::nothing_overlaps;
use crate::pointer::click;
use crate::scenes::*;
use crate::servers::*;

fn opened(size: [f32; 2], view: rehearsekit_gui::view::View) -> Harness<'static, Stage> {
    let badge = format!("{}. ", view.link.badge);
    let mut stage = stage(size, view);
    stage.run();
    click(&mut stage, &badge);
    click(&mut stage, CHECKUP_PAGE);
    stage
}

/// What the page says, in its order, and where.
fn said(stage: &Harness<'_, Stage>) -> Vec<(String, egui::Rect)> {
    let verdicts = ["Failed, ", "Warning, ", "Good, "];
    let rows = stage.query_all_by(|node| {
        // Where egui keeps what a label says.
        node.value().is_some_and(|said| verdicts.iter().any(|verdict| said.starts_with(verdict)))
    });
    rows.map(|row| (row.value().unwrap_or_default(), row.rect())).collect()
}

#[test]
fn each_finding_is_said_with_its_verdict_and_name() {
    let stage = opened(USUAL, checked());
    let said: Vec<String> = said(&stage).into_iter().map(|(label, _)| label).collect();
    assert_eq!(said.len(), checked().findings.len(), "{said:#?}");
    assert!(
        said[0].starts_with("Failed, budget: Stems come too late for 250 ms over this link"),
        "{said:#?}"
    );
    assert!(said[0].ends_with("[link-jitter]"));
    assert!(said[1].starts_with("Warning, link: With the music"));
    assert!(
        said.iter()
            .any(|label| label == "Good, host: The host calls in real time and renders nothing ahead.")
    );
}

#[test]
fn nothing_is_cut_and_every_finding_can_be_turned_to() {
    for size in [SMALL, [640.0, 400.0], USUAL, WIDE, [560.0, 1000.0]] {
        for view in [checked(), large(checked())] {
            let about = format!("{size:?}, large type {}", view.look.large_type);
            let all = view.findings.len();
            let mut stage = opened(size, view);
            let mut seen = Vec::new();
            loop {
                nothing_overlaps(&stage, size, &about);
                let rows = said(&stage);
                assert!(!rows.is_empty(), "an empty page: {about}");
                for (label, rect) in rows {
                    assert!(rect.bottom() < size[1] - 6.0, "{label} is cut at {}: {about}", rect.bottom());
                    assert!(!seen.contains(&label), "said twice: {label}");
                    seen.push(label);
                }
                if seen.len() == all {
                    break;
                }
                tab_to(&mut stage, "More findings");
                assert_eq!(press(&mut stage, Key::Enter, Modifiers::NONE), []);
            }
            if size == SMALL {
                while !said(&stage).iter().any(|(label, _)| *label == seen[0]) {
                    click(&mut stage, "Findings before these");
                }
            }
        }
    }
}

#[test]
fn all_of_it_is_copied_as_text_at_one_press() {
    let mut stage = opened(SMALL, checked());
    assert_eq!(click(&mut stage, "Copy as text"), [Action::CopyFindings]);
    assert_eq!(click(&mut stage, "Copied"), [Action::CopyFindings]);
    click(&mut stage, LATENCY_PAGE);
    click(&mut stage, CHECKUP_PAGE);
    tab_to(&mut stage, "Copy as text");
    assert_eq!(press(&mut stage, Key::Space, Modifiers::NONE), [Action::CopyFindings]);
    // Nothing to copy is nothing to press.
    let mut stage = opened(SMALL, live());
    assert_eq!(click(&mut stage, "Copy as text"), []);
}

#[test]
fn a_page_that_is_no_more_is_not_stayed_on_and_at_rest_nothing_is_drawn() {
    let mut stage = opened(SMALL, checked());
    click(&mut stage, "More findings");
    stage.state_mut().view.findings.truncate(1);
    stage.remove_cursor();
    stage.run();
    assert_eq!(said(&stage).len(), 1);
    stage.step();
    let asked = stage.output().viewport_output[&egui::ViewportId::ROOT].repaint_delay;
    assert_eq!(asked, Duration::MAX);
}
