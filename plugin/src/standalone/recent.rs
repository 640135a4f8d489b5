//! The songs that were open before, the last one first. What was kept of them is not believed: it is clamped.

use std::path::{Path, PathBuf};

/// More are never looked through.
const MOST: usize = 12;
/// No system has longer paths.
const MOST_BYTES: usize = 4_096;

/// See the module's words.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Recent(Vec<PathBuf>);

impl Recent {
    /// Of what was kept: each once, absolute, and not too many.
    pub(super) fn of(kept: impl IntoIterator<Item = PathBuf>) -> Self {
        let mut recent = Self::default();
        for path in kept {
            let length = path.as_os_str().len();
            if path.is_absolute() && length <= MOST_BYTES && !recent.0.contains(&path) {
                recent.0.push(path);
            }
            if recent.0.len() == MOST {
                break;
            }
        }
        recent
    }

    /// This one was opened.
    pub(super) fn opened(&mut self, path: &Path) {
        *self = Self::of(std::iter::once(path.to_owned()).chain(std::mem::take(&mut self.0)));
    }

    /// From the last one on.
    pub(super) fn paths(&self) -> &[PathBuf] {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_one_is_first_and_each_is_there_once() {
        let mut recent = Recent::default();
        for name in ["/a", "/b", "/c", "/a"] {
            recent.opened(Path::new(name));
        }
        assert_eq!(recent.paths(), ["/a", "/c", "/b"].map(PathBuf::from));
    }

    #[test]
    fn what_was_kept_is_clamped() {
        let odd = [format!("/{}", "x".repeat(MOST_BYTES)), "relative".to_owned(), String::new()];
        let kept = odd.into_iter().chain((0..100).map(|n| format!("/{n}")));
        let recent = Recent::of(kept.map(PathBuf::from));
        assert_eq!(recent.paths().len(), MOST);
        assert!(recent.paths().iter().all(|path| path.is_absolute()));
    }
}
