//! How each open session fares, for `/metrics`: one series each, which vanishes with its session, so there are never
//! more than there may be sessions. Must not know where the numbers come from.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use super::{Metrics, Number, Text};

/// The numbers of one session.
#[derive(Debug, Default)]
pub struct SessionHealth {
    model: String,
    /// QUIC's estimate at present.
    pub round_trip_micros: Number,
    /// Datagrams sent to this client on its present path, and those that got lost.
    pub datagrams: Number,
    /// See [`Self::datagrams`].
    pub lost_datagrams: Number,
    /// Chunks that this client has got.
    pub chunks: Number,
    /// Chunks given up because their deadline passed.
    pub given_up_chunks: Number,
    /// Hops that were not worked on: too late, or the session was paused.
    pub dropped_hops: Number,
    /// What the client says of itself: nothing was there, came too late, never came.
    pub underruns: Number,
    /// See [`Self::underruns`].
    pub late_chunks: Number,
    /// See [`Self::underruns`].
    pub lost_chunks: Number,
    /// The budget that the client would have needed lately, in microseconds; 0 while it does not know.
    pub needed_micros: Number,
}

/// The open sessions by number.
#[derive(Debug, Default)]
pub struct Sessions(Mutex<BTreeMap<u64, Arc<SessionHealth>>>);

/// A session's place among them; dropping it takes the series away.
#[derive(Debug)]
pub struct SessionEntry {
    metrics: Arc<Metrics>,
    session: u64,
    health: Arc<SessionHealth>,
}

impl SessionEntry {
    /// A series for this session, all zero.
    pub fn new(metrics: &Arc<Metrics>, session: u64, model: &str) -> Self {
        let health = Arc::new(SessionHealth { model: model.to_owned(), ..SessionHealth::default() });
        metrics.health.lock().insert(session, Arc::clone(&health));
        Self { metrics: Arc::clone(metrics), session, health }
    }
}

impl std::ops::Deref for SessionEntry {
    type Target = SessionHealth;

    fn deref(&self) -> &SessionHealth {
        &self.health
    }
}

impl Drop for SessionEntry {
    fn drop(&mut self) {
        self.metrics.health.lock().remove(&self.session);
    }
}

/// Name, type, help, and the value of a session.
type Series = (&'static str, &'static str, &'static str, fn(&SessionHealth) -> f64);

const SERIES: [Series; 10] = [
    ("session_round_trip_seconds", "gauge", "Round trip of each open session's link", |health| {
        health.round_trip_micros.get() as f64 / 1e6
    }),
    ("session_datagrams_total", "counter", "Datagrams sent to each open session", |health| {
        health.datagrams.get() as f64
    }),
    ("session_lost_datagrams_total", "counter", "Those of them that got lost and were repeated", |health| {
        health.lost_datagrams.get() as f64
    }),
    ("session_chunks_total", "counter", "Chunks of stems that each open session has got", |health| {
        health.chunks.get() as f64
    }),
    ("session_given_up_chunks_total", "counter", "Chunks given up because their deadline passed", |health| {
        health.given_up_chunks.get() as f64
    }),
    (
        "session_dropped_hops_total",
        "counter",
        "Hops not worked on, because they would have come too late or the session was paused",
        |health| health.dropped_hops.get() as f64,
    ),
    (
        "session_underruns_total",
        "counter",
        "Slots of 64 frames with nothing in them, by the client's account",
        |health| health.underruns.get() as f64,
    ),
    (
        "session_late_chunks_total",
        "counter",
        "Chunks that came too late, by the client's account",
        |health| health.late_chunks.get() as f64,
    ),
    ("session_lost_chunks_total", "counter", "Chunks that never came, by the client's account", |health| {
        health.lost_chunks.get() as f64
    }),
    (
        "session_needed_seconds",
        "gauge",
        "Budget that the link would have needed lately; 0: unknown",
        |health| health.needed_micros.get() as f64 / 1e6,
    ),
];

impl Sessions {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<u64, Arc<SessionHealth>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn write(&self, out: &mut Text) {
        let sessions = self.lock();
        for (name, kind, help, value) in SERIES {
            out.head(name, kind, help);
            for (session, health) in &*sessions {
                let model = health.model.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', " ");
                out.line(name, &format!("{{session=\"{session}\",model=\"{model}\"}}"), value(health));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_series_comes_and_goes_with_its_session() {
        let metrics = Arc::new(Metrics::new());
        let first = SessionEntry::new(&metrics, 7, "spleeter-2stems");
        let second = SessionEntry::new(&metrics, 8, "a\"b\\c");
        first.round_trip_micros.set(1_500);
        second.chunks.add(3);
        let text = metrics.text(true, &[]);
        for line in [
            "rehearsekit_session_round_trip_seconds{session=\"7\",model=\"spleeter-2stems\"} 0.0015",
            "rehearsekit_session_chunks_total{session=\"8\",model=\"a\\\"b\\\\c\"} 3",
        ] {
            assert!(text.lines().any(|l| l == line), "{line} is missing in\n{text}");
        }
        drop(first);
        assert!(!metrics.text(true, &[]).contains("session=\"7\""));
        drop(second);
        assert!(!metrics.text(true, &[]).contains("session=\""));
    }
}
