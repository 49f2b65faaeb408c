//! FL1: a fleet of N is N machines.

use core::time::Duration;

use heartbeat_proto::detector::{Compact, Deadline, Detector};
use heartbeat_proto::fleet::{Doubt, GuardConfig};
use proptest::prelude::*;

use crate::lives::op;
use crate::ops::{Op, configs};
use crate::twins::Pair;

fn run<D: Detector>(detector: D, guard: Option<GuardConfig>, ops: &[Op]) -> (u64, u64) {
    let mut pair = Pair::new(configs(detector), guard);
    for op in ops {
        pair.play(op);
        pair.compare();
    }
    // GD1: counted anew, all is as it was kept.
    if let (Some(guard), Some(kept)) = (guard, pair.fleet.guard_report(Doubt::Observer)) {
        pair.fleet.set_guard(guard).expect("valid");
        let anew = pair.fleet.guard_report(Doubt::Observer).expect("a guard");
        assert_eq!((anew.members, anew.silent), (kept.members, kept.silent));
    }
    let stats = pair.fleet.census().stats();
    (stats.pongs_received, stats.beacons_received)
}

/// Quick to doubt, and with few verdicts to give.
fn guard() -> impl Strategy<Value = GuardConfig> {
    (1..2_000_u64, 1..80_u8, 2..4_u32, 1..3_u32, 1..20_u32).prop_map(
        |(hold_most, share, least, sample, rate)| {
            let guard = GuardConfig::new(Duration::from_millis(hold_most)).share(share);
            guard.least(least).sample(sample).verdicts_per_second(rate)
        },
    )
}

/// The random lives are not all short and miserable: most pings are answered in time, so that the
/// short-cuts for the common steps are taken, too.
#[test]
fn most_peers_are_healthy() {
    use proptest::strategy::ValueTree;
    use proptest::test_runner::TestRunner;
    let mut runner = TestRunner::deterministic();
    let lives = prop::collection::vec(op(), 100..150);
    let (mut pongs, mut beacons) = (0, 0);
    for _ in 0..10 {
        let life = lives.new_tree(&mut runner).expect("generates").current();
        let heard = run(Deadline::fixed(), None, &life);
        (pongs, beacons) = (pongs + heard.0, beacons + heard.1);
    }
    assert!(pongs > 500 && beacons > 500, "{pongs} pongs and {beacons} beacons in ten lives");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    /// FL1, FL2, FL3, FL4, FL5, FL6, with the fixed deadline.
    #[test]
    fn a_fleet_is_its_machines(ops in prop::collection::vec(op(), 1..100)) {
        run(Deadline::fixed(), None, &ops);
    }

    /// FL1 with a detector that has a state.
    #[test]
    fn a_fleet_is_its_machines_with_a_detector_that_learns(
        ops in prop::collection::vec(op(), 1..100),
    ) {
        run(Compact::default().on(heartbeat_proto::detector::Source::Pongs), None, &ops);
    }

    /// FL1, GD1, GD3 with a guard: its holds are events that the machines take, too.
    #[test]
    fn a_guarded_fleet_is_its_machines(
        ops in prop::collection::vec(op(), 1..100),
        guard in guard(),
    ) {
        run(Deadline::fixed(), Some(guard), &ops);
    }
}
