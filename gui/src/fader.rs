//! How faders, pans and meters look. What they do is in `grip` and `ballistics`.

use egui::{Align2, Color32, Rect, Response, Vec2, pos2, vec2};

use crate::FADER_FOOT_DB;
use crate::ballistics::Meter;
use crate::grip::{Grip, grip_ui};
use crate::kit::{Desk, cut_left, cut_right};
use crate::law::{FADER_MARKS_DB, Law};
use crate::theme;

/// A fader with its scale and its meter, which share one law: what stands beside 0 is 0.
pub(crate) fn fader_ui(
    desk: &mut Desk<'_>,
    rect: Rect,
    grip: &Grip<'_>,
    meter: &Meter,
    colour: Color32,
    quiet: bool,
) -> Response {
    let large = desk.theme.large;
    // Both grow with the strip: a wide one is to be seen, and hit, from further away.
    let cap = vec2(
        (rect.width() * 0.3).clamp(desk.px(26.0), desk.px(46.0)),
        (rect.height() * 0.16).clamp(desk.px(14.0), desk.px(if large { 30.0 } else { 36.0 })),
    );
    let meter_width = (rect.width() * 0.14).clamp(desk.px(11.0), desk.px(26.0));
    let scale_width = desk.px(22.0);
    let with_scale = !large && rect.width() >= cap.x + meter_width + scale_width + desk.px(8.0);
    let width = cap.x + meter_width + desk.px(8.0) + if with_scale { scale_width } else { 0.0 };
    let mut rest = Rect::from_center_size(rect.center(), vec2(width.min(rect.width()), rect.height()));
    let scale = if with_scale { cut_left(&mut rest, scale_width, 0.0) } else { Rect::NOTHING };
    let bars = cut_right(&mut rest, meter_width, desk.px(6.0));
    // The cap's centre travels from end to end; the meter ends where it does.
    let travel = rest
        .shrink2(vec2(0.0, cap.y / 2.0 + desk.px(1.0)))
        .with_min_y(rest.top() + (cap.y / 2.0).max(desk.px(9.0)));
    let at = |db: f32| travel.bottom() - Law::Fader.position(db) * travel.height();

    marks(desk, rest, scale, travel.height(), at);
    let slot = Rect::from_center_size(travel.center(), vec2(desk.px(5.0), travel.height() + desk.px(4.0)));
    desk.fill(slot, 2, theme::WELL);
    meter_ui(desk, bars, meter, colour, at);

    let response = grip_ui(desk, rect, &Grip { travel: travel.height(), vertical: true, ..*grip });
    let centre = pos2(travel.center().x, at(grip.value));
    cap_ui(
        desk,
        Rect::from_center_size(centre, cap),
        colour,
        quiet,
        response.hovered() || response.dragged(),
    );
    desk.ring(rect, &response);
    response
}

/// The marks beside the slot, as many as there is room for, the important ones first.
fn marks(desk: &Desk<'_>, slot: Rect, scale: Rect, height: f32, at: impl Fn(f32) -> f32) {
    let apart = desk.px(11.0);
    let mut taken: Vec<f32> = Vec::new();
    for db in FADER_MARKS_DB {
        let y = at(db);
        if height < desk.px(36.0) || taken.iter().any(|other| (other - y).abs() < apart) {
            continue;
        }
        taken.push(y);
        let (reach, stroke) = if db == 0.0 { (1.0, theme::QUIET) } else { (0.62, theme::LINE) };
        let half = slot.width() / 2.0 * reach;
        let line = desk.theme.line(stroke);
        let y = desk.ui.painter().round_to_pixel_center(y);
        desk.ui.painter().hline(slot.center().x - half..=slot.center().x + half, y, line);
        if scale.is_positive() {
            let text = match db {
                db if db <= FADER_FOOT_DB => "−∞".to_owned(),
                db if db > 0.0 => format!("+{db:.0}"),
                db => format!("{:.0}", db.abs()),
            };
            let place = Rect::from_center_size(pos2(scale.center().x, y), vec2(scale.width(), apart));
            desk.line(
                place.with_max_x(scale.right() - desk.px(3.0)),
                Align2::RIGHT_CENTER,
                &text,
                desk.theme.regular(9.5),
                theme::QUIET,
            );
        }
    }
}

fn cap_ui(desk: &Desk<'_>, cap: Rect, colour: Color32, quiet: bool, lit: bool) {
    let round = desk.theme.round();
    desk.fill(cap.translate(vec2(0.0, desk.px(2.0))).expand(desk.px(0.5)), round, theme::WELL);
    desk.fill(cap, round, if lit { theme::LINE } else { Color32::from_rgb(0x48, 0x43, 0x3c) });
    let top = cap.with_max_y(cap.top() + cap.height() * 0.3);
    desk.fill(
        top.shrink(desk.px(1.0)),
        round,
        if lit { Color32::from_rgb(0x6b, 0x65, 0x5c) } else { theme::LINE },
    );
    let line = Rect::from_center_size(cap.center(), vec2(cap.width() - desk.px(6.0), desk.px(3.0).max(2.0)));
    desk.fill(line, 1, if quiet { theme::dimmed(colour, 0.5) } else { colour });
}

/// Two bars with held peaks and a light above for "too loud".
fn meter_ui(desk: &Desk<'_>, rect: Rect, meter: &Meter, colour: Color32, at: impl Fn(f32) -> f32) {
    let gap = desk.px(1.5);
    let (top, foot) = (at(12.0), at(FADER_FOOT_DB));
    for (bar, side) in crate::kit::columns(rect, 2, gap).zip(meter.sides()) {
        let bar = bar.with_min_y(top).with_max_y(foot);
        desk.fill(bar, 1, theme::WELL);
        let level = at(side.level_db);
        desk.fill(bar.with_min_y(level.max(at(0.0))), 1, colour);
        if side.level_db > 0.0 {
            desk.fill(bar.with_min_y(level).with_max_y(at(0.0)), 1, theme::BRICK);
        }
        if side.peak_db > FADER_FOOT_DB {
            let y = at(side.peak_db);
            let held = bar.with_min_y(y - desk.px(1.0)).with_max_y(y + desk.px(1.0));
            desk.fill(held, 0, if side.peak_db > 0.0 { theme::BRICK } else { theme::TEXT });
        }
    }
    let y = desk.ui.painter().round_to_pixel_center(at(0.0));
    desk.ui.painter().hline(rect.x_range(), y, desk.theme.line(theme::LINE));
    let light =
        Rect::from_min_max(pos2(rect.left(), top - desk.px(8.0)), pos2(rect.right(), top - desk.px(3.0)));
    desk.fill(light, 1, if meter.clipped() { theme::BRICK } else { theme::WELL });
}

/// A horizontal slot: pan with its middle, dry/wet and the click's level from the left.
pub(crate) fn slide_ui(desk: &mut Desk<'_>, rect: Rect, grip: &Grip<'_>, colour: Color32) -> Response {
    let knob = desk.px(11.0).min(rect.height());
    let travel = rect.shrink2(vec2(knob / 2.0 + desk.px(1.0), 0.0));
    let response = grip_ui(desk, rect, &Grip { travel: travel.width(), vertical: false, ..*grip });
    let x = |value: f32| travel.left() + grip.law.position(value) * travel.width();
    let slot = Rect::from_center_size(travel.center(), vec2(travel.width() + desk.px(4.0), desk.px(4.0)));
    desk.fill(slot, 2, theme::WELL);
    let from = x(if grip.law == Law::Pan { 0.0 } else { grip.law.range()[0] });
    let (left, right) = (from.min(x(grip.value)), from.max(x(grip.value)));
    desk.fill(slot.with_min_x(left).with_max_x(right), 2, theme::dimmed(colour, 0.25));
    if grip.law != Law::Wet {
        let tick =
            Rect::from_center_size(pos2(x(0.0), slot.center().y), vec2(desk.px(1.0).max(1.0), desk.px(10.0)));
        desk.fill(tick, 0, theme::LINE);
    }
    let lit = response.hovered() || response.dragged();
    let centre = pos2(x(grip.value), slot.center().y);
    desk.ui.painter().circle_filled(centre, knob / 2.0, if lit { theme::TEXT } else { theme::PAPER });
    desk.ui.painter().circle_filled(centre, knob / 2.0 - desk.px(2.5), colour);
    desk.ring(rect, &response);
    response
}

/// A lying meter, thin, for where there is no fader beside.
pub(crate) fn lying_meter_ui(desk: &Desk<'_>, rect: Rect, meter: &Meter, colour: Color32) {
    let half = Vec2::new(rect.width(), (rect.height() - desk.px(1.0)) / 2.0);
    for (n, side) in meter.sides().into_iter().enumerate() {
        let bar = Rect::from_min_size(rect.min + vec2(0.0, n as f32 * (half.y + desk.px(1.0))), half);
        desk.fill(bar, 1, theme::WELL);
        let end = bar.left() + Law::Fader.position(side.level_db) * bar.width();
        desk.fill(bar.with_max_x(end), 1, if side.level_db > 0.0 { theme::BRICK } else { colour });
    }
}
