//! The choice by weight: rule FO13.

use heartbeat_proto::failover::{Endpoint, Event, Failover, FailoverConfig, Order};
use proptest::prelude::*;

use crate::world::{MS, World, at, exact, good, ns};

/// A failover whose endpoints have these weights and are all in the pool.
fn pool(weights: &[u8], seed: u64) -> Failover<8> {
    let mut failover = Failover::new(exact(), seed, at(0));
    for weight in weights {
        let endpoint = Endpoint::TCP.with_weight(*weight).expect("not zero");
        let _ = failover.add(endpoint, at(0)).expect("room");
    }
    let orders = failover.handle(Event::Tick, at(0));
    for order in orders {
        if let Order::Probe(probe) = order {
            let _ = failover.handle(Event::Answered { probe, rtt: ns(MS) }, at(0));
        }
    }
    failover
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// FO13: Y24: the exact bound of smooth weighted round robin, and exact shares each round.
    #[test]
    fn y24_weights_are_respected_within_the_exact_bound(
        weights in prop::collection::vec(1..=255_u8, 1..=8),
        seed: u64,
    ) {
        let mut failover = pool(&weights, seed);
        let total: i64 = weights.iter().copied().map(i64::from).sum();
        let n = weights.iter().fold(0, |n, _| n + 1_i64);
        let mut counts = vec![0_i64; weights.len()];
        for k in 1..=2 * total {
            counts[failover.pick().expect("a pool").slot()] += 1;
            for (count, weight) in counts.iter().zip(&weights) {
                // Both bounds times the total, so that all is whole.
                let ahead = count * total - k * i64::from(*weight);
                prop_assert!(ahead < total, "{ahead} of {total} ahead after {k}");
                prop_assert!(ahead > -(n - 1).max(1) * total, "{ahead} of {total} behind");
            }
            if k % total == 0 {
                let exact = weights.iter().map(|weight| i64::from(*weight) * (k / total));
                prop_assert_eq!(&counts, &exact.collect::<Vec<_>>());
            }
        }
    }
}

/// FO13: nginx's own example: 5, 1, 1 gives a a b a c a a, not five a at once.
#[test]
fn the_round_robin_is_smooth() {
    let order = |seed| {
        let mut failover = pool(&[5, 1, 1], seed);
        let picks: Vec<usize> = (0..7).map(|_| failover.pick().expect("a pool").slot()).collect();
        picks
    };
    let known = [[0, 0, 1, 0, 2, 0, 0], [0, 0, 2, 0, 1, 0, 0]];
    for seed in 0..20 {
        assert!(known.iter().any(|known| order(seed) == known), "{:?}", order(seed));
    }
}

/// FO13: over the sound; if there are none, over the pool; if that is empty, the active one.
#[test]
fn the_robin_prefers_the_sound() {
    let mut world: World<2> = World::new(exact(), 1, vec![good(MS), good(MS)]);
    world.run_to(10 * MS);
    let picks = |world: &mut World<2>| {
        let mut picks: Vec<usize> =
            (0..6).map(|_| world.failover.pick().expect("endpoints").slot()).collect();
        picks.sort_unstable();
        picks.dedup();
        picks
    };
    assert_eq!(picks(&mut world), [0, 1]);
    let (active, other) = (world.active(), 1 - world.active());
    let _ = world.tell(Event::Suspected { endpoint: world.ids[active] });
    assert_eq!(picks(&mut world), [other]);
    let _ = world.tell(Event::Errored { endpoint: world.ids[other] });
    assert_eq!(picks(&mut world), [0, 1]);
}

/// FO13: a fleet of clients divides itself in proportion to the weights.
#[test]
fn switches_are_drawn_by_weight() {
    let mut counts = [0_u32; 3];
    for seed in 0..3000 {
        let mut failover: Failover<3> = Failover::new(FailoverConfig::default(), seed, at(0));
        for weight in [1, 2, 3] {
            let endpoint = Endpoint::TCP.with_weight(weight).expect("not zero");
            let _ = failover.add(endpoint, at(0)).expect("room");
        }
        let orders = failover.handle(Event::Tick, at(0));
        counts[orders.switch_to().expect("the first choice").slot()] += 1;
    }
    // Means 500, 1000, 1500; four deviations are 82, 103, 110.
    for (count, mean) in counts.into_iter().zip([500_u32, 1000, 1500]) {
        assert!(count.abs_diff(mean) < 110, "{counts:?}");
    }
}
