//! The simulator: its digest, that every invariant can break, that what breaks is shrunk and
//! replays, and worlds written by hand.
#![cfg(feature = "sim")]
#![allow(clippy::large_types_passed_by_value, reason = "configurations are values; no speed here")]

mod sim_log;
mod sim_worlds;

use heartbeat_proto::Timestamp;
use heartbeat_proto::sim::{Failure, Invariant, Plan, Sabotage, Simulator, Totals};

/// The digest of the first seeds, and of a million of them (`tests/long.sh`). When they change and
/// the change was meant (a fixed rule, another fault), replace them by what the failure prints, in
/// the commit that changes the behaviour.
const SLICE: (u64, &str) = (2_000, "2f41371479ba892a");
const ALL: (u64, &str) = (1_000_000, "2753fcdbe641efb1");

fn run(seeds: impl Iterator<Item = u64>) -> Totals {
    let mut simulator = Simulator::new();
    for seed in seeds {
        if let Err(broken) = simulator.run(seed) {
            panic!("{}", simulator.explain(seed, broken));
        }
    }
    *simulator.totals()
}

/// M4: the same on every run and every platform; and the faults really happen.
#[test]
fn the_first_seeds_keep_every_invariant_and_the_digest() {
    let totals = run(0..SLICE.0);
    let coverage = &totals.coverage;
    let met = |what: &str, count: (&str, u64)| assert!(count.1 > 0, "no {} {what}", count.0);
    coverage.findings().for_each(|count| met("found", count));
    coverage.faults().for_each(|count| met("made", count));
    coverage.traffic().for_each(|count| met("seen", count));
    coverage.states().skip(1).for_each(|count| met("entered", count));
    let convicting = coverage.verdicts().skip(4).take(9);
    convicting.for_each(|count| met("convicted", count));
    let changing = coverage.changes();
    let life =
        ["started", "heard", "missed", "detector", "probe_loss", "closed_locally", "goodbye"];
    changing.filter(|(name, _)| life.contains(name)).for_each(|count| met("told", count));
    assert_eq!(totals.digest.to_string(), SLICE.1, "the behaviour changed");
}

#[test]
#[ignore = "a minute, optimised: `tests/long.sh sim` runs it"]
fn a_million_seeds_keep_every_invariant_and_the_digest() {
    let half = ALL.0 / 2;
    let other = std::thread::spawn(move || run(half..ALL.0));
    let mut totals = run(0..half);
    totals.add(&other.join().expect("the other half"));
    assert_eq!(totals.digest.to_string(), ALL.1, "the behaviour changed");
}

/// Seeds may be shared between threads in any way.
#[test]
fn the_order_of_seeds_does_not_matter() {
    let mut parts = run((50..100).rev());
    parts.add(&run(0..50));
    assert_eq!(parts, run(0..100));
}

/// M3: a constant added to all clocks changes nothing else.
#[test]
fn moving_every_clock_changes_nothing() {
    let mut digests = [0, 1 << 40, 1 << 62].map(|base| {
        let mut simulator = Simulator::new();
        for seed in 0..150 {
            // Steps back must not reach the beginning of the clock.
            let base = Timestamp::from_nanos(base + (1 << 45));
            simulator.run_shifted(seed, base).expect("it holds elsewhere");
        }
        simulator.totals().digest
    });
    digests.sort_by_key(|digest| digest.as_u64());
    assert_eq!(digests[0], digests[2]);
}

/// What each broken machine must be caught at.
const CAUGHT: [(Sabotage, Invariant); 16] = [
    (Sabotage::HastyVerdict, Invariant::Accuracy),
    (Sabotage::WrongSilence, Invariant::Exactness),
    (Sabotage::NoPings, Invariant::ProbeBeforeVerdict),
    (Sabotage::PingAfterEnd, Invariant::Final),
    (Sabotage::NoPongs, Invariant::Answer),
    (Sabotage::PongForData, Invariant::Answer),
    (Sabotage::WrongCalm, Invariant::Answer),
    (Sabotage::Twice, Invariant::NoAmplification),
    (Sabotage::NoWakeUp, Invariant::WakeUp),
    (Sabotage::StuckWakeUp, Invariant::Progress),
    (Sabotage::EarlyTick, Invariant::NoEarlyEffect),
    (Sabotage::HastyWakeUp, Invariant::Laziness),
    (Sabotage::SilentRegression, Invariant::Monotone),
    (Sabotage::RepeatedTick, Invariant::Idempotence),
    (Sabotage::NoTicks, Invariant::Convergence),
    (Sabotage::LateWakeUp, Invariant::Completeness),
];

fn first_failure(sabotage: Sabotage, invariant: Invariant) -> Failure {
    let mut simulator = Simulator::sabotaged(sabotage);
    for seed in 0..400 {
        if let Err(broken) = simulator.run(seed) {
            if broken.invariant == invariant {
                return simulator.explain(seed, broken);
            }
        }
    }
    panic!("nobody notices {sabotage:?}")
}

#[test]
fn every_broken_machine_is_caught_and_its_script_is_minimal() {
    for (sabotage, invariant) in CAUGHT {
        let failure = first_failure(sabotage, invariant);
        let replayed = failure.replay(sabotage).expect("it still breaks");
        assert_eq!(replayed, failure.smallest, "{sabotage:?}");
        assert_eq!(replayed.invariant, invariant, "{sabotage:?}");
        assert!(failure.plan.steps.len() <= Plan::of(failure.plan.seed).steps.len());
        let text = failure.to_string();
        assert!(text.contains(&format!("breaks {invariant}")), "{text}");
        // The log is as long as it must be: no entry of it can go.
        let sampled = matches!(invariant, Invariant::NoEarlyEffect | Invariant::Idempotence);
        if invariant.is_local() && !sampled {
            assert!(failure.log.entries().len() <= 12, "{sabotage:?}: {text}");
        }
        // The machine itself is sound.
        if failure.plan.echo {
            let sound = failure.log.check::<heartbeat_proto::Echo>(failure.config());
            assert_eq!(sound, Ok(None), "{sabotage:?}");
        }
    }
}

/// Whoever leaves any step out of the smallest plan finds nothing.
#[test]
fn the_smallest_plan_is_the_smallest() {
    let failure = first_failure(Sabotage::SilentRegression, Invariant::Monotone);
    let starts = |plan: &Plan, index: usize| plan.steps[index].fault.to_string().contains("Start");
    for index in 0..failure.plan.steps.len() {
        if starts(&failure.plan, index) {
            continue;
        }
        let mut smaller = failure.clone();
        smaller.plan.steps.remove(index);
        let broken = smaller.replay(Sabotage::SilentRegression);
        assert!(broken.is_none_or(|broken| broken.invariant != Invariant::Monotone), "{failure}");
    }
}
