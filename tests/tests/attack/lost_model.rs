//! A model's files disappear under a running server with the real engine: who plays, plays on, and newcomers get what is
//! in memory, or a sentence that says which file is gone and how it comes back.
//!
//! Needs `REHEARSEKIT_DATA` with spleeter-2stems, which `cargo xtask test` prepares.

use std::{path::Path, sync::Arc, time::Duration};

use rehearsekit_protocol::{Mode, OpenRequest, ServerMessage};
use rehearsekit_server::engine::ModelEngine;
use rehearsekit_tests::house::{House, any_port, installed_models};

use crate::{
    common::{Client, request},
    stage::{Band, attackers},
};

/// Budgets whose plans differ from each other, from the players' and from the one that is warm.
const BUDGETS_MILLIS: [u32; 3] = [140, 500, 1_000];

async fn asks(house: &House, model: &str, budget_millis: u32) -> Option<ServerMessage> {
    let mut client = Client::connect(house.address, 16).await;
    let asked = OpenRequest { model: model.to_owned(), ..request(Mode::Live, budget_millis * 48) };
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
        // Its models folder is its own, so that they can be taken out of it.
        let installed = std::fs::canonicalize(&models).unwrap();
        std::fs::remove_file(&models).unwrap();
        std::fs::create_dir(&models).unwrap();
        let names: Vec<&str> = ["spleeter-2stems", "htdemucs"]
            .into_iter()
            .filter(|name| installed.join(name).join("installed.toml").exists())
            .collect();
        for name in &names {
            std::os::unix::fs::symlink(installed.join(name), models.join(name)).unwrap();
        }
        let house = House::open(data, any_port(), &names, |config| Arc::new(ModelEngine::new(config)));
        let band = Band::playing(house.address, 3, "spleeter-2stems").await;
        let missed = band.missed();

        for name in &names {
            std::fs::remove_file(models.join(name)).unwrap();
            assert!(!Path::new(&models.join(name)).exists());
        }
        for budget in BUDGETS_MILLIS {
            match asks(&house, "spleeter-2stems", budget).await {
                Some(ServerMessage::Opened(_)) => {}
                // A busy machine has measured a slow device.
                Some(ServerMessage::Refused(refusal)) => {
                    assert!(!refusal.message.contains("could not start"), "{refusal:?}");
                }
                other => panic!("{other:?}"),
            }
        }
        if names.contains(&"htdemucs") {
            // Its networks are files of their own, of which the usual budget's is in memory.
            let mut told = Vec::new();
            for budget in [1_000, 2_000, 3_000, 4_000, 6_000] {
                if let Some(ServerMessage::Refused(refusal)) = asks(&house, "htdemucs", budget).await {
                    told.push(refusal.message);
                }
            }
            eprintln!("  {told:#?}");
            let gone: Vec<_> = told.iter().filter(|told| told.contains("could not start the model")).collect();
            assert!(gone.iter().all(|told| told.contains(".onnx") && told.contains("models pull htdemucs")));
        } else {
            eprintln!("  htdemucs is not installed, so no network of it can be missed");
        }
        tokio::time::sleep(Duration::from_secs(4)).await;
        assert_eq!(band.missed(), missed, "a player missed something");
        assert!(matches!(asks(&house, "spleeter-2stems", 2_500).await, Some(ServerMessage::Opened(_))));
    });
}
