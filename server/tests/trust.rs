//! Other machines at the door of a real server, over real connections: who is let in, who is not, and that each no is
//! counted. Another machine is another address of loopback, which the server was told not to take for its own.
#![allow(clippy::unwrap_used, reason = "in a test a panic is the report")]

mod common;

use std::time::Duration;

use common::{
    Client, TestServer, client_tls, endpoint_at,
    stranger::{FAR, Middle, NEAR, Outcome, other_than},
    within,
};
use rehearsekit_protocol::{
    ALPN, ClientMessage, CloseReason, Mode, PairingCode, RefusalCode, ServerMessage, Token,
    pairing::ClientPairing,
};
use rehearsekit_server::{
    Listeners, ServeError,
    clients::ClientBook,
    pairing::{Ending, PairingDesk},
};

const REVOKED: u64 = 6;

fn refusal(message: Option<ServerMessage>) -> rehearsekit_protocol::Refusal {
    match message {
        Some(ServerMessage::Refused(refusal)) => refusal,
        other => panic!("not refused: {other:?}"),
    }
}

async fn try_code(server: &TestServer, code: &PairingCode) -> Outcome {
    Client::far(server.link).await.pairs(code, "drummer's laptop").await
}

#[tokio::test(flavor = "multi_thread")]
async fn from_the_code_to_the_music_and_out_again() {
    let server = TestServer::strict(&[]).await;
    let book = ClientBook::of(server.data.path());
    let desk = PairingDesk::of(server.data.path());
    let (mut neighbour, _) = Client::session(server.link, Mode::Reliable, 48_000).await;

    let shown = server.shows();
    let token = try_code(&server, &shown.code).await.token();
    let id = book.read().unwrap()[0].id.clone();
    let ending = Ending::Paired { name: "drummer's laptop".to_owned(), id };
    assert_eq!(desk.progress(&shown.id).unwrap().ending, Some(ending));
    assert_eq!(try_code(&server, &shown.code).await.refusal().code, RefusalCode::NoCode, "it works once");
    assert_eq!(server.refused("no_code").await, 1.0);
    server.metric_reaches("closed_total{reason=\"paired\"}", 1.0).await;

    let (mut drummer, _) = Client::paired_session(server.link, &token).await;
    drummer.plays(0, 0, 25).await;
    let other = book.add("bass").unwrap().1;
    let (mut bass, _) = Client::paired_session(server.link, &other).await;
    book.revoke("drummer's laptop").unwrap();
    assert_eq!(drummer.news().await, Some(ServerMessage::Closing { reason: CloseReason::Revoked }));
    assert_eq!(drummer.closed().await, (REVOKED, "the server's owner has shut this client out".to_owned()));
    let told = refusal(Client::far(server.link).await.identifies(Some(&token)).await);
    assert_eq!(told.code, RefusalCode::Revoked);
    assert!(
        told.message.starts_with("closet has shut out 'drummer's laptop'; to come in again, run"),
        "{told}"
    );
    assert_eq!(server.refused("revoked").await, 1.0);
    assert_eq!(server.metric("closed_total{reason=\"revoked\"}").await, 1.0);
    bass.plays(0, 0, 25).await;
    neighbour.plays(0, 0, 25).await;

    // A list that was deleted is the owner's word too.
    std::fs::remove_file(server.data.path().join("identity/clients.json")).unwrap();
    assert_eq!(bass.closed().await.0, REVOKED);
    neighbour.plays(1, 1_000_000, 25).await;
    server.end().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_token_or_with_a_strange_one_nothing_is_served() {
    let server = TestServer::strict(&[]).await;
    for token in [None, Some(Token([0; 32]))] {
        let told = refusal(Client::far(server.link).await.identifies(token.as_ref()).await);
        assert_eq!(told.code, RefusalCode::NotPaired);
        assert_eq!(
            told.message,
            "closet does not know this computer yet: run `rehearsekit pair` on closet and type the code it shows"
        );
    }
    assert_eq!(server.refused("not_paired").await, 2.0);
    // A client of before tokens, or one who plays it.
    let mut old = Client::far(server.link).await;
    assert_eq!(refusal(old.hello(1..=2).await).code, RefusalCode::Version);
    assert_eq!(server.refused("version").await, 1.0);
    // On this machine it is as it was, whatever is shown.
    let mut near = Client::connect(server.link, 16).await;
    assert!(matches!(near.identifies(Some(&Token([0; 32]))).await, Some(ServerMessage::Opened(_))));
    let mut near = Client::connect(server.link, 16).await;
    assert!(matches!(near.hello(1..=1).await, Some(ServerMessage::Welcome { version: 1, .. })));
    server.end().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn five_tries_and_not_a_sixth() {
    let server = TestServer::strict(&[]).await;
    let shown = server.shows();
    for words in
        ["4 tries are left", "3 tries are left", "2 tries are left", "one try is left", "the last try"]
    {
        let told = try_code(&server, &other_than(&shown.code)).await.refusal();
        assert_eq!(told.code, RefusalCode::WrongCode);
        assert!(told.message.contains(words), "{told}");
    }
    let told = try_code(&server, &shown.code).await.refusal();
    assert_eq!(told.code, RefusalCode::TriesOver);
    assert!(told.message.contains("run `rehearsekit pair` on closet for a new one"), "{told}");
    assert_eq!((server.refused("wrong_code").await, server.refused("tries_over").await), (5.0, 1.0));
    let ended = PairingDesk::of(server.data.path()).progress(&shown.id).unwrap();
    assert_eq!((ended.tries_left, ended.ending), (0, Some(Ending::TriesOver)));
    assert!(ClientBook::of(server.data.path()).read().unwrap().is_empty());
    server.end().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_expired_code_pairs_nobody() {
    let server = TestServer::strict(&[]).await;
    let shown = server.shows();
    let path = server.data.path().join("identity/pairing.json");
    let mut file: serde_json::Value = serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
    for time in ["made", "expires"] {
        file[time] = (file[time].as_u64().unwrap() - 120).into();
    }
    // In place, so that it stays the owner's alone.
    std::fs::write(&path, file.to_string()).unwrap();
    let told = try_code(&server, &shown.code).await.refusal();
    assert_eq!(told.code, RefusalCode::CodeExpired);
    assert!(told.message.contains("for a new one"), "{told}");
    assert_eq!(server.refused("code_expired").await, 1.0);
    assert!(!std::fs::read_to_string(&path).unwrap().contains(&shown.code.digits()));
    server.end().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pairing_that_was_recorded_is_not_taken_again() {
    let server = TestServer::strict(&[]).await;
    let shown = server.shows();
    let start = ClientPairing::new(&shown.code, "laptop", [0; 32]).start().clone();
    let first = Client::far(server.link).await.starts(start.clone()).await;
    assert!(matches!(first, Some(ServerMessage::PairReply(_))), "{first:?}");
    assert_eq!(refusal(Client::far(server.link).await.starts(start).await).code, RefusalCode::Replayed);
    assert_eq!(server.refused("replayed").await, 1.0);
    // A proof that nobody asked for ends the connection, not the server.
    let mut rude = Client::far(server.link).await;
    rude.hello(3..=3).await;
    let proof = rehearsekit_protocol::PairProof { of_code: [0; 32], of_channel: [0; 32] };
    rude.say(&ClientMessage::PairProof(proof)).await;
    assert_eq!(rude.closed().await.0, 2);
    try_code(&server, &shown.code).await.token();
    server.end().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn somebody_in_the_middle_is_noticed_by_both_ends_and_the_code_dies() {
    let server = TestServer::strict(&[]).await;
    let shown = server.shows();
    let middle = Middle::of(server.link);
    let client = Client::connect_with(endpoint_at(FAR, 16, client_tls(ALPN)), middle.address).await;
    let told = client.pairs(&shown.code, "laptop").await.refusal();
    assert_eq!(told.code, RefusalCode::Intercepted);
    assert!(told.message.contains("somebody sits between"), "{told}");
    assert_eq!(server.refused("intercepted").await, 1.0);
    let ended = PairingDesk::of(server.data.path()).progress(&shown.id).unwrap();
    assert_eq!(ended.ending, Some(Ending::Intercepted));
    assert_eq!(try_code(&server, &shown.code).await.refusal().code, RefusalCode::NoCode);
    assert!(ClientBook::of(server.data.path()).read().unwrap().is_empty());
    server.end().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_takes_us_for_somebody_else_is_counted() {
    let server = TestServer::strict(&[]).await;
    let provider = std::sync::Arc::new(rustls::crypto::ring::default_provider());
    let mut nobody = rustls::ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .with_root_certificates(rustls::RootCertStore::empty())
        .with_no_client_auth();
    nobody.alpn_protocols = vec![ALPN.to_vec()];
    let endpoint = endpoint_at(FAR, 16, nobody);
    within(endpoint.connect(server.link, "rehearsekit").unwrap()).await.unwrap_err();
    server.metric_reaches("refused_total{code=\"tls\"}", 1.0).await;
    server.end().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_attempts_costs_a_player_nothing() {
    let server = TestServer::strict(&[]).await;
    let token = ClientBook::of(server.data.path()).add("bass").unwrap().1;
    let (mut bass, _) = Client::paired_session(server.link, &token).await;
    let link = server.link;
    let flood = tokio::spawn(async move {
        let mut busy = 0;
        for n in 0..100 {
            let start = ClientPairing::new(&PairingCode::from_number(n), "x", [0; 32]).start().clone();
            let told = refusal(Client::far(link).await.starts(start).await);
            busy += u32::from(told.code == RefusalCode::Busy);
        }
        busy
    });
    for epoch in 0..5 {
        bass.plays(epoch, u64::from(epoch) * 1_000_000, 25).await;
    }
    let busy = within(flood).await.unwrap();
    assert!(busy > 0, "all were looked at");
    bass.plays(5, 5_000_000, 25).await;
    server.end().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_start_where_others_can_reach_it_shows_a_code() {
    let server = TestServer::strict(&[("listen", "127.0.0.2:0")]).await;
    let path = server.data.path().join("identity/pairing.json");
    let file: serde_json::Value = serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
    let code: PairingCode = file["code"].as_str().unwrap().parse().unwrap();
    try_code(&server, &code).await.token();
    // The server tells whoever shows a code that it has seen it.
    let shown = server.shows();
    let desk = PairingDesk::of(server.data.path());
    let noted = async {
        loop {
            if let Some(by) = desk.progress(&shown.id).unwrap().noted_by {
                return by;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let by = within(noted).await;
    assert_eq!((by.server.as_str(), by.address), ("closet", server.link));

    // The next start knows somebody; and one that nobody else can reach needs no code.
    let data = tempfile::tempdir().unwrap();
    ClientBook::of(data.path()).add("bass").unwrap();
    let second = TestServer::strict_in(data, &[("listen", "127.0.0.2:0")]).await;
    assert!(!second.data.path().join("identity/pairing.json").exists());
    let third = TestServer::strict(&[]).await;
    assert!(!third.data.path().join("identity/pairing.json").exists());
    for server in [server, second, third] {
        server.end().await.unwrap();
    }
}

/// How a server with this data folder ends at its start.
async fn start_fails(data: &std::path::Path) -> ServeError {
    let config = common::config(data, &[]);
    let listeners = Listeners::bind(&config).unwrap().near_only(NEAR);
    let engine = std::sync::Arc::new(common::HalfEngine::default());
    rehearsekit_server::run_with(listeners, config, engine, |_| (), std::future::pending()).await.unwrap_err()
}

#[cfg(unix)]
#[tokio::test(flavor = "multi_thread")]
async fn files_that_others_can_read_or_that_are_damaged_stop_the_start() {
    use std::{fs, os::unix::fs::PermissionsExt as _};

    let data = tempfile::tempdir().unwrap();
    ClientBook::of(data.path()).add("bass").unwrap();
    PairingDesk::of(data.path()).show().unwrap();
    for name in ["clients.json", "pairing.json"] {
        let path = data.path().join("identity").join(name);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        let told = start_fails(data.path()).await.to_string();
        assert!(told.contains(name) && told.contains("(mode 0644): run chmod 600"), "{told}");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        let whole = fs::read(&path).unwrap();
        fs::write(&path, "{").unwrap();
        let told = start_fails(data.path()).await.to_string();
        assert!(told.contains(name) && told.contains("is damaged"), "{told}");
        fs::write(&path, whole).unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_that_is_damaged_later_leaves_those_in_who_were() {
    let server = TestServer::strict(&[]).await;
    let token = ClientBook::of(server.data.path()).add("bass").unwrap().1;
    let (mut bass, _) = Client::paired_session(server.link, &token).await;
    let path = server.data.path().join("identity/clients.json");
    let whole = std::fs::read(&path).unwrap();
    std::fs::write(&path, "{").unwrap();
    tokio::time::sleep(Duration::from_millis(1_200)).await;
    bass.plays(0, 0, 25).await;
    Client::paired_session(server.link, &token).await.0.plays(0, 0, 5).await;
    assert_eq!(std::fs::read(&path).unwrap(), b"{");
    std::fs::write(&path, whole).unwrap();
    ClientBook::of(server.data.path()).revoke("bass").unwrap();
    assert_eq!(bass.closed().await.0, REVOKED);
    server.end().await.unwrap();
}
