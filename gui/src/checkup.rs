//! The page "Check my set-up": what the owner has found out, in the owner's order, a sentence each with a mark, and a key
//! that asks for all of it as text. Judges nothing.

use egui::{Align2, Color32, Rect, Role, Sense, WidgetInfo};

use crate::kit::{Desk, LEAST_TYPE, Press, cut_left, cut_right, cut_top, id};
use crate::marks::{Mark, mark_ui};
use crate::servers::turn_ui;
use crate::theme;
use crate::view::{Action, FindingView, Verdict};

/// The largest type of a sentence.
const TYPE: f32 = 12.0;

/// All findings, as many at a time as have room.
pub(crate) fn checkup_page_ui(desk: &mut Desk<'_>, rect: Rect) {
    let (mut title, mut inside) = desk.card(rect, "Check my set-up");
    copy_ui(desk, &mut title);
    let findings = &desk.view.findings;
    let gap = desk.px(4.0);
    let sentence = {
        let mut row = inside;
        columns(desk, &mut row);
        row.width()
    };
    let texts: Vec<String> = findings.iter().map(text).collect();
    let heights = |size: f32| -> Vec<f32> {
        let height = |text: &String| desk.height_of(&[(text, theme::TEXT)], size, sentence) + gap;
        texts.iter().map(height).collect()
    };
    // In smaller type where one alone has no room.
    let mut size = TYPE;
    while size > LEAST_TYPE && heights(size).iter().any(|height| *height > inside.height()) {
        size -= 0.5;
    }
    let heights = heights(size);
    let pages = pages(&heights, inside.height());
    let page = desk.panel.findings_page.min(pages.len().saturating_sub(1));
    let shown = pages.get(page).cloned().unwrap_or_default();
    if pages.len() > 1 {
        let words = format!("{}–{} of {}", shown.start + 1, shown.end, findings.len());
        let names = ["Findings before these", "More findings"];
        if let Some(turned) = turn_ui(desk, &mut title, names, &words, page, pages.len() - 1) {
            desk.panel.findings_page = turned;
        }
    }
    desk.line(title, Align2::LEFT_CENTER, &summary(findings), desk.theme.regular(11.0), theme::QUIET);
    for n in shown {
        let row = cut_top(&mut inside, heights[n], 0.0);
        finding_ui(desk, row.with_max_y(row.bottom() - gap), n, &texts[n], size);
    }
}

fn copy_ui(desk: &mut Desk<'_>, title: &mut Rect) {
    let place = cut_right(title, desk.px(92.0), desk.px(8.0));
    let label = if desk.panel.copied { "Copied" } else { "Copy as text" };
    let says = format!("{label}, for a bug report");
    let hint = "All of it as text for a bug report, without keys, tokens and names of this computer's";
    let enabled = !desk.view.findings.is_empty();
    let press = Press { label, says: &says, hint, size: 12.0, enabled, ..Press::default() };
    if desk.press("copy findings", place, &press).clicked() {
        desk.panel.copied = true;
        desk.actions.push(Action::CopyFindings);
    }
}

/// A row's mark and its word, cut off its left.
fn columns(desk: &Desk<'_>, row: &mut Rect) -> [Rect; 2] {
    [cut_left(row, desk.px(16.0), desk.px(6.0)), cut_left(row, desk.px(56.0), desk.px(8.0))]
}

fn finding_ui(desk: &mut Desk<'_>, row: Rect, n: usize, text: &str, size: f32) {
    let finding = &desk.view.findings[n];
    let (word, mark, colour) = shown(finding.verdict);
    let says = format!("{word}, {}: {text}", finding.check.to_lowercase());
    let response = desk.ui.interact(row, id(("finding", n)), Sense::hover());
    response.widget_info(|| WidgetInfo::labeled(Role::Label, true, &says));
    let mut sentence = row;
    let [place, check] = columns(desk, &mut sentence);
    let line = desk.height_of(&[("A", theme::TEXT)], size, sentence.width());
    mark_ui(desk, place.with_max_y(place.top() + line), mark, colour);
    let check = check.with_max_y(check.top() + line);
    desk.line(check, Align2::LEFT_CENTER, &finding.check, desk.theme.bold(size), colour);
    let ink = if finding.verdict == Verdict::Good { theme::QUIET } else { theme::TEXT };
    desk.lines(sentence, Align2::LEFT_TOP, text, desk.theme.regular(size), ink, usize::MAX);
}

/// In words, as a shape, as a colour.
fn shown(verdict: Verdict) -> (&'static str, Mark, Color32) {
    match verdict {
        Verdict::Good => ("Good", Mark::Tick, theme::MOSS),
        Verdict::Warning => ("Warning", Mark::Mind, theme::AMBER),
        Verdict::Failed => ("Failed", Mark::Cross, theme::BRICK),
    }
}

fn text(finding: &FindingView) -> String {
    match finding.name.as_str() {
        "" => finding.sentence.clone(),
        name => format!("{} [{name}]", finding.sentence),
    }
}

/// "1 failed, 2 warnings, 9 good".
fn summary(findings: &[FindingView]) -> String {
    let count = |verdict| findings.iter().filter(|finding| finding.verdict == verdict).count();
    let warnings = count(Verdict::Warning);
    let parts = [
        (count(Verdict::Failed), "failed"),
        (warnings, if warnings == 1 { "warning" } else { "warnings" }),
        (count(Verdict::Good), "good"),
    ];
    let parts = parts.into_iter().filter(|(count, _)| *count > 0);
    parts.map(|(count, word)| format!("{count} {word}")).collect::<Vec<_>>().join(", ")
}

/// Which findings share a page: as many as have room, and one at least.
fn pages(heights: &[f32], room: f32) -> Vec<std::ops::Range<usize>> {
    let mut pages = Vec::new();
    let (mut start, mut used) = (0, 0.0);
    for (n, height) in heights.iter().enumerate() {
        if n > start && used + height > room + 0.5 {
            pages.push(start..n);
            (start, used) = (n, 0.0);
        }
        used += height;
    }
    if start < heights.len() {
        pages.push(start..heights.len());
    }
    pages
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_finding_is_on_one_page() {
        assert!(pages(&[], 100.0).is_empty());
        assert_eq!(pages(&[40.0, 60.0, 10.0, 200.0, 5.0], 100.0), [0..2, 2..3, 3..4, 4..5]);
    }
}
