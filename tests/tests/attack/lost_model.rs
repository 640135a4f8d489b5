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
    stage::{Band, attackers},
};

/// Budgets whose plans differ from each other, from the players' and from the one that is warm.
const BUDGETS_MILLIS: [u32; 3] = [140, 500, 1_000];

/// What tells why, if somebody missed something.
const DEVICE: [&str; 4] = ["dropped", "paused", "slowness", "promised"];

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
        let open = |config: &Config| -> Arc<dyn Engine> { Arc::new(ModelEngine::new(config)) };
        let house = House::open(data, any_port(), &["spleeter-2stems"], open);
        let band = Band::playing(house.address, 3, "spleeter-2stems").await;
        let missed = band.missed();

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
        let (_, metrics) = get(house.http, "/metrics", "localhost", "").await;
        let told: Vec<_> =
            metrics.lines().filter(|line| DEVICE.iter().any(|word| line.contains(word))).collect();
        assert_eq!(band.missed(), missed, "a player missed something: {told:#?}");
        assert!(matches!(asks(&house, 2_500).await, Some(ServerMessage::Opened(_))));
    });
}
