//! What strangers, and peers that want more than they may, send.

use core::net::SocketAddr;

use heartbeat_proto::codec::{Frame, MAX_FRAME};
use heartbeat_proto::fleet::Handle;
use heartbeat_proto::gateway::{GatewayConfig, Gone};
use heartbeat_proto::{Liveness, PingId};
use proptest::prelude::*;

use crate::world::{MS, SEC, World, bytes, host, pong, quick};

/// Bytes that nearly are a frame.
fn nearly(kind: u8, body: Vec<u8>) -> Vec<u8> {
    let mut bytes = vec![0xb0, kind];
    bytes.extend((body.len() as u16).to_be_bytes());
    bytes.extend(body);
    bytes
}

fn datagram() -> impl Strategy<Value = Vec<u8>> {
    let any_bytes = |len| prop::collection::vec(any::<u8>(), len);
    prop_oneof![
        any_bytes(0..200),
        (0..9_u8, any_bytes(0..80)).prop_map(|(kind, body)| nearly(kind, body)),
        (1..4_u8, any_bytes(28..29)).prop_map(|(kind, mut body)| {
            if kind == 1 {
                body[24..].fill(0);
            }
            nearly(kind, body)
        }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, ..ProptestConfig::default() })]

    /// GW1: whatever strangers, and whoever forges a peer's address, sends: it changes no peer but
    /// by what the rules name, is answered by no more than it was, and makes nobody a peer.
    #[test]
    fn any_bytes_change_nothing(
        datagrams in prop::collection::vec((0..4_u32, datagram()), 1..60),
    ) {
        let mut world = World::new();
        let peer = world.join(host(1), 0x5eed_0001);
        let before = world.gateway.fleet().peer(peer).expect("a peer");
        let received = world.gateway.stats().received;
        for (from, bytes) in &datagrams {
            let sent = world.raw(host(*from), bytes);
            prop_assert!(sent.len() <= 1);
            for (to, frame) in sent {
                prop_assert_eq!(to, host(*from));
                prop_assert!(frame.encoded_len() <= bytes.len(), "amplified");
                let challenge = matches!(frame, Frame::Ping { id, .. } if id.epoch() == 0);
                prop_assert!(challenge, "{:?}", frame);
            }
        }
        prop_assert_eq!(world.gateway.len(), 1);
        prop_assert_eq!(world.gateway.stats().received, received + datagrams.len() as u64);
        // None of them knew a peer's epoch: 32 bits.
        prop_assert_eq!(world.gateway.fleet().peer(peer).expect("a peer"), before);
    }
}

/// GW1: frames with something behind them, or cut off, are none.
#[test]
fn a_datagram_is_one_whole_frame() {
    let mut world = World::new();
    let peer = world.join(host(1), 9);
    let whole = world.next_ping(host(1));
    let answer = bytes(&pong(&whole));
    let before = world.gateway.fleet().peer(peer).expect("a peer");
    let mut bad = vec![Vec::new(), answer[..31].to_vec(), [&answer[..], &[0]].concat()];
    bad.push(vec![0xb0; MAX_FRAME + 1]);
    bad.push(vec![1]);
    bad.push(vec![2]);
    let number = bad.len() as u64;
    for bytes in bad {
        assert_eq!(world.raw(host(1), &bytes), []);
    }
    assert_eq!(world.gateway.stats().malformed, number);
    assert_eq!(world.gateway.fleet().peer(peer).expect("a peer"), before);
}

/// GW3: an answer admits once: played again it does nothing, not even when the peer has left.
#[test]
fn replays_of_an_answer() {
    let mut world = World::new();
    let challenge = world.challenge(host(1), 9);
    let answer = pong(&challenge);
    world.say(host(1), &answer);
    for _ in 0..10 {
        world.say(host(1), &answer);
        world.say(host(2), &answer);
    }
    assert_eq!((world.gateway.len(), world.out.joined.len()), (1, 1));
    world.say(host(1), &Frame::Goodbye { epoch: 9, reason: 0 });
    world.say(host(1), &answer);
    assert_eq!(world.gateway.len(), 0, "nobody is there");
    assert_eq!(world.out.gone.len(), 1);
    // The peer itself may come back at once.
    world.join(host(1), 9);
    world.say(host(1), &answer);
    assert_eq!((world.gateway.len(), world.out.joined.len()), (1, 2));
}

/// GW3: an answer that comes twice, late, does not bring back the connection before, for which the living
/// one would be given up.
#[test]
fn a_late_answer_does_not_end_the_next_connection() {
    let mut world = World::new();
    let answer = pong(&world.challenge(host(1), 9));
    world.say(host(1), &answer);
    let challenge = world.challenge(host(1), 10);
    world.say(host(1), &pong(&challenge));
    let (new, _) = *world.out.joined.last().expect("it began anew");
    world.say(host(1), &answer);
    assert_eq!(world.gateway.find(host(1)), Some(new));
    assert_eq!((world.gateway.stats().restarted, world.gateway.stats().answers_bad), (1, 1));
}

/// GW3: a peer that ends voids the challenges of its own address; one of a thousand others at most shares
/// its lot, and asks again.
#[test]
fn an_end_voids_few_challenges_of_others() {
    let mut world = World::new();
    let peer = world.join(host(0), 9);
    let challenged: Vec<_> = (1..=3000).map(|n| (host(n), world.challenge(host(n), 9))).collect();
    assert_eq!(world.gateway.find(host(0)), Some(peer));
    world.say(host(0), &Frame::Goodbye { epoch: 9, reason: 0 });
    world.now += SEC;
    for (from, challenge) in challenged.iter().take(1000) {
        world.say(*from, &pong(challenge));
    }
    let stats = *world.gateway.stats();
    assert!(stats.answers_bad <= 3, "{stats:?}");
}

/// GW5: the handle of a peer that was forgotten names nobody, though its slot has another one, and even
/// from the same address.
#[test]
fn a_handle_is_never_another_peers() {
    let mut world = World::with(quick(), GatewayConfig::new());
    let old = world.join(host(1), 9);
    let stale = world.next_ping(host(1));
    world.say(host(1), &Frame::Goodbye { epoch: 9, reason: 0 });
    let new = world.join(host(1), 10);
    assert_eq!(old.slot(), new.slot(), "the slot is used again");
    let before = world.gateway.fleet().peer(new).expect("a peer");
    world.say(host(1), &pong(&stale));
    assert_eq!(world.gateway.fleet().peer(new).expect("a peer"), before);
    let stats = world.gateway.stats();
    assert_eq!(stats.pongs_stale + stats.pongs_forged, 1);
}

/// GW5: a peer at another address is not followed: it is found dead where it was, and told so there;
/// its own ping from the new address lets it in.
#[test]
fn a_peer_that_moves_joins_again() {
    let mut world = World::new();
    let peer = world.join(host(1), 9);
    world.pass(SEC, |_| true);
    for _ in 0..3 {
        let ping = world.next_ping(host(1));
        world.say(host(2), &pong(&ping));
    }
    assert!(world.gateway.stats().pongs_moved >= 3);
    let new = world.join(host(2), 9);
    world.pass(3 * SEC, |to| to == host(2));
    assert_eq!(world.out.gone, [(peer, host(1), Gone::Lost)]);
    let state = world.gateway.fleet().peer(new).expect("a peer");
    assert_eq!(state.liveness(), Liveness::Alive);
}

/// GW2, GW3: a ping that is forged brings about a challenge whose handle is the forger's epoch. A peer that
/// looks at it, as the protocol says, goes on; one that answers whatever comes is begun anew.
#[test]
fn a_forged_ping_begins_nobody_anew_who_looks_at_the_handle() {
    for looks in [true, false] {
        let mut world = World::new();
        let peer = world.join(host(1), 9);
        let challenge = world.challenge(host(1), 66);
        let Frame::Ping { handle, .. } = challenge else { panic!("{challenge:?}") };
        assert_eq!(handle, 66);
        if !looks || handle == 9 {
            world.say(host(1), &pong(&challenge));
        }
        world.say(host(1), &Frame::Goodbye { epoch: 66, reason: 0 });
        assert_eq!(world.gateway.find(host(1)), looks.then_some(peer));
    }
}

/// GW4, GW10: floods of forged strangers leave nothing behind, and no peer suffers.
#[test]
fn a_flood_of_strangers_leaves_nothing() {
    let mut world = World::with(quick(), GatewayConfig::new().challenges_per_second(100));
    let peer = world.join(host(1), 9);
    let mut sent = 0;
    let heap = allocation_counter::measure(|| {
        for n in 0..100_000_u32 {
            let now = heartbeat_proto::Timestamp::from_nanos(world.now);
            let from = SocketAddr::from((n.to_be_bytes(), n as u16));
            let mut out = |_: SocketAddr, _: &[u8]| sent += 1;
            world.gateway.datagram(now, from, &PING, &mut out);
        }
    });
    assert_eq!((heap.count_total, world.gateway.len()), (0, 1));
    assert!(sent <= 100, "{sent} challenges at once");
    world.pass(5 * SEC, |_| true);
    assert!(world.gateway.fleet().contains(peer));
}

const PING: [u8; 32] = {
    let mut bytes = [0; 32];
    (bytes[0], bytes[1], bytes[3], bytes[7]) = (0xb0, 1, 28, 9);
    bytes
};

/// GW5: guesses of the right form, from the right address: no sign of life comes of a million.
#[test]
fn guessed_pongs_are_no_sign_of_life() {
    let mut world = World::new();
    let peer = world.join(host(1), 9);
    let true_ping = world.next_ping(host(1));
    let Frame::Ping { id, handle, .. } = true_ping else { panic!() };
    let before = world.gateway.fleet().peer(peer).expect("a peer");
    let mut guessed = 7_u64;
    for _ in 0..1_000_000 {
        guessed = guessed.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(0x1405_7b7e_f767_814f);
        // Even with the epoch known, as a peer that saw one of its pings would know it.
        let ping = Frame::Ping { id, handle, stamp: guessed, status: None };
        let guess = pong(&ping);
        let now = heartbeat_proto::Timestamp::from_nanos(world.now);
        world.gateway.datagram(now, host(1), &bytes(&guess), &mut world.out);
    }
    assert_eq!(world.gateway.fleet().peer(peer).expect("a peer"), before);
    assert_eq!(world.gateway.stats().pongs_forged, 1_000_000);
    let other = Frame::Ping { id: PingId::new(9, 1), handle, stamp: 0, status: None };
    world.say(host(1), &pong(&other));
    assert_eq!(peer, Handle::new(peer.slot(), id.epoch()));
    world.now += MS;
}
