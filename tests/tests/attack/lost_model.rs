//! A model's files disappear under a running server with the real engine: who plays, plays on, and newcomers
//! are let in, since its weights are in memory. (Who needs a file that is gone gets its name; see `models/tests`.)
//!
//! Needs `REHEARSEKIT_DATA` with spleeter-2stems, which `cargo xtask test` prepares.

use std::{sync::Arc, time::Duration};

use rehearsekit_protocol::{Mode, ServerMessage};
use rehearsekit_server::{
    config::Config,
    engine::{Engine, ModelEngine},
};
use rehearsekit_tests::house::{House, any_port, installed_models};

use crate::{
    common::{Client, get, request},
    stage::{Band, Missed, attackers},
};

/// Budgets whose plans differ from each other, from the players' and from the one that is warm.
const BUDGETS_MILLIS: [u32; 3] = [140, 500, 1_000];

async fn metric(house: &House, name: &str) -> f64 {
    let (_, body) = get(house.http, "/metrics", "localhost", "").await;
    let line = body.lines().find_map(|line| line.strip_prefix(&format!("rehearsekit_{name} ")));
    line.unwrap().parse().unwrap()
}

async fn asks(house: &House, budget_millis: u32) -> Option<ServerMessage> {
    let mut client = Client::connect(house.address, 16).await;
    let asked = request(Mode::Live, budget_millis * 48);
    let answer = client.ask(asked).await;
    client.connection.close(0u8.into(), b"");
    client.endpoint.wait_idle().await;
    answer
}

#[test]
fn a_model_that_disappears_costs_the_players_nothing() {
    attackers().block_on(async {
        let parent = tempfile::tempdir().unwrap();
        let data = installed_models(parent.path());
        let models = data.path().join("models");
        let model = models.join("spleeter-2stems");
        // Its models folder is its own, so that the model can be taken out of it.
        let installed = std::fs::canonicalize(&model).unwrap();
        std::fs::remove_file(&models).unwrap();
        std::fs::create_dir(&models).unwrap();
        std::os::unix::fs::symlink(installed, &model).unwrap();
        let open = |config: &Config| -> Arc<dyn Engine> { Arc::new(ModelEngine::new(config).unwrap()) };
        let house = House::open(data, any_port(), &["spleeter-2stems"], open);
        let band = Band::playing(house.address, 3, "spleeter-2stems").await;
        let (missed, dropped) = (band.missed(), metric(&house, "dropped_hops_total").await);

        std::fs::remove_file(&model).unwrap();
        assert!(!model.exists());
        for budget in BUDGETS_MILLIS {
            match asks(&house, budget).await {
                Some(ServerMessage::Opened(_)) => {}
                // A busy machine has measured a slow device.
                Some(ServerMessage::Refused(refusal)) => {
                    assert!(!refusal.message.contains("could not start"), "{refusal:?}");
                }
                other => panic!("{other:?}"),
            }
        }
        tokio::time::sleep(Duration::from_secs(4)).await;
        let now = band.missed();
        match metric(&house, "dropped_hops_total").await - dropped {
            0.0 => assert_eq!(now, missed, "a player missed something"),
            // Here players need the device's own speed: whoever takes it away costs the newest their stems, not more.
            more => eprintln!("  the device is too slow at present: {more} hops were dropped"),
        }
        let reconnects = |all: &[Missed]| all.iter().map(|missed| missed.reconnects).collect::<Vec<_>>();
        assert_eq!(reconnects(&now), reconnects(&missed), "a session has ended");
        assert_eq!(metric(&house, "panics_total").await, 0.0);
        assert!(matches!(asks(&house, 2_500).await, Some(ServerMessage::Opened(_))));
    });
}
