//! Which stream belongs to which lane, and what each lane then has to spare. Values in, values out; must not know time
//! or jobs.

use std::time::Duration;

use crate::{
    Cost, Demand,
    fit::{self, Claim},
    observe::Observed,
};

/// Every inference is taken for so much longer than it usually is.
pub(crate) const MARGIN: f64 = 1.08;
/// Hops may come so much closer together than their period: one that was late catches up.
pub(crate) const SPACING: f64 = 0.97;

/// A stream and where it belongs.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Resident<'a> {
    pub(crate) id: u64,
    pub(crate) lane: usize,
    pub(crate) demand: &'a Demand,
    pub(crate) cost: &'a Cost,
}

/// What a lane has to spare.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Room {
    /// What was not promised may hold it up for so long.
    pub(crate) laxity: Duration,
    /// Its promises hold only if all that waits goes at once.
    pub(crate) batched: bool,
}

impl Room {
    pub(crate) const NONE: Self = Self { laxity: Duration::ZERO, batched: false };
}

/// A device as placing sees it.
pub(crate) struct Terms<'a> {
    pub(crate) lanes: usize,
    pub(crate) observed: &'a Observed,
    pub(crate) margin: f64,
}

impl Terms<'_> {
    /// What a lane with these streams has to spare; `None` if they do not fit on it.
    pub(crate) fn room(&self, streams: &[Resident<'_>]) -> Option<Room> {
        let extra = self.stall(streams);
        let claims: Vec<Claim> = streams.iter().map(|s| self.claim(s)).collect();
        match fit::laxity(&claims, extra) {
            Some(laxity) => Some(Room { laxity, batched: false }),
            None => self.batched_room(streams, extra),
        }
    }

    /// Whether a lane keeps up with these streams in the long run. Now and then one may still miss, if their hops come
    /// at the worst of moments.
    pub(crate) fn keeps_up(&self, streams: &[Resident<'_>]) -> bool {
        let claims: Vec<Claim> = streams.iter().map(|s| self.claim(s)).collect();
        claims.iter().map(Claim::utilisation).sum::<f64>() <= fit::MOST_USE
            && claims.iter().all(|claim| claim.cost <= claim.deadline)
            || self.batched_room(streams, Duration::ZERO).is_some()
    }

    /// What a lane can give away now, the next hop of each of its streams coming in `wait` at the earliest.
    pub(crate) fn spare(&self, streams: &[(Resident<'_>, Duration)]) -> Duration {
        let residents: Vec<Resident<'_>> = streams.iter().map(|(s, _)| *s).collect();
        let claims: Vec<_> = streams.iter().map(|(s, wait)| (self.claim(s), *wait)).collect();
        fit::spare(&claims, self.stall(&residents))
    }

    /// What an inference of `count` hops takes if it is the slow one.
    pub(crate) fn at_worst(&self, cost: &Cost, count: usize) -> Duration {
        let longer = cost.of(count).as_secs_f64() / cost.typical.as_secs_f64().max(1e-6);
        self.taken(cost, count) + self.observed.stall(cost).mul_f64(longer)
    }

    /// For how long an inference that was not promised to a lane with these streams holds it up, beyond the one slow
    /// inference that it is ready for anyway.
    pub(crate) fn holds_up(&self, cost: &Cost, streams: &[Resident<'_>]) -> Duration {
        self.taken(cost, 1) + self.observed.stall(cost).saturating_sub(self.stall(streams))
    }

    fn stall(&self, streams: &[Resident<'_>]) -> Duration {
        streams.iter().map(|s| self.observed.stall(s.cost)).max().unwrap_or_default()
    }

    fn claim(&self, stream: &Resident<'_>) -> Claim {
        Claim {
            period: stream.demand.period.mul_f64(SPACING),
            deadline: stream.demand.deadline,
            cost: self.taken(stream.cost, 1),
        }
    }

    fn taken(&self, cost: &Cost, count: usize) -> Duration {
        cost.of(count).mul_f64(self.margin * self.observed.slowness)
    }

    /// If all streams share a network that takes them all at once: whoever comes waits for the batch that runs and
    /// goes with the next one.
    fn batched_room(&self, streams: &[Resident<'_>], extra: Duration) -> Option<Room> {
        let first = streams.first()?.cost;
        if streams.iter().any(|s| s.cost.kind != first.kind) || streams.len() > first.most_at_once() {
            return None;
        }
        let all = self.taken(first, streams.len());
        let period = streams.iter().map(|s| s.demand.period.mul_f64(SPACING)).min()?;
        let deadline = streams.iter().map(|s| s.demand.deadline).min()?;
        let longer = all.as_secs_f64() / self.taken(first, 1).as_secs_f64().max(1e-6);
        let extra = extra.mul_f64(longer);
        let laxity = deadline.checked_sub(2 * all + extra)?;
        (all <= period.mul_f64(fit::MOST_USE)).then_some(Room { laxity, batched: true })
    }

    /// The lanes of all streams, `new` among them, by stream; `None` if they do not fit. Streams stay where they are
    /// as long as that goes.
    pub(crate) fn place(&self, old: &[Resident<'_>], new: Resident<'_>) -> Option<Vec<(u64, usize)>> {
        let mut all = old.to_vec();
        all.push(new);
        if all.iter().any(|s| s.cost.wide) {
            // One lane as far as promises go: a wide inference needs all of them at once.
            all.iter_mut().for_each(|s| s.lane = 0);
            return self.holds(&all).then(|| lanes_of(&all));
        }
        let last = all.len() - 1;
        for lane in self.emptiest_first(old) {
            all[last].lane = lane;
            // The other lanes are as they were, whether or not their promises would be given again.
            if self.room(&on_lane(&all, lane)).is_some() {
                return Some(lanes_of(&all));
            }
        }
        all.sort_by(|a, b| share(b).total_cmp(&share(a)).then(a.id.cmp(&b.id)));
        let mut placed: Vec<Resident<'_>> = Vec::with_capacity(all.len());
        for stream in all {
            let fits = |&lane: &usize| {
                let mut there: Vec<_> = placed.iter().filter(|s| s.lane == lane).copied().collect();
                there.push(stream);
                self.room(&there).is_some()
            };
            let lane = self.emptiest_first(&placed).into_iter().find(fits)?;
            placed.push(Resident { lane, ..stream });
        }
        self.holds(&placed).then(|| lanes_of(&placed))
    }

    fn holds(&self, streams: &[Resident<'_>]) -> bool {
        (0..self.lanes).all(|lane| {
            let there = on_lane(streams, lane);
            there.is_empty() || self.room(&there).is_some()
        })
    }

    fn emptiest_first(&self, streams: &[Resident<'_>]) -> Vec<usize> {
        let used = |lane: usize| on_lane(streams, lane).iter().map(share).sum::<f64>();
        let mut lanes: Vec<(f64, usize)> = (0..self.lanes).map(|lane| (used(lane), lane)).collect();
        lanes.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
        lanes.into_iter().map(|(_, lane)| lane).collect()
    }
}

pub(crate) fn on_lane<'a>(streams: &[Resident<'a>], lane: usize) -> Vec<Resident<'a>> {
    streams.iter().filter(|s| s.lane == lane).copied().collect()
}

/// Share of a lane that a stream usually takes.
pub(crate) fn share(stream: &Resident<'_>) -> f64 {
    stream.cost.typical.as_secs_f64() / stream.demand.period.as_secs_f64().max(1e-9)
}

fn lanes_of(streams: &[Resident<'_>]) -> Vec<(u64, usize)> {
    streams.iter().map(|s| (s.id, s.lane)).collect()
}
