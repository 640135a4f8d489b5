//! Parameter changes of one block, for both formats: collected, sorted, and applied exactly at their frame by
//! cutting the block there. nice-plug is given no parameter events at all, because it would hand each one to a
//! worker thread from the audio thread (a system call) or call back into the host.
//!
//! Nothing here allocates after `new`, and nothing is lost: what does not fit is read again from the host's list when
//! its turn comes.

use crate::host_compat::values;
use crate::shared::Shared;

pub use values::normalized;

/// As many changes of one block are held at once; a host's list with more is read more than once.
const CAPACITY: usize = 1024;

/// What happens to a parameter.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Change {
    /// Set to this value in 0..=1.
    Set(f32),
    /// Offset by this much (CLAP modulation).
    Modulate(f32),
}

/// A host's list of changes for one block, which can be read again and again while the block is played.
pub(crate) trait Source {
    /// Hands over all of them in the host's order: the host's number of the parameter, the frame, the change.
    fn each(&self, take: &mut dyn FnMut(u32, i64, Change));
}

/// When a change acts: at its frame, and there in the host's order.
type Turn = (usize, usize);

#[derive(Debug, Clone, Copy)]
struct Event {
    turn: Turn,
    param: usize,
    change: Change,
}

/// The parameters by the numbers that hosts use.
pub(crate) struct ParamTable {
    ids: Vec<u32>,
}

impl ParamTable {
    /// `ids` are the hosts' numbers, in the order in which nice-plug announces the parameters.
    pub(crate) fn new(ids: Vec<u32>) -> Self {
        Self { ids }
    }

    /// The host's number of the parameter at `index`.
    pub(crate) fn id(&self, index: usize) -> Option<u32> {
        self.ids.get(index).copied()
    }

    /// The place of the parameter with the host's number `id`.
    pub(crate) fn index(&self, id: u32) -> Option<usize> {
        self.ids.iter().position(|known| *known == id)
    }

    /// Steps between 0 and the largest value of a parameter, as CLAP counts them: 1 for a fader and a switch.
    pub(crate) fn steps(&self, shared: &Shared, id: u32) -> f32 {
        let Some(pointer) = self.index(id).and_then(|index| shared.pointers().get(index)) else { return 1.0 };
        // SAFETY: it points into `shared.params`, which lives as long as `shared`.
        unsafe { pointer.step_count() }.unwrap_or(1) as f32
    }
}

/// Applies a change that came from the host. Audio thread, or main thread while nothing is processed.
fn apply(shared: &Shared, index: usize, change: Change) {
    match change {
        Change::Set(value) => {
            shared.announced.arrived(index);
            if !shared.gestures.is_echo(index, value) {
                values::set(shared, index, value);
            }
        }
        Change::Modulate(offset) => values::modulate(shared, index, offset),
    }
}

/// The player moves parameter `index` to the nearest to this value that there is in 0..=1, which it gives; nothing
/// happens for what is no number. Editor thread.
pub fn set_by_hand(shared: &Shared, index: usize, normalized: f32) -> Option<f32> {
    let normalized = values::nearest(normalized)?;
    shared.gestures.moving(index, normalized);
    values::set(shared, index, normalized);
    shared.announced.arrived(index);
    shared.gestures.moved(index);
    Some(normalized)
}

/// The changes of the block that is being processed.
pub(crate) struct Events {
    /// The next ones, in their turn.
    events: Vec<Event>,
    /// How many of these were applied.
    done: usize,
    /// The turn of the last one that was applied in this block.
    last: Option<Turn>,
    /// Whether the host's list has more, after those that are held.
    has_more: bool,
    frames: usize,
}

impl Default for Events {
    fn default() -> Self {
        Self { events: Vec::with_capacity(CAPACITY), done: 0, last: None, has_more: false, frames: 0 }
    }
}

impl Events {
    /// Begins the next block, of `frames` frames. What the host said long ago, was taken for an echo and was none,
    /// comes into force.
    pub(crate) fn begin(&mut self, shared: &Shared, table: &ParamTable, source: &dyn Source, frames: usize) {
        shared.gestures.overdue(|index, value| values::set(shared, index, value));
        (self.last, self.frames) = (None, frames);
        self.fill(table, source);
    }

    /// Takes those that come next of the host's list. Unknown parameters and values that are no numbers are nobody's
    /// business; a frame outside of the block is taken into it.
    fn fill(&mut self, table: &ParamTable, source: &dyn Source) {
        self.events.clear();
        (self.done, self.has_more) = (0, false);
        let mut number = 0;
        source.each(&mut |id, frame, change| {
            number += 1;
            let (Change::Set(value) | Change::Modulate(value)) = change;
            let Some(param) = table.index(id).filter(|_| value.is_finite()) else { return };
            let frame = usize::try_from(frame).unwrap_or(0).min(self.frames.saturating_sub(1));
            self.take(Event { turn: (frame, number), param, change });
        });
    }

    fn take(&mut self, event: Event) {
        if self.last.is_some_and(|last| event.turn <= last) {
            return;
        }
        // Stable, and cheap where they come in order, as they should.
        let place = self.events.partition_point(|known| known.turn < event.turn);
        if self.events.len() == CAPACITY {
            self.has_more = true;
            if place == CAPACITY {
                return;
            }
            self.events.pop();
        }
        self.events.insert(place, event);
    }

    /// Applies everything at or before `frame` that has not been applied, and says where the next change is.
    pub(crate) fn apply_until(
        &mut self,
        shared: &Shared,
        table: &ParamTable,
        source: &dyn Source,
        frame: usize,
    ) -> Option<usize> {
        loop {
            while let Some(event) = self.events.get(self.done) {
                if event.turn.0 > frame {
                    return Some(event.turn.0);
                }
                apply(shared, event.param, event.change);
                self.last = Some(event.turn);
                self.done += 1;
            }
            if !self.has_more {
                return None;
            }
            self.fill(table, source);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::params::PARAM_COUNT;

    fn table() -> ParamTable {
        ParamTable::new((1000..).take(PARAM_COUNT).collect())
    }

    impl Source for &[(u32, i64, Change)] {
        fn each(&self, take: &mut dyn FnMut(u32, i64, Change)) {
            self.iter().for_each(|(id, frame, change)| take(*id, *frame, *change));
        }
    }

    /// One block with these changes: when each value of parameter 1 came into force, and what it was.
    fn block(shared: &Shared, frames: usize, changes: &[(u32, i64, Change)]) -> Vec<(usize, f32)> {
        let (table, mut events, mut heard, mut at) = (table(), Events::default(), Vec::new(), 0);
        events.begin(shared, &table, &changes, frames);
        while at < frames {
            let next = events.apply_until(shared, &table, &changes, at).unwrap_or(frames);
            let now = shared.params.vocals.gain.modulated_normalized_value();
            if heard.last().is_none_or(|(_, before)| *before != now) {
                heard.push((at, now));
            }
            at = next;
        }
        assert!(events.events.capacity() == CAPACITY, "no memory is asked for");
        heard
    }

    use nice_plug::prelude::Param as _;

    #[test]
    fn changes_are_applied_at_their_frame_and_in_order() {
        let shared = Shared::default();
        // Out of order, before the block, behind it, unknown, no number.
        let heard = block(
            &shared,
            64,
            &[
                (1001, 10, Change::Set(0.0)),
                (1001, -5, Change::Set(1.0)),
                (1001, 99, Change::Set(0.875)),
                (7, 3, Change::Set(1.0)),
                (1001, 5, Change::Set(f32::NAN)),
            ],
        );
        assert_eq!(heard, [(0, 1.0), (10, 0.0), (63, 0.875)]);
    }

    #[test]
    fn as_many_changes_as_a_host_likes_are_all_applied_at_their_frame() {
        let shared = Shared::default();
        let value = |frame: i64| (frame % 7 + 1) as f32 / 8.0;
        let mut changes: Vec<(u32, i64, Change)> =
            (0..5_000).map(|frame| (1001, frame, Change::Set(value(frame)))).collect();
        // Another parameter moves once, behind all of them in the host's list and in time.
        changes.push((1002, 4_999, Change::Set(1.0)));
        let heard = block(&shared, 5_000, &changes);
        assert_eq!(heard.len(), 5_000);
        assert!(heard.iter().all(|(frame, now)| (*now - value(*frame as i64)).abs() < 1e-6));
        assert!(shared.params.vocals.mute.value());
        // The same the other way round, and all at one frame.
        changes.reverse();
        assert_eq!(block(&shared, 5_000, &changes), heard);
        let at_once: Vec<_> = changes.iter().rev().map(|(id, _, change)| (*id, 0, *change)).collect();
        block(&shared, 64, &at_once);
        assert!((normalized(&shared, 1) - value(4_999)).abs() < 1e-6);
    }

    #[test]
    fn a_modulation_never_takes_the_place_of_a_value() {
        let shared = Shared::default();
        let mut changes = vec![(1001, 0, Change::Set(0.25))];
        changes.extend((0..3_000).map(|frame| (1001, frame, Change::Modulate(frame as f32 / 3_000.0))));
        changes.push((1001, 2_000, Change::Set(0.5)));
        changes.push((1001, 3_000, Change::Modulate(0.0)));
        block(&shared, 4_000, &changes);
        assert_eq!(normalized(&shared, 1), 0.5);
        assert_eq!(shared.params.vocals.gain.modulated_normalized_value(), 0.5);
    }

    #[test]
    fn a_gesture_is_applied_at_once_and_its_echo_changes_nothing() {
        let shared = Shared::default();
        shared.gestures.expect_echoes();
        set_by_hand(&shared, 1, 0.25);
        set_by_hand(&shared, 1, 0.5);
        assert_eq!(normalized(&shared, 1), 0.5);
        block(&shared, 64, &[(1001, 0, Change::Set(0.25))]);
        assert_eq!(normalized(&shared, 1), 0.5, "the echo of the first move");
        block(&shared, 64, &[(1001, 0, Change::Set(0.5)), (1001, 1, Change::Set(0.25))]);
        assert_eq!(normalized(&shared, 1), 0.25, "the echo of the second, then the host's own");
        block(&shared, 64, &[(1001, 0, Change::Set(0.75))]);
        assert_eq!(normalized(&shared, 1), 0.75, "the host's own");
    }

    #[test]
    fn where_a_host_echoes_nothing_its_first_word_is_its_own() {
        let shared = Shared::default();
        set_by_hand(&shared, 1, 0.25);
        set_by_hand(&shared, 1, 0.5);
        block(&shared, 64, &[(1001, 0, Change::Set(0.25))]);
        assert_eq!(normalized(&shared, 1), 0.25);
    }

    #[test]
    fn what_was_taken_for_an_echo_and_stays_the_last_word_comes_into_force() {
        let shared = Shared::default();
        shared.gestures.expect_echoes();
        set_by_hand(&shared, 1, 0.25);
        set_by_hand(&shared, 1, 0.5);
        block(&shared, 64, &[(1001, 0, Change::Set(0.25))]);
        shared.gestures.passed(10_000);
        block(&shared, 64, &[]);
        assert_eq!(normalized(&shared, 1), 0.5, "the other echo may still come");
        shared.gestures.passed(100_000);
        block(&shared, 64, &[]);
        assert_eq!(normalized(&shared, 1), 0.25, "it does not: the host meant it");
    }

    /// What a host moves at one place of its list is what the engine has at that place.
    #[test]
    fn parameters_are_in_the_order_of_the_controls() {
        for index in 0..PARAM_COUNT {
            let shared = Shared::default();
            let before = shared.params.mixer();
            let now = normalized(&shared, index);
            set_by_hand(&shared, index, if now < 1.0 { 1.0 } else { 0.0 });
            let after = shared.params.mixer();
            let moved: Vec<usize> = (0..PARAM_COUNT).filter(|&at| before.differs(&after, at)).collect();
            assert_eq!(moved, [index]);
        }
    }
}
