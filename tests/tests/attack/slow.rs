//! Slow-loris on both ports: connections that say next to nothing and hold on to their places. Their time is over
//! however busily they drip, and meanwhile everybody else gets in.

use std::time::Duration;

use rehearsekit_protocol::{ALPN, LAN_VERSIONS, Mode, ServerMessage};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpSocket, TcpStream},
    task::JoinSet,
};

use crate::{
    common::{Client, client_tls, endpoint_at, get, request},
    stage::{NEAR, Stage, attackers, far},
};

/// Longer than any of the server's limits for those who are not in yet; the test waits for them and not for the clock.
const DRIP: Duration = Duration::from_millis(250);

pub(crate) async fn tcp_from(last: u8, to: std::net::SocketAddr) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind((far(last), 0).into()).unwrap();
    socket.connect(to).await.unwrap()
}

/// Sends these bytes one at a time until the server has had enough.
async fn drip(mut stream: impl tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin, bytes: &[u8]) {
    let (mut answer, mut next) = ([0; 256], bytes.iter().cycle());
    loop {
        tokio::select! {
            read = stream.read(&mut answer) => if !matches!(read, Ok(1..)) { return },
            () = tokio::time::sleep(DRIP) => {
                let byte = next.next().copied().unwrap_or_default();
                if stream.write_all(&[byte]).await.is_err() {
                    return;
                }
            }
        }
    }
}

#[test]
fn who_is_slow_on_purpose_keeps_nobody_out() {
    attackers().block_on(async {
        let stage = Stage::set().await;
        let (link, http) = (stage.link, stage.http);
        let attack = async {
            let mut slow = JoinSet::new();
            // QUIC: from one address as many as it may have, some without a word, some behind a hello, some byte by byte.
            for n in 0..24 {
                let client = Client::connect_with(endpoint_at(far(2), 16, client_tls(ALPN)), link).await;
                slow.spawn(async move {
                    let mut client = client;
                    match n % 3 {
                        0 => {}
                        1 => {
                            let welcome = client.hello(LAN_VERSIONS).await;
                            assert!(matches!(welcome, Some(ServerMessage::Welcome { .. })));
                            // Before a session there is no stream for packets to be had.
                            let stream = tokio::time::timeout(DRIP, client.connection.open_uni()).await;
                            assert!(stream.is_err(), "a stranger may open streams");
                        }
                        _ => {
                            for byte in [60, 0, 1].into_iter().chain(*b"RHSK").cycle() {
                                tokio::time::sleep(DRIP).await;
                                if client.send.lock().await.write_all(&[byte]).await.is_err() {
                                    break;
                                }
                            }
                        }
                    }
                    client.connection.closed().await;
                });
            }
            // In sessions: packets that trickle and never end, on as many streams as there may be.
            for _ in 0..2 {
                let mut client = Client::connect_with(endpoint_at(NEAR, 16, client_tls(ALPN)), link).await;
                let opened = client.ask(request(Mode::Live, 48_000)).await;
                assert!(matches!(opened, Some(ServerMessage::Opened(_))), "{opened:?}");
                client.beat();
                slow.spawn(async move {
                    let mut streams = Vec::new();
                    for _ in 0..256 {
                        let Ok(Ok(stream)) = tokio::time::timeout(DRIP, client.connection.open_uni()).await
                        else {
                            break;
                        };
                        streams.push(stream);
                    }
                    for _ in 0..8 {
                        for stream in &mut streams {
                            // The server may have stopped it by now.
                            let _ = stream.write_all(&[1]).await;
                        }
                        tokio::time::sleep(DRIP).await;
                    }
                    client.connection.close(0u8.into(), b"");
                });
            }
            // HTTP: heads byte by byte, bodies that never come, TLS that stops and TLS that drips.
            for n in 0..100 {
                let mut stream = tcp_from(3, http).await;
                slow.spawn(async move {
                    match n % 4 {
                        0 => drip(stream, b"GET /metrics HTTP/1.1\r\nX: ").await,
                        1 => {
                            let head =
                                "POST /healthz HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100000\r\n\r\n";
                            let _ = stream.write_all(head.as_bytes()).await;
                            drip(stream, b"x").await;
                        }
                        2 => {
                            let _ = stream.write_all(&[0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc]).await;
                            drip(stream, &[3]).await;
                        }
                        _ => {
                            let _ = stream.read(&mut [0; 16]).await;
                        }
                    }
                });
            }
            assert_eq!(get(http, "/healthz", "localhost", "").await.0, 200, "others are served meanwhile");
            stage.admits().await;
            // All of them are shown out by the server; nobody leaves by himself.
            while let Some(ended) = slow.join_next().await {
                ended.unwrap();
            }
        };
        stage.under("slow-loris on both ports", attack).await;
        assert_eq!(stage.metric("closed_total{reason=\"too_slow\"}").await, 24.0);
        assert!(stage.refused("http_full").await > 0.0, "100 found places, of which an address has 64");
    });
}
