//! The panel itself: plain egui. It draws a [`View`] and reports [`Action`]s; it decides nothing and keeps nothing
//! but what is being typed.

use egui::{Color32, RichText, Slider, TextEdit, Ui};

use crate::view::{Action, Control, LinkState, StripView, View};
use crate::{FADER_FOOT_DB, FADER_HEAD_DB};

/// Budgets to pick from, in milliseconds.
const BUDGETS_MILLIS: [u32; 9] = [50, 93, 132, 180, 250, 350, 500, 1000, 1500];

/// The range of a fader in dB; at its foot it is silent.
const FADER_DB: std::ops::RangeInclusive<f32> = FADER_FOOT_DB..=FADER_HEAD_DB;

/// What the panel keeps between two pictures.
#[derive(Debug, Default)]
pub struct Panel {
    /// The address while it is being typed, before Enter.
    typed_server: Option<String>,
}

impl Panel {
    /// How soon the panel wants the next picture by itself; `None` when nothing moves.
    pub fn next_picture(&self) -> Option<std::time::Duration> {
        None
    }
}

/// Draws one picture and returns what the player did in it, in order.
pub fn panel_ui(ui: &mut Ui, panel: &mut Panel, view: &View) -> Vec<Action> {
    let mut actions = Vec::new();
    ui.horizontal(|ui| {
        ui.heading("RehearseKit");
        let mut bypass = view.master.bypass;
        if ui.checkbox(&mut bypass, "Bypass").changed() {
            actions.push(Action::Bypass(bypass));
        }
    });
    link_ui(ui, view);
    ui.separator();
    settings_ui(ui, panel, view, &mut actions);
    ui.separator();
    ui.horizontal(|ui| {
        for (index, strip) in view.strips.iter().enumerate() {
            ui.vertical(|ui| strip_ui(ui, index, strip, &mut actions));
        }
    });
    actions
}

fn link_ui(ui: &mut Ui, view: &View) {
    let colour =
        if view.link.state == LinkState::Live { Color32::LIGHT_GREEN } else { Color32::LIGHT_YELLOW };
    ui.label(RichText::new(&view.link.sentence).color(colour));
    if let Some(warning) = &view.link.warning {
        ui.label(RichText::new(warning).color(Color32::LIGHT_RED));
    }
    let [underruns, late, lost] = view.link.misses;
    let latency = match view.latency {
        Some((frames, millis)) => format!("{frames} frames, {millis:.0} ms"),
        None => "not known before the host sets a rate".to_owned(),
    };
    ui.label(format!(
        "{}  |  latency {latency}  |  missed: {underruns} underruns, {late} late, {lost} lost",
        view.model
    ));
}

fn settings_ui(ui: &mut Ui, panel: &mut Panel, view: &View, actions: &mut Vec<Action>) {
    ui.horizontal(|ui| {
        ui.label("Server");
        let mut text = panel.typed_server.clone().unwrap_or_else(|| view.server.clone());
        let field = ui.add(TextEdit::singleline(&mut text).desired_width(180.0).char_limit(255));
        if field.changed() {
            panel.typed_server = Some(text);
        }
        if field.lost_focus()
            && let Some(typed) = panel.typed_server.take()
            && typed.trim() != view.server
        {
            actions.push(Action::Server(typed.trim().to_owned()));
        }
        ui.label("Budget");
        egui::ComboBox::from_id_salt("budget").selected_text(format!("{} ms", view.budget_millis)).show_ui(
            ui,
            |ui| {
                for millis in BUDGETS_MILLIS {
                    let chosen = view.budget_millis == millis;
                    if ui.selectable_label(chosen, format!("{millis} ms")).clicked() && !chosen {
                        actions.push(Action::Budget(millis));
                    }
                }
            },
        );
    });
}

fn strip_ui(ui: &mut Ui, index: usize, strip: &StripView, actions: &mut Vec<Action>) {
    let name = RichText::new(&strip.name);
    ui.label(if strip.present { name.strong() } else { name.weak() });
    let mut gain_db = strip.gain_db.clamp(*FADER_DB.start(), *FADER_DB.end());
    let text =
        |db: f64, _| if db <= f64::from(*FADER_DB.start()) { "-inf".to_owned() } else { format!("{db:.1}") };
    let fader = ui.add(Slider::new(&mut gain_db, FADER_DB).vertical().custom_formatter(text).suffix(" dB"));
    if fader.drag_started() {
        actions.push(Action::Begin(Control::Gain(index)));
    }
    if fader.changed() {
        // Typed or scrolled: a gesture of its own.
        let held = fader.dragged() || fader.drag_stopped();
        if !held {
            actions.push(Action::Begin(Control::Gain(index)));
        }
        actions.push(Action::Set(Control::Gain(index), gain_db));
        if !held {
            actions.push(Action::End(Control::Gain(index)));
        }
    }
    if fader.drag_stopped() {
        actions.push(Action::End(Control::Gain(index)));
    }
    ui.horizontal(|ui| {
        if ui.selectable_label(strip.mute, "M").on_hover_text("Mute").clicked() {
            actions.push(Action::Mute(index, !strip.mute));
        }
        if ui.selectable_label(strip.solo, "S").on_hover_text("Solo").clicked() {
            actions.push(Action::Solo(index, !strip.solo));
        }
    });
}
