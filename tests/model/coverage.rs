//! Which world covers what, read off their rules and their fates; and what none covers.

use core::any::type_name;

use heartbeat_proto::{LatePolicy, Ledger, LifeRule, Mode, detector::Detector};

use crate::fate::{Data, Fate};
use crate::rules::Rules;
use crate::world::World;

/// What no configuration covers, and what else does.
pub(crate) const NOT_COVERED: [&str; 8] = [
    "jitter and phase (the offsets stand for them): tests/properties, proofs/",
    "the clock stepping back, or at its end: tests/regressions/life.rs, proofs/",
    "calm signals, the peer's limit, accept_gap and strikes: tests/properties, tests/reference",
    "reconfiguring a running machine: tests/reference, fuzz/bodies",
    "verdicts by policy (Convict): tests/state_machine",
    "start-up limit and grace: tests/state_machine, tests/properties/promise.rs",
    "the RTT-adaptive detector (its estimate spans too many states): tests/hazard.rs",
    "spans of more than some units, more than two ends: tests/properties/promise.rs, proofs/",
];

type Feature = (&'static str, fn(&Rules, &Fate) -> bool);

const FEATURES: [Feature; 34] = [
    ("Symmetric", |rules, _| rules.mode == Mode::Symmetric),
    ("Initiator", |rules, _| rules.mode == Mode::Initiator),
    ("Responder", |rules, _| rules.mode == Mode::Responder),
    ("Beacon", |rules, _| rules.mode == Mode::Beacon),
    ("Passive", |rules, _| rules.mode == Mode::Passive),
    ("Reprobe", |rules, _| rules.late == LatePolicy::Reprobe),
    ("Forgive", |rules, _| matches!(rules.late, LatePolicy::Forgive(_))),
    ("Strict", |rules, _| rules.late == LatePolicy::Strict),
    ("ExactPong", |rules, _| rules.life == LifeRule::ExactPong),
    ("AnyPong", |rules, _| rules.life == LifeRule::AnyPong),
    ("AnyFrame", |rules, _| rules.life == LifeRule::AnyFrame),
    ("AnyByte", |rules, _| rules.life == LifeRule::AnyByte),
    ("ids", |rules, _| rules.ids),
    ("no ids", |rules, _| !rules.ids),
    ("PingSchedule::External", |rules, _| rules.external),
    ("Probing::Always", |rules, _| rules.always),
    ("write reports", |rules, _| rules.writes),
    ("keepalive", |rules, _| rules.keepalive.is_some()),
    ("k-of-n", |rules, _| rules.loss.is_some()),
    ("reopen_after", |rules, _| rules.reopen != 0),
    ("overtaking", |_, fate| fate.delay > 0),
    ("loss", |_, fate| fate.loss.is_some()),
    ("duplication", |_, fate| fate.duplication),
    ("crash", |_, fate| fate.crash),
    ("restart", |_, fate| fate.restart),
    ("stall", |_, fate| fate.stall > 0),
    ("late timers", |_, fate| fate.late > 0),
    ("suspension", |_, fate| fate.suspend > 0),
    ("blocked writer", |_, fate| fate.block),
    ("strangers", |_, fate| fate.strangers),
    ("traffic", |_, fate| fate.data != Data::None),
    ("PingDue at will", |_, fate| fate.ping_due),
    ("drain, close", |_, fate| fate.ends),
    ("holds", |_, fate| fate.holds > 0),
];

/// What this world covers; each end for itself.
pub(crate) fn of<D: Detector, L: Ledger>(world: &World<D, L>) -> Vec<&'static str> {
    let covers = |what: fn(&Rules, &Fate) -> bool| {
        world.sides.iter().any(|side| what(&side.rules, &world.fate))
    };
    let own = FEATURES.iter().filter(|&&(_, what)| covers(what)).map(|&(name, _)| name);
    let last = |name: &'static str| name.rsplit(':').next().unwrap_or(name);
    let detector = if type_name::<D>().contains("Follow") { "adaptive" } else { "fixed" };
    [last(type_name::<L>()), detector].into_iter().chain(own).collect()
}

/// Prints the table, and fails if a feature lost its world.
pub(crate) fn tell(worlds: &[(&'static str, Vec<&'static str>)]) {
    for (name, covered) in worlds {
        println!("| {name} | {} |", covered.join(", "));
    }
    for missing in NOT_COVERED {
        println!("not covered: {missing}");
    }
    let all = FEATURES.iter().map(|&(name, _)| name);
    for name in all.chain(["Table", "Echo", "adaptive", "fixed"]) {
        assert!(worlds.iter().any(|(_, covered)| covered.contains(&name)), "no world has {name}");
    }
}
