//! How the window looks: its size and type, which the project keeps so that a window comes back as it was left. No
//! parameter and nothing the engine needs to know. Only main and editor threads come here.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};

/// The smallest and the largest window that is kept, in points.
const SMALLEST: [f32; 2] = [480.0, 320.0];
const LARGEST: [f32; 2] = [4000.0, 3000.0];

/// What is kept of a window.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Look {
    /// Width and height in points: pixels at 100 % of size and of the screen's scale.
    pub size: [f32; 2],
    /// Type that can be read from a music stand.
    pub large_type: bool,
    /// The size of everything, in percent, on top of the screen's own scale.
    pub scale_percent: u32,
}

impl Default for Look {
    fn default() -> Self {
        Self { size: [900.0, 540.0], large_type: false, scale_percent: 100 }
    }
}

impl Look {
    /// The nearest that can be shown: a project is not trusted.
    #[must_use]
    pub fn sane(self) -> Self {
        let fitting = |axis: usize| match self.size[axis] {
            size if size.is_finite() => size.clamp(SMALLEST[axis], LARGEST[axis]),
            _ => Self::default().size[axis],
        };
        Self {
            size: [fitting(0), fitting(1)],
            scale_percent: self.scale_percent.clamp(50, 300),
            large_type: self.large_type,
        }
    }

    /// The size of everything as a factor.
    pub fn zoom(&self) -> f32 {
        self.scale_percent as f32 / 100.0
    }
}

/// The look of one instance.
#[derive(Clone, Default)]
pub struct LookCell(Arc<Mutex<Look>>);

impl LookCell {
    /// How it looks now.
    pub fn get(&self) -> Look {
        *self.lock()
    }

    /// Changes it.
    pub fn change(&self, change: impl FnOnce(&mut Look)) {
        let mut look = self.lock();
        change(&mut look);
        *look = look.sane();
    }

    fn lock(&self) -> MutexGuard<'_, Look> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_odd_look_from_a_project_becomes_one_that_can_be_shown() {
        let odd = Look { size: [1e9, f32::NAN], large_type: true, scale_percent: 9_000 };
        assert_eq!(odd.sane(), Look { size: [4000.0, 540.0], large_type: true, scale_percent: 300 });
        assert_eq!(Look::default().sane(), Look::default());
        let cell = LookCell::default();
        cell.change(|look| look.size[0] = 3.0);
        assert_eq!(cell.get().size, [480.0, 540.0]);
    }
}
