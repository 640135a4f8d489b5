//! Small shapes that say yes, no, look here, nobody knows, and better: so that colour is never alone. They draw and know nothing.

use egui::{Color32, Pos2, Rect, Shape, Stroke, vec2};

use crate::kit::Desk;
use crate::theme;

/// What a small shape says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mark {
    /// Yes.
    Tick,
    /// No.
    Cross,
    /// Look here.
    Mind,
    /// Nobody knows yet.
    Ring,
}

/// A mark in the middle of `rect`.
pub(crate) fn mark_ui(desk: &Desk<'_>, rect: Rect, mark: Mark, colour: Color32) {
    let painter = desk.ui.painter();
    let stroke = Stroke::new(desk.px(2.0), colour);
    let (centre, r) = (rect.center(), desk.px(4.5));
    match mark {
        Mark::Tick => {
            let bend = centre + vec2(-r * 0.2, r * 0.8);
            painter.line_segment([centre + vec2(-r, 0.0), bend], stroke);
            painter.line_segment([bend, centre + vec2(r, -r * 0.8)], stroke);
        }
        Mark::Cross => {
            painter.line_segment([centre + vec2(-r, -r) * 0.8, centre + vec2(r, r) * 0.8], stroke);
            painter.line_segment([centre + vec2(-r, r) * 0.8, centre + vec2(r, -r) * 0.8], stroke);
        }
        Mark::Mind => {
            painter.line_segment([centre - vec2(0.0, r), centre + vec2(0.0, r * 0.25)], stroke);
            painter.circle_filled(centre + vec2(0.0, r * 0.9), desk.px(1.3), colour);
        }
        Mark::Ring => drop(painter.circle_stroke(centre, r * 0.8, Stroke::new(desk.px(1.5), colour))),
    }
}

/// There is something better: an arrow up on an amber disc, `around` it the colour of what it lies on.
pub(crate) fn better_ui(desk: &Desk<'_>, centre: Pos2, radius: f32, around: Color32) {
    let painter = desk.ui.painter();
    painter.circle_filled(centre, radius + desk.px(2.0), around);
    painter.circle_filled(centre, radius, theme::AMBER);
    let stroke = Stroke::new(radius * 0.3, theme::INK);
    let head = centre - vec2(0.0, radius * 0.58);
    painter.line_segment([centre + vec2(0.0, radius * 0.6), head], stroke);
    let barb = |side: f32| head + vec2(side, 1.0) * radius * 0.5;
    painter.add(Shape::line(vec![barb(-1.0), head, barb(1.0)], stroke));
}
