//! 500 half-open connections on each port: clients that begin and vanish.

use std::{collections::HashSet, net::UdpSocket, time::Duration};

use rehearsekit_protocol::ALPN;

use crate::{
    common::{client_tls, endpoint_at, get},
    slow::tcp_from,
    stage::{Stage, attackers, far},
};

const MANY: usize = 500;

/// First datagrams of `MANY` connections, as a real client writes them; none of them is ever gone on with.
async fn initials() -> Vec<Vec<u8>> {
    let recorder = tokio::net::UdpSocket::bind((far(9), 0)).await.unwrap();
    let address = recorder.local_addr().unwrap();
    let endpoint = endpoint_at(far(9), 0, client_tls(ALPN));
    let (mut seen, mut all) = (HashSet::new(), Vec::new());
    let mut datagram = [0; 2_048];
    while all.len() < MANY {
        let connecting = endpoint.connect(address, "rehearsekit").unwrap();
        loop {
            let (length, _) = recorder.recv_from(&mut datagram).await.unwrap();
            // The connection's id, which the client has made up: the same in what it repeats.
            let id = datagram[6..6 + usize::from(datagram[5])].to_vec();
            if length >= 1_200 && seen.insert(id) {
                all.push(datagram[..length].to_vec());
                break;
            }
        }
        drop(connecting);
    }
    all
}

#[test]
fn five_hundred_half_open_connections_take_no_place() {
    attackers().block_on(async {
        let stage = Stage::set().await;
        let initials = initials().await;
        let attack = async {
            let mut sockets = Vec::new();
            for initial in &initials {
                let socket = UdpSocket::bind((far(2), 0)).unwrap();
                socket.send_to(initial, stage.link).unwrap();
                sockets.push(socket);
            }
            let mut silent = Vec::new();
            for n in 0..MANY {
                silent.push(tcp_from(3 + (n % 3) as u8, stage.http).await);
            }
            stage.admits().await;
            assert_eq!(get(stage.http, "/healthz", "localhost", "").await.0, 200);
            // They stay as long as a handshake may take, and ask again as one does that has heard nothing.
            for _ in 0..3 {
                tokio::time::sleep(Duration::from_millis(500)).await;
                for (socket, initial) in sockets.iter().zip(&initials) {
                    let _ = socket.send_to(initial, stage.link);
                }
            }
            stage.admits().await;
            drop(silent);
        };
        stage.under("500 half-open connections on each port", attack).await;
        let unproven = stage.metric("connections_unproven_total").await;
        assert!(unproven >= (MANY - 24) as f64, "only {unproven} were asked to prove their address");
        assert_eq!(stage.refused("http_full").await, (MANY - 3 * 64) as f64);
    });
}
