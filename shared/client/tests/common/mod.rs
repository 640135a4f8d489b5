//! A tiny server for the link's tests: real QUIC on loopback, a real control session, and instead of a model a
//! gain of one half. What it does wrong, it does on purpose.

#![allow(dead_code, reason = "each test file uses its part of this")]
#![allow(clippy::unwrap_used, reason = "a test that cannot set itself up has failed")]

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use quinn::{Connection, Endpoint, RecvStream, SendStream};
use rehearsekit_audio::StemSet;
use rehearsekit_client::{Decimation, Finder, Fingerprint, Link, LinkConfig, LinkState, ServerTrust};
use rehearsekit_playout::{MAX_TRAVELLING_CHANNELS, MixSlot, SLOT_FRAMES, StemSlot};
use rehearsekit_protocol::{
    ALPN, Arranger, MAX_PACKET_BYTES, Mode, OpenRequest, Opened, Packet, PacketHeader, PacketKind, Refusal,
    Run, ServerEvent, ServerSession, Token,
};

/// Long enough for any machine; reached only when something hangs.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);
pub(crate) const RATE_HZ: u32 = 48_000;
/// The longest budget there is: nothing is late or given up however slow this machine is.
pub(crate) const LONG_BUDGET_FRAMES: u32 = 20 * RATE_HZ;

/// How the server behaves.
#[derive(Debug, Clone)]
pub(crate) enum Manner {
    /// Halves the mix.
    Serve,
    Refuse(Refusal),
    /// Takes the connection and the control stream and says nothing.
    NeverAnswers,
    /// Opens the session and echoes heartbeats but takes no packet.
    NeverReads,
    /// Answers the hello with these bytes.
    GarbageControl(Vec<u8>),
    /// Answers the first packet with these bytes on a stream.
    GarbageStream(Vec<u8>),
    /// Answers the first packet with stems for audio that was never sent.
    FutureStems,
    /// Grants another latency than the one asked for.
    WrongLatency,
    /// Falls silent after the first packet, its connections open, until told otherwise.
    FallsSilent,
}

/// What the server has seen.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    pub(crate) connections: AtomicU64,
    pub(crate) sessions: AtomicU64,
    pub(crate) goodbyes: AtomicU64,
    pub(crate) epochs: AtomicU64,
    pub(crate) ends: AtomicU64,
    /// What the last client showed.
    pub(crate) token: Mutex<Option<Token>>,
    /// For [`Manner::FallsSilent`]: speak again.
    pub(crate) recovered: AtomicBool,
}

pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    pub(crate) fingerprint: Fingerprint,
    pub(crate) seen: Arc<Seen>,
    pub(crate) endpoint: Endpoint,
}

/// Starts a server on the current runtime; `port` 0 takes a free one.
pub(crate) fn serve(manner: Manner, port: u16) -> Server {
    try_serve(manner, port).unwrap()
}

/// As [`serve`]; an error while the port is taken.
pub(crate) fn try_serve(manner: Manner, port: u16) -> std::io::Result<Server> {
    let certified = rcgen::generate_simple_self_signed(vec!["rehearsekit".to_owned()]).unwrap();
    let certificate = certified.cert.der().clone();
    let fingerprint = Fingerprint::of(&certificate);
    let key = rustls::pki_types::PrivatePkcs8KeyDer::from(certified.signing_key.serialize_der());
    let mut tls =
        rustls::ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_protocol_versions(&[&rustls::version::TLS13])
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate], key.into())
            .unwrap();
    tls.alpn_protocols = vec![ALPN.to_vec()];
    let quic = quinn::crypto::rustls::QuicServerConfig::try_from(tls).unwrap();
    let config = quinn::ServerConfig::with_crypto(Arc::new(quic));
    let endpoint = Endpoint::server(config, (Ipv4Addr::LOCALHOST, port).into())?;
    let address = endpoint.local_addr().unwrap();
    let seen = Arc::new(Seen::default());
    let (accepting, counting) = (endpoint.clone(), Arc::clone(&seen));
    tokio::spawn(async move {
        while let Some(incoming) = accepting.accept().await {
            let (manner, seen) = (manner.clone(), Arc::clone(&counting));
            tokio::spawn(async move {
                if let Ok(connection) = incoming.await {
                    seen.connections.fetch_add(1, Relaxed);
                    // An error here is the client's leaving.
                    let _ = session(&connection, &manner, &seen).await;
                    let _ = tokio::time::timeout(PATIENCE, connection.closed()).await;
                }
            });
        }
    });
    Ok(Server { address, fingerprint, seen, endpoint })
}

type Outcome = Result<(), Box<dyn std::error::Error + Send + Sync>>;

async fn session(connection: &Connection, manner: &Manner, seen: &Seen) -> Outcome {
    let start = Instant::now();
    let (mut send, mut recv) = connection.accept_bi().await?;
    let mut control = ServerSession::new("test", &["half".to_owned()], start.elapsed())?;
    let mut arranger = Arranger::new(Duration::MAX, 10_000);
    let mut buffer = [0; 4_096];
    let mut sequence = 0;
    loop {
        send.write_all(&control.take_outgoing()).await?;
        if let Some(event) = next(connection, manner, &mut recv, &mut buffer).await? {
            match event {
                Event::Control(length) => {
                    for event in control.receive(&buffer[..length], start.elapsed())? {
                        on_event(event, manner, seen, &mut control, &mut send).await?;
                    }
                }
                Event::Packet(_) if is_silent(manner, seen) => {
                    while is_silent(manner, seen) {
                        tokio::time::sleep(Duration::from_millis(20)).await;
                    }
                    return Ok(());
                }
                Event::Packet(bytes) => {
                    if answer_badly(connection, manner, &bytes).await? {
                        continue;
                    }
                    arranger.push(Packet::decode(&bytes)?, start.elapsed())?;
                    while let Some(run) = arranger.next_run(start.elapsed())? {
                        match run {
                            Run::Start { .. } => {
                                seen.epochs.fetch_add(1, Relaxed);
                            }
                            Run::End { .. } => {
                                seen.ends.fetch_add(1, Relaxed);
                            }
                            Run::Frames { first_frame, channels, .. } => {
                                sequence += 1;
                                send_half(connection, sequence, first_frame, channels).await?;
                            }
                        }
                    }
                }
            }
        }
        if control.is_over() {
            send.write_all(&control.take_outgoing()).await?;
            return Ok(());
        }
    }
}

fn is_silent(manner: &Manner, seen: &Seen) -> bool {
    matches!(manner, Manner::FallsSilent) && !seen.recovered.load(Relaxed)
}

enum Event {
    Control(usize),
    Packet(Vec<u8>),
}

async fn next(
    connection: &Connection,
    manner: &Manner,
    recv: &mut RecvStream,
    buffer: &mut [u8],
) -> Result<Option<Event>, Box<dyn std::error::Error + Send + Sync>> {
    let reads = !matches!(manner, Manner::NeverReads);
    tokio::select! {
        read = recv.read(buffer) => Ok(Some(Event::Control(read?.ok_or("the control stream ended")?))),
        stream = connection.accept_uni(), if reads => {
            // One at a time is enough here; a stream the client gave up is skipped.
            Ok(stream?.read_to_end(MAX_PACKET_BYTES).await.ok().map(Event::Packet))
        }
    }
}

async fn on_event(
    event: ServerEvent,
    manner: &Manner,
    seen: &Seen,
    control: &mut ServerSession,
    send: &mut SendStream,
) -> Outcome {
    match (event, manner) {
        (ServerEvent::Hello { .. }, Manner::NeverAnswers) => std::future::pending().await,
        (ServerEvent::Hello { .. }, Manner::GarbageControl(bytes)) => {
            control.take_outgoing();
            send.write_all(bytes).await?;
        }
        (ServerEvent::Identify(token), _) => *seen.token.lock().unwrap() = Some(token),
        (ServerEvent::Open(_), Manner::Refuse(refusal)) => control.refuse(refusal.clone()),
        (ServerEvent::Open(request), _) => {
            seen.sessions.fetch_add(1, Relaxed);
            let wrong = u32::from(matches!(manner, Manner::WrongLatency));
            control.open(Opened {
                session: 7,
                model: "half".to_owned(),
                stems: StemSet::new(&["vocals", "accompaniment"])?,
                packet_frames: 240,
                latency_frames: request.budget_frames - wrong,
                algorithmic_frames: 240,
                hop_frames: 240,
                look_ahead_frames: 0,
                description: "half the mix".to_owned(),
                offers: Vec::new(),
            })?;
        }
        (ServerEvent::Closed(_), _) => {
            seen.goodbyes.fetch_add(1, Relaxed);
        }
        _ => {}
    }
    Ok(())
}

async fn answer_badly(
    connection: &Connection,
    manner: &Manner,
    mix: &[u8],
) -> Result<bool, quinn::WriteError> {
    let bytes = match manner {
        Manner::GarbageStream(bytes) => bytes.clone(),
        Manner::FutureStems => {
            let (header, _) = PacketHeader::decode(mix).unwrap();
            let future = PacketHeader { kind: PacketKind::Stems, first_frame: u64::MAX / 2, ..header };
            let channels = vec![vec![0.0; header.frames as usize]; 2];
            Packet { header: future, channels }.encode().unwrap()
        }
        _ => return Ok(false),
    };
    let mut stream = connection.open_uni().await?;
    // A client that has seen enough stops the stream.
    let _ = stream.write_all(&bytes).await;
    let _ = stream.finish();
    Ok(true)
}

async fn send_half(
    connection: &Connection,
    sequence: u32,
    first_frame: u64,
    mut channels: Vec<Vec<f32>>,
) -> Outcome {
    let frames = channels[0].len() as u32;
    channels.iter_mut().flatten().for_each(|sample| *sample *= 0.5);
    let header = PacketHeader {
        kind: PacketKind::Stems,
        inference_micros: 100,
        server_micros: 300,
        needed_through: first_frame + u64::from(frames) - 1,
        ..PacketHeader::mix(0, sequence, first_frame, frames)
    };
    let mut stream = connection.open_uni().await?;
    stream.write_all(&Packet { header, channels }.encode()?).await?;
    stream.finish()?;
    Ok(())
}

/// The other end of both rings, and the link between them.
pub(crate) struct Client {
    pub(crate) link: Link,
    pub(crate) mix: rtrb::Producer<MixSlot>,
    pub(crate) stems: rtrb::Consumer<StemSlot>,
    pub(crate) position: u64,
}

pub(crate) fn config(address: impl ToString, mode: Mode) -> LinkConfig {
    LinkConfig {
        server: address.to_string(),
        finder: Finder::default(),
        trust: ServerTrust::Loopback,
        client_name: "link test".to_owned(),
        open: OpenRequest {
            model: String::new(),
            rate_hz: RATE_HZ,
            budget_frames: LONG_BUDGET_FRAMES,
            block_frames: 64,
            link_micros: 0,
            mode,
            wanted_offers_frames: Vec::new(),
        },
        decimation: Decimation::None,
    }
}

/// The mix at a position: distinct, finite, exact when halved.
pub(crate) fn sample(position: u64) -> f32 {
    (position % 65_536) as f32 / 65_536.0 - 0.5
}

impl Client {
    pub(crate) fn new(config: LinkConfig, mix_slots: usize, stem_slots: usize) -> Self {
        let (mix, mix_out) = rtrb::RingBuffer::new(mix_slots);
        let (stems_in, stems) = rtrb::RingBuffer::new(stem_slots);
        let link = rehearsekit_client::connect(&tokio::runtime::Handle::current(), config, mix_out, stems_in);
        Self { link, mix, stems, position: 0 }
    }

    /// Pushes the next slot of the mix if the ring has room.
    pub(crate) fn push(&mut self, epoch: u32) -> bool {
        let left = std::array::from_fn(|i| sample(self.position + i as u64));
        let samples = [left, left.map(|sample: f32| -sample)];
        let frames = SLOT_FRAMES as u16;
        let slot = MixSlot { position: self.position, epoch, frames, song_position: 0, samples };
        let fits = self.mix.push(slot).is_ok();
        self.position += u64::from(fits) * SLOT_FRAMES as u64;
        fits
    }

    /// Takes every stem slot that is there and checks its samples; the ranges they cover.
    pub(crate) fn take(&mut self) -> Vec<(u64, u64)> {
        let mut ranges = Vec::new();
        while let Ok(slot) = self.stems.pop() {
            let end = slot.position + u64::from(slot.frames);
            assert!(
                slot.frames > 0 && slot.position / 64 == (end - 1) / 64,
                "{} crosses the grid",
                slot.position
            );
            for i in 0..usize::from(slot.frames) {
                let half = sample(slot.position + i as u64) * 0.5;
                assert_eq!((slot.samples[0][i], slot.samples[1][i]), (half, -half), "at {}", slot.position);
                assert!((2..MAX_TRAVELLING_CHANNELS).all(|c| slot.samples[c][i] == 0.0));
            }
            ranges.push((slot.position, end));
        }
        ranges
    }

    /// Waits for a state; what it was. Panics when it does not come.
    pub(crate) async fn until(&self, what: &str, wanted: impl Fn(&LinkState) -> bool) -> LinkState {
        let mut watch = self.link.watch();
        let state = tokio::time::timeout(PATIENCE, watch.wait_for(|state| wanted(state))).await;
        state.unwrap_or_else(|_| panic!("never {what}: {:?}", self.link.state())).unwrap().clone()
    }

    pub(crate) async fn until_live(&self) {
        self.until("live", |state| matches!(state, LinkState::Live(_))).await;
    }

    /// Pushes the mix at about a millisecond per slot and takes stems until `done`; the ranges that came.
    pub(crate) async fn play_until(
        &mut self,
        what: &str,
        mut done: impl FnMut(&mut Self, u64) -> bool,
    ) -> Vec<(u64, u64)> {
        let began = Instant::now();
        let (mut ranges, mut frames) = (Vec::new(), 0);
        while !done(self, frames) {
            assert!(
                began.elapsed() < PATIENCE,
                "never {what}: {:?}, {:?}",
                self.link.state(),
                self.link.stats()
            );
            self.push(0);
            tokio::time::sleep(Duration::from_millis(1)).await;
            let new = self.take();
            frames += new.iter().map(|(start, end)| end - start).sum::<u64>();
            ranges.extend(new);
        }
        ranges
    }
}

/// Waits until `ready`; panics when it never is.
pub(crate) async fn eventually(what: &str, mut ready: impl FnMut() -> bool) {
    let began = Instant::now();
    while !ready() {
        assert!(began.elapsed() < PATIENCE, "never {what}");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}
