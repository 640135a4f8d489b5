//! The click: whole as a column or a page, or its essentials as a bar at the foot.

use egui::{Align2, Event, Key, Modifiers, Rect, Role, Sense, Stroke, WidgetInfo, pos2, vec2};

use rehearsekit_audio::typed;

use crate::fader::{lying_meter_ui, slide_ui};
use crate::grip::{Grip, value_ui};
use crate::kit::{Desk, Pick, Press, columns, cut_left, cut_right, cut_top, id};
use crate::law::Law;
use crate::panel::{CLICK, Page};
use crate::rows::Rows;
use crate::theme;
use crate::view::{Action, ClickMode, Control, PlayerAction, Subdivision, TempoSource};

const MODES: [ClickMode; 3] = [ClickMode::Off, ClickMode::CountIn, ClickMode::On];
const DIVISIONS: [Subdivision; 4] =
    [Subdivision::Beats, Subdivision::Eighths, Subdivision::Triplets, Subdivision::Sixteenths];

/// Everything about the click.
pub(crate) fn click_ui(desk: &mut Desk<'_>, rect: Rect) {
    desk.fill(rect, desk.theme.round(), theme::CARD);
    let inside = rect.shrink2(vec2(desk.px(10.0), desk.px(8.0)));
    // A page is flatter than a column: there the rows go on in a second one.
    let two = inside.height() < desk.px(340.0) && inside.width() > desk.px(460.0);
    // In a tall column the keys grow: Tap is for somebody with an instrument in hand.
    let shares = 14.6 + if desk.view.click.own_wav.is_some() { 1.25 } else { 0.0 };
    let height = if two { desk.px(28.0) } else { (inside.height() / shares).min(desk.px(40.0)) };
    let mut rows = Rows::new(inside, if two { 2 } else { 1 }, height, height * 0.25, desk.px(14.0));
    // On the page the bar below says this already.
    if !two {
        let mut head = rows.next(0.9);
        let title = cut_left(&mut head, desk.px(46.0), desk.px(8.0));
        desk.line(title, Align2::LEFT_CENTER, "Click", desk.theme.bold(15.0), theme::TEXT);
        lights_ui(desk, head);
    }
    let row = rows.next(1.1);
    mode_ui(desk, row, 13.0);
    let row = rows.next(1.5);
    tempo_ui(desk, row);
    let row = rows.next(if two { 1.1 } else { 1.4 });
    taps_ui(desk, row);
    let row = rows.next(1.0);
    bar_ui(desk, row);
    if two {
        let row = rows.next(1.0);
        switches_ui(desk, row);
        rows.break_column();
    }
    let row = rows.next(1.0);
    division_ui(desk, row);
    sound_ui(desk, &mut rows);
    let row = rows.next(1.0);
    level_ui(desk, row);
    let row = rows.next(1.0);
    let mut row = row;
    let pan_label = cut_left(&mut row, desk.px(46.0), desk.px(4.0));
    desk.line(pan_label, Align2::LEFT_CENTER, "Pan", desk.theme.regular(12.0), theme::QUIET);
    let click = &desk.view.click;
    let pan = Grip {
        control: Control::ClickPan,
        law: Law::Pan,
        value: click.pan,
        says: "Click pan",
        travel: 0.0,
        vertical: false,
    };
    let words = cut_right(&mut row, desk.px(56.0), desk.px(4.0));
    slide_ui(desk, row, &pan, theme::PAPER);
    value_ui(desk, words, &pan, 12.0, true);
    if !two {
        let row = rows.next(1.0);
        switches_ui(desk, row);
    }
}

/// Mode, beat and tempo: what is needed while playing.
pub(crate) fn click_bar_ui(desk: &mut Desk<'_>, mut rect: Rect) {
    let large = desk.theme.large;
    let gap = desk.px(8.0);
    desk.fill(rect, desk.theme.round(), theme::CARD);
    rect = rect.shrink2(vec2(desk.px(8.0), desk.px(4.0)));
    let title = cut_left(&mut rect, desk.px(if large { 52.0 } else { 38.0 }), gap);
    let font = desk.theme.bold(if large { 18.0 } else { 13.0 });
    desk.line(title, Align2::LEFT_CENTER, "Click", font, theme::TEXT);
    let open = desk.panel.page == Page::Click && !large;
    if !large {
        let more = cut_right(&mut rect, desk.px(54.0), gap);
        let (label, says) = if open { ("Mixer", "Back to the mixer") } else { ("More", "All of the click") };
        if desk.press("click page", more, &Press { label, says, ..Press::default() }).clicked() {
            desk.panel.page = desk.panel.page.toggled(Page::Click);
        }
    }
    // The page above has the rest.
    if !open {
        let mode = cut_left(&mut rect, desk.px(if large { 230.0 } else { 180.0 }), gap);
        mode_ui(desk, mode, if large { 16.0 } else { 12.0 });
        if !large {
            let tap = cut_right(&mut rect, desk.px(48.0), gap);
            tap_key_ui(desk, tap);
        }
    }
    let tempo = cut_right(&mut rect, desk.px(if large { 104.0 } else { 84.0 }), gap);
    let (text, colour) = tempo_words(desk);
    let font = desk.theme.bold(if large { 18.0 } else { 13.0 });
    desk.line(tempo, Align2::RIGHT_CENTER, &text, font, colour);
    lights_ui(desk, rect);
}

/// The tempo in force, in words.
fn tempo_words(desk: &Desk<'_>) -> (String, egui::Color32) {
    match desk.view.click.tempo_bpm {
        Some(bpm) => (format!("{bpm:.1} BPM"), theme::TEXT),
        None => ("? BPM".to_owned(), theme::AMBER),
    }
}

fn mode_ui(desk: &mut Desk<'_>, rect: Rect, size: f32) {
    let picked = MODES.iter().position(|mode| *mode == desk.view.click.mode);
    let labels = [("Off", "Click off"), ("Count-in", "Click as count-in only"), ("On", "Click on")];
    let colour = if picked == Some(0) { theme::PICKED } else { theme::MOSS };
    if let Some(pressed) =
        desk.pick("click mode", rect, &Pick { labels: &labels, picked, colour, size, possible: true })
    {
        desk.actions.push(Action::ClickMode(MODES[pressed]));
    }
}

/// A light for each beat of the bar; the one is square, so that it is seen from the corner of an eye.
fn lights_ui(desk: &Desk<'_>, rect: Rect) {
    let click = &desk.view.click;
    let (now, of) = match click.beat {
        Some((now, of)) => (Some(now), of.clamp(1, 16)),
        None => (None, click.beats_per_bar.clamp(1, 16)),
    };
    let radius = desk.px(if desk.theme.large { 13.0 } else { 7.0 });
    let radius = radius.min(rect.width() / (of as f32 * 2.6)).min(rect.height() / 2.0);
    let step = (radius * 3.2).min(rect.width() / of as f32);
    let left = rect.right() - step * (of as f32 - 0.5);
    for beat in 0..of {
        let centre = pos2(left + step * beat as f32, rect.center().y);
        let lit = now == Some(beat);
        let colour = if beat == 0 { theme::AMBER } else { theme::MOSS };
        let stroke = Stroke::new(desk.px(1.5), theme::LINE);
        let square = Rect::from_center_size(centre, vec2(radius, radius) * 1.8);
        let painter = desk.ui.painter();
        match (beat == 0, lit) {
            (true, true) => drop(painter.rect_filled(square, 2, colour)),
            (true, false) => drop(painter.rect_stroke(square, 2, stroke, egui::StrokeKind::Inside)),
            (false, true) => drop(painter.circle_filled(centre, radius, colour)),
            (false, false) => drop(painter.circle_stroke(centre, radius * 0.85, stroke)),
        }
    }
    let says = match now {
        Some(now) => format!("Beat {} of {of}", now + 1),
        None => format!("{of} beats to the bar"),
    };
    let response = desk.ui.interact(rect, id("beat"), Sense::hover());
    response.widget_info(|| WidgetInfo::labeled(Role::Label, true, &says));
}

/// The tempo, large, and whose it is.
fn tempo_ui(desk: &mut Desk<'_>, mut row: Rect) {
    let click = &desk.view.click;
    let picked = usize::from(click.source == TempoSource::Own);
    let mut keys = cut_right(&mut row, desk.px(112.0), desk.px(8.0));
    keys = Rect::from_center_size(keys.center(), vec2(keys.width(), desk.px(28.0)));
    let (number, colour) = match click.tempo_bpm {
        Some(bpm) => (format!("{bpm:.1}"), theme::TEXT),
        None => ("?".to_owned(), theme::AMBER),
    };
    let unit = if click.tempo_bpm.is_some() { "BPM" } else { "tempo unknown" };
    let place = desk.line(row, Align2::LEFT_CENTER, &number, desk.theme.bold(30.0), colour);
    let rest = row.with_min_x(place.right() + desk.px(6.0)).with_min_y(place.center().y);
    let rest = rest.with_max_y(place.bottom() - desk.px(5.0));
    desk.line(
        rest,
        Align2::LEFT_BOTTOM,
        unit,
        desk.theme.regular(12.0),
        if click.tempo_bpm.is_some() { theme::QUIET } else { colour },
    );
    let response = desk.ui.interact(row, id("tempo"), Sense::hover());
    let says = format!("Tempo: {number} {unit}");
    response.widget_info(|| WidgetInfo::labeled(Role::Label, true, &says));
    let labels = [("Host", "Tempo of the host"), ("Own", "Tempo of my own")];
    if let Some(pressed) = desk.pick(
        "tempo source",
        keys,
        &Pick { labels: &labels, picked: Some(picked), colour: theme::PICKED, size: 12.5, possible: true },
    ) {
        desk.actions.push(Action::TempoSource([TempoSource::Host, TempoSource::Own][pressed]));
    }
}

/// Tap, the one, and the tempo typed.
fn taps_ui(desk: &mut Desk<'_>, row: Rect) {
    let [tap, one, typed] = thirds(desk, row);
    tap_key_ui(desk, tap);
    let press =
        Press { label: "One", says: "The one is now", hint: "The one is now (key O)", ..Press::default() };
    let response = desk.press("one", one, &press);
    if at_once(desk, &response, Key::O) {
        desk.actions.push(Action::One);
    }
    let value = format!("{:.1}", desk.view.click.own_tempo_bpm);
    if let Some(bpm) = desk.field("tempo", typed, "My tempo in BPM", "BPM", &value).as_deref().and_then(bpm) {
        desk.actions.push(Action::OwnTempo(bpm));
    }
}

/// What was typed, if it can be a tempo.
fn bpm(typed: &str) -> Option<f32> {
    let bpm = typed::with_unit(typed, typed::BPM)? as f32;
    (20.0..=400.0).contains(&bpm).then_some(bpm)
}

fn tap_key_ui(desk: &mut Desk<'_>, rect: Rect) {
    let says = "Tap the tempo";
    let count = desk.panel.taps.count();
    let label = if (1..=2).contains(&count) { "Tap …" } else { "Tap" };
    let response = desk.press(
        "tap",
        rect,
        &Press { label, says, hint: "Tap the tempo, three times or more (key T)", ..Press::default() },
    );
    if at_once(desk, &response, Key::T) {
        let now = desk.ui.input(|i| i.time);
        if let Some(bpm) = desk.panel.taps.tap(now) {
            desk.actions.push(Action::OwnTempo(bpm.clamp(20.0, 400.0)));
        }
    }
}

/// Pressed now: when the button goes down, not when it comes up again, since this is about time. By a letter, too,
/// unless one is typing.
fn at_once(desk: &Desk<'_>, response: &egui::Response, letter: Key) -> bool {
    let typing = desk.is_typing();
    let (clicked, held) = (response.clicked(), response.is_pointer_button_down_on());
    desk.ui.input(|i| {
        let down = i.events.iter().any(|event| matches!(event, Event::PointerButton { pressed: true, .. }));
        let clicked_without_pointer = clicked && !i.pointer.any_released();
        let letter = !typing && i.modifiers == Modifiers::NONE
            && i.events.iter().any(|event| matches!(event, Event::Key { key, pressed: true, repeat: false, .. } if *key == letter));
        (down && held) || clicked_without_pointer || letter
    })
}

/// Beats to the bar, and bars to count in where that is ours to do.
fn bar_ui(desk: &mut Desk<'_>, mut row: Rect) {
    let click = &desk.view.click;
    let gap = desk.px(10.0);
    if let Some(bars) = click.count_in_bars {
        let half = (row.width() - gap) / 2.0;
        let place = cut_right(&mut row, half, gap);
        if let Some(bars) = stepper_ui(desk, place, "Count", "bars to count in", bars, 0..=8, 1) {
            desk.actions.push(Action::CountInBars(bars));
        }
    }
    if let Some(beats) = stepper_ui(desk, row, "Bar", "beats to the bar", click.beats_per_bar, 1..=16, 1) {
        desk.actions.push(Action::BeatsPerBar(beats));
    }
}

/// A number with a key for less and one for more.
pub(crate) fn stepper_ui(
    desk: &mut Desk<'_>,
    mut row: Rect,
    label: &str,
    what: &str,
    value: u32,
    range: std::ops::RangeInclusive<u32>,
    step: u32,
) -> Option<u32> {
    let key = desk.px(25.0);
    let more = cut_right(&mut row, key, desk.px(1.0));
    let number = cut_right(&mut row, desk.px(if value > 99 { 32.0 } else { 22.0 }), desk.px(1.0));
    let less = cut_right(&mut row, key, desk.px(6.0));
    desk.line(row, Align2::LEFT_CENTER, label, desk.theme.regular(12.0), theme::QUIET);
    desk.line(number, Align2::CENTER_CENTER, &value.to_string(), desk.theme.bold(13.0), theme::TEXT);
    let [fewer_says, more_says] = [format!("Fewer {what}, now {value}"), format!("More {what}, now {value}")];
    let fewer = desk.press(
        (what, "less"),
        less,
        &Press { label: "−", says: &fewer_says, size: 15.0, ..Press::default() },
    );
    let greater = desk.press(
        (what, "more"),
        more,
        &Press { label: "+", says: &more_says, size: 15.0, ..Press::default() },
    );
    let moved = match (fewer.clicked(), greater.clicked()) {
        (true, _) => value.saturating_sub(step),
        (_, true) => value + step,
        // A value from elsewhere stays as it is until it is pressed.
        _ => return None,
    };
    Some(moved.clamp(*range.start(), *range.end())).filter(|moved| *moved != value)
}

fn division_ui(desk: &mut Desk<'_>, row: Rect) {
    let picked = DIVISIONS.iter().position(|division| *division == desk.view.click.subdivision);
    let labels =
        [("Beats", "Beats only"), ("8ths", "Eighths"), ("Trip.", "Triplets"), ("16ths", "Sixteenths")];
    if let Some(pressed) = desk.pick(
        "division",
        row,
        &Pick { labels: &labels, picked, colour: theme::PICKED, size: 12.5, possible: true },
    ) {
        desk.actions.push(Action::ClickSubdivision(DIVISIONS[pressed]));
    }
}

/// The sounds, and a file of one's own.
fn sound_ui(desk: &mut Desk<'_>, rows: &mut Rows) {
    let click = &desk.view.click;
    let says: Vec<String> = click.sounds.iter().map(|name| format!("Click sound: {name}")).collect();
    let labels: Vec<(&str, &str)> =
        click.sounds.iter().zip(&says).map(|(name, says)| (&**name, &**says)).collect();
    let row = rows.next(1.0);
    if let Some(pressed) = desk.pick(
        "sound",
        row,
        &Pick {
            labels: &labels,
            picked: Some(click.sound),
            colour: theme::PICKED,
            size: 12.5,
            possible: true,
        },
    ) {
        desk.actions.push(Action::ClickSound(pressed));
    }
    let mut row = rows.next(1.0);
    if desk.view.player.as_ref().is_some_and(|player| player.can_choose) {
        let place = cut_right(&mut row, desk.px(66.0), desk.px(4.0));
        let press = Press { label: "Choose …", says: "Choose a WAV file of my own", ..Press::default() };
        if desk.press("choose wav", place, &press).clicked() {
            desk.actions.push(Action::Player(PlayerAction::ChooseClick));
        }
    }
    if let Some(path) = desk.field("wav", row, "A WAV file of my own", "Own WAV: type its path", "")
        && !path.is_empty()
    {
        desk.actions.push(Action::OwnWav(path));
    }
    if let Some(problem) = &click.own_wav {
        let row = rows.next(1.0);
        desk.lines(row, Align2::LEFT_CENTER, problem, desk.theme.regular(11.5), theme::AMBER, 2);
    }
}

fn level_ui(desk: &mut Desk<'_>, mut row: Rect) {
    let label = cut_left(&mut row, desk.px(46.0), desk.px(4.0));
    desk.line(label, Align2::LEFT_CENTER, "Level", desk.theme.regular(12.0), theme::QUIET);
    let value = desk.view.click.level_db;
    let grip = Grip {
        control: Control::ClickLevel,
        law: Law::Fader,
        value,
        says: "Click level",
        travel: 0.0,
        vertical: false,
    };
    let words = cut_right(&mut row, desk.px(56.0), desk.px(4.0));
    let meter = desk.panel.meters[CLICK].clone();
    let mut slot = row;
    let lying = crate::kit::cut_bottom(&mut slot, desk.px(5.0), desk.px(1.0));
    slide_ui(desk, slot, &grip, theme::PAPER);
    lying_meter_ui(desk, lying.shrink2(vec2(desk.px(6.0), 0.0)), &meter, theme::MOSS);
    value_ui(desk, words, &grip, 12.0, false);
}

fn switches_ui(desk: &mut Desk<'_>, row: Rect) {
    let click = &desk.view.click;
    let mut cells = columns(row, 2, desk.px(6.0));
    let (Some(accent), Some(main)) = (cells.next(), cells.next()) else { return };
    let press = |label, says, on| Press { label, says, on: Some(on), ..Press::default() };
    if desk.press("accent", accent, &press("Accent", "Accent on the one", click.accent)).clicked() {
        desk.actions.push(Action::ClickAccent(!click.accent));
    }
    if desk.press("in main", main, &press("In main mix", "Click in the main output", click.in_main)).clicked()
    {
        desk.actions.push(Action::ClickInMain(!click.in_main));
    }
}

fn thirds(desk: &Desk<'_>, mut row: Rect) -> [Rect; 3] {
    let gap = desk.px(6.0);
    let width = (row.width() - 2.0 * gap) / 3.0;
    let first = cut_left(&mut row, width, gap);
    let second = cut_left(&mut row, width, gap);
    [first, second, cut_top(&mut row, f32::INFINITY, 0.0)]
}
