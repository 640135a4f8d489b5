//! Each part is really broken here, seen red with its own words, mended, and seen green again.

use std::{
    fs,
    sync::{Arc, mpsc::channel},
    thread,
    time::{Duration, Instant},
};

use rehearsekit_schedule::Cost;
use tokio::sync::watch;

use super::*;
use crate::{
    config::{Config, Flag, Sources, Value},
    engine::{Engine, EngineError, OpenRefusal, OpenSpec, Way},
    identity::Identity,
    metrics::Metrics,
    quic,
    state::Shared,
    trust::{Nearness, Trust},
    workers::{NotRun, Task, Workers},
};

/// Only there so that a broken test ends.
const LIMIT: Duration = Duration::from_secs(60);
const QUICK: Rhythm = Rhythm {
    every: Duration::from_millis(20),
    welcomed_within: Duration::from_millis(1_000),
    stale: Duration::from_millis(3_000),
};

/// Nobody asks for a session here.
struct NoModel;

impl Engine for NoModel {
    fn warm(&self, _: &str) -> Result<(), EngineError> {
        Ok(())
    }

    fn ways(&self, _: &OpenSpec) -> Result<Vec<Way>, OpenRefusal> {
        Err(OpenRefusal::Failed(EngineError("there is none".to_owned())))
    }
}

/// A server's parts, without the loop that accepts connections.
struct House {
    data: tempfile::TempDir,
    shared: Arc<Shared>,
    endpoint: quinn::Endpoint,
    life: watch::Sender<Life>,
    _looking: Looking,
}

fn flag(key: &str, value: &str) -> Flag {
    Flag { name: key.to_owned(), key: key.to_owned(), value: Value::Text(value.to_owned()) }
}

impl House {
    async fn with(workers: Workers<crate::session::SessionTask>, metrics: Arc<Metrics>) -> Self {
        let data = tempfile::tempdir().unwrap();
        let flags = vec![flag("data", data.path().to_str().unwrap()), flag("max_sessions", "1")];
        let config = Config::load(&Sources { flags, ..Sources::default() }).unwrap();
        let identity = Identity::open(data.path()).unwrap();
        let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        let address = socket.local_addr().unwrap();
        let trust = Trust::open(data.path(), "house", Nearness::Loopback, address).unwrap();
        let endpoint = quic::endpoint(socket, &identity).unwrap();
        let watch = Watch::new(QUICK, data.path());
        let pulse = workers.pulse();
        let shared = Arc::new(Shared::new(config, Arc::new(NoModel), metrics, workers, trust, watch));
        shared.ready();
        let (life, lives) = watch::channel(Life::On);
        let looking = start(&shared.watch, address, identity.fingerprint(), pulse, lives).unwrap();
        Self { data, shared, endpoint, life, _looking: looking }
    }

    async fn new() -> Self {
        let metrics = Arc::new(Metrics::new());
        let (workers, _) = Workers::start(&[1], metrics.clone()).unwrap();
        Self::with(workers, metrics).await
    }

    fn accept(&self) -> tokio::task::JoinHandle<()> {
        let accepting = quic::accept(self.endpoint.clone(), self.shared.clone(), self.life.subscribe());
        tokio::spawn(accepting)
    }

    /// Waits until these parts, and no others, are red; their sentences.
    async fn red(&self, names: &[&str]) -> String {
        self.red_with(names, "").await
    }

    /// The same, until the sentences hold `part` too.
    async fn red_with(&self, names: &[&str], part: &str) -> String {
        let began = Instant::now();
        loop {
            let (red, words): (Vec<_>, Vec<_>) = self.shared.unready().into_iter().unzip();
            let words = words.join("; ");
            if red == names && words.contains(part) && !words.contains("first look") {
                return words;
            }
            assert!(began.elapsed() < LIMIT, "not {names:?} but {red:?}: {words}");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_loop_that_no_longer_accepts_is_red_until_it_does() {
    let house = House::new().await;
    let words = house.red(&["door"]).await;
    assert_eq!(words, "newcomers do not get in: no welcome within 1 s");
    let accepting = house.accept();
    house.red(&[]).await;
    accepting.abort();
    assert!(accepting.await.unwrap_err().is_cancelled());
    house.red(&["door"]).await;
    let _accepting = house.accept();
    house.red(&[]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_watchdog_takes_nobody_s_place_and_is_counted_nowhere() {
    let house = House::new().await;
    let accepting = house.accept();
    house.red(&[]).await;
    let metrics = house.shared.metrics.clone();
    let looked = || house.shared.watch.seen()[Part::Door as usize].last.as_ref().map(|(at, _)| *at);
    // More often than one address may begin handshakes, or may wait.
    for _ in 0..50 {
        let before = looked();
        let began = Instant::now();
        while looked() == before {
            assert!(began.elapsed() < LIMIT, "nobody looks any more");
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        assert!(house.shared.unready().is_empty(), "{:?}", house.shared.unready());
    }
    let counted = [&metrics.connections_total, &metrics.connections_refused].map(|number| number.get());
    assert_eq!((counted, metrics.connections.get()), ([0, 0], 0));
    let text = metrics.text(true, &house.shared.watch.parts());
    assert!(!text.contains("closed_total{") && !text.contains("refused_total{"), "{text}");
    assert!(text.contains("part_well{part=\"door\"} 1"), "{text}");
    house.life.send(Life::Over).unwrap();
    accepting.await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_data_folder_that_is_gone_replaced_or_full_is_red_until_it_is_back() {
    let house = House::new().await;
    let _accepting = house.accept();
    house.red(&[]).await;
    let (data, aside) = (house.data.path(), house.data.path().with_extension("aside"));

    fs::rename(data, &aside).unwrap();
    let words = house.red(&["data_folder"]).await;
    assert!(words.starts_with("the data folder is gone: put it back"), "{words}");
    fs::write(data, "x").unwrap();
    house.red_with(&["data_folder"], "something else is in its place").await;
    fs::remove_file(data).unwrap();
    fs::create_dir(data).unwrap();
    house.red_with(&["data_folder"], "there is no server's key in it").await;
    let _other = Identity::open(data).unwrap();
    house.red_with(&["data_folder"], "there is another server's key in it").await;
    fs::remove_dir_all(data).unwrap();
    fs::rename(&aside, data).unwrap();
    house.red(&[]).await;
    // What a stranger reads does not tell him where things are.
    assert!(!words.contains(data.to_str().unwrap()), "{words}");
    let mut left: Vec<_> = fs::read_dir(data).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    left.sort();
    assert_eq!(left, ["identity"], "the trials leave nothing");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_scheduler_that_hangs_is_red_until_it_answers() {
    let metrics = Arc::new(Metrics::new());
    let (workers, _) = Workers::start(&[1], metrics.clone()).unwrap();
    let house = House::with(workers.clone(), metrics).await;
    let _accepting = house.accept();
    house.red(&[]).await;
    let (release, held) = channel::<()>();
    let holding = thread::spawn(move || workers.hold(&held));
    let words = house.red(&["scheduler"]).await;
    assert!(words.starts_with("the scheduler has not answered for "), "{words}");
    drop(release);
    holding.join().unwrap();
    house.red(&[]).await;
}

/// Runs until its gate is closed.
struct Endless(std::sync::mpsc::Receiver<()>);

impl Task for Endless {
    fn run(batch: Vec<Self>, _: Instant) {
        for Self(gate) in batch {
            // Its closing is an error, and what is waited for.
            let _ = gate.recv();
        }
    }

    fn refuse(self, _: NotRun) {}
}

#[test]
fn how_long_an_inference_runs_is_known_and_forgotten_at_its_end() {
    let (workers, threads) = Workers::start(&[2], Arc::new(Metrics::new())).unwrap();
    let pulse = workers.pulse();
    assert_eq!(pulse.longest_run(), None);
    let (close, gate) = channel();
    let typical = Duration::from_millis(1);
    workers.submit_background(Cost { kind: 0, typical, batches: Vec::new(), wide: false }, Endless(gate));
    let until = |is: &dyn Fn(Option<Duration>) -> bool| {
        let began = Instant::now();
        while !is(pulse.longest_run()) {
            assert!(began.elapsed() < LIMIT, "{:?}", pulse.longest_run());
            thread::sleep(Duration::from_millis(5));
        }
    };
    until(&|longest| longest.is_some_and(|longest| longest > Duration::from_millis(50)));
    drop(close);
    until(&|longest| longest.is_none());
    drop(workers);
    threads.join();
}

#[test]
fn a_watchdog_that_died_is_red() {
    let rhythm = Rhythm { stale: Duration::from_millis(50), ..QUICK };
    let watch = Watch::new(rhythm, Path::new("data"));
    assert_eq!(watch.troubles().len(), 3, "nobody has looked yet");
    PARTS.iter().for_each(|part| watch.saw(*part, None));
    assert_eq!(watch.troubles(), []);
    let began = Instant::now();
    while watch.troubles().len() < 3 {
        assert!(began.elapsed() < LIMIT);
        thread::sleep(Duration::from_millis(5));
    }
    let words: Vec<String> = watch.troubles().into_iter().map(|(_, words)| words).collect();
    assert!(words[0].starts_with("nobody has looked for 0 s"), "{words:?}");
    PARTS.iter().for_each(|part| watch.saw(*part, None));
    assert_eq!(watch.troubles(), []);
}
