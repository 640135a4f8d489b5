//! Simulated devices and players in virtual time, around the real scheduler. The same scenario gives the same run.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BinaryHeap, VecDeque},
    time::Duration,
};

use rehearsekit_schedule::{Cost, Demand, Hop, LaneId, Scheduler, StreamId, Time, Turn};

pub(crate) fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// SplitMix64: the scenario's seed decides everything.
#[derive(Debug, Clone)]
pub(crate) struct Dice(pub(crate) u64);

impl Dice {
    pub(crate) fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// Evenly from 0 to 1.
    pub(crate) fn share(&mut self) -> f64 {
        (self.roll() >> 11) as f64 / (1u64 << 53) as f64
    }

    pub(crate) fn between(&mut self, least: u64, most: u64) -> u64 {
        least + self.roll() % (most - least + 1)
    }
}

/// One inference of a kind in so many is as slow as the slowest of a hundred may be.
const ONE_SLOW_IN: u64 = 60;

/// A device that takes `typical` times its present slowness, a little more or less, and now and then much longer.
pub(crate) struct SimDevice {
    pub(crate) lanes: usize,
    /// From these moments on it is so many times slower.
    pub(crate) slowness: Vec<(Time, f64)>,
}

impl SimDevice {
    pub(crate) fn steady(lanes: usize) -> Self {
        Self { lanes, slowness: Vec::new() }
    }

    fn slowness_at(&self, now: Time) -> f64 {
        self.slowness.iter().rev().find(|(from, _)| *from <= now).map_or(1.0, |(_, slowness)| *slowness)
    }
}

/// Somebody who wants to play.
#[derive(Clone)]
pub(crate) struct SimPlayer {
    pub(crate) demand: Demand,
    pub(crate) joins: Time,
    pub(crate) leaves: Time,
    /// The first hop comes so much after joining.
    pub(crate) phase: Duration,
    /// Each hop comes up to so much too late; its time for the way back shrinks, its due moment does not move.
    pub(crate) jitter: Duration,
    /// Hops come in bursts of so many, all but the last of them too late: a bad link.
    pub(crate) burst: u64,
}

impl SimPlayer {
    pub(crate) fn always(demand: Demand, phase: Duration) -> Self {
        Self { demand, joins: Time::ZERO, leaves: Time::MAX, phase, jitter: Duration::ZERO, burst: 1 }
    }
}

/// What became of a player.
#[derive(Debug, Default, Clone, PartialEq)]
pub(crate) struct Fate {
    pub(crate) admitted: bool,
    pub(crate) hops: u64,
    pub(crate) in_time: u64,
    pub(crate) late: u64,
    pub(crate) dropped: u64,
    /// Still somewhere when it left, or when the simulation ended.
    pub(crate) abandoned: u64,
    /// When each hop was missed.
    pub(crate) missed_at: Vec<Time>,
    /// From ready to done.
    pub(crate) turnarounds: Vec<Duration>,
}

impl Fate {
    pub(crate) fn misses(&self) -> u64 {
        self.late + self.dropped
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    Free(LaneId),
    Leave(usize),
    Join(usize),
    Arrive(usize, u64),
    Wake,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Job {
    Hop { player: usize, hop: Hop },
    Background,
}

struct Seat {
    stream: StreamId,
    /// One hop is with the scheduler at a time; these wait for it.
    queue: VecDeque<Hop>,
    out: bool,
}

pub(crate) struct Sim<'a> {
    pub(crate) devices: &'a [SimDevice],
    pub(crate) players: &'a [SimPlayer],
    /// What one inference of background work costs; there is always more of it.
    pub(crate) background: Option<Cost>,
    pub(crate) seed: u64,
}

/// What was seen.
pub(crate) struct Seen {
    pub(crate) fates: Vec<Fate>,
    pub(crate) background_done: u64,
    /// Hops that went in batches of each size.
    pub(crate) batches: BTreeMap<usize, u64>,
}

impl Sim<'_> {
    /// Runs until `end`.
    pub(crate) fn run(&self, end: Time) -> Seen {
        let lanes: Vec<usize> = self.devices.iter().map(|d| d.lanes).collect();
        let mut scheduler = Scheduler::new(&lanes);
        let mut dice = Dice(self.seed);
        let mut inferences: BTreeMap<u64, u64> = BTreeMap::new();
        let mut events = BinaryHeap::new();
        for (index, player) in self.players.iter().enumerate() {
            events.push(Reverse((player.joins, Event::Join(index))));
        }
        let mut fates = vec![Fate::default(); self.players.len()];
        let mut seats: BTreeMap<usize, Seat> = BTreeMap::new();
        let mut running: BTreeMap<LaneId, Vec<Job>> = BTreeMap::new();
        let mut seen = Seen { fates: Vec::new(), background_done: 0, batches: BTreeMap::new() };
        if let Some(cost) = &self.background {
            (0..lanes.iter().sum()).for_each(|_| scheduler.submit_background(cost.clone(), Job::Background));
        }
        events.push(Reverse((Time::ZERO, Event::Wake)));
        while let Some(Reverse((now, event))) = events.pop() {
            if now > end {
                break;
            }
            let mut told: Vec<(Job, bool)> = Vec::new();
            match event {
                Event::Wake => {}
                Event::Join(index) => {
                    let player = &self.players[index];
                    if let Some(stream) = scheduler.admit(&player.demand) {
                        fates[index].admitted = true;
                        seats.insert(index, Seat { stream, queue: VecDeque::new(), out: false });
                        events.push(Reverse((player.leaves, Event::Leave(index))));
                        events.push(Reverse((now + player.phase, Event::Arrive(index, 0))));
                    }
                }
                Event::Leave(index) => {
                    if let Some(seat) = seats.remove(&index) {
                        fates[index].abandoned += seat.queue.len() as u64 + u64::from(seat.out);
                        scheduler.leave(seat.stream);
                    }
                }
                Event::Arrive(index, count) => {
                    if let Some(seat) = seats.get_mut(&index) {
                        let player = &self.players[index];
                        let nominal = player.joins + player.phase + player.demand.period * count as u32;
                        seat.queue.push_back(Hop {
                            ready: now,
                            due: nominal + player.jitter + player.demand.deadline,
                        });
                        fates[index].hops += 1;
                        let next = player.joins + player.phase + player.demand.period * (count as u32 + 1);
                        let to_burst = (player.burst - 1 - (count + 1) % player.burst) as u32;
                        let late = player.jitter.mul_f64(dice.share()) + player.demand.period * to_burst;
                        events.push(Reverse(((next + late).max(now), Event::Arrive(index, count + 1))));
                    }
                }
                Event::Free(lane) => {
                    scheduler.finished(lane, now);
                    told.extend(running.remove(&lane).unwrap_or_default().into_iter().map(|job| (job, true)));
                }
            }
            // Whoever is told has the next hop ready at once, and every free lane is asked.
            loop {
                for (job, done) in std::mem::take(&mut told) {
                    let Job::Hop { player, hop } = job else {
                        seen.background_done += 1;
                        if let Some(cost) = &self.background {
                            scheduler.submit_background(cost.clone(), Job::Background);
                        }
                        continue;
                    };
                    if !seats.contains_key(&player) {
                        continue;
                    }
                    let fate = &mut fates[player];
                    match done {
                        true if now <= hop.due => fate.in_time += 1,
                        true => fate.late += 1,
                        false => fate.dropped += 1,
                    }
                    if !done || now > hop.due {
                        fate.missed_at.push(now);
                    }
                    if done {
                        fate.turnarounds.push(now - hop.ready);
                    }
                    if let Some(seat) = seats.get_mut(&player) {
                        seat.out = false;
                    }
                }
                for (index, seat) in &mut seats {
                    if seat.out {
                        continue;
                    }
                    let Some(hop) = seat.queue.pop_front() else { continue };
                    match scheduler.submit(seat.stream, hop, Job::Hop { player: *index, hop }) {
                        Ok(()) => seat.out = true,
                        Err(job) => told.push((job, false)),
                    }
                }
                for (device, sim) in self.devices.iter().enumerate() {
                    for lane in (0..sim.lanes).map(|lane| LaneId { device, lane }) {
                        if running.contains_key(&lane) {
                            continue;
                        }
                        let Turn { run, dropped, wake } = scheduler.next(lane, now);
                        told.extend(dropped.into_iter().map(|job| (job, false)));
                        if let Some(at) = wake {
                            events.push(Reverse((at, Event::Wake)));
                        }
                        if run.is_empty() {
                            continue;
                        }
                        let (kind, usual) = self.usual(&run, device);
                        let count = inferences.entry(kind).or_default();
                        *count += 1;
                        let factor = match *count % ONE_SLOW_IN {
                            0 => 1.5,
                            _ => 0.95 + 0.1 * dice.share(),
                        };
                        if matches!(run[0], Job::Hop { .. }) {
                            *seen.batches.entry(run.len()).or_default() += run.len() as u64;
                        }
                        events.push(Reverse((
                            now + usual.mul_f64(factor * sim.slowness_at(now)),
                            Event::Free(lane),
                        )));
                        running.insert(lane, run);
                    }
                }
                if told.is_empty() {
                    break;
                }
            }
        }
        for (index, seat) in &seats {
            fates[*index].abandoned += seat.queue.len() as u64 + u64::from(seat.out);
        }
        seen.fates = fates;
        seen
    }

    fn usual(&self, run: &[Job], device: usize) -> (u64, Duration) {
        let cost = |job: &Job| match job {
            Job::Hop { player, .. } => self.players[*player].demand.costs[device].clone(),
            Job::Background => self.background.clone(),
        };
        let costs: Vec<Cost> = run.iter().filter_map(cost).collect();
        assert_eq!(costs.len(), run.len(), "a job on a device that cannot run it");
        assert!(costs.iter().all(|c| c.kind == costs[0].kind), "a batch of different kinds");
        assert!(run.len() <= costs[0].most_at_once(), "a batch larger than any that was measured");
        (costs[0].kind, costs[0].of(run.len()))
    }
}
