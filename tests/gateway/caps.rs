//! GW4: what strangers can take.

use core::net::SocketAddr;

use heartbeat_proto::codec::Frame;
use heartbeat_proto::gateway::{Gateway, GatewayConfig, GatewayError};
use heartbeat_proto::{Config, Timestamp, fleet::Fleet};

use crate::world::{MS, SEC, World, address, host, ping, pong, quick};

fn knock(world: &mut World, from: SocketAddr, epoch: u32) {
    if let [(_, challenge)] = world.say(from, &ping(epoch))[..] {
        world.say(from, &pong(&challenge));
    }
}

/// GW4: all places taken.
#[test]
fn no_more_peers_than_there_is_room_for() {
    let mut world = World::with(quick(), GatewayConfig::new().peers(3));
    let early = world.challenge(host(9), 1);
    for n in 1..=5 {
        knock(&mut world, host(n), 1);
    }
    assert_eq!((world.gateway.len(), world.gateway.stats().refused_full), (3, 2));
    world.say(host(9), &pong(&early));
    assert_eq!((world.gateway.len(), world.gateway.stats().refused_full), (3, 3));
    // One that is known already may begin anew; when one leaves, another one may come.
    knock(&mut world, host(1), 2);
    assert_eq!(world.gateway.stats().restarted, 1);
    world.say(host(2), &Frame::Goodbye { epoch: 1, reason: 0 });
    world.say(host(9), &pong(&early));
    assert_eq!((world.gateway.len(), world.gateway.find(host(9)).is_some()), (3, true));
}

/// GW4: an IPv4 address, and a /64 of IPv6, have so many and no more, until one leaves.
#[test]
fn no_more_peers_of_one_source() {
    let port = |port: u16| SocketAddr::from(([10, 0, 0, 1], port));
    let six = |low: u16| address(&format!("[2001:db8::{low:x}]:7"));
    for at in [port, six] {
        let mut world = World::with(quick(), GatewayConfig::new().per_source(3));
        for n in 1..=5 {
            knock(&mut world, at(n), 1);
        }
        assert_eq!((world.gateway.len(), world.gateway.stats().refused_source), (3, 2));
        knock(&mut world, host(2), 1);
        assert_eq!(world.gateway.len(), 4, "others are not concerned");
        world.say(at(1), &Frame::Goodbye { epoch: 1, reason: 0 });
        knock(&mut world, at(5), 1);
        assert!(world.gateway.find(at(5)).is_some(), "its place is free again");
        world.pass(3 * SEC, |to| to != at(2));
        knock(&mut world, at(4), 1);
        assert!(world.gateway.find(at(4)).is_some(), "so is that of the dead");
        knock(&mut world, at(6), 1);
        assert_eq!(world.gateway.stats().refused_source, 3);
    }
    let mut world = World::with(quick(), GatewayConfig::new().per_source(1).any_source());
    (1..=5).for_each(|n| knock(&mut world, port(n), 1));
    assert_eq!(world.gateway.len(), 5);
}

/// GW4: at most the rate in a second, and as many at once.
#[test]
fn no_more_admissions_or_challenges_in_a_second() {
    let caps = GatewayConfig::new().joins_per_second(10).challenges_per_second(20);
    let mut world = World::with(quick(), caps);
    let floods = |world: &mut World, at: u32| {
        let challenged: Vec<_> = (0..100)
            .filter_map(|n| Some((host(at + n), world.say(host(at + n), &ping(1)).pop()?.1)))
            .collect();
        for (from, challenge) in &challenged {
            world.say(*from, &pong(challenge));
        }
        challenged.len()
    };
    assert_eq!(floods(&mut world, 0), 20);
    assert_eq!((world.gateway.len(), world.gateway.stats().refused_rate), (10, 10));
    assert_eq!(world.gateway.stats().challenges_capped, 80);
    world.now += 500 * MS;
    assert_eq!(floods(&mut world, 1000), 10);
    assert_eq!(world.gateway.len(), 15);
    // A flood of strangers costs those nothing who have joined.
    let known = world.out.joined[0].1;
    assert_eq!(world.say(known, &ping(1)), [(known, pong(&ping(1)))]);
}

/// GW4: a source that has all that it may takes nothing of the others' rate.
#[test]
fn who_is_refused_takes_nothing() {
    let caps = GatewayConfig::new().per_source(1).joins_per_second(2).challenges_per_second(4);
    let mut world = World::with(quick(), caps);
    for port in 1..=100 {
        knock(&mut world, SocketAddr::from(([10, 0, 0, 1], port)), 1);
    }
    knock(&mut world, host(2), 1);
    assert_eq!(world.gateway.len(), 2);
}

#[test]
fn caps_out_of_range_are_named() {
    let bad = |caps: GatewayConfig| match caps.check() {
        Err(GatewayError::OutOfRange { field, .. }) => field,
        other => panic!("{other:?}"),
    };
    let caps = GatewayConfig::new();
    assert_eq!(bad(caps.peers(0)), "peers");
    assert_eq!(bad(caps.peers((1 << 24) + 1)), "peers");
    assert_eq!(bad(caps.per_source(0)), "per_source");
    assert_eq!(bad(caps.joins_per_second(0)), "joins_per_second");
    assert_eq!(bad(caps.challenges_per_second(1_000_000_001)), "challenges_per_second");
    let mut fleet = Fleet::new(Config::lan(), 1, Timestamp::EPOCH).expect("valid");
    assert!(Gateway::new(fleet, caps.peers(0), 1).is_err());
    fleet = Fleet::new(Config::lan(), 1, Timestamp::EPOCH).expect("valid");
    let profile = fleet.profiles().next().expect("one");
    fleet.insert(profile, Timestamp::EPOCH).expect("room");
    assert_eq!(Gateway::new(fleet, caps, 1).err(), Some(GatewayError::NotEmpty(1)));
}
