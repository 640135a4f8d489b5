//! A server of the library in this process, with a runtime of its own so that it can be killed, and a UDP proxy
//! that can swallow everything. For tests and benches that need both sides over real sockets; panics where it
//! cannot set itself up.
#![allow(clippy::print_stderr, reason = "a test tells why it fails")]
#![allow(clippy::unwrap_used, reason = "what stands in for a house may fall down")]

use std::{
    collections::HashMap,
    net::{SocketAddr, UdpSocket},
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    thread::JoinHandle,
    time::Duration,
};

use rehearsekit_audio::StemSet;
use rehearsekit_schedule::{Cost, Demand};
use rehearsekit_server::{
    Event, Listeners,
    config::{Config, Flag, Sources, Value},
    engine::{Chunk, Engine, EngineError, OpenRefusal, OpenSpec, Pipeline, Promise, Way},
    run_with,
};

/// Reached only when something hangs.
pub const PATIENCE: Duration = Duration::from_secs(120);

/// A configuration with these keys on top.
pub fn config(data: &Path, listen: SocketAddr, models: &[&str]) -> Config {
    let text = |key: &str, value: &str| Flag {
        name: format!("--{key}"),
        key: key.to_owned(),
        value: Value::Text(value.to_owned()),
    };
    let flags = vec![
        text("listen", &listen.to_string()),
        text("http", "127.0.0.1:0"),
        text("data", data.to_str().unwrap()),
        text("drain_seconds", "0"),
        text("models", &models.join(",")),
    ];
    Config::load(&Sources { flags, ..Sources::default() }).unwrap()
}

/// A data folder of the test's own, in `parent`, that borrows the installed models. One per process: ONNX Runtime
/// cannot be loaded twice.
pub fn installed_models(parent: &Path) -> tempfile::TempDir {
    let installed = std::env::var_os("REHEARSEKIT_DATA").map(PathBuf::from);
    let installed = installed.expect("set REHEARSEKIT_DATA, or run cargo xtask test, which does");
    let data = tempfile::tempdir_in(parent).unwrap();
    for folder in ["models", "runtime", "devices"] {
        let from = std::path::absolute(installed.join(folder)).unwrap();
        std::fs::create_dir_all(&from).unwrap();
        std::os::unix::fs::symlink(from, data.path().join(folder)).unwrap();
    }
    data
}

/// A running server.
pub struct House {
    /// The link's, on loopback.
    pub address: SocketAddr,
    /// HTTP's, on loopback.
    pub http: SocketAddr,
    /// Gone with it.
    data: tempfile::TempDir,
    runtime: Option<tokio::runtime::Runtime>,
}

impl House {
    /// Starts on this address (port 0: any) and waits until sessions are admitted.
    pub fn open(
        data: tempfile::TempDir,
        listen: SocketAddr,
        models: &[&str],
        engine: impl FnOnce(&Config) -> Arc<dyn Engine>,
    ) -> Self {
        Self::open_to(|listeners| listeners, data, listen, models, engine)
    }

    /// As [`Self::known`], but nobody is near: who comes from 127.0.0.1 is another machine, and has to be paired.
    pub fn known_from_afar() -> Self {
        let nobody = std::net::IpAddr::from([127, 0, 0, 99]);
        let to = |listeners: Listeners| listeners.near_only(nobody);
        let data = tempfile::tempdir().unwrap();
        Self::open_to(to, data, any_port(), &["two", "four"], |_| Arc::new(Known))
    }

    /// As [`Self::known`], but only 127.0.0.1 is near, so that every other address of loopback can play a stranger.
    pub fn known_among_strangers() -> Self {
        let to = |listeners: Listeners| listeners.near_only([127, 0, 0, 1].into());
        let data = tempfile::tempdir().unwrap();
        Self::open_to(to, data, any_port(), &["two", "four"], |_| Arc::new(Known))
    }

    fn open_to(
        to: impl FnOnce(Listeners) -> Listeners,
        data: tempfile::TempDir,
        listen: SocketAddr,
        models: &[&str],
        engine: impl FnOnce(&Config) -> Arc<dyn Engine>,
    ) -> Self {
        let config = config(data.path(), listen, models);
        let mut listeners = Listeners::bind(&config);
        // The port of a server that was just killed is free a moment later.
        let began = std::time::Instant::now();
        while listeners.is_err() && began.elapsed() < PATIENCE {
            std::thread::sleep(Duration::from_millis(5));
            listeners = Listeners::bind(&config);
        }
        let listeners = to(listeners.unwrap());
        let (address, http) = listeners.addresses().unwrap();
        let engine = engine(&config);
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let (tell, told) = std::sync::mpsc::channel();
        runtime.spawn(async move {
            let told = move |event| {
                let _ = tell.send(event);
            };
            let ended = run_with(listeners, config, engine, told, std::future::pending()).await;
            eprintln!("the server has ended: {ended:?}");
        });
        while told.recv_timeout(PATIENCE).unwrap() != Event::Ready {}
        Self { address, http, data, runtime: Some(runtime) }
    }

    /// Two or four known stems, whatever was asked for; see [`Known`].
    pub fn known(listen: SocketAddr) -> Self {
        let data = tempfile::tempdir().unwrap();
        Self::open(data, listen, &["two", "four"], |_| Arc::new(Known))
    }

    /// Its data folder.
    pub fn data(&self) -> &Path {
        self.data.path()
    }

    /// Ends it as a power cut does: nobody says goodbye.
    pub fn kill(mut self) {
        self.end();
    }

    fn end(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

impl Drop for House {
    fn drop(&mut self) {
        self.end();
    }
}

/// Any free port of this machine.
pub fn any_port() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 0))
}

/// Stems that are known to the bit: each that travels is a quarter of the mix.
pub struct Known;

const HOP: usize = 960;
/// What each of the travelling stems has of the mix.
pub const SHARE: f32 = 0.25;
/// A first sample of a packet that makes the pipeline panic.
pub const PANIC: f32 = 0.987_654;

impl Engine for Known {
    fn warm(&self, _model: &str) -> Result<(), EngineError> {
        Ok(())
    }

    fn ways(&self, spec: &OpenSpec) -> Result<Vec<Way>, OpenRefusal> {
        let names: &[&str] = match spec.model.as_str() {
            "four" => &["drums", "bass", "other", "vocals"],
            _ => &["vocals", "accompaniment"],
        };
        let stems = StemSet::new(names).unwrap();
        let channels = 2 * (stems.count() - 1);
        let promise = Promise {
            model: spec.model.clone(),
            stems,
            packet_frames: 480,
            algorithmic_frames: HOP as u32,
            hop_frames: HOP as u32,
            look_ahead_frames: 0,
            description: "quarters of the mix".to_owned(),
        };
        // Quick enough for any number of players.
        let typical = Duration::from_micros(100);
        let demand = Demand {
            period: spec.rate.duration(HOP as u64),
            deadline: spec.rate.duration(spec.budget_frames.into()),
            costs: vec![Some(Cost { kind: 0, typical, batches: Vec::new(), wide: false })],
        };
        Ok(vec![Way {
            promise,
            demand,
            quality_db: None,
            words: "quarters".to_owned(),
            need_frames: HOP as u32,
            open: Box::new(move || Ok(Box::new(Quarters { position: 0, pending: Vec::new(), channels }))),
        }])
    }
}

struct Quarters {
    position: u64,
    pending: Vec<[f32; 2]>,
    channels: usize,
}

impl Quarters {
    fn cut(&mut self, frames: usize) -> Chunk {
        let taken: Vec<[f32; 2]> = self.pending.drain(..frames).collect();
        let first_frame = self.position;
        self.position += frames as u64;
        let channel = |c: usize| taken.iter().map(|frame| frame[c % 2] * SHARE).collect();
        let channels = (0..self.channels).map(channel).collect();
        Chunk { first_frame, channels, inference: Duration::from_micros(100) }
    }
}

impl Pipeline for Quarters {
    fn start_epoch(&mut self, position: u64) {
        self.position = position;
    }

    fn push(&mut self, mix: [&[f32]; 2]) -> Result<Vec<Chunk>, EngineError> {
        assert!(mix[0].first() != Some(&PANIC), "told to panic");
        self.pending.extend(mix[0].iter().zip(mix[1]).map(|(l, r)| [*l, *r]));
        let hops = self.pending.len() / HOP;
        Ok((0..hops).map(|_| self.cut(HOP)).collect())
    }

    fn skip(&mut self, mix: [&[f32]; 2]) -> Result<(), EngineError> {
        self.push(mix).map(drop)
    }

    fn finish_epoch(&mut self) -> Result<Vec<Chunk>, EngineError> {
        let rest = self.pending.len();
        Ok(if rest == 0 { Vec::new() } else { vec![self.cut(rest)] })
    }

    fn frames_until_work(&self) -> usize {
        HOP - self.pending.len()
    }
}

/// Passes datagrams between clients and a server, or swallows them all: what a stalled server, a pulled cable and
/// a sleeping machine look like from outside.
pub struct Wire {
    /// Where clients connect to.
    pub address: SocketAddr,
    cut: Arc<AtomicBool>,
    over: Arc<AtomicBool>,
    server: Arc<Mutex<SocketAddr>>,
    thread: Option<JoinHandle<()>>,
}

impl Wire {
    /// A wire that leads to `server`.
    pub fn to(server: SocketAddr) -> Self {
        let front = UdpSocket::bind(any_port()).unwrap();
        front.set_read_timeout(Some(Duration::from_micros(500))).unwrap();
        let (cut, over) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
        let server = Arc::new(Mutex::new(server));
        let address = front.local_addr().unwrap();
        let (is_cut, is_over, target) = (Arc::clone(&cut), Arc::clone(&over), Arc::clone(&server));
        let thread = std::thread::spawn(move || {
            let mut backs: HashMap<SocketAddr, UdpSocket> = HashMap::new();
            let mut buffer = [0; 65_536];
            while !is_over.load(Relaxed) {
                let swallowed = is_cut.load(Relaxed);
                // Waits half a millisecond at most.
                if let Ok((length, from)) = front.recv_from(&mut buffer) {
                    let back = backs.entry(from).or_insert_with(|| {
                        let socket = UdpSocket::bind(any_port()).unwrap();
                        socket.set_nonblocking(true).unwrap();
                        socket
                    });
                    if !swallowed {
                        // A server that is not there refuses; that is its way of being dead.
                        let _ = back.send_to(&buffer[..length], *target.lock().unwrap());
                    }
                }
                for (client, back) in &backs {
                    while let Ok((length, _)) = back.recv_from(&mut buffer) {
                        if !swallowed {
                            let _ = front.send_to(&buffer[..length], client);
                        }
                    }
                }
            }
        });
        Self { address, cut, over, server, thread: Some(thread) }
    }

    /// Swallows everything from now on, or no longer.
    pub fn cut(&self, cut: bool) {
        self.cut.store(cut, Relaxed);
    }

    /// Another server behind the same address.
    pub fn lead_to(&self, server: SocketAddr) {
        *self.server.lock().unwrap() = server;
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        self.over.store(true, Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
