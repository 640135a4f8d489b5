//! The editor: turns what the engine's view says into the panel's words, and what the player does into parameters
//! and settings. Runs on whatever thread the window has; never waits for audio or network.

use std::sync::Arc;

use nice_plug::prelude::Param;
use nice_plug_egui::baseview::dpi::LogicalSize;
use nice_plug_egui::{EguiEditor, EguiEditorState, EguiNiceSettings, Frame, NiceEguiApp, RepaintNotifier};
use rehearsekit_gui::{Action, LinkView, Panel, StripView, View, panel_ui};
use rehearsekit_plugin_engine::{Control, LinkView as Link};

use crate::params::{GAIN_FOOT_DB, STRIP_COUNT};
use crate::shared::{News, Shared};

/// The window in logical pixels.
const SIZE: LogicalSize<f32> = LogicalSize { width: 660.0, height: 400.0 };

/// Between two pictures when nobody moves anything.
const PICTURES_EVERY: std::time::Duration = std::time::Duration::from_millis(40);

/// What the strips are called in the window.
const STRIP_TITLES: [&str; STRIP_COUNT] = ["Vocals", "Drums", "Bass", "Guitar", "Piano", "Other"];

fn gain(strip: usize) -> usize {
    Control::gain(strip).index()
}

/// Hands news to the host's main thread.
type ToMainThread = Box<dyn Fn(News) + Send + Sync>;

/// The window's content.
pub struct EditorApp {
    shared: Arc<Shared>,
    to_main_thread: ToMainThread,
    panel: Panel,
}

impl EditorApp {
    /// An editor for one instance; nothing is opened yet.
    pub fn editor(shared: Arc<Shared>, to_main_thread: ToMainThread) -> Option<EguiEditor<Self>> {
        let app = Self { shared, to_main_thread, panel: Panel::default() };
        nice_plug_egui::create_egui_editor(
            EguiEditorState::from_size(SIZE, 1.0),
            RepaintNotifier::new(),
            EguiNiceSettings::new().with_tile("RehearseKit"),
            app,
        )
    }

    fn view(&self) -> View {
        let engine = self.shared.instance.view();
        let settings = self.shared.instance.settings();
        let strips = self.shared.params.strips();
        let present = engine.strips;
        let warning = engine.error.clone().or_else(|| {
            engine.bursting.then(|| {
                "This host renders ahead: switch that off for this track (Reaper: anticipative FX; Cubase: ASIO-Guard)."
                    .to_owned()
            })
        });
        let counters = engine.counters;
        let rate_hz = engine.rate_hz;
        let millis = engine.latency_frames as f32 / rate_hz.max(1) as f32 * 1e3;
        View {
            link: LinkView {
                live: engine.link == Link::Live,
                sentence: match engine.smallest_budget_millis {
                    Some(least) => format!("{} It could hold {:.0} ms.", engine.sentence, least.ceil()),
                    None => engine.sentence,
                },
                misses: [counters.underruns, counters.late, counters.lost],
                warning,
            },
            server: settings.server().to_owned(),
            model: engine.model.or(settings.model.clone()).unwrap_or_else(|| "the server's model".to_owned()),
            budget_millis: settings.budget().duration().as_millis() as u32,
            latency: (rate_hz > 0).then_some((engine.latency_frames, millis)),
            bypass: self.shared.params.bypass.value(),
            strips: std::array::from_fn::<_, STRIP_COUNT, _>(|strip| StripView {
                name: STRIP_TITLES[strip],
                present: present[strip],
                gain_db: strips[strip].gain.value(),
                mute: strips[strip].mute.value(),
                solo: strips[strip].solo.value(),
            })
            .into(),
        }
    }

    fn act(&self, action: Action) {
        let strips = self.shared.params.strips();
        match action {
            Action::GainBegin(strip) => self.tell(News::Begin(gain(strip))),
            Action::GainEnd(strip) => self.tell(News::End(gain(strip))),
            Action::Gain(strip, db) => {
                if let Some(params) = strips.get(strip) {
                    self.move_to(gain(strip), params.gain.preview_normalized(db.max(GAIN_FOOT_DB)));
                }
            }
            Action::Mute(strip, on) => self.press(gain(strip) + 1, on),
            Action::Solo(strip, on) => self.press(gain(strip) + 2, on),
            Action::Bypass(on) => self.press(0, on),
            Action::Budget(millis) => {
                self.shared.change_settings(|settings| settings.budget_millis = f64::from(millis));
                self.tell(News::Settings);
            }
            Action::Server(typed) => {
                self.shared
                    .change_settings(|settings| settings.server = Some(typed).filter(|t| !t.is_empty()));
                self.tell(News::Settings);
            }
        }
    }

    fn press(&self, index: usize, on: bool) {
        self.tell(News::Begin(index));
        self.move_to(index, f32::from(u8::from(on)));
        self.tell(News::End(index));
    }

    /// Moves a parameter by hand: it is set, the engine follows at once, the host is told.
    fn move_to(&self, index: usize, normalized: f32) {
        crate::host_compat::events::set_by_hand(&self.shared, index, normalized);
        self.tell(News::Value(index, normalized));
    }

    fn tell(&self, news: News) {
        match self.shared.host() {
            Some(host) if host.is_told_from_any_thread(news) => host.tell(&self.shared, news),
            Some(_) => (self.to_main_thread)(news),
            // The standalone: there is no host, and the latency concerns nobody else.
            None if news == News::Settings => self.shared.adopt_latency(),
            None => {}
        }
    }
}

impl NiceEguiApp for EditorApp {
    fn ui(&mut self, ui: &mut egui::Ui, _frame: &mut Frame) {
        let view = self.view();
        let actions = egui::CentralPanel::default().show(ui, |ui| panel_ui(ui, &mut self.panel, &view)).inner;
        for action in actions {
            self.act(action);
        }
        ui.ctx().request_repaint_after(PICTURES_EVERY);
    }

    fn editor_closed(&mut self) {
        self.panel = Panel::default();
    }
}
