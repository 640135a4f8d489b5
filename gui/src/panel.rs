//! The panel: where everything stands, and what is kept between two pictures. It draws a [`View`] and reports
//! [`Action`]s; it decides nothing.

use std::time::Duration;

use egui::{Event, Id, Key, Rect, Sense, Ui, vec2};

use crate::ballistics::Meter;
use crate::grip::Held;
use crate::kit::{Desk, cut_bottom, cut_right, cut_top};
use crate::player::Drawn;
use crate::taps::Taps;
use crate::theme::{self, Theme};
use crate::view::{Action, Control, LinkState, PairingView, PlayerAction, View};
use crate::{badge, click, health, link_page, part, player, songs, strip};

/// Strips have the meters below.
pub(crate) const STRIPS: usize = 6;
/// The main strip's meter.
pub(crate) const MASTER: usize = STRIPS;
/// The click's meter.
pub(crate) const CLICK: usize = STRIPS + 1;

/// What the panel keeps between two pictures.
#[derive(Debug, Default)]
pub struct Panel {
    /// The field that is being typed into, and what it holds before it is done.
    pub(crate) typing: Option<(Id, String)>,
    /// The control whose value is being typed, and whether its field has the keyboard already.
    pub(crate) editing: Option<(Control, bool)>,
    /// What the pointer holds.
    pub(crate) held: Option<Held>,
    /// Whether the keyboard was used last: then it is shown where it is.
    pub(crate) by_keyboard: bool,
    /// Whether the keyboard was moved by Tab since the pointer was used last.
    pub(crate) walks: bool,
    /// What the pointer draws in the song.
    pub(crate) drawn: Option<Drawn>,
    pub(crate) meters: [Meter; STRIPS + 2],
    pub(crate) taps: Taps,
    pub(crate) page: Page,
    /// Which page of servers the player turned to; `None` is the one with the picked server on it.
    pub(crate) servers_page: Option<usize>,
    /// Which page of findings is shown, and whether they were copied since the player turned to them.
    pub(crate) findings_page: usize,
    pub(crate) copied: bool,
    /// The server that is asked about once more before it is forgotten.
    pub(crate) forgetting: Option<String>,
    /// What was typed of a server's code; `None` while none is asked for.
    pub(crate) code: Option<String>,
    /// Whether the page showed pairing in the last picture.
    pub(crate) pairing: bool,
    /// How soon another picture is wanted.
    pub(crate) next: Option<Duration>,
}

/// What fills the window's middle.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Page {
    #[default]
    Mixer,
    Click,
    Songs,
    Server,
    Latency,
    Checkup,
}

impl Page {
    pub(crate) fn toggled(self, page: Self) -> Self {
        if self == page { Self::Mixer } else { page }
    }

    /// Whether it is one of those behind the badge.
    pub(crate) fn is_set_up(self) -> bool {
        matches!(self, Self::Server | Self::Latency | Self::Checkup)
    }
}

impl Panel {
    /// Shows a page, as it looks when nothing was done there yet.
    pub(crate) fn turn_to(&mut self, page: Page) {
        (self.page, self.servers_page, self.forgetting) = (page, None, None);
        (self.code, self.pairing) = (None, false);
        (self.findings_page, self.copied) = (0, false);
    }

    /// To the pages behind the badge, or back: to latency where stems come or another latency is offered, and to the
    /// server where there is none to speak with.
    pub(crate) fn set_up(&mut self, view: &View) {
        let link = &view.link;
        let offered = link.suggestion_millis.or(link.recommended_millis).is_some();
        let playing = matches!(
            link.state,
            LinkState::Live | LinkState::Bridging | LinkState::OfflineRender | LinkState::HostRendersAhead
        );
        let page = match (self.page.is_set_up(), view.pairing == PairingView::None, offered || playing) {
            (true, _, _) => Page::Mixer,
            (false, true, true) => Page::Latency,
            (false, _, _) => Page::Server,
        };
        self.turn_to(page);
    }

    /// How soon the panel wants the next picture by itself; `None` when nothing moves. It never asks egui for one.
    pub fn next_picture(&self) -> Option<Duration> {
        self.next
    }

    /// The window is closing: lets go of what is held. The last actions.
    pub fn close(&mut self) -> Vec<Action> {
        let held = self.held.take();
        *self = Self::default();
        held.into_iter().map(|held| Action::End(held.control)).collect()
    }
}

/// Draws one picture into all of `ui` and returns what the player did in it, in order.
pub fn panel_ui(ui: &mut Ui, panel: &mut Panel, view: &View) -> Vec<Action> {
    if !theme::dressed(ui.ctx()) {
        panel.next = Some(Duration::ZERO);
        return Vec::new();
    }
    let all = ui.max_rect();
    ui.allocate_rect(all, Sense::hover());
    listen(ui, panel, view);
    let theme = Theme::new(view.look, all.size());
    let mut desk = Desk { ui, theme, panel, view, actions: Vec::new() };
    desk.fill(all, 0, theme::GROUND);
    leave(&mut desk);
    dropped_files(&mut desk);
    place_ui(&mut desk, all.shrink(theme.either(6.0, 8.0)));
    let mut actions = desk.actions;
    // What was held may have gone with its strip.
    if let Some(held) = panel.held.take_if(|held| !std::mem::take(&mut held.seen)) {
        actions.push(Action::End(held.control));
    }
    actions
}

/// Moves the meters and sees which hand is used.
fn listen(ui: &Ui, panel: &mut Panel, view: &View) {
    let now = ui.input(|i| i.time);
    let strips = view.strips.iter().map(|strip| strip.peak).chain(std::iter::repeat([0.0; 2])).take(STRIPS);
    let peaks = strips.chain([view.master.peak, view.click.peak]);
    panel.next = panel.meters.iter_mut().zip(peaks).filter_map(|(meter, peak)| meter.take(now, peak)).min();
    ui.input(|i| {
        for event in &i.events {
            match event {
                Event::PointerButton { .. } => (panel.by_keyboard, panel.walks) = (false, false),
                Event::Key { key, pressed: true, .. } => {
                    panel.by_keyboard = true;
                    panel.walks |= *key == Key::Tab;
                }
                _ => {}
            }
        }
    });
}

/// Escape, where it is not a field's: away from the code, then from the page.
fn leave(desk: &mut Desk<'_>) {
    let typing = desk.panel.typing.is_some() || desk.panel.editing.is_some();
    if typing || !desk.ui.input(|i| i.key_pressed(Key::Escape)) {
        return;
    }
    if desk.panel.page == Page::Server && desk.view.pairing.is_open() {
        desk.actions.push(Action::CancelPairing);
    } else if desk.panel.forgetting.take().is_none() && desk.ui.memory(|memory| memory.focused()).is_none() {
        desk.panel.turn_to(Page::Mixer);
    }
}

fn dropped_files(desk: &mut Desk<'_>) {
    let paths = desk.ui.input(|i| {
        i.raw.dropped_files.iter().map(|file| file.path().display().to_string()).collect::<Vec<_>>()
    });
    // A song where there is a player, else something to click with.
    let dropped = |path| match desk.view.player {
        Some(_) => Action::Player(PlayerAction::Open(path)),
        None => Action::OwnWav(path),
    };
    desk.actions.extend(paths.into_iter().filter(|path| !path.is_empty()).map(dropped));
}

fn place_ui(desk: &mut Desk<'_>, mut rect: Rect) {
    let gap = desk.theme.either(5.0, 6.0);
    let large = desk.theme.large;
    let head = cut_top(&mut rect, if large { desk.px(70.0) } else { desk.theme.either(56.0, 62.0) }, gap);
    badge::head_ui(desk, head);
    let view = desk.view;
    if let Some(player) = &view.player {
        player::keys(desk, player);
        if !desk.panel.page.is_set_up() {
            let row =
                cut_top(&mut rect, if large { desk.px(46.0) } else { desk.theme.either(30.0, 36.0) }, gap);
            player::player_ui(desk, row, player);
        }
        if desk.panel.page == Page::Songs {
            let theme = desk.theme;
            desk.theme = theme.small(view.look);
            songs::songs_page_ui(desk, rect, player);
            desk.theme = theme;
            return;
        }
    }
    if desk.panel.page.is_set_up() {
        let theme = desk.theme;
        desk.theme = theme.small(desk.view.look);
        link_page::link_page_ui(desk, rect);
        desk.theme = theme;
        return;
    }
    let bar = cut_top(&mut rect, if large { desk.px(42.0) } else { desk.theme.either(30.0, 36.0) }, gap);
    part::part_ui(desk, bar);
    if !large {
        let foot = cut_bottom(&mut rect, desk.px(16.0), desk.theme.either(3.0, 6.0));
        health::health_ui(desk, foot.shrink2(vec2(desk.px(2.0), 0.0)));
    }
    let column = !large && rect.width() >= desk.px(740.0) && rect.height() >= desk.px(380.0);
    if column {
        desk.panel.page = Page::Mixer;
        let width = (rect.width() * 0.3).clamp(desk.px(276.0), desk.px(340.0));
        let side = cut_right(&mut rect, width, gap);
        strip::mixer_ui(desk, rect);
        click::click_ui(desk, side);
        return;
    }
    let foot = cut_bottom(&mut rect, if large { desk.px(42.0) } else { desk.theme.either(32.0, 38.0) }, gap);
    if desk.panel.page == Page::Click && !large {
        click::click_ui(desk, rect);
    } else {
        strip::mixer_ui(desk, rect);
    }
    click::click_bar_ui(desk, foot);
}
