//! Floods: of datagrams that are nothing, of connections, of packets and heartbeats in a session, of attempts to pair,
//! of HTTP requests.

use std::{
    net::UdpSocket,
    time::{Duration, Instant},
};

use rehearsekit_protocol::{ALPN, ClientMessage, Mode, ServerMessage, pairing::ClientPairing};
use rehearsekit_server::pairing::PairingDesk;
use rehearsekit_tests::netsim::Dice;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    task::JoinSet,
};

use crate::{
    common::{Client, PACKET, client_tls, endpoint_at, request},
    slow::tcp_from,
    stage::{NEAR, Stage, attackers, far},
};

const FLOOD: Duration = Duration::from_secs(3);
const DATAGRAMS: usize = 50_000;

#[test]
fn floods_of_strangers_cost_the_players_nothing() {
    attackers().block_on(async {
        let stage = Stage::set().await;
        let (link, http) = (stage.link, stage.http);

        // Noise of all sizes, some of which looks like the beginning of a connection, of this version or another.
        let noise = async move {
            let noise = tokio::task::spawn_blocking(move || {
                let mut dice = Dice::new(7);
                let sockets: Vec<UdpSocket> = (0..8).map(|_| UdpSocket::bind((far(2), 0)).unwrap()).collect();
                let mut bytes: Vec<u8> = (0..1_400).map(|_| dice.roll() as u8).collect();
                for n in 0..DATAGRAMS {
                    let length = [1_200, 1_350, 40, 1, 600][n % 5];
                    for byte in &mut bytes[..32] {
                        *byte = dice.roll() as u8;
                    }
                    match n % 4 {
                        0 => bytes[..6].copy_from_slice(&[0xc3, 0, 0, 0, 1, 8]),
                        1 => bytes[..6].copy_from_slice(&[0xc3, 0xfa, 0xce, 0xb0, 0x0c, 20]),
                        2 => bytes[0] = 0x40,
                        _ => {}
                    }
                    let _ = sockets[n % 8].send_to(&bytes[..length], link);
                    if n % 64 == 0 {
                        // 50,000 in about three seconds.
                        std::thread::sleep(Duration::from_millis(3));
                    }
                }
            });
            noise.await.unwrap();
        };
        stage.under("50,000 datagrams of noise", noise).await;

        let storm = async {
            let (began, end) = (Instant::now(), Instant::now() + FLOOD);
            let mut storm = JoinSet::new();
            for n in 0..24 {
                storm.spawn(async move {
                    let endpoint = endpoint_at(far(2 + n % 3), 16, client_tls(ALPN));
                    let mut through = 0u64;
                    while Instant::now() < end {
                        if let Ok(connection) = endpoint.connect(link, "rehearsekit").unwrap().await {
                            through += 1;
                            connection.close(0u8.into(), b"");
                        }
                    }
                    through
                });
            }
            let mut through = 0;
            while let Some(ended) = storm.join_next().await {
                through += ended.unwrap();
            }
            eprintln!("  {through} connections in {} s", FLOOD.as_secs());
            // 32 at once and 8 per second for each of three addresses, and the same before it has proven itself.
            let most = 3 * 2 * (32 + 8 * (began.elapsed().as_secs() + 1));
            assert!(through <= most, "{through} connections, where {most} are the pace");
        };
        stage.under("a storm of connections", storm).await;

        let shown = PairingDesk::of(&stage.data).show().unwrap();
        let tries = async {
            let end = Instant::now() + FLOOD;
            let mut flood = JoinSet::new();
            for n in 0..8u64 {
                flood.spawn(async move {
                    let endpoint = endpoint_at(far(2), 16, client_tls(ALPN));
                    let mut tries = 0u64;
                    while Instant::now() < end {
                        let code = rehearsekit_protocol::PairingCode::from_number(1_000 * n + tries);
                        let start = ClientPairing::new(&code, "flood", [0; 32]).start().clone();
                        let mut client = Client::connect_with(endpoint.clone(), link).await;
                        let answer = client.starts(start).await;
                        assert!(!matches!(answer, Some(ServerMessage::Paired(_))));
                        tries += 1;
                    }
                    tries
                });
            }
            let mut tries = 0;
            while let Some(ended) = flood.join_next().await {
                tries += ended.unwrap();
            }
            eprintln!("  {tries} attempts to pair in {} s", FLOOD.as_secs());
        };
        stage.under("a flood of attempts to pair", tries).await;
        assert!(stage.refused("busy").await > 0.0);
        let progress = PairingDesk::of(&stage.data).progress(&shown.id).unwrap();
        assert_eq!(progress.tries_left, 0, "five were looked at, and no more");

        let requests = async {
            let end = Instant::now() + FLOOD;
            let mut flood = JoinSet::new();
            for n in 0..32u8 {
                flood.spawn(async move {
                    let path = ["/healthz", "/metrics", "/readyz", "/nothing"][usize::from(n) % 4];
                    let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n").repeat(8);
                    // Some from near, who get all the metrics each time.
                    let mut stream = tcp_from(if n < 8 { 1 } else { 2 }, http).await;
                    let (mut answer, mut bytes) = (vec![0; 64 * 1024], 0);
                    while Instant::now() < end && stream.write_all(request.as_bytes()).await.is_ok() {
                        match stream.read(&mut answer).await {
                            Ok(count @ 1..) => bytes += count,
                            _ => break,
                        }
                    }
                    bytes
                });
            }
            let mut bytes = 0;
            while let Some(ended) = flood.join_next().await {
                bytes += ended.unwrap();
            }
            eprintln!("  {} MB of answers in {} s", bytes >> 20, FLOOD.as_secs());
        };
        stage.under("a flood of HTTP requests", requests).await;
    });
}

#[test]
fn floods_inside_of_sessions_end_them_and_nothing_else() {
    attackers().block_on(async {
        const PROTOCOL_ERROR: u64 = 2;
        let stage = Stage::set().await;
        let ill = || async {
            let mut client = Client::connect_with(endpoint_at(NEAR, 256, client_tls(ALPN)), stage.link).await;
            let opened = client.ask(request(Mode::Live, 48_000)).await;
            assert!(matches!(opened, Some(ServerMessage::Opened(_))), "{opened:?}");
            client
        };
        let packets = async {
            // As fast as it goes, and never less than fifty times the music's own pace.
            for empty in [false, true] {
                let mut client = ill().await;
                client.beat();
                let began = Instant::now();
                let mut sent = 0u64;
                while client.connection.close_reason().is_none() && sent < 60_000 {
                    match empty {
                        false => client.push(0, sent * u64::from(PACKET), PACKET, false).await,
                        true => client.push(0, 0, 0, true).await,
                    }
                    sent += 1;
                }
                eprintln!("  {sent} packets in {:.1} s, empty: {empty}", began.elapsed().as_secs_f64());
                let (code, told) = client.closed().await;
                assert_eq!(code, PROTOCOL_ERROR, "{told}");
                assert!(told.contains("more audio than time has passed"), "{told}");
            }
        };
        stage.under("packets faster than the music", packets).await;

        let heartbeats = async {
            for _ in 0..4 {
                let client = ill().await;
                let mut bytes = Vec::new();
                for sequence in 0..50_000 {
                    ClientMessage::Heartbeat { sequence }.encode(&mut bytes).unwrap();
                }
                let _ = client.send.lock().await.write_all(&bytes).await;
                assert_eq!(
                    client.closed().await,
                    (PROTOCOL_ERROR, "the client floods the control stream".to_owned())
                );
            }
        };
        stage.under("a flood of heartbeats", heartbeats).await;
        assert_eq!(stage.metric("protocol_errors_total").await, 6.0);
        assert_eq!(stage.metric("panics_total").await, 0.0);
    });
}
