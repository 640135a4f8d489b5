//! Everybody in time, or an honest no: who is let in, what the others are told, and who waits when the device becomes
//! slower than it was when they were let in.

mod common;

use std::{
    sync::{Arc, atomic::Ordering::Relaxed},
    time::Duration,
};

use common::{Client, HOP, HalfEngine, PACKET, TestServer, request, within};
use rehearsekit_protocol::{Mode, Refusal, RefusalCode, ServerMessage};
use rehearsekit_server::Event;

/// 40 ms: of them 20 are left for the server, and 20 are a hop.
const TIGHT: u32 = 2 * HOP;
/// 100 ms.
const PATIENT: u32 = 5 * HOP;

async fn house(cost: Duration) -> (TestServer, Arc<std::sync::atomic::AtomicU64>) {
    let engine = HalfEngine { cost, ..HalfEngine::default() };
    let takes_micros = engine.takes_micros.clone();
    let mut server = TestServer::start(&[("workers", "1"), ("max_sessions", "20")], engine).await;
    assert_eq!(within(server.events.recv()).await, Some(Event::Ready));
    (server, takes_micros)
}

async fn refused(server: &TestServer, budget_frames: u32) -> Refusal {
    let mut client = Client::connect(server.link, 16).await;
    match client.ask(request(Mode::Live, budget_frames)).await {
        Some(ServerMessage::Refused(refusal)) => refusal,
        other => panic!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_does_not_fit_is_told_what_would() {
    let (server, _) = house(Duration::from_micros(7_800)).await;
    let mut players = vec![Client::session(server.link, Mode::Live, PATIENT).await.0];
    // Within 20 ms it would have to wait for 8 ms of the other's, and take 8 ms itself, one of them perhaps 12.
    let refusal = refused(&server, TIGHT).await;
    assert_eq!(refusal.code, RefusalCode::Full);
    assert_eq!(
        refusal.message,
        "the server cannot hold 40 ms for one more: one session plays already, which is promised 39 % of its time; a \
         budget of 100 ms would fit"
    );
    assert!(server.metric("device_promised_ratio").await > 0.38);

    // The suggestion works; then nothing does any more, and that is said too.
    let suggested = refusal.smallest_budget_frames.unwrap();
    players.push(Client::session(server.link, Mode::Live, suggested).await.0);
    let refusal = refused(&server, PATIENT).await;
    assert_eq!((refusal.code, refusal.smallest_budget_frames), (RefusalCode::Full, None));
    assert!(refusal.message.ends_with("no budget and no model fits until somebody leaves"), "{refusal:?}");
    assert_eq!(server.metric("refused_total{code=\"full\"}").await, 2.0);

    // A bounce can wait for all of them.
    Client::session(server.link, Mode::Reliable, 48_000).await.0.plays(0, 0, 20).await;

    for gone in players.drain(..1) {
        gone.connection.close(0u8.into(), b"");
        gone.endpoint.wait_idle().await;
    }
    let fewer = async {
        while server.metric("sessions").await > 1.0 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    within(fewer).await;
    players.push(Client::session(server.link, Mode::Live, PATIENT).await.0);
    server.end().await.unwrap();
}

/// Plays for so many packets at the clock's pace.
async fn play(mut client: Client, from: u32, packets: u32) -> Client {
    let began = tokio::time::Instant::now();
    for n in 0..packets {
        tokio::time::sleep_until(began + Duration::from_millis(10) * n).await;
        client.push(0, u64::from((from + n) * PACKET), PACKET, false).await;
        if n % 20 == 0 {
            client.beat();
        }
    }
    client
}

#[tokio::test(flavor = "multi_thread")]
async fn a_device_that_becomes_slower_costs_the_newest_and_they_come_back() {
    let (server, takes_micros) = house(Duration::from_millis(2)).await;
    let mut players = Vec::new();
    for _ in 0..6 {
        players.push(Client::session(server.link, Mode::Live, 24_000).await.0);
    }
    let dropped = async |session: usize| {
        let labels = format!("{{session=\"{session}\",model=\"spleeter-2stems\"}}");
        server.metric(&format!("session_dropped_hops_total{labels}")).await
    };
    // Six times 2 ms in 20 ms go well, six times 9 ms do not.
    let mut position = 0;
    for (takes, packets) in [(1_000, 50), (9_000, 300), (1_000, 300)] {
        takes_micros.store(takes, Relaxed);
        let playing: Vec<_> =
            players.drain(..).map(|player| tokio::spawn(play(player, position, packets))).collect();
        tokio::time::sleep(Duration::from_millis(10) * (packets - 10)).await;
        let paused = server.metric("sessions_paused").await;
        for player in playing {
            players.push(within(player).await.unwrap());
        }
        position += packets;
        match takes {
            9_000 => assert!((3.0..6.0).contains(&paused), "{paused} are paused"),
            _ => assert_eq!(paused, 0.0, "while inferences take {takes} µs"),
        }
    }
    for paused in [true, false] {
        assert_eq!(players[5].news().await, Some(ServerMessage::Paused { paused }), "the newest is told");
    }
    assert_eq!(dropped(1).await, 0.0, "the oldest plays on");
    assert!(dropped(6).await > 50.0, "the newest was paused for most of three seconds");
    assert_eq!(server.metric("sessions").await, 6.0, "nobody was thrown out");
    server.end().await.unwrap();
}
