//! Every colour, size and font of the window, and nothing else. Change the looks here; the other files only place
//! things.
//!
//! The looks: an instrument in a dim room. Warm charcoal instead of black, paper instead of white, one colour per
//! stem that is the same wherever the stem appears, and three colours that mean something: moss (it plays), amber
//! (mind this) and brick (no). Nothing moves that does not carry news.

use std::sync::Arc;

use egui::{Color32, Context, CornerRadius, FontData, FontDefinitions, FontFamily, FontId, Stroke, Visuals};

use crate::view::{LinkState, Look};

/// The room.
pub(crate) const GROUND: Color32 = Color32::from_rgb(0x17, 0x16, 0x14);
/// A strip, a card.
pub(crate) const CARD: Color32 = Color32::from_rgb(0x21, 0x1f, 0x1c);
/// What can be pressed.
pub(crate) const KEY: Color32 = Color32::from_rgb(0x2f, 0x2c, 0x28);
/// The same under the pointer.
pub(crate) const KEY_HOVER: Color32 = Color32::from_rgb(0x3b, 0x37, 0x32);
/// What is cut into the card: slots, fields, meters at rest.
pub(crate) const WELL: Color32 = Color32::from_rgb(0x10, 0x0f, 0x0e);
/// Edges and marks; never text.
pub(crate) const LINE: Color32 = Color32::from_rgb(0x55, 0x50, 0x49);
/// Text.
pub(crate) const TEXT: Color32 = Color32::from_rgb(0xf1, 0xeb, 0xe0);
/// Text that is read when looked for.
pub(crate) const QUIET: Color32 = Color32::from_rgb(0xb5, 0xad, 0xa1);
/// Text on anything light.
pub(crate) const INK: Color32 = Color32::from_rgb(0x17, 0x16, 0x14);
/// It plays.
pub(crate) const MOSS: Color32 = Color32::from_rgb(0x8f, 0xc4, 0x83);
/// Mind this.
pub(crate) const AMBER: Color32 = Color32::from_rgb(0xf0, 0xb4, 0x4c);
/// No.
pub(crate) const BRICK: Color32 = Color32::from_rgb(0xf2, 0x86, 0x73);
/// What was picked, where picking means neither good nor bad.
pub(crate) const PAPER: Color32 = Color32::from_rgb(0xdd, 0xd3, 0xc2);
/// What was picked among equals: quieter than a colour, since there are many of them.
pub(crate) const PICKED: Color32 = Color32::from_rgb(0x5c, 0x56, 0x4d);
/// Around what the keyboard is on.
pub(crate) const FOCUS: Color32 = Color32::from_rgb(0x8e, 0xc7, 0xf5);

/// Vocals, drums, bass, guitar, piano, other.
const STEMS: [Color32; 6] = [
    Color32::from_rgb(0xee, 0x8e, 0x7a),
    Color32::from_rgb(0xe6, 0xb0, 0x5e),
    Color32::from_rgb(0x73, 0xb4, 0xdb),
    Color32::from_rgb(0x9f, 0xc4, 0x83),
    Color32::from_rgb(0xc0, 0xa3, 0xde),
    Color32::from_rgb(0xc9, 0xba, 0xa3),
];

/// Corners of keys and of cards.
pub(crate) const ROUND: u8 = 4;

/// A stem's own colour.
pub(crate) fn stem(strip: usize) -> Color32 {
    STEMS[strip % STEMS.len()]
}

/// What a state of the connection means.
pub(crate) fn state(state: LinkState) -> Color32 {
    match state {
        LinkState::Live | LinkState::OfflineRender => MOSS,
        LinkState::Idle | LinkState::Looking | LinkState::Connecting => PAPER,
        LinkState::Bridging | LinkState::HostRendersAhead => AMBER,
        LinkState::Refused | LinkState::Failed => BRICK,
    }
}

/// `colour`, mixed with `share` of the ground: for what is there but not heard.
pub(crate) fn dimmed(colour: Color32, share: f32) -> Color32 {
    colour.lerp_to_gamma(CARD, share)
}

/// Sizes: every length in the window passes through here, so that it grows as a whole.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Theme {
    scale: f32,
    /// For a music stand two metres away.
    pub(crate) large: bool,
    /// The window is so low that the faders need every line.
    pub(crate) low: bool,
}

impl Theme {
    /// What the owner's look means for a window of `size` points: large type grows with the window.
    pub(crate) fn new(look: Look, size: egui::Vec2) -> Self {
        let scale = look.scale_percent.clamp(50, 300) as f32 / 100.0;
        let room = (size.x / 560.0).min(size.y / 380.0) / scale;
        let grown = if look.large_type { room.clamp(1.0, 1.6) } else { 1.0 };
        let low = !look.large_type && size.y < 470.0 * scale;
        Self { scale: scale * grown, large: look.large_type, low }
    }

    /// The same for a page that is read from close by, also when the rest is in large type.
    pub(crate) fn small(self, look: Look) -> Self {
        let scale = look.scale_percent.clamp(50, 300) as f32 / 100.0;
        Self { scale: (self.scale * 0.8).max(scale), large: false, low: false }
    }

    /// One of two lengths: for a low window or for any other.
    pub(crate) fn either(self, low: f32, usual: f32) -> f32 {
        self.px(if self.low { low } else { usual })
    }

    /// A length of the design in points.
    pub(crate) fn px(self, length: f32) -> f32 {
        length * self.scale
    }

    /// Running text.
    pub(crate) fn regular(self, size: f32) -> FontId {
        FontId::new(self.px(size), FontFamily::Proportional)
    }

    /// Names, what is on, what is heard.
    pub(crate) fn bold(self, size: f32) -> FontId {
        FontId::new(self.px(size), bold_family())
    }

    /// Corners of keys and cards.
    pub(crate) fn round(self) -> CornerRadius {
        CornerRadius::same(self.px(f32::from(ROUND)).round() as u8)
    }

    /// A line that is sharp at any size.
    pub(crate) fn line(self, colour: Color32) -> Stroke {
        Stroke::new(self.px(1.0).max(1.0), colour)
    }
}

fn bold_family() -> FontFamily {
    FontFamily::Name("RehearseKit bold".into())
}

/// Brings fonts and egui's own parts (fields, tooltips) into line, once per context. Whether it is safe to draw text
/// now: fonts that come late are there with the next picture.
pub(crate) fn dressed(ctx: &Context) -> bool {
    let has = |ctx: &Context| ctx.fonts(|fonts| fonts.definitions().families.contains_key(&bold_family()));
    if has(ctx) {
        return true;
    }
    let mut fonts = FontDefinitions::default();
    let fallback = fonts.families.get(&FontFamily::Proportional).cloned().unwrap_or_default();
    for (family, name, bytes) in [
        (FontFamily::Proportional, "Noto Sans", notosans::REGULAR_TTF),
        (bold_family(), "Noto Sans Bold", notosans::BOLD_TTF),
    ] {
        fonts.font_data.insert(name.to_owned(), Arc::new(FontData::from_static(bytes)));
        let faces = std::iter::once(name.to_owned()).chain(fallback.iter().cloned()).collect();
        fonts.families.insert(family, faces);
    }
    ctx.set_fonts(fonts);
    // The host's window has its own idea of the size; ours is in the look.
    ctx.options_mut(|options| options.zoom_with_keyboard = false);
    ctx.all_styles_mut(|style| {
        style.visuals = visuals();
        // Nothing moves by itself: a window at rest costs nothing.
        style.animation_time = 0.0;
        style.interaction.selectable_labels = false;
    });
    has(ctx)
}

fn visuals() -> Visuals {
    let mut visuals = Visuals::dark();
    visuals.panel_fill = GROUND;
    visuals.window_fill = KEY;
    visuals.window_stroke = Stroke::new(1.0, LINE);
    visuals.override_text_color = Some(TEXT);
    visuals.selection.bg_fill = Color32::from_rgb(0x3d, 0x5a, 0x74);
    visuals.selection.stroke = Stroke::new(1.0, FOCUS);
    visuals.text_cursor.blink = false;
    visuals.text_cursor.stroke = Stroke::new(2.0, FOCUS);
    visuals.extreme_bg_color = WELL;
    visuals
}

#[cfg(test)]
mod tests {
    use super::*;

    /// WCAG 2: the contrast of two opaque colours.
    fn contrast(one: Color32, other: Color32) -> f32 {
        let light = |colour: Color32| {
            let [r, g, b, _] = egui::Rgba::from(colour).to_array();
            0.2126 * r + 0.7152 * g + 0.0722 * b + 0.05
        };
        let (one, other) = (light(one), light(other));
        one.max(other) / one.min(other)
    }

    #[test]
    fn all_text_can_be_read() {
        for ground in [GROUND, CARD, WELL, KEY, KEY_HOVER] {
            for text in [TEXT, QUIET, MOSS, AMBER, BRICK].into_iter().chain(STEMS) {
                assert!(contrast(text, ground) >= 4.5, "{text:?} on {ground:?}: {}", contrast(text, ground));
            }
        }
        assert!(contrast(TEXT, PICKED) >= 4.5);
        for light in [MOSS, AMBER, BRICK, PAPER, FOCUS].into_iter().chain(STEMS) {
            assert!(contrast(INK, light) >= 4.5, "ink on {light:?}: {}", contrast(INK, light));
        }
    }

    #[test]
    fn the_ring_and_edges_can_be_seen() {
        for ground in [GROUND, CARD, KEY] {
            assert!(contrast(FOCUS, ground) >= 3.0);
        }
    }
}
