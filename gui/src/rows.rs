//! Rows one below the other, in one column or two. Arithmetic only.

use egui::{Rect, vec2};

/// Where the next row goes.
pub(crate) struct Rows {
    column: Rect,
    stride: f32,
    height: f32,
    gap: f32,
    top: f32,
}

impl Rows {
    /// `height` points are one row; `gap` is between rows, `gutter` between columns.
    pub(crate) fn new(rect: Rect, columns: usize, height: f32, gap: f32, gutter: f32) -> Self {
        let width = (rect.width() - gutter * (columns as f32 - 1.0)) / columns as f32;
        Self {
            column: rect.with_max_x(rect.left() + width),
            stride: width + gutter,
            height,
            gap,
            top: rect.top(),
        }
    }

    /// The next row, `share` of a row high.
    pub(crate) fn next(&mut self, share: f32) -> Rect {
        let height = self.height * share;
        let row =
            Rect::from_min_size(egui::pos2(self.column.left(), self.top), vec2(self.column.width(), height));
        self.top += height + self.gap;
        row
    }

    /// On with the next column.
    pub(crate) fn break_column(&mut self) {
        self.column = self.column.translate(vec2(self.stride, 0.0));
        self.top = self.column.top();
    }
}
