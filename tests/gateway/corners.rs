//! Where two things meet that are seldom used together.

use core::net::{SocketAddr, SocketAddrV6};
use core::time::Duration;

use heartbeat_proto::codec::Frame;
use heartbeat_proto::fleet::{Fleet, GuardConfig, Handle, Progress};
use heartbeat_proto::gateway::{Gateway, GatewayConfig, Gone};
use heartbeat_proto::{Config, Liveness, Timestamp};

use crate::world::{BASE, MS, Out, SEC, SECRET, World, bytes, host, ping, pong, quick};

fn reopening() -> Config {
    let reopens = Config::builder().interval(Duration::from_millis(300)).reopen_after(1);
    reopens.timeout(Duration::from_millis(900)).build().expect("valid")
}

/// GW9: a pong that waits in a burst is told at the time when it was taken, whenever those that come
/// after it were.
#[test]
fn a_pong_in_a_burst_counts_from_when_it_came() {
    let told = |burst: bool| {
        let mut world = World::new();
        let peers = [world.join(host(1), 9), world.join(host(2), 9)];
        let pings = [1, 2].map(|n| (host(n), world.next_ping(host(n))));
        let at = |n: usize| Timestamp::from_nanos(world.now + n as u64 * 20 * MS);
        if burst {
            let mut burst = world.gateway.burst(&mut world.out);
            for (n, (from, ping)) in pings.iter().enumerate() {
                burst.datagram(at(n), *from, &bytes(&pong(ping)));
            }
        } else {
            for (n, (from, ping)) in pings.iter().enumerate() {
                world.gateway.datagram(at(n), *from, &bytes(&pong(ping)), &mut world.out);
            }
        }
        peers.map(|peer| world.gateway.fleet().peer(peer).expect("a peer"))
    };
    assert_eq!(told(true), told(false));
}

/// GW8: a peer that is lost, and kept because it may come back, is told, too, that the caller gives it up.
#[test]
fn a_lost_peer_that_is_given_up_is_told() {
    let mut world = World::with(reopening(), GatewayConfig::new());
    let peers = [world.join(host(1), 9), world.join(host(2), 9)];
    world.pass(3 * SEC, |_| false);
    assert_eq!(world.gateway.fleet().count(Liveness::Lost), 2);
    let now = Timestamp::from_nanos(world.now);
    world.gateway.remove(peers[0], now, &mut world.out).expect("kept");
    let _ = world.gateway.farewell(now, 10, &mut world.out);
    let goodbye = |peer: Handle| Frame::Goodbye { epoch: peer.epoch(), reason: 2 };
    let told = [(host(1), goodbye(peers[0])), (host(2), goodbye(peers[1]))];
    assert_eq!(world.out.sent, told);
    assert_eq!((world.gateway.len(), world.gateway.stats().removed), (0, 2));
}

/// GW2, GW5: a peer on a link whose number is large is one like any other, and another one than on the
/// link beside it; only a number that no system gives such an address names nobody.
#[test]
fn links_may_have_any_number() {
    let at = |ip: &str, scope| {
        SocketAddr::V6(SocketAddrV6::new(ip.parse().expect("an address"), 7007, 0, scope))
    };
    let mut world = World::new();
    let scopes = [0, 1, 65_533, 65_534, 65_535, 65_536, 1 << 20, u32::MAX];
    let peers = scopes.map(|scope| world.join(at("fe80::1:2", scope), 9));
    for (peer, scope) in peers.into_iter().zip(scopes) {
        assert_eq!(world.gateway.address(peer), Ok(at("fe80::1:2", scope)));
        assert_eq!(world.gateway.find(at("fe80::1:2", scope)), Some(peer));
    }
    let sent = world.pass(SEC, |_| true);
    assert!(scopes.iter().all(|scope| sent.iter().any(|(to, _)| *to == at("fe80::1:2", *scope))));
    assert_eq!(world.gateway.fleet().count(Liveness::Alive), scopes.len());
    let dropped = world.gateway.stats().malformed;
    assert_eq!(world.say(at("2001:db8::1", 65_536), &ping(9)), []);
    assert_eq!(world.gateway.stats().malformed, dropped + 1);
    assert_eq!(world.say(at("2001:db8::1", 3), &ping(9)).len(), 1);
}

fn guarded(config: Config, caps: GatewayConfig) -> World {
    let mut fleet = Fleet::new(config, 42, Timestamp::from_nanos(BASE)).expect("valid");
    fleet.set_guard(GuardConfig::new(Duration::from_secs(2))).expect("valid");
    let gateway = Gateway::new(fleet, caps, SECRET).expect("valid");
    World { gateway, now: BASE, out: Out::default() }
}

/// Everything at once: a guard, caps, restarts, departures, removals, losses, returns.
#[test]
fn counts_stay_in_step() {
    for (config, reopens) in [(quick(), false), (reopening(), true)] {
        let caps = GatewayConfig::new().peers(40).per_source(1);
        let mut world = guarded(config, caps);
        let mut chance = 1_u64;
        let mut draw = |most: u64| {
            chance = chance.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(0x1405_7b7e_f767_814f);
            (chance >> 33) % most
        };
        let mut guards = 0;
        for round in 0..3000_u64 {
            let at = host(draw(60) as u32);
            let epoch = 1 + draw(2) as u32;
            match draw(12) {
                0 => drop(world.say(at, &Frame::Goodbye { epoch, reason: 0 })),
                1 => {
                    let now = Timestamp::from_nanos(world.now);
                    if let Some(peer) = world.gateway.find(at) {
                        world.gateway.remove(peer, now, &mut world.out).expect("there");
                    }
                }
                2..6 => {
                    let silent = (round / 100) % 3 == 1;
                    world.pass(draw(200) * MS, |_| !silent);
                }
                _ => {
                    if let Some((_, challenge)) = world.say(at, &ping(epoch)).pop() {
                        if matches!(challenge, Frame::Ping { .. }) {
                            world.say(at, &pong(&challenge));
                        }
                    }
                }
            }
            guards += core::mem::take(&mut world.out.guarded).len();
            let stats = *world.gateway.stats();
            let gone = stats.left + stats.lost + stats.removed + stats.restarted;
            assert_eq!(stats.joined - gone, world.gateway.len() as u64);
            assert!(world.gateway.len() <= 40);
            for (peer, _) in world.gateway.fleet().iter() {
                let at = world.gateway.address(peer).expect("an address");
                assert_eq!(world.gateway.find(at), Some(peer));
            }
            world.out.sent.clear();
        }
        assert!(guards > 0, "the guard held some");
        assert_eq!(world.out.gone.iter().any(|(_, _, why)| *why == Gone::Lost), !reopens);
        let now = Timestamp::from_nanos(world.now);
        while world.gateway.farewell(now, 7, &mut world.out) == Progress::Pending {}
        world.now += 10 * SEC;
        for n in 0..40 {
            world.out.sent.clear();
            let challenge = world.challenge(host(n), 9);
            world.say(host(n), &pong(&challenge));
        }
        assert_eq!(world.gateway.len(), 40, "nobody has left anything behind");
    }
}

/// GW8: at both ends of the clock nothing panics, and who is given up is forgotten: also where the clock
/// is exhausted (T6), and the rules do nothing any more.
#[test]
fn at_the_ends_of_time_a_peer_can_be_given_up() {
    for begin in [0, u64::MAX - 40 * SEC, u64::MAX] {
        let mut fleet = Fleet::new(quick(), 42, Timestamp::from_nanos(begin)).expect("valid");
        fleet.set_guard(GuardConfig::new(Duration::from_secs(2))).expect("valid");
        let gateway = Gateway::new(fleet, GatewayConfig::new(), SECRET).expect("valid");
        let mut world = World { gateway, now: begin, out: Out::default() };
        world.join(host(1), 9);
        for step in 0..200_u64 {
            let now = Timestamp::from_nanos(begin.saturating_add(step * SEC / 4));
            while world.gateway.advance(now, 10, &mut world.out) == Progress::Pending {}
            world.now = now.as_nanos();
            for (to, frame) in core::mem::take(&mut world.out.sent) {
                if matches!(frame, Frame::Ping { .. }) && step < 100 {
                    world.say(to, &pong(&frame));
                }
            }
        }
        let _ = world.gateway.farewell(Timestamp::MAX, 10, &mut world.out);
        assert!(world.gateway.is_empty(), "{begin}");
        world.now = u64::MAX;
        world.out.sent.clear();
        world.join(host(2), 9);
    }
}
