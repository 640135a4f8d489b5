//! The pages behind the badge: which server, and which latency to pay for which quality, how the link and all of the
//! set-up do, and how the window looks.

use egui::{Align2, Rect, Role, Sense, StrokeKind, WidgetInfo, vec2};

use crate::checkup::checkup_page_ui;
use crate::click::stepper_ui;
use crate::health::{latency_words, link_words, misses_words, turnaround_words};
use crate::kit::{Desk, Pick, Press, cut_left, cut_right, cut_top, id};
use crate::marks::{Mark, better_ui, mark_ui};
use crate::panel::Page;
use crate::servers::server_page_ui;
use crate::theme;
use crate::view::{Action, BudgetView};

/// Which page, the size of everything, and the page.
pub(crate) fn link_page_ui(desk: &mut Desk<'_>, mut rect: Rect) {
    let mut tabs = cut_top(&mut rect, desk.px(27.0), desk.px(5.0));
    let size = cut_right(&mut tabs, desk.px(146.0), desk.px(12.0));
    let step =
        stepper_ui(desk, size, "Size %", "percent of size", desk.view.look.scale_percent, 50..=300, 10);
    if let Some(step) = step {
        desk.actions.push(Action::Scale(step));
    }
    let tabs = cut_left(&mut tabs, desk.px(360.0), 0.0);
    let pages = [Page::Server, Page::Latency, Page::Checkup];
    let labels = [
        ("Server", "Page: the server"),
        ("Latency", "Page: latency and what it buys"),
        ("Check my set-up", "Page: check my set-up"),
    ];
    let cell = tabs.width() / 3.0;
    let size = desk.fitting(labels.iter().map(|(label, _)| *label), 13.0, 9.5, cell - desk.px(10.0));
    let pick = Pick {
        labels: &labels,
        picked: pages.iter().position(|page| *page == desk.panel.page),
        colour: theme::PICKED,
        size,
        possible: true,
    };
    if let Some(pressed) = desk.pick("set up", tabs, &pick) {
        desk.panel.turn_to(pages[pressed]);
    }
    if desk.view.link.recommended_millis.is_some() {
        let at = tabs.left_center() + vec2(2.0 * cell - desk.px(16.0), 0.0);
        let around = if desk.panel.page == Page::Latency { theme::PICKED } else { theme::KEY };
        better_ui(desk, at, desk.px(6.5), around);
    }
    match desk.panel.page {
        Page::Server => server_page_ui(desk, rect),
        Page::Checkup => checkup_page_ui(desk, rect),
        _ => latency_page_ui(desk, rect),
    }
}

/// What it costs on the left, how it does on the right.
fn latency_page_ui(desk: &mut Desk<'_>, mut rect: Rect) {
    let gap = desk.px(6.0);
    let most = (rect.width() - gap) * 0.57;
    let left = cut_left(&mut rect, most, gap);
    budgets_ui(desk, left);
    let (_, mut inside) = desk.card(rect, "How the link does");
    recommendation_ui(desk, &mut inside);
    facts_ui(desk, inside);
}

fn budgets_ui(desk: &mut Desk<'_>, rect: Rect) {
    let (_, mut inside) = desk.card(rect, "Latency, and what it buys");
    let budgets = &desk.view.budgets;
    if budgets.is_empty() {
        let text = "The server says what each budget buys once it is there.";
        desk.lines(inside, Align2::LEFT_TOP, text, desk.theme.regular(12.5), theme::QUIET, 4);
        return;
    }
    let gap = desk.px(3.0);
    let room = (inside.height() - gap * (budgets.len() as f32 - 1.0)) / budgets.len() as f32;
    let height = room.clamp(desk.px(18.0), desk.px(46.0));
    for (n, budget) in budgets.iter().enumerate() {
        let row = cut_top(&mut inside, height, gap);
        budget_ui(desk, row, n, budget);
    }
}

fn budget_ui(desk: &mut Desk<'_>, row: Rect, n: usize, budget: &BudgetView) {
    let picked = budget.millis == desk.view.budget_millis;
    let quality = budget.quality.as_deref().unwrap_or("quality unknown");
    let holds = match budget.holds {
        Some(true) => "holds",
        Some(false) => "too tight",
        None => "not tried",
    };
    let recommended = desk.view.link.recommended_millis == Some(budget.millis);
    let advice = if recommended { ", recommended" } else { "" };
    let note = if budget.note.is_empty() { String::new() } else { format!(", {}", budget.note) };
    let says = format!("{} ms: {quality}, {holds} on this link{advice}{note}", budget.millis);
    let response = desk.ui.interact(row, id(("budget", n)), Sense::click());
    response.widget_info(|| WidgetInfo::selected(Role::RadioButton, true, picked, &says));
    let fill = match (picked, response.hovered()) {
        (true, _) => theme::PICKED,
        (false, true) => theme::KEY_HOVER,
        (false, false) => theme::KEY,
    };
    desk.fill(row, desk.theme.round(), fill);
    desk.ring(row, &response);
    let (text, quiet) = (theme::TEXT, if picked { theme::TEXT } else { theme::QUIET });
    let mut inside = row.shrink2(vec2(desk.px(8.0), 0.0));
    let millis = cut_left(&mut inside, desk.px(56.0), desk.px(5.0));
    desk.line(millis, Align2::LEFT_CENTER, &format!("{} ms", budget.millis), desk.theme.bold(13.0), text);
    let mark = cut_right(&mut inside, desk.px(14.0), desk.px(5.0));
    let holds = if recommended { "recommended" } else { holds };
    let words = cut_right(&mut inside, desk.px(if recommended { 78.0 } else { 52.0 }), desk.px(5.0));
    let colour = match (picked, budget.holds) {
        (true, _) => theme::TEXT,
        _ if recommended => theme::AMBER,
        (_, Some(true)) => theme::MOSS,
        (_, Some(false)) => theme::BRICK,
        (_, None) => theme::QUIET,
    };
    desk.line(words, Align2::RIGHT_CENTER, holds, desk.theme.regular(11.0), colour);
    match budget.holds {
        _ if recommended => better_ui(desk, mark.center(), desk.px(6.0), fill),
        Some(true) => mark_ui(desk, mark, Mark::Tick, colour),
        Some(false) => mark_ui(desk, mark, Mark::Cross, colour),
        None => mark_ui(desk, mark, Mark::Ring, colour),
    }
    if !budget.note.is_empty() && row.height() >= desk.px(36.0) {
        let note = inside.with_min_y(row.center().y);
        inside.max.y = row.center().y + desk.px(2.0);
        desk.line(note, Align2::LEFT_CENTER, &budget.note, desk.theme.regular(11.0), quiet);
    }
    desk.line(
        inside,
        Align2::LEFT_CENTER,
        quality,
        desk.theme.regular(12.0),
        if budget.quality.is_some() { text } else { quiet },
    );
    if response.on_hover_text(&says).clicked() && !picked {
        desk.actions.push(Action::Budget(budget.millis));
    }
}

/// What would do better, why, and the key that brings it about. Nothing else does.
fn recommendation_ui(desk: &mut Desk<'_>, inside: &mut Rect) {
    let link = &desk.view.link;
    let Some(millis) = link.recommended_millis else { return };
    let title = format!("{millis} ms would do better");
    let why = link.recommendation.as_deref().unwrap_or_default();
    let (edge, gap, key) = (desk.px(8.0), desk.px(5.0), desk.px(28.0));
    let height = desk.height_of(&[(why, theme::TEXT)], 11.5, inside.width() - 2.0 * edge);
    let most = inside.height() - key - gap - 2.0 * edge - desk.px(20.0);
    let height = height.min(most.max(0.0));
    let whole = desk.px(20.0) + height + gap + key + 2.0 * edge;
    let card = cut_top(inside, whole, desk.px(8.0));
    desk.fill(card, desk.theme.round(), theme::KEY);
    let stroke = desk.theme.line(theme::AMBER);
    desk.ui.painter().rect_stroke(card, desk.theme.round(), stroke, StrokeKind::Inside);
    let mut card = card.shrink(edge);
    let mut line = cut_top(&mut card, desk.px(16.0), desk.px(4.0));
    let mark = cut_left(&mut line, desk.px(14.0), desk.px(6.0));
    better_ui(desk, mark.center(), desk.px(6.5), theme::KEY);
    let size = desk.fitting(std::iter::once(title.as_str()), 13.0, 10.0, line.width());
    desk.line(line, Align2::LEFT_CENTER, &title, desk.theme.bold(size), theme::AMBER);
    let place = cut_top(&mut card, height, gap);
    desk.whole("recommendation", place, &[(why, theme::TEXT)], 11.5);
    let (label, says) = (format!("Use {millis} ms"), format!("Use the recommended {millis} ms"));
    let press = Press {
        label: &label,
        says: &says,
        on: Some(true),
        colour: theme::AMBER,
        size: 13.0,
        ..Press::default()
    };
    if desk.press("recommended", card, &press).clicked() {
        desk.actions.push(Action::Budget(millis));
    }
}

/// How things are, the most important first; what has no room whole is left out.
fn facts_ui(desk: &Desk<'_>, mut below: Rect) {
    let link = &desk.view.link;
    let keys =
        "Keys: arrows turn, Home is 0 dB, Enter types. M mutes, S solos, P: my part. T taps, O: the one.";
    let facts = [
        (link.warning.clone().unwrap_or_default(), theme::AMBER),
        (link.sentence.clone(), theme::TEXT),
        (link_words(desk), theme::QUIET),
        (turnaround_words(desk), theme::QUIET),
        (misses_words(desk), theme::QUIET),
        (latency_words(desk), theme::QUIET),
        (keys.to_owned(), theme::QUIET),
    ];
    for (n, (fact, colour)) in facts.into_iter().enumerate() {
        let font = desk.theme.regular(11.5);
        let galley = desk.ui.painter().layout(fact.clone(), font, colour, below.width());
        if fact.is_empty() || galley.size().y > below.height() {
            continue;
        }
        let place = Rect::from_min_size(below.min, galley.size());
        desk.ui.painter().galley(place.min, galley, colour);
        let response = desk.ui.interact(place, id(("fact", n)), Sense::hover());
        response.widget_info(|| WidgetInfo::labeled(Role::Label, true, &fact));
        below.min.y = place.bottom() + desk.px(5.0);
    }
}
