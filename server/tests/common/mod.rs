//! A server with a small engine of its own, and a client that can misbehave. Every wait has a limit that is
//! only there so that a broken test ends.

#![allow(dead_code, reason = "each test binary uses a part of it")]
#![allow(clippy::unwrap_used, reason = "all of it is test code")]

mod engine;
pub(crate) mod stranger;

use std::{net::SocketAddr, sync::Arc, time::Duration};

pub(crate) use engine::HalfEngine;

use rehearsekit_protocol::{
    ALPN, ClientMessage, FrameReader, Mode, OpenRequest, Opened, PROTOCOL_VERSIONS, Packet, PacketHeader,
    ServerMessage, encode_packet,
};
use rehearsekit_server::{
    Event, Listeners, ServeError,
    config::{Config, Flag, Sources, Value},
    engine::Engine,
    run_with,
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    sync::{mpsc, oneshot},
    task::JoinHandle,
    time::timeout,
};

pub(crate) const LIMIT: Duration = Duration::from_secs(60);
pub(crate) const PACKET: u32 = 480;
pub(crate) const HOP: u32 = 960;
pub(crate) const RATE_HZ: u32 = 48_000;
/// A first sample that makes the pipeline panic.
pub(crate) const PANIC: f32 = 0.987_654;

/// Waits, but not for ever.
pub(crate) async fn within<T>(future: impl Future<Output = T>) -> T {
    timeout(LIMIT, future).await.expect("this should have happened long ago")
}

/// A running server.
pub(crate) struct TestServer {
    pub(crate) link: SocketAddr,
    pub(crate) http: SocketAddr,
    pub(crate) data: tempfile::TempDir,
    pub(crate) events: mpsc::UnboundedReceiver<Event>,
    shutdown: Option<oneshot::Sender<()>>,
    done: JoinHandle<Result<(), ServeError>>,
}

/// A configuration on free ports, with these keys on top.
pub(crate) fn config(data: &std::path::Path, keys: &[(&str, &str)]) -> Config {
    let own = [
        ("listen", "127.0.0.1:0"),
        ("http", "127.0.0.1:0"),
        ("data", data.to_str().unwrap()),
        ("drain_seconds", "0"),
    ];
    let flags = own.iter().chain(keys).map(|(key, value)| Flag {
        name: format!("--{key}"),
        key: (*key).to_owned(),
        value: Value::Text((*value).to_owned()),
    });
    Config::load(&Sources { flags: flags.collect(), ..Sources::default() }).unwrap()
}

impl TestServer {
    /// Starts and waits until it is ready.
    pub(crate) async fn ready(keys: &[(&str, &str)]) -> Self {
        let mut server = Self::start(keys, HalfEngine::default()).await;
        assert_eq!(within(server.events.recv()).await, Some(Event::Ready));
        server
    }

    /// Starts and waits until it listens.
    pub(crate) async fn start(keys: &[(&str, &str)], engine: HalfEngine) -> Self {
        let data = tempfile::tempdir().unwrap();
        let config = config(data.path(), keys);
        Self::with(data, config, Arc::new(engine)).await
    }

    /// Starts with any engine and waits until it listens.
    pub(crate) async fn with(data: tempfile::TempDir, config: Config, engine: Arc<dyn Engine>) -> Self {
        let listeners = Listeners::bind(&config).unwrap();
        Self::on(data, config, listeners, engine).await
    }

    /// Starts on these sockets and waits until it listens.
    pub(crate) async fn on(
        data: tempfile::TempDir,
        config: Config,
        listeners: Listeners,
        engine: Arc<dyn Engine>,
    ) -> Self {
        let (link, http) = listeners.addresses().unwrap();
        let (teller, mut events) = mpsc::unbounded_channel();
        let (shutdown, over) = oneshot::channel();
        let tell = move |event| {
            let _ = teller.send(event);
        };
        let over = async move { drop(over.await) };
        let done = tokio::spawn(run_with(listeners, config, engine, tell, over));
        assert!(matches!(within(events.recv()).await, Some(Event::Listening { .. })));
        Self { link, http, data, events, shutdown: Some(shutdown), done }
    }

    /// Asks for the shutdown.
    pub(crate) fn shut_down(&mut self) {
        drop(self.shutdown.take());
    }

    /// Waits for the end.
    pub(crate) async fn end(mut self) -> Result<(), ServeError> {
        self.shut_down();
        within(&mut self.done).await.unwrap()
    }

    /// Waits for an end that comes by itself.
    pub(crate) async fn ends(self) -> Result<(), ServeError> {
        within(self.done).await.unwrap()
    }

    /// One number of the metrics.
    pub(crate) async fn metric(&self, name: &str) -> f64 {
        let (_, body) = get(self.http, "/metrics", "localhost", "").await;
        let line = body
            .lines()
            .find_map(|line| line.strip_prefix(&format!("rehearsekit_{name} ")).map(str::to_owned));
        line.map_or(0.0, |value| value.parse().unwrap())
    }

    /// Waits until a number of the metrics is at least this.
    pub(crate) async fn metric_reaches(&self, name: &str, least: f64) {
        let reached = async {
            while self.metric(name).await < least {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        within(reached).await;
    }
}

/// One HTTP request by hand: status and body.
pub(crate) async fn get(address: SocketAddr, path: &str, host: &str, more: &str) -> (u16, String) {
    get_over(tokio::net::TcpStream::connect(address).await.unwrap(), path, host, more).await
}

/// The same over a connection that is there.
pub(crate) async fn get_over(
    mut stream: impl tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin,
    path: &str,
    host: &str,
    more: &str,
) -> (u16, String) {
    let request = format!("GET {path} HTTP/1.1\r\nHost: {host}\r\n{more}Connection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    // TLS may end without a goodbye; the answer is whole before.
    let _ = within(stream.read_to_end(&mut answer)).await;
    let answer = String::from_utf8_lossy(&answer).into_owned();
    let status = answer.split(' ').nth(1).and_then(|code| code.parse().ok()).unwrap_or_default();
    let body = answer.split_once("\r\n\r\n").map(|(_, body)| body.to_owned()).unwrap_or_default();
    (status, body)
}

/// Trusts anybody: these tests are not about trust.
#[derive(Debug)]
pub(crate) struct Anybody(pub(crate) Arc<rustls::crypto::CryptoProvider>);

impl rustls::client::danger::ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _end: &rustls::pki_types::CertificateDer<'_>,
        _between: &[rustls::pki_types::CertificateDer<'_>],
        _name: &rustls::pki_types::ServerName<'_>,
        _ocsp: &[u8],
        _now: rustls::pki_types::UnixTime,
    ) -> Result<rustls::client::danger::ServerCertVerified, rustls::Error> {
        Ok(rustls::client::danger::ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &rustls::pki_types::CertificateDer<'_>,
        signature: &rustls::DigitallySignedStruct,
    ) -> Result<rustls::client::danger::HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls12_signature(
            message,
            certificate,
            signature,
            &self.0.signature_verification_algorithms,
        )
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &rustls::pki_types::CertificateDer<'_>,
        signature: &rustls::DigitallySignedStruct,
    ) -> Result<rustls::client::danger::HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls13_signature(
            message,
            certificate,
            signature,
            &self.0.signature_verification_algorithms,
        )
    }

    fn supported_verify_schemes(&self) -> Vec<rustls::SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

/// TLS that trusts anybody.
pub(crate) fn client_tls(alpn: &[u8]) -> rustls::ClientConfig {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut tls = rustls::ClientConfig::builder_with_provider(provider.clone())
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Anybody(provider)))
        .with_no_client_auth();
    tls.alpn_protocols = vec![alpn.to_vec()];
    tls
}

/// An endpoint that lets the server open this many streams.
pub(crate) fn endpoint(streams: u32) -> quinn::Endpoint {
    endpoint_at([127, 0, 0, 1].into(), streams, client_tls(ALPN))
}

/// The same at an address, with TLS of its own.
pub(crate) fn endpoint_at(
    address: std::net::IpAddr,
    streams: u32,
    tls: rustls::ClientConfig,
) -> quinn::Endpoint {
    let crypto = quinn::crypto::rustls::QuicClientConfig::try_from(tls).unwrap();
    let mut config = quinn::ClientConfig::new(Arc::new(crypto));
    let mut transport = quinn::TransportConfig::default();
    transport.max_concurrent_uni_streams(streams.into());
    transport.keep_alive_interval(Some(Duration::from_secs(1)));
    config.transport_config(Arc::new(transport));
    let mut endpoint = quinn::Endpoint::client(SocketAddr::from((address, 0))).unwrap();
    endpoint.set_default_client_config(config);
    endpoint
}

/// A client that does what it is told, right or wrong.
pub(crate) struct Client {
    pub(crate) endpoint: quinn::Endpoint,
    pub(crate) connection: quinn::Connection,
    pub(crate) send: Arc<tokio::sync::Mutex<quinn::SendStream>>,
    pub(crate) recv: quinn::RecvStream,
    frames: FrameReader,
    pub(crate) sequence: u32,
}

/// A request that fits the engine.
pub(crate) fn request(mode: Mode, budget_frames: u32) -> OpenRequest {
    OpenRequest {
        model: String::new(),
        rate_hz: RATE_HZ,
        budget_frames,
        block_frames: 64,
        link_micros: 5_000,
        mode,
        wanted_offers_frames: Vec::new(),
    }
}

impl Client {
    pub(crate) async fn connect(address: SocketAddr, streams: u32) -> Self {
        Self::connect_with(endpoint(streams), address).await
    }

    pub(crate) async fn connect_with(endpoint: quinn::Endpoint, address: SocketAddr) -> Self {
        let connection = within(endpoint.connect(address, "rehearsekit").unwrap()).await.unwrap();
        let (send, recv) = connection.open_bi().await.unwrap();
        let send = Arc::new(tokio::sync::Mutex::new(send));
        Self { endpoint, connection, send, recv, frames: FrameReader::new(), sequence: 0 }
    }

    pub(crate) async fn say(&self, message: &ClientMessage) {
        let mut bytes = Vec::new();
        message.encode(&mut bytes).unwrap();
        self.send.lock().await.write_all(&bytes).await.unwrap();
    }

    /// The next message; `None` when the server has ended the stream.
    pub(crate) async fn hear(&mut self) -> Option<ServerMessage> {
        loop {
            if let Some(frame) = self.frames.next_frame().unwrap() {
                return Some(ServerMessage::decode(frame).unwrap());
            }
            let mut buffer = [0; 1024];
            let count = within(self.recv.read(&mut buffer)).await.ok().flatten()?;
            self.frames.push(&buffer[..count]);
        }
    }

    /// The next message that is no echo.
    pub(crate) async fn news(&mut self) -> Option<ServerMessage> {
        loop {
            match self.hear().await {
                Some(ServerMessage::HeartbeatEcho { .. }) => {}
                other => return other,
            }
        }
    }

    pub(crate) async fn hello(&mut self, versions: std::ops::RangeInclusive<u16>) -> Option<ServerMessage> {
        let (min_version, max_version) = versions.into_inner();
        self.say(&ClientMessage::Hello { min_version, max_version, client_name: "test".to_owned() }).await;
        self.hear().await
    }

    /// Hello and open.
    pub(crate) async fn ask(&mut self, request: OpenRequest) -> Option<ServerMessage> {
        assert!(matches!(self.hello(PROTOCOL_VERSIONS).await, Some(ServerMessage::Welcome { .. })));
        self.say(&ClientMessage::Open(request)).await;
        self.hear().await
    }

    /// A session with heartbeats.
    pub(crate) async fn session(address: SocketAddr, mode: Mode, budget_frames: u32) -> (Self, Opened) {
        let mut client = Self::connect(address, 256).await;
        let opened = client.ask(request(mode, budget_frames)).await;
        let Some(ServerMessage::Opened(opened)) = opened else { panic!("not opened: {opened:?}") };
        client.beat();
        (client, opened)
    }

    /// Sends heartbeats as long as the connection lives.
    pub(crate) fn beat(&self) {
        let send = self.send.clone();
        tokio::spawn(async move {
            let mut bytes = Vec::new();
            ClientMessage::Heartbeat { sequence: 0 }.encode(&mut bytes).unwrap();
            while send.lock().await.write_all(&bytes).await.is_ok() {
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        });
    }

    /// One packet whose samples tell their position; see [`sample`].
    pub(crate) async fn push(&mut self, epoch: u32, first_frame: u64, frames: u32, end_of_epoch: bool) {
        let samples: Vec<f32> = (0..u64::from(frames)).map(|n| sample(first_frame + n)).collect();
        let header =
            PacketHeader { end_of_epoch, ..PacketHeader::mix(epoch, self.sequence, first_frame, frames) };
        self.sequence += 1;
        self.push_raw(&header, &samples).await;
    }

    pub(crate) async fn push_raw(&self, header: &PacketHeader, samples: &[f32]) {
        let mut bytes = Vec::new();
        encode_packet(header, &[samples, samples], &mut bytes).unwrap();
        self.push_bytes(&bytes).await;
    }

    /// Bytes as a stream of their own. The server may have closed already, which the test then sees elsewhere.
    pub(crate) async fn push_bytes(&self, bytes: &[u8]) {
        if let Ok(mut stream) = self.connection.open_uni().await {
            let _ = stream.write_all(bytes).await;
            let _ = stream.finish();
        }
    }

    pub(crate) async fn stems(&self) -> Packet {
        let mut stream = within(self.connection.accept_uni()).await.unwrap();
        Packet::decode(&within(stream.read_to_end(1 << 22)).await.unwrap()).unwrap()
    }

    /// Stems until `frames` frames have come: the first frame of each chunk, its epoch and its samples.
    pub(crate) async fn stems_of(&self, frames: u64) -> Vec<Packet> {
        let mut chunks = Vec::new();
        let mut got = 0;
        while got < frames {
            let chunk = self.stems().await;
            got += u64::from(chunk.header.frames);
            chunks.push(chunk);
        }
        chunks.sort_by_key(|chunk| chunk.header.first_frame);
        chunks
    }

    /// Plays `packets` packets reliably and checks every frame that comes back.
    pub(crate) async fn plays(&mut self, epoch: u32, from: u64, packets: u32) {
        let frames = u64::from(packets * PACKET);
        for n in 0..packets {
            let position = from + u64::from(n * PACKET);
            self.push(epoch, position, PACKET, n + 1 == packets).await;
        }
        let mut expected = from;
        for chunk in self.stems_of(frames).await {
            assert_eq!((chunk.header.first_frame, chunk.header.epoch), (expected, epoch));
            for (n, value) in chunk.channels[0].iter().enumerate() {
                assert_eq!(*value, sample(expected + n as u64) / 2.0);
            }
            expected += u64::from(chunk.header.frames);
        }
        assert_eq!(expected, from + frames);
    }

    /// How the server closed the connection: the code and the words.
    pub(crate) async fn closed(&self) -> (u64, String) {
        match within(self.connection.closed()).await {
            quinn::ConnectionError::ApplicationClosed(close) => {
                (close.error_code.into_inner(), String::from_utf8_lossy(&close.reason).into_owned())
            }
            other => panic!("not closed by the server: {other}"),
        }
    }
}

/// The sample at a position; never [`PANIC`].
pub(crate) fn sample(position: u64) -> f32 {
    (position % 1_000) as f32 / 2_048.0
}
