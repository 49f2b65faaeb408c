//! Handles, profiles and what is refused.

use core::ops::ControlFlow;
use core::time::Duration;

use heartbeat_proto::fleet::{Fleet, FleetError, Handle, Input, Profile, StaleHandle};
use heartbeat_proto::{Actions, Config, Event, Liveness, PeerState, Timestamp};

const NOW: Timestamp = Timestamp::from_nanos(5_000_000_000);

fn fleet() -> (Fleet, Profile) {
    let fleet = Fleet::new(Config::wan(), 1, NOW).expect("valid");
    let profile = fleet.profiles().next().expect("one");
    (fleet, profile)
}

/// FL2: of any number of peers in one slot, each handle names its own, and the others nobody.
#[test]
fn a_handle_names_one_peer() {
    let (mut fleet, profile) = fleet();
    let mut old: Vec<Handle> = Vec::new();
    for _ in 0..100 {
        let handle = fleet.insert(profile, NOW).expect("room");
        assert_eq!(handle.slot(), 0, "the free slot is used again");
        for stale in &old {
            assert_eq!(fleet.handle(*stale, Event::Start, NOW), Err(StaleHandle(*stale)));
            assert_eq!(fleet.remove(*stale), Err(StaleHandle(*stale)));
            assert_eq!(fleet.reconnected(*stale, NOW), Err(StaleHandle(*stale)));
            assert_eq!(fleet.profile(*stale), Err(StaleHandle(*stale)));
        }
        assert_eq!(fleet.peer(handle).expect("there").liveness(), Liveness::Idle);
        old.push(handle);
        let next = fleet.reconnected(handle, NOW).expect("there");
        assert_eq!((next.slot(), next.epoch()), (0, handle.epoch().wrapping_add(1)));
        assert_eq!(fleet.peer(next).expect("there").epoch(), next.epoch());
        let _ = fleet.remove(next).expect("there");
        old.push(next);
    }
    assert!(fleet.is_empty());
    assert_eq!(StaleHandle(Handle::new(3, 0xab)).to_string(), "no peer has the handle 000000ab@3");
}

/// FL2: any numbers may come from a peer.
#[test]
fn handles_out_of_nowhere_are_refused() {
    let (mut fleet, profile) = fleet();
    let peer = fleet.insert(profile, NOW).expect("room");
    for slot in [0, 1, 1023, 1024, 0x00ff_ffff, 0x0100_0000, u32::MAX] {
        let handle = Handle::new(slot, peer.epoch() ^ 1);
        assert!(!fleet.contains(handle));
        let input = Input { handle, event: Event::FrameReceived };
        let mut none = |_, _: Actions| -> ControlFlow<()> { panic!("nothing is to be done") };
        assert_eq!(fleet.handle_batch(&[input], NOW, &mut none), 1);
    }
    let mine = Handle::new(peer.slot(), peer.epoch());
    assert!(fleet.contains(mine));
}

/// FL3: a fleet is as punctual as its step; a configuration that wants it better is refused.
#[test]
fn what_cannot_work_is_refused() {
    let tight = Config::builder()
        .interval(Duration::from_secs(1))
        .timeout(Duration::from_secs(4))
        .slack(Duration::from_millis(5))
        .build()
        .expect("valid for a machine");
    let error = Fleet::new(tight, 1, NOW).map(|_| ()).expect_err("too tight");
    assert_eq!(
        error.to_string(),
        "slack is 5ms but must be at least the fleet's step, which is 8.388608ms"
    );
    assert!(Fleet::with_step(tight, 1, NOW, Duration::from_millis(5)).is_ok());
    for step in [Duration::ZERO, Duration::from_secs(61)] {
        let error = Fleet::with_step(tight, 1, NOW, step).map(|_| ()).expect_err("no step");
        assert_eq!(error, FleetError::Step(step));
    }
    let (mut fleet, _) = fleet();
    let mut other = Fleet::new(Config::lan(), 1, NOW).expect("valid");
    let foreign = other.add_profile(Config::lan()).expect("room");
    assert_eq!(fleet.insert(foreign, NOW), Err(FleetError::UnknownProfile(foreign)));
    assert_eq!(fleet.config(foreign), None);
    assert!(matches!(fleet.add_profile(tight), Err(FleetError::SlackBelowStep { .. })));
    assert_eq!(fleet.profiles().len(), 1);
}

/// FL7: what the peers of one profile are in is theirs alone, and used again.
#[test]
fn slots_are_used_again() {
    let (mut fleet, wan) = fleet();
    let lan = fleet.add_profile(Config::lan()).expect("room");
    let mut all = Vec::new();
    for round in 0..3 {
        for n in 0..3000 {
            let profile = if n % 3 == 0 { lan } else { wan };
            let handle = fleet.insert(profile, NOW).expect("room");
            assert_eq!(fleet.profile(handle), Ok(profile));
            assert!(handle.slot() < 3072, "{handle} in round {round}");
            all.push(handle);
        }
        assert_eq!(fleet.len(), 3000);
        assert_eq!(fleet.iter().count(), 3000);
        // Not in the order in which they came.
        all.sort_by_key(|handle| handle.epoch());
        for handle in all.drain(..) {
            let _: PeerState<_, _> = fleet.remove(handle).expect("there");
        }
    }
}
