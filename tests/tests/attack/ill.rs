//! Clients that were let in and fall ill: stopped, deaf, mad, hurried, dead half-way, and one whose inference panics.
//! (Floods of packets and heartbeats are among the floods, garbage is nonsense.)

use std::{
    io::{BufRead as _, BufReader},
    process::{Child, ChildStdout, Command, Stdio},
    time::Duration,
};

use rehearsekit_protocol::{
    CloseReason, Mode, PROTOCOL_VERSIONS, PacketHeader, ServerMessage, encode_packet,
};
use rehearsekit_tests::house::{PANIC, Wire};
use rustix::process::{Pid, Signal, kill_process};

use crate::{
    common::{Client, PACKET, RATE_HZ, request},
    stage::{Stage, attackers},
};

const TOO_SLOW: u64 = 3;
const INTERNAL: u64 = 5;
/// A packet's duration: the pace of the music.
const PACE: Duration = Duration::from_millis(1_000 * PACKET as u64 / RATE_HZ as u64);

/// A player's process, which ends with this.
struct IllPlayer {
    process: Child,
    says: BufReader<ChildStdout>,
}

impl IllPlayer {
    fn at(stage: &Stage, more: &[&str]) -> Self {
        let mut process = Command::new(env!("CARGO_BIN_EXE_ill_player"))
            .arg(stage.link.to_string())
            .args(more)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let says = BufReader::new(process.stdout.take().unwrap());
        Self { process, says }
    }

    /// Waits until it is live, once more; what hangs is ended by whoever runs the tests.
    fn is_live(&mut self) {
        let mut line = String::new();
        tokio::task::block_in_place(|| self.says.read_line(&mut line)).unwrap();
        assert_eq!(line, "live\n");
    }

    fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(i32::try_from(self.process.id()).unwrap()).unwrap();
        kill_process(pid, signal).unwrap();
    }
}

impl Drop for IllPlayer {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

async fn reaches(stage: &Stage, metric: &str, least: f64) {
    while stage.metric(metric).await < least {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[test]
fn stopped_and_hurried_players_cost_the_others_nothing() {
    attackers().block_on(async {
        let stage = Stage::set().await;
        let stopped = async {
            let mut ill = IllPlayer::at(&stage, &[]);
            ill.is_live();
            ill.signal(Signal::STOP);
            reaches(&stage, "closed_total{reason=\"silent\"}", 1.0).await;
            ill.signal(Signal::CONT);
            ill.is_live();
        };
        stage.under("a player's process that is stopped", stopped).await;

        let stopped = async {
            let mut ill: Vec<_> = (0..4).map(|_| IllPlayer::at(&stage, &[])).collect();
            ill.iter_mut().for_each(IllPlayer::is_live);
            ill.iter().for_each(|ill| ill.signal(Signal::STOP));
            tokio::time::sleep(Duration::from_secs(1)).await;
        };
        stage.under("four that are stopped, and killed a second later", stopped).await;

        let starts = stage.metric("epochs_total").await;
        let hurried = async {
            let mut ill = IllPlayer::at(&stage, &["seeks"]);
            ill.is_live();
            tokio::time::sleep(Duration::from_secs(10)).await;
        };
        stage.under("a player that seeks 50 times a second", hurried).await;
        let starts = stage.metric("epochs_total").await - starts;
        assert!(starts > 250.0, "{starts} epochs in ten seconds");
    });
}

#[test]
fn ill_clients_inside_of_sessions_cost_the_others_nothing() {
    attackers().block_on(async {
        let stage = Stage::set().await;

        let deaf = async {
            // It lets the server open no stream at all.
            let mut client = Client::connect(stage.link, 0).await;
            let opened = client.ask(request(Mode::Live, 9_600)).await;
            assert!(matches!(opened, Some(ServerMessage::Opened(_))), "{opened:?}");
            client.beat();
            let mut position = 0;
            while client.connection.close_reason().is_none() {
                client.push(0, position, PACKET, false).await;
                position += u64::from(PACKET);
                tokio::time::sleep(PACE).await;
            }
            assert_eq!(client.closed().await.0, TOO_SLOW);
        };
        stage.under("a client that never reads", deaf).await;

        let unusable = stage.metric("unusable_samples_total").await;
        let mad = async {
            let (client, _) = Client::session(stage.link, Mode::Live, 48_000).await;
            for n in 0..200u32 {
                let value = [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, -f32::NAN, 3e38][n as usize % 5];
                // By hand: our own clients write no such thing.
                let header = PacketHeader::mix(0, n, u64::from(n * PACKET), PACKET);
                let mut bytes = Vec::new();
                let silence = [0.0f32; PACKET as usize];
                encode_packet(&header, &[silence; 2], &mut bytes).unwrap();
                bytes.truncate(PacketHeader::BYTES);
                bytes.extend(value.to_le_bytes().repeat(2 * PACKET as usize));
                client.push_bytes(&bytes).await;
                tokio::time::sleep(PACE).await;
            }
            // It costs its player some silence, not the session.
            let stems = client.stems_of(100 * u64::from(PACKET)).await;
            assert!(
                stems.iter().flat_map(|chunk| chunk.channels.iter().flatten()).all(|&sample| sample == 0.0)
            );
            client.connection.close(0u8.into(), b"");
        };
        stage.under("audio of NaN and infinities", mad).await;
        assert_eq!(stage.metric("unusable_samples_total").await - unusable, f64::from(2 * 200 * PACKET));

        let hurried = async {
            let (mut client, _) = Client::session(stage.link, Mode::Live, 48_000).await;
            let stems = client.connection.clone();
            let heard = tokio::spawn(async move {
                let mut heard = 0;
                while let Ok(mut stream) = stems.accept_uni().await {
                    heard += usize::from(stream.read_to_end(1 << 22).await.is_ok());
                }
                heard
            });
            // 50 epochs a second, none of them ended, from positions that jump by up to three hours.
            for n in 0..500u32 {
                let from = u64::from(n) * 1_000_000_007 + u64::from(n % 7) * 77_777_777;
                for packet in 0..2 {
                    client.push(n, from + packet * u64::from(PACKET), PACKET, false).await;
                    tokio::time::sleep(PACE).await;
                }
            }
            assert!(client.connection.close_reason().is_none(), "{:?}", client.connection.close_reason());
            client.connection.close(0u8.into(), b"");
            assert!(heard.await.unwrap() > 250, "an epoch's stems come however short it is");
        };
        stage.under("positions that jump 50 times a second", hurried).await;

        let panics = async {
            for _ in 0..3 {
                let (mut client, _) = Client::session(stage.link, Mode::Live, 48_000).await;
                for n in 0..2 {
                    let header = PacketHeader::mix(0, n, u64::from(n * PACKET), PACKET);
                    client.push_raw(&header, &[PANIC; PACKET as usize]).await;
                }
                let said = client.news().await;
                assert_eq!(said, Some(ServerMessage::Closing { reason: CloseReason::Internal }));
                let told = client.closed().await;
                assert_eq!(told, (INTERNAL, "an inference panicked: told to panic".to_owned()));
            }
        };
        stage.under("three sessions whose inference panics", panics).await;
        assert_eq!(stage.metric("panics_total").await, 3.0);
    });
}

/// How far a client gets before it is gone.
#[derive(Clone, Copy)]
enum Gone {
    Connected,
    StreamWithAWord,
    AfterHello,
    AfterOpen,
    WhilePlaying,
}

/// The endpoint is dropped with the client: with a goodbye, where the wire still carries it.
async fn goes(at: std::net::SocketAddr, gone: Gone) -> Client {
    let mut client = Client::connect(at, 16).await;
    match gone {
        Gone::Connected => {}
        Gone::StreamWithAWord => client.send.lock().await.write_all(&[60, 0, 1]).await.unwrap(),
        Gone::AfterHello => drop(client.hello(PROTOCOL_VERSIONS).await.unwrap()),
        Gone::AfterOpen | Gone::WhilePlaying => {
            let opened = client.ask(request(Mode::Live, 48_000)).await;
            assert!(matches!(opened, Some(ServerMessage::Opened(_))), "{opened:?}");
        }
    }
    if matches!(gone, Gone::WhilePlaying) {
        for n in 0..4 {
            client.push(0, n * u64::from(PACKET), PACKET, false).await;
        }
        client.stems().await;
    }
    client
}

#[test]
fn who_dies_half_way_costs_the_others_nothing() {
    attackers().block_on(async {
        let stage = Stage::set().await;
        let all =
            [Gone::Connected, Gone::StreamWithAWord, Gone::AfterHello, Gone::AfterOpen, Gone::WhilePlaying];
        let polite = async {
            for gone in all.repeat(8) {
                drop(goes(stage.link, gone).await);
            }
        };
        stage.under("40 that leave at any moment", polite).await;

        let cable = async {
            let wire = Wire::to(stage.link);
            let mut clients = Vec::new();
            for gone in all.repeat(2) {
                clients.push(goes(wire.address, gone).await);
            }
            wire.cut(true);
            // They hear nothing, and nothing of theirs is heard, any more.
            drop(clients);
        };
        stage.under("ten whose cable is pulled at any moment", cable).await;
        assert_eq!(stage.metric("panics_total").await, 0.0);
    });
}
