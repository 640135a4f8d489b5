//! The bar that is why one opens this window: everybody, without my part, only my part.

use egui::{Align2, Rect};

use crate::kit::{Desk, Pick, cut_right};
use crate::theme;
use crate::view::{Action, PartMode};

/// One click each; which part is mine is said by pressing the name of a strip.
pub(crate) fn part_ui(desk: &mut Desk<'_>, mut rect: Rect) {
    let part = &desk.view.part;
    let large = desk.theme.large;
    let name = desk.view.strips.get(part.mine).map_or("my part", |strip| strip.name.as_str());
    if !part.possible {
        let reason = part.why_not.as_deref().unwrap_or("not possible now");
        let width = if large { rect.width() * 0.3 } else { (rect.width() * 0.36).min(desk.px(300.0)) };
        let place = cut_right(&mut rect, width, desk.px(10.0));
        let font = desk.theme.regular(if large { 14.0 } else { 12.0 });
        desk.lines(place, Align2::LEFT_CENTER, reason, font, theme::AMBER, 2);
    }
    let lower = name.to_lowercase();
    let [without, only] = [format!("Without my {lower}"), format!("Only my {lower}")];
    let labels = [("Everybody", "Everybody plays"), (&*without, &*without), (&*only, &*only)];
    let cell = rect.width() / 3.0 - desk.px(14.0);
    let most = if large { 24.0 } else { 14.0 };
    let size = desk.fitting(labels.iter().map(|(label, _)| *label), most, 9.5, cell);
    let picked = match part.mode {
        PartMode::All => 0,
        PartMode::WithoutMine => 1,
        PartMode::OnlyMine => 2,
    };
    let colour = if picked == 0 { theme::PICKED } else { theme::stem(part.mine) };
    if let Some(pressed) = desk.pick(
        "part",
        rect,
        &Pick { labels: &labels, picked: Some(picked), colour, size, possible: part.possible },
    ) {
        desk.actions.push(Action::Part([PartMode::All, PartMode::WithoutMine, PartMode::OnlyMine][pressed]));
    }
}
