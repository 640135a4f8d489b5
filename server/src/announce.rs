//! Announces a server that others can reach to its network, and keeps its load up to date. A server that cannot
//! announce itself serves all the same: what is wrong here is a warning and never the end.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        mpsc::{RecvTimeoutError, Sender, channel},
    },
    time::{Duration, Instant},
};

use rehearsekit_discovery::{Announcement, Announcer, Answerer, Load, Trouble, examine};
use rehearsekit_protocol::PROTOCOL_VERSIONS;
use tokio::{runtime::Handle, task::JoinHandle};

use crate::{avahi::Avahi, identity::Fingerprint, state::Shared, token_bucket::TokenBucket};

/// How often the open sessions are counted.
const LOOK: Duration = Duration::from_secs(1);
/// Between two changes that avahi is told.
const BETWEEN_UPDATES: Duration = Duration::from_secs(6);
/// Answers to the roll call that go out at once: a band that opens its windows together, each on several networks.
const ANSWERS_AT_ONCE: u64 = 64;
/// And so many per second after that: 16 KB a second at the most.
const ANSWERS_PER_SECOND: u64 = 16;

/// A server being announced, until [`Announcing::end`].
pub(crate) struct Announcing {
    stop: Sender<()>,
    thread: JoinHandle<()>,
}

impl Announcing {
    /// Says goodbye to the network; the task that is returned ends when that is done.
    pub(crate) fn end(self) -> JoinHandle<()> {
        drop(self.stop);
        self.thread
    }
}

/// Begins, if the server is to be announced and can be reached by others. Needs a tokio runtime.
pub(crate) fn start(
    shared: &Arc<Shared>,
    fingerprint: Fingerprint,
    quic: SocketAddr,
    http: SocketAddr,
) -> Option<Announcing> {
    if !shared.config.announce || quic.ip().to_canonical().is_loopback() {
        return None;
    }
    let announcement = Announcement {
        name: shared.config.server_name.clone(),
        fingerprint: fingerprint.0,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        protocol: (*PROTOCOL_VERSIONS.start(), *PROTOCOL_VERSIONS.end()),
        models: default_first(&shared.config.models, &shared.config.default_model),
        load: load(shared),
        quic_port: quic.port(),
        http_port: (!http.ip().to_canonical().is_loopback()).then_some(http.port()),
    };
    let (stop, stopped) = channel();
    let shared = shared.clone();
    let runtime = Handle::current();
    // Sockets are opened and goodbyes waited for, so it is no work for the async threads.
    let thread = tokio::task::spawn_blocking(move || {
        let mut ways = Ways::start(announcement, quic, runtime);
        while stopped.recv_timeout(LOOK) == Err(RecvTimeoutError::Timeout) {
            ways.update(load(&shared));
        }
    });
    Some(Announcing { stop, thread })
}

/// The ways in which players hear of this server; each that does not work is a warning.
struct Ways {
    announcement: Announcement,
    announcer: Option<Announcer>,
    answerer: Option<Answerer>,
    avahi: Option<Avahi>,
    runtime: Handle,
    updated: Instant,
}

impl Ways {
    fn start(announcement: Announcement, quic: SocketAddr, runtime: Handle) -> Self {
        let announcer = Announcer::start(announcement.clone(), quic)
            .inspect_err(|error| tracing::warn!("this server cannot be announced by multicast DNS: {error}"));
        let mut pace = TokenBucket::new(ANSWERS_AT_ONCE, ANSWERS_PER_SECOND);
        let began = Instant::now();
        let may_answer = move |now: Instant| pace.take(1, now.saturating_duration_since(began));
        let answerer = Answerer::start(announcement.clone(), quic, may_answer).inspect_err(|error| {
            tracing::warn!("players who ask for servers by broadcast hear nothing of this one: {error}")
        });
        let avahi = match examine() {
            None => None,
            Some(Trouble::PortTaken) => through_avahi(&runtime, &announcement, quic),
            Some(trouble) => {
                tracing::warn!("players may have to type the address of this server: {trouble}");
                None
            }
        };
        let (announcer, answerer) = (announcer.ok(), answerer.ok());
        Self { announcement, announcer, answerer, avahi, runtime, updated: Instant::now() }
    }

    fn update(&mut self, load: Load) {
        if let Some(announcer) = &self.announcer {
            announcer.update(load);
        }
        if let Some(answerer) = &self.answerer {
            answerer.update(load);
        }
        if self.announcement.load == load || self.updated.elapsed() < BETWEEN_UPDATES {
            return;
        }
        self.announcement.load = load;
        self.updated = Instant::now();
        if let Some(avahi) = &self.avahi
            && let Err(error) = self.runtime.block_on(avahi.update(&self.announcement))
        {
            tracing::warn!("avahi does not announce this server any more: {error}");
            self.avahi = None;
        }
    }
}

/// Another program keeps the port of multicast DNS to itself. Where that is avahi and can be asked, it announces for us.
fn through_avahi(runtime: &Handle, announcement: &Announcement, quic: SocketAddr) -> Option<Avahi> {
    match runtime.block_on(Avahi::announce(announcement, quic)) {
        Ok(avahi) => {
            tracing::info!("another program keeps UDP port 5353 to itself; avahi announces this server");
            Some(avahi)
        }
        Err(error) => {
            tracing::warn!(
                "another program keeps UDP port 5353 to itself (on TrueNAS its own avahi does), and avahi cannot be \
                 asked to announce this server ({error}): mount /run/dbus/system_bus_socket into the container for \
                 that. Players find this server by a question to UDP port 7432 all the same, unless a firewall is in \
                 the way"
            );
            None
        }
    }
}

fn load(shared: &Shared) -> Load {
    let number = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
    Load { open: number(shared.open_sessions()), most: number(shared.config.max_sessions) }
}

fn default_first(models: &[String], default: &str) -> Vec<String> {
    let (mut first, others): (Vec<String>, Vec<String>) =
        models.iter().cloned().partition(|model| model == default);
    first.extend(others);
    first
}
