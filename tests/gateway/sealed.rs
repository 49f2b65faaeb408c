//! A gateway with keys.

mod floods;
mod followed;
mod moves;
mod replays;

use core::net::SocketAddr;
use core::time::Duration;

use heartbeat_proto::codec::auth::{KeyRing, Opener, Sealer};
use heartbeat_proto::codec::{Frame, Hello, MAX_FRAME, datagram};
use heartbeat_proto::fleet::{Fleet, Handle, Progress};
use heartbeat_proto::gateway::{Gateway, GatewayConfig, Gone, Outlet};
use heartbeat_proto::{Limits, Liveness, PingId, Timestamp, Wish};

use crate::world::{BASE, MS, SEC, SECRET, bytes, host, ping, pong, quick};

const KEY: &[u8] = b"0123456789abcdef0123456789abcdef";

fn keys() -> KeyRing {
    KeyRing::new(1, KEY).expect("long enough")
}

/// What came out, as bytes.
#[derive(Default)]
struct Out {
    sent: Vec<(SocketAddr, Vec<u8>)>,
    joined: Vec<Handle>,
    gone: Vec<(Handle, Gone)>,
}

impl Outlet for Out {
    fn send(&mut self, to: SocketAddr, datagram: &[u8]) {
        self.sent.push((to, datagram.to_vec()));
    }

    fn joined(&mut self, peer: Handle, _: SocketAddr) {
        self.joined.push(peer);
    }

    fn gone(&mut self, peer: Handle, _: SocketAddr, why: Gone) {
        self.gone.push((peer, why));
    }
}

struct World {
    gateway: Gateway,
    now: u64,
    out: Out,
}

/// A peer's end of a connection.
struct Peer {
    at: SocketAddr,
    epoch: u32,
    nonce: u64,
    /// When its clock began: its stamps count from here.
    since: u64,
    sealer: Sealer,
    opener: Opener,
}

fn hello(epoch: u32, nonce: u64) -> Frame {
    let limits = Limits::new(Wish::NoPreference, None, Duration::ZERO).expect("valid");
    Frame::Hello(Hello::new(epoch, nonce, limits))
}

impl World {
    fn new(caps: GatewayConfig) -> Self {
        let fleet = Fleet::new(quick(), 42, Timestamp::from_nanos(BASE)).expect("valid");
        let gateway = Gateway::new(fleet, caps, SECRET).expect("valid").with_keys(keys());
        Self { gateway, now: BASE, out: Out::default() }
    }

    fn say(&mut self, from: SocketAddr, bytes: &[u8]) -> Vec<(SocketAddr, Vec<u8>)> {
        let now = Timestamp::from_nanos(self.now);
        self.gateway.datagram(now, from, bytes, &mut self.out);
        core::mem::take(&mut self.out.sent)
    }

    /// The nonces of both are exchanged; nobody is admitted yet.
    fn greet(&mut self, at: SocketAddr, epoch: u32) -> Peer {
        let nonce = u64::from(epoch) << 8 | 1;
        let clear = bytes(&hello(epoch, nonce));
        let sent = self.say(at, &clear);
        let [(to, answer)] = &sent[..] else { panic!("{sent:?}") };
        assert_eq!((*to, answer.len()), (at, clear.len()), "not amplified");
        let Ok(Frame::Hello(theirs)) = datagram::decode(answer) else { panic!("{answer:?}") };
        let sealer = Sealer::new(nonce, theirs.nonce()).expect("other nonces");
        let opener = Opener::new(nonce, theirs.nonce()).expect("other nonces");
        Peer { at, epoch, nonce, since: self.now, sealer, opener }
    }

    fn join(&mut self, at: SocketAddr, epoch: u32) -> (Peer, Handle) {
        let mut peer = self.greet(at, epoch);
        let sealed = peer.seal(&hello(epoch, peer.nonce));
        let sent = self.say(at, &sealed);
        let [(to, answer)] = &sent[..] else { panic!("{sent:?}") };
        assert_eq!((*to, answer.len()), (at, sealed.len()));
        let answer = peer.open(answer, self.now).expect("sealed for it");
        assert!(matches!(answer, Frame::Hello(_)), "{answer:?}");
        (peer, *self.out.joined.last().expect("it joined"))
    }

    /// Until the next ping to this peer, as it opens it; all else is not answered.
    fn next_ping(&mut self, peer: &mut Peer) -> Frame {
        for _ in 0..100 {
            for (to, bytes) in self.pass(10 * MS) {
                if let (true, Some(ping @ Frame::Ping { .. })) =
                    (to == peer.at, peer.open(&bytes, self.now))
                {
                    return ping;
                }
            }
        }
        panic!("no ping to {}", peer.at);
    }

    fn pass(&mut self, nanos: u64) -> Vec<(SocketAddr, Vec<u8>)> {
        self.now += nanos;
        let now = Timestamp::from_nanos(self.now);
        while self.gateway.advance(now, 1000, &mut self.out) == Progress::Pending {}
        core::mem::take(&mut self.out.sent)
    }

    fn liveness(&self, peer: Handle) -> Liveness {
        self.gateway.fleet().peer(peer).expect("a peer").liveness()
    }
}

impl Peer {
    fn seal(&mut self, frame: &Frame) -> Vec<u8> {
        let mut out = [0; MAX_FRAME];
        let len = self.sealer.seal(&keys(), frame, &mut out).expect("fits");
        out[..len].to_vec()
    }

    /// A ping of its own that names it, wherever it comes from.
    fn speak(&mut self, handle: Handle, now: u64) -> Vec<u8> {
        let (id, stamp) = (PingId::new(self.epoch, 7), now - self.since);
        self.seal(&Frame::Ping { id, handle: handle.slot().into(), stamp, status: None })
    }

    fn open(&mut self, bytes: &[u8], now: u64) -> Option<Frame> {
        self.opener.open(&keys(), bytes, Timestamp::from_nanos(now)).ok()
    }
}

/// GW11: two hellos in the clear, two sealed ones, and all that follows is sealed.
#[test]
fn a_peer_joins_with_the_key() {
    let mut world = World::new(GatewayConfig::new());
    let mut peer = world.greet(host(1), 9);
    assert!(world.gateway.is_empty(), "nothing is kept of a stranger");
    let sealed = peer.seal(&hello(9, peer.nonce));
    let _ = world.say(host(1), &sealed);
    let handle = world.out.joined[0];
    let ping = world.next_ping(&mut peer);
    let answer = peer.seal(&pong(&ping));
    let _ = world.say(host(1), &answer);
    assert_eq!(world.liveness(handle), Liveness::Alive);
    let own = peer.seal(&Frame::Ping { id: PingId::new(9, 4), handle: 1, stamp: 2, status: None });
    let sent = world.say(host(1), &own);
    assert_eq!(sent.len(), 1);
    assert!(matches!(peer.open(&sent[0].1, world.now), Some(Frame::Pong { .. })));
    let goodbye = peer.seal(&Frame::Goodbye { epoch: 9, reason: 0 });
    let _ = world.say(host(1), &goodbye);
    assert_eq!(world.out.gone, [(handle, Gone::Left)]);
    assert_eq!((peer.epoch, world.gateway.stats().unsealed), (9, 0));
}

/// GW11: without the key, or with another one, nobody is admitted, and nothing is said for a peer.
#[test]
fn nothing_counts_that_is_not_sealed() {
    let mut world = World::new(GatewayConfig::new());
    let (mut peer, handle) = world.join(host(1), 9);
    let whole = world.next_ping(&mut peer);
    let before = world.gateway.fleet().peer(handle).expect("a peer");
    let other = KeyRing::new(1, b"another secret of 32 bytes......").expect("long enough");
    let mut forged = [0; MAX_FRAME];
    let len = peer.sealer.clone().seal(&other, &pong(&whole), &mut forged).expect("fits");
    let sealed = peer.seal(&pong(&whole));
    let altered: Vec<_> = (0..sealed.len())
        .map(|at| {
            let mut altered = sealed.clone();
            altered[at] ^= 1;
            altered
        })
        .collect();
    let goodbye = bytes(&Frame::Goodbye { epoch: 9, reason: 0 });
    let plain = [bytes(&pong(&whole)), goodbye, bytes(&ping(9)), bytes(&ping(10))];
    for bytes in altered.iter().chain(&plain).chain([&forged[..len].to_vec()]) {
        assert_eq!(world.say(host(1), bytes), []);
    }
    assert_eq!(world.gateway.fleet().peer(handle).expect("a peer"), before);
    let stats = *world.gateway.stats();
    assert_eq!(stats.unsealed + stats.malformed, altered.len() as u64 + 5, "{stats:?}");
    assert!(stats.unsealed > 5);
    let _ = world.say(host(1), &sealed);
    assert_eq!(world.liveness(handle), Liveness::Alive, "the true one still counts");
    let _ = world.say(host(1), &sealed);
    assert_eq!(world.gateway.stats().unsealed, stats.unsealed + 1, "but not twice");
}

/// GW11: a sealed hello is for its address and epoch, and for 4.3 to 8.6 s; a replay does nothing.
#[test]
fn a_sealed_hello_must_fit_the_challenge() {
    let mut world = World::new(GatewayConfig::new());
    let mut peer = world.greet(host(1), 9);
    let sealed = peer.seal(&hello(9, peer.nonce));
    let other_epoch = peer.seal(&hello(10, peer.nonce));
    assert_eq!(world.say(host(2), &sealed), []);
    assert_eq!(world.say(host(1), &other_epoch), []);
    world.now += 2 << 32;
    assert_eq!(world.say(host(1), &sealed), []);
    assert_eq!((world.gateway.len(), world.gateway.stats().answers_bad), (0, 3));
    let mut peer = world.greet(host(1), 9);
    let sealed = peer.seal(&hello(9, peer.nonce));
    assert_eq!(world.say(host(1), &sealed).len(), 1);
    assert_eq!(world.say(host(1), &sealed), [], "again");
    assert_eq!(world.say(host(1), &bytes(&hello(0, 3))), [], "epoch 0");
    assert_eq!((world.gateway.len(), world.out.joined.len()), (1, 1));
    // It begins anew.
    world.now += 1 << 32;
    let (_, new) = world.join(host(1), 10);
    assert_eq!(world.out.gone, [(world.out.joined[0], Gone::Restarted)]);
    assert_eq!(new.slot(), world.out.joined[0].slot());
}

/// GW6, GW7: under another epoch than its own even a sealed frame says nothing of the peer.
#[test]
fn a_sealed_frame_of_another_epoch_is_unwanted() {
    let mut world = World::new(GatewayConfig::new());
    let (mut peer, handle) = world.join(host(1), 9);
    let before = world.gateway.fleet().peer(handle).expect("a peer");
    for frame in [Frame::Goodbye { epoch: 10, reason: 0 }, ping(10), hello(10, peer.nonce)] {
        let sealed = peer.seal(&frame);
        assert_eq!(world.say(host(1), &sealed), []);
    }
    assert_eq!(world.gateway.fleet().peer(handle).expect("a peer"), before);
    assert_eq!(world.gateway.stats().unwanted, 3);
}

/// GW8, GW11: the goodbye to a dead peer is sealed, too; keys are changed while it runs.
#[test]
fn the_dead_are_told_under_seal_and_keys_change() {
    let mut world = World::new(GatewayConfig::new());
    let (mut peer, handle) = world.join(host(1), 9);
    let ring = world.gateway.keys_mut().expect("keys");
    ring.insert(2, b"fedcba9876543210").expect("a key");
    ring.use_key(2).expect("it is there");
    let mut both = keys();
    both.insert(2, b"fedcba9876543210").expect("a key");
    let mut told = Vec::new();
    for _ in 0..300 {
        for (_, bytes) in world.pass(10 * MS) {
            let now = Timestamp::from_nanos(world.now);
            assert!(peer.opener.clone().open(&keys(), &bytes, now).is_err(), "the new key");
            told.push(peer.opener.open(&both, &bytes, now).expect("sealed for it"));
        }
    }
    let goodbye = Frame::Goodbye { epoch: handle.epoch(), reason: <Gateway>::LOST };
    assert_eq!(told.last(), Some(&goodbye));
    assert!(told.len() > 2, "pings before");
    assert_eq!(world.out.gone, [(handle, Gone::Lost)]);
    assert!(world.now > BASE + SEC);
}
