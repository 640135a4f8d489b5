//! The foot of the window: how the link does, in a line that one can ignore.

use egui::{Align2, Rect, Role, Sense, WidgetInfo, vec2};

use crate::kit::{Desk, cut_left, id};
use crate::theme;

/// Turnaround against the budget, misses, latency.
pub(crate) fn health_ui(desk: &mut Desk<'_>, mut rect: Rect) {
    let view = desk.view;
    let font = desk.theme.regular(11.0);
    let latency = latency_words(desk);
    let misses = misses_words(desk);
    let turnaround = turnaround_words(desk);
    let says = format!("{turnaround}. {misses}. {latency}");
    let response = desk.ui.interact(rect, id("health"), Sense::hover());
    response.widget_info(|| WidgetInfo::labeled(Role::Label, true, &says));
    response.on_hover_text(&says);

    let bar = cut_left(&mut rect, desk.px(96.0), desk.px(8.0));
    budget_bar_ui(desk, Rect::from_center_size(bar.center(), vec2(bar.width(), desk.px(8.0))));
    // In the order of what one wants to know; what has no room is in the tooltip.
    let missed = view.link.misses != [0; 3];
    let words = [
        (misses, if missed { theme::AMBER } else { theme::QUIET }),
        (turnaround, theme::QUIET),
        (latency, theme::QUIET),
    ];
    for (text, colour) in words {
        let galley = desk.ui.painter().layout_no_wrap(text, font.clone(), colour);
        if galley.size().x > rect.width() {
            break;
        }
        let place = Align2::LEFT_CENTER.align_size_within_rect(galley.size(), rect);
        rect.min.x = place.right() + desk.px(18.0);
        desk.ui.painter().galley(place.min, galley, colour);
    }
}

/// The budget as a bar: what the median takes of it is full, the 99th percentile is a mark.
pub(crate) fn budget_bar_ui(desk: &Desk<'_>, bar: Rect) {
    desk.fill(bar, 2, theme::KEY);
    let Some([median, worst]) = desk.view.link.turnaround_millis else { return };
    let budget = (desk.view.budget_millis as f32).max(1.0);
    let x = |millis: f32| bar.left() + (millis / budget).clamp(0.0, 1.0) * bar.width();
    let colour = if worst < budget { theme::MOSS } else { theme::AMBER };
    desk.fill(bar.with_max_x(x(median)), 2, colour);
    let mark = Rect::from_center_size(
        egui::pos2(x(worst), bar.center().y),
        vec2(desk.px(2.0), bar.height() + desk.px(4.0)),
    );
    desk.fill(mark, 0, colour);
}

/// "Turnaround 41 ms, 63 at worst, of 250".
pub(crate) fn turnaround_words(desk: &Desk<'_>) -> String {
    match desk.view.link.turnaround_millis {
        Some([median, worst]) => {
            format!("Turnaround {median:.0} ms, p99 {worst:.0}, of {}", desk.view.budget_millis)
        }
        None => "Turnaround not measured yet".to_owned(),
    }
}

/// "Round trip 1.2 ms (99 %: 4.8). This link needs 180 ms."
pub(crate) fn link_words(desk: &Desk<'_>) -> String {
    let link = &desk.view.link;
    let trip = link.round_trip_millis.map(|[median, worst]| {
        // Tenths only where they say something.
        let digits = usize::from(median < 10.0);
        format!("Round trip {median:.digits$} ms (99 %: {worst:.digits$}).")
    });
    let needs = link.needs_millis.map(|needs| format!("This link needs {needs:.0} ms."));
    let words: Vec<String> = [trip, needs].into_iter().flatten().collect();
    if words.is_empty() { "Round trip not measured yet.".to_owned() } else { words.join(" ") }
}

/// "Missed: nothing", or what and how often.
pub(crate) fn misses_words(desk: &Desk<'_>) -> String {
    let [underruns, late, lost] = desk.view.link.misses;
    if underruns + late + lost == 0 {
        return "Nothing missed".to_owned();
    }
    format!("Missed: {underruns} underruns, {late} late, {lost} lost")
}

/// "Latency 250 ms, 12000 frames".
pub(crate) fn latency_words(desk: &Desk<'_>) -> String {
    match desk.view.latency {
        Some((frames, millis)) => format!("Latency {millis:.0} ms, {frames} frames"),
        None => "Latency not known yet".to_owned(),
    }
}
