//! What is counted up is counted down, however a connection ends: gauges, places and what an address may have. There is
//! one place for a session here, so that each ending that kept it would lock out the next.

mod common;

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering::Relaxed},
};

use common::{Client, HalfEngine, PACKET, TestServer, config, request, within};
use rehearsekit_protocol::{ClientMessage, CloseReason, Mode, PacketHeader, ServerMessage};
use rehearsekit_server::{
    Event,
    engine::{Chunk, Engine, EngineError, OpenRefusal, OpenSpec, Pipeline, Way},
};

const INTERNAL: u64 = 5;

/// An engine whose pipelines panic in the session's own task, where nothing catches it, while it is told to.
#[derive(Default)]
struct Trap {
    half: HalfEngine,
    is_set: Arc<AtomicBool>,
}

struct Panics;

impl Pipeline for Panics {
    fn start_epoch(&mut self, _: u64) {}

    fn push(&mut self, _: [&[f32]; 2]) -> Result<Vec<Chunk>, EngineError> {
        Ok(Vec::new())
    }

    fn skip(&mut self, _: [&[f32]; 2]) -> Result<(), EngineError> {
        Ok(())
    }

    fn finish_epoch(&mut self) -> Result<Vec<Chunk>, EngineError> {
        Ok(Vec::new())
    }

    fn frames_until_work(&self) -> usize {
        panic!("told to panic in the session's task")
    }
}

impl Engine for Trap {
    fn warm(&self, model: &str) -> Result<(), EngineError> {
        self.half.warm(model)
    }

    fn ways(&self, spec: &OpenSpec) -> Result<Vec<Way>, OpenRefusal> {
        let mut ways = self.half.ways(spec)?;
        if self.is_set.load(Relaxed) {
            ways.iter_mut().for_each(|way| way.open = Box::new(|| Ok(Box::new(Panics))));
        }
        Ok(ways)
    }
}

async fn open(server: &TestServer) -> Client {
    let (mut client, _) = Client::session(server.link, Mode::Live, 48_000).await;
    client.push(0, 0, PACKET, false).await;
    client
}

/// Waits until nobody is there any more, by all books: a gauge that is not taken back never gets there.
async fn all_gone(server: &TestServer, how: &str) {
    let gone = async {
        while server.metric("connections").await > 0.0 || server.metric("sessions").await > 0.0 {
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
    };
    let waited = tokio::time::timeout(std::time::Duration::from_secs(20), gone).await;
    let left = (server.metric("connections").await, server.metric("sessions").await);
    assert!(waited.is_ok(), "{how}: {left:?} connections and sessions are left in the books");
    // More than one address may have without a session.
    for _ in 0..2 {
        let client = open(server).await;
        client.say(&ClientMessage::Close { reason: CloseReason::ClientDone }).await;
        within(client.connection.closed()).await;
        let over = async {
            while server.metric("sessions").await > 0.0 {
                tokio::time::sleep(std::time::Duration::from_millis(5)).await;
            }
        };
        within(over).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_ending_gives_back_what_was_counted() {
    let data = tempfile::tempdir().unwrap();
    let config = config(data.path(), &[("max_sessions", "1")]);
    let trap = Trap::default();
    let is_set = trap.is_set.clone();
    let mut server = TestServer::with(data, config, Arc::new(trap)).await;
    assert_eq!(within(server.events.recv()).await, Some(Event::Ready));

    let client = open(&server).await;
    client.say(&ClientMessage::Close { reason: CloseReason::ClientDone }).await;
    within(client.connection.closed()).await;
    all_gone(&server, "a goodbye").await;

    let client = open(&server).await;
    client.connection.close(9u8.into(), b"");
    all_gone(&server, "a connection that is closed without a goodbye").await;

    // Neither closed nor heard of any more: its endpoint stays, but answers nothing.
    let client = open(&server).await;
    client.send.lock().await.reset(0u8.into()).unwrap();
    all_gone(&server, "a control stream that is reset").await;
    drop(client);

    let client = open(&server).await;
    client.push_bytes(&[7; 300]).await;
    within(client.connection.closed()).await;
    all_gone(&server, "nonsense").await;

    let mut client = open(&server).await;
    client.push(0, 10, PACKET, false).await;
    within(client.connection.closed()).await;
    all_gone(&server, "positions that go back").await;

    let mut client = Client::connect(server.link, 16).await;
    assert!(matches!(client.ask(request(Mode::Live, 48_000)).await, Some(ServerMessage::Opened(_))));
    within(client.connection.closed()).await;
    all_gone(&server, "silence").await;

    let mut client = Client::connect(server.link, 16).await;
    assert!(matches!(client.ask(request(Mode::Live, 1)).await, Some(ServerMessage::Refused(_))));
    drop(client);
    all_gone(&server, "a refusal").await;

    let client = Client::connect(server.link, 16).await;
    client.connection.close(0u8.into(), b"");
    all_gone(&server, "a handshake and nothing more").await;

    let client = open(&server).await;
    let panicking = PacketHeader::mix(0, client.sequence, u64::from(PACKET), PACKET);
    client.push_raw(&panicking, &[common::PANIC; PACKET as usize]).await;
    assert_eq!(client.closed().await.0, INTERNAL);
    all_gone(&server, "a panic on a lane").await;

    is_set.store(true, Relaxed);
    let mut client = Client::connect(server.link, 16).await;
    client.ask(request(Mode::Live, 48_000)).await;
    client.beat();
    let (code, told) = client.closed().await;
    is_set.store(false, Relaxed);
    all_gone(&server, "a panic of the session's own task").await;
    assert_eq!((code, told.as_str()), (INTERNAL, "the server failed inside; its log says why"));
    assert_eq!(server.metric("closed_total{reason=\"panicked\"}").await, 1.0);

    let client = open(&server).await;
    server.shut_down();
    within(client.connection.closed()).await;
    server.end().await.unwrap();
}
