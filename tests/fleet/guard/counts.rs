//! What the guard and the census have counted, against a count anew, after anything.

use core::ops::ControlFlow;
use core::time::Duration;
use std::collections::{BTreeMap, BTreeSet};

use heartbeat_proto::detector::Deadline;
use heartbeat_proto::fleet::{
    Doubt, Fleet, GuardConfig, GuardReport, Handle, Input, Progress, Sink,
};
use heartbeat_proto::{Action, Actions, Event, Liveness, PingId, Timestamp};
use proptest::prelude::*;

use crate::ops::{MS, configs};

#[derive(Clone, Debug)]
enum Op {
    Insert(usize),
    Remove(usize),
    Reconnect(usize),
    Group(usize, u16),
    Tell(usize, Event),
    Pong(usize),
    Batch(Vec<(usize, Event)>, usize),
    Pass(u64),
    Advance(usize, usize),
    /// The guard is set anew, and counts.
    Guard,
    NoGuard,
    #[cfg(feature = "snapshot")]
    Restore,
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        6 => Just(Event::Start),
        3 => Just(Event::FrameReceived),
        1 => Just(Event::PingDue),
        1 => Just(Event::TxBlocked),
        2 => any::<u32>().prop_map(|n| Event::ping(PingId::new(9, n))),
        1 => Just(Event::Suspend),
        1 => Just(Event::Resume { slept: Duration::ZERO }),
        2 => any::<bool>().prop_map(|probe| Event::Hold { probe }),
        1 => Just(Event::Drain),
        1 => Just(Event::Close),
        1 => Just(Event::GoodbyeReceived),
        1 => Just(Event::Tick),
    ]
}

fn op() -> impl Strategy<Value = Op> {
    let who = any::<usize>();
    let plain = prop_oneof![
        6 => (0..3_usize).prop_map(Op::Insert),
        1 => who.prop_map(Op::Remove),
        1 => who.prop_map(Op::Reconnect),
        3 => (who, prop::sample::select(vec![0, 1, 2, 65_535])).prop_map(|(w, g)| Op::Group(w, g)),
        14 => (who, event()).prop_map(|(who, event)| Op::Tell(who, event)),
        8 => who.prop_map(Op::Pong),
        2 => (prop::collection::vec((who, event()), 0..8), 1..4_usize)
            .prop_map(|(tells, enough)| Op::Batch(tells, enough)),
        14 => (0..400 * MS).prop_map(Op::Pass),
        1 => (0..40_000 * MS).prop_map(Op::Pass),
        6 => (0..4_usize, 1..4_usize).prop_map(|(budget, enough)| Op::Advance(budget, enough)),
        8 => Just(Op::Advance(1000, 1000)),
    ];
    let rare = prop_oneof![
        2 => Just(Op::Guard),
        1 => Just(Op::NoGuard),
    ];
    #[cfg(feature = "snapshot")]
    let rare = prop_oneof![2 => rare, 1 => Just(Op::Restore)];
    prop_oneof![40 => plain, 1 => rare]
}

#[derive(Default)]
struct Heard {
    pings: BTreeMap<Handle, (PingId, Timestamp)>,
    reports: Vec<GuardReport>,
    enough: usize,
}

impl Sink for Heard {
    fn take(&mut self, handle: Handle, actions: Actions) -> ControlFlow<()> {
        for action in actions {
            if let Action::SendPing { id, stamp } = action {
                self.pings.insert(handle, (id, stamp));
            }
        }
        self.enough -= 1;
        if self.enough == 0 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }

    fn guarded(&mut self, report: &GuardReport) {
        self.reports.push(*report);
    }
}

struct World {
    fleet: Fleet,
    guard: GuardConfig,
    peers: Vec<Handle>,
    groups: BTreeMap<Handle, u16>,
    heard: Heard,
    now: u64,
}

fn fleet_of(seed: u64, now: u64) -> Fleet {
    let configs = configs(Deadline::fixed());
    let mut fleet = Fleet::new(configs[0], seed, Timestamp::from_nanos(now)).expect("valid");
    for config in &configs[1..] {
        fleet.add_profile(*config).expect("room");
    }
    fleet
}

impl World {
    fn new(guard: GuardConfig) -> Self {
        let now = 777 * MS;
        let mut fleet = fleet_of(7, now);
        fleet.set_guard(guard).expect("valid");
        let (peers, groups) = (Vec::new(), BTreeMap::new());
        Self { fleet, guard, peers, groups, heard: Heard::default(), now }
    }

    fn play(&mut self, op: &Op) {
        let now = Timestamp::from_nanos(self.now);
        let peers = self.peers.clone();
        let who = |who: usize| peers.get(who % peers.len().max(1)).copied();
        match op {
            Op::Insert(profile) => {
                let profile = self.fleet.profiles().nth(*profile).expect("three");
                let peer = self.fleet.insert(profile, now).expect("room");
                self.groups.insert(peer, 0);
                self.peers.push(peer);
            }
            Op::Remove(n) => {
                let Some(peer) = who(*n) else { return };
                let _ = self.fleet.remove(peer).expect("there");
                self.groups.remove(&peer);
                self.peers.retain(|one| *one != peer);
            }
            Op::Reconnect(n) => {
                let Some(peer) = who(*n) else { return };
                let next = self.fleet.reconnected(peer, now).expect("there");
                let group = self.groups.remove(&peer).expect("there");
                self.groups.insert(next, group);
                self.peers.iter_mut().filter(|one| **one == peer).for_each(|one| *one = next);
            }
            Op::Group(n, group) => {
                let Some(peer) = who(*n) else { return };
                self.fleet.set_group(peer, *group).expect("there");
                if self.fleet.guard_report(Doubt::Observer).is_some() {
                    self.groups.insert(peer, *group);
                }
            }
            Op::Tell(n, event) => {
                let Some(peer) = who(*n) else { return };
                let actions = self.fleet.handle(peer, *event, now).expect("there");
                self.heard.enough = 2;
                let _ = self.heard.take(peer, actions);
            }
            Op::Pong(n) => {
                let Some(peer) = who(*n) else { return };
                let Some((id, stamp)) = self.heard.pings.get(&peer).copied() else { return };
                let (stamp, hold, calm) = (Some(stamp), Duration::ZERO, false);
                let event = Event::PongReceived { id, stamp, hold, calm };
                let _ = self.fleet.handle(peer, event, now).expect("there");
            }
            Op::Batch(tells, enough) => {
                let input =
                    |(n, event): &(usize, Event)| Some(Input { handle: who(*n)?, event: *event });
                let inputs: Vec<_> = tells.iter().filter_map(input).collect();
                self.heard.enough = *enough;
                let _ = self.fleet.handle_batch(&inputs, now, &mut self.heard);
            }
            Op::Pass(nanos) => self.now += nanos,
            Op::Advance(budget, enough) => {
                self.heard.enough = *enough;
                let done = self.fleet.advance(now, *budget, &mut self.heard);
                if *budget == 1000 && *enough == 1000 {
                    assert_eq!(done, Progress::Done);
                }
            }
            Op::Guard => {
                self.fleet.set_guard(self.guard).expect("valid");
                self.groups.values_mut().for_each(|group| *group = 0);
            }
            Op::NoGuard => {
                self.fleet.remove_guard();
                self.groups.values_mut().for_each(|group| *group = 0);
            }
            #[cfg(feature = "snapshot")]
            Op::Restore => {
                let (mut saving, mut bytes) = (heartbeat_proto::fleet::Saving::new(), Vec::new());
                while self.fleet.save(&mut saving, now, &mut bytes) == Progress::Pending {}
                self.fleet = fleet_of(8, self.now);
                self.fleet.set_guard(self.guard).expect("valid");
                let (mut restoring, mut rest) =
                    (heartbeat_proto::fleet::Restoring::new(), &bytes[..]);
                self.peers.clear();
                self.groups.clear();
                while !restoring.is_done() {
                    let mut told = |_, is| {
                        self.peers.push(is);
                        self.groups.insert(is, 0);
                    };
                    let taken = self.fleet.restore(&mut restoring, rest, now, &mut told);
                    rest = &rest[taken.expect("whole")..];
                }
            }
        }
    }

    fn compare(&self) {
        let all: Vec<_> = self.fleet.iter().collect();
        let handles: BTreeSet<_> = all.iter().map(|(handle, _)| *handle).collect();
        assert_eq!(handles, self.peers.iter().copied().collect());
        assert_eq!(self.fleet.len(), all.len());
        for liveness in Liveness::ALL {
            let count = all.iter().filter(|(_, state)| state.liveness() == liveness).count();
            assert_eq!(self.fleet.count(liveness), count, "{liveness}");
        }
        if self.fleet.guard_report(Doubt::Observer).is_none() {
            return;
        }
        for (peer, group) in &self.groups {
            assert_eq!(self.fleet.group(*peer), Ok(Some(*group)));
        }
    }

    fn scopes(&self) -> Vec<Option<(u32, u32)>> {
        let all = [0, 1, 2, 65_535].map(Doubt::Group).into_iter().chain([Doubt::Observer]);
        let count = |doubt| self.fleet.guard_report(doubt).map(|it| (it.members, it.silent));
        all.map(count).collect()
    }

    /// Counted anew, all is as it was kept.
    fn recount(&mut self) -> usize {
        if self.fleet.guard_report(Doubt::Observer).is_none() {
            return 0;
        }
        let kept = self.scopes();
        self.fleet.set_guard(self.guard).expect("valid");
        for peer in &self.peers {
            self.fleet.set_group(*peer, self.groups[peer]).expect("there");
        }
        let none = |count: Option<(u32, u32)>| count.unwrap_or_default();
        let anew = self.scopes().into_iter().map(none).collect::<Vec<_>>();
        let kept = kept.into_iter().map(none).collect::<Vec<_>>();
        assert_eq!(anew, kept);
        let parts = kept[..4].iter().fold((0, 0), |sum, part| (sum.0 + part.0, sum.1 + part.1));
        assert_eq!(parts, kept[4]);
        kept[4].1 as usize
    }
}

fn run(guard: GuardConfig, ops: &[Op]) -> (usize, usize) {
    let mut world = World::new(guard);
    for op in ops {
        world.play(op);
        world.compare();
    }
    (world.recount(), world.heard.reports.len())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, ..ProptestConfig::default() })]

    /// GD1: whatever peers and callers do, members and silent ones are counted exactly, in each group
    /// and in all.
    #[test]
    fn counts_are_exact(
        ops in prop::collection::vec(op(), 1..300),
        hold_most in 1..3_000_u64,
        share in 1..80_u8,
        rate in prop::option::of(1..20_u32),
    ) {
        let guard = GuardConfig::new(Duration::from_millis(hold_most)).share(share).least(2);
        let guard = rate.map_or(guard, |rate| guard.verdicts_per_second(rate));
        run(guard, &ops);
    }
}

/// Those lives have silent peers in the end, and doubts on the way.
#[test]
fn the_lives_are_not_all_healthy() {
    use proptest::strategy::ValueTree;
    use proptest::test_runner::TestRunner;
    let mut runner = TestRunner::deterministic();
    let lives = prop::collection::vec(op(), 100..300);
    let (mut silent, mut reports) = (0, 0);
    for _ in 0..40 {
        let life = lives.new_tree(&mut runner).expect("generates").current();
        let counted = run(GuardConfig::new(Duration::from_secs(1)).least(2), &life);
        (silent, reports) = (silent + counted.0, reports + counted.1);
    }
    assert!(silent > 20 && reports > 20, "{silent} silent, {reports} reports");
}
