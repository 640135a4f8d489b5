//! The stage of each attack: a server in a process of its own, four players at their own pace, and what is compared
//! before and after. Must not attack anybody.
#![allow(clippy::print_stderr, reason = "a test tells what it saw")]

use std::{
    io::{BufRead as _, BufReader},
    net::{IpAddr, SocketAddr},
    path::PathBuf,
    process::{Child, Command, Stdio},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

use rehearsekit_plugin_engine::{AudioSetup, LinkView, Settings};
use rehearsekit_protocol::{Mode, ServerMessage};
use rehearsekit_tests::plugin_host::Host;

use crate::common::{Client, client_tls, endpoint_at, get, request, within};

const RATE_HZ: u32 = 48_000;
const BLOCK: usize = 480;
const PLAYERS: usize = 4;
/// So much that a machine which does other things at the same time is no reason to miss anything.
const BUDGET_MILLIS: f64 = 2_500.0;
/// Of a server that held much for a moment, its allocator may keep so much. Ten times less than what an attack could
/// make it hold without limits.
const KEPT_BYTES: u64 = 48 << 20;
/// What the server counts of missed audio.
const SAW: [&str; 7] = ["lost", "late", "dropped", "paused", "slowness", "promised", "panics"];
/// Where the players are; strangers come from the addresses behind it.
pub(crate) const NEAR: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(127, 0, 0, 1));

/// Attackers are on other machines in truth: here they get what the players and the server leave of this one.
pub(crate) fn attackers() -> tokio::runtime::Runtime {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    let nicest = || {
        let _ = rustix::process::nice(10);
    };
    builder.worker_threads(2).enable_all().on_thread_start(nicest).build().unwrap()
}

/// An address of loopback that is not the players'.
pub(crate) fn far(last: u8) -> IpAddr {
    IpAddr::from([127, 0, 0, last])
}

/// What a player has missed so far; all of it must stay as it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Missed {
    underruns: u64,
    late: u64,
    lost: u64,
    bridged_frames: u64,
    pub(crate) reconnects: u64,
    dropped_frames: u64,
}

#[derive(Default)]
struct Seen {
    live: bool,
    frames: u64,
    missed: Missed,
}

struct Player {
    seen: Arc<Mutex<Seen>>,
    thread: JoinHandle<()>,
}

/// What the server's process holds.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Holds {
    pub(crate) descriptors: usize,
    pub(crate) threads: u64,
    pub(crate) resident_bytes: u64,
    pub(crate) connections: f64,
}

pub(crate) struct Stage {
    pub(crate) link: SocketAddr,
    pub(crate) http: SocketAddr,
    pub(crate) data: PathBuf,
    server: Child,
    band: Band,
}

/// Players, each at its own pace, until the band is gone.
pub(crate) struct Band {
    players: Vec<Player>,
    over: Arc<AtomicBool>,
}

impl Band {
    /// So many with this model; plays until all of them have heard stems for a while.
    pub(crate) async fn playing(link: SocketAddr, count: usize, model: &'static str) -> Self {
        let over = Arc::new(AtomicBool::new(false));
        let players = (0..count).map(|_| play(link, model, &over)).collect();
        let band = Self { players, over };
        let settled = || band.players.iter().all(|p| p.seen.lock().unwrap().live);
        until("all of them play", settled).await;
        band
    }

    pub(crate) fn missed(&self) -> Vec<Missed> {
        self.players.iter().map(|player| player.seen.lock().unwrap().missed).collect()
    }
}

impl Drop for Band {
    fn drop(&mut self) {
        self.over.store(true, Relaxed);
        for player in self.players.drain(..) {
            let _ = player.thread.join();
        }
    }
}

impl Stage {
    /// Starts the server, and plays until all four have heard stems for a while.
    pub(crate) async fn set() -> Self {
        let mut server = Command::new(env!("CARGO_BIN_EXE_attacked_house"))
            // The first backtrace reads a hundred megabytes of debug information, which stay.
            .env("RUST_BACKTRACE", "0")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(server.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let mut words = line.split_whitespace();
        let mut word = || words.next().unwrap();
        let (link, http, data) = (word().parse().unwrap(), word().parse().unwrap(), word().into());
        // Whatever happens to the players, the server goes with its standard input.
        let band = Band::playing(link, PLAYERS, "four").await;
        Self { link, http, data, server, band }
    }

    /// Lets an attack happen, and looks at what it cost. `attack` must end by itself within some seconds.
    pub(crate) async fn under(&self, what: &str, attack: impl Future<Output = ()>) {
        let (before, missed_before) = (self.holds().await, self.band.missed());
        let began = Instant::now();
        within(attack).await;
        let took = began.elapsed();
        let admitted = self.admits().await;
        let during = self.holds().await;
        // What strangers hold is gone once they are, or once their time is over.
        let mut after = self.holds().await;
        let waited = Instant::now();
        while after.descriptors > before.descriptors + 1 || after.connections > before.connections {
            assert!(waited.elapsed() < Duration::from_secs(60), "{what}: {before:?} became {after:?}");
            tokio::time::sleep(Duration::from_millis(100)).await;
            after = self.holds().await;
        }
        eprintln!(
            "{what}: {:.1} s; a newcomer was let in within {} ms; resident {} -> {} -> {} MB, descriptors {} -> {} -> \
             {}, as before {:.1} s later",
            took.as_secs_f64(),
            admitted.as_millis(),
            before.resident_bytes >> 20,
            during.resident_bytes >> 20,
            after.resident_bytes >> 20,
            before.descriptors,
            during.descriptors,
            after.descriptors,
            waited.elapsed().as_secs_f64(),
        );
        assert!(
            after.resident_bytes < before.resident_bytes + KEPT_BYTES,
            "{what}: {before:?} became {after:?}"
        );
        // What was under way a moment ago has had its time to be missed.
        tokio::time::sleep(Duration::from_millis(500)).await;
        let missed = self.band.missed();
        if missed != missed_before {
            // Whether it was the server: what it saw come late, and what it did not send.
            let (_, metrics) = get(self.http, "/metrics", "localhost", "").await;
            let told = |line: &&str| !line.starts_with('#') && SAW.iter().any(|word| line.contains(word));
            let told: Vec<&str> = metrics.lines().filter(told).collect();
            assert_eq!(missed, missed_before, "{what}: a player missed something; the server: {told:#?}");
        }
    }

    /// A newcomer is let in, and goes; how long it took.
    pub(crate) async fn admits(&self) -> Duration {
        let began = Instant::now();
        let mut client =
            Client::connect_with(endpoint_at(NEAR, 16, client_tls(rehearsekit_protocol::ALPN)), self.link)
                .await;
        let opened = client.ask(request(Mode::Live, 48_000)).await;
        assert!(matches!(opened, Some(ServerMessage::Opened(_))), "{opened:?}");
        let took = began.elapsed();
        client.connection.close(0u8.into(), b"");
        client.endpoint.wait_idle().await;
        took
    }

    /// One number of the metrics.
    pub(crate) async fn metric(&self, name: &str) -> f64 {
        let (_, body) = get(self.http, "/metrics", "localhost", "").await;
        let line = body.lines().find_map(|line| line.strip_prefix(&format!("rehearsekit_{name} ")));
        line.map_or(0.0, |value| value.parse().unwrap())
    }

    /// How often something was refused for this.
    pub(crate) async fn refused(&self, code: &str) -> f64 {
        self.metric(&format!("refused_total{{code=\"{code}\"}}")).await
    }

    pub(crate) async fn holds(&self) -> Holds {
        let connections = self.metric("connections").await;
        let process = format!("/proc/{}", self.server.id());
        let status = std::fs::read_to_string(format!("{process}/status")).unwrap();
        let number = |name: &str| -> u64 {
            let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
            line.trim().trim_end_matches(" kB").parse().unwrap()
        };
        let descriptors = std::fs::read_dir(format!("{process}/fd")).unwrap().count();
        Holds {
            descriptors,
            threads: number("Threads:"),
            resident_bytes: number("VmRSS:") << 10,
            connections,
        }
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        // Its standard input goes with it.
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

/// One player, who hears the song and the stems at the song's own pace.
fn play(link: SocketAddr, model: &'static str, over: &Arc<AtomicBool>) -> Player {
    let (seen, over) = (Arc::new(Mutex::new(Seen::default())), over.clone());
    let told = seen.clone();
    let thread = std::thread::spawn(move || {
        let settings = Settings {
            server: Some(link.to_string()),
            model: Some(model.to_owned()),
            budget_millis: BUDGET_MILLIS,
            ..Settings::default()
        };
        let mut host = Host::new(settings, AudioSetup::new(RATE_HZ, BLOCK as u32, false));
        let block: Vec<f32> = (0..BLOCK).map(|n| (n as f32 * 0.05).sin() * 0.5).collect();
        let began = Instant::now();
        let (mut bridged, mut since) = (0, 0);
        while !over.load(Relaxed) {
            host.block([&block, &block]);
            // What came out is judged elsewhere; an hour of it would not fit.
            host.out.main.iter_mut().chain(host.out.strips.iter_mut().flatten()).for_each(Vec::clear);
            let view = host.instance.view();
            let counters = view.counters;
            // Live is who has heard stems for a second without a gap.
            if counters.bridged_frames != bridged || view.link != LinkView::Live {
                (bridged, since) = (counters.bridged_frames, host.played());
            }
            {
                let mut seen = told.lock().unwrap();
                seen.live |=
                    host.played() - since > u64::from(RATE_HZ) && host.played() > 4 * u64::from(RATE_HZ);
                seen.frames = host.played();
                seen.missed = Missed {
                    underruns: counters.underruns,
                    late: counters.late,
                    lost: counters.lost,
                    bridged_frames: counters.bridged_frames,
                    reconnects: counters.reconnects,
                    dropped_frames: counters.dropped_frames,
                };
            }
            let due = began + Duration::from_secs_f64(host.played() as f64 / f64::from(RATE_HZ));
            std::thread::sleep(due.saturating_duration_since(Instant::now()));
        }
    });
    Player { seen, thread }
}

/// Waits; panics when it never comes.
pub(crate) async fn until(what: &str, ready: impl Fn() -> bool) {
    let waiting = async {
        while !ready() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(120), waiting).await.unwrap_or_else(|_| panic!("never: {what}"));
}
