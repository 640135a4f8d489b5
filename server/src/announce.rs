//! Announces a server that others can reach to its network, and keeps its load up to date. A server that cannot
//! announce itself serves all the same: what is wrong here is a warning and never the end.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        mpsc::{RecvTimeoutError, Sender, channel},
    },
    time::Duration,
};

use rehearsekit_discovery::{Announcement, Announcer, Load, examine};
use rehearsekit_protocol::PROTOCOL_VERSIONS;
use tokio::task::JoinHandle;

use crate::{identity::Fingerprint, state::Shared};

/// How often the open sessions are counted.
const LOOK: Duration = Duration::from_secs(1);

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
    // Sockets are opened and goodbyes waited for, so it is no work for the async threads.
    let thread = tokio::task::spawn_blocking(move || {
        let announcer = match Announcer::start(announcement, quic) {
            Ok(announcer) => announcer,
            Err(error) => {
                tracing::warn!(
                    "players must type the address of this server, for it cannot be announced: {error}"
                );
                return;
            }
        };
        if let Some(trouble) = examine() {
            tracing::warn!("players may have to type the address of this server: {trouble}");
        }
        while stopped.recv_timeout(LOOK) == Err(RecvTimeoutError::Timeout) {
            announcer.update(load(&shared));
        }
    });
    Some(Announcing { stop, thread })
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
