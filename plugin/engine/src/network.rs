//! The one network runtime of the process: all links of all instances live on it, and one search for servers. They
//! start when the first instance needs them and go, in the background, with the last instance, so that nobody who only
//! scans pays for them and nothing of them is left when the library is unloaded.
//!
//! Only the main thread comes here, and only [`unload`] waits.

use std::{
    io,
    net::SocketAddr,
    sync::{
        Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

use rehearsekit_client::LinkEnd;
use rehearsekit_discovery::{Browser, SeenServer, Trouble};
use tokio::runtime::{Builder, Handle, Runtime};

/// Enough for a band's worth of instances; they mostly wait.
const WORKERS: usize = 2;
/// How long links may take over their goodbyes once the last instance is gone; each of them takes at most half
/// a second by itself.
const GOODBYES_WITHIN: Duration = Duration::from_secs(1);
/// How long the runtime's threads may take to end after that.
const THREADS_WITHIN: Duration = Duration::from_secs(1);

static NETWORK: Mutex<Network> =
    Mutex::new(Network { runtime: None, browser: None, users: 0, closing: Vec::new(), leaving: Vec::new() });
/// Signalled when a thread that says goodbye is done.
static LEFT: Condvar = Condvar::new();
/// Threads of all runtimes that exist.
static THREADS: AtomicUsize = AtomicUsize::new(0);

struct Network {
    runtime: Option<Runtime>,
    /// The search for servers, once somebody wants to know.
    browser: Option<Browser>,
    /// Instances that have been active and are not gone.
    users: usize,
    /// Links that are saying goodbye.
    closing: Vec<LinkEnd>,
    /// Threads that shut a runtime down.
    leaving: Vec<JoinHandle<()>>,
}

/// Keeps the runtime alive: one for each instance that has been active.
#[derive(Debug)]
pub(crate) struct Use {
    handle: Handle,
}

/// Starts the runtime if there is none.
pub(crate) fn acquire() -> io::Result<Use> {
    let mut network = lock();
    let runtime = match network.runtime.take() {
        Some(runtime) => runtime,
        None => start()?,
    };
    let handle = runtime.handle().clone();
    network.runtime = Some(runtime);
    network.users += 1;
    Ok(Use { handle })
}

fn start() -> io::Result<Runtime> {
    Builder::new_multi_thread()
        .worker_threads(WORKERS)
        .thread_name("rehearsekit-net")
        .on_thread_start(|| {
            THREADS.fetch_add(1, SeqCst);
        })
        .on_thread_stop(|| {
            THREADS.fetch_sub(1, SeqCst);
        })
        .enable_all()
        .build()
}

impl Use {
    /// Where links are started.
    pub(crate) fn handle(&self) -> &Handle {
        &self.handle
    }

    /// Begins the search for servers, if nobody has yet.
    pub(crate) fn browse(&self) {
        lock().browser.get_or_insert_with(Browser::start);
    }

    /// A link is closing; the runtime stays until it has.
    pub(crate) fn closing(&self, end: LinkEnd) {
        let mut network = lock();
        network.closing.retain(|end| !end.wait(Duration::ZERO));
        network.closing.push(end);
    }
}

impl Drop for Use {
    fn drop(&mut self) {
        let mut network = lock();
        network.users -= 1;
        if network.users > 0 {
            return;
        }
        let closing = std::mem::take(&mut network.closing);
        let browser = network.browser.take();
        let Some(runtime) = network.runtime.take() else { return };
        // This is the host's main thread, which must not wait for goodbyes.
        let goodbye = std::thread::Builder::new().name("rehearsekit-bye".to_owned());
        match goodbye.spawn(move || leave(runtime, browser, &closing)) {
            Ok(thread) => network.leaving.push(thread),
            // The closure, and the runtime in it, is gone already: dropping it has waited for its threads.
            Err(error) => tracing::warn!("no thread to say goodbye in: {error}"),
        }
    }
}

/// Lets the links say goodbye, then ends the runtime's threads and the search's.
fn leave(runtime: Runtime, browser: Option<Browser>, closing: &[LinkEnd]) {
    let deadline = Instant::now() + GOODBYES_WITHIN;
    for end in closing {
        end.wait(deadline.saturating_duration_since(Instant::now()));
    }
    runtime.shutdown_timeout(THREADS_WITHIN);
    drop(browser);
    // Whoever waits looks under the lock.
    let _network = lock();
    LEFT.notify_all();
}

/// The servers that announce themselves now; none as long as nobody browses.
pub(crate) fn announced() -> Vec<SeenServer> {
    lock().browser.as_ref().map(Browser::servers).unwrap_or_default()
}

/// Where the server with this identity says it is now.
pub(crate) fn addresses_of(fingerprint: &[u8; 32]) -> Vec<SocketAddr> {
    lock().browser.as_ref().map(|browser| browser.addresses_of(fingerprint)).unwrap_or_default()
}

/// What keeps servers from being found; `answering` are those that are known to be there.
pub(crate) fn trouble(answering: &[[u8; 32]]) -> Option<Trouble> {
    lock().browser.as_ref().and_then(|browser| browser.trouble_knowing(answering))
}

/// For the library's exit, on the main thread, when no instance is left: waits until no thread of ours runs any
/// more, at most `patience` long (5 s are enough for anything but a name service that hangs); whether that is so.
///
/// If it is not, a thread of ours is still inside the system's name service, and this library's code must stay in
/// memory.
pub fn unload(patience: Duration) -> bool {
    let deadline = Instant::now() + patience;
    let mut network = lock();
    loop {
        let (done, leaving): (Vec<_>, Vec<_>) =
            std::mem::take(&mut network.leaving).into_iter().partition(JoinHandle::is_finished);
        network.leaving = leaving;
        // Finished threads: joining costs no time, and makes sure that they have left our code.
        done.into_iter().for_each(|thread| drop(thread.join()));
        let left = deadline.saturating_duration_since(Instant::now());
        if network.users > 0 || left.is_zero() || (network.leaving.is_empty()) {
            return network.users == 0 && network.leaving.is_empty() && THREADS.load(SeqCst) == 0;
        }
        // A thread signals a moment before it is finished: looked at again soon.
        let soon = left.min(Duration::from_millis(5));
        network = LEFT.wait_timeout(network, soon).unwrap_or_else(PoisonError::into_inner).0;
    }
}

fn lock() -> MutexGuard<'static, Network> {
    // Nothing is left half done in there: every change is one assignment.
    NETWORK.lock().unwrap_or_else(PoisonError::into_inner)
}
