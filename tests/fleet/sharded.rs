//! Shards: each is a fleet, a handle finds the right one, and threads may have them.

use core::ops::ControlFlow;
use core::time::Duration;
use std::collections::{BTreeMap, BTreeSet};
use std::thread;

use heartbeat_proto::fleet::{Fleet, FleetError, Handle, Progress, ShardedFleet, StaleHandle};
use heartbeat_proto::{Action, Actions, Config, Event, Liveness, PingId, Timestamp};
use proptest::prelude::*;

use super::heard::listed;
use super::schedule::{SEC, at};

const SEED: u64 = 7;

fn sharded(shards: usize) -> ShardedFleet {
    ShardedFleet::new(Config::lan(), shards, SEED, at(0)).expect("valid")
}

/// What shard `number` must be like.
fn single(number: u8) -> Fleet {
    let mut fleet = Fleet::new(Config::lan(), SEED, at(0)).expect("valid");
    fleet.set_shard(number).expect("empty");
    fleet
}

fn filled(shards: usize, peers: usize) -> (ShardedFleet, Vec<Handle>) {
    let mut fleet = sharded(shards);
    let profile = fleet.profiles().next().expect("one");
    let handles: Vec<_> = (0..peers).map(|_| fleet.insert(profile, at(0)).expect("room")).collect();
    for handle in &handles {
        let _ = fleet.handle(*handle, Event::Start, at(0)).expect("there");
    }
    (fleet, handles)
}

/// All that there is to see of two fleets.
fn assert_alike(one: &Fleet, other: &Fleet) {
    assert!(one.iter().eq(other.iter()), "{:?}", one.shard());
    assert_eq!(one.next_deadline(), other.next_deadline());
    assert_eq!(format!("{:?}", one.census()), format!("{:?}", other.census()));
}

#[derive(Clone, Copy, Debug)]
enum Op {
    Insert(Option<u8>),
    Tell(usize, u8),
    Remove(usize),
    Reconnect(usize),
    Pass(u64),
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        2 => prop::option::of(0..3_u8).prop_map(Op::Insert),
        10 => (any::<usize>(), 0..8_u8).prop_map(|(who, what)| Op::Tell(who, what)),
        1 => any::<usize>().prop_map(Op::Remove),
        1 => any::<usize>().prop_map(Op::Reconnect),
        4 => (0..700_000_000_u64).prop_map(Op::Pass),
    ]
}

/// Three shards, and three fleets that are told the same.
struct Both {
    sharded: ShardedFleet,
    singles: Vec<Fleet>,
    peers: Vec<Handle>,
    gone: Vec<Handle>,
    pings: BTreeMap<Handle, PingId>,
    now: u64,
}

impl Both {
    fn play(&mut self, op: Op) {
        let now = at(self.now);
        let profile = self.sharded.profiles().next().expect("one");
        let any = |who: usize| (!self.peers.is_empty()).then(|| who % self.peers.len());
        match op {
            Op::Insert(shard) => {
                let least = self.singles.iter().min_by_key(|fleet| fleet.len()).expect("three");
                let chosen = shard.unwrap_or(least.shard());
                let handle = match shard {
                    Some(shard) => self.sharded.insert_into(shard, profile, now),
                    None => self.sharded.insert(profile, now),
                };
                let single = &mut self.singles[usize::from(chosen)];
                assert_eq!(handle, single.insert(profile, now));
                self.peers.extend(handle);
            }
            Op::Tell(who, what) => {
                let Some(who) = any(who) else { return };
                let handle = self.peers[who];
                let event = match what {
                    0..=2 => Event::Start,
                    3 => Event::FrameReceived,
                    4 => Event::Drain,
                    _ => match self.pings.get(&handle) {
                        Some(id) => Event::pong(*id),
                        None => return,
                    },
                };
                let single = &mut self.singles[usize::from(handle.shard())];
                let alone = listed(single.handle(handle, event, now).expect("there"));
                let told = listed(self.sharded.handle(handle, event, now).expect("there"));
                assert_eq!(told, alone);
            }
            Op::Remove(who) => {
                let Some(who) = any(who) else { return };
                let handle = self.peers.swap_remove(who);
                let single = &mut self.singles[usize::from(handle.shard())];
                assert_eq!(self.sharded.remove(handle), single.remove(handle));
                self.gone.push(handle);
            }
            Op::Reconnect(who) => {
                let Some(who) = any(who) else { return };
                let handle = self.peers[who];
                let single = &mut self.singles[usize::from(handle.shard())];
                let next = self.sharded.reconnected(handle, now);
                assert_eq!(next, single.reconnected(handle, now));
                self.peers[who] = next.expect("there");
                self.gone.push(handle);
            }
            Op::Pass(nanos) => {
                self.now += nanos;
                self.advance();
            }
        }
    }

    /// Each shard says the same in the same order, whatever the turns.
    fn advance(&mut self) {
        let (mut said, mut alone) = (BTreeMap::new(), BTreeMap::new());
        let keep = |all: &mut BTreeMap<u8, Vec<(Handle, Vec<Action>)>>, handle: Handle, actions| {
            all.entry(handle.shard()).or_default().push((handle, listed(actions)));
            ControlFlow::Continue(())
        };
        let mut sink = |handle, actions| keep(&mut said, handle, actions);
        while self.sharded.advance(at(self.now), 2, &mut sink) == Progress::Pending {}
        let mut sink = |handle, actions| keep(&mut alone, handle, actions);
        for single in &mut self.singles {
            while single.advance(at(self.now), 100, &mut sink) == Progress::Pending {}
        }
        assert_eq!(said, alone);
        for (handle, actions) in said.into_values().flatten() {
            for action in actions {
                if let Action::SendPing { id, .. } = action {
                    self.pings.insert(handle, id);
                }
            }
        }
    }

    fn compare(&self) {
        let first = self.singles.iter().filter_map(Fleet::next_deadline).min();
        assert_eq!(self.sharded.next_deadline(), first);
        assert_eq!(self.sharded.len(), self.peers.len());
        for handle in &self.peers {
            let single = &self.singles[usize::from(handle.shard())];
            assert_eq!(self.sharded.peer(*handle), single.peer(*handle));
        }
        for handle in &self.gone {
            assert_eq!(self.sharded.peer(*handle), Err(StaleHandle(*handle)));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    /// FL8, FL9, FL10, FL11: three shards are three fleets, bit for bit.
    #[test]
    fn shards_are_fleets(ops in prop::collection::vec(op(), 1..200)) {
        let (peers, gone, pings) = (Vec::new(), Vec::new(), BTreeMap::new());
        let singles = (0..3).map(single).collect();
        let mut both = Both { sharded: sharded(3), singles, peers, gone, pings, now: 0 };
        for op in ops {
            both.play(op);
            both.compare();
        }
        for (shard, single) in both.sharded.shards().iter().zip(&both.singles) {
            assert_alike(shard, single);
        }
    }
}

/// FL8: the same place and epoch in another shard, or in none, is nobody.
#[test]
fn handles_of_other_shards_are_stale() {
    let (mut fleet, handles) = filled(3, 30);
    for handle in handles {
        assert_eq!(handle.slot(), u32::from(handle.shard()) << 24 | handle.place());
        for other in (0..=255).filter(|shard| *shard != handle.shard()) {
            let slot = u32::from(other) << 24 | handle.place();
            let foreign = Handle::new(slot, handle.epoch());
            let stale = StaleHandle(foreign);
            assert_eq!(fleet.peer(foreign), Err(stale));
            assert_eq!(fleet.handle(foreign, Event::Close, at(1)), Err(stale));
            assert_eq!(fleet.reconnected(foreign, at(1)), Err(stale));
            assert_eq!(fleet.remove(foreign), Err(stale));
            // The right shard refuses it just so.
            let shard = &mut fleet.shards_mut()[usize::from(handle.shard())];
            assert_eq!(shard.handle(foreign, Event::Close, at(1)), Err(stale));
            assert_eq!(shard.profile(foreign), Err(stale));
            assert_eq!(shard.set_group(foreign, 1), Err(stale));
            assert!(!shard.contains(foreign));
        }
        assert_eq!(fleet.peer(handle).expect("there").liveness(), Liveness::Starting);
    }
}

/// FL9: the shards of one seed do not beat alike.
#[test]
fn epochs_differ_from_shard_to_shard() {
    let (_, handles) = filled(8, 8 * 1024);
    let epochs: BTreeSet<u32> = handles.iter().map(|handle| handle.epoch()).collect();
    assert!(epochs.len() > handles.len() - 5, "{} of {}", epochs.len(), handles.len());
}

/// FL10: no shard has two peers more than another, and a full look is not needed to say so.
#[test]
fn peers_are_spread_evenly() {
    let (mut fleet, mut handles) = filled(5, 1003);
    let sizes = |fleet: &ShardedFleet| fleet.shards().iter().map(Fleet::len).collect::<Vec<_>>();
    assert_eq!(sizes(&fleet), [201, 201, 201, 200, 200]);
    for handle in handles.drain(..).filter(|handle| handle.shard() == 3).take(50) {
        let _ = fleet.remove(handle).expect("there");
    }
    let profile = fleet.profiles().next().expect("one");
    for _ in 0..50 {
        assert_eq!(fleet.insert(profile, at(0)).map(Handle::shard), Ok(3));
    }
    assert_eq!(sizes(&fleet), [201, 201, 201, 200, 200]);
}

/// FL11: the budget is for all together, and no shard waits until another has nothing to do.
#[test]
fn shards_take_turns() {
    let (mut fleet, _) = filled(3, 300);
    let now = at(60 * SEC);
    let mut shards = Vec::new();
    for budget in [1, 1, 1, 1, 50, 50, 50, 7] {
        let mut taken = Vec::new();
        let mut sink = |handle: Handle, _: Actions| {
            taken.push(handle.shard());
            ControlFlow::Continue(())
        };
        assert_eq!(fleet.advance(now, budget, &mut sink), Progress::Pending);
        assert_eq!(taken.len(), budget);
        taken.dedup();
        shards.extend(taken);
    }
    assert_eq!(shards, [0, 1, 2, 0, 1, 2, 0, 1]);
    // A sink that wants no more.
    let mut sink = |_, _: Actions| ControlFlow::Break(());
    let mut calls = 0;
    while fleet.advance(now, 1000, &mut sink) == Progress::Pending {
        calls += 1;
    }
    assert_eq!(calls, 300 - 161);
}

/// Runs one shard for a simulated minute: every peer but each tenth answers at once.
fn run(shard: &mut Fleet) {
    while let Some(now) = shard.next_deadline().filter(|now| *now < at(60 * SEC)) {
        let mut pings = Vec::new();
        let mut sink = |handle: Handle, actions: Actions| {
            pings.extend(actions.filter_map(|action| match action {
                Action::SendPing { id, .. } if handle.place() % 10 != 0 => Some((handle, id)),
                _ => None,
            }));
            ControlFlow::Continue(())
        };
        while shard.advance(now, 1000, &mut sink) == Progress::Pending {}
        for (handle, id) in pings {
            let _ = shard.handle(handle, Event::pong(id), now).expect("there");
        }
    }
}

/// FL9: on threads of their own, for a while or for good, they come to the same as on one.
#[test]
fn threads_may_have_shards() {
    let (mut one, _) = filled(4, 4000);
    one.shards_mut().iter_mut().for_each(run);

    let (mut scoped, _) = filled(4, 4000);
    thread::scope(|threads| {
        for shard in scoped.shards_mut() {
            threads.spawn(move || run(shard));
        }
    });

    let (owned, _) = filled(4, 4000);
    let threads = owned.into_shards().into_iter().map(|mut shard| {
        thread::spawn(move || {
            run(&mut shard);
            shard
        })
    });
    let threads: Vec<_> = threads.collect();
    let owned: Vec<Fleet> = threads.into_iter().map(|it| it.join().expect("no panic")).collect();

    let mut sum = owned[0].census().clone();
    owned[1..].iter().for_each(|shard| sum += shard.census());
    for ((one, scoped), owned) in one.shards().iter().zip(scoped.shards()).zip(&owned) {
        assert_alike(one, scoped);
        assert_alike(one, owned);
    }
    let dead = one.shards().iter().flat_map(Fleet::iter).filter(|(it, _)| it.place() % 10 == 0);
    assert_eq!(one.count(Liveness::Lost), dead.count());
    assert_eq!(sum.count(Liveness::Lost), one.count(Liveness::Lost));
    let census = one.census();
    assert_eq!(sum.stats(), census.stats());
    assert_eq!(sum.rtt_histogram(), census.rtt_histogram());
    assert_eq!(sum.last_report(), census.last_report());
    let losses = one.shards().iter().map(|shard| shard.census().stats().losses).sum::<u64>();
    let newest = one.shards().iter().filter_map(|shard| shard.census().last_report());
    assert_eq!((census.stats().losses, census.len()), (losses, 4000));
    assert_eq!(
        census.last_report().map(|report| report.observed_at),
        newest.map(|report| report.observed_at).max()
    );
}

/// FL8: numbers that there cannot be, or too late.
#[test]
fn what_cannot_be_is_refused() {
    for shards in [0, 257] {
        let fleet = ShardedFleet::new(Config::lan(), shards, 1, at(0));
        assert_eq!(fleet.map(|_| ()), Err(FleetError::Shards(shards)));
    }
    let mut most = sharded(ShardedFleet::<heartbeat_proto::detector::Deadline>::MOST_SHARDS);
    let profile = most.profiles().next().expect("one");
    let last = most.insert_into(255, profile, at(0)).expect("room");
    assert_eq!((last.shard(), last.place()), (255, 0));

    let (mut fleet, handles) = filled(2, 1);
    let profile = fleet.profiles().next().expect("one");
    assert_eq!(fleet.insert_into(2, profile, at(0)), Err(FleetError::UnknownShard(2)));
    let _ = fleet.remove(handles[0]).expect("there");
    let shards = fleet.shards_mut();
    assert_eq!(shards[0].set_shard(1), Err(FleetError::NotEmpty), "it had one");
    assert_eq!(shards[1].set_shard(9), Ok(()));

    let step = Duration::from_secs(61);
    let fleet = ShardedFleet::with_step(Config::lan(), 2, 1, at(0), step);
    assert_eq!(fleet.map(|_| ()), Err(FleetError::Step(step)));
}

/// Profiles are for all shards; a refused one is for none.
#[test]
fn profiles_are_shared() {
    let mut fleet = sharded(3);
    let wan = fleet.add_profile(Config::wan()).expect("room");
    let tight = Config::builder().slack(Duration::from_millis(5)).build().expect("valid");
    assert!(matches!(fleet.add_profile(tight), Err(FleetError::SlackBelowStep { .. })));
    assert_eq!(fleet.profiles().collect::<Vec<_>>().last(), Some(&wan));
    for shard in fleet.shards() {
        assert_eq!((shard.profiles().len(), shard.config(wan)), (2, Some(&Config::wan())));
    }
    let handles = (0..6).map(|_| fleet.insert(wan, at(0)).expect("room"));
    let shards: Vec<u8> = handles.map(Handle::shard).collect();
    assert_eq!(shards, [0, 1, 2, 0, 1, 2]);
}

/// SN1, SN2, SN3, FL8: each shard has its own snapshot, with its number; slots stay.
#[cfg(feature = "snapshot")]
#[test]
fn shards_are_saved_one_by_one() {
    use heartbeat_proto::fleet::{Restoring, SnapshotError};

    use super::snapshot::saved;

    let (mut old, handles) = filled(3, 3000);
    old.shards_mut().iter_mut().for_each(run);
    let now = at(60 * SEC);
    let snapshots: Vec<Vec<u8>> = old.shards().iter().map(|shard| saved(shard, now)).collect();

    let later = Timestamp::from_nanos(1_000_000 * SEC);
    let mut new = ShardedFleet::new(Config::lan(), 3, SEED + 1, later).expect("valid");
    let mut names = BTreeMap::new();
    for (number, shard) in new.shards_mut().iter_mut().enumerate() {
        let (expected, other) = (number as u8, (number + 1) % 3);
        let mut nobody = |_, _| panic!("a peer of another shard");
        let refused = shard.restore(&mut Restoring::new(), &snapshots[other], later, &mut nobody);
        let found = other as u8;
        assert_eq!(refused, Err(SnapshotError::OtherShard { expected, found }));
        let (mut restoring, mut rest) = (Restoring::new(), &snapshots[number][..]);
        while !restoring.is_done() {
            let mut told = |was, is| assert_eq!(names.insert(was, is), None);
            rest = &rest[shard.restore(&mut restoring, rest, later, &mut told).expect("whole")..];
        }
    }
    assert_eq!(names.len(), handles.len());
    for liveness in Liveness::ALL {
        assert_eq!(new.count(liveness), old.count(liveness));
    }
    for (was, is) in names {
        assert_eq!(was.slot(), is.slot());
        assert_ne!(was.epoch(), is.epoch());
        assert_eq!(new.peer(was), Err(StaleHandle(was)));
        let (old, new) = (old.peer(was).expect("there"), new.peer(is).expect("there"));
        assert_eq!(old.liveness(), new.liveness());
    }
    // The number is drawn from, too: the same place is raised by another span in another shard.
    let raises: BTreeSet<u32> = handles[..3]
        .iter()
        .map(|was| {
            let shard = new.shards()[usize::from(was.shard())].iter().next().expect("peers").0;
            shard.epoch().wrapping_sub(was.epoch())
        })
        .collect();
    assert!(raises.len() > 1, "{raises:?}");
}
