//! Servers that are missing, wrong, hostile or deaf: the link says so in words and never stands still.

mod common;

use std::{net::UdpSocket, sync::atomic::Ordering::Relaxed, time::Duration};

use common::{Client, Manner, PATIENCE, Server, config, eventually, serve};
use rehearsekit_client::{Fingerprint, LinkConfig, LinkError, LinkState, Refusal, RefusalCode, ServerTrust};
use rehearsekit_protocol::Mode;

/// A link to a server of this manner that fails; its first error.
async fn first_error(manner: Manner) -> (LinkError, Client, Server) {
    let server = serve(manner, 0);
    let mut client = Client::new(config(server.address, Mode::Live), 1_024, 1_024);
    let mut error = None;
    client
        .play_until("an error", |client, _| match client.link.state() {
            LinkState::Connecting { last_error: Some(why), .. } => {
                error = Some(why);
                true
            }
            _ => false,
        })
        .await;
    (error.expect("an error was seen"), client, server)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refusal_keeps_its_sentence_and_is_not_hammered() {
    let refusal = Refusal::new(RefusalCode::BudgetTooSmall, "93 ms is too little here", Some(9_000));
    let server = serve(Manner::Refuse(refusal.clone()), 0);
    let mut client = Client::new(config(server.address, Mode::Live), 1_024, 64);
    let state = client.until("refused", |state| matches!(state, LinkState::Refused(_))).await;
    assert_eq!(state, LinkState::Refused(refusal));
    // Half a second would be ten attempts of the usual back-off; the mix goes on being drained meanwhile.
    let from = client.position;
    client.play_until("half a second of mix", |client, _| client.position > from + 500 * 64).await;
    assert!(client.link.stats().unsent_frames > 0);
    assert_eq!(server.seen.connections.load(Relaxed), 1);
    // Told to, it asks again at once.
    client.link.retry_now();
    eventually("a second attempt", || server.seen.connections.load(Relaxed) == 2).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn garbage_on_the_control_stream_is_a_typed_error_and_a_new_attempt() {
    for bytes in [vec![0; 64], vec![0xFF; 64], b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec(), vec![1, 0, 0x85]]
    {
        let (error, client, server) = first_error(Manner::GarbageControl(bytes)).await;
        assert!(matches!(error, LinkError::Session(_)), "{error:?}");
        eventually("a second attempt", || server.seen.connections.load(Relaxed) >= 2).await;
        assert!(client.link.close().wait(PATIENCE));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn garbage_instead_of_stems_is_a_typed_error_and_a_new_attempt() {
    for bytes in [vec![], vec![0; 10], vec![0xFF; 4_000], vec![2; 40], vec![0; 6_000_000]] {
        let (error, client, server) = first_error(Manner::GarbageStream(bytes)).await;
        assert!(matches!(error, LinkError::Garbage(_) | LinkError::WrongChunk(_)), "{error:?}");
        assert!(client.link.stats().malformed >= 1);
        eventually("a second session", || server.seen.sessions.load(Relaxed) >= 2).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stems_for_audio_that_was_never_sent_are_not_believed() {
    let (error, mut client, _server) = first_error(Manner::FutureStems).await;
    assert!(matches!(error, LinkError::WrongChunk(_)), "{error:?}");
    assert_eq!(client.take(), []);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_latency_than_the_budget_is_not_accepted() {
    let (error, ..) = first_error(Manner::WrongLatency).await;
    let asked = common::LONG_BUDGET_FRAMES;
    assert_eq!(error, LinkError::Latency { asked, got: asked - 1 });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn closing_works_while_nobody_answers() {
    // Bound and deaf: packets arrive, nothing comes back.
    let deaf = UdpSocket::bind("127.0.0.1:0").unwrap();
    let mut client = Client::new(config(deaf.local_addr().unwrap(), Mode::Live), 64, 64);
    client.play_until("drained", |client, _| client.link.stats().unsent_frames > 640).await;
    assert!(matches!(client.link.state(), LinkState::Connecting { .. }));
    let mut watch = client.link.watch();
    assert!(client.link.close().wait(PATIENCE));
    assert_eq!(*watch.borrow_and_update(), LinkState::Closed);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn closing_works_in_the_middle_of_the_handshake() {
    let server = serve(Manner::NeverAnswers, 0);
    let mut client = Client::new(config(server.address, Mode::Live), 64, 64);
    eventually("a connection", || server.seen.connections.load(Relaxed) == 1).await;
    client.play_until("drained", |client, _| client.link.stats().unsent_frames > 640).await;
    assert!(client.link.close().wait(PATIENCE));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dropping_closes_and_so_does_the_end_of_the_runtime() {
    let server = serve(Manner::Serve, 0);
    let client = Client::new(config(server.address, Mode::Live), 64, 64);
    client.until_live().await;
    let mut watch = client.link.watch();
    drop(client);
    assert!(tokio::time::timeout(PATIENCE, watch.wait_for(|s| *s == LinkState::Closed)).await.is_ok());

    let other = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let client = {
        let _entered = other.enter();
        Client::new(config(server.address, Mode::Live), 64, 64)
    };
    client.until_live().await;
    other.shutdown_background();
    assert!(client.link.close().wait(PATIENCE));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_never_reads_costs_packets_but_never_the_pace() {
    let server = serve(Manner::NeverReads, 0);
    let mut impatient = config(server.address, Mode::Live);
    impatient.open.budget_frames = 4_800;
    let mut client = Client::new(impatient, 256, 64);
    client.until_live().await;
    let mut refused = 0;
    for _ in 0..1_000 {
        refused += u32::from(!client.push(0));
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    assert_eq!(refused, 0, "the mix ring filled up");
    let client = client;
    eventually("given up packets", || client.link.stats().dropped_packets > 0).await;
    let stats = client.link.stats();
    assert_eq!((stats.hops, stats.malformed), (0, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reader_that_never_reads_loses_slots_and_nothing_else() {
    let server = serve(Manner::Serve, 0);
    let mut small = config(server.address, Mode::Live);
    small.open.budget_frames = 48_000;
    let (mix, mix_out) = rtrb::RingBuffer::new(4_096);
    // Eight slots, and nobody takes them out.
    let (stems_in, stems) = rtrb::RingBuffer::new(8);
    let link = rehearsekit_client::connect(&tokio::runtime::Handle::current(), small, mix_out, stems_in);
    let mut client = Client { link, mix, stems, position: 0 };
    client.until_live().await;
    eventually("dropped slots", || {
        for _ in 0..4 {
            client.push(0);
        }
        client.link.stats().dropped_slots > 0
    })
    .await;
    assert!(matches!(client.link.state(), LinkState::Live(_)));
    assert_eq!(client.take().len(), 8);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_certificate_than_the_pinned_one_is_told_by_both_fingerprints() {
    let server = serve(Manner::Serve, 0);
    let expected = Fingerprint([7; 32]);
    let trust = ServerTrust::Pinned { fingerprint: expected, token: None };
    let client = Client::new(LinkConfig { trust, ..config(server.address, Mode::Live) }, 64, 64);
    let state =
        client.until("an error", |s| matches!(s, LinkState::Connecting { last_error: Some(_), .. })).await;
    let error = Some(LinkError::Fingerprint { expected, got: server.fingerprint });
    assert!(matches!(&state, LinkState::Connecting { last_error, .. } if *last_error == error), "{state:?}");
    assert_eq!(server.seen.sessions.load(Relaxed), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn loopback_trust_sends_nothing_to_other_machines() {
    let client = Client::new(config("192.0.2.1:7777", Mode::Live), 64, 64);
    let state = client.until("failed", |state| matches!(state, LinkState::Failed(_))).await;
    let address = "192.0.2.1:7777".parse().unwrap();
    assert_eq!(state, LinkState::Failed(LinkError::NotPaired { address }));
    assert!(client.link.close().wait(PATIENCE));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nonsense_is_told_apart_addresses_and_requests() {
    let client = Client::new(config("no port here", Mode::Live), 64, 64);
    let state =
        client.until("an error", |s| matches!(s, LinkState::Connecting { last_error: Some(_), .. })).await;
    assert!(
        matches!(&state, LinkState::Connecting { last_error: Some(LinkError::Address { .. }), .. }),
        "{state:?}"
    );

    let server = serve(Manner::Serve, 0);
    let mut absurd = config(server.address, Mode::Live);
    absurd.open.rate_hz = 1;
    let client = Client::new(absurd, 64, 64);
    let state = client.until("failed", |state| matches!(state, LinkState::Failed(_))).await;
    assert!(matches!(state, LinkState::Failed(LinkError::Request(_))), "{state:?}");
}
