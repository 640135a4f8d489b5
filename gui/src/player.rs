//! The player's strip: play, the song as a bar to seek in, the loop's two ends, the songs. There only where the view
//! has a player; knows no audio and no files.

use egui::{Align2, Event, EventFilter, Key, Modifiers, Rect, Sense, Shape, Stroke, WidgetInfo, pos2, vec2};

use crate::kit::{Desk, Press, cut_left, cut_right, id};
use crate::moment;
use crate::panel::Page;
use crate::theme;
use crate::view::{Action, PlayState, PlayerAction, PlayerView};

/// Of an arrow key, with Shift, and of Page Up or Down, in seconds.
const SKIP: f64 = 5.0;
const SHORT_SKIP: f64 = 1.0;
const LONG_SKIP: f64 = 30.0;

/// What the pointer draws in the bar: from one moment of the song to another.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Drawn {
    from: f64,
    to: f64,
    /// A loop, since Shift was down; else it seeks.
    is_loop: bool,
}

/// Everything of it in one row.
pub(crate) fn player_ui(desk: &mut Desk<'_>, mut rect: Rect, player: &PlayerView) {
    let large = desk.theme.large;
    let gap = desk.px(6.0);
    let play = cut_left(&mut rect, desk.px(if large { 96.0 } else { 52.0 }), gap);
    play_key_ui(desk, play, player);
    let songs = cut_right(&mut rect, desk.px(if large { 84.0 } else { 56.0 }), gap);
    let open = desk.panel.page == Page::Songs;
    let (label, says) = if open { ("Mixer", "Back from the songs") } else { ("Songs", "Open a song") };
    let size = if large { 18.0 } else { 12.5 };
    if desk.press("songs", songs, &Press { label, says, hint: says, size, ..Press::default() }).clicked() {
        desk.panel.turn_to(desk.panel.page.toggled(Page::Songs));
    }
    let repeat = cut_right(&mut rect, desk.px(if large { 76.0 } else { 44.0 }), gap);
    let press = Press {
        label: "Loop",
        says: "Loop",
        hint: "Again and again from A to B (key L)",
        on: Some(player.looping),
        colour: theme::MOSS,
        size,
        enabled: player.song.is_some(),
        ..Press::default()
    };
    if desk.press("loop", repeat, &press).clicked() {
        desk.actions.push(Action::Player(PlayerAction::Looping(!player.looping)));
    }
    if !large {
        let end = cut_right(&mut rect, desk.px(88.0), gap);
        let start = cut_right(&mut rect, desk.px(88.0), gap);
        let of = |seconds| LoopEnd { seconds, enabled: player.song.is_some() };
        end_ui(desk, start, &A, &of(player.loop_from_seconds));
        end_ui(desk, end, &B, &of(player.loop_to_seconds));
    }
    bar_ui(desk, rect, player);
}

fn play_key_ui(desk: &mut Desk<'_>, rect: Rect, player: &PlayerView) {
    let under_way = player.state.is_under_way();
    let says = if under_way { "Pause" } else { "Play" };
    let hint = if under_way { "Pause (Space)" } else { "Play (Space)" };
    let enabled = player.song.is_some();
    let press = Press { says, hint, on: Some(under_way), colour: theme::MOSS, enabled, ..Press::default() };
    if desk.press("play", rect, &press).clicked() {
        desk.actions.push(Action::Player(PlayerAction::Play(!under_way)));
    }
    let colour = match (enabled, under_way) {
        (false, _) => theme::QUIET,
        (true, true) => theme::INK,
        (true, false) => theme::TEXT,
    };
    let (centre, side) = (rect.center(), (rect.height() * 0.28).min(desk.px(14.0)));
    let painter = desk.ui.painter();
    if under_way {
        for x in [-0.55, 0.55] {
            let bar = Rect::from_center_size(centre + vec2(side * x, 0.0), vec2(side * 0.6, side * 2.0));
            painter.rect_filled(bar, 1, colour);
        }
    } else {
        let corners = [vec2(-0.8, -1.0), vec2(1.0, 0.0), vec2(-0.8, 1.0)];
        let corners = corners.map(|corner| centre + corner * side).to_vec();
        painter.add(Shape::convex_polygon(corners, colour, Stroke::NONE));
    }
}

/// One of the loop's ends: its letter, and what is said and done.
struct End {
    letter: &'static str,
    says: &'static str,
    hint: &'static str,
    field: &'static str,
    here: PlayerAction,
    at: fn(Option<f64>) -> PlayerAction,
}

const A: End = End {
    letter: "A",
    says: "Loop from here",
    hint: "The loop begins here (key A)",
    field: "Loop from",
    here: PlayerAction::LoopFromHere,
    at: PlayerAction::LoopFrom,
};
const B: End = End {
    letter: "B",
    says: "Loop to here",
    hint: "The loop ends here (key B)",
    field: "Loop to",
    here: PlayerAction::LoopToHere,
    at: PlayerAction::LoopTo,
};

struct LoopEnd {
    seconds: Option<f64>,
    enabled: bool,
}

/// A key that sets it to what is heard, and a field to type it to the millisecond. An empty one unsets it.
fn end_ui(desk: &mut Desk<'_>, mut rect: Rect, end: &End, now: &LoopEnd) {
    let key = cut_left(&mut rect, desk.px(22.0), desk.px(1.0));
    let (label, enabled) = (end.letter, now.enabled);
    let colour = if now.seconds.is_some() { theme::MOSS } else { theme::TEXT };
    let press = Press { label, says: end.says, hint: end.hint, text: colour, enabled, ..Press::default() };
    if desk.press(("loop end", label), key, &press).clicked() {
        desk.actions.push(Action::Player(end.here.clone()));
    }
    let value = now.seconds.map(moment::millis).unwrap_or_default();
    let Some(typed) = desk.field(end.field, rect, end.field, "–", &value).filter(|_| enabled) else {
        return;
    };
    let moment = moment::read(&typed);
    if moment.is_some() || typed.is_empty() {
        desk.actions.push(Action::Player((end.at)(moment)));
    }
}

/// The song from its beginning to its end: what is read, the loop, where it is. A click seeks, Shift and a drag mark a
/// loop.
fn bar_ui(desk: &mut Desk<'_>, rect: Rect, player: &PlayerView) {
    desk.fill(rect, desk.theme.round(), theme::WELL);
    let id = id("position");
    let all = player.length_seconds.unwrap_or(player.ready_seconds).max(player.ready_seconds).max(0.0);
    let enabled = player.song.is_some() && all > 0.0;
    let sense = if enabled { Sense::click_and_drag() } else { Sense::hover() };
    let response = desk.ui.interact(rect, id, sense);
    if enabled {
        let moment = |x: f32| f64::from((x - rect.left()) / rect.width().max(1.0)).clamp(0.0, 1.0) * all;
        pointed(desk, &response, moment);
        focused(desk, &response, player.position_seconds);
    }
    let x = |seconds: f64| rect.left() + rect.width() * (seconds / all.max(1e-3)).clamp(0.0, 1.0) as f32;
    let drawn = desk.panel.drawn;
    if enabled {
        let round = desk.theme.round();
        desk.fill(rect.with_max_x(x(player.ready_seconds)), round, theme::KEY);
        let ends = [player.loop_from_seconds, player.loop_to_seconds];
        let (ends, is_lit) = match drawn.filter(|drawn| drawn.is_loop) {
            Some(drawn) => ([Some(drawn.from.min(drawn.to)), Some(drawn.from.max(drawn.to))], true),
            None => (ends, player.looping),
        };
        let band = rect.with_min_x(x(ends[0].unwrap_or(0.0))).with_max_x(x(ends[1].unwrap_or(all)));
        if is_lit || ends != [None, None] {
            let colour = if is_lit { theme::MOSS } else { theme::LINE };
            desk.fill(band, 2, theme::dimmed(colour, 0.72));
            for edge in [band.left(), band.right()] {
                desk.fill(Rect::from_x_y_ranges(edge - 1.0..=edge + 1.0, rect.y_range()), 0, colour);
            }
        }
        let now = drawn.filter(|drawn| !drawn.is_loop).map_or(player.position_seconds, |drawn| drawn.to);
        let line = x(now).clamp(rect.left() + 1.0, rect.right() - 1.0);
        desk.fill(Rect::from_x_y_ranges(line - 1.0..=line + 1.0, rect.y_range()), 0, theme::PAPER);
    }
    words_ui(desk, rect, player);
    desk.ring(rect, &response);
    let says = format!("Position, {}", times(player));
    response.widget_info(|| WidgetInfo::slider(enabled, player.position_seconds, &says));
    desk.ui.ctx().accesskit_node_builder(id, |node| {
        node.set_min_numeric_value(0.0);
        node.set_max_numeric_value(all);
        for action in [
            egui::accesskit::Action::SetValue,
            egui::accesskit::Action::Increment,
            egui::accesskit::Action::Decrement,
        ] {
            node.add_action(action);
        }
    });
    let name = player.song.as_ref().map_or("No song is open", |song| song.name.as_str());
    let hint = player.trouble.as_deref().unwrap_or(name);
    response.on_hover_text(format!("{hint}\nClick: seek. Shift and drag: loop."));
}

/// The song's name and how far it is, in the bar.
fn words_ui(desk: &Desk<'_>, rect: Rect, player: &PlayerView) {
    let large = desk.theme.large;
    let mut inside = rect.shrink2(vec2(desk.px(8.0), 0.0));
    let size = if large { 18.0 } else { 12.5 };
    let colour = if player.state == PlayState::CountingIn { theme::AMBER } else { theme::TEXT };
    let time = if player.song.is_some() { times(player) } else { String::new() };
    let galley = desk.ui.painter().layout_no_wrap(time, desk.theme.bold(size), colour);
    let place = cut_right(&mut inside, galley.size().x, desk.px(10.0));
    let top = pos2(place.left(), place.center().y - galley.size().y / 2.0);
    desk.ui.painter().galley(top, galley, colour);
    let (name, colour) = match (&player.trouble, &player.song) {
        (Some(trouble), _) => (trouble.as_str(), theme::AMBER),
        (None, Some(song)) => (song.name.as_str(), theme::TEXT),
        (None, None) => ("No song: your input is heard", theme::QUIET),
    };
    desk.line(inside, Align2::LEFT_CENTER, name, desk.theme.regular(size), colour);
}

/// "0:12.3 of 3:45.0".
fn times(player: &PlayerView) -> String {
    let now = moment::tenths(player.position_seconds);
    let now = match player.state {
        PlayState::CountingIn => format!("count-in {now}"),
        PlayState::Waiting => format!("reading {now}"),
        PlayState::Paused | PlayState::Playing => now,
    };
    match player.length_seconds {
        Some(length) => format!("{now} of {}", moment::tenths(length)),
        None => now,
    }
}

/// What the pointer does in the bar.
fn pointed(desk: &mut Desk<'_>, response: &egui::Response, moment: impl Fn(f32) -> f64) {
    let pointer = response.interact_pointer_pos().or(desk.ui.input(|i| i.pointer.latest_pos()));
    let Some(pointer) = pointer.map(|pointer| moment(pointer.x)) else { return };
    if response.drag_started() {
        let (origin, shift) = desk.ui.input(|i| (i.pointer.press_origin(), i.modifiers.shift));
        let from = origin.map_or(pointer, |origin| moment(origin.x));
        desk.panel.drawn = Some(Drawn { from, to: pointer, is_loop: shift });
    }
    if let Some(drawn) = &mut desk.panel.drawn {
        drawn.to = pointer;
    }
    if response.clicked() {
        desk.actions.push(Action::Player(PlayerAction::Seek(pointer)));
    }
    if response.drag_stopped()
        && let Some(Drawn { from, to, is_loop }) = desk.panel.drawn.take()
    {
        if is_loop {
            let to_millis = |moment: f64| Some((moment * 1e3).round() / 1e3);
            let player = Action::Player;
            desk.actions.extend([
                player(PlayerAction::LoopFrom(to_millis(from.min(to)))),
                player(PlayerAction::LoopTo(to_millis(from.max(to)))),
                player(PlayerAction::Looping(true)),
            ]);
        } else {
            desk.actions.push(Action::Player(PlayerAction::Seek(to)));
        }
    }
    if !response.dragged() {
        desk.panel.drawn = None;
    }
}

/// Keys and screen reader, where the bar has the keyboard.
fn focused(desk: &mut Desk<'_>, response: &egui::Response, position: f64) {
    use egui::accesskit::{Action as Reader, ActionData};
    let asked = desk.ui.input(|i| {
        let value = i.accesskit_action_requests(response.id, Reader::SetValue).last();
        let value = value.and_then(|request| match request.data {
            Some(ActionData::NumericValue(value)) if value.is_finite() => Some(value),
            _ => None,
        });
        let steps = i.num_accesskit_action_requests(response.id, Reader::Increment) as f64
            - i.num_accesskit_action_requests(response.id, Reader::Decrement) as f64;
        value.or((steps != 0.0).then_some(position + steps * SKIP))
    });
    if let Some(seconds) = asked {
        desk.actions.push(Action::Player(PlayerAction::Seek(seconds.max(0.0))));
    }
    if response.has_focus() {
        let filter = EventFilter { horizontal_arrows: true, ..EventFilter::default() };
        desk.ui.memory_mut(|memory| memory.set_focus_lock_filter(response.id, filter));
        skip_by_keys(desk);
    }
}

/// Arrows skip, Home goes to the beginning.
fn skip_by_keys(desk: &mut Desk<'_>) {
    let mut skip = 0.0;
    let mut home = false;
    for (key, modifiers) in presses(desk) {
        let step = if modifiers.shift { SHORT_SKIP } else { SKIP };
        match key {
            Key::ArrowRight => skip += step,
            Key::ArrowLeft => skip -= step,
            Key::PageUp => skip += LONG_SKIP,
            Key::PageDown => skip -= LONG_SKIP,
            Key::Home => home = true,
            _ => {}
        }
    }
    if home {
        desk.actions.push(Action::Player(PlayerAction::Seek(0.0)));
    } else if skip != 0.0 {
        desk.actions.push(Action::Player(PlayerAction::Skip(skip)));
    }
}

/// The keys that went down since the last picture, with what was held at that moment: it may be let go already.
fn presses(desk: &Desk<'_>) -> Vec<(Key, Modifiers)> {
    let key = |event: &Event| match event {
        Event::Key { key, pressed: true, modifiers, .. } => Some((*key, *modifiers)),
        _ => None,
    };
    desk.ui.input(|i| i.events.iter().filter_map(key).collect())
}

/// The keys that work wherever the keyboard is, unless one is typing: Space, A, B, L; and where nothing has the
/// keyboard, those of the bar.
pub(crate) fn keys(desk: &mut Desk<'_>, player: &PlayerView) {
    if player.song.is_none() || desk.is_typing() {
        return;
    }
    let focused = desk.ui.memory(|memory| memory.focused());
    // Somebody who walks by Tab presses what has the keyboard with Space.
    let space_is_free = focused.is_none() || !desk.panel.walks;
    for (key, modifiers) in presses(desk) {
        let action = match key {
            Key::Space if space_is_free => PlayerAction::Play(!player.state.is_under_way()),
            Key::A => PlayerAction::LoopFromHere,
            Key::B => PlayerAction::LoopToHere,
            Key::L => PlayerAction::Looping(!player.looping),
            _ => continue,
        };
        if modifiers == Modifiers::NONE {
            desk.actions.push(Action::Player(action));
        }
    }
    if focused.is_none() {
        skip_by_keys(desk);
    }
}
