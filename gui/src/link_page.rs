//! The page behind the badge: which latency to pay for which quality, which server, which model, how the link does,
//! and how the window looks.

use egui::{Align2, Rect, Role, Sense, Stroke, WidgetInfo, vec2};

use crate::click::stepper_ui;
use crate::health::{latency_words, misses_words, turnaround_words};
use crate::kit::{Desk, cut_left, cut_right, cut_top, id};
use crate::rows::Rows;
use crate::theme;
use crate::view::{Action, BudgetView};

/// Two columns: what it costs on the left, with whom on the right.
pub(crate) fn link_page_ui(desk: &mut Desk<'_>, mut rect: Rect) {
    let gap = desk.px(6.0);
    let half = (rect.width() - gap) * 0.55;
    let left = cut_left(&mut rect, half, gap);
    budgets_ui(desk, left);
    with_whom_ui(desk, rect);
}

fn budgets_ui(desk: &mut Desk<'_>, rect: Rect) {
    desk.fill(rect, desk.theme.round(), theme::CARD);
    let mut inside = rect.shrink2(vec2(desk.px(8.0), desk.px(8.0)));
    let title = cut_top(&mut inside, desk.px(20.0), desk.px(4.0));
    desk.line(title, Align2::LEFT_CENTER, "Latency, and what it buys", desk.theme.bold(13.0), theme::TEXT);
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
    let note = if budget.note.is_empty() { String::new() } else { format!(", {}", budget.note) };
    let says = format!("{} ms: {quality}, {holds} on this link{note}", budget.millis);
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
    let words = cut_right(&mut inside, desk.px(52.0), desk.px(5.0));
    let colour = match (picked, budget.holds) {
        (true, _) => theme::TEXT,
        (_, Some(true)) => theme::MOSS,
        (_, Some(false)) => theme::BRICK,
        (_, None) => theme::QUIET,
    };
    desk.line(words, Align2::RIGHT_CENTER, holds, desk.theme.regular(11.0), colour);
    holds_mark_ui(desk, mark, budget.holds, colour);
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

/// A tick, a cross, or a hollow ring for what nobody knows.
fn holds_mark_ui(desk: &Desk<'_>, rect: Rect, holds: Option<bool>, colour: egui::Color32) {
    let painter = desk.ui.painter();
    let stroke = Stroke::new(desk.px(2.0), colour);
    let (centre, r) = (rect.center(), desk.px(4.5));
    match holds {
        Some(true) => {
            let bend = centre + vec2(-r * 0.2, r * 0.8);
            painter.line_segment([centre + vec2(-r, 0.0), bend], stroke);
            painter.line_segment([bend, centre + vec2(r, -r * 0.8)], stroke);
        }
        Some(false) => {
            painter.line_segment([centre + vec2(-r, -r) * 0.8, centre + vec2(r, r) * 0.8], stroke);
            painter.line_segment([centre + vec2(-r, r) * 0.8, centre + vec2(r, -r) * 0.8], stroke);
        }
        None => drop(painter.circle_stroke(centre, r * 0.8, Stroke::new(desk.px(1.5), colour))),
    }
}

fn with_whom_ui(desk: &mut Desk<'_>, rect: Rect) {
    let view = desk.view;
    desk.fill(rect, desk.theme.round(), theme::CARD);
    let mut inside = rect.shrink2(vec2(desk.px(8.0), desk.px(8.0)));
    let title = cut_top(&mut inside, desk.px(20.0), desk.px(4.0));
    let name = &view.link.server_name;
    let with = if name.is_empty() { "With whom".to_owned() } else { format!("With {name}") };
    desk.line(title, Align2::LEFT_CENTER, &with, desk.theme.bold(13.0), theme::TEXT);
    let mut rows = Rows::new(inside, 1, desk.px(26.0), desk.px(6.0), 0.0);
    let label = |desk: &mut Desk<'_>, row: &mut Rect, text: &str| {
        let place = cut_left(row, desk.px(52.0), desk.px(4.0));
        desk.line(place, Align2::LEFT_CENTER, text, desk.theme.regular(12.0), theme::QUIET);
    };
    let mut row = rows.next(1.0);
    label(desk, &mut row, "Server");
    if let Some(server) =
        desk.field("server", row, "Server address", "found by itself, or host:port", &view.server)
    {
        desk.actions.push(Action::Server(server));
    }
    let mut row = rows.next(1.0);
    label(desk, &mut row, "Model");
    if let Some(model) = desk.field("model", row, "Model", "the server's choice", &view.model) {
        desk.actions.push(Action::Model(model));
    }
    let row = rows.next(1.0);
    if let Some(step) =
        stepper_ui(desk, row, "Size %", "percent of size", view.look.scale_percent, 50..=300, 10)
    {
        desk.actions.push(Action::Scale(step));
    }
    let below = inside.with_min_y(rows.next(0.0).top());
    facts_ui(desk, below);
}

/// How things are, the most important first; what has no room whole is left out.
fn facts_ui(desk: &Desk<'_>, mut below: Rect) {
    let link = &desk.view.link;
    let keys =
        "Keys: arrows turn, Home is 0 dB, Enter types. M mutes, S solos, P: my part. T taps, O: the one.";
    let facts = [
        (link.warning.clone().unwrap_or_default(), theme::AMBER),
        (link.sentence.clone(), theme::TEXT),
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
