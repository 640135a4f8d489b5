//! The life of a server with well-behaved clients: warming, playing, refusing, draining, closing.

mod common;

use std::time::Duration;

use common::{Client, HOP, HalfEngine, PACKET, TestServer, config, get, request, within};
use rehearsekit_protocol::{
    ClientMessage, CloseReason, Health, Mode, OpenRequest, RefusalCode, ServerMessage,
};
use rehearsekit_server::{Event, Listeners, ServeError, engine::EngineError, run_with};

fn refusal(message: Option<ServerMessage>) -> rehearsekit_protocol::Refusal {
    match message {
        Some(ServerMessage::Refused(refusal)) => refusal,
        other => panic!("not refused: {other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_frame_of_every_epoch_comes_back_once() {
    let server = TestServer::ready(&[]).await;
    let (mut client, opened) = Client::session(server.link, Mode::Reliable, 48_000).await;
    assert_eq!((opened.latency_frames, opened.packet_frames, opened.hop_frames), (48_000, PACKET, HOP));
    // Odd numbers of packets, so that each epoch has a tail shorter than a hop; a gap between the epochs.
    client.plays(0, 0, 201).await;
    client.plays(4, 1_000_000, 7).await;
    assert_eq!(server.metric("sessions").await, 1.0);
    assert_eq!(server.metric("epochs_total").await, 2.0);
    assert_eq!(server.metric("inference_seconds_count").await, server.metric("hops_total").await);
    // Its series has its number and its model, and goes with it.
    let of =
        |name: &str| format!("session_{name}{{session=\"{}\",model=\"{}\"}}", opened.session, opened.model);
    server.metric_reaches(&of("chunks_total"), server.metric("hops_total").await).await;
    assert!(server.metric(&of("round_trip_seconds")).await > 0.0);
    assert!(server.metric(&of("datagrams_total")).await > 0.0);
    // What the client says of itself stands beside it.
    let health = Health { underruns: 5, late: 4, lost: 3, needed_frames: 9_600 };
    client.say(&ClientMessage::Health(health)).await;
    server.metric_reaches(&of("needed_seconds"), 0.2).await;
    let told = [of("underruns_total"), of("late_chunks_total"), of("lost_chunks_total")];
    for (name, expected) in told.iter().zip([5.0, 4.0, 3.0]) {
        assert_eq!(server.metric(name).await, expected, "{name}");
    }
    client.connection.close(0u8.into(), b"");
    let gone = async {
        while get(server.http, "/metrics", "localhost", "").await.1.contains("session=\"") {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    within(gone).await;
    server.end().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_chunk_says_what_it_needed_and_an_epoch_where_it_ends() {
    let server = TestServer::ready(&[]).await;
    let (mut client, _) = Client::session(server.link, Mode::Reliable, 48_000).await;
    for n in 0..3 {
        client.push(9, u64::from(n * PACKET), PACKET, n == 2).await;
    }
    let chunks = client.stems_of(u64::from(3 * PACKET)).await;
    let told: Vec<_> = chunks
        .iter()
        .map(|chunk| (chunk.header.needed_through, chunk.header.end_of_epoch, chunk.header.inference_micros))
        .collect();
    let last = u64::from(3 * PACKET) - 1;
    assert_eq!(told, [(u64::from(2 * PACKET) - 1, false, 100), (last, true, 100)]);
    server.end().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_packet_ends_the_epoch_there_and_the_rest_still_comes() {
    let server = TestServer::ready(&[]).await;
    // A budget so large that nothing here can be too late.
    let (mut client, _) = Client::session(server.link, Mode::Live, 480_000).await;
    for n in 0..20 {
        if n == 7 {
            client.sequence += 1;
        } else {
            client.push(0, u64::from(n * PACKET), PACKET, n == 19).await;
        }
    }
    let chunks = client.stems_of(u64::from(19 * PACKET)).await;
    let mut covered = vec![0; 20];
    for chunk in &chunks {
        let first = (chunk.header.first_frame / u64::from(PACKET)) as usize;
        let count = (chunk.header.frames / PACKET) as usize;
        covered[first..first + count].iter_mut().for_each(|n| *n += 1);
    }
    let expected: Vec<i32> = (0..20).map(|n| i32::from(n != 7)).collect();
    assert_eq!(covered, expected);
    assert_eq!(server.metric("lost_packets_total").await, 1.0);
    server.end().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn unusable_samples_are_silence_and_counted() {
    let server = TestServer::ready(&[]).await;
    let (mut client, _) = Client::session(server.link, Mode::Reliable, 48_000).await;
    client.push(0, 0, PACKET, false).await;
    let header = rehearsekit_protocol::PacketHeader::mix(0, 1, u64::from(PACKET), PACKET);
    let mut bytes = Vec::new();
    let zeros = [0.0; PACKET as usize];
    rehearsekit_protocol::encode_packet(&header, &[zeros, zeros], &mut bytes).unwrap();
    let at = rehearsekit_protocol::PacketHeader::BYTES;
    bytes[at..at + 4].copy_from_slice(&f32::NAN.to_le_bytes());
    bytes[at + 4..at + 8].copy_from_slice(&f32::NEG_INFINITY.to_le_bytes());
    client.push_bytes(&bytes).await;
    let chunk = client.stems().await;
    assert!(chunk.channels[0][PACKET as usize..].iter().all(|sample| *sample == 0.0));
    assert_eq!(server.metric("unusable_samples_total").await, 2.0);
    server.end().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn refusals_say_why_and_what_would_help() {
    let server = TestServer::ready(&[("max_sessions", "1"), ("models", "half")]).await;
    let ask = async |change: &dyn Fn(&mut rehearsekit_protocol::OpenRequest)| {
        let mut client = Client::connect(server.link, 16).await;
        let mut wish = request(Mode::Live, 48_000);
        change(&mut wish);
        refusal(client.ask(wish).await)
    };
    let unknown = ask(&|wish| wish.model = "quarter".to_owned()).await;
    assert_eq!(unknown.code, RefusalCode::UnknownModel);
    assert_eq!(unknown.message, "this server has no model \"quarter\"; it has half");
    let small = ask(&|wish| wish.budget_frames = 10).await;
    assert_eq!((small.code, small.smallest_budget_frames), (RefusalCode::BudgetTooSmall, Some(2 * HOP)));

    let (client, _) = Client::session(server.link, Mode::Live, 48_000).await;
    let full = ask(&|_| ()).await;
    assert_eq!(full.code, RefusalCode::Full);
    assert!(full.message.starts_with("all 1 places of this server are taken"), "{}", full.message);
    // A place that was left is free again.
    client.connection.close(0u8.into(), b"");
    let freed = async {
        while server.metric("sessions").await > 0.0 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    within(freed).await;
    let (_client, _) = Client::session(server.link, Mode::Live, 48_000).await;

    let mut old = Client::connect(server.link, 16).await;
    let version = refusal(old.hello(7..=9).await);
    assert_eq!(version.code, RefusalCode::Version);
    assert!(version.message.contains("update the older of the two"), "{}", version.message);
    server.end().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_budgets_buy_is_told_to_those_who_ask_with_a_yes_and_with_a_no() {
    let server = TestServer::ready(&[("models", "half")]).await;
    let ask = async |budget_frames: u32, wanted_offers_frames: &[u32]| {
        let wanted_offers_frames = wanted_offers_frames.to_vec();
        let mut client = Client::connect(server.link, 16).await;
        client.ask(OpenRequest { wanted_offers_frames, ..request(Mode::Live, budget_frames) }).await
    };
    let wanted = [HOP, 2 * HOP, 48_000];
    let Some(ServerMessage::Opened(opened)) = ask(48_000, &wanted).await else { panic!("not opened") };
    let told: Vec<_> = opened.offers.iter().map(|o| (o.budget_frames, o.holds, o.quality_db)).collect();
    assert_eq!(told, [(HOP, false, None), (2 * HOP, true, Some(-0.5)), (48_000, true, Some(-0.5))]);
    assert_eq!(opened.offers[0].words, "too little for this model on this server");
    assert!(
        opened.offers[1..].iter().all(|o| o.words.len() == 96 && o.words.starts_with("half")),
        "cut to fit"
    );
    assert_eq!(refusal(ask(10, &wanted).await).offers, opened.offers);
    let Some(ServerMessage::Opened(opened)) = ask(48_000, &[]).await else { panic!("not opened") };
    assert!(opened.offers.is_empty(), "unasked");

    // A client of version 1, which would not read a byte more.
    let mut old = Client::connect(server.link, 16).await;
    assert!(matches!(old.hello(1..=1).await, Some(ServerMessage::Welcome { version: 1, .. })));
    old.say(&ClientMessage::Open(request(Mode::Live, 48_000))).await;
    let Some(ServerMessage::Opened(opened)) = old.hear().await else { panic!("not opened") };
    assert!(opened.offers.is_empty());
    server.end().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_is_admitted_before_all_models_are_warm() {
    let (open, gate) = std::sync::mpsc::channel();
    let mut server = TestServer::start(&[], HalfEngine::gated(gate)).await;
    assert_eq!(get(server.http, "/healthz", "localhost", "").await, (200, "ok\n".to_owned()));
    let (status, body) = get(server.http, "/readyz", "localhost", "").await;
    let reason: serde_json::Value = serde_json::from_str(&body).unwrap();
    assert_eq!((status, &reason["ready"]), (503, &serde_json::Value::Bool(false)));
    assert!(reason["reason"].as_str().unwrap().contains("spleeter-2stems is being loaded"), "{body}");
    let mut client = Client::connect(server.link, 16).await;
    assert_eq!(refusal(client.ask(request(Mode::Live, 48_000)).await).code, RefusalCode::NotReady);
    open.send(Ok(())).unwrap();
    assert_eq!(within(server.events.recv()).await, Some(Event::Ready));
    assert_eq!(get(server.http, "/readyz", "localhost", "").await.0, 200);
    let (_client, _) = Client::session(server.link, Mode::Live, 48_000).await;
    server.end().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_model_that_cannot_be_loaded_ends_the_server_with_its_name() {
    let (open, gate) = std::sync::mpsc::channel();
    let server = TestServer::start(&[], HalfEngine::gated(gate)).await;
    open.send(Err(EngineError("it is not installed".to_owned()))).unwrap();
    let told = server.ends().await.unwrap_err().to_string();
    assert_eq!(told, "cannot load the model spleeter-2stems: it is not installed");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shutdown_drains_then_closes_with_a_reason() {
    let mut server = TestServer::ready(&[("drain_seconds", "3600")]).await;
    let (mut playing, _) = Client::session(server.link, Mode::Reliable, 48_000).await;
    playing.plays(0, 0, 10).await;
    server.shut_down();
    assert_eq!(within(server.events.recv()).await, Some(Event::Draining));
    let (status, body) = get(server.http, "/readyz", "localhost", "").await;
    assert_eq!((status, body.contains("shutting down")), (503, true));
    let mut newcomer = Client::connect(server.link, 16).await;
    assert_eq!(refusal(newcomer.ask(request(Mode::Live, 48_000)).await).code, RefusalCode::ShuttingDown);
    // Who is there plays on, and the server ends when the last one leaves.
    playing.plays(1, 10_000, 10).await;
    playing.connection.close(0u8.into(), b"");
    server.ends().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn who_still_plays_when_the_time_is_over_is_told_so() {
    let mut server = TestServer::ready(&[]).await;
    let (mut client, _) = Client::session(server.link, Mode::Reliable, 48_000).await;
    // In the middle of an epoch, with a job under way.
    for n in 0..50 {
        client.push(0, u64::from(n * PACKET), PACKET, false).await;
    }
    server.shut_down();
    assert_eq!(client.news().await, Some(ServerMessage::Closing { reason: CloseReason::ServerShutdown }));
    assert_eq!(client.closed().await, (1, "the server shuts down".to_owned()));
    server.ends().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_without_a_writable_folder_does_not_start() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("taken");
    std::fs::write(&file, "x").unwrap();
    let config = config(&file.join("data"), &[]);
    let listeners = Listeners::bind(&config).unwrap();
    let engine = std::sync::Arc::new(HalfEngine::default());
    let result = run_with(listeners, config, engine, |_| (), std::future::pending()).await;
    assert!(matches!(result, Err(ServeError::DataDir(_))), "{result:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_server_on_the_same_address_is_told_so() {
    let server = TestServer::ready(&[]).await;
    let folder = tempfile::tempdir().unwrap();
    let link = server.link.to_string();
    let told = Listeners::bind(&config(folder.path(), &[("listen", &link)])).unwrap_err().to_string();
    assert!(told.starts_with(&format!("cannot listen on {link} (UDP, key listen): ")), "{told}");
    assert!(told.ends_with("another server is there: stop it, or choose another port"), "{told}");
    server.end().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn strange_hosts_and_origins_are_turned_away() {
    let server = TestServer::ready(&[("http_hosts", "nas.local")]).await;
    let own = server.http.to_string();
    for (host, more, status) in [
        (own.as_str(), "", 200),
        ("localhost:9", "", 200),
        ("nas.local", "Origin: http://nas.local:8080\r\n", 200),
        ("rebound.example", "", 421),
        ("127.0.0.1.rebound.example", "", 421),
        ("", "", 421),
        (own.as_str(), "Host: localhost\r\n", 421),
        (own.as_str(), "Origin: https://evil.example\r\n", 403),
        (own.as_str(), "Origin: null\r\n", 403),
        (own.as_str(), "Origin: http://localhost@evil.example\r\n", 403),
    ] {
        for path in ["/metrics", "/healthz", "/nowhere"] {
            let (got, body) = get(server.http, path, host, more).await;
            let expected = if status == 200 && path == "/nowhere" { 404 } else { status };
            // Two Host headers are malformed already for the HTTP library, with its own code.
            assert!(
                got == expected || (got == 400 && more.starts_with("Host")),
                "{host} {more}: {got} {body}"
            );
        }
    }
    let (_, told) = get(server.http, "/metrics", "rebound.example", "").await;
    assert!(told.contains("not known as \"rebound.example\"") && told.contains("http_hosts"), "{told}");
    server.end().await.unwrap();
}
