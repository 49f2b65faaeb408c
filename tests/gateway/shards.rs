//! Gateways side by side, each with a shard.

use heartbeat_proto::Timestamp;
use heartbeat_proto::codec::Frame;
use heartbeat_proto::fleet::ShardedFleet;
use heartbeat_proto::gateway::{Gateway, GatewayConfig};

use crate::world::{BASE, Out, SEC, SECRET, World, host, pong, quick};

/// GW5: a slot of another shard names nobody here, even from the right address and in the same place.
#[test]
fn a_pong_for_another_shard_is_nobodys() {
    let fleet = ShardedFleet::new(quick(), 2, 42, Timestamp::from_nanos(BASE)).expect("valid");
    let mut worlds: Vec<World> = fleet
        .into_shards()
        .into_iter()
        .map(|shard| {
            let gateway = Gateway::new(shard, GatewayConfig::new(), SECRET).expect("valid");
            World { gateway, now: BASE, out: Out::default() }
        })
        .collect();
    let peers: Vec<_> = worlds.iter_mut().map(|world| world.join(host(1), 9)).collect();
    assert_eq!((peers[0].shard(), peers[1].shard()), (0, 1));
    assert_eq!(peers[0].place(), peers[1].place());
    let pings: Vec<Frame> = worlds.iter_mut().map(|world| world.next_ping(host(1))).collect();
    worlds[0].say(host(1), &pong(&pings[1]));
    worlds[1].say(host(1), &pong(&pings[0]));
    for world in &worlds {
        assert_eq!(world.gateway.stats().pongs_misrouted, 1);
        assert_eq!(world.gateway.fleet().census().stats().pongs_received, 0);
    }
    for (world, ping) in worlds.iter_mut().zip(&pings) {
        world.say(host(1), &pong(ping));
        world.pass(5 * SEC, |_| true);
        assert_eq!(world.gateway.len(), 1);
        assert_eq!(world.gateway.stats().pongs_misrouted, 1);
    }
}
