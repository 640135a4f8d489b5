//! quinn for audio on a LAN: everything about QUIC and TLS that is set once per connection.
//!
//! quinn's defaults are made for downloads across the world: a third of a second of assumed round trip (so the
//! first lost packet costs a whole budget), Cubic, half a minute until a dead peer is noticed. The server has a
//! module like this of its own; what both sides must agree on are constants of the protocol crate.
//!
//! This module must not open sockets or know about sessions.

use std::{sync::Arc, time::Duration};

use quinn::{
    AckFrequencyConfig, ClientConfig, IdleTimeout, TransportConfig, VarInt, crypto::rustls::QuicClientConfig,
};
use rehearsekit_protocol::{ALPN, MAX_CONCURRENT_UNI, MAX_PACKET_BYTES, Mode};
use rustls::crypto::CryptoProvider;

use crate::{
    congestion::AudioWindowConfig,
    trust::{Fingerprint, Verifier},
};

/// What a LAN's round trip is taken for before it is known: early retransmissions after 3 times this.
const INITIAL_RTT: Duration = Duration::from_millis(10);
/// How long the server may keep an acknowledgement back: short, since a lost packet shows only by those.
const MAX_ACK_DELAY: Duration = Duration::from_millis(5);
/// A datagram counts as lost when another that was sent so many later is acknowledged, or when it is so many round trips
/// old. QUIC's own 3 and 9/8 take Wi-Fi's reordering for loss: at 20 ± 15 ms everything was sent five times over. On a
/// quiet link the time decides, which is a millisecond or two.
const LOST_BEHIND_DATAGRAMS: u32 = 128;
const LOST_AFTER_ROUND_TRIPS: f32 = 1.75;
/// QUIC's own verdict that the peer is gone. Our heartbeat is quicker; this bounds the handshake too.
const IDLE_MILLIS: u32 = 3_000;
/// The same for a bounce, which has time.
const RELIABLE_IDLE_MILLIS: u32 = 10_000;
/// QUIC's keep-alive, for the time before the heartbeat begins.
const KEEP_ALIVE: Duration = Duration::from_millis(750);
/// What the server may have under way to us on all streams: two of the largest packets.
const RECEIVE_WINDOW_BYTES: u32 = 2 * MAX_PACKET_BYTES as u32;
/// What the server may have under way to us on one stream: a usual chunk is far smaller.
const STREAM_WINDOW_BYTES: u32 = 2 * 1_024 * 1_024;
/// What we keep for retransmission: ten seconds of stereo at 48 kHz.
const SEND_WINDOW_BYTES: u64 = 4 * 1_024 * 1_024;

/// The transport for an upstream of stereo at `rate_hz` (wire rate).
pub(crate) fn transport_config(rate_hz: u32, mode: Mode) -> TransportConfig {
    let mut acks = AckFrequencyConfig::default();
    acks.max_ack_delay(Some(MAX_ACK_DELAY));
    let (window, idle_millis) = match mode {
        Mode::Live => (AudioWindowConfig::for_rate(u64::from(rate_hz) * 2 * 4), IDLE_MILLIS),
        Mode::Reliable => (AudioWindowConfig::widest(), RELIABLE_IDLE_MILLIS),
    };
    let mut transport = TransportConfig::default();
    transport
        .initial_rtt(INITIAL_RTT)
        .ack_frequency_config(Some(acks))
        .packet_threshold(LOST_BEHIND_DATAGRAMS)
        .time_threshold(LOST_AFTER_ROUND_TRIPS)
        .congestion_controller_factory(Arc::new(window))
        // The server opens chunks only; the one bidirectional stream is ours.
        .max_concurrent_uni_streams(VarInt::from_u32(MAX_CONCURRENT_UNI))
        .max_concurrent_bidi_streams(VarInt::from_u32(0))
        .stream_receive_window(VarInt::from_u32(STREAM_WINDOW_BYTES))
        .receive_window(VarInt::from_u32(RECEIVE_WINDOW_BYTES))
        .send_window(SEND_WINDOW_BYTES)
        // The oldest packet first: sharing the line between packets makes all of them late.
        .send_fairness(false)
        .datagram_receive_buffer_size(None)
        .keep_alive_interval(Some(KEEP_ALIVE))
        .max_idle_timeout(Some(IdleTimeout::from(VarInt::from_u32(idle_millis))));
    transport
}

/// TLS could not be set up; on a build with *ring* this does not happen.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("TLS could not be set up ({0}); this is a fault of the build, please report it")]
pub struct TlsError(String);

/// The client's configuration for one attempt (`expected`: the one certificate that is believed), and the verifier that remembers what the server showed.
pub(crate) fn client_config(
    expected: Option<Fingerprint>,
    rate_hz: u32,
    mode: Mode,
) -> Result<(ClientConfig, Arc<Verifier>), TlsError> {
    let provider: Arc<CryptoProvider> = Arc::new(rustls::crypto::ring::default_provider());
    let verifier = Arc::new(Verifier::new(expected, Arc::clone(&provider)));
    let mut tls = rustls::ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(|error| TlsError(error.to_string()))?
        .dangerous()
        .with_custom_certificate_verifier(Arc::clone(&verifier) as _)
        .with_no_client_auth();
    tls.alpn_protocols = vec![ALPN.to_vec()];
    // A resumed session would skip the certificate, and with it the question whether it is the pinned one.
    tls.resumption = rustls::client::Resumption::disabled();
    let quic = QuicClientConfig::try_from(tls).map_err(|error| TlsError(error.to_string()))?;
    let mut config = ClientConfig::new(Arc::new(quic));
    config.transport_config(Arc::new(transport_config(rate_hz, mode)));
    Ok((config, verifier))
}
