//! The server with real Spleeter weights: what comes back over the link is, bit for bit, what the same
//! pipeline gives without any network, however the packets were cut and worked on.
//!
//! Needs `REHEARSEKIT_DATA` with spleeter-2stems and ONNX Runtime, which `cargo xtask test` prepares.
#![allow(clippy::print_stdout, reason = "a test tells what it saw")]
#![allow(clippy::unwrap_used, reason = "all of it is test code")]

mod common;

use std::{path::PathBuf, sync::Arc};

use common::{Client, RATE_HZ, TestServer, config, request, within};
use rehearsekit_audio::SampleRate;
use rehearsekit_protocol::{Mode, OpenRequest, PacketHeader, RefusalCode, ServerMessage};
use rehearsekit_server::{
    Event,
    config::Config,
    engine::{Engine, ModelEngine, OpenSpec},
};

/// A data folder of the test's own that borrows the installed models.
fn borrowed() -> (tempfile::TempDir, Config) {
    let installed = std::env::var_os("REHEARSEKIT_DATA").map(PathBuf::from);
    let installed = installed.expect("set REHEARSEKIT_DATA, or run cargo xtask test, which does");
    let data = tempfile::tempdir().unwrap();
    for folder in ["models", "runtime", "devices"] {
        let from = std::path::absolute(installed.join(folder)).unwrap();
        std::fs::create_dir_all(&from).unwrap();
        std::os::unix::fs::symlink(from, data.path().join(folder)).unwrap();
    }
    let config = config(data.path(), &[("models", "spleeter-2stems")]);
    (data, config)
}

/// Two seconds of something like music: tones that swell, and noise.
fn song(frames: usize) -> Vec<f32> {
    let mut state = 1u32;
    (0..frames)
        .map(|n| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let noise = (state >> 8) as f32 / 16_777_216.0 - 0.5;
            let time = n as f32 / RATE_HZ as f32;
            0.3 * (time * 1_382.0).sin() * (time * 9.0).sin() + 0.2 * (time * 691.0).sin() + 0.1 * noise
        })
        .collect()
}

/// What a hop that was dropped leaves: a hole, and behind it the stems that would have been there anyway.
#[test]
fn a_skipped_hop_is_missing_and_the_rest_is_as_it_was() {
    let (_data, config) = borrowed();
    let engine = ModelEngine::new(&config).unwrap();
    engine.warm("spleeter-2stems").unwrap();
    for rate in [SampleRate::HZ_44100, SampleRate::HZ_48000] {
        let spec = OpenSpec {
            model: "spleeter-2stems".to_owned(),
            rate,
            budget_frames: 14_000,
            block_frames: 64,
            link_frames: 240,
        };
        let song = song(rate.hz() as usize * 2);
        let (mut whole, promise) = engine.open(&spec).unwrap();
        whole.start_epoch(0);
        let mut all = whole.push([&song, &song]).unwrap();
        all.extend(whole.finish_epoch().unwrap());
        let all: Vec<f32> = all.iter().flat_map(|chunk| chunk.channels[0].iter().copied()).collect();

        let (mut holed, _) = engine.open(&spec).unwrap();
        holed.start_epoch(0);
        let (mut next, mut missing) = (0, 0);
        for (n, piece) in song.chunks(promise.hop_frames as usize).enumerate() {
            if n % 5 == 4 {
                holed.skip([piece, piece]).unwrap();
                continue;
            }
            for chunk in holed.push([piece, piece]).unwrap() {
                missing += chunk.first_frame as usize - next;
                next = chunk.first_frame as usize + chunk.channels[0].len();
                let there = &all[chunk.first_frame as usize..next];
                for (i, (a, b)) in chunk.channels[0].iter().zip(there).enumerate() {
                    assert!((a - b).abs() < 1e-5, "{rate:?}, frame {} + {i}: {a} {b}", chunk.first_frame);
                }
            }
        }
        assert!(
            missing > 2 * promise.hop_frames as usize && missing < song.len() * 2 / 3,
            "{missing} frames are missing"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_link_changes_not_a_bit() {
    let (data, config) = borrowed();
    let engine = Arc::new(ModelEngine::new(&config).unwrap());
    let mut server = TestServer::with(data, config, engine.clone()).await;
    assert_eq!(within(server.events.recv()).await, Some(Event::Ready));

    let budget_frames = 24_000;
    let spec = OpenSpec {
        model: "spleeter-2stems".to_owned(),
        rate: SampleRate::HZ_48000,
        budget_frames,
        block_frames: 64,
        link_frames: 240,
    };
    let song = song(96_000);
    let (mut pipeline, promise) = engine.open(&spec).unwrap();
    pipeline.start_epoch(0);
    let mut direct = pipeline.push([&song, &song]).unwrap();
    direct.extend(pipeline.finish_epoch().unwrap());
    let direct: Vec<f32> = direct.iter().flat_map(|chunk| chunk.channels[0].iter().copied()).collect();
    assert_eq!(direct.len(), song.len());
    assert!(direct.iter().any(|sample| sample.abs() > 1e-4), "the stem is silent");

    let (mut client, opened) = Client::session(server.link, Mode::Reliable, budget_frames).await;
    assert_eq!(opened.algorithmic_frames, promise.algorithmic_frames);
    let packets = song.chunks(opened.packet_frames as usize);
    let last = packets.len() - 1;
    for (n, packet) in packets.enumerate() {
        let first_frame = n as u64 * u64::from(opened.packet_frames);
        let header = PacketHeader::mix(0, client.sequence, first_frame, packet.len() as u32);
        client.sequence += 1;
        client.push_raw(&PacketHeader { end_of_epoch: n == last, ..header }, packet).await;
    }
    let chunks = client.stems_of(song.len() as u64).await;
    let over_the_link: Vec<f32> = chunks.iter().flat_map(|chunk| chunk.channels[0].iter().copied()).collect();
    assert!(over_the_link == direct, "the stems differ");
    assert!(chunks.iter().all(|chunk| chunk.header.server_micros >= chunk.header.inference_micros));

    // A budget no plan can hold is refused with one that works.
    let mut hurried = Client::connect(server.link, 16).await;
    let Some(ServerMessage::Refused(refusal)) = hurried.ask(request(Mode::Live, 480)).await else {
        panic!("10 ms were promised");
    };
    assert_eq!(refusal.code, RefusalCode::BudgetTooSmall);
    let smallest = refusal.smallest_budget_frames.unwrap();
    let (_client, opened) = Client::session(server.link, Mode::Live, smallest).await;
    assert_eq!(opened.latency_frames, smallest);
    server.end().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_offer_holds_exactly_if_a_session_of_that_budget_opens() {
    let (data, config) = borrowed();
    let mut server =
        TestServer::with(data, config.clone(), Arc::new(ModelEngine::new(&config).unwrap())).await;
    assert_eq!(within(server.events.recv()).await, Some(Event::Ready));
    let wanted: Vec<u32> = [10, 50, 93, 132, 180, 250, 500, 1_000, 2_500].map(|millis| millis * 48).to_vec();
    let ask = async |budget_frames: u32| {
        let mut client = Client::connect(server.link, 16).await;
        let request = OpenRequest {
            wanted_offers_frames: wanted.clone(),
            // As a plugin asks: a host's block, and an allowance for a LAN.
            block_frames: 512,
            link_micros: 10_000,
            ..request(Mode::Live, budget_frames)
        };
        client.ask(request).await
    };
    let Some(ServerMessage::Refused(refusal)) = ask(480).await else { panic!("10 ms were promised") };
    let offers = refusal.offers;
    assert_eq!(offers.iter().map(|offer| offer.budget_frames).collect::<Vec<_>>(), wanted);
    let mut opened_any = false;
    for offer in &offers {
        println!("{offer:?}");
        assert!(offer.holds || offer.quality_db.is_none());
        match ask(offer.budget_frames).await {
            Some(ServerMessage::Opened(opened)) => {
                assert!(offer.holds, "{offer:?}");
                assert_eq!(opened.offers, offers, "the same answer to the same question");
                // The words are those of the plan that a session gets.
                let millis = |frames: u32| (f64::from(frames) / 48.0).round();
                let (hop, ahead) = (millis(opened.hop_frames), millis(opened.look_ahead_frames));
                let words = format!("hop {hop} ms, look-ahead {ahead} ms");
                assert!(offer.words.starts_with(&words), "{offer:?}: {words}");
                opened_any = true;
            }
            Some(ServerMessage::Refused(refusal)) => {
                assert!(!offer.holds, "{offer:?}");
                assert_eq!(refusal.code, RefusalCode::BudgetTooSmall);
            }
            other => panic!("{other:?}"),
        }
    }
    assert!(opened_any, "a device that cannot run Spleeter live at all");
    server.end().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_model_that_is_not_installed_is_told_with_the_way_to_get_it() {
    let data = tempfile::tempdir().unwrap();
    let config = config(data.path(), &[]);
    let engine = Arc::new(ModelEngine::new(&config).unwrap());
    let told = TestServer::with(data, config, engine).await.ends().await.unwrap_err().to_string();
    assert!(told.starts_with("cannot load the model spleeter-2stems: "), "{told}");
    assert!(told.contains("models pull"), "{told}");
}
