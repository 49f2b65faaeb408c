//! Whom a held group's sample asks.

use heartbeat_proto::fleet::Doubt;

use super::{GuardState, MS, SEC, World, guard, lan};

/// GD4, GD5: a held group whose path comes back is released, even if those who are due first in each
/// window have died, and are more than a sample: others are asked, too.
#[test]
fn the_dead_do_not_take_the_whole_sample_each_time() {
    let mut world = World::new(lan(), Some(guard().sample(10)), &[100, 60]);
    world.dark.push((1, 20_900 * MS..25_500 * MS));
    world.until(20_900 * MS);
    let mut region = world.peers[100..].to_vec();
    region.sort_by_key(|peer| world.heard[peer]);
    world.dead = region[..15].iter().map(|peer| (*peer, 20_900 * MS)).collect();
    world.until(60 * SEC);
    let lost = world.said.lost.keys().filter(|peer| !world.dead.contains_key(*peer)).count();
    assert_eq!(lost, 0, "of {} who live", 60 - world.dead.len());
    let states = world.states(Doubt::Group(1));
    assert_eq!(states, [GuardState::Holding, GuardState::Released]);
}
