//! Peers that change their group while verdicts are held.

use heartbeat_proto::Event;
use heartbeat_proto::fleet::{Doubt, GuardState};

use super::{SEC, World, guard, lan};

/// GD5: whoever changes its group is silent all the while: the observer is held as before.
#[test]
fn a_change_of_group_releases_nobody_else() {
    let mut world = World::new(lan(), Some(guard()), &[4, 4]);
    world.dark.extend((0..2).map(|group| (group, 20 * SEC..90 * SEC)));
    world.until(25 * SEC);
    assert_eq!(world.states(Doubt::Observer), [GuardState::Holding]);
    let held = world.fleet.guard_report(Doubt::Observer);
    world.fleet.set_group(world.peers[0], 1).expect("there");
    assert_eq!(world.fleet.guard_report(Doubt::Observer), held);
    let _ = world.fleet.handle(world.peers[0], Event::Tick, super::at(25 * SEC)).expect("there");
    world.until(26 * SEC);
    assert_eq!(world.states(Doubt::Observer), [GuardState::Holding]);
}

/// GD1: whoever is suspended could not be heard and is not judged. It says nothing for the others of its
/// group, nor against them.
#[test]
fn the_suspended_do_not_count() {
    let mut world = World::new(lan(), Some(guard()), &[100, 100]);
    world.until(10 * SEC);
    for peer in &world.peers[100..160] {
        let _ = world.fleet.handle(*peer, Event::Suspend, super::at(10 * SEC)).expect("there");
    }
    let report = world.fleet.guard_report(Doubt::Group(1)).expect("a guard");
    assert_eq!((report.members, report.silent), (40, 0));
    world.dark.push((1, 20 * SEC..26 * SEC));
    world.until(60 * SEC);
    assert_eq!(world.said.lost.len(), 0, "of the 40 others");
    assert_eq!(world.states(Doubt::Group(1)), [GuardState::Holding, GuardState::Released]);
    for peer in &world.peers[100..160] {
        let slept = core::time::Duration::ZERO;
        let event = Event::Resume { slept };
        let _ = world.fleet.handle(*peer, event, super::at(60 * SEC)).expect("there");
    }
    world.until(70 * SEC);
    let report = world.fleet.guard_report(Doubt::Group(1)).expect("a guard");
    assert_eq!((report.members, report.silent, world.said.lost.len()), (100, 0, 0));
}
