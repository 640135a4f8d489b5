//! Upstream: one unidirectional stream per packet, reset when its deadline has passed.
//!
//! Streams are opened in the packets' order and written side by side, so that a lost datagram holds up one
//! packet only. Without deadlines (reliable mode) nothing is ever given up: the server's flow control sets the
//! pace. This module must not know what is in the packets.

use std::sync::Arc;

use quinn::{Connection, SendStream, VarInt};
use tokio::{
    sync::mpsc,
    task::JoinSet,
    time::{Instant, timeout_at},
};

use crate::stats::{Counters, add};

/// Tells the server that a stream was given up for its age.
const TOO_OLD: VarInt = VarInt::from_u32(1);
/// No deadline: as good as never, and far from the end of the clock.
const NEVER: std::time::Duration = std::time::Duration::from_secs(365 * 24 * 3_600);

/// An encoded packet and the moment from which nobody wants it.
#[derive(Debug)]
pub(crate) struct Outgoing {
    pub(crate) bytes: Vec<u8>,
    pub(crate) deadline: Option<Instant>,
}

impl Outgoing {
    fn deadline(&self) -> Instant {
        self.deadline.unwrap_or_else(|| Instant::now() + NEVER)
    }
}

/// Sends until the queue's other end or the connection is gone.
pub(crate) async fn send_packets(
    connection: Connection,
    mut packets: mpsc::Receiver<Outgoing>,
    counters: Arc<Counters>,
) {
    // Dropped with this task: nothing outlives the connection's task.
    let mut deliveries = JoinSet::new();
    while let Some(packet) = packets.recv().await {
        while deliveries.try_join_next().is_some() {}
        match timeout_at(packet.deadline(), connection.open_uni()).await {
            Ok(Ok(stream)) => {
                add(&counters.sent_packets, 1);
                deliveries.spawn(deliver(stream, packet, Arc::clone(&counters)));
            }
            // The connection's end is seen, and told, where its state is kept.
            Ok(Err(_)) => return,
            Err(_) => add(&counters.dropped_packets, 1),
        }
    }
    while deliveries.join_next().await.is_some() {}
}

async fn deliver(mut stream: SendStream, packet: Outgoing, counters: Arc<Counters>) {
    let delivery = async {
        if stream.write_all(&packet.bytes).await.is_ok() && stream.finish().is_ok() {
            // Acknowledged, or refused by the server: either way nothing is left to do.
            let _ = stream.stopped().await;
        }
    };
    if timeout_at(packet.deadline(), delivery).await.is_err() {
        // Fails only if the last acknowledgement has just come.
        if stream.reset(TOO_OLD).is_ok() {
            add(&counters.dropped_packets, 1);
        }
    }
}
