//! The window as the host opens, sizes and closes it. It is made anew each time it opens, at the size and scale that
//! the project keeps.

use std::error::Error;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use nice_plug::context::gui::GuiContext;
use nice_plug::editor::dpi::{LogicalSize, NativeSize, Size};
use nice_plug::editor::{HostMethods, ResizeHint, SizeConstraints, SpawnedEditor};
use nice_plug::prelude::ParentWindowHandle;
use nice_plug_egui::baseview::WindowSize;
use nice_plug_egui::{
    EguiEditor, EguiEditorHandle, EguiEditorState, EguiNiceSettings, Frame, NiceEguiApp, RepaintNotifier,
};
use rehearsekit_gui::{Action, Panel, panel_ui};

use super::ToMainThread;
use super::act::Hand;
use super::view::view;
use super::watch::Watch;
use crate::look::Look;
use crate::shared::Shared;

/// The smallest window a host may make, in points at 100 %.
const SMALLEST: LogicalSize<f32> = LogicalSize { width: 480.0, height: 320.0 };

/// How often the window asks nice-plug-egui's notifier whether it should draw. It would ask before X has mapped the
/// window, and baseview then orders the time of its first picture before it listens for the answer: where X is faster,
/// the window stays empty for ever (Ardour). So pictures are asked for through egui, from the first one on, which
/// mapping the window brings.
const NEVER: Duration = Duration::from_secs(24 * 3600);

/// The editor of one instance, open or not.
pub struct Editor {
    shared: Arc<Shared>,
    to_main_thread: Arc<ToMainThread>,
    /// The screen's scale when a window was last open.
    screen_scale: Arc<Mutex<f64>>,
}

impl Editor {
    /// Nothing is opened yet.
    pub fn new(shared: Arc<Shared>, to_main_thread: ToMainThread) -> Self {
        Self { shared, to_main_thread: Arc::new(to_main_thread), screen_scale: Arc::new(Mutex::new(1.0)) }
    }

    fn screen_scale(&self) -> f64 {
        *self.screen_scale.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The whole window in points of the screen: what is shown, times the player's scale.
fn outer(look: Look) -> LogicalSize<f32> {
    let [width, height] = look.size.map(|side| side * look.zoom());
    LogicalSize { width, height }
}

impl nice_plug::prelude::Editor for Editor {
    type Handle = EguiEditorHandle;

    fn spawn(
        &self,
        parent: Option<ParentWindowHandle>,
        wait_for_parent: bool,
        fallback_scale_factor: Option<f64>,
        gui_context: GuiContext,
        host: Option<HostMethods>,
    ) -> Result<SpawnedEditor<Self::Handle>, Box<dyn Error>> {
        if let Some(scale) = fallback_scale_factor {
            *self.screen_scale.lock().unwrap_or_else(PoisonError::into_inner) = scale;
        }
        let look = self.shared.params.look.get();
        let [width, height] = look.size;
        let app = EditorApp {
            hand: Hand::new(Arc::clone(&self.shared), Arc::clone(&self.to_main_thread)),
            shared: Arc::clone(&self.shared),
            panel: Panel::default(),
            watch: None,
            screen_scale: Arc::clone(&self.screen_scale),
        };
        let state = EguiEditorState::from_size(LogicalSize { width, height }, look.zoom());
        let settings = EguiNiceSettings::new().with_tile("RehearseKit").with_resize_hint(self.resize_hint());
        let settings = settings.with_repaint_poll_interval(NEVER);
        let editor = nice_plug_egui::create_egui_editor(state, RepaintNotifier::new(), settings, app);
        let editor: EguiEditor<EditorApp> = editor.ok_or("there is no editor")?;
        editor.spawn(parent, wait_for_parent, fallback_scale_factor, gui_context, host)
    }

    fn size(&self) -> NativeSize<u32> {
        let size: Size = outer(self.shared.params.look.get()).into();
        NativeSize::from_size(size, self.screen_scale())
    }

    fn resize_hint(&self) -> ResizeHint {
        let mut hint = ResizeHint::resizable();
        hint.size_constraints = SizeConstraints::Logical { min_size: Some(SMALLEST), max_size: None };
        hint
    }
}

/// What is in an open window.
struct EditorApp {
    shared: Arc<Shared>,
    hand: Hand,
    panel: Panel,
    watch: Option<Watch>,
    screen_scale: Arc<Mutex<f64>>,
}

impl NiceEguiApp for EditorApp {
    fn ui(&mut self, ui: &mut egui::Ui, _frame: &mut Frame) {
        // Not before the window is there: see `NEVER`.
        self.watch.get_or_insert_with(|| {
            // The window's own thread, which nobody has named: for whoever asks what the window costs.
            #[cfg(target_os = "linux")]
            let _ = rustix::thread::set_name(c"rehearsekit-face");
            Watch::start(Arc::clone(&self.shared), ui.ctx().clone())
        });
        let view = view(&self.shared);
        let actions = panel_ui(ui, &mut self.panel, &view);
        let acted = !actions.is_empty();
        for action in actions {
            match action {
                Action::CopyFindings => ui.ctx().copy_text(self.shared.instance.checkup_report()),
                action => self.hand.act(action),
            }
        }
        let zoom = self.shared.params.look.get().zoom();
        if ui.ctx().zoom_factor() != zoom {
            ui.ctx().set_zoom_factor(zoom);
        }
        if acted {
            ui.ctx().request_repaint();
        } else if let Some(soon) = self.panel.next_picture() {
            ui.ctx().request_repaint_after(soon);
        }
    }

    fn resized(&mut self, new_size: WindowSize) {
        *self.screen_scale.lock().unwrap_or_else(PoisonError::into_inner) = new_size.scale_factor;
        self.shared.params.look.change(|look| {
            let zoom = f64::from(look.zoom());
            look.size = [new_size.logical.width, new_size.logical.height].map(|side| (side / zoom) as f32);
        });
    }

    fn editor_closed(&mut self) {
        self.watch = None;
        // A host must not wait for the end of a gesture whose window is gone.
        for action in self.panel.close() {
            self.hand.act(action);
        }
        self.panel = Panel::default();
    }
}
