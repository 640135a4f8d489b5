//! Wakes the window when there is something new to show, so that it draws nothing while nothing moves. A look at the
//! instance costs microseconds; a picture costs milliseconds.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use rehearsekit_plugin_engine::{Levels, Meters};

use super::view::view_without_levels;
use crate::shared::Shared;

/// Between two looks: as often as a meter needs to move to look alive.
const LOOK_EVERY: Duration = Duration::from_millis(33);
/// Of that many looks one is at everything; the others are at the levels alone.
const THOROUGH_EVERY: u32 = 3;
/// Peaks below this are nothing to see: −72 dB.
const VISIBLE: f32 = 0.000_25;

/// Watches while it lives.
pub(super) struct Watch {
    over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Watch {
    pub(super) fn start(shared: Arc<Shared>, window: egui::Context) -> Self {
        let over = Arc::new(AtomicBool::new(false));
        let told = Arc::clone(&over);
        let look = move || {
            let mut before = view_without_levels(&shared);
            let mut looks = 0_u32;
            while !told.load(Ordering::Acquire) {
                std::thread::park_timeout(LOOK_EVERY);
                looks = looks.wrapping_add(1);
                if is_loud(shared.instance.meters()) {
                    window.request_repaint();
                }
                if looks.is_multiple_of(THOROUGH_EVERY) {
                    let now = view_without_levels(&shared);
                    if now != before {
                        window.request_repaint();
                        before = now;
                    }
                }
            }
        };
        // Without it the window still follows the mouse.
        let thread = std::thread::Builder::new().name("rehearsekit-watch".to_owned()).spawn(look).ok();
        Self { over, thread }
    }
}

fn is_loud(meters: &Meters) -> bool {
    let Levels { input: _, main, strips, click } = meters.peek();
    main.into_iter().chain(click).chain(strips.into_iter().flatten()).any(|peak| peak > VISIBLE)
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Release);
        if let Some(thread) = self.thread.take() {
            thread.thread().unpark();
            // It waits for nobody, so this is over in microseconds; and no thread of ours may outlive the library.
            let _ = thread.join();
        }
    }
}
