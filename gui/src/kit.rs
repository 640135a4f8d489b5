//! The small parts everything is made of: text that fits, keys to press, rows of keys of which one is down, fields to
//! type into. They know the theme and nothing of music.

use std::hash::Hash;
use std::sync::Arc;

use egui::text::{LayoutJob, TextWrapping};
use egui::{
    Align2, Color32, CornerRadius, FontId, Frame, Galley, Id, Key, Rect, Response, Role, Sense, StrokeKind,
    TextEdit, Ui, WidgetInfo, vec2,
};

use crate::panel::Panel;
use crate::theme::{self, Theme};
use crate::view::{Action, View};

/// The smallest type there is, for long sentences in small windows.
pub(crate) const LEAST_TYPE: f32 = 8.5;
/// Between two sentences.
const PARAGRAPH: f32 = 5.0;

/// What a drawing function needs at hand.
pub(crate) struct Desk<'a> {
    pub(crate) ui: &'a mut Ui,
    pub(crate) theme: Theme,
    pub(crate) panel: &'a mut Panel,
    pub(crate) view: &'a View,
    pub(crate) actions: Vec<Action>,
}

/// A key.
pub(crate) struct Press<'t> {
    /// What is written on it.
    pub(crate) label: &'t str,
    /// What a screen reader says, and the tooltip where `label` is only a letter.
    pub(crate) says: &'t str,
    /// The tooltip, where there is more to say.
    pub(crate) hint: &'t str,
    /// Down or up; `None` for a key that only acts.
    pub(crate) on: Option<bool>,
    /// Its colour when it is down.
    pub(crate) colour: Color32,
    /// The colour of its type when it is up.
    pub(crate) text: Color32,
    /// Size of the type.
    pub(crate) size: f32,
    /// Bold also when it is up.
    pub(crate) bold: bool,
    /// Can be pressed now.
    pub(crate) enabled: bool,
}

impl Default for Press<'_> {
    fn default() -> Self {
        Self {
            label: "",
            says: "",
            hint: "",
            on: None,
            colour: theme::PICKED,
            text: theme::TEXT,
            size: 12.5,
            bold: false,
            enabled: true,
        }
    }
}

/// A row of keys of which one is down.
pub(crate) struct Pick<'t> {
    /// What is written on them, and what a screen reader says.
    pub(crate) labels: &'t [(&'t str, &'t str)],
    /// The one that is down.
    pub(crate) picked: Option<usize>,
    /// The colour of the one that is down.
    pub(crate) colour: Color32,
    /// Size of the type.
    pub(crate) size: f32,
    /// Whether any but the first can be pressed.
    pub(crate) possible: bool,
}

/// Where a part stands: the same from picture to picture.
pub(crate) fn id(key: impl Hash + std::fmt::Debug) -> Id {
    Id::unique(("RehearseKit", key))
}

/// Splits `width` points from the left of `rect`, and `gap` after them.
pub(crate) fn cut_left(rect: &mut Rect, width: f32, gap: f32) -> Rect {
    let part = rect.with_max_x((rect.left() + width).min(rect.right()));
    rect.min.x = (part.right() + gap).min(rect.right());
    part
}

/// The same from the right.
pub(crate) fn cut_right(rect: &mut Rect, width: f32, gap: f32) -> Rect {
    let part = rect.with_min_x((rect.right() - width).max(rect.left()));
    rect.max.x = (part.left() - gap).max(rect.left());
    part
}

/// The same from the top.
pub(crate) fn cut_top(rect: &mut Rect, height: f32, gap: f32) -> Rect {
    let part = rect.with_max_y((rect.top() + height).min(rect.bottom()));
    rect.min.y = (part.bottom() + gap).min(rect.bottom());
    part
}

/// The same from the bottom.
pub(crate) fn cut_bottom(rect: &mut Rect, height: f32, gap: f32) -> Rect {
    let part = rect.with_min_y((rect.bottom() - height).max(rect.top()));
    rect.max.y = (part.top() - gap).max(rect.top());
    part
}

/// `rect` in `count` equal parts side by side.
pub(crate) fn columns(rect: Rect, count: usize, gap: f32) -> impl Iterator<Item = Rect> {
    let width = (rect.width() - gap * (count as f32 - 1.0)) / count as f32;
    (0..count).map(move |n| {
        Rect::from_min_size(rect.min + vec2(n as f32 * (width + gap), 0.0), vec2(width, rect.height()))
    })
}

impl Desk<'_> {
    /// `length` of the design in points.
    pub(crate) fn px(&self, length: f32) -> f32 {
        self.theme.px(length)
    }

    /// Writes one line, cut with an ellipsis where it does not fit. Returns the room it took.
    pub(crate) fn line(&self, rect: Rect, align: Align2, text: &str, font: FontId, colour: Color32) -> Rect {
        self.lines(rect, align, text, font, colour, 1)
    }

    /// Writes up to `rows` lines.
    pub(crate) fn lines(
        &self,
        rect: Rect,
        align: Align2,
        text: &str,
        font: FontId,
        colour: Color32,
        rows: usize,
    ) -> Rect {
        let mut job = LayoutJob::simple(text.to_owned(), font, colour, rect.width());
        job.wrap =
            TextWrapping { max_width: rect.width(), max_rows: rows, break_anywhere: rows == 1, ..job.wrap };
        let galley = self.ui.painter().layout_job(job);
        let place = align.align_size_within_rect(galley.size(), rect);
        self.ui.painter().galley(place.min, galley, colour);
        place
    }

    /// A card with a title: what is left of the title's line, and the card's inside below it.
    pub(crate) fn card(&self, rect: Rect, title: &str) -> (Rect, Rect) {
        self.fill(rect, self.theme.round(), theme::CARD);
        let mut inside = rect.shrink(self.px(8.0));
        let mut line = cut_top(&mut inside, self.px(20.0), self.px(4.0));
        let written = self.line(line, Align2::LEFT_CENTER, title, self.theme.bold(13.0), theme::TEXT);
        line.min.x = (written.right() + self.px(8.0)).min(line.right());
        (line, inside)
    }

    fn paragraphs(&self, texts: &[(&str, Color32)], size: f32, width: f32) -> (Vec<Arc<Galley>>, f32) {
        let texts = texts.iter().filter(|(text, _)| !text.is_empty());
        let font = self.theme.regular(size);
        let lay = |(text, colour): &(&str, Color32)| {
            self.ui.painter().layout((*text).to_owned(), font.clone(), *colour, width)
        };
        let galleys: Vec<_> = texts.map(lay).collect();
        let height = galleys.iter().map(|galley| galley.size().y + self.px(PARAGRAPH)).sum::<f32>();
        (galleys, (height - self.px(PARAGRAPH)).max(0.0))
    }

    /// How high [`Desk::whole`] would have to be.
    pub(crate) fn height_of(&self, texts: &[(&str, Color32)], size: f32, width: f32) -> f32 {
        self.paragraphs(texts, size, width).1
    }

    /// Writes sentences one below the other, to their last word: in smaller type where there is little room. Empty
    /// ones are left out.
    pub(crate) fn whole(&mut self, key: &str, rect: Rect, texts: &[(&str, Color32)], most: f32) {
        let sizes = (0..).map(|step| most - 0.5 * step as f32).take_while(|size| *size >= LEAST_TYPE);
        let tried = sizes.map(|size| self.paragraphs(texts, size, rect.width()));
        let mut found = None;
        for (galleys, height) in tried {
            let fits = height <= rect.height();
            found = Some(galleys);
            if fits {
                break;
            }
        }
        let mut top = rect.top();
        for (n, galley) in found.unwrap_or_default().into_iter().enumerate() {
            let place = Rect::from_min_size(egui::pos2(rect.left(), top), galley.size());
            top = place.bottom() + self.px(PARAGRAPH);
            let says = galley.text().to_owned();
            self.ui.painter().with_clip_rect(rect.expand(1.0)).galley(place.min, galley, theme::TEXT);
            let response = self.ui.interact(place.intersect(rect), id((key, "sentence", n)), Sense::hover());
            response.widget_info(|| WidgetInfo::labeled(Role::Label, true, &says));
            if place.bottom() > rect.bottom() + 1.0 {
                response.on_hover_text(says);
            }
        }
    }

    /// The largest size up to `most` at which all of `texts` fit into `width` in bold.
    pub(crate) fn fitting<'t>(
        &self,
        texts: impl Iterator<Item = &'t str>,
        most: f32,
        least: f32,
        width: f32,
    ) -> f32 {
        let widest = texts
            .map(|text| {
                let galley =
                    self.ui.painter().layout_no_wrap(text.to_owned(), self.theme.bold(most), theme::TEXT);
                galley.size().x
            })
            .fold(1.0, f32::max);
        (most * (width / widest).min(1.0)).clamp(least, most)
    }

    /// A rectangle.
    pub(crate) fn fill(&self, rect: Rect, round: impl Into<CornerRadius>, colour: Color32) {
        self.ui.painter().rect_filled(rect, round, colour);
    }

    /// Shows where the keyboard is, once it is the keyboard that is used.
    pub(crate) fn ring(&self, rect: Rect, response: &Response) {
        if response.has_focus() && self.panel.by_keyboard {
            let stroke = egui::Stroke::new(self.px(2.0), theme::FOCUS);
            // Above whatever is drawn beside it later.
            let above = egui::LayerId::new(egui::Order::Middle, id("focus"));
            let painter = self.ui.painter().clone().with_layer_id(above);
            painter.rect_stroke(rect.expand(self.px(1.0)), self.theme.round(), stroke, StrokeKind::Outside);
        }
    }

    /// A key. Clicked or pressed with Space or Enter: see the response.
    pub(crate) fn press(
        &mut self,
        key: impl Hash + std::fmt::Debug,
        rect: Rect,
        press: &Press<'_>,
    ) -> Response {
        let round = self.theme.round();
        self.press_shaped(key, rect, press, round, Role::Button)
    }

    fn press_shaped(
        &mut self,
        key: impl Hash + std::fmt::Debug,
        rect: Rect,
        press: &Press<'_>,
        round: CornerRadius,
        role: Role,
    ) -> Response {
        let sense = if press.enabled { Sense::click() } else { Sense::hover() };
        let response = self.ui.interact(rect, id(key), sense);
        response.widget_info(|| match press.on {
            Some(on) => WidgetInfo::selected(role, press.enabled, on, press.says),
            None => WidgetInfo::labeled(role, press.enabled, press.says),
        });
        let on = press.on == Some(true);
        let fill = match (on, response.is_pointer_button_down_on(), response.hovered()) {
            _ if !press.enabled && !on => theme::CARD,
            (true, _, _) => press.colour,
            (false, true, _) => theme::LINE,
            (false, false, true) => theme::KEY_HOVER,
            (false, false, false) => theme::KEY,
        };
        self.fill(rect, round, fill);
        let font = if on || press.bold || self.theme.large {
            self.theme.bold(press.size)
        } else {
            self.theme.regular(press.size)
        };
        let colour = if on && press.colour != theme::PICKED {
            theme::INK
        } else if on {
            theme::TEXT
        } else {
            press.text
        };
        self.line(rect.shrink2(vec2(self.px(3.0), 0.0)), Align2::CENTER_CENTER, press.label, font, colour);
        self.ring(rect, &response);
        match (press.hint, press.label.chars().count()) {
            ("", ..3) => response.on_hover_text(press.says),
            ("", _) => response,
            (hint, _) => response.on_hover_text(hint),
        }
    }

    /// A row of keys of which one is down. Returns the one that was pressed, if it was another.
    pub(crate) fn pick(&mut self, key: &str, rect: Rect, pick: &Pick<'_>) -> Option<usize> {
        let gap = self.ui.pixels_per_point().recip() * self.px(1.0).ceil();
        let round = self.theme.round();
        let count = pick.labels.len();
        let mut pressed = None;
        for (n, (place, (label, says))) in columns(rect, count, gap).zip(pick.labels).enumerate() {
            let left = if n == 0 { round.nw } else { 0 };
            let right = if n + 1 == count { round.ne } else { 0 };
            let corners = CornerRadius { nw: left, sw: left, ne: right, se: right };
            let on = pick.picked == Some(n);
            let enabled = pick.possible || n == 0;
            let press = Press {
                label,
                says,
                hint: "",
                on: Some(on),
                colour: pick.colour,
                text: if enabled { theme::TEXT } else { theme::QUIET },
                size: pick.size,
                bold: false,
                enabled,
            };
            if self.press_shaped((key, n), place, &press, corners, Role::RadioButton).clicked() && !on {
                pressed = Some(n);
            }
        }
        pressed
    }

    /// Whether letters go into a field.
    pub(crate) fn is_typing(&self) -> bool {
        let is_field = |focused| TextEdit::load_state(self.ui.ctx(), focused).is_some();
        self.panel.typing.is_some() || self.ui.memory(|memory| memory.focused()).is_some_and(is_field)
    }

    /// A field. Returns what was typed once it is done with Enter, Tab or by going elsewhere; Escape forgets it.
    pub(crate) fn field(
        &mut self,
        key: &str,
        rect: Rect,
        says: &str,
        hint: &str,
        value: &str,
    ) -> Option<String> {
        let id = id(("field", key));
        let mut text = match &self.panel.typing {
            Some((typing, text)) if *typing == id => text.clone(),
            _ => value.to_owned(),
        };
        // egui takes the keyboard away at Escape before it comes here, so that it looks like any other leaving.
        let typing = self.panel.typing.as_ref().is_some_and(|(typing, _)| *typing == id);
        let escaped = typing && self.ui.input(|i| i.key_pressed(Key::Escape));
        self.fill(rect, self.theme.round(), theme::WELL);
        self.ui.painter().rect_stroke(
            rect,
            self.theme.round(),
            self.theme.line(theme::LINE),
            StrokeKind::Inside,
        );
        let font = self.theme.regular(12.5);
        let height = self.ui.ctx().fonts_mut(|fonts| fonts.row_height(&font));
        let inside = Rect::from_center_size(rect.center(), vec2(rect.width() - 2.0 * self.px(8.0), height));
        let edit = TextEdit::singleline(&mut text)
            .id(id)
            .font(font)
            .hint_text(egui::RichText::new(hint).color(theme::QUIET))
            .frame(Frame::NONE)
            .desired_width(inside.width())
            .char_limit(1024);
        let response = self.ui.put(inside, edit).accessible_name(says);
        self.ring(rect, &response);
        if escaped {
            self.panel.typing = None;
            response.surrender_focus();
            return None;
        }
        if response.lost_focus() {
            let typed = self.panel.typing.take_if(|(typing, _)| *typing == id).map(|(_, text)| text);
            return typed.map(|_| text.trim().to_owned()).filter(|text| text != value);
        }
        if response.changed() {
            self.panel.typing = Some((id, text));
        }
        None
    }
}
