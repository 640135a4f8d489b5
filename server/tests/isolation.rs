//! One client's death, flood or nonsense costs the others nothing: in each test somebody misbehaves while
//! somebody else plays, and every frame of the latter comes back.

mod common;

use std::time::Duration;

use common::{Client, HOP, PACKET, PANIC, TestServer, endpoint, get, request, within};
use rehearsekit_protocol::{CloseReason, Mode, PacketHeader, ServerMessage};

const PROTOCOL_ERROR: u64 = 2;
const TOO_SLOW: u64 = 3;
const INTERNAL: u64 = 5;

/// Somebody who plays on, whatever happens.
struct Neighbour {
    client: Client,
    epoch: u32,
}

impl Neighbour {
    async fn of(server: &TestServer) -> Self {
        Self { client: Client::session(server.link, Mode::Reliable, 48_000).await.0, epoch: 0 }
    }

    async fn plays(&mut self) {
        self.client.plays(self.epoch, u64::from(self.epoch) * 1_000_000, 25).await;
        self.epoch += 1;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn garbage_on_the_control_stream_ends_that_connection_only() {
    let server = TestServer::ready(&[]).await;
    let mut neighbour = Neighbour::of(&server).await;
    let garbage: Vec<u8> = (0..5_000u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    for bytes in [&garbage[..], b"GET / HTTP/1.1\r\n\r\n", &[0, 0], &[0xff; 64]] {
        let client = Client::connect(server.link, 16).await;
        client.send.lock().await.write_all(bytes).await.unwrap();
        neighbour.plays().await;
        assert_eq!(client.closed().await.0, PROTOCOL_ERROR);
    }
    assert_eq!(server.metric("protocol_errors_total").await, 4.0);
    neighbour.plays().await;
    server.end().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn garbage_as_audio_ends_that_session_only() {
    let server = TestServer::ready(&[]).await;
    let mut neighbour = Neighbour::of(&server).await;
    let header = PacketHeader::mix(0, 0, 0, PACKET);
    let mut cut_short = Vec::new();
    let samples = [0.0f32; PACKET as usize];
    rehearsekit_protocol::encode_packet(&header, &[samples, samples], &mut cut_short).unwrap();
    cut_short.truncate(100);
    for bytes in [vec![7; 300], cut_short, vec![0; 1 << 20], Vec::new()] {
        let (mut client, _) = Client::session(server.link, Mode::Live, 48_000).await;
        client.push_bytes(&bytes).await;
        neighbour.plays().await;
        let said = client.news().await;
        assert_eq!(said, Some(ServerMessage::Closing { reason: CloseReason::ProtocolError }));
        assert_eq!(client.closed().await.0, PROTOCOL_ERROR);
    }
    neighbour.plays().await;
    server.end().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn positions_that_go_back_and_floods_end_that_session_only() {
    let server = TestServer::ready(&[]).await;
    let mut neighbour = Neighbour::of(&server).await;

    let (mut back, _) = Client::session(server.link, Mode::Live, 48_000).await;
    back.push(0, 10_000, PACKET, false).await;
    back.push(0, 5_000, PACKET, false).await;
    assert_eq!(back.closed().await.0, PROTOCOL_ERROR);

    let (mut flood, _) = Client::session(server.link, Mode::Live, 48_000).await;
    // A minute of audio at once.
    for n in 0..6_000 {
        flood.push(0, n * u64::from(PACKET), PACKET, false).await;
        if flood.connection.close_reason().is_some() {
            break;
        }
    }
    let (code, told) = flood.closed().await;
    assert_eq!(code, PROTOCOL_ERROR);
    assert!(told.contains("more audio than time has passed"), "{told}");

    let chatter = Client::session(server.link, Mode::Live, 48_000).await.0;
    let mut bytes = Vec::new();
    for sequence in 0..20_000 {
        rehearsekit_protocol::ClientMessage::Heartbeat { sequence }.encode(&mut bytes).unwrap();
    }
    let _ = chatter.send.lock().await.write_all(&bytes).await;
    assert_eq!(chatter.closed().await, (PROTOCOL_ERROR, "the client floods the control stream".to_owned()));

    neighbour.plays().await;
    server.end().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn positions_up_to_the_last_number_there_is_are_played_like_any_other() {
    let server = TestServer::ready(&[]).await;
    let mut neighbour = Neighbour::of(&server).await;
    for mode in [Mode::Live, Mode::Reliable] {
        let (mut client, _) = Client::session(server.link, mode, 48_000).await;
        // As far as a packet may reach: its end is the last number there is.
        client.plays(7, u64::MAX - u64::from(5 * PACKET), 5).await;
        // Nothing can follow but the end of an epoch, again and again.
        for epoch in 8..12 {
            client.push(epoch, u64::MAX, 0, true).await;
        }
        neighbour.plays().await;
        assert_eq!(client.connection.close_reason(), None, "{mode:?}");
        assert_eq!(server.metric("panics_total").await, 0.0, "{mode:?}");
        // What would be beyond is no packet, and then there is no session either.
        let beyond = PacketHeader::mix(12, client.sequence, u64::MAX - 1, 1);
        let mut bytes = Vec::new();
        rehearsekit_protocol::encode_packet(&beyond, &[[0.0], [0.0]], &mut bytes).unwrap();
        bytes[16..24].copy_from_slice(&u64::MAX.to_le_bytes());
        client.push_bytes(&bytes).await;
        assert_eq!(client.closed().await.0, PROTOCOL_ERROR);
    }
    // Far apart, and at the very end, within one session.
    let (mut client, _) = Client::session(server.link, Mode::Live, 48_000).await;
    let last = u64::MAX - u64::from(HOP);
    for (epoch, start) in (0..).zip([0, 1 << 40, u64::MAX / 2, last]) {
        client.plays(epoch, start, 2).await;
    }
    neighbour.plays().await;
    assert_eq!((client.connection.close_reason(), server.metric("panics_total").await), (None, 0.0));
    server.end().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn silence_saves_up_no_control_messages() {
    let server = TestServer::ready(&[]).await;
    let client = Client::session(server.link, Mode::Live, 48_000).await.0;
    // Five seconds are worth 20 KiB, of which the bucket holds 16 in all.
    tokio::time::sleep(Duration::from_secs(5)).await;
    let mut bytes = Vec::new();
    for sequence in 0..25 * 1_024 / 7 {
        rehearsekit_protocol::ClientMessage::Heartbeat { sequence }.encode(&mut bytes).unwrap();
    }
    let _ = client.send.lock().await.write_all(&bytes).await;
    assert_eq!(client.closed().await, (PROTOCOL_ERROR, "the client floods the control stream".to_owned()));
    server.end().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_panic_in_one_pipeline_ends_its_session_only() {
    let server = TestServer::ready(&[("workers", "1")]).await;
    let mut neighbour = Neighbour::of(&server).await;
    neighbour.plays().await;
    let (mut client, _) = Client::session(server.link, Mode::Live, 48_000).await;
    for n in 0..HOP / PACKET {
        let header = PacketHeader::mix(0, n, u64::from(n * PACKET), PACKET);
        client.push_raw(&header, &[PANIC; PACKET as usize]).await;
    }
    assert_eq!(client.news().await, Some(ServerMessage::Closing { reason: CloseReason::Internal }));
    assert_eq!(client.closed().await, (INTERNAL, "an inference panicked: told to panic".to_owned()));
    neighbour.plays().await;
    assert_eq!(server.metric("panics_total").await, 1.0);
    // The same worker serves the next one.
    Neighbour::of(&server).await.plays().await;
    server.end().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_live_client_that_never_reads_is_closed_as_too_slow() {
    let server = TestServer::ready(&[]).await;
    let mut neighbour = Neighbour::of(&server).await;
    // It lets the server open no stream at all.
    let mut client = Client::connect(server.link, 0).await;
    let opened = client.ask(request(Mode::Live, 9_600)).await;
    assert!(matches!(opened, Some(ServerMessage::Opened(_))));
    client.beat();
    let mut position = 0;
    while client.connection.close_reason().is_none() {
        client.push(0, position, PACKET, false).await;
        position += u64::from(PACKET);
        // The pace of the music, so that it is no flood.
        tokio::time::sleep(Duration::from_millis(10)).await;
        if position % (100 * u64::from(PACKET)) == 0 {
            neighbour.plays().await;
        }
    }
    assert_eq!(client.closed().await.0, TOO_SLOW);
    assert!(server.metric("late_chunks_total").await > 0.0);
    neighbour.plays().await;
    server.end().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reliable_client_that_does_not_read_is_held_back_and_loses_nothing() {
    let server = TestServer::ready(&[]).await;
    let mut neighbour = Neighbour::of(&server).await;
    let (mut client, _) = Client::session(server.link, Mode::Reliable, 9_600).await;
    // Far more than all windows and queues hold: the writer must come to a stop by itself.
    let packets = 6_000;
    let reader = client.connection.clone();
    let writer = tokio::spawn(async move {
        for n in 0..packets {
            client.push(0, n * u64::from(PACKET), PACKET, n + 1 == packets).await;
        }
        client
    });
    neighbour.plays().await;
    neighbour.plays().await;
    assert!(!writer.is_finished(), "a minute of audio fitted into the queues");
    assert!(server.metric("hops_total").await < 2_000.0);
    let mut got = 0;
    while got < packets * u64::from(PACKET) {
        let mut stream = within(reader.accept_uni()).await.unwrap();
        let bytes = within(stream.read_to_end(1 << 22)).await.unwrap();
        got += u64::from(rehearsekit_protocol::Packet::decode(&bytes).unwrap().header.frames);
    }
    let client = within(writer).await.unwrap();
    assert!(client.connection.close_reason().is_none());
    neighbour.plays().await;
    server.end().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn half_open_connections_take_no_place() {
    let server = TestServer::ready(&[]).await;
    let mut neighbour = Neighbour::of(&server).await;
    // Datagrams that are no QUIC, connections that never speak, and HTTP connections that never ask.
    let socket = tokio::net::UdpSocket::bind("127.0.0.1:0").await.unwrap();
    for size in [0, 1, 20, 1_200] {
        socket.send_to(&vec![0xc3; size], server.link).await.unwrap();
    }
    let silent = endpoint(16);
    let mut idle = Vec::new();
    let mut refused = 0;
    for _ in 0..40 {
        match within(silent.connect(server.link, "rehearsekit").unwrap()).await {
            Ok(connection) => idle.push(connection),
            Err(_) => refused += 1,
        }
    }
    assert!(refused > 0 && idle.len() >= 16, "{refused} refused, {} let in", idle.len());
    let mut half_asked = Vec::new();
    for _ in 0..40 {
        half_asked.push(tokio::net::TcpStream::connect(server.http).await.unwrap());
    }
    assert_eq!(get(server.http, "/healthz", "localhost", "").await.0, 200);
    neighbour.plays().await;
    // Once they are gone there is room again.
    drop(idle);
    silent.close(0u8.into(), b"");
    let gone = async {
        while server.metric("connections").await > 1.0 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    within(gone).await;
    Neighbour::of(&server).await.plays().await;
    server.end().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_dies_without_a_word_is_cleaned_up() {
    let server = TestServer::ready(&[]).await;
    let mut neighbour = Neighbour::of(&server).await;
    let mut client = Client::connect(server.link, 16).await;
    assert!(matches!(client.ask(request(Mode::Live, 48_000)).await, Some(ServerMessage::Opened(_))));
    // No heartbeat ever comes: as after the lid of the laptop was shut.
    server.metric_reaches("closed_total{reason=\"silent\"}", 1.0).await;
    neighbour.plays().await;
    server.end().await.unwrap();
}
