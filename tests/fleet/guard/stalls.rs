//! A caller that is late, once or always.

use core::time::Duration;

use heartbeat_proto::fleet::{Doubt, GuardConfig, GuardState, Handle};
use heartbeat_proto::{Config, Event, LatePolicy};
use proptest::prelude::*;

use super::{MS, SEC, World, at, guard, lan, nanos};

/// `hold_most` of [`guard`].
const HELD: u64 = 5 * SEC;

/// As [`lan`], but lateness changes nothing for a machine.
fn strict() -> Config {
    Config::builder()
        .interval(lan().interval())
        .timeout(lan().timeout())
        .late_policy(LatePolicy::Strict)
        .build()
        .expect("valid")
}

impl World {
    /// Calls only each `every`, later than any deadline, until `end`.
    fn late_until(&mut self, every: u64, end: u64) {
        while self.now < end {
            self.now += every;
            let _ = self.step();
        }
    }

    /// The host is off for so long: what was on its way does not arrive.
    fn off(&mut self, span: u64) {
        self.pongs.clear();
        let _ = self.freeze(span, 10_000);
    }

    /// The first of them die now.
    fn die(&mut self, many: usize) {
        let now = self.now;
        self.dead = self.peers[..many].iter().map(|peer| (*peer, now)).collect();
    }
}

/// GD6: a caller that is more than a window late in every call finds the dead all the same, few or
/// many, and nobody else.
#[test]
fn a_caller_that_is_always_late_finds_the_dead() {
    for every in [2_001 * MS, 2_100 * MS, 10 * SEC] {
        for dies in [1, 3, 60, 100] {
            let run = |guard| {
                let mut world = World::new(lan(), guard, &[100]);
                world.until(20 * SEC);
                world.die(dies);
                world.late_until(every, 200 * SEC);
                assert!(world.said.lost.keys().all(|peer| world.dead.contains_key(peer)));
                assert_eq!(world.said.lost.len(), dies);
                *world.said.lost.values().max().expect("some")
            };
            let (bare, guarded) = (run(None), run(Some(guard())));
            // Who was asked in a call is due a window later, and the call after is a stall a window after
            // that. The last call comes when it comes.
            let stall = every - 2 * SEC;
            let most = HELD + SEC + 8 * stall + every;
            assert!(guarded <= bare + most, "{every}, {dies}: {guarded}, without a guard {bare}");
        }
    }
}

/// GD6, GD8: a stall while verdicts are held adds its own time to them, and a window; it does not
/// begin the hold anew.
#[test]
fn a_stall_does_not_begin_a_hold_anew() {
    for (dies, doubt) in [(100, Doubt::Group(0)), (160, Doubt::Observer)] {
        let run = |stall| {
            let mut world = World::new(lan(), Some(guard()), &[100, 100]);
            world.until(20 * SEC);
            world.die(dies);
            world.until(28 * SEC);
            assert_eq!(world.states(doubt).last(), Some(&GuardState::Holding));
            let _ = world.freeze(stall, 10_000);
            world.until(60 * SEC);
            assert_eq!(world.said.lost.len(), dies);
            *world.said.lost.values().max().expect("some")
        };
        let punctual = run(0);
        for stall in [1_500 * MS, 4 * SEC, 15 * SEC] {
            let late = run(stall) - punctual;
            assert!(late <= stall + 100 * MS, "{late} later for a stall of {stall}");
        }
    }
}

/// GD8: a host that is off again and again in one silence kills nobody that answers when asked,
/// however long it was off each time.
#[test]
fn a_host_that_is_off_again_and_again_kills_nobody() {
    for config in [lan(), strict()] {
        for offs in [[1_100, 60_000, 0], [60_000, 60_000, 60_000], [60_000, 1_100, 600_000]] {
            let mut world = World::new(config, Some(guard()), &[100, 100]);
            world.until(20 * SEC);
            for off in offs {
                world.off(off * MS);
                world.until(world.now + 10 * MS);
            }
            world.until(world.now + 60 * SEC);
            assert_eq!(world.said.lost.len(), 0, "{offs:?}");
        }
    }
}

/// GD5, GD8: the time for which a host is off counts neither against those whose group is held, nor against
/// the group.
#[test]
fn a_held_group_is_not_condemned_by_a_stall() {
    let mut world = World::new(lan(), Some(guard()), &[100, 100]);
    // It is back a little later than the windows in which each was asked anew.
    world.dark.push((1, 20 * SEC..86_500 * MS));
    world.until(25 * SEC);
    assert_eq!(world.states(Doubt::Group(1)), [GuardState::Holding]);
    let _ = world.freeze(60 * SEC, 10_000);
    world.until(120 * SEC);
    assert_eq!(world.said.lost.len(), 0);
    assert!(!world.states(Doubt::Group(1)).contains(&GuardState::Condemned));
}

/// GD8: it does not matter who is called first after a stall: the earliest wake-up says when it began.
#[test]
fn a_stall_began_with_its_earliest_wake_up() {
    let mut world = World::new(strict(), Some(guard()), &[100]);
    let rare = Config::builder()
        .interval(Duration::from_secs(60))
        .timeout(Duration::from_secs(180))
        .build()
        .expect("valid");
    let profile = world.fleet.add_profile(rare).expect("room");
    let due = |world: &World, peer: Handle| {
        world.fleet.peer(peer).expect("there").next_deadline(&rare).expect("a ping").0
    };
    for _ in 0..8 {
        let peer = world.fleet.insert(profile, at(0)).expect("room");
        let _ = world.fleet.handle(peer, Event::Start, at(0)).expect("there");
        world.group.insert(peer, 0);
    }
    world.until(20 * SEC);
    let rare = world.group.keys().filter(|peer| !world.peers.contains(peer)).copied();
    let last = rare.max_by_key(|peer| due(&world, *peer)).expect("some");
    assert!(at(40 * SEC) < due(&world, last), "{:?}", due(&world, last));
    world.pongs.clear();
    world.now = 100 * SEC;
    let _ = world.fleet.handle(last, Event::Tick, at(world.now)).expect("there");
    world.until(130 * SEC);
    assert_eq!(world.said.lost.len(), 0);
}

/// GD8: of many stalls the longest are remembered, and those that matter to nobody any more make room.
#[test]
fn the_longest_stalls_are_remembered() {
    let guard = GuardConfig::new(Duration::from_secs(20));
    // In one silence: a long one, so many short ones that there is no room for more, and a long one.
    let mut world = World::new(strict(), Some(guard), &[100]);
    world.until(20 * SEC);
    let short = [2_100; 8];
    for off in [60_000].into_iter().chain(short).chain([40_000, 2_100]) {
        world.off(off * MS);
        world.until(world.now + 10 * MS);
    }
    world.until(world.now + 60 * SEC);
    assert_eq!(world.said.lost.len(), 0, "after short ones");

    // Each in a silence of its own: nine long ones. Then in one, three that are shorter.
    for _ in 0..9 {
        world.off(60 * SEC);
        world.until(world.now + 60 * SEC);
    }
    for _ in 0..3 {
        world.off(40 * SEC);
        world.until(world.now + 10 * MS);
    }
    world.until(world.now + 60 * SEC);
    assert_eq!(world.said.lost.len(), 0, "after nine long ones");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, ..ProptestConfig::default() })]

    /// GD6: however often and long the caller is late, nobody is put off for longer than the bound in
    /// time that counts, and eight stalls.
    #[test]
    fn stalls_cannot_hold_for_ever(
        stalls in prop::collection::vec((1..4_000_u64, 1..20_000_u64), 0..40),
        dies in 0..60_usize,
        strict_policy in any::<bool>(),
    ) {
        let config = if strict_policy { strict() } else { lan() };
        let mut world = World::new(config, Some(guard()), &[30, 30]);
        world.until(20 * SEC);
        world.die(dies);
        let mut frozen = Vec::new();
        for (present, away) in stalls {
            world.until(world.now + present * MS);
            let from = world.now;
            let _ = world.freeze(away * MS, 10_000);
            frozen.push((from, world.now));
        }
        world.until(world.now + 30 * SEC);
        let wronged = world.said.lost.keys().filter(|peer| !world.dead.contains_key(peer)).count();
        // (Who is late by less than a window under Strict judges for himself.)
        prop_assert!(wronged == 0 || strict_policy, "{wronged}");
        world.said.lost.retain(|peer, _| world.dead.contains_key(peer));
        prop_assert_eq!(world.said.lost.len(), dies);
        let (window, gap) = (nanos(config.response_window()), nanos(config.min_gap()));
        for fell in world.said.lost.values() {
            // Nobody was heard later than at its death and an answer's time.
            let since = 20 * SEC + nanos(config.timeout()) + super::RTT;
            let mut away: Vec<u64> = frozen
                .iter()
                .filter(|(_, to)| *to > since && to <= fell)
                .map(|(from, to)| to - from.max(&since))
                .collect();
            away.sort_unstable();
            let left_out: u64 = away.iter().rev().take(8).sum();
            // V itself may wait for a grant, the last call may be a stall's end.
            let last = frozen.iter().find(|(_, to)| to == fell).map_or(0, |(from, to)| to - from);
            let most = since + HELD + 4 * window + gap + left_out + last + SEC / 2;
            prop_assert!(*fell <= most, "{fell} > {most}: {frozen:?}");
        }
    }
}
