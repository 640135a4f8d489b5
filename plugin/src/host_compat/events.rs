//! Parameter changes of one block, for both formats: collected, sorted, and applied exactly at their frame by
//! cutting the block there. nice-plug is given no parameter events at all, because it would hand each one to a
//! worker thread from the audio thread (a system call) or call back into the host.
//!
//! Nothing here allocates after `new`.

use crate::shared::Shared;

/// As many changes of one block keep their exact frame; what comes on top is applied with the last of them.
const CAPACITY: usize = 1024;

/// What happens to a parameter.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Change {
    /// Set to this value in 0..=1.
    Set(f32),
    /// Offset by this much (CLAP modulation).
    Modulate(f32),
}

#[derive(Debug, Clone, Copy)]
struct Event {
    frame: usize,
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

    fn index(&self, id: u32) -> Option<usize> {
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
    let Some(pointer) = shared.pointers().get(index) else { return };
    match change {
        Change::Set(value) if shared.gestures.is_echo(index, value) => {}
        // SAFETY: it points into `shared.params`, which lives as long as `shared`; the values are atomics.
        Change::Set(value) => drop(unsafe { pointer._internal_set_normalized_value(value) }),
        // SAFETY: as above.
        Change::Modulate(offset) => drop(unsafe { pointer._internal_modulate_value(offset) }),
    }
}

/// The player moves parameter `index` to this value in 0..=1. Editor thread.
pub fn set_by_hand(shared: &Shared, index: usize, normalized: f32) {
    let Some(pointer) = shared.pointers().get(index) else { return };
    shared.gestures.moving(index, normalized);
    // SAFETY: it points into `shared.params`, which lives as long as `shared`; the values are atomics.
    unsafe { pointer._internal_set_normalized_value(normalized) };
    shared.gestures.moved(index);
}

/// The value of parameter `index` in 0..=1, without modulation.
pub fn normalized(shared: &Shared, index: usize) -> f32 {
    let Some(pointer) = shared.pointers().get(index) else { return 0.0 };
    // SAFETY: it points into `shared.params`, which lives as long as `shared`; the values are atomics.
    unsafe { pointer.unmodulated_normalized_value() }
}

/// The changes of the block that is being processed.
pub(crate) struct Events {
    events: Vec<Event>,
}

impl Default for Events {
    fn default() -> Self {
        Self { events: Vec::with_capacity(CAPACITY) }
    }
}

impl Events {
    /// Begins the next block.
    pub(crate) fn clear(&mut self) {
        self.events.clear();
    }

    /// Adds a change of parameter `id` at `frame`, which is clamped into a block of `frames`. Unknown parameters
    /// and values that are no numbers are nobody's business.
    pub(crate) fn push(&mut self, table: &ParamTable, id: u32, frame: i64, frames: usize, change: Change) {
        let (Change::Set(value) | Change::Modulate(value)) = change;
        let Some(param) = table.index(id).filter(|_| value.is_finite()) else { return };
        let last = frames.saturating_sub(1);
        let frame = usize::try_from(frame).unwrap_or(0).min(last);
        let event = Event { frame, param, change };
        if self.events.len() == CAPACITY {
            // Full: the newest value still wins, only not at its frame.
            if let Some(slot) = self.events.iter_mut().rev().find(|e| e.param == param) {
                slot.change = change;
            }
            return;
        }
        // Stable, and cheap where they come in order, as they should.
        let place = self.events.partition_point(|known| known.frame <= frame);
        self.events.insert(place, event);
    }

    /// Applies everything at or before `frame` that has not been applied, and says where the next change is.
    /// `done` counts what was applied.
    pub(crate) fn apply_until(&self, shared: &Shared, frame: usize, done: &mut usize) -> Option<usize> {
        while let Some(event) = self.events.get(*done) {
            if event.frame > frame {
                return Some(event.frame);
            }
            apply(shared, event.param, event.change);
            *done += 1;
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::params::PARAM_COUNT;

    fn table() -> ParamTable {
        ParamTable::new((1000..).take(PARAM_COUNT).collect())
    }

    #[test]
    fn changes_are_applied_at_their_frame_and_in_order() {
        let (shared, table) = (Shared::default(), table());
        let mut events = Events::default();
        // Out of order, before the block, behind it, unknown, no number.
        events.push(&table, 1001, 10, 64, Change::Set(0.0));
        events.push(&table, 1001, -5, 64, Change::Set(1.0));
        events.push(&table, 1001, 99, 64, Change::Set(0.875));
        events.push(&table, 7, 3, 64, Change::Set(1.0));
        events.push(&table, 1001, 5, 64, Change::Set(f32::NAN));
        let (mut done, gain) = (0, &shared.params.vocals.gain);
        assert_eq!(events.apply_until(&shared, 0, &mut done), Some(10));
        assert_eq!(gain.value(), 12.0);
        assert_eq!(events.apply_until(&shared, 10, &mut done), Some(63));
        assert_eq!(shared.params.mixer().strips[0].gain_db, f32::NEG_INFINITY);
        assert_eq!(events.apply_until(&shared, 63, &mut done), None);
        assert_eq!((gain.value(), done), (0.0, 3));
    }

    #[test]
    fn a_full_list_keeps_the_last_value() {
        let (shared, table) = (Shared::default(), table());
        let mut events = Events::default();
        for frame in 0..2 * CAPACITY as i64 {
            let value = if frame % 2 == 0 { 0.25 } else { 0.5 };
            events.push(&table, 1001, frame, 4096, Change::Set(value));
        }
        let mut done = 0;
        events.apply_until(&shared, 4095, &mut done);
        assert_eq!((done, normalized(&shared, 1)), (CAPACITY, 0.5));
    }

    #[test]
    fn a_gesture_is_applied_at_once_and_its_echo_changes_nothing() {
        let (shared, table) = (Shared::default(), table());
        set_by_hand(&shared, 1, 0.25);
        set_by_hand(&shared, 1, 0.5);
        assert_eq!(normalized(&shared, 1), 0.5);
        let mut events = Events::default();
        events.push(&table, 1001, 0, 64, Change::Set(0.25));
        events.apply_until(&shared, 0, &mut 0);
        assert_eq!(normalized(&shared, 1), 0.5, "the echo of the first move");
        events.clear();
        events.push(&table, 1001, 0, 64, Change::Set(0.75));
        events.apply_until(&shared, 0, &mut 0);
        assert_eq!(normalized(&shared, 1), 0.75, "the host's own");
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
