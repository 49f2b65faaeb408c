//! GW12: peers at another address than before, and who would like them to be.

use super::*;

impl Peer {
    /// What it answers to the only datagram of these, which is for that address.
    fn answer(&mut self, sent: &[(SocketAddr, Vec<u8>)], at: SocketAddr, now: u64) -> Vec<u8> {
        let [(to, bytes)] = sent else { panic!("{sent:?}") };
        assert_eq!(*to, at);
        let asked = self.open(bytes, now).expect("sealed for it, with a stamp that fits");
        self.seal(&pong(&asked))
    }
}

impl World {
    /// Asks a peer that spoke from there, who answers from there.
    fn follow(&mut self, peer: &mut Peer, to: SocketAddr, said: &[u8]) {
        let asked = self.say(to, said);
        assert_eq!(asked.iter().map(|(_, bytes)| bytes.len()).collect::<Vec<_>>(), [said.len()]);
        let answer = peer.answer(&asked, to, self.now);
        assert_eq!(self.say(to, &answer), []);
    }

    /// The pong to the next ping, which was not sent yet.
    fn next_pong(&mut self, peer: &mut Peer) -> Vec<u8> {
        let ping = self.next_ping(peer);
        peer.seal(&pong(&ping))
    }
}

/// GW12: a pong from another address is a sign of life and brings a ping there; its pong moves the peer,
/// within the round trip. No replay does.
#[test]
fn a_peer_moves() {
    let mut world = World::new(GatewayConfig::new());
    let (mut peer, handle) = world.join(host(1), 9);
    let answer = world.next_pong(&mut peer);
    let asked = world.say(host(2), &answer);
    assert_eq!(world.liveness(handle), Liveness::Alive);
    assert_eq!(world.gateway.address(handle), Ok(host(1)), "not before it has answered there");
    let proof = peer.answer(&asked, host(2), world.now);
    assert_eq!(proof.len(), asked[0].1.len());
    assert_eq!(world.say(host(2), &proof), []);
    assert_eq!(world.gateway.address(handle), Ok(host(2)));
    assert_eq!((world.gateway.find(host(1)), world.gateway.find(host(2))), (None, Some(handle)));
    peer.at = host(2);
    let _ = world.next_ping(&mut peer);
    for replay in [&answer, &proof] {
        assert_eq!(world.say(host(3), replay), []);
    }
    assert_eq!(world.gateway.address(handle), Ok(host(2)), "a replay");
    let stats = world.gateway.stats();
    assert_eq!((stats.probes, stats.moved, stats.unsealed), (1, 1, 2));
}

/// GW12: who sees a pong and is faster with it than the peer moves nobody: what comes to its address
/// it cannot answer. Pings go where they went.
#[test]
fn who_forwards_a_pong_first_moves_nobody() {
    let mut world = World::new(GatewayConfig::new());
    let (mut peer, handle) = world.join(host(1), 9);
    for round in 1..=20 {
        let answer = world.next_pong(&mut peer);
        let asked = world.say(host(66), &answer);
        assert_eq!(asked.len(), 1, "it answered something that was not sent to there");
        assert_eq!(world.say(host(1), &answer), [], "the peer's own copy is a replay");
        // All that it has, as it is and with the kind of a pong.
        let mut bent = asked[0].1.clone();
        bent[1] = 3;
        for bytes in [&answer, &asked[0].1, &bent] {
            assert_eq!(world.say(host(66), bytes), []);
        }
        assert_eq!(world.gateway.address(handle), Ok(host(1)));
        assert_eq!(world.liveness(handle), Liveness::Alive);
        assert_eq!((world.gateway.stats().probes, world.gateway.stats().moved), (round, 0));
    }
}

/// GW12: who forwards both ways is a path like any other, and has the peer for as long as it does and is
/// faster. Then the peer's next frame of its own brings it back.
#[test]
fn who_forwards_both_ways_has_a_peer_while_it_does() {
    let mut world = World::new(GatewayConfig::new());
    let (mut peer, handle) = world.join(host(1), 9);
    let answer = world.next_pong(&mut peer);
    world.follow(&mut peer, host(66), &answer);
    assert_eq!(world.gateway.address(handle), Ok(host(66)));
    // It forwards on, but the peer's own pong is faster.
    peer.at = host(66);
    let answer = world.next_pong(&mut peer);
    world.follow(&mut peer, host(1), &answer);
    assert_eq!(world.gateway.address(handle), Ok(host(1)), "within a round trip");
    // It takes it again, and forwards nothing any more.
    peer.at = host(1);
    let answer = world.next_pong(&mut peer);
    world.follow(&mut peer, host(66), &answer);
    let _ = world.pass(310 * MS);
    let own = peer.speak(handle, world.now);
    world.follow(&mut peer, host(1), &own);
    assert_eq!(world.gateway.address(handle), Ok(host(1)));
    assert_eq!((world.gateway.len(), world.gateway.stats().moved), (1, 4));
    let _ = world.next_pong(&mut peer);
}

/// GW12: where nothing comes through to the old address any more, as behind a NAT that has forgotten it,
/// the peer says so itself, after an interval without a ping; it is not declared dead.
#[test]
fn a_peer_whose_old_address_is_dead_moves_by_its_own_ping() {
    let mut world = World::new(GatewayConfig::new());
    let (mut peer, handle) = world.join(host(1), 9);
    for to in [2, 3, 4] {
        let answer = world.next_pong(&mut peer);
        let _ = world.say(peer.at, &answer);
        assert_eq!(world.liveness(handle), Liveness::Alive);
        let _ = world.pass(310 * MS);
        peer.at = host(to);
        let own = peer.speak(handle, world.now);
        world.follow(&mut peer, host(to), &own);
        assert_eq!(world.gateway.address(handle), Ok(host(to)));
    }
    assert_eq!((world.gateway.len(), world.gateway.stats().moved), (1, 3));
    assert_eq!(world.out.gone, []);
}

/// GW12: a ping of its own moves nobody by itself; and it must be the peer's, with its epoch and its slot.
#[test]
fn a_ping_from_elsewhere_must_be_the_peers() {
    let mut world = World::new(GatewayConfig::new());
    let (mut peer, handle) = world.join(host(1), 9);
    let (mut other, _) = world.join(host(5), 9);
    let before = world.gateway.fleet().peer(handle).expect("a peer");
    let stamp = world.now - peer.since;
    let named = |epoch, handle| {
        let id = PingId::new(epoch, 3);
        Frame::Ping { id, handle, stamp, status: None }
    };
    let slot = u64::from(handle.slot());
    let bad = [
        peer.seal(&named(10, slot)),
        peer.seal(&named(9, slot + 1)),
        peer.seal(&named(9, slot | 1 << 24)),
        peer.seal(&named(9, slot | 1 << 32)),
        other.seal(&named(9, slot)),
        bytes(&named(9, slot)),
    ];
    for bytes in bad {
        assert_eq!(world.say(host(2), &bytes), []);
    }
    assert_eq!((world.gateway.stats().unsealed, world.gateway.stats().probes), (6, 0));
    let own = peer.speak(handle, world.now);
    assert_eq!(world.say(host(2), &own).len(), 1);
    assert_eq!(world.say(host(3), &own), [], "a replay");
    assert_eq!(world.gateway.address(handle), Ok(host(1)));
    assert_eq!(world.gateway.fleet().peer(handle).expect("a peer"), before);
}

/// GW12: the answer proves the address to which the ping went, and no other.
#[test]
fn an_answer_proves_the_address_that_was_asked() {
    let mut world = World::new(GatewayConfig::new());
    let (mut peer, handle) = world.join(host(1), 9);
    let answer = world.next_pong(&mut peer);
    let asked = world.say(host(2), &answer);
    let proof = peer.answer(&asked, host(2), world.now);
    assert_eq!(world.say(host(3), &proof), [], "and brings no further ping");
    assert_eq!(world.say(host(2), &proof), [], "a replay by now");
    // With the number of the slot alone it is no answer to that ping, nor with that of another ping.
    let own = peer.speak(handle, world.now);
    let asked = world.say(host(2), &own);
    let Some(Frame::Ping { id, handle: field, stamp, .. }) = peer.open(&asked[0].1, world.now)
    else {
        panic!("a ping")
    };
    for (id, field) in [
        (id, u64::from(handle.slot())),
        (id, field ^ 1 << 40),
        (PingId::new(id.epoch(), 1), field),
        (PingId::new(id.epoch() ^ 1, id.seq()), field),
    ] {
        let ping = Frame::Ping { id, handle: field, stamp, status: None };
        let answer = peer.seal(&pong(&ping));
        let _ = world.say(host(2), &answer);
        assert_eq!(world.gateway.address(handle), Ok(host(1)), "{ping:?}");
    }
    assert_eq!(world.gateway.stats().moved, 0);
}

/// GW12: who holds an answer back sends nobody's pings away later, when the peer has said something since.
#[test]
fn an_answer_that_was_overtaken_moves_nobody() {
    let mut world = World::new(GatewayConfig::new());
    let (mut peer, handle) = world.join(host(1), 9);
    let answer = world.next_pong(&mut peer);
    let asked = world.say(host(2), &answer);
    let held_back = peer.answer(&asked, host(2), world.now);
    let own = peer.speak(handle, world.now);
    assert_eq!(world.say(host(1), &own).len(), 1);
    assert_eq!(world.say(host(2), &held_back), []);
    assert_eq!(world.gateway.address(handle), Ok(host(1)));
    assert_eq!((world.gateway.stats().moved, world.gateway.stats().pongs_moved), (0, 1));
    // Nor is it asked where it was when it said what comes now.
    let held_back = peer.speak(handle, world.now);
    let own = peer.speak(handle, world.now);
    assert_eq!(world.say(host(1), &own).len(), 1);
    assert_eq!(world.say(host(2), &held_back), []);
    assert_eq!((world.gateway.stats().probes, world.gateway.stats().unwanted), (1, 1));
}

/// GW12: what the peer said from its old address before it moved, and comes late, does not bring it back.
#[test]
fn a_late_pong_from_the_old_address_moves_nobody_back() {
    let mut world = World::new(GatewayConfig::new());
    let (mut peer, handle) = world.join(host(1), 9);
    let early = world.next_pong(&mut peer);
    let own = peer.speak(handle, world.now);
    world.follow(&mut peer, host(2), &own);
    let before = world.gateway.fleet().census().stats().pongs_received;
    assert_eq!(world.say(host(1), &early), [], "no ping goes there");
    assert_eq!(world.gateway.fleet().census().stats().pongs_received, before + 1, "but it lives");
    assert_eq!(world.gateway.address(handle), Ok(host(2)));
}

/// GW12, GW4: not to where somebody else is, nor beyond the cap of the new source; nobody is asked there.
#[test]
fn a_peer_moves_only_to_where_there_is_room() {
    let mut world = World::new(GatewayConfig::new().per_source(2));
    let (mut peer, handle) = world.join(host(1), 9);
    let mut full: Vec<_> = (1..3).map(|port| SocketAddr::from(([10, 0, 0, 9], port))).collect();
    full.extend([host(2), host(4)]);
    for at in full {
        let _ = world.join(at, 9);
    }
    let beside = SocketAddr::from(([10, 0, 0, 9], 3));
    for to in [host(2), beside] {
        let answer = world.next_pong(&mut peer);
        assert_eq!(world.say(to, &answer), []);
        assert_eq!(world.gateway.address(handle), Ok(host(1)));
    }
    assert_eq!((world.gateway.stats().pongs_moved, world.gateway.stats().moved), (2, 0));
    // Somebody came there while it was asked.
    let answer = world.next_pong(&mut peer);
    let asked = world.say(host(3), &answer);
    let proof = peer.answer(&asked, host(3), world.now);
    let _ = world.join(host(3), 9);
    assert_eq!(world.say(host(3), &proof), []);
    assert_eq!(world.gateway.address(handle), Ok(host(1)));
    let answer = world.next_pong(&mut peer);
    world.follow(&mut peer, host(6), &answer);
    assert_eq!(world.gateway.address(handle), Ok(host(6)));
}

/// GW12, GW4: a NAT that gives a peer another port does not make it one more of its source.
#[test]
fn a_peer_moves_within_a_source_that_is_full() {
    let mut world = World::new(GatewayConfig::new().per_source(2));
    let port = |port: u16| SocketAddr::from(([10, 0, 0, 9], port));
    let _ = world.join(port(1), 8);
    let (mut peer, handle) = world.join(port(2), 9);
    let answer = world.next_pong(&mut peer);
    world.follow(&mut peer, port(3), &answer);
    assert_eq!(world.gateway.address(handle), Ok(port(3)));
    assert_eq!((world.gateway.stats().moved, world.gateway.stats().refused_source), (1, 0));
    let refused = world.say(port(2), &bytes(&hello(7, 7)));
    assert_eq!((refused, world.gateway.stats().refused_source), (Vec::new(), 1), "still full");
}

/// GW12, GW5: a pong that is too old to mean anything moves nobody, and asks nobody: who holds one back
/// could else send a peer's pings away at any later time.
#[test]
fn an_old_pong_moves_nobody() {
    let mut world = World::new(GatewayConfig::new());
    let (mut peer, handle) = world.join(host(1), 9);
    let held_back = world.next_pong(&mut peer);
    for _ in 0..20 {
        let answer = world.next_pong(&mut peer);
        let _ = world.say(host(1), &answer);
    }
    assert_eq!(world.say(host(2), &held_back), []);
    assert_eq!(world.gateway.address(handle), Ok(host(1)));
    assert_eq!((world.gateway.stats().moved, world.gateway.stats().probes), (0, 0));
    assert_eq!(world.gateway.stats().pongs_moved, 1);
}
