//! A day of a session in virtual time, with a host whose clock runs faster or slower than the server's: both ends of the
//! control stream, the intake, the player's place in the music and the lanes, as the session's task joins them. Nothing
//! here waits; whatever counts for ever shows.

use std::time::Duration;

use rehearsekit_protocol::{
    ClientSession, HEALTH_INTERVAL, Health, Mode, OpenRequest, Opened, Packet, PacketHeader, ServerEvent,
    ServerSession,
};
use rehearsekit_schedule::{Cost, Demand, Hop, LaneId, Scheduler, StreamId};

use super::{
    TokenBucket, control,
    intake::{Intake, IntakeCounts, IntakeError, IntakeLimits, Step},
    player::Playhead,
};

const RATE_HZ: u32 = 8_000;
const PACKET: u32 = 400;
const HOP: u32 = 800;
const BUDGET: u32 = 2_400;
const LANE: LaneId = LaneId { device: 0, lane: 0 };
const HOUR: f64 = 3_600.0;

/// A lane, and the one hop that its stream has under way.
struct Lanes {
    scheduler: Scheduler<u64>,
    stream: StreamId,
    /// When the hop that runs is done.
    done: Option<Duration>,
    /// When the lane is to be asked again.
    wake: Option<Duration>,
    under_way: bool,
    ran: u64,
    dropped: u64,
    /// The least time that a hop had left when it was done; it may be negative.
    least_left_millis: i64,
    due: Duration,
}

impl Lanes {
    const TAKES: Duration = Duration::from_millis(5);

    fn new() -> Self {
        let mut scheduler = Scheduler::new(&[1]);
        let period = Duration::from_millis(u64::from(HOP) * 1_000 / u64::from(RATE_HZ));
        let cost = Cost { kind: 0, typical: Self::TAKES, batches: Vec::new(), wide: false };
        let demand = Demand { period, deadline: 2 * period, costs: vec![Some(cost)] };
        let stream = scheduler.admit(&demand).expect("there is room");
        Self {
            scheduler,
            stream,
            done: None,
            wake: None,
            under_way: false,
            ran: 0,
            dropped: 0,
            least_left_millis: i64::MAX,
            due: Duration::ZERO,
        }
    }

    fn next_event(&self) -> Option<Duration> {
        [self.done, self.wake].into_iter().flatten().min()
    }

    fn go(&mut self, now: Duration) {
        if self.done.is_some_and(|done| done <= now) {
            self.done = None;
            self.under_way = false;
            self.ran += 1;
            self.least_left_millis =
                self.least_left_millis.min(self.due.as_millis() as i64 - now.as_millis() as i64);
            self.scheduler.finished(LANE, now);
        }
        if self.done.is_some() {
            return;
        }
        let turn = self.scheduler.next(LANE, now);
        if !turn.dropped.is_empty() {
            self.dropped += turn.dropped.len() as u64;
            self.under_way = false;
        }
        if !turn.run.is_empty() {
            self.done = Some(now + Self::TAKES);
        }
        self.wake = turn.wake;
    }

    fn submit(&mut self, hop: Hop, now: Duration) {
        self.under_way = true;
        self.due = hop.due;
        if self.scheduler.submit(self.stream, hop, 0).is_err() {
            self.dropped += 1;
            self.under_way = false;
        }
        self.go(now);
    }
}

/// Both ends of one session. The host's seconds are `1 + ppm / 10⁶` of the server's.
struct Day {
    ppm: f64,
    /// The server's clock, which is that of the simulation.
    now: Duration,
    client: ClientSession,
    server: ServerSession,
    control: TokenBucket,
    intake: Intake,
    playhead: Playhead,
    lanes: Lanes,
    sent: u32,
    position: u64,
    next_health: Duration,
}

impl Day {
    fn new(ppm: f64) -> Self {
        let request = OpenRequest {
            model: String::new(),
            rate_hz: RATE_HZ,
            budget_frames: BUDGET,
            block_frames: 64,
            link_micros: 5_000,
            mode: Mode::Live,
            wanted_offers_frames: Vec::new(),
        };
        let limits = IntakeLimits {
            rate_hz: RATE_HZ,
            reliable: false,
            gap_wait: Duration::from_millis(50),
            backlog_frames: BUDGET.into(),
        };
        let mut day = Self {
            ppm,
            now: Duration::ZERO,
            client: ClientSession::new("host", request, Duration::ZERO).unwrap(),
            server: ServerSession::new("server", &["half".to_owned()], Duration::ZERO).unwrap(),
            control: control::pace(),
            intake: Intake::new(limits),
            playhead: Playhead::new(RATE_HZ, BUDGET),
            lanes: Lanes::new(),
            sent: 0,
            position: 0,
            next_health: Duration::ZERO,
        };
        day.talk();
        day.talk();
        let opened = Opened {
            session: 1,
            model: "half".to_owned(),
            stems: rehearsekit_audio::StemSet::new(&["vocals", "other"]).unwrap(),
            packet_frames: PACKET,
            latency_frames: BUDGET,
            algorithmic_frames: HOP,
            hop_frames: HOP,
            look_ahead_frames: 0,
            description: String::new(),
            offers: Vec::new(),
        };
        day.server.open(opened).unwrap();
        day.talk();
        assert!(day.server.is_open() && day.client.opened().is_some());
        day
    }

    /// The host's clock.
    fn host(&self) -> Duration {
        self.now.mul_f64(1.0 + self.ppm * 1e-6)
    }

    /// A moment of the host's clock on the server's.
    fn at_server(&self, host: Duration) -> Duration {
        host.div_f64(1.0 + self.ppm * 1e-6)
    }

    /// Moves what both ends have to say.
    fn talk(&mut self) {
        let bytes = self.client.take_outgoing();
        if !bytes.is_empty() {
            assert!(self.control.take(bytes.len() as u64, self.now), "a flood of messages at {:?}", self.now);
            let events = self.server.receive(&bytes, self.now).unwrap();
            assert!(!events.iter().any(|event| matches!(event, ServerEvent::Closed(_))));
        }
        let bytes = self.server.take_outgoing();
        if !bytes.is_empty() {
            self.client.receive(&bytes, self.host()).unwrap();
        }
    }

    /// Lets time pass until `until`, on the server's clock.
    fn pass(&mut self, until: Duration) -> Result<(), IntakeError> {
        loop {
            let host = |at: Duration| at.div_f64(1.0 + self.ppm * 1e-6);
            let events = [
                self.client.next_tick().map(host),
                self.server.next_tick(),
                self.intake.deadline(),
                self.lanes.next_event(),
                Some(host(self.next_health)),
            ];
            let next = events.into_iter().flatten().min().unwrap_or(until).max(self.now);
            if next >= until {
                self.now = self.now.max(until);
                return Ok(());
            }
            // The host's clock is read a moment later than it was set, so that what is due is due.
            self.now = next + Duration::from_micros(10);
            let host = self.host();
            if host >= self.next_health {
                self.next_health = host + HEALTH_INTERVAL;
                self.client.report(Health { underruns: 0, late: 0, lost: 0, needed_frames: 0 });
            }
            self.client.tick(host).unwrap();
            self.talk();
            self.server.tick(self.now).unwrap();
            self.intake.tick(self.now)?;
            self.lanes.go(self.now);
            self.submit();
        }
    }

    fn submit(&mut self) {
        if self.lanes.under_way {
            return;
        }
        let job = self.intake.take(HOP as usize, HOP as usize);
        let pushed = job.iter().rev().find_map(|step| match step {
            Step::Push { first_frame, channels, ready } => {
                Some((first_frame + channels[0].len() as u64, *ready))
            }
            Step::Start { .. } | Step::Finish => None,
        });
        let Some((end, ready)) = pushed else { return };
        let due = self.playhead.due(end.saturating_sub((HOP / 2).into()));
        self.lanes.submit(Hop { ready, due }, self.now);
    }

    fn packet(&mut self) -> Result<(), IntakeError> {
        let header = PacketHeader::mix(0, self.sent, self.position, PACKET);
        self.sent = self.sent.wrapping_add(1);
        self.position = header.end();
        let channels = vec![vec![0.0; PACKET as usize]; 2];
        self.playhead.heard(header.end(), self.now);
        self.intake.accept(Packet { header, channels }, self.now)?;
        self.submit();
        Ok(())
    }

    /// The host plays for so long, by its own clock.
    fn plays(&mut self, seconds: f64) -> Result<(), IntakeError> {
        let (start, each) = (self.host(), Duration::from_secs_f64(f64::from(PACKET) / f64::from(RATE_HZ)));
        for n in 1..=(seconds / each.as_secs_f64()) as u32 {
            self.pass(self.at_server(start + each * n))?;
            self.packet()?;
        }
        Ok(())
    }

    /// The host calls nobody, but its connection lives.
    fn pauses(&mut self, seconds: f64) -> Result<(), IntakeError> {
        self.pass(self.now + Duration::from_secs_f64(seconds))
    }

    /// The host plays so much all at once.
    fn bursts(&mut self, seconds: f64) -> Result<(), IntakeError> {
        (0..(seconds * f64::from(RATE_HZ / PACKET)) as u32).try_for_each(|_| self.packet())
    }
}

/// Twenty-four hours: hours of music, pauses of an hour after which the host goes on or bursts, and the rest of the day.
fn a_day(ppm: f64) -> Day {
    let mut day = Day::new(ppm);
    let all = Duration::from_secs(24 * 3_600);
    let mut hours = || -> Result<(), IntakeError> {
        day.plays(7.0 * HOUR)?;
        assert_eq!(
            (day.lanes.dropped, day.intake.counts()),
            (0, IntakeCounts::default()),
            "seven hours without a pause"
        );
        assert!(
            day.lanes.least_left_millis > 0,
            "a hop was done {} ms before its time",
            day.lanes.least_left_millis
        );
        day.pauses(HOUR)?;
        day.plays(HOUR)?;
        assert_eq!(
            (day.lanes.dropped, day.intake.counts()),
            (0, IntakeCounts::default()),
            "an hour after the pause"
        );
        day.pauses(HOUR)?;
        for _ in 0..3 {
            day.bursts(8.0)?;
            day.plays(HOUR)?;
        }
        let caught_up = (day.lanes.dropped, day.intake.counts(), day.lanes.ran);
        day.plays((all - day.now).as_secs_f64())?;
        assert_eq!(
            (day.lanes.dropped, day.intake.counts()),
            (caught_up.0, caught_up.1),
            "eleven hours after the bursts"
        );
        assert!(day.lanes.ran > caught_up.2 + 10 * 36_000, "it has been played");
        Ok(())
    };
    hours().unwrap_or_else(|error| panic!("closed after {:?}: {error}", day.now));
    assert!(day.now + Duration::from_secs(10) > all, "{:?}", day.now);
    assert!(day.server.is_open() && day.client.opened().is_some());
    let counts = day.intake.counts();
    assert_eq!((counts.lost, counts.late), (0, 0));
    day
}

#[test]
fn a_host_whose_clock_is_200_ppm_faster_plays_for_a_day() {
    let mut day = a_day(200.0);
    assert_eq!(day.bursts(11.0), Err(IntakeError::Flood), "what is a flood still is one");
}

#[test]
fn a_host_whose_clock_is_200_ppm_slower_plays_for_a_day_and_saves_nothing_up() {
    let mut day = a_day(-200.0);
    assert_eq!(
        day.bursts(11.0),
        Err(IntakeError::Flood),
        "a slow host's day is worth 17 s, and buys none of them"
    );
}

#[test]
fn a_pause_buys_neither_audio_nor_messages() {
    let mut day = Day::new(0.0);
    day.plays(10.0).unwrap();
    day.pauses(HOUR).unwrap();
    assert_eq!(day.bursts(60.0), Err(IntakeError::Flood));
    assert!(day.control.take(12 * 1024, day.now) && !day.control.take(8 * 1024, day.now));
}
