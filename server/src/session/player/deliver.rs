//! What a session does with what became of its turns: chunks go out, dropped hops are heard without an inference.
//! Must not read from the client.

use rehearsekit_protocol::{MAX_PACKET_FRAMES, PacketHeader, PacketKind, encode_packet};
use tokio::{sync::oneshot, time::Instant};

use super::{Player, micros};
use crate::{
    admission::Seat,
    session::{
        End,
        job::{Made, Outcome, Turn},
    },
    workers::NotRun,
};

impl Player {
    pub(super) fn take_outcome(&mut self, outcome: Outcome, start: Instant) -> Result<(), End> {
        match outcome {
            Outcome::Done(Ok(turn)) => {
                if std::mem::take(&mut self.paused) {
                    tracing::info!("goes on: the device is quick enough again");
                }
                self.take_turn(turn, start)
            }
            Outcome::Skipped(Ok(turn)) => self.take_turn(turn, start),
            Outcome::Done(Err(error)) | Outcome::Skipped(Err(error)) => {
                Err(End::Internal(format!("the separation failed: {error}")))
            }
            Outcome::Panicked(message) => {
                self.shared.metrics.panics.add(1);
                tracing::error!("an inference panicked: {message}; this session ends, the others go on");
                Err(End::Internal(format!("an inference panicked: {message}")))
            }
            Outcome::NotRun(work, why) => {
                self.health.dropped_hops.add(1);
                match why {
                    NotRun::Late => self.falls_behind("a hop would have come too late and was dropped"),
                    NotRun::Paused if !self.paused => {
                        self.paused = true;
                        tracing::warn!(
                            "paused: the device is too slow for all sessions at present, and this is one of the newest"
                        );
                    }
                    NotRun::Paused => {}
                }
                // Heard without an inference, for the sake of what follows; it takes some transforms.
                let (reply, outcome) = oneshot::channel();
                tokio::task::spawn_blocking(move || reply.send(Outcome::Skipped(work.skip())).is_ok());
                self.job = Some(outcome);
                Ok(())
            }
        }
    }

    fn take_turn(&mut self, turn: Turn, start: Instant) -> Result<(), End> {
        self.pipeline = Some(turn.pipeline);
        self.until_work = turn.until_work;
        (self.epoch, self.needed) = (turn.epoch, turn.needed);
        self.rest = turn.rest;
        self.shared.metrics.epochs.add(turn.started);
        turn.made.iter().try_for_each(|made| self.send(made, turn.lane_free, start))
    }

    fn send(
        &mut self,
        made: &Made,
        lane_free: Option<std::time::Instant>,
        start: Instant,
    ) -> Result<(), End> {
        let chunk = &made.chunk;
        self.count_hop(made, lane_free, start);
        let frames = chunk.channels.first().map_or(0, Vec::len);
        let most = MAX_PACKET_FRAMES as usize;
        for from in (0..frames).step_by(most) {
            let count = (frames - from).min(most);
            let first_frame = chunk.first_frame.saturating_add(from as u64);
            let due = start + self.playhead.due(first_frame.saturating_add(count as u64));
            if matches!(self.seat, Seat::Live(_)) && due <= Instant::now() {
                self.give_up();
                continue;
            }
            let header = PacketHeader {
                kind: PacketKind::Stems,
                end_of_epoch: made.end_of_epoch && from + count == frames,
                channels: u8::try_from(chunk.channels.len()).unwrap_or(u8::MAX),
                epoch: made.epoch,
                sequence: self.outbox.next_sequence(),
                frames: count as u32,
                first_frame,
                inference_micros: micros(chunk.inference),
                server_micros: micros(start.elapsed().saturating_sub(made.needed.ready)),
                needed_through: made.needed.through,
            };
            let parts: Vec<&[f32]> =
                chunk.channels.iter().map(|channel| &channel[from..from + count]).collect();
            let mut bytes = Vec::new();
            encode_packet(&header, &parts, &mut bytes).map_err(|error| {
                End::Internal(format!("the separation gave what cannot be sent: {error}"))
            })?;
            self.outbox.send(bytes, due);
        }
        Ok(())
    }

    fn count_hop(&self, made: &Made, lane_free: Option<std::time::Instant>, start: Instant) {
        let metrics = &self.shared.metrics;
        metrics.hops.add(1);
        let inference = made.chunk.inference;
        metrics.inference.observe(inference);
        if let (Seat::Live(_), Some(free)) = (&self.seat, lane_free) {
            let ready = start + made.needed.ready;
            let queueing = Instant::from_std(free).saturating_duration_since(ready);
            metrics.queueing.observe(queueing);
            metrics.overhead.observe(ready.elapsed().saturating_sub(inference + queueing));
        }
    }
}
