//! Inference on named threads of its own, behind bounded queues.
//!
//! A session has at most one job here at a time, so a queue as long as the number of sessions never fills.
//! Live jobs go before patient ones (a bounce must not make a player late). A panic ends its job and is
//! told to the one who waits for it; the thread lives on. This module must not know sessions or models.

use std::{
    any::Any,
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    thread::JoinHandle,
    time::Instant,
};

use crossbeam_channel::{Receiver, Sender, TryRecvError, TrySendError, bounded, select};
use tokio::sync::oneshot;

use crate::metrics::Metrics;

type Job = Box<dyn FnOnce() + Send>;

/// Which queue a job goes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Urgency {
    /// Somebody is listening.
    Live,
    /// May wait for all live jobs.
    Patient,
}

/// Why a job has no result.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum JobError {
    /// More jobs than sessions: the caller queued without waiting for its last job.
    #[error("the inference queue is full")]
    QueueFull,
    /// The pool has been closed.
    #[error("the inference threads have ended")]
    Closed,
    /// The job panicked with this message.
    #[error("an inference panicked: {0}")]
    Panicked(String),
}

/// The threads and their queues. Cloning gives another handle.
#[derive(Clone)]
pub struct Workers {
    live: Sender<Job>,
    patient: Sender<Job>,
    metrics: Arc<Metrics>,
}

/// The threads themselves, to be joined after every [`Workers`] handle is gone.
pub struct WorkerThreads(Vec<JoinHandle<()>>);

impl Workers {
    /// Starts `threads` threads called `separate-0` and up, with room for `queue` jobs of each urgency.
    pub fn start(threads: usize, queue: usize, metrics: Arc<Metrics>) -> io::Result<(Self, WorkerThreads)> {
        let (live, live_jobs) = bounded(queue.max(1));
        let (patient, patient_jobs) = bounded(queue.max(1));
        let mut handles = Vec::with_capacity(threads);
        for index in 0..threads.max(1) {
            let (live_jobs, patient_jobs, metrics) =
                (live_jobs.clone(), patient_jobs.clone(), metrics.clone());
            let work = move || work(&live_jobs, &patient_jobs, &metrics);
            handles.push(std::thread::Builder::new().name(format!("separate-{index}")).spawn(work)?);
        }
        metrics.workers.set(handles.len() as u64);
        Ok((Self { live, patient, metrics }, WorkerThreads(handles)))
    }

    /// Queues `job`; the result arrives on the receiver. If nobody waits any more the result is dropped on
    /// the worker thread. Never blocks.
    pub fn submit<T: Send + 'static>(
        &self,
        urgency: Urgency,
        job: impl FnOnce() -> T + Send + 'static,
    ) -> oneshot::Receiver<Result<T, JobError>> {
        let (reply, result) = oneshot::channel();
        let reply = Arc::new(std::sync::Mutex::new(Some(reply)));
        let for_worker = reply.clone();
        let answer = move |to: &std::sync::Mutex<Option<oneshot::Sender<_>>>, value| {
            let sender = to.lock().unwrap_or_else(std::sync::PoisonError::into_inner).take();
            // An error means that the session is gone, which is its right.
            sender.map(|sender| sender.send(value).is_ok())
        };
        let boxed: Job = Box::new(move || {
            let outcome = catch_unwind(AssertUnwindSafe(job));
            answer(&for_worker, outcome.map_err(|panic| JobError::Panicked(message_of(&*panic))));
        });
        let queue = match urgency {
            Urgency::Live => &self.live,
            Urgency::Patient => &self.patient,
        };
        // Counted before sending, or a quick worker would take one down first.
        self.metrics.queue_depth.add(1);
        if let Err(error) = queue.try_send(boxed) {
            self.metrics.queue_depth.sub(1);
            let error = match error {
                TrySendError::Full(_) => JobError::QueueFull,
                TrySendError::Disconnected(_) => JobError::Closed,
            };
            answer(&reply, Err(error));
        }
        result
    }
}

impl WorkerThreads {
    /// Waits until all threads have ended, which they do once every [`Workers`] is dropped and the queues
    /// are empty.
    pub fn join(self) {
        for handle in self.0 {
            // Jobs cannot unwind through `work`, so there is nothing to be told here.
            let _ = handle.join();
        }
    }
}

fn work(live: &Receiver<Job>, patient: &Receiver<Job>, metrics: &Metrics) {
    let mut idle_since = Instant::now();
    loop {
        let job = match live.try_recv() {
            Ok(job) => Ok(job),
            Err(TryRecvError::Empty) => select! {
                recv(live) -> job => job,
                recv(patient) -> job => job,
            },
            // Both senders live in the same handle: what is patient may still be queued.
            Err(TryRecvError::Disconnected) => patient.recv(),
        };
        let Ok(job) = job else {
            // `select!` may see one queue closed before the other is empty.
            match live.try_recv().or_else(|_| patient.try_recv()) {
                Ok(job) => run(job, metrics, &mut idle_since),
                Err(_) => return,
            }
            continue;
        };
        run(job, metrics, &mut idle_since);
    }
}

fn run(job: Job, metrics: &Metrics, idle_since: &mut Instant) {
    metrics.queue_depth.sub(1);
    let start = Instant::now();
    metrics.idle_micros.add(micros(start - *idle_since));
    job();
    *idle_since = Instant::now();
    metrics.busy_micros.add(micros(*idle_since - start));
}

fn micros(duration: std::time::Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

/// The text of a panic; it almost always is one.
pub(crate) fn message_of(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "without a message".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pool(threads: usize, queue: usize) -> (Workers, WorkerThreads, Arc<Metrics>) {
        let metrics = Arc::new(Metrics::new());
        let (workers, threads) = Workers::start(threads, queue, metrics.clone()).unwrap();
        (workers, threads, metrics)
    }

    #[test]
    fn a_panic_is_told_and_costs_nobody_else_anything() {
        let (workers, threads, _) = pool(1, 4);
        let bad = workers.submit(Urgency::Live, || -> u32 { panic!("a net without a floor") });
        let good = workers.submit(Urgency::Live, || std::thread::current().name().map(str::to_owned));
        let told = bad.blocking_recv().unwrap().unwrap_err();
        assert_eq!(told, JobError::Panicked("a net without a floor".to_owned()));
        assert_eq!(good.blocking_recv().unwrap().unwrap().as_deref(), Some("separate-0"));
        drop(workers);
        threads.join();
    }

    #[test]
    fn live_jobs_go_before_patient_ones_and_a_full_queue_says_so() {
        let (workers, threads, metrics) = pool(1, 2);
        let (entered, on_entry) = bounded::<()>(1);
        let (open, gate) = bounded::<()>(0);
        let first = workers.submit(Urgency::Live, move || {
            entered.send(()).unwrap();
            let _ = gate.recv();
        });
        on_entry.recv().unwrap();
        let order = Arc::new(std::sync::Mutex::new(Vec::new()));
        let note = |name: &'static str| {
            let order = order.clone();
            move || order.lock().unwrap().push(name)
        };
        let waiting = [
            workers.submit(Urgency::Patient, note("patient")),
            workers.submit(Urgency::Live, note("live 1")),
            workers.submit(Urgency::Live, note("live 2")),
        ];
        assert_eq!(metrics.queue_depth.get(), 3);
        let refused = workers.submit(Urgency::Live, || ()).blocking_recv().unwrap();
        assert_eq!(refused, Err(JobError::QueueFull));
        drop(open);
        first.blocking_recv().unwrap().unwrap();
        for job in waiting {
            job.blocking_recv().unwrap().unwrap();
        }
        assert_eq!(*order.lock().unwrap(), ["live 1", "live 2", "patient"]);
        assert_eq!(metrics.queue_depth.get(), 0);
        drop(workers);
        threads.join();
    }

    #[test]
    fn what_is_queued_is_done_before_the_threads_end() {
        let (workers, threads, _) = pool(2, 64);
        let jobs: Vec<_> = (0..64)
            .map(|n| workers.submit(if n % 2 == 0 { Urgency::Live } else { Urgency::Patient }, move || n))
            .collect();
        drop(workers);
        threads.join();
        for (n, job) in jobs.into_iter().enumerate() {
            assert_eq!(job.blocking_recv().unwrap(), Ok(n));
        }
    }
}
