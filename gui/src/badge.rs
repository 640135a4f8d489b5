//! The head of the window: a sign, the badge's few words and the sentence, always in the same place, so that nothing
//! below moves when the link does.

use egui::text::{LayoutJob, TextFormat, TextWrapping};
use egui::{Align2, Color32, FontId, Pos2, Rect, Role, Sense, Shape, Stroke, WidgetInfo, pos2, vec2};

use crate::kit::{Desk, Press, cut_left, cut_right, cut_top, id};
use crate::marks::better_ui;
use crate::theme;
use crate::view::{Action, LinkState};

/// Sign, badge, sentence and what can be done at once.
pub(crate) fn head_ui(desk: &mut Desk<'_>, mut rect: Rect) {
    let view = desk.view;
    let large = desk.theme.large;
    let link = &view.link;
    let gap = desk.px(6.0);
    let open = desk.panel.page.is_set_up();
    // One above the other beside the badge; in large type there is but the way back.
    let mut keys = cut_right(&mut rect, desk.px(if large { 56.0 } else { 68.0 }), gap);
    let half = (keys.height() - desk.px(4.0)) / 2.0;
    let page_key = (!large || open).then(|| cut_top(&mut keys, half, desk.px(4.0)));
    let type_key = keys;
    let offer = link
        .suggestion_millis
        .map(|millis| (millis, cut_right(&mut rect, desk.px(if large { 150.0 } else { 108.0 }), gap)));

    let colour = theme::state(link.state);
    let mut says = format!("{}. {}", link.badge, link.sentence);
    for more in [&link.warning, &link.recommendation].into_iter().flatten() {
        says = format!("{says} {more}");
    }
    let response = desk.ui.interact(rect, id("badge"), Sense::click());
    response.widget_info(|| WidgetInfo::labeled(Role::Button, true, &says));
    desk.fill(rect, desk.theme.round(), if response.hovered() { theme::KEY } else { theme::CARD });
    desk.ring(rect, &response);
    if response.on_hover_text(&says).clicked() {
        desk.panel.set_up(view);
    }
    let mut inside = rect.shrink2(vec2(desk.px(10.0), desk.px(3.0)));
    let sign = cut_left(&mut inside, desk.px(if large { 36.0 } else { 30.0 }), desk.px(12.0));
    sign_ui(desk, sign, link.state, colour);
    if link.recommended_millis.is_some() {
        let radius = sign.width() * 0.24;
        let corner = sign.center() + vec2(sign.width(), -sign.width()) * 0.4;
        better_ui(desk, corner, radius, theme::CARD);
    }
    let size = if large { 23.0 } else { desk.theme.either(14.5, 16.0) / desk.px(1.0) };
    let size = desk.fitting(std::iter::once(link.badge.as_str()), size, 11.0, inside.width());
    let (sentence, sentence_colour) = match &link.warning {
        Some(warning) => (warning.as_str(), theme::AMBER),
        None => (link.sentence.as_str(), if colour == theme::MOSS { theme::QUIET } else { theme::TEXT }),
    };
    let font = desk.theme.regular(if large { 13.0 } else { desk.theme.either(11.0, 12.0) / desk.px(1.0) });
    badge_words_ui(desk, &mut inside, size, colour, sentence, font.clone());
    desk.lines(inside, Align2::LEFT_TOP, sentence, font, sentence_colour, 2);

    if let Some((millis, place)) = offer {
        let label = format!("Use {millis} ms");
        let size = if large { 18.0 } else { 13.5 };
        let press = Press {
            label: &label,
            says: &label,
            on: Some(true),
            colour: theme::AMBER,
            size,
            ..Press::default()
        };
        if desk.press("offer", place, &press).clicked() {
            desk.actions.push(Action::Budget(millis));
        }
    }
    if let Some(place) = page_key {
        let (label, says) =
            if open { ("Mixer", "Back to the mixer") } else { ("Set up", "Server, latency, model, looks") };
        if desk.press("page", place, &Press { label, says, hint: says, ..Press::default() }).clicked() {
            desk.panel.set_up(view);
        }
    }
    let says = "Large type, for a music stand";
    let press = Press { label: "", says, on: Some(view.look.large_type), ..Press::default() };
    let response = desk.press("large type", type_key, &press);
    let ink = theme::TEXT;
    let tall = type_key.height() > desk.px(40.0);
    let foot = type_key.center() + vec2(0.0, desk.px(if tall { 13.0 } else { 10.0 }));
    let (small, big) = if tall { (14.0, 24.0) } else { (10.0, 16.0) };
    let painter = desk.ui.painter();
    // Both stand on one line, so the larger goes down by what its descender is longer.
    let drop = vec2(0.0, desk.px((big - small) * 0.29));
    painter.text(foot - vec2(desk.px(1.0), 0.0), Align2::RIGHT_BOTTOM, "A", desk.theme.bold(small), ink);
    painter.text(foot + vec2(desk.px(1.0), 0.0) + drop, Align2::LEFT_BOTTOM, "A", desk.theme.bold(big), ink);
    if response.clicked() {
        desk.actions.push(Action::LargeType(!view.look.large_type));
    }
}

/// The badge: the state in its colour, the rest as text. What is left of `rect` is for the sentence; together they
/// stand in its middle.
fn badge_words_ui(
    desk: &Desk<'_>,
    rect: &mut Rect,
    size: f32,
    colour: Color32,
    sentence: &str,
    font: FontId,
) {
    let badge = &desk.view.link.badge;
    let head = badge.find(" · ").unwrap_or(badge.len());
    let mut job = LayoutJob::default();
    for (text, colour) in [(&badge[..head], colour), (&badge[head..], theme::TEXT)] {
        job.append(text, 0.0, TextFormat::simple(desk.theme.bold(size), colour));
    }
    job.wrap = TextWrapping { max_width: rect.width(), max_rows: 1, break_anywhere: true, ..job.wrap };
    let words = desk.ui.painter().layout_job(job);
    let mut below = LayoutJob::simple(sentence.to_owned(), font, theme::TEXT, rect.width());
    below.wrap.max_rows = 2;
    let below = if sentence.is_empty() { 0.0 } else { desk.ui.painter().layout_job(below).size().y };
    let spare = (rect.height() - words.size().y - below).max(0.0) / 2.0;
    let at = rect.min + vec2(0.0, spare);
    rect.min.y = at.y + words.size().y;
    desk.ui.painter().galley(at, words, theme::TEXT);
}

/// A shape of its own for each state, so that colour is not the only one to tell them apart.
fn sign_ui(desk: &Desk<'_>, rect: Rect, state: LinkState, colour: Color32) {
    let painter = desk.ui.painter();
    let centre = rect.center();
    let radius = rect.width().min(rect.height()) / 2.0 - desk.px(2.0);
    let stroke = Stroke::new(desk.px(2.5), colour);
    let ring = |from: f32, to: f32, radius: f32| {
        let points = (0..=24).map(|n| {
            let angle = std::f32::consts::TAU * (from + (to - from) * n as f32 / 24.0);
            centre + radius * vec2(angle.cos(), angle.sin())
        });
        painter.add(Shape::line(points.collect(), stroke));
    };
    let polygon = |points: Vec<Pos2>| painter.add(Shape::convex_polygon(points, colour, Stroke::NONE));
    let bar = |size: egui::Vec2, offset: egui::Vec2, colour: Color32| {
        painter.rect_filled(Rect::from_center_size(centre + offset, size), 1, colour);
    };
    match state {
        LinkState::Idle => ring(0.0, 1.0, radius),
        // A lens.
        LinkState::Looking => {
            painter.circle_stroke(centre - vec2(radius, radius) * 0.2, radius * 0.65, stroke);
            painter.line_segment(
                [centre + vec2(radius, radius) * 0.3, centre + vec2(radius, radius) * 0.85],
                stroke,
            );
        }
        // Two halves that do not touch yet.
        LinkState::Connecting => {
            ring(0.06, 0.44, radius);
            ring(0.56, 0.94, radius);
            painter.circle_filled(centre, radius * 0.22, colour);
        }
        // A full disc with the bars of music in it.
        LinkState::Live => {
            painter.circle_filled(centre, radius, colour);
            for (n, height) in [0.5, 1.0, 0.7].into_iter().enumerate() {
                let offset = vec2((n as f32 - 1.0) * radius * 0.45, 0.0);
                bar(vec2(radius * 0.22, radius * height), offset, theme::INK);
            }
        }
        // A bridge.
        LinkState::Bridging => {
            bar(vec2(radius * 2.0, desk.px(3.0)), vec2(0.0, -radius * 0.45), colour);
            let under = centre + vec2(0.0, radius * 0.75);
            let arch = (0..=20).map(|n| {
                let angle = std::f32::consts::PI * (1.0 + n as f32 / 20.0);
                under + vec2(angle.cos() * radius * 0.8, angle.sin() * radius * 0.8)
            });
            painter.add(Shape::line(arch.collect(), stroke));
        }
        // No entry.
        LinkState::Refused => {
            painter.circle_filled(centre, radius, colour);
            bar(vec2(radius * 1.2, radius * 0.36), vec2(0.0, 0.0), theme::INK);
        }
        // Written to a square.
        LinkState::OfflineRender => {
            let side = radius * 1.7;
            painter.rect_filled(Rect::from_center_size(centre, vec2(side, side)), 3, colour);
            painter.circle_filled(centre, radius * 0.42, theme::INK);
        }
        LinkState::Failed => {
            let up = radius * 1.05;
            polygon(vec![
                centre + vec2(0.0, -up),
                centre + vec2(up, radius * 0.85),
                centre + vec2(-up, radius * 0.85),
            ]);
            bar(vec2(radius * 0.2, radius * 0.75), vec2(0.0, -radius * 0.02), theme::INK);
            bar(vec2(radius * 0.2, radius * 0.2), vec2(0.0, radius * 0.58), theme::INK);
        }
        // Too far ahead.
        LinkState::HostRendersAhead => {
            for offset in [-0.75, 0.1] {
                let x = centre.x + offset * radius;
                polygon(vec![
                    pos2(x, centre.y - radius * 0.75),
                    pos2(x + radius * 0.8, centre.y),
                    pos2(x, centre.y + radius * 0.75),
                ]);
            }
        }
    }
}
