//! From what the player did to parameters and settings, and to the host that must hear of it.

use std::path::PathBuf;
use std::sync::Arc;

use nice_plug::prelude::Param;
use rehearsekit_gui as gui;
use rehearsekit_gui::Action;
use rehearsekit_plugin_engine::{Control, STRIPS};

use super::ToMainThread;
use crate::click_params::{MOST_BEATS, MOST_COUNTED, Sound};
use crate::params::GAIN_FOOT_DB;
use crate::shared::{News, Shared};

/// The player's hand on one instance.
pub(super) struct Hand {
    shared: Arc<Shared>,
    to_main_thread: Arc<ToMainThread>,
}

impl Hand {
    pub(super) fn new(shared: Arc<Shared>, to_main_thread: Arc<ToMainThread>) -> Self {
        Self { shared, to_main_thread }
    }

    pub(super) fn act(&self, action: Action) {
        match action {
            Action::Begin(control) => {
                self.with(control, |hand, control| hand.tell(News::Begin(control.index())))
            }
            Action::End(control) => self.with(control, |hand, control| hand.tell(News::End(control.index()))),
            Action::Set(control, value) => self.set(control, value),
            Action::Mute(strip, on) => self.press(Control::mute(strip), on),
            Action::Solo(strip, on) => self.press(Control::solo(strip), on),
            Action::SoloOnly(only) => (0..STRIPS).for_each(|strip| {
                let now = self.shared.params.strips()[strip].solo.value();
                if now != (strip == only) {
                    self.press(Control::solo(strip), strip == only);
                }
            }),
            Action::Bypass(on) => self.press(Control::BYPASS, on),
            Action::Mine(strip) => self.pick(Control::MINE, choice(strip, STRIPS)),
            Action::Part(mode) => self.pick(Control::PART, choice(mode as usize, 3)),
            Action::Budget(millis) => self.settings(|settings| settings.budget_millis = f64::from(millis)),
            Action::Server(typed) => {
                let typed = self.shared.instance.typing(some(typed));
                self.settings(|settings| *settings = typed);
            }
            Action::PickServer(id) => {
                let picked = self.shared.instance.picking(&id);
                self.settings(|settings| *settings = picked);
            }
            Action::Pair { code } => self.shared.instance.pair(&code),
            Action::CancelPairing => self.shared.instance.cancel_pairing(),
            Action::Forget(id) => self.shared.instance.forget(&id),
            Action::Player(action) => {
                if let Some(player) = self.shared.player() {
                    player.act(action, self.shared.instance.view().click.own_seconds);
                }
            }
            // The clipboard is the window's.
            Action::CopyFindings => {}
            Action::Model(typed) => self.settings(|settings| settings.model = some(typed)),
            Action::LargeType(on) => self.shared.params.look.change(|look| look.large_type = on),
            Action::Scale(percent) => self.shared.params.look.change(|look| look.scale_percent = percent),
            Action::ClickMode(mode) => self.pick(Control::CLICK_MODE, choice(mode as usize, 3)),
            Action::ClickSound(sound) => self.pick(Control::CLICK_SOUND, choice(sound, 4)),
            Action::ClickSubdivision(division) => {
                self.pick(Control::CLICK_SUBDIVISION, choice(division as usize, 4));
            }
            Action::ClickAccent(on) => self.press(Control::CLICK_ACCENT, on),
            Action::ClickInMain(on) => self.press(Control::CLICK_IN_MAIN, on),
            Action::TempoSource(source) => self.pick(Control::CLICK_SOURCE, choice(source as usize, 2)),
            Action::OwnTempo(bpm) => {
                self.pick(Control::OWN_TEMPO, self.shared.params.click.tempo.preview_normalized(bpm));
            }
            Action::BeatsPerBar(beats) => {
                let beats = i32::try_from(beats).unwrap_or(MOST_BEATS).clamp(1, MOST_BEATS);
                self.pick(
                    Control::BEATS_PER_BAR,
                    self.shared.params.click.beats_per_bar.preview_normalized(beats),
                );
            }
            Action::One => {
                let now = self.shared.instance.view().click.own_seconds;
                self.settings(|settings| settings.own_one_seconds = now);
            }
            Action::OwnWav(path) => {
                self.settings(|settings| settings.click_file = some(path).map(PathBuf::from));
                self.pick(Control::CLICK_SOUND, choice(Sound::Own as usize, 4));
            }
            Action::CountInBars(bars) => {
                self.settings(|settings| settings.count_in_bars = bars.min(MOST_COUNTED))
            }
        }
    }

    /// Does something with the control of the engine that the panel means; nothing if there is none.
    fn with(&self, control: gui::Control, work: impl FnOnce(&Self, Control)) {
        let control = match control {
            gui::Control::Gain(strip) if strip < STRIPS => Control::gain(strip),
            gui::Control::Pan(strip) if strip < STRIPS => Control::pan(strip),
            gui::Control::MasterGain => Control::MASTER,
            gui::Control::Wet => Control::WETNESS,
            gui::Control::ClickLevel => Control::CLICK_LEVEL,
            gui::Control::ClickPan => Control::CLICK_PAN,
            gui::Control::Gain(_) | gui::Control::Pan(_) => return,
        };
        work(self, control);
    }

    fn set(&self, control: gui::Control, value: f32) {
        let params = &self.shared.params;
        let strips = params.strips();
        let normalized = match control {
            gui::Control::Gain(strip) => {
                strips.get(strip).map(|strip| strip.gain.preview_normalized(value.max(GAIN_FOOT_DB)))
            }
            gui::Control::Pan(strip) => strips.get(strip).map(|strip| strip.pan.preview_normalized(value)),
            gui::Control::MasterGain => {
                Some(params.output.master.preview_normalized(value.max(GAIN_FOOT_DB)))
            }
            gui::Control::Wet => Some(value),
            gui::Control::ClickLevel => Some(params.click.level.preview_normalized(value.max(GAIN_FOOT_DB))),
            gui::Control::ClickPan => Some(params.click.pan.preview_normalized(value)),
        };
        if let Some(normalized) = normalized {
            self.with(control, |hand, control| hand.move_to(control, normalized));
        }
    }

    fn press(&self, control: Control, on: bool) {
        self.pick(control, f32::from(u8::from(on)));
    }

    /// A whole gesture: taken hold of, moved, let go.
    fn pick(&self, control: Control, normalized: f32) {
        self.tell(News::Begin(control.index()));
        self.move_to(control, normalized);
        self.tell(News::End(control.index()));
    }

    /// Moves a parameter by hand: it is set, the engine follows at once, the host is told.
    fn move_to(&self, control: Control, normalized: f32) {
        let index = control.index();
        if let Some(normalized) = crate::host_compat::events::set_by_hand(&self.shared, index, normalized) {
            self.tell(News::Value(index, normalized));
        }
    }

    fn settings(&self, change: impl FnOnce(&mut rehearsekit_plugin_engine::Settings)) {
        self.shared.change_settings(change);
        self.tell(News::Settings);
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

/// Choice number `index` of `count` as a parameter has it; the panel's lists are in the parameters' order.
fn choice(index: usize, count: usize) -> f32 {
    index.min(count - 1) as f32 / (count - 1) as f32
}

/// What was typed, if anything was.
fn some(typed: String) -> Option<String> {
    let typed = typed.trim();
    (!typed.is_empty()).then(|| typed.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use rehearsekit_plugin_engine::{PartMode, click};

    fn hand() -> Hand {
        Hand::new(Arc::new(Shared::default()), Arc::new(Box::new(|_| {})))
    }

    #[test]
    fn what_the_player_does_arrives_in_the_mixer() {
        let hand = hand();
        let mixer = || hand.shared.params.mixer();
        for (control, value) in [
            (gui::Control::Gain(1), -6.0),
            (gui::Control::Pan(2), -0.5),
            (gui::Control::MasterGain, 3.0),
            (gui::Control::Wet, 0.25),
        ] {
            hand.act(Action::Begin(control));
            hand.act(Action::Set(control, value));
            hand.act(Action::End(control));
        }
        hand.act(Action::Mute(5, true));
        hand.act(Action::Solo(0, true));
        hand.act(Action::SoloOnly(3));
        hand.act(Action::Bypass(true));
        let now = mixer();
        assert!((now.strips[1].gain_db + 6.0).abs() < 1e-4 && now.strips[2].pan == -0.5);
        assert!((now.master_db - 3.0).abs() < 1e-4 && now.wetness == 0.25 && now.bypassed);
        assert!(now.strips[5].muted);
        assert_eq!(now.strips.map(|strip| strip.soloed), [false, false, false, true, false, false]);
        for mine in 0..STRIPS {
            hand.act(Action::Mine(mine));
            assert_eq!(mixer().mine, mine);
        }
        for (mode, part) in [
            (gui::PartMode::WithoutMine, PartMode::WithoutMine),
            (gui::PartMode::OnlyMine, PartMode::OnlyMine),
            (gui::PartMode::All, PartMode::All),
        ] {
            hand.act(Action::Part(mode));
            assert_eq!(mixer().part, part);
        }
        hand.act(Action::Set(gui::Control::Gain(0), f32::NEG_INFINITY));
        assert_eq!(mixer().strips[0].gain_db, f32::NEG_INFINITY);
        hand.act(Action::Set(gui::Control::Gain(99), 0.0));
        hand.act(Action::Budget(93));
        hand.act(Action::Server(" closet:7433 ".to_owned()));
        hand.act(Action::Model(String::new()));
        let settings = hand.shared.instance.settings();
        assert_eq!((settings.budget_millis, settings.server.as_deref()), (93.0, Some("closet:7433")));
        assert_eq!(settings.model, None);
        hand.act(Action::ClickMode(gui::ClickMode::CountIn));
        hand.act(Action::ClickSubdivision(gui::Subdivision::Sixteenths));
        hand.act(Action::TempoSource(gui::TempoSource::Own));
        hand.act(Action::OwnTempo(93.5));
        hand.act(Action::BeatsPerBar(7));
        hand.act(Action::ClickAccent(false));
        hand.act(Action::ClickInMain(false));
        hand.act(Action::Set(gui::Control::ClickLevel, -12.0));
        hand.act(Action::OwnWav("nowhere/cow bell.wav".to_owned()));
        let click = mixer().click;
        assert_eq!(
            (click.mode, click.subdivision),
            (click::ClickMode::CountIn, click::Subdivision::Sixteenths)
        );
        assert_eq!((click.source, click.own_beats_per_bar, click.sound), (click::ClickSource::Own, 7, 3));
        assert!((click.own_tempo_bpm - 93.5).abs() < 1e-4 && (click.level_db + 12.0).abs() < 1e-4);
        assert!(!click.accent && !mixer().click_in_main);
        let shown = super::super::view::view(&hand.shared).click;
        assert_eq!((shown.mode, shown.beats_per_bar), (gui::ClickMode::CountIn, 7));
        assert_eq!(shown.sounds.last().map(String::as_str), Some("cow bell.wav"));
        assert!(shown.own_wav.is_some_and(|problem| problem.contains("cow bell.wav")), "it is not there");
        hand.act(Action::LargeType(true));
        hand.act(Action::Scale(150));
        assert_eq!(hand.shared.params.look.get().scale_percent, 150);
    }
}
