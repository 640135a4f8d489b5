//! Levels from the audio thread to a display: one atomic per value, written with the highest peak since it was
//! last read. Nobody waits for anybody; must not smooth or decay (that is a display's taste).

use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

use crate::mixer::STRIPS;

/// Peak levels as the audio thread keeps them.
#[derive(Debug, Default)]
pub struct Meters {
    input: [AtomicU32; 2],
    main: [AtomicU32; 2],
    strips: [[AtomicU32; 2]; STRIPS],
    click: [AtomicU32; 2],
}

/// Peaks since the last [`Meters::take`], linear (1 is full scale), left and right.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Levels {
    /// The mix as it came in.
    pub input: [f32; 2],
    /// The main output.
    pub main: [f32; 2],
    /// What each strip adds to the main output: behind fader, mute and solo.
    pub strips: [[f32; 2]; STRIPS],
    /// The click.
    pub click: [f32; 2],
}

impl Meters {
    /// The peaks since this was last called; for one display at a time.
    pub fn take(&self) -> Levels {
        self.read(|cell| cell.swap(0, Relaxed))
    }

    /// The peaks since [`Self::take`], which stay.
    pub fn peek(&self) -> Levels {
        self.read(|cell| cell.load(Relaxed))
    }

    fn read(&self, read: impl Fn(&AtomicU32) -> u32) -> Levels {
        let pair = |cells: &[AtomicU32; 2]| cells.each_ref().map(|cell| f32::from_bits(read(cell)));
        Levels {
            input: pair(&self.input),
            main: pair(&self.main),
            strips: self.strips.each_ref().map(pair),
            click: pair(&self.click),
        }
    }

    /// Raises the peaks to at least `levels`.
    pub(crate) fn raise(&self, levels: &Levels) {
        // Floats that are not negative are ordered as their bits are.
        let raise = |cell: &AtomicU32, level: f32| {
            if level > 0.0 {
                cell.fetch_max(level.to_bits(), Relaxed);
            }
        };
        let pair = |cells: &[AtomicU32; 2], levels: [f32; 2]| {
            cells.iter().zip(levels).for_each(|(cell, level)| raise(cell, level));
        };
        pair(&self.input, levels.input);
        pair(&self.main, levels.main);
        pair(&self.click, levels.click);
        self.strips.iter().zip(levels.strips).for_each(|(cells, levels)| pair(cells, levels));
    }
}
