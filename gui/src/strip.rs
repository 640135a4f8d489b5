//! The mixer: one strip per stem the model has, a narrow spine for each it lacks, and the main strip.

use egui::{Align2, Key, Modifiers, Rect, Role, Sense, Shape, WidgetInfo, pos2, vec2};

use crate::fader::{fader_ui, slide_ui};
use crate::grip::{Grip, value_ui};
use crate::kit::{Desk, Press, cut_bottom, cut_left, cut_right, cut_top, id};
use crate::law::Law;
use crate::panel::{MASTER, STRIPS};
use crate::theme;
use crate::view::{Action, Control, PartMode, StripView};

/// No strip is wider: a fader in a field helps nobody.
const WIDEST: f32 = 236.0;
/// A spine of a stem that the model lacks.
const SPINE: f32 = 22.0;

/// All strips and the main one, from left to right.
pub(crate) fn mixer_ui(desk: &mut Desk<'_>, mut rect: Rect) {
    let view = desk.view;
    let gap = desk.px(6.0);
    let (mut present, mut absent): (Vec<usize>, Vec<usize>) =
        (0..view.strips.len().min(STRIPS)).partition(|n| view.strips[*n].present);
    // Before there is a model nobody knows which stems there will be: faders can be set for all of them.
    if present.is_empty() {
        std::mem::swap(&mut present, &mut absent);
    }
    let count = present.len().max(1) as f32 + 1.0;
    let spines = absent.len() as f32 * (desk.px(SPINE) + gap);
    // Spines only where they take nothing from those that are there.
    let with_spines = !desk.theme.large && rect.width() - spines >= count * desk.px(104.0);
    let room = rect.width() - if with_spines { spines } else { 0.0 };
    let widest = if desk.theme.large { f32::INFINITY } else { desk.px(WIDEST) };
    // A little more air before the sum.
    let air = desk.px(4.0);
    let width = ((room - gap * (count - 1.0) - air) / count).min(widest);

    let names = present.iter().map(|n| view.strips[*n].name.as_str());
    let (most, pad) = if desk.theme.large { (28.0, 24.0) } else { (15.0, 20.0) };
    let size = desk.fitting(names, most, 10.5, width - desk.px(pad));
    for strip in present {
        let place = cut_left(&mut rect, width, gap);
        strip_ui(desk, place, strip, size);
    }
    cut_left(&mut rect, air, 0.0);
    let master = cut_left(&mut rect, width, gap);
    if with_spines {
        for strip in absent {
            let place = cut_left(&mut rect, desk.px(SPINE), gap);
            spine_ui(desk, place, &view.strips[strip]);
        }
    }
    master_ui(desk, master, size);
}

fn strip_ui(desk: &mut Desk<'_>, rect: Rect, strip: usize, size: f32) {
    let view = desk.view;
    let what = &view.strips[strip];
    let colour = theme::stem(strip);
    let quiet = what.mute || what.silenced || !what.present;
    let large = desk.theme.large;
    let mut inside = card(desk, rect, colour, quiet);

    let mine = view.part.mine == strip;
    let says = format!("{}: {}", what.name, if mine { "my part" } else { "make it my part" });
    let name = cut_top(&mut inside, key_height(desk), desk.px(3.0));
    let text = if quiet { theme::QUIET } else { colour };
    let (status, status_colour) = match (what.mute, what.silenced) {
        (_, true) if mine && view.part.mode == PartMode::WithoutMine => ("you play", colour),
        _ if !what.present => ("not here yet", theme::QUIET),
        (true, _) => ("muted", theme::AMBER),
        (_, true) => ("not heard", theme::QUIET),
        _ if mine => ("my part", theme::QUIET),
        _ => ("", theme::QUIET),
    };
    // In large type name and status share the key, since both are to be read from afar.
    let two_lines = large && quiet;
    let label = if two_lines { "" } else { &*what.name };
    let press = Press {
        label,
        says: &says,
        hint: &says,
        on: Some(mine),
        colour,
        text,
        size,
        bold: true,
        enabled: true,
    };
    if desk.press(("mine", strip), name, &press).clicked() && !mine {
        desk.actions.push(Action::Mine(strip));
    }
    if two_lines {
        let (ink, under) = if mine { (theme::INK, theme::INK) } else { (text, theme::TEXT) };
        let mut upper = name.shrink2(vec2(desk.px(3.0), desk.px(1.5)));
        let lower = cut_bottom(&mut upper, desk.px(15.0), 0.0);
        desk.line(upper, Align2::CENTER_CENTER, &what.name, desk.theme.bold(size.min(18.0)), ink);
        desk.line(lower, Align2::CENTER_CENTER, status, desk.theme.regular(12.0), under);
    } else if !large && inside.height() >= desk.px(190.0) {
        let row = cut_top(&mut inside, desk.px(15.0), desk.px(1.0));
        desk.line(row, Align2::CENTER_CENTER, status, desk.theme.regular(11.0), status_colour);
    } else if what.present && quiet && !mine {
        let y = desk.ui.painter().round_to_pixel_center(name.center().y);
        desk.ui.painter().hline(name.shrink(desk.px(6.0)).x_range(), y, desk.theme.line(theme::QUIET));
    }
    let keys = cut_bottom(&mut inside, key_height(desk), desk.px(3.0));
    let fader_says = format!("{} fader", what.name);
    let grip = Grip {
        control: Control::Gain(strip),
        law: Law::Fader,
        value: what.gain_db,
        says: &fader_says,
        travel: 0.0,
        vertical: true,
    };
    if !large {
        let value = cut_bottom(&mut inside, desk.theme.either(17.0, 20.0), desk.px(1.0));
        let pan_row = cut_bottom(&mut inside, desk.theme.either(15.0, 18.0), desk.px(1.0));
        let meter = desk.panel.meters[strip].clone();
        fader_ui(desk, inside, &grip, &meter, colour, quiet);
        let pan_says = format!("{} pan", what.name);
        let pan =
            Grip { control: Control::Pan(strip), law: Law::Pan, value: what.pan, says: &pan_says, ..grip };
        pan_ui(desk, pan_row, &pan, colour);
        value_ui(desk, value, &grip, 12.5, quiet);
    } else {
        let meter = desk.panel.meters[strip].clone();
        if inside.height() > desk.px(120.0) {
            let value = cut_bottom(&mut inside, desk.px(28.0), desk.px(2.0));
            value_ui(desk, value, &grip, 20.0, quiet);
        }
        fader_ui(desk, inside, &grip, &meter, colour, quiet);
    }
    mute_and_solo_ui(desk, keys, strip, what);
    letters(desk, strip, what);
}

/// A pan with its value in words where there is room for them.
fn pan_ui(desk: &mut Desk<'_>, mut row: Rect, pan: &Grip<'_>, colour: egui::Color32) {
    if row.width() >= desk.px(110.0) {
        let words = cut_right(&mut row, desk.px(42.0), desk.px(2.0));
        value_ui(desk, words, pan, 11.0, true);
    }
    slide_ui(desk, row, pan, colour).on_hover_text(format!("Pan: {}", pan.law.text(pan.value)));
}

fn mute_and_solo_ui(desk: &mut Desk<'_>, mut keys: Rect, strip: usize, what: &StripView) {
    let large = desk.theme.large;
    let words = large || keys.width() >= desk.px(92.0);
    let gap = desk.px(4.0);
    let half = if large { keys.width() } else { (keys.width() - gap) / 2.0 };
    let size = if large {
        desk.fitting(["Muted"].into_iter(), 20.0, 9.0, keys.width() - desk.px(8.0))
    } else {
        12.5
    };
    let mute = cut_left(&mut keys, half, gap);
    let says = format!("{} mute", what.name);
    let label = if words { "Mute" } else { "M" };
    let label = if large && what.mute { "Muted" } else { label };
    let press = Press {
        label,
        says: &says,
        on: Some(what.mute),
        colour: theme::AMBER,
        size,
        bold: large,
        ..Press::default()
    };
    if desk.press(("mute", strip), mute, &press).clicked() {
        desk.actions.push(Action::Mute(strip, !what.mute));
    }
    if large {
        return;
    }
    let says = format!("{} solo", what.name);
    let label = if words { "Solo" } else { "S" };
    let hint = "Solo; with Alt: this one alone";
    let press = Press {
        label,
        says: &says,
        hint,
        on: Some(what.solo),
        colour: theme::MOSS,
        size,
        ..Press::default()
    };
    if desk.press(("solo", strip), keys, &press).clicked() {
        solo(desk, strip, what);
    }
}

fn solo(desk: &mut Desk<'_>, strip: usize, what: &StripView) {
    let alone = desk.ui.input(|i| i.modifiers.alt);
    desk.actions.push(if alone { Action::SoloOnly(strip) } else { Action::Solo(strip, !what.solo) });
}

/// M, S and P mean the strip that the keyboard is on.
fn letters(desk: &mut Desk<'_>, strip: usize, what: &StripView) {
    let focused = desk.ui.memory(|memory| memory.focused());
    let here = [
        id(("mine", strip)),
        id(Control::Gain(strip)),
        id(Control::Pan(strip)),
        id(("mute", strip)),
        id(("solo", strip)),
    ];
    if !focused.is_some_and(|focused| here.contains(&focused)) {
        return;
    }
    let pressed = |key| desk.ui.input_mut(|i| i.consume_key(Modifiers::NONE, key));
    let [mute, mine] = [Key::M, Key::P].map(pressed);
    let [plain, alone] =
        [Modifiers::NONE, Modifiers::ALT].map(|with| desk.ui.input_mut(|i| i.consume_key(with, Key::S)));
    if mute {
        desk.actions.push(Action::Mute(strip, !what.mute));
    }
    if mine {
        desk.actions.push(Action::Mine(strip));
    }
    if plain || alone {
        solo(desk, strip, what);
    }
}

/// A stem that the playing model lacks: named, and in nobody's way.
fn spine_ui(desk: &Desk<'_>, rect: Rect, what: &StripView) {
    desk.fill(rect, desk.theme.round(), theme::CARD);
    let text = format!("{} · not in this model", what.name);
    let galley = desk.ui.painter().layout_no_wrap(text.clone(), desk.theme.regular(11.0), theme::QUIET);
    let size = galley.size();
    if size.x + desk.px(16.0) <= rect.height() {
        let at = pos2(rect.center().x - size.y / 2.0, rect.center().y + size.x / 2.0);
        let turned =
            egui::epaint::TextShape::new(at, galley, theme::QUIET).with_angle(-std::f32::consts::FRAC_PI_2);
        desk.ui.painter().add(Shape::Text(turned));
    }
    let response = desk.ui.interact(rect, id(("spine", &what.name)), Sense::hover());
    response.widget_info(|| WidgetInfo::labeled(Role::Label, true, &text));
}

/// Of the keys in a strip.
fn key_height(desk: &Desk<'_>) -> f32 {
    if desk.theme.large { desk.px(38.0) } else { desk.theme.either(23.0, 27.0) }
}

fn card(desk: &Desk<'_>, rect: Rect, colour: egui::Color32, quiet: bool) -> Rect {
    desk.fill(rect, desk.theme.round(), theme::CARD);
    let bar = rect.with_max_y(rect.top() + desk.px(3.0));
    desk.fill(bar, 1, if quiet { theme::dimmed(colour, 0.6) } else { colour });
    rect.shrink2(vec2(desk.px(6.0), desk.theme.either(5.0, 6.0)))
        .with_min_y(rect.top() + desk.theme.either(6.0, 9.0))
}

fn master_ui(desk: &mut Desk<'_>, rect: Rect, size: f32) {
    let master = &desk.view.master;
    let large = desk.theme.large;
    let mut inside = card(desk, rect, theme::PAPER, master.bypass);
    let name = cut_top(&mut inside, key_height(desk), desk.px(3.0));
    desk.line(name, Align2::CENTER_CENTER, "Main", desk.theme.bold(size), theme::TEXT);
    if !large && inside.height() >= desk.px(190.0) {
        let row = cut_top(&mut inside, desk.px(15.0), desk.px(1.0));
        let status = if master.bypass { "bypassed" } else { "" };
        desk.line(row, Align2::CENTER_CENTER, status, desk.theme.regular(11.0), theme::AMBER);
    }
    let keys = cut_bottom(&mut inside, key_height(desk), desk.px(3.0));
    let grip = Grip {
        control: Control::MasterGain,
        law: Law::Fader,
        value: master.gain_db,
        says: "Main fader",
        travel: 0.0,
        vertical: true,
    };
    let meter = desk.panel.meters[MASTER].clone();
    if large {
        if inside.height() > desk.px(120.0) {
            let value = cut_bottom(&mut inside, desk.px(28.0), desk.px(2.0));
            value_ui(desk, value, &grip, 20.0, false);
        }
        fader_ui(desk, inside, &grip, &meter, theme::PAPER, master.bypass);
    } else {
        let value = cut_bottom(&mut inside, desk.theme.either(17.0, 20.0), desk.px(1.0));
        let mut wet_row = cut_bottom(&mut inside, desk.theme.either(15.0, 18.0), desk.px(1.0));
        fader_ui(desk, inside, &grip, &meter, theme::PAPER, master.bypass);
        let wet =
            Grip { control: Control::Wet, law: Law::Wet, value: master.wet, says: "Dry to wet", ..grip };
        if wet_row.width() >= desk.px(110.0) {
            let words = cut_right(&mut wet_row, desk.px(42.0), desk.px(2.0));
            value_ui(desk, words, &wet, 11.0, true);
        }
        slide_ui(desk, wet_row, &wet, theme::PAPER)
            .on_hover_text(format!("Dry (the song) to wet (the mixer): {}", wet.law.text(wet.value)));
        value_ui(desk, value, &grip, 12.5, master.bypass);
    }
    let size = if large {
        desk.fitting(["Bypass"].into_iter(), 20.0, 10.0, keys.width() - desk.px(10.0))
    } else {
        12.5
    };
    let press = Press {
        label: "Bypass",
        says: "Bypass: the song as it is",
        hint: "The song as it is",
        on: Some(master.bypass),
        colour: theme::AMBER,
        size,
        ..Press::default()
    };
    if desk.press("bypass", keys, &press).clicked() {
        desk.actions.push(Action::Bypass(!master.bypass));
    }
}
