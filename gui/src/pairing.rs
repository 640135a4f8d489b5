//! The code that a server shows, typed or pressed. Sends eight digits and nothing else, once; whether they are right
//! is the owner's to say.

use std::time::Duration;

use egui::text::{LayoutJob, TextFormat};
use egui::text_selection::CCursorRange;
use egui::{Align2, Frame, Id, Key, Rect, Role, Sense, StrokeKind, TextEdit, WidgetInfo, vec2};

use crate::kit::{Desk, Press, columns, cut_right, cut_top, id};
use crate::theme;
use crate::view::{Action, PairingView};

/// Digits of a code.
const DIGITS: usize = 8;
/// Characters of a server's name that are shown within a sentence.
const LONGEST_NAME: usize = 40;

/// Asks for the code of the server that was picked, in place of the list. `panel.code` is what was typed so far.
pub(crate) fn pairing_ui(desk: &mut Desk<'_>, rect: Rect) {
    let (server, tries_left, problem) = match &desk.view.pairing {
        PairingView::AskCode { server, tries_left, problem } => (server, *tries_left, problem.as_deref()),
        PairingView::Busy { server } => (server, None, None),
        PairingView::None | PairingView::Done { .. } => return,
    };
    let busy = matches!(desk.view.pairing, PairingView::Busy { .. });
    let (_, mut inside) = desk.card(rect, &format!("Pair with {server}"));
    how_ui(desk, &mut inside, server);
    let gap = desk.px(6.0);
    let mut row = cut_top(&mut inside, desk.px(34.0), gap);
    let cancel = cut_right(&mut row, desk.px(64.0), desk.px(4.0));
    let pair = cut_right(&mut row, desk.px(60.0), desk.px(6.0));
    // Room for sentences is kept, so that the keys below never slip away.
    let pad = (desk.px(28.0) * 2.0 + desk.px(4.0)).min(inside.height() * 0.6);
    let words = (inside.height() - pad - gap).clamp(0.0, desk.px(78.0));
    let words = cut_top(&mut inside, words, gap);

    let entered = if busy { busy_ui(desk, row, server) } else { code_ui(desk, row, server) };
    let code = digits(desk.panel.code.as_deref().unwrap_or_default());
    let complete = code.len() == DIGITS && !busy;
    let says = if busy { "The code is being tried" } else { "Pair with this code" };
    let press = Press {
        label: "Pair",
        says,
        hint: says,
        on: complete.then_some(true),
        colour: theme::MOSS,
        text: theme::QUIET,
        enabled: complete,
        size: 13.5,
        ..Press::default()
    };
    let pressed = desk.press("pair", pair, &press).clicked();
    if (pressed || entered) && complete {
        // Nothing is left to be sent a second time.
        desk.panel.code = None;
        desk.actions.push(Action::Pair { code: code.clone() });
    }
    let press = Press { label: "Cancel", says: "Cancel pairing", ..Press::default() };
    if desk.press("cancel pairing", cancel, &press).clicked() {
        desk.actions.push(Action::CancelPairing);
    }
    if !busy {
        words_ui(desk, words, code.len(), tries_left, problem);
    }
    pad_ui(desk, inside, busy);
}

/// "On closet run rehearsekit pair and type its code."
fn how_ui(desk: &mut Desk<'_>, inside: &mut Rect, server: &str) {
    let size = 12.5;
    let mut job = LayoutJob::default();
    // A name may be as long as its owner likes; what is to be done must still be there.
    let server = &*server.chars().take(LONGEST_NAME).collect::<String>();
    let parts = [("On ", false), (server, true), (" run ", false), ("rehearsekit pair", true)];
    for (text, bold) in parts.into_iter().chain([(" and type the code it shows.", false)]) {
        let font = if bold { desk.theme.bold(size) } else { desk.theme.regular(size) };
        job.append(text, 0.0, TextFormat::simple(font, theme::TEXT));
    }
    job.wrap.max_width = inside.width();
    job.wrap.max_rows = 3;
    let says = job.text.clone();
    let galley = desk.ui.painter().layout_job(job);
    let place = cut_top(inside, galley.size().y, desk.px(8.0));
    desk.ui.painter().galley(place.min, galley, theme::TEXT);
    let response = desk.ui.interact(place, id("how to pair"), Sense::hover());
    response.widget_info(|| WidgetInfo::labeled(Role::Label, true, &says));
}

fn field_id() -> Id {
    id(("field", "code"))
}

/// The field. Whether it was done with Enter; leaving it in any other way sends nothing.
fn code_ui(desk: &mut Desk<'_>, rect: Rect, server: &str) -> bool {
    let asked_before = desk.panel.code.is_some();
    let mut text = desk.panel.code.clone().unwrap_or_default();
    well_ui(desk, rect);
    let font = desk.theme.bold(18.0);
    let height = desk.ui.ctx().fonts_mut(|fonts| fonts.row_height(&font));
    let inside = Rect::from_center_size(rect.center(), vec2(rect.width() - desk.px(16.0), height));
    let hint = egui::RichText::new("8 digits").color(theme::QUIET).font(desk.theme.regular(18.0));
    let edit = TextEdit::singleline(&mut text)
        .id(field_id())
        .font(font)
        .hint_text(hint)
        .frame(Frame::NONE)
        .desired_width(inside.width())
        .char_limit(32);
    let response = desk.ui.put(inside, edit).accessible_name(format!("Code of {server}: 8 digits"));
    desk.ring(rect, &response);
    if !asked_before {
        // Only now: the click that brought us here takes the keyboard from everything else while it is drawn.
        response.request_focus();
        cursor_to(desk, 0);
        desk.panel.next = Some(Duration::ZERO);
    }
    let entered = response.lost_focus() && desk.ui.input(|i| i.key_pressed(Key::Enter));
    let text = tidied(&text);
    if entered && digits(&text).len() != DIGITS {
        response.request_focus();
    }
    desk.panel.code = Some(text);
    entered
}

/// In the field's place while the code is being tried.
fn busy_ui(desk: &mut Desk<'_>, rect: Rect, server: &str) -> bool {
    desk.panel.code = None;
    well_ui(desk, rect);
    let says = format!("Asking {server}…");
    let inside = rect.shrink2(vec2(desk.px(8.0), 0.0));
    desk.line(inside, Align2::LEFT_CENTER, &says, desk.theme.regular(13.0), theme::QUIET);
    let response = desk.ui.interact(rect, id("asking"), Sense::hover());
    response.widget_info(|| WidgetInfo::labeled(Role::Label, true, &says));
    false
}

fn well_ui(desk: &Desk<'_>, rect: Rect) {
    desk.fill(rect, desk.theme.round(), theme::WELL);
    let stroke = desk.theme.line(theme::LINE);
    desk.ui.painter().rect_stroke(rect, desk.theme.round(), stroke, StrokeKind::Inside);
}

/// What went wrong, how many tries are left, and how many digits there are.
fn words_ui(desk: &mut Desk<'_>, rect: Rect, typed: usize, tries_left: Option<u8>, problem: Option<&str>) {
    let tries = match tries_left {
        None => String::new(),
        Some(0) => "No try is left: this code is dead. Ask the server for another one.".to_owned(),
        Some(1) => "One try left.".to_owned(),
        Some(tries) => format!("{tries} tries left."),
    };
    let count = match typed {
        0 | DIGITS => String::new(),
        1..DIGITS => format!("{typed} of {DIGITS} digits."),
        _ => format!("More than {DIGITS} digits."),
    };
    let problem = problem.unwrap_or_default();
    let state = [tries.as_str(), &count].join(" ").trim().to_owned();
    let colour = if tries.is_empty() && typed <= DIGITS { theme::QUIET } else { theme::AMBER };
    let help = "With or without the dash. At a server's first start its log shows a code, too.";
    let help = if problem.is_empty() && state.is_empty() { help } else { "" };
    let texts = [(problem, theme::BRICK), (&state, colour), (help, theme::QUIET)];
    desk.whole("pairing", rect, &texts, 12.0);
}

/// Ten digits for those whose host keeps the keyboard to itself, and for fingers on glass.
fn pad_ui(desk: &mut Desk<'_>, mut rect: Rect, busy: bool) {
    let gap = desk.px(4.0);
    let height = ((rect.height() - gap) / 2.0).min(desk.px(44.0));
    let places: Vec<Rect> = (0..2)
        .flat_map(|_| {
            let row = cut_top(&mut rect, height, gap);
            columns(row, 6, gap)
        })
        .collect();
    let keys = ["1", "2", "3", "4", "5", "←", "6", "7", "8", "9", "0", "Clear"];
    for (place, label) in places.into_iter().zip(keys) {
        let says = match label {
            "←" => "Last digit away".to_owned(),
            "Clear" => "All digits away".to_owned(),
            digit => format!("Digit {digit}"),
        };
        let size = if label == "Clear" { 11.5 } else { 15.0 };
        let text = if busy { theme::QUIET } else { theme::TEXT };
        let press = Press { label, says: &says, text, size, enabled: !busy, ..Press::default() };
        if !desk.press(("pad", label), place, &press).clicked() {
            continue;
        }
        let mut text = desk.panel.code.take().unwrap_or_default();
        match label {
            "←" => drop(text.pop()),
            "Clear" => text.clear(),
            digit => {
                // In two halves, as the server shows it.
                if text.len() == DIGITS / 2 && digits(&text) == text {
                    text.push(' ');
                }
                text.push_str(digit);
            }
        }
        cursor_to(desk, text.len());
        desk.panel.code = Some(text);
        if !desk.panel.by_keyboard {
            desk.ui.memory_mut(|memory| memory.request_focus(field_id()));
        }
    }
}

fn cursor_to(desk: &Desk<'_>, index: usize) {
    let mut state = TextEdit::load_state(desk.ui.ctx(), field_id()).unwrap_or_default();
    state.cursor.set_char_range(Some(CCursorRange::one(egui::text::CCursor::new(index))));
    state.store(desk.ui.ctx(), field_id());
}

/// What can stand in the field: digits, and what people put between them.
fn tidied(typed: &str) -> String {
    let tidy = |c: char| match c {
        '0'..='9' => Some(c),
        '-' | '‐' | '‑' | '–' | '—' | '−' => Some('-'),
        c if c.is_whitespace() => Some(' '),
        _ => None,
    };
    typed.chars().filter_map(tidy).collect()
}

fn digits(typed: &str) -> String {
    typed.chars().filter(char::is_ascii_digit).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_may_be_written_in_any_of_the_usual_ways() {
        for typed in
            ["12345678", "1234-5678", "1234 5678", " 12 34–56 78\n", "code: 1234\u{a0}5678", "1234—5678"]
        {
            assert_eq!(digits(&tidied(typed)), "12345678", "{typed}");
        }
        assert_eq!(tidied("１２Ⅳ٣abc"), "", "digits of other scripts are no digits of a code");
    }
}
