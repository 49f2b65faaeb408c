//! What strangers without the key can cost.

use super::*;

/// GW4: so many sealed hellos of strangers are verified in a second, whoever sends them, and no more.
#[test]
fn no_more_hellos_are_verified_in_a_second() {
    let caps = GatewayConfig::new().challenges_per_second(20);
    let mut world = World::new(caps);
    let (mut peer, handle) = world.join(host(1), 9);
    world.now += SEC;
    let forged = {
        let stranger = KeyRing::new(1, b"another secret of 32 bytes......").expect("long enough");
        let (mut sealer, mut out) = (Sealer::new(1, 2).expect("other"), [0; MAX_FRAME]);
        let len = sealer.seal(&stranger, &hello(5, 1), &mut out).expect("fits");
        out[..len].to_vec()
    };
    for n in 0..1000 {
        // Some bear the peer's own address.
        let from = if n % 10 == 0 { host(1) } else { host(100 + n) };
        assert_eq!(world.say(from, &forged), []);
    }
    let stats = *world.gateway.stats();
    assert_eq!((stats.answers_bad, stats.answers_capped), (20, 980));
    assert_eq!(stats.refused(), 980);
    // It concerns nobody who has joined; and the next second is another one.
    let next = world.next_ping(&mut peer);
    let answer = peer.seal(&pong(&next));
    let _ = world.say(host(1), &answer);
    assert_eq!(world.liveness(handle), Liveness::Alive);
    world.now += SEC;
    let _ = world.join(host(2), 9);
}

/// GW4: who is refused because there is no place is not verified before.
#[test]
fn nothing_is_verified_where_there_is_no_place() {
    let mut world = World::new(GatewayConfig::new().peers(1).challenges_per_second(2));
    let mut early = world.greet(host(2), 9);
    let _ = world.join(host(1), 9);
    let sealed = early.seal(&hello(9, early.nonce));
    for n in 1..=10 {
        assert_eq!(world.say(host(2), &sealed), []);
        assert_eq!(world.gateway.stats().refused_full, n);
    }
    let stats = *world.gateway.stats();
    assert_eq!((stats.answers_bad, stats.answers_capped), (0, 0));
}
