//! A gateway and a naive one beside it, that keeps a table of addresses, a state of its own for each
//! peer, and every datagram that it ever sent (rule GW9). The fuzzer drives them, too.

use core::net::SocketAddr;
use core::time::Duration;
use std::collections::{BTreeMap, BTreeSet};

use heartbeat_proto::codec::{Frame, datagram};
use heartbeat_proto::detector::Deadline;
use heartbeat_proto::fleet::{Handle, Progress};
use heartbeat_proto::gateway::{GatewayConfig, Gone};
use heartbeat_proto::{
    Action, Actions, Config, Echo, Event, Liveness, PeerState, PingId, Reason, Timestamp,
};

use super::world::{MS, SEC, World, bytes, ping, pong, quick};

pub(crate) const PEERS: usize = 4;
const PER_SOURCE: usize = 2;

/// What may happen. Numbers choose among what there is.
#[derive(Clone, Debug)]
pub(crate) enum Op {
    /// A ping, a goodbye, a beacon.
    Ping {
        from: usize,
        epoch: u32,
    },
    Goodbye {
        from: usize,
        epoch: u32,
    },
    Beacon {
        from: usize,
        epoch: u32,
    },
    /// A pong to something that was sent, from where it went to.
    Answer {
        which: usize,
    },
    /// The same from somewhere else, or with something changed.
    Moved {
        which: usize,
        from: usize,
    },
    Tampered {
        which: usize,
        what: u8,
    },
    /// All that came in the last advance is answered, but every so many.
    AnswerAll {
        but: usize,
    },
    Garbage {
        from: usize,
        bytes: Vec<u8>,
    },
    Pass {
        millis: u64,
    },
    Advance {
        budget: usize,
    },
    Remove {
        who: usize,
    },
}

pub(crate) const ADDRESSES: usize = 6;

/// Two hosts with three ports each.
fn place(n: usize) -> SocketAddr {
    SocketAddr::from(([10, 0, 0, (n / 3) as u8], 7000 + (n % 3) as u16))
}

pub(crate) struct Peer {
    handle: Handle,
    epoch: u32,
    state: PeerState<Deadline, Echo>,
    /// What was added to its stamps, once a ping has shown it.
    mask: Option<u64>,
}

/// Nothing here is stateless, compact or fast.
pub(crate) struct Naive {
    config: Config,
    peers: BTreeMap<SocketAddr, Peer>,
    challenges: Vec<(SocketAddr, Frame, u64)>,
    /// Every ping: to whom, and what.
    pings: Vec<(SocketAddr, Frame)>,
    pub(crate) gone: Vec<(Handle, SocketAddr, Gone)>,
    sent: Vec<(SocketAddr, Frame)>,
    pub(crate) joined: u64,
}

impl Naive {
    fn source(at: SocketAddr) -> core::net::IpAddr {
        at.ip()
    }

    fn has_place(&self, at: SocketAddr) -> bool {
        let same = |other: &&SocketAddr| Self::source(**other) == Self::source(at);
        self.peers.len() < PEERS && self.peers.keys().filter(same).count() < PER_SOURCE
    }

    /// Does what came of an event of the peer there.
    fn perform(&mut self, at: SocketAddr, actions: Actions, answer: Option<Frame>) {
        for action in actions {
            let peer = &self.peers[&at];
            match action {
                Action::SendPong { .. } => {
                    self.sent.push((at, answer.expect("to a ping")));
                }
                // The stamp is masked, so it is read off what the gateway sends.
                Action::SendPing { id, .. } => {
                    let slot = peer.handle.slot().into();
                    let unknown = Frame::Ping { id, handle: slot, stamp: 0, status: None };
                    self.sent.push((at, unknown));
                }
                Action::SendBeacon { id, .. } => {
                    let (handle, period) = (peer.handle.slot().into(), None);
                    let beacon = Frame::Beacon { id, handle, stamp: 0, period, status: None };
                    self.sent.push((at, beacon));
                }
                Action::SendGoodbye => {
                    let epoch = peer.handle.epoch();
                    self.sent.push((at, Frame::Goodbye { epoch, reason: 2 }));
                }
                Action::Notify(change) => {
                    let why = match (change.to, change.reason) {
                        (Liveness::Lost, _) => Gone::Lost,
                        (Liveness::Closed, Reason::Goodbye) => Gone::Left,
                        (Liveness::Closed, _) => Gone::Removed,
                        _ => continue,
                    };
                    let epoch = peer.handle.epoch();
                    if why == Gone::Lost {
                        self.sent.push((at, Frame::Goodbye { epoch, reason: 1 }));
                    }
                    self.end(peer.handle, at, why);
                    self.peers.remove(&at);
                    return;
                }
                _ => {}
            }
        }
    }

    /// No answer to a challenge from before is good any more.
    fn end(&mut self, peer: Handle, at: SocketAddr, why: Gone) {
        self.gone.push((peer, at, why));
        self.challenges.retain(|(to, ..)| *to != at);
    }

    fn tell(&mut self, at: SocketAddr, event: Event, answer: Option<Frame>, now: u64) {
        let peer = self.peers.get_mut(&at).expect("a peer");
        let actions = peer.state.handle(&self.config, event, Timestamp::from_nanos(now));
        self.perform(at, actions, answer);
    }

    fn hear(&mut self, world: &World, from: SocketAddr, frame: &Frame, now: u64) {
        let known = self.peers.get(&from).map(|peer| peer.epoch);
        match *frame {
            Frame::Ping { id, stamp, .. } if known == Some(id.epoch()) => {
                let stamp = Some(Timestamp::from_nanos(stamp));
                self.tell(from, Event::PingReceived { id, stamp }, Some(pong(frame)), now);
            }
            Frame::Beacon { id, stamp, period, .. } if known == Some(id.epoch()) => {
                let stamp = Some(Timestamp::from_nanos(stamp));
                let beacon = |period| Event::BeaconReceived { stamp, period };
                self.tell(from, period.map_or(Event::FrameReceived, beacon), None, now);
            }
            Frame::Hello(hello) if known == Some(hello.epoch()) => {
                let min_gap = hello.limits().min_gap();
                self.tell(from, Event::LimitReceived { min_gap }, None, now);
            }
            Frame::Goodbye { epoch, .. } if known == Some(epoch) => {
                self.tell(from, Event::GoodbyeReceived, None, now);
            }
            Frame::Ping { id, .. }
                if id.epoch() != 0 && (known.is_some() || self.has_place(from)) =>
            {
                let tick = (now >> 32) as u32;
                let (id, handle) = (PingId::new(0, tick), id.epoch().into());
                self.sent.push((from, Frame::Ping { id, handle, stamp: 0, status: None }));
            }
            Frame::Pong { id, handle, stamp, hold, calm, .. } if id.epoch() != 0 => {
                let Some(peer) = self.peers.get(&from) else { return };
                let own = (peer.handle.epoch(), u64::from(peer.handle.slot()));
                let Some(mask) = peer.mask.filter(|_| own == (id.epoch(), handle)) else { return };
                let stamp = stamp.wrapping_sub(mask);
                let oldest = self.config.worst_case_detection().as_nanos();
                if stamp > now || u128::from(now - stamp) > oldest {
                    return;
                }
                let stamp = Some(Timestamp::from_nanos(stamp));
                self.tell(from, Event::PongReceived { id, stamp, hold, calm }, None, now);
            }
            Frame::Pong { id, handle, stamp, .. } => {
                let ping = Frame::Ping { id, handle, stamp, status: None };
                let sent = |(to, sent, at): &&(SocketAddr, Frame, u64)| {
                    *to == from && *sent == ping && (now >> 32) - (at >> 32) <= 1
                };
                let Some((_, Frame::Ping { handle, .. }, _)) = self.challenges.iter().find(sent)
                else {
                    return;
                };
                self.admit(world, from, *handle as u32, now);
            }
            _ => {}
        }
    }

    fn admit(&mut self, world: &World, from: SocketAddr, epoch: u32, now: u64) {
        let at = Timestamp::from_nanos(now);
        let mut state = match self.peers.remove(&from) {
            Some(peer) if peer.epoch == epoch => {
                self.peers.insert(from, peer);
                return;
            }
            Some(peer) => {
                self.end(peer.handle, from, Gone::Restarted);
                peer.state.next_connection(&self.config, at)
            }
            None if !self.has_place(from) => return,
            // Slot and epoch are the fleet's to choose; what a new peer is, is known of others.
            None => PeerState::new(0, at),
        };
        self.joined += 1;
        let handle = world.out.joined.last().expect("the gateway admits it as well").0;
        if state.epoch() != handle.epoch() {
            state = fresh(handle.epoch(), at);
        }
        let _ = state.handle(&self.config, Event::Start, at);
        self.peers.insert(from, Peer { handle, epoch, state, mask: None });
    }
}

/// A state of this epoch: `SplitMix64` turned around gives the seed of it.
fn fresh(epoch: u32, now: Timestamp) -> PeerState<Deadline, Echo> {
    let word = u64::from(epoch) << 32;
    let word = word ^ (word >> 31) ^ (word >> 62);
    let word = word.wrapping_mul(0x3196_42b2_d24d_8ec3);
    let word = word ^ (word >> 27) ^ (word >> 54);
    let word = word.wrapping_mul(0x96de_1b17_3f11_9089);
    let seed = (word ^ (word >> 30) ^ (word >> 60)).wrapping_sub(0x9e37_79b9_7f4a_7c15);
    let state = PeerState::new(seed, now);
    assert_eq!(state.epoch(), epoch);
    state
}

pub(crate) struct Both {
    pub(crate) world: World,
    pub(crate) naive: Naive,
    answered: usize,
}

impl Both {
    pub(crate) fn new() -> Self {
        let caps = GatewayConfig::new().peers(PEERS as u32).per_source(PER_SOURCE as u32);
        let naive = Naive {
            config: quick(),
            peers: BTreeMap::new(),
            challenges: Vec::new(),
            pings: Vec::new(),
            gone: Vec::new(),
            sent: Vec::new(),
            joined: 0,
        };
        Self { world: World::with(quick(), caps), naive, answered: 0 }
    }

    fn say(&mut self, from: SocketAddr, frame: &Frame) {
        let sent = self.world.say(from, frame);
        self.naive.hear(&self.world, from, frame, self.world.now);
        self.compare(sent);
    }

    /// All that was sent by both is the same but for stamps, which the naive one learns here.
    fn compare(&mut self, mut sent: Vec<(SocketAddr, Frame)>) {
        for (to, frame) in &sent {
            let (Frame::Ping { id, stamp, .. } | Frame::Beacon { id, stamp, .. }) = frame else {
                continue;
            };
            if id.epoch() == 0 {
                continue;
            }
            let mask = stamp.wrapping_sub(self.world.now);
            if let Some(peer) = self.naive.peers.get_mut(to) {
                let known = *peer.mask.get_or_insert(mask);
                assert_eq!(mask, known, "a peer's mask stays");
            }
        }
        for (to, frame) in &mut sent {
            if let Frame::Beacon { stamp, .. } = frame {
                *stamp = 0;
            }
            let Frame::Ping { id, handle, status, .. } = *frame else { continue };
            if id.epoch() == 0 {
                self.naive.challenges.push((*to, *frame, self.world.now));
            }
            self.naive.pings.push((*to, *frame));
            *frame = Frame::Ping { id, handle, stamp: 0, status };
        }
        let key = |(to, frame): &(SocketAddr, Frame)| (*to, bytes(frame));
        let mut expected = core::mem::take(&mut self.naive.sent);
        sent.sort_by_key(key);
        expected.sort_by_key(key);
        assert_eq!(sent, expected);
        let sorted = |gone: &[(Handle, SocketAddr, Gone)]| {
            let mut gone: Vec<_> = gone.iter().map(|(h, a, why)| (*h, *a, why.code())).collect();
            gone.sort_unstable();
            gone
        };
        assert_eq!(sorted(&self.world.out.gone), sorted(&self.naive.gone));
        assert_eq!(self.world.gateway.len(), self.naive.peers.len());
        assert_eq!(self.world.gateway.stats().joined, self.naive.joined);
        for (at, peer) in &self.naive.peers {
            assert_eq!(self.world.gateway.find(*at), Some(peer.handle));
            let state = self.world.gateway.fleet().peer(peer.handle).expect("there");
            assert_eq!(state, peer.state, "{at}");
        }
    }

    pub(crate) fn play(&mut self, op: &Op) {
        let pings = self.naive.pings.len();
        let recent = |which: usize| self.naive.pings[pings - 1 - which % pings.min(8)];
        match op {
            Op::Ping { from, epoch } => self.say(place(*from), &ping(*epoch)),
            Op::Goodbye { from, epoch } => {
                self.say(place(*from), &Frame::Goodbye { epoch: *epoch, reason: 0 });
            }
            Op::Beacon { from, epoch } => {
                let (id, period) = (PingId::new(*epoch, 4), Some(Duration::from_millis(200)));
                let beacon = Frame::Beacon { id, handle: 0, stamp: 9, period, status: None };
                self.say(place(*from), &beacon);
            }
            Op::Answer { .. } | Op::Moved { .. } | Op::Tampered { .. } if pings == 0 => {}
            Op::Answer { which } => {
                let (to, ping) = recent(*which);
                self.say(to, &pong(&ping));
            }
            Op::Moved { which, from } => {
                let ping = recent(*which).1;
                self.say(place(*from), &pong(&ping));
            }
            Op::Tampered { which, what } => {
                let (to, ping) = recent(*which);
                let tampered = tampered(&pong(&ping), *what);
                self.say(to, &tampered);
            }
            Op::AnswerAll { but } => {
                let due: Vec<_> = self.naive.pings[self.answered.min(pings)..].to_vec();
                self.answered = pings;
                for (n, (to, ping)) in due.iter().enumerate() {
                    if n % but != but - 1 {
                        self.say(*to, &pong(ping));
                    }
                }
            }
            Op::Garbage { from, bytes } => {
                let sent = self.world.raw(place(*from), bytes);
                if let Ok(frame) = datagram::decode(bytes) {
                    self.naive.hear(&self.world, place(*from), &frame, self.world.now);
                }
                self.compare(sent);
            }
            Op::Pass { millis } => self.world.now += millis * MS,
            Op::Advance { budget } => while self.advance(*budget) == Progress::Pending {},
            Op::Remove { who } => {
                let who = self.naive.peers.iter().nth(*who).map(|(at, peer)| (*at, peer.handle));
                let Some((at, handle)) = who else { return };
                let now = Timestamp::from_nanos(self.world.now);
                self.world.gateway.remove(handle, now, &mut self.world.out).expect("there");
                let sent = core::mem::take(&mut self.world.out.sent);
                self.naive.tell(at, Event::Close, None, self.world.now);
                self.compare(sent);
            }
        }
    }

    /// Whom an advance has reached is the fleet's to say; in the end it is all that are due.
    fn advance(&mut self, budget: usize) -> Progress {
        let now = self.world.now;
        let progress =
            self.world.gateway.advance(Timestamp::from_nanos(now), budget, &mut self.world.out);
        let step = u64::try_from(self.world.gateway.fleet().step().as_nanos()).expect("short");
        let ended = now / step * step;
        let all: Vec<SocketAddr> = self.naive.peers.keys().copied().collect();
        let mut left = BTreeSet::new();
        for at in all {
            let peer = &self.naive.peers[&at];
            let due = peer.state.next_deadline(&self.naive.config);
            if due.is_none_or(|(due, _)| due.as_nanos() >= ended) {
                continue;
            }
            let state = self.world.gateway.fleet().peer(peer.handle);
            if state.is_ok_and(|state| state == peer.state) {
                left.insert(at);
                continue;
            }
            self.naive.tell(at, Event::Tick, None, now);
        }
        assert!(progress == Progress::Pending || left.is_empty(), "{left:?} are due");
        let sent = core::mem::take(&mut self.world.out.sent);
        self.compare(sent);
        progress
    }
}

/// A pong in which one thing is another one.
fn tampered(pong: &Frame, what: u8) -> Frame {
    let Frame::Pong { mut id, mut handle, mut stamp, mut hold, calm, status } = *pong else {
        panic!("{pong:?}")
    };
    match what {
        0 => id = PingId::new(id.epoch(), id.seq().wrapping_add(1)),
        1 => id = PingId::new(id.epoch().wrapping_add(1), id.seq()),
        2 => handle ^= 1,
        3 => stamp = stamp.wrapping_add(10 * SEC),
        4 => stamp = stamp.wrapping_sub(50 * MS),
        _ => hold = Duration::from_millis(3),
    }
    Frame::Pong { id, handle, stamp, hold, calm, status }
}
