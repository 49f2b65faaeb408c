//! GW11: who saw a peer join sends that again.

use super::*;

/// GW11: what was seen does not bring back the connection before, for which the living one would be given up.
#[test]
fn a_replayed_hello_does_not_end_the_next_connection() {
    let mut world = World::new(GatewayConfig::new());
    let mut old = world.greet(host(1), 9);
    let sealed = old.seal(&hello(9, old.nonce));
    assert_eq!(world.say(host(1), &sealed).len(), 1);
    // It begins anew at once.
    let (mut peer, new) = world.join(host(1), 10);
    for replay in [&sealed, &bytes(&hello(9, old.nonce)), &sealed] {
        let _ = world.say(host(1), replay);
    }
    let next = world.next_ping(&mut peer);
    assert_eq!(world.say(host(1), &sealed), []);
    let answer = peer.seal(&pong(&next));
    let _ = world.say(host(1), &answer);
    assert_eq!(world.liveness(new), Liveness::Alive);
    assert_eq!(world.gateway.stats().restarted, 1);
}

/// GW11: nor does it make a peer of nobody when the peer has left, was given up, or has moved.
#[test]
fn a_sealed_hello_admits_once() {
    for end in 0..3 {
        let mut world = World::new(GatewayConfig::new());
        let mut peer = world.greet(host(1), 9);
        let sealed = peer.seal(&hello(9, peer.nonce));
        assert_eq!(world.say(host(1), &sealed).len(), 1);
        let handle = world.out.joined[0];
        match end {
            0 => {
                let goodbye = peer.seal(&Frame::Goodbye { epoch: 9, reason: 0 });
                let _ = world.say(host(1), &goodbye);
            }
            1 => {
                let now = Timestamp::from_nanos(world.now);
                world.gateway.remove(handle, now, &mut world.out).expect("there");
                world.out.sent.clear();
            }
            _ => {
                let (id, stamp) = (PingId::new(9, 2), world.now - peer.since);
                let slot = handle.slot().into();
                let own = peer.seal(&Frame::Ping { id, handle: slot, stamp, status: None });
                let asked = world.say(host(2), &own);
                let asked = peer.open(&asked[0].1, world.now).expect("sealed for it");
                let proof = peer.seal(&pong(&asked));
                let _ = world.say(host(2), &proof);
                assert_eq!(world.gateway.address(handle), Ok(host(2)));
            }
        }
        let before = world.gateway.len();
        for _ in 0..3 {
            assert_eq!(world.say(host(1), &sealed), []);
            world.now += 10 * MS;
        }
        assert_eq!((world.gateway.len(), world.gateway.find(host(1))), (before, None), "{end}");
        assert_eq!(world.gateway.stats().answers_bad, 3);
        // The peer itself may come back at once.
        let _ = world.join(host(1), 9);
    }
}

/// GW11: nonces that were sent before somebody's stay ended are void, used or not.
#[test]
fn a_nonce_from_before_the_end_is_void() {
    let mut world = World::new(GatewayConfig::new());
    let mut unused = world.greet(host(1), 8);
    let _ = world.join(host(1), 9);
    let mut next = world.greet(host(1), 10);
    let sealed = next.seal(&hello(10, next.nonce));
    assert_eq!(world.say(host(1), &sealed).len(), 1, "it begins anew");
    let sealed = unused.seal(&hello(8, unused.nonce));
    assert_eq!(world.say(host(1), &sealed), []);
    assert_eq!((world.gateway.stats().answers_bad, world.gateway.stats().restarted), (1, 1));
}
