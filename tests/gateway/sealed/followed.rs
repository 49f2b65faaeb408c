//! GW12, at random: a peer that moves, and somebody who sees all that is sent, sends it again from
//! anywhere, first or later, and keeps back what he likes; but who cannot bring it to the peer.

use std::collections::BTreeSet;

use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;

use super::*;

/// The peer's are the first three.
const HOSTS: u32 = 5;
const OWN: u32 = 3;

/// What becomes of a datagram of the peer's.
#[derive(Clone, Copy, Debug)]
enum Fate {
    Arrives,
    /// First from this host, then from the peer.
    Overtaken(u32),
    KeptBack,
}

#[derive(Clone, Debug)]
enum Op {
    /// So many milliseconds; what the peer says to it.
    Pass(u64, Fate),
    /// The peer pings, and names its slot; and what it says to what comes of it.
    Speaks(Fate, Fate),
    Moves(u32),
    /// Something that the peer has said, from anywhere.
    Replay(usize, u32),
}

struct Chase {
    world: World,
    peer: Peer,
    handle: Handle,
    /// Where it has been.
    been: BTreeSet<SocketAddr>,
    said: Vec<Vec<u8>>,
}

impl Chase {
    fn new() -> Self {
        let mut world = World::new(GatewayConfig::new());
        let (peer, handle) = world.join(host(0), 9);
        Self { world, peer, handle, been: BTreeSet::from([host(0)]), said: Vec::new() }
    }

    /// What was sent to where the peer is, it answers; all else is lost.
    fn deliver(&mut self, sent: Vec<(SocketAddr, Vec<u8>)>, fate: Fate) {
        for (to, bytes) in sent {
            if to != self.peer.at {
                continue;
            }
            let frame = self.peer.open(&bytes, self.world.now).expect("sealed for it");
            if let Frame::Ping { .. } = frame {
                let answer = self.peer.seal(&pong(&frame));
                self.say(&answer, fate, Fate::Arrives);
            }
        }
    }

    fn say(&mut self, bytes: &[u8], fate: Fate, then: Fate) {
        self.said.push(bytes.to_vec());
        if let Fate::Overtaken(from) = fate {
            let sent = self.world.say(host(from), bytes);
            self.deliver(sent, then);
        }
        if !matches!(fate, Fate::KeptBack) {
            let sent = self.world.say(self.peer.at, bytes);
            self.deliver(sent, then);
        }
    }

    fn speak(&mut self, fate: Fate, then: Fate) {
        let own = self.peer.speak(self.handle, self.world.now);
        self.say(&own, fate, then);
    }

    /// Whether there is still a peer.
    fn play(&mut self, op: &Op) -> bool {
        match *op {
            Op::Pass(millis, fate) => {
                let sent = self.world.pass(millis * MS);
                self.deliver(sent, fate);
            }
            Op::Speaks(fate, then) => self.speak(fate, then),
            Op::Moves(to) => {
                self.peer.at = host(to);
                self.been.insert(host(to));
            }
            Op::Replay(which, from) => {
                if let Some(bytes) = self.said.iter().rev().nth(which).cloned() {
                    let sent = self.world.say(host(from), &bytes);
                    self.deliver(sent, Fate::Arrives);
                }
            }
        }
        let Ok(at) = self.world.gateway.address(self.handle) else { return false };
        assert!(self.been.contains(&at), "taken away to {at} by {op:?}");
        true
    }

    /// Left alone, it is where the peer is as soon as that speaks.
    fn find(&mut self) {
        self.speak(Fate::Arrives, Fate::Arrives);
        assert_eq!(self.world.gateway.address(self.handle), Ok(self.peer.at));
    }
}

fn op() -> impl Strategy<Value = Op> {
    let fate = || {
        prop_oneof![
            4 => Just(Fate::Arrives),
            3 => (0..HOSTS).prop_map(Fate::Overtaken),
            1 => Just(Fate::KeptBack),
        ]
    };
    prop_oneof![
        6 => (1..200_u64, fate()).prop_map(|(millis, fate)| Op::Pass(millis, fate)),
        3 => (fate(), fate()).prop_map(|(fate, then)| Op::Speaks(fate, then)),
        1 => (0..OWN).prop_map(Op::Moves),
        4 => (0..6_usize, 0..HOSTS).prop_map(|(which, from)| Op::Replay(which, from)),
    ]
}

fn run(ops: &[Op]) -> Chase {
    let mut chase = Chase::new();
    if ops.iter().all(|op| chase.play(op)) {
        chase.find();
    }
    chase
}

/// The random lives are not all tame: peers are asked, and followed, and seldom die.
#[test]
fn chases_are_full() {
    let mut runner = TestRunner::deterministic();
    let lives = prop::collection::vec(op(), 60..80);
    let (mut probes, mut moved, mut survived) = (0, 0, 0);
    for _ in 0..50 {
        let chase = run(&lives.new_tree(&mut runner).expect("generates").current());
        probes += chase.world.gateway.stats().probes;
        moved += chase.world.gateway.stats().moved;
        survived += chase.world.gateway.len();
    }
    assert!(probes > 200 && moved > 50 && survived > 25, "{probes}, {moved}, {survived}");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, ..ProptestConfig::default() })]

    /// GW12: nobody takes a peer's pings away who cannot answer them, and the peer is found again.
    #[test]
    fn nobody_is_taken_away(ops in prop::collection::vec(op(), 1..80)) {
        run(&ops);
    }
}
