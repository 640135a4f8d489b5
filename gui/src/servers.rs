//! The set-up page's first half: the servers there are, how we stand with each, and what else can be said about whom
//! to play with. Nothing is picked here by itself, and nothing that can be pressed moves when a sentence comes or goes.

use egui::{Align2, Color32, Rect, Role, Sense, WidgetInfo, vec2};

use crate::kit::{Desk, Press, cut_bottom, cut_left, cut_right, cut_top, id};
use crate::marks::{Mark, mark_ui};
use crate::pairing::pairing_ui;
use crate::theme;
use crate::view::{Action, PairingView, ServerView, Standing};

/// Whom to pick from on the left, or the code of the one that was picked; what else there is to say on the right.
pub(crate) fn server_page_ui(desk: &mut Desk<'_>, mut rect: Rect) {
    let gap = desk.px(6.0);
    let most = (rect.width() - gap) * 0.6;
    let left = cut_left(&mut rect, most, gap);
    let pairing = desk.view.pairing.is_open();
    if pairing {
        pairing_ui(desk, left);
    } else {
        desk.panel.code = None;
        if desk.panel.pairing && desk.panel.by_keyboard {
            // The code's field is gone: back to the row it belonged to.
            let picked = desk.view.servers.iter().find(|server| server.picked);
            picked.inspect(|server| desk.ui.memory_mut(|memory| memory.request_focus(row_id(server))));
        }
        servers_ui(desk, left);
    }
    desk.panel.pairing = pairing;
    with_whom_ui(desk, rect);
}

fn servers_ui(desk: &mut Desk<'_>, rect: Rect) {
    let view = desk.view;
    let (mut title, mut inside) = desk.card(rect, "Servers");
    let done = match &view.pairing {
        PairingView::Done { server } => format!("Paired with {server}. It knows you from now on."),
        _ => String::new(),
    };
    let [none, then] = match view.servers.is_empty() {
        true => ["No server found yet.", "Start one with “rehearsekit serve”, or type its address."],
        false => [""; 2],
    };
    let trouble = view.discovery.as_deref().unwrap_or_default();
    let texts = [(none, theme::TEXT), (then, theme::QUIET), (trouble, theme::AMBER), (&done, theme::MOSS)];
    if view.servers.is_empty() {
        desk.whole("servers", inside, &texts, 12.5);
        return;
    }
    // As high as the window allows, and no different for one more server.
    let gap = desk.px(4.0);
    let height = (inside.height() / 5.0 - gap).clamp(desk.px(41.0), desk.px(52.0));
    // Sentences take their room from below, so that the rows stay where they are.
    let wanted = desk.height_of(&texts, 11.5, inside.width()).min(inside.height() * 0.5);
    if wanted > 0.0 {
        let foot = cut_bottom(&mut inside, wanted, desk.px(6.0));
        desk.whole("servers", foot, &texts, 11.5);
    }
    let rows = ((inside.height() + gap) / (height + gap)).floor().max(1.0) as usize;
    let first = pages_ui(desk, &mut title, rows);
    for server in view.servers.iter().skip(first).take(rows) {
        let row = cut_top(&mut inside, height, gap);
        server_ui(desk, row, server);
    }
}

/// The keys to go through more servers than have room. The number of the first one shown.
fn pages_ui(desk: &mut Desk<'_>, title: &mut Rect, rows: usize) -> usize {
    let count = desk.view.servers.len();
    let last = count.saturating_sub(1) / rows;
    let picked = desk.view.servers.iter().position(|server| server.picked).unwrap_or(0);
    let page = desk.panel.servers_page.unwrap_or(picked / rows).min(last);
    if last == 0 {
        return 0;
    }
    let first = page * rows;
    let text = format!("{}–{} of {count}", first + 1, (first + rows).min(count));
    let names = ["Servers before these", "More servers"];
    if let Some(turned) = turn_ui(desk, title, names, &text, page, last) {
        desk.panel.servers_page = Some(turned);
    }
    first
}

/// Two keys of these names at the right of a title, and between them which part of a list is shown. The page turned to.
pub(crate) fn turn_ui(
    desk: &mut Desk<'_>,
    title: &mut Rect,
    [before, after]: [&str; 2],
    text: &str,
    page: usize,
    last: usize,
) -> Option<usize> {
    let key = desk.px(26.0);
    let more = cut_right(title, key, desk.px(4.0));
    let words = cut_right(title, desk.px(62.0), desk.px(4.0));
    let less = cut_right(title, key, desk.px(4.0));
    desk.line(words, Align2::CENTER_CENTER, text, desk.theme.regular(11.0), theme::QUIET);
    let press = |label, says, enabled| Press { label, says, size: 14.0, enabled, ..Press::default() };
    let back = desk.press(before, less, &press("‹", before, page > 0)).clicked();
    let on = desk.press(after, more, &press("›", after, page < last)).clicked();
    match (back, on) {
        (true, _) => Some(page.saturating_sub(1)),
        (_, true) => Some(page + 1),
        _ => None,
    }
}

fn server_ui(desk: &mut Desk<'_>, mut row: Rect, server: &ServerView) {
    if desk.panel.forgetting.as_ref() == Some(&server.id) {
        forget_ui(desk, row, server);
        return;
    }
    let name = called(desk, server);
    let forgettable = matches!(server.standing, Standing::Known | Standing::Revoked);
    let cross = forgettable.then(|| cut_right(&mut row, desk.px(26.0), desk.px(2.0)));
    let (words, mark, colour) = standing(server);
    let says = [&name, words, &server.note, &server.address].map(str::trim).into_iter();
    let says = says.filter(|word| !word.is_empty()).collect::<Vec<_>>().join(", ");
    let response = desk.ui.interact(row, row_id(server), Sense::click());
    response.widget_info(|| WidgetInfo::selected(Role::RadioButton, true, server.picked, &says));
    let fill = match (server.picked, response.hovered()) {
        (true, _) => theme::PICKED,
        (false, true) => theme::KEY_HOVER,
        (false, false) => theme::KEY,
    };
    desk.fill(row, desk.theme.round(), fill);
    desk.ring(row, &response);
    // What is in colour on a key is plain text on the picked one, as among the budgets.
    let on = |colour: Color32| if server.picked { theme::TEXT } else { colour };
    let mut inside = row.shrink2(vec2(desk.px(8.0), desk.px(3.0)));
    let place = cut_left(&mut inside, desk.px(16.0), desk.px(7.0));
    mark_ui(desk, place, mark, on(colour));
    let half = inside.height() / 2.0;
    let mut line = cut_top(&mut inside, half, 0.0);
    let font = desk.theme.regular(11.0);
    let standing = desk.line(line, Align2::RIGHT_CENTER, words, font.clone(), on(colour));
    line.max.x = standing.left() - desk.px(8.0);
    let ink = if server.there || server.standing == Standing::Revoked { theme::TEXT } else { theme::QUIET };
    let title = desk.line(line, Align2::LEFT_CENTER, title(server), desk.theme.bold(13.5), on(ink));
    if twins(desk, server) {
        line.min.x = title.right() + desk.px(7.0);
        desk.line(line, Align2::LEFT_CENTER, &server.short, font.clone(), on(theme::QUIET));
    }
    // The address where there is room for it, or nothing else to say.
    let address = if server.note.is_empty() { &server.address } else { &format!(" · {}", server.address) };
    let note = desk.line(inside, Align2::LEFT_CENTER, &server.note, font.clone(), on(theme::QUIET));
    let rest = inside.with_min_x(note.right());
    let galley = desk.ui.painter().layout_no_wrap(address.clone(), font.clone(), on(theme::QUIET));
    if !server.address.is_empty() && (server.note.is_empty() || galley.size().x <= rest.width()) {
        desk.line(rest, Align2::LEFT_CENTER, address, font, on(theme::QUIET));
    }
    // One that wants a code can be pressed again after it was cancelled.
    let wants_code = matches!(server.standing, Standing::New | Standing::Revoked);
    if response.on_hover_text(&says).clicked() {
        desk.panel.forgetting = None;
        if !server.picked || wants_code {
            desk.actions.push(Action::PickServer(server.id.clone()));
        }
    }
    let Some(cross) = cross else { return };
    let (says, hint) = (format!("Forget {name}"), format!("Forget {name}: it will want a code again"));
    let press =
        Press { label: "×", says: &says, hint: &hint, text: theme::QUIET, size: 15.0, ..Press::default() };
    if desk.press(("forget", &server.id), cross, &press).clicked() {
        desk.panel.forgetting = Some(server.id.clone());
        if desk.panel.by_keyboard {
            desk.ui.memory_mut(|memory| memory.request_focus(id(("keep", &server.id))));
        }
    }
}

/// In place of a row: whether it is meant. A slip must not cost a walk to the server.
fn forget_ui(desk: &mut Desk<'_>, mut row: Rect, server: &ServerView) {
    let keep = cut_right(&mut row, desk.px(70.0), desk.px(4.0));
    let name = called(desk, server);
    let (label, says) = (format!("Forget {name}"), format!("Forget {name}, really"));
    let press = Press { label: &label, says: &says, text: theme::BRICK, bold: true, ..Press::default() };
    let forget = desk.press(("forget really", &server.id), row, &press).clicked();
    let says = format!("Keep {name}");
    let press = Press { label: "Keep", says: &says, ..Press::default() };
    let keep = desk.press(("keep", &server.id), keep, &press).clicked();
    if forget {
        desk.actions.push(Action::Forget(server.id.clone()));
    }
    if forget || keep {
        desk.panel.forgetting = None;
        if desk.panel.by_keyboard {
            desk.ui.memory_mut(|memory| memory.request_focus(row_id(server)));
        }
    }
}

fn row_id(server: &ServerView) -> egui::Id {
    id(("server", &server.id, &server.address))
}

fn title(server: &ServerView) -> &str {
    match (server.name.as_str(), server.address.as_str(), server.standing) {
        ("", _, Standing::ThisMachine) => "This computer",
        ("", "", _) => "A server without a name",
        ("", address, _) => address,
        (name, _, _) => name,
    }
}

fn twins(desk: &Desk<'_>, server: &ServerView) -> bool {
    desk.view.servers.iter().filter(|other| title(other) == title(server)).count() > 1
}

/// Its name, as long as that is no other's.
fn called(desk: &Desk<'_>, server: &ServerView) -> String {
    if twins(desk, server) { format!("{} {}", title(server), server.short) } else { title(server).to_owned() }
}

/// How we stand with it: in words, as a shape, as a colour.
fn standing(server: &ServerView) -> (&'static str, Mark, Color32) {
    match (server.standing, server.there) {
        (Standing::ThisMachine, true) => ("no code needed", Mark::Tick, theme::MOSS),
        (Standing::ThisMachine, false) => ("not running", Mark::Ring, theme::QUIET),
        (Standing::Known, true) => ("paired", Mark::Tick, theme::MOSS),
        (Standing::Known, false) => ("paired, not here now", Mark::Tick, theme::QUIET),
        (Standing::New, _) => ("new, wants a code", Mark::Ring, theme::TEXT),
        (Standing::Revoked, _) => ("wants a new code", Mark::Cross, theme::BRICK),
    }
}

fn with_whom_ui(desk: &mut Desk<'_>, rect: Rect) {
    let view = desk.view;
    let name = &view.link.server_name;
    let with = if name.is_empty() { "With whom".to_owned() } else { format!("With {name}") };
    let (_, mut inside) = desk.card(rect, &with);
    let mut labelled = |desk: &mut Desk<'_>, label: &str, gap: f32| {
        let line = cut_top(&mut inside, desk.px(15.0), desk.px(2.0));
        desk.line(line, Align2::LEFT_CENTER, label, desk.theme.regular(11.0), theme::QUIET);
        cut_top(&mut inside, desk.px(26.0), desk.px(gap))
    };
    let place = labelled(desk, "Address, if it is not listed", 5.0);
    if let Some(server) =
        desk.field("server", place, "Server address", "found by itself, or host:port", &view.server)
    {
        desk.actions.push(Action::Server(server));
    }
    let place = labelled(desk, "Model", 8.0);
    if let Some(model) = desk.field("model", place, "Model", "the server's choice", &view.model) {
        desk.actions.push(Action::Model(model));
    }
    let warning = view.link.warning.as_deref().unwrap_or_default();
    desk.whole("link", inside, &[(warning, theme::AMBER), (&view.link.sentence, theme::TEXT)], 11.5);
}
