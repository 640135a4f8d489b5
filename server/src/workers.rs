//! Inference on named threads of its own, one for each lane of the scheduler, which decides what each does next.
//!
//! The scheduler knows no threads and no clock; this gives it both. A panic ends its task and nothing else: the thread
//! lives on. This module must not know sessions or models.

use std::{
    any::Any,
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread::JoinHandle,
    time::{Duration, Instant},
};

use rehearsekit_schedule::{Cost, Demand, DeviceLoad, Hop, LaneId, Scheduler, StreamId};

use crate::metrics::Metrics;

/// What lanes do. It tells whoever waits for it by itself.
pub trait Task: Send + Sized + 'static {
    /// Runs all of `batch`, alike by the scheduler's word, to their end. The lane had nothing else to do since `free`.
    fn run(batch: Vec<Self>, free: Instant);
    /// It is not run.
    fn refuse(self, why: NotRun);
}

/// Why a task is not run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotRun {
    /// Its result would have come too late.
    Late,
    /// The device is too slow for all at present, and this stream is one of the newest.
    Paused,
}

/// The lanes and what waits for them. Cloning gives another handle.
pub struct Workers<T: Task> {
    lanes: Arc<Lanes<T>>,
    open: Arc<Open<T>>,
}

impl<T: Task> Clone for Workers<T> {
    fn clone(&self) -> Self {
        Self { lanes: self.lanes.clone(), open: self.open.clone() }
    }
}

/// The threads themselves, to be joined after every [`Workers`] handle is gone.
pub struct WorkerThreads(Vec<JoinHandle<()>>);

struct Lanes<T> {
    state: Mutex<State<T>>,
    news: Condvar,
    start: Instant,
    metrics: Arc<Metrics>,
}

struct State<T> {
    scheduler: Scheduler<T>,
    closed: bool,
    /// When what each thread runs now began.
    began: Vec<Option<Instant>>,
}

/// Asks whether the scheduler answers, without keeping the threads alive.
pub(crate) struct Pulse<T>(Arc<Lanes<T>>);

impl<T: Task> Pulse<T> {
    /// How long the longest of the inferences that run now has run. Waits for the scheduler, for ever if it hangs.
    pub(crate) fn longest_run(&self) -> Option<Duration> {
        self.0.lock().began.iter().flatten().map(Instant::elapsed).max()
    }
}

/// When the last of these is gone, the threads end.
struct Open<T: Task>(Arc<Lanes<T>>);

impl<T: Task> Drop for Open<T> {
    fn drop(&mut self) {
        self.0.lock().closed = true;
        self.0.news.notify_all();
    }
}

/// An admitted stream of hops; dropping it gives its share of the device back.
pub struct Stream<T: Task> {
    workers: Workers<T>,
    id: StreamId,
}

impl<T: Task> Workers<T> {
    /// Starts one thread per lane of each device, called `separate-DEVICE-LANE`.
    pub fn start(lanes: &[usize], metrics: Arc<Metrics>) -> io::Result<(Self, WorkerThreads)> {
        let count = lanes.iter().map(|count| (*count).max(1)).sum();
        let state = State { scheduler: Scheduler::new(lanes), closed: false, began: vec![None; count] };
        let shared = Arc::new(Lanes {
            state: Mutex::new(state),
            news: Condvar::new(),
            start: Instant::now(),
            metrics: metrics.clone(),
        });
        let workers = Self { open: Arc::new(Open(shared.clone())), lanes: shared };
        let mut threads = Vec::new();
        for (device, count) in lanes.iter().enumerate() {
            for lane in 0..(*count).max(1) {
                let (lanes, id) = (workers.lanes.clone(), LaneId { device, lane });
                let name = format!("separate-{device}-{lane}");
                let thread = threads.len();
                threads.push(std::thread::Builder::new().name(name).spawn(move || lanes.work(id, thread))?);
            }
        }
        metrics.workers.set(threads.len() as u64);
        Ok((workers, WorkerThreads(threads)))
    }

    /// Promises `demand` its deadlines; `None` if it cannot.
    pub fn admit(&self, demand: &Demand) -> Option<Stream<T>> {
        let id = self.lanes.change(|scheduler| scheduler.admit(demand))?;
        Some(Stream { workers: self.clone(), id })
    }

    /// Whether [`Self::admit`] would say yes.
    pub fn fits(&self, demand: &Demand) -> bool {
        self.lanes.lock().scheduler.fits(demand)
    }

    /// Whether it will most likely do so in a moment too.
    pub fn fits_for_a_while(&self, demand: &Demand) -> bool {
        self.lanes.lock().scheduler.fits_for_a_while(demand)
    }

    /// How each device fares.
    pub fn load(&self) -> Vec<DeviceLoad> {
        self.lanes.lock().scheduler.loads()
    }

    /// Holds up everybody until `release` is dropped, as a scheduler that hangs would.
    #[cfg(test)]
    pub(crate) fn hold(&self, release: &std::sync::mpsc::Receiver<()>) {
        let _held = self.lanes.lock();
        let _ = release.recv();
    }

    /// For the watchdog.
    pub(crate) fn pulse(&self) -> Pulse<T> {
        Pulse(self.lanes.clone())
    }

    /// Queues what nobody waits for; it is done when a lane can spare `cost`.
    pub fn submit_background(&self, cost: Cost, task: T) {
        self.lanes.change(|scheduler| scheduler.submit_background(cost, task));
    }
}

impl<T: Task> Stream<T> {
    /// Queues a hop whose audio is there since `ready`, of use until `due`. Never blocks.
    pub fn submit(&self, ready: Instant, due: Instant, task: T) {
        let since = |at: Instant| at.saturating_duration_since(self.workers.lanes.start);
        let hop = Hop { ready: since(ready), due: since(due) };
        if let Err(task) = self.workers.lanes.change(|scheduler| scheduler.submit(self.id, hop, task)) {
            task.refuse(NotRun::Paused);
        }
    }
}

impl<T: Task> Drop for Stream<T> {
    fn drop(&mut self) {
        if let Some(task) = self.workers.lanes.change(|scheduler| scheduler.leave(self.id)) {
            task.refuse(NotRun::Late);
        }
    }
}

impl WorkerThreads {
    /// Waits until all threads have ended, which they do once every [`Workers`] is dropped and nothing waits.
    pub fn join(self) {
        for handle in self.0 {
            // Tasks cannot unwind through `work`, so there is nothing to be told here.
            let _ = handle.join();
        }
    }
}

impl<T: Task> Lanes<T> {
    fn lock(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes what the lanes should know of, and tells them.
    fn change<R>(&self, change: impl FnOnce(&mut Scheduler<T>) -> R) -> R {
        let mut state = self.lock();
        let result = change(&mut state.scheduler);
        self.count(&state.scheduler);
        drop(state);
        self.news.notify_all();
        result
    }

    fn count(&self, scheduler: &Scheduler<T>) {
        self.metrics.queue_depth.set(scheduler.waiting() as u64);
        let loads = scheduler.loads();
        self.metrics.paused.set(loads.iter().map(|load| load.paused as u64).sum());
        let most = |of: fn(&DeviceLoad) -> f64| loads.iter().map(of).fold(0.0, f64::max);
        self.metrics.promised_millionths.set((most(|load| load.promised) * 1e6) as u64);
        self.metrics.slowness_millionths.set((most(|load| load.slowness) * 1e6) as u64);
    }

    fn work(&self, lane: LaneId, thread: usize) {
        let mut idle_since = Instant::now();
        let mut state = self.lock();
        loop {
            let now = self.start.elapsed();
            let turn = state.scheduler.next(lane, now);
            if turn.run.is_empty() && turn.dropped.is_empty() {
                if state.closed && state.scheduler.waiting() == 0 {
                    return;
                }
                state = match turn.wake {
                    Some(at) => {
                        let wait = at.saturating_sub(now);
                        self.news.wait_timeout(state, wait).unwrap_or_else(PoisonError::into_inner).0
                    }
                    None => self.news.wait(state).unwrap_or_else(PoisonError::into_inner),
                };
                continue;
            }
            self.count(&state.scheduler);
            state.began[thread] = (!turn.run.is_empty()).then(Instant::now);
            drop(state);
            self.metrics.dropped_hops.add(turn.dropped.len() as u64);
            turn.dropped.into_iter().for_each(|task| task.refuse(NotRun::Late));
            let runs = !turn.run.is_empty();
            if runs {
                let start = Instant::now();
                self.metrics.idle_micros.add(micros(start - idle_since));
                // A task that panics has told whom it concerns; the lane must not end with it.
                let _ = catch_unwind(AssertUnwindSafe(|| T::run(turn.run, idle_since)));
                idle_since = Instant::now();
                self.metrics.busy_micros.add(micros(idle_since - start));
            }
            state = self.lock();
            state.began[thread] = None;
            if runs {
                state.scheduler.finished(lane, self.start.elapsed());
                // What waits for all lanes, or may only now hold up this one.
                self.news.notify_all();
            }
        }
    }
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

/// The text of a panic; it almost always is one.
pub(crate) fn message_of(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "without a message".to_owned())
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Receiver, Sender, channel};

    use super::*;

    /// Waits for its gate, says its name, and panics if that is `panic`.
    struct Named {
        name: &'static str,
        gate: Option<Receiver<()>>,
        told: Sender<String>,
    }

    impl Task for Named {
        fn run(batch: Vec<Self>, _: Instant) {
            for task in batch {
                if let Some(gate) = task.gate {
                    let _ = gate.recv();
                }
                assert!(task.name != "panic", "a net without a floor");
                task.told.send(task.name.to_owned()).unwrap();
            }
        }

        fn refuse(self, why: NotRun) {
            self.told.send(format!("{} {why:?}", self.name)).unwrap();
        }
    }

    struct House {
        workers: Workers<Named>,
        threads: WorkerThreads,
        metrics: Arc<Metrics>,
        told: Receiver<String>,
        tell: Sender<String>,
    }

    impl House {
        fn new(lanes: usize) -> Self {
            let metrics = Arc::new(Metrics::new());
            let (workers, threads) = Workers::start(&[lanes], metrics.clone()).unwrap();
            let (tell, told) = channel();
            Self { workers, threads, metrics, told, tell }
        }

        fn task(&self, name: &'static str) -> Named {
            Named { name, gate: None, told: self.tell.clone() }
        }

        fn stream(&self) -> Stream<Named> {
            self.workers.admit(&demand()).unwrap()
        }

        fn next(&self) -> String {
            self.told.recv_timeout(Duration::from_secs(20)).unwrap()
        }
    }

    fn cost() -> Cost {
        Cost { kind: 0, typical: Duration::from_millis(1), batches: Vec::new(), wide: false }
    }

    fn demand() -> Demand {
        let second = Duration::from_secs(1);
        Demand { period: second, deadline: second, costs: vec![Some(cost())] }
    }

    fn soon() -> Instant {
        Instant::now() + Duration::from_secs(60)
    }

    #[test]
    fn a_panic_ends_its_task_only() {
        let house = House::new(1);
        house.workers.submit_background(cost(), house.task("panic"));
        house.workers.submit_background(cost(), house.task("good"));
        assert_eq!(house.next(), "good");
        drop(house.workers);
        house.threads.join();
    }

    #[test]
    fn hops_go_before_background_work_and_the_most_urgent_first() {
        let house = House::new(1);
        let (open, gate) = channel();
        let first = Named { gate: Some(gate), ..house.task("first") };
        house.workers.submit_background(cost(), first);
        while house.metrics.queue_depth.get() > 0 {
            std::thread::yield_now();
        }
        house.workers.submit_background(cost(), house.task("patient"));
        let (older, newer, late) = (house.stream(), house.stream(), house.stream());
        let now = Instant::now();
        older.submit(now + Duration::from_millis(1), soon(), house.task("second"));
        newer.submit(now, soon(), house.task("first hop"));
        late.submit(now, now, house.task("too late"));
        assert_eq!(house.metrics.queue_depth.get(), 4);
        drop(open);
        let told: Vec<String> = (0..5).map(|_| house.next()).collect();
        assert_eq!(told, ["first", "too late Late", "first hop", "second", "patient"]);
        assert_eq!(house.metrics.dropped_hops.get(), 1);
        drop((house.workers, older, newer, late));
        house.threads.join();
    }

    #[test]
    fn what_waits_is_done_before_the_threads_end() {
        let house = House::new(2);
        (0..64).for_each(|_| house.workers.submit_background(cost(), house.task("work")));
        drop(house.workers);
        house.threads.join();
        assert_eq!(house.told.try_iter().count(), 64);
    }

    #[test]
    fn a_stream_gives_its_share_back() {
        let house = House::new(1);
        let heavy = Demand { period: Duration::from_millis(2), ..demand() };
        let stream = house.workers.admit(&heavy).unwrap();
        assert!(!house.workers.fits(&heavy) && house.workers.admit(&heavy).is_none());
        assert!(house.metrics.promised_millionths.get() > 400_000);
        drop(stream);
        assert!(house.workers.fits(&heavy));
        drop(house.workers);
        house.threads.join();
    }
}
