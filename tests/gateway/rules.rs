//! Each rule on its own.

use core::net::SocketAddr;
use core::time::Duration;
use std::collections::BTreeMap;

use heartbeat_proto::codec::{Frame, Hello, PING_LEN};
use heartbeat_proto::fleet::{Handle, Progress};
use heartbeat_proto::gateway::{Gateway, GatewayConfig, Gone};
use heartbeat_proto::{Config, Limits, Liveness, PingId, Reason, Timestamp, Wish};

use crate::world::{MS, SEC, World, address, bytes, host, ping, pong, quick};

const LOST: u16 = <Gateway>::LOST;
const CLOSING: u16 = <Gateway>::CLOSING;

fn liveness(world: &World, peer: Handle) -> Liveness {
    world.gateway.fleet().peer(peer).expect("a peer").liveness()
}

fn hello(epoch: u32) -> Frame {
    let limits = Limits::new(Wish::NoPreference, None, Duration::from_millis(1)).expect("valid");
    Frame::Hello(Hello::new(epoch, 1, limits))
}

fn beacon(epoch: u32) -> Frame {
    let (id, period) = (PingId::new(epoch, 3), Some(Duration::from_millis(300)));
    Frame::Beacon { id, handle: 0, stamp: 0, period, status: None }
}

/// GW2, GW3: a ping brings a challenge no longer than itself; its pong, and nothing less, admits.
#[test]
fn a_peer_joins_by_a_round_trip() {
    let mut world = World::new();
    let at = host(1);
    let challenge = world.challenge(at, 9);
    let Frame::Ping { id, handle, .. } = challenge else { panic!("{challenge:?}") };
    assert_eq!((id.epoch(), handle), (0, 9));
    assert_eq!(bytes(&challenge).len(), PING_LEN);
    assert!(world.gateway.is_empty(), "nothing is kept of a stranger");
    assert_eq!(world.challenge(at, 9), challenge, "which is why it is the same again");

    assert_eq!(world.say(at, &pong(&challenge)), []);
    let [(peer, from)] = world.out.joined[..] else { panic!("one joined") };
    assert_eq!((from, world.gateway.len()), (at, 1));
    assert_eq!(liveness(&world, peer), Liveness::Starting);
    assert_eq!(world.gateway.find(at), Some(peer));
    assert_eq!(world.gateway.address(peer), Ok(at));
    assert_eq!(world.gateway.stats().joined, 1);
}

/// GW3: a challenge is for one address, one epoch, and 4.3 to 8.6 s.
#[test]
fn the_answer_must_fit_the_challenge() {
    let mut world = World::new();
    let challenge = world.challenge(host(1), 9);
    let answer = pong(&challenge);
    let Frame::Pong { id, handle, stamp, hold, calm, status } = answer else { panic!("a pong") };
    world.say(host(2), &answer);
    world.say(address("10.0.0.1:7008"), &answer);
    let later = PingId::new(0, id.seq().wrapping_add(1));
    for forged in [
        Frame::Pong { id, handle: 10, stamp, hold, calm, status },
        Frame::Pong { id, handle: handle | 1 << 32, stamp, hold, calm, status },
        Frame::Pong { id, handle, stamp: stamp ^ 1, hold, calm, status },
        Frame::Pong { id: later, handle, stamp, hold, calm, status },
    ] {
        world.say(host(1), &forged);
    }
    assert_eq!((world.gateway.len(), world.gateway.stats().answers_bad), (0, 6));

    world.now += 2 << 32;
    world.say(host(1), &answer);
    assert_eq!((world.gateway.len(), world.gateway.stats().answers_bad), (0, 7), "too late");
    let fresh = world.challenge(host(1), 9);
    world.now += 1 << 32;
    world.say(host(1), &pong(&fresh));
    assert_eq!(world.gateway.len(), 1, "in time");
}

/// GW2: what has epoch 0 is not answered, so that two gateways, or one and an echo, make no loop.
#[test]
fn challenges_do_not_challenge_each_other() {
    let mut world = World::new();
    let challenge = world.challenge(host(1), 9);
    assert_eq!(world.say(host(1), &challenge), [], "an echo");
    let mut other = World::new();
    assert_eq!(other.say(host(1), &challenge), [], "another gateway");
    assert_eq!(other.say(host(1), &ping(0)), []);
    assert_eq!(other.gateway.stats().unwanted, 2);
}

/// GW5: a ping bears slot, epoch and a masked stamp; its pong is a sign of life, and measures.
#[test]
fn a_peer_is_pinged_and_answers() {
    let mut world = World::new();
    let peer = world.join(host(1), 9);
    let ping = world.next_ping(host(1));
    let Frame::Ping { id, handle, stamp, .. } = ping else { panic!("{ping:?}") };
    assert_eq!((id.epoch(), handle), (peer.epoch(), u64::from(peer.slot())));
    assert!(stamp.abs_diff(world.now) > 1 << 40, "a stamp tells no uptime");
    world.now += 2 * MS;
    assert_eq!(world.say(host(1), &pong(&ping)), []);
    assert_eq!(liveness(&world, peer), Liveness::Alive);
    let rtt = world.gateway.fleet().peer(peer).expect("a peer").rtt().smoothed().expect("measured");
    assert!(rtt >= Duration::from_millis(2) && rtt < Duration::from_millis(13), "{rtt:?}");
}

/// GW5: a pong that differs in anything is nobody's.
#[test]
fn a_pong_that_does_not_fit_is_no_sign_of_life() {
    let mut world = World::new();
    let peer = world.join(host(1), 9);
    let other = world.join(host(2), 9);
    let ping = world.next_ping(host(1));
    let Frame::Pong { id, handle, stamp, hold, calm, status } = pong(&ping) else { panic!() };
    let before = world.gateway.fleet().peer(peer).expect("a peer");
    let other_id = PingId::new(other.epoch(), id.seq());
    let far = stamp.wrapping_add(SEC);
    let early = stamp.wrapping_sub(3600 * SEC);
    for (from, handle, id, stamp) in [
        (host(2), handle, id, stamp),
        (address("10.0.0.1:7008"), handle, id, stamp),
        (host(1), handle + 1, id, stamp),
        (host(1), handle + 5_000_000, id, stamp),
        (host(1), handle | 1 << 24, id, stamp),
        (host(1), handle | 1 << 32, id, stamp),
        (host(1), handle, other_id, stamp),
        (host(1), handle, id, far),
        (host(1), handle, id, early),
        (host(1), handle, id, stamp ^ 1 << 63),
    ] {
        assert_eq!(world.say(from, &Frame::Pong { id, handle, stamp, hold, calm, status }), []);
    }
    assert_eq!(world.gateway.fleet().peer(peer).expect("a peer"), before);
    let stats = *world.gateway.stats();
    let dropped = (stats.pongs_moved, stats.pongs_stale, stats.pongs_misrouted, stats.pongs_forged);
    // That of another epoch has another mask as well.
    assert_eq!(dropped, (2, 3, 1, 4));
    assert_eq!(liveness(&world, peer), Liveness::Starting);
    world.say(host(1), &pong(&ping));
    assert_eq!(liveness(&world, peer), Liveness::Alive, "the true one still counts");
}

/// GW5: the stamps of two peers have two masks: to be a peer does not help to forge another's.
#[test]
fn each_peer_has_a_mask_of_its_own() {
    let mut world = World::new();
    world.join(host(1), 9);
    world.join(host(2), 9);
    let sent = world.pass(SEC, |_| true);
    let mut masks: Vec<u64> = Vec::new();
    for (_, frame) in sent {
        if let Frame::Ping { stamp, .. } = frame {
            masks.push(stamp.wrapping_sub(world.now) >> 32);
        }
    }
    masks.sort_unstable();
    masks.dedup();
    assert!(masks.len() >= 2, "{masks:?}");
}

/// GW6: under its own epoch a peer's ping is answered, and keeps it alive; so do beacons and hellos.
#[test]
fn a_peer_that_speaks_is_alive() {
    for say in [ping, beacon, hello] {
        let mut world = World::new();
        let peer = world.join(host(1), 9);
        for _ in 0..20 {
            let sent = world.say(host(1), &say(9));
            let answers = sent.iter().filter(|(_, frame)| matches!(frame, Frame::Pong { .. }));
            let answers: Vec<_> = answers.copied().collect();
            let expected = matches!(say(9), Frame::Ping { .. }).then(|| (host(1), pong(&say(9))));
            assert_eq!(answers, expected.into_iter().collect::<Vec<_>>());
            world.pass(100 * MS, |_| false);
            assert!(liveness(&world, peer).is_live(), "{:?}", say(9));
        }
    }
}

/// GW1, GW6: under another epoch nothing keeps it alive, nor does what anybody could send.
#[test]
fn what_anybody_could_have_said_is_no_sign_of_life() {
    let unknown = |_| Frame::Unknown { kind: 0x90 };
    for say in [ping, beacon, hello, unknown] {
        let mut world = World::new();
        world.join(host(1), 9);
        for _ in 0..20 {
            match say(10) {
                Frame::Unknown { kind } => drop(world.raw(host(1), &[0xb0, kind, 0, 0])),
                frame => {
                    for (_, sent) in world.say(host(1), &frame) {
                        assert!(matches!(sent, Frame::Ping { id, .. } if id.epoch() == 0));
                    }
                }
            }
            world.pass(100 * MS, |_| false);
        }
        assert!(world.gateway.is_empty(), "{:?}", say(10));
        assert_eq!(world.gateway.stats().lost, 1);
    }
}

/// GW7: a peer leaves by its own epoch, and by no other.
#[test]
fn a_goodbye_ends_whoever_knows_its_epoch() {
    let mut world = World::new();
    let peer = world.join(host(1), 9);
    let goodbye = |epoch| Frame::Goodbye { epoch, reason: 3 };
    for (from, epoch) in
        [(host(1), 8), (host(1), 0), (host(1), peer.epoch()), (host(2), 9), (host(2), 0)]
    {
        assert_eq!(world.say(from, &goodbye(epoch)), []);
    }
    assert_eq!(liveness(&world, peer), Liveness::Starting);
    assert_eq!(world.gateway.stats().unwanted, 5);
    assert_eq!(world.say(host(1), &goodbye(9)), []);
    assert_eq!(world.out.gone, [(peer, host(1), Gone::Left)]);
    assert_eq!((world.gateway.len(), world.gateway.find(host(1))), (0, None));
    assert_eq!(world.gateway.stats().left, 1);
}

/// GW8: a peer that is declared dead is told, once, and forgotten; and can come back.
#[test]
fn a_peer_that_is_declared_dead_is_told() {
    let mut world = World::new();
    let peer = world.join(host(1), 9);
    let living = world.join(host(2), 9);
    let sent = world.pass(3 * SEC, |to| to == host(2));
    let goodbyes: Vec<_> =
        sent.iter().filter(|(_, frame)| matches!(frame, Frame::Goodbye { .. })).collect();
    let told = Frame::Goodbye { epoch: peer.epoch(), reason: LOST };
    assert_eq!(goodbyes, [&(host(1), told)]);
    assert_eq!(world.out.gone, [(peer, host(1), Gone::Lost)]);
    let (who, report) = *world.out.changed.iter().rfind(|(who, _)| *who == peer).expect("told");
    assert_eq!((who, report.liveness), (peer, Liveness::Lost));
    assert_eq!(report.reason, Reason::NoResponse);
    assert_eq!(liveness(&world, living), Liveness::Alive);
    assert_eq!((world.gateway.len(), world.gateway.stats().lost), (1, 1));

    let again = world.join(host(1), 9);
    assert_ne!(again, peer);
}

/// GW8: where the rules let a lost peer come back, it is kept.
#[test]
fn a_peer_that_may_come_back_is_kept() {
    let reopens = Config::builder().interval(Duration::from_millis(300)).reopen_after(1);
    let reopens = reopens.timeout(Duration::from_millis(900)).build().expect("valid");
    let mut world = World::with(reopens, GatewayConfig::new());
    let peer = world.join(host(1), 9);
    let sent = world.pass(3 * SEC, |_| false);
    assert_eq!(liveness(&world, peer), Liveness::Lost);
    assert!(!sent.iter().any(|(_, frame)| matches!(frame, Frame::Goodbye { .. })));
    world.pass(10 * SEC, |_| true);
    assert_eq!(liveness(&world, peer), Liveness::Alive);
    assert_eq!(world.out.gone, []);
}

/// GW8: the caller ends one, or all; each living one is told, once.
#[test]
fn the_caller_says_goodbye() {
    let mut world = World::new();
    let peers: Vec<_> = (1..=5).map(|n| world.join(host(n), n)).collect();
    let now = Timestamp::from_nanos(world.now);
    world.gateway.remove(peers[1], now, &mut world.out).expect("there");
    assert!(world.gateway.remove(peers[1], now, &mut world.out).is_err());
    let mut calls = 0;
    while world.gateway.farewell(now, 2, &mut world.out) == Progress::Pending {
        calls += 1;
        assert_eq!(world.out.sent.len(), 1 + 2 * calls, "paced");
    }
    let mut told = core::mem::take(&mut world.out.sent);
    told.sort_by_key(|(to, _)| *to);
    let goodbye = |n: usize| {
        let epoch = peers[n - 1].epoch();
        (host(n as u32), Frame::Goodbye { epoch, reason: CLOSING })
    };
    assert_eq!(told, (1..=5).map(goodbye).collect::<Vec<_>>());
    assert!(world.out.gone.iter().all(|(_, _, why)| *why == Gone::Removed));
    assert_eq!((world.out.gone.len(), world.gateway.stats().removed), (5, 5));
}

/// GW8: a farewell looks at so many places for each peer of its budget, not at all that are empty.
#[test]
fn a_farewell_is_done_in_small_steps() {
    let caps = GatewayConfig::new().joins_per_second(9999).challenges_per_second(9999);
    let mut world = World::with(quick(), caps);
    let peers: Vec<_> = (0..6000).map(|n| world.join(host(n), 9)).collect();
    let last = peers.iter().map(|peer| peer.place()).max();
    for (n, peer) in peers.iter().enumerate() {
        if Some(peer.place()) != last {
            world.say(host(n as u32), &Frame::Goodbye { epoch: 9, reason: 0 });
        }
    }
    assert_eq!(world.gateway.len(), 1);
    let now = Timestamp::from_nanos(world.now);
    let mut calls = 1;
    while world.gateway.farewell(now, 10, &mut world.out) == Progress::Pending {
        calls += 1;
        assert!(calls < 100);
    }
    assert!(calls > 4, "6000 places in {calls} calls");
    assert_eq!(world.out.sent.len(), 1);
    assert_eq!(world.gateway.farewell(now, 0, &mut world.out), Progress::Done);
}

/// GW3: a peer that began anew proves it by a round trip; only then its next connection begins.
#[test]
fn a_peer_begins_anew() {
    let mut world = World::new();
    let old = world.join(host(1), 9);
    let challenge = world.challenge(host(1), 10);
    assert!(world.gateway.fleet().contains(old), "anybody could have sent that");
    world.say(host(1), &pong(&challenge));
    assert_eq!(world.out.gone, [(old, host(1), Gone::Restarted)]);
    let (new, _) = world.out.joined[1];
    assert_eq!(new, Handle::new(old.slot(), old.epoch() + 1));
    assert_eq!((world.gateway.len(), world.gateway.stats().restarted), (1, 1));
    // The same answer again is void, since the stay before has ended.
    world.say(host(1), &pong(&challenge));
    assert_eq!((world.out.joined.len(), world.gateway.stats().answers_bad), (2, 1));
    world.say(host(1), &Frame::Goodbye { epoch: 9, reason: 0 });
    assert_eq!(world.gateway.len(), 1, "9 is no more");
    world.say(host(1), &Frame::Goodbye { epoch: 10, reason: 0 });
    assert_eq!(world.gateway.len(), 0);
}

/// GW3: no handle has the epoch of challenges, whatever number a slot draws, now or later.
#[test]
fn no_peer_has_epoch_0() {
    fn mix(word: u64) -> u64 {
        let a = word.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let b = (a ^ (a >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let c = (b ^ (b >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        c ^ (c >> 31)
    }
    // A seed with which the first chunk has this epoch: one of 2^22 has. Each of its slots has 2^22
    // epochs to itself, from the last one back.
    let seed_of = |epoch: u32| {
        let has = |seed: &u64| {
            let draw = |of: u64| (mix(seed.wrapping_add(mix(of))) >> 32) as u32;
            let before = draw(u64::MAX).wrapping_sub(epoch);
            draw(u64::from(before >> 22)) >> 10 == before & 0x3f_ffff
        };
        (0..u64::MAX).find(has).expect("there are many")
    };
    for seed in [seed_of(0), seed_of(u32::MAX)] {
        let mut world = World::seeded(quick(), GatewayConfig::new().joins_per_second(9999), seed);
        for n in 0..1024 {
            world.join(host(n), 7);
            world.now += MS;
            // The same peer again: the slot's next epoch.
            let challenge = world.challenge(host(n), 8);
            world.say(host(n), &pong(&challenge));
        }
        let epochs: Vec<u32> = world.out.joined.iter().map(|(peer, _)| peer.epoch()).collect();
        assert_eq!(epochs.len(), 2048);
        assert!(!epochs.contains(&0));
        assert!(epochs.contains(&1), "one came past it");
    }
}

/// GW9: with the rules of the profile, not of its own: this is the bound that they promise.
#[test]
fn a_dead_peer_is_found_within_the_promise() {
    let mut world = World::new();
    let peer = world.join(host(1), 9);
    world.pass(2 * SEC, |_| true);
    assert_eq!(liveness(&world, peer), Liveness::Alive);
    let bound = quick().worst_case_detection() + world.gateway.fleet().step();
    world.pass(u64::try_from(bound.as_nanos()).expect("short"), |_: SocketAddr| false);
    assert_eq!(world.out.gone, [(peer, host(1), Gone::Lost)]);
}

/// GW9: a burst is its datagrams one after the other.
#[test]
fn a_burst_is_taken_in_its_order() {
    for many in [1, 40, 100] {
        let mut world = World::new();
        for n in 1..=many {
            world.join(host(n), 9);
        }
        let sent = world.pass(310 * MS, |_| false);
        // The newest to each.
        let pings = sent.into_iter().filter(|(_, frame)| matches!(frame, Frame::Ping { .. }));
        let pings: BTreeMap<SocketAddr, Frame> = pings.collect();
        assert_eq!(pings.len(), many as usize);
        let now = Timestamp::from_nanos(world.now);
        let goodbye = bytes(&Frame::Goodbye { epoch: 9, reason: 0 });
        let mut burst = world.gateway.burst(&mut world.out);
        for (from, ping) in &pings {
            burst.datagram(now, *from, &bytes(&pong(ping)));
        }
        for from in pings.keys() {
            burst.datagram(now, *from, &goodbye);
        }
        drop(burst);
        let stats = world.gateway.stats();
        assert_eq!((stats.left, stats.dropped()), (many.into(), 0), "pongs first");
        assert_eq!(world.gateway.fleet().census().stats().pongs_received, many.into());
    }
}
