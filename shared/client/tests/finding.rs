//! A server by its identity: where it is now, who pretends to be it, what it is shown; and pairing with somebody who
//! does not know the code.
#![allow(clippy::unwrap_used, reason = "in a test a panic is the report")]

mod common;

use std::sync::atomic::Ordering::Relaxed;

use common::*;
use rehearsekit_client::{
    Finder, Fingerprint, LinkConfig, LinkError, LinkState, PairRequest, PairingFailure, ServerTrust, Token,
    pair,
};
use rehearsekit_protocol::{Mode, SessionError};

fn paired_with(fingerprint: Fingerprint) -> ServerTrust {
    ServerTrust::Pinned { fingerprint, token: Some(Token([5; 32])) }
}

fn finding(server: &Server, written: impl ToString, found: Vec<std::net::SocketAddr>) -> LinkConfig {
    let wanted = server.fingerprint;
    let finder = Finder::new(move |asked| if asked == wanted { found.clone() } else { Vec::new() });
    LinkConfig { trust: paired_with(wanted), finder, ..config(written, Mode::Live) }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_moved_is_found_by_its_identity_and_shown_the_token() {
    let server = serve(Manner::Serve, 0);
    // Nobody is at the address where it was met, and the first one it announces is not reachable from here.
    let deaf = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let found = vec![deaf.local_addr().unwrap(), server.address];
    let client = Client::new(finding(&server, "127.0.0.1:9", found.clone()), 64, 64);
    client.until_live().await;
    assert_eq!(*server.seen.token.lock().unwrap(), Some(Token([5; 32])));
    // Without any written address too.
    Client::new(finding(&server, "", found), 64, 64).until_live().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn somebody_else_at_its_address_learns_nothing_and_does_not_hide_it() {
    let (server, impostor) = (serve(Manner::Serve, 0), serve(Manner::Serve, 0));
    let client = Client::new(finding(&server, impostor.address, vec![]), 64, 64);
    let state =
        client.until("an error", |s| matches!(s, LinkState::Connecting { last_error: Some(_), .. })).await;
    let told = LinkError::Fingerprint { expected: server.fingerprint, got: impostor.fingerprint };
    assert!(matches!(state, LinkState::Connecting { last_error: Some(error), .. } if error == told));
    assert_eq!((impostor.seen.sessions.load(Relaxed), &*impostor.seen.token.lock().unwrap()), (0, &None));
    let client = Client::new(finding(&server, impostor.address, vec![server.address]), 64, 64);
    client.until_live().await;
    assert_eq!(impostor.seen.sessions.load(Relaxed), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_identity_that_nobody_announces_is_waited_for() {
    let server = serve(Manner::Serve, 0);
    let client = Client::new(finding(&server, "", vec![]), 64, 64);
    let state =
        client.until("an error", |s| matches!(s, LinkState::Connecting { last_error: Some(_), .. })).await;
    assert!(
        matches!(&state, LinkState::Connecting { last_error: Some(LinkError::NotFound), .. }),
        "{state:?}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pairing_with_one_who_cannot_pair_ends_with_a_sentence() {
    let request = |server: &Server, expected| PairRequest {
        server: server.address.to_string(),
        finder: Finder::default(),
        expected,
        code: "1234-5678".parse().unwrap(),
        name: "laptop".to_owned(),
    };
    let server = serve(Manner::GarbageControl(vec![0xff; 64]), 0);
    let told = pair(request(&server, None)).await.unwrap_err();
    assert!(matches!(told, PairingFailure::Link(LinkError::Session(SessionError::Message(_)))), "{told}");
    // The player has picked another identity than the one that answers: the code stays where it is.
    let expected = Fingerprint([7; 32]);
    let told = pair(request(&server, Some(expected))).await.unwrap_err();
    let other = LinkError::Fingerprint { expected, got: server.fingerprint };
    assert_eq!(told, PairingFailure::Link(other));
}
