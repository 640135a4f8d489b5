//! Do the deadlines of these streams hold on one lane? Non-preemptive earliest deadline first, hops as close together
//! as they may come, phases as bad as they may be.
//!
//! For every interval of length t: what must be done inside of it, plus one inference that began just before and ends
//! after it, must fit (the demand bound test of Jeffay, Stanat and Martel, 1991, for sporadic tasks).

use std::time::Duration;

/// A lane is never promised beyond this share of its time: near 1 the smallest error never ends.
pub const MOST_USE: f64 = 0.97;

/// What a stream asks of its lane at worst.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Claim {
    /// Least time between two hops.
    pub period: Duration,
    /// From a hop's coming to its end.
    pub deadline: Duration,
    /// One inference.
    pub cost: Duration,
}

impl Claim {
    /// Share of the lane's time.
    pub fn utilisation(&self) -> f64 {
        self.cost.as_secs_f64() / self.period.as_secs_f64().max(1e-9)
    }
}

/// For how long something that was not asked for may hold up a lane with these claims whatever the moment, `extra` once
/// being lost to a slow inference; `None` if not even the claims hold.
pub fn laxity(claims: &[Claim], extra: Duration) -> Option<Duration> {
    let coming = |(claim, count): &(Claim, u64)| Coming { claim: *claim, count: *count, wait: 0 };
    left(&grouped(claims).iter().map(coming).collect::<Vec<_>>(), extra, true)
}

/// For how long it may hold up the lane now, the next hop of each claim coming in so much time at the earliest. Nothing
/// is running, so nothing has begun before.
pub fn spare(claims: &[(Claim, Duration)], extra: Duration) -> Duration {
    let coming = |(claim, wait): &(Claim, Duration)| Coming { claim: *claim, count: 1, wait: nanos(*wait) };
    left(&claims.iter().map(coming).collect::<Vec<_>>(), extra, false).unwrap_or_default()
}

/// Equal claims whose next hop comes in `wait`.
struct Coming {
    claim: Claim,
    count: u64,
    wait: u64,
}

impl Coming {
    fn first(&self) -> u64 {
        self.wait.saturating_add(nanos(self.claim.deadline))
    }

    /// What must be done inside of `t`.
    fn demand(&self, t: u64) -> u64 {
        let period = nanos(self.claim.period).max(1);
        t.checked_sub(self.first())
            .map_or(0, |past| (past / period + 1) * nanos(self.claim.cost) * self.count)
    }
}

/// What every interval has left at least.
fn left(coming: &[Coming], extra: Duration, begun_before: bool) -> Option<Duration> {
    let utilisation: f64 = coming.iter().map(|c| c.claim.utilisation() * c.count as f64).sum();
    if utilisation > MOST_USE {
        return None;
    }
    let extra = nanos(extra);
    let left_at = |t: u64| {
        let demand: u64 = coming.iter().map(|c| c.demand(t)).sum();
        let longer = coming.iter().filter(|c| begun_before && c.first() > t).map(|c| nanos(c.claim.cost));
        t.checked_sub(demand + longer.max().unwrap_or_default() + extra)
    };
    let mut least = u64::MAX;
    for c in coming {
        least = least.min(left_at(c.first())?);
    }
    // The demand is at most Σ U·t + Σ U·(T − D): beyond the horizon there is more left than the least found so far.
    let over = |c: &Coming| {
        let early = nanos(c.claim.period).saturating_sub(nanos(c.claim.deadline));
        c.claim.utilisation() * c.count as f64 * early as f64
    };
    let begun = coming.iter().map(over).sum::<f64>() + extra as f64;
    for c in coming {
        let period = nanos(c.claim.period).max(1);
        let mut t = c.first() + period;
        while (t as f64) * (1.0 - utilisation) < least as f64 + begun {
            least = least.min(left_at(t)?);
            t += period;
        }
    }
    Some(Duration::from_nanos(least))
}

/// Equal claims count together: a band mostly plays with the same settings.
fn grouped(claims: &[Claim]) -> Vec<(Claim, u64)> {
    let mut sorted = claims.to_vec();
    sorted.sort_unstable();
    sorted.chunk_by(|a, b| a == b).map(|same| (same[0], same.len() as u64)).collect()
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX / 4)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claim(period: u64, deadline: u64, cost: u64) -> Claim {
        let [period, deadline, cost] = [period, deadline, cost].map(Duration::from_millis);
        Claim { period, deadline, cost }
    }

    fn laxity_millis(claims: &[Claim], extra: u64) -> Option<u64> {
        laxity(claims, Duration::from_millis(extra)).map(|left| left.as_millis() as u64)
    }

    #[test]
    fn all_at_once_must_fit_into_the_deadline() {
        let hop = claim(93, 80, 20);
        assert_eq!(laxity_millis(&[hop], 0), Some(60));
        assert_eq!(laxity_millis(&[hop; 3], 0), Some(20));
        assert_eq!(laxity_millis(&[hop; 4], 0), Some(0));
        assert_eq!(laxity_millis(&[hop; 4], 1), None);
    }

    #[test]
    fn utilisation_is_the_limit_where_deadlines_are_long() {
        let hop = claim(100, 1000, 24);
        assert!(laxity_millis(&[hop; 4], 0).is_some());
        assert_eq!(laxity_millis(&[hop; 5], 0), None, "120 % of the lane");
    }

    #[test]
    fn one_that_began_before_holds_up_the_shorter_deadline() {
        let (short, long) = (claim(50, 30, 10), claim(500, 400, 25));
        assert_eq!(laxity_millis(&[short, long], 0), None, "25 + 10 > 30");
        assert!(laxity_millis(&[short, claim(500, 400, 15)], 0).is_some());
    }

    #[test]
    fn a_gap_can_be_given_away_although_the_worst_moment_cannot() {
        let hop = claim(93, 80, 20);
        assert_eq!(laxity_millis(&[hop; 4], 0), Some(0));
        let coming = [40, 40, 60, 60].map(|wait| (hop, Duration::from_millis(wait)));
        // The last of them must be done in 140 ms, all four take 80.
        assert_eq!(spare(&coming, Duration::ZERO), Duration::from_millis(60));
        assert_eq!(spare(&[(hop, Duration::ZERO); 4], Duration::ZERO), Duration::ZERO);
    }

    #[test]
    fn an_empty_lane_has_all_the_time() {
        assert_eq!(laxity(&[], Duration::ZERO), Some(Duration::from_nanos(u64::MAX)));
    }
}
