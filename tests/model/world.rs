//! The world of the model: two shipped machines, the packets between them, and their misfortunes.

use core::hash::Hash;

use heartbeat_proto::{
    Action, Actions, Config, Event, Ledger, Liveness, PeerState, PingId, Timestamp,
    detector::Detector,
};

use crate::ghost::{Claims, Ghost, Rule};

/// What may happen. All spans are in units of 1 ns, the grain of the machine's own time.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Fate {
    /// A packet takes 0 up to this many units; packets overtake each other.
    pub(crate) delay: u8,
    /// Packets are lost, but not two within so many units; `None`: never, zero: at will.
    pub(crate) loss: Option<u8>,
    /// A packet may come twice.
    pub(crate) duplication: bool,
    /// The other end may stop for ever, at any time.
    pub(crate) crash: bool,
    /// This end's process may stand still for up to so many units; what arrives waits.
    pub(crate) stall: u8,
    /// The least time between two stalls.
    pub(crate) rest: u8,
    /// Frames of another connection come in at any time.
    pub(crate) strangers: bool,
}

/// Two ends with their rules, what may happen to them, and what is claimed all the same.
pub(crate) struct World<D: Detector, L: Ledger> {
    pub(crate) configs: [Config<D>; 2],
    pub(crate) fate: Fate,
    pub(crate) claims: [Claims; 2],
    /// The other end starts 0 up to this many units before this one.
    pub(crate) offsets: u8,
    pub(crate) ledger: core::marker::PhantomData<fn() -> L>,
}

pub(crate) const US: usize = 0;
pub(crate) const THEM: usize = 1;

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct State<D: Detector, L: Ledger> {
    pub(crate) ends: [End<D, L>; 2],
    /// Sorted: the network has no order.
    pub(crate) packets: Vec<Packet>,
    /// Since the last loss; saturates where another one is allowed.
    pub(crate) since_loss: u8,
    /// The first promise that was broken.
    pub(crate) broken: Option<Rule>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct End<D: Detector, L: Ledger> {
    /// Always normalised: it is `NORMAL_NOW`.
    pub(crate) peer: PeerState<D, L>,
    pub(crate) process: Process,
    /// Since the last stall; saturates where another one is allowed.
    pub(crate) rested: u8,
    pub(crate) ghost: Ghost,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Process {
    Runs,
    /// For so many units now.
    Stands(u8),
    Crashed,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Packet {
    pub(crate) to: usize,
    pub(crate) kind: Kind,
    /// Units since it was sent.
    pub(crate) age: u8,
    /// It is a copy, or has one.
    pub(crate) doubled: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Kind {
    /// So many numbers behind the newest of its sender.
    Ping {
        behind: u8,
    },
    /// For a ping so many behind the receiver's newest, sent so many units ago.
    Pong {
        behind: u8,
        asked: u8,
    },
    Beacon,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// One unit of time passes.
    Pass,
    /// The driver calls because something is due.
    Tick(usize),
    Deliver(Packet),
    Lose(Packet),
    Double(Packet),
    /// A frame of another connection comes in.
    Stranger(usize),
    Crash(usize),
    Stall(usize),
    Wake(usize),
}

impl<D: Detector, L: Ledger> World<D, L> {
    const NOW: Timestamp = PeerState::<D, L>::NORMAL_NOW;

    pub(crate) fn first_states(&self) -> Vec<State<D, L>> {
        let starts = (0..=self.offsets).map(|ahead| {
            let mut state = State {
                ends: [self.end(US), self.end(THEM)],
                packets: Vec::new(),
                since_loss: self.fate.loss.unwrap_or(0),
                broken: None,
            };
            self.call(&mut state, THEM, Event::Start);
            for _ in 0..ahead {
                self.pass(&mut state);
            }
            // Nobody listens yet.
            state.packets.clear();
            self.call(&mut state, US, Event::Start);
            state
        });
        starts.collect()
    }

    fn end(&self, who: usize) -> End<D, L> {
        // Without jitter and with a fixed phase the seed means nothing.
        let peer = PeerState::new(who as u64, Self::NOW);
        let peer = peer.normalized(&self.configs[who], Self::NOW);
        End { peer, process: Process::Runs, rested: self.fate.rest, ghost: Ghost::default() }
    }

    pub(crate) fn steps(&self, state: &State<D, L>, steps: &mut Vec<Step>) {
        let idle = |who: usize| {
            let end = &state.ends[who];
            end.process == Process::Crashed || is_over(end.peer.liveness())
        };
        if state.broken.is_some() || (idle(US) && idle(THEM)) {
            return;
        }
        let mut hurried = false;
        for (who, end) in state.ends.iter().enumerate() {
            match end.process {
                Process::Runs => {
                    hurried |= self.offer_tick(state, who, steps);
                    if self.fate.strangers {
                        steps.push(Step::Stranger(who));
                    }
                    if self.fate.crash && who == THEM {
                        steps.push(Step::Crash(who));
                    }
                    if who == US && self.fate.stall > 0 && end.rested >= self.fate.rest {
                        steps.push(Step::Stall(who));
                    }
                }
                Process::Stands(so_far) => {
                    steps.push(Step::Wake(who));
                    hurried |= so_far >= self.fate.stall;
                }
                Process::Crashed => {}
            }
        }
        for (i, &packet) in state.packets.iter().enumerate() {
            if i > 0 && state.packets[i - 1] == packet {
                continue; // Its twin has been offered.
            }
            if state.ends[packet.to].process == Process::Runs {
                steps.push(Step::Deliver(packet));
                hurried |= packet.age >= self.fate.delay;
            }
            if packet.age == 0 {
                if self.fate.loss.is_some_and(|rest| state.since_loss >= rest) {
                    steps.push(Step::Lose(packet));
                }
                if self.fate.duplication && !packet.doubled {
                    steps.push(Step::Double(packet));
                }
            }
        }
        if !hurried {
            steps.push(Step::Pass);
        }
    }

    /// A driver reads before it ticks, unless it is late: then any order must do. Returns whether
    /// something is due.
    fn offer_tick(&self, state: &State<D, L>, who: usize, steps: &mut Vec<Step>) -> bool {
        let (end, config) = (&state.ends[who], &self.configs[who]);
        let due = end.peer.next_deadline(config).filter(|&(at, _)| at <= Self::NOW);
        let Some((due, _)) = due else { return false };
        let late = Self::NOW.saturating_duration_since(due) > config.slack();
        let waits = |packet: &Packet| packet.to == who && packet.age >= self.fate.delay;
        let unread = self.fate.stall > 0 && end.rested == 0 && state.packets.iter().any(waits);
        if late || !unread {
            steps.push(Step::Tick(who));
        }
        true
    }

    pub(crate) fn after(&self, before: &State<D, L>, step: Step) -> State<D, L> {
        let mut state = before.clone();
        match step {
            Step::Pass => self.pass(&mut state),
            Step::Tick(who) => self.call(&mut state, who, Event::Tick),
            Step::Deliver(packet) => {
                remove(&mut state.packets, packet);
                self.deliver(&mut state, packet);
            }
            Step::Lose(packet) => {
                remove(&mut state.packets, packet);
                state.since_loss = 0;
            }
            Step::Double(packet) => {
                remove(&mut state.packets, packet);
                state.packets.extend([Packet { doubled: true, ..packet }; 2]);
            }
            Step::Stranger(who) => {
                let epoch = !state.ends[who].peer.epoch();
                self.call(&mut state, who, Event::pong(PingId::new(epoch, 1)));
            }
            Step::Crash(who) => {
                state.ends[who] = End { process: Process::Crashed, ..self.end(who) };
                state.packets.retain(|packet| packet.to != who);
            }
            Step::Stall(who) => state.ends[who].process = Process::Stands(0),
            Step::Wake(who) => {
                state.ends[who].process = Process::Runs;
                state.ends[who].rested = 0;
            }
        }
        state.packets.sort_unstable();
        state
    }

    fn pass(&self, state: &mut State<D, L>) {
        for packet in &mut state.packets {
            packet.age += 1;
            if let Kind::Pong { asked, .. } = &mut packet.kind {
                *asked += 1;
            }
        }
        state.since_loss = (state.since_loss + 1).min(self.fate.loss.unwrap_or(0));
        for (who, end) in state.ends.iter_mut().enumerate() {
            let config = &self.configs[who];
            if end.process == Process::Crashed {
                continue;
            }
            if let Process::Stands(so_far) = &mut end.process {
                *so_far += 1;
            }
            end.rested = (end.rested + 1).min(self.fate.rest);
            let next = Timestamp::from_nanos(Self::NOW.as_nanos() + 1);
            end.peer = end.peer.normalized(config, next);
            let stands = end.process != Process::Runs;
            let broken = end.ghost.pass(config, end.peer.liveness(), stands);
            state.broken = state.broken.or(broken);
        }
    }

    fn deliver(&self, state: &mut State<D, L>, packet: Packet) {
        let who = packet.to;
        let newest = PeerState::<D, L>::NORMAL_SEQ;
        let ago = |units: u8| Timestamp::from_nanos(Self::NOW.as_nanos() - u64::from(units));
        let event = match packet.kind {
            Kind::Ping { behind } => Event::PingReceived {
                id: PingId::new(state.ends[1 - who].peer.epoch(), newest - u32::from(behind)),
                stamp: Some(ago(packet.age)),
            },
            Kind::Pong { behind, asked } => Event::PongReceived {
                id: PingId::new(state.ends[who].peer.epoch(), newest - u32::from(behind)),
                stamp: Some(ago(asked)),
                hold: core::time::Duration::ZERO,
                calm: false,
            },
            Kind::Beacon => Event::BeaconReceived {
                stamp: Some(ago(packet.age)),
                period: self.configs[1 - who].interval(),
            },
        };
        self.call(state, who, event);
        // The answer to a ping repeats its number and its stamp.
        if let Kind::Ping { behind } = packet.kind {
            for answer in &mut state.packets {
                if let Kind::Pong { behind: b, asked: UNKNOWN } = &mut answer.kind {
                    *b = behind;
                    answer.kind = Kind::Pong { behind, asked: packet.age };
                }
            }
        }
    }

    /// One call of the shipped transition function, and everything that is promised of it.
    fn call(&self, state: &mut State<D, L>, who: usize, event: Event) {
        let config = &self.configs[who];
        let peer_runs = state.ends[1 - who].process != Process::Crashed;
        let end = &mut state.ends[who];
        let before = end.peer;
        let actions = end.peer.handle(config, event, Self::NOW);
        let due = before.next_deadline(config).map(|(at, _)| at);
        let next = end.peer.next_deadline(config).map(|(at, _)| at);
        let call = crate::ghost::Call {
            event,
            before: before.liveness(),
            after: end.peer.liveness(),
            late_by: due.map_or(0, |due| Self::NOW.as_nanos().saturating_sub(due.as_nanos())),
            wakes_later: next.map(|next| next > Self::NOW),
            actions: actions.clone(),
        };
        let mut claims = self.claims[who];
        claims.no_false_positive &= peer_runs;
        let broken = end.ghost.call(config, claims, &call);
        end.peer = end.peer.normalized(config, Self::NOW);
        state.broken = state.broken.or(broken);
        Self::perform(state, who, actions);
    }

    fn perform(state: &mut State<D, L>, who: usize, actions: Actions) {
        let to = 1 - who;
        for action in actions {
            let kind = match action {
                Action::SendPing { .. } => Kind::Ping { behind: 0 },
                Action::SendBeacon { .. } => Kind::Beacon,
                Action::SendPong { .. } => Kind::Pong { behind: 0, asked: UNKNOWN },
                _ => continue,
            };
            if matches!(kind, Kind::Ping { .. } | Kind::Beacon) {
                state.packets.iter_mut().for_each(|packet| packet.fall_behind(who));
            }
            if state.ends[to].process != Process::Crashed {
                state.packets.push(Packet { to, kind, age: 0, doubled: false });
            }
        }
    }
}

/// Until the packet of the ping itself is looked at.
const UNKNOWN: u8 = u8::MAX;

impl Packet {
    /// A newer ping or beacon has left `sender`.
    fn fall_behind(&mut self, sender: usize) {
        match &mut self.kind {
            Kind::Ping { behind } if self.to != sender => *behind += 1,
            Kind::Pong { behind, .. } if self.to == sender => *behind += 1,
            _ => {}
        }
    }
}

fn remove(packets: &mut Vec<Packet>, packet: Packet) {
    if let Some(at) = packets.iter().position(|&one| one == packet) {
        packets.remove(at);
    }
}

pub(crate) fn is_over(liveness: Liveness) -> bool {
    matches!(liveness, Liveness::Lost | Liveness::Closed)
}
