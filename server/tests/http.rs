//! HTTP from this machine and from another one, plain and over TLS, with and without a token.
#![allow(clippy::unwrap_used, reason = "in a test a panic is the report")]

mod common;

use std::{net::SocketAddr, sync::Arc, time::Duration};

use common::{
    TestServer, client_tls, get, get_over,
    stranger::{FAR, NEAR},
    within,
};
use rehearsekit_server::clients::ClientBook;
use sha2::Digest as _;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpSocket, TcpStream},
};

/// A TCP connection from `from`.
async fn tcp(from: std::net::IpAddr, to: SocketAddr) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(SocketAddr::from((from, 0))).unwrap();
    within(socket.connect(to)).await.unwrap()
}

/// The same with TLS on it, and the fingerprint of the certificate that was shown.
async fn tls(
    from: std::net::IpAddr,
    to: SocketAddr,
) -> (tokio_rustls::client::TlsStream<TcpStream>, [u8; 32]) {
    let connector = tokio_rustls::TlsConnector::from(Arc::new(client_tls(b"http/1.1")));
    let stream =
        within(connector.connect("rehearsekit".try_into().unwrap(), tcp(from, to).await)).await.unwrap();
    let shown = sha2::Sha256::digest(&stream.get_ref().1.peer_certificates().unwrap()[0]).into();
    (stream, shown)
}

fn bearer(token: &[u8]) -> String {
    let hex: String = token.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("Authorization: Bearer {hex}\r\n")
}

#[tokio::test(flavor = "multi_thread")]
async fn another_machine_needs_tls_and_a_token_for_all_but_the_probes() {
    let server = TestServer::strict(&[]).await;
    let book = ClientBook::of(server.data.path());
    let token = bearer(&book.add("prometheus").unwrap().1.0);
    let far = async |secure: bool, path: &str, more: &str| match secure {
        true => get_over(tls(FAR, server.http).await.0, path, "localhost", more).await,
        false => get_over(tcp(FAR, server.http).await, path, "localhost", more).await,
    };
    for secure in [false, true] {
        for probe in ["/healthz", "/readyz"] {
            assert_eq!(far(secure, probe, "").await.0, 200, "{probe}, secure: {secure}");
        }
    }
    for (more, label, so_far) in [("", "http_plain", 1.0), (token.as_str(), "http_plain", 2.0)] {
        let (status, told) = far(false, "/metrics", more).await;
        assert!(status == 403 && told.contains("https://") && told.contains("revoke it"), "{status} {told}");
        assert_eq!(server.refused(label).await, so_far);
    }
    for more in ["", &bearer(&[0; 32]), "Authorization: Basic cm9vdDpyb290\r\n"] {
        for path in ["/metrics", "/nowhere", "/healthz/", "//metrics"] {
            let (status, told) = far(true, path, more).await;
            assert!(status == 401 && told.contains("token"), "{path} {more}: {status} {told}");
        }
    }
    assert_eq!(server.refused("http_not_paired").await, 12.0);
    let (status, text) = far(true, "/metrics", &token).await;
    assert!(status == 200 && text.contains("rehearsekit_ready 1"), "{status} {text}");
    book.revoke("prometheus").unwrap();
    let (status, told) = far(true, "/metrics", &token).await;
    assert!(status == 401 && told.contains("shut out"), "{status} {told}");
    assert_eq!(server.refused("http_revoked").await, 1.0);
    server.end().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn on_this_machine_it_is_as_it_was_but_not_for_whom_a_proxy_speaks() {
    let server = TestServer::strict(&[]).await;
    let token = bearer(&ClientBook::of(server.data.path()).add("page").unwrap().1.0);
    assert_eq!(get(server.http, "/metrics", "localhost", "").await.0, 200);
    assert_eq!(get_over(tls(NEAR, server.http).await.0, "/metrics", "localhost", "").await.0, 200);
    assert_eq!(get(server.http, "/metrics", "rebound.example", &token).await.0, 421, "a token is no host");
    for header in ["Forwarded: for=10.0.0.9", "X-Forwarded-For: 10.0.0.9", "X-Real-IP: ::1", "Via: 1.1 box"] {
        let (status, told) = get(server.http, "/metrics", "localhost", &format!("{header}\r\n")).await;
        assert_eq!(status, 401, "{header}: {told}");
        let both = format!("{header}\r\n{token}");
        assert_eq!(get(server.http, "/metrics", "localhost", &both).await.0, 200, "{header}");
        assert_eq!(get(server.http, "/healthz", "localhost", &format!("{header}\r\n")).await.0, 200);
    }
    // What somebody says of himself makes nobody near.
    let stream = tls(FAR, server.http).await.0;
    let claim = "X-Forwarded-For: 127.0.0.1\r\n";
    assert_eq!(get_over(stream, "/metrics", "localhost", claim).await.0, 401);
    server.end().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn http_and_the_link_show_one_certificate() {
    let server = TestServer::strict(&[]).await;
    let (_, over_http) = tls(FAR, server.http).await;
    let client = common::Client::far(server.link).await;
    let shown = client.connection.peer_identity().unwrap();
    let shown = shown.downcast::<Vec<rustls::pki_types::CertificateDer<'static>>>().unwrap();
    let over_quic: [u8; 32] = sha2::Sha256::digest(&shown[0]).into();
    assert_eq!(over_http, over_quic);
    server.end().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn broken_handshakes_and_silence_hold_nobody_up() {
    let server = TestServer::strict(&[]).await;
    // Not one byte; one byte of TLS and no more; a record that is none; a request that never ends.
    let mut idle = Vec::new();
    for bytes in [&b""[..], b"\x16", b"\x16\x03\x01\x02\x00\x01", b"GET /metrics HT"] {
        let mut stream = tcp(FAR, server.http).await;
        stream.write_all(bytes).await.unwrap();
        idle.push(stream);
    }
    let mut garbage = tcp(FAR, server.http).await;
    garbage.write_all(&[0x16; 64]).await.unwrap();
    let mut answer = Vec::new();
    let _ = within(garbage.read_to_end(&mut answer)).await;
    server.metric_reaches("refused_total{code=\"http_tls\"}", 1.0).await;
    assert_eq!(get(server.http, "/healthz", "localhost", "").await.0, 200);
    assert_eq!(get_over(tls(FAR, server.http).await.0, "/healthz", "localhost", "").await.0, 200);
    // Dripping on does not keep a handshake open.
    let mut slow = idle.swap_remove(2);
    let drip = async {
        while slow.write_all(&[1]).await.is_ok() {
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    };
    within(drip).await;
    server.end().await.unwrap();
}
