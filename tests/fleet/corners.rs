//! Where two things meet that are seldom used together, and the ends of what there is.

use core::ops::ControlFlow;
use core::time::Duration;

use heartbeat_proto::detector::Deadline;
use heartbeat_proto::fleet::{Fleet, Handle, ShardedFleet};
use heartbeat_proto::{
    Action, Actions, Config, Event, HeartbeatMachine, Liveness, Mode, Timestamp,
};

use super::schedule::{SEC, at};

/// GD1, SN4: a fleet that has its guard before it is restored counts whoever is restored, and goes on.
#[cfg(feature = "snapshot")]
#[test]
fn a_guarded_fleet_is_restored() {
    use heartbeat_proto::fleet::{Doubt, GuardConfig, Progress, Restoring};

    use super::snapshot::saved;

    let (mut old, handles) = super::schedule::started(Config::lan(), 1030);
    for handle in &handles {
        let _ = old.handle(*handle, Event::FrameReceived, at(1)).expect("there");
    }
    let bytes = saved(&old, at(1));
    let mut new = Fleet::new(Config::lan(), 8, at(SEC)).expect("valid");
    let guard = GuardConfig::new(Duration::from_secs(5));
    new.set_guard(guard).expect("valid");
    let (mut restoring, mut rest, mut peers) = (Restoring::new(), &bytes[..], Vec::new());
    while !restoring.is_done() {
        let mut told = |_, is| peers.push(is);
        rest = &rest[new.restore(&mut restoring, rest, at(SEC), &mut told).expect("whole")..];
    }
    let counted = new.guard_report(Doubt::Observer).expect("a guard");
    assert_eq!((counted.members, counted.silent), (0, 0), "all are suspended (SN5)");
    new.set_group(peers[0], 3).expect("there");
    assert_eq!(new.group(peers[0]), Ok(Some(3)));
    // All are silent: they are held, condemned, and lost.
    for nth in 0..200 {
        let mut ignore = |_, _: Actions| ControlFlow::Continue(());
        while new.advance(at(SEC + nth * SEC / 10), 100, &mut ignore) == Progress::Pending {}
        let counted = new.guard_report(Doubt::Observer).expect("a guard");
        assert!(nth != 15 || counted.members == 1030, "all are released: {counted}");
    }
    assert_eq!(new.count(Liveness::Lost), 1030);
    let counted = new.guard_report(Doubt::Observer).expect("a guard");
    assert_eq!((counted.members, counted.silent), (0, 0));
}

/// FL11: no shard waits for ever, also where another has just as much to do in each call as there is
/// budget.
#[test]
fn a_shard_that_just_uses_up_the_budget_is_not_always_first() {
    let mut fleet = ShardedFleet::new(Config::lan(), 2, 7, at(0)).expect("valid");
    let profile = fleet.profiles().next().expect("one");
    for shard in 0..2 {
        let handle = fleet.insert_into(shard, profile, at(0)).expect("room");
        let _ = fleet.handle(handle, Event::Start, at(0)).expect("there");
    }
    let mut pinged = [0, 0];
    for _ in 0..1000 {
        let now = fleet.shards()[0].next_deadline().expect("a ping, or the end of its response");
        let mut pongs = Vec::new();
        let mut sink = |handle: Handle, actions: Actions| {
            pinged[usize::from(handle.shard())] += 1;
            pongs.extend(actions.filter_map(|action| match action {
                Action::SendPing { id, .. } => Some((handle, Event::pong(id))),
                _ => None,
            }));
            ControlFlow::Continue(())
        };
        let _ = fleet.advance(now, 1, &mut sink);
        for (handle, pong) in pongs {
            let _ = fleet.handle(handle, pong, now).expect("there");
        }
    }
    assert!(pinged[1] > 0, "{pinged:?}");
}

/// FL1, FL5, T6: when the clock is exhausted, a peer is what a machine of its own is; and the last step
/// of all has no end before its beginning.
#[test]
fn a_peer_may_come_at_the_end_of_time() {
    let (config, end) = (Config::lan(), Timestamp::from_nanos(u64::MAX));
    for step in [Fleet::<Deadline>::STEP, Duration::from_nanos(1)] {
        let mut fleet = Fleet::with_step(config, 7, end, step).expect("valid");
        let profile = fleet.profiles().next().expect("one");
        let handle = fleet.insert(profile, end).expect("room");
        let mut machine = HeartbeatMachine::new(config, 7, end);
        assert_eq!(fleet.peer(handle).expect("there").liveness(), machine.liveness());
        assert_eq!(fleet.next_deadline(), Some(end), "{step:?}");
        let _ = machine.handle(Event::Start, end);
        let _ = fleet.handle(handle, Event::Start, end).expect("there");
        assert_eq!(fleet.peer(handle).expect("there").liveness(), machine.liveness());
    }
}

/// FL1, M2: a clock may begin with the process, and a peer that we only listen to at once, and be
/// suspended. (That it waits for nothing is kept without since when.)
#[test]
fn a_listener_lives_at_the_beginning_of_time() {
    for mode in [Mode::Passive, Mode::Responder] {
        let config = Config::builder().mode(mode).build().expect("valid");
        let millis = |n| Timestamp::EPOCH.saturating_add(Duration::from_millis(n));
        let mut fleet = Fleet::new(config, 7, millis(0)).expect("valid");
        let profile = fleet.profiles().next().expect("one");
        let peer = fleet.insert(profile, millis(0)).expect("room");
        let mut twin = fleet.peer(peer).expect("there");
        let beat = Event::BeaconReceived { stamp: None, period: config.interval() };
        let resume = Event::Resume { slept: Duration::ZERO };
        // The window of the resume ends before the last two.
        let script = [
            (0, Event::Start),
            (1, Event::Suspend),
            (2, resume),
            (9_000, beat),
            (18_000, beat),
            (27_000, beat),
        ];
        for (when, event) in script {
            let _ = fleet.handle(peer, event, millis(when)).expect("there");
            let _ = twin.handle(&config, event, millis(when));
            assert_eq!(fleet.peer(peer), Ok(twin), "{mode:?} {when}");
        }
    }
}
