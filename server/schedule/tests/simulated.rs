//! What is promised is kept: the scheduler on simulated devices, in virtual time.

mod sim;

use std::time::Duration;

use rehearsekit_schedule::{Cost, Demand, Hop, LaneId, Scheduler};
use sim::{Dice, Fate, Sim, SimDevice, SimPlayer, millis};

fn cost(kind: u64, typical: u64) -> Cost {
    Cost { kind, typical: millis(typical), batches: Vec::new(), wide: false }
}

fn demand(period: u64, deadline: u64, cost: Cost) -> Demand {
    Demand { period: millis(period), deadline: millis(deadline), costs: vec![Some(cost)] }
}

/// Much as `spleeter-2stems` at a hop of four columns, at 250 and at 500 ms.
fn live(budget: u64) -> Demand {
    if budget < 400 { demand(93, 90, cost(4, 18)) } else { demand(186, 240, cost(8, 21)) }
}

fn band(demands: &[Demand], seed: u64) -> Vec<SimPlayer> {
    let mut dice = Dice(seed);
    let player = |d: &Demand| SimPlayer::always(d.clone(), d.period.mul_f64(dice.share()));
    demands.iter().map(player).collect()
}

fn share(demand: &Demand) -> f64 {
    let cost = demand.costs[0].as_ref().expect("a cost");
    cost.typical.as_secs_f64() / demand.period.as_secs_f64()
}

fn nobody_admitted_misses(fates: &[Fate]) {
    for (index, fate) in fates.iter().enumerate().filter(|(_, fate)| fate.admitted) {
        assert_eq!(fate.misses(), 0, "player {index}: {:?}", (fate.late, fate.dropped, &fate.missed_at));
        assert_eq!(fate.in_time + fate.abandoned, fate.hops, "player {index}: hops got lost");
        assert!(fate.hops > 0, "player {index} never played");
    }
}

#[test]
fn at_85_percent_of_ideal_capacity_everybody_is_admitted_and_nobody_misses() {
    let device = [SimDevice::steady(2)];
    for seed in 0..20 {
        // Deadlines of a second: the share of the time is all that limits.
        let one = demand(100, 1000, cost(1, 17));
        let players = band(&vec![one; 10], seed);
        let seen = Sim { devices: &device, players: &players, background: None, seed }.run(millis(60_000));
        assert!(seen.fates.iter().all(|fate| fate.admitted), "10 × 17 % on two lanes");
        nobody_admitted_misses(&seen.fates);
    }
}

#[test]
fn at_130_percent_the_rest_is_refused_at_the_door() {
    let device = [SimDevice::steady(2)];
    for seed in 0..20 {
        let one = demand(200, 1000, cost(1, 13));
        let players = band(&vec![one.clone(); 40], seed);
        let seen = Sim { devices: &device, players: &players, background: None, seed }.run(millis(60_000));
        let admitted = seen.fates.iter().filter(|fate| fate.admitted).count();
        let used = admitted as f64 * share(&one) / 2.0;
        assert!((0.8..1.0).contains(&used), "{admitted} admitted take {used:.2}");
        assert!(seen.fates.iter().filter(|fate| !fate.admitted).all(|fate| fate.hops == 0));
        nobody_admitted_misses(&seen.fates);
    }
}

#[test]
fn short_deadlines_admit_fewer_and_they_all_hold() {
    let count = |budget: u64| {
        let players = band(&vec![live(budget); 24], budget);
        let sim = Sim { devices: &[SimDevice::steady(2)], players: &players, background: None, seed: budget };
        let seen = sim.run(millis(300_000));
        nobody_admitted_misses(&seen.fates);
        seen.fates.iter().filter(|fate| fate.admitted).count()
    };
    let (tight, loose) = (count(250), count(500));
    assert!(tight >= 6, "{tight} at 250 ms");
    assert!(loose > tight, "{loose} at 500 ms");
}

#[test]
fn models_and_budgets_mix_also_with_a_model_that_needs_all_lanes() {
    let four_stems =
        Demand { costs: vec![Some(Cost { wide: true, ..cost(9, 300) })], ..demand(900, 1500, cost(9, 300)) };
    let patient = demand(186, 700, cost(8, 21));
    let demands = [vec![four_stems], vec![patient; 8], vec![live(250); 3]].concat();
    let players = band(&demands, 3);
    let seen = Sim { devices: &[SimDevice::steady(2)], players: &players, background: None, seed: 3 }
        .run(millis(120_000));
    nobody_admitted_misses(&seen.fates);
    let admitted: Vec<bool> = seen.fates.iter().map(|fate| fate.admitted).collect();
    assert!(admitted[0] && admitted[1] && admitted[2], "{admitted:?}");
    assert!(!admitted[9..].contains(&true), "nobody with 90 ms can wait for 300: {admitted:?}");
}

#[test]
fn batches_are_made_where_they_pay_and_hold_more_players() {
    // Two at once cost little more than one, as on a graphics card.
    let batched =
        |most: u64| Cost { batches: (2..=most).map(|n| millis(10 + 2 * n)).collect(), ..cost(1, 12) };
    let admitted = |most: u64| {
        let players = band(&vec![demand(50, 80, batched(most)); 30], most);
        let seen = Sim { devices: &[SimDevice::steady(1)], players: &players, background: None, seed: most }
            .run(millis(60_000));
        nobody_admitted_misses(&seen.fates);
        (seen.fates.iter().filter(|fate| fate.admitted).count(), seen.batches)
    };
    let (alone, batches) = admitted(1);
    assert!(batches.keys().all(|size| *size == 1));
    let (together, batches) = admitted(16);
    assert!(together > 2 * alone, "{alone} alone, {together} together");
    assert!(batches.keys().any(|size| *size > 2), "{batches:?}");
}

#[test]
fn a_slower_device_costs_the_newest_and_all_recover() {
    let device =
        SimDevice { slowness: vec![(millis(20_000), 2.0), (millis(40_000), 1.0)], ..SimDevice::steady(2) };
    for seed in 0..10 {
        let players = band(&vec![live(500); 12], seed);
        let sim = Sim { devices: std::slice::from_ref(&device), players: &players, background: None, seed };
        let seen = sim.run(millis(70_000));
        let fates: Vec<&Fate> = seen.fates.iter().filter(|fate| fate.admitted).collect();
        assert!(fates.len() >= 10, "{} admitted", fates.len());
        // It takes some inferences until it is noticed; then whoever stays misses nothing.
        let missed = |fate: &Fate, from: u64, to: u64| {
            fate.missed_at.iter().filter(|at| (millis(from)..millis(to)).contains(at)).count()
        };
        for (age, fate) in fates.iter().enumerate() {
            assert_eq!(missed(fate, 0, 20_000) + missed(fate, 43_000, 70_000), 0, "player {age}");
        }
        let during: Vec<usize> = fates.iter().map(|fate| missed(fate, 22_000, 40_000)).collect();
        assert_eq!(during[..fates.len() / 2 - 1].iter().sum::<usize>(), 0, "the older half: {during:?}");
        assert!(during[fates.len() - 1] > 80, "the newest is paused: {during:?}");
    }
}

#[test]
fn a_short_stall_costs_the_newest_a_few_hops() {
    // Every five seconds everything takes twice as long for 300 ms, as on a machine that others use too.
    let stalls = (1..24).flat_map(|n| [(millis(5_000 * n), 2.0), (millis(5_000 * n + 300), 1.0)]).collect();
    let device = SimDevice { slowness: stalls, ..SimDevice::steady(2) };
    let (mut old, mut new, mut all) = (0, 0, 0);
    for seed in 0..10 {
        let players = band(&vec![live(250); 12], seed);
        let sim = Sim { devices: std::slice::from_ref(&device), players: &players, background: None, seed };
        let seen = sim.run(millis(120_000));
        let fates: Vec<&Fate> = seen.fates.iter().filter(|fate| fate.admitted).collect();
        let half = fates.len() / 2;
        old += fates[..half].iter().map(|fate| fate.misses()).sum::<u64>();
        new += fates[half..].iter().map(|fate| fate.misses()).sum::<u64>();
        all += fates.iter().map(|fate| fate.hops).sum::<u64>();
    }
    assert!(old * 5 < new, "{old} missed by the older half, {new} by the newer");
    // The stalls are 6 % of the time.
    assert!(new * 50 < all, "{new} of {all}");
}

#[test]
fn work_in_the_background_costs_the_live_less_than_one_inference() {
    let run = |background: Option<Cost>| {
        let players = band(&vec![live(250); 20], 5);
        let sim = Sim { devices: &[SimDevice::steady(2)], players: &players, background, seed: 5 };
        let seen = sim.run(millis(120_000));
        nobody_admitted_misses(&seen.fates);
        let mut all: Vec<Duration> = seen.fates.iter().flat_map(|fate| fate.turnarounds.clone()).collect();
        all.sort();
        (all[all.len() * 99 / 100], seen.background_done)
    };
    let ((alone, _), (beside, done)) = (run(None), run(Some(cost(4, 18))));
    assert!(beside < alone + millis(18), "p99 {alone:?} alone, {beside:?} beside background work");
    assert!(done > 500, "the rest of the time is used: {done}");
}

#[test]
fn somebody_s_bad_link_is_nobody_else_s_problem() {
    let mut players = band(&vec![live(250); 6], 8);
    for (index, player) in players.iter_mut().enumerate() {
        if index % 2 == 0 {
            player.burst = 8;
        } else {
            player.jitter = millis(10);
        }
    }
    let seen = Sim { devices: &[SimDevice::steady(2)], players: &players, background: None, seed: 8 }
        .run(millis(120_000));
    for (index, fate) in seen.fates.iter().enumerate() {
        assert!(fate.admitted, "player {index}");
        if index % 2 == 1 {
            assert_eq!(fate.misses(), 0, "player {index}, with a good link");
        } else {
            assert!(fate.misses() > 0, "player {index}, whose hops come too late to be of use");
        }
    }
}

#[test]
fn on_a_device_that_nobody_uses_what_it_suffered_before_is_no_reason_for_a_no() {
    let lane = LaneId { device: 0, lane: 0 };
    let mut scheduler = Scheduler::new(&[1]);
    for n in 0..40 {
        scheduler.submit_background(cost(1, 20), ());
        assert_eq!(scheduler.next(lane, millis(100 * n)).run.len(), 1);
        scheduler.finished(lane, millis(100 * n + 60));
    }
    assert!(scheduler.loads()[0].slowness > 2.0);
    // As tight as a planner makes it that takes an inference for half as long again, and a tenth.
    let tight = demand(100, 32, cost(1, 20));
    assert!(scheduler.admit(&tight).is_some());
    assert!(!scheduler.fits(&demand(100, 1000, cost(1, 20))), "beside somebody it counts");
}

#[test]
fn what_is_suggested_still_fits_when_the_device_has_become_a_little_slower() {
    let lane = LaneId { device: 0, lane: 0 };
    let mut scheduler = Scheduler::new(&[1]);
    let resident = demand(200, 150, cost(1, 30));
    let id = scheduler.admit(&resident).expect("an empty lane");
    let (tight, easy) = (demand(200, 85, cost(1, 30)), demand(200, 120, cost(1, 30)));
    assert!(scheduler.fits(&tight) && !scheduler.fits_for_a_while(&tight));
    assert!(scheduler.fits_for_a_while(&easy));
    for n in 0..40 {
        let ready = millis(200 * n);
        assert!(scheduler.submit(id, Hop { ready, due: ready + millis(150) }, ()).is_ok());
        assert_eq!(scheduler.next(lane, ready).run.len(), 1);
        scheduler.finished(lane, ready + millis(33));
    }
    assert!(!scheduler.fits(&tight), "10 % slower");
    assert!(scheduler.fits(&easy));
}

/// Devices, models, budgets, links, comings and goings by chance.
#[test]
fn a_thousand_scenarios() {
    let (mut admitted, mut refused) = (0, 0);
    for seed in 0..1000 {
        let mut dice = Dice(seed * 7919);
        let devices: Vec<SimDevice> =
            (0..dice.between(1, 2)).map(|_| SimDevice::steady(dice.between(1, 3) as usize)).collect();
        let kinds = dice.between(1, 3);
        let speeds: Vec<f64> = devices.iter().map(|_| 0.5 + 1.5 * dice.share()).collect();
        let costs: Vec<Vec<Option<Cost>>> = (0..kinds)
            .map(|kind| {
                let base = dice.between(4, 60) as f64;
                let batches = dice.between(0, 3);
                let wide = dice.share() < 0.2;
                let on = |speed: &f64| {
                    let typical = Duration::from_secs_f64(base * speed / 1e3);
                    let batches = (0..batches).map(|n| typical.mul_f64(1.0 + 0.6 * (n + 1) as f64)).collect();
                    Cost { kind, typical, batches, wide }
                };
                speeds.iter().map(|speed| (dice.share() < 0.9).then(|| on(speed))).collect()
            })
            .collect();
        let players: Vec<SimPlayer> = (0..dice.between(1, 16))
            .map(|_| {
                let costs = costs[dice.roll() as usize % costs.len()].clone();
                let period = millis(dice.between(20, 400));
                let demand = Demand { period, deadline: millis(dice.between(20, 800)), costs };
                let joins = millis(dice.between(0, 4_000));
                SimPlayer {
                    demand,
                    joins,
                    leaves: joins + millis(dice.between(2_000, 12_000)),
                    phase: period.mul_f64(dice.share()),
                    jitter: period.mul_f64(0.3 * dice.share()),
                    burst: 1,
                }
            })
            .collect();
        let background = (dice.share() < 0.3).then(|| Cost {
            kind: 99,
            typical: millis(10),
            batches: Vec::new(),
            wide: false,
        });
        let seen = Sim { devices: &devices, players: &players, background, seed }.run(millis(16_000));
        for (index, fate) in seen.fates.iter().enumerate() {
            let told = fate.in_time + fate.misses() + fate.abandoned;
            assert_eq!(told, fate.hops, "seed {seed}, player {index}: hops got lost");
            assert_eq!(fate.misses(), 0, "seed {seed}, player {index}: {:?}", fate.missed_at);
            if fate.admitted { admitted += 1 } else { refused += 1 }
        }
    }
    assert!(
        admitted > 2000 && refused > 1000,
        "{admitted} admitted, {refused} refused: the dice say too little"
    );
}
