//! Taking hold of what moves continuously, in every way there is: dragging, wheel, arrows, typing, double click,
//! screen reader. Whatever the way, the owner hears of a whole gesture: begin, set, end. Draws nothing but the field
//! for typing.

use egui::{
    Align2, Event, EventFilter, Key, Modifiers, MouseWheelUnit, Pos2, Rect, Response, Sense, Ui, WidgetInfo,
};

use crate::kit::{Desk, id};
use crate::law::Law;
use crate::theme;
use crate::view::{Action, Control};

/// Points of wheel (of a touch pad) that count as one notch.
const POINTS_PER_NOTCH: f32 = 24.0;
/// Shift or control makes a drag this much finer.
const FINE: f32 = 0.15;

/// Something to take hold of.
pub(crate) struct Grip<'t> {
    pub(crate) control: Control,
    pub(crate) law: Law,
    pub(crate) value: f32,
    /// What a screen reader says before the value: "Vocals fader".
    pub(crate) says: &'t str,
    /// Points from one end of the travel to the other.
    pub(crate) travel: f32,
    /// Up is more; otherwise right is.
    pub(crate) vertical: bool,
}

/// What is being held.
#[derive(Debug)]
pub(crate) struct Held {
    pub(crate) control: Control,
    position: f32,
    /// Where the pointer was when it was last asked.
    pointer: Pos2,
    /// Whether it was still there in this picture.
    pub(crate) seen: bool,
}

/// Takes in what the player does with `grip` inside of `rect`.
pub(crate) fn grip_ui(desk: &mut Desk<'_>, rect: Rect, grip: &Grip<'_>) -> Response {
    let id = id(grip.control);
    let response = desk.ui.interact(rect, id, Sense::click_and_drag());
    let fine = desk.ui.input(|i| i.modifiers.shift || i.modifiers.command || i.modifiers.ctrl);
    let pointer = response.interact_pointer_pos().or(desk.ui.input(|i| i.pointer.latest_pos()));
    let set = |desk: &mut Desk<'_>, value: f32| {
        if value != grip.value {
            let control = grip.control;
            desk.actions.extend([Action::Begin(control), Action::Set(control, value), Action::End(control)]);
        }
    };

    if response.drag_started() {
        let position = grip.law.position(grip.value);
        // From where it was pressed: what was moved before it became a drag counts too.
        let pointer = desk.ui.input(|i| i.pointer.press_origin()).or(pointer).unwrap_or_default();
        desk.panel.held = Some(Held { control: grip.control, position, pointer, seen: true });
        desk.actions.push(Action::Begin(grip.control));
    }
    if response.clicked() || response.drag_started() {
        // The strip that was touched last is the one the letter keys mean.
        response.request_focus();
    }
    if let Some(held) = desk.panel.held.as_mut().filter(|held| held.control == grip.control) {
        held.seen = true;
        // Not egui's own way of dragging, which forgets what is moved in the picture in which it is let go.
        let now = pointer.unwrap_or(held.pointer);
        let delta = now - held.pointer;
        held.pointer = now;
        let way = (if grip.vertical { -delta.y } else { delta.x }) * if fine { FINE } else { 1.0 };
        if way != 0.0 {
            held.position = (held.position + way / grip.travel.max(1.0)).clamp(0.0, 1.0);
            let value = grip.law.settled(grip.law.value(held.position));
            if value != grip.value {
                desk.actions.push(Action::Set(grip.control, value));
            }
        }
        if !response.dragged() {
            desk.panel.held = None;
            desk.actions.push(Action::End(grip.control));
        }
    } else if response.double_clicked() {
        set(desk, grip.law.default_value());
    } else if response.contains_pointer() {
        let notches = notches(desk.ui);
        if notches != 0.0 {
            set(desk, grip.law.stepped(grip.value, notches, fine));
        }
    }
    if response.has_focus() && desk.panel.editing.is_none() {
        let filter = EventFilter { vertical_arrows: true, horizontal_arrows: true, ..EventFilter::default() };
        desk.ui.memory_mut(|memory| memory.set_focus_lock_filter(id, filter));
        if let Some(value) = by_keys(desk.ui, grip) {
            set(desk, value);
        }
        if desk.ui.input_mut(|i| i.consume_key(Modifiers::NONE, Key::Enter)) {
            desk.panel.editing = Some((grip.control, false));
        }
    }
    if let Some(value) = by_screen_reader(desk.ui, id, grip) {
        set(desk, value);
    }
    let says = format!("{}, {}", grip.says, grip.law.text(grip.value));
    response.widget_info(|| WidgetInfo::slider(true, f64::from(grip.value), &says));
    let [least, most] = grip.law.range();
    desk.ui.ctx().accesskit_node_builder(id, |node| {
        node.set_min_numeric_value(f64::from(least));
        node.set_max_numeric_value(f64::from(most));
        for action in [
            egui::accesskit::Action::SetValue,
            egui::accesskit::Action::Increment,
            egui::accesskit::Action::Decrement,
        ] {
            node.add_action(action);
        }
    });
    response
}

/// The value in words; a click makes it a field to type into, as Enter does on the grip itself.
pub(crate) fn value_ui(desk: &mut Desk<'_>, rect: Rect, grip: &Grip<'_>, size: f32, quiet: bool) {
    if let Some((control, focused)) = desk.panel.editing
        && control == grip.control
    {
        let key = format!("{:?}", grip.control);
        let field = id(("field", key.as_str()));
        if !focused {
            desk.ui.memory_mut(|memory| memory.request_focus(field));
            desk.panel.typing = Some((field, String::new()));
            desk.panel.editing = Some((control, true));
        }
        let hint = grip.law.text(grip.value);
        let typed = desk.field(&key, rect, &format!("{}, value", grip.says), &hint, "");
        if let Some(value) = typed.and_then(|typed| grip.law.parsed(&typed)) {
            desk.actions.extend([Action::Begin(control), Action::Set(control, value), Action::End(control)]);
        }
        if focused && !desk.ui.memory(|memory| memory.has_focus(field)) {
            desk.panel.editing = None;
            if desk.ui.input(|i| i.key_pressed(Key::Enter) || i.key_pressed(Key::Escape)) {
                desk.ui.memory_mut(|memory| memory.request_focus(id(grip.control)));
            }
        }
        return;
    }
    // Not a stop of the Tab key: Enter on the grip does the same.
    let response = desk.ui.interact(rect, id((grip.control, "value")), Sense::CLICK);
    if response.hovered() {
        desk.fill(rect, desk.theme.round(), theme::KEY);
    }
    let colour = if quiet { theme::QUIET } else { theme::TEXT };
    desk.line(rect, Align2::CENTER_CENTER, &grip.law.text(grip.value), desk.theme.regular(size), colour);
    if response.on_hover_text("Click to type a value").clicked() {
        desk.panel.editing = Some((grip.control, false));
    }
}

/// Notches of the wheel since the last picture; up and right are more.
fn notches(ui: &Ui) -> f32 {
    ui.input(|i| {
        let wheel = i.raw.events.iter().filter_map(|event| match event {
            Event::MouseWheel { unit: MouseWheelUnit::Point, delta, .. } => {
                Some((delta.x + delta.y) / POINTS_PER_NOTCH)
            }
            Event::MouseWheel { delta, .. } => Some(delta.x + delta.y),
            _ => None,
        });
        wheel.sum()
    })
}

fn by_keys(ui: &Ui, grip: &Grip<'_>) -> Option<f32> {
    ui.input(|i| {
        let presses = |keys: &[Key]| keys.iter().map(|key| i.num_presses(*key) as f32).sum::<f32>();
        if presses(&[Key::Home, Key::Delete, Key::Backspace]) > 0.0 {
            return Some(grip.law.default_value());
        }
        if presses(&[Key::End]) > 0.0 {
            return Some(grip.law.range()[0]);
        }
        let steps = presses(&[Key::ArrowUp, Key::ArrowRight]) - presses(&[Key::ArrowDown, Key::ArrowLeft])
            + 6.0 * (presses(&[Key::PageUp]) - presses(&[Key::PageDown]));
        let fine = i.modifiers.shift || i.modifiers.command || i.modifiers.ctrl;
        (steps != 0.0).then(|| grip.law.stepped(grip.value, steps, fine))
    })
}

fn by_screen_reader(ui: &Ui, id: egui::Id, grip: &Grip<'_>) -> Option<f32> {
    use egui::accesskit::{Action, ActionData};
    ui.input(|i| {
        let asked =
            i.accesskit_action_requests(id, Action::SetValue).filter_map(|request| match request.data {
                Some(ActionData::NumericValue(value)) => Some(value as f32),
                _ => None,
            });
        if let Some(value) = asked.last().filter(|value| value.is_finite()) {
            let [least, most] = grip.law.range();
            return Some(grip.law.settled(value.clamp(least, most)));
        }
        let steps = i.num_accesskit_action_requests(id, Action::Increment) as f32
            - i.num_accesskit_action_requests(id, Action::Decrement) as f32;
        (steps != 0.0).then(|| grip.law.stepped(grip.value, steps, false))
    })
}
