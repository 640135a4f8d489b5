//! The page of songs: what to open, by the system's own window, by a path, or from those that were open before. Opens
//! nothing itself.

use egui::{Align2, Rect, Role, Sense, WidgetInfo, vec2};

use crate::kit::{Desk, Press, cut_bottom, cut_left, cut_top, id};
use crate::theme;
use crate::view::{Action, PlayerAction, PlayerView, SongView};

/// Why a file cannot simply be dropped, and what can be done instead.
const DROPS: &str =
    "Files cannot be dropped on this window yet: the library that draws it keeps them to itself.";
const NO_CHOOSER: &str = "This system offers no window to choose a file in (no desktop portal, no zenity): type the \
                          song's path.";
const KEYS: &str = "Keys: Space plays and pauses, arrows skip 5 s (with Shift 1 s), Home is the beginning. A and B set \
                    the loop's ends to what is heard, L loops.";

/// How to open one on the left; on the right the songs that were open.
pub(crate) fn songs_page_ui(desk: &mut Desk<'_>, mut rect: Rect, player: &PlayerView) {
    let gap = desk.px(6.0);
    let most = (rect.width() - gap) * 0.44;
    let left = cut_left(&mut rect, most, gap);
    open_ui(desk, left, player);
    recent_ui(desk, rect, player);
}

fn open_ui(desk: &mut Desk<'_>, rect: Rect, player: &PlayerView) {
    let (_, mut inside) = desk.card(rect, "Open a song");
    let gap = desk.px(6.0);
    let row = desk.px(30.0);
    if player.can_choose {
        let place = cut_top(&mut inside, row, gap);
        let press =
            Press { label: "Choose a file …", says: "Choose a file", bold: true, ..Press::default() };
        if desk.press("choose song", place, &press).clicked() {
            desk.actions.push(Action::Player(PlayerAction::Choose));
        }
    }
    let place = cut_top(&mut inside, row, gap);
    let typed = desk.field("song", place, "Path of a song", "Or type its path, and press Enter", "");
    if let Some(path) = typed.filter(|path| !path.is_empty()) {
        desk.actions.push(Action::Player(PlayerAction::Open(path)));
    }
    if player.song.is_some() {
        let place = cut_bottom(&mut inside, desk.px(26.0), gap);
        let (label, says) = ("Close the song, hear my input", "Close the song");
        if desk.press("close song", place, &Press { label, says, ..Press::default() }).clicked() {
            desk.actions.push(Action::Player(PlayerAction::Close));
        }
    }
    let trouble = player.trouble.as_deref().unwrap_or_default();
    let no_chooser = if player.can_choose { "" } else { NO_CHOOSER };
    let texts =
        [(trouble, theme::AMBER), (no_chooser, theme::TEXT), (DROPS, theme::QUIET), (KEYS, theme::QUIET)];
    desk.whole("songs", inside, &texts, 12.0);
}

fn recent_ui(desk: &mut Desk<'_>, rect: Rect, player: &PlayerView) {
    let (_, mut inside) = desk.card(rect, "On this computer, opened before");
    if player.recent.is_empty() {
        desk.whole("recent", inside, &[("None yet.", theme::QUIET)], 12.5);
        return;
    }
    let gap = desk.px(3.0);
    let height = desk.px(38.0);
    let rows = ((inside.height() + gap) / (height + gap)).floor().max(1.0) as usize;
    for (n, song) in player.recent.iter().take(rows).enumerate() {
        let row = cut_top(&mut inside, height, gap);
        let is_open = player.song.as_ref().is_some_and(|open| open.place == song.place);
        song_ui(desk, row, n, song, is_open);
    }
}

fn song_ui(desk: &mut Desk<'_>, row: Rect, n: usize, song: &SongView, is_open: bool) {
    let response = desk.ui.interact(row, id(("recent", n)), Sense::click());
    // Two copies of a song have one name, and no two have one place.
    let says = format!("Open {}, {}", song.name, song.place);
    response.widget_info(|| WidgetInfo::selected(Role::RadioButton, true, is_open, &says));
    let fill = match (is_open, response.hovered()) {
        (true, _) => theme::PICKED,
        (false, true) => theme::KEY_HOVER,
        (false, false) => theme::KEY,
    };
    desk.fill(row, desk.theme.round(), fill);
    desk.ring(row, &response);
    let mut inside = row.shrink2(vec2(desk.px(8.0), desk.px(3.0)));
    let upper = cut_top(&mut inside, row.height() * 0.5, 0.0);
    desk.line(upper, Align2::LEFT_CENTER, &song.name, desk.theme.bold(12.5), theme::TEXT);
    let quiet = if is_open { theme::TEXT } else { theme::QUIET };
    // The end of a path says more than its beginning.
    let font = desk.theme.regular(10.5);
    let place = shortened(&song.place, inside.width(), |text| {
        desk.ui.painter().layout_no_wrap(text.to_owned(), font.clone(), quiet).size().x
    });
    desk.line(inside, Align2::LEFT_CENTER, &place, font.clone(), quiet);
    if response.on_hover_text(&song.place).clicked() {
        desk.actions.push(Action::Player(PlayerAction::Open(song.place.clone())));
    }
}

/// `text`, without as much of its beginning as is too wide.
fn shortened(text: &str, width: f32, measure: impl Fn(&str) -> f32) -> String {
    if measure(text) <= width {
        return text.to_owned();
    }
    let starts: Vec<usize> = text.char_indices().map(|(at, _)| at).collect();
    let fits = |at: &usize| measure(&format!("…{}", &text[*at..])) > width;
    let first = starts.partition_point(fits);
    starts.get(first).map_or_else(|| "…".to_owned(), |at| format!("…{}", &text[*at..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_too_wide_keeps_its_end() {
        let measure = |text: &str| text.chars().count() as f32;
        assert_eq!(shortened("/music/ä.flac", 20.0, measure), "/music/ä.flac");
        assert_eq!(shortened("/music/ä.flac", 7.0, measure), "…ä.flac");
        assert_eq!(shortened("/music/ä.flac", 0.5, measure), "…");
        assert_eq!(shortened("", 5.0, measure), "");
    }
}
