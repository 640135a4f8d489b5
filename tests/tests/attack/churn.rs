//! A long evening of coming and going: it leaves no descriptors, no more threads than were once needed together, and its
//! second half costs no memory.

use std::time::Duration;

use rehearsekit_protocol::Mode;
use tokio::task::JoinSet;

use crate::{
    common::{Client, PACKET, endpoint},
    stage::{Holds, Stage, attackers},
};

const ROUNDS: usize = 50;
/// Each round's, half of which open a session; with the players they stay below the 16 that a server takes.
const AT_ONCE: usize = 20;
/// Half of what 250 sessions would leave, were it 20 KB each.
const GROWN_BYTES: u64 = 250 * 20_000 / 2;

async fn comes_and_goes(stage: &Stage, session: bool) -> impl Future<Output = ()> + Send + 'static {
    let link = stage.link;
    async move {
        if session {
            let (mut client, _) = Client::session(link, Mode::Live, 48_000).await;
            for n in 0..4 {
                client.push(0, n * u64::from(PACKET), PACKET, false).await;
            }
            client.stems().await;
            client.connection.close(0u8.into(), b"");
            client.endpoint.wait_idle().await;
        } else {
            let endpoint = endpoint(16);
            let connection = endpoint.connect(link, "rehearsekit").unwrap().await.unwrap();
            connection.close(0u8.into(), b"");
            endpoint.wait_idle().await;
        }
    }
}

/// So many rounds; what the server holds once all of them are gone.
async fn rounds(stage: &Stage, count: usize, before: &Holds) -> Holds {
    for _ in 0..count {
        let mut all = JoinSet::new();
        for n in 0..AT_ONCE {
            all.spawn(comes_and_goes(stage, n % 2 == 0).await);
        }
        while let Some(ended) = all.join_next().await {
            ended.unwrap();
        }
        while stage.metric("connections").await > before.connections {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
    stage.holds().await
}

#[test]
fn a_thousand_come_and_go_and_nothing_of_them_stays() {
    attackers().block_on(async {
        let stage = Stage::set().await;
        let before = stage.holds().await;
        // Buffers that begin with the first of them.
        rounds(&stage, 5, &before).await;
        let evening = async {
            let half = rounds(&stage, ROUNDS / 2, &before).await;
            let whole = rounds(&stage, ROUNDS / 2, &before).await;
            eprintln!("  {before:?}\n  {half:?}\n  {whole:?}");
            // Of the threads that open sessions, as many wait for the next one as were once needed together.
            assert!(whole.threads <= before.threads + AT_ONCE as u64, "{before:?} became {whole:?}");

            // The one that asks for the metrics may still be there.
            assert!(whole.descriptors <= before.descriptors + 1, "{before:?} became {whole:?}");
            assert!(
                whole.resident_bytes <= half.resident_bytes + GROWN_BYTES,
                "{half:?} became {whole:?}, of 500 more"
            );
        };
        stage.under("1,000 that come and go", evening).await;
    });
}
