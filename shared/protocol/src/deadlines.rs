//! What must be given up at which moment: the streams of a live session, each of which is reset when its
//! deadline passes. Knows no streams and no clock; the caller's keys stand for what expires.

use std::{collections::BTreeSet, time::Duration};

/// Keys ordered by the moment they expire.
#[derive(Debug, Clone, Default)]
pub struct Deadlines<K> {
    set: BTreeSet<(Duration, K)>,
}

impl<K: Ord + Copy> Deadlines<K> {
    /// Nothing to wait for.
    pub fn new() -> Self {
        Self { set: BTreeSet::new() }
    }

    /// `key` is to be given up at `at`.
    pub fn insert(&mut self, at: Duration, key: K) {
        self.set.insert((at, key));
    }

    /// `key` came through in time. Give the same `at` as on insertion; says whether it was still there.
    pub fn remove(&mut self, at: Duration, key: K) -> bool {
        self.set.remove(&(at, key))
    }

    /// The next moment at which something expires.
    pub fn next(&self) -> Option<Duration> {
        self.set.first().map(|(at, _)| *at)
    }

    /// Takes one key whose deadline is `now` or earlier, oldest first; call until `None`.
    pub fn pop_expired(&mut self, now: Duration) -> Option<K> {
        if self.next()? > now {
            return None;
        }
        self.set.pop_first().map(|(_, key)| key)
    }

    /// How many are waited for.
    pub fn len(&self) -> usize {
        self.set.len()
    }

    /// Whether nothing is waited for.
    pub fn is_empty(&self) -> bool {
        self.set.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_due_comes_out_oldest_first() {
        let ms = Duration::from_millis;
        let mut deadlines = Deadlines::new();
        for (at, key) in [(30, 'c'), (10, 'a'), (20, 'b'), (40, 'd')] {
            deadlines.insert(ms(at), key);
        }
        assert_eq!(deadlines.next(), Some(ms(10)));
        assert!(deadlines.remove(ms(20), 'b'));
        assert!(!deadlines.remove(ms(20), 'b'));
        assert_eq!(deadlines.pop_expired(ms(9)), None);
        assert_eq!(deadlines.pop_expired(ms(30)), Some('a'));
        assert_eq!(deadlines.pop_expired(ms(30)), Some('c'));
        assert_eq!(deadlines.pop_expired(ms(30)), None);
        assert_eq!((deadlines.len(), deadlines.is_empty()), (1, false));
    }
}
