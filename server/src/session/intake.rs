//! What a session's pipeline shall do next: packets of the mix go in, jobs for a worker come out.
//!
//! The protocol's `Arranger` puts packets in order; this holds what is in order until it is worth a worker's
//! time, drops what a live session can no longer play in time, and refuses floods. No clock and no I/O here:
//! `now` is time since the session's start. Memory is bounded by the reordering window and the backlog.
#![warn(clippy::arithmetic_side_effects, reason = "it reckons with what came over the wire")]

use std::{collections::VecDeque, time::Duration};

use rehearsekit_protocol::{ArrangeError, Arranger, Packet, Run};

use super::TokenBucket;

/// Most packets held behind a gap of a live session; on more the gap is given up.
const WINDOW_PACKETS: usize = 64;
/// A gap that reliable delivery does not fill in this time is the client's mistake.
const RELIABLE_HOLE: Duration = Duration::from_secs(20);
/// How much more than real time a live client may send at once before it counts as a flood.
const AHEAD: Duration = Duration::from_secs(10);
/// Audio that a live client may send per second, for ever. A host's clock and this machine's differ, by 0.02 % at the
/// most, so that exactly a second would be too little for half of all hosts. The lanes are ready for 3 % more.
const NANOS_PER_SECOND: u64 = 1_010_000_000;

/// A packet counts as this much audio at least, so that none of a flood of tiny or empty ones is free.
const LEAST: Duration = Duration::from_micros(500);

/// What the pipeline shall do next.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Step {
    Start {
        epoch: u32,
        position: u64,
    },
    /// `ready` is when this packet could be used: it and all before it were there.
    Push {
        first_frame: u64,
        channels: Vec<Vec<f32>>,
        ready: Duration,
    },
    Finish,
}

/// What no correct client does; ends the session.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum IntakeError {
    #[error(transparent)]
    Order(#[from] ArrangeError),
    #[error("a live session got {} s more audio than time has passed; the reliable mode may go faster", AHEAD.as_secs())]
    Flood,
    #[error("a packet never came in reliable mode")]
    Hole,
}

/// How a session's mix is taken in.
#[derive(Debug, Clone, Copy)]
pub(crate) struct IntakeLimits {
    pub(crate) rate_hz: u32,
    /// Reliable: wait for everything, drop nothing.
    pub(crate) reliable: bool,
    /// How long a gap may hold up what is behind it.
    pub(crate) gap_wait: Duration,
    /// More than this waiting for the pipeline is too late anyway.
    pub(crate) backlog_frames: u64,
}

/// What was lost on the way in, counted up.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct IntakeCounts {
    pub(crate) lost: u64,
    pub(crate) late: u64,
    pub(crate) dropped_frames: u64,
}

#[derive(Debug)]
pub(crate) struct Intake {
    limits: IntakeLimits,
    arranger: Arranger,
    /// Packets that came since the gap that is waited for.
    behind_gap: usize,
    /// The epoch that is open after all taken steps.
    taken: Option<u32>,
    /// Whether the next frames in order need a start of their own, because what they follow was dropped.
    restart: bool,
    /// The epoch of the newest queued step.
    epoch: u32,
    steps: VecDeque<Step>,
    queued_frames: u64,
    /// Nanoseconds of audio that may still come.
    pace: TokenBucket,
    dropped_frames: u64,
}

impl Intake {
    pub(crate) fn new(limits: IntakeLimits) -> Self {
        // Reliably nothing is ever given up for its number: `is_full` holds the reader back instead.
        let (wait, window) = match limits.reliable {
            true => (RELIABLE_HOLE, usize::MAX),
            false => (limits.gap_wait, WINDOW_PACKETS),
        };
        Self {
            limits,
            arranger: Arranger::new(wait, window),
            behind_gap: 0,
            taken: None,
            restart: false,
            epoch: 0,
            steps: VecDeque::new(),
            queued_frames: 0,
            pace: TokenBucket::new(nanos(AHEAD), NANOS_PER_SECOND),
            dropped_frames: 0,
        }
    }

    pub(crate) fn counts(&self) -> IntakeCounts {
        let (lost, late) = (self.arranger.lost(), self.arranger.late());
        IntakeCounts { lost, late, dropped_frames: self.dropped_frames }
    }

    /// Whether the reader should wait before it takes more (only in reliable mode).
    pub(crate) fn is_full(&self) -> bool {
        self.limits.reliable
            && (self.queued_frames > self.limits.backlog_frames || self.behind_gap >= WINDOW_PACKETS)
    }

    /// Takes a packet that came at `now`.
    pub(crate) fn accept(&mut self, packet: Packet, now: Duration) -> Result<(), IntakeError> {
        self.hold_pace(packet.header.frames.into(), now)?;
        self.arranger.push(packet, now)?;
        self.tick(now)?;
        self.behind_gap =
            if self.arranger.next_deadline().is_some() { self.behind_gap.saturating_add(1) } else { 0 };
        Ok(())
    }

    /// Gives up the gap whose time is over.
    pub(crate) fn tick(&mut self, now: Duration) -> Result<(), IntakeError> {
        while let Some(run) = self.arranger.next_run(now)? {
            self.queue(run);
        }
        if self.limits.reliable && self.arranger.lost() > 0 {
            return Err(IntakeError::Hole);
        }
        self.shed();
        Ok(())
    }

    /// When [`Self::tick`] has something to do.
    pub(crate) fn deadline(&self) -> Option<Duration> {
        self.arranger.next_deadline()
    }

    /// The next job for the pipeline, which needs `until_work` more frames before it does anything costly, and
    /// `from_start` after a start. Empty when there is nothing worth a worker's time. A job holds one costly step, so
    /// that sessions take turns.
    pub(crate) fn take(&mut self, until_work: usize, from_start: usize) -> Vec<Step> {
        // Of the epoch that the next frames belong to.
        let (mut pushed, mut wanted) = (0, until_work as u64);
        let last = self.steps.iter().position(|step| match step {
            Step::Start { .. } => {
                (pushed, wanted) = (0, from_start as u64);
                false
            }
            Step::Finish => true,
            Step::Push { channels, .. } => {
                pushed = frames_of(channels).saturating_add(pushed);
                pushed >= wanted
            }
        });
        let Some(last) = last else { return Vec::new() };
        let job: Vec<Step> = self.steps.drain(..=last).collect();
        for step in &job {
            match step {
                Step::Start { epoch, .. } => self.taken = Some(*epoch),
                Step::Finish => self.taken = None,
                Step::Push { channels, .. } => self.dequeued(channels),
            }
        }
        job
    }

    fn dequeued(&mut self, channels: &[Vec<f32>]) {
        self.queued_frames = self.queued_frames.saturating_sub(frames_of(channels));
    }

    fn queue(&mut self, run: Run) {
        match run {
            Run::Start { epoch, position } => {
                self.epoch = epoch;
                self.restart = false;
                self.steps.push_back(Step::Start { epoch, position });
            }
            Run::Frames { first_frame, channels, arrived } => {
                if std::mem::take(&mut self.restart) {
                    self.steps.push_back(Step::Start { epoch: self.epoch, position: first_frame });
                }
                self.queued_frames = self.queued_frames.saturating_add(frames_of(&channels));
                self.steps.push_back(Step::Push { first_frame, channels, ready: arrived });
            }
            Run::End { .. } => {
                // Of an epoch whose every frame was dropped there is nothing to finish.
                if !std::mem::take(&mut self.restart) {
                    self.steps.push_back(Step::Finish);
                }
            }
        }
    }

    /// Live audio cannot come faster than it is played, but for what a link or a host bunches up.
    fn hold_pace(&mut self, frames: u64, now: Duration) -> Result<(), IntakeError> {
        let audio = frames.saturating_mul(nanos(Duration::from_secs(1)));
        let audio = audio.checked_div(self.limits.rate_hz.into()).unwrap_or(u64::MAX);
        let is_in_pace = self.limits.reliable || self.pace.take(audio.max(nanos(LEAST)), now);
        if is_in_pace { Ok(()) } else { Err(IntakeError::Flood) }
    }

    /// Drops the oldest frames of a live session that has fallen behind its budget: they would come too late
    /// anyway, and the newer ones with them if nothing were dropped.
    fn shed(&mut self) {
        if self.limits.reliable || self.queued_frames <= self.limits.backlog_frames {
            return;
        }
        let mut open = self.taken;
        while self.queued_frames > self.limits.backlog_frames / 2 {
            match self.steps.pop_front() {
                Some(Step::Start { epoch, .. }) => open = Some(epoch),
                Some(Step::Push { channels, .. }) => {
                    self.dequeued(&channels);
                    self.dropped_frames = self.dropped_frames.saturating_add(frames_of(&channels));
                }
                Some(Step::Finish) => open = None,
                None => break,
            }
        }
        // Nothing of this epoch is left to finish.
        if matches!(self.steps.front(), Some(Step::Finish)) {
            self.steps.pop_front();
            open = None;
        }
        match (self.steps.front(), open) {
            (Some(&Step::Push { first_frame, .. }), Some(epoch)) => {
                self.steps.push_front(Step::Start { epoch, position: first_frame });
            }
            (None, Some(epoch)) => (self.restart, self.epoch) = (true, epoch),
            _ => {}
        }
        if self.taken.is_some() {
            self.steps.push_front(Step::Finish);
        }
    }
}

const fn nanos(duration: Duration) -> u64 {
    // The durations of this file are seconds.
    duration.as_nanos() as u64
}

fn frames_of(channels: &[Vec<f32>]) -> u64 {
    channels.first().map_or(0, |channel| channel.len() as u64)
}

#[cfg(test)]
#[allow(clippy::arithmetic_side_effects, reason = "in a test an overflow is a report")]
mod tests {
    use rehearsekit_protocol::PacketHeader;

    use super::*;

    const RATE_HZ: u32 = 1_000;
    const BACKLOG: u64 = 100;

    fn intake(reliable: bool) -> Intake {
        let gap_wait = Duration::from_millis(30);
        Intake::new(IntakeLimits { rate_hz: RATE_HZ, reliable, gap_wait, backlog_frames: BACKLOG })
    }

    fn packet(epoch: u32, sequence: u32, first_frame: u64, frames: u32) -> Packet {
        let header = PacketHeader::mix(epoch, sequence, first_frame, frames);
        let samples: Vec<f32> = (0..u64::from(frames)).map(|n| (first_frame + n) as f32).collect();
        Packet { header, channels: vec![samples.clone(), samples] }
    }

    fn ms(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    /// Steps as text: `S0@10` start epoch 0 at 10, `10+5` push 5 frames from 10, `F` finish.
    fn told(steps: &[Step]) -> String {
        let one = |step: &Step| match step {
            Step::Start { epoch, position } => format!("S{epoch}@{position}"),
            Step::Push { first_frame, channels, .. } => {
                assert_eq!(channels[0].first().copied(), Some(*first_frame as f32), "shifted");
                format!("{first_frame}+{}", channels[0].len())
            }
            Step::Finish => "F".to_owned(),
        };
        steps.iter().map(one).collect::<Vec<_>>().join(" ")
    }

    /// All jobs there are, as a worker that wants `until_work` frames sees them.
    fn jobs(intake: &mut Intake, until_work: usize) -> Vec<String> {
        std::iter::from_fn(|| {
            let job = intake.take(until_work, 1);
            (!job.is_empty()).then(|| told(&job))
        })
        .collect()
    }

    #[test]
    fn a_job_is_one_costly_step_and_less_is_not_worth_a_job() {
        let mut intake = intake(true);
        for n in 0..5 {
            intake.accept(packet(0, n, u64::from(n) * 10, 10), ms(0)).unwrap();
        }
        assert_eq!(jobs(&mut intake, 20), ["S0@0 0+10", "10+10 20+10", "30+10 40+10"]);
        intake.accept(packet(0, 5, 50, 10), ms(0)).unwrap();
        assert_eq!(jobs(&mut intake, 20), Vec::<String>::new());
        intake.accept(packet(1, 6, 60, 10), ms(0)).unwrap();
        assert_eq!(jobs(&mut intake, 20), ["50+10 F", "S1@60 60+10"]);
        // A start is no reason for a job before its epoch is worth one.
        intake.accept(packet(2, 7, 100, 10), ms(0)).unwrap();
        assert_eq!(told(&intake.take(20, 30)), "F");
        assert_eq!(intake.take(20, 30), []);
        intake.accept(packet(2, 8, 110, 20), ms(0)).unwrap();
        assert_eq!(told(&intake.take(20, 30)), "S2@100 100+10 110+20");
    }

    #[test]
    fn a_gap_ends_the_epoch_when_its_time_is_over_and_not_before() {
        let mut intake = intake(false);
        intake.accept(packet(0, 0, 0, 10), ms(0)).unwrap();
        intake.accept(packet(0, 2, 20, 10), ms(5)).unwrap();
        assert_eq!(intake.deadline(), Some(ms(35)));
        intake.tick(ms(34)).unwrap();
        assert_eq!(jobs(&mut intake, 1), ["S0@0 0+10"]);
        intake.tick(ms(35)).unwrap();
        assert_eq!(jobs(&mut intake, 1), ["F", "S0@20 20+10"]);
        intake.accept(packet(0, 1, 10, 10), ms(36)).unwrap();
        assert_eq!(intake.counts(), IntakeCounts { lost: 1, late: 1, dropped_frames: 0 });
    }

    #[test]
    fn a_reliable_gap_is_waited_for_and_then_an_error() {
        let mut intake = intake(true);
        for n in 1..=WINDOW_PACKETS as u32 {
            assert!(!intake.is_full());
            intake.accept(packet(0, n, u64::from(n), 1), ms(0)).unwrap();
        }
        assert!(intake.is_full(), "the reader must wait");
        intake.tick(RELIABLE_HOLE - ms(1)).unwrap();
        assert_eq!(intake.tick(RELIABLE_HOLE), Err(IntakeError::Hole));
    }

    #[test]
    fn what_a_slow_worker_leaves_behind_is_dropped_oldest_first() {
        let mut intake = intake(false);
        intake.accept(packet(7, 0, 0, 10), ms(0)).unwrap();
        assert_eq!(told(&intake.take(1, 1)), "S7@0 0+10");
        for n in 1..=11 {
            intake.accept(packet(7, n, u64::from(n) * 10, 10), ms(0)).unwrap();
        }
        assert_eq!(intake.counts().dropped_frames, 60);
        assert_eq!(jobs(&mut intake, 50), ["F", "S7@70 70+10", "80+10 90+10 100+10 110+10"][..2]);
    }

    #[test]
    fn dropping_across_epochs_leaves_whole_epochs_only() {
        let mut intake = intake(false);
        // Epoch 0 of 20 frames, epoch 1 of 20, then epoch 2 from a later position on.
        let ends = |mut packet: Packet| {
            packet.header.end_of_epoch = true;
            packet
        };
        intake.accept(ends(packet(0, 0, 0, 20)), ms(0)).unwrap();
        intake.accept(ends(packet(1, 1, 20, 31)), ms(0)).unwrap();
        for n in 2..7 {
            intake.accept(packet(2, n, 1_000 + u64::from(n) * 10, 10), ms(0)).unwrap();
        }
        assert_eq!(jobs(&mut intake, 10).join(" "), "S2@1020 1020+10 1030+10 1040+10 1050+10 1060+10");
        assert_eq!(intake.counts().dropped_frames, 51);
    }

    #[test]
    fn after_everything_was_dropped_the_next_frames_start_anew() {
        let mut intake = intake(false);
        intake.accept(packet(3, 0, 0, 101), ms(0)).unwrap();
        assert_eq!(jobs(&mut intake, 1), Vec::<String>::new());
        intake.accept(packet(3, 1, 101, 10), ms(200)).unwrap();
        assert_eq!(jobs(&mut intake, 1), ["S3@101 101+10"]);
    }

    #[test]
    fn a_flood_is_an_error_live_and_held_back_reliably() {
        let send = |reliable| {
            let mut intake = intake(reliable);
            (0..2_000).find_map(|n| intake.accept(packet(0, n, u64::from(n) * 10, 10), ms(1)).err())
        };
        assert_eq!(send(false), Some(IntakeError::Flood));
        assert_eq!(send(true), None);
        let mut intake = intake(false);
        let empty = |n| Packet {
            header: PacketHeader { end_of_epoch: true, ..PacketHeader::mix(0, n, 0, 0) },
            channels: vec![Vec::new(); 2],
        };
        let flood = (0..30_000).find_map(|n| intake.accept(empty(n), ms(1)).err());
        assert_eq!(flood, Some(IntakeError::Flood), "empty packets are no audio, and no free ride");
    }
}
