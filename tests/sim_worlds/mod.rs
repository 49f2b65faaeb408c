//! Worlds written by hand: what users' tests look like; and the invariants that only another claim
//! than the machine's own configuration breaks.

use core::time::Duration;

use heartbeat_proto::detector::Deadline;
use heartbeat_proto::sim::{Broken, Fault, Invariant, World};
use heartbeat_proto::{
    Config, ConfigBuilder, Echo, Event, LatePolicy, LifeRule, Liveness, Mode, Reason, Timestamp,
};

const fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

fn lan() -> ConfigBuilder {
    Config::builder().interval(secs(1)).timeout(secs(4))
}

fn config(builder: ConfigBuilder) -> Config {
    builder.build().expect("valid")
}

/// A pair of the first configuration, of whose end 0 the second is claimed.
fn claimed(real: Config, claim: Config) -> World {
    let mut world = World::pair(real, Config::lan(), 5);
    world.claim(0, claim);
    world
}

fn broken(result: Result<(), Broken>) -> Invariant {
    result.expect_err("the claim is false").invariant
}

#[test]
fn a_verdict_before_the_claimed_limit_breaks_accuracy() {
    let claim = config(lan().floor(secs(6)).ceiling(secs(8)));
    let mut world = claimed(Config::lan(), claim);
    world.run_for(secs(3)).expect("alive");
    world.partition(0);
    assert_eq!(broken(world.run_for(secs(20))), Invariant::Accuracy);
}

#[test]
fn a_verdict_after_the_claimed_promise_breaks_completeness() {
    let mut world = claimed(config(lan().timeout(secs(50)).attempts(15)), Config::lan());
    world.run_for(secs(3)).expect("alive");
    world.partition(0);
    assert_eq!(broken(world.run_for(secs(80))), Invariant::Completeness);
}

/// A listener makes no call between its suspicion and its verdict: the verdict itself is too late.
#[test]
fn a_late_verdict_breaks_completeness_though_no_call_was_late() {
    let listener = |timeout| config(lan().mode(Mode::Passive).timeout(secs(timeout)));
    let mut world = World::pair(listener(8), config(lan().mode(Mode::Beacon)), 5);
    world.claim(0, listener(4));
    world.run_for(secs(3)).expect("alive");
    world.partition(0);
    assert_eq!(broken(world.run_for(secs(80))), Invariant::Completeness);
}

#[test]
fn pings_closer_than_the_claimed_gap_break_the_gap() {
    let wide = config(
        lan().min_gap(Duration::from_millis(890)).suspect_interval(Duration::from_millis(900)),
    );
    let mut world = claimed(Config::lan(), wide);
    world.run_for(secs(3)).expect("alive");
    world.tell(0, Event::PingDue); // Within the claimed gap, or soon after it the next slot is.
    assert_eq!(broken(world.run_for(secs(3))), Invariant::Gap);
}

#[test]
fn a_strict_machine_breaks_the_claimed_grace() {
    let strict = config(lan().late_policy(LatePolicy::Strict));
    let mut world = claimed(strict, Config::lan());
    world.run_for(secs(3)).expect("alive");
    world.partition(0);
    world.freeze(0);
    world.run_for(secs(60)).expect("nobody is told anything");
    world.thaw(0);
    assert_eq!(broken(world.run_for(secs(1))), Invariant::StallGrace);
}

/// The peer talks but answers nothing: data is life to the machine, and none by the claim.
#[test]
fn data_as_life_breaks_a_claim_of_pongs_only() {
    let mut world = claimed(Config::lan(), config(lan().life_rule(LifeRule::ExactPong)));
    world.run_for(secs(3)).expect("alive");
    world.apply(Fault::Freeze { node: 1 });
    world.run_for(Duration::from_millis(100)).expect("no news");
    for _ in 0..2 {
        world.tell(0, Event::FrameReceived);
        world.run_for(secs(1)).expect("data");
    }
    assert_eq!(broken(world.run_for(secs(20))), Invariant::ReceivedOnly);
}

#[test]
fn a_verdict_that_nobody_expects_breaks_accuracy_of_the_world() {
    let mut world = World::pair(Config::lan(), Config::lan(), 5);
    world.expect_no_verdict(0);
    world.run_for(secs(100)).expect("all is well");
    world.cut(1);
    let broken = world.run_for(secs(20)).expect_err("a verdict");
    assert_eq!(broken.invariant, Invariant::NoFalsePositive);
    assert_eq!(broken.end, 0);
    assert!(broken.to_string().starts_with("S3: a living peer"), "{broken}");
    // The world stands still then.
    assert!(world.run_for(secs(20)).is_err());
}

/// The other end does not see that the first one died: half-open, and found out by silence.
#[test]
fn a_half_open_connection_is_found_out_and_connected_anew() {
    let mut world = World::pair(Config::lan(), Config::lan(), 5);
    world.run_for(secs(3)).expect("alive");
    world.crash(0);
    world.run_for(secs(3)).expect("half-open");
    assert!(world.liveness(1).is_live());
    world.run_for(secs(3)).expect("given up");
    assert_eq!(world.liveness(1), Liveness::Lost);
    let reason = world.machine(1).report().map(|report| report.reason);
    assert_eq!(reason, Some(Reason::NoResponse));
    world.restart(0);
    world.run_for(secs(3)).expect("anew");
    assert_eq!([world.liveness(0), world.liveness(1)], [Liveness::Alive; 2]);
    assert_eq!(world.elapsed(), secs(12));
}

/// A frozen process convicts nobody: it reads what came, or asks once more.
#[test]
fn a_long_freeze_costs_the_peer_nothing() {
    let mut world = World::pair(Config::lan(), config(lan().late_policy(LatePolicy::Strict)), 5);
    world.run_for(secs(3)).expect("alive");
    world.expect_no_verdict(0);
    world.freeze(0);
    world.run_for(secs(600)).expect("frozen");
    assert_eq!(world.liveness(1), Liveness::Lost);
    world.thaw(0);
    world.run_for(Duration::from_millis(1)).expect("a probe");
    assert!(world.liveness(0).is_live());
}

/// A hub with three peers, other parts and the echo ledger; the last node is asleep for a while.
#[test]
fn more_than_two_nodes_and_another_ledger() {
    let mut world = World::<Deadline, Echo>::new(9, Timestamp::EPOCH);
    let hub = world.add_node();
    let modes = [Mode::Responder, Mode::Symmetric, Mode::Initiator];
    for mode in modes {
        let peer = world.add_node();
        let mine = config(lan().mode(if mode == Mode::Responder {
            Mode::Initiator
        } else {
            Mode::Symmetric
        }));
        let link = world.connect([hub, peer], [mine, config(lan().mode(mode))], secs(0));
        world.start(link);
    }
    world.run_for(secs(5)).expect("alive");
    assert!((0..6).all(|end| world.liveness(end) == Liveness::Alive));
    world.apply(Fault::Suspend { node: 3, told: true });
    world.run_for(secs(20)).expect("asleep");
    assert_eq!(world.liveness(4), Liveness::Lost, "it cannot know");
    assert_eq!(world.liveness(0), Liveness::Alive);
    world.apply(Fault::Wake { node: 3, clock_stood: true, told: true });
    world.heal();
    world.reconnect(2);
    world.run_for(secs(5)).expect("awake");
    assert!((0..6).all(|end| world.liveness(end) == Liveness::Alive));
}

#[test]
fn equal_scripts_have_equal_digests() {
    let run = |seed| {
        let mut world = World::pair(Config::lan(), Config::wan(), seed);
        world.apply(Fault::Lose { end: 0, of_1024: 300 });
        world.apply(Fault::Jitter { end: 1, span: 50_000_000, reorder: true });
        world.run_for(secs(60)).expect("every invariant holds");
        world.digest()
    };
    assert_eq!(run(1), run(1));
    assert_ne!(run(1), run(2));
}
