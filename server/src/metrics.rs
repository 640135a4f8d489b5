//! What the server counts, as atomics with fixed names, and their Prometheus text.
//!
//! Counting must never wait: the only lock is around the reasons of refusals and closings, which are rare.
//! This module must not know where the numbers come from.

pub mod sessions;

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

/// A number that others read now and then.
#[derive(Debug, Default)]
pub struct Number(AtomicU64);

/// Lines of this process's log that could not be written. The log's owner counts them here; there is one for the
/// process, as there is one log.
pub static LOG_LINES_LOST: Number = Number::new();

impl Number {
    /// Zero.
    pub const fn new() -> Self {
        Self(AtomicU64::new(0))
    }

    /// The value.
    pub fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }

    /// Adds `n`.
    pub fn add(&self, n: u64) {
        self.0.fetch_add(n, Relaxed);
    }

    /// Replaces the value; only for gauges.
    pub fn set(&self, n: u64) {
        self.0.store(n, Relaxed);
    }
}

/// How many of something there are at this moment. Cloning gives another handle.
#[derive(Debug, Clone, Default)]
pub struct Gauge(Arc<AtomicU64>);

/// One of those that a [`Gauge`] counts; dropping it takes it out of the count, however its owner ends.
#[derive(Debug)]
#[must_use = "dropping it takes it out of the count again"]
pub struct Counted(Arc<AtomicU64>);

impl Gauge {
    /// The value.
    pub fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }

    /// One more, as long as what this gives is kept.
    pub fn count(&self) -> Counted {
        self.0.fetch_add(1, Relaxed);
        Counted(Arc::clone(&self.0))
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Relaxed);
    }
}

/// Counts by reason.
#[derive(Debug, Default)]
pub struct Reasons(Mutex<BTreeMap<String, u64>>);

impl Reasons {
    /// Counts one `reason`, which must come from a fixed set.
    pub fn count(&self, reason: &str) {
        *self.lock().entry(reason.to_owned()).or_default() += 1;
    }

    /// How often `reason` was counted.
    pub fn get(&self, reason: &str) -> u64 {
        self.lock().get(reason).copied().unwrap_or_default()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<String, u64>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Upper bounds of the histograms' buckets in seconds: from a tenth of a millisecond to a slow device's window.
const BOUNDS: [f64; 16] =
    [0.0001, 0.0003, 0.001, 0.002, 0.003, 0.004, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0];

/// Durations in fixed buckets.
#[derive(Debug, Default)]
pub struct Histogram {
    buckets: [AtomicU64; BOUNDS.len()],
    count: Number,
    sum_micros: Number,
}

impl Histogram {
    /// Counts one duration.
    pub fn observe(&self, duration: Duration) {
        let seconds = duration.as_secs_f64();
        if let Some(bucket) = BOUNDS.iter().position(|bound| seconds <= *bound) {
            self.buckets[bucket].fetch_add(1, Relaxed);
        }
        self.count.add(1);
        self.sum_micros.add(u64::try_from(duration.as_micros()).unwrap_or(u64::MAX));
    }

    /// How many durations were counted.
    pub fn count(&self) -> u64 {
        self.count.get()
    }
}

/// Everything the server counts. See [`Metrics::text`] for what each is.
#[derive(Debug)]
#[allow(missing_docs, reason = "the help texts in `text` are the documentation, and users read those")]
pub struct Metrics {
    started: Instant,
    pub connections: Gauge,
    pub connections_total: Number,
    pub connections_refused: Number,
    pub connections_unproven: Number,
    pub sessions: Gauge,
    pub sessions_total: Number,
    pub hops: Number,
    pub late_chunks: Number,
    pub lost_packets: Number,
    pub late_packets: Number,
    pub dropped_frames: Number,
    pub epochs: Number,
    pub protocol_errors: Number,
    pub unusable_samples: Number,
    pub panics: Number,
    pub dropped_hops: Number,
    pub paused: Number,
    pub promised_millionths: Number,
    pub slowness_millionths: Number,
    pub queue_depth: Number,
    pub workers: Number,
    pub busy_micros: Number,
    pub idle_micros: Number,
    pub refused: Reasons,
    pub closed: Reasons,
    pub inference: Histogram,
    pub queueing: Histogram,
    pub overhead: Histogram,
    pub health: sessions::Sessions,
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl Metrics {
    /// All zero, counting from now.
    pub fn new() -> Self {
        Self {
            started: Instant::now(),
            connections: Gauge::default(),
            connections_total: Number::default(),
            connections_refused: Number::default(),
            connections_unproven: Number::default(),
            sessions: Gauge::default(),
            sessions_total: Number::default(),
            hops: Number::default(),
            late_chunks: Number::default(),
            lost_packets: Number::default(),
            late_packets: Number::default(),
            dropped_frames: Number::default(),
            epochs: Number::default(),
            protocol_errors: Number::default(),
            unusable_samples: Number::default(),
            panics: Number::default(),
            dropped_hops: Number::default(),
            paused: Number::default(),
            promised_millionths: Number::default(),
            slowness_millionths: Number::default(),
            queue_depth: Number::default(),
            workers: Number::default(),
            busy_micros: Number::default(),
            idle_micros: Number::default(),
            refused: Reasons::default(),
            closed: Reasons::default(),
            inference: Histogram::default(),
            queueing: Histogram::default(),
            overhead: Histogram::default(),
            health: sessions::Sessions::default(),
        }
    }

    /// The Prometheus text format, version 0.0.4. `parts`: what the watchdog looks at, and whether it is well.
    pub fn text(&self, ready: bool, parts: &[(&str, bool)]) -> String {
        let mut out = Text(String::with_capacity(8192));
        out.head("build_info", "gauge", "The running version");
        out.line("build_info", &format!("{{version=\"{}\"}}", env!("CARGO_PKG_VERSION")), 1.0);
        out.gauge("uptime_seconds", "Time since start", self.started.elapsed().as_secs_f64());
        out.gauge(
            "ready",
            "1 when all models are warm, the server is not draining, and newcomers get in",
            f64::from(u8::from(ready)),
        );
        out.head("part_well", "gauge", "1 for each part that the watchdog found well when it last looked");
        for (part, well) in parts {
            out.line("part_well", &format!("{{part=\"{part}\"}}"), f64::from(u8::from(*well)));
        }
        out.gauge("connections", "Open connections", self.connections.get() as f64);
        out.gauge("sessions", "Open sessions", self.sessions.get() as f64);
        out.gauge(
            "sessions_paused",
            "Open sessions whose hops are not taken, because the device is too slow at present",
            self.paused.get() as f64,
        );
        out.gauge(
            "device_promised_ratio",
            "Share of the busiest device's time that is promised to live sessions",
            self.promised_millionths.get() as f64 / 1e6,
        );
        out.gauge(
            "device_slowness_ratio",
            "How many times longer than usual inferences take at present on the slowest device",
            self.slowness_millionths.get() as f64 / 1e6,
        );
        out.gauge("queue_depth", "Inference jobs that wait", self.queue_depth.get() as f64);
        out.gauge("workers", "Inference threads", self.workers.get() as f64);
        let counters: [(&str, &str, &Number); 15] = [
            ("connections_total", "Connections that finished their handshake", &self.connections_total),
            (
                "connections_refused_total",
                "Connections turned away before a handshake",
                &self.connections_refused,
            ),
            (
                "connections_unproven_total",
                "Strangers who were asked to prove their address first, because many came at once",
                &self.connections_unproven,
            ),
            ("sessions_total", "Sessions opened", &self.sessions_total),
            ("hops_total", "Chunks of stems made", &self.hops),
            (
                "dropped_hops_total",
                "Hops dropped before their inference, because their stems would have come too late",
                &self.dropped_hops,
            ),
            ("late_chunks_total", "Chunks given up because their deadline passed", &self.late_chunks),
            ("lost_packets_total", "Gaps in the mix that were not filled in time", &self.lost_packets),
            (
                "late_packets_total",
                "Packets of the mix that came after their gap was given up",
                &self.late_packets,
            ),
            (
                "dropped_frames_total",
                "Frames of the mix dropped because their session fell behind",
                &self.dropped_frames,
            ),
            ("epochs_total", "Epochs started", &self.epochs),
            ("protocol_errors_total", "Connections closed for nonsense", &self.protocol_errors),
            (
                "unusable_samples_total",
                "NaN, infinite or absurd samples, taken as silence",
                &self.unusable_samples,
            ),
            ("panics_total", "Panics caught", &self.panics),
            (
                "log_lines_lost_total",
                "Lines of the log that could not be written, or not in time",
                &LOG_LINES_LOST,
            ),
        ];
        for (name, help, number) in counters {
            out.head(name, "counter", help);
            out.line(name, "", number.get() as f64);
        }
        let seconds = |micros: &Number| micros.get() as f64 / 1e6;
        out.head("worker_seconds_total", "counter", "Time of the inference threads, at work and to spare");
        out.line("worker_seconds_total", "{state=\"busy\"}", seconds(&self.busy_micros));
        out.line("worker_seconds_total", "{state=\"idle\"}", seconds(&self.idle_micros));
        out.reasons(
            "refused_total",
            "Connections, sessions, pairings and requests refused, by code",
            "code",
            &self.refused,
        );
        out.reasons("closed_total", "Sessions ended, by reason", "reason", &self.closed);
        out.histogram("inference_seconds", "Time inside the model per chunk", &self.inference);
        out.histogram(
            "queueing_seconds",
            "Time that a live hop waits because its lane has another to do",
            &self.queueing,
        );
        out.histogram(
            "overhead_seconds",
            "From the arrival of the last packet a live chunk needs to the link, without queueing and inference",
            &self.overhead,
        );
        self.health.write(&mut out);
        out.0
    }
}

/// Prometheus text being written.
struct Text(String);

impl Text {
    fn head(&mut self, name: &str, kind: &str, help: &str) {
        // Writing to a String cannot fail.
        let _ = writeln!(self.0, "# HELP rehearsekit_{name} {help}\n# TYPE rehearsekit_{name} {kind}");
    }

    fn line(&mut self, name: &str, labels: &str, value: f64) {
        let _ = writeln!(self.0, "rehearsekit_{name}{labels} {value}");
    }

    fn gauge(&mut self, name: &str, help: &str, value: f64) {
        self.head(name, "gauge", help);
        self.line(name, "", value);
    }

    fn reasons(&mut self, name: &str, help: &str, label: &str, reasons: &Reasons) {
        self.head(name, "counter", help);
        for (reason, count) in reasons.lock().iter() {
            self.line(name, &format!("{{{label}=\"{reason}\"}}"), *count as f64);
        }
    }

    fn histogram(&mut self, name: &str, help: &str, histogram: &Histogram) {
        self.head(name, "histogram", help);
        // Read before the buckets, so that a bucket is never below what is left for +Inf.
        let count = histogram.count.get();
        let mut below = 0;
        for (bound, bucket) in BOUNDS.iter().zip(&histogram.buckets) {
            below += bucket.load(Relaxed);
            self.line(&format!("{name}_bucket"), &format!("{{le=\"{bound}\"}}"), below as f64);
        }
        let count = count.max(below);
        self.line(&format!("{name}_bucket"), "{le=\"+Inf\"}", count as f64);
        self.line(&format!("{name}_sum"), "", histogram.sum_micros.get() as f64 / 1e6);
        self.line(&format!("{name}_count"), "", count as f64);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_is_what_prometheus_reads() {
        let metrics = Metrics::new();
        metrics.refused.count("full");
        metrics.refused.count("full");
        let mut sessions: Vec<Counted> = (0..3).map(|_| metrics.sessions.count()).collect();
        sessions.pop();
        for millis in [1, 30, 9_000] {
            metrics.inference.observe(Duration::from_millis(millis));
        }
        let text = metrics.text(true, &[("door", false)]);
        for line in [
            "rehearsekit_ready 1",
            "rehearsekit_part_well{part=\"door\"} 0",
            "rehearsekit_sessions 2",
            "rehearsekit_refused_total{code=\"full\"} 2",
            "rehearsekit_inference_seconds_bucket{le=\"0.0003\"} 0",
            "rehearsekit_inference_seconds_bucket{le=\"0.001\"} 1",
            "rehearsekit_inference_seconds_bucket{le=\"0.05\"} 2",
            "rehearsekit_inference_seconds_bucket{le=\"+Inf\"} 3",
            "rehearsekit_inference_seconds_sum 9.031",
            "rehearsekit_inference_seconds_count 3",
        ] {
            assert!(text.lines().any(|l| l == line), "{line} is missing in\n{text}");
        }
        let mut names: Vec<&str> = text
            .lines()
            .filter_map(|l| l.strip_prefix("# TYPE "))
            .filter_map(|l| l.split(' ').next())
            .collect();
        let all = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), all, "a name is there twice");
    }
}
