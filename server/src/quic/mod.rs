//! The endpoint: who may connect, how many, how the transport is tuned. What happens inside a connection
//! is `session`'s business; this module must not look at audio or messages.

mod pace;
mod steady;

use std::{
    net::UdpSocket,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    time::{Duration, Instant},
};

use quinn::{
    AckFrequencyConfig, Endpoint, EndpointConfig, IdleTimeout, Incoming, ServerConfig, TokioRuntime,
    TransportConfig, VarInt, crypto::rustls::QuicServerConfig,
};
use rehearsekit_protocol::{ALPN, MAX_CONCURRENT_UNI};
use tokio::{sync::watch, task::JoinSet};

use pace::Paces;

use crate::{
    ServeError,
    guests::{Guest, Guests},
    identity::Identity,
    session,
    state::Shared,
};

/// Bytes of one stream that may wait here unread; a packet of mix fits.
const STREAM_WINDOW_BYTES: u32 = 256 * 1024;
/// Bytes of a whole connection that may wait here unread.
const RECEIVE_WINDOW_BYTES: u32 = 2 * 1024 * 1024;
/// While it has no session: control messages fit, and no stream of packets may even be opened.
const WAITING_WINDOW_BYTES: u32 = 32 * 1024;
/// Bytes of stems that may be on their way to one client.
const SEND_WINDOW_BYTES: u64 = 4 * 1024 * 1024;
/// A connection on which nothing at all arrives is gone after this.
const IDLE: Duration = Duration::from_secs(5);
/// A datagram counts as lost when another that was sent so many later is acknowledged, or when it is so many round trips
/// old. QUIC's own 3 and 9/8 take Wi-Fi's reordering for loss: see the client, which says the same.
const LOST_BEHIND_DATAGRAMS: u32 = 128;
const LOST_AFTER_ROUND_TRIPS: f32 = 1.75;
/// Connections without a session that one address may have; a band behind one router starts at once.
const WAITING_PER_ADDRESS: usize = 24;
/// Connections besides the sessions: handshakes, refusals, goodbyes.
const SPARE_CONNECTIONS: usize = 64;
/// With more handshakes under way than this, a client must first prove its address.
const UNPROVEN_HANDSHAKES: usize = 16;

/// How far the sessions' life may go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Life {
    /// As long as they like.
    On,
    /// They must close now.
    Over,
}

impl Life {
    /// Waits until it is over. May be cancelled.
    pub(crate) async fn over(life: &mut watch::Receiver<Self>) {
        // An error means that the server itself is gone, which is the end too.
        let _ = life.wait_for(|life| *life == Self::Over).await;
    }
}

/// An endpoint on `socket` with this identity.
pub(crate) fn endpoint(socket: UdpSocket, identity: &Identity) -> Result<Endpoint, ServeError> {
    let tls = identity.tls(ALPN).map_err(|error| ServeError::Internal(error.to_string()))?;
    let crypto = QuicServerConfig::try_from(tls).map_err(|error| ServeError::Internal(error.to_string()))?;
    let mut config = ServerConfig::with_crypto(Arc::new(crypto));
    config.transport_config(Arc::new(transport()));
    config.max_incoming(SPARE_CONNECTIONS);
    // Of a client that has not been accepted yet nothing but its hello is kept.
    config.incoming_buffer_size(16 * 1024).incoming_buffer_size_total(1024 * 1024);
    socket.set_nonblocking(true).map_err(ServeError::Socket)?;
    let runtime = Arc::new(TokioRuntime);
    Endpoint::new(EndpointConfig::default(), Some(config), socket, runtime).map_err(ServeError::Socket)
}

fn transport() -> TransportConfig {
    let mut transport = TransportConfig::default();
    let mut frequency = AckFrequencyConfig::default();
    frequency.max_ack_delay(Some(Duration::from_millis(5)));
    transport
        .max_concurrent_bidi_streams(1u8.into())
        // Whoever has no session yet may talk, and fill no memory; see `seat`.
        .max_concurrent_uni_streams(0u8.into())
        .stream_receive_window(STREAM_WINDOW_BYTES.into())
        .receive_window(WAITING_WINDOW_BYTES.into())
        .send_window(SEND_WINDOW_BYTES)
        // Chunks one after the other: the oldest is due first.
        .send_fairness(false)
        .max_idle_timeout(IdleTimeout::try_from(IDLE).ok())
        .initial_rtt(Duration::from_millis(20))
        .ack_frequency_config(Some(frequency))
        .packet_threshold(LOST_BEHIND_DATAGRAMS)
        .time_threshold(LOST_AFTER_ROUND_TRIPS)
        .datagram_receive_buffer_size(None)
        .congestion_controller_factory(Arc::new(steady::Steady));
    transport
}

/// From here on the client may send packets: as much as a session needs.
pub(crate) fn seat(connection: &quinn::Connection) {
    connection.set_receive_window(RECEIVE_WINDOW_BYTES.into());
    connection.set_max_concurrent_uni_streams(MAX_CONCURRENT_UNI.into());
}

/// Accepts connections until `life` is over, then waits for their goodbyes.
pub(crate) async fn accept(endpoint: Endpoint, shared: Arc<Shared>, life: watch::Receiver<Life>) {
    let mut own_life = life.clone();
    let most = shared.config.max_sessions + SPARE_CONNECTIONS;
    let guests = Guests::new(most, WAITING_PER_ADDRESS);
    let (paces, start) = (Paces::default(), Instant::now());
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            incoming = endpoint.accept() => match incoming {
                Some(incoming) => {
                    let proven = incoming.remote_address_validated();
                    let address = incoming.remote_address().ip();
                    // A program on this machine has easier ways to be a nuisance.
                    let in_pace =
                        shared.trust.is_near(address) || paces.allow(address, proven, start.elapsed());
                    let greeting = AssertUnwindSafe(|| {
                        greet(incoming, in_pace, &shared, &guests, &life, &mut connections);
                    });
                    // Whatever one hello does to us, the door stays open to the next.
                    if catch_unwind(greeting).is_err() {
                        shared.metrics.panics.add(1);
                    }
                }
                None => break,
            },
            Some(ended) = connections.join_next() => note_panic(&shared, ended),
            () = Life::over(&mut own_life) => break,
        }
    }
    while let Some(ended) = connections.join_next().await {
        note_panic(&shared, ended);
    }
}

fn greet(
    incoming: Incoming,
    in_pace: bool,
    shared: &Arc<Shared>,
    guests: &Arc<Guests>,
    life: &watch::Receiver<Life>,
    connections: &mut JoinSet<()>,
) {
    let address = incoming.remote_address().ip();
    if shared.watch.is_own(incoming.remote_address()) {
        let own = Guest::own(address);
        connections.spawn(session::serve(incoming, shared.clone(), own, life.clone()));
        return;
    }
    let handshakes = guests.waiting();
    let unproven = !incoming.remote_address_validated() && incoming.may_retry();
    if unproven && (handshakes > UNPROVEN_HANDSHAKES || !in_pace) {
        // Costs us no memory; an error would only mean that it was proven after all.
        shared.metrics.connections_unproven.add(1);
        let _ = incoming.retry();
        return;
    }
    if !in_pace {
        // Not a word: who means it repeats its hello in a second, and may have a turn by then.
        shared.metrics.connections_refused.add(1);
        incoming.ignore();
        return;
    }
    match guests.enter(address) {
        Some(guest) => {
            connections.spawn(session::serve(incoming, shared.clone(), guest, life.clone()));
        }
        None => {
            shared.metrics.connections_refused.add(1);
            incoming.refuse();
        }
    }
}

fn note_panic(shared: &Shared, ended: Result<(), tokio::task::JoinError>) {
    if let Err(error) = ended {
        shared.metrics.panics.add(1);
        tracing::error!(%error, "a connection's task panicked; the others go on");
    }
}

/// The code QUIC carries with a reason of ours.
pub(crate) fn close_code(reason: rehearsekit_protocol::CloseReason) -> VarInt {
    use rehearsekit_protocol::CloseReason as R;
    let code: u8 = match reason {
        R::ClientDone => 0,
        R::ServerShutdown => 1,
        R::ProtocolError => 2,
        R::TooSlow => 3,
        R::Silent => 4,
        R::Internal => 5,
        R::Revoked => 6,
    };
    code.into()
}
