//! The scheduler: admits streams, keeps their hops, and tells a free lane what to do next.
//!
//! Every call is a function of what was said before and of `now`. Between calls nothing happens.

mod give_way;

use std::{
    collections::{BTreeMap, VecDeque},
    time::Duration,
};

use crate::{
    Cost, Demand, DeviceLoad, Hop, LaneId, StreamId, Time, Turn,
    observe::Observed,
    place::{MARGIN, Resident, Room, SPACING, Terms, on_lane, share},
};

/// What is suggested to somebody must hold at this margin, so that it still does once they ask for it.
const SURE_MARGIN: f64 = 1.2;
/// A change of a device's slowness by less than this share changes nothing.
const NOTICEABLE: f64 = 0.05;

/// See the crate.
#[derive(Debug)]
pub struct Scheduler<J> {
    devices: Vec<Device>,
    streams: BTreeMap<u64, Stream<J>>,
    background: VecDeque<(Cost, J)>,
    dropped: Vec<J>,
    next_id: u64,
}

#[derive(Debug)]
struct Device {
    lanes: Vec<Lane>,
    observed: Observed,
    /// The slowness that the rooms were worked out for.
    assumed: f64,
}

#[derive(Debug)]
struct Lane {
    room: Room,
    running: Option<Running>,
}

#[derive(Debug)]
struct Running {
    since: Time,
    cost: Cost,
    count: usize,
}

#[derive(Debug)]
struct Stream<J> {
    demand: Demand,
    cost: Cost,
    device: usize,
    lane: usize,
    paused: bool,
    /// When its last hop came, or would have come at its own pace.
    released: Option<Time>,
    waiting: Option<Waiting<J>>,
}

#[derive(Debug)]
struct Waiting<J> {
    job: J,
    hop: Hop,
    /// Before this the hop has no claim to the lane.
    release: Time,
    /// The stream's last release before this hop; what is dropped has not been.
    before: Option<Time>,
}

/// A device with room for one more stream, what a hop costs there, and the lanes that all its streams would have.
struct Found {
    device: usize,
    cost: Cost,
    lanes: Vec<(u64, usize)>,
}

impl<J> Stream<J> {
    /// Until when its hop is promised.
    fn deadline(&self) -> Option<Time> {
        self.waiting.as_ref().map(|waiting| waiting.release + self.demand.deadline)
    }

    fn has_come(&self, now: Time) -> bool {
        self.waiting.as_ref().is_some_and(|waiting| waiting.release <= now)
    }
}

impl<J> Scheduler<J> {
    /// Devices by their number of lanes.
    pub fn new(lanes: &[usize]) -> Self {
        let lane = || Lane { room: Room { laxity: Duration::MAX, batched: false }, running: None };
        let device = |&count: &usize| Device {
            lanes: (0..count.max(1)).map(|_| lane()).collect(),
            observed: Observed::default(),
            assumed: 1.0,
        };
        Self {
            devices: lanes.iter().map(device).collect(),
            streams: BTreeMap::new(),
            background: VecDeque::new(),
            dropped: Vec::new(),
            next_id: 0,
        }
    }

    /// Promises `demand` its deadlines; `None` if it cannot.
    pub fn admit(&mut self, demand: &Demand) -> Option<StreamId> {
        let Found { device, cost, lanes } = self.find(demand, MARGIN)?;
        let id = self.next_id;
        self.next_id += 1;
        let stream = Stream {
            demand: demand.clone(),
            cost,
            device,
            lane: 0,
            paused: false,
            released: None,
            waiting: None,
        };
        self.streams.insert(id, stream);
        for (id, lane) in lanes {
            if let Some(stream) = self.streams.get_mut(&id) {
                stream.lane = lane;
            }
        }
        self.settle(device);
        Some(StreamId(id))
    }

    /// Whether [`Self::admit`] would say yes.
    pub fn fits(&self, demand: &Demand) -> bool {
        self.find(demand, MARGIN).is_some()
    }

    /// Whether it will most likely say yes in a moment too, when the device is seen a little slower than now.
    pub fn fits_for_a_while(&self, demand: &Demand) -> bool {
        self.find(demand, SURE_MARGIN).is_some()
    }

    /// The quickest device with room for one more stream.
    fn find(&self, demand: &Demand, margin: f64) -> Option<Found> {
        let mut able: Vec<(usize, &Cost)> = demand
            .costs
            .iter()
            .enumerate()
            .filter_map(|(device, cost)| Some((device, cost.as_ref()?)))
            .collect();
        able.sort_by_key(|(_, cost)| cost.typical);
        able.into_iter().find_map(|(index, cost)| {
            let device = self.devices.get(index)?;
            let new = Resident { id: self.next_id, lane: 0, demand, cost };
            let (residents, usual) = (self.residents(index), Observed::default());
            // Whoever comes to a device that nobody uses is judged by what is usual: how it fared with others is over.
            let observed = if residents.is_empty() { &usual } else { &device.observed };
            let lanes = Terms { observed, ..device.terms(margin) }.place(&residents, new)?;
            Some(Found { device: index, cost: cost.clone(), lanes })
        })
    }

    /// The stream is over; gives its hop back if one waits.
    pub fn leave(&mut self, id: StreamId) -> Option<J> {
        let stream = self.streams.remove(&id.0)?;
        self.settle(stream.device);
        stream.waiting.map(|waiting| waiting.job)
    }

    /// Takes a hop of `id`; gives it back if the stream is paused, or has one waiting already.
    pub fn submit(&mut self, id: StreamId, hop: Hop, job: J) -> Result<(), J> {
        let Some(stream) = self.streams.get_mut(&id.0).filter(|s| !s.paused && s.waiting.is_none()) else {
            return Err(job);
        };
        let spacing = stream.demand.period.mul_f64(SPACING);
        let release = stream.released.map_or(hop.ready, |last| hop.ready.max(last + spacing));
        let before = stream.released.replace(release);
        stream.waiting = Some(Waiting { job, hop, release, before });
        Ok(())
    }

    /// Takes work that nobody waits for; each is done when a lane can spare `cost`.
    pub fn submit_background(&mut self, cost: Cost, job: J) {
        self.background.push_back((cost, job));
    }

    /// What the free `lane` does from `now` on. If that is something, [`Self::finished`] must follow.
    pub fn next(&mut self, lane: LaneId, now: Time) -> Turn<J> {
        self.shed(lane, now);
        let mut turn = Turn { run: Vec::new(), dropped: std::mem::take(&mut self.dropped), wake: None };
        let Some(device) = self.devices.get(lane.device) else { return turn };
        let wide = self.residents(lane.device).iter().any(|s| s.cost.wide);
        let others_busy = device.lanes.iter().enumerate().any(|(i, l)| i != lane.lane && l.running.is_some());
        let wide_runs = device.lanes.iter().flat_map(|l| &l.running).any(|running| running.cost.wide);
        let wide_waits =
            self.streams.values().any(|s| s.device == lane.device && s.cost.wide && s.has_come(now));
        if wide_runs || (wide_waits && lane.lane != 0) {
            return turn;
        }
        // Where wide inferences are, all that is promised is lane 0's, and the others help with what it can spare.
        let promised = if wide { 0 } else { lane.lane };
        let room = device.lanes.get(promised).map_or(Room::NONE, |lane| lane.room);
        let own = |s: &Stream<J>| s.device == lane.device && s.lane == lane.lane && s.has_come(now);
        if let Some(id) = self.most_urgent(own) {
            if self.streams.get(&id).is_some_and(|s| s.cost.wide) && others_busy {
                return turn;
            }
            turn.run = self.start(lane, id, room, now);
            return turn;
        }
        let spare = match room.batched {
            true => room.laxity,
            false => room.laxity.max(self.spare(lane.device, promised, now)),
        };
        let room = Room { laxity: spare, ..room };
        let terms = device.terms(MARGIN);
        let own_kinds: Vec<Resident<'_>> = on_lane(&self.residents(lane.device), promised);
        let may_hold_up = |cost: &Cost| terms.holds_up(cost, &own_kinds) <= room.laxity;
        let idle = |l: usize| device.lanes.get(l).is_none_or(|l| l.running.is_none());
        let guest = |s: &Stream<J>| {
            s.device == lane.device
                && !s.cost.wide
                && may_hold_up(&s.cost)
                // What has come is left to its own lane if that is free to take it.
                && (s.lane == lane.lane || !s.has_come(now) || !idle(s.lane))
        };
        if let Some(id) = self.most_urgent(guest) {
            if let Some(stream) = self.streams.get_mut(&id)
                && let Some(waiting) = &stream.waiting
            {
                // It was done in time that nobody else wanted, so its place at its own pace is free for the next.
                let spacing = stream.demand.period.mul_f64(SPACING);
                stream.released = Some(waiting.hop.ready.max(waiting.release.saturating_sub(spacing)));
            }
            turn.run = self.start(lane, id, room, now);
            return turn;
        }
        let fits = |(cost, _): &(Cost, J)| may_hold_up(cost) && !(cost.wide && others_busy);
        if let Some((cost, job)) =
            self.background.iter().position(fits).and_then(|at| self.background.remove(at))
        {
            self.devices[lane.device].lanes[lane.lane].running = Some(Running { since: now, cost, count: 1 });
            turn.run.push(job);
            return turn;
        }
        let coming =
            self.streams.values().filter(|s| s.device == lane.device && s.lane == lane.lane && !s.paused);
        turn.wake = coming.filter_map(|s| s.waiting.as_ref().map(|w| w.release)).filter(|at| *at > now).min();
        turn
    }

    /// The `lane` is free again.
    pub fn finished(&mut self, lane: LaneId, now: Time) {
        let Some(device) = self.devices.get_mut(lane.device) else { return };
        let Some(running) = device.lanes.get_mut(lane.lane).and_then(|lane| lane.running.take()) else {
            return;
        };
        device.observed.note(&running.cost, running.count, now.saturating_sub(running.since));
        if (device.observed.slowness / device.assumed - 1.0).abs() > NOTICEABLE {
            self.settle(lane.device);
        }
    }

    /// How a device fares.
    fn load(&self, device: usize) -> DeviceLoad {
        let streams = self.streams.values().filter(|s| s.device == device);
        let promised: f64 = self.residents(device).iter().map(share).sum();
        let lanes = self.devices.get(device).map_or(1, |d| d.lanes.len());
        DeviceLoad {
            streams: streams.clone().count(),
            paused: streams.filter(|s| s.paused).count(),
            promised: promised / lanes as f64,
            slowness: self.devices.get(device).map_or(1.0, |d| d.observed.slowness),
        }
    }

    /// How all devices fare.
    pub fn loads(&self) -> Vec<DeviceLoad> {
        (0..self.devices.len()).map(|device| self.load(device)).collect()
    }

    /// Hops and background work that wait for a lane.
    pub fn waiting(&self) -> usize {
        self.background.len() + self.streams.values().filter(|s| s.waiting.is_some()).count()
    }

    /// What `lane` can give away now.
    fn spare(&self, device: usize, lane: usize, now: Time) -> Duration {
        let Some(d) = self.devices.get(device) else { return Duration::ZERO };
        let promised = self.streams.iter().filter(|(_, s)| s.device == device && s.lane == lane && !s.paused);
        let coming: Vec<_> = promised
            .map(|(id, s)| {
                let resident = Resident { id: *id, lane, demand: &s.demand, cost: &s.cost };
                let spacing = s.demand.period.mul_f64(SPACING);
                let next = s.waiting.as_ref().map(|w| w.release).or(s.released.map(|last| last + spacing));
                (resident, next.unwrap_or(now).saturating_sub(now))
            })
            .collect();
        if coming.is_empty() { Duration::MAX } else { d.terms(MARGIN).spare(&coming) }
    }

    /// Starts the hop of `id` on `lane`, and with it those of its kind that pay.
    fn start(&mut self, lane: LaneId, id: u64, room: Room, now: Time) -> Vec<J> {
        let Some(first) = self.streams.get(&id) else { return Vec::new() };
        let cost = first.cost.clone();
        let terms = self.devices[lane.device].terms(MARGIN);
        let mut alike: Vec<(Time, u64)> = self
            .streams
            .iter()
            .filter(|(other, s)| {
                **other != id && s.device == lane.device && s.cost.kind == cost.kind && !s.paused
            })
            .filter_map(|(other, s)| Some((s.deadline()?, *other)))
            .collect();
        alike.sort_unstable();
        let mut batch = vec![id];
        let due = |id: &u64| self.streams.get(id)?.waiting.as_ref().map(|w| w.hop.due);
        let mut earliest = due(&id).unwrap_or(Time::MAX);
        for (_, other) in alike {
            let (before, with) = (cost.of(batch.len()), cost.of(batch.len() + 1));
            earliest = earliest.min(due(&other).unwrap_or(Time::MAX));
            let pays = batch.len() < cost.most_at_once() && with < before + cost.typical;
            let (alone, together) = (terms.at_worst(&cost, 1), terms.at_worst(&cost, batch.len() + 1));
            let holds_up = !room.batched && together > alone.saturating_add(room.laxity);
            if !pays || holds_up || now + together > earliest {
                break;
            }
            batch.push(other);
        }
        let jobs: Vec<J> =
            batch.iter().filter_map(|id| Some(self.streams.get_mut(id)?.waiting.take()?.job)).collect();
        self.devices[lane.device].lanes[lane.lane].running =
            Some(Running { since: now, cost, count: jobs.len() });
        jobs
    }

    /// The stream, of those that `may`, whose waiting hop is promised first.
    fn most_urgent(&self, may: impl Fn(&Stream<J>) -> bool) -> Option<u64> {
        let waiting = self.streams.iter().filter(|(_, s)| !s.paused && may(s));
        waiting.filter_map(|(id, s)| Some((s.deadline()?, *id))).min().map(|(_, id)| id)
    }

    fn residents(&self, device: usize) -> Vec<Resident<'_>> {
        let there = self.streams.iter().filter(|(_, s)| s.device == device);
        there.map(|(id, s)| Resident { id: *id, lane: s.lane, demand: &s.demand, cost: &s.cost }).collect()
    }
}

impl Device {
    fn terms(&self, margin: f64) -> Terms<'_> {
        Terms { lanes: self.lanes.len(), observed: &self.observed, margin }
    }
}
