//! An open session at work: packets in, jobs to the workers, chunks out, all in one task. Must not block and
//! must not touch another session.

mod deliver;
mod playhead;

use std::{collections::VecDeque, convert::Infallible, sync::Arc, time::Duration};

use quinn::{Connection, RecvStream};
use rehearsekit_protocol::{Health, OpenRequest, Packet, ServerEvent, packet_bytes};
use tokio::{
    sync::{oneshot, watch},
    task::JoinSet,
    time::{Instant, timeout},
};

use super::{
    End,
    control::Control,
    intake::{Intake, IntakeCounts, IntakeLimits, Step},
    is_reliable,
    job::{Needed, Outcome, SessionTask, Work},
    outbox::{Outbox, Sent},
    samples::read_mix,
    sleep_until,
};
use crate::{
    admission::{Admitted, Seat},
    engine::Pipeline,
    metrics::sessions::SessionEntry,
    quic::Life,
    state::Shared,
};
pub(super) use playhead::Playhead;

/// Streams read at a time; as many as QUIC lets the client open.
const READERS: usize = 64;
/// A gap holds up the live audio behind it at least this long: QUIC repeats a lost datagram sooner.
const SHORTEST_GAP_WAIT: Duration = Duration::from_millis(30);
/// How long a reliable client may take over one packet.
const RELIABLE_READ: Duration = Duration::from_secs(20);
/// The session looks at itself at least this often.
const LOOK: Duration = Duration::from_millis(500);
/// Falling behind is told to the log once in so long: it comes many times a second.
const TELL_AGAIN: Duration = Duration::from_secs(10);

type ReadResult = Result<Option<(Packet, u64)>, End>;

pub(super) struct Player {
    connection: Connection,
    shared: Arc<Shared>,
    health: SessionEntry,
    rate_hz: u32,
    algorithmic_frames: u64,
    hop_frames: u64,
    seat: Seat,
    intake: Intake,
    /// What of the intake's counts is in the metrics already.
    counted: IntakeCounts,
    readers: JoinSet<ReadResult>,
    read_within: Duration,
    most_packet_bytes: usize,
    /// At home, unless a worker has it.
    pipeline: Option<Box<dyn Pipeline>>,
    job: Option<oneshot::Receiver<Outcome>>,
    /// What the last turn has left to do.
    rest: VecDeque<Step>,
    until_work: usize,
    /// Frames after a start before the pipeline does anything costly.
    from_start: usize,
    /// Its hops are not taken at present.
    paused: bool,
    /// When the log was told last that this session falls behind.
    told: Option<Instant>,
    epoch: u32,
    needed: Needed,
    outbox: Outbox,
    playhead: Playhead,
}

impl Player {
    pub(super) fn new(
        connection: Connection,
        shared: Arc<Shared>,
        request: &OpenRequest,
        admitted: Admitted,
        health: SessionEntry,
    ) -> Self {
        let Admitted { seat, pipeline, promise, need_frames } = admitted;
        let reliable = is_reliable(request);
        let seconds = |frames: u32| Duration::from_secs_f64(f64::from(frames) / f64::from(request.rate_hz));
        let budget = seconds(request.budget_frames);
        let link = Duration::from_micros(request.link_micros.into());
        // Who picked a large budget did so to lose nothing: a packet that was overtaken is waited for with half of what the
        // session does not need. The other half is for the way back and for those whose turn is earlier.
        let spare = seconds(request.budget_frames.saturating_sub(need_frames)) / 2;
        let limits = IntakeLimits {
            rate_hz: request.rate_hz,
            reliable,
            gap_wait: spare.max(link).max(SHORTEST_GAP_WAIT).min(budget / 2),
            // Below two packets a session would drop what it has just got.
            backlog_frames: u64::from(request.budget_frames.max(2 * promise.packet_frames)),
        };
        Self {
            outbox: Outbox::new(connection.clone(), reliable),
            connection,
            shared,
            health,
            rate_hz: request.rate_hz,
            algorithmic_frames: promise.algorithmic_frames.into(),
            hop_frames: promise.hop_frames.into(),
            seat,
            intake: Intake::new(limits),
            counted: IntakeCounts::default(),
            readers: JoinSet::new(),
            read_within: if reliable { RELIABLE_READ } else { budget.max(SHORTEST_GAP_WAIT) },
            most_packet_bytes: packet_bytes(2, promise.packet_frames),
            until_work: pipeline.frames_until_work(),
            from_start: pipeline.frames_until_work(),
            paused: false,
            told: None,
            pipeline: Some(pipeline),
            job: None,
            rest: VecDeque::new(),
            epoch: 0,
            needed: Needed::default(),
            playhead: Playhead::new(request.rate_hz, request.budget_frames),
        }
    }

    /// Plays until something ends it.
    pub(super) async fn play(
        &mut self,
        control: &mut Control,
        life: &mut watch::Receiver<Life>,
    ) -> Result<Infallible, End> {
        // Only while this task lives does the clock of the connection mean anything to the intake.
        let start = Instant::now() - control.now();
        loop {
            self.submit(start);
            let gap = self.intake.deadline().map(|at| start + at);
            let wake = [gap, control.next_tick()].into_iter().flatten().min();
            let wake = wake.map_or(Instant::now() + LOOK, |at| at.min(Instant::now() + LOOK));
            let may_read = self.readers.len() < READERS && !self.intake.is_full();
            tokio::select! {
                count = control.read() => {
                    for event in control.handle(count?).await? {
                        match event {
                            ServerEvent::Closed(reason) => return Err(End::Client(reason)),
                            ServerEvent::Health(health) => self.hear(health),
                            _ => {}
                        }
                    }
                }
                stream = self.connection.accept_uni(), if may_read => {
                    let stream = stream.map_err(|error| End::Gone(error.to_string()))?;
                    self.readers.spawn(read_packet(stream, self.most_packet_bytes, self.read_within));
                }
                Some(read) = self.readers.join_next() => {
                    let read = read.map_err(|error| End::Internal(error.to_string()))?;
                    if let Some((packet, unusable)) = read? {
                        self.take_packet(packet, unusable, start.elapsed())?;
                    }
                }
                outcome = finished(&mut self.job) => {
                    self.job = None;
                    let before = self.paused;
                    self.take_outcome(outcome, start)?;
                    if self.paused != before {
                        control.tell_paused(self.paused).await?;
                    }
                }
                sent = self.outbox.next() => {
                    match sent {
                        Sent::Delivered => self.health.chunks.add(1),
                        Sent::Late { .. } => self.give_up(),
                        Sent::Gone => {}
                    }
                    self.look_at_link();
                }
                () = sleep_until(Some(wake)) => {
                    control.tick().await?;
                    self.intake.tick(start.elapsed()).map_err(|error| End::Protocol(error.to_string()))?;
                    self.count_losses();
                }
                () = Life::over(life) => return Err(End::Shutdown),
                gone = self.connection.closed() => return Err(End::Gone(gone.to_string())),
            }
            if self.outbox.is_stalled() {
                return Err(End::TooSlow("the client does not take its stems".to_owned()));
            }
        }
    }

    fn give_up(&self) {
        self.shared.metrics.late_chunks.add(1);
        self.health.given_up_chunks.add(1);
    }

    /// What the client says of itself; believed as far as a display goes.
    fn hear(&self, health: Health) {
        self.health.underruns.set(health.underruns.into());
        self.health.late_chunks.set(health.late.into());
        self.health.lost_chunks.set(health.lost.into());
        let needed_seconds = f64::from(health.needed_frames) / f64::from(self.rate_hz);
        self.health.needed_micros.set((needed_seconds * 1e6) as u64);
    }

    fn look_at_link(&self) {
        let path = self.connection.stats().path;
        self.health.round_trip_micros.set(micros(path.rtt).into());
        self.health.datagrams.set(path.sent_packets);
        self.health.lost_datagrams.set(path.lost_packets);
    }

    /// Gives the pipeline to the lanes if there is work for it. `start` is when the connection's clock was zero.
    fn submit(&mut self, start: Instant) {
        if self.job.is_some() || self.outbox.is_full() {
            return;
        }
        if self.pipeline.is_some() && self.rest.is_empty() {
            self.rest = self.intake.take(self.until_work, self.from_start).into();
        }
        if self.rest.is_empty() {
            return;
        }
        let Some(pipeline) = self.pipeline.take() else { return };
        let steps = std::mem::take(&mut self.rest);
        let work = Work { pipeline, steps, epoch: self.epoch, needed: self.needed };
        let needs = work.needs();
        let (task, outcome) = SessionTask::new(work);
        self.job = Some(outcome);
        match &self.seat {
            Seat::Patient(cost) => self.shared.workers.submit_background(cost.clone(), task),
            Seat::Live(stream) => {
                // From then on less than half of the hop would be of use.
                let first = needs.through.saturating_add(1).saturating_sub(self.algorithmic_frames);
                let due = self.playhead.due(first.saturating_add(self.hop_frames / 2));
                stream.submit((start + needs.ready).into_std(), (start + due).into_std(), task);
            }
        }
    }

    fn take_packet(&mut self, packet: Packet, unusable: u64, now: Duration) -> Result<(), End> {
        self.shared.metrics.unusable_samples.add(unusable);
        self.playhead.heard(packet.header.end(), now);
        self.intake.accept(packet, now).map_err(|error| End::Protocol(error.to_string()))?;
        self.count_losses();
        Ok(())
    }

    fn count_losses(&mut self) {
        let (now, before) = (self.intake.counts(), self.counted);
        let metrics = &self.shared.metrics;
        metrics.lost_packets.add(now.lost - before.lost);
        metrics.late_packets.add(now.late - before.late);
        metrics.dropped_frames.add(now.dropped_frames - before.dropped_frames);
        if now.dropped_frames > before.dropped_frames {
            self.falls_behind("more audio waits than its budget holds; the oldest is dropped");
        }
        self.counted = now;
    }

    /// Tells the log, now and then.
    fn falls_behind(&mut self, how: &str) {
        if self.told.is_none_or(|told| told.elapsed() >= TELL_AGAIN) {
            self.told = Some(Instant::now());
            tracing::warn!("the separation falls behind this session's budget: {how}");
        }
    }
}

/// Waits for the job; for ever if there is none. May be cancelled.
async fn finished(job: &mut Option<oneshot::Receiver<Outcome>>) -> Outcome {
    match job {
        Some(job) => job.await.unwrap_or_else(|_| Outcome::Panicked("it was lost".to_owned())),
        None => std::future::pending().await,
    }
}

/// One packet of the mix, and how many of its samples were unusable. `None` if the client gave it up, or took
/// too long over it.
async fn read_packet(mut stream: RecvStream, most_bytes: usize, within: Duration) -> ReadResult {
    let bytes = match timeout(within, stream.read_to_end(most_bytes)).await {
        Ok(Ok(bytes)) => bytes,
        Ok(Err(quinn::ReadToEndError::TooLong)) => {
            return Err(End::Protocol(format!(
                "a packet of the mix has more than the {most_bytes} bytes agreed on"
            )));
        }
        Ok(Err(quinn::ReadToEndError::Read(quinn::ReadError::Reset(_)))) => return Ok(None),
        Ok(Err(error)) => return Err(End::Gone(error.to_string())),
        Err(_) => {
            // Too late to be of use; an error means that it has ended by itself.
            let _ = stream.stop(0u8.into());
            return Ok(None);
        }
    };
    read_mix(&bytes).map(Some).map_err(|error| End::Protocol(error.to_string()))
}

fn micros(duration: Duration) -> u32 {
    u32::try_from(duration.as_micros()).unwrap_or(u32::MAX)
}
