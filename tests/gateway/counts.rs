//! What is counted, what is passed on, and what is given back.

use core::net::SocketAddr;
use core::time::Duration;

use heartbeat_proto::codec::Frame;
use heartbeat_proto::fleet::{Doubt, Fleet, GuardConfig, GuardState, Progress};
use heartbeat_proto::gateway::{Gateway, GatewayConfig};
use heartbeat_proto::{Config, Timestamp};

use crate::world::{BASE, MS, Out, SEC, SECRET, World, host, pong, quick};

/// All that is due at once is done in one call, if the budget is large enough.
#[test]
fn one_call_does_all() {
    let mut world = World::new();
    for n in 0..50 {
        world.join(host(n), 9);
    }
    world.now += 400 * MS;
    let now = Timestamp::from_nanos(world.now);
    assert_eq!(world.gateway.advance(now, 1000, &mut world.out), Progress::Done);
    assert_eq!(world.out.sent.len(), 50);
}

/// Each datagram that is sent is counted once: pings, beacons, pongs, challenges, goodbyes.
#[test]
fn what_is_sent_is_counted() {
    let owed = Config::builder().interval(Duration::from_millis(300));
    let owed = owed.timeout(Duration::from_millis(900)).keepalive(Duration::from_millis(100));
    let mut world = World::with(owed.build().expect("valid"), GatewayConfig::new());
    let mut sent = 0;
    for n in 0..40 {
        world.join(host(n), 9);
        sent += 1;
    }
    let all = world.pass(2 * SEC, |to| to != host(3));
    sent += all.len();
    let of = |is: fn(&Frame) -> bool| all.iter().filter(|(_, frame)| is(frame)).count();
    assert!(of(|frame| matches!(frame, Frame::Ping { .. })) > 200);
    assert!(of(|frame| matches!(frame, Frame::Beacon { .. })) > 200);
    assert_eq!(of(|frame| matches!(frame, Frame::Goodbye { .. })), 1);
    sent += world.say(host(5), &crate::world::ping(9)).len();
    assert_eq!(world.gateway.stats().sent, sent as u64);
}

/// GW5: a pong may be as old as the longest silence that any profile allows, and no older.
#[test]
fn a_pong_is_not_too_old() {
    let oldest = quick().worst_case_detection();
    for beyond in [0, 1] {
        let mut world = World::new();
        world.join(host(1), 9);
        let due = world.gateway.next_deadline().expect("a ping");
        assert_eq!(world.gateway.advance(due, 10, &mut world.out), Progress::Done);
        let (_, ping) = world.out.sent.pop().expect("a ping");
        let answered = due.as_nanos() + u64::try_from(oldest.as_nanos()).expect("short");
        world.now = answered + beyond;
        world.say(host(1), &pong(&ping));
        assert_eq!(world.gateway.stats().pongs_forged, beyond, "{beyond} ns beyond");
    }
}

/// GD5: what the guard of the fleet says reaches the outlet: from an advance, and from the pong that
/// changes its mind.
#[test]
fn the_guard_is_heard() {
    let mut fleet = Fleet::new(quick(), 42, Timestamp::from_nanos(BASE)).expect("valid");
    fleet.set_guard(GuardConfig::new(Duration::from_secs(5))).expect("valid");
    let gateway = Gateway::new(fleet, GatewayConfig::new(), SECRET).expect("valid");
    let mut world = World { gateway, now: BASE, out: Out::default() };
    for n in 0..20 {
        world.join(host(n), 9);
    }
    world.pass(2 * SEC, |_| true);
    assert_eq!(world.out.guarded, []);
    world.pass(3 * SEC / 2, |_| false);
    let told = |world: &World| -> Vec<_> {
        let group = world.out.guarded.iter().filter(|told| told.doubt == Doubt::Observer);
        group.map(|told| told.state).collect()
    };
    assert_eq!(told(&world), [GuardState::Holding]);
    world.pass(SEC, |_| true);
    assert_eq!(told(&world), [GuardState::Holding, GuardState::Released]);
    assert_eq!(world.gateway.len(), 20);
}

/// GW10: whoever leaves leaves nothing behind: ten thousand come and go where there is room for ten.
#[test]
fn who_leaves_leaves_nothing() {
    let caps = GatewayConfig::new().peers(10).joins_per_second(1_000_000);
    let mut world = World::with(quick(), caps.challenges_per_second(1_000_000));
    let stays = world.join(host(0), 9);
    let mut come_and_go = |hosts: core::ops::Range<u32>| {
        for n in hosts {
            let at: SocketAddr = host(n);
            world.join(at, 9);
            assert_eq!(world.gateway.find(host(0)), Some(stays));
            world.say(at, &Frame::Goodbye { epoch: 9, reason: 0 });
            assert_eq!((world.gateway.find(at), world.gateway.len()), (None, 1));
            world.out = Out::default();
            world.now += MS / 10;
        }
    };
    come_and_go(1..100);
    let counted = allocation_counter::measure(|| come_and_go(100..10_000));
    assert_eq!(counted.bytes_current, 0, "{counted:?}");
}
