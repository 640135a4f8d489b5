//! A link that is served: what goes out comes back, live and reliably, across jumps and restarts of the server.

mod common;

use std::{
    sync::atomic::Ordering::Relaxed,
    time::{Duration, Instant},
};

use common::{Client, Manner, PATIENCE, config, eventually, serve};
use rehearsekit_client::{Decimation, LinkError, LinkState, Refusal, RefusalCode, ServerTrust};
use rehearsekit_protocol::Mode;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn live_stems_come_back_at_their_positions_and_are_accounted_for() {
    let server = serve(Manner::Serve, 0);
    let mut client = Client::new(config(server.address, Mode::Live), 4_096, 4_096);
    client.until_live().await;
    let mut ranges = client.play_until("20000 frames back", |_, frames| frames >= 20_000).await;
    ranges.sort_unstable();
    assert!(ranges.windows(2).all(|pair| pair[0].1 == pair[1].0), "holes or overlaps in {ranges:?}");
    let stats = client.link.stats();
    assert!(stats.hops >= 20_000 / 240);
    assert_eq!((stats.late, stats.lost, stats.reconnects, stats.malformed), (0, 0, 0, 0));
    assert_eq!((stats.dropped_packets, stats.dropped_slots), (0, 0));
    // A chunk may be counted between two of these.
    assert!(stats.turnaround_millis.count + 1 >= stats.hops && stats.inference_millis.p50 == 0.1);
    assert_eq!(stats.server_overhead_millis.p50, 0.2);
    assert!(stats.turnaround_millis.p50 > 0.0 && stats.overhead_millis.count > 0);
    assert!(stats.round_trip_millis.count > 0 && stats.round_trip_millis.p50 > 0.0);
    assert_eq!((stats.shadow.lost, stats.shadow.breaks), (0, 0));
    assert!(client.link.close().wait(PATIENCE));
    eventually("a goodbye", || server.seen.goodbyes.load(Relaxed) == 1).await;
}

/// Plays `slots` through a reliable link with small rings, then finishes; every frame must be there, once.
async fn reliable_round_trip(server: &common::Server, slots: u64, jump_at: u64) -> Client {
    let mut client = Client::new(config(server.address, Mode::Reliable), 16, 16);
    let (mut pushed, mut covered, mut ranges) = (0, 0, Vec::new());
    let began = Instant::now();
    while covered < slots * 64 {
        assert!(began.elapsed() < PATIENCE, "{covered} frames came back: {:?}", client.link.stats());
        while pushed < slots && client.push(u32::from(pushed >= jump_at)) {
            pushed += 1;
            if pushed == slots {
                client.link.finish();
            }
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
        let new = client.take();
        covered += new.iter().map(|(start, end)| end - start).sum::<u64>();
        ranges.extend(new);
    }
    ranges.sort_unstable();
    assert_eq!((ranges[0].0, ranges[ranges.len() - 1].1), (0, slots * 64));
    assert_eq!(client.link.stats().shadow.chunks, 0, "a bounce waits for everything");
    assert!(ranges.windows(2).all(|pair| pair[0].1 == pair[1].0), "holes or overlaps");
    client
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reliable_mode_loses_nothing_through_tiny_rings_and_flushes_the_tail() {
    let server = serve(Manner::Serve, 0);
    // 1003 slots are no multiple of a packet: without `finish` the last frames would never leave.
    let client = reliable_round_trip(&server, 1_003, u64::MAX).await;
    let stats = client.link.stats();
    assert_eq!(
        (stats.late, stats.lost, stats.dropped_packets, stats.dropped_slots, stats.unsent_frames),
        (0, 0, 0, 0, 0)
    );
    eventually("the end of the epoch", || server.seen.ends.load(Relaxed) == 1).await;
    assert_eq!(server.seen.epochs.load(Relaxed), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_jump_of_the_song_is_an_epoch_on_the_wire() {
    let server = serve(Manner::Serve, 0);
    let _client = reliable_round_trip(&server, 101, 50).await;
    eventually("both ends", || server.seen.ends.load(Relaxed) == 2).await;
    assert_eq!(server.seen.epochs.load(Relaxed), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pinned_certificate_is_believed() {
    let server = serve(Manner::Serve, 0);
    let trust = ServerTrust::Pinned { fingerprint: server.fingerprint, token: None };
    let client =
        Client::new(rehearsekit_client::LinkConfig { trust, ..config(server.address, Mode::Live) }, 64, 64);
    client.until_live().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_host_at_96_khz_gets_its_own_positions_back() {
    let server = serve(Manner::Serve, 0);
    let mut at_96 = config(server.address, Mode::Reliable);
    at_96.decimation = Decimation::By2;
    let mut client = Client::new(at_96, 4_096, 4_096);
    for _ in 0..500 {
        assert!(client.push(0));
    }
    client.link.finish();
    // The filter's reach at the end of the run is never made.
    let end = 500 * 64 - 52;
    let (mut there, began) = (std::collections::BTreeMap::new(), Instant::now());
    while there.len() < end {
        assert!(began.elapsed() < PATIENCE, "{} of {end} frames: {:?}", there.len(), client.link.stats());
        tokio::time::sleep(Duration::from_millis(1)).await;
        while let Ok(slot) = client.stems.pop() {
            for (i, sample) in slot.samples[0][..usize::from(slot.frames)].iter().enumerate() {
                assert_eq!(there.insert(slot.position as usize + i, *sample), None, "frame {i} came twice");
            }
        }
    }
    // A slow ramp passes the filters as it is, away from where it starts and ends.
    for (&position, &got) in there.range(256..end - 256) {
        let half = common::sample(position as u64) * 0.5;
        assert!((got - half).abs() < 1e-4, "{got} for {half} at {position}");
    }
    assert!(there.keys().copied().eq(0..end));
}

fn runtime(name: &str) -> tokio::runtime::Runtime {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    builder.worker_threads(2).thread_name(name).enable_all().build().expect("a runtime")
}

#[test]
fn a_killed_server_is_found_again_and_the_music_goes_on_behind_the_gap() {
    let (ours, theirs) = (runtime("client"), runtime("server"));
    let server = theirs.block_on(async { serve(Manner::Serve, 0) });
    let address = server.address;
    let mut client = ours.block_on(async {
        let mut client = Client::new(config(address, Mode::Live), 4_096, 4_096);
        client.until_live().await;
        client.play_until("a first chunk", |_, frames| frames > 0).await;
        client
    });
    // The runtime goes, and with it the socket: nobody says goodbye.
    theirs.shutdown_background();
    drop(server);
    ours.block_on(async {
        let dead = |client: &mut Client, _| !matches!(client.link.state(), LinkState::Live(_));
        client.play_until("disconnected", dead).await;
    });
    let killed_at = client.position;
    let again = runtime("server again");
    let server = ours.block_on(async {
        let mut server = None;
        eventually("the port is free", || {
            let _entered = again.enter();
            server = common::try_serve(Manner::Serve, address.port()).ok();
            server.is_some()
        })
        .await;
        let mut frames_behind = 0;
        while frames_behind < 5_000 {
            let ranges = client.play_until("stems behind the gap", |_, frames| frames > 0).await;
            let behind = ranges.iter().filter(|(start, _)| *start >= killed_at);
            frames_behind += behind.map(|(start, end)| end - start).sum::<u64>();
        }
        server
    });
    assert!(server.is_some_and(|server| server.seen.epochs.load(Relaxed) == 1));
    let stats = client.link.stats();
    assert_eq!(stats.reconnects, 1);
    assert!(stats.unsent_frames > 0, "the mix ring was not drained while there was no server");
    assert!(client.link.close().wait(PATIENCE));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_falls_silent_is_left_and_found_again() {
    let server = serve(Manner::FallsSilent, 0);
    let mut client = Client::new(config(server.address, Mode::Live), 4_096, 4_096);
    client.until_live().await;
    let mut why = None;
    client
        .play_until("given up", |client, _| match client.link.state() {
            LinkState::Connecting { last_error, .. } => {
                why = last_error;
                true
            }
            _ => false,
        })
        .await;
    assert!(matches!(why, Some(LinkError::Session(_))), "{why:?}");
    server.seen.recovered.store(true, Relaxed);
    client.play_until("stems again", |_, frames| frames > 0).await;
    let stats = client.link.stats();
    assert!(stats.reconnects >= 1);
    assert!(stats.lost > 0, "what the silent server owed is lost: {stats:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_offline_render_that_loses_its_server_fails_for_good() {
    let server = serve(Manner::Serve, 0);
    let mut client = Client::new(config(server.address, Mode::Reliable), 4_096, 4_096);
    client.until_live().await;
    client.play_until("a first chunk", |_, frames| frames > 0).await;
    server.endpoint.close(quinn::VarInt::from_u32(0), b"gone");
    let state = client.until("failed", |state| matches!(state, LinkState::Failed(_))).await;
    assert!(matches!(state, LinkState::Failed(LinkError::Interrupted(_))), "{state:?}");
    // Nobody waits for room in the ring of a link that has failed.
    client.play_until("drained", |client, _| client.link.stats().unsent_frames > 0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_link_is_led_to_another_server_and_positions_go_on() {
    let (first, second) = (serve(Manner::Serve, 0), serve(Manner::Serve, 0));
    let mut client = Client::new(config(first.address, Mode::Live), 4_096, 4_096);
    client.until_live().await;
    client.play_until("a first chunk", |_, frames| frames > 0).await;
    let changed_at = client.position;
    client.link.reconfigure(config(second.address, Mode::Live));
    let mut behind = 0;
    while behind < 5_000 {
        let ranges = client.play_until("stems of the other", |_, frames| frames > 0).await;
        behind += ranges.iter().filter(|(start, _)| *start >= changed_at).map(|(s, e)| e - s).sum::<u64>();
    }
    eventually("a goodbye", || first.seen.goodbyes.load(Relaxed) == 1).await;
    assert_eq!(second.seen.sessions.load(Relaxed), 1);

    // Also while it is still looking, and waiting to look again.
    let refusal = Refusal::new(RefusalCode::BudgetTooSmall, "not here", None);
    let refusing = serve(Manner::Refuse(refusal), 0);
    client.link.reconfigure(config(refusing.address, Mode::Live));
    client.until("refused", |state| matches!(state, LinkState::Refused(_))).await;
    client.link.reconfigure(config(first.address, Mode::Live));
    client.until_live().await;
    let deaf = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    client.link.reconfigure(config(deaf.local_addr().unwrap(), Mode::Live));
    client.until("looking", |state| matches!(state, LinkState::Connecting { .. })).await;
    client.link.reconfigure(config(second.address, Mode::Live));
    client.until_live().await;
    assert_eq!(second.seen.sessions.load(Relaxed), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_offline_render_waits_for_a_server_that_is_not_there_yet_and_loses_nothing() {
    let free = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = free.local_addr().unwrap();
    drop(free);
    let mut client = Client::new(config(address, Mode::Reliable), 256, 4_096);
    for _ in 0..100 {
        assert!(client.push(0));
    }
    let failed = |state: &LinkState| matches!(state, LinkState::Connecting { last_error: Some(_), .. });
    client.until("a failed attempt", failed).await;
    let mut server = None;
    eventually("the port is free", || {
        server = common::try_serve(Manner::Serve, address.port()).ok();
        server.is_some()
    })
    .await;
    client.until_live().await;
    client.link.finish();
    let mut ranges = Vec::new();
    eventually("all stems", || {
        ranges.extend(client.take());
        ranges.iter().map(|(start, end)| end - start).sum::<u64>() == 6_400
    })
    .await;
    assert_eq!(client.link.stats().unsent_frames, 0);
}
