//! Where a model's stems lie in a mixer whose lanes never change: six lanes with fixed names, so that a model
//! with 2, 4 or 6 stems finds its place without moving anybody else's fader. Values only.

use rehearsekit_audio::StemSet;

/// Lanes of a mixer that takes any model.
pub const LANES: usize = StemSet::MAX;
/// Their names, in order. The last one closes the sum.
pub const LANE_NAMES: [&str; LANES] = ["vocals", "drums", "bass", "guitar", "piano", "other"];
/// The lane that closes the sum.
const CLOSING_LANE: u8 = (LANES - 1) as u8;

/// Which lane each stem lies on. Travels with every slot, since the server behind a link may change its model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Layout {
    /// The lanes of the travelling stems, in the order of their channels; those behind `travelling` are unused.
    lanes: [u8; LANES - 1],
    travelling: u8,
    closing: u8,
}

impl Layout {
    /// Stem `i` of `stem_count` on lane `i`. Numbers outside their range are taken to the nearest that is allowed.
    pub fn in_order(stem_count: usize, closing: usize) -> Self {
        let stem_count = stem_count.clamp(2, LANES);
        let closing = closing.min(stem_count - 1);
        let mut layout = Self { lanes: [0; LANES - 1], travelling: 0, closing: closing as u8 };
        (0..stem_count).filter(|&stem| stem != closing).for_each(|stem| layout.add(stem as u8));
        layout
    }

    /// Each stem on the lane of its name, the closing one (an accompaniment, usually) on the last lane, stems of
    /// other names on the first lanes that are free.
    pub fn by_name(set: &StemSet) -> Self {
        let named = |stem: usize| {
            let name = set.names()[stem].as_str();
            LANE_NAMES.iter().take(LANES - 1).position(|&lane| lane == name).map(|lane| lane as u8)
        };
        let mut taken: [bool; LANES - 1] = [false; LANES - 1];
        set.travelling().filter_map(named).for_each(|lane| taken[usize::from(lane)] = true);
        let mut layout = Self { lanes: [0; LANES - 1], travelling: 0, closing: CLOSING_LANE };
        for stem in set.travelling() {
            let lane = named(stem).unwrap_or_else(|| {
                // A set has at most as many travelling stems as there are lanes beside the closing one.
                let free = taken.iter().position(|taken| !taken).unwrap_or_default();
                taken[free] = true;
                free as u8
            });
            layout.add(lane);
        }
        layout
    }

    fn add(&mut self, lane: u8) {
        if let Some(free) = self.lanes.get_mut(usize::from(self.travelling)) {
            *free = lane;
            self.travelling += 1;
        }
    }

    /// The lanes of the travelling stems, in the order of their channels.
    pub fn lanes(&self) -> impl Iterator<Item = usize> + '_ {
        self.lanes[..usize::from(self.travelling)].iter().map(|&lane| usize::from(lane))
    }

    /// How many channels a slot of this layout carries.
    pub fn channels(&self) -> usize {
        2 * usize::from(self.travelling)
    }

    /// The lane of the stem that closes the sum.
    pub fn closing(&self) -> usize {
        self.closing.into()
    }

    /// Whether a stem lies on `lane`.
    pub fn has(&self, lane: usize) -> bool {
        lane == self.closing() || self.lanes().any(|taken| taken == lane)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lanes(names: &[&str]) -> Vec<usize> {
        let layout = Layout::by_name(&StemSet::new(names).unwrap());
        assert_eq!(layout.closing(), 5);
        layout.lanes().collect()
    }

    #[test]
    fn stems_lie_on_the_lanes_of_their_names() {
        assert_eq!(lanes(&["vocals", "accompaniment"]), [0]);
        assert_eq!(lanes(&["drums", "bass", "other", "vocals"]), [1, 2, 0]);
        assert_eq!(lanes(&["vocals", "piano", "guitar", "bass", "drums", "other"]), [0, 4, 3, 2, 1]);
    }

    #[test]
    fn unknown_names_take_what_is_free_and_nobody_shares() {
        assert_eq!(lanes(&["left-hand", "right-hand"]), [0]);
        assert_eq!(lanes(&["strings", "vocals", "brass", "other"]), [1, 0, 2]);
        assert_eq!(lanes(&["accompaniment", "a", "b", "c", "d", "other"]), [0, 1, 2, 3, 4]);
    }

    #[test]
    fn in_order_is_as_the_model_has_them() {
        let layout = Layout::in_order(4, 2);
        assert_eq!(layout.lanes().collect::<Vec<_>>(), [0, 1, 3]);
        assert_eq!(layout.closing(), 2);
        assert!(layout.has(2) && layout.has(3) && !layout.has(4));
        assert_eq!(Layout::in_order(99, 99).lanes().count(), 5);
    }
}
